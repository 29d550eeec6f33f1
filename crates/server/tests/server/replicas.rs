//! Several servers over one bucket (feature `object-storage`), in a real Ceph.

use crate::raw::Raw;
use openbits_testkit::ceph::Ceph;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ceph with the bucket `drop`.
fn ceph() -> Option<Ceph> {
    let Some(ceph) = Ceph::start() else {
        eprintln!(
            "SKIPPED: Ceph (radosgw, ceph-mon, ceph-osd) is not installed; object storage was not tested"
        );
        return None;
    };
    ceph.make_bucket("drop");
    Some(ceph)
}

/// A replica; killed when dropped.
fn replica(ceph: &Ceph) -> (Process, SocketAddr) {
    replica_with(ceph, &[])
}

fn replica_with(ceph: &Ceph, arguments: &[&str]) -> (Process, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bits-server"));
    command.args(["--storage", "s3://drop/uploads", "--listen", "127.0.0.1:0"]).args(arguments);
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", Ceph::KEY),
        ("AWS_SECRET_ACCESS_KEY", Ceph::SECRET),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT", &ceph.url()),
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
    let Some(ceph) = ceph() else { return };
    let file: Vec<u8> = (0..18_000_000u32).map(|i| (i ^ (i >> 7) ^ (i >> 15)) as u8).collect();
    let path = "/in/big.bin";
    let (first, address) = replica(&ceph);
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
    let replicas = [replica(&ceph), replica(&ceph)];
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
fn small_empty_cancelled_and_contested_uploads_in_a_bucket() {
    let Some(ceph) = ceph() else { return };
    let (_server, address) = replica(&ceph);
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
    contested(&ceph, address);
    replaced(&ceph);
    for (what, list) in
        [("sessions", "drop?prefix=uploads%2Fsessions%2F"), ("multipart uploads", "drop?uploads=")]
    {
        let (status, body) = ceph.ask("GET", list);
        let body = String::from_utf8(body).unwrap();
        assert!(status == 200 && !body.contains("<Key>"), "{what} are left behind: {status} {body}");
    }
}

/// Two servers get the same fragment at the same moment, many times: one advances the session, or the other, never both differently.
fn contested(ceph: &Ceph, first: SocketAddr) {
    let (_other, second) = replica(ceph);
    let path = "/in/contested";
    let file: Vec<u8> = (0..6_000_000_u32).map(|i| (i ^ (i >> 9)) as u8).collect();
    let mut raw = Raw::open(first);
    let session = raw.create(path);
    let (mut next, mut lost) = (0, 0);
    while next < file.len() {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let ends = [(first, next + 200_000), (second, next + 150_000)];
            let askers = ends.map(|(server, end)| {
                let (file, session, end) = (&file, &session, end.min(file.len()));
                scope.spawn(move || {
                    Raw::open(server).fragment(path, session, next, file.len(), &file[next..end])
                })
            });
            askers.map(|asker| asker.join().unwrap()).into()
        });
        for answer in &answers {
            assert!(matches!(answer.status, 200 | 503), "{}", answer.head);
            lost += usize::from(answer.status == 503);
        }
        let told = answers.iter().filter_map(crate::raw::Answer::received).max();
        next = told.map_or(next, |told| usize::try_from(told).unwrap());
    }
    println!("{lost} of the contested fragments were refused to the slower server");
    assert!(lost > 0, "they never met");
    assert_eq!(Raw::open(second).close(path, &session).status, 200);
    assert!(raw.ask("GET", path, &[], b"").body == file);
}

/// A file of the same size is there already: that is no proof that this upload has arrived.
fn replaced(ceph: &Ceph) {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("server.toml");
    std::fs::write(&settings, crate::process::config("overwrite = true")).unwrap();
    let (_server, address) = replica_with(ceph, &["--config", settings.to_str().unwrap()]);
    let mut raw = Raw::open(address);
    for size in [5, 6_000_000] {
        let path = format!("/in/replaced-{size}");
        for byte in [1, 2] {
            let file = vec![byte; size];
            raw.upload(&path, &file);
            assert!(raw.ask("GET", &path, &[], b"").body == file, "{size} bytes, version {byte}");
        }
    }
}
