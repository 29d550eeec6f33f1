//! Packets and states of the BITS client, one by one (spec/upload-protocol.md 5, 8, 10.3, 11, 12).

use super::*;
use crate::upload::{ContentRange, MAX_FRAGMENT, MIN_FRAGMENT};

pub(super) const ID: &str = "{3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}";
pub(super) const ACK: (&str, &str) = ("BITS-Packet-Type", "Ack");

fn kind(ask: &Ask) -> &str {
    header(ask, "BITS-Packet-Type").unwrap()
}

/// A session that was just created.
pub(super) fn created(size: u64, wants_reply: bool) -> Bits {
    let mut plan = Bits::new(target(size, wants_reply), UploadState::default());
    assert_eq!(kind(&asked(&mut plan)), "Create-Session");
    assert_eq!(answer(&mut plan, 200, &[ACK, ("BITS-Session-Id", ID)]), Turn::Next);
    plan
}

pub(super) fn received(plan: &mut Bits, status: u16, next: u64) -> Turn {
    answer(plan, status, &[ACK, ("BITS-Received-Content-Range", &next.to_string())])
}

fn resumed(state: UploadState, size: u64, wants_reply: bool) -> Bits {
    let mut plan = Bits::new(target(size, wants_reply), state);
    assert_eq!(kind(&asked(&mut plan)), "Ping", "an interrupted session goes on with a Ping");
    assert_eq!(answer(&mut plan, 200, &[ACK]), Turn::Next);
    plan
}

fn open(offset: u64) -> UploadState {
    UploadState { session: Some(ID.to_owned()), offset, ..UploadState::default() }
}

/// The request without its body, as text: what section 21.1 prints, less the headers that are the sender's.
fn golden(ask: &Ask) -> String {
    let mut text = format!("{} {}\n", ask.method, ask.target);
    for (name, value) in &ask.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push_str(&format!("Content-Length: {}\n", ask.body.len()));
    text
}

#[test]
fn golden_exchange_of_twelve_bytes() {
    let mut plan = Bits::new(target(12, false), UploadState::default());
    assert_eq!(
        golden(&asked(&mut plan)),
        "BITS_POST /in/log.bin\nBITS-Packet-Type: Create-Session\n\
         BITS-Supported-Protocols: {7df0354d-249b-430f-820d-3d2a9bef4931}\nContent-Name: log.bin\nContent-Length: 0\n"
    );
    let protocol = ("BITS-Protocol", "{7df0354d-249b-430f-820d-3d2a9bef4931}");
    let created = [ACK, protocol, ("BITS-Session-Id", ID), ("Accept-Encoding", "identity")];
    assert_eq!(answer(&mut plan, 200, &created), Turn::Next);
    assert!(plan.take_must_keep(), "the session is stored before its first byte");
    assert!(!plan.take_must_keep());
    assert_eq!(
        golden(&asked(&mut plan)),
        format!(
            "BITS_POST /in/log.bin\nBITS-Packet-Type: Fragment\nBITS-Session-Id: {ID}\nContent-Name: log.bin\n\
             Content-Range: bytes 0-11/12\nContent-Length: 12\n"
        )
    );
    // Only five arrived, says the server.
    assert_eq!(received(&mut plan, 200, 5), Turn::Next);
    assert_eq!(
        golden(&asked(&mut plan)),
        format!(
            "BITS_POST /in/log.bin\nBITS-Packet-Type: Fragment\nBITS-Session-Id: {ID}\nContent-Range: bytes 5-11/12\n\
             Content-Length: 7\n"
        )
    );
    assert_eq!(received(&mut plan, 200, 12), Turn::Next);
    assert!(!plan.take_must_keep());
    assert_eq!(
        golden(&asked(&mut plan)),
        format!(
            "BITS_POST /in/log.bin\nBITS-Packet-Type: Close-Session\nBITS-Session-Id: {ID}\nContent-Length: 0\n"
        )
    );
    assert!(plan.take_must_keep() && plan.state().close_sent, "stored before it is sent");
    assert_eq!(answer(&mut plan, 200, &[ACK]), Turn::Next);
    assert_eq!(plan.step(NOW), Next::Finished);
    assert!(plan.state().closed && !plan.state().is_open());
}

