//! Secrets at rest: planted in every place that takes one, then looked for wherever they must not be.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Acknowledged, Error, Transferred};
use openbits_e2e::{Door, Job, NewJob, User, assert_is, kill, program};
use openbits_testkit::{Content, Origin};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

/// Passwords, each in one place only.
const PLANTED: [&str; 5] = [
    "planted-in-a-url",
    "planted-in-a-list",
    "planted-in-http-proxy",
    "planted-as-basic",
    "planted-as-digest",
];

/// Any of the planted texts, also as part of a Basic value.
fn has_secret(bytes: &[u8]) -> Option<&'static str> {
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    PLANTED.into_iter().find(|secret| contains(secret.as_bytes()))
}

/// Looks through every file below a folder.
fn search(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            search(&entry.path());
        } else if kind.is_file() {
            // The service goes on: a temporary file or a log of the database may be gone by now.
            let bytes = match std::fs::read(entry.path()) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                result => result.unwrap(),
            };
            assert_eq!(has_secret(&bytes), None, "in {}", entry.path().display());
        }
    }
}

/// What any user may see of processes, and what a process leaves to its children.
fn search_processes(service: u32) {
    for pid in
        std::fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok())
    {
        if let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) {
            // Of the service and its like; the test's own arguments are none of its business.
            assert_eq!(has_secret(&bytes), None, "arguments of {pid}");
        }
    }
    let environment = std::fs::read(format!("/proc/{service}/environ")).unwrap();
    assert_eq!(has_secret(&environment), None, "environment of the service");
    let limits = std::fs::read_to_string(format!("/proc/{service}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

/// Every answer of the door about a job.
fn search_answers(door: &Door, job: &Job) {
    let paths = ["?files=true", "/files", "/error", "/why", "/policy"].map(|rest| job.path(rest));
    let others = ["/v1/jobs?files=true".to_owned(), "/v1/service".to_owned()];
    for path in paths.iter().chain(&others) {
        let reply = door.ask("GET", path, None).unwrap();
        assert_eq!(has_secret(&reply.body), None, "{path}: {reply}");
    }
}

/// A job with a secret in every place.
fn plant(door: &Door, user: &User) -> Job {
    let mut body = NewJob::new("planted")
        .file(&format!("https://me:{}@127.0.0.1:9/f", PLANTED[0]), &user.path("f"))
        .set("proxy", json!({ "usage": "OVERRIDE", "list": format!("http://me:{}@127.0.0.1:9", PLANTED[1]) }))
        .body()
        .clone();
    body["environment_proxy"] = json!({ "http": format!("http://me:{}@127.0.0.1:9", PLANTED[2]) });
    let reply = door.ask("POST", "/v1/jobs", Some(&body)).unwrap();
    assert_eq!(reply.status, 201, "{reply}");
    let id = reply.json::<openbits_api::Outcome>().job.id;
    for (scheme, password) in [("BASIC", PLANTED[3]), ("DIGEST", PLANTED[4])] {
        let body = json!({ "target": "SERVER", "scheme": scheme, "user": "me", "password": password });
        let reply = door.ask("PUT", &format!("/v1/jobs/{id}/credentials"), Some(&body)).unwrap();
        assert!(reply.is_success(), "{reply}");
    }
    Job { id, door: door.clone() }
}

#[test]
fn planted_secrets_are_nowhere_in_the_clear() {
    let user = User::new(bits());
    let door = user.wake();
    let job = plant(&door, &user);
    let view = job.view().unwrap();
    assert_eq!(view.files.as_ref().unwrap()[0].remote_name, "https://127.0.0.1:9/f");
    assert_eq!(view.proxy.list.as_deref(), Some("http://127.0.0.1:9"));
    // It runs, fails, and is seen to fail.
    let _ = door.ask("PATCH", &job.path(""), Some(&json!({ "no_progress_timeout_s": 0 }))).unwrap();
    let _ = job.act("resume");
    assert_eq!(job.wait(&[Error], LONG), Error);
    for state in ["while it runs", "after a kill", "after a clean end"] {
        search_answers(&door, &job);
        search(&user.sandbox().home());
        search(&user.sandbox().runtime());
        search_processes(user.service_pid());
        assert_eq!(has_secret(user.log().as_bytes()), None, "the log {state}");
        if state == "while it runs" {
            kill(user.service_pid());
        } else {
            openbits_e2e::signal(user.service_pid(), openbits_testkit::process::Signal::SIGTERM);
            let gone = openbits_testkit::wait_until(LONG, || door.connect().is_err());
            assert!(gone, "the service ends");
        }
        search(&user.sandbox().home());
        let _ = user.wake();
    }
}

/// A proxy that answers every request with four bytes and tells what it was asked.
fn proxy() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, heads) = mpsc::sync_channel(16);
    std::thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while reader.read_line(&mut head).unwrap_or(0) > 2 {}
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"1\"\r\nConnection: close\r\n\r\nfour";
            let _ = reader.get_mut().write_all(answer.as_bytes());
            if sender.send(head).is_err() {
                return;
            }
        }
    });
    (port, heads)
}

#[test]
fn a_sealed_secret_still_serves_after_a_restart() {
    let user = User::new(bits());
    let door = user.wake();
    let (port, heads) = proxy();
    let mut body = NewJob::new("x").file("http://h.invalid/f", &user.path("f")).body().clone();
    body["environment_proxy"] = json!({ "http": format!("http://me:{}@127.0.0.1:{port}", PLANTED[2]) });
    let reply = door.ask("POST", "/v1/jobs", Some(&body)).unwrap();
    let job = Job { id: reply.json::<openbits_api::Outcome>().job.id, door: door.clone() };
    kill(user.service_pid());
    let _ = user.wake();
    assert_eq!(job.act("resume").status, 200);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    let head = heads.recv_timeout(LONG).unwrap().to_ascii_lowercase();
    // base64 of `me:planted-in-http-proxy`
    assert!(head.contains("proxy-authorization: basic bwu6cgxhbnrlzc1pbi1odhrwlxbyb3h5"), "{head}");
}

#[test]
fn a_lost_key_costs_the_secrets_and_nothing_else() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(1, 1000);
    origin.put("plain", content.clone());
    let with_secret = plant(&door, &user);
    let without = NewJob::new("plain").file(&origin.url("plain"), &user.path("plain")).create(&door);
    kill(user.service_pid());
    let key = user.database().with_file_name("secrets.key");
    std::fs::remove_file(&key).unwrap();
    let _ = user.wake();
    assert!(key.exists(), "another is made");
    for job in [&with_secret, &without] {
        assert_eq!(job.act("resume").status, 200);
    }
    assert_eq!(without.wait(&[Transferred, Error], LONG), Transferred);
    let _ = without.act("complete");
    assert_eq!(without.state(), Acknowledged);
    assert_is(&user.path("plain"), &content);
    assert_eq!(with_secret.wait(&[Transferred, Error], LONG), Error);
    let why = user.must(&["why", &with_secret.id]);
    assert!(why.contains("BG_E_INVALID_CREDENTIALS") && why.contains("Credentials are needed"), "{why}");
    assert!(why.contains("set them again"), "{why}");
}

#[test]
fn a_key_that_others_may_read_stops_the_service_with_a_reason() {
    use std::os::unix::fs::PermissionsExt as _;
    let user = User::new(bits());
    let _ = user.wake();
    kill(user.service_pid());
    let key = user.database().with_file_name("secrets.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = user.bits(&["list"]);
    assert!(!output.status.success());
    assert!(user.log().contains("can be read or written by others"), "{}", user.log());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let _ = user.wake();
}
