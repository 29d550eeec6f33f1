//! Questions to the owner's program about servers' certificates, and their answers.

use super::report::Reporter;
use crate::failure::{Outcome, with};
use crate::protocol::{CERTIFICATE_MAX, CHAIN_MAX};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::{ErrorContext, HResult};
use rustls::pki_types::CertificateDer;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::oneshot;

/// The service gives an answer long before this.
const PATIENCE: Duration = Duration::from_secs(300);

/// The questions of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<HResult>>>,
}

impl Verdicts {
    /// The service's answer to a question; one that nobody waits for is passed over.
    pub(super) fn give(&self, check: u64, code: HResult) {
        if let Some(waiting) = self.waiting.borrow_mut().remove(&check) {
            let _ = waiting.send(code);
        }
    }

    /// Asks the owner's program about a server, before anything is asked of the server.
    ///
    /// # Errors
    /// The program refuses (its own code, tried again later), or there is none (0x80200074).
    pub(crate) async fn ask(
        &self,
        reporter: &Reporter,
        file: u32,
        server: String,
        chain: &[CertificateDer<'static>],
    ) -> Outcome<()> {
        let failed = |code, class, detail: String| {
            Err(with(ErrorContext::ServerCertificateCallback, code, class, detail))
        };
        let fits = chain.len() <= CHAIN_MAX && chain.iter().all(|cert| cert.len() <= CERTIFICATE_MAX);
        if chain.is_empty() || !fits {
            let detail = format!("What {server} presents is too long to be checked by the job's owner.");
            return failed(ERROR_WINHTTP_SECURE_FAILURE, Class::Fatal, detail);
        }
        let check = self.next.get();
        self.next.set(check + 1);
        let (sender, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(check, sender);
        let encoded = chain.iter().map(|cert| STANDARD.encode(cert)).collect();
        reporter.presented(check, file, server.clone(), encoded).await;
        let code = match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(code)) => code,
            _ => BG_E_WATCHDOG_TIMEOUT,
        };
        match code {
            _ if code.is_ok() => Ok(()),
            BG_E_SERVER_CERT_VALIDATION_INTERFACE_REQUIRED => {
                let detail = format!("Nobody is there to check the certificate of {server} for the job.");
                failed(code, Class::Fatal, detail)
            }
            _ => {
                let detail = format!("The job's owner does not accept the certificate of {server}.");
                failed(code, Class::Transient, detail)
            }
        }
    }
}
