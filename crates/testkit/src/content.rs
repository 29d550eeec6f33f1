//! File contents that need no memory: every byte is a function of the seed and the offset.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::rng::{GOLDEN, mix};

/// Pieces in which contents are generated when hashed or compared, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// What a file on the origin holds.
///
/// Generated contents are pseudo-random, so a byte at the wrong offset, a repeated block or a mixture of two versions
/// never has the right digest.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    kind: Kind,
    size: u64,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Generated { seed: u64 },
    Literal(Arc<[u8]>),
}

impl Content {
    /// `size` bytes that follow from `seed`. Contents of the same seed and different sizes share their prefix.
    #[must_use]
    pub fn new(seed: u64, size: u64) -> Self {
        Self { kind: Kind::Generated { seed }, size }
    }

    /// These very bytes.
    #[must_use]
    pub fn literal(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let size = u64::try_from(bytes.len()).expect("a length in memory fits 64 bits");
        Self { kind: Kind::Literal(bytes), size }
    }

    /// Its first bytes, at most `size`.
    #[must_use]
    pub fn truncated(&self, size: u64) -> Self {
        let size = size.min(self.size);
        match &self.kind {
            Kind::Generated { seed } => Self::new(*seed, size),
            Kind::Literal(_) => Self::literal(self.byte_range(0, size)),
        }
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes the bytes from `offset` on into `out`, as many as the content has, and returns how many.
    pub fn fill(&self, offset: u64, out: &mut [u8]) -> usize {
        let left = self.size.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let out = &mut out[..len];
        match &self.kind {
            Kind::Generated { seed } => generate(*seed, offset, out),
            Kind::Literal(bytes) if len > 0 => {
                let start = usize::try_from(offset).expect("an offset inside memory fits usize");
                out.copy_from_slice(&bytes[start..start + len]);
            }
            Kind::Literal(_) => {}
        }
        len
    }

    /// At most `len` bytes from `offset` on; shorter at the end of the content, empty beyond it.
    #[must_use]
    pub fn byte_range(&self, offset: u64, len: u64) -> Vec<u8> {
        let len = len.min(self.size.saturating_sub(offset));
        let mut out = vec![0; usize::try_from(len).expect("a range asked for in memory fits usize")];
        self.fill(offset, &mut out);
        out
    }

    /// SHA-256 of the whole content. Generates it once, in small pieces.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        self.each_piece(0, self.size, |piece| hash.update(piece));
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// [`Content::sha256`] in lower-case hexadecimal.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256())
    }

    /// The offset of the first byte in which `got`, read at `offset` of a file, differs from this content (bytes beyond
    /// the end differ); `None` when all agree. For messages better than "digest differs".
    #[must_use]
    pub fn first_difference(&self, offset: u64, got: &[u8]) -> Option<u64> {
        let mut at = offset;
        let mut want = vec![0; PIECE_BYTES.min(got.len())];
        for piece in got.chunks(PIECE_BYTES) {
            let len = self.fill(at, &mut want[..piece.len()]);
            let same = want[..len].iter().zip(piece).take_while(|(a, b)| a == b).count();
            if same < piece.len() {
                return Some(at + u64::try_from(same).expect("a length in memory fits 64 bits"));
            }
            at += u64::try_from(piece.len()).expect("a length in memory fits 64 bits");
        }
        None
    }

    /// The content of the same kind that a publisher puts in its place: other bytes, the given size.
    #[must_use]
    pub fn successor(&self, size: u64) -> Self {
        match &self.kind {
            Kind::Generated { seed } => Self::new(mix(seed.wrapping_add(GOLDEN)), size),
            Kind::Literal(bytes) => Self::new(mix(fingerprint(bytes)), size),
        }
    }

    /// A number that differs between different contents, for entity tags and dates.
    pub(crate) fn version(&self) -> u64 {
        let seed = match &self.kind {
            Kind::Generated { seed } => mix(seed.wrapping_add(GOLDEN)),
            Kind::Literal(bytes) => fingerprint(bytes),
        };
        seed ^ mix(self.size)
    }

    /// Calls `each` with the bytes of `start..end`, in pieces.
    pub(crate) fn each_piece(&self, start: u64, end: u64, mut each: impl FnMut(&[u8])) {
        let mut buffer = vec![0; PIECE_BYTES];
        let mut at = start;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let len = self.fill(at, &mut buffer[..want]);
            if len == 0 {
                break;
            }
            each(&buffer[..len]);
            at += u64::try_from(len).expect("a length in memory fits 64 bits");
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Generated { seed } => write!(f, "Content::new({seed}, {})", self.size),
            Kind::Literal(_) => write!(f, "Content::literal({} bytes)", self.size),
        }
    }
}

fn generate(seed: u64, offset: u64, out: &mut [u8]) {
    let base = mix(seed ^ GOLDEN);
    let word = |index: u64| mix(base.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN))).to_le_bytes();
    let mut index = offset / 8;
    let skip = usize::try_from(offset % 8).expect("below eight");
    let mut rest = out;
    if skip != 0 {
        let head = rest.len().min(8 - skip);
        rest[..head].copy_from_slice(&word(index)[skip..skip + head]);
        rest = &mut rest[head..];
        index += 1;
    }
    let mut words = rest.chunks_exact_mut(8);
    for chunk in &mut words {
        chunk.copy_from_slice(&word(index));
        index += 1;
    }
    let tail = words.into_remainder();
    let len = tail.len();
    tail.copy_from_slice(&word(index)[..len]);
}

fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(GOLDEN, |state, byte| mix(state ^ u64::from(*byte)))
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_agrees_with_the_whole() {
        let content = Content::new(42, 1000);
        let whole = content.byte_range(0, 1000);
        for start in 0..40u64 {
            for len in 0..40u64 {
                let from = usize::try_from(start).unwrap();
                let to = usize::try_from(start + len).unwrap();
                assert_eq!(content.byte_range(start, len), whole[from..to], "{start}+{len}");
            }
        }
        assert_eq!(content.byte_range(990, 100).len(), 10);
        assert!(content.byte_range(1000, 1).is_empty());
        assert!(content.byte_range(u64::MAX, 1).is_empty());
    }

    #[test]
    fn digests_are_those_of_the_bytes() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Content::new(1, 0).sha256_hex(), empty);
        assert_eq!(
            Content::literal(*b"abc").sha256_hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let content = Content::new(9, 300_001);
        assert_eq!(Content::literal(content.byte_range(0, 300_001)).sha256(), content.sha256());
        assert_ne!(content.sha256(), content.successor(300_001).sha256());
    }

    #[test]
    fn two_gibibytes_cost_no_memory() {
        let content = Content::new(3, 2 << 30);
        assert_eq!(content.byte_range((2 << 30) - 3, 10).len(), 3);
    }

    #[test]
    fn the_first_difference_is_found() {
        let content = Content::new(5, 100);
        let mut got = content.byte_range(10, 50);
        assert_eq!(content.first_difference(10, &got), None);
        got[7] ^= 1;
        assert_eq!(content.first_difference(10, &got), Some(17));
        assert_eq!(content.first_difference(99, &[content.byte_range(99, 1)[0], 0]), Some(100));
    }
}
