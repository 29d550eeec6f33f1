//! tus 1.0: raw exchanges, and tuspy as an independent client.

use crate::process::{Server, config};
use crate::raw::{Answer, Raw};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;
use std::process::Command;

const T: (&str, &str) = ("Tus-Resumable", "1.0.0");
const TYPE: (&str, &str) = ("Content-Type", "application/offset+octet-stream");

fn named(name: &str) -> String {
    format!("filename {}", STANDARD.encode(name))
}

fn create(raw: &mut Raw, length: &str, name: &str, body: &[u8]) -> Answer {
    let meta = named(name);
    let mut headers = vec![T, ("Upload-Length", length), ("Upload-Metadata", &meta)];
    if !body.is_empty() {
        headers.push(TYPE);
    }
    raw.ask("POST", "/in/", &headers, body)
}

fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.head);
    answer.header("Location").unwrap().to_owned()
}

fn patch(raw: &mut Raw, url: &str, offset: &str, body: &[u8]) -> Answer {
    raw.ask("PATCH", url, &[T, TYPE, ("Upload-Offset", offset)], body)
}

fn offset(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("Upload-Offset"))
}

#[test]
fn discovery_and_versions() {
    let server = Server::with(&config("max_size_bytes = 1000"));
    let mut raw = Raw::open(server.address);
    let options = raw.ask("OPTIONS", "/in/", &[], b"");
    assert_eq!(
        (options.status, options.header("Tus-Version"), options.header("Tus-Max-Size")),
        (204, Some("1.0.0"), Some("1000"))
    );
    for extension in
        ["creation", "creation-with-upload", "termination", "expiration", "checksum", "concatenation"]
    {
        assert!(options.header("Tus-Extension").unwrap().split(',').any(|e| e == extension), "{extension}");
    }
    for version in [None, Some(("Tus-Resumable", "0.2.2"))] {
        let headers: Vec<_> = version.into_iter().chain([("Upload-Length", "5")]).collect();
        let refused = raw.ask("POST", "/in/", &headers, b"");
        assert_eq!((refused.status, refused.header("Tus-Version")), (412, Some("1.0.0")));
    }
    assert_eq!(server.state("live").len(), 0);
    assert_eq!(create(&mut raw, "1001", "f", b"").status, 413);
}

#[test]
fn create_query_send_in_pieces() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    let created = create(&mut raw, "12", "log.bin", b"");
    assert!(created.header("Upload-Expires").is_some());
    let url = location(&created);
    let head = raw.ask("HEAD", &url, &[T], b"");
    assert_eq!(offset(&head), (200, Some("0")));
    assert_eq!((head.header("Upload-Length"), head.header("Cache-Control")), (Some("12"), Some("no-store")));
    assert_eq!(head.header("Upload-Metadata"), Some(named("log.bin").as_str()));
    assert_eq!(offset(&patch(&mut raw, &url, "0", b"hello")), (204, Some("5")));
    assert_eq!(patch(&mut raw, &url, "0", b"hello").status, 409);
    assert_eq!(patch(&mut raw, &url, "6", b"hello").status, 409);
    assert_eq!(raw.ask("PATCH", &url, &[T, ("Upload-Offset", "5")], b"x").status, 415);
    assert_eq!(patch(&mut raw, &url, "5", b"much too long for it").status, 413);
    assert_eq!(offset(&raw.ask("HEAD", &url, &[T], b"")), (200, Some("5")));
    assert_eq!(server.stored("in/log.bin"), None);
    assert_eq!(offset(&patch(&mut raw, &url, "5", b", bits\n")), (204, Some("12")));
    assert_eq!(server.stored("in/log.bin").unwrap(), b"hello, bits\n");
    let head = raw.ask("HEAD", &url, &[T], b"");
    assert_eq!(
        (offset(&head), head.header("Upload-Length")),
        ((200, Some("12")), Some("12")),
        "still known when done"
    );
    assert_eq!(create(&mut raw, "12", "log.bin", b"").status, 403, "nothing is replaced");
}

