//! Attacks: ways out of the root, floods, slow clients, limits.

use crate::process::{Server, config};
use crate::raw::{GUID, Raw};
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

const CREATE: [(&str, &str); 1] = [("BITS-Supported-Protocols", GUID)];

#[test]
fn no_path_leads_out_of_the_root() {
    let server = Server::plain();
    fs::write(server.folder.path().join("secret"), "secret").unwrap();
    let mut raw = Raw::open(server.address);
    for path in [
        "/../secret",
        "/in/../../secret",
        "/%2e%2e/secret",
        "/in/%2e%2e/%2e%2e/secret",
        "/in/..%2f..%2fsecret",
        "/in/..%5c..%5csecret",
        "/in/%00",
        "/..",
        "//../secret",
        "/in/f%2f..%2f..%2fsecret",
    ] {
        let answer = raw.ask("GET", path, &[], b"");
        assert!(matches!(answer.status, 400 | 404), "GET {path}: {}", answer.status);
        assert_ne!(answer.body, b"secret");
        let answer = raw.packet("Create-Session", path, &CREATE, b"");
        assert_eq!(answer.error(), (400, Some("0x80070057"), Some("0x5")), "{path}");
        let tus = [("Tus-Resumable", "1.0.0"), ("Upload-Length", "1")];
        assert_eq!(raw.ask("POST", path, &tus, b"").status, 400, "{path}");
    }
}

#[test]
fn the_servers_own_names_cannot_be_read_or_written() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    let session = raw.create("/in/f");
    raw.fragment("/in/f", &session, 0, 12, b"hello");
    let guid = session.trim_matches(['{', '}']).to_lowercase();
    for path in [
        "/.bits-sessions/lock".to_owned(),
        format!("/.bits-sessions/live/{guid}/data"),
        format!("/%2ebits-sessions/live/{guid}/session"),
        "/in/.bits-replies/../../.bits-sessions/lock".to_owned(),
        "/in/.bits-replies/lock".to_owned(),
        "/in/.bits-replies/none".to_owned(),
    ] {
        assert!(matches!(raw.ask("GET", &path, &[], b"").status, 400 | 404), "{path}");
        assert!(matches!(raw.packet("Create-Session", &path, &CREATE, b"").status, 400 | 403), "{path}");
    }
}

#[test]
fn symbolic_links_are_not_followed() {
    let server = Server::plain();
    let outside = server.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let root = server.root();
    symlink(&outside, root.join("in/link")).unwrap();
    symlink(outside.join("secret"), root.join("in/file")).unwrap();
    symlink("/etc/passwd", root.join("in/passwd")).unwrap();
    symlink(outside.join("new"), root.join("in/dangling")).unwrap();
    let mut raw = Raw::open(server.address);
    for path in ["/in/link/secret", "/in/file", "/in/passwd", "/in/dangling"] {
        assert_eq!(raw.ask("GET", path, &[], b"").status, 404, "{path}");
    }
    assert_eq!(raw.packet("Create-Session", "/in/link/new", &CREATE, b"").status, 404);
    for path in ["/in/file", "/in/dangling"] {
        assert_eq!(
            raw.packet("Create-Session", path, &CREATE, b"").status,
            403,
            "a link is a file that exists"
        );
    }
    let parent = "/in/sub/f";
    fs::create_dir(root.join("in/sub")).unwrap();
    let session = raw.create(parent);
    raw.fragment(parent, &session, 0, 5, b"hello");
    fs::remove_dir(root.join("in/sub")).unwrap();
    symlink(&outside, root.join("in/sub")).unwrap();
    assert_eq!(raw.close(parent, &session).status, 404, "swapped for a link between Create and Close");
    assert!(!outside.join("f").exists());
    assert!(!outside.join("new").exists());
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
}

