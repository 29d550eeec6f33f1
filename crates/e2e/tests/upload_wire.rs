//! The uploading client, byte by byte: the real program against a server that is a list of bytes to answer with
//! (spec/upload-protocol.md; the rows and the tests that show them are in docs/upload-conformance.md).

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{self, Error, Transferred, TransientError};
use openbits_e2e::{Door, Job, NewJob, User, program};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const ID: &str = "{3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}";
const UNKNOWN: &str = "BITS-Error: 0x8020001F\nBITS-Error-Context: 0x5\n";

/// What the server does with one request.
#[derive(Clone, Debug)]
enum Do {
    /// These bytes.
    Answer(String),
    /// Reads it and closes the connection.
    Cut,
}

/// An Ack with these lines.
fn ack(status: &str, lines: &str) -> Do {
    let text = format!("HTTP/1.1 {status}\nBITS-Packet-Type: Ack\n{lines}Content-Length: 0\n\n");
    Do::Answer(text.replace('\n', "\r\n"))
}

fn created(lines: &str) -> Do {
    let protocol = "BITS-Protocol: {7df0354d-249b-430f-820d-3d2a9bef4931}\nAccept-Encoding: identity\n";
    ack("200 OK", &format!("{protocol}BITS-Session-Id: {ID}\n{lines}"))
}

fn received(status: &str, next: &str) -> Do {
    ack(status, &format!("BITS-Received-Content-Range: {next}\n"))
}

fn ok() -> Do {
    ack("200 OK", "")
}

/// A server that plays its list, whatever is asked, and keeps what was.
struct Script {
    address: SocketAddr,
    list: Arc<Mutex<VecDeque<Do>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn start(list: impl IntoIterator<Item = Do>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let script = Self {
            address: listener.local_addr().unwrap(),
            list: Arc::new(Mutex::new(list.into_iter().collect())),
            seen: Arc::default(),
        };
        let (list, seen) = (Arc::clone(&script.list), Arc::clone(&script.seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (list, seen) = (Arc::clone(&list), Arc::clone(&seen));
                std::thread::spawn(move || connection(stream, &list, &seen));
            }
        });
        script
    }

    /// Puts more on the list.
    fn then(&self, list: impl IntoIterator<Item = Do>) {
        self.list.lock().unwrap().extend(list);
    }

    fn url(&self) -> String {
        format!("http://{}/in/log.bin", self.address)
    }

    /// All requests, with the address and the version replaced by those of the specification's examples, and LF for CR LF.
    fn requests(&self) -> Vec<String> {
        let port = self.address.port().to_string();
        let seen = self.seen.lock().unwrap();
        let clean = |request: &String| {
            let request = request.replace(&self.address.to_string(), "drop.example.net");
            let request = request.replace(&format!("localhost:{port}"), "node7.drop.example.net");
            let version = concat!("openbits/", env!("CARGO_PKG_VERSION"));
            request.replace(version, "example-bits/0.1").replace("\r\n", "\n")
        };
        seen.iter().map(clean).collect()
    }

    /// Of each request the packet and, of fragments, the range: `Fragment 0-4/12`.
    fn story(&self) -> Vec<String> {
        let line = |request: &str, name: &str| {
            let found = request.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            found.unwrap_or_default().to_owned()
        };
        let packet = |request: String| {
            let range = line(&request, "content-range").replace("bytes", "");
            let packet = line(&request, "bits-packet-type");
            let method = request.split(' ').next().unwrap_or_default();
            let words = if packet.is_empty() { method } else { &packet };
            format!("{words}{range}")
        };
        self.requests().into_iter().map(packet).collect()
    }
}

/// The client has gone.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let next = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    match next {
        Ok(got) => got == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

