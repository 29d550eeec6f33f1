//! Digests that are carried along while a file is written, or made by reading it back.

use crate::failure::{Outcome, local_io};
use aws_lc_rs::digest::{Context, SHA256, SHA512};
use openbits_core::integrity::{Algorithm, Digest, Pieces};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes that are read back at a time.
const BUFFER: usize = 1 << 20;

/// What is to be computed of a file while it is written, or read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Digests of the whole.
    pub(crate) algorithms: Vec<Algorithm>,
    /// Digests of its pieces.
    pub(crate) pieces: Option<Cut>,
}

/// How a file is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) algorithm: Algorithm,
    /// Bytes of a piece; not zero.
    pub(crate) length: u64,
    /// More pieces than this are not looked at.
    pub(crate) count: u64,
}

impl Wanted {
    pub(crate) const fn is_empty(&self) -> bool {
        self.algorithms.is_empty() && self.pieces.is_none()
    }
}

impl Cut {
    pub(crate) const fn of(pieces: &Pieces) -> Self {
        Self { algorithm: pieces.algorithm(), length: pieces.length(), count: pieces.count() }
    }
}

/// What was computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Of the whole, one for each function.
    pub(crate) digests: Vec<Digest>,
    /// Of the pieces, one after the other; empty if they were not asked for.
    pub(crate) pieces: Vec<u8>,
}

/// One running hash for each function that is wanted, and one for the present piece.
#[derive(Clone)]
pub(crate) struct Hashes {
    whole: Vec<(Algorithm, Hash)>,
    pieces: Option<Running>,
}

#[derive(Clone)]
enum Hash {
    Sha2(Context),
    Blake3(Box<blake3::Hasher>),
}

/// The pieces so far.
#[derive(Clone)]
struct Running {
    cut: Cut,
    hash: Hash,
    /// Bytes of the present piece.
    filled: u64,
    found: Vec<u8>,
}

