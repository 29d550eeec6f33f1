//! TLS of the listeners.

use crate::settings::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is no PEM.
    #[error("{0}: {1}")]
    File(String, String),
    /// Certificate and key do not fit.
    #[error("TLS: {0}")]
    Config(String),
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |e: rustls::pki_types::pem::Error| TlsError::File(path.display().to_string(), e.to_string());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(fail)?.collect();
    found.map_err(fail)
}

/// The configuration: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1; client certificates are asked for when an authority for
/// them is set, and callers without one stay anonymous.
pub(crate) fn config(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |e: &dyn std::fmt::Display| TlsError::Config(e.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|e| TlsError::File(tls.key.display().to_string(), e.to_string()))?;
    let chain = certificates(&tls.certificate)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| wrong(&e))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| wrong(&e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder
                .with_client_cert_verifier(verifier.allow_unauthenticated().build().map_err(|e| wrong(&e))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| wrong(&e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
