//! What the end of a body means.

use super::decide::outside;
use super::{Fail, FilePlan, Restart};
use crate::classify::Class;
use crate::hresult::*;
use crate::{ErrorContext, RangeSet};

/// Cuts in a row, each after some bytes but fewer than [`GOOD_BODY`], that are answered by asking again at once.
const MAX_CUTS: u32 = 3;
/// A body of this many bytes counts as a fresh start for [`MAX_CUTS`].
const GOOD_BODY: u64 = 1 << 20;

/// How a body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// The end that its framing marks.
    Clean,
    /// The connection broke, or nothing came for too long.
    Cut {
        /// Code of the transport error.
        code: HResult,
        /// For people.
        detail: String,
    },
    /// It came too slowly to be waited for: the attempt fails, and what came is kept.
    Slow {
        /// For people.
        detail: String,
    },
    /// More bytes than announced.
    Surplus,
    /// The source is a file that changed while it was read: what came may be of two versions.
    Changed,
    /// We left it, because something else is wanted first ([`FilePlan::turns_away`]).
    Left,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Go on with [`FilePlan::step`].
    Next,
    /// A cut that is worth another request after a moment (milliseconds), then [`FilePlan::step`].
    Soon(u64),
    /// The same, but what came is worth nothing: throw it away first (DYNAMIC_CONTENT).
    Again(Restart, u64),
    /// The attempt fails; what is kept stays unless `discard` says otherwise.
    Fail(Box<Fail>),
}

impl FilePlan {
    /// The body of the accepted answer ended after `got` bytes, skipped ones included.
    pub fn end(&mut self, got: u64, end: BodyEnd) -> Ended {
        let body = self.body.take().expect("end follows an accepted head");
        if end == BodyEnd::Changed {
            return match self.restart("the source changed while it was read", BG_E_REMOTE_FILE_CHANGED) {
                Ok(restart) => Ended::Again(restart, 0),
                Err(mut fail) => {
                    self.done = RangeSet::new();
                    fail.discard = true;
                    Ended::Fail(fail)
                }
            };
        }
        let shrunk = body.length.is_none() && end == BodyEnd::Clean && body.offset + got < self.done.end();
        if end == BodyEnd::Surplus || shrunk || body.length.is_some_and(|length| got > length) {
            // The answer contradicts itself: nothing that came with it is believed.
            self.done = RangeSet::new();
            let mut fail = Fail::new(BG_E_INVALID_SERVER_RESPONSE, "The answer is not as long as it said.");
            fail.discard = true;
            return Ended::Fail(Box::new(fail));
        }
        let fresh = got.saturating_sub(body.skip);
        self.done.insert(body.offset + body.skip..body.offset + got);
        if self.done.len() > self.peak {
            self.restarts = 0;
        }
        if end == BodyEnd::Left {
            self.back_to_start();
            return Ended::Next;
        }
        let whole = match body.length {
            Some(length) => got == length,
            None => end == BodyEnd::Clean,
        };
        if whole {
            self.cuts = 0;
            if body.length.is_none() {
                self.size = Some(body.offset + got);
            }
            if self.reaches_outside() {
                return Ended::Fail(outside());
            }
            let more = !self.is_whole() && (self.missing().is_some() || self.wanted.only_first);
            if more && !self.may_go_on() {
                return Ended::Fail(Box::new(Fail::new(
                    BG_E_INSUFFICIENT_RANGE_SUPPORT,
                    "The server sends the file in parts and does not say which version they belong to.",
                )));
            }
            self.back_to_start();
            return Ended::Next;
        }
        let again = !matches!(end, BodyEnd::Slow { .. });
        let (code, detail) = match end {
            BodyEnd::Cut { code, detail } => (code, detail),
            BodyEnd::Slow { detail } => (ERROR_WINHTTP_TIMEOUT, detail),
            _ => (ERROR_WINHTTP_CONNECTION_ERROR, "The body ended before its announced length.".to_owned()),
        };
        if self.wanted.dynamic && fresh > 0 {
            return match self.restart("the connection broke, and dynamic content cannot be continued", code) {
                Ok(restart) => Ended::Again(restart, 100),
                Err(mut fail) => {
                    (fail.context, fail.class) = (ErrorContext::GeneralTransport, Class::Transient);
                    fail.discard = true;
                    Ended::Fail(fail)
                }
            };
        }
        if fresh >= GOOD_BODY {
            self.cuts = 0;
        }
        let worth_it = again && fresh > 0 && self.cuts < MAX_CUTS;
        if worth_it && self.method.is_none() && self.may_go_on() {
            self.cuts += 1;
            self.back_to_start();
            return Ended::Soon(100 * u64::from(self.cuts));
        }
        let mut fail = Fail::new(code, detail);
        fail.context = ErrorContext::GeneralTransport;
        fail.class = Class::Transient;
        Ended::Fail(Box::new(fail))
    }

    /// What is kept may be continued by another request.
    fn may_go_on(&self) -> bool {
        self.proven || self.validator.usable(self.size)
    }
}
