//! SetCredentials, RemoveCredentials, SetProxySettings and GetProxySettings through the door and the command line.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Error, TransientError};
use openbits_e2e::{Job, NewJob, User, program};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

fn slots(job: &Job) -> Vec<(String, String, bool)> {
    let view = job.view().unwrap();
    view.credentials.into_iter().map(|c| (c.target, c.scheme, c.implicit)).collect()
}

/// Rows 52 to 54 of spec/bits-core.md 10, and the limits.
#[test]
fn job2_set_credentials_values() {
    let user = User::new(bits());
    let door = user.wake();
    let job = NewJob::new("x").create(&door);
    let put = |body: Value| {
        let reply = door.ask("PUT", &job.path("/credentials"), Some(&body)).unwrap();
        (reply.status, reply.hresult())
    };
    let row = |target: Value, scheme: Value, user: Value, password: Value| json!({ "target": target, "scheme": scheme, "user": user, "password": password });
    let (u, p) = (json!("u"), json!("p"));
    let ok = (200, "0x00000000".to_owned());
    let refused = |code: &str| (400, code.to_owned());
    for (body, expected) in [
        (row(json!("SERVER"), json!("BASIC"), u.clone(), p.clone()), ok.clone()),
        (row(json!("1"), json!("2"), u.clone(), p.clone()), ok.clone()),
        (row(json!("PROXY"), json!("NEGOTIATE"), Value::Null, Value::Null), ok.clone()),
        (row(json!("server"), json!("ntlm"), u.clone(), p.clone()), ok.clone()),
        (row(json!("BOTH"), json!("NONE"), u.clone(), p.clone()), refused("0x80200027")),
        (row(json!("3"), json!("1"), u.clone(), p.clone()), refused("0x80200027")),
        (row(json!("SERVER"), json!("KERBEROS"), u.clone(), p.clone()), refused("0x80200028")),
        (row(json!("SERVER"), json!("0"), u.clone(), p.clone()), refused("0x80200028")),
        (row(json!("SERVER"), json!("BASIC"), Value::Null, Value::Null), refused("0x80070057")),
        (row(json!("SERVER"), json!("PASSPORT"), Value::Null, Value::Null), refused("0x80070057")),
        (row(json!("SERVER"), json!("NTLM"), u.clone(), Value::Null), refused("0x80070057")),
        (row(json!("SERVER"), json!("BASIC"), json!("a\nb"), p.clone()), refused("0x80070057")),
        (row(json!("SERVER"), json!("BASIC"), json!("x".repeat(300)), json!("y".repeat(65_536))), ok.clone()),
        (row(json!("SERVER"), json!("BASIC"), json!("x".repeat(301)), p.clone()), refused("0x80200025")),
        (row(json!("SERVER"), json!("BASIC"), u.clone(), json!("y".repeat(65_537))), refused("0x80200026")),
    ] {
        let shown: String = body.to_string().chars().take(120).collect();
        assert_eq!(put(body), expected, "{shown}");
    }
    let mut found = slots(&job);
    found.sort();
    let slot = |target: &str, scheme: &str, implicit| (target.to_owned(), scheme.to_owned(), implicit);
    assert_eq!(
        found,
        [
            slot("PROXY", "NEGOTIATE", true),
            slot("SERVER", "BASIC", false),
            slot("SERVER", "DIGEST", false),
            slot("SERVER", "NTLM", false),
        ],
        "one for each pair, whatever the number of calls"
    );
    job.must("cancel");
    assert_eq!(put(row(json!("SERVER"), json!("BASIC"), u, p)).0, 409, "a finished job takes none");
}