#[test]
fn create_with_data_and_empty_uploads() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    assert_eq!(offset(&create(&mut raw, "5", "whole", b"hello")), (201, Some("5")));
    assert_eq!(server.stored("in/whole").unwrap(), b"hello");
    let half = create(&mut raw, "10", "half", b"hello");
    assert_eq!(offset(&half), (201, Some("5")));
    assert_eq!(patch(&mut raw, &location(&half), "5", b", you").status, 204);
    assert_eq!(server.stored("in/half").unwrap(), b"hello, you");
    location(&create(&mut raw, "0", "empty", b""));
    assert_eq!(server.stored("in/empty").unwrap(), b"");
    assert_eq!(raw.ask("POST", "/in/direct", &[T, TYPE, ("Upload-Length", "1")], b"x").status, 201);
    assert_eq!(server.stored("in/direct").unwrap(), b"x");
}

#[test]
fn the_length_may_come_later() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    let meta = named("later");
    let base = [T, ("Upload-Metadata", meta.as_str())];
    assert_eq!(raw.ask("POST", "/in/", &base, b"").status, 400);
    let both = [&base[..], &[("Upload-Length", "5"), ("Upload-Defer-Length", "1")]].concat();
    assert_eq!(raw.ask("POST", "/in/", &both, b"").status, 400);
    let created = raw.ask("POST", "/in/", &[&base[..], &[("Upload-Defer-Length", "1")]].concat(), b"");
    let url = location(&created);
    assert_eq!(raw.ask("HEAD", &url, &[T], b"").header("Upload-Defer-Length"), Some("1"));
    assert_eq!(patch(&mut raw, &url, "0", b"hel").status, 204);
    let last = [T, TYPE, ("Upload-Offset", "3"), ("Upload-Length", "5")];
    assert_eq!(raw.ask("PATCH", &url, &last, b"lo").status, 204);
    assert_eq!(server.stored("in/later").unwrap(), b"hello");
}

#[test]
fn checksums_decide_over_the_whole_body() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    let url = location(&create(&mut raw, "5", "f", b""));
    let mut send = |checksum: &str| {
        raw.ask("PATCH", &url, &[T, TYPE, ("Upload-Offset", "0"), ("Upload-Checksum", checksum)], b"hello")
            .status
    };
    assert_eq!(send("md5 AAAA"), 400);
    assert_eq!(send("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="), 460);
    assert_eq!(send("sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="), 204);
    assert_eq!(server.stored("in/f").unwrap(), b"hello");
}

#[test]
fn termination_and_strangers() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    let url = location(&create(&mut raw, "5", "f", b""));
    assert_eq!(raw.ask("DELETE", &url, &[T], b"").status, 204);
    assert_eq!(raw.ask("HEAD", &url, &[T], b"").status, 410);
    assert_eq!(patch(&mut raw, &url, "0", b"hello").status, 410);
    let bits = raw.create("/in/g").trim_matches(['{', '}']).to_lowercase();
    assert_eq!(
        raw.ask("HEAD", &format!("/in/.bits-uploads/{bits}"), &[T], b"").status,
        404,
        "a BITS session"
    );
    for bad in ["/in/.bits-uploads/x", "/in/.bits-uploads/00000000-0000-0000-0000-000000000000"] {
        assert_eq!(raw.ask("HEAD", bad, &[T], b"").status, 404);
        assert_eq!(raw.ask("DELETE", bad, &[T], b"").status, 404);
    }
    for name in ["../x", "a/b", "..", ".bits-x", "a\0b"] {
        assert!(matches!(create(&mut raw, "5", name, b"").status, 400 | 403), "{name:?}");
    }
}

#[test]
fn parts_are_put_together() {
    let server = Server::plain();
    let mut raw = Raw::open(server.address);
    let mut part = |body: &[u8], complete: bool| {
        let length = (body.len() + usize::from(!complete)).to_string();
        let headers = [T, TYPE, ("Upload-Length", &length), ("Upload-Concat", "partial")];
        location(&raw.ask("POST", "/in/", &headers, body))
    };
    let (one, two, open) = (part(b"hello", true), part(b", bits\n", true), part(b"x", false));
    let meta = named("both");
    let mut join = |list: &str| {
        let concat = format!("final;{list}");
        raw.ask("POST", "/in/", &[T, ("Upload-Concat", &concat), ("Upload-Metadata", &meta)], b"")
    };
    assert_eq!(join(&format!("{one} {open}")).status, 409);
    let joined = join(&format!("{one} http://drop.example.net{two}"));
    let url = location(&joined);
    assert_eq!(server.stored("in/both").unwrap(), b"hello, bits\n");
    assert_eq!(patch(&mut raw, &url, "12", b"more").status, 403);
    assert_eq!(std::fs::read_dir(server.root().join("in")).unwrap().count(), 1);
}

