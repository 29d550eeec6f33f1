//! Properties that came with Delivery Optimization, on ordinary jobs, through the doors: headers that are held back for a challenge, the
//! expected size, a client certificate that is handed over itself (spec/delivery-optimization-com.md 4.4).

#![allow(clippy::unwrap_used, reason = "a test")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openbits_api::{ErrorView, EventKind, JobView};
use openbits_core::JobState::{Acknowledged, Error, Suspended, Transferred};
use openbits_e2e::{Job, NewJob, Reply, User, assert_is, names, program, skip};
use openbits_testkit::apache::{PASSWORD, USER};
use openbits_testkit::authority::{Authority, Leaf};
use openbits_testkit::squid::{Asks, Squid};
use openbits_testkit::{Behaviour, Certificate, Content, Origin, OriginFile, OriginOptions};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const SIZE: u64 = 300_000;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

fn content() -> Content {
    Content::new(9, SIZE)
}

fn error(job: &Job) -> ErrorView {
    job.door.get(&job.path("/error"))
}

fn patch(job: &Job, body: &Value) -> Reply {
    job.door.ask("PATCH", &job.path(""), Some(body)).unwrap()
}

#[test]
fn headers_for_a_challenge_go_out_after_it_and_stay_secret() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    for name in ["f", "g", "open"] {
        origin.put(name, content());
    }
    origin.set_behaviour("f", Behaviour::WantsBasic);
    let mut events = door.events("?after=0");
    let headers =
        "Authorization: Bearer hunter2\r\nX-Key: hunter2\r\nProxy-Authorization: Bearer hunter2\r\n";
    let job = NewJob::new("f")
        .file(&origin.url("open"), &user.path("open"))
        .file(&origin.url("f"), &user.path("f"))
        .file(&origin.url("g"), &user.path("g"))
        .set("challenge_headers", headers)
        .create(&door);
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:?}", job.view());
    let key = |name: &str| -> Vec<(Option<u16>, bool)> {
        let requests = origin.requests(name);
        let all = requests.iter().map(|request| {
            let both = ["authorization", "x-key"].map(|name| request.header(name));
            assert!(both == [None, None] || both == [Some("Bearer hunter2"), Some("hunter2")], "{request:?}");
            assert_eq!(request.header("proxy-authorization"), None, "there is no proxy");
            (request.status, both != [None, None])
        });
        all.collect()
    };
    assert_eq!(key("open"), [(Some(206), false)], "nobody asked");
    assert_eq!(key("f"), [(Some(401), false), (Some(206), true)]);
    assert_eq!(key("g"), [(Some(206), true)], "this server asked before");
    // The owner reads them back; nothing else shows them.
    let read = |path: &str| door.ask("GET", path, None).unwrap();
    let own: Value = read(&job.path("/challenge-headers")).json();
    assert_eq!((own["headers"].as_str(), own["hresult"].as_str()), (Some(headers), Some("0x00000000")));
    let custom: Value = read(&job.path("/custom-headers")).json();
    assert_eq!((custom["headers"].as_str(), custom["hresult"].as_str()), (None, Some("0x00000001")));
    let view: JobView = read(&job.path("?files=true")).json();
    assert!(view.http.challenge_headers && !view.http.custom_headers);
    assert!(!read(&job.path("?files=true")).to_string().contains("hunter2"));
    let heard = events.until(LONG, |event| event.kind == EventKind::Transferred);
    assert!(!format!("{heard:?}").contains("hunter2"));
    assert!(!user.log().contains("hunter2"));
    // Their rules are those of custom headers.
    for (bad, code) in [
        ("Host: hunter3\r\n".to_owned(), "0x80070057"),
        ("X-Key: hunter3\n".to_owned(), "0x80070057"),
        (format!("A: {}\r\n", "hunter3".repeat(3_000)), "0x80200021"),
    ] {
        let refused = patch(&job, &json!({ "challenge_headers": bad }));
        assert_eq!(refused.hresult(), code);
        assert!(!refused.to_string().contains("hunter3"), "{refused}");
    }
    assert!(patch(&job, &json!({ "custom_headers_write_only": true })).is_success());
    assert_eq!(read(&job.path("/challenge-headers")).hresult(), "0x80070005");
    assert!(patch(&job, &json!({ "challenge_headers": "" })).is_success());
    assert!(!job.view().unwrap().http.challenge_headers);
    // They are used by the command line, too.
    std::fs::write(user.path("h"), "Authorization: Bearer x\n").unwrap();
    let url = origin.url("f");
    let _ = user.must(&["get", &url, user.path("i").to_str().unwrap(), "--challenge-headers", "@h"]);
    assert_is(&user.path("i"), &content());
}

