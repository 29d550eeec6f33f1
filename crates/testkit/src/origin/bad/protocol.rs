//! Bytes that are not, or hardly, HTTP/1.1.

use super::Facts;
use crate::behaviour::Behaviour;
use crate::origin::good;
use crate::origin::plan::{End, Plan, Step};

/// How much an endless header sends before it falls silent.
const ENDLESS_BYTES: u64 = 64 << 20;

pub(super) fn plan(behaviour: Behaviour, facts: &Facts<'_>) -> Option<Plan> {
    let mut plan = facts.good();
    let endless = |line: &[u8]| {
        let bytes = line.repeat((16 * 1024 / line.len()).max(1));
        vec![Step::Endless { bytes, limit: ENDLESS_BYTES }]
    };
    let hint: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    match behaviour {
        Behaviour::GarbageStatus => plan.edit_bytes(|bytes| replace_line(&bytes, b"HTTQ/one.1 abc %%\r\n")),
        Behaviour::Http09 => {
            plan = Plan::raw(None, good::body(facts.request, facts.file, 0, facts.file.size()), End::Close);
        }
        Behaviour::Http10 => {
            plan.edit(|fields| fields.version = "HTTP/1.0");
            plan.end = End::Close;
        }
        Behaviour::Http10NoRanges => {
            plan = good::whole(facts.request, facts.file).ending(End::Close);
            plan.edit(|fields| {
                fields.version = "HTTP/1.0";
                fields.remove("Accept-Ranges");
            });
        }
        Behaviour::HeaderNoColon => plan.edit_bytes(|bytes| insert(&bytes, b"this line has no colon\r\n")),
        Behaviour::NulInHeader => plan.edit_bytes(|bytes| insert(&bytes, b"X-Nul: a\0b\r\n")),
        Behaviour::ObsFold => plan.edit_bytes(|bytes| insert(&bytes, b"X-Fold: a\r\n  b\r\n")),
        Behaviour::HugeHeader => {
            let field = [b"X-Huge: ", "a".repeat(1 << 20).as_bytes(), b"\r\n"].concat();
            plan.edit_bytes(|bytes| insert(&bytes, &field));
        }
        Behaviour::ManyHeaders => {
            let fields: String = (0..10_000).map(|number| format!("X-{number}: a\r\n")).collect();
            plan.edit_bytes(|bytes| insert(&bytes, fields.as_bytes()));
        }
        Behaviour::BareLf => {
            plan.edit_bytes(|bytes| bytes.into_iter().filter(|byte| *byte != b'\r').collect());
        }
        Behaviour::SpaceBeforeColon => plan.edit_bytes(|bytes| {
            String::from_utf8_lossy(&bytes).replace("Content-Length:", "Content-Length :").into_bytes()
        }),
        Behaviour::EndlessHeaders => {
            let mut steps = vec![Step::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec())];
            steps.extend(endless(b"X-More: and more\r\n"));
            plan = Plan::raw(Some(200), steps, End::CutClose);
        }
        Behaviour::EndlessEarlyHints => plan = Plan::raw(Some(103), endless(hint), End::CutClose),
        Behaviour::Continue => {
            plan.edit_bytes(|bytes| [b"HTTP/1.1 100 Continue\r\n\r\n", bytes.as_slice()].concat());
        }
        Behaviour::EarlyHints => plan.edit_bytes(|bytes| [hint, &bytes].concat()),
        Behaviour::ManyEarlyHints => plan.edit_bytes(|bytes| [&hint.repeat(100), bytes.as_slice()].concat()),
        _ => return None,
    }
    Some(plan)
}

/// Replaces the status line.
fn replace_line(head: &[u8], line: &[u8]) -> Vec<u8> {
    [line, &head[after_line(head)..]].concat()
}

/// Inserts lines after the status line.
fn insert(head: &[u8], lines: &[u8]) -> Vec<u8> {
    let at = after_line(head);
    [&head[..at], lines, &head[at..]].concat()
}

fn after_line(head: &[u8]) -> usize {
    head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1)
}
