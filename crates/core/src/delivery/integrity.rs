//! `IntegrityCheckInfo` and `IntegrityCheckMandatory` (spec/delivery-optimization-com.md 4.4): where the piece hash file of a download is.
//!
//! Known of the text: it is JSON, and four keys. Known of the file that it names: it exists, has a digest, and holds SHA-256 digests of
//! pieces, usually of 1 MB (section 9). Its form is not known, so it is not read; a file in our own form is ([`crate::integrity::bpm1`]).
//! docs/decisions/0026.

use super::codes::{DO_E_INTEGRITYCHECKINFO_UNAVAILABLE, DO_E_INTEGRITYCHECKINFO_UNSPECIFIED};
use crate::hresult::{E_INVALIDARG, HResult};
use crate::integrity::{Algorithm, Digest, PieceFile};
use crate::names::{RemoteScheme, check_remote_name};
use crate::secret::split_login;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

/// Longest text, in bytes.
pub const INFO_MAX: usize = 16 << 10;
/// Longest digest, in bytes.
const DIGEST_MAX: usize = 64;
/// Longest name of a hash function, in bytes.
const NAME_MAX: usize = 64;

/// What a program says of its piece hash file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntegrityInfo {
    /// `PiecesHashFileUrl`: http or https, without user and password.
    pub url: Option<Box<str>>,
    /// `PiecesHashFileDigest`, of the function `PiecesHashFileDigestAlgorithm`.
    pub digest: InfoDigest,
    /// `HashOfHashes`: 1 to 64 bytes. Over what exactly is not known.
    pub hash_of_hashes: Option<Box<[u8]>>,
}

/// Digest of the piece hash file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InfoDigest {
    /// None was given.
    #[default]
    Absent,
    /// One that can be checked.
    Known(Digest),
    /// One of a function that is not known, or that proves nothing (SHA-1, MD5).
    Unknown,
}

/// The keys; others are read past, and so is null.
#[derive(Deserialize)]
struct Keys {
    #[serde(default, rename = "PiecesHashFileUrl")]
    url: Option<String>,
    #[serde(default, rename = "PiecesHashFileDigest")]
    digest: Option<String>,
    #[serde(default, rename = "PiecesHashFileDigestAlgorithm")]
    algorithm: Option<String>,
    #[serde(default, rename = "HashOfHashes")]
    hash_of_hashes: Option<String>,
}

impl IntegrityInfo {
    /// Reads the text of the property.
    ///
    /// # Errors
    /// `E_INVALIDARG`: it is no JSON object, longer than [`INFO_MAX`], has one of our keys twice or not as a text, an address that is none
    /// of http or https (or has a user in it), or a digest that is no base64 or of another length than its function's.
    pub fn parse(text: &str) -> Result<Self, HResult> {
        // Without the second look serde would take a list for the keys in their order.
        if text.len() > INFO_MAX || !text.trim_start().starts_with('{') {
            return Err(E_INVALIDARG);
        }
        let keys: Keys = serde_json::from_str(text).map_err(|_| E_INVALIDARG)?;
        let url = keys.url.map(|url| web(&url).map(|()| url.into())).transpose()?;
        let digest = keys.digest.as_deref().map(bytes).transpose()?;
        if keys.algorithm.as_ref().is_some_and(|name| name.len() > NAME_MAX) {
            return Err(E_INVALIDARG);
        }
        let digest =
            digest.map_or(Ok(InfoDigest::Absent), |bytes| known(keys.algorithm.as_deref(), &bytes))?;
        let hash_of_hashes = keys.hash_of_hashes.as_deref().map(bytes).transpose()?.map(Into::into);
        Ok(Self { url, digest, hash_of_hashes })
    }

    /// The piece hash file as the worker fetches it; `None` without an address, or with a digest that cannot be checked.
    pub fn piece_file(&self, mandatory: bool) -> Option<PieceFile> {
        let digest = match &self.digest {
            InfoDigest::Absent => None,
            InfoDigest::Known(digest) => Some(digest.clone()),
            InfoDigest::Unknown => return None,
        };
        // The root of our own manifest has 32 bytes.
        let root = self.hash_of_hashes.as_deref();
        let root = root.and_then(|bytes| Digest::from_bytes(Algorithm::Sha256, bytes).ok());
        Some(PieceFile { location: self.url.clone()?, digest, root, mandatory })
    }
}

