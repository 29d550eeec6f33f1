//! Client certificates of the owner: files in folders, or one named file, as PEM or PKCS#12 (spec/bits-extended.md 9.5).
//!
//! | Store | Folder |
//! |---|---|
//! | CURRENT_USER, `MY` | `$XDG_CONFIG_HOME/openbits/certificates/my` (`~/.config/…`) |
//! | LOCAL_MACHINE, `MY` | `/etc/openbits/certificates/my` |
//! | `CA`, `ROOT` | `/etc/ssl/certs` |
//! | another name | the folder of that name beside `my` |
//! | an absolute path | that file or folder |
//!
//! `NAME.pem` and `NAME.crt` hold a certificate, perhaps its issuers, and perhaps the key, which may also be in `NAME.key`. `NAME.p12`
//! and `NAME.pfx` hold all; their password is in `NAME.p12.password`, or empty. Everything is read with the owner's rights.

use crate::failure::{Outcome, with};
use crate::protocol::FoundCertificate;
use aws_lc_rs::digest;
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::job::http::{CertificateLocation, CertificateName, CertificateQuery};
use openbits_core::{ErrorContext, HResult};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// Most files of a store that are looked at.
const FILES_MAX: usize = 1_000;

/// A certificate, its issuers, and its key if that can be read.
struct Entry {
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
}

impl Entry {
    fn found(&self) -> Option<FoundCertificate> {
        let der = self.chain.first()?;
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let attributes = parsed.subject().iter().flat_map(x509_parser::x509::RelativeDistinguishedName::iter);
        let values: Vec<&str> = attributes.filter_map(|attribute| attribute.as_str().ok()).collect();
        Some(FoundCertificate {
            sha1: hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()),
            sha256: hex(digest::digest(&digest::SHA256, der).as_ref()),
            subject: values.join(", "),
        })
    }

    /// It may identify a client: that is among its usages, or it names none.
    fn is_for_clients(&self) -> bool {
        let parsed = self.chain.first().and_then(|der| X509Certificate::from_der(der).ok());
        parsed.is_some_and(|(_, parsed)| {
            parsed
                .extended_key_usage()
                .is_ok_and(|usage| usage.is_none_or(|usage| usage.value.any || usage.value.client_auth))
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-1 of the certificate in a serialized context, or of a bare one in DER: what the property SecurityContext of Delivery Optimization
/// brings ([`openbits_core::delivery::certificate`]). It names the certificate in its store as a hash does.
///
/// # Errors
/// `CRYPT_E_FILE_ERROR` for what is no certificate, and above 64 KiB.
pub fn thumbprint(context: &[u8]) -> Result<[u8; 20], HResult> {
    let der = openbits_core::delivery::certificate::der(context)?;
    match X509Certificate::from_der(der) {
        Ok(([], _)) => {
            let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
            Ok(digest.as_ref().try_into().expect("20 bytes are a SHA-1"))
        }
        _ => Err(CRYPT_E_FILE_ERROR),
    }
}

/// Looks for a certificate.
///
/// # Errors
/// 0x80070002 no such store, 0x80070005 it may not be read, 0x80092004 no such certificate in it.
pub(crate) fn find(query: &CertificateQuery) -> Result<FoundCertificate, HResult> {
    search(query).map(|(found, _)| found)
}

/// The certificate of a job, ready for use.
pub(crate) fn load(query: &CertificateQuery, provider: &CryptoProvider) -> Outcome<Arc<CertifiedKey>> {
    let failed = |code, detail: &str| with(ErrorContext::GeneralTransport, code, Class::Fatal, detail);
    let no_key = || {
        failed(
            ERROR_WINHTTP_CLIENT_CERT_NO_ACCESS_PRIVATE_KEY,
            "The private key of the job's client certificate is missing, or is not readable for its owner.",
        )
    };
    let (_, entry) = search(query)
        .map_err(|code| failed(code, "The job's client certificate is not in its store any more."))?;
    let key = provider.key_provider.load_private_key(entry.key.ok_or_else(no_key)?).map_err(|_| no_key())?;
    let certified = CertifiedKey::new(entry.chain, key);
    if matches!(
        certified.keys_match(),
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch))
    ) {
        return Err(no_key());
    }
    Ok(Arc::new(certified))
}

fn search(query: &CertificateQuery) -> Result<(FoundCertificate, Entry), HResult> {
    let place = place(query)?;
    let metadata = std::fs::metadata(&place).map_err(|error| code(&error))?;
    let files = if metadata.is_dir() {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&place)
            .map_err(|error| code(&error))?
            .take(FILES_MAX)
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        files.sort();
        files
    } else {
        vec![place]
    };
    for file in files {
        for entry in read(&file) {
            let Some(found) = entry.found() else { continue };
            let fits = match &query.name {
                CertificateName::Hash(hash) => *hash == found.sha1 || *hash == found.sha256,
                CertificateName::Subject(part) => {
                    found.subject.to_lowercase().contains(&part.to_lowercase()) && entry.is_for_clients()
                }
            };
            if fits {
                return Ok((found, entry));
            }
        }
    }
    Err(CRYPT_E_NOT_FOUND)
}

