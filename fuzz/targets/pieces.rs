//! Piece hash files of our own form, and what programs say of theirs.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_core::delivery::integrity::{INFO_MAX, InfoDigest, IntegrityInfo, at_start};
use openbits_core::integrity::bpm1::{self, BpmError, MAGIC};
use openbits_core::integrity::{Algorithm, LIST_BYTES_MAX, PIECES_MAX, Pieces};

#[derive(Arbitrary, Debug)]
enum Input {
    Manifest { kind: u8, size: u64, shift: u8, more: u32, count: u16, byte: u8, surplus: u8 },
    Raw(Vec<u8>),
    Info(Vec<(u8, u8)>),
    Text(String),
}

const KEYS: [&str; 6] = [
    "PiecesHashFileUrl",
    "PiecesHashFileDigest",
    "PiecesHashFileDigestAlgorithm",
    "HashOfHashes",
    "hashofhashes",
    "x",
];
const VALUES: [&str; 14] = [
    "\"http://h/p\"",
    "\"https://u:p@h/p\"",
    "\"file:///etc/passwd\"",
    "\"\\\\\\\\h\\\\s\\\\f\"",
    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"",
    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"",
    "\"AAAA\"",
    "\"SHA256\"",
    "\"sha-512\"",
    "\"MD5\"",
    "null",
    "5",
    "{\"HashOfHashes\":[]}",
    "\"\"",
];

fn manifest(document: &[u8]) {
    match bpm1::parse(document) {
        Ok(pieces) => {
            assert!(document.len() <= LIST_BYTES_MAX && pieces.count() <= PIECES_MAX);
            assert_eq!(bpm1::document(&pieces).as_deref(), Some(document), "one form of everything");
            let (mut at, count) = (0, pieces.count());
            for piece in 0..count {
                let range = pieces.range(piece);
                assert!(range.start == at && range.end > at);
                at = range.end;
            }
            assert_eq!(at, pieces.size());
            assert!(pieces.wrong(pieces.digests()).is_empty());
            assert_eq!(pieces.wrong(&[]).len() as u64, count);
            // Another length of the same pieces: found wrong at its end, or refused.
            let mut cut = document.to_vec();
            cut.pop();
            assert!(bpm1::parse(&cut).is_err());
        }
        Err(error) => assert_eq!(error == BpmError::NotBpm, !document.starts_with(&MAGIC)),
    }
}

fn info(text: &str) {
    let Ok(info) = IntegrityInfo::parse(text) else { return };
    assert!(text.len() <= INFO_MAX);
    for mandatory in [false, true] {
        match at_start(Some(&info), mandatory) {
            Ok(Some(file)) => {
                assert!(
                    file.location.to_ascii_lowercase().starts_with("http") && file.mandatory == mandatory
                );
                assert!(info.digest != InfoDigest::Unknown);
                assert!(file.root.is_none_or(|root| root.algorithm() == Algorithm::Sha256));
            }
            Ok(None) => assert!(!mandatory),
            Err(_) => assert!(mandatory),
        }
    }
}

fuzz_target!(|input: Input| match input {
    Input::Manifest { kind, size, shift, more, count, byte, surplus } => {
        let length = 1_u32.checked_shl(u32::from(shift)).unwrap_or(0).wrapping_add(more);
        let right = size.div_ceil(u64::from(length.max(1))).min(9_000);
        let count = if count % 2 == 0 { right as usize } else { usize::from(count) };
        let mut document = MAGIC.to_vec();
        document.push(if kind % 4 == 0 { kind } else { 1 });
        document.extend_from_slice(&size.to_le_bytes());
        document.extend_from_slice(&length.to_le_bytes());
        document.extend(vec![byte; count * 32 + usize::from(surplus % 2)]);
        manifest(&document);
        let digests = vec![byte; count * 32];
        if let Ok(pieces) = Pieces::new(Algorithm::Blake3, size, u64::from(length), digests) {
            assert_eq!(pieces.count(), count as u64);
            assert!(bpm1::document(&pieces).is_none());
        }
    }
    Input::Raw(document) => manifest(&document),
    Input::Info(members) => {
        let members: Vec<String> = members
            .iter()
            .map(|(key, value)| {
                let key = KEYS[usize::from(*key) % KEYS.len()];
                format!("{key:?}:{}", VALUES[usize::from(*value) % VALUES.len()])
            })
            .collect();
        info(&format!("{{{}}}", members.join(",")));
    }
    Input::Text(text) => info(&text),
});
