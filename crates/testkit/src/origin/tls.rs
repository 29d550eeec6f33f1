//! HTTPS: a certificate authority made at start, and leaves that are good or wrong.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What is right or wrong with the server's certificate (spec behaviour 18.4). Whether its authority is known is for the
/// client to say: see [`crate::Origin::ca_pem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Certificate {
    /// Valid for localhost, 127.0.0.1 and ::1.
    #[default]
    Good,
    /// Ran out in 2001.
    Expired,
    /// Begins in 2090.
    NotYetValid,
    /// For the host wrong.example only.
    WrongName,
    /// For clients only (extended key usage).
    WrongUsage,
}

/// An acceptor, and the authority's certificate as PEM.
pub(crate) fn acceptor(kind: Certificate, alpn: &[&str]) -> io::Result<(TlsAcceptor, String)> {
    let made = |error: rcgen::Error| io::Error::other(error);
    let mut ca = CertificateParams::new(Vec::new()).map_err(made)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "openbits testkit authority");
    let ca_key = KeyPair::generate().map_err(made)?;
    let ca_cert = ca.self_signed(&ca_key).map_err(made)?;
    let issuer = Issuer::new(ca, ca_key);

    let names: &[&str] = match kind {
        Certificate::WrongName => &["wrong.example"],
        _ => &["localhost", "127.0.0.1", "::1"],
    };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).map_err(made)?;
    leaf.distinguished_name.push(DnType::CommonName, "openbits testkit origin");
    leaf.extended_key_usages = vec![match kind {
        Certificate::WrongUsage => ExtendedKeyUsagePurpose::ClientAuth,
        _ => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    match kind {
        Certificate::Expired => {
            leaf.not_before = date_time_ymd(2000, 1, 1);
            leaf.not_after = date_time_ymd(2001, 1, 1);
        }
        Certificate::NotYetValid => leaf.not_before = date_time_ymd(2090, 1, 1),
        _ => {}
    }
    let key = KeyPair::generate().map_err(made)?;
    let cert = leaf.signed_by(&key, &issuer).map_err(made)?;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .map_err(io::Error::other)?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok((TlsAcceptor::from(Arc::new(config)), ca_cert.pem()))
}
