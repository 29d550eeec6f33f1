//! Getting an answer from wherever a request leads, and giving its connection back.

use super::super::exchange::{Answered, Around, exchange};
use super::{Attempt, DRAIN, Reached};
use crate::failure::Outcome;
use crate::http::{Link, Route};
use crate::protocol::Digest;
use crate::source::{self, Source};
use openbits_core::integrity::header::repr_digest;
use openbits_core::plan::{Decision, FilePlan, Head, Request};
use std::time::{Duration, SystemTime};
use url::Url;

impl Attempt {
    /// Gives a connection back whose answer was read to its end.
    pub(super) fn give_back(&self, route: Option<Route>, source: Source) {
        if let (Some(route), Source::Http(http)) = (route, source) {
            let (link, reply) = *http;
            drop(reply);
            self.pool.give(route, link);
        }
    }

    /// Gives a connection back whose answer is of no use.
    pub(in crate::worker) async fn put_back(&self, route: Option<Route>, source: Source) {
        if let (Some(route), Source::Http(http)) = (route, source) {
            let (mut link, reply) = *http;
            if link.drain(reply, DRAIN).await {
                self.pool.give(route, link);
            }
        }
    }

    /// Gets an answer from wherever the request leads. `original`: the URL that the caller gave.
    pub(in crate::worker) async fn reach(&mut self, request: &Request, original: &Url) -> Outcome<Reached> {
        let connect = Duration::from_millis(self.order.options.connect_timeout_ms);
        let reading = match request.url.scheme() {
            "file" => source::open_local(request, connect).await?,
            "smb" => {
                let idle = Duration::from_millis(self.order.options.idle_timeout_ms);
                source::open_smb(request, connect, idle).await?
            }
            _ => {
                let Answered { route, link, reply, why } = self.exchange(request, original).await?;
                return Ok(Reached {
                    route: Some(route),
                    source: Source::Http(Box::new((link, reply))),
                    why,
                });
            }
        };
        Ok(Reached { route: None, source: reading.under(&self.limiter, &self.level), why: None })
    }

    /// Gets an answer over HTTP, and tells what happened on the way.
    async fn exchange(&mut self, request: &Request, original: &Url) -> Outcome<Answered> {
        let current = self.current.as_ref();
        let shape = |link: &mut Link| link.shape(&self.limiter, &self.level);
        // A list of digests has no login of its own.
        let login = current.filter(|current| current.plan.original() == original);
        let around = Around {
            order: &self.order,
            reporter: &self.reporter,
            verdicts: &self.verdicts,
            pool: &self.pool,
            file: current.map_or(0, |current| current.index),
            original,
            login: login.and_then(|current| current.login.as_ref()),
            shape: &shape,
        };
        let result = exchange(request, &around, &mut self.auth).await;
        let notes = self.auth.take_notes();
        if !notes.is_empty() {
            let url = current.map(|current| current.plan.shown_url()).unwrap_or_default();
            for note in notes {
                self.reporter.note(&url, note).await;
            }
        }
        result
    }
}

/// The digest of the whole file that an answer tells: one is enough, it protects against damage on the way and not against the server.
pub(super) fn server_digest(source: &Source) -> Option<Digest> {
    let fields = source.head().0.headers.get_all("repr-digest");
    let lines: Vec<&str> = fields.iter().filter_map(|value| value.to_str().ok()).collect();
    repr_digest(&lines.join(",")).into_iter().min_by_key(Digest::algorithm)
}

/// Asks the plan about an answer.
pub(in crate::worker) fn decide(plan: &mut FilePlan, source: &Source) -> Decision {
    let (head, framing) = source.head();
    let headers: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let now_s = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    plan.head(&Head { status: head.status.as_u16(), framing, headers: &headers }, now_s)
}
