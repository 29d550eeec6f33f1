//! Every packet, acknowledgement, error and state row of spec/upload-protocol.md, on the wire.

use crate::process::{Server, config};
use crate::raw::{GUID, Raw};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const INVALID: (u16, Option<&str>, Option<&str>) = (400, Some("0x80070057"), Some("0x5"));
const DENIED: (u16, Option<&str>, Option<&str>) = (403, Some("0x80070005"), Some("0x5"));
const UNKNOWN: (u16, Option<&str>, Option<&str>) = (500, Some("0x8020001F"), Some("0x5"));
const P: &str = "/in/f";

fn plain() -> (Server, Raw) {
    let server = Server::plain();
    let raw = Raw::open(server.address);
    (server, raw)
}

#[test]
fn ping_is_answered_anywhere_and_says_nothing() {
    let (_server, mut raw) = plain();
    let answer = raw.packet("Ping", "/nowhere/at/all", &[("BITS-Session-Id", "{x}")], b"");
    assert_eq!(
        (answer.status, answer.header("BITS-Packet-Type"), answer.received()),
        (200, Some("Ack"), None)
    );
    assert_eq!(answer.header("BITS-Session-Id"), None);
}

#[test]
fn create_names_protocol_session_and_coding() {
    let (server, mut raw) = plain();
    let list = format!("{{00000000-0000-0000-0000-000000000001}}, {}", GUID.to_uppercase());
    let answer = raw.packet("create-session", P, &[("bits-supported-protocols", &list)], b"");
    assert_eq!((answer.status, answer.header("BITS-Protocol")), (200, Some(GUID)));
    assert_eq!(answer.header("Accept-Encoding"), Some("identity"));
    assert_eq!(answer.header("BITS-Host-Id"), None);
    assert_eq!(answer.header("BITS-Host-Id-Fallback-Timeout"), None);
    assert_eq!(server.state("live").len(), 1);
    assert_eq!(server.stored("in/f"), None, "nothing is visible before Close");
}

#[test]
fn create_without_a_common_protocol_is_invalid() {
    let (_server, mut raw) = plain();
    assert_eq!(raw.packet("Create-Session", P, &[], b"").error(), INVALID);
    let other = [("BITS-Supported-Protocols", "{00000000-0000-0000-0000-000000000001}")];
    assert_eq!(raw.packet("Create-Session", P, &other, b"").error(), INVALID);
}

#[test]
fn create_refuses_folders_missing_folders_and_existing_files() {
    let (server, mut raw) = plain();
    fs::write(server.root().join("in/there"), "x").unwrap();
    let list = [("BITS-Supported-Protocols", GUID)];
    for (path, wanted) in [("/in", INVALID), ("/in/", INVALID), ("/", INVALID), ("/in/new/", INVALID)] {
        assert_eq!(raw.packet("Create-Session", path, &list, b"").error(), wanted, "{path}");
    }
    assert_eq!(raw.packet("Create-Session", "/missing/f", &list, b"").error(), (404, None, None));
    assert_eq!(raw.packet("Create-Session", "/in/there", &list, b"").error(), DENIED);
    assert_eq!(server.state("live").len(), 0);
}