/// A Python with tuspy, made once per build folder; `None` (said loudly) where pip cannot.
fn tuspy() -> Option<PathBuf> {
    let venv = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tuspy");
    let python = venv.join("bin/python");
    let works = |python: &PathBuf| {
        Command::new(python).args(["-c", "import tusclient"]).output().is_ok_and(|o| o.status.success())
    };
    if !works(&python) {
        let make = Command::new("python3").args(["-m", "venv"]).arg(&venv).output();
        let install = Command::new(&python).args(["-m", "pip", "install", "-q", "tuspy==1.1.0"]).output();
        if !works(&python) {
            eprintln!(
                "SKIPPED: tuspy cannot be installed; no independent tus client was tested: {make:?} {install:?}"
            );
            return None;
        }
    }
    Some(python)
}

#[test]
fn tuspy_uploads_and_resumes_across_a_kill() {
    let Some(python) = tuspy() else { return };
    let mut server = Server::plain();
    let file = server.folder.path().join("source.bin");
    let bytes: Vec<u8> = (0..6_000_000u32).map(|i| (i ^ (i >> 9)) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let run = |script: &str, url: &str| {
        let output = Command::new(&python).args(["-c", script]).arg(url).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let begin = "
import sys
from tusclient import client
u = client.TusClient(sys.argv[1]).uploader(sys.argv[2], chunk_size=1000000, metadata={'filename': 'tuspy.bin'}, upload_checksum=True)
u.upload_chunk(); u.upload_chunk()
print(u.url)
";
    let url = run(begin, &server.url("/in/"));
    server.kill_and_restart();
    let resume = "
import sys
from tusclient import client
c = client.TusClient(sys.argv[1])
u = c.uploader(sys.argv[2], chunk_size=1000000, url=sys.argv[1])
assert u.offset == 2000000, u.offset
u.upload()
print(u.offset)
";
    assert_eq!(run(resume, &url), "6000000");
    assert!(server.stored("in/tuspy.bin").unwrap() == bytes);
}

const TUS_JS: &str = "
const tus = require('tus-js-client')
const fs = require('fs')
const [endpoint, file, name, parallel] = process.argv.slice(1)
const upload = new tus.Upload(fs.createReadStream(file), {
  endpoint,
  chunkSize: parallel ? Infinity : 1000000,
  parallelUploads: parallel ? 3 : 1,
  uploadSize: parallel ? undefined : fs.statSync(file).size,
  metadata: { filename: name },
  retryDelays: [0, 200, 500, 1000, 2000, 3000],
  onError(error) { console.error(String(error)); process.exit(1) },
  onChunkComplete(size, done, total) { console.log(done) },
  onSuccess() { console.log('done ' + upload.url) },
})
upload.start()
";

/// The client of the protocol's authors (npm): killed servers, concatenation of parallel parts.
#[test]
fn tus_js_client_uploads_across_a_kill_and_in_parallel_parts() {
    use std::io::{BufRead, BufReader};
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let Some(folder) = openbits_testkit::npm::packages(&cache, "tus-js", &["tus-js-client@4.3.1"]) else {
        return;
    };
    let mut server = Server::plain();
    let file = server.folder.path().join("source.bin");
    let bytes: Vec<u8> = (0..16_000_000_u32).map(|i| (i ^ (i >> 9)) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let run = |url: &str, name: &str, parallel: bool| {
        let mut command = Command::new("node");
        command.args(["-e", TUS_JS, "--"]).arg(url).arg(&file).arg(name).current_dir(&folder);
        if parallel {
            command.arg("parallel");
        }
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut child = run(&server.url("/in/"), "js.bin", false);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line == "4000000"), "it ends early");
    server.kill_and_restart();
    let last = lines.map_while(Result::ok).last().unwrap_or_default();
    assert!(child.wait().unwrap().success() && last.starts_with("done "), "{last}");
    assert!(server.stored("in/js.bin").unwrap() == bytes);

    let mut child = run(&server.url("/in/"), "parallel.bin", true);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = lines.map_while(Result::ok).last().unwrap_or_default();
    assert!(child.wait().unwrap().success() && last.starts_with("done "), "{last}");
    assert!(server.stored("in/parallel.bin").unwrap() == bytes);
    assert_eq!(std::fs::read_dir(server.root().join("in")).unwrap().count(), 2);
}
