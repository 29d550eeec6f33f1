//! Notification of back-ends (spec/upload-protocol.md 15): with the example in examples/upload-backend, and with one
//! that misbehaves.

use crate::process::{Server, config, has};
use crate::raw::Raw;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const P: &str = "/in/order.xml";

/// Process, port, folder of kept uploads; its output stays open, or it would die of writing to it.
struct Example(Child, u16, tempfile::TempDir, #[allow(dead_code)] BufReader<ChildStdout>);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn example(arguments: &[&str]) -> Option<Example> {
    if !has("python3") {
        eprintln!("SKIPPED: python3 is not installed; the example back-end was not tested");
        return None;
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/upload-backend/backend.py");
    let keep = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    command.arg(script).arg("--keep").arg(keep.path()).args(arguments).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("ready ").unwrap().parse().unwrap();
    Some(Example(child, port, keep, output))
}

fn notified(kind: &str, url: &str, more: &str) -> Server {
    Server::with(&config(&format!("notification = \"{kind}\"\nnotification_url = \"{url}\"\n{more}")))
}

const BYTES: &[u8] = b"hello, bits\n";

fn reply() -> String {
    let text =
        Command::new("sh").args(["-c", "printf 'hello, bits\\n' | sha256sum"]).output().unwrap().stdout;
    format!("sha256 {} size 12\n", &String::from_utf8(text).unwrap()[..64])
}

/// Path of an absolute URL on this server.
fn path_of(server: &Server, url: &str) -> String {
    let rest =
        url.strip_prefix("http://drop.example.net").unwrap_or_else(|| panic!("{url} on {}", server.address));
    rest.to_owned()
}

#[test]
fn the_example_is_told_by_both_ways_and_its_reply_comes_back() {
    for kind in ["reference", "value"] {
        let Some(example) = example(&[]) else { return };
        let server = notified(kind, &format!("http://127.0.0.1:{}/intake", example.1), "");
        let mut raw = Raw::open(server.address);
        let session = raw.create(P);
        let early = raw.fragment(P, &session, 0, 12, &BYTES[..5]);
        assert_eq!(early.header("BITS-Reply-URL"), None);
        let last = raw.fragment(P, &session, 5, 12, &BYTES[5..]);
        assert_eq!((last.status, last.received()), (200, Some(12)), "{}", last.head);
        let url = last.header("BITS-Reply-URL").unwrap().to_owned();
        assert!(url.starts_with("http://drop.example.net/in/.bits-replies/"), "{url}");
        let got = raw.ask("GET", &path_of(&server, &url), &[], b"");
        assert_eq!((got.status, String::from_utf8(got.body).unwrap()), (200, reply()), "{kind}");
        let part = raw.ask("GET", &path_of(&server, &url), &[("Range", "bytes=0-5")], b"");
        assert_eq!((part.status, part.body.as_slice()), (206, b"sha256".as_slice()));
        assert_eq!(
            raw.fragment(P, &session, 5, 12, &BYTES[5..]).header("BITS-Reply-URL"),
            Some(url.as_str())
        );
        assert_eq!(raw.close(P, &session).status, 200);
        assert_eq!(raw.ask("GET", &path_of(&server, &url), &[], b"").status, 404, "Close ends the reply");
        assert_eq!(server.stored("in/order.xml"), None, "the back-end has taken it over");
        let kept: Vec<_> = std::fs::read_dir(example.2.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(kept.len(), 1);
        assert_eq!(std::fs::read(&kept[0]).unwrap(), BYTES);
    }
}

#[test]
fn the_upload_is_delivered_too_when_the_back_end_says_so() {
    for kind in ["reference", "value"] {
        let Some(example) = example(&["--copy"]) else { return };
        let server = notified(kind, &format!("http://127.0.0.1:{}/intake", example.1), "");
        Raw::open(server.address).upload(P, BYTES);
        assert_eq!(server.stored("in/order.xml").unwrap(), BYTES, "{kind}");
    }
}

/// A back-end that answers with the next of `answers`, then with the last one again; counts and records requests.
struct Scripted {
    port: u16,
    asked: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

fn scripted(answers: &'static [&'static str]) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (count, record) = (Arc::clone(&asked), Arc::clone(&requests));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { break };
            let index = count.fetch_add(1, Ordering::SeqCst);
            let record = Arc::clone(&record);
            std::thread::spawn(move || serve(stream, answers[index.min(answers.len() - 1)], &record));
        }
    });
    Scripted { port, asked, requests }
}

