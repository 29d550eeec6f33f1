//! tus, the IETF draft, PUT, and the question which of them it is.

use super::*;
use crate::hresult::*;

const AT: &str = "http://drop.example.net/files/1";

fn at_upload(dialect: Protocol, size: u64) -> Patch {
    let state = UploadState { session: Some(AT.to_owned()), ..UploadState::default() };
    Patch::new(target(size, false), state, dialect)
}

#[test]
fn tus_creates_patches_and_is_finished_by_its_last_byte() {
    let mut plan = Patch::new(target(9, false), UploadState::default(), Protocol::Tus);
    let ask = asked(&mut plan);
    assert_eq!((ask.method, header(&ask, "Upload-Length")), ("POST", Some("9")));
    assert_eq!(header(&ask, "Tus-Resumable"), Some("1.0.0"));
    assert_eq!(header(&ask, "Upload-Metadata"), Some("filename bG9nLmJpbg=="));
    assert_eq!(answer(&mut plan, 201, &[("location", "/files/1")]), Turn::Next);
    assert!(plan.take_must_keep());
    let ask = asked(&mut plan);
    assert_eq!((ask.method, ask.url.as_str(), header(&ask, "Upload-Offset")), ("PATCH", AT, Some("0")));
    assert_eq!(header(&ask, "Content-Type"), Some("application/offset+octet-stream"));
    assert_eq!(ask.body, Payload::File { offset: 0, length: 9 });
    assert_eq!(answer(&mut plan, 204, &[("upload-offset", "4")]), Turn::Next);
    assert_eq!(asked(&mut plan).body, Payload::File { offset: 4, length: 5 });
    assert_eq!(answer(&mut plan, 204, &[("upload-offset", "9")]), Turn::Next);
    assert_eq!(plan.step(NOW), Next::Finished);
}

#[test]
fn tus_resumes_by_head_and_begins_anew_once() {
    let mut plan = at_upload(Protocol::Tus, 9);
    assert_eq!(asked(&mut plan).method, "HEAD");
    assert_eq!(answer(&mut plan, 200, &[("upload-offset", "7")]), Turn::Next);
    assert_eq!(asked(&mut plan).body, Payload::File { offset: 7, length: 2 });
    assert_eq!(answer(&mut plan, 409, &[]), Turn::Wait(1000));
    assert_eq!(asked(&mut plan).method, "HEAD");
    assert_eq!(answer(&mut plan, 404, &[]), Turn::Next);
    assert_eq!(asked(&mut plan).method, "POST");
    answer(&mut plan, 201, &[("location", AT)]);
    asked(&mut plan);
    assert_eq!(failed(answer(&mut plan, 410, &[])), (BG_E_SESSION_NOT_FOUND, Class::Transient));
}

#[test]
fn tus_errors() {
    let create = |status| {
        let mut plan = Patch::new(target(9, false), UploadState::default(), Protocol::Tus);
        asked(&mut plan);
        failed(answer(&mut plan, status, &[]))
    };
    assert_eq!(create(412), (BG_E_CLIENT_SERVER_PROTOCOL_MISMATCH, Class::Fatal));
    assert_eq!(create(413), (BG_E_TOO_LARGE, Class::Fatal));
    assert_eq!(create(503).1, Class::Transient);
    assert_eq!(create(201), (BG_E_INVALID_SERVER_RESPONSE, Class::Fatal), "no address");
    let mut plan = at_upload(Protocol::Tus, 1 << 20);
    asked(&mut plan);
    answer(&mut plan, 200, &[("upload-offset", "0")]);
    asked(&mut plan);
    assert_eq!(answer(&mut plan, 413, &[]), Turn::Next);
    asked(&mut plan);
    answer(&mut plan, 200, &[("upload-offset", "0")]);
    assert_eq!(asked(&mut plan).body.len(), 512 << 10);
    // The last PATCH failed, but all bytes are there.
    let mut plan = at_upload(Protocol::Tus, 9);
    asked(&mut plan);
    answer(&mut plan, 200, &[("upload-offset", "0")]);
    asked(&mut plan);
    assert!(matches!(answer(&mut plan, 500, &[]), Turn::Wait(_)));
    asked(&mut plan);
    answer(&mut plan, 200, &[("upload-offset", "9")]);
    assert_eq!(plan.step(NOW), Next::Finished);
}

#[test]
fn a_lock_that_stays_and_an_end_that_is_not_taken_end_the_attempt() {
    let mut plan = at_upload(Protocol::Tus, 9);
    for _ in 0..4 {
        assert_eq!(asked(&mut plan).method, "HEAD");
        assert_eq!(answer(&mut plan, 423, &[]), Turn::Wait(1000));
    }
    asked(&mut plan);
    assert_eq!(failed(answer(&mut plan, 423, &[])), (HResult::from_http_status(423), Class::Transient));
    // Every byte is there, and the server says again and again that this is not all.
    let mut plan = at_upload(Protocol::Ietf, 9);
    asked(&mut plan);
    answer(&mut plan, 204, &[("upload-offset", "9")]);
    let not_all = [("upload-offset", "9"), ("upload-complete", "?0")];
    for _ in 0..4 {
        assert_eq!(asked(&mut plan).body.len(), 0);
        assert_eq!(answer(&mut plan, 200, &not_all), Turn::Next);
    }
    asked(&mut plan);
    assert_eq!(failed(answer(&mut plan, 200, &not_all)).0, BG_E_NO_PROGRESS);
}

