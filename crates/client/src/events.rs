//! The event stream, which outlives its connection.

use crate::calls::{Client, Query};
use crate::error::Error;
use crate::sse::RawEvent;
use crate::stream::{RawStream, until_back};
use openbits_api::EventView;
use openbits_core::JobId;

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
    /// Entries of histories as well.
    log: bool,
    stream: Option<RawStream>,
}

impl EventStream {
    pub(crate) async fn open(client: Client, after: u64, scope: Scope, log: bool) -> Result<Self, Error> {
        let path = path(after, scope, log);
        let stream = Some(RawStream::open(&client, &path).await?);
        Ok(Self { client, scope, after, log, stream })
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
            let raw = match &mut self.stream {
                Some(stream) => stream.next().await?,
                None => None,
            };
            match raw {
                Some(raw) => {
                    if let Some(event) = self.read(&raw)? {
                        return Ok(Item::Event(Box::new(event)));
                    }
                }
                None => {
                    self.stream = None;
                    let (client, path) = (self.client.clone(), path(self.after, self.scope, self.log));
                    self.stream = Some(until_back(&client, || RawStream::open(&client, &path)).await?);
                    return Ok(Item::Reconnected);
                }
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
}

fn path(after: u64, scope: Scope, log: bool) -> String {
    let mut query = Query::new("/v1/events");
    query.add("after", &after.to_string());
    match scope {
        Scope::Own => {}
        Scope::Job(job) => query.add("job", &job.to_string()),
        Scope::AllUsers => query.add("all_users", "true"),
    }
    if log {
        query.add("log", "true");
    }
    query.into_text()
}
