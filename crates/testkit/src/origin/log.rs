//! What the origin remembers of every request.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use crate::behaviour::Behaviour;

/// Requests remembered; older ones are forgotten first.
const KEPT: usize = 100_000;

/// Which of the origin's doors a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// The plain HTTP port of [`crate::Origin::url`].
    Main,
    /// The second plain HTTP port, another origin in the sense of RFC 6454: [`crate::Origin::other_url`].
    Other,
    /// The HTTPS port: [`crate::Origin::https_url`].
    Tls,
}

/// How an exchange came to its end on this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Still being answered.
    Open,
    /// All that was planned has been handed to the kernel.
    Done,
    /// The origin broke off on purpose (short body, reset, ...).
    Cut,
    /// The client went away, or the connection failed.
    ClientGone,
}

/// One request and what was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Number of the request on this origin, from 0.
    pub id: u64,
    /// Number of the connection on this origin, from 0.
    pub connection: u64,
    /// The port it came to.
    pub door: Door,
    /// HTTP version of the request: 10, 11 or 20.
    pub version: u8,
    /// Method, as sent.
    pub method: String,
    /// Request target, as sent, with its query.
    pub target: String,
    /// Name of the file: the path without its first slash and query.
    pub name: String,
    /// Header fields as sent, in order (names in lower case when HTTP/2).
    pub headers: Vec<(String, String)>,
    /// Bytes of request body read and thrown away.
    pub request_body_bytes: u64,
    /// The behaviour that answered; `None` when no such file exists.
    pub behaviour: Option<Behaviour>,
    /// Status sent; `None` when none was (yet), or the status line was deliberately unreadable.
    pub status: Option<u16>,
    /// Header fields of the answer, as far as it had a well-formed header.
    pub answer_headers: Vec<(String, String)>,
    /// Bytes of the file handed to the kernel so far.
    pub body_bytes: u64,
    /// When the request had been read.
    pub at: Instant,
    /// The same by the wall clock.
    pub at_wall: SystemTime,
    /// When the answer ended; `None` while it runs.
    pub ended: Option<Instant>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Exchange {
    /// The first request header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The first header of the answer of that name, in any case.
    #[must_use]
    pub fn answer_header(&self, name: &str) -> Option<&str> {
        find(&self.answer_headers, name)
    }

    /// The value of the `Range` header.
    #[must_use]
    pub fn range(&self) -> Option<&str> {
        self.header("range")
    }

    /// True when `Authorization`, `Cookie` or `Proxy-Authorization` arrived. On [`Door::Other`] after a redirect this
    /// is a leak (spec behaviour 18.3).
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        ["authorization", "cookie", "proxy-authorization"].iter().any(|name| self.header(name).is_some())
    }
}

/// The first value of `name` among `headers`, compared without case.
pub(crate) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The list of exchanges, bounded.
#[derive(Debug, Default)]
pub(crate) struct Log {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Id of the first entry kept.
    base: u64,
    entries: VecDeque<Exchange>,
}

impl Log {
    /// Adds an exchange and returns its id.
    pub(crate) fn push(&self, mut exchange: Exchange) -> u64 {
        let mut kept = self.lock();
        if kept.entries.len() >= KEPT {
            kept.entries.pop_front();
            kept.base += 1;
        }
        let id = kept.base + u64::try_from(kept.entries.len()).expect("the log is bounded");
        exchange.id = id;
        kept.entries.push_back(exchange);
        id
    }

    /// Changes an exchange, unless it is already forgotten.
    pub(crate) fn update(&self, id: u64, change: impl FnOnce(&mut Exchange)) {
        let mut kept = self.lock();
        let at = id.checked_sub(kept.base).and_then(|at| usize::try_from(at).ok());
        if let Some(exchange) = at.and_then(|at| kept.entries.get_mut(at)) {
            change(exchange);
        }
    }

    /// Copies of those that `wanted` accepts, in order of arrival.
    pub(crate) fn select(&self, wanted: impl Fn(&Exchange) -> bool) -> Vec<Exchange> {
        self.lock().entries.iter().filter(|exchange| wanted(exchange)).cloned().collect()
    }

    /// Forgets everything; ids go on.
    pub(crate) fn clear(&self) {
        let mut kept = self.lock();
        kept.base += u64::try_from(kept.entries.len()).expect("the log is bounded");
        kept.entries.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().expect("no code panics while it holds the log")
    }
}