#[test]
fn overwrite_replaces_in_one_step_when_allowed() {
    let server = Server::with(&config("overwrite = true"));
    fs::write(server.root().join("in/f"), "old").unwrap();
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    raw.fragment(P, &session, 0, 3, b"new");
    assert_eq!(server.stored("in/f").unwrap(), b"old");
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(server.stored("in/f").unwrap(), b"new");
    assert_eq!(fs::metadata(server.root().join("in/f")).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn table_10_1_on_the_wire() {
    let (server, mut raw) = plain();
    let session = raw.create(P);
    let file: Vec<u8> = (0..200).map(|i| i as u8).collect();
    let mut send = |first: usize, last: usize, junk: bool| {
        let mut body = file[first..=last].to_vec();
        if junk {
            body[0] ^= 0xFF; // bytes that are there already are never written again
        }
        let answer = raw.fragment(P, &session, first, 200, &body);
        (answer.status, answer.received().unwrap())
    };
    assert_eq!(send(10, 20, false), (416, 0), "gap at the start");
    assert_eq!(send(0, 100, false), (200, 101), "in order");
    assert_eq!(send(102, 110, false), (416, 101), "gap");
    assert_eq!(send(50, 150, true), (200, 151), "overlap: the worked example");
    assert_eq!(send(0, 20, true), (200, 151), "duplicate");
    assert_eq!(send(151, 199, false), (200, 200), "the rest");
    assert_eq!(send(151, 199, true), (200, 200), "duplicate of the last");
    assert_eq!(send(0, 199, true), (200, 200), "all of it again");
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(server.stored("in/f").unwrap(), file);
}

#[test]
fn fragments_that_contradict_themselves_are_invalid() {
    let (_server, mut raw) = plain();
    let session = raw.create(P);
    assert_eq!(raw.fragment(P, &session, 0, 12, b"hello").received(), Some(5));
    for (range, body) in [
        ("bytes 5-9/13", "12345"),     // total changed
        ("bytes 5-12/12", "12345678"), // beyond the end
        ("bytes 5-9/12", "1234"),      // longer than the body
        ("bytes 9-5/12", "12345"),
        ("bytes 5-9/*", "12345"),
        ("bytes */12", ""),
        ("5-9/12", "12345"),
        ("bytes */0", ""),
        ("", "12345"),
    ] {
        let headers = [("BITS-Session-Id", session.as_str()), ("Content-Range", range)];
        assert_eq!(raw.packet("Fragment", P, &headers, body.as_bytes()).error(), INVALID, "{range}");
    }
    assert_eq!(raw.packet("Fragment", P, &[("BITS-Session-Id", &session)], b"12345").error(), INVALID);
    let coded = [
        ("BITS-Session-Id", session.as_str()),
        ("Content-Range", "bytes 5-9/12"),
        ("Content-Encoding", "gzip"),
    ];
    assert_eq!(raw.packet("Fragment", P, &coded, b"12345").error(), INVALID);
    assert_eq!(raw.fragment(P, &session, 5, 12, b", bits\n").received(), Some(12), "none of it did harm");
}

#[test]
fn section_10_2_empty_files_in_both_spellings() {
    let (server, mut raw) = plain();
    for (index, range) in ["bytes */0", "bytes 0-0/0"].iter().enumerate() {
        let path = format!("/in/empty{index}");
        let session = raw.create(&path);
        let headers = [("BITS-Session-Id", session.as_str()), ("Content-Range", range)];
        for _ in 0..2 {
            let answer = raw.packet("Fragment", &path, &headers, b"");
            assert_eq!((answer.status, answer.received()), (200, Some(0)));
        }
        assert_eq!(raw.close(&path, &session).status, 200);
        assert_eq!(server.stored(&path[1..]).unwrap(), b"");
    }
}

#[test]
fn limits_of_size_of_file_and_fragment() {
    let server =
        Server::with(&format!("[limits]\nfragment_bytes = 100\n{}", config("max_size_bytes = 1000")));
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    assert_eq!(raw.fragment(P, &session, 0, 1001, &[0; 10]).error(), (500, Some("0x80200020"), Some("0x5")));
    assert_eq!(raw.fragment(P, &session, 0, 1000, &[0; 101]).error(), (413, None, None));
    assert_eq!(raw.fragment(P, &session, 0, 1000, &[0; 100]).received(), Some(100));
}

#[test]
fn malformed_requests_are_400_and_a_missing_length_is_411() {
    let (_server, mut raw) = plain();
    assert_eq!(raw.ask("BITS_POST", P, &[], b"").error(), INVALID, "no packet type");
    assert_eq!(raw.packet("Launch", P, &[], b"").error(), INVALID);
    assert_eq!(raw.packet("Ack", P, &[], b"").error(), INVALID);
    for kind in ["Ping", "Create-Session", "Close-Session", "Cancel-Session"] {
        assert_eq!(raw.packet(kind, P, &[("BITS-Session-Id", "{x}")], b"body").error(), INVALID, "{kind}");
    }
    for kind in ["Fragment", "Close-Session", "Cancel-Session"] {
        assert_eq!(raw.packet(kind, P, &[], b"").error(), INVALID, "{kind}");
    }
    let long = "x".repeat(4097);
    assert_eq!(raw.packet("Ping", P, &[("X-Long", &long)], b"").error(), INVALID);
    assert_eq!(raw.packet("Ping", P, &[("X-Long", &long[..4096])], b"").status, 200);
    let chunked = [("BITS-Packet-Type", "Ping"), ("Transfer-Encoding", "chunked")];
    let answer = raw.ask("BITS_POST", P, &chunked, b"0\r\n\r\n");
    assert_eq!(answer.error(), (411, Some("0x80070057"), Some("0x5")));
    let mut old = Raw::open(_server.address);
    old.send(b"BITS_POST /in/f HTTP/1.0\r\nBITS-Packet-Type: Ping\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(old.answer().unwrap().error(), INVALID);
}

#[test]
fn uploads_that_are_not_enabled_are_501_for_every_packet() {
    let server = Server::with("[[path]]\nprefix = \"/in\"\nenabled = true\n");
    let mut raw = Raw::open(server.address);
    for kind in ["Ping", "Create-Session", "Fragment", "Close-Session", "Cancel-Session", "junk"] {
        assert_eq!(
            raw.packet(kind, "/other", &[], b"").error(),
            (501, Some("0x80070005"), Some("0x5")),
            "{kind}"
        );
    }
    assert_eq!(raw.packet("Ping", P, &[], b"").status, 200);
}

#[test]
fn a_session_is_unknown_at_another_url() {
    let (server, mut raw) = plain();
    let session = raw.create(P);
    assert_eq!(raw.fragment("/in/g", &session, 0, 5, b"hello").error(), UNKNOWN);
    assert_eq!(raw.close("/in/g", &session).error(), UNKNOWN);
    assert_eq!(raw.cancel("/in/g", &session).error(), UNKNOWN);
    assert_eq!(raw.fragment(P, &session, 0, 5, b"hello").status, 200);
    assert_eq!(server.state("live").len(), 1);
}

#[test]
fn foreign_session_ids_are_unknown_not_paths() {
    let (_server, mut raw) = plain();
    let hundred = "x".repeat(100);
    for id in [
        "12345",
        "{../../x}",
        "../../../etc/passwd",
        "none",
        &hundred,
        "{00000000-0000-0000-0000-000000000000}",
    ] {
        let answer = raw.close(P, id);
        assert_eq!((answer.error(), answer.header("BITS-Session-Id")), (UNKNOWN, Some(id)));
    }
    assert_eq!(raw.close(P, &"x".repeat(101)).error(), INVALID);
}

#[test]
fn close_before_all_bytes_discards_the_upload() {
    let (server, mut raw) = plain();
    let session = raw.create(P);
    raw.fragment(P, &session, 0, 12, b"hello");
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(server.stored("in/f"), None);
    assert_eq!(raw.fragment(P, &session, 5, 12, b", bits\n").error(), UNKNOWN);
    assert_eq!(server.state("live").len(), 0);
}

#[test]
fn loss_row_6_and_8_repeated_last_packets_get_the_same_answer() {
    let (server, mut raw) = plain();
    let session = raw.upload(P, b"hello");
    assert_eq!(raw.close(P, &session).status, 200, "repeated Close");
    let again = raw.fragment(P, &session, 0, 5, b"hello");
    assert_eq!((again.status, again.received()), (200, Some(5)), "repeated final Fragment");
    assert_eq!(raw.fragment(P, &session, 0, 6, b"hello!").error(), UNKNOWN);
    assert_eq!(raw.cancel(P, &session).error(), UNKNOWN, "Close was first");
    assert_eq!(server.stored("in/f").unwrap(), b"hello");
    let other = raw.create("/in/g");
    assert_eq!(raw.cancel("/in/g", &other).status, 200);
    assert_eq!(raw.cancel("/in/g", &other).status, 200, "repeated Cancel");
    assert_eq!(raw.close("/in/g", &other).error(), UNKNOWN, "Cancel was first");
}

#[test]
fn cancel_discards_also_a_complete_upload() {
    let (server, mut raw) = plain();
    let session = raw.create(P);
    raw.fragment(P, &session, 0, 5, b"hello");
    assert_eq!(raw.cancel(P, &session).status, 200);
    assert_eq!((server.stored("in/f"), server.state("live").len()), (None, 0));
}

#[test]
fn commit_with_the_final_fragment_is_an_option() {
    let server = Server::with(&config("commit = \"final-fragment\""));
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    raw.fragment(P, &session, 0, 12, b"hello");
    assert_eq!(server.stored("in/f"), None);
    raw.fragment(P, &session, 5, 12, b", bits\n");
    assert_eq!(server.stored("in/f").unwrap(), b"hello, bits\n");
    assert_eq!(raw.fragment(P, &session, 5, 12, b", bits\n").received(), Some(12));
    assert_eq!(raw.cancel(P, &session).status, 200);
    assert_eq!(server.stored("in/f").unwrap(), b"hello, bits\n", "cancel comes too late");
}

#[test]
fn a_destination_that_appeared_meanwhile_is_403_and_the_session_stays() {
    let (server, mut raw) = plain();
    let session = raw.create(P);
    raw.fragment(P, &session, 0, 5, b"hello");
    fs::write(server.root().join("in/f"), "first").unwrap();
    assert_eq!(raw.close(P, &session).error(), DENIED);
    assert_eq!(server.stored("in/f").unwrap(), b"first");
    fs::remove_file(server.root().join("in/f")).unwrap();
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(server.stored("in/f").unwrap(), b"hello");
}

#[test]
fn a_stored_file_that_vanished_is_404_at_close() {
    let (server, mut raw) = plain();
    let session = raw.create(P);
    raw.fragment(P, &session, 0, 5, b"hello");
    fs::remove_file(server.state("live")[0].join("data")).unwrap();
    assert_eq!(raw.close(P, &session).error(), (404, None, None));
    assert_eq!(server.state("live").len(), 0);
}

#[test]
fn a_full_disk_is_said_before_the_body_is_read() {
    let server = Server::with(&format!("[limits]\nreserve_bytes = 9223372036854775807\n{}", config("")));
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    assert_eq!(raw.fragment(P, &session, 0, 5, b"hello").error(), (500, Some("0x80070070"), Some("0x5")));
}

#[test]
fn a_body_that_breaks_off_is_kept_as_far_as_it_came() {
    let (server, mut raw) = plain();
    let session = raw.create(P);
    let head = format!(
        "BITS_POST {P} HTTP/1.1\r\nHost: h\r\nBITS-Packet-Type: Fragment\r\nBITS-Session-Id: {session}\r\n\
         Content-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\nhello"
    );
    raw.send(head.as_bytes()).unwrap();
    drop(raw);
    let mut raw = Raw::open(server.address);
    // The newer request waits for the older one, which keeps what it has.
    let mut next = 0;
    for _ in 0..50 {
        let answer = raw.fragment(P, &session, 9, 10, b"!");
        next = answer.received().unwrap();
        if next == 5 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(next, 5);
}

#[test]
fn a_newer_request_takes_over_from_one_that_hangs() {
    let (server, mut stuck) = plain();
    let session = stuck.create(P);
    let head = format!(
        "BITS_POST {P} HTTP/1.1\r\nHost: h\r\nBITS-Packet-Type: Fragment\r\nBITS-Session-Id: {session}\r\n\
         Content-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\nhello"
    );
    stuck.send(head.as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut raw = Raw::open(server.address);
    let answer = raw.fragment(P, &session, 0, 10, b"hello, you");
    assert_eq!((answer.status, answer.received()), (200, Some(10)));
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(server.stored("in/f").unwrap(), b"hello, you");
}

#[test]
fn other_methods_are_refused_and_tunnelled_packets_only_on_request() {
    let (_server, mut raw) = plain();
    assert_eq!(raw.ask("PUT", P, &[], b"x").status, 405);
    let tunnelled = [("X-HTTP-Method-Override", "BITS_POST"), ("BITS-Packet-Type", "Ping")];
    assert_ne!(raw.ask("POST", P, &tunnelled, b"").header("BITS-Packet-Type"), Some("Ack"));
    let server = Server::with(&format!("method_override = true\n{}", config("")));
    let mut raw = Raw::open(server.address);
    assert_eq!(raw.ask("POST", P, &tunnelled, b"").header("BITS-Packet-Type"), Some("Ack"));
    assert_eq!(raw.ask("bits_post", P, &tunnelled, b"").status, 405, "methods are compared exactly");
}

#[test]
fn stored_bytes_that_vanished_in_the_middle_begin_anew_and_never_become_holes() {
    for cut in [None, Some(3)] {
        let (server, mut raw) = plain();
        let session = raw.create(P);
        raw.fragment(P, &session, 0, 12, b"hello");
        let data = server.state("live")[0].join("data");
        match cut {
            None => fs::remove_file(data).unwrap(),
            Some(length) => fs::File::options().write(true).open(data).unwrap().set_len(length).unwrap(),
        }
        assert_eq!(raw.fragment(P, &session, 5, 12, b", bits\n").error(), UNKNOWN);
        raw.upload(P, b"hello, bits\n");
        assert_eq!(server.stored("in/f").unwrap(), b"hello, bits\n");
    }
}

/// Found by the kill test: all bytes durable, killed before the session said so, and a client that learns the full
/// offset from the answer to an earlier fragment. Close used to discard the upload.
#[test]
fn a_crash_right_after_the_last_byte_loses_nothing() {
    let (server, mut raw) = plain();
    let session = raw.create(P);
    raw.fragment(P, &session, 0, 12, b"hello, bits\n");
    let document = server.state("live")[0].join("session");
    let text = fs::read_to_string(&document).unwrap();
    assert!(text.contains("\"wait-close\""));
    fs::write(&document, text.replace("\"wait-close\"", "\"receive\"")).unwrap();
    assert_eq!(raw.fragment(P, &session, 0, 12, b"hello").received(), Some(12));
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(server.stored("in/f").unwrap(), b"hello, bits\n");
}
