//! Every decision of the plan, by name.
#![allow(clippy::type_complexity)] // tables
use super::*;

const DATE: (&str, &str) = ("date", "Sat, 21 Nov 2026 12:00:00 GMT");
const OLD: (&str, &str) = ("last-modified", "Sat, 21 Nov 2026 11:00:00 GMT");
const OLD2: (&str, &str) = ("last-modified", "Sat, 21 Nov 2026 11:00:01 GMT");
const FRESH: (&str, &str) = ("last-modified", "Sat, 21 Nov 2026 11:59:30 GMT");
const A: (&str, &str) = ("etag", "\"a\"");
const B: (&str, &str) = ("etag", "\"b\"");
const WEAK: (&str, &str) = ("etag", "W/\"a\"");
const BIN: (&str, &str) = ("content-type", "application/octet-stream");
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const LIMITS: Limits = Limits { max_redirects: 10, allow_https_to_http: false };
const URL: &str = "https://origin.test/file.iso";

fn etag(tag: &str) -> Validator {
    Validator { etag: Some(format!("\"{tag}\"")), last_modified: None, mirror: None }
}

fn dated() -> Validator {
    Validator { etag: None, last_modified: Some(OLD.1.to_owned()), mirror: None }
}

fn fresh_plan(url: &str) -> FilePlan {
    FilePlan::new(url, None, RangeSet::new(), Validator::default(), LIMITS).unwrap().0
}

/// 40 of 100 bytes kept.
fn kept(validator: Validator) -> FilePlan {
    let (plan, restart) = FilePlan::new(URL, Some(100), RangeSet::prefix(40), validator, LIMITS).unwrap();
    assert_eq!(restart, None);
    plan
}

fn ask(plan: &mut FilePlan) -> Request {
    match plan.step() {
        Next::Send(request) => *request,
        other => panic!("{other:?}"),
    }
}

fn answer(plan: &mut FilePlan, status: u16, framing: Framing, headers: &[(&str, &str)]) -> Decision {
    ask(plan);
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    plan.head(&Head { status, framing, headers: &headers }, 1_795_262_400)
}

fn accepted(decision: Decision) -> Accept {
    match decision {
        Decision::Accept(accept) => accept,
        other => panic!("{other:?}"),
    }
}

fn failed(decision: Decision) -> (u32, Class) {
    match decision {
        Decision::Fail(fail) => (fail.code.bits(), fail.class),
        other => panic!("{other:?}"),
    }
}

fn fatal(code: u32) -> (u32, Class) {
    (code, Class::Fatal)
}

fn transient(code: u32) -> (u32, Class) {
    (code, Class::Transient)
}

fn cut() -> BodyEnd {
    BodyEnd::Cut { code: ERROR_WINHTTP_CONNECTION_ERROR, detail: "cut".into() }
}

const L: fn(u64) -> Framing = Framing::Length;

#[test]
fn first_request_is_a_ranged_get_without_condition() {
    let request = ask(&mut fresh_plan("https://origin.test/a%20b/./c?sig=X%2F#frag"));
    assert_eq!(request.range.as_deref(), Some("bytes=0-"));
    assert_eq!(request.if_range, None);
    assert_eq!(request.target, "/a%20b/./c?sig=X%2F");
    assert!(request.credentials && !request.no_cache);
    assert_eq!(request.url.fragment(), None);
}

#[test]
fn illegal_characters_in_a_url_are_escaped() {
    assert_eq!(ask(&mut fresh_plan("http://h/a b\u{e9}")).target, "/a%20b%C3%A9");
    assert_eq!(ask(&mut fresh_plan("http://h")).target, "/");
    assert_eq!(ask(&mut fresh_plan("http://h?q")).target, "/?q");
}

#[test]
fn urls_that_cannot_be_asked_fail() {
    for (url, code) in [
        ("ftp://h/x", 0x8007_2EE6),
        ("nonsense", 0x8007_2EE5),
        ("file://h/x", 0x8007_2EE5),
        ("smb://h/x", 0x8007_2EE5),
        ("http://", 0x8007_2EE5),
    ] {
        let fail = FilePlan::new(url, None, RangeSet::new(), Validator::default(), LIMITS).unwrap_err();
        assert_eq!((fail.code.bits(), fail.class), fatal(code), "{url}");
    }
}

