//! Digests of the pieces of a file: with them a damaged part is found, and only that part is fetched again.

use super::Algorithm;
use std::ops::Range;

/// Pieces of one file.
pub const PIECES_MAX: u64 = 65_536;

/// Digests of pieces of equal length (the last may be shorter) that cover a file exactly. From a Metalink, or from a manifest
/// ([`super::bpm1`]).
#[derive(Clone, PartialEq, Eq)]
pub struct Pieces {
    algorithm: Algorithm,
    size: u64,
    length: u64,
    /// One after the other, [`Algorithm::bytes`] each.
    digests: Box<[u8]>,
}

/// Digests do not cover a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPieces {
    /// Length zero, or a size beyond the kernel's file offsets.
    #[error("the pieces have no length, or the file an impossible size")]
    Form,
    /// More than [`PIECES_MAX`].
    #[error("the file has more than 65,536 pieces")]
    TooMany,
    /// Too few or too many digests for the size.
    #[error("the number of digests is not that of the pieces")]
    Count,
}

impl Pieces {
    /// `digests`: one for each piece of `length` bytes of a file of `size` bytes, in order and without anything between them.
    ///
    /// # Errors
    /// See [`BadPieces`].
    pub fn new(algorithm: Algorithm, size: u64, length: u64, digests: Vec<u8>) -> Result<Self, BadPieces> {
        if length == 0 || i64::try_from(size).is_err() {
            return Err(BadPieces::Form);
        }
        let count = size.div_ceil(length);
        if count > PIECES_MAX {
            return Err(BadPieces::TooMany);
        }
        if u64::try_from(digests.len()) != Ok(count * algorithm.bytes() as u64) {
            return Err(BadPieces::Count);
        }
        Ok(Self { algorithm, size, length, digests: digests.into() })
    }

    /// The hash function.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Bytes of the file.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of a piece, the last one aside; not zero.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Number of pieces; zero for an empty file.
    pub const fn count(&self) -> u64 {
        self.size.div_ceil(self.length)
    }

    /// All digests, one after the other.
    pub fn digests(&self) -> &[u8] {
        &self.digests
    }

    /// The bytes of a piece, counted from 0; empty beyond the last one.
    pub fn range(&self, piece: u64) -> Range<u64> {
        let start = piece.saturating_mul(self.length).min(self.size);
        start..start.saturating_add(self.length).min(self.size)
    }

    /// This is the digest of the piece.
    pub fn is_right(&self, piece: u64, digest: &[u8]) -> bool {
        let bytes = self.algorithm.bytes();
        let at = usize::try_from(piece).ok().and_then(|piece| piece.checked_mul(bytes));
        let expected = at.and_then(|at| self.digests.get(at..at.checked_add(bytes)?));
        expected == Some(digest)
    }

    /// The pieces whose digest is another, or is not there, in ascending order. `found`: those of a file, one after the other.
    pub fn wrong(&self, found: &[u8]) -> Vec<u64> {
        let bytes = self.algorithm.bytes();
        let mut found = found.chunks_exact(bytes);
        (0..self.count())
            .filter(|piece| !found.next().is_some_and(|digest| self.is_right(*piece, digest)))
            .collect()
    }
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.algorithm.name();
        write!(f, "Pieces({} of {} bytes, {name}, of {} bytes)", self.count(), self.length, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(n: u64) -> Vec<u8> {
        n.to_le_bytes().repeat(4)
    }

    #[test]
    fn limits() {
        let new = |size, length, count: u64| {
            Pieces::new(Algorithm::Sha256, size, length, (0..count).flat_map(digest).collect())
                .map(|pieces| pieces.count())
        };
        assert_eq!(new(10, 4, 3), Ok(3));
        assert_eq!(new(12, 4, 3), Ok(3));
        assert_eq!(new(13, 4, 3), Err(BadPieces::Count));
        assert_eq!(new(8, 4, 3), Err(BadPieces::Count));
        assert_eq!(new(0, 4, 0), Ok(0));
        assert_eq!(new(0, 4, 1), Err(BadPieces::Count));
        assert_eq!(new(10, 0, 1), Err(BadPieces::Form));
        assert_eq!(new(1 << 63, u64::MAX, 1), Err(BadPieces::Form));
        assert_eq!(new((1 << 63) - 1, u64::MAX, 1), Ok(1));
        assert_eq!(new(PIECES_MAX, 1, PIECES_MAX), Ok(PIECES_MAX));
        assert_eq!(new(PIECES_MAX + 1, 1, PIECES_MAX + 1), Err(BadPieces::TooMany));
        assert_eq!(new((1 << 63) - 1, 1, 0), Err(BadPieces::TooMany));
        let half = Pieces::new(Algorithm::Sha512, 10, 10, vec![0; 32]);
        assert_eq!(half, Err(BadPieces::Count));
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole_and_only_changed_ones_are_wrong(
            size in 0_u64..5_000, length in 1_u64..600, changed in prop::collection::btree_set(0_u64..5_000, 0..5),
            cut in 0_usize..40,
        ) {
            let count = size.div_ceil(length);
            let right: Vec<u8> = (0..count).flat_map(digest).collect();
            let pieces = Pieces::new(Algorithm::Blake3, size, length, right.clone()).unwrap();
            let mut at = 0;
            for piece in 0..count {
                let range = pieces.range(piece);
                prop_assert!(range.start == at && range.end > at && range.end - at <= length);
                at = range.end;
                prop_assert!(pieces.is_right(piece, &digest(piece)) && !pieces.is_right(piece, &digest(piece + 1)));
            }
            prop_assert_eq!(at, size);
            prop_assert!(pieces.range(count).is_empty() && pieces.range(u64::MAX).is_empty());
            prop_assert!(!pieces.is_right(count, &digest(count)) && !pieces.is_right(u64::MAX, &digest(0)));
            let mut found = right;
            let changed: Vec<u64> = changed.into_iter().filter(|piece| *piece < count).collect();
            for piece in &changed {
                found[usize::try_from(*piece).unwrap() * 32] ^= 1;
            }
            prop_assert_eq!(pieces.wrong(&found), changed.clone());
            // What is not there is wrong.
            found.truncate(found.len().saturating_sub(cut));
            let there = u64::try_from(found.len() / 32).unwrap();
            let expected: Vec<u64> = (0..count).filter(|piece| *piece >= there || changed.contains(piece)).collect();
            prop_assert_eq!(pieces.wrong(&found), expected);
        }
    }
}
