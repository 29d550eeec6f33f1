//! Several servers over one bucket (feature `object-storage`), against moto, an S3-compatible server from PyPI.

use crate::raw::Raw;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// moto in a virtual environment, made once per build folder.
fn moto() -> Option<(Process, u16)> {
    let venv = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let lock = std::fs::File::create(venv.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let python = venv.join("bin/python");
    let works = || {
        Command::new(&python)
            .args(["-c", "import moto.server, flask"])
            .output()
            .is_ok_and(|o| o.status.success())
    };
    if !works() {
        let _ = Command::new("python3").args(["-m", "venv"]).arg(&venv).output();
        let install =
            Command::new(&python).args(["-m", "pip", "install", "-q", "moto[server]==5.2.5"]).output();
        if !works() {
            eprintln!("SKIPPED: moto cannot be installed; object storage was not tested: {install:?}");
            return None;
        }
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(&python);
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
    let child = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "moto does not listen");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut raw = Raw::open(SocketAddr::from(([127, 0, 0, 1], port)));
    raw.send(b"PUT /drop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n").unwrap();
    let bucket = raw.answer().unwrap();
    assert_eq!(bucket.status, 200, "{}", bucket.head);
    Some((child, port))
}

/// A replica; killed when dropped.
fn replica(moto_port: u16) -> (Process, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bits-server"));
    command.args(["--storage", "s3://drop/uploads", "--listen", "127.0.0.1:0"]);
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT", &format!("http://127.0.0.1:{moto_port}")),
        ("AWS_ALLOW_HTTP", "true"),
        ("BITS_SERVER_LOG", "warn"),
    ] {
        command.env(name, value);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("said {line:?}"));
    let address = address.parse().unwrap();
    (Process(child), address)
}

#[test]
fn two_replicas_finish_an_upload_that_a_third_began() {
    let Some((_moto, port)) = moto() else { return };
    let file: Vec<u8> = (0..18_000_000u32).map(|i| (i ^ (i >> 7) ^ (i >> 15)) as u8).collect();
    let path = "/in/big.bin";
    let (first, address) = replica(port);
    let mut raw = Raw::open(address);
    let session = raw.create(path);
    assert_eq!(raw.fragment(path, &session, 0, file.len(), &file[..3_000_000]).received(), Some(3_000_000));
    assert_eq!(
        raw.fragment(path, &session, 3_000_000, file.len(), &file[3_000_000..9_000_000]).received(),
        Some(9_000_000)
    );
    // It dies in the middle of a fragment.
    let head = format!(
        "BITS_POST {path} HTTP/1.1\r\nHost: h\r\nBITS-Packet-Type: Fragment\r\nBITS-Session-Id: {session}\r\n\
         Content-Range: bytes 9000000-11999999/18000000\r\nContent-Length: 3000000\r\n\r\n"
    );
    raw.send(head.as_bytes()).unwrap();
    raw.send(&file[9_000_000..10_000_000]).unwrap();
    drop(first);
    let replicas = [replica(port), replica(port)];
    let mut connections = [Raw::open(replicas[0].1), Raw::open(replicas[1].1)];
    // What a server says is next is where the client goes on, whichever server it is.
    let mut next = usize::try_from(
        connections[0]
            .fragment(path, &session, 9_500_000, file.len(), &file[9_500_000..9_600_000])
            .received()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(next, 9_000_000);
    let mut turn = 0;
    while next < file.len() {
        let end = (next + 2_345_678).min(file.len());
        let answer = connections[turn % 2].fragment(path, &session, next, file.len(), &file[next..end]);
        assert_eq!(answer.status, 200, "{}", answer.head);
        next = usize::try_from(answer.received().unwrap()).unwrap();
        turn += 1;
    }
    assert_eq!(connections[1].ask("GET", path, &[], b"").status, 404, "not visible before Close");
    assert_eq!(connections[1].close(path, &session).status, 200);
    assert_eq!(connections[0].close(path, &session).status, 200, "the tombstone is shared");
    for raw in &mut connections {
        assert!(raw.ask("GET", path, &[], b"").body == file);
        let part = raw.ask("GET", path, &[("Range", "bytes=5242870-5242890")], b"");
        assert_eq!(
            (part.status, part.body.as_slice()),
            (206, &file[5_242_870..=5_242_890]),
            "a seam of parts"
        );
    }
    let again =
        connections[0].packet("Create-Session", path, &[("BITS-Supported-Protocols", crate::raw::GUID)], b"");
    assert_eq!(again.error(), (403, Some("0x80070005"), Some("0x5")), "nothing is replaced");
}

#[test]
fn small_empty_and_cancelled_uploads_in_a_bucket() {
    let Some((_moto, port)) = moto() else { return };
    let (_server, address) = replica(port);
    let mut raw = Raw::open(address);
    raw.upload("/in/small", b"hello");
    assert_eq!(raw.ask("GET", "/in/small", &[], b"").body, b"hello");
    let session = raw.create("/in/empty");
    let range = [("BITS-Session-Id", session.as_str()), ("Content-Range", "bytes */0")];
    assert_eq!(raw.packet("Fragment", "/in/empty", &range, b"").status, 200);
    assert_eq!(raw.close("/in/empty", &session).status, 200);
    assert_eq!(raw.ask("HEAD", "/in/empty", &[], b"").status, 200);
    let session = raw.create("/in/gone");
    raw.fragment("/in/gone", &session, 0, 12, b"hello");
    assert_eq!(raw.cancel("/in/gone", &session).status, 200);
    assert_eq!(raw.fragment("/in/gone", &session, 5, 12, b"x").error().1, Some("0x8020001F"));
    let tus = raw.ask(
        "POST",
        "/in/",
        &[
            ("Tus-Resumable", "1.0.0"),
            ("Upload-Length", "5"),
            ("Content-Type", "application/offset+octet-stream"),
            ("Upload-Metadata", "filename dHVz"),
        ],
        b"hello",
    );
    assert_eq!(tus.status, 201, "{}", tus.head);
    assert_eq!(raw.ask("GET", "/in/tus", &[], b"").body, b"hello");
}