#[test]
fn a_continuation_carries_range_and_if_range() {
    let request = ask(&mut kept(etag("a")));
    assert_eq!(request.range.as_deref(), Some("bytes=40-"));
    assert_eq!(request.if_range.as_deref(), Some("\"a\""));
    assert_eq!(ask(&mut kept(dated())).if_range.as_deref(), Some(OLD.1));
}

#[test]
fn a_hole_is_asked_for_with_its_end() {
    let done: RangeSet = [0..10, 20..30].into_iter().collect();
    let (mut plan, _) = FilePlan::new(URL, Some(100), done, etag("a"), LIMITS).unwrap();
    assert_eq!(ask(&mut plan).range.as_deref(), Some("bytes=10-19"));
}

#[test]
fn kept_bytes_without_validator_are_thrown_away() {
    for (size, validator) in [(Some(100), Validator::default()), (None, dated()), (Some(30), etag("a"))] {
        let (mut plan, restart) = FilePlan::new(URL, size, RangeSet::prefix(40), validator, LIMITS).unwrap();
        assert!(restart.is_some());
        assert_eq!(ask(&mut plan).range.as_deref(), Some("bytes=0-"));
    }
}

#[test]
fn a_whole_file_needs_no_request() {
    let (mut plan, restart) =
        FilePlan::new(URL, Some(100), RangeSet::prefix(100), Validator::default(), LIMITS).unwrap();
    assert_eq!((restart, plan.step()), (None, Next::Complete { size: 100 }));
    let (mut plan, _) = FilePlan::new(URL, Some(0), RangeSet::new(), etag("a"), LIMITS).unwrap();
    ask(&mut plan); // an empty file is asked for again: nothing binds it
}