#[test]
fn golden_resume_with_a_short_fragment_and_416() {
    let size = 1 << 30;
    let mut plan = resumed(open(1000), size, false);
    let ask = asked(&mut plan);
    let length = MIN_FRAGMENT;
    assert_eq!(
        header(&ask, "Content-Range"),
        Some(ContentRange::Span { first: 1000, last: 999 + length, total: size }.to_string().as_str()),
        "little is sent twice while the offset is not certain"
    );
    assert_eq!(received(&mut plan, 416, 5000), Turn::Next);
    assert_eq!(asked(&mut plan).body, Payload::File { offset: 5000, length: 1 << 20 });
}

#[test]
fn zero_length_file_is_one_empty_fragment() {
    let mut plan = created(0, false);
    let ask = asked(&mut plan);
    assert_eq!((header(&ask, "Content-Range"), ask.body.len()), (Some("bytes */0"), 0));
    assert_eq!(received(&mut plan, 200, 0), Turn::Next);
    assert_eq!(kind(&asked(&mut plan)), "Close-Session");
    let mut foreign = created(0, false);
    asked(&mut foreign);
    assert_eq!(failed(answer(&mut foreign, 400, &[])), (crate::hresult::E_INVALIDARG, Class::Fatal));
}

#[test]
fn session_id_is_echoed_byte_for_byte() {
    for id in ["12345", ID, &"x".repeat(100)] {
        let mut plan = Bits::new(target(5, false), UploadState::default());
        asked(&mut plan);
        assert_eq!(answer(&mut plan, 201, &[ACK, ("BITS-Session-Id", id)]), Turn::Next);
        assert_eq!(header(&asked(&mut plan), "BITS-Session-Id"), Some(id));
    }
}

#[test]
fn offset_lower_equal_higher_beyond_and_missing() {
    // Lower than acknowledged: back.
    let mut plan = created(100 << 20, false);
    asked(&mut plan);
    received(&mut plan, 200, 1 << 20);
    asked(&mut plan);
    assert_eq!(received(&mut plan, 416, 77), Turn::Next);
    assert!(matches!(asked(&mut plan).body, Payload::File { offset: 77, .. }));
    // Higher than sent: forward.
    assert_eq!(received(&mut plan, 200, 50 << 20), Turn::Next);
    assert!(matches!(asked(&mut plan).body, Payload::File { offset: 52_428_800, .. }));
    // The size, even with 416: the end.
    assert_eq!(received(&mut plan, 416, 100 << 20), Turn::Next);
    assert_eq!(kind(&asked(&mut plan)), "Close-Session");
    // Beyond the end, or nonsense.
    for bad in ["104857601", "-1", "x", ""] {
        let mut plan = created(100 << 20, false);
        asked(&mut plan);
        let turn = answer(&mut plan, 200, &[ACK, ("BITS-Received-Content-Range", bad)]);
        assert_eq!(failed(turn), (crate::hresult::BG_E_INVALID_SERVER_RESPONSE, Class::Fatal), "{bad}");
    }
    // Missing on 416: another session, once.
    let mut plan = created(100, false);
    asked(&mut plan);
    assert_eq!(answer(&mut plan, 416, &[ACK, ("BITS-Recieved-Content-Range", "5")]), Turn::Next);
    assert_eq!(kind(&asked(&mut plan)), "Create-Session");
    answer(&mut plan, 200, &[ACK, ("BITS-Session-Id", ID)]);
    asked(&mut plan);
    assert_eq!(failed(answer(&mut plan, 416, &[ACK])).0, crate::hresult::BG_E_INVALID_SERVER_RESPONSE);
}

#[test]
fn five_answers_without_progress_end_the_attempt() {
    let mut plan = created(100 << 20, false);
    for _ in 0..4 {
        asked(&mut plan);
        assert_eq!(received(&mut plan, 200, 0), Turn::Next);
    }
    asked(&mut plan);
    assert_eq!(failed(received(&mut plan, 200, 0)), (crate::hresult::BG_E_NO_PROGRESS, Class::Transient));
}

