//! Ranges, requests, positions, dynamic content: every decision by name.
#![allow(clippy::type_complexity)] // tables

use super::*;
use crate::layout::{FileRange, LENGTH_TO_EOF, Layout};

const A: (&str, &str) = ("etag", "\"a\"");
const B: (&str, &str) = ("etag", "\"b\"");
const EOF: u64 = LENGTH_TO_EOF;
const L: fn(u64) -> Framing = Framing::Length;

fn planned(wanted: Wanted) -> FilePlan {
    kept(wanted, None, &[])
}

fn kept(wanted: Wanted, size: Option<u64>, done: &[(u64, u64)]) -> FilePlan {
    let validator = match size {
        Some(_) => Validator { etag: Some("\"a\"".to_owned()), last_modified: None, mirror: None },
        None => Validator::default(),
    };
    let limits = Limits { max_redirects: 10, allow_https_to_http: false };
    let done = done.iter().map(|(start, end)| *start..*end).collect();
    let (mut plan, restart) = FilePlan::new("http://h/f.bin", size, done, validator, limits).unwrap();
    assert_eq!(restart, None);
    plan.want(wanted);
    plan
}

fn ranges(pairs: &[(u64, u64)]) -> Vec<FileRange> {
    pairs.iter().map(|&(offset, length)| FileRange::new(offset, length)).collect()
}

fn packed(pairs: &[(u64, u64)]) -> Wanted {
    Wanted { layout: Layout::packed(ranges(pairs)), ..Wanted::default() }
}

fn on_demand(pairs: &[(u64, u64)]) -> Wanted {
    Wanted { first: ranges(pairs), only_first: true, pinned: true, ..Wanted::default() }
}

fn range(plan: &mut FilePlan) -> String {
    match plan.step() {
        Next::Send(request) => request.range.unwrap_or_else(|| "none".to_owned()),
        other => format!("{other:?}"),
    }
}

fn answer(plan: &mut FilePlan, status: u16, framing: Framing, headers: &[(&str, &str)]) -> Decision {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    plan.head(&Head { status, framing, headers: &headers }, 1_795_262_400)
}

/// The next request is for `expected`; a good server answers with all of it, out of 1000 bytes.
fn served(plan: &mut FilePlan, expected: &str) {
    assert_eq!(range(plan), format!("bytes={expected}"));
    let (first, last) = expected.split_once('-').unwrap();
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap_or(999));
    let header = format!("bytes {first}-{last}/1000");
    let decision = answer(plan, 206, L(last - first + 1), &[("content-range", &header), A]);
    assert!(matches!(decision, Decision::Accept(_)), "{decision:?}");
    assert_eq!(plan.end(last - first + 1, BodyEnd::Clean), Ended::Next);
}