#[test]
fn first_answers() {
    type Case<'a> =
        (&'a str, u16, Framing, &'a [(&'a str, &'a str)], Result<(Option<u64>, Option<u64>), (u32, Class)>);
    let cases: &[Case<'_>] = &[
        ("206 whole", 206, L(100), &[("content-range", "bytes 0-99/100"), A], Ok((Some(100), Some(100)))),
        (
            "206 capped by the server",
            206,
            L(10),
            &[("content-range", "bytes 0-9/100"), A],
            Ok((Some(10), Some(100))),
        ),
        (
            "206 chunked",
            206,
            Framing::Chunked,
            &[("content-range", "bytes 0-99/100")],
            Ok((Some(100), Some(100))),
        ),
        (
            "206 until close",
            206,
            Framing::UntilClose,
            &[("content-range", "bytes 0-99/100")],
            Ok((Some(100), Some(100))),
        ),
        (
            "206 over HTTP/2",
            206,
            Framing::Stream(None),
            &[("content-range", "bytes 0-99/100")],
            Ok((Some(100), Some(100))),
        ),
        ("200 with length", 200, L(100), &[A], Ok((Some(100), Some(100)))),
        ("200 empty", 200, L(0), &[], Ok((Some(0), Some(0)))),
        ("200 chunked", 200, Framing::Chunked, &[], Ok((None, None))),
        ("200 HTTP/2 without length", 200, Framing::Stream(None), &[], Ok((None, None))),
        ("200 until close", 200, Framing::UntilClose, &[], Err(fatal(0x8020_0011))),
        ("200 that is a part", 200, L(60), &[("content-range", "bytes 40-99/100")], Err(fatal(0x8020_0013))),
        (
            "200 with the whole range",
            200,
            L(100),
            &[("content-range", "bytes 0-99/100")],
            Ok((Some(100), Some(100))),
        ),
        ("200 gzip", 200, L(100), &[("content-encoding", "gzip")], Err(fatal(0x8020_001B))),
        ("200 identity", 200, L(100), &[("content-encoding", "identity")], Ok((Some(100), Some(100)))),
        (
            "200 transfer gzip",
            200,
            Framing::Chunked,
            &[("transfer-encoding", "gzip, chunked")],
            Err(fatal(0x8020_001B)),
        ),
        (
            "206 gzip",
            206,
            L(100),
            &[("content-range", "bytes 0-99/100"), ("content-encoding", "br")],
            Err(fatal(0x8020_001B)),
        ),
        ("206 without range", 206, L(100), &[], Err(fatal(0x8020_0013))),
        ("206 other start", 206, L(90), &[("content-range", "bytes 10-99/100")], Err(fatal(0x8020_0013))),
        ("206 beyond total", 206, L(100), &[("content-range", "bytes 0-99/50")], Err(fatal(0x8020_0013))),
        ("206 backwards", 206, L(100), &[("content-range", "bytes 9-0/100")], Err(fatal(0x8020_0013))),
        ("206 other unit", 206, L(100), &[("content-range", "items 0-99/100")], Err(fatal(0x8020_0013))),
        ("206 signs", 206, L(100), &[("content-range", "bytes +0-99/100")], Err(fatal(0x8020_0013))),
        (
            "206 overflow",
            206,
            L(100),
            &[("content-range", "bytes 0-18446744073709551615/*")],
            Err(fatal(0x8020_0013)),
        ),
        (
            "206 two different ranges",
            206,
            L(100),
            &[("content-range", "bytes 0-99/100"), ("content-range", "bytes 0-99/200")],
            Err(fatal(0x8020_0013)),
        ),
        (
            "206 contradicting length",
            206,
            L(50),
            &[("content-range", "bytes 0-99/100")],
            Err(fatal(0x8020_001B)),
        ),
        ("206 unknown total", 206, L(100), &[("content-range", "bytes 0-99/*")], Err(fatal(0x8020_0011))),
        (
            "206 multipart",
            206,
            L(100),
            &[("content-type", "multipart/byteranges; boundary=x")],
            Err(fatal(0x8020_001B)),
        ),
        ("impossible length", 200, L(u64::MAX), &[], Err(fatal(0x8020_001B))),
        ("login page for an image", 200, L(9), &[HTML], Err(transient(0x8007_2F78))),
        ("page with a version", 200, L(9), &[HTML, A], Ok((Some(9), Some(9)))),
        ("204", 204, L(0), &[], Err(transient(0x8019_00CC))),
        ("205", 205, L(0), &[], Err(fatal(0x8019_00CD))),
        ("203 changed on the way", 203, L(9), &[], Err(transient(0x8019_00CB))),
        ("300", 300, L(0), &[("location", "/x")], Err(fatal(0x8019_012C))),
        ("304 unasked", 304, L(0), &[], Err(fatal(0x8019_0130))),
        ("302 without place", 302, L(0), &[], Err(fatal(0x8019_012E))),
        ("308 without place", 308, L(0), &[], Err(transient(0x8019_0134))),
        ("401", 401, L(0), &[], Err(fatal(0x8019_0191))),
        ("403", 403, L(0), &[], Err(fatal(0x8019_0193))),
        ("404", 404, L(0), &[], Err(fatal(0x8019_0194))),
        ("407", 407, L(0), &[], Err(fatal(0x8019_0197))),
        ("408", 408, L(0), &[], Err(transient(0x8019_0198))),
        ("412", 412, L(0), &[], Err(fatal(0x8019_019C))),
        ("429", 429, L(0), &[], Err(transient(0x8019_01AD))),
        ("500", 500, L(0), &[], Err(transient(0x8019_01F4))),
        ("503", 503, L(0), &[], Err(transient(0x8019_01F7))),
        ("999", 999, L(0), &[], Err(transient(0x8019_03E7))),
    ];
    for (name, status, framing, headers, expected) in cases {
        let decision = answer(&mut fresh_plan(URL), *status, *framing, headers);
        match expected {
            Ok(lengths) => {
                let accept = accepted(decision);
                assert_eq!((accept.length, accept.total), *lengths, "{name}");
                assert_eq!((accept.offset, accept.skip, accept.restart), (0, 0, None), "{name}");
            }
            Err(expected) => assert_eq!(failed(decision), *expected, "{name}"),
        }
    }
}

