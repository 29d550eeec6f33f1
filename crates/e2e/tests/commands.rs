//! What users of the command line and of the socket rely on when answers, commands and services are lost.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_api::Outcome;
use openbits_core::JobState::{Acknowledged, Error, Transferred};
use openbits_e2e::{Job, NewJob, User, assert_is, gone, kill, names, program};
use openbits_testkit::{Behaviour, Content, Origin, wait_until};
use serde_json::json;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

/// The README's promise: kill anything in between, run `bits get` again, and it goes on.
#[test]
fn get_goes_on_after_everything_was_killed() {
    let user = User::new(bits());
    let origin = Origin::start();
    let content = Content::new(7, 24 * MIB);
    origin.put("f", content.clone());
    origin.hold("f", 16 * MIB);
    let url = origin.url("f");
    let mut first = user.command(&["get", &url, "f"]).stderr(Stdio::null()).spawn().unwrap();
    assert!(origin.wait_held("f", LONG));
    let jobs = user.door().jobs("");
    let job = Job { id: jobs[0].id.clone(), door: user.door() };
    job.wait_bytes(16 * MIB, LONG);
    let service = user.service_pid();
    first.kill().unwrap();
    first.wait().unwrap();
    kill(service);
    assert!(wait_until(LONG, || gone(service)));
    origin.release("f");
    let output = user.bits(&["get", &url, "f"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("job {} fetches it already", job.id)), "{said}");
    assert_is(&user.path("f"), &content);
    assert_eq!(names(&user.folder()), ["f"]);
    assert_eq!(user.door().jobs(""), []);
    assert_eq!(job.state(), Acknowledged);
}

#[test]
fn two_gets_of_one_url_are_one_transfer_unless_a_new_job_is_wanted() {
    let user = User::new(bits());
    let origin = Origin::start();
    origin.put("f", Content::new(2, 4 * MIB));
    origin.hold("f", MIB);
    let url = origin.url("f");
    let id = user.must(&["get", "-b", "--priority", "foreground", &url, "f"]);
    assert!(origin.wait_held("f", LONG));
    assert_eq!(user.must(&["get", "-b", &url, "f"]), id);
    let second = user.must(&["get", "-b", "--new", &url, "f"]);
    assert_ne!(second, id);
    let _ = user.must(&["cancel", second.trim()]);
    let waiting = user.command(&["get", &url, "f"]).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    origin.release("f");
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_is(&user.path("f"), &Content::new(2, 4 * MIB));
}

/// A caller who lost the answer asks again, as often as he likes and also after the end.
#[test]
fn a_create_with_an_id_may_be_repeated() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", Content::new(3, MIB));
    let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let new = NewJob::new("f").file(&origin.url("f"), &user.path("f")).started().set("auto_complete", true);
    let mut body = new.body().clone();
    body["id"] = json!(id);
    let create = |body: &serde_json::Value| door.ask("POST", "/v1/jobs", Some(body)).unwrap();
    for _ in 0..3 {
        let reply = create(&body);
        assert_eq!((reply.status, reply.json::<Outcome>().job.id.as_str()), (201, id), "{reply}");
    }
    let job = Job { id: id.to_owned(), door: door.clone() };
    assert_eq!(job.wait(&[Acknowledged, Error], LONG), Acknowledged);
    let reply = create(&body);
    assert_eq!((reply.status, reply.json::<Outcome>().job.state), (201, Acknowledged), "{reply}");
    assert_eq!(door.jobs(""), []);
    body["files"][0]["local_name"] = json!(user.path("g"));
    let reply = create(&body);
    assert_eq!((reply.status, reply.hresult().as_str()), (409, "0x80200002"), "{reply}");
    for bad in ["", "x", "0f8fad5b-d9cb-169f-a165-70867728950e", "00000000-0000-0000-0000-000000000000"] {
        body["id"] = json!(bad);
        assert_eq!(create(&body).status, 400, "{bad}");
    }
}

#[test]
fn a_users_service_starts_at_its_own_place_whatever_the_variable_says() {
    let user = User::new(bits());
    let other = user.sandbox().path().join("other.sock");
    let output = user.command(&["--user", "list"]).env("OPENBITS_SOCKET", &other).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!other.exists());
    assert_eq!(user.door().service().mode, "user");
}

/// A password in a URL goes over https only; a server that asks for one over http gives an error that says so.
#[test]
fn a_password_that_was_not_sent_is_explained() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", Content::new(1, 10));
    assert!(origin.set_behaviour("f", Behaviour::Status(401)));
    let url = origin.url("f").replacen("http://", "http://me:secret@", 1);
    let job = NewJob::new("f").file(&url, &user.path("f")).started().create(&door);
    assert_eq!(job.wait(&[Error, Transferred], LONG), Error);
    let why = user.must(&["why", &job.id]);
    assert!(why.contains("over https only") && !why.contains("secret"), "{why}");
    let error: openbits_api::ErrorView = door.get(&job.path("/error"));
    assert!(error.detail.contains("over https only"), "{error:?}");
}