#[test]
fn an_upload_elsewhere_gets_no_credentials_and_no_plain_http() {
    let source = SourceMark { size: 9, modified_s: 7, modified_ns: 0, inode: 3, device: 1 };
    let target = || Target::new("https://u:p@drop.example.net/f", source, "f", false).unwrap();
    let mut plan = Patch::new(target(), UploadState::default(), Protocol::Tus);
    assert!(asked(&mut plan).credentials);
    answer(&mut plan, 201, &[("location", "https://u2:p2@elsewhere.example/1")]);
    let ask = asked(&mut plan);
    assert_eq!((ask.credentials, ask.url.as_str()), (false, "https://elsewhere.example/1"));
    let mut plan = Patch::new(target(), UploadState::default(), Protocol::Tus);
    asked(&mut plan);
    let turn = answer(&mut plan, 201, &[("location", "http://drop.example.net/1")]);
    assert_eq!(failed(turn).0, BG_E_INVALID_SERVER_RESPONSE);
}

#[test]
fn ietf_creates_carefully_appends_and_completes() {
    let mut plan = Patch::new(target(9, false), UploadState::default(), Protocol::Ietf);
    let ask = asked(&mut plan);
    assert_eq!((ask.method, header(&ask, "Upload-Complete"), ask.body.len()), ("POST", Some("?0"), 0));
    answer(&mut plan, 201, &[("location", AT), ("upload-limit", "max-size=100")]);
    let ask = asked(&mut plan);
    assert_eq!(header(&ask, "Content-Type"), Some("application/partial-upload"));
    assert_eq!((ask.method, header(&ask, "Upload-Complete")), ("PATCH", Some("?1")));
    assert_eq!(answer(&mut plan, 409, &[("upload-offset", "3")]), Turn::Wait(1000));
    assert_eq!(asked(&mut plan).method, "HEAD");
    answer(&mut plan, 204, &[("upload-offset", "3"), ("upload-complete", "?0")]);
    assert_eq!(asked(&mut plan).body, Payload::File { offset: 3, length: 6 });
    answer(&mut plan, 200, &[("upload-complete", "?1")]);
    assert_eq!(plan.step(NOW), Next::Finished);
    // A lost final answer is found by HEAD.
    let mut plan = at_upload(Protocol::Ietf, 9);
    asked(&mut plan);
    answer(&mut plan, 204, &[("upload-offset", "9"), ("upload-complete", "?1")]);
    assert_eq!(plan.step(NOW), Next::Finished);
    // All bytes are there, but nobody said that it is the end: an empty PATCH does.
    let mut plan = at_upload(Protocol::Ietf, 9);
    asked(&mut plan);
    answer(&mut plan, 204, &[("upload-offset", "9")]);
    let ask = asked(&mut plan);
    assert_eq!((header(&ask, "Upload-Complete"), ask.body.len()), (Some("?1"), 0));
}

#[test]
fn put_sends_the_whole_file_and_begins_again_after_a_break() {
    for status in [200, 201, 204] {
        let mut plan = Put::new(target(9, false), UploadState::default());
        assert_eq!(asked(&mut plan).body, Payload::File { offset: 0, length: 9 });
        assert_eq!(answer(&mut plan, status, &[]), Turn::Next);
        assert_eq!(plan.step(NOW), Next::Finished);
    }
    let mut plan = Put::new(target(9, false), UploadState { offset: 5, ..UploadState::default() });
    assert_eq!(plan.state().offset, 0);
    asked(&mut plan);
    let cut = Fail::new(ERROR_WINHTTP_CONNECTION_ERROR, "cut");
    assert_eq!(failed(plan.broken(Box::new(cut), 5, NOW)).1, Class::Transient);
    assert_eq!(failed(answer(&mut plan, 409, &[])).1, Class::Transient);
    assert_eq!(failed(answer(&mut plan, 405, &[])), (HResult::from_http_status(405), Class::Fatal));
}

#[test]
fn auto_prefers_bits_then_tus_then_the_draft_then_put() {
    let ask_both = |options: &[(&str, &str)]| {
        let mut plan = Discover::new(target(9, false), UploadState::default());
        assert_eq!(asked(&mut plan).method, "BITS_POST");
        assert_eq!(answer(&mut plan, 405, &[]), Turn::Next);
        assert_eq!(asked(&mut plan).method, "OPTIONS");
        assert_eq!(answer(&mut plan, 204, options), Turn::Next);
        plan.step(NOW)
    };
    let tus = [("tus-version", "1.0.0,0.2"), ("tus-extension", "creation,termination")];
    assert_eq!(ask_both(&tus), Next::Settled(Protocol::Tus));
    assert_eq!(ask_both(&tus[..1]), Next::Settled(Protocol::Put), "it cannot create");
    assert_eq!(ask_both(&[("upload-limit", "min-size=0")]), Next::Settled(Protocol::Ietf));
    assert_eq!(ask_both(&[("allow", "PUT")]), Next::Settled(Protocol::Put));
    let mut plan = Discover::new(target(9, false), UploadState::default());
    asked(&mut plan);
    answer(&mut plan, 501, &[("bits-packet-type", "Ack"), ("bits-error", "0x80070005")]);
    assert_eq!(plan.step(NOW), Next::Settled(Protocol::Bits), "a BITS server that refuses is one");
    let mut plan = Discover::new(target(9, true), UploadState::default());
    assert_eq!(plan.step(NOW), Next::Settled(Protocol::Bits), "only BITS has replies");
    let mut plan = Discover::new(target(9, false), UploadState::default());
    asked(&mut plan);
    assert_eq!(failed(answer(&mut plan, 401, &[])), (BG_E_HTTP_ERROR_401, Class::Fatal));
}
