//! Walks all behaviours: the bytes of each are what its name says, seen by a client without opinions.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

mod raw;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openbits_testkit::{Behaviour, Content, Exchange, Origin, OriginFile};
use raw::{Answer, Ended, Raw, Seen};

const SIZE: u64 = 3000;
const AT: u64 = 1000;
/// Within it the byte [`AT`].
const RANGE: &str = "Range: bytes=500-2499";

/// One origin with one file, `f`.
struct Lab {
    origin: Origin,
    content: Content,
}

impl Lab {
    fn new(behaviour: Behaviour) -> Self {
        let origin = Origin::start();
        let content = Content::new(1, SIZE);
        origin.put("f", OriginFile::new(content.clone()).at(AT).behaviour(behaviour));
        Self { origin, content }
    }

    fn ask(&self, to: SocketAddr, method: &str, target: &str, headers: &[&str]) -> Seen {
        let mut raw = Raw::connect(to);
        raw.ask(method, target, headers);
        // Complete when the announced length has come; the wait after it shows whether more comes or the end.
        raw.read_until(Duration::from_millis(150), 4 << 20, |_| false)
    }

    fn whole(&self) -> Seen {
        self.ask(self.origin.addr(), "GET", "/f", &[])
    }

    fn part(&self) -> Seen {
        self.ask(self.origin.addr(), "GET", "/f", &[RANGE])
    }

    /// The same range under the condition that nothing has changed since `first`.
    fn part_if(&self, first: &Answer) -> Answer {
        let tag =
            first.header("etag").or(first.header("last-modified")).map(|tag| format!("If-Range: {tag}"));
        let headers: Vec<&str> = [Some(RANGE), tag.as_deref()].into_iter().flatten().collect();
        let seen = self.ask(self.origin.addr(), "GET", "/f", &headers);
        seen.answer().unwrap_or_else(|| panic!("no answer: {}", seen.text()))
    }

    fn head(&self) -> Seen {
        self.ask(self.origin.addr(), "HEAD", "/f", &[])
    }

    fn bytes(&self, start: u64, end: u64) -> Vec<u8> {
        self.content.byte_range(start, end - start)
    }

    fn log(&self) -> Vec<Exchange> {
        self.origin.requests("f")
    }
}

fn answer(seen: &Seen) -> Answer {
    seen.answer().unwrap_or_else(|| panic!("no answer: {:?} {}", seen.ended, seen.text()))
}

/// 206 labelled `label` with the bytes asked for.
fn labelled(lab: &Lab, label: Option<&str>) {
    let part = answer(&lab.part());
    assert_eq!((part.status, part.header("content-range")), (206, label));
    assert_eq!(part.body, lab.bytes(500, 2500));
}

fn redirects_to(lab: &Lab, place: Option<&str>) {
    let first = answer(&lab.whole());
    assert_eq!((first.status, first.header("location")), (302, place));
}

fn lands(lab: &Lab, status: u16) {
    let first = answer(&lab.whole());
    assert_eq!(first.status, status);
    let place = first.header("location").unwrap();
    let rest = place.split_once("://").map_or(place, |(_, rest)| rest.split_once('/').unwrap().1);
    let to = if place.contains(&lab.origin.other_addr().to_string()) {
        lab.origin.other_addr()
    } else {
        lab.origin.addr()
    };
    let landed = answer(&lab.ask(to, "GET", &format!("/{rest}"), &[]));
    assert_eq!((landed.status, landed.body), (200, lab.bytes(0, SIZE)));
}

