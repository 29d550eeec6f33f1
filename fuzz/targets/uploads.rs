//! Any answers to an upload: no byte beyond the file, no credentials for strangers, no way from https, and an end.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::ERROR_WINHTTP_CONNECTION_ERROR;
use openbits_core::plan::Fail;
use openbits_core::upload::client::{
    Ask, Bits, Discover, Heard, Next, Patch, Payload, Plan, Protocol, Put, SourceMark, Target, Turn,
    UploadState, cancel, is_cancelled,
};
use openbits_transfer::fuzzing;

const NOW: i64 = 1_700_000_000_000;
/// Answers in a row that bring an upload no further: a body of 2^63 bytes is halved so often until the server takes it.
const STILL_MAX: u32 = 200;
const OWN: &str = "drop.example.net";

#[derive(Arbitrary, Debug)]
enum Number {
    Offset,
    Next,
    Size,
    Small(u8),
    Any(u64),
}

#[derive(Arbitrary, Debug)]
enum Field {
    Number { name: u8, value: Number },
    Word { name: u8, value: u8 },
    Raw { name: u8, value: Vec<u8> },
}

#[derive(Arbitrary, Debug)]
enum Body {
    Pieces(Vec<u8>),
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Step {
    Answer { status: u8, fields: Vec<Field>, body: Body, took_ms: u32 },
    Broken { sent: Number },
    NewAttempt,
}

#[derive(Arbitrary, Debug)]
struct Input {
    protocol: u8,
    https: bool,
    size: Number,
    wants_reply: bool,
    steps: Vec<Step>,
}

const STATUS: [u16; 20] =
    [200, 201, 204, 200, 206, 307, 400, 401, 403, 404, 409, 410, 412, 413, 416, 423, 460, 500, 503, 999];
const NAMES: [&str; 17] = [
    "BITS-Packet-Type",
    "BITS-Session-Id",
    "BITS-Protocol",
    "BITS-Received-Content-Range",
    "BITS-Reply-URL",
    "BITS-Host-Id",
    "BITS-Host-Id-Fallback-Timeout",
    "BITS-Error-Code",
    "BITS-Error-Context",
    "location",
    "upload-offset",
    "upload-complete",
    "upload-limit",
    "tus-version",
    "tus-extension",
    "etag",
    "retry-after",
];
const WORDS: [&str; 18] = [
    "Ack",
    "{7df0354d-249b-430f-820d-3d2a9bef4931}",
    "s1",
    "0x80200020",
    "0x7",
    "node7.drop.example.net",
    "evil.example",
    "/u/1",
    "//evil.example/u",
    "http://drop.example.net/u",
    "https://u:p@node.drop.example.net/u#x",
    "file:///etc/passwd",
    "\\r\\{1}",
    "?0",
    "?1",
    "1.0.0",
    "creation",
    "\"e\"",
];
const BODIES: [&str; 10] = [
    "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket><Key>k</Key><UploadId>I</UploadId></InitiateMultipartUploadResult>",
    "<ListPartsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket><Key>k</Key><UploadId>I</UploadId>",
    "<NextPartNumberMarker>65535</NextPartNumberMarker>",
    "<NextPartNumberMarker>1</NextPartNumberMarker>",
    "<MaxParts>1</MaxParts><IsTruncated>true</IsTruncated>",
    "<Part><PartNumber>1</PartNumber><LastModified>x</LastModified><ETag>e</ETag><Size>8388608</Size></Part>",
    "</ListPartsResult>",
    "<Error><Code>NoSuchUpload</Code></Error>",
    "<CompleteMultipartUploadResult><Location>l</Location><Bucket>b</Bucket><Key>k</Key><ETag>e</ETag></CompleteMultipartUploadResult>",
    "&lt;",
];

fn pick<T: Copy>(list: &[T], at: u8) -> T {
    list[usize::from(at) % list.len()]
}

fn number(number: &Number, ask: &Ask, plan: &dyn Plan, size: u64) -> u64 {
    match number {
        Number::Offset => plan.state().offset,
        Number::Next => {
            plan.state().offset + if let Payload::File { length, .. } = ask.body { length } else { 0 }
        }
        Number::Size => size,
        Number::Small(n) => u64::from(*n),
        Number::Any(n) => *n,
    }
}

fn begin(protocol: Protocol, target: &Target, state: UploadState) -> Option<Box<dyn Plan>> {
    let target = target.clone();
    Some(match protocol {
        Protocol::Auto => Box::new(Discover::new(target, state)),
        Protocol::Bits => Box::new(Bits::new(target, state)),
        Protocol::Tus | Protocol::Ietf => Box::new(Patch::new(target, state, protocol)),
        Protocol::Put => Box::new(Put::new(target, state)),
        Protocol::S3 => fuzzing::s3_upload(target, state).ok()?,
    })
}

fn check_ask(ask: &Ask, https: bool, size: u64) {
    let host = ask.url.host_str().unwrap_or_default();
    assert!(!host.is_empty());
    assert!(matches!(ask.url.scheme(), "http" | "https"));
    assert!(!https || ask.url.scheme() == "https", "{} leaves https", ask.url);
    assert!(
        ask.target.starts_with('/') && ask.target.bytes().all(|b| b.is_ascii_graphic()),
        "{}",
        ask.target
    );
    assert!(ask.url.username().is_empty() && ask.url.password().is_none());
    if ask.credentials {
        assert!(host == OWN || host.ends_with(".drop.example.net"), "credentials for {host}");
    }
    for (name, value) in &ask.headers {
        assert!(value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{name}: {value:?}");
    }
    if let Payload::File { offset, length } = ask.body {
        assert!(length > 0 && offset.checked_add(length).is_some_and(|end| end <= size), "{:?}", ask.body);
    }
}

fuzz_target!(|input: Input| {
    let size = match input.size {
        Number::Any(size) => size >> 1,
        Number::Small(size) => u64::from(size),
        Number::Offset => 0,
        Number::Next => 100_000_000_000,
        Number::Size => 20_000_000,
    };
    let source = SourceMark { size, modified_s: 7, modified_ns: 0, inode: 3, device: 1 };
    let url = if input.https {
        "https://u:p@drop.example.net/in/a%20b?q=1#f"
    } else {
        "http://drop.example.net/in/f"
    };
    let target = Target::new(url, source, "f \u{e4}\"\r\n", input.wants_reply).expect("one of ours");
    let protocol = pick(&Protocol::ALL, input.protocol);
    let state = UploadState { source: Some(source), protocol: Some(protocol), ..UploadState::default() };
    let Some(mut plan) = begin(protocol, &target, state) else { return };
    let (mut best, mut still) = (plan.state().clone(), 0);
    let mut asked = false;
    for step in &input.steps {
        let ask = match plan.step(NOW) {
            Next::Send(ask) => ask,
            Next::Reply(addresses) => {
                assert!(input.wants_reply && addresses.len() <= 2);
                for address in &addresses {
                    let safe = if input.https {
                        address.starts_with("https://")
                    } else {
                        address.starts_with("http")
                    };
                    assert!(safe, "{address}");
                }
                plan.reply_stored();
                continue;
            }
            Next::Settled(protocol) => {
                assert!(protocol != Protocol::Auto);
                return;
            }
            Next::Finished => {
                assert!(asked && plan.state().closed && plan.state().received);
                return;
            }
        };
        asked = true;
        check_ask(&ask, input.https, size);
        let turn = match step {
            Step::NewAttempt => {
                let state = plan.state().clone();
                let stored = serde_json::to_string(&state).expect("a state is JSON");
                assert_eq!(serde_json::from_str::<UploadState>(&stored).expect("it can be read"), state);
                let Some(new) = begin(protocol, &target, state) else { return };
                (plan, still) = (new, 0);
                continue;
            }
            Step::Broken { sent } => {
                let sent = number(sent, &ask, &*plan, size).min(ask.body.len());
                let cut = Fail {
                    code: ERROR_WINHTTP_CONNECTION_ERROR,
                    context: ErrorContext::GeneralTransport,
                    class: Class::Transient,
                    retry_after_ms: None,
                    discard: false,
                    detail: "cut".to_owned(),
                };
                plan.broken(Box::new(cut), sent, NOW)
            }
            Step::Answer { status, fields, body, took_ms } => {
                let text = |field: &Field| match field {
                    Field::Number { name, value } => {
                        (pick(&NAMES, *name), number(value, &ask, &*plan, size).to_string().into_bytes())
                    }
                    Field::Word { name, value } => (pick(&NAMES, *name), pick(&WORDS, *value).into()),
                    Field::Raw { name, value } => (pick(&NAMES, *name), value.clone()),
                };
                let fields: Vec<(&str, Vec<u8>)> = fields.iter().map(text).collect();
                let headers: Vec<(&str, &[u8])> = fields.iter().map(|(n, v)| (*n, &**v)).collect();
                let body = match body {
                    Body::Pieces(list) => {
                        list.iter().map(|at| pick(&BODIES, *at)).collect::<String>().into_bytes()
                    }
                    Body::Raw(bytes) => bytes.clone(),
                };
                let heard = Heard {
                    status: pick(&STATUS, *status),
                    headers: &headers,
                    body: &body,
                    took_ms: (*took_ms).into(),
                    repeated: *took_ms % 2 == 1,
                };
                if let Some(ask) = cancel(&target, plan.state()) {
                    check_ask(&ask, input.https, size);
                    let _ = is_cancelled(&heard);
                }
                plan.answer(&heard, NOW)
            }
        };
        let state = plan.state();
        assert!(state.is_sound() && state.offset <= size, "{state:?}");
        if state.offset > best.offset || (state.received, state.closed) > (best.received, best.closed) {
            (best, still) = (state.clone(), 0);
        }
        still += 1;
        match turn {
            Turn::Next => {}
            Turn::Wait(ms) => assert!(ms <= 86_400_000),
            Turn::Fail(fail) => {
                assert!(!fail.code.is_ok() && !fail.detail.is_empty());
                assert!(fail.retry_after_ms.is_none_or(|ms| ms <= 86_400_000));
                let Some(new) = begin(protocol, &target, plan.state().clone()) else { return };
                (plan, still) = (new, 0);
            }
        }
        assert!(still <= STILL_MAX, "{still} answers that lead nowhere");
    }
});
