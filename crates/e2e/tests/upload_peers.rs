//! `bits put` to servers that others wrote: the reference tus server; and by the IETF draft, for which no package registry has a server
//! of the version that we speak, to a small one of our own.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{Job, NewJob, User, assert_is, kill, program, skip, write_content};
use openbits_testkit::process::{Process, Spec};
use openbits_testkit::{Content, Cutter, npm, own_port, wait_until};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

fn begin(user: &User, protocol: &str, url: &str) -> Job {
    let job = NewJob::new("f").kind("UPLOAD").file(url, &user.path("f")).set("upload_protocol", protocol);
    job.set("minimum_retry_delay_s", 5).started().create(&user.wake())
}

/// Waits until so much has arrived; a wait for the retry delay is not what is tested.
fn far(job: &Job, bytes: u64) {
    let there = || {
        if job.view().is_some_and(|view| view.next_retry_time_ms.is_some()) {
            let _ = job.try_act("resume");
        }
        job.view().is_some_and(|view| view.bytes_transferred >= bytes)
    };
    assert!(wait_until(LONG, there), "no {bytes} bytes: {:#?}", job.view());
}

const TUS_SERVER: &str = "
import { Server } from '@tus/server'
import { FileStore } from '@tus/file-store'
const [folder, port] = process.argv.slice(2)
const server = new Server({ path: '/files', datastore: new FileStore({ directory: folder }) })
server.listen({ host: '127.0.0.1', port: Number(port) })
";

/// The tus server of the protocol's authors (npm), at this port.
fn tus_server(folder: &Path, port: u16) -> Option<Process> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let modules = npm::packages(cache, "tus-server", &["@tus/server@2.4.5", "@tus/file-store@2.1.1"])?;
    // Every test process writes the same.
    let script = modules.join(format!("server-{}.mjs", std::process::id()));
    std::fs::write(&script, TUS_SERVER).unwrap();
    let spec = Spec::new("node", folder.join("../log")).arg(&script).arg(folder).arg(port.to_string());
    let process = spec.start().unwrap();
    let listens = wait_until(LONG, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(listens, "{}", process.log());
    std::fs::remove_file(script).unwrap();
    Some(process)
}

#[test]
fn tus_to_the_reference_server_with_kills_of_either_side_and_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let port = own_port();
    let Some(mut server) = tus_server(&files, port) else {
        return skip("tus to the reference server", "npm cannot install @tus/server");
    };
    let content = Content::new(21, 40 * MIB + 3);
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    write_content(&user.path("f"), &content);
    let stored = |count: usize| {
        let names: Vec<_> = std::fs::read_dir(&files).unwrap().map(|e| e.unwrap().path()).collect();
        let mut found: Vec<_> = names.into_iter().filter(|path| path.extension().is_none()).collect();
        found.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
        assert_eq!(found.len(), count, "{found:?}");
        assert_is(found.last().unwrap(), &content);
    };
    // Asked by OPTIONS what it speaks.
    let _ = user.must(&["put", "f", &format!("http://127.0.0.1:{port}/files")]);
    stored(1);
    let slow = Cutter::start(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    slow.throttle_up(Some(12 * MIB));
    let job = begin(&user, "tus", &slow.url("files"));
    far(&job, 5 * MIB);
    kill(user.service_pid());
    let _ = user.must(&["list"]);
    far(&job, 12 * MIB);
    server.kill().unwrap();
    drop(server);
    let _server = tus_server(&files, port);
    far(&job, 20 * MIB);
    slow.cut_now();
    far(&job, 28 * MIB);
    slow.throttle_up(None);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", job.view());
    job.must("complete");
    stored(2);
    let twice = slow.bytes_up().saturating_sub(content.size());
    eprintln!("sent twice: {:.2} MiB for each of 3 cuts", twice as f64 / MIB as f64 / 3.0);
    assert!(twice <= 3 * 16 * MIB, "{twice}");
}

/// What a server of the draft has of its one upload.
#[derive(Debug, Default)]
struct Upload {
    bytes: Vec<u8>,
    complete: bool,
    created: u32,
    /// `METHOD offset complete` of each request.
    seen: Vec<String>,
    /// Answers one PATCH too many with 409, as after a lost answer.
    mismatch: bool,
    /// How many requests have come. What is still on its way in the body of an earlier one is dropped, as the draft asks of a server:
    /// else it would land behind an offset that has been told, or in the middle of the bytes of the next request.
    turn: u64,
}

