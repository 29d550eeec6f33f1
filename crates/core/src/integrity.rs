//! What the content of a file must be: digests, and the lists that hold them. Pure; the owner's worker fetches the lists.
//!
//! Everything here reads what strangers wrote: each reader has limits, refuses what it does not understand, and has a fuzz target
//! (docs/fuzzing.md). Weak functions (MD5, SHA-1) are read past, never used.

pub mod bpm1;
mod digest;
pub mod header;
pub mod metalink;
mod pieces;
mod source;
pub mod sums;

pub use digest::{Algorithm, BadDigest, Digest};
pub use pieces::{BadPieces, PIECES_MAX, Pieces};
pub use source::{
    DIGESTS_MAX, DigestSource, Expect, LIST_BYTES_MAX, MIRRORS_MAX, PieceFile, SourceKind, file_name,
    same_name,
};
