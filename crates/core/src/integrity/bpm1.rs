//! Our own piece hash file, the manifest `BPM1` (spec/peer-caching.md 16.3).
//!
//! Little-endian: magic `BPM1`, one byte for the kind, eight for the size of the file, four for the length of a piece, then for kind 1 the
//! SHA-256 of each piece. Its root is SHA-256 over exactly these bytes in exactly this order, so the root of a manifest is the SHA-256 of the
//! document, and no second digest of it is needed. Kind 2 (a BLAKE3 tree) is known by name and not read.
//!
//! A piece has 64 KiB to 8 MiB, a power of two, so that a file has at most 8,192 of them; a file of more than 64 GiB has more pieces, of 8 MiB.

use super::pieces::{BadPieces, PIECES_MAX, Pieces};
use super::{Algorithm, LIST_BYTES_MAX};

/// How a manifest begins.
pub const MAGIC: [u8; 4] = *b"BPM1";
/// Bytes before the first digest.
const HEAD: usize = 17;
/// Shortest and longest piece, in bytes.
const LENGTHS: [u64; 2] = [64 << 10, 8 << 20];
/// Length of a piece where nothing speaks for a longer one.
const USUAL: u64 = 1 << 20;
/// Pieces of a file, unless they have the longest length.
const COUNT_MAX: u64 = 8_192;

/// Why a document is no manifest that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BpmError {
    /// It does not begin with the magic: something else.
    #[error("it is no BPM1 manifest")]
    NotBpm,
    /// Size of the document.
    #[error("the manifest is larger than 8 MiB")]
    TooLarge,
    /// A kind that is not read.
    #[error("the manifest is of kind {0}, which is not read")]
    Kind(u8),
    /// Bytes are missing.
    #[error("the manifest is cut")]
    Cut,
    /// No power of two from 64 KiB to 8 MiB, or too short for the file.
    #[error("the manifest's pieces have a length that is not allowed")]
    Length,
    /// What the pieces cannot be.
    #[error("the manifest does not fit its own size: {0}")]
    Pieces(BadPieces),
}

/// Reads a manifest.
///
/// # Errors
/// See [`BpmError`].
pub fn parse(document: &[u8]) -> Result<Pieces, BpmError> {
    let Some(rest) = document.strip_prefix(&MAGIC) else { return Err(BpmError::NotBpm) };
    if document.len() > LIST_BYTES_MAX {
        return Err(BpmError::TooLarge);
    }
    let (kind, rest) = rest.split_first().ok_or(BpmError::Cut)?;
    if *kind != 1 {
        return Err(BpmError::Kind(*kind));
    }
    let (size, rest) = rest.split_first_chunk().ok_or(BpmError::Cut)?;
    let (length, digests) = rest.split_first_chunk().ok_or(BpmError::Cut)?;
    let (size, length) = (u64::from_le_bytes(*size), u64::from(u32::from_le_bytes(*length)));
    if !may_be(size, length) {
        return Err(BpmError::Length);
    }
    Pieces::new(Algorithm::Sha256, size, length, digests.to_vec()).map_err(BpmError::Pieces)
}

/// The manifest of these pieces; `None` if there is none: another function, or another length than a manifest may have.
pub fn document(pieces: &Pieces) -> Option<Vec<u8>> {
    let (size, length) = (pieces.size(), pieces.length());
    if pieces.algorithm() != Algorithm::Sha256 || !may_be(size, length) {
        return None;
    }
    let mut out = Vec::with_capacity(HEAD + pieces.digests().len());
    out.extend_from_slice(&MAGIC);
    out.push(1);
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    out.extend_from_slice(pieces.digests());
    Some(out)
}

/// Length of the pieces of a new manifest for a file of `size` bytes: 1 MiB, or the shortest that leaves 8,192 pieces.
pub fn length_for(size: u64) -> u64 {
    let mut length = USUAL;
    while length < LENGTHS[1] && size.div_ceil(length) > COUNT_MAX {
        length *= 2;
    }
    length
}

