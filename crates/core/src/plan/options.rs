//! Redirect policies and methods of a job's own.

use super::*;
use crate::job::http::RedirectPolicy;

const LIMITS: Limits = Limits { max_redirects: 10, allow_https_to_http: false };
const URL: &str = "https://origin.test/a/file?key=1";

fn plan(policy: RedirectPolicy) -> FilePlan {
    let mut plan = FilePlan::new(URL, None, RangeSet::new(), Validator::default(), LIMITS).unwrap().0;
    plan.set_redirects(policy);
    plan
}

fn request(plan: &mut FilePlan) -> Request {
    match plan.step() {
        Next::Send(request) => *request,
        other => panic!("{other:?}"),
    }
}

fn redirect(plan: &mut FilePlan, status: u16, to: &str) -> Decision {
    request(plan);
    let headers = [("location", to.as_bytes())];
    plan.head(&Head { status, framing: Framing::Length(0), headers: &headers }, 0)
}

fn answered(plan: &mut FilePlan) -> Decision {
    request(plan);
    let headers = [("etag", b"\"a\"".as_slice())];
    plan.head(&Head { status: 200, framing: Framing::Length(5), headers: &headers }, 0)
}

#[test]
fn silent_keeps_the_remote_name_and_report_makes_it_the_final_address() {
    for (policy, name) in
        [(RedirectPolicy::Silent, None), (RedirectPolicy::Report, Some("https://cdn.test/x?sig=2"))]
    {
        let mut plan = plan(policy);
        assert_eq!(redirect(&mut plan, 302, "/b"), Decision::Again(None));
        assert_eq!(redirect(&mut plan, 307, "https://user:pass@cdn.test/x?sig=2#f"), Decision::Again(None));
        assert!(matches!(answered(&mut plan), Decision::Accept(_)));
        assert_eq!(plan.new_remote().as_deref(), name, "without credentials");
    }
    let mut unmoved = plan(RedirectPolicy::Report);
    assert!(matches!(answered(&mut unmoved), Decision::Accept(_)));
    assert_eq!(unmoved.new_remote(), None);
}

#[test]
fn conformance_24_disallow_redirect_is_the_status_and_the_target() {
    for (status, code) in [
        (300, 0x8019_012C),
        (301, 0x8019_012D),
        (302, 0x8019_012E),
        (303, 0x8019_012F),
        (307, 0x8019_0133),
        (308, 0x8019_0134),
    ] {
        let mut plan = plan(RedirectPolicy::Disallow);
        let Decision::Fail(fail) = redirect(&mut plan, status, "http://other.test/b") else {
            panic!("{status} was followed")
        };
        assert_eq!((fail.code.bits(), fail.class), (code, Class::Fatal), "{status}");
        // Named although the way there leads from https to http: Resume decides about that.
        assert_eq!(plan.new_remote().as_deref(), Some("http://other.test/b"));
    }
    let mut elsewhere = plan(RedirectPolicy::Disallow);
    assert!(matches!(redirect(&mut elsewhere, 302, "file:///etc/passwd"), Decision::Fail(_)));
    assert_eq!(elsewhere.new_remote(), None, "what cannot be a remote name is none");
}

#[test]
fn conformance_23_https_to_http_is_refused_without_the_flag() {
    for policy in [RedirectPolicy::Silent, RedirectPolicy::Report] {
        let mut strict = plan(policy);
        let Decision::Fail(fail) = redirect(&mut strict, 302, "http://origin.test/b") else { panic!() };
        assert_eq!((fail.code, fail.class), (ERROR_WINHTTP_REDIRECT_FAILED, Class::Fatal));
        let limits = Limits { allow_https_to_http: true, ..LIMITS };
        let mut free = FilePlan::new(URL, None, RangeSet::new(), Validator::default(), limits).unwrap().0;
        free.set_redirects(policy);
        assert_eq!(redirect(&mut free, 302, "http://origin.test/b"), Decision::Again(None));
        assert!(!request(&mut free).credentials, "another scheme is another origin");
    }
}

