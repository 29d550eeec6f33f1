//! Lists of digests, and the header fields that tell them.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_core::integrity::header::{digest, repr_digest};
use openbits_core::integrity::sums::{SumsError, find};
use openbits_core::integrity::{Algorithm, Digest};

#[derive(Arbitrary, Debug)]
enum Line {
    Plain { hex: u8, digit: u8, binary: bool, escaped: bool, name: u8 },
    Tagged { tag: u8, hex: u8, digit: u8, name: u8 },
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Input {
    List { list_name: u8, wanted: u8, lines: Vec<Line>, crlf: bool },
    RawList { list_name: String, wanted: String, list: Vec<u8> },
    Field(String),
}

const LISTS: [&str; 5] = ["SHA256SUMS", "f.b3", "b2sums", "CHECKSUMS.asc", ""];
const NAMES: [&str; 7] = ["f", "./f", "d/f", "e/f", "f (1)", "a\\\\b", "-"];
const LENGTHS: [usize; 8] = [64, 128, 32, 40, 56, 96, 63, 0];
const TAGS: [&str; 6] = ["SHA256", "SHA512", "BLAKE3", "MD5", "sha-256", "SHA3-256"];

fn pick<T: Copy>(list: &[T], at: u8) -> T {
    list[usize::from(at) % list.len()]
}

fn hex(length: u8, digit: u8) -> String {
    char::from(b"09afAF"[usize::from(digit) % 6]).to_string().repeat(pick(&LENGTHS, length))
}

fn line(line: &Line) -> Vec<u8> {
    match line {
        Line::Plain { hex: length, digit, binary, escaped, name } => {
            let (start, blank) = (if *escaped { "\\" } else { "" }, if *binary { " *" } else { "  " });
            format!("{start}{}{blank}{}", hex(*length, *digit), pick(&NAMES, *name)).into_bytes()
        }
        Line::Tagged { tag, hex: length, digit, name } => {
            format!("{} ({}) = {}", pick(&TAGS, *tag), pick(&NAMES, *name), hex(*length, *digit)).into_bytes()
        }
        Line::Raw(bytes) => bytes.clone(),
    }
}

/// One for each function at the most, each written in what was read.
fn check(digests: &[Digest], text: &[u8]) {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    for (at, digest) in digests.iter().enumerate() {
        assert!(digests[..at].iter().all(|other| other.algorithm() != digest.algorithm()));
        assert!(text.contains(digest.hex()), "{digest} is nowhere");
    }
}

fn list(list: &[u8], list_name: &str, wanted: &str) {
    let found = find(list, list_name, wanted);
    if let Ok(digests) = &found {
        assert!(!digests.is_empty());
        check(digests, list);
    }
    // What is no list must not become one by what stands around it.
    let mut spoilt = b"<!DOCTYPE html>\n".to_vec();
    spoilt.extend_from_slice(list);
    assert_eq!(find(&spoilt, list_name, wanted), Err(SumsError::Line(1)));
}

fuzz_target!(|input: Input| match input {
    Input::List { list_name, wanted, lines, crlf } => {
        let end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
        list(
            &lines.iter().map(line).collect::<Vec<_>>().join(end),
            pick(&LISTS, list_name),
            pick(&NAMES, wanted),
        );
    }
    Input::RawList { list_name, wanted, list: bytes } => list(&bytes, &list_name, &wanted),
    Input::Field(value) => {
        for digests in [repr_digest(&value), digest(&value)] {
            assert!(digests.len() <= 2 && digests.iter().all(|d| d.algorithm() != Algorithm::Blake3));
            assert!(digests.windows(2).all(|two| two[0].algorithm() != two[1].algorithm()));
        }
    }
});
