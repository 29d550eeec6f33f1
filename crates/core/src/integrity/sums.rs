//! Lists of digests as `sha256sum`, `b3sum` and the BSD tools write them.
//!
//! Lines: `HEX  NAME`, `HEX *NAME` (with a backslash before a line whose name is escaped), `SHA256 (NAME) = HEX`, a lone `HEX` as the
//! only line; blank lines, `#` comments, and the frame of a clear-signed message (the signature itself is not checked). Lines
//! of weak or unknown functions are read past; anything else refuses the whole list, since a page that is no list must not look like
//! one without our file.

use super::source::{LIST_BYTES_MAX, same_name};
use super::{Algorithm, Digest};

/// Longest line, in bytes: the longest path and a digest.
const LINE_MAX: usize = 8192;

/// Why a list tells no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// Size.
    #[error("the list of digests is larger than 8 MiB")]
    TooLarge,
    /// A line of no known form; counted from 1.
    #[error("line {0} is no line of a list of digests")]
    Line(usize),
    /// No line for it.
    #[error("the list of digests does not name the file")]
    NotListed,
    /// Only functions that prove nothing.
    #[error("the list has only digests of weak or unknown functions for the file")]
    Weak,
    /// Two lines contradict each other.
    #[error("the list has contradicting digests for the file")]
    Ambiguous,
}

/// The digests of `wanted` in a list. `list_name` is the list's own name: it tells BLAKE3 from SHA-256 where lines do not.
///
/// A line with exactly the wanted name goes before lines where only the last part fits. One list may give several functions; all
/// that can be checked come back, never none.
///
/// # Errors
/// See [`SumsError`].
pub fn find(list: &[u8], list_name: &str, wanted: &str) -> Result<Vec<Digest>, SumsError> {
    if list.len() > LIST_BYTES_MAX {
        return Err(SumsError::TooLarge);
    }
    let list = list.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(list);
    let untagged = Untagged::by_name(list_name);
    let (mut exact, mut close) = (Found::default(), Found::default());
    let mut lines = 0;
    let mut lone: Option<Option<Digest>> = None;
    let mut header = false;
    for (number, line) in (1..).zip(list.split(|&b| b == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_MAX {
            return Err(SumsError::Line(number));
        }
        if line == b"-----BEGIN PGP SIGNATURE-----" {
            break;
        }
        if line == b"-----BEGIN PGP SIGNED MESSAGE-----" && lines == 0 {
            header = true;
            continue;
        }
        if line.is_empty() || line.iter().all(u8::is_ascii_whitespace) {
            header = false;
            continue;
        }
        if line[0] == b'#' || header {
            continue;
        }
        lines += 1;
        let entry = entry(line, untagged).ok_or(SumsError::Line(number))?;
        match &entry.name {
            None => lone = Some(entry.digest),
            Some(name) => match same_name(name, wanted) {
                Some(true) => exact.add(entry.digest),
                Some(false) => close.add(entry.digest),
                None => {}
            },
        }
    }
    if let Some(digest) = lone
        && lines == 1
    {
        return digest.map(|digest| vec![digest]).ok_or(SumsError::Weak);
    }
    if exact.seen { exact.done() } else { close.done() }
}

/// Digests seen for the file.
#[derive(Default)]
struct Found {
    seen: bool,
    digests: Vec<Digest>,
    ambiguous: bool,
}

impl Found {
    fn add(&mut self, digest: Option<Digest>) {
        self.seen = true;
        let Some(digest) = digest else { return };
        match self.digests.iter().find(|known| known.algorithm() == digest.algorithm()) {
            Some(known) => self.ambiguous |= *known != digest,
            None => self.digests.push(digest),
        }
    }

    fn done(self) -> Result<Vec<Digest>, SumsError> {
        match (self.seen, self.ambiguous, self.digests.is_empty()) {
            (false, ..) => Err(SumsError::NotListed),
            (_, true, _) => Err(SumsError::Ambiguous),
            (.., true) => Err(SumsError::Weak),
            _ => Ok(self.digests),
        }
    }
}

/// What digests without a tag are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Untagged {
    Sha2,
    Blake3,
    /// A family that we do not check, with digests of the same lengths.
    Other,
}

impl Untagged {
    fn by_name(list: &str) -> Self {
        let name = list.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["b3sum", "blake3", ".b3"]) {
            Self::Blake3
        } else if has(&["blake2", "b2sum", ".b2", "sha3", "sha512-256", "sha512_256", "sm3", "ripemd"]) {
            Self::Other
        } else {
            Self::Sha2
        }
    }

    fn digest(self, hex: &str) -> Option<Digest> {
        let algorithm = match (self, hex.len()) {
            (Self::Sha2, 64) => Algorithm::Sha256,
            (Self::Sha2, 128) => Algorithm::Sha512,
            (Self::Blake3, 64) => Algorithm::Blake3,
            _ => return None,
        };
        Digest::new(algorithm, hex).ok()
    }
}

/// One line.
struct Entry {
    /// None: the line is only a digest, or of standard input.
    name: Option<Vec<u8>>,
    /// None: of a function that we do not use.
    digest: Option<Digest>,
}