fn serve(mut stream: TcpStream, answer: &str, record: &Mutex<Vec<String>>) {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !text.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => text.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&text).into_owned();
    record.lock().unwrap().push(head);
    match answer {
        "silence" => std::thread::sleep(Duration::from_secs(30)),
        "cut" => {}
        _ => {
            if answer.starts_with("slow ") {
                std::thread::sleep(Duration::from_secs(3));
            }
            let _ = stream.write_all(answer.trim_start_matches("slow ").replace('\n', "\r\n").as_bytes());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn backend(answers: &'static [&'static str], more: &str) -> (Scripted, Server) {
    let scripted = scripted(answers);
    let server = notified("reference", &format!("http://127.0.0.1:{}/hook", scripted.port), more);
    (scripted, server)
}

const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 0\n\n";
const OK_COPY: &str = "HTTP/1.1 200 OK\nBITS-Copy-File-To-Destination: anything\nContent-Length: 0\n\n";

#[test]
fn the_request_carries_the_documented_headers_and_the_query() {
    let (scripted, server) = backend(&[OK_COPY], "host_id = \"node7.example.net\"");
    let target = "/in/order.xml?ACCOUNT=86433";
    Raw::open(server.address).upload(target, BYTES);
    let request = scripted.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /hook?ACCOUNT=86433 HTTP/1.1\r\n"), "{request}");
    let header = |name: &str| {
        let line = request
            .split("\r\n")
            .find(|line| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())));
        line.map(|line| line.split_once(": ").unwrap().1.to_owned())
    };
    assert_eq!(
        header("BITS-Original-Request-URL").unwrap(),
        "http://drop.example.net/in/order.xml?ACCOUNT=86433"
    );
    assert_eq!(header("Content-Length").unwrap(), "0");
    assert!(header("BITS-Request-DataFile-Name").unwrap().starts_with('/'));
    assert!(header("BITS-Response-DataFile-Name").unwrap().starts_with('/'));
    assert_eq!(header("X-Forwarded-User"), None);
    assert_eq!(server.stored("in/order.xml").unwrap(), BYTES);
}

#[test]
fn a_failing_back_end_is_told_again_by_the_repeated_final_fragment() {
    const BUSY: &str = "HTTP/1.1 503 Busy\nContent-Length: 0\n\n";
    let (scripted, server) = backend(&[BUSY, BUSY, OK_COPY], "");
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    let app = Some("0x7");
    for _ in 0..2 {
        let answer = raw.fragment(P, &session, 0, 12, BYTES);
        assert_eq!(answer.error(), (503, Some("0x801901F7"), app));
    }
    for _ in 0..3 {
        assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).status, 200);
    }
    assert_eq!(scripted.asked.load(Ordering::SeqCst), 3, "after success nobody is told again");
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(server.stored("in/order.xml").unwrap(), BYTES);
}

#[test]
fn after_403_the_back_end_is_never_told_again() {
    let (scripted, mut server) = backend(&["HTTP/1.1 403 No\nContent-Length: 0\n\n", OK], "");
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    for _ in 0..2 {
        assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).error(), (403, Some("0x80190193"), Some("0x7")));
    }
    server.kill_and_restart();
    let mut raw = Raw::open(server.address);
    assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).error(), (403, Some("0x80190193"), Some("0x7")));
    assert_eq!(scripted.asked.load(Ordering::SeqCst), 1);
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(server.stored("in/order.xml"), None);
}

#[test]
fn a_silent_back_end_is_408_and_an_absent_one_502() {
    let scripted = scripted(&["silence", "cut"]);
    let url = format!("http://127.0.0.1:{}/hook", scripted.port);
    let lines = format!("notification = \"reference\"\nnotification_url = \"{url}\"");
    let server = Server::with(&format!("[limits]\nnotification_timeout_s = 1\n{}", config(&lines)));
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).error(), (408, Some("0x80190198"), Some("0x7")));
    assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).error(), (502, Some("0x801901F6"), Some("0x7")));
    let nobody = notified("reference", "http://127.0.0.1:1/", "");
    let mut raw = Raw::open(nobody.address);
    let session = raw.create(P);
    assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).error(), (502, Some("0x801901F6"), Some("0x7")));
}