impl Hashes {
    /// Of nothing yet; a function that is named twice is computed once.
    pub(crate) fn new(wanted: &Wanted) -> Self {
        let mut whole: Vec<(Algorithm, Hash)> = Vec::new();
        for &algorithm in &wanted.algorithms {
            if whole.iter().all(|(known, _)| *known != algorithm) {
                whole.push((algorithm, Hash::new(algorithm)));
            }
        }
        let running =
            |cut: Cut| Running { cut, hash: Hash::new(cut.algorithm), filled: 0, found: Vec::new() };
        Self { whole, pieces: wanted.pieces.map(running) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for (_, hash) in &mut self.whole {
            hash.update(bytes);
        }
        if let Some(pieces) = &mut self.pieces {
            pieces.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Found {
        let digest = |(algorithm, hash): (Algorithm, Hash)| {
            Digest::from_bytes(algorithm, &hash.finish()).expect("a hash has the length of its function")
        };
        Found {
            digests: self.whole.into_iter().map(digest).collect(),
            pieces: self.pieces.map(Running::finish).unwrap_or_default(),
        }
    }

    /// Everything that is wanted is computed.
    pub(crate) fn covers(&self, wanted: &Wanted) -> bool {
        let known = |algorithm: &Algorithm| self.whole.iter().any(|(known, _)| known == algorithm);
        let cut = self.pieces.as_ref().map(|pieces| pieces.cut);
        wanted.algorithms.iter().all(known) && (wanted.pieces.is_none() || wanted.pieces == cut)
    }
}

impl Running {
    fn update(&mut self, mut bytes: &[u8]) {
        // A server that sends more than the file has must not fill the memory.
        while !bytes.is_empty() && (self.found.len() / self.cut.algorithm.bytes()) as u64 != self.cut.count {
            let room = usize::try_from(self.cut.length - self.filled).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.hash.update(now);
            self.filled += now.len() as u64;
            bytes = rest;
            if self.filled == self.cut.length {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let hash = std::mem::replace(&mut self.hash, Hash::new(self.cut.algorithm));
        self.found.extend(hash.finish());
        self.filled = 0;
    }

    fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.close();
        }
        self.found
    }
}

impl Hash {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha2(Context::new(&SHA256)),
            Algorithm::Sha512 => Self::Sha2(Context::new(&SHA512)),
            Algorithm::Blake3 => Self::Blake3(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha2(context) => context.update(bytes),
            Self::Blake3(hasher) => _ = hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha2(context) => context.finish().as_ref().to_vec(),
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}

/// The digest of some bytes.
pub(crate) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hash = Hash::new(algorithm);
    hash.update(bytes);
    Digest::from_bytes(algorithm, &hash.finish()).expect("a hash has the length of its function")
}

/// Digests of `length` bytes from `start` on; reads all of them, so not for the event loop.
pub(crate) fn digests_of(file: &File, start: u64, length: u64, wanted: &Wanted) -> Outcome<Found> {
    let mut hashes = Hashes::new(wanted);
    let mut buffer = vec![0_u8; usize::try_from(length).unwrap_or(BUFFER).min(BUFFER)];
    let (mut at, end) = (start, start.saturating_add(length));
    while at < end {
        let want = usize::try_from((end - at).min(buffer.len() as u64)).expect("at most the buffer");
        file.read_exact_at(&mut buffer[..want], at)
            .map_err(|error| local_io(&error, "The temporary file cannot be read back"))?;
        hashes.update(&buffer[..want]);
        at += want as u64;
    }
    Ok(hashes.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn known_digests_carried_along_and_read_back() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"xabc").unwrap();
        let algorithms = vec![Algorithm::Sha256, Algorithm::Sha512, Algorithm::Blake3, Algorithm::Sha256];
        let all = Wanted { algorithms, pieces: None };
        let mut carried = Hashes::new(&all);
        b"abc".iter().for_each(|byte| carried.update(&[*byte]));
        assert!(carried.covers(&all) && !Hashes::new(&Wanted::default()).covers(&all));
        let carried = carried.finish();
        assert_eq!(carried, digests_of(&file, 1, 3, &all).unwrap());
        let heads: Vec<String> =
            carried.digests.iter().map(|digest| digest.to_string()[..16].to_owned()).collect();
        assert_eq!(heads, ["sha-256:ba7816bf", "sha-512:ddaf35a1", "blake3:6437b3ac3"]);
        assert!(digests_of(&file, 1, 4, &all).is_err(), "shorter than it should be");
        assert_eq!(digest_of(Algorithm::Sha512, b"abc"), carried.digests[1]);
    }

    #[test]
    fn pieces_however_the_bytes_come() {
        let bytes: Vec<u8> = (0..1000_u32).map(|n| u8::try_from(n % 253).unwrap()).collect();
        for (length, most) in [(1_u64, 1000_u64), (7, 1000), (100, 10), (999, 2), (1000, 1), (5000, 1)] {
            for algorithm in Algorithm::ALL {
                let expected: Vec<u8> = bytes
                    .chunks(usize::try_from(length).unwrap())
                    .flat_map(|piece| digest_of(algorithm, piece).to_bytes())
                    .collect();
                let cut = Cut { algorithm, length, count: most };
                let wanted = Wanted { algorithms: vec![Algorithm::Sha256], pieces: Some(cut) };
                for step in [1, 3, 64, 1000] {
                    let mut hashes = Hashes::new(&wanted);
                    bytes.chunks(step).for_each(|part| hashes.update(part));
                    assert!(hashes.covers(&wanted));
                    let other = Cut { length: length + 1, ..cut };
                    assert!(!hashes.covers(&Wanted { pieces: Some(other), ..wanted.clone() }));
                    let found = hashes.finish();
                    assert_eq!(found.pieces, expected, "{length} {step}");
                    assert_eq!(found.digests, [digest_of(Algorithm::Sha256, &bytes)]);
                }
                // More than there can be is not remembered.
                let wanted = Wanted { pieces: Some(Cut { count: 1, ..cut }), ..wanted };
                let mut hashes = Hashes::new(&wanted);
                hashes.update(&bytes);
                hashes.update(&bytes);
                assert_eq!(hashes.finish().pieces.len(), algorithm.bytes());
            }
        }
        assert!(
            Hashes::new(&Wanted {
                algorithms: vec![],
                pieces: Some(Cut { algorithm: Algorithm::Sha256, length: 5, count: 0 })
            })
            .finish()
            .pieces
            .is_empty()
        );
    }
}