/// What a download is started with, by its two properties; `None`: without pieces.
///
/// # Errors
/// For `mandatory` only: 0x80D02016 without a text or an address in it, 0x80D02017 with a digest that cannot be checked.
pub fn at_start(info: Option<&IntegrityInfo>, mandatory: bool) -> Result<Option<PieceFile>, HResult> {
    let file = info.and_then(|info| info.piece_file(mandatory));
    if !mandatory || file.is_some() {
        return Ok(file);
    }
    match info.is_some_and(|info| info.url.is_some()) {
        true => Err(DO_E_INTEGRITYCHECKINFO_UNAVAILABLE),
        false => Err(DO_E_INTEGRITYCHECKINFO_UNSPECIFIED),
    }
}

fn web(url: &str) -> Result<(), HResult> {
    let scheme = check_remote_name(url).map_err(|_| E_INVALIDARG)?;
    let usable = matches!(scheme, RemoteScheme::Http | RemoteScheme::Https) && split_login(url).1.is_none();
    if usable { Ok(()) } else { Err(E_INVALIDARG) }
}

/// Of base64, with or without its padding.
fn bytes(text: &str) -> Result<Vec<u8>, HResult> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&STANDARD, config).decode(text).map_err(|_| E_INVALIDARG)?;
    if (1..=DIGEST_MAX).contains(&bytes.len()) { Ok(bytes) } else { Err(E_INVALIDARG) }
}

