//! `Repr-Digest` (RFC 9530) and its predecessor `Digest` (RFC 3230): what a server says the whole file must be.
//!
//! They protect against damage on the way and in caches, not against the server. Only what covers the whole representation counts:
//! `Content-Digest` covers one message and is not read.

use super::{Algorithm, Digest};

/// Longest value that is looked at, in bytes.
const VALUE_MAX: usize = 4096;

/// Digests of a `Repr-Digest` field: `sha-256=:BASE64:, sha-512=:BASE64:`. Members of other forms and functions are read past.
pub fn repr_digest(value: &str) -> Vec<Digest> {
    members(value, |text| text.trim().strip_prefix(':')?.strip_suffix(':'))
}

/// Digests of a `Digest` field: `SHA-256=BASE64,sha-512=BASE64`.
pub fn digest(value: &str) -> Vec<Digest> {
    members(value, |text| Some(text.trim()))
}

fn members(value: &str, encoded: impl Fn(&str) -> Option<&str>) -> Vec<Digest> {
    if value.len() > VALUE_MAX {
        return Vec::new();
    }
    let mut found: Vec<Digest> = Vec::new();
    for member in value.split(',') {
        let Some((name, text)) = member.split_once('=') else { continue };
        // The names of the registry only: `sha256` is not one of them.
        let name = name.trim();
        let known = Algorithm::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(name));
        let Some(algorithm) = known.filter(|a| *a != Algorithm::Blake3) else { continue };
        let digest = encoded(text).and_then(base64).and_then(|b| Digest::from_bytes(algorithm, &b).ok());
        let Some(digest) = digest else { continue };
        if found.iter().any(|known| known.algorithm() == algorithm) {
            // Twice the same function: the field cannot be trusted.
            return Vec::new();
        }
        found.push(digest);
    }
    found
}

/// Canonical base64 with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
        return None;
    }
    let digits = bytes.iter().rposition(|&b| b != b'=')? + 1;
    if bytes.len() - digits > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(digits * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for &byte in &bytes[..digits] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((held >> bits) & 0xFF).unwrap_or_default());
            held &= (1 << bits) - 1;
        }
    }
    (held == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of nothing.
    const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    const EMPTY_HEX: &str = "sha-256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn fields() {
        let texts = |digests: Vec<Digest>| digests.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(repr_digest(&format!("sha-256=:{EMPTY}:"))), [EMPTY_HEX]);
        assert_eq!(texts(repr_digest(&format!("md5=:AAAA:, sha-256=:{EMPTY}:, x=1"))), [EMPTY_HEX]);
        assert_eq!(texts(digest(&format!("SHA-256={EMPTY}"))), [EMPTY_HEX]);
        for bad in [
            String::new(),
            EMPTY.to_owned(),
            format!("sha-256={EMPTY}"),
            format!("sha-256=:{}:", &EMPTY[..43]),
            format!("sha-256=:{}=:", &EMPTY[..42]),
            format!("sha-256=:{EMPTY}:, sha-256=:{EMPTY}:"),
            format!("sha-512=:{EMPTY}:"),
            format!("sha-256=:{EMPTY}:{}", " ".repeat(VALUE_MAX)),
        ] {
            assert_eq!(repr_digest(&bad), [], "{bad}");
        }
    }
}
