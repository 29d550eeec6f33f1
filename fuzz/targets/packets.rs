//! Packets of BITS uploads as the server reads them: no byte beyond the file, none twice, and answers that a client can read.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_core::upload::fragment::{Decision, decide};
use openbits_core::upload::{
    Ack, ContentRange, Envelope, Headers, MAX_FRAGMENT, MAX_HEADER_VALUE, Packet, Progress,
};

#[derive(Arbitrary, Debug)]
enum Field {
    Known { name: u8, value: u8 },
    Range { first: u16, last: u16, total: u16 },
    Length(u16),
    Raw { name: u8, value: Vec<u8> },
}

#[derive(Arbitrary, Debug)]
struct Input {
    http_1_1: bool,
    requests: Vec<Vec<Field>>,
}

const NAMES: [&str; 7] = [
    "BITS-Packet-Type",
    "BITS-Supported-Protocols",
    "BITS-Session-Id",
    "Content-Range",
    "Content-Length",
    "Content-Encoding",
    "Content-Name",
];
const VALUES: [&str; 12] = [
    "Ping",
    "Create-Session",
    "fragment",
    "Close-Session",
    "Cancel-Session",
    "Ack",
    "{7df0354d-249b-430f-820d-3d2a9bef4931}",
    "s1",
    "bytes */0",
    "bytes 0-0/0",
    "identity",
    "0",
];
const MAX_SIZE: u64 = 40_000;

fn header(field: &Field) -> (&'static str, Vec<u8>) {
    match field {
        Field::Known { name, value } => {
            (NAMES[usize::from(*name) % NAMES.len()], VALUES[usize::from(*value) % VALUES.len()].into())
        }
        Field::Range { first, last, total } => {
            ("Content-Range", format!("bytes {first}-{last}/{total}").into())
        }
        Field::Length(length) => ("Content-Length", length.to_string().into()),
        Field::Raw { name, value } => (NAMES[usize::from(*name) % NAMES.len()], value.clone()),
    }
}

fuzz_target!(|input: Input| {
    let mut progress = Progress { next: 0, total: None };
    for fields in &input.requests {
        let headers: Vec<(&str, Vec<u8>)> = fields.iter().map(header).collect();
        let Ok(envelope) = Envelope::parse(input.http_1_1, &headers[..]) else { continue };
        assert!(input.http_1_1 && headers[..].longest_value() <= MAX_HEADER_VALUE);
        let Ok(packet) = envelope.packet(&headers[..]) else { continue };
        let Packet::Fragment(session) = packet else {
            assert_eq!(envelope.length, 0, "only fragments have a body");
            continue;
        };
        assert!(!session.as_str().is_empty() && session.as_str().bytes().all(|b| b.is_ascii_graphic()));
        let Ok(range) = envelope.range(&headers[..]) else { continue };
        assert_eq!(ContentRange::parse(range.to_string().as_bytes(), envelope.length), Some(range));
        if let ContentRange::Span { first, last, total } = range {
            assert!(first <= last && last < total && last - first + 1 == envelope.length);
        }
        match decide(progress, range, MAX_SIZE, MAX_FRAGMENT) {
            Ok(Decision::Write { skip, length, total }) => {
                assert!(total <= MAX_SIZE && progress.total.is_none_or(|known| known == total));
                assert_eq!(skip + length, envelope.length);
                progress = Progress { next: progress.next + length, total: Some(total) };
                assert!(progress.next <= total, "{progress:?}");
            }
            Ok(Decision::Duplicate { .. }) => {}
            Err(refusal) => {
                let ack = Ack::refuse(refusal, Some(session));
                let told = Ack::read(envelope.kind, ack.status, &ack.headers()[..]).expect("our own answer");
                assert_eq!((told.received, told.error.is_some()), (ack.received, ack.error.is_some()));
            }
        }
    }
});