#[test]
fn a_second_challenge_is_final_and_credentials_go_first() {
    let user = User::new(bits());
    let door = user.wake();
    let options = OriginOptions { https: Some(Certificate::Good), ..OriginOptions::default() };
    let origin = Origin::start_with(options).unwrap();
    origin.put("f", OriginFile::new(content()).behaviour(Behaviour::WantsBasic));
    // Not what it wants.
    let job = NewJob::new("f")
        .file(&origin.url("f"), &user.path("f"))
        .set("challenge_headers", "X-Key: k\r\n")
        .started()
        .create(&door);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    let failed = error(&job);
    assert_eq!((failed.name.as_str(), failed.http_status), ("BG_E_HTTP_ERROR_401", Some(401)));
    assert!(failed.detail.contains("headers that the job has for that were refused"), "{}", failed.detail);
    let sent: Vec<_> = origin.requests("f").iter().map(|r| r.header("x-key").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("k".to_owned())], "asked twice, and no more");
    // Over plain http a password is not sent by Basic, so that what the caller wrote himself has its turn.
    origin.clear_log();
    let basic = json!({ "target": "SERVER", "scheme": "BASIC", "user": "u", "password": "p" });
    assert!(door.ask("PUT", &job.path("/credentials"), Some(&basic)).unwrap().is_success());
    assert!(patch(&job, &json!({ "challenge_headers": "Authorization: Bearer t\r\n" })).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    let sent: Vec<_> =
        origin.requests("f").iter().map(|r| r.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("Bearer t".to_owned())]);
    // Over https it is: the headers stay where they are.
    let user = User::new(bits());
    std::fs::write(user.folder().join("ca.pem"), origin.ca_pem().unwrap()).unwrap();
    user.policy(&format!("[tls]\nextra_ca = \"{}\"\n", user.folder().join("ca.pem").display()));
    let door = user.wake();
    origin.clear_log();
    let job = NewJob::new("f")
        .file(&origin.https_url("f").unwrap(), &user.path("f"))
        .set("challenge_headers", "Authorization: Bearer t\r\n")
        .create(&door);
    assert!(door.ask("PUT", &job.path("/credentials"), Some(&basic)).unwrap().is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:?}", job.view());
    let sent: Vec<_> =
        origin.requests("f").iter().map(|r| r.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("Basic dTpw".to_owned())]);
}

/// A server of one connection at a time: what it was sent, and the answer to it by the header `X-Key`.
fn server(answer: impl Fn(bool) -> String + Send + 'static) -> (String, Arc<Mutex<Vec<bool>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            if head.is_empty() {
                continue;
            }
            let key = head.iter().any(|line| line.to_ascii_lowercase().starts_with("x-key:"));
            log.lock().unwrap().push(key);
            let _ = stream.write_all(answer(key).as_bytes());
        }
    });
    (url, seen)
}