fn code(decision: Decision) -> (HResult, Class, bool) {
    match decision {
        Decision::Fail(fail) => (fail.code, fail.class, fail.discard),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ranges_are_fetched_one_by_one_in_their_order() {
    let mut plan = planned(packed(&[(500, 100), (0, 50), (50, 10), (200, 100)]));
    for expected in ["500-599", "0-49", "50-59", "200-299"] {
        served(&mut plan, expected);
    }
    assert_eq!(plan.step(), Next::Complete { size: 260 });
    let mut plan = kept(packed(&[(30, 12), (200, EOF), (60, 5)]), None, &[]);
    for expected in ["30-41", "200-", "60-64"] {
        assert_eq!(plan.local_size(), (expected != "30-41").then_some(12 + 800 + 5));
        served(&mut plan, expected);
    }
    assert_eq!(plan.step(), Next::Complete { size: 817 });
}

#[test]
fn a_resumed_range_continues_where_it_stopped() {
    let mut plan = kept(packed(&[(500, 100), (0, 50)]), Some(1000), &[(500, 533)]);
    served(&mut plan, "533-599");
    served(&mut plan, "0-49");
    let mut plan = kept(packed(&[(500, 100), (0, 50)]), Some(1000), &[(500, 533)]);
    assert_eq!(range(&mut plan), "bytes=533-599");
    // Another version begins again, with the first range.
    let header = ("content-range", "bytes 533-599/1000");
    assert!(matches!(answer(&mut plan, 206, L(67), &[header, B]), Decision::Again(Some(_))));
    served(&mut plan, "500-599");
}

/// Found by the property: a size that is not true any more must not turn the last range into "to the end".
#[test]
fn a_range_is_asked_for_with_its_end() {
    let limits = Limits { max_redirects: 10, allow_https_to_http: false };
    let begin = |wanted| {
        let (mut plan, _) =
            FilePlan::new("http://h/f.bin", Some(55), RangeSet::new(), Validator::default(), limits).unwrap();
        plan.want(wanted);
        range(&mut plan)
    };
    assert_eq!(begin(packed(&[(40, 15), (0, 5)])), "bytes=40-54");
    assert_eq!(begin(on_demand(&[(40, 15)])), "bytes=40-54");
    assert_eq!(begin(packed(&[(40, EOF)])), "bytes=40-");
    assert_eq!(begin(Wanted::default()), "bytes=0-");
}

#[test]
fn ranges_outside_of_the_file_are_an_error() {
    let outside = (BG_E_INVALID_RANGE, Class::Fatal, false);
    let small = ("content-range", "bytes 0-149/150");
    let mut plan = planned(packed(&[(0, 200)]));
    assert_eq!(range(&mut plan), "bytes=0-199");
    assert_eq!(code(answer(&mut plan, 206, L(150), &[small, A])), outside);
    let nothing: [(&str, &[(&str, &str)]); 3] = [
        ("150-199", &[("content-range", "bytes */150")]),
        ("150-199", &[]),
        ("0-", &[("content-range", "bytes */0")]),
    ];
    for (asked, headers) in nothing {
        let wanted = if asked == "0-" { packed(&[(0, EOF)]) } else { packed(&[(150, 50)]) };
        let mut plan = planned(wanted);
        assert_eq!(range(&mut plan), format!("bytes={asked}"));
        let mut decision = answer(&mut plan, 416, L(0), headers);
        if headers.is_empty() {
            // Some servers refuse once without a reason.
            assert_eq!(decision, Decision::Again(None));
            range(&mut plan);
            decision = answer(&mut plan, 416, L(0), headers);
        }
        assert_eq!(code(decision), outside, "{asked} {headers:?}");
    }
    let mut plan = planned(packed(&[(0, EOF)]));
    range(&mut plan);
    assert_eq!(code(answer(&mut plan, 200, L(0), &[A])), outside, "an empty file has no ranges");
}

#[test]
fn parts_need_a_server_with_ranges() {
    let refused = (BG_E_INSUFFICIENT_RANGE_SUPPORT, Class::Fatal, false);
    for wanted in [packed(&[(0, EOF)]), packed(&[(5, 5)]), on_demand(&[(0, 10)])] {
        let mut plan = planned(wanted.clone());
        range(&mut plan);
        assert_eq!(code(answer(&mut plan, 200, L(1000), &[A])), refused, "{wanted:?}");
        let mut plan = kept(wanted.clone(), Some(1000), &[(900, 901)]);
        range(&mut plan);
        assert_eq!(code(answer(&mut plan, 200, L(1000), &[A])), refused, "the same version, {wanted:?}");
    }
    // With If-Range, 200 is how a server says that the file changed.
    let mut plan = kept(packed(&[(5, 5)]), Some(1000), &[(5, 6)]);
    range(&mut plan);
    assert!(matches!(answer(&mut plan, 200, L(900), &[B]), Decision::Again(Some(_))));
    assert_eq!(range(&mut plan), "bytes=5-9");
}

#[test]
fn wrong_answers_to_a_range_are_never_written() {
    for (header, framing) in [
        ("bytes 6-9/1000", L(4)),
        ("bytes 4-9/1000", L(6)),
        ("bytes 5-10/1000", L(6)),
        ("bytes 0-4/1000", L(5)),
        ("bytes 5-9/8", L(5)),
        ("bytes 5-9", L(5)),
        ("bytes 9-5/1000", L(5)),
        ("items 5-9/1000", L(5)),
    ] {
        let mut plan = planned(packed(&[(5, 5), (100, 5)]));
        assert_eq!(range(&mut plan), "bytes=5-9");
        let (code, class, _) = code(answer(&mut plan, 206, framing, &[("content-range", header), A]));
        assert_eq!((code, class), (BG_E_INSUFFICIENT_RANGE_SUPPORT, Class::Fatal), "{header}");
        assert!(plan.done().is_empty());
    }
    let multipart = [("content-type", "multipart/byteranges; boundary=x"), A];
    let mut plan = planned(packed(&[(5, 5), (100, 5)]));
    range(&mut plan);
    assert_eq!(code(answer(&mut plan, 206, L(300), &multipart)).0, BG_E_INVALID_SERVER_RESPONSE);
}

#[test]
fn several_ranges_of_an_unnamed_version_are_refused() {
    let mut plan = planned(packed(&[(5, 5), (100, 5)]));
    range(&mut plan);
    let decision = answer(&mut plan, 206, L(5), &[("content-range", "bytes 5-9/1000")]);
    assert!(matches!(decision, Decision::Accept(_)));
    match plan.end(5, BodyEnd::Clean) {
        Ended::Fail(fail) => assert_eq!(fail.code, BG_E_INSUFFICIENT_RANGE_SUPPORT),
        other => panic!("{other:?}"),
    }
    let mut plan = planned(packed(&[(5, 5)]));
    range(&mut plan);
    answer(&mut plan, 206, L(5), &[("content-range", "bytes 5-9/1000")]);
    assert_eq!(plan.end(5, BodyEnd::Clean), Ended::Next);
    assert_eq!(plan.step(), Next::Complete { size: 5 });
}

#[test]
fn requests_go_first_and_the_rest_follows() {
    let mut wanted = Wanted { first: ranges(&[(700, 100), (300, 10), (750, 100)]), ..Wanted::default() };
    let mut plan = planned(wanted.clone());
    assert!(plan.is_urgent());
    for expected in ["700-799", "300-309", "800-849"] {
        served(&mut plan, expected);
    }
    assert!(!plan.is_urgent());
    served(&mut plan, "0-299");
    wanted.position = 600;
    plan.want(wanted);
    for expected in ["600-699", "850-", "310-599"] {
        served(&mut plan, expected);
    }
    assert_eq!(plan.step(), Next::Complete { size: 1000 });
}

#[test]
fn nothing_but_requests_on_demand() {
    let mut plan = planned(on_demand(&[(700, 100)]));
    served(&mut plan, "700-799");
    assert_eq!(plan.step(), Next::Satisfied);
    plan.want(on_demand(&[(0, EOF)]));
    served(&mut plan, "0-699");
    served(&mut plan, "800-");
    assert_eq!(plan.step(), Next::Complete { size: 1000 });
    assert_eq!(planned(on_demand(&[])).step(), Next::Satisfied);
}

#[test]
fn a_body_is_left_for_what_is_wanted_first() {
    const M: u64 = 1 << 20;
    let mut plan = planned(Wanted::default());
    assert_eq!(range(&mut plan), "bytes=0-");
    let header = format!("bytes 0-{}/{}", 100 * M - 1, 100 * M);
    assert!(!plan.turns_away(0), "no body yet");
    answer(&mut plan, 206, L(100 * M), &[("content-range", &header), A]);
    assert!(!plan.turns_away(10 * M));
    plan.want(Wanted { first: ranges(&[(2 * M, M)]), ..Wanted::default() });
    assert!(
        plan.turns_away(M) && !plan.turns_away(2 * M) && !plan.turns_away(5 * M),
        "it comes by itself, or came"
    );
    plan.want(Wanted { first: ranges(&[(50 * M, M)]), ..Wanted::default() });
    assert!(plan.turns_away(10 * M));
    assert!(!plan.turns_away(50 * M - 1000), "near");
    assert_eq!(plan.end(10 * M, BodyEnd::Left), Ended::Next);
    assert_eq!(plan.done().len(), 10 * M);
    assert_eq!(range(&mut plan), format!("bytes={}-{}", 50 * M, 51 * M - 1));
    // Where the rest could not be asked for, what comes is taken.
    for headers in [&[A][..], &[("content-range", header.as_str())]] {
        let mut plan = planned(Wanted::default());
        range(&mut plan);
        let status = if headers[0] == A { 200 } else { 206 };
        answer(&mut plan, status, L(100 * M), headers);
        plan.want(Wanted { position: 50 * M, ..Wanted::default() });
        assert!(!plan.turns_away(M), "{headers:?}");
    }
}

#[test]
fn a_position_beyond_the_end_is_an_error_later() {
    let beyond = Wanted { position: 5000, ..Wanted::default() };
    let mut plan = planned(beyond.clone());
    assert_eq!(range(&mut plan), "bytes=5000-");
    let decision = answer(&mut plan, 416, L(0), &[("content-range", "bytes */1000")]);
    assert_eq!(code(decision).0, BG_E_INVALID_RANGE);
    let mut plan = planned(beyond);
    range(&mut plan);
    assert_eq!(code(answer(&mut plan, 200, L(1000), &[A])).0, BG_E_INVALID_RANGE);
}

#[test]
fn a_server_without_ranges_gives_a_normal_job_the_file_in_its_own_order() {
    let mut plan = planned(Wanted { position: 500, ..Wanted::default() });
    range(&mut plan);
    assert!(matches!(answer(&mut plan, 200, L(1000), &[A]), Decision::Accept(accept) if accept.offset == 0));
    assert!(plan.ranges_ignored());
    assert_eq!(plan.end(1000, BodyEnd::Clean), Ended::Next);
    assert_eq!(plan.step(), Next::Complete { size: 1000 });
}

#[test]
fn a_change_under_a_reader_is_an_error() {
    let pinned = Wanted { pinned: true, ..Wanted::default() };
    let part = ("content-range", "bytes 40-99/100");
    for (status, headers) in [(206, &[part, B][..]), (200, &[B])] {
        let mut plan = kept(pinned.clone(), Some(100), &[(0, 40)]);
        range(&mut plan);
        let length = if status == 206 { 60 } else { 100 };
        let (code, class, discard) = code(answer(&mut plan, status, L(length), headers));
        assert_eq!((code, class, discard), (BG_E_REMOTE_FILE_CHANGED, Class::Fatal, true), "{status}");
        assert!(plan.done().is_empty());
    }
}

#[test]
fn dynamic_content_asks_for_nothing_and_begins_again() {
    let dynamic = Wanted { dynamic: true, ..Wanted::default() };
    let mut plan = planned(dynamic);
    for _ in 0..=MAX_RESTARTS {
        assert_eq!(range(&mut plan), "none");
        let decision = answer(&mut plan, 200, Framing::UntilClose, &[]);
        assert!(matches!(decision, Decision::Accept(Accept { length: None, total: None, .. })));
        let cut = BodyEnd::Cut { code: ERROR_WINHTTP_CONNECTION_ERROR, detail: String::new() };
        match plan.end(10, cut) {
            Ended::Again(..) => assert!(plan.done().is_empty()),
            Ended::Fail(fail) => {
                assert_eq!((fail.code, fail.class), (ERROR_WINHTTP_CONNECTION_ERROR, Class::Transient));
                assert!(fail.discard);
                // The next attempt comes to the end.
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let mut plan = planned(Wanted { dynamic: true, ..Wanted::default() });
    range(&mut plan);
    answer(&mut plan, 200, Framing::UntilClose, &[]);
    assert_eq!(plan.end(77, BodyEnd::Clean), Ended::Next);
    assert_eq!(plan.step(), Next::Complete { size: 77 });
}

#[test]
fn a_strict_plan_refuses_a_server_without_ranges() {
    let strict = Wanted { strict: true, ..Wanted::default() };
    let mut plan = planned(strict.clone());
    range(&mut plan);
    assert_eq!(code(answer(&mut plan, 200, L(100), &[A])).0, BG_E_INSUFFICIENT_RANGE_SUPPORT);
    let mut plan = planned(Wanted { dynamic: true, ..strict });
    range(&mut plan);
    assert!(matches!(answer(&mut plan, 200, L(100), &[A]), Decision::Accept(_)));
}
