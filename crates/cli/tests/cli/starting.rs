//! Starting the user's own service. The program that is started writes down how, and the test then brings up the fake.

use crate::bits::{command, finish};
use crate::fake::Fake;
use openbits_api::EventKind;
use openbits_core::JobState;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A home with a runtime directory and a service program of the given shell lines.
fn home(lines: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("run")).unwrap();
    let program = home.path().join("program");
    fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// Notes arguments, folder, and whether it leads a session; then stays for a while.
fn noting() -> TempDir {
    home(
        "read -r stat < /proc/$$/stat; set -- \"$@\" $(pwd) $stat; [ \"$5\" = \"${10}\" ] && own=yes; echo \"$1 $2 ${3#$HOME} $4 $own${OPENBITS_SOCKET-}\" >> \"$HOME/started\"; exec sleep 8",
    )
}

fn spawn(home: &Path, args: &[&str]) -> Child {
    command(home)
        .env("XDG_RUNTIME_DIR", home.join("run"))
        // Another service's socket, named in the environment, is neither asked nor handed down.
        .env("OPENBITS_SOCKET", home.join("other.sock"))
        .env("OPENBITS_SERVICE_PROGRAM", home.join("program"))
        .arg("--user")
        .args(args)
        .spawn()
        .unwrap()
}

fn socket(home: &Path) -> PathBuf {
    home.join("run/openbits/bitsd.sock")
}

fn started(home: &Path, times: usize) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = fs::read_to_string(home.join("started")).unwrap_or_default();
        if text.lines().count() >= times {
            return text;
        }
        assert!(Instant::now() < deadline, "not started {times} times: {text:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn many_callers_start_one_service() {
    let home = noting();
    let children: Vec<Child> = (0..5).map(|_| spawn(home.path(), &["service-info"])).collect();
    assert_eq!(started(home.path(), 1), "--user --socket /run/openbits/bitsd.sock / yes\n");
    std::thread::sleep(Duration::from_millis(200));
    let _fake = Fake::start(socket(home.path()));
    for child in children {
        assert!(finish(child).exits(0).out.contains("9.9.9"));
    }
    assert_eq!(started(home.path(), 1), "--user --socket /run/openbits/bitsd.sock / yes\n");
    let mode = fs::metadata(home.path().join("run/openbits")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn a_service_killed_in_mid_get_is_started_again() {
    let home = noting();
    fs::create_dir(home.path().join("run/openbits")).unwrap();
    fs::set_permissions(home.path().join("run/openbits"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut fake = Fake::start(socket(home.path()));
    let child = spawn(home.path(), &["get", "http://h/a"]);
    let id = fake.created(1).remove(0);
    fake.kill();
    started(home.path(), 1);
    fake.restart();
    fake.with(|s| s.enter(&id, JobState::Acknowledged, EventKind::Acknowledged));
    finish(child).exits(0);
    assert!(home.path().join("a").exists());
}

#[test]
fn a_service_that_ends_at_once_shows_its_log() {
    let home = home("echo 'cannot open the store: \u{7}ENOSPC' >&2; exit 3");
    for _ in 0..2 {
        let done = finish(spawn(home.path(), &["list"])).exits(6);
        assert_eq!(done.err.matches("cannot open the store: ENOSPC").count(), 1, "{}", done.err);
        assert!(done.err.contains("exit status: 3") && done.err.contains("bitsd.log"), "{}", done.err);
    }
}

#[test]
fn a_service_that_does_not_answer_is_given_up() {
    let home = home("echo 'still thinking' >&2; exec sleep 15");
    let done = finish(spawn(home.path(), &["list"])).exits(6);
    assert!(done.err.contains("after 10 s") && done.err.contains("still thinking"), "{}", done.err);
}

#[test]
fn a_program_that_is_not_there_is_said() {
    let home = home("");
    fs::remove_file(home.path().join("program")).unwrap();
    let done = finish(spawn(home.path(), &["list"])).exits(6);
    assert!(done.err.contains("cannot run the service"), "{}", done.err);
}

#[test]
fn an_open_socket_directory_is_refused() {
    let home = noting();
    let directory = home.path().join("run/openbits");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let done = finish(spawn(home.path(), &["list"])).exits(3);
    assert!(done.err.contains("not safe"), "{}", done.err);
    assert!(!home.path().join("started").exists());
}

#[test]
fn a_systems_service_elsewhere_is_believed_if_it_is_roots() {
    let home = noting();
    let _fake = Fake::start(home.path().join("system.sock"));
    let by_root = std::os::unix::fs::MetadataExt::uid(&fs::metadata(home.path()).unwrap()) == 0;
    let child = command(home.path())
        .env("OPENBITS_SYSTEM_SOCKET", home.path().join("system.sock"))
        .env("XDG_RUNTIME_DIR", home.path().join("run"))
        .env("OPENBITS_SERVICE_PROGRAM", home.path().join("program"))
        .arg("service-info")
        .spawn()
        .unwrap();
    if by_root {
        assert!(finish(child).exits(0).out.contains("9.9.9"));
        assert!(!home.path().join("started").exists());
    } else {
        assert!(started(home.path(), 1).starts_with("--user --socket"));
        let _own = Fake::start(socket(home.path()));
        finish(child).exits(0);
    }
}