fn entry(line: &[u8], untagged: Untagged) -> Option<Entry> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let name = |name: &[u8]| if escaped { unescape(name) } else { Some(name.to_vec()) };
    if let Some((tag, listed, hex)) = tagged(line) {
        let digest = Algorithm::named(tag).map(|algorithm| Digest::new(algorithm, hex));
        // A right tag with wrong digits is damage, not another function.
        return Some(Entry { name: Some(name(listed)?), digest: digest.transpose().ok()? });
    }
    let end = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
    let (hex, rest) = line.split_at(end);
    // MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512 and those of the same lengths.
    if !matches!(hex.len(), 32 | 40 | 56 | 64 | 96 | 128) {
        return None;
    }
    let digest = untagged.digest(std::str::from_utf8(hex).ok()?);
    if rest.iter().all(u8::is_ascii_whitespace) {
        return Some(Entry { name: None, digest });
    }
    let listed = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"));
    // Some writers use one blank or a tab.
    let listed = listed.or_else(|| rest.strip_prefix(b"\t")).or_else(|| rest.strip_prefix(b" "))?;
    match listed {
        b"-" => Some(Entry { name: None, digest }),
        listed => Some(Entry { name: Some(name(listed)?), digest }),
    }
}

/// `TAG (NAME) = HEX`.
fn tagged(line: &[u8]) -> Option<(&str, &[u8], &str)> {
    let open = line.iter().position(|&b| b == b'(')?;
    let close = line.iter().rposition(|&b| b == b')')?;
    let tag = std::str::from_utf8(line.get(..open)?.strip_suffix(b" ")?).ok()?;
    let name = line.get(open + 1..close)?;
    let hex = std::str::from_utf8(line.get(close + 1..)?.strip_prefix(b" = ")?).ok()?.trim_end();
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let digits = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    (plain(tag) && digits && !name.is_empty()).then_some((tag, name, hex))
}

/// `\\`, `\n` and `\r` in a name.
fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            _ => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(list: &str, list_name: &str, wanted: &str) -> Result<String, SumsError> {
        find(list.as_bytes(), list_name, wanted)
            .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn forms_of_lines() {
        let (a, b, c) = ("a".repeat(64), "b".repeat(128), "c".repeat(64));
        let md5 = "d".repeat(32);
        let sha256 = format!("sha-256:{a}");
        let sha512 = format!("sha-512:{b}");
        for (list, list_name, wanted, expected) in [
            (format!("{a}  f\n{c}  g\n"), "SHA256SUMS", "f", &sha256),
            (format!("{a} *f\r\n{c} *g\r\n"), "SHA256SUMS", "f", &sha256),
            (format!("{} f", a.to_uppercase()), "x.sha256", "f", &sha256),
            (format!("{b}  ./d/f"), "SHA512SUMS", "d/f", &sha512),
            (format!("{b}  d/f"), "SHA512SUMS", "f", &sha512),
            (format!("{a}  f"), "B3SUMS", "f", &format!("blake3:{a}")),
            (format!("SHA256 (f) = {a}\nMD5 (f) = {md5}\n"), "CHECKSUMS", "f", &sha256),
            (format!("BLAKE3 (f (1)) = {a}"), "x", "f (1)", &format!("blake3:{a}")),
            (a.clone(), "f.sha256", "anything", &sha256),
            (format!("{a}  -\n"), "f.sha256", "anything", &sha256),
            (format!("\\{a}  a\\\\b\\nc"), "s", "a\\b\nc", &sha256),
            (format!("# c\n\n{a}  d/f\n{c}  e/g\n"), "s", "f", &sha256),
            (format!("\u{feff}{a}  f"), "s", "f", &sha256),
            // The exact name goes before another folder's.
            (format!("{c}  d/f\n{a}  f\n"), "s", "f", &sha256),
            (
                format!(
                    "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{a}  f\n-----BEGIN PGP SIGNATURE-----\n!!\n"
                ),
                "s",
                "f",
                &sha256,
            ),
            (format!("SHA256 (f) = {a}\nSHA512 (f) = {b}"), "s", "f", &format!("{sha256} {sha512}")),
        ] {
            assert_eq!(one(&list, list_name, wanted).as_ref(), Ok(expected), "{list:?}");
        }
    }

    #[test]
    fn refusals() {
        let (a, c, md5) = ("a".repeat(64), "c".repeat(64), "d".repeat(32));
        for (list, list_name, wanted, error) in [
            ("<html>".to_owned(), "s", "f", SumsError::Line(1)),
            (format!("{a}  f\nnonsense"), "s", "f", SumsError::Line(2)),
            (format!("{a}  g"), "s", "f", SumsError::NotListed),
            (String::new(), "s", "f", SumsError::NotListed),
            (format!("{a}\n{c}\n"), "s", "f", SumsError::NotListed),
            (format!("{md5}  f"), "MD5SUMS", "f", SumsError::Weak),
            (md5.clone(), "f.md5", "f", SumsError::Weak),
            (format!("{a}  f"), "f.sha3-256", "f", SumsError::Weak),
            (format!("{a}  d/f\n{c}  e/f"), "s", "f", SumsError::Ambiguous),
            (format!("SHA256 (f) = {}", &a[1..]), "s", "f", SumsError::Line(1)),
            (format!("{}  f", &a[1..]), "s", "f", SumsError::Line(1)),
            (format!("{a}  {}", "x".repeat(LINE_MAX)), "s", "f", SumsError::Line(1)),
            ("#".repeat(LIST_BYTES_MAX + 1), "s", "f", SumsError::TooLarge),
        ] {
            let shown: String = list.chars().take(60).collect();
            assert_eq!(one(&list, list_name, wanted), Err(error), "{shown}");
        }
    }
}