fn answer(status: &str, more: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn headers_for_a_challenge_never_reach_another_origin() {
    let user = User::new(bits());
    let door = user.wake();
    let fetch = |url: &str, name: &str| {
        let job = NewJob::new(name)
            .file(url, &user.path(name))
            .set("challenge_headers", "X-Key: hunter2\r\n")
            .started()
            .create(&door);
        (job.wait(&[Transferred, Error], LONG), job)
    };
    // The first origin asks, gets them, and sends us elsewhere.
    let (open, open_seen) = server(|_| answer("200 OK", "ETag: \"v\"\r\n", "content"));
    let there = open.clone();
    let (home, home_seen) = server(move |key| match key {
        false => answer("401 Who", "", ""),
        true => answer("302 There", &format!("Location: {there}\r\n"), ""),
    });
    assert_eq!(fetch(&home, "a").0, Transferred);
    assert_eq!(*home_seen.lock().unwrap(), [false, true]);
    assert_eq!(*open_seen.lock().unwrap(), [false]);
    // Who asks is not who the caller named.
    let (nosy, nosy_seen) =
        server(|key| if key { answer("200 OK", "", "x") } else { answer("401 Who", "", "") });
    let there = nosy.clone();
    let (home, home_seen) = server(move |_| answer("302 There", &format!("Location: {there}\r\n"), ""));
    let (state, job) = fetch(&home, "b");
    assert_eq!((state, error(&job).http_status), (Error, Some(401)));
    assert!(nosy_seen.lock().unwrap().iter().chain(home_seen.lock().unwrap().iter()).all(|key| !key));
}

#[test]
fn headers_for_a_challenge_of_a_proxy_go_to_it_alone_also_for_tunnels() {
    let Some(squid) = Squid::start(Asks::Basic) else { return skip("challenge", "squid is not installed") };
    let options = OriginOptions { https: Some(Certificate::Good), ..OriginOptions::default() };
    let origin = Origin::start_with(options).unwrap();
    origin.put("f", OriginFile::new(content()).behaviour(Behaviour::WantsBasic));
    let user = User::new(bits());
    std::fs::write(user.folder().join("ca.pem"), origin.ca_pem().unwrap()).unwrap();
    user.policy(&format!("[tls]\nextra_ca = \"{}\"\n", user.folder().join("ca.pem").display()));
    let door = user.wake();
    let login = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let wrong = STANDARD.encode(format!("{USER}:wrong"));
    let fetch = |url: &str, name: &str, login: &str| {
        let headers = format!("Proxy-Authorization: Basic {login}\r\nAuthorization: Bearer t\r\n");
        let job = NewJob::new(name)
            .file(url, &user.path(name))
            .set("proxy", json!({ "usage": "OVERRIDE", "list": squid.address() }))
            .set("challenge_headers", headers)
            .set("auto_complete", true)
            .started()
            .create(&door);
        (job.wait(&[Acknowledged, Error], LONG), job)
    };
    for (n, url) in [origin.url("f"), origin.https_url("f").unwrap()].iter().enumerate() {
        let (state, job) = fetch(url, "g", &wrong);
        assert_eq!((state, error(&job).name.as_str()), (Error, "BG_E_HTTP_ERROR_407"), "{url}");
        assert_eq!(origin.requests("f").len(), 0, "nothing of it reached the server");
        let name = format!("f{n}");
        assert_eq!(fetch(url, &name, &login).0, Acknowledged, "{url}: {}", squid.log());
        assert_is(&user.path(&name), &content());
        // The proxy asked first, then the server: each has got its own.
        let sent: Vec<_> =
            origin.requests("f").iter().map(|r| r.header("authorization").map(str::to_owned)).collect();
        assert_eq!(sent, [None, Some("Bearer t".to_owned())], "{url}");
        origin.clear_log();
    }
}

#[test]
fn a_file_of_another_size_than_expected_is_an_error() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let fetch = |size: u64, more: &dyn Fn(&mut Value)| {
        let mut body = NewJob::new("f").file(&origin.url("f"), &user.path("f")).started().body().clone();
        body["files"][0]["size"] = json!(size);
        more(&mut body);
        let reply = door.ask("POST", "/v1/jobs", Some(&body)).unwrap();
        assert_eq!(reply.status, 201, "{reply}");
        let job = Job { id: reply.json::<openbits_api::Outcome>().job.id, door: door.clone() };
        let state = job.wait(&[Transferred, Error], LONG);
        let view = job.view().unwrap();
        assert_eq!(view.files.unwrap()[0].expected_size, Some(size));
        let code = (state == Error).then(|| error(&job).hresult);
        let _ = job.act("cancel");
        code
    };
    // With a length, and without one: then only the end tells.
    for behaviour in [Behaviour::Good, Behaviour::Chunked] {
        origin.put("f", OriginFile::new(content()).behaviour(behaviour));
        assert_eq!(fetch(SIZE, &|_| {}), None, "{behaviour}");
        for wrong in [0, 1, SIZE - 1, SIZE + 1, u64::MAX] {
            assert_eq!(fetch(wrong, &|_| {}).as_deref(), Some("0x80200053"), "{behaviour} {wrong}");
        }
        let delivery = |body: &mut Value| body["dialect"] = json!("delivery_optimization");
        assert_eq!(fetch(SIZE, &delivery), None);
        assert_eq!(fetch(SIZE + 1, &delivery).as_deref(), Some("0x80D05001"), "{behaviour}");
    }
    origin.put("f", OriginFile::new(Content::new(1, 0)));
    assert_eq!(fetch(0, &|_| {}), None);
    assert_eq!(fetch(1, &|_| {}).as_deref(), Some("0x80200053"));
    // Of a file made of ranges it is still the remote one's.
    origin.put("f", OriginFile::new(content()));
    let ranges = |body: &mut Value| body["files"][0]["ranges"] = json!([{ "offset": 5, "length": 10 }]);
    assert_eq!(fetch(SIZE, &ranges), None);
    assert_eq!(fetch(10, &ranges).as_deref(), Some("0x80200053"));
    assert_eq!(names(&user.folder()), Vec::<String>::new(), "nothing is left, and nothing was delivered");
    // The command line.
    let url = origin.url("f");
    let wrong = user.bits(&["get", &url, user.path("g").to_str().unwrap(), "--size", "7"]);
    assert!(!wrong.status.success());
    let _ = user.must(&["get", &url, user.path("h").to_str().unwrap(), "--size", &SIZE.to_string()]);
    assert_is(&user.path("h"), &content());
}

