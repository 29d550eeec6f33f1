//! A digest of a whole file, and its spellings.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Hash functions that count as proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// BLAKE3 with 32 bytes of output.
    Blake3,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha512, Self::Blake3];

    /// Name as it is stored and shown; the first two are also those of the IANA registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
            Self::Blake3 => "blake3",
        }
    }

    /// Bytes of the digest.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => 64,
        }
    }

    /// By its name in any case, with or without the hyphen.
    pub fn named(name: &str) -> Option<Self> {
        let same = |known: &str| {
            name.eq_ignore_ascii_case(known) || name.eq_ignore_ascii_case(&known.replace('-', ""))
        };
        Self::ALL.into_iter().find(|algorithm| same(algorithm.name()))
    }
}

/// The expected digest of a whole file.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// A text is no digest that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDigest {
    /// No `NAME:HEX`.
    #[error("a digest is written ALGORITHM:HEX")]
    Form,
    /// Another function.
    #[error("the hash function is none of sha-256, sha-512 and blake3")]
    Algorithm,
    /// Digits.
    #[error("the digest has the wrong number of hexadecimal digits")]
    Digits,
}

impl Digest {
    /// From hexadecimal digits in any case.
    ///
    /// # Errors
    /// [`BadDigest::Digits`].
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Self, BadDigest> {
        let right = hex.len() == algorithm.bytes() * 2 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if !right {
            return Err(BadDigest::Digits);
        }
        Ok(Self { algorithm, hex: hex.to_ascii_lowercase().into() })
    }

    /// From its bytes.
    ///
    /// # Errors
    /// [`BadDigest::Digits`].
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, BadDigest> {
        Self::new(algorithm, &hex(bytes))
    }

    /// The hash function.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Lower-case hexadecimal value.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The value itself.
    pub fn to_bytes(&self) -> Vec<u8> {
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let digits: Vec<u8> = self.hex.bytes().map(|digit| value(digit).unwrap_or_default()).collect();
        digits.chunks_exact(2).map(|two| (two[0] << 4) | two[1]).collect()
    }
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let (name, hex) = text.split_once([':', '=']).ok_or(BadDigest::Form)?;
        Self::new(Algorithm::named(name).ok_or(BadDigest::Algorithm)?, hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let a = "aB".repeat(32);
        let lower = format!("sha-256:{}", "ab".repeat(32));
        for text in [format!("sha-256:{a}"), format!("SHA256:{a}"), format!("Sha-256={a}")] {
            assert_eq!(text.parse::<Digest>().unwrap().to_string(), lower);
        }
        for (text, error) in [
            ("", BadDigest::Form),
            ("sha-256", BadDigest::Form),
            (&*format!("md5:{}", "a".repeat(32)), BadDigest::Algorithm),
            (&*format!("sha-512:{a}"), BadDigest::Digits),
            (&*format!("sha-256: {a}"), BadDigest::Digits),
            (&*format!("blake3:{}g", &a[..63]), BadDigest::Digits),
            (&*format!("sha-256:{}", "é".repeat(32)), BadDigest::Digits),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
        let json = serde_json::to_string(&lower.parse::<Digest>().unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap().to_string(), lower);
        assert_eq!(Digest::from_bytes(Algorithm::Sha512, &[0x0f; 64]).unwrap().hex(), "0f".repeat(64));
        let bytes: Vec<u8> = (0..=255).step_by(8).collect();
        assert_eq!(Digest::from_bytes(Algorithm::Blake3, &bytes).unwrap().to_bytes(), bytes);
    }
}
