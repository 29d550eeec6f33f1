//! Any sequence of answers against the plan of one file: no panic, no byte beyond the size, restarts within their bound, the
//! caller's credentials only to the caller's origin.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_core::hresult::ERROR_WINHTTP_CONNECTION_ERROR;
use openbits_core::plan::{
    Accept, BodyEnd, Decision, Ended, FilePlan, Framing, Head, Limits, MAX_RESTARTS, Next, Validator, Wanted,
};
use openbits_core::{FileRange, RangeSet};
use url::Url;

#[derive(Arbitrary, Debug)]
enum Number {
    Small(u8),
    Start,
    Size,
    Any(u64),
}

#[derive(Arbitrary, Debug)]
enum Field {
    Etag { weak: bool, number: u8 },
    LastModified(u8),
    Date(u8),
    ContentRange { first: Number, last: Number, total: Option<Number> },
    Unsatisfied(Number),
    Location(u8),
    ContentType(u8),
    RetryAfter(Number),
    Raw { name: u8, value: Vec<u8> },
}

#[derive(Arbitrary, Debug)]
enum Ends {
    Length(Number),
    Chunked,
    UntilClose,
    Stream(Option<Number>),
}

#[derive(Arbitrary, Debug)]
enum Got {
    All,
    Some(Number),
}

#[derive(Arbitrary, Debug)]
enum End {
    Clean,
    Cut,
    Surplus,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Answer { status: u8, framing: Ends, fields: Vec<Field>, got: Got, end: End },
    NewAttempt,
    LocalLost,
    Digest,
    Want { first: Vec<(u8, u8)>, position: u8, only_first: bool },
}

#[derive(Arbitrary, Debug)]
struct Input {
    url: u8,
    stored: Vec<(u16, u16)>,
    stored_size: Option<u16>,
    stored_etag: bool,
    allow_https_to_http: bool,
    steps: Vec<Step>,
}

const URLS: [&str; 4] =
    ["http://h/f.bin", "https://u:p@h/f.bin?q=1#x", "https://h:8443/a%20b/", "http://[::1]/x.html"];
const STATUS: [u16; 12] = [200, 206, 416, 302, 206, 200, 307, 304, 404, 503, 100, 999];
const LOCATIONS: [&str; 8] = [
    "/b",
    "http://other/x",
    "https://other/x",
    "//h/f.bin",
    "?q",
    "http://h/f.bin",
    "ftp://h/",
    "http://u:p@h/",
];
const TYPES: [&str; 4] = ["text/html", "application/octet-stream", "multipart/byteranges", "text/plain; a=b"];
const NAMES: [&str; 10] = [
    "etag",
    "last-modified",
    "date",
    "content-range",
    "location",
    "content-type",
    "retry-after",
    "content-encoding",
    "transfer-encoding",
    "x",
];

fn value(number: &Number, plan: &FilePlan) -> u64 {
    match number {
        Number::Small(n) => u64::from(*n),
        Number::Start => plan.done().first_gap(0..u64::MAX).map_or(0, |gap| gap.start),
        Number::Size => plan.size().unwrap_or(300),
        Number::Any(n) => *n,
    }
}

fn date(second: u8) -> String {
    format!("Sat, 21 Nov 2026 11:{:02}:{:02} GMT", second / 60, second % 60)
}

fn header(field: &Field, plan: &FilePlan) -> (&'static str, Vec<u8>) {
    let number = |n: &Number| value(n, plan);
    let (name, text) = match field {
        Field::Etag { weak, number } => ("etag", format!("{}\"{number}\"", if *weak { "W/" } else { "" })),
        Field::LastModified(at) => ("last-modified", date(at % 4)),
        Field::Date(at) => ("date", date(*at)),
        Field::ContentRange { first, last, total } => {
            let total = total.as_ref().map_or("*".to_owned(), |t| number(t).to_string());
            ("content-range", format!("bytes {}-{}/{total}", number(first), number(last)))
        }
        Field::Unsatisfied(total) => ("content-range", format!("bytes */{}", number(total))),
        Field::Location(at) => ("location", LOCATIONS[usize::from(*at) % LOCATIONS.len()].to_owned()),
        Field::ContentType(at) => ("content-type", TYPES[usize::from(*at) % TYPES.len()].to_owned()),
        Field::RetryAfter(n) => ("retry-after", number(n).to_string()),
        Field::Raw { name, value } => return (NAMES[usize::from(*name) % NAMES.len()], value.clone()),
    };
    (name, text.into_bytes())
}

/// What the worker would have counted: never more than the length if there is one, unless it says so.
fn received(accept: &Accept, got: &Got, end: &End, plan: &FilePlan) -> (u64, BodyEnd) {
    let most = accept.length.unwrap_or((i64::MAX as u64) - accept.offset);
    let some = match got {
        Got::All => accept.length.unwrap_or(64).min(most),
        Got::Some(number) => value(number, plan).min(most),
    };
    match end {
        End::Clean => (some, BodyEnd::Clean),
        End::Cut => (some, BodyEnd::Cut { code: ERROR_WINHTTP_CONNECTION_ERROR, detail: String::new() }),
        End::Surplus => (most.saturating_add(1), BodyEnd::Surplus),
    }
}

