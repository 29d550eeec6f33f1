//! The check of a server's certificate under a job's security flags: each flag relaxes its own check and no other
//! (spec/bits-extended.md 9.1.5, 9.5).
//!
//! Without a flag it is rustls' own check. With one, the path is built by the same engine (webpki) with one input exchanged: the time
//! (dates), the anchors (unknown issuer), the accepted usages (usage), or no name is compared (name).

use super::broken;
use crate::failure::{Outcome, with};
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::{ERROR_WINHTTP_SECURE_CERT_REV_FAILED, ERROR_WINHTTP_SECURE_CERT_REVOKED};
use openbits_core::job::http::security;
use openbits_core::plan::Fail;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use std::rc::Rc;
use std::sync::Arc;
use webpki::{
    CertRevocationList, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RevocationOptions, RevocationOptionsBuilder, VerifiedPath, anchor_from_trusted_cert,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

/// Flags that change the check of the path or the name.
const RELAXING: u32 =
    security::IGNORE_NAME | security::IGNORE_DATE | security::IGNORE_CA | security::IGNORE_USAGE;
/// Certificates of a server that are looked at.
const CHAIN_MAX: usize = 10;

/// The check of one configuration.
#[derive(Debug)]
pub(super) struct ServerCheck {
    flags: u32,
    standard: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Any usage will do.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

impl ServerCheck {
    /// Against the system's roots and these extra ones.
    pub(super) fn new(
        extra: Vec<CertificateDer<'static>>,
        flags: u32,
        provider: &Arc<CryptoProvider>,
    ) -> Outcome<Self> {
        let unusable = |error: &dyn std::fmt::Display| {
            broken(format!("The certificate authorities cannot be loaded: {error}."))
        };
        let mut roots = RootCertStore::empty();
        for root in extra {
            roots.add(root).map_err(|error| unusable(&error))?;
        }
        // What cannot be read of the system's store is missed only where it is needed.
        let system = rustls_native_certs::load_native_certs();
        let (_, ignored) = roots.add_parsable_certificates(system.certs);
        if ignored > 0 || !system.errors.is_empty() {
            tracing::debug!(ignored, errors = ?system.errors, "some of the system's certificate authorities cannot be used");
        }
        if roots.is_empty() {
            return Err(unusable(&"the system has none"));
        }
        let roots = Arc::new(roots);
        let standard = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(Self { flags, standard, roots, algorithms: provider.signature_verification_algorithms })
    }

    const fn ignores(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The relaxed check.
    fn check(
        &self,
        server: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let cert = EndEntityCert::try_from(server)?;
        match self.path(&cert, &self.roots.roots, server, others, now, None) {
            Ok(_) => {}
            Err(webpki::Error::UnknownIssuer | webpki::Error::CaUsedAsEndEntity)
                if self.ignores(security::IGNORE_CA) =>
            {
                self.untrusted(&cert, server, others, now)?;
            }
            Err(error) => return Err(error),
        }
        if self.ignores(security::IGNORE_NAME) { Ok(()) } else { cert.verify_is_valid_for_subject_name(name) }
    }

    /// A path to one of the anchors. Where dates do not count, one moment is looked for at which the whole path was valid.
    fn path<'p>(
        &self,
        cert: &'p EndEntityCert<'p>,
        anchors: &'p [TrustAnchor<'_>],
        server: &CertificateDer<'_>,
        others: &'p [CertificateDer<'p>],
        now: UnixTime,
        revocation: Option<RevocationOptions<'_>>,
    ) -> Result<VerifiedPath<'p>, webpki::Error> {
        let mut times = vec![now];
        if self.ignores(security::IGNORE_DATE) {
            times.extend(std::iter::once(server).chain(others).take(CHAIN_MAX).filter_map(begins));
        }
        let algorithms = self.algorithms.all;
        let mut last = None;
        for time in times {
            let found = if self.ignores(security::IGNORE_USAGE) {
                cert.verify_for_usage(algorithms, anchors, others, time, AnyUsage, revocation, None)
            } else {
                let usage = KeyUsage::server_auth();
                cert.verify_for_usage(algorithms, anchors, others, time, usage, revocation, None)
            };
            match found {
                Ok(path) => return Ok(path),
                // Something else than the date is wrong: that is what has to be told.
                Err(error) if !is_date(&error) => last = Some(error),
                Err(error) => last = last.or(Some(error)),
            }
        }
        Err(last.expect("there is at least one moment"))
    }

    /// Nobody we know vouches for the server, and the job does not mind. Everything else still has to be right: what is presented is
    /// signed as it says, in its time, and for this use.
    fn untrusted(
        &self,
        cert: &EndEntityCert<'_>,
        server: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let others: Vec<_> =
            others.iter().take(CHAIN_MAX).filter(|other| *other != server).cloned().collect();
        let mut refused = None;
        for other in &others {
            let Ok(anchor) = anchor_from_trusted_cert(other) else { continue };
            match self.path(cert, std::slice::from_ref(&anchor), server, &others, now, None) {
                // An anchor's own date is not looked at on the way.
                Ok(_) => match self.in_time(other, now) {
                    Ok(()) => return Ok(()),
                    Err(error) => refused = Some(error),
                },
                Err(webpki::Error::UnknownIssuer) => {}
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            return Err(error);
        }
        // Its issuer was not presented, or is itself.
        self.in_time(server, now)?;
        let (_, parsed) = X509Certificate::from_der(server).map_err(|_| webpki::Error::BadDer)?;
        let usage = parsed.extended_key_usage().map_err(|_| webpki::Error::MalformedExtensions)?;
        let wrong = usage.is_some_and(|usage| !usage.value.any && !usage.value.server_auth);
        if wrong && !self.ignores(security::IGNORE_USAGE) {
            let context =
                webpki::RequiredEkuNotFoundContext { required: KeyUsage::server_auth(), present: Vec::new() };
            return Err(webpki::Error::RequiredEkuNotFoundContext(context));
        }
        if parsed.subject().as_raw() == parsed.issuer().as_raw() {
            let (signed, signature) = (parsed.tbs_certificate.as_ref(), &parsed.signature_value.data);
            let right = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
                cert.verify_signature(*algorithm, signed, signature).is_ok()
            };
            if !self.algorithms.all.iter().any(right) {
                return Err(webpki::Error::InvalidSignatureForPublicKey);
            }
        }
        Ok(())
    }

    fn in_time(&self, cert: &CertificateDer<'_>, now: UnixTime) -> Result<(), webpki::Error> {
        if self.ignores(security::IGNORE_DATE) {
            return Ok(());
        }
        let (_, parsed) = X509Certificate::from_der(cert).map_err(|_| webpki::Error::BadDer)?;
        let at = |time: i64| {
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(time.max(0).cast_unsigned()))
        };
        let (not_before, not_after) =
            (at(parsed.validity().not_before.timestamp()), at(parsed.validity().not_after.timestamp()));
        if now < not_before {
            Err(webpki::Error::CertNotValidYet { time: now, not_before })
        } else if now > not_after {
            Err(webpki::Error::CertExpired { time: now, not_after })
        } else {
            Ok(())
        }
    }

    /// The addresses of the revocation lists of every certificate on the path, each with its alternatives.
    pub(super) fn list_addresses(&self, chain: &[CertificateDer<'static>]) -> Outcome<Vec<Vec<String>>> {
        let [server, others @ ..] = chain else {
            return Err(unknown("The server presented no certificate."));
        };
        let cert = EndEntityCert::try_from(server).map_err(|error| unknown(&error.to_string()))?;
        let anchors = self.anchors(others);
        let path = self
            .path(&cert, &anchors, server, others, UnixTime::now(), None)
            .map_err(|error| unknown(&format!("there is no path to check ({error})")))?;
        let used = path.intermediate_certificates().map(webpki::Cert::der);
        let mut all = Vec::new();
        for der in std::iter::once(server.clone()).chain(used) {
            let found = addresses(&der);
            if found.is_empty() {
                return Err(unknown("a certificate does not say where its revocation list is"));
            }
            all.push(found);
        }
        Ok(all)
    }

    /// Is any certificate on the path revoked? A list that is missing or out of date is as bad.
    pub(super) fn revocation(
        &self,
        chain: &[CertificateDer<'static>],
        lists: &[Rc<CertRevocationList<'static>>],
    ) -> Outcome<()> {
        let [server, others @ ..] = chain else {
            return Err(unknown("The server presented no certificate."));
        };
        let lists: Vec<&CertRevocationList<'static>> = lists.iter().map(|list| &**list).collect();
        let options = RevocationOptionsBuilder::new(&lists)
            .map_err(|_| unknown("there is no revocation list"))?
            .with_expiration_policy(webpki::ExpirationPolicy::Enforce)
            .build();
        let cert = EndEntityCert::try_from(server).map_err(|error| unknown(&error.to_string()))?;
        let anchors = self.anchors(others);
        match self.path(&cert, &anchors, server, others, UnixTime::now(), Some(options)) {
            Ok(_) => Ok(()),
            Err(webpki::Error::CertRevoked) => Err(with(
                ErrorContext::GeneralTransport,
                ERROR_WINHTTP_SECURE_CERT_REVOKED,
                Class::Fatal,
                "The server's certificate, or that of its issuer, was revoked.",
            )),
            Err(error) => Err(unknown(&error.to_string())),
        }
    }

    /// The roots; and what the server presented, where the job does not mind an unknown issuer.
    fn anchors<'a>(&'a self, others: &'a [CertificateDer<'static>]) -> Vec<TrustAnchor<'a>> {
        let mut anchors: Vec<TrustAnchor<'a>> = self.roots.roots.clone();
        if self.ignores(security::IGNORE_CA) {
            anchors.extend(others.last().and_then(|other| anchor_from_trusted_cert(other).ok()));
        }
        anchors
    }
}