#[test]
fn job2_set_credentials_by_the_command_line_keeps_the_password_out_of_sight() {
    let user = User::new(bits());
    let door = user.wake();
    let job = NewJob::new("x").create(&door);
    let arguments = ["set", &job.id, "--credentials", "server/digest/alice", "--password-fd", "0"];
    let mut child = user.command(&arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"planted in a pipe\nnot this\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(slots(&job), [("SERVER".to_owned(), "DIGEST".to_owned(), false)]);
    let shown = user.must(&["show", &job.id]);
    assert!(
        shown.contains("SERVER/DIGEST") && !shown.contains("alice") && !shown.contains("planted"),
        "{shown}"
    );
    // Without a terminal and without a descriptor there is nobody to ask.
    let mut command = user.command(&["set", &job.id, "--credentials", "proxy/basic/alice"]);
    let output = std::os::unix::process::CommandExt::process_group(&mut command, 0).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    let _ = user.must(&["set", &job.id, "--credentials", "proxy/negotiate"]);
    assert_eq!(slots(&job).len(), 2);
    let _ = user.must(&["set", &job.id, "--remove-credentials", "server/digest"]);
    assert_eq!(slots(&job), [("PROXY".to_owned(), "NEGOTIATE".to_owned(), true)]);
}

#[test]
fn job2_remove_credentials_one_slot_at_a_time() {
    let user = User::new(bits());
    let door = user.wake();
    let job = NewJob::new("x").create(&door);
    for scheme in ["BASIC", "DIGEST"] {
        let body = json!({ "target": "SERVER", "scheme": scheme, "user": "u", "password": "p" });
        assert_eq!(door.ask("PUT", &job.path("/credentials"), Some(&body)).unwrap().status, 200);
    }
    let remove = |slot: &str| {
        let reply = door.ask("DELETE", &job.path(&format!("/credentials/{slot}")), None).unwrap();
        (reply.status, reply.hresult())
    };
    assert_eq!(remove("PROXY/BASIC"), (200, "0x00000001".to_owned()), "S_FALSE: there is none");
    assert_eq!(remove("SERVER/BASIC"), (200, "0x00000000".to_owned()));
    assert_eq!(remove("SERVER/BASIC"), (200, "0x00000001".to_owned()));
    assert_eq!(slots(&job).len(), 1);
    assert_eq!(remove("NOBODY/BASIC"), (400, "0x80200027".to_owned()));
    assert_eq!(remove("SERVER/9"), (400, "0x80200028".to_owned()));
    openbits_e2e::kill(user.service_pid());
    let _ = user.wake();
    assert_eq!(slots(&job), [("SERVER".to_owned(), "DIGEST".to_owned(), false)], "as it was stored");
}

#[test]
fn job_set_proxy_settings_and_job_get_proxy_settings_agree() {
    let user = User::new(bits());
    let door = user.wake();
    let job = NewJob::new("x").create(&door);
    let get = || {
        let proxy = job.view().unwrap().proxy;
        (proxy.usage.to_string(), proxy.list, proxy.bypass)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(get(), ("PRECONFIG".to_owned(), None, None));
    let patch = |proxy: Value| {
        let reply = door.ask("PATCH", &job.path(""), Some(&json!({ "proxy": proxy }))).unwrap();
        (reply.status, reply.hresult())
    };
    let ok = (200, "0x00000000".to_owned());
    assert_eq!(patch(json!({ "usage": "OVERRIDE", "list": "http=p:1 q", "bypass": "<local>" })), ok);
    assert_eq!(get(), ("OVERRIDE".to_owned(), some("http=p:1 q"), some("<local>")));
    assert_eq!(patch(json!({ "usage": "OVERRIDE" })).1, "0x80070057", "a list is needed");
    assert_eq!(patch(json!({ "usage": "NO_PROXY", "list": "p" })).1, "0x80070057", "and only there");
    assert_eq!(patch(json!({ "usage": "OVERRIDE", "list": "x".repeat(16_385) })).1, "0x80200018");
    let long = json!({ "usage": "OVERRIDE", "list": "p", "bypass": "x".repeat(16_385) });
    assert_eq!(patch(long).1, "0x80200019");
    assert_eq!(get().1, some("http=p:1 q"), "a refused call changes nothing");
    // What names users is kept, and shown to nobody.
    assert_eq!(patch(json!({ "usage": "OVERRIDE", "list": "http=u:hidden@p:1;q" })), ok);
    assert_eq!(get().1, some("http=p:1;q"));
    for usage in ["NO_PROXY", "AUTODETECT", "PRECONFIG"] {
        assert_eq!(patch(json!({ "usage": usage })), ok);
        assert_eq!(get(), (usage.to_owned(), None, None));
    }
}

#[test]
fn job_get_proxy_settings_of_a_new_job() {
    let user = User::new(bits());
    let proxy = NewJob::new("x").create(&user.wake()).view().unwrap().proxy;
    assert_eq!((proxy.usage.as_str(), proxy.list, proxy.bypass), ("PRECONFIG", None, None));
}

/// Events 200 and 201: each proxy that cannot be used is told, and the end of the list; the job tries again later.
#[test]
fn a_list_of_proxies_is_tried_in_order() {
    let user = User::new(bits());
    let door = user.wake();
    let dead = || std::net::SocketAddr::from(([127, 0, 0, 1], openbits_testkit::own_port()));
    let (one, two) = (dead(), dead());
    let job = NewJob::new("x")
        .file("http://h.invalid/f", &user.path("f"))
        .set("proxy", json!({ "usage": "OVERRIDE", "list": format!("{one} u:planted@{two}") }))
        .started()
        .create(&door);
    let state = job.wait(&[TransientError, Error], Duration::from_secs(60));
    assert_eq!(state, TransientError);
    let error: openbits_api::ErrorView = door.get(&job.path("/error"));
    assert_eq!(error.name, "ERROR_WINHTTP_CANNOT_CONNECT", "{error:?}");
    let log = user.log();
    assert_eq!(log.lines().filter(|line| line.contains("event=200")).count(), 2, "{log}");
    let last = log.lines().find(|line| line.contains("event=201")).unwrap_or_else(|| panic!("{log}"));
    assert!(last.contains(&one.to_string()) && !log.contains("planted"), "{last}");
    // A list that cannot be read is fatal, and looked at only now.
    let job = NewJob::new("y")
        .file("http://h.invalid/f", &user.path("g"))
        .set("proxy", json!({ "usage": "OVERRIDE", "list": "socks=x" }))
        .started()
        .create(&door);
    assert_eq!(job.wait(&[TransientError, Error], Duration::from_secs(60)), Error);
    let error: openbits_api::ErrorView = door.get(&job.path("/error"));
    assert_eq!(error.name, "BG_E_INVALID_PROXY_INFO");
}

/// The policy's proxy comes before the environment's; a desktop's before both is the worker's affair.
#[test]
fn preconfigured_jobs_follow_the_policy_and_the_desktop() {
    for desktop in [false, true] {
        let user = User::new(bits());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if desktop {
            let config = user.sandbox().home().join(".config");
            let text =
                format!("[Proxy Settings]\nProxyType=1\nhttpProxy=http://127.0.0.1 {}\n", address.port());
            std::fs::write(config.join("kioslaverc"), text).unwrap();
        } else {
            user.policy(&format!("[proxy]\nmode = \"list\"\nlist = \"{address}\"\n"));
        }
        let door = user.wake();
        let mut body = NewJob::new("x").file("http://h.invalid/f", &user.path("f")).started().body().clone();
        body["environment_proxy"] = json!({ "http": "http://127.0.0.1:9" });
        assert_eq!(door.ask("POST", "/v1/jobs", Some(&body)).unwrap().status, 201);
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 40];
        std::io::Read::read_exact(&mut stream, &mut head).unwrap();
        assert!(head.starts_with(b"GET http://h.invalid/f HTTP/1.1"), "{}", String::from_utf8_lossy(&head));
    }
}
