//! TLS: what servers are checked against, who we are to them, and what its errors are called.

mod identity;
mod revocation;
mod verify;

use crate::certificates;
use crate::failure::{Outcome, with};
use crate::protocol::TlsOptions;
use identity::Identity;
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::{ErrorContext, HResult};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use verify::ServerCheck;

pub(super) use identity::asked_during;
pub(super) use revocation::{LIST_MAX, Lists};
pub(super) use verify::unknown as unknown_revocation;

/// Roots and client certificates are read again after this time, so that an updated store takes effect.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Different configurations that are remembered.
const MAX_CONFIGS: usize = 16;
/// Servers that are remembered to ask for client certificates.
const MAX_ASKERS: usize = 256;

/// What a configuration is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    extra_ca: Option<String>,
    http2: bool,
    options: TlsOptions,
}

/// A configuration and what belongs to it.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) config: Arc<ClientConfig>,
    check: Arc<ServerCheck>,
    /// The job has a client certificate.
    pub(super) has_certificate: bool,
    /// Servers that asked for a client certificate; a resumed session does not ask again.
    askers: RefCell<HashSet<String>>,
}

impl Setup {
    /// Notes that a server asked for a client certificate; true if it ever did.
    pub(super) fn asks(&self, server: &str, asked_now: bool) -> bool {
        let mut askers = self.askers.borrow_mut();
        if asked_now && askers.len() < MAX_ASKERS {
            askers.insert(server.to_owned());
        }
        asked_now || askers.contains(server)
    }

    /// Where the certificate revocation lists for these certificates are; [`Setup::check_revocation`] wants all of them.
    pub(super) fn list_addresses(&self, chain: &[CertificateDer<'static>]) -> Outcome<Vec<Vec<String>>> {
        self.check.list_addresses(chain)
    }

    /// Checks a chain against revocation lists.
    pub(super) fn check_revocation(
        &self,
        chain: &[CertificateDer<'static>],
        lists: &[Rc<webpki::CertRevocationList<'static>>],
    ) -> Outcome<()> {
        self.check.revocation(chain, lists)
    }
}

/// TLS configurations; reading the roots costs milliseconds. And the revocation lists that were fetched.
#[derive(Debug, Default)]
pub(crate) struct TlsCache {
    setups: RefCell<HashMap<Key, (Instant, Rc<Setup>)>>,
    pub(super) lists: Lists,
}

impl TlsCache {
    pub(super) async fn get(
        &self,
        extra_ca: Option<&str>,
        http2: bool,
        options: &TlsOptions,
    ) -> Outcome<Rc<Setup>> {
        let key = Key { extra_ca: extra_ca.map(str::to_owned), http2, options: options.clone() };
        if let Some((since, setup)) = self.setups.borrow().get(&key)
            && since.elapsed() < MAX_AGE
        {
            return Ok(setup.clone());
        }
        let read = key.clone();
        let made = tokio::task::spawn_blocking(move || make(&read));
        let (config, check, has_certificate) =
            made.await.map_err(|_| broken("The certificates cannot be read.".to_owned()))??;
        let setup = Rc::new(Setup { config, check, has_certificate, askers: RefCell::default() });
        let mut setups = self.setups.borrow_mut();
        if setups.len() >= MAX_CONFIGS {
            setups.clear();
        }
        setups.insert(key, (Instant::now(), setup.clone()));
        Ok(setup)
    }

    /// The job's attempt begins: its client certificate is read anew.
    pub(super) fn forget_certificate(&self, options: &TlsOptions) {
        if options.certificate.is_some() {
            self.setups.borrow_mut().retain(|key, _| key.options.certificate != options.certificate);
        }
    }
}

fn broken(detail: String) -> Box<openbits_core::plan::Fail> {
    with(ErrorContext::GeneralTransport, ERROR_WINHTTP_SECURE_FAILURE, Class::Fatal, detail)
}

fn make(key: &Key) -> Outcome<(Arc<ClientConfig>, Arc<ServerCheck>, bool)> {
    let mut extra = Vec::new();
    if let Some(path) = &key.extra_ca {
        extra =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(
                |error| broken(format!("The file of extra certificate authorities cannot be read: {error}.")),
            )?;
        if extra.is_empty() {
            return Err(broken("The file of extra certificate authorities holds no certificate.".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = match &key.options.certificate {
        None => None,
        Some(query) => Some(certificates::load(query, &provider)?),
    };
    let has_certificate = certificate.is_some();
    let check = Arc::new(ServerCheck::new(extra, key.options.flags, &provider)?);
    let versions: &[&rustls::SupportedProtocolVersion] =
        if key.options.only_13 { &[&rustls::version::TLS13] } else { rustls::DEFAULT_VERSIONS };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| broken(error.to_string()))?
        // "dangerous" is every verifier that is not rustls' own; ours is that one unless the job relaxes it.
        .dangerous()
        .with_custom_certificate_verifier(check.clone())
        .with_client_cert_resolver(Arc::new(Identity::new(certificate)));
    config.alpn_protocols =
        if key.http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    if key.options.validate {
        // The normal checks run on every connection (spec/bits-extended.md 9.4); a resumed session would skip them.
        config.resumption = Resumption::disabled();
    }
    Ok((Arc::new(config), check, has_certificate))
}

/// The code for a TLS error inside an I/O error, if there is one.
pub(super) fn code(error: &std::io::Error) -> Option<HResult> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(why) => certificate_code(why),
        Error::AlertReceived(alert) => {
            client_certificate_code(*alert).unwrap_or(ERROR_WINHTTP_SECURE_CHANNEL_ERROR)
        }
        Error::NoCertificatesPresented | Error::UnsupportedNameType => ERROR_WINHTTP_SECURE_FAILURE,
        _ => ERROR_WINHTTP_SECURE_CHANNEL_ERROR,
    })
}

/// The server's alerts about our certificate (spec/bits-extended.md 9.1.1, job errors).
pub(super) fn client_certificate_code(alert: AlertDescription) -> Option<HResult> {
    match alert {
        AlertDescription::CertificateRequired => Some(ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => Some(BG_E_HTTP_ERROR_403),
        _ => None,
    }
}

/// A TLS 1.2 server that misses a client certificate ends the handshake so.
pub(super) fn is_handshake_failure(error: &std::io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    matches!(error, Some(Error::AlertReceived(AlertDescription::HandshakeFailure)))
}

/// The same for an alert that comes after the handshake (TLS 1.3).
pub(super) fn late_code(error: &std::io::Error) -> Option<HResult> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => client_certificate_code(*alert),
        _ => None,
    }
}

fn certificate_code(why: &CertificateError) -> HResult {
    match why {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => ERROR_WINHTTP_SECURE_CERT_DATE_INVALID,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ERROR_WINHTTP_SECURE_CERT_CN_INVALID
        }
        CertificateError::UnknownIssuer => ERROR_WINHTTP_SECURE_INVALID_CA,
        CertificateError::Revoked => ERROR_WINHTTP_SECURE_CERT_REVOKED,
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => ERROR_WINHTTP_SECURE_CERT_REV_FAILED,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            ERROR_WINHTTP_SECURE_CERT_WRONG_USAGE
        }
        // An authority's own certificate as the server's: nobody else vouches for it.
        CertificateError::Other(other)
            if matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity)) =>
        {
            ERROR_WINHTTP_SECURE_INVALID_CA
        }
        _ => ERROR_WINHTTP_SECURE_FAILURE,
    }
}
