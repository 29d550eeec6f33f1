//! One PUT of the whole file (spec/resumable-uploads-elsewhere.md 5): nothing is resumed, after a break it begins again.

use super::patch::ask;
use super::{Heard, Next, Payload, Plan, Target, Turn, UploadState};
use crate::classify;
use crate::plan::Fail;

/// The plan of one attempt.
#[derive(Debug)]
pub struct Put {
    target: Target,
    state: UploadState,
}

impl Put {
    /// What an earlier attempt sent counts for nothing.
    pub fn new(target: Target, mut state: UploadState) -> Self {
        if !state.closed {
            state.offset = 0;
        }
        Self { target, state }
    }
}

impl Plan for Put {
    fn step(&mut self, _now_ms: i64) -> Next {
        if self.state.closed {
            return Next::Finished;
        }
        let (url, target) = self.target.at(None);
        let length = self.target.size();
        let body = if length == 0 { Payload::Empty } else { Payload::File { offset: 0, length } };
        Next::Send(ask("PUT", url, target, Vec::new(), body, true))
    }

    fn answer(&mut self, heard: &Heard<'_>, now_ms: i64) -> Turn {
        if matches!(heard.status, 200 | 201 | 204) {
            self.state.offset = self.target.size();
            (self.state.received, self.state.closed) = (true, true);
            return Turn::Next;
        }
        let (code, class) = classify::http_status(heard.status);
        let mut fail = Fail::new(code, format!("The server answered PUT with status {}.", heard.status));
        fail.class = class;
        fail.retry_after_ms = heard.retry_after_ms(now_ms);
        Turn::Fail(Box::new(fail))
    }

    fn broken(&mut self, fail: Box<Fail>, _sent: u64, _now_ms: i64) -> Turn {
        Turn::Fail(fail)
    }

    fn state(&self) -> &UploadState {
        &self.state
    }

    fn take_must_keep(&mut self) -> bool {
        false
    }
}
