//! The origin when it behaves, and the brakes, counters and log that work with every behaviour.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

mod raw;

use std::io::Write as _;
use std::time::{Duration, Instant};

use openbits_testkit::{Content, OnAccept, Origin, OriginFile, Outcome};
use raw::{Ended, Raw, get};

#[test]
fn whole_ranges_and_head_agree() {
    let origin = Origin::start();
    let content = Content::new(1, 100_000);
    origin.put("a/b", content.clone());
    let mut raw = Raw::connect(origin.addr());
    raw.ask("GET", "/a/b?x", &[]);
    let whole = raw.answer();
    assert_eq!(whole.status, 200);
    assert_eq!(content.first_difference(0, &whole.body), None);
    assert_eq!(whole.body.len(), 100_000);
    let tag = whole.header("etag").unwrap().to_owned();

    raw.ask("GET", "/a/b", &["Range: bytes=10-19", &format!("If-Range: {tag}")]);
    let part = raw.answer();
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), Some("bytes 10-19/100000"));
    assert_eq!(part.body, content.byte_range(10, 10));
    assert_eq!(part.header("last-modified"), whole.header("last-modified"));

    raw.ask("HEAD", "/a/b", &[]);
    let seen = raw.read_until(Duration::from_secs(5), usize::MAX, |seen| seen.answer().is_some());
    let head = seen.answer().unwrap();
    assert_eq!(head.length(), Some(100_000));
    assert!(head.body.is_empty());
    raw.ask("GET", "/a/b", &["Range: bytes=0-0,5-6"]);
    let multi = raw.answer();
    assert!(multi.header("content-type").unwrap().starts_with("multipart/byteranges"));
    raw.ask("GET", "/a/b", &["Range: bytes=100000-"]);
    let beyond = raw.answer();
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */100000")));
    raw.ask("GET", "/none", &[]);
    assert_eq!(raw.answer().status, 404);

    let log = origin.log();
    assert_eq!(log.iter().map(|e| e.status.unwrap()).collect::<Vec<_>>(), [200, 206, 200, 206, 416, 404]);
    assert!(log.iter().all(|e| e.connection == log[0].connection), "one connection served them all");
    assert_eq!(log[1].range(), Some("bytes=10-19"));
    assert_eq!(log[1].header("IF-RANGE"), Some(tag.as_str()));
    assert_eq!(origin.sent("a/b"), 100_000 + 10 + 3);
    assert_eq!(origin.requests("a/b").len(), 5);
}

#[test]
fn a_replaced_file_voids_the_validator() {
    let origin = Origin::start();
    origin.put("f", Content::new(1, 1000));
    let old = get(origin.addr(), "/f", &[]);
    let fresh = Content::new(2, 1000);
    assert!(origin.replace("f", fresh.clone()));
    let tag = format!("If-Range: {}", old.header("etag").unwrap());
    let answer = get(origin.addr(), "/f", &["Range: bytes=500-", &tag]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, fresh.byte_range(0, 1000));
    assert_ne!(answer.header("last-modified"), old.header("last-modified"));
    assert_eq!(origin.content("f"), Some(fresh));
}

#[test]
fn a_hold_stops_at_its_byte_until_released() {
    let origin = Origin::start();
    origin.put("f", Content::new(1, 600_000));
    assert!(origin.hold("f", 300_001));
    let mut raw = Raw::connect(origin.addr());
    raw.ask("GET", "/f", &[]);
    assert!(origin.wait_held("f", Duration::from_secs(60)));
    assert_eq!(origin.sent("f"), 300_001);
    assert!(origin.release("f"));
    assert_eq!(raw.answer().body.len(), 600_000);
    assert_eq!(origin.held("f"), 0);
    // A client that goes away does not stay at the hold.
    origin.hold("f", 0);
    let mut raw = Raw::connect(origin.addr());
    raw.ask("GET", "/f", &[]);
    assert!(origin.wait_held("f", Duration::from_secs(60)));
    drop(raw);
    assert!(origin.wait_for_answers("f", 2, Duration::from_secs(60)));
    assert_eq!(origin.requests("f")[1].outcome, Outcome::ClientGone);
    assert_eq!(origin.held("f"), 0);
}

#[test]
fn throttles_hold_for_a_file_and_for_all_together() {
    let origin = Origin::start();
    origin.put("f", Content::new(1, 100_000));
    origin.put("g", Content::new(1, 50_000));
    origin.throttle("f", Some(400_000));
    let start = Instant::now();
    get(origin.addr(), "/f", &[]);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(220) && took < Duration::from_secs(30), "{took:?}");
    origin.throttle_all(Some(200_000));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| get(origin.addr(), "/g", &[]));
        }
    });
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
}

#[test]
fn connections_are_limited_counted_and_refused() {
    let origin = Origin::start();
    origin.put("f", Content::new(1, 10));
    origin.set_max_connections(1);
    let mut first = Raw::connect(origin.addr());
    first.ask("GET", "/f", &[]);
    assert_eq!(first.answer().status, 200);
    let mut second = Raw::connect(origin.addr());
    second.ask("GET", "/f", &[]);
    let seen = second.read_until(Duration::from_secs(5), 1, |_| false);
    // A close that comes before the request has arrived is seen as an end, one that comes after it as a reset.
    assert!(matches!(seen.ended, Ended::Reset | Ended::Eof) && seen.bytes.is_empty(), "{:?}", seen.ended);
    assert_eq!((origin.peak_connections(), origin.refused()), (1, 1));
    origin.set_max_connections(10);
    for (what, ended) in
        [(OnAccept::Reset, Ended::Reset), (OnAccept::Close, Ended::Eof), (OnAccept::Stall, Ended::Silence)]
    {
        origin.on_accept(what);
        let mut raw = Raw::connect(origin.addr());
        // Nothing is sent: unread bytes would turn a close into a reset.
        let seen = raw.read_until(Duration::from_millis(200), 1, |_| false);
        assert_eq!(seen.ended, ended, "{what:?}");
    }
}

#[test]
fn bad_requests_get_an_answer_and_no_panic() {
    let origin = Origin::start();
    let big = vec![b'x'; 100_000];
    let table: [(&[u8], u16); 4] = [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (&big, 431),
    ];
    for (bytes, status) in table {
        let mut raw = Raw::connect(origin.addr());
        let _ = raw.0.write_all(bytes);
        let seen = raw.read_until(Duration::from_secs(5), usize::MAX, |_| false);
        assert_eq!(seen.answer().map(|answer| answer.status), Some(status), "{}", seen.text());
    }
    origin.put("f", OriginFile::new(Content::new(1, 10)).any_method());
    let mut raw = Raw::connect(origin.addr());
    raw.ask("POST", "/f", &["Content-Length: 3"]);
    raw.0.write_all(b"abc").unwrap();
    assert_eq!(raw.answer().status, 200);
    assert_eq!(origin.requests("f")[0].request_body_bytes, 3);
}

#[test]
fn two_gibibytes_stream_without_memory() {
    let origin = Origin::start();
    let content = Content::new(4, 2 << 30);
    origin.put("big", content.clone());
    let answer = get(origin.addr(), "/big", &["Range: bytes=2147483640-"]);
    assert_eq!(answer.header("content-range"), Some("bytes 2147483640-2147483647/2147483648"));
    assert_eq!(answer.body, content.byte_range(2_147_483_640, 8));
}
