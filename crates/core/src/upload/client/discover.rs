//! Which protocol does this server speak? A BITS Ping, then OPTIONS (spec/resumable-uploads-elsewhere.md, order of preference).

use super::patch::ask;
use super::{Heard, Next, Payload, Plan, Protocol, Target, Turn, UploadState};
use crate::classify::{self, Class};
use crate::hresult::*;
use crate::plan::Fail;
use crate::upload::{Headers as _, METHOD, PacketType, header};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Ping,
    Options,
    Found(Protocol),
}

/// Asks; ends with [`Next::Settled`].
#[derive(Debug)]
pub struct Discover {
    target: Target,
    state: UploadState,
    at: At,
}

impl Discover {
    /// A reply can only come from a BITS server, so nobody is asked for it.
    pub fn new(target: Target, state: UploadState) -> Self {
        let at = if target.wants_reply { At::Found(Protocol::Bits) } else { At::Ping };
        Self { target, state, at }
    }

    fn pinged(&mut self, heard: &Heard<'_>, now_ms: i64) -> Turn {
        let kind = heard.headers.value(header::PACKET_TYPE).and_then(PacketType::parse);
        let (code, class) = classify::http_status(heard.status);
        if kind == Some(PacketType::Ack) {
            self.at = At::Found(Protocol::Bits);
            return Turn::Next;
        }
        // What says nothing about the protocol is no answer: too busy, not allowed without a name.
        let silent = matches!(heard.status, 401 | 407 | 408 | 429 | 503 | 504);
        if silent {
            let mut fail = Fail::new(code, format!("The server answered with status {}.", heard.status));
            fail.class = class;
            fail.retry_after_ms = heard.retry_after_ms(now_ms);
            return Turn::Fail(Box::new(fail));
        }
        self.at = At::Options;
        Turn::Next
    }

    fn optioned(&mut self, heard: &Heard<'_>) {
        let has = |list: Option<&str>, wanted: &str| {
            list.is_some_and(|text| text.split(',').any(|one| one.trim().eq_ignore_ascii_case(wanted)))
        };
        let good = (200..300).contains(&heard.status);
        let tus = good
            && (has(heard.text("tus-version"), "1.0.0") || has(heard.text("tus-resumable"), "1.0.0"))
            && has(heard.text("tus-extension"), "creation");
        let ietf = good && heard.text("upload-limit").is_some();
        self.at = At::Found(match (tus, ietf) {
            (true, _) => Protocol::Tus,
            (_, true) => Protocol::Ietf,
            _ => Protocol::Put,
        });
    }
}

impl Plan for Discover {
    fn step(&mut self, _now_ms: i64) -> Next {
        let (url, target) = self.target.at(None);
        match self.at {
            At::Ping => {
                let headers = vec![(header::PACKET_TYPE, PacketType::Ping.as_str().to_owned())];
                Next::Send(ask(METHOD, url, target, headers, Payload::Empty, true))
            }
            At::Options => Next::Send(ask("OPTIONS", url, target, Vec::new(), Payload::Empty, true)),
            At::Found(protocol) => Next::Settled(protocol),
        }
    }

    fn answer(&mut self, heard: &Heard<'_>, now_ms: i64) -> Turn {
        match self.at {
            At::Ping => return self.pinged(heard, now_ms),
            At::Options if matches!(heard.status, 401 | 407) => {
                let mut fail =
                    Fail::new(HResult::from_http_status(heard.status), "The server asks for a name.");
                fail.class = Class::Fatal;
                return Turn::Fail(Box::new(fail));
            }
            At::Options => self.optioned(heard),
            At::Found(_) => {}
        }
        Turn::Next
    }

    fn broken(&mut self, fail: Box<Fail>, _sent: u64, _now_ms: i64) -> Turn {
        // Some servers drop a connection over a method that they do not know; a host out of reach answers nothing at all.
        if self.at == At::Ping && fail.code == ERROR_WINHTTP_CONNECTION_ERROR {
            self.at = At::Options;
            return Turn::Next;
        }
        Turn::Fail(fail)
    }

    fn state(&self) -> &UploadState {
        &self.state
    }

    fn take_must_keep(&mut self) -> bool {
        false
    }
}