#[test]
fn continued_answers() {
    const RANGE: (&str, &str) = ("content-range", "bytes 40-99/100");
    const OTHER: (&str, &str) = ("content-range", "bytes 40-199/200");
    enum Want {
        Continue,
        Skip,
        RestartWithBody,
        RestartAndAsk,
        Fail((u32, Class)),
    }
    use Want::*;
    type Case<'a> = (&'a str, Validator, u16, u64, &'a [(&'a str, &'a str)], Want);
    let cases: Vec<Case<'_>> = vec![
        ("same tag", etag("a"), 206, 60, &[RANGE, A], Continue),
        ("same date and size", dated(), 206, 60, &[RANGE, OLD], Continue),
        ("other tag", etag("a"), 206, 60, &[RANGE, B], RestartAndAsk),
        ("other date", dated(), 206, 60, &[RANGE, OLD2], RestartAndAsk),
        ("same tag, other size", etag("a"), 206, 160, &[OTHER, A], RestartAndAsk),
        ("same date, other size", dated(), 206, 160, &[OTHER, OLD], RestartAndAsk),
        (
            "same date, size not told",
            dated(),
            206,
            60,
            &[("content-range", "bytes 40-99/*"), OLD],
            RestartAndAsk,
        ),
        ("same tag, size not told", etag("a"), 206, 60, &[("content-range", "bytes 40-99/*"), A], Continue),
        ("tag became weak", etag("a"), 206, 60, &[RANGE, WEAK], RestartAndAsk),
        ("nothing shown", etag("a"), 206, 60, &[RANGE], RestartAndAsk),
        ("two tags", etag("a"), 206, 60, &[RANGE, A, B], RestartAndAsk),
        ("no Content-Range but another version", etag("a"), 206, 60, &[B], Fail(fatal(0x8020_0013))),
        (
            "wrong start",
            etag("a"),
            206,
            61,
            &[("content-range", "bytes 39-99/100"), A],
            Fail(fatal(0x8020_0013)),
        ),
        (
            "from zero",
            etag("a"),
            206,
            100,
            &[("content-range", "bytes 0-99/100"), A],
            Fail(fatal(0x8020_0013)),
        ),
        ("range ignored, same tag", etag("a"), 200, 100, &[A, BIN], Skip),
        ("range ignored, same date", dated(), 200, 100, &[OLD, BIN], Skip),
        ("whole of another version", etag("a"), 200, 120, &[B, BIN], RestartWithBody),
        ("whole of another date", dated(), 200, 100, &[OLD2, BIN], RestartWithBody),
        ("same tag, shorter than kept", etag("a"), 200, 20, &[A, BIN], RestartWithBody),
        ("whole, nothing shown, binary", etag("a"), 200, 100, &[BIN], RestartWithBody),
        ("captive portal", etag("a"), 200, 900, &[HTML], Fail(transient(0x8007_2F78))),
        ("captive portal with tag", etag("a"), 200, 900, &[HTML, B], Fail(transient(0x8007_2F78))),
        ("captive portal without type", etag("a"), 200, 900, &[], Fail(transient(0x8007_2F78))),
        ("gzip", etag("a"), 206, 60, &[RANGE, A, ("content-encoding", "gzip")], Fail(fatal(0x8020_001B))),
        ("416 once", etag("a"), 416, 0, &[("content-range", "bytes */100")], RestartAndAsk),
        ("gone", etag("a"), 404, 0, &[HTML], Fail(fatal(0x8019_0194))),
    ];
    for (name, validator, status, length, headers, want) in cases {
        let mut plan = kept(validator);
        let decision = answer(&mut plan, status, L(length), headers);
        match want {
            Continue => {
                let accept = accepted(decision);
                assert_eq!((accept.restart, accept.offset, accept.skip), (None, 40, 0), "{name}");
                assert_eq!((accept.length, accept.total), (Some(60), Some(100)), "{name}");
            }
            Skip => {
                let accept = accepted(decision);
                assert_eq!((accept.restart, accept.offset, accept.skip), (None, 0, 40), "{name}");
            }
            RestartWithBody => {
                let accept = accepted(decision);
                assert!(accept.restart.is_some(), "{name}");
                assert_eq!((accept.offset, accept.skip, accept.length), (0, 0, Some(length)), "{name}");
                assert!(plan.done().is_empty(), "{name}");
            }
            RestartAndAsk => {
                assert!(matches!(decision, Decision::Again(Some(_))), "{name}: {decision:?}");
                let request = ask(&mut plan);
                assert_eq!((request.range.as_deref(), request.if_range), (Some("bytes=0-"), None), "{name}");
            }
            Fail(expected) => {
                assert_eq!(failed(decision), expected, "{name}");
                assert_eq!(plan.done().len(), 40, "{name}: what is kept stays");
            }
        }
    }
}

