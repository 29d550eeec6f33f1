//! The event stream, which outlives its connection.

use crate::calls::{Client, Query, refusal, request};
use crate::connection::{Connection, Failure};
use crate::error::Error;
use crate::sse::{Parser, RawEvent};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use openbits_api::EventView;
use openbits_core::JobId;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The service sends a comment every 15 s; after three missing ones the connection is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// First pause between attempts to reach a service that went away; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What the stream gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event. After [`openbits_api::EventKind::Gap`] the jobs must be read anew.
    Event(Box<EventView>),
    /// The connection broke and there is another. Durable events follow without loss, progress must be read anew.
    Reconnected,
}

/// Whose events a stream gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those of all jobs of the caller.
    #[default]
    Own,
    /// Those of one job, which the caller owns (or, as root, may use).
    Job(JobId),
    /// Those of everybody's jobs (root only).
    AllUsers,
}

impl From<Option<JobId>> for Scope {
    fn from(job: Option<JobId>) -> Self {
        job.map_or(Self::Own, Self::Job)
    }
}

/// Events in their order, each durable one once. Reconnects with the last cursor by itself.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    scope: Scope,
    after: u64,
    body: Option<Incoming>,
    parser: Parser,
    ready: VecDeque<RawEvent>,
}

impl EventStream {
    pub(crate) async fn open(client: Client, after: u64, scope: Scope) -> Result<Self, Error> {
        let mut stream =
            Self { client, scope, after, body: None, parser: Parser::default(), ready: VecDeque::new() };
        stream.connect().await?;
        Ok(stream)
    }

    /// Cursor of the last durable event that was given.
    pub fn cursor(&self) -> u64 {
        self.after
    }

    /// Waits for the next item. Fails when the service stays away for longer than
    /// [`crate::Timeouts::return_of_service`], or refuses.
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Result<Item, Error> {
        loop {
            while let Some(raw) = self.ready.pop_front() {
                if let Some(event) = self.read(&raw)? {
                    return Ok(Item::Event(Box::new(event)));
                }
            }
            let Some(body) = &mut self.body else {
                self.reconnect().await?;
                return Ok(Item::Reconnected);
            };
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

    fn read(&mut self, raw: &RawEvent) -> Result<Option<EventView>, Error> {
        let event: EventView = match serde_json::from_str(&raw.data) {
            Ok(event) => event,
            // A kind of event that this version does not know is passed over; a known one must be right.
            Err(e) if e.is_data() && e.to_string().starts_with("unknown variant") => return Ok(None),
            Err(e) => return Err(Error::Protocol(format!("event: {e}"))),
        };
        if let Some(seq) = event.seq {
            if seq <= self.after {
                return Ok(None);
            }
            self.after = seq;
        }
        Ok(Some(event))
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let mut query = Query::new("/v1/events");
        query.add("after", &self.after.to_string());
        match self.scope {
            Scope::Own => {}
            Scope::Job(job) => query.add("job", &job.to_string()),
            Scope::AllUsers => query.add("all_users", "true"),
        }
        let path = query.into_text();
        let mut connection: Connection = self.client.connect().await?;
        let sent = timeout(
            self.client.timeouts().call,
            connection.send(request(&Method::GET, &path, Bytes::new())?),
        );
        let response = match sent.await {
            Ok(Ok(response)) => response,
            Ok(Err(Failure::NotSent | Failure::Lost)) => return Err(Error::Interrupted),
            Err(_) => return Err(Error::Timeout(self.client.timeouts().call)),
        };
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        self.parser = Parser::default();
        self.body = Some(response.into_body());
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + self.client.timeouts().return_of_service;
        let mut pause = PAUSE_FIRST;
        loop {
            match self.connect().await {
                Err(e) if e.is_gone() && Instant::now() + pause < deadline => sleep(pause).await,
                result => return result,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
