//! Files with credentials.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Hash of a random password, compared when the name is unknown.
pub(super) const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuIOcQ1Az4yyzPSVRYGAuQ6bZzFTCQ3Hq";

/// Why a file of credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] std::io::Error),
    #[error("{0}, line {1}: {2}")]
    Line(PathBuf, usize, &'static str),
}

fn lines(path: &Path) -> Result<Vec<(usize, String, String)>, CredentialError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| CredentialError::Read(path.to_owned(), error))?;
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(':') {
            Some((name, secret)) if !name.is_empty() => {
                out.push((index + 1, name.to_owned(), secret.to_owned()));
            }
            _ => return Err(CredentialError::Line(path.to_owned(), index + 1, "expected name:secret")),
        }
    }
    Ok(out)
}

/// Lines `name:hash` as `htpasswd -B` writes them.
pub(super) fn passwords(path: &Path) -> Result<HashMap<String, String>, CredentialError> {
    let mut all = HashMap::new();
    for (number, name, hash) in lines(path)? {
        if !hash.starts_with("$2") || hash.parse::<bcrypt::HashParts>().is_err() {
            let reason = "only bcrypt hashes are accepted (htpasswd -B)";
            return Err(CredentialError::Line(path.to_owned(), number, reason));
        }
        all.insert(name, hash);
    }
    Ok(all)
}

/// Lines `name:SHA-256 of the token in hexadecimal`.
pub(super) fn tokens(path: &Path) -> Result<Vec<(String, [u8; 32])>, CredentialError> {
    let mut all = Vec::new();
    for (number, name, hex) in lines(path)? {
        let bytes: Option<Vec<u8>> = (0..hex.len())
            .step_by(2)
            .map(|at| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()))
            .collect();
        let hash = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let reason = "expected the SHA-256 of the token, 64 hexadecimal digits";
        all.push((name, hash.ok_or_else(|| CredentialError::Line(path.to_owned(), number, reason))?));
    }
    Ok(all)
}
