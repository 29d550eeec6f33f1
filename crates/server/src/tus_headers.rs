//! Header values of tus 1.0 (spec/resumable-uploads-elsewhere.md 2.1).

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use openbits_core::upload::SessionId;
use openbits_core::upload::grammar::decimal_value;

/// The version spoken.
pub(crate) const VERSION: &str = "1.0.0";
/// Extensions offered.
pub(crate) const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination";
/// Offered besides where the storage can do it.
pub(crate) const CONCATENATION: &str = ",concatenation";
/// Digests understood in `Upload-Checksum`.
pub(crate) const ALGORITHMS: &str = "sha1,sha256,sha512";
/// Media type of bodies.
pub(crate) const MEDIA_TYPE: &str = "application/offset+octet-stream";
/// Most parts of one concatenation.
const MAX_PARTS: usize = 256;

/// The header is there but is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadValue;

/// A numeric header.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, BadValue> {
    match headers.get(name) {
        None => Ok(None),
        Some(value) => decimal_value(value.as_bytes()).map(Some).ok_or(BadValue),
    }
}

/// The value of a key in `Upload-Metadata`; the whole header must be well formed.
pub(crate) fn metadata(value: &str, key: &str) -> Result<Option<String>, BadValue> {
    let mut keys = Vec::new();
    let mut found = None;
    for pair in value.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        if keys.contains(&name) || !name.is_ascii() {
            return Err(BadValue);
        }
        keys.push(name);
        let decoded = STANDARD.decode(encoded.trim()).map_err(|_| BadValue)?;
        if name == key {
            found = Some(String::from_utf8(decoded).map_err(|_| BadValue)?);
        }
    }
    Ok(found)
}

/// `Upload-Checksum`: algorithm and expected digest.
pub(crate) fn checksum(value: &str) -> Result<(&'static Algorithm, Vec<u8>), BadValue> {
    let (name, encoded) = value.trim().split_once(' ').ok_or(BadValue)?;
    let algorithm = match name {
        "sha1" => &SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &SHA256,
        "sha512" => &SHA512,
        _ => return Err(BadValue),
    };
    Ok((algorithm, STANDARD.decode(encoded.trim()).map_err(|_| BadValue)?))
}

/// `Upload-Concat` of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Concat {
    Partial,
    Final(Vec<SessionId>),
}

/// Reads `partial` or `final;url url …`; of each URL only the upload's name at its end counts.
pub(crate) fn concat(value: &str) -> Result<Concat, BadValue> {
    if value == "partial" {
        return Ok(Concat::Partial);
    }
    let list = value.strip_prefix("final;").ok_or(BadValue)?;
    let parts: Result<Vec<SessionId>, BadValue> = list
        .split_ascii_whitespace()
        .take(MAX_PARTS + 1)
        .map(|url| SessionId::from_guid(url.rsplit('/').next().unwrap_or_default()).map_err(|_| BadValue))
        .collect();
    match parts? {
        parts if parts.is_empty() || parts.len() > MAX_PARTS => Err(BadValue),
        parts => Ok(Concat::Final(parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn metadata_is_read() {
        let value = "filename d29ybGQucGRm,is_confidential,empty ";
        assert_eq!(metadata(value, "filename"), Ok(Some("world.pdf".to_owned())));
        assert_eq!(metadata(value, "is_confidential"), Ok(Some(String::new())));
        assert_eq!(metadata(value, "other"), Ok(None));
        assert_eq!(metadata("a YQ==,a YQ==", "a"), Err(BadValue));
        assert_eq!(metadata("a !!", "b"), Err(BadValue));
    }

    #[test]
    fn checksums_and_concatenations_are_read() {
        assert_eq!(checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").unwrap().1.len(), 20);
        assert!(checksum("md4 AAAA").is_err() && checksum("sha1").is_err() && checksum("sha1 !").is_err());
        assert_eq!(concat("partial"), Ok(Concat::Partial));
        let guid = "3b0c7a52-91d4-4e6f-8a17-5c20d9e4b6f1";
        let both = format!("final;/in/.bits-uploads/{guid} http://h/x/{guid}");
        assert!(matches!(concat(&both), Ok(Concat::Final(parts)) if parts.len() == 2));
        for bad in ["", "final;", "final;/x/../y", "whole"] {
            assert_eq!(concat(bad), Err(BadValue), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,60}") {
            let _ = (metadata(&text, "a"), checksum(&text).is_ok(), concat(&text), concat(&format!("final;{text}")));
        }
    }
}
