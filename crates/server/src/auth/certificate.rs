//! The name in a client certificate.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use std::fmt::Write;

/// First DNS name of the certificate, else first URI, else `sha256:` and its fingerprint. The certificate was
/// verified during the handshake.
pub(crate) fn name_of(certificate: &CertificateDer<'_>) -> String {
    let named = webpki::EndEntityCert::try_from(certificate).ok().and_then(|cert| {
        let dns = cert.valid_dns_names().next().map(str::to_owned);
        dns.or_else(|| cert.valid_uri_names().next().map(str::to_owned))
    });
    named.unwrap_or_else(|| {
        let mut text = "sha256:".to_owned();
        for byte in digest(&SHA256, certificate).as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
        text
    })
}
