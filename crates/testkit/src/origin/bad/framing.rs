//! Lies about the length and the coding of the body.

use super::Facts;
use crate::behaviour::Behaviour;
use crate::content::Content;
use crate::origin::plan::{End, Fields, Plan, Step};

/// Usual size of a chunk, in bytes; larger when a body would have more than a thousand.
const CHUNK_BYTES: u64 = 1000;
/// Largest stored block of deflate, in bytes.
const STORED_BYTES: u64 = 65_535;

pub(super) fn plan(behaviour: Behaviour, facts: &Facts<'_>) -> Option<Plan> {
    let length = |value: &str| facts.edited(|fields| fields.set("Content-Length", value)).ending(End::Close);
    Some(match behaviour {
        Behaviour::NoContentLength => facts
            .edited(|fields| {
                fields.remove("Content-Length");
                fields.set("Connection", "close");
            })
            .ending(End::Close),
        Behaviour::Chunked => chunked(facts, Flaw::None),
        Behaviour::ChunkedBadSize => chunked(facts, Flaw::BadSize),
        Behaviour::ChunkedTruncated => chunked(facts, Flaw::InChunk),
        Behaviour::ChunkedNoEnd => chunked(facts, Flaw::NoEnd),
        Behaviour::ChunkedAndLength => {
            let mut plan = chunked(facts, Flaw::None).ending(End::Close);
            plan.edit(|fields| fields.set("Content-Length", "5"));
            plan
        }
        Behaviour::TransferGzip => {
            let mut plan = chunked(facts, Flaw::None);
            plan.edit(|fields| fields.set("Transfer-Encoding", "gzip, chunked"));
            plan
        }
        Behaviour::ShortClose => facts.cut(End::CutClose),
        Behaviour::Goaway => facts.cut(End::CutGoaway),
        Behaviour::ShortReset => facts.cut(End::CutReset),
        Behaviour::LongBody => {
            let mut plan = facts.good();
            if plan.body().is_some() {
                plan.steps.push(Step::Bytes(vec![b'x'; 100]));
                plan.end = End::Close;
            }
            plan
        }
        Behaviour::LengthMismatch => {
            let mut plan = facts.good();
            if let Some((_, start, end)) = plan.body() {
                let less = (end - start).saturating_sub(1);
                plan.edit(|fields| fields.set("Content-Length", less.to_string()));
                plan.end = End::Close;
            }
            plan
        }
        Behaviour::TwoLengths => facts
            .edited(|fields| {
                let size =
                    fields.get("Content-Length").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
                fields.headers.push(("Content-Length".to_owned(), (size + 1).to_string()));
            })
            .ending(End::Close),
        Behaviour::NegativeLength => length("-1"),
        Behaviour::GarbageLength => length("many"),
        Behaviour::OverflowLength => length("18446744073709551617"),
        Behaviour::ContentGzip => gzip(facts),
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    BadSize,
    InChunk,
    NoEnd,
}

fn chunked(facts: &Facts<'_>, flaw: Flaw) -> Plan {
    let mut plan = facts.edited(|fields| {
        fields.remove("Content-Length");
        fields.set("Transfer-Encoding", "chunked");
    });
    let Some((content, start, end)) = plan.body() else { return plan };
    let content = content.clone();
    let size = CHUNK_BYTES.max((end - start).div_ceil(1000));
    let mut steps = Vec::new();
    let mut at = start;
    while at < end {
        let stop = end.min(at + size);
        let broken = flaw == Flaw::BadSize && at > start;
        let line = if broken { "zz\r\n".to_owned() } else { format!("{:x}\r\n", stop - at) };
        steps.push(Step::Bytes(line.into_bytes()));
        let last = stop == end;
        let sent = if flaw == Flaw::InChunk && last { at + (stop - at) / 2 } else { stop };
        steps.push(Step::Body { content: content.clone(), start: at, end: sent });
        if sent == stop {
            steps.push(Step::Bytes(b"\r\n".to_vec()));
        }
        at = stop;
    }
    match flaw {
        Flaw::None => steps.push(Step::Bytes(b"0\r\n\r\n".to_vec())),
        Flaw::BadSize => plan.end = End::Close,
        Flaw::InChunk | Flaw::NoEnd => plan.end = End::CutClose,
    }
    plan.steps = steps;
    plan
}

fn gzip(facts: &Facts<'_>) -> Plan {
    let good = facts.good();
    let Some((content, start, end)) = good.body() else {
        return facts.edited(|fields| fields.set("Content-Encoding", "gzip"));
    };
    let (steps, length) = gzip_steps(content, start, end);
    let set = |fields: &mut Fields| {
        fields.set("Content-Encoding", "gzip");
        fields.set("Content-Length", length.to_string());
    };
    let mut plan = facts.edited(set);
    plan.steps = steps;
    plan
}

/// A gzip member (RFC 1952) of stored blocks, and its size in bytes.
fn gzip_steps(content: &Content, start: u64, end: u64) -> (Vec<Step>, u64) {
    let mut steps = vec![Step::Bytes(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])];
    let mut length = 10 + 8;
    let mut at = start;
    loop {
        let stop = end.min(at + STORED_BYTES);
        let size = u16::try_from(stop - at).expect("a stored block is below 64 KiB");
        let [low, high] = size.to_le_bytes();
        steps.push(Step::Bytes(vec![u8::from(stop == end), low, high, !low, !high]));
        steps.push(Step::Body { content: content.clone(), start: at, end: stop });
        length += 5 + (stop - at);
        at = stop;
        if at == end {
            break;
        }
    }
    let mut crc = u32::MAX;
    content.each_piece(start, end, |piece| crc = crc32(crc, piece));
    let mut tail = (!crc).to_le_bytes().to_vec();
    tail.extend_from_slice(&(end - start).to_le_bytes()[..4]);
    steps.push(Step::Bytes(tail));
    (steps, length)
}

fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(!super::crc32(u32::MAX, b"123456789"), 0xCBF4_3926);
    }
}