#[test]
fn overwriting_replaces_a_link_itself_and_not_its_target() {
    let server = Server::with(&config("overwrite = true"));
    let target = server.folder.path().join("target");
    fs::write(&target, "kept").unwrap();
    symlink(&target, server.root().join("in/f")).unwrap();
    Raw::open(server.address).upload("/in/f", b"new");
    assert_eq!(fs::read(&target).unwrap(), b"kept");
    assert!(fs::symlink_metadata(server.root().join("in/f")).unwrap().is_file());
}

#[test]
fn pipes_and_devices_are_not_served() {
    let server = Server::plain();
    let pipe = server.root().join("in/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(Raw::open(server.address).ask("GET", "/in/pipe", &[], b"").status, 404);
}

#[test]
fn a_flood_of_sessions_meets_the_limit_per_user() {
    let server = Server::with(&config("sessions_per_user = 5"));
    let mut raw = Raw::open(server.address);
    let sessions: Vec<String> = (0..5).map(|i| raw.create(&format!("/in/f{i}"))).collect();
    let refused = raw.packet("Create-Session", "/in/f5", &CREATE, b"");
    assert_eq!((refused.error(), refused.header("Retry-After")), ((503, None, None), Some("60")));
    let tus = [("Tus-Resumable", "1.0.0"), ("Upload-Length", "1")];
    assert_eq!(raw.ask("POST", "/in/", &tus, b"").status, 503, "both doors count together");
    assert_eq!(raw.cancel("/in/f0", &sessions[0]).status, 200);
    raw.create("/in/f5");
    assert_eq!(server.state("live").len(), 5);
}

#[test]
fn a_flood_of_sessions_meets_the_limit_of_the_server_also_after_a_restart() {
    let mut server = Server::with(&format!("[limits]\nsessions = 4\n{}", config("sessions_per_user = 0")));
    let mut raw = Raw::open(server.address);
    for i in 0..4 {
        raw.create(&format!("/in/f{i}"));
    }
    assert_eq!(raw.packet("Create-Session", "/in/f4", &CREATE, b"").status, 503);
    server.kill_and_restart();
    let mut raw = Raw::open(server.address);
    assert_eq!(raw.packet("Create-Session", "/in/f4", &CREATE, b"").status, 503);
}

#[test]
fn unfinished_uploads_of_one_caller_are_bounded_in_bytes() {
    let server = Server::with(&config("pending_bytes_per_user = 100"));
    let mut raw = Raw::open(server.address);
    let (one, two) = (raw.create("/in/1"), raw.create("/in/2"));
    assert_eq!(raw.fragment("/in/1", &one, 0, 60, b"x").status, 200);
    assert_eq!(raw.fragment("/in/2", &two, 0, 41, b"x").error(), (500, Some("0x80070070"), Some("0x5")));
    assert_eq!(raw.fragment("/in/2", &two, 0, 40, b"x").status, 200);
    raw.cancel("/in/1", &one);
    let three = raw.create("/in/3");
    assert_eq!(raw.fragment("/in/3", &three, 0, 60, b"x").status, 200);
}

/// Seconds until the server closes the connection.
fn closed_after(raw: &mut Raw) -> f64 {
    let began = Instant::now();
    let mut buffer = Vec::new();
    let _ = raw.stream.read_to_end(&mut buffer);
    began.elapsed().as_secs_f64()
}

#[test]
fn slow_headers_are_cut_off() {
    let server = Server::with(&format!("[limits]\nheader_timeout_s = 1\n{}", config("")));
    for begin in ["", "P", "GET /in/f HTTP/1.1\r\nHost: h\r\n"] {
        let mut raw = Raw::open(server.address);
        raw.send(begin.as_bytes()).unwrap();
        let seconds = closed_after(&mut raw);
        assert!((0.5..8.0).contains(&seconds), "{begin:?}: {seconds}");
    }
}

#[test]
fn slow_bodies_are_cut_off_and_what_came_is_kept() {
    let server = Server::with(&format!("[limits]\nidle_timeout_s = 1\n{}", config("")));
    let mut raw = Raw::open(server.address);
    let session = raw.create("/in/f");
    let head = format!(
        "BITS_POST /in/f HTTP/1.1\r\nHost: h\r\nBITS-Packet-Type: Fragment\r\nBITS-Session-Id: {session}\r\n\
         Content-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\nhello"
    );
    raw.send(head.as_bytes()).unwrap();
    let began = Instant::now();
    assert_eq!(raw.answer().unwrap().status, 408);
    assert!(began.elapsed() < Duration::from_secs(30));
    let mut raw = Raw::open(server.address);
    assert_eq!(raw.fragment("/in/f", &session, 9, 10, b"!").received(), Some(5));
}

#[test]
fn a_trickle_is_cut_off_too() {
    let server =
        Server::with(&format!("[limits]\nidle_timeout_s = 1\nmin_bytes_per_s = 1000\n{}", config("")));
    let mut raw = Raw::open(server.address);
    let session = raw.create("/in/f");
    let head = format!(
        "BITS_POST /in/f HTTP/1.1\r\nHost: h\r\nBITS-Packet-Type: Fragment\r\nBITS-Session-Id: {session}\r\n\
         Content-Range: bytes 0-999/1000\r\nContent-Length: 1000\r\n\r\n"
    );
    raw.send(head.as_bytes()).unwrap();
    let began = Instant::now();
    // A minute of it.
    for _ in 0..300 {
        std::thread::sleep(Duration::from_millis(200));
        if raw.send(b"x").is_err() {
            break;
        }
    }
    assert!(raw.answer().map_or(true, |answer| answer.status == 408));
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_client_that_stops_reading_is_cut_off() {
    let server = Server::with(&format!("[limits]\nidle_timeout_s = 1\nconnections = 1\n{}", config("")));
    fs::write(server.root().join("in/big"), vec![7; 64 << 20]).unwrap();
    let mut deaf = Raw::open(server.address);
    deaf.send(b"GET /in/big HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        // Its place is free again once it has been cut off.
        let mut raw = Raw::open(server.address);
        match raw.try_ask("HEAD", "/in/big", &[], b"") {
            Ok(answer) if answer.status == 200 => break,
            _ => assert!(Instant::now() < deadline, "still connected"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn connections_from_one_address_are_bounded() {
    let server = Server::with(&format!("[limits]\nconnections_per_address = 3\n{}", config("")));
    let mut open: Vec<Raw> = (0..3).map(|_| Raw::open(server.address)).collect();
    for raw in &mut open {
        assert_eq!(raw.packet("Ping", "/in/f", &[], b"").status, 200);
    }
    let mut fourth = Raw::open(server.address);
    assert!(fourth.try_ask("GET", "/in/f", &[], b"").is_err());
    drop(open);
    // Their places are free once the server has noticed.
    let deadline = Instant::now() + Duration::from_secs(60);
    let answer = loop {
        match Raw::open(server.address).try_ask("GET", "/in/f", &[], b"") {
            Ok(answer) => break answer,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(answer.status, 404);
}

#[test]
fn huge_headers_and_junk_do_no_harm() {
    let server = Server::plain();
    for junk in [
        format!("GET /in/f HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(1 << 17)),
        format!("GET /in/f HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5000)),
        "\0\u{1}\u{2}".repeat(1000),
        "BITS_POST /in/f HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello".to_owned(),
        "BITS_POST /in/f HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
    ] {
        let mut raw = Raw::open(server.address);
        let _ = raw.send(junk.as_bytes());
        if let Ok(answer) = raw.answer() {
            assert!((400..500).contains(&answer.status), "{}", answer.status);
        }
    }
    Raw::open(server.address).upload("/in/f", b"still alive");
}

#[test]
fn only_one_process_serves_a_folder() {
    let server = Server::plain();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_bits-server"))
        .arg("--root")
        .arg(server.root())
        .args(["--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process"));
}
