//! Who we are to a server: the job's client certificate, when the server asks for one.

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

thread_local! {
    /// The handshake that is being polled was asked for a certificate.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a handshake; tells also whether the server asked for a client certificate on the way.
pub(crate) async fn asked_during<T>(handshake: impl Future<Output = T>) -> (T, bool) {
    let mut handshake = pin!(handshake);
    let mut asked = false;
    let result = poll_fn(|cx| {
        ASKED.set(false);
        let polled = handshake.as_mut().poll(cx);
        asked |= ASKED.take();
        polled
    })
    .await;
    (result, asked)
}

/// The certificate of a job, or none.
#[derive(Debug)]
pub(super) struct Identity(Option<Arc<CertifiedKey>>);

impl Identity {
    pub(super) fn new(certificate: Option<Arc<CertifiedKey>>) -> Self {
        Self(certificate)
    }
}

impl ResolvesClientCert for Identity {
    /// The issuers that a server hints at are not looked at: the job names one certificate, and the server says what is wrong with it.
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        ASKED.set(true);
        self.0.clone().filter(|certified| certified.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}
