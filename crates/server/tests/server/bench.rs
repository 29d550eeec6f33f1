//! A thousand sessions at once, and what they cost in memory.

use crate::process::{Server, config};
use crate::raw::Raw;

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_thousand_sessions_with_open_connections() {
    let server =
        Server::with(&format!("[limits]\nheader_timeout_s = 600\n{}", config("sessions_per_user = 0")));
    let mut first = Raw::open(server.address);
    first.upload("/in/warm", b"x");
    let before = resident_kib(server.pid());
    let mut open: Vec<(Raw, String, String)> = (0..1000)
        .map(|i| {
            let mut raw = Raw::open(server.address);
            let path = format!("/in/f{i}");
            let session = raw.create(&path);
            assert_eq!(raw.fragment(&path, &session, 0, 12, b"hello").received(), Some(5));
            (raw, path, session)
        })
        .collect();
    let per_session = (resident_kib(server.pid()) - before) * 1024 / 1000;
    println!("{before} KiB before, {per_session} bytes per session with its connection");
    assert!(per_session < 64 << 10, "{per_session} bytes per session");
    for (raw, path, session) in open.iter_mut().take(20) {
        assert_eq!(raw.fragment(path, session, 5, 12, b", bits\n").received(), Some(12));
        assert_eq!(raw.close(path, session).status, 200);
    }
}