#[test]
fn html_may_replace_html() {
    let (mut plan, _) =
        FilePlan::new("http://h/page.html", Some(100), RangeSet::prefix(40), etag("a"), LIMITS).unwrap();
    assert!(accepted(answer(&mut plan, 200, L(90), &[HTML, B])).restart.is_some());
}

#[test]
fn only_strong_validators_are_kept() {
    let cases: &[(&str, &[(&str, &str)], Validator)] = &[
        ("strong tag", &[A], etag("a")),
        ("weak tag", &[WEAK], Validator::default()),
        ("tag without quotes", &[("etag", "a")], Validator::default()),
        ("tag with a quote inside", &[("etag", "\"a\"b\"")], Validator::default()),
        ("old date", &[OLD, DATE], dated()),
        ("fresh date", &[FRESH, DATE], Validator::default()),
        ("date of an unknown clock", &[OLD], Validator::default()),
        ("no date", &[("last-modified", "yesterday"), DATE], Validator::default()),
    ];
    for (name, headers, expected) in cases {
        let mut plan = fresh_plan(URL);
        accepted(answer(&mut plan, 200, L(100), headers));
        assert_eq!(plan.validator(), expected, "{name}");
    }
}

#[test]
fn a_cut_keeps_what_came_and_asks_again() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 206, L(100), &[("content-range", "bytes 0-99/100"), A]));
    assert_eq!(plan.end(30, cut()), Ended::Soon(100));
    assert_eq!(ask(&mut plan).range.as_deref(), Some("bytes=30-"));
    accepted(answer(&mut plan, 206, L(70), &[("content-range", "bytes 30-99/100"), A]));
    assert_eq!(plan.end(70, BodyEnd::Clean), Ended::Next);
    assert_eq!(plan.step(), Next::Complete { size: 100 });
}

#[test]
fn cuts_without_end_become_a_transient_failure() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 206, L(100), &[("content-range", "bytes 0-99/100"), A]));
    for at in 1..=4 {
        match plan.end(1, cut()) {
            Ended::Soon(_) if at < 4 => {
                let range = format!("bytes {at}-99/100");
                accepted(answer(&mut plan, 206, L(100 - at), &[("content-range", &range), A]));
            }
            Ended::Fail(fail) if at == 4 => {
                assert_eq!((fail.code.bits(), fail.class), transient(0x8007_2EFE));
                assert!(!fail.discard);
            }
            other => panic!("{at}: {other:?}"),
        }
    }
    assert_eq!(plan.done().len(), 4);
}

/// A server that crawls is not asked again at once, as one whose connection broke is: another may be faster.
#[test]
fn a_body_that_came_too_slowly_fails_the_attempt_and_is_kept() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 206, L(100), &[("content-range", "bytes 0-99/100"), A]));
    match plan.end(30, BodyEnd::Slow { detail: "slow".into() }) {
        Ended::Fail(fail) => {
            assert_eq!((fail.code.bits(), fail.class), transient(0x8007_2EE2));
            assert!(!fail.discard);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(plan.done().len(), 30);
}

#[test]
fn a_cut_without_validator_is_left_to_the_next_attempt() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 200, L(100), &[]));
    assert!(matches!(plan.end(30, cut()), Ended::Fail(fail) if fail.class == Class::Transient));
}

#[test]
fn a_cut_before_the_first_byte_is_left_to_the_next_attempt() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 200, L(100), &[A]));
    assert!(matches!(plan.end(0, cut()), Ended::Fail(fail) if fail.class == Class::Transient));
}

#[test]
fn surplus_discredits_the_answer() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 200, L(100), &[A]));
    assert!(matches!(plan.end(100, BodyEnd::Surplus),
        Ended::Fail(fail) if fail.discard && fail.code == BG_E_INVALID_SERVER_RESPONSE));
    assert!(plan.done().is_empty());
}

#[test]
fn chunked_ends_are_trusted_and_chunked_cuts_are_not() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 200, Framing::Chunked, &[]));
    assert_eq!(plan.end(77, BodyEnd::Clean), Ended::Next);
    assert_eq!(plan.step(), Next::Complete { size: 77 });

    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 200, Framing::Chunked, &[]));
    assert!(matches!(plan.end(77, cut()), Ended::Fail(fail) if fail.class == Class::Transient));
}