fn may_be(size: u64, length: u64) -> bool {
    let most = if length == LENGTHS[1] { PIECES_MAX } else { COUNT_MAX };
    length.is_power_of_two() && (LENGTHS[0]..=LENGTHS[1]).contains(&length) && size.div_ceil(length) <= most
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest(kind: u8, size: u64, length: u32, count: usize) -> Vec<u8> {
        let (size, length) = (size.to_le_bytes(), length.to_le_bytes());
        [&MAGIC[..], &[kind], &size, &length, &vec![7; count * 32]].concat()
    }

    #[test]
    fn a_manifest_byte_by_byte() {
        let text = "42504d31 01 0100010000000000 00000100";
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
        let mut document: Vec<u8> = digits
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect();
        document.extend_from_slice(&[1; 32]);
        document.extend_from_slice(&[2; 32]);
        let pieces = parse(&document).unwrap();
        assert_eq!((pieces.size(), pieces.length(), pieces.count()), (65_537, 65_536, 2));
        assert!(
            pieces.is_right(0, &[1; 32]) && pieces.is_right(1, &[2; 32]) && !pieces.is_right(1, &[1; 32])
        );
        assert_eq!(super::document(&pieces), Some(document));
    }

    #[test]
    fn refusals() {
        const MIB: u32 = 1 << 20;
        let cases = [
            (Vec::new(), BpmError::NotBpm),
            (b"BPM".to_vec(), BpmError::NotBpm),
            (b"{\"HashOfHashes\":\"\"}".to_vec(), BpmError::NotBpm),
            (MAGIC.to_vec(), BpmError::Cut),
            (manifest(2, 10, MIB, 1), BpmError::Kind(2)),
            (manifest(0, 10, MIB, 1), BpmError::Kind(0)),
            (manifest(1, 10, MIB, 0)[..16].to_vec(), BpmError::Cut),
            (manifest(1, 10, MIB, 0), BpmError::Pieces(BadPieces::Count)),
            (manifest(1, 10, MIB, 2), BpmError::Pieces(BadPieces::Count)),
            ([&manifest(1, 10, MIB, 1)[..], b"x"].concat(), BpmError::Pieces(BadPieces::Count)),
            (manifest(1, 0, MIB, 1), BpmError::Pieces(BadPieces::Count)),
            (manifest(1, 10, 0, 1), BpmError::Length),
            (manifest(1, 10, 32 << 10, 1), BpmError::Length),
            (manifest(1, 10, 16 * MIB, 1), BpmError::Length),
            (manifest(1, 10, MIB + 1, 1), BpmError::Length),
            (manifest(1, 10, u32::MAX, 1), BpmError::Length),
            (manifest(1, (8_192 << 20) + 1, MIB, 0), BpmError::Length),
            (manifest(1, u64::MAX, 8 * MIB, 0), BpmError::Length),
            (manifest(1, (65_536 << 23) + 1, 8 * MIB, 0), BpmError::Length),
            ([&MAGIC[..], &vec![0; LIST_BYTES_MAX]].concat(), BpmError::TooLarge),
        ];
        for (document, error) in cases {
            assert_eq!(parse(&document), Err(error), "{:?}", &document[..document.len().min(20)]);
        }
        assert_eq!(parse(&manifest(1, 0, MIB, 0)).unwrap().count(), 0);
        assert_eq!(parse(&manifest(1, 8_193 << 23, 8 * MIB, 8_193)).unwrap().count(), 8_193);
    }

    #[test]
    fn lengths_of_new_manifests() {
        for (size, length) in [
            (0, 1 << 20),
            (8_192 << 20, 1 << 20),
            ((8_192 << 20) + 1, 2 << 20),
            (8_192 << 23, 8 << 20),
            (65_536 << 23, 8 << 20),
        ] {
            assert_eq!(length_for(size), length, "{size}");
            assert!(may_be(size, length));
        }
        let other = Pieces::new(Algorithm::Blake3, 1, 1 << 20, vec![0; 32]).unwrap();
        let short = Pieces::new(Algorithm::Sha256, 1, 1 << 10, vec![0; 32]).unwrap();
        assert_eq!((document(&other), document(&short)), (None, None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_no_cut_of_it(size in 0_u64..(20 << 20), shift in 16_u32..24, cut in 1_usize..100) {
            let length = 1_u64 << shift;
            let count = usize::try_from(size.div_ceil(length)).unwrap();
            let digests = (0..count * 32).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let pieces = Pieces::new(Algorithm::Sha256, size, length, digests).unwrap();
            let document = document(&pieces).unwrap();
            prop_assert_eq!(parse(&document), Ok(pieces));
            prop_assert!(parse(&document[..document.len().saturating_sub(cut)]).is_err());
        }
    }
}