/// Serves one upload by draft-ietf-httpbis-resumable-upload (interop version 8): creation without content, 104, HEAD, PATCH.
fn draft(mut stream: TcpStream, upload: &Mutex<Upload>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            let field = |line: &String| {
                let (found, value) = line.split_once(": ")?;
                found.eq_ignore_ascii_case(name).then(|| value.to_owned())
            };
            head.iter().find_map(field)
        };
        let method = head[0].split(' ').next().unwrap_or_default().to_owned();
        let number = |name: &str| header(name).and_then(|value| value.parse::<u64>().ok());
        let (offset, complete) = (number("upload-offset"), header("upload-complete"));
        let length = number("content-length").unwrap_or(0);
        assert_eq!(header("upload-draft-interop-version").as_deref(), Some("8"), "{head:?}");
        let (turn, refused) = {
            let mut upload = upload.lock().unwrap();
            upload.turn += 1;
            let shown = offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
            upload.seen.push(format!("{method} {shown} {}", complete.as_deref().unwrap_or("-")));
            let refused = match method.as_str() {
                "POST" | "PUT" => {
                    (upload.created, upload.complete) = (upload.created + 1, false);
                    upload.bytes.clear();
                    false
                }
                "PATCH" => {
                    assert_eq!(header("content-type").as_deref(), Some("application/partial-upload"));
                    offset != Some(upload.bytes.len() as u64) || std::mem::take(&mut upload.mismatch)
                }
                _ => false,
            };
            (upload.turn, refused)
        };
        if refused {
            let at = upload.lock().unwrap().bytes.len();
            write!(
                stream,
                "HTTP/1.1 409 Conflict\r\nUpload-Offset: {at}\r\nUpload-Complete: ?0\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )?;
            // What still comes is read, or the answer may get lost in a reset.
            std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
            return Ok(());
        }
        if method == "PATCH" {
            write!(
                stream,
                "HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Draft-Interop-Version: 8\r\n\r\n"
            )?;
        }
        let mut left = length;
        let mut buffer = vec![0; 65536];
        while left > 0 {
            let most = usize::try_from(left).unwrap().min(buffer.len());
            let got = reader.read(&mut buffer[..most])?;
            if got == 0 {
                return Ok(());
            }
            let mut upload = upload.lock().unwrap();
            if upload.turn != turn {
                return Ok(());
            }
            upload.bytes.extend_from_slice(&buffer[..got]);
            left -= got as u64;
        }
        let mut upload = upload.lock().unwrap();
        let at = upload.bytes.len();
        let answer = match method.as_str() {
            "OPTIONS" => "204 No Content\r\nUpload-Limit: min-size=0".to_owned(),
            "HEAD" => {
                let complete = if upload.complete { "?1" } else { "?0" };
                format!(
                    "204 No Content\r\nUpload-Offset: {at}\r\nUpload-Complete: {complete}\r\nCache-Control: no-store"
                )
            }
            "PATCH" if complete.as_deref() == Some("?1") => {
                upload.complete = true;
                format!("200 OK\r\nUpload-Complete: ?1\r\nUpload-Offset: {at}\r\nContent-Length: 0")
            }
            "PATCH" => format!("204 No Content\r\nUpload-Complete: ?0\r\nUpload-Offset: {at}"),
            "DELETE" => "204 No Content".to_owned(),
            _ if complete.as_deref() == Some("?1") => {
                upload.complete = true;
                "200 OK\r\nUpload-Complete: ?1\r\nContent-Length: 0".to_owned()
            }
            _ => "201 Created\r\nLocation: /uploads/7\r\nUpload-Complete: ?0\r\nUpload-Limit: min-size=0\r\nContent-Length: 0"
                .to_owned(),
        };
        drop(upload);
        write!(stream, "HTTP/1.1 {answer}\r\n\r\n")?;
    }
}

#[test]
fn ietf_draft_with_a_kill_a_cut_and_a_mismatch() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let upload = Arc::new(Mutex::new(Upload::default()));
    let shared = Arc::clone(&upload);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let upload = Arc::clone(&shared);
            std::thread::spawn(move || draft(stream, &upload));
        }
    });
    let content = Content::new(22, 30 * MIB + 11);
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    write_content(&user.path("f"), &content);
    let slow = Cutter::start(address).unwrap();
    slow.throttle_up(Some(12 * MIB));
    let job = begin(&user, "ietf", &slow.url("in/f"));
    far(&job, 5 * MIB);
    kill(user.service_pid());
    let _ = user.must(&["list"]);
    far(&job, 12 * MIB);
    upload.lock().unwrap().mismatch = true;
    slow.cut_now();
    far(&job, 20 * MIB);
    slow.throttle_up(None);
    assert_eq!(
        job.wait(&[Transferred, Error], LONG),
        Transferred,
        "{:#?}\n{:#?}",
        job.view(),
        upload.lock().unwrap().seen
    );
    job.must("complete");
    let upload = upload.lock().unwrap();
    assert!(upload.complete);
    assert_eq!(upload.created, 1, "{:#?}", upload.seen);
    assert_eq!(upload.bytes.len() as u64, content.size());
    assert_eq!(content.first_difference(0, &upload.bytes), None);
    assert!(upload.seen.iter().any(|line| line.starts_with("HEAD")), "{:#?}", upload.seen);
}
