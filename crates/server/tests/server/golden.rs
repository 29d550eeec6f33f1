//! The exchanges of spec/upload-protocol.md 21, byte by byte.

use crate::process::Server;
use crate::raw::Raw;

/// The id of the specification's examples stands for the one the server made.
const EXAMPLE: &str = "{3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}";

/// Lines with LF become lines with CR LF.
fn wire(text: &str) -> String {
    text.replace('\n', "\r\n")
}

const CREATE: &str = "BITS_POST /in/log.bin HTTP/1.1
Host: drop.example.net
Accept: */*
User-Agent: example-bits/0.1
BITS-Packet-Type: Create-Session
BITS-Supported-Protocols: {7df0354d-249b-430f-820d-3d2a9bef4931}
Content-Name: log.bin
Content-Length: 0

";
const CREATE_ACK: &str = "HTTP/1.1 200 OK
Pragma: no-cache
BITS-Packet-Type: Ack
BITS-Protocol: {7df0354d-249b-430f-820d-3d2a9bef4931}
BITS-Session-Id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
Accept-Encoding: identity
Content-Length: 0

";
const FRAGMENT_1: &str = "BITS_POST /in/log.bin HTTP/1.1
Host: drop.example.net
BITS-Packet-Type: Fragment
BITS-Session-Id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
Content-Name: log.bin
Content-Range: bytes 0-4/12
Content-Length: 5

hello";
const FRAGMENT_2: &str = "BITS_POST /in/log.bin HTTP/1.1
Host: drop.example.net
BITS-Packet-Type: Fragment
BITS-Session-Id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
Content-Range: bytes 5-11/12
Content-Length: 7

";
const CLOSE: &str = "BITS_POST /in/log.bin HTTP/1.1
Host: drop.example.net
BITS-Packet-Type: Close-Session
BITS-Session-Id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
Content-Length: 0

";
const CLOSE_ACK: &str = "HTTP/1.1 200 OK
Pragma: no-cache
BITS-Packet-Type: Ack
BITS-Session-Id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
Content-Length: 0

";

fn fragment_ack(next: u64) -> String {
    let line = format!("BITS-Received-Content-Range: {next}\nContent-Length");
    wire(&CLOSE_ACK.replace("Content-Length", &line))
}

/// Sends the golden bytes with the real id in place and returns the answer with the example's id in place.
fn exchange(raw: &mut Raw, id: &str, request: &str) -> String {
    raw.send(request.replace(EXAMPLE, id).as_bytes()).unwrap();
    raw.answer().unwrap().without_date().replace(id, EXAMPLE)
}

#[test]
fn section_21_1_plain_upload_byte_by_byte() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    raw.send(wire(CREATE).as_bytes()).unwrap();
    let created = raw.answer().unwrap();
    let id = created.header("BITS-Session-Id").unwrap().to_owned();
    assert_eq!(id.len(), EXAMPLE.len());
    assert_eq!(id, id.to_uppercase());
    let second = wire(FRAGMENT_2) + ", bits\n";
    let mut sizes = vec![wire(CREATE).len(), created.without_date().len()];
    assert_eq!(created.without_date().replace(&id, EXAMPLE), wire(CREATE_ACK));
    for (request, wanted) in
        [(wire(FRAGMENT_1), fragment_ack(5)), (second, fragment_ack(12)), (wire(CLOSE), wire(CLOSE_ACK))]
    {
        let answer = exchange(&mut raw, &id, &request);
        assert_eq!(answer, wanted);
        sizes.extend([request.len(), answer.len()]);
    }
    assert_eq!(sizes, [243, 218, 219, 168, 199, 169, 167, 136]);
    assert_eq!(server.stored("in/log.bin").unwrap(), b"hello, bits\n");
}

#[test]
fn section_21_2_lost_ack_a_lenient_server_answers_200_and_a_gap_is_416() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    let id = raw.create("/in/log.bin");
    assert_eq!(exchange(&mut raw, &id, &wire(FRAGMENT_1)), fragment_ack(5));
    let ping = "BITS_POST /in/log.bin HTTP/1.1\nHost: drop.example.net\nBITS-Packet-Type: Ping\nContent-Length: 0\n\n";
    let ping_ack = "HTTP/1.1 200 OK\nPragma: no-cache\nBITS-Packet-Type: Ack\nContent-Length: 0\n\n";
    assert_eq!(exchange(&mut raw, &id, &wire(ping)), wire(ping_ack));
    assert_eq!(exchange(&mut raw, &id, &wire(FRAGMENT_1)), fragment_ack(5));
    let gap = wire(FRAGMENT_2).replace("5-11", "6-11").replace("Length: 7", "Length: 6") + " bits\n";
    let refused = "HTTP/1.1 416 Range Not Satisfiable
Pragma: no-cache
BITS-Packet-Type: Ack
BITS-Session-Id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
BITS-Received-Content-Range: 5
BITS-Error: 0x00000000
BITS-Error-Code: 0x00000000
BITS-Error-Context: 0x5
Content-Length: 0

";
    assert_eq!(exchange(&mut raw, &id, &gap), wire(refused));
}

#[test]
fn section_21_3_farm_node_is_announced_and_the_reply_is_on_it() {
    let server = Server::with(&crate::process::config(
        "host_id = \"node7.drop.example.net\"\nhost_id_fallback_timeout_s = 600",
    ));
    let mut raw = Raw::open(server.address);
    raw.send(wire(CREATE).as_bytes()).unwrap();
    let created = raw.answer().unwrap();
    let id = created.header("BITS-Session-Id").unwrap();
    let host = "BITS-Host-Id: node7.drop.example.net\nBITS-Host-Id-Fallback-Timeout: 600\nAccept-Encoding";
    let wanted = wire(&CREATE_ACK.replace("Accept-Encoding", host));
    assert_eq!(created.without_date().replace(id, EXAMPLE), wanted);
}

#[test]
fn section_21_5_unknown_session() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    let refused = "HTTP/1.1 500 Internal Server Error
Pragma: no-cache
BITS-Packet-Type: Ack
BITS-Session-Id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
BITS-Error: 0x8020001F
BITS-Error-Code: 0x8020001F
BITS-Error-Context: 0x5
Content-Length: 0

";
    for request in [CLOSE, &CLOSE.replace("Close", "Cancel"), FRAGMENT_1] {
        assert_eq!(exchange(&mut raw, EXAMPLE, &wire(request)), wire(refused));
    }
}
