//! The plans against servers that lose, lie and forget.

mod bits;
mod others;
mod random;
mod rows;

use super::*;
use crate::classify::Class;
use crate::hresult::HResult;

pub(super) const NOW: i64 = 1_700_000_000_000;

pub(super) fn target(size: u64, wants_reply: bool) -> Target {
    let source = SourceMark { size, modified_s: 7, modified_ns: 0, inode: 3, device: 1 };
    Target::new("http://drop.example.net/in/log.bin", source, "log.bin", wants_reply).unwrap()
}

/// Answers with these headers.
pub(super) fn answer(plan: &mut dyn Plan, status: u16, headers: &[(&str, &str)]) -> Turn {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    plan.answer(&Heard { status, headers: &headers, body: b"", took_ms: 10, repeated: false }, NOW)
}

/// The next request.
pub(super) fn asked(plan: &mut dyn Plan) -> Ask {
    match plan.step(NOW) {
        Next::Send(ask) => *ask,
        other => panic!("{other:?}"),
    }
}

pub(super) fn header<'a>(ask: &'a Ask, name: &str) -> Option<&'a str> {
    ask.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

pub(super) fn failed(turn: Turn) -> (HResult, Class) {
    match turn {
        Turn::Fail(fail) => (fail.code, fail.class),
        other => panic!("{other:?}"),
    }
}