#[test]
fn a_chunked_body_of_the_same_version_has_the_size_that_is_known() {
    let mut plan = kept(etag("a"));
    let accept = accepted(answer(&mut plan, 200, Framing::Chunked, &[A, BIN]));
    assert_eq!((accept.skip, accept.length, accept.total), (40, Some(100), Some(100)));
    assert!(matches!(plan.end(150, BodyEnd::Surplus), Ended::Fail(fail) if fail.discard));
    assert!(plan.done().is_empty());

    let mut plan = kept(etag("a"));
    accepted(answer(&mut plan, 200, Framing::Chunked, &[A, BIN]));
    assert_eq!(plan.end(60, BodyEnd::Clean), Ended::Soon(100));
    assert_eq!((plan.size(), plan.done().len()), (Some(100), 60));
}

#[test]
fn a_chunked_body_shorter_than_what_is_kept_is_a_contradiction() {
    let (mut plan, _) = FilePlan::new(URL, None, RangeSet::prefix(40), etag("a"), LIMITS).unwrap();
    accepted(answer(&mut plan, 200, Framing::Chunked, &[A, BIN]));
    assert!(matches!(plan.end(20, BodyEnd::Clean), Ended::Fail(fail) if fail.discard));
}

#[test]
fn capped_answers_without_validator_fail() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 206, L(10), &[("content-range", "bytes 0-9/100")]));
    assert!(matches!(plan.end(10, BodyEnd::Clean),
        Ended::Fail(fail) if fail.code == BG_E_INSUFFICIENT_RANGE_SUPPORT && fail.class == Class::Fatal));
}

#[test]
fn an_empty_file_by_416() {
    let mut plan = fresh_plan(URL);
    let decision = answer(&mut plan, 416, L(5), &[("content-range", "bytes */0"), A]);
    assert!(matches!(decision, Decision::Empty(_)), "{decision:?}");
    assert_eq!(plan.step(), Next::Complete { size: 0 });
}

#[test]
fn a_416_to_the_plainest_range_is_asked_once_without() {
    let mut plan = fresh_plan(URL);
    assert_eq!(answer(&mut plan, 416, L(5), &[]), Decision::Again(None));
    assert_eq!(ask(&mut plan).range, None);
    let mut again = plan.clone();
    accepted(answer(&mut plan, 200, L(0), &[]));
    assert_eq!(plan.end(0, BodyEnd::Clean), Ended::Next);
    assert_eq!(plan.step(), Next::Complete { size: 0 });
    assert_eq!(failed(answer(&mut again.clone(), 416, L(0), &[])), fatal(0x8019_01A0));
    let range = ("content-range", "bytes 0-99/100");
    assert_eq!(failed(answer(&mut again, 206, L(100), &[range])), fatal(0x8020_001B), "206 unasked");
}

#[test]
fn the_second_416_is_fatal() {
    let mut plan = kept(etag("a"));
    assert!(matches!(answer(&mut plan, 416, L(0), &[]), Decision::Again(Some(_))));
    accepted(answer(&mut plan, 206, L(50), &[("content-range", "bytes 0-49/100"), A]));
    assert_eq!(plan.end(50, BodyEnd::Clean), Ended::Next);
    assert_eq!(failed(answer(&mut plan, 416, L(0), &[])), fatal(0x8019_01A0));
    assert_eq!(plan.done().len(), 50);
}

