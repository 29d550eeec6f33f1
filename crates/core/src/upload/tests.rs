use super::fragment::{Decision, decide};
use super::*;
use crate::hresult::*;
use crate::{ErrorContext, HResult};
use proptest::prelude::*;

const ID: &str = "{3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}";

fn id() -> SessionId {
    SessionId::from_header(ID.as_bytes()).unwrap()
}

fn packet(headers: &[(&str, &str)]) -> Result<Packet, Refusal> {
    Envelope::parse(true, headers)?.packet(headers)
}

fn invalid<T: std::fmt::Debug>(result: Result<T, Refusal>) {
    assert!(matches!(result, Err(Refusal::Invalid(_))), "{result:?}");
}

#[test]
fn every_packet_is_read_in_any_case() {
    let session = [("bits-session-id", ID), ("Content-Length", "0")];
    for (name, wanted) in [
        ("PING", Packet::Ping),
        ("ping", Packet::Ping),
        ("CREATE-SESSION", Packet::Create),
        ("Close-Session", Packet::Close(id())),
        ("cancel-session", Packet::Cancel(id())),
        ("Fragment", Packet::Fragment(id())),
    ] {
        let mut headers = session.to_vec();
        headers.push(("BITS-PACKET-TYPE", name));
        headers.push(("BITS-Supported-Protocols", PROTOCOL));
        assert_eq!(packet(&headers), Ok(wanted), "{name}");
    }
}

#[test]
fn checks_2_to_4_come_in_the_documented_order() {
    let long = "x".repeat(MAX_HEADER_VALUE + 1);
    let headers = [("X", long.as_str())];
    invalid(Envelope::parse(false, headers.as_slice()));
    invalid(Envelope::parse(true, headers.as_slice()));
    assert_eq!(Envelope::parse(true, [("X", "1")].as_slice()), Err(Refusal::LengthRequired));
    invalid(Envelope::parse(true, [("Content-Length", "+1")].as_slice()));
    invalid(Envelope::parse(true, [("Content-Length", "0")].as_slice()));
    invalid(Envelope::parse(true, [("Content-Length", "0"), ("BITS-Packet-Type", "Pong")].as_slice()));
    let exact = "x".repeat(MAX_HEADER_VALUE);
    let headers = [("X", exact.as_str()), ("Content-Length", "0"), ("BITS-Packet-Type", "Ping")];
    assert_eq!(packet(&headers), Ok(Packet::Ping));
}

#[test]
fn a_body_is_refused_on_all_but_fragment() {
    for name in ["Ping", "Create-Session", "Close-Session", "Cancel-Session"] {
        invalid(packet(&[("Content-Length", "1"), ("BITS-Packet-Type", name), ("BITS-Session-Id", ID)]));
    }
}

#[test]
fn a_session_id_is_needed_on_fragment_close_and_cancel() {
    for name in ["Fragment", "Close-Session", "Cancel-Session"] {
        invalid(packet(&[("Content-Length", "0"), ("BITS-Packet-Type", name)]));
        invalid(packet(&[("Content-Length", "0"), ("BITS-Packet-Type", name), ("BITS-Session-Id", "")]));
    }
    invalid(packet(&[("Content-Length", "0"), ("BITS-Packet-Type", "Ack")]));
}

