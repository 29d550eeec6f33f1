//! The client of the BITS upload protocol (spec/upload-protocol.md 7 to 12, 14).

mod answers;
mod reply_url;

use super::{
    Ask, Heard, LONG_PATIENCE_MS, Next, PATIENCE_MS, Payload, Plan, Sizes, Target, Turn, UploadState,
};
use crate::ErrorContext;
use crate::classify::Class;
use crate::hresult::*;
use crate::plan::Fail;
use crate::upload::{ContentRange, METHOD, MIN_FRAGMENT, PROTOCOL, PacketType, header};

/// Sessions begun anew within one attempt before it is given up.
const MAX_RESTARTS: u32 = 1;
/// Answers in a row that bring the upload no further (section 10.3).
const MAX_STILL: u32 = 5;
/// Cuts in a row, each after some bytes, that are answered by going on at once.
const MAX_CUTS: u32 = 3;

/// What the plan is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Ping,
    Create,
    Fragment,
    Reply,
    Close,
    Done,
}

/// A fragment under way.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    first: u64,
    length: u64,
}

/// The plan of one attempt.
#[derive(Debug)]
pub struct Bits {
    target: Target,
    state: UploadState,
    at: At,
    asked: PacketType,
    sent: Sent,
    sizes: Sizes,
    /// The server's offset is not known for sure: the next fragment is a short one.
    probe: bool,
    /// The final fragment is sent again, for the sake of the reply's address.
    final_again: bool,
    asked_again: bool,
    /// Close-Session had been sent before the one under way.
    close_before: bool,
    offset_missed: bool,
    restarts: u32,
    still: u32,
    peak: u64,
    cuts: u32,
    must_keep: bool,
}

impl Bits {
    /// Goes on where `state` says. The source was compared with the state's by the caller.
    pub fn new(target: Target, state: UploadState) -> Self {
        let at = if state.closed {
            At::Done
        } else if state.session.is_some() {
            At::Ping
        } else {
            At::Create
        };
        let sizes = Sizes::new(state.body_max);
        Self {
            peak: state.offset,
            target,
            state,
            at,
            asked: PacketType::Ping,
            sent: Sent::default(),
            sizes,
            probe: true,
            final_again: false,
            asked_again: false,
            close_before: false,
            offset_missed: false,
            restarts: 0,
            still: 0,
            cuts: 0,
            must_keep: false,
        }
    }

    /// Where to go on after a Ping.
    fn onward(&self) -> At {
        if self.state.closed {
            At::Done
        } else if self.state.session.is_none() {
            At::Create
        } else if self.state.close_sent {
            At::Close
        } else if !self.state.received {
            At::Fragment
        } else if self.target.wants_reply && !self.state.reply_stored {
            At::Reply
        } else {
            At::Close
        }
    }