#[test]
fn job_http_options2_set_http_method_is_one_request_without_a_range() {
    let mut plan = plan(RedirectPolicy::Silent);
    assert_eq!(plan.set_method("POST"), None);
    let sent = request(&mut plan);
    assert_eq!((sent.method.as_str(), sent.range, sent.if_range), ("POST", None, None));
    // Nothing of an unfinished file is kept; a finished one stays finished.
    let validator = Validator { etag: Some("\"a\"".into()), last_modified: None, mirror: None };
    let kept =
        |done| FilePlan::new(URL, Some(10), RangeSet::prefix(done), validator.clone(), LIMITS).unwrap().0;
    let mut half = kept(4);
    assert!(half.set_method("POST").is_some());
    assert_eq!(half.done(), &RangeSet::new());
    let mut whole = kept(10);
    assert_eq!(whole.set_method("POST"), None);
    assert_eq!(whole.step(), Next::Complete { size: 10 });
}

#[test]
fn a_cut_of_a_request_with_a_method_of_its_own_is_not_repeated() {
    for (method, repeated) in [(None, true), (Some("POST"), false)] {
        let mut plan = plan(RedirectPolicy::Silent);
        if let Some(method) = method {
            assert_eq!(plan.set_method(method), None);
        }
        assert!(matches!(answered(&mut plan), Decision::Accept(_)));
        let cut = BodyEnd::Cut { code: ERROR_WINHTTP_CONNECTION_ERROR, detail: "cut".into() };
        assert_eq!(matches!(plan.end(3, cut), Ended::Soon(_)), repeated);
    }
}

#[test]
fn redirects_change_a_method_as_every_client_does() {
    for (method, status, next) in [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PROPFIND", 302, "PROPFIND"),
        ("PROPFIND", 303, "GET"),
        ("HEAD", 303, "HEAD"),
    ] {
        let mut plan = plan(RedirectPolicy::Silent);
        assert_eq!(plan.set_method(method), None);
        assert_eq!(redirect(&mut plan, status, "/b"), Decision::Again(None));
        let sent = request(&mut plan);
        assert_eq!((sent.method.as_str(), sent.range), (next, None), "{method} {status}");
    }
}

#[test]
fn other_successes_mean_the_file_only_where_that_is_asked_for() {
    let etag = [("etag", b"\"a\"".as_slice())];
    let decide = |any: bool, status: u16, framing: Framing| {
        let mut plan = plan(RedirectPolicy::Silent);
        if any {
            plan.accept_any_success();
        }
        request(&mut plan);
        let decision = plan.head(&Head { status, framing, headers: &etag }, 0);
        match decision {
            Decision::Accept(accept) => {
                let length = accept.length.expect("told");
                assert_eq!(plan.end(length, BodyEnd::Clean), Ended::Next);
                assert_eq!(plan.step(), Next::Complete { size: length });
                Ok(length)
            }
            Decision::Fail(fail) => Err(fail.code.bits()),
            other => panic!("{other:?}"),
        }
    };
    for status in 201..=203 {
        assert_eq!(decide(true, status, Framing::Length(5)), Ok(5));
        assert_eq!(decide(true, status, Framing::Length(0)), Ok(0));
        assert_eq!(decide(false, status, Framing::Length(5)), Err(0x8019_0000 + u32::from(status)));
    }
    assert_eq!(decide(true, 204, Framing::Length(0)), Ok(0));
    assert_eq!(decide(true, 204, Framing::Stream(None)), Ok(0), "HTTP/2 need not tell");
    assert_eq!(decide(true, 204, Framing::Length(5)), Err(0x8019_00CC), "a body");
    assert_eq!(decide(true, 204, Framing::UntilClose), Err(0x8019_00CC));
    assert_eq!(decide(false, 204, Framing::Length(0)), Err(0x8019_00CC));
    for status in [205, 206, 207, 299] {
        assert!(decide(true, status, Framing::Length(5)).is_err(), "{status}");
    }
}

/// What is kept of a file is never replaced by nothing because somebody on the way had nothing to say.
#[test]
fn an_empty_success_does_not_replace_what_is_kept() {
    let validator = Validator { etag: Some("\"a\"".into()), last_modified: None, mirror: None };
    let (mut plan, _) = FilePlan::new(URL, Some(10), RangeSet::prefix(4), validator, LIMITS).unwrap();
    plan.accept_any_success();
    request(&mut plan);
    let decision = plan.head(&Head { status: 204, framing: Framing::Length(0), headers: &[] }, 0);
    assert!(matches!(decision, Decision::Fail(fail) if fail.class == Class::Transient && !fail.discard));
    assert_eq!(plan.done(), &RangeSet::prefix(4));
}