#[test]
fn protocols_are_found_in_lists_of_up_to_a_hundred() {
    let other = "{00000000-0000-0000-0000-000000000000}";
    let upper = PROTOCOL.to_uppercase();
    for good in [
        PROTOCOL.to_owned(),
        upper,
        format!("{other},{PROTOCOL}"),
        format!("{other} ,  {PROTOCOL} "),
        format!("{} {PROTOCOL}", vec![other; 99].join(" ")),
    ] {
        assert!(grammar::speaks_our_protocol(good.as_bytes()), "{good}");
    }
    for bad in [String::new(), other.to_owned(), format!("{} {PROTOCOL}", vec![other; 100].join(","))] {
        assert!(!grammar::speaks_our_protocol(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn content_ranges_are_read_and_the_rest_is_refused() {
    let span = |first, last, total| Some(ContentRange::Span { first, last, total });
    for (text, length, wanted) in [
        ("bytes 0-4/12", 5, span(0, 4, 12)),
        ("BYTES 0-4/12", 5, span(0, 4, 12)),
        ("bytes  5-11/12 ", 7, span(5, 11, 12)),
        ("bytes 0-18446744073709551614/18446744073709551615", 1, span(0, u64::MAX - 1, u64::MAX)),
        ("bytes */0", 0, Some(ContentRange::Empty)),
        ("bytes 0-0/0", 0, Some(ContentRange::Empty)),
        ("bytes */0", 1, None),
        ("bytes */12", 0, None),
        ("bytes 0-4/*", 5, None),
        ("bytes 4-0/12", 5, None),
        ("bytes -1-4/12", 5, None),
        ("bytes +0-4/12", 5, None),
        ("bytes 0-4", 5, None),
        ("bytes=0-4/12", 5, None),
        ("bytes 0-18446744073709551616/18446744073709551617", 1, None),
        ("bytes 0-4/000000000000000000012", 5, None),
        ("", 0, None),
    ] {
        assert_eq!(ContentRange::parse(text.as_bytes(), length), wanted, "{text}");
    }
}

#[test]
fn a_range_must_fit_the_body_and_the_total() {
    let range = |length: u64, value: &str, coding: &str| {
        let headers = [("Content-Range", value), ("Content-Encoding", coding)];
        Envelope { kind: PacketType::Fragment, length }.range(headers.as_slice())
    };
    assert!(range(5, "bytes 0-4/12", "Identity").is_ok());
    invalid(range(4, "bytes 0-4/12", "identity"));
    invalid(range(6, "bytes 0-4/12", "identity"));
    invalid(range(5, "bytes 8-12/12", "identity"));
    invalid(range(5, "bytes 0-4/12", "gzip"));
    invalid(Envelope { kind: PacketType::Fragment, length: 0 }.range([("A", "b")].as_slice()));
}

#[test]
fn session_ids_are_opaque_but_only_guids_become_names() {
    let hundred = "x".repeat(100);
    for good in ["12345", ID, &hundred, "a/../b"] {
        assert_eq!(SessionId::from_header(good.as_bytes()).unwrap().as_str(), good);
    }
    for bad in ["", " ", &"x".repeat(101), "a b", "a\u{e9}", "a\0"] {
        assert_eq!(SessionId::from_header(bad.as_bytes()), Err(InvalidSessionId), "{bad:?}");
    }
    assert_eq!(id().guid().as_deref(), Some("3b0c7a52-91d4-4e6f-8a17-5c20d9e4b6f1"));
    assert_eq!(SessionId::from_guid(&id().guid().unwrap()), Ok(id()));
    for other in
        ["{3b0c7a52-91d4-4e6f-8a17-5c20d9e4b6f1}", "12345", "{..}", "3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1"]
    {
        assert_eq!(SessionId::from_header(other.as_bytes()).unwrap().guid(), None, "{other}");
    }
    assert_eq!(SessionId::from_random_bytes([7; 16]).as_str(), "{07070707-0707-4707-8707-070707070707}");
}

fn at(next: u64, total: Option<u64>) -> Progress {
    Progress { next, total }
}

fn span(first: u64, last: u64, total: u64) -> ContentRange {
    ContentRange::Span { first, last, total }
}

fn decided(progress: Progress, range: ContentRange) -> Result<Decision, Refusal> {
    decide(progress, range, 1000, 500)
}

#[test]
fn table_10_1_in_order() {
    assert_eq!(decided(at(0, None), span(0, 4, 12)), Ok(Decision::Write { skip: 0, length: 5, total: 12 }));
    assert_eq!(
        decided(at(5, Some(12)), span(5, 11, 12)),
        Ok(Decision::Write { skip: 0, length: 7, total: 12 })
    );
}

#[test]
fn table_10_1_gap() {
    assert_eq!(decided(at(5, Some(12)), span(6, 11, 12)), Err(Refusal::OutOfStep { next: 5 }));
    assert_eq!(decided(at(0, None), span(1, 11, 12)), Err(Refusal::OutOfStep { next: 0 }));
}

#[test]
fn table_10_1_overlap_takes_the_tail() {
    let worked_example = decided(at(101, Some(200)), span(50, 150, 200));
    assert_eq!(worked_example, Ok(Decision::Write { skip: 51, length: 50, total: 200 }));
}

#[test]
fn table_10_1_duplicates() {
    assert_eq!(decided(at(5, Some(12)), span(0, 4, 12)), Ok(Decision::Duplicate { last: false }));
    assert_eq!(decided(at(12, Some(12)), span(5, 11, 12)), Ok(Decision::Duplicate { last: true }));
    assert_eq!(decided(at(12, Some(12)), span(0, 4, 12)), Ok(Decision::Duplicate { last: false }));
}

#[test]
fn table_10_1_total_changed_and_limits() {
    invalid(decided(at(5, Some(12)), span(5, 11, 13)));
    assert_eq!(decided(at(0, None), span(0, 4, 1001)), Err(Refusal::TooLarge));
    assert!(decided(at(0, None), span(0, 4, 1000)).is_ok());
    assert_eq!(decided(at(0, None), span(0, 500, 1000)), Err(Refusal::FragmentTooLarge));
    assert!(decided(at(0, None), span(0, 499, 1000)).is_ok());
}

#[test]
fn section_10_2_empty_files() {
    assert_eq!(
        decided(at(0, None), ContentRange::Empty),
        Ok(Decision::Write { skip: 0, length: 0, total: 0 })
    );
    assert_eq!(decided(at(0, Some(0)), ContentRange::Empty), Ok(Decision::Duplicate { last: true }));
    invalid(decided(at(0, Some(12)), ContentRange::Empty));
}

#[test]
fn error_table_of_section_6() {
    let remote = ErrorContext::RemoteFile;
    let app = ErrorContext::RemoteApplication;
    let http = HResult::from_http_status;
    for (refusal, status, error) in [
        (Refusal::SessionNotFound, 500, Some((BG_E_SESSION_NOT_FOUND, remote))),
        (Refusal::Exists, 403, Some((E_ACCESSDENIED, remote))),
        (Refusal::AccessDenied, 403, Some((E_ACCESSDENIED, remote))),
        (Refusal::Disabled, 501, Some((E_ACCESSDENIED, remote))),
        (Refusal::OutOfStep { next: 1 }, 416, Some((S_OK, remote))),
        (Refusal::Invalid("x"), 400, Some((E_INVALIDARG, remote))),
        (Refusal::LengthRequired, 411, Some((E_INVALIDARG, remote))),
        (Refusal::ReplyUrlTooLong, 400, Some((E_INVALIDARG, app))),
        (Refusal::TooLarge, 500, Some((BG_E_TOO_LARGE, remote))),
        (Refusal::FragmentTooLarge, 413, None),
        (Refusal::DiskFull, 500, Some((ERROR_DISK_FULL, remote))),
        (Refusal::Backend(403), 403, Some((http(403), app))),
        (Refusal::Backend(503), 503, Some((http(503), app))),
        (Refusal::BackendTimeout, 408, Some((http(408), app))),
        (Refusal::Vanished, 404, None),
        (Refusal::NoFolder, 404, None),
        (Refusal::Busy, 503, None),
    ] {
        assert_eq!((refusal.status(), refusal.error()), (status, error), "{refusal:?}");
    }
}

fn printed(ack: &Ack) -> String {
    ack.headers().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

#[test]
fn acks_are_printed_as_in_section_21() {
    let created = Ack { created: true, ..Ack::ok(Some(id())) };
    assert_eq!(
        printed(&created),
        format!(
            "Pragma: no-cache\r\nBITS-Packet-Type: Ack\r\nBITS-Protocol: {PROTOCOL}\r\nBITS-Session-Id: {ID}\r\n\
             Accept-Encoding: identity\r\nContent-Length: 0\r\n"
        )
    );
    assert_eq!(
        printed(&Ack::refuse(Refusal::OutOfStep { next: 5 }, Some(id()))),
        format!(
            "Pragma: no-cache\r\nBITS-Packet-Type: Ack\r\nBITS-Session-Id: {ID}\r\n\
             BITS-Received-Content-Range: 5\r\nBITS-Error: 0x00000000\r\nBITS-Error-Code: 0x00000000\r\n\
             BITS-Error-Context: 0x5\r\nContent-Length: 0\r\n"
        )
    );
}

#[test]
fn acks_are_read_back_as_they_were_printed() {
    let host = HostId { host: "node7.drop.example.net".to_owned(), fallback_s: 600 };
    for (asked, ack) in [
        (PacketType::Ping, Ack::ok(None)),
        (PacketType::CreateSession, Ack { created: true, host: Some(host), ..Ack::ok(Some(id())) }),
        (
            PacketType::Fragment,
            Ack { received: Some(u64::MAX), reply_url: Some("http://a/r".to_owned()), ..Ack::ok(Some(id())) },
        ),
        (PacketType::Fragment, Ack::refuse(Refusal::OutOfStep { next: 7 }, Some(id()))),
        (PacketType::CloseSession, Ack::refuse(Refusal::SessionNotFound, Some(id()))),
        (PacketType::Fragment, Ack::refuse(Refusal::Backend(503), None)),
    ] {
        assert_eq!(Ack::read(asked, ack.status, ack.headers().as_slice()), Ok(ack));
    }
}

#[test]
fn acks_of_other_servers_are_read_with_tolerance() {
    let ack = |status, headers: &[(&str, &str)]| Ack::read(PacketType::Fragment, status, headers);
    assert_eq!(ack(200, &[("Content-Type", "text/html")]), Err(UnreadableAck::NotBits));
    let quiet = ack(200, &[("BITS-Packet-Type", "ACK"), ("BITS-Error-Code", "1")]).unwrap();
    assert_eq!((quiet.error, quiet.received), (None, None));
    let one_name = ack(500, &[("BITS-Error-Code", "8020001f")]).unwrap();
    assert_eq!(one_name.error.unwrap().code, BG_E_SESSION_NOT_FOUND);
    let both =
        ack(500, &[("BITS-Error-Code", "0x1"), ("BITS-Error", "0x80200020"), ("BITS-Error-Context", "0x7")]);
    let both = both.unwrap().error.unwrap();
    assert_eq!((both.code, both.context), (BG_E_TOO_LARGE, ErrorContext::RemoteApplication));
    let create = |headers: &[(&str, &str)]| Ack::read(PacketType::CreateSession, 201, headers);
    let base = [("BITS-Packet-Type", "Ack"), ("BITS-Session-Id", "12345")];
    assert_eq!(create(&base).unwrap().session.unwrap().as_str(), "12345");
    assert_eq!(create(&base[..1]), Err(UnreadableAck::BadSessionId));
    let mut other = base.to_vec();
    other.push(("BITS-Protocol", "{00000000-0000-0000-0000-000000000000}"));
    assert_eq!(create(&other), Err(UnreadableAck::BadProtocol));
    let mut host = base.to_vec();
    host.push(("BITS-Host-Id", "http://evil/"));
    assert_eq!(create(&host).unwrap().host, None);
    host[2].1 = "node7";
    assert_eq!(create(&host).unwrap().host.unwrap().fallback_s, NO_FALLBACK_S);
}

fn session(phase: Phase, next: u64) -> Session {
    Session {
        id: id(),
        door: Door::Bits,
        owner: "ann".to_owned(),
        counted_as: "ann".to_owned(),
        path: "/in/log.bin".to_owned(),
        url: "http://h/in/log.bin".to_owned(),
        created_s: 1,
        phase,
        copy_to_destination: true,
        reply_token: "t".to_owned(),
        reply_url: None,
        progress: at(next, Some(12)),
        tus: None,
    }
}

#[test]
fn state_receive_waits_for_the_last_byte() {
    assert_eq!(session(Phase::Receive, 11).settle(true), Settle::NotYet);
    assert_eq!(session(Phase::Receive, 12).settle(true), Settle::Notify);
    assert_eq!(session(Phase::Receive, 12).settle(false), Settle::NoBackend);
    assert_eq!(session(Phase::Receive, 11).close(), Ending::Discard);
    assert_eq!(session(Phase::Receive, 12).close(), Ending::Discard);
}

#[test]
fn state_notify_failure_returns_to_receive_and_is_tried_again() {
    for (answer, refusal) in [
        (Notified::Refused(503), Refusal::Backend(503)),
        (Notified::TimedOut, Refusal::BackendTimeout),
        (Notified::ReplyUrlTooLong, Refusal::ReplyUrlTooLong),
    ] {
        let mut session = session(Phase::Receive, 12);
        assert_eq!(session.notified(answer), Err(refusal));
        assert_eq!(session.settle(true), Settle::Notify);
    }
}

#[test]
fn state_notify_403_is_never_posted_again() {
    let mut session = session(Phase::Receive, 12);
    assert_eq!(session.notified(Notified::Refused(403)), Err(Refusal::Backend(403)));
    assert_eq!(session.settle(true), Settle::Cached(Final::Rejected));
    assert_eq!(session.close(), Ending::Discard);
}

#[test]
fn state_wait_close_keeps_the_answer() {
    for (copy, ending) in [(true, Ending::Deliver), (false, Ending::Discard)] {
        let mut session = session(Phase::Receive, 12);
        let reply_url = Some("http://h/r".to_owned());
        assert_eq!(session.notified(Notified::Accepted { copy_to_destination: copy, reply_url }), Ok(()));
        assert_eq!(session.settle(true), Settle::Cached(Final::Accepted));
        assert_eq!(session.reply_url.as_deref(), Some("http://h/r"));
        assert_eq!(session.close(), ending);
    }
}

#[test]
fn a_session_is_for_its_owner_and_url_only() {
    let session = session(Phase::Receive, 0);
    assert!(session.is_for("ann", "/in/log.bin"));
    assert!(!session.is_for("bob", "/in/log.bin"));
    assert!(!session.is_for("ann", "/in/log2.bin"));
    assert!(!session.is_for("", "/in/log.bin"));
}

proptest! {
    #[test]
    fn no_request_makes_the_parsers_panic(
        headers in prop::collection::vec((
            prop::sample::select(vec!["Content-Length", "BITS-Packet-Type", "BITS-Session-Id", "Content-Range",
                "BITS-Supported-Protocols", "Content-Encoding", "BITS-Host-Id", "BITS-Error", "BITS-Received-Content-Range"]),
            prop::collection::vec(any::<u8>(), 0..60)), 0..9),
        status in any::<u16>(), length in any::<u64>(),
    ) {
        let headers = headers.as_slice();
        if let Ok(envelope) = Envelope::parse(true, headers) { let _ = envelope.packet(headers); }
        let _ = Envelope { kind: PacketType::Fragment, length }.range(headers);
        for asked in PacketType::ALL { let _ = Ack::read(asked, status, headers); }
    }

    #[test]
    fn almost_good_ranges_do_not_panic(text in "(bytes|BYTES)? ?[0-9*]{0,21}-?[0-9]{0,21}/?[0-9*]{0,21}", length in any::<u64>()) {
        if let Some(range) = ContentRange::parse(text.as_bytes(), length) {
            prop_assert_eq!(ContentRange::parse(range.to_string().as_bytes(), length), Some(range));
        }
    }

    /// Whatever fragments come, the stored bytes are a prefix of the file, and every answer names a true offset.
    #[test]
    fn any_order_of_fragments_builds_a_prefix(total in 1u64..60, pieces in prop::collection::vec((0u64..60, 1u64..30), 1..40)) {
        let file: Vec<u8> = (0..total).map(|i| i as u8).collect();
        let (mut stored, mut progress) = (Vec::new(), Progress::default());
        for (first, length) in pieces {
            let first = first % total;
            let last = (first + length - 1).min(total - 1);
            let body = &file[first as usize..=last as usize];
            match decide(progress, span(first, last, total), 1000, 1000) {
                Ok(Decision::Write { skip, length, total }) => {
                    stored.extend_from_slice(&body[skip as usize..]);
                    prop_assert_eq!(body.len() as u64 - skip, length);
                    progress = at(progress.next + length, Some(total));
                }
                Ok(Decision::Duplicate { .. }) => prop_assert!(last < progress.next),
                Err(refusal) => prop_assert_eq!(refusal, Refusal::OutOfStep { next: progress.next }),
            }
            prop_assert_eq!(stored.len() as u64, progress.next);
            prop_assert!(file.starts_with(&stored));
        }
    }
}
