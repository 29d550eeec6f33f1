//! Digests that are carried along while a file is written, or made by reading it back.

use crate::failure::{Outcome, local_io};
use aws_lc_rs::digest::{Context, SHA256, SHA512};
use openbits_core::integrity::{Algorithm, Digest};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes that are read back at a time.
const BUFFER: usize = 1 << 20;

/// One running hash for each function that is wanted.
#[derive(Clone)]
pub(crate) struct Hashes(Vec<(Algorithm, Hash)>);

#[derive(Clone)]
enum Hash {
    Sha2(Context),
    Blake3(Box<blake3::Hasher>),
}

impl Hashes {
    /// Of nothing yet; a function that is named twice is computed once.
    pub(crate) fn new(algorithms: &[Algorithm]) -> Self {
        let mut hashes: Vec<(Algorithm, Hash)> = Vec::new();
        for &algorithm in algorithms {
            if hashes.iter().all(|(known, _)| *known != algorithm) {
                hashes.push((algorithm, Hash::new(algorithm)));
            }
        }
        Self(hashes)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for (_, hash) in &mut self.0 {
            match hash {
                Hash::Sha2(context) => context.update(bytes),
                Hash::Blake3(hasher) => _ = hasher.update(bytes),
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<Digest> {
        let finish = |(algorithm, hash)| match hash {
            Hash::Sha2(context) => Digest::from_bytes(algorithm, context.finish().as_ref()),
            Hash::Blake3(hasher) => Digest::from_bytes(algorithm, hasher.finalize().as_bytes()),
        };
        self.0.into_iter().map(|hash| finish(hash).expect("a hash has the length of its function")).collect()
    }

    /// Every one of these functions is computed.
    pub(crate) fn covers(&self, algorithms: &[Algorithm]) -> bool {
        algorithms.iter().all(|wanted| self.0.iter().any(|(known, _)| known == wanted))
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
}

/// Digests of `length` bytes from `start` on; reads all of them, so not for the event loop.
pub(crate) fn digests_of(
    file: &File,
    start: u64,
    length: u64,
    algorithms: &[Algorithm],
) -> Outcome<Vec<Digest>> {
    let mut hashes = Hashes::new(algorithms);
    let mut buffer = vec![0_u8; BUFFER];
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
        let all = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Blake3, Algorithm::Sha256];
        let mut carried = Hashes::new(&all);
        b"abc".iter().for_each(|byte| carried.update(&[*byte]));
        assert!(carried.covers(&all) && !Hashes::new(&[]).covers(&all));
        let carried = carried.finish();
        assert_eq!(carried, digests_of(&file, 1, 3, &all).unwrap());
        let heads: Vec<String> = carried.iter().map(|digest| digest.to_string()[..16].to_owned()).collect();
        assert_eq!(heads, ["sha-256:ba7816bf", "sha-512:ddaf35a1", "blake3:6437b3ac3"]);
        assert!(digests_of(&file, 1, 4, &all).is_err(), "shorter than it should be");
    }
}