    fn ask(&self, kind: PacketType, more: Vec<(&'static str, String)>, body: Payload) -> Box<Ask> {
        let host = self.state.host.as_deref();
        let (url, target) = self.target.at(host);
        let mut headers = vec![(header::PACKET_TYPE, kind.as_str().to_owned())];
        if let Some(session) = self.state.session.as_ref().filter(|_| {
            matches!(kind, PacketType::Fragment | PacketType::CloseSession | PacketType::CancelSession)
        }) {
            headers.push((header::SESSION_ID, session.clone()));
        }
        headers.extend(more);
        let last = matches!(body, Payload::File { offset, length } if offset + length == self.target.size());
        let slow = kind == PacketType::Fragment && (last || self.target.size() == 0);
        Box::new(Ask {
            method: METHOD,
            url,
            target,
            headers,
            body,
            credentials: host.is_none_or(|host| self.target.trusts(host)),
            patience_ms: if slow { LONG_PATIENCE_MS } else { PATIENCE_MS },
            wants_body: false,
        })
    }

    fn fragment(&mut self) -> Box<Ask> {
        let size = self.target.size();
        if size == 0 {
            self.sent = Sent::default();
            let range = vec![("Content-Range", ContentRange::Empty.to_string())];
            return self.ask(PacketType::Fragment, range, Payload::Empty);
        }
        let most = if self.probe { MIN_FRAGMENT.min(self.sizes.next()) } else { self.sizes.next() };
        let first = if self.final_again { size - most.min(size) } else { self.state.offset.min(size - 1) };
        let length = most.min(size - first);
        self.sent = Sent { first, length };
        let range = ContentRange::Span { first, last: first + length - 1, total: size };
        let mut more = Vec::new();
        if first == 0 && !self.target.name.is_empty() {
            more.push(("Content-Name", self.target.name.clone()));
        }
        more.push(("Content-Range", range.to_string()));
        self.ask(PacketType::Fragment, more, Payload::File { offset: first, length })
    }

    /// The session is gone: another one, from byte 0.
    fn restart(&mut self) -> Turn {
        if self.restarts >= MAX_RESTARTS {
            let detail = "The server forgets every session.";
            return Turn::Fail(Box::new(Fail::new(BG_E_SESSION_NOT_FOUND, detail)));
        }
        self.restarts += 1;
        self.state.forget_session();
        (self.peak, self.still) = (0, 0);
        (self.final_again, self.asked_again, self.offset_missed) = (false, false, self.offset_missed);
        self.must_keep = true;
        self.at = At::Create;
        Turn::Next
    }

    /// The host that the server named is given up if it was out of reach for long enough (section 12).
    fn leave_lost_host(&mut self, now_ms: i64) -> bool {
        let (Some(since), Some(limit_s)) = (self.state.host_lost_ms, self.state.fallback_s) else {
            return false;
        };
        if now_ms.saturating_sub(since) < i64::from(limit_s) * 1000 {
            return false;
        }
        (self.state.host, self.state.fallback_s, self.state.host_lost_ms) = (None, None, None);
        true
    }

    /// An error that counts against a named host, and ends the attempt unless that host is given up by it.
    fn failed(&mut self, fail: Box<Fail>, now_ms: i64) -> Turn {
        if self.state.host.is_some() {
            self.state.host_lost_ms.get_or_insert(now_ms);
            if self.leave_lost_host(now_ms) {
                self.at = At::Ping;
                self.probe = true;
                return Turn::Next;
            }
        }
        Turn::Fail(fail)
    }
}

impl Plan for Bits {
    fn step(&mut self, now_ms: i64) -> Next {
        if self.leave_lost_host(now_ms) && self.at != At::Create {
            self.at = if self.state.session.is_some() { At::Ping } else { At::Create };
        }
        let (kind, ask) = match self.at {
            At::Ping => (PacketType::Ping, self.ask(PacketType::Ping, Vec::new(), Payload::Empty)),
            At::Create => {
                let mut more = vec![(header::SUPPORTED_PROTOCOLS, PROTOCOL.to_owned())];
                if !self.target.name.is_empty() {
                    more.push(("Content-Name", self.target.name.clone()));
                }
                (PacketType::CreateSession, self.ask(PacketType::CreateSession, more, Payload::Empty))
            }
            At::Fragment => (PacketType::Fragment, self.fragment()),
            At::Reply => return Next::Reply(reply_url::addresses(&self.target, &self.state)),
            At::Close => {
                self.close_before = self.state.close_sent;
                if !self.state.close_sent {
                    self.state.close_sent = true;
                    self.must_keep = true;
                }
                (PacketType::CloseSession, self.ask(PacketType::CloseSession, Vec::new(), Payload::Empty))
            }
            At::Done => return Next::Finished,
        };
        self.asked = kind;
        Next::Send(ask)
    }

    fn answer(&mut self, heard: &Heard<'_>, now_ms: i64) -> Turn {
        self.heard(heard, now_ms)
    }

    fn broken(&mut self, fail: Box<Fail>, sent: u64, now_ms: i64) -> Turn {
        if self.asked == PacketType::Fragment {
            self.sizes.broke();
        }
        if sent > 0 && self.cuts < MAX_CUTS && self.state.host.is_none() {
            self.cuts += 1;
            self.at = At::Ping;
            self.probe = true;
            return Turn::Wait(100 * u64::from(self.cuts));
        }
        self.failed(fail, now_ms)
    }

    fn state(&self) -> &UploadState {
        &self.state
    }

    fn take_must_keep(&mut self) -> bool {
        std::mem::take(&mut self.must_keep)
    }

    fn reply_stored(&mut self) {
        self.state.reply_stored = true;
        self.at = self.onward();
    }
}

/// A failure with its class and context.
fn fail(code: HResult, class: Class, context: ErrorContext, detail: String) -> Box<Fail> {
    let mut fail = Fail::new(code, detail);
    (fail.class, fail.context) = (class, context);
    Box::new(fail)
}
