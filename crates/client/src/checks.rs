//! Certificates of servers that a program checks for a job (`POST /v1/jobs/{id}/certificate-checks`).

use crate::calls::{Client, refusal, request};
use crate::connection::{Connection, Failure};
use crate::error::Error;
use crate::sse::{Parser, RawEvent};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use openbits_api::CertificateCheck;
use openbits_core::JobId;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::timeout;

/// The service sends a comment every 15 s; after three missing ones the connection is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(50);

/// The questions of one job, as long as this value lives. Answer each with [`Client::answer_certificate_check`].
///
/// It does not reconnect: a program that was away has to set its check anew, which is legal in SUSPENDED, ERROR and TRANSFERRED only.
#[derive(Debug)]
pub struct CertificateChecks {
    body: Incoming,
    parser: Parser,
    ready: VecDeque<RawEvent>,
}

impl CertificateChecks {
    pub(crate) async fn open(client: &Client, job: JobId) -> Result<Self, Error> {
        let mut connection: Connection = client.connect().await?;
        let path = format!("/v1/jobs/{job}/certificate-checks");
        let patience = client.timeouts().call;
        let sent = timeout(patience, connection.send(request(&Method::POST, &path, Bytes::new())?));
        let response = match sent.await {
            Ok(Ok(response)) => response,
            Ok(Err(Failure::NotSent | Failure::Lost)) => return Err(Error::Interrupted),
            Err(_) => return Err(Error::Timeout(patience)),
        };
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        Ok(Self { body: response.into_body(), parser: Parser::default(), ready: VecDeque::new() })
    }

    /// Waits for the next question. `None`: nobody asks any more (another program took the place, the job is gone, or the service ends).
    ///
    /// Dropping the future loses no question.
    ///
    /// # Errors
    /// The service said something that cannot be understood.
    pub async fn next(&mut self) -> Result<Option<CertificateCheck>, Error> {
        loop {
            if let Some(raw) = self.ready.pop_front() {
                let check = serde_json::from_str(&raw.data);
                return check.map(Some).map_err(|e| Error::Protocol(format!("certificate check: {e}")));
            }
            let Ok(Some(Ok(frame))) = timeout(SILENCE_MAX, self.body.frame()).await else { return Ok(None) };
            if let Some(bytes) = frame.data_ref() {
                let mut events = Vec::new();
                let result = self.parser.push(bytes, &mut events);
                self.ready.extend(events);
                result.map_err(|e| Error::Protocol(e.to_string()))?;
            }
        }
    }
}
