//! Settings from outside: reload, sweeping, restart.

use crate::process::{Server, config};
use crate::raw::{GUID, Raw};
use std::time::{Duration, Instant};

fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn hangup_reads_the_settings_again_and_bad_ones_change_nothing() {
    let server = Server::with(&config("max_size_bytes = 10"));
    let mut raw = Raw::open(server.address);
    let session = raw.create("/in/f");
    assert_eq!(raw.fragment("/in/f", &session, 0, 11, b"x").status, 500);
    server.reload(&config("max_size_bytes = 11"));
    eventually("new settings", || raw.fragment("/in/f", &session, 0, 11, b"x").status == 200);
    server.reload("nonsense = 1");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(raw.fragment("/in/f", &session, 1, 11, b"y").received(), Some(2));
    server.reload("[[path]]\nprefix = \"/in\"\n");
    eventually("uploads off", || raw.packet("Ping", "/in/f", &[], b"").status == 501);
}

#[test]
fn dead_sessions_are_swept_and_live_ones_are_not() {
    let server = Server::with(&format!("[limits]\nsweep_s = 1\n{}", config("session_timeout_s = 4")));
    let mut raw = Raw::open(server.address);
    let (dead, live) = (raw.create("/in/dead"), raw.create("/in/live"));
    let begun = Instant::now();
    raw.fragment("/in/dead", &dead, 0, 100, b"x");
    let mut at = 0;
    eventually("the dead session is gone", || {
        std::thread::sleep(Duration::from_millis(300));
        at += 1;
        assert_eq!(raw.fragment("/in/live", &live, at - 1, 1000, b"x").status, 200);
        server.state("live").len() == 1
    });
    assert!(begun.elapsed() >= Duration::from_secs(3), "not before its time: {:?}", begun.elapsed());
    assert_eq!(raw.fragment("/in/dead", &dead, 1, 100, b"x").error().1, Some("0x8020001F"));
    assert!(server.state("trash").is_empty());
}

#[test]
fn sessions_outlive_a_restart() {
    let mut server = Server::plain();
    let mut raw = Raw::open(server.address);
    let session = raw.create("/in/f");
    raw.fragment("/in/f", &session, 0, 12, b"hello");
    server.kill_and_restart();
    let mut raw = Raw::open(server.address);
    assert_eq!(raw.fragment("/in/f", &session, 5, 12, b", bits\n").received(), Some(12));
    server.kill_and_restart();
    let mut raw = Raw::open(server.address);
    assert_eq!(raw.close("/in/f", &session).status, 200);
    server.kill_and_restart();
    assert_eq!(Raw::open(server.address).close("/in/f", &session).status, 200, "tombstones outlive it too");
    assert_eq!(server.stored("in/f").unwrap(), b"hello, bits\n");
}

#[test]
fn old_tombstones_go_first_when_there_are_too_many() {
    let server = Server::with(&format!("[limits]\nsweep_s = 1\ntombstones = 2\n{}", config("")));
    let mut raw = Raw::open(server.address);
    let sessions: Vec<String> = (0..4)
        .map(|i| {
            std::thread::sleep(Duration::from_millis(1100));
            raw.upload(&format!("/in/f{i}"), b"x")
        })
        .collect();
    eventually("two tombstones are left", || server.state("tombs").len() == 2);
    assert_eq!(raw.close("/in/f3", &sessions[3]).status, 200);
    assert_eq!(raw.close("/in/f0", &sessions[0]).status, 500);
    let list = [("BITS-Supported-Protocols", GUID)];
    assert_eq!(raw.packet("Create-Session", "/in/new", &list, b"").status, 200);
}