fn connection(mut stream: TcpStream, list: &Mutex<VecDeque<Do>>, seen: &Mutex<Vec<String>>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut buffer) {
                Ok(got) if got > 0 => bytes.extend_from_slice(&buffer[..got]),
                _ => return,
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let end = end + length.map_or(0, |length| length.parse::<usize>().unwrap());
        while bytes.len() < end {
            match stream.read(&mut buffer) {
                Ok(got) if got > 0 => bytes.extend_from_slice(&buffer[..got]),
                _ => return,
            }
        }
        let request: Vec<u8> = bytes.drain(..end).collect();
        let next = {
            let mut list = list.lock().unwrap();
            // A request that the client gave up, to ask again on another connection, is none: its place on the list is that one's.
            if is_closed(&stream) {
                return;
            }
            seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
            list.pop_front()
        };
        match next {
            Some(Do::Answer(text)) => {
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            Some(Do::Cut) => return,
            None => {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

/// A user with a service and a file.
fn user(content: &[u8]) -> (User, Door) {
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    std::fs::write(user.path("log.bin"), content).unwrap();
    let door = user.wake();
    (user, door)
}

const BYTES: &[u8] = b"hello, bits\n";

fn begin(user: &User, door: &Door, script: &Script, kind: &str) -> Job {
    let job = NewJob::new("wire").kind(kind).set("upload_protocol", "bits").set("minimum_retry_delay_s", 600);
    job.file(&script.url(), &user.path("log.bin")).started().create(door)
}

/// Plays the list to an upload of [`BYTES`], to one of these states, and says what was asked.
fn played(list: impl IntoIterator<Item = Do>, wanted: JobState) -> (Script, Job) {
    let (user, door) = user(BYTES);
    let script = Script::start(list);
    let job = begin(&user, &door, &script, "UPLOAD");
    let state = job.wait(&[Transferred, Error, TransientError], LONG);
    assert_eq!(state, wanted, "{:#?}\n{:#?}", script.story(), job.view());
    (script, job)
}

/// State, code, context of a job whose upload got this list.
fn failed(door: &Door, user: &User, list: impl IntoIterator<Item = Do>) -> (JobState, String, String) {
    let script = Script::start(list);
    let job = begin(user, door, &script, "UPLOAD");
    let state = job.wait(&[Transferred, Error, TransientError], LONG);
    let error = job.view().unwrap().error.unwrap_or_else(|| panic!("{:#?}", script.story()));
    job.must("suspend");
    (state, error.hresult, error.context.to_string())
}

const CREATE: &str = "BITS_POST /in/log.bin HTTP/1.1
host: drop.example.net
accept: */*
user-agent: example-bits/0.1
bits-packet-type: Create-Session
bits-supported-protocols: {7df0354d-249b-430f-820d-3d2a9bef4931}
content-name: log.bin
content-length: 0

";
const PING: &str = "BITS_POST /in/log.bin HTTP/1.1
host: drop.example.net
accept: */*
user-agent: example-bits/0.1
bits-packet-type: Ping
content-length: 0

";
const FRAGMENT_1: &str = "BITS_POST /in/log.bin HTTP/1.1
host: drop.example.net
accept: */*
user-agent: example-bits/0.1
bits-packet-type: Fragment
bits-session-id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
content-name: log.bin
content-range: bytes 0-11/12
content-length: 12

hello, bits
";
const FRAGMENT_2: &str = "BITS_POST /in/log.bin HTTP/1.1
host: drop.example.net
accept: */*
user-agent: example-bits/0.1
bits-packet-type: Fragment
bits-session-id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
content-range: bytes 5-11/12
content-length: 7

, bits
";
const CLOSE: &str = "BITS_POST /in/log.bin HTTP/1.1
host: drop.example.net
accept: */*
user-agent: example-bits/0.1
bits-packet-type: Close-Session
bits-session-id: {3B0C7A52-91D4-4E6F-8A17-5C20D9E4B6F1}
content-length: 0

";

fn to_node(request: &str) -> String {
    request.replace("host: drop", "host: node7.drop")
}

#[test]
fn wire_21_1_plain_upload_byte_by_byte() {
    let list = [created(""), received("200 OK", "5"), received("200 OK", "12"), ok()];
    let (script, _) = played(list, Transferred);
    assert_eq!(script.requests(), [CREATE, FRAGMENT_1, FRAGMENT_2, CLOSE]);
}

#[test]
fn wire_21_2_lost_ack_resumes_by_ping_and_adopts_the_offset_of_416() {
    let strict = "BITS-Received-Content-Range: 5\nBITS-Error: 0x00000000\nBITS-Error-Context: 0x5\n";
    let list = [
        created(""),
        Do::Cut,
        ok(),
        ack("416 Range Not Satisfiable", strict),
        received("200 OK", "12"),
        ok(),
    ];
    let (script, _) = played(list, Transferred);
    let again = FRAGMENT_1.replace("content-name: log.bin\n", "");
    let seen = script.requests();
    assert_eq!(seen[..3], [CREATE, FRAGMENT_1, PING]);
    assert!(seen[3] == FRAGMENT_1 || seen[3] == again, "{}", seen[3]);
    assert_eq!(seen[4..], [FRAGMENT_2, CLOSE]);
}

#[test]
fn wire_21_3_farm_node_gets_everything_after_create_and_keeps_port_and_query() {
    let node = "BITS-Host-Id: localhost\nBITS-Host-Id-Fallback-Timeout: 600\n";
    let list = [created(node), ok(), received("200 OK", "12"), ok()];
    let (script, _) = played(list, Transferred);
    assert_eq!(script.requests(), [CREATE, &to_node(PING), &to_node(FRAGMENT_1), &to_node(CLOSE)]);
}

#[test]
fn wire_21_3_upload_reply_is_fetched_before_close() {
    let reply = Do::Answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nreply".into());
    let relative =
        "BITS-Received-Content-Range: 12\nBITS-Reply-URL: BITS-Sessions\\Replies\\{9F6E}\\responsefile.bin\n";
    let (user, door) = user(BYTES);
    let script = Script::start([created(""), ack("200 OK", relative), reply, ok()]);
    let job = begin(&user, &door, &script, "UPLOAD_REPLY");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), Transferred, "{:#?}", script.story());
    let seen = script.requests();
    assert_eq!(seen[..2], [CREATE, FRAGMENT_1]);
    assert_eq!(seen.last().unwrap(), CLOSE);
    assert_eq!(seen.len(), 4);
    assert!(
        seen[2].starts_with("GET /in/BITS-Sessions/Replies/%7B9F6E%7D/responsefile.bin HTTP/1.1\n"),
        "{}",
        seen[2]
    );
    assert_eq!(door.ask("GET", &job.path("/reply"), None).unwrap().body, b"reply");
}

#[test]
fn wire_14_no_reply_url_asks_the_final_fragment_once_more_and_is_an_empty_reply() {
    let (user, door) = user(BYTES);
    let script = Script::start([created(""), received("200 OK", "12"), received("200 OK", "12"), ok()]);
    let job = begin(&user, &door, &script, "UPLOAD_REPLY");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), Transferred, "{:#?}", script.story());
    assert_eq!(script.story()[..2], ["Create-Session", "Fragment 0-11/12"]);
    assert_eq!(script.story().last().unwrap(), "Close-Session");
    assert_eq!(door.ask("GET", &job.path("/reply"), None).unwrap().body, b"");
}

#[test]
fn wire_21_5_unknown_session_begins_anew_under_either_name_of_the_error_header() {
    for lines in [
        UNKNOWN,
        "BITS-Error-Code: 0x8020001f\n",
        "BITS-Error: 8020001F\nBITS-Error-Code: 0x80070005\n",
        "bits-error: 0x8020001F\nBITS-ERROR-CONTEXT: 0x5\n",
    ] {
        let gone = ack("500 Internal Server Error", lines);
        let list = [created(""), gone, created(""), received("200 OK", "12"), ok()];
        let (script, _) = played(list, Transferred);
        assert_eq!(script.requests(), [CREATE, FRAGMENT_1, CREATE, FRAGMENT_1, CLOSE], "{lines}");
    }
}

#[test]
fn wire_5_2_create_may_be_201_and_any_session_id_is_echoed() {
    for id in ["12345", "3b0c7a52-91d4-4e6f-8a17-5c20d9e4b6f1", &"x".repeat(100)] {
        let lines = format!(
            "bits-protocol: {{7DF0354D-249B-430F-820D-3D2A9BEF4931}}\nbits-session-id: {id}\naccept-encoding: identity\n"
        );
        let list = [ack("201 Created", &lines), received("200 OK", "12"), ok()];
        let (script, _) = played(list, Transferred);
        let echoed = [FRAGMENT_1.replace(ID, id), CLOSE.replace(ID, id)];
        assert_eq!(script.requests(), [CREATE, &echoed[0], &echoed[1]]);
    }
}

#[test]
fn wire_5_2_a_protocol_that_was_not_offered_is_a_mismatch() {
    let (user, door) = user(BYTES);
    let other = "BITS-Protocol: {00000000-0000-0000-0000-000000000001}\nBITS-Session-Id: x\n";
    let told = failed(&door, &user, [ack("200 OK", other)]);
    assert_eq!(told, (Error, "0x80200022".into(), "REMOTE_FILE".into()));
}

#[test]
fn wire_2_interim_answers_are_skipped() {
    let Do::Answer(final_answer) = received("200 OK", "12") else { panic!() };
    let interim =
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n{final_answer}");
    let (script, _) = played([created(""), Do::Answer(interim), ok()], Transferred);
    assert_eq!(script.requests(), [CREATE, FRAGMENT_1, CLOSE]);
}

#[test]
fn wire_5_5_cancel_is_told_to_the_server() {
    let (user, door) = user(BYTES);
    let script = Script::start([created(""), ack("503 Service Unavailable", "")]);
    let job = begin(&user, &door, &script, "UPLOAD");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), TransientError);
    script.then([ack("500 Internal Server Error", UNKNOWN)]);
    job.must("cancel");
    assert!(openbits_testkit::wait_until(LONG, || script.requests().len() == 3));
    assert_eq!(script.requests()[2], CLOSE.replace("Close", "Cancel"));
}

#[test]
fn wire_8_1_row_2_success_without_ack_is_no_bits_server() {
    let (user, door) = user(BYTES);
    let portal = || Do::Answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlogin".into());
    let invalid = || (Error, "0x8020001B".to_owned(), "REMOTE_FILE".to_owned());
    assert_eq!(failed(&door, &user, [portal()]), invalid());
    assert_eq!(failed(&door, &user, [created(""), portal()]), invalid());
    assert_eq!(failed(&door, &user, [created(""), received("200 OK", "12"), portal()]), invalid());
}

#[test]
fn wire_8_1_row_5_close_that_was_sent_before_is_not_sent_for_nothing() {
    let gone = || ack("500 Internal Server Error", UNKNOWN);
    // Its answer was lost with the connection: at once, and in the next attempt.
    let list = [created(""), received("200 OK", "12"), Do::Cut, gone()];
    let (script, _) = played(list, Transferred);
    assert_eq!(script.requests(), [CREATE, FRAGMENT_1, CLOSE, CLOSE], "nothing is uploaded again");
    let (user, door) = user(BYTES);
    let script = Script::start([created(""), received("200 OK", "12"), ack("503 x", "")]);
    let job = begin(&user, &door, &script, "UPLOAD");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), TransientError);
    script.then([ok(), gone()]);
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(script.requests(), [CREATE, FRAGMENT_1, CLOSE, PING, CLOSE], "nothing is uploaded again");
    // The first Close of all: the file is not there.
    let list = [created(""), received("200 OK", "12"), gone(), created(""), received("200 OK", "12"), ok()];
    let (script, _) = played(list, Transferred);
    assert_eq!(script.requests(), [CREATE, FRAGMENT_1, CLOSE, CREATE, FRAGMENT_1, CLOSE]);
}

#[test]
fn wire_8_1_row_9_refused_sizes_are_halved_down_to_five_kibibytes() {
    let (user, door) = user(&[7; 40_000]);
    let big = || Do::Answer("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n".into());
    let script = Script::start(std::iter::once(created("")).chain((0..9).map(|_| big())));
    let job = begin(&user, &door, &script, "UPLOAD");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), Error);
    assert_eq!(job.view().unwrap().error.unwrap().hresult, "0x8019019D");
    let lasts: Vec<u64> = script.story()[1..]
        .iter()
        .map(|line| line.split(['-', '/']).nth(1).unwrap().parse().unwrap())
        .collect();
    assert_eq!(*lasts.last().unwrap(), 5 * 1024 - 1, "{lasts:?}");
    assert!(lasts.is_sorted_by(|a, b| a > b), "{lasts:?}");
}

#[test]
fn wire_8_1_rows_7_and_10_to_13_codes_and_contexts() {
    let (user, door) = user(BYTES);
    let lines = |code: &str, context: &str| format!("BITS-Error: {code}\nBITS-Error-Context: {context}\n");
    let challenge =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
    for (answer, state, code, context) in [
        (Do::Answer(challenge.into()), Error, "0x80190191", "REMOTE_FILE"),
        (ack("403 Forbidden", ""), Error, "0x80190193", "REMOTE_FILE"),
        (ack("403 Forbidden", &lines("0x80070005", "0x5")), Error, "0x80070005", "REMOTE_FILE"),
        (ack("500 x", &lines("0x80200020", "0x5")), Error, "0x80200020", "REMOTE_FILE"),
        (ack("400 Bad Request", &lines("0x80070057", "0x5")), Error, "0x80070057", "REMOTE_FILE"),
        (ack("503 x", &lines("0x801901F7", "0x7")), TransientError, "0x801901F7", "REMOTE_APPLICATION"),
        (ack("404 x", &lines("0x80190194", "0x7")), Error, "0x80190194", "REMOTE_APPLICATION"),
    ] {
        let told = failed(&door, &user, [created(""), answer.clone()]);
        assert_eq!(told, (state, code.into(), context.into()), "{answer:?}");
    }
}

#[test]
fn wire_8_2_statuses_transient_and_fatal() {
    let (user, door) = user(BYTES);
    let fatal =
        [300, 301, 302, 303, 304, 305, 307, 402, 404, 405, 406, 410, 411, 414, 415, 417, 422, 501, 505];
    let transient = [306, 308, 408, 409, 429, 500, 502, 503, 504, 506, 507, 599];
    for (statuses, wanted) in [(&fatal[..], Error), (&transient[..], TransientError)] {
        for status in statuses {
            let answer = format!("HTTP/1.1 {status} x\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
            let script = Script::start([created(""), Do::Answer(answer)]);
            let job = begin(&user, &door, &script, "UPLOAD");
            assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), wanted, "{status}");
            assert_eq!(job.view().unwrap().error.unwrap().http_status, Some(*status));
            assert_eq!(script.story().len(), 2, "{status}: not repeated, no redirect followed");
            job.must("suspend");
        }
    }
}

#[test]
fn wire_10_2_zero_length_file() {
    let (user, door) = user(b"");
    let script = Script::start([created(""), received("200 OK", "0"), ok()]);
    let job = begin(&user, &door, &script, "UPLOAD");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), Transferred);
    let empty = FRAGMENT_1.replace("0-11/12", "*/0").replace("length: 12", "length: 0");
    let empty = empty.replace("hello, bits\n", "").replace("content-name: log.bin\n", "");
    assert_eq!(script.requests(), [CREATE, &empty, CLOSE]);
}

#[test]
fn wire_10_3_any_offset_of_the_server_is_adopted() {
    // Lower than was acknowledged, higher than was sent (it cannot be, of so short a file), and the whole with a 416.
    let list = [
        created(""),
        received("200 OK", "5"),
        received("416 Range Not Satisfiable", "2"),
        received("200 OK", "7"),
        received("416 Range Not Satisfiable", "12"),
        ok(),
    ];
    let (script, _) = played(list, Transferred);
    let wanted = [
        "Create-Session",
        "Fragment 0-11/12",
        "Fragment 5-11/12",
        "Fragment 2-11/12",
        "Fragment 7-11/12",
        "Close-Session",
    ];
    assert_eq!(script.story(), wanted);
}

#[test]
fn wire_10_3_offsets_that_cannot_be() {
    let (user, door) = user(BYTES);
    let invalid = (Error, "0x8020001B".to_owned(), "REMOTE_FILE".to_owned());
    for next in ["13", "-1", "five", "99999999999999999999999"] {
        assert_eq!(failed(&door, &user, [created(""), received("200 OK", next)]), invalid, "{next}");
    }
    assert_eq!(failed(&door, &user, [created(""), ok()]), invalid, "missing");
    // Missing on 416: another session, once.
    let missing = || ack("416 x", "BITS-Recieved-Content-Range: 5\n");
    let list = [created(""), missing(), created(""), received("200 OK", "12"), ok()];
    let (script, _) = played(list, Transferred);
    assert_eq!(script.requests(), [CREATE, FRAGMENT_1, CREATE, FRAGMENT_1, CLOSE]);
    assert_eq!(failed(&door, &user, [created(""), missing(), created(""), missing()]), invalid, "twice");
    // Five times the same.
    let stuck = std::iter::once(created("")).chain((0..9).map(|_| received("200 OK", "0")));
    let (state, code, _) = failed(&door, &user, stuck);
    assert_eq!((state, code.as_str()), (TransientError, "0x80200024"));
}

#[test]
fn wire_11_lost_create_makes_another_session() {
    let (user, door) = user(BYTES);
    let script = Script::start([Do::Cut]);
    let job = begin(&user, &door, &script, "UPLOAD");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), TransientError);
    script.then([created(""), received("200 OK", "12"), ok()]);
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(script.requests(), [CREATE, CREATE, FRAGMENT_1, CLOSE]);
}

#[test]
fn wire_11_lost_close_is_repeated() {
    let list = [created(""), received("200 OK", "12"), Do::Cut, ok()];
    let (script, _) = played(list, Transferred);
    assert_eq!(script.requests(), [CREATE, FRAGMENT_1, CLOSE, CLOSE], "on a fresh connection");
}

#[test]
fn wire_12_the_fallback_to_the_origin_begins_anew() {
    let node = "BITS-Host-Id: localhost\nBITS-Host-Id-Fallback-Timeout: 1\n";
    let (user, door) = user(BYTES);
    let script = Script::start([created(node), ack("503 x", "")]);
    let job = begin(&user, &door, &script, "UPLOAD");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), TransientError);
    std::thread::sleep(Duration::from_millis(1500));
    let gone = ack("500 x", UNKNOWN);
    script.then([ok(), gone, created(""), received("200 OK", "12"), ok()]);
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", script.story());
    assert_eq!(script.requests(), [CREATE, &to_node(PING), PING, FRAGMENT_1, CREATE, FRAGMENT_1, CLOSE]);
}
