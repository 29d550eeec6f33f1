//! Tables 8.1 and 8.2, row by row.

use super::bits::{ACK, ID, created, received};
use super::*;
use crate::hresult::*;

#[derive(Clone, Copy)]
enum To {
    Create,
    Ping,
    Fragment,
    Close,
}

/// A plan that has just sent this packet.
fn after(packet: To) -> Bits {
    let mut plan = match packet {
        To::Create => Bits::new(target(5, false), UploadState::default()),
        To::Ping => Bits::new(
            target(5, false),
            UploadState { session: Some(ID.to_owned()), ..UploadState::default() },
        ),
        To::Fragment => created(5, false),
        To::Close => {
            let mut plan = created(5, false);
            asked(&mut plan);
            received(&mut plan, 200, 5);
            plan
        }
    };
    asked(&mut plan);
    plan
}

fn told(packet: To, status: u16, headers: &[(&str, &str)]) -> (HResult, Class) {
    failed(answer(&mut after(packet), status, headers))
}

const EVERY: [To; 4] = [To::Create, To::Ping, To::Fragment, To::Close];

#[test]
fn row_1_transport_failure_is_transient() {
    for packet in EVERY {
        let gone = Fail::new(ERROR_WINHTTP_CANNOT_CONNECT, "gone");
        assert_eq!(failed(after(packet).broken(Box::new(gone), 0, NOW)).1, Class::Transient);
    }
}

#[test]
fn row_2_success_that_is_no_ack_is_fatal() {
    for packet in EVERY {
        assert_eq!(told(packet, 200, &[]), (BG_E_INVALID_SERVER_RESPONSE, Class::Fatal));
    }
    let other = [ACK, ("BITS-Session-Id", ID), ("BITS-Protocol", "{00000000-0000-0000-0000-000000000000}")];
    assert_eq!(told(To::Create, 200, &other), (BG_E_CLIENT_SERVER_PROTOCOL_MISMATCH, Class::Fatal));
}

#[test]
fn row_3_success_ignores_error_headers() {
    let mut plan = after(To::Ping);
    assert_eq!(answer(&mut plan, 200, &[ACK, ("BITS-Error-Code", "1")]), Turn::Next);
}

#[test]
fn row_4_unknown_session_begins_another_one_once() {
    for packet in [To::Ping, To::Fragment] {
        let mut plan = after(packet);
        assert_eq!(answer(&mut plan, 500, &[("BITS-Error", "0x8020001F")]), Turn::Next);
        assert_eq!((plan.state().session.as_deref(), plan.state().offset), (None, 0));
        assert!(plan.take_must_keep());
        assert_eq!(header(&asked(&mut plan), "BITS-Packet-Type"), Some("Create-Session"));
        let turn = answer(&mut plan, 500, &[("BITS-Error", "8020001f")]);
        assert_eq!(failed(turn), (BG_E_SESSION_NOT_FOUND, Class::Transient));
    }
}

#[test]
fn row_7_credentials_are_asked_for() {
    for packet in EVERY {
        assert_eq!(told(packet, 401, &[]), (BG_E_HTTP_ERROR_401, Class::Fatal));
        assert_eq!(told(packet, 407, &[]), (BG_E_HTTP_ERROR_407, Class::Fatal));
    }
}

#[test]
fn row_10_403_is_fatal_with_the_code_that_was_sent() {
    for packet in EVERY {
        assert_eq!(told(packet, 403, &[]), (BG_E_HTTP_ERROR_403, Class::Fatal));
        assert_eq!(told(packet, 403, &[("BITS-Error", "0x80070005")]), (E_ACCESSDENIED, Class::Fatal));
    }
}

#[test]
fn rows_11_and_12_too_large_and_invalid_are_fatal() {
    for packet in EVERY {
        assert_eq!(told(packet, 500, &[("BITS-Error", "0x80200020")]), (BG_E_TOO_LARGE, Class::Fatal));
        assert_eq!(told(packet, 400, &[("BITS-Error-Code", "0x80070057")]), (E_INVALIDARG, Class::Fatal));
    }
}

#[test]
fn row_13_back_end_errors_have_their_own_context_and_the_class_of_their_status() {
    for (status, class) in
        [(404, Class::Fatal), (403, Class::Fatal), (503, Class::Transient), (408, Class::Transient)]
    {
        let context = [("BITS-Error", "0x80190000"), ("BITS-Error-Context", "0x7")];
        let Turn::Fail(fail) = answer(&mut after(To::Fragment), status, &context) else { panic!() };
        assert_eq!(fail.class, class, "{status}");
        if status != 403 {
            assert_eq!(fail.context, crate::ErrorContext::RemoteApplication, "{status}");
        }
    }
}

#[test]
fn row_14_other_statuses_by_table_8_2() {
    let rows = [(300..=305, Class::Fatal), (306..=306, Class::Transient), (307..=307, Class::Fatal)];
    for (statuses, class) in rows {
        for status in statuses {
            assert_eq!(
                told(To::Fragment, status, &[]),
                (HResult::from_http_status(status), class),
                "{status}"
            );
        }
    }
    for status in [408, 409, 429, 500, 502, 503, 504, 599] {
        assert_eq!(told(To::Create, status, &[]).1, Class::Transient, "{status}");
    }
    for status in [400, 402, 404, 405, 411, 414, 415, 501, 505] {
        assert_eq!(told(To::Create, status, &[]).1, Class::Fatal, "{status}");
    }
    let Turn::Fail(fail) = answer(&mut after(To::Create), 503, &[("retry-after", "30")]) else { panic!() };
    assert_eq!(fail.retry_after_ms, Some(30_000));
}

#[test]
fn close_session_is_repeated_after_any_5xx_only() {
    for status in [500, 501, 503, 505, 599] {
        assert_eq!(told(To::Close, status, &[]).1, Class::Transient, "{status}");
    }
    for status in [302, 404, 408, 409, 429] {
        assert_eq!(told(To::Close, status, &[]).1, Class::Fatal, "{status}");
    }
}