/// 200 with a correct body after `skip` bytes that come before the answer.
fn good_after(seen: &Seen, lab: &Lab, skip: usize) {
    let rest = Seen { bytes: seen.bytes[skip..].to_vec(), ..seen.clone() };
    let answer = answer(&rest);
    assert_eq!((answer.status, answer.body), (200, lab.bytes(0, SIZE)));
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let at = body.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..at]).ok()?, 16).ok()?;
        body = &body[at + 2..];
        if size == 0 {
            return (body == b"\r\n").then_some(out);
        }
        out.extend_from_slice(body.get(..size)?);
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// The first answer is cut at the byte; the returned pair is that answer and the next one, with the condition.
fn changes(lab: &Lab) -> (Answer, Answer) {
    let seen = lab.part();
    let first = answer(&seen);
    assert_eq!((seen.ended, &first.body), (Ended::Eof, &lab.bytes(500, AT)));
    assert_ne!(lab.origin.content("f").unwrap(), lab.content);
    let second = lab.part_if(&first);
    (first, second)
}

fn check(behaviour: Behaviour) {
    let lab = Lab::new(behaviour);
    let new = |lab: &Lab| lab.origin.content("f").unwrap();
    match behaviour {
        Behaviour::Good => {
            labelled(&lab, Some("bytes 500-2499/3000"));
            let whole = answer(&lab.whole());
            assert_eq!((whole.status, whole.body), (200, lab.bytes(0, SIZE)));
        }
        Behaviour::NoRanges => {
            for _ in 0..2 {
                let part = answer(&lab.part());
                assert_eq!((part.status, part.body.len()), (200, 3000));
                assert_eq!(part.header("accept-ranges"), None);
            }
        }
        Behaviour::RangesOnlyAfterFirst => {
            assert_eq!(answer(&lab.part()).status, 200);
            labelled(&lab, Some("bytes 500-2499/3000"));
        }
        Behaviour::PartialNoContentRange => labelled(&lab, None),
        Behaviour::PartialWrongStart => labelled(&lab, Some("bytes 501-2500/3000")),
        Behaviour::PartialWrongEnd => labelled(&lab, Some("bytes 500-2500/3000")),
        Behaviour::PartialWrongTotal => labelled(&lab, Some("bytes 500-2499/3001")),
        Behaviour::PartialStarTotal => labelled(&lab, Some("bytes 500-2499/*")),
        Behaviour::PartialWrongUnit => labelled(&lab, Some("items 500-2499/3000")),
        Behaviour::PartialGarbage => labelled(&lab, Some("bytes a-b/c")),
        Behaviour::PartialMultipart => {
            let part = answer(&lab.part());
            assert!(part.header("content-type").unwrap().starts_with("multipart/byteranges; boundary="));
            assert!(part.body.windows(2000).any(|window| window == lab.bytes(500, 2500)));
        }
        Behaviour::PartialUnasked => {
            let whole = answer(&lab.whole());
            assert_eq!((whole.status, whole.header("content-range")), (206, Some("bytes 0-1499/3000")));
        }
        Behaviour::PartialShorter => {
            let part = answer(&lab.part());
            assert_eq!(part.header("content-range"), Some("bytes 500-1499/3000"));
            assert_eq!(part.body, lab.bytes(500, 1500));
        }
        Behaviour::PartialWrongBytes | Behaviour::PartialOtherRange => {
            let part = answer(&lab.part());
            let honest = behaviour == Behaviour::PartialOtherRange;
            let label = if honest { "bytes 0-1999/3000" } else { "bytes 500-2499/3000" };
            assert_eq!((part.status, part.header("content-range")), (206, Some(label)));
            assert_eq!(part.body, lab.bytes(0, 2000));
        }
        Behaviour::ContentRangeOddSpelling => {
            assert!(lab.part().text().contains("\r\ncontent-RANGE:  BYTES  500-2499/3000 \r\n"));
        }
        Behaviour::AcceptRangesNone => {
            labelled(&lab, Some("bytes 500-2499/3000"));
            assert_eq!(answer(&lab.part()).header("accept-ranges"), Some("none"));
        }
        Behaviour::TotalChanges => {
            labelled(&lab, Some("bytes 500-2499/3000"));
            labelled(&lab, Some("bytes 500-2499/3001"));
        }
        Behaviour::Range416Once => {
            let first = answer(&lab.part());
            assert_eq!((first.status, first.header("content-range")), (416, Some("bytes */3000")));
            labelled(&lab, Some("bytes 500-2499/3000"));
        }
        Behaviour::Range416NoTotal => {
            let first = answer(&lab.part());
            assert_eq!((first.status, first.header("content-range")), (416, None));
            assert_eq!(answer(&lab.part()).status, 416);
        }
        Behaviour::IfRangeIgnored => {
            let (first, second) = changes(&lab);
            assert_eq!(second.status, 206);
            assert_ne!(second.header("etag").unwrap(), first.header("etag").unwrap());
            assert_eq!(second.body, new(&lab).byte_range(500, 2000));
        }
        Behaviour::IfRangeIgnoredNoValidators => {
            let (first, second) = changes(&lab);
            assert_eq!((second.status, second.header("content-range")), (206, Some("bytes 500-2499/3000")));
            for one in [&first, &second] {
                assert_eq!((one.header("etag"), one.header("last-modified")), (None, None));
            }
            assert_eq!(second.body, new(&lab).byte_range(500, 2000));
        }
        Behaviour::EtagAlwaysNew | Behaviour::DateAlwaysNew => {
            let name = if behaviour == Behaviour::EtagAlwaysNew { "etag" } else { "last-modified" };
            let first = answer(&lab.part());
            let second = lab.part_if(&first);
            assert_eq!(second.status, 200, "the condition does not hold");
            assert_ne!(first.header(name).unwrap(), second.header(name).unwrap());
            assert_eq!(second.body, lab.bytes(0, SIZE));
        }
        Behaviour::WeakEtag => {
            let first = answer(&lab.part());
            assert!(first.header("etag").unwrap().starts_with("W/\""));
            assert_eq!(first.header("last-modified"), None);
            assert_eq!(lab.part_if(&first).status, 200);
        }
        Behaviour::NoValidators | Behaviour::OnlyDate | Behaviour::OnlyEtag => {
            let first = answer(&lab.part());
            assert_eq!(first.header("etag").is_some(), behaviour == Behaviour::OnlyEtag);
            assert_eq!(first.header("last-modified").is_some(), behaviour == Behaviour::OnlyDate);
            assert_eq!(lab.part_if(&first).status, 206);
        }
        Behaviour::GarbageEtag => assert!(!answer(&lab.part()).header("etag").unwrap().contains('"')),
        Behaviour::GarbageDate => {
            assert_eq!(answer(&lab.part()).header("last-modified"), Some("yesterday"));
        }
        Behaviour::FarmNodes => {
            let mut raw = Raw::connect(lab.origin.addr());
            let mut tag = || {
                raw.ask("GET", "/f", &[RANGE]);
                raw.answer().header("etag").unwrap().to_owned()
            };
            assert_eq!(tag(), tag(), "one connection, one node");
            assert_ne!(Some(tag().as_str()), answer(&lab.part()).header("etag"));
        }
        Behaviour::ChangesEtag => {
            let (first, second) = changes(&lab);
            assert_eq!((second.status, &second.body), (200, &new(&lab).byte_range(0, SIZE)));
            assert_ne!(first.header("etag"), second.header("etag"));
        }
        Behaviour::ChangesDate => {
            let (first, second) = changes(&lab);
            assert_eq!((second.status, second.body.len(), second.header("etag")), (200, 3000, None));
            assert_ne!(first.header("last-modified"), second.header("last-modified"));
        }
        Behaviour::ChangesSize => {
            let (first, second) = changes(&lab);
            assert_eq!((second.status, second.header("content-range")), (206, Some("bytes 500-2499/4501")));
            assert_eq!(first.header("etag"), second.header("etag"));
            assert_eq!(first.header("last-modified"), second.header("last-modified"));
        }
        Behaviour::ChangesSilently => {
            let (first, second) = changes(&lab);
            assert_eq!((second.status, second.header("content-range")), (206, Some("bytes 500-2499/3000")));
            assert_eq!(first.header("etag"), second.header("etag"));
            assert_eq!(second.body, new(&lab).byte_range(500, 2000));
        }
        Behaviour::TornBody => {
            let whole = answer(&lab.whole());
            assert_eq!(whole.body.len(), 3000);
            assert_eq!(lab.content.first_difference(0, &whole.body), Some(AT));
            assert_eq!(lab.content.successor(SIZE).first_difference(AT, &whole.body[1000..]), None);
        }
        Behaviour::FlippedByte => {
            let whole = answer(&lab.whole());
            let mut body = whole.body.clone();
            assert_eq!((body.len(), lab.content.first_difference(0, &body)), (3000, Some(AT)));
            body[usize::try_from(AT).unwrap()] ^= 1;
            assert_eq!(lab.content.first_difference(0, &body), None);
        }
        Behaviour::NoContentLength => {
            let seen = lab.whole();
            let whole = answer(&seen);
            assert_eq!(
                (seen.ended, whole.length(), whole.header("transfer-encoding")),
                (Ended::Eof, None, None)
            );
            assert_eq!(whole.body, lab.bytes(0, SIZE));
        }
        Behaviour::Chunked | Behaviour::ChunkedAndLength | Behaviour::TransferGzip => {
            let whole = answer(&lab.whole());
            let length = (behaviour == Behaviour::ChunkedAndLength).then_some(5);
            assert_eq!(whole.length(), length);
            let coding = if behaviour == Behaviour::TransferGzip { "gzip, chunked" } else { "chunked" };
            assert_eq!(whole.header("transfer-encoding"), Some(coding));
            assert_eq!(unchunk(&whole.body), Some(lab.bytes(0, SIZE)));
        }
        Behaviour::ChunkedBadSize => assert!(lab.whole().text().contains("\r\nzz\r\n")),
        Behaviour::ChunkedTruncated | Behaviour::ChunkedNoEnd => {
            let seen = lab.whole();
            let body = answer(&seen).body;
            assert_eq!((seen.ended, unchunk(&body)), (Ended::Eof, None));
            let complete = unchunk(&[body.as_slice(), b"0\r\n\r\n"].concat());
            assert_eq!(complete.is_some(), behaviour == Behaviour::ChunkedNoEnd);
        }
        Behaviour::ShortClose | Behaviour::ShortReset | Behaviour::Goaway => {
            let seen = lab.part();
            let part = answer(&seen);
            assert_eq!((part.length(), part.body), (Some(2000), lab.bytes(500, AT)));
            let reset = behaviour == Behaviour::ShortReset;
            assert_eq!(seen.ended, if reset { Ended::Reset } else { Ended::Eof });
        }
        Behaviour::LongBody => {
            let whole = answer(&lab.whole());
            assert_eq!((whole.length(), whole.body.len()), (Some(3000), 3100));
        }
        Behaviour::LengthMismatch => {
            let part = answer(&lab.part());
            assert_eq!(
                (part.header("content-range"), part.length()),
                (Some("bytes 500-2499/3000"), Some(1999))
            );
            assert_eq!(part.body.len(), 2000);
        }
        Behaviour::TwoLengths => {
            let text = lab.whole().text();
            assert!(text.contains("Content-Length: 3000\r\n") && text.contains("Content-Length: 3001\r\n"));
        }
        Behaviour::NegativeLength => assert_eq!(answer(&lab.whole()).header("content-length"), Some("-1")),
        Behaviour::GarbageLength => assert_eq!(answer(&lab.whole()).header("content-length"), Some("many")),
        Behaviour::OverflowLength => {
            assert_eq!(answer(&lab.whole()).header("content-length"), Some("18446744073709551617"));
        }
        Behaviour::ContentGzip => {
            let whole = answer(&lab.whole());
            assert_eq!(whole.header("content-encoding"), Some("gzip"));
            assert_eq!(whole.length(), Some(whole.body.len()));
            assert_eq!(whole.body[..3], [0x1f, 0x8b, 8]);
            assert_eq!(whole.body[10..15], [1, 0xb8, 0x0b, 0x47, 0xf4], "one stored block of 3000 bytes");
            assert_eq!(whole.body[15..3015], lab.bytes(0, SIZE));
        }
        Behaviour::EmptyFile => {
            assert_eq!(answer(&lab.whole()).length(), Some(0));
            let part = answer(&lab.part());
            assert_eq!((part.status, part.header("content-range")), (416, Some("bytes */0")));
        }
        Behaviour::OneByteFile => {
            let seen = lab.ask(lab.origin.addr(), "GET", "/f", &["Range: bytes=0-0"]);
            let part = answer(&seen);
            assert_eq!((part.header("content-range"), &part.body), (Some("bytes 0-0/1"), &lab.bytes(0, 1)));
        }
        Behaviour::CaptivePortal => {
            let part = answer(&lab.part());
            assert_eq!((part.status, part.header("content-type")), (200, Some("text/html")));
        }
        Behaviour::RetryAfterSeconds | Behaviour::RetryAfterAbsurd | Behaviour::RetryAfterGarbage => {
            let value = match behaviour {
                Behaviour::RetryAfterSeconds => "1",
                Behaviour::RetryAfterAbsurd => "99999999999999999999",
                _ => "soon",
            };
            let first = answer(&lab.part());
            assert_eq!((first.status, first.header("retry-after")), (429, Some(value)));
        }
        Behaviour::RetryAfterDate => {
            let first = answer(&lab.part());
            assert_eq!(first.status, 429);
            assert!(first.header("retry-after").unwrap().ends_with(" GMT"));
        }
        Behaviour::Busy => {
            let first = answer(&lab.part());
            assert_eq!((first.status, first.header("retry-after")), (503, Some("1")));
        }
        Behaviour::BusyTwice => {
            assert_eq!(answer(&lab.head()).status, 503);
            let statuses: Vec<u16> = (0..3).map(|_| answer(&lab.part()).status).collect();
            assert_eq!(statuses, [503, 503, 206]);
        }
        Behaviour::WantsBasic => {
            let first = answer(&lab.part());
            assert_eq!((first.status, first.header("www-authenticate")), (401, Some("Basic realm=\"test\"")));
            let seen = lab.ask(lab.origin.addr(), "GET", "/f", &["Authorization: Basic eDp5"]);
            assert_eq!(answer(&seen).status, 200);
            assert!(!lab.log()[0].has_credentials() && lab.log()[1].has_credentials());
        }
        // `Host` of these requests is "test".
        Behaviour::RedirectLoop => redirects_to(&lab, Some("http://test/f")),
        Behaviour::RedirectNoLocation => redirects_to(&lab, None),
        Behaviour::RedirectFile => redirects_to(&lab, Some("file:///etc/passwd")),
        Behaviour::RedirectFtp => redirects_to(&lab, Some("ftp://127.0.0.1/file")),
        Behaviour::RedirectGarbage => redirects_to(&lab, Some("http://[::bad")),
        Behaviour::RedirectRelative => {
            redirects_to(&lab, Some("f?hop=1"));
            lands(&lab, 302);
        }
        Behaviour::RedirectCrossOrigin => {
            redirects_to(&lab, Some(&format!("{}?hop=1", lab.origin.other_url("f"))));
            lands(&lab, 302);
        }
        Behaviour::RedirectPlain => {
            redirects_to(&lab, Some(&format!("{}?hop=1", lab.origin.url("f"))));
            lands(&lab, 302);
        }
        Behaviour::RedirectLong => {
            assert_eq!(answer(&lab.whole()).header("location").unwrap().len(), 60_000);
            lands(&lab, 302);
        }
        Behaviour::Redirect(status) => lands(&lab, status),
        Behaviour::RedirectChain(length) => {
            for hop in 0..=length {
                let mut raw = Raw::connect(lab.origin.addr());
                raw.ask("GET", &format!("/f?hop={hop}"), &[]);
                assert_eq!(raw.answer().status, if hop < length { 302 } else { 200 });
            }
        }
        Behaviour::GarbageStatus => assert!(lab.whole().text().starts_with("HTTQ/one.1 abc %%\r\n")),
        Behaviour::Http09 => {
            let seen = lab.whole();
            assert_eq!((seen.ended, seen.bytes), (Ended::Eof, lab.bytes(0, SIZE)));
        }
        Behaviour::Http10 | Behaviour::Http10NoRanges => {
            let seen = lab.part();
            let status = if behaviour == Behaviour::Http10 { 206 } else { 200 };
            assert!(seen.text().starts_with(&format!("HTTP/1.0 {status} ")));
            assert_eq!(seen.ended, Ended::Eof);
        }
        Behaviour::HeaderNoColon => {
            let seen = lab.whole();
            assert!(seen.text().contains("\r\nthis line has no colon\r\n"));
            good_after(&seen, &lab, 0);
        }
        Behaviour::NulInHeader => assert!(lab.whole().text().contains("X-Nul: a\0b\r\n")),
        Behaviour::ObsFold => assert!(lab.whole().text().contains("X-Fold: a\r\n  b\r\n")),
        Behaviour::HugeHeader => {
            assert_eq!(answer(&lab.whole()).header("x-huge").unwrap().len(), 1 << 20);
        }
        Behaviour::ManyHeaders => assert!(answer(&lab.whole()).headers.len() > 10_000),
        Behaviour::BareLf => {
            let seen = lab.whole();
            assert!(seen.text().starts_with("HTTP/1.1 200 OK\n"));
            assert!(seen.bytes.windows(2).any(|two| two == b"\n\n"));
        }
        Behaviour::SpaceBeforeColon => assert!(lab.whole().text().contains("\r\nContent-Length : 3000\r\n")),
        Behaviour::EndlessHeaders | Behaviour::EndlessEarlyHints => {
            let seen = lab.whole();
            assert!(seen.ended == Ended::Enough && seen.bytes.len() >= 4 << 20);
        }
        Behaviour::Continue => {
            let seen = lab.whole();
            assert!(seen.text().starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"));
            good_after(&seen, &lab, 25);
        }
        Behaviour::EarlyHints | Behaviour::ManyEarlyHints => {
            let seen = lab.whole();
            let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
            let count = if behaviour == Behaviour::EarlyHints { 1 } else { 100 };
            assert_eq!(seen.text().matches(hint).count(), count);
            good_after(&seen, &lab, hint.len() * count);
        }
        Behaviour::NeverAnswers => {
            let seen = lab.whole();
            assert_eq!((seen.ended, seen.bytes.len()), (Ended::Silence, 0));
            assert_eq!(lab.log().len(), 1);
        }
        Behaviour::AnswersLate => {
            let mut raw = Raw::connect(lab.origin.addr());
            raw.ask("GET", "/f", &[]);
            let start = Instant::now();
            assert_eq!(raw.answer().body, lab.bytes(0, SIZE));
            assert!(start.elapsed() >= Duration::from_millis(950));
        }
        Behaviour::ClosesUnanswered | Behaviour::ResetsUnanswered => {
            let seen = lab.whole();
            let ended = if behaviour == Behaviour::ClosesUnanswered { Ended::Eof } else { Ended::Reset };
            assert_eq!((seen.ended, seen.bytes.len()), (ended, 0));
        }
        Behaviour::StallsInHeader => {
            let seen = lab.whole();
            assert!(seen.text().starts_with("HTTP/1.1 200 OK\r\n") && seen.answer().is_none());
            assert_eq!(seen.ended, Ended::Silence);
        }
        Behaviour::StallsInBody => {
            let seen = lab.part();
            assert_eq!((seen.ended, answer(&seen).body), (Ended::Silence, lab.bytes(500, AT)));
        }
        Behaviour::Trickle => {
            let seen = lab.part();
            assert_eq!(answer(&seen).body, lab.bytes(500, 501));
            let mut raw = Raw::connect(lab.origin.addr());
            raw.ask("GET", "/f", &[RANGE]);
            let two = |seen: &Seen| seen.answer().is_some_and(|answer| answer.body.len() == 2);
            let seen = raw.read_until(Duration::from_secs(3), usize::MAX, two);
            assert!(seen.took >= Duration::from_millis(950), "{:?}", seen.took);
        }
        Behaviour::KeepAliveLie => {
            let seen = lab.whole();
            let whole = answer(&seen);
            assert_eq!((whole.header("connection"), &whole.body), (None, &lab.bytes(0, SIZE)));
            assert_eq!(seen.ended, Ended::Eof);
        }
        Behaviour::UnaskedSecondAnswer => {
            let body = answer(&lab.whole()).body;
            assert_eq!(body[..3000], lab.bytes(0, SIZE));
            assert!(body[3000..].starts_with(b"HTTP/1.1 200 OK\r\n") && body.ends_with(b"EVIL!"));
        }
        Behaviour::HeadRefused | Behaviour::HeadForbidden | Behaviour::HeadLies | Behaviour::HeadNoLength => {
            let head = answer(&lab.head());
            let (status, length) = match behaviour {
                Behaviour::HeadRefused => (405, Some(3)),
                Behaviour::HeadForbidden => (403, Some(3)),
                Behaviour::HeadLies => (200, Some(3001)),
                _ => (200, None),
            };
            assert_eq!((head.status, head.length(), head.body.len()), (status, length, 0));
            labelled(&lab, Some("bytes 500-2499/3000"));
        }
        Behaviour::HeadWithBody => assert_eq!(answer(&lab.head()).body, lab.bytes(0, SIZE)),
        Behaviour::Status(status) => {
            let seen = lab.part();
            let part = answer(&seen);
            assert_eq!(part.status, status);
            assert_eq!(part.body.is_empty(), [204, 205, 304].contains(&status));
            let companion = match status {
                401 => Some("www-authenticate"),
                405 => Some("allow"),
                407 => Some("proxy-authenticate"),
                416 => Some("content-range"),
                _ => None,
            };
            assert!(companion.is_none_or(|name| part.header(name).is_some()));
        }
    }
    let log = lab.log();
    assert!(log.iter().all(|exchange| exchange.behaviour == Some(behaviour)
        || behaviour == Behaviour::Range416Once
        || format!("{behaviour}").starts_with("changes")));
    assert!(!log.is_empty(), "the log has the requests");
}

#[test]
fn every_behaviour_does_what_its_name_says() {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    while let Some(behaviour) = Behaviour::ALL.get(next.fetch_add(1, Ordering::SeqCst)) {
                        if std::panic::catch_unwind(|| check(*behaviour)).is_err() {
                            failed.push(behaviour.to_string());
                        }
                    }
                    failed
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_behaviour_ends_after_its_times() {
    let lab = Lab::new(Behaviour::Good);
    lab.origin
        .put("f", OriginFile::new(lab.content.clone()).behaviour(Behaviour::ShortReset).at(AT).times(2));
    let ends: Vec<Ended> = (0..3).map(|_| lab.part().ended).collect();
    assert_eq!(ends, [Ended::Reset, Ended::Reset, Ended::Silence]);
}

#[test]
fn paths_make_files() {
    let origin = Origin::start();
    let reply = raw::get(origin.addr(), "/b/no-ranges/100/x?seed=7&times=1", &["Range: bytes=0-0"]);
    assert_eq!((reply.status, reply.body), (200, Content::new(7, 100).byte_range(0, 100)));
    assert_eq!(raw::get(origin.addr(), "/b/no-ranges/100/x", &["Range: bytes=0-0"]).status, 206);
    for wrong in ["/b/no-such/100", "/b/good", "/b/good/x", "/b/good/-1"] {
        assert_eq!(raw::get(origin.addr(), wrong, &[]).status, 404, "{wrong}");
    }
}