#[test]
fn a_static_reply_url_is_passed_on_and_a_too_long_one_refused() {
    let (_scripted, server) = backend(
        &["HTTP/1.1 200 OK\nBITS-Static-Response-URL: http://files/answer\nContent-Length: 0\n\n"],
        "",
    );
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    let answer = raw.fragment(P, &session, 0, 12, BYTES);
    assert_eq!(answer.header("BITS-Reply-URL"), Some("http://files/answer"));
    let long: &'static str = Box::leak(
        format!(
            "HTTP/1.1 200 OK\nBITS-Static-Response-URL: http://files/{}\nContent-Length: 0\n\n",
            "x".repeat(2200)
        )
        .into_boxed_str(),
    );
    let answers: &'static [&'static str] = Box::leak(Box::new([long]));
    let (_scripted, server) = backend(answers, "");
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).error(), (400, Some("0x80070057"), Some("0x7")));
}

#[test]
fn a_repeated_final_fragment_during_a_slow_notification_waits_for_the_same_answer() {
    let (scripted, server) = backend(&["slow HTTP/1.1 200 OK\nContent-Length: 0\n\n"], "");
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    raw.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let range = [
        ("BITS-Packet-Type", "Fragment"),
        ("BITS-Session-Id", session.as_str()),
        ("Content-Range", "bytes 0-11/12"),
    ];
    assert!(raw.try_ask("BITS_POST", P, &range, BYTES).is_err(), "the client gives up");
    drop(raw);
    let mut raw = Raw::open(server.address);
    assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).status, 200);
    assert_eq!(scripted.asked.load(Ordering::SeqCst), 1, "told once");
}

#[test]
fn a_tus_client_that_asks_again_after_a_failure_gets_it_done() {
    let (scripted, server) = backend(
        &["HTTP/1.1 503 Busy\nContent-Length: 0\n\n", "HTTP/1.1 503 Busy\nContent-Length: 0\n\n", OK_COPY],
        "",
    );
    let mut raw = Raw::open(server.address);
    let tus = ("Tus-Resumable", "1.0.0");
    let created = raw.ask("POST", "/in/order.xml", &[tus, ("Upload-Length", "12")], b"");
    let url = created.header("Location").unwrap().to_owned();
    let kind = ("Content-Type", "application/offset+octet-stream");
    assert_eq!(raw.ask("PATCH", &url, &[tus, kind, ("Upload-Offset", "0")], BYTES).status, 503);
    let head = raw.ask("HEAD", &url, &[tus], b"");
    assert_eq!((head.status, head.header("Upload-Offset")), (503, None), "not done yet");
    let head = raw.ask("HEAD", &url, &[tus], b"");
    assert_eq!((head.status, head.header("Upload-Offset")), (200, Some("12")));
    assert_eq!(scripted.asked.load(Ordering::SeqCst), 3);
    assert_eq!(server.stored("in/order.xml").unwrap(), BYTES);
}

#[test]
fn close_of_a_complete_upload_does_what_is_still_due() {
    let (scripted, server) = backend(
        &["HTTP/1.1 503 Busy\nContent-Length: 0\n\n", "HTTP/1.1 503 Busy\nContent-Length: 0\n\n", OK_COPY],
        "",
    );
    let mut raw = Raw::open(server.address);
    let session = raw.create(P);
    assert_eq!(raw.fragment(P, &session, 0, 12, BYTES).status, 503);
    assert_eq!(
        raw.close(P, &session).error(),
        (503, Some("0x801901F7"), Some("0x7")),
        "nothing is discarded"
    );
    assert_eq!(raw.close(P, &session).status, 200);
    assert_eq!(scripted.asked.load(Ordering::SeqCst), 3);
    assert_eq!(server.stored("in/order.xml").unwrap(), BYTES);
}
