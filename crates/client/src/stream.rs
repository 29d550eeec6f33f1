//! A stream of server-sent events over a connection of its own.

use crate::calls::{Client, refusal, request};
use crate::connection::{Connection, Failure};
use crate::error::Error;
use crate::sse::{Parser, RawEvent};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The service sends a comment every 15 s; after three missing ones the connection is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// First pause between attempts to reach a service that went away; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// One connection's events.
#[derive(Debug)]
pub(crate) struct RawStream {
    body: Option<Incoming>,
    parser: Parser,
    ready: VecDeque<RawEvent>,
}

impl RawStream {
    /// Asks for a path that answers with a stream.
    pub(crate) async fn open(client: &Client, path: &str) -> Result<Self, Error> {
        let mut connection: Connection = client.connect().await?;
        let limit = client.timeouts().call;
        let sent = timeout(limit, connection.send(request(&Method::GET, path, Bytes::new())?));
        let response = match sent.await {
            Ok(Ok(response)) => response,
            Ok(Err(Failure::NotSent | Failure::Lost)) => return Err(Error::Interrupted),
            Err(_) => return Err(Error::Timeout(limit)),
        };
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        Ok(Self { body: Some(response.into_body()), parser: Parser::default(), ready: VecDeque::new() })
    }

    /// The next event; `None` when the connection is gone. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<RawEvent>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            match timeout(SILENCE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let mut events = Vec::new();
                    let result = match frame.data_ref() {
                        Some(bytes) => self.parser.push(bytes, &mut events),
                        None => Ok(()),
                    };
                    self.ready.extend(events);
                    result.map_err(|e| Error::Protocol(e.to_string()))?;
                }
                _ => self.body = None,
            }
        }
    }
}

/// Repeats `open` until the service is back, for as long as the client waits for its return.
pub(crate) async fn until_back<T, F: Future<Output = Result<T, Error>>>(
    client: &Client,
    mut open: impl FnMut() -> F,
) -> Result<T, Error> {
    let deadline = Instant::now() + client.timeouts().return_of_service;
    let mut pause = PAUSE_FIRST;
    loop {
        match open().await {
            Err(e) if e.is_gone() && Instant::now() + pause < deadline => sleep(pause).await,
            result => return result,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
