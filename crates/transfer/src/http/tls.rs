//! TLS: system roots and the job's own, and what its errors are called.

use crate::failure::{Outcome, with};
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::{ErrorContext, HResult};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, Error};
use rustls_platform_verifier::Verifier;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Roots are read again after this time, so that an updated system store takes effect.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Different configurations that are remembered.
const MAX_CONFIGS: usize = 16;

type Key = (Option<String>, bool);

/// TLS configurations by (extra roots, HTTP/2 offered); reading the roots costs milliseconds.
#[derive(Debug, Default)]
pub(crate) struct TlsCache(RefCell<HashMap<Key, (Instant, Arc<ClientConfig>)>>);

impl TlsCache {
    pub(super) fn get(&self, extra_ca: Option<&str>, http2: bool) -> Outcome<Arc<ClientConfig>> {
        let key = (extra_ca.map(str::to_owned), http2);
        if let Some((since, config)) = self.0.borrow().get(&key)
            && since.elapsed() < MAX_AGE
        {
            return Ok(config.clone());
        }
        let config = Arc::new(make(extra_ca, http2)?);
        let mut configs = self.0.borrow_mut();
        if configs.len() >= MAX_CONFIGS {
            configs.clear();
        }
        configs.insert(key, (Instant::now(), config.clone()));
        Ok(config)
    }
}

fn make(extra_ca: Option<&str>, http2: bool) -> Outcome<ClientConfig> {
    let broken = |detail: String| {
        with(ErrorContext::GeneralTransport, ERROR_WINHTTP_SECURE_FAILURE, Class::Fatal, detail)
    };
    let mut roots = Vec::new();
    if let Some(path) = extra_ca {
        let list =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(
                |error| broken(format!("The file of extra certificate authorities cannot be read: {error}.")),
            )?;
        if list.is_empty() {
            return Err(broken("The file of extra certificate authorities holds no certificate.".to_owned()));
        }
        roots = list;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, provider.clone())
        .map_err(|error| broken(format!("The certificate authorities cannot be loaded: {error}.")))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(error.to_string()))?
        // "dangerous" is every verifier that is not webpki's own roots; this one is the platform's.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(config)
}

/// The code for a TLS error inside an I/O error, if there is one.
pub(super) fn code(error: &std::io::Error) -> Option<HResult> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => ERROR_WINHTTP_SECURE_CERT_DATE_INVALID,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ERROR_WINHTTP_SECURE_CERT_CN_INVALID
            }
            CertificateError::UnknownIssuer => ERROR_WINHTTP_SECURE_INVALID_CA,
            CertificateError::Revoked => ERROR_WINHTTP_SECURE_CERT_REVOKED,
            CertificateError::UnknownRevocationStatus | CertificateError::ExpiredRevocationList => {
                ERROR_WINHTTP_SECURE_CERT_REV_FAILED
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                ERROR_WINHTTP_SECURE_CERT_WRONG_USAGE
            }
            // The platform verifier hides this one in a private type.
            CertificateError::Other(other) if format!("{other:?}").contains("EkuError") => {
                ERROR_WINHTTP_SECURE_CERT_WRONG_USAGE
            }
            _ => ERROR_WINHTTP_SECURE_FAILURE,
        },
        Error::AlertReceived(rustls::AlertDescription::CertificateRequired) => {
            ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED
        }
        Error::NoCertificatesPresented | Error::UnsupportedNameType => ERROR_WINHTTP_SECURE_FAILURE,
        _ => ERROR_WINHTTP_SECURE_CHANNEL_ERROR,
    })
}