/// The status is not known, which is as fatal as a revocation.
pub(crate) fn unknown(why: &str) -> Box<Fail> {
    with(
        ErrorContext::GeneralTransport,
        ERROR_WINHTTP_SECURE_CERT_REV_FAILED,
        Class::Fatal,
        format!(
            "The revocation of the server's certificate cannot be checked: {}.",
            why.trim_end_matches('.')
        ),
    )
}

/// The addresses (plain http) at which the certificate's revocation list can be had.
fn addresses(cert: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(cert) else { return Vec::new() };
    let mut found = Vec::new();
    for extension in parsed.extensions() {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else { continue };
        for point in points.iter() {
            let Some(DistributionPointName::FullName(names)) = &point.distribution_point else { continue };
            found.extend(names.iter().filter_map(|name| match name {
                GeneralName::URI(uri) if uri.starts_with("http://") => Some((*uri).to_owned()),
                _ => None,
            }));
        }
    }
    found.truncate(4);
    found
}

/// When the certificate's time begins.
fn begins(cert: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    let seconds = u64::try_from(parsed.validity().not_before.timestamp()).ok()?;
    Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
}

const fn is_date(error: &webpki::Error) -> bool {
    matches!(error, webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. })
}

/// The engine's error as rustls has it.
fn named(error: webpki::Error) -> rustls::Error {
    use webpki::Error as E;
    rustls::Error::InvalidCertificate(match error {
        E::CertExpired { .. } => CertificateError::Expired,
        E::CertNotValidYet { .. } => CertificateError::NotValidYet,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::CertNotValidForName(_) => CertificateError::NotValidForName,
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.ignores(RELAXING) {
            return self.standard.verify_server_cert(server, others, name, ocsp_response, now);
        }
        self.check(server, others, name, now).map_err(named)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.standard.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.standard.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.standard.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
