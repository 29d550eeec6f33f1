//! kill -9 of the server at random points of an upload; resumed by the server's offset.

use crate::process::Server;
use crate::raw::{GUID, Raw};
use std::time::Duration;

/// A small generator: the test names its seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// What a client knows; only what it has seen acknowledged.
struct Client {
    session: Option<String>,
    offset: usize,
    close_sent: bool,
    sent: u64,
    lost: u64,
}

enum Step {
    Done,
    Again,
}

impl Client {
    /// One packet. An error means that the connection died.
    fn step(&mut self, raw: &mut Raw, path: &str, file: &[u8], size: usize) -> std::io::Result<Step> {
        let Some(session) = self.session.clone() else {
            let headers = [("BITS-Packet-Type", "Create-Session"), ("BITS-Supported-Protocols", GUID)];
            let answer = raw.try_ask("BITS_POST", path, &headers, b"")?;
            assert_eq!(answer.status, 200, "{}", answer.head);
            self.session = Some(answer.header("BITS-Session-Id").unwrap().to_owned());
            self.offset = 0;
            return Ok(Step::Again);
        };
        if self.offset == file.len() {
            self.close_sent = true;
            let headers = [("BITS-Packet-Type", "Close-Session"), ("BITS-Session-Id", session.as_str())];
            let answer = raw.try_ask("BITS_POST", path, &headers, b"")?;
            assert_eq!(answer.status, 200, "{}", answer.head);
            return Ok(Step::Done);
        }
        let end = (self.offset + size).min(file.len());
        let range = format!("bytes {}-{}/{}", self.offset, end - 1, file.len());
        let headers = [
            ("BITS-Packet-Type", "Fragment"),
            ("BITS-Session-Id", session.as_str()),
            ("Content-Range", &range),
        ];
        self.sent += (end - self.offset) as u64;
        let answer = raw.try_ask("BITS_POST", path, &headers, &file[self.offset..end])?;
        assert!(matches!(answer.status, 200 | 416), "{}", answer.head);
        let next = usize::try_from(answer.received().unwrap()).unwrap();
        if next < self.offset {
            self.lost += (self.offset - next) as u64;
        }
        self.offset = next;
        Ok(Step::Again)
    }
}

/// `OPENBITS_KILLS` and `OPENBITS_UPLOAD_MIB` make it the long suite.
#[test]
fn uploads_survive_sigkills_of_the_server_at_random_points() {
    let (kills, mib) = (number("OPENBITS_KILLS", 25), number("OPENBITS_UPLOAD_MIB", 48));
    let seed = number("OPENBITS_SEED", 0x9E37_79B9_7F4A_7C15);
    let mut random = Random(seed);
    let file: Vec<u8> = (0..mib << 20).map(|i| (i ^ (i >> 8) ^ (i >> 17)) as u8).collect();
    let mut server = Server::plain();
    let path = "/in/big.bin";
    let mut client = Client { session: None, offset: 0, close_sent: false, sent: 0, lost: 0 };
    let mut killed = 0;
    let mut done = false;
    let mut uploads = 0;
    while !done || killed < kills {
        if done {
            // The upload was faster than the kills: once more.
            assert_eq!(server.stored("in/big.bin").unwrap(), file);
            std::fs::remove_file(server.root().join("in/big.bin")).unwrap();
            (client.session, client.offset, client.close_sent) = (None, 0, false);
            done = false;
            uploads += 1;
        }
        let pid = server.pid().to_string();
        let fuse = (killed < kills).then(|| {
            killed += 1;
            let wait = Duration::from_micros(random.below(150_000));
            std::thread::spawn(move || {
                std::thread::sleep(wait);
                std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
            })
        });
        let size = usize::try_from(5 * 1024 + random.below(13 << 20)).unwrap();
        let mut raw = Raw::open(server.address);
        while let Ok(step) = client.step(&mut raw, path, &file, size) {
            if matches!(step, Step::Done) {
                done = true;
                break;
            }
        }
        if let Some(fuse) = fuse {
            fuse.join().unwrap();
            server.kill_and_restart();
        }
    }
    assert_eq!(server.stored("in/big.bin").unwrap(), file, "seed {seed:#x}");
    assert_eq!(client.lost, 0, "an acknowledged byte was lost; seed {seed:#x}");
    let orphans = server.state("live").len();
    println!(
        "{killed} kills, {} uploads of {mib} MiB, {} MiB sent, {orphans} orphan sessions",
        uploads + 1,
        client.sent >> 20
    );
}

#[test]
fn a_close_interrupted_anywhere_delivers_once() {
    let mut random = Random(42);
    let mut server = Server::plain();
    for round in 0..number("OPENBITS_KILLS", 12) {
        let path = format!("/in/f{round}");
        let mut raw = Raw::open(server.address);
        let session = raw.create(&path);
        raw.fragment(&path, &session, 0, 5, b"hello");
        let close = format!(
            "BITS_POST {path} HTTP/1.1\r\nHost: h\r\nBITS-Packet-Type: Close-Session\r\nBITS-Session-Id: {session}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        raw.send(close.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        server.kill_and_restart();
        let answer = Raw::open(server.address).close(&path, &session);
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert_eq!(server.stored(&path[1..]).unwrap(), b"hello");
    }
    assert_eq!(server.state("live").len(), 0);
}