#[test]
fn refused_sizes_are_halved_down_to_five_kibibytes() {
    let mut plan = created(100 << 20, false);
    let mut sizes = vec![];
    loop {
        sizes.push(asked(&mut plan).body.len());
        match answer(&mut plan, 413, &[]) {
            Turn::Next => {}
            Turn::Fail(fail) => {
                assert_eq!(fail.code, HResult::from_http_status(413));
                break;
            }
            Turn::Wait(_) => panic!(),
        }
    }
    assert_eq!(sizes.last(), Some(&MIN_FRAGMENT));
    assert!(sizes.iter().all(|size| (MIN_FRAGMENT..=MAX_FRAGMENT).contains(size)), "{sizes:?}");
    assert_eq!(plan.state().body_max, Some(MIN_FRAGMENT), "remembered for the next attempt");
}

#[test]
fn host_id_keeps_port_and_query_and_falls_back_in_time() {
    let source = SourceMark { size: 9000, modified_s: 7, modified_ns: 0, inode: 3, device: 1 };
    let target = || Target::new("http://drop.example.net:81/o/x?acct=4", source, "x", false).unwrap();
    let mut plan = Bits::new(target(), UploadState::default());
    asked(&mut plan);
    let host = ("BITS-Host-Id", "node7.drop.example.net:99");
    answer(&mut plan, 200, &[ACK, ("BITS-Session-Id", ID), host, ("BITS-Host-Id-Fallback-Timeout", "600")]);
    let ping = asked(&mut plan);
    assert_eq!(kind(&ping), "Ping", "the new host is tried first");
    assert_eq!(ping.url.as_str(), "http://node7.drop.example.net:81/o/x?acct=4");
    assert_eq!((ping.target.as_str(), ping.credentials), ("/o/x?acct=4", true));
    let gone = || Box::new(Fail::new(crate::hresult::ERROR_WINHTTP_CANNOT_CONNECT, "gone"));
    assert!(matches!(plan.broken(gone(), 0, NOW), Turn::Fail(_)));
    // The clock survives the process.
    let mut plan = Bits::new(target(), plan.state().clone());
    assert!(
        matches!(plan.step(NOW + 599_999), Next::Send(ask) if ask.url.host_str() == Some("node7.drop.example.net"))
    );
    assert!(matches!(plan.broken(gone(), 0, NOW + 599_999), Turn::Fail(_)));
    let mut plan = Bits::new(target(), plan.state().clone());
    let Next::Send(ask) = plan.step(NOW + 600_000) else { panic!() };
    assert_eq!((kind(&ask), ask.url.host_str()), ("Ping", Some("drop.example.net")));
    answer(&mut plan, 200, &[ACK]);
    asked(&mut plan);
    assert_eq!(answer(&mut plan, 500, &[("BITS-Error", "0x8020001F")]), Turn::Next);
    assert_eq!(kind(&asked(&mut plan)), "Create-Session");
    assert_eq!(plan.state().offset, 0);
}

#[test]
fn contact_stops_the_fallback_clock_and_no_timeout_means_never() {
    let mut state = open(10);
    (state.host, state.fallback_s, state.host_lost_ms) =
        (Some("n7".to_owned()), Some(600), Some(NOW - 599_000));
    let mut plan = resumed(state.clone(), 9000, false);
    asked(&mut plan);
    received(&mut plan, 200, 4000);
    assert_eq!(plan.state().host_lost_ms, None);
    state.fallback_s = None;
    state.host_lost_ms = Some(0);
    let plan = resumed(state, 9000, false);
    assert_eq!(plan.state().host.as_deref(), Some("n7"));
}

#[test]
fn foreign_host_id_gets_no_credentials() {
    let mut plan = Bits::new(target(5, false), UploadState::default());
    asked(&mut plan);
    answer(&mut plan, 200, &[ACK, ("BITS-Session-Id", ID), ("BITS-Host-Id", "evil.example")]);
    let ask = asked(&mut plan);
    assert_eq!((ask.url.host_str(), ask.credentials), (Some("evil.example"), false));
}