/// Elements as CertSerializeCertificateStoreElement writes them.
fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&id.to_le_bytes()[..], &1_u32.to_le_bytes(), &length.to_le_bytes(), content].concat()
}

#[test]
fn a_client_certificate_may_be_named_by_itself() {
    let user = User::new(bits());
    let store = user.sandbox().home().join(".config/openbits/certificates/my");
    std::fs::create_dir_all(&store).unwrap();
    let authority = Authority::root("clients");
    let alice = authority.issue(&Leaf::client("example", "build", "alice"));
    let bob = authority.issue(&Leaf::client("example", "build", "bob"));
    std::fs::write(store.join("alice.pem"), format!("{}{}", alice.chain_pem, alice.key_pem)).unwrap();
    let door = user.wake();
    let job = NewJob::new("f").file("http://127.0.0.1:1/f", &user.path("f")).create(&door);
    assert_eq!(job.state(), Suspended);
    let set = |context: &[u8]| {
        let body = json!({ "context": STANDARD.encode(context) });
        door.ask("PUT", &job.path("/client-certificate"), Some(&body)).unwrap()
    };
    let (alice, bob): (&[u8], &[u8]) = (&alice.chain[0], &bob.chain[0]);
    let filled = |length: usize| {
        let filler = vec![0; length - alice.len() - 24];
        [element(11, &filler), element(32, alice)].concat()
    };
    for good in [alice.to_vec(), element(32, alice), filled(65_536)] {
        assert_eq!(door.ask("DELETE", &job.path("/client-certificate"), None).unwrap().status, 200);
        let reply = set(&good);
        assert!(reply.is_success(), "{reply}");
        let found = job.view().unwrap().http.client_certificate.unwrap();
        assert_eq!((found.subject.as_str(), found.store.as_str()), ("example, build, alice", "MY"));
    }
    for (bad, code) in [
        (b"garbage".to_vec(), "0x80092003"),
        (Vec::new(), "0x80092003"),
        (alice[..alice.len() - 1].to_vec(), "0x80092003"),
        (element(3, alice), "0x80092003"),
        (filled(65_537), "0x80092003"),
        // A good one that is not in the store.
        (bob.to_vec(), "0x80092004"),
    ] {
        assert_eq!(set(&bad).hresult(), code, "{:?}", &bad[..bad.len().min(16)]);
    }
    for body in
        [json!({ "context": "no base64" }), json!({ "context": STANDARD.encode(alice), "subject": "alice" })]
    {
        let reply = door.ask("PUT", &job.path("/client-certificate"), Some(&body)).unwrap();
        assert!(["0x80092003", "0x80070057"].contains(&reply.hresult().as_str()), "{reply}");
    }
    let kept = job.view().unwrap().http.client_certificate.unwrap();
    assert_eq!(kept.subject, "example, build, alice", "a refusal changes nothing");
}