fn code(error: &io::Error) -> HResult {
    match error.kind() {
        io::ErrorKind::PermissionDenied => E_ACCESSDENIED,
        _ => ERROR_FILE_NOT_FOUND,
    }
}

fn place(query: &CertificateQuery) -> Result<PathBuf, HResult> {
    let store = &*query.store;
    if store.starts_with('/') {
        return Ok(PathBuf::from(store));
    }
    let lower = store.to_ascii_lowercase();
    let name = match &*lower {
        "ca" | "root" => return Ok(PathBuf::from("/etc/ssl/certs")),
        "my" | "spc" => &lower,
        _ => store,
    };
    let base = match query.location {
        CertificateLocation::LocalMachine => PathBuf::from("/etc"),
        CertificateLocation::CurrentUser => {
            let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
            absolute("XDG_CONFIG_HOME")
                .or_else(|| Some(absolute("HOME")?.join(".config")))
                .ok_or(ERROR_FILE_NOT_FOUND)?
        }
    };
    Ok(base.join("openbits/certificates").join(name))
}

/// The certificates of one file that may be a client's: the first of a PEM file, or each that has a key in a PKCS#12 file.
fn read(file: &Path) -> Vec<Entry> {
    let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match &*extension {
        "p12" | "pfx" => pkcs12(file),
        "key" | "password" => Vec::new(),
        _ => pem(file).into_iter().collect(),
    }
}

fn bytes(file: &Path) -> Option<Vec<u8>> {
    let metadata = std::fs::metadata(file).ok()?;
    (metadata.is_file() && metadata.len() <= FILE_MAX).then(|| std::fs::read(file).ok()).flatten()
}

fn pem(file: &Path) -> Option<Entry> {
    let text = bytes(file)?;
    let mut chain: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
    if chain.is_empty() {
        // The plain form, as `.cer` and `.crt` often are.
        X509Certificate::from_der(&text).ok()?;
        chain = vec![CertificateDer::from(text.clone())];
    }
    let beside = || PrivateKeyDer::from_pem_slice(&bytes(&file.with_extension("key"))?).ok();
    let key = PrivateKeyDer::from_pem_slice(&text).ok().or_else(beside);
    Some(Entry { chain, key })
}

fn pkcs12(file: &Path) -> Vec<Entry> {
    let Some(data) = bytes(file) else { return Vec::new() };
    let mut beside = file.as_os_str().to_owned();
    beside.push(".password");
    let password =
        bytes(Path::new(&beside)).and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    let password = password.trim_end_matches(['\r', '\n']);
    let policy = p12_keystore::Pkcs12ImportPolicy::Relaxed;
    let Ok(store) = p12_keystore::KeyStore::from_pkcs12(&data, password, policy) else { return Vec::new() };
    let chains = store.entries().filter_map(|(_, entry)| match entry {
        p12_keystore::KeyStoreEntry::PrivateKeyChain(chain) => Some(chain),
        _ => None,
    });
    chains
        .map(|chain| Entry {
            chain: chain.certs().iter().map(|cert| CertificateDer::from(cert.as_der().to_vec())).collect(),
            key: Some(PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()).into()),
        })
        .collect()
}

#[cfg(test)]
mod tests;