#[test]
fn an_origin_that_changes_all_the_time_is_given_up() {
    let mut plan = kept(etag("a"));
    for round in 0..10 {
        let range = format!("bytes {}-99/100", plan.done().end());
        let tag = format!("\"v{round}\"");
        let length = 100 - plan.done().end();
        match answer(&mut plan, 206, L(length), &[("content-range", &range), ("etag", &tag)]) {
            Decision::Accept(accept) => {
                assert_eq!(accept.offset, 0);
                assert_eq!(plan.end(10, cut()), Ended::Soon(100 * (u64::from(plan.restarts))));
            }
            Decision::Again(Some(_)) => {}
            Decision::Fail(fail) => {
                assert_eq!((fail.code, fail.class), (BG_E_REMOTE_FILE_CHANGED, Class::Fatal));
                assert_eq!(plan.restarts, MAX_RESTARTS);
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("never given up");
}

#[test]
fn net_progress_forgives_restarts() {
    let mut plan = kept(etag("a"));
    assert!(matches!(
        answer(&mut plan, 206, L(60), &[("content-range", "bytes 40-99/100"), B]),
        Decision::Again(Some(_))
    ));
    accepted(answer(&mut plan, 206, L(100), &[("content-range", "bytes 0-99/100"), B]));
    assert_eq!(plan.restarts, 1);
    plan.end(41, cut());
    assert_eq!(plan.restarts, 0);
}

#[test]
fn retry_after() {
    let cases: &[(&str, &[(&str, &str)], Option<u64>)] = &[
        ("none", &[], None),
        ("seconds", &[("retry-after", "120")], Some(120_000)),
        ("zero", &[("retry-after", "0")], Some(0)),
        ("absurd", &[("retry-after", "99999999999999999999999")], Some(MAX_RETRY_AFTER_MS)),
        ("a year", &[("retry-after", "31536000")], Some(MAX_RETRY_AFTER_MS)),
        ("negative", &[("retry-after", "-5")], None),
        ("words", &[("retry-after", "soon")], None),
        ("date", &[DATE, ("retry-after", "Sat, 21 Nov 2026 12:00:07 GMT")], Some(7_000)),
        ("date in the past", &[DATE, ("retry-after", "Sat, 21 Nov 2026 11:00:07 GMT")], Some(0)),
        ("date by our clock", &[("retry-after", "Sat, 21 Nov 2026 12:00:07 GMT")], Some(7_000)),
    ];
    for (name, headers, expected) in cases {
        for status in [429, 503] {
            let mut plan = fresh_plan(URL);
            ask(&mut plan);
            let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
            let head = Head { status, framing: L(0), headers: &headers };
            match plan.head(&head, 1_795_262_400) {
                Decision::Fail(fail) => assert_eq!(fail.retry_after_ms, *expected, "{name}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn redirects() {
    let cases: &[(&str, &str, Result<(&str, bool), u32>)] = &[
        ("relative", "/b?c#d", Ok(("https://origin.test/b?c", true))),
        ("same origin", "https://origin.test:443/b", Ok(("https://origin.test/b", true))),
        ("other host", "https://mirror.test/b", Ok(("https://mirror.test/b", false))),
        ("other port", "https://origin.test:8443/b", Ok(("https://origin.test:8443/b", false))),
        ("credentials of the server", "https://u:p@origin.test/b", Ok(("https://origin.test/b", true))),
        ("downgrade", "http://origin.test/b", Err(0x8007_2F7C)),
        ("to a file", "file:///etc/passwd", Err(0x8007_0057)),
        ("to smb", "smb://host/x", Err(0x8007_0057)),
        ("to itself", URL, Err(0x8007_2F7C)),
        ("unreadable", "https://[", Err(0x8007_2F7C)),
    ];
    for status in [301, 302, 303, 307, 308] {
        for (name, location, expected) in cases {
            let mut plan = fresh_plan(URL);
            match (answer(&mut plan, status, L(0), &[("location", location)]), expected) {
                (Decision::Again(None), Ok((url, credentials))) => {
                    let request = ask(&mut plan);
                    assert_eq!((request.url.as_str(), request.credentials), (*url, *credentials), "{name}");
                    assert_eq!(request.range.as_deref(), Some("bytes=0-"), "{name}");
                }
                (decision, Err(code)) => assert_eq!(failed(decision), fatal(*code), "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_downgrade_may_be_allowed() {
    let limits = Limits { allow_https_to_http: true, ..LIMITS };
    let (mut plan, _) = FilePlan::new(URL, None, RangeSet::new(), Validator::default(), limits).unwrap();
    assert_eq!(answer(&mut plan, 302, L(0), &[("location", "http://origin.test/b")]), Decision::Again(None));
    assert!(!ask(&mut plan).credentials, "another scheme is another origin");
}

#[test]
fn credentials_do_not_come_back_with_a_redirect_home() {
    let mut plan = fresh_plan(URL);
    answer(&mut plan, 302, L(0), &[("location", "https://evil.test/")]);
    answer(&mut plan, 302, L(0), &[("location", "https://origin.test/logout")]);
    assert!(!ask(&mut plan).credentials);
}

#[test]
fn redirects_are_counted_and_circles_found() {
    let mut plan = fresh_plan(URL);
    for hop in 0..10 {
        let location = format!("/{hop}");
        assert_eq!(answer(&mut plan, 302, L(0), &[("location", &location)]), Decision::Again(None));
    }
    assert_eq!(failed(answer(&mut plan, 302, L(0), &[("location", "/more")])), fatal(0x8007_2F7C));
    let mut plan = fresh_plan(URL);
    answer(&mut plan, 302, L(0), &[("location", "/b")]);
    answer(&mut plan, 302, L(0), &[("location", "/c")]);
    assert_eq!(failed(answer(&mut plan, 302, L(0), &[("location", "/b")])), fatal(0x8007_2F7C));
}

#[test]
fn a_continuation_after_a_redirect_starts_at_the_callers_url() {
    let mut plan = fresh_plan(URL);
    answer(&mut plan, 302, L(0), &[("location", "https://signed.test/x?sig=1")]);
    accepted(answer(&mut plan, 206, L(100), &[("content-range", "bytes 0-99/100"), A]));
    plan.end(50, cut());
    let request = ask(&mut plan);
    assert_eq!((request.url.as_str(), request.credentials), (URL, true));
    assert_eq!(request.if_range.as_deref(), Some("\"a\""));
}

#[test]
fn a_wrong_digest_is_fetched_once_more_past_caches() {
    let mut plan = fresh_plan(URL);
    accepted(answer(&mut plan, 200, L(100), &[A]));
    plan.end(100, BodyEnd::Clean);
    assert!(plan.digest_mismatch().is_ok());
    assert!(ask(&mut plan).no_cache);
    accepted(answer(&mut plan, 200, L(100), &[A]));
    plan.end(100, BodyEnd::Clean);
    let fail = plan.digest_mismatch().unwrap_err();
    assert_eq!((fail.code, fail.class, fail.discard), (BG_E_VALIDATION_FAILED, Class::Fatal, true));
    assert!(plan.done().is_empty());
}

#[test]
fn addresses_are_shown_without_secrets() {
    let plan = fresh_plan("https://user:secret@origin.test/a?token=secret#x");
    assert_eq!(plan.shown_url(), "https://origin.test/a");
}

#[test]
fn a_mirror_binds_what_is_kept_to_itself_and_gets_no_secrets() {
    let plan = |url: &str| FilePlan::new(url, None, RangeSet::new(), Validator::default(), LIMITS).unwrap().0;
    let mut other = plan("https://mirror.example/f").for_mirror("https://h/f");
    let Next::Send(request) = other.step() else { panic!("a request") };
    assert!(!request.credentials);
    let head = Head {
        status: 206,
        framing: Framing::Length(10),
        headers: &[("content-range", b"bytes 0-9/10"), ("etag", b"\"a\"")],
    };
    assert!(matches!(other.head(&head, 0), Decision::Accept(_)));
    assert_eq!(other.validator().mirror.as_deref(), Some("https://mirror.example/f"));
    let mut near = plan("https://h/g").for_mirror("https://h/f");
    let Next::Send(request) = near.step() else { panic!("a request") };
    assert!(request.credentials, "same origin");
    assert_eq!(near.mirror(), Some("https://h/g"));
}

#[test]
fn a_source_that_changes_while_it_is_read_begins_again_three_times() {
    let (mut plan, _) =
        FilePlan::new("file:///f", None, RangeSet::new(), Validator::default(), LIMITS).unwrap();
    let head = Head {
        status: 206,
        framing: Framing::Length(10),
        headers: &[("content-range", b"bytes 0-9/10"), ("etag", b"\"a\"")],
    };
    for round in 0..=MAX_RESTARTS {
        let Next::Send(request) = plan.step() else { panic!("a request") };
        assert_eq!(request.range.as_deref(), Some("bytes=0-"));
        assert!(matches!(plan.head(&head, 0), Decision::Accept(_)));
        match plan.end(10, BodyEnd::Changed) {
            Ended::Again(..) if round < MAX_RESTARTS => assert!(plan.done().is_empty()),
            Ended::Fail(fail) if round == MAX_RESTARTS => {
                assert_eq!((fail.code, fail.discard), (BG_E_REMOTE_FILE_CHANGED, true));
            }
            other => panic!("{round}: {other:?}"),
        }
    }
}