/// Without a name the length decides: a digest that is not of that function can only fail, never hold by mistake.
fn known(name: Option<&str>, bytes: &[u8]) -> Result<InfoDigest, HResult> {
    let algorithm = match name {
        Some(name) => Algorithm::named(name.trim()),
        None => match bytes.len() {
            32 => Some(Algorithm::Sha256),
            64 => Some(Algorithm::Sha512),
            _ => None,
        },
    };
    let Some(algorithm) = algorithm else { return Ok(InfoDigest::Unknown) };
    Digest::from_bytes(algorithm, bytes).map(InfoDigest::Known).map_err(|_| E_INVALIDARG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// 32 and 64 bytes.
    const SHORT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const LONG: &str =
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    const URL: &str = "http://h/pieces?x=1";

    fn parse(value: &Value) -> Result<IntegrityInfo, HResult> {
        IntegrityInfo::parse(&value.to_string())
    }

    fn hex(from: u8, to: u8) -> String {
        (from..to).map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_keys_are_those_of_the_constants() {
        let constants: Value =
            serde_json::from_str(include_str!("../../../../spec/constants/deliveryoptimization.json"))
                .unwrap();
        let keys: Vec<String> = constants["constants"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["name"].as_str().is_some_and(|name| name.starts_with("IntegrityCheckInfo_")))
            .map(|row| row["text"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(keys.len(), 4);
        let all = json!({ &keys[0]: URL, &keys[1]: SHORT, &keys[2]: "SHA256", &keys[3]: SHORT });
        let info = parse(&all).unwrap();
        assert_eq!(info.url.as_deref(), Some(URL));
        let bytes: Vec<u8> = (0..32).collect();
        assert_eq!(info.hash_of_hashes.as_deref(), Some(&bytes[..]));
        let file = info.piece_file(true).unwrap();
        let digest = Digest::new(Algorithm::Sha256, &hex(0, 32)).unwrap();
        assert_eq!(
            file,
            PieceFile {
                location: URL.into(),
                digest: Some(digest.clone()),
                root: Some(digest),
                mandatory: true
            }
        );
    }

    #[test]
    fn names_of_functions() {
        let of = |name: Value, digest: &str| {
            let given = json!({ "PiecesHashFileDigest": digest, "PiecesHashFileDigestAlgorithm": name });
            parse(&given).map(|info| info.digest)
        };
        let known = |algorithm, to| Ok(InfoDigest::Known(Digest::new(algorithm, &hex(0, to)).unwrap()));
        for name in ["SHA256", "sha-256", "Sha256", " SHA-256 "] {
            assert_eq!(of(json!(name), SHORT), known(Algorithm::Sha256, 32), "{name}");
            assert_eq!(of(json!(name), LONG), Err(E_INVALIDARG), "{name}");
        }
        for name in ["SHA512", "SHA-512"] {
            assert_eq!(of(json!(name), LONG), known(Algorithm::Sha512, 64));
        }
        assert_eq!(of(json!("BLAKE3"), SHORT), known(Algorithm::Blake3, 32));
        // By the length, where nothing is said.
        assert_eq!(of(Value::Null, SHORT), known(Algorithm::Sha256, 32));
        assert_eq!(of(Value::Null, LONG), known(Algorithm::Sha512, 64));
        assert_eq!(of(Value::Null, "AAAA"), Ok(InfoDigest::Unknown));
        for name in ["", "SHA1", "MD5", "SHA384", "SHA3-256", "sha--256", "x"] {
            assert_eq!(of(json!(name), SHORT), Ok(InfoDigest::Unknown), "{name}");
        }
        assert_eq!(of(json!("x".repeat(NAME_MAX + 1)), SHORT), Err(E_INVALIDARG));
        // The padding may be missing.
        assert_eq!(of(json!("SHA256"), SHORT.trim_end_matches('=')), known(Algorithm::Sha256, 32));
    }

    #[test]
    fn what_is_read_past_and_what_is_refused() {
        let empty = IntegrityInfo::default();
        for good in ["{}", " \n{ } ", r#"{"x":[1,{"HashOfHashes":1}],"pieceshashfileurl":5}"#] {
            assert_eq!(IntegrityInfo::parse(good), Ok(empty.clone()), "{good}");
        }
        // What is read past is not kept, so its depth is no danger.
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(7_000), "]".repeat(7_000));
        assert_eq!(IntegrityInfo::parse(&deep), Ok(empty.clone()));
        let nulls = json!({ "PiecesHashFileUrl": null, "PiecesHashFileDigest": null, "HashOfHashes": null });
        assert_eq!(parse(&nulls), Ok(empty));
        let url = |url: &str| json!({ "PiecesHashFileUrl": url }).to_string();
        let hash = |hash: &str| json!({ "HashOfHashes": hash }).to_string();
        let refused = [
            String::new(),
            "not json".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            format!("[{URL:?}]"),
            "\"{}\"".to_owned(),
            "{".to_owned(),
            "{}x".to_owned(),
            "{\"a\":1,}".to_owned(),
            format!("{{\"HashOfHashes\":\"{SHORT}\",\"HashOfHashes\":\"{SHORT}\"}}"),
            r#"{"PiecesHashFileUrl":5}"#.to_owned(),
            r#"{"PiecesHashFileDigest":[]}"#.to_owned(),
            r#"{"PiecesHashFileDigestAlgorithm":{}}"#.to_owned(),
            url(""),
            url("pieces"),
            url("/etc/passwd"),
            url("file:///etc/passwd"),
            url("smb://h/s/f"),
            url("http://user:password@h/f"),
            url(&format!("http://h/{}", "x".repeat(3_000))),
            hash(""),
            hash("AA=A"),
            hash("=AAA"),
            hash("A"),
            hash("AAB"),
            hash("-_-_"),
            hash("A A="),
            hash(&"A".repeat(88)),
            format!("{{}}{}", " ".repeat(INFO_MAX)),
        ];
        for text in refused {
            let shown: String = text.chars().take(80).collect();
            assert_eq!(IntegrityInfo::parse(&text), Err(E_INVALIDARG), "{shown}");
        }
        assert!(IntegrityInfo::parse(&format!("{{}}{}", " ".repeat(INFO_MAX - 2))).is_ok());
    }

    #[test]
    fn what_a_download_is_started_with() {
        let (unspecified, unavailable) =
            (DO_E_INTEGRITYCHECKINFO_UNSPECIFIED, DO_E_INTEGRITYCHECKINFO_UNAVAILABLE);
        let bare = parse(&json!({ "PiecesHashFileUrl": URL })).unwrap();
        let weak = json!({ "PiecesHashFileUrl": URL, "PiecesHashFileDigest": SHORT, "PiecesHashFileDigestAlgorithm": "SHA1" });
        let weak = parse(&weak).unwrap();
        let homeless = parse(&json!({ "PiecesHashFileDigest": SHORT })).unwrap();
        let file = |mandatory| Some(PieceFile { location: URL.into(), digest: None, root: None, mandatory });
        for (info, mandatory, result) in [
            (None, false, Ok(None)),
            (None, true, Err(unspecified)),
            (Some(&homeless), false, Ok(None)),
            (Some(&homeless), true, Err(unspecified)),
            (Some(&weak), false, Ok(None)),
            (Some(&weak), true, Err(unavailable)),
            (Some(&bare), false, Ok(file(false))),
            (Some(&bare), true, Ok(file(true))),
        ] {
            assert_eq!(at_start(info, mandatory), result, "{info:?} {mandatory}");
        }
        assert_eq!((unspecified.bits(), unavailable.bits()), (0x80D0_2016, 0x80D0_2017));
        // Our root has 32 bytes; anything else is kept, and compared with nothing.
        let other = parse(&json!({ "PiecesHashFileUrl": URL, "HashOfHashes": LONG })).unwrap();
        assert_eq!(other.hash_of_hashes.as_ref().map(|bytes| bytes.len()), Some(64));
        assert_eq!(other.piece_file(false), file(false));
    }
}