fn check_accept(accept: &Accept, plan: &FilePlan) {
    if let Some(total) = accept.total {
        assert!(accept.offset <= total);
        assert!(accept.length.is_none_or(|length| accept.offset + length <= total), "{accept:?}");
    }
    assert!(accept.length.is_none_or(|length| accept.skip <= length), "{accept:?}");
    if accept.restart.is_some() {
        assert!(plan.done().is_empty() && accept.offset == 0 && accept.skip == 0);
    }
}

fuzz_target!(|input: Input| {
    let text = URLS[usize::from(input.url) % URLS.len()];
    let original = Url::parse(text).expect("one of ours");
    let limits = Limits { max_redirects: 4, allow_https_to_http: input.allow_https_to_http };
    let begin =
        |size, done, validator| FilePlan::new(text, size, done, validator, limits).expect("a good URL").0;
    let stored: RangeSet =
        input.stored.iter().map(|(at, len)| u64::from(*at)..u64::from(*at) + u64::from(*len)).collect();
    let etag = input.stored_etag.then(|| "\"1\"".to_owned());
    let mut plan = begin(
        input.stored_size.map(u64::from),
        stored,
        Validator { etag, last_modified: None, mirror: None },
    );
    let mut wanted = Wanted::default();
    let (mut restarts, mut highs, mut high) = (0_u32, 0_u32, plan.done().len());
    let mut failed = false;
    for step in &input.steps {
        if failed || matches!(step, Step::NewAttempt) {
            plan = begin(plan.size(), plan.done().clone(), plan.validator().clone());
            plan.want(wanted.clone());
            (failed, restarts, highs, high) = (false, 0, 0, plan.done().len());
        }
        assert!(!plan.shown_url().contains("u:p"));
        match step {
            Step::NewAttempt => {}
            Step::Want { first, position, only_first } => {
                let range =
                    |(at, length): &(u8, u8)| FileRange::new(u64::from(*at), u64::from(*length).max(1));
                wanted.first = first.iter().map(range).collect();
                wanted.position = u64::from(*position);
                wanted.only_first = *only_first;
                plan.want(wanted.clone());
            }
            Step::LocalLost => match plan.local_lost("lost") {
                Ok(_) => restarts += 1,
                Err(_) => failed = true,
            },
            Step::Digest => failed = plan.digest_mismatch().is_err(),
            Step::Answer { status, framing, fields, got, end } => {
                let request = match plan.step() {
                    Next::Complete { size } => {
                        assert!(plan.done().contains(0..size));
                        assert!(plan.done().end() <= size, "bytes beyond the end of a complete file");
                        continue;
                    }
                    Next::Satisfied => {
                        assert!(wanted.only_first && !plan.is_urgent());
                        continue;
                    }
                    Next::Send(request) => request,
                };
                assert!(!request.credentials || request.url.origin() == original.origin());
                assert!(
                    request.target.starts_with('/') && request.target.bytes().all(|b| b.is_ascii_graphic())
                );
                if original.scheme() == "https" && !input.allow_https_to_http {
                    assert_eq!(request.url.scheme(), "https");
                }
                assert!(!request.if_range.as_deref().is_some_and(|value| value.starts_with("W/")));
                let list: Vec<_> = fields.iter().map(|field| header(field, &plan)).collect();
                let headers: Vec<(&str, &[u8])> = list.iter().map(|(n, v)| (*n, &**v)).collect();
                let framing = match framing {
                    Ends::Length(n) => Framing::Length(value(n, &plan)),
                    Ends::Chunked => Framing::Chunked,
                    Ends::UntilClose => Framing::UntilClose,
                    Ends::Stream(n) => Framing::Stream(n.as_ref().map(|n| value(n, &plan))),
                };
                let status = STATUS[usize::from(*status) % STATUS.len()];
                match plan.head(&Head { status, framing, headers: &headers }, 1_700_000_000) {
                    Decision::Accept(accept) => {
                        restarts += u32::from(accept.restart.is_some());
                        check_accept(&accept, &plan);
                        let (got, end) = received(&accept, got, end, &plan);
                        match plan.end(got, end) {
                            Ended::Next | Ended::Soon(_) => {}
                            Ended::Again(..) => unreachable!("nothing is dynamic here"),
                            Ended::Fail(fail) => {
                                failed = true;
                                assert!(!fail.discard || plan.done().is_empty());
                            }
                        }
                    }
                    Decision::Empty(_) => assert!(plan.done().is_empty()),
                    Decision::Again(restart) => restarts += u32::from(restart.is_some()),
                    Decision::Fail(_) => failed = true,
                }
            }
        }
        if let Some(size) = plan.size() {
            assert!(plan.done().end() <= size, "{:?} reaches beyond {size}", plan.done());
        }
        if plan.done().len() > high {
            (high, highs) = (plan.done().len(), highs + 1);
        }
        assert!(restarts <= MAX_RESTARTS * (highs + 1), "{restarts} restarts, {highs} times more than ever");
    }
});