#[test]
fn upload_reply_downloads_before_it_closes() {
    let mut plan = created(5, true);
    let ask = asked(&mut plan);
    assert!(ask.patience_ms > 300_000, "a back-end works behind this answer");
    let url = ("BITS-Reply-URL", "/replies/1");
    answer(&mut plan, 200, &[ACK, ("BITS-Received-Content-Range", "5"), url]);
    assert_eq!(plan.step(NOW), Next::Reply(vec!["http://drop.example.net/replies/1".to_owned()]));
    // A new process goes on with the reply.
    let mut plan = resumed(plan.state().clone(), 5, true);
    assert!(matches!(plan.step(NOW), Next::Reply(_)));
    plan.reply_stored();
    assert_eq!(kind(&asked(&mut plan)), "Close-Session");
}

#[test]
fn upload_reply_without_address_asks_the_final_fragment_once_more_or_is_empty() {
    // The offset came with 416: the address may be had by the final fragment.
    let mut plan = resumed(open(0), 9000, true);
    asked(&mut plan);
    received(&mut plan, 416, 9000);
    let ask = asked(&mut plan);
    assert_eq!(header(&ask, "Content-Range"), Some("bytes 0-8999/9000"));
    answer(&mut plan, 200, &[ACK, ("BITS-Received-Content-Range", "9000"), ("BITS-Reply-URL", "r")]);
    assert_eq!(plan.step(NOW), Next::Reply(vec!["http://drop.example.net/in/r".to_owned()]));
    // It has none: an empty reply.
    let mut plan = created(5, true);
    asked(&mut plan);
    received(&mut plan, 200, 5);
    assert_eq!(plan.step(NOW), Next::Reply(vec![]));
    // A plain upload asks for none and takes none.
    let mut plan = created(5, false);
    asked(&mut plan);
    answer(&mut plan, 200, &[ACK, ("BITS-Received-Content-Range", "5"), ("BITS-Reply-URL", "r")]);
    assert_eq!(kind(&asked(&mut plan)), "Close-Session");
}

#[test]
fn close_retry_after_lost_ack_does_not_upload_again() {
    let mut plan = created(5, false);
    asked(&mut plan);
    received(&mut plan, 200, 5);
    asked(&mut plan);
    // The service dies here; the next one closes again, and a foreign server knows the session no more.
    let mut plan = resumed(plan.state().clone(), 5, false);
    assert_eq!(kind(&asked(&mut plan)), "Close-Session");
    assert_eq!(answer(&mut plan, 500, &[("BITS-Error-Code", "0x8020001F")]), Turn::Next);
    assert_eq!(plan.step(NOW), Next::Finished);
    // At the first Close it means that the session was lost before.
    let mut plan = created(5, false);
    asked(&mut plan);
    received(&mut plan, 200, 5);
    asked(&mut plan);
    assert_eq!(answer(&mut plan, 500, &[("BITS-Error-Code", "0x8020001F")]), Turn::Next);
    assert_eq!(kind(&asked(&mut plan)), "Create-Session");
}

#[test]
fn cancel_session_names_the_session_and_its_host() {
    let mut state = open(5);
    state.protocol = Some(Protocol::Bits);
    state.host = Some("n7.drop.example.net".to_owned());
    let ask = cancel(&target(9, false), &state).unwrap();
    assert_eq!((kind(&ask), header(&ask, "BITS-Session-Id")), ("Cancel-Session", Some(ID)));
    assert_eq!(ask.url.host_str(), Some("n7.drop.example.net"));
    let told = |status, headers: &[(&str, &[u8])]| {
        is_cancelled(&Heard { status, headers, body: b"", took_ms: 1, repeated: false })
    };
    assert!(told(200, &[("bits-packet-type", b"Ack")]) && told(404, &[]));
    assert!(told(500, &[("bits-error", b"0x8020001F")]) && !told(500, &[]) && !told(503, &[]));
    state.closed = true;
    assert_eq!(cancel(&target(9, false), &state), None, "delivered is delivered");
}
