//! Plans for pieces of a file of which the rest is known to be right.

use super::*;

const LIMITS: Limits = Limits { max_redirects: 10, allow_https_to_http: false };
const URL: &str = "https://origin.test/file.iso";

/// 100 bytes, of which 20 to 30 and the last ten are missing.
fn plan() -> FilePlan {
    let fresh = FilePlan::new(URL, None, RangeSet::new(), Validator::default(), LIMITS).unwrap().0;
    fresh.for_pieces(100, [0..20, 30..90].into_iter().collect())
}

fn ask(plan: &mut FilePlan) -> Request {
    match plan.step() {
        Next::Send(request) => *request,
        other => panic!("{other:?}"),
    }
}

fn answer(plan: &mut FilePlan, status: u16, length: u64, headers: &[(&str, &str)]) -> Decision {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    plan.head(&Head { status, framing: Framing::Length(length), headers: &headers }, 1_795_262_400)
}

#[test]
fn what_lacks_is_asked_for_whatever_the_version() {
    let mut plan = plan();
    let first = ask(&mut plan);
    assert_eq!((first.range.as_deref(), first.if_range, first.no_cache), (Some("bytes=20-29"), None, true));
    // Each answer is of another version, and one does not tell the size.
    let headers = [("content-range", "bytes 20-29/100"), ("etag", "\"a\"")];
    let accept = match answer(&mut plan, 206, 10, &headers) {
        Decision::Accept(accept) => accept,
        other => panic!("{other:?}"),
    };
    assert_eq!((accept.offset, accept.skip, accept.length, accept.restart), (20, 0, Some(10), None));
    let cut = BodyEnd::Cut { code: ERROR_WINHTTP_CONNECTION_ERROR, detail: "cut".into() };
    assert_eq!(plan.end(4, cut), Ended::Soon(100));
    assert_eq!(ask(&mut plan).range.as_deref(), Some("bytes=24-29"));
    let headers = [("content-range", "bytes 24-29/*"), ("etag", "\"b\"")];
    assert!(matches!(answer(&mut plan, 206, 6, &headers), Decision::Accept(_)));
    assert!(!plan.may_leave() && !plan.turns_away(26));
    assert_eq!(plan.end(6, BodyEnd::Clean), Ended::Next);
    assert_eq!(ask(&mut plan).range.as_deref(), Some("bytes=90-"));
    assert!(matches!(
        answer(&mut plan, 206, 10, &[("content-range", "bytes 90-99/100")]),
        Decision::Accept(_)
    ));
    assert_eq!(plan.end(10, BodyEnd::Clean), Ended::Next);
    assert_eq!(plan.step(), Next::Complete { size: 100 });
}

#[test]
fn whatever_else_comes_is_an_error_and_nothing_begins_again() {
    let page = [("content-type", "text/html")];
    let size = [("content-range", "bytes 20-29/101"), ("etag", "\"a\"")];
    let shorter = [("content-range", "bytes 20-29/80"), ("etag", "\"a\"")];
    let elsewhere = [("content-range", "bytes 0-9/100"), ("etag", "\"a\"")];
    let beyond = [("content-range", "bytes 20-39/100"), ("etag", "\"a\"")];
    let nothing = [("content-range", "bytes */100")];
    for (status, length, headers, code) in [
        (200, 100, &[("etag", "\"a\"")][..], BG_E_INSUFFICIENT_RANGE_SUPPORT),
        (200, 101, &[("etag", "\"a\"")], BG_E_REMOTE_FILE_CHANGED),
        (200, 50, &page, ERROR_WINHTTP_INVALID_SERVER_RESPONSE),
        (206, 10, &size, BG_E_REMOTE_FILE_CHANGED),
        (206, 10, &shorter, BG_E_REMOTE_FILE_CHANGED),
        (206, 10, &elsewhere, BG_E_INSUFFICIENT_RANGE_SUPPORT),
        (206, 20, &beyond, BG_E_INSUFFICIENT_RANGE_SUPPORT),
        (416, 0, &nothing, BG_E_HTTP_ERROR_416),
        (404, 0, &[], BG_E_HTTP_ERROR_404),
    ] {
        let mut plan = plan();
        ask(&mut plan);
        match answer(&mut plan, status, length, headers) {
            Decision::Fail(fail) => assert_eq!(fail.code, code, "{status} {headers:?}"),
            other => panic!("{status} {headers:?}: {other:?}"),
        }
        assert_eq!(plan.done().len(), 80);
        assert_eq!(ask(&mut plan).range.as_deref(), Some("bytes=20-29"), "{status} {headers:?}");
    }
}

#[test]
fn nobody_who_steers_is_heard() {
    let mut plan = plan();
    plan.want(Wanted { only_first: true, pinned: true, dynamic: true, ..Wanted::default() });
    assert_eq!(ask(&mut plan).range.as_deref(), Some("bytes=20-29"));
}

#[test]
fn what_may_be_repaired() {
    let plan = |wanted: Wanted, method: Option<&str>| {
        let mut plan = FilePlan::new(URL, None, RangeSet::new(), Validator::default(), LIMITS).unwrap().0;
        plan.want(wanted);
        method.map(|method| plan.set_method(method));
        plan.may_repair()
    };
    assert!(plan(Wanted::default(), None));
    assert!(plan(Wanted { only_first: true, ..Wanted::default() }, None));
    assert!(!plan(Wanted { pinned: true, ..Wanted::default() }, None), "a client has read it");
    assert!(!plan(Wanted { dynamic: true, ..Wanted::default() }, None), "no ranges are asked for");
    assert!(!plan(Wanted::default(), Some("POST")), "always fetched as a whole");
    let layout = crate::Layout::packed(vec![crate::layout::FileRange::new(0, 5)]);
    assert!(!plan(Wanted { layout, ..Wanted::default() }, None));
}
