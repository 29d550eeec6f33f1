//! Start, stop and endurance of the service: signals, socket activation, damaged and full disks, cursors, idleness, floods.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Acknowledged, Error, Suspended, Transferred, Transferring};
use openbits_e2e::{
    Door, Job, NewJob, Options, System, User, assert_is, is_root, kill, leftovers, names, program, skip,
};
use openbits_testkit::process::{Process, Signal, Spec, context_switches, cpu_time};
use openbits_testkit::{Content, Origin, own_port, wait_until};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
/// What takes a moment on a machine that does nothing else.
const AT_ONCE: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

#[test]
fn sigterm_ends_it_in_time_and_nothing_is_lost() {
    let user = User::new(bits());
    let mut process = user.start(&[]);
    let door = user.door();
    let origin = Origin::start();
    origin.put("f", Content::new(1, 24 * MIB));
    origin.hold("f", 11 * MIB);
    let job = NewJob::new("f").file(&origin.url("f"), &user.path("f")).started().create(&door);
    assert!(origin.wait_held("f", LONG));
    job.wait_bytes(11 * MIB, LONG);
    let _listener = door.events("?after=0");
    let begin = Instant::now();
    // It does not wait for the server, nor for its listener: that would have no end.
    let status = process.terminate(LONG).unwrap();
    let took = begin.elapsed();
    assert!(status.success(), "{status}\n{}", process.log());
    assert!(took < AT_ONCE, "it took {took:?}");
    assert!(!door.socket.exists(), "the socket file is left");
    let mut again = user.start(&[]);
    let view = job.view().unwrap();
    // What had come is synced before the end: nothing is fetched twice.
    assert_eq!(view.bytes_transferred, 11 * MIB, "{view:#?}");
    origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(origin.requests("f").last().unwrap().range(), Some(format!("bytes={}-", 11 * MIB).as_str()));
    job.must("complete");
    assert_is(&user.path("f"), &Content::new(1, 24 * MIB));
    assert!(again.terminate(LONG).unwrap().success());
}

#[test]
fn sigterm_of_the_systems_service_with_a_worker() {
    if !is_root() {
        return skip("SIGTERM in system mode", "this needs root");
    }
    let mut system = System::start(&bits(), &Options::default());
    let origin = Origin::start();
    origin.put("f", Content::new(1, 8 * MIB));
    origin.hold("f", 5 * MIB);
    let job =
        NewJob::new("f").file(&origin.url("f"), &system.folder().join("f")).started().create(&system.door());
    assert!(origin.wait_held("f", LONG));
    job.wait_bytes(5 * MIB, LONG);
    let worker = system.worker_of(0);
    let begin = Instant::now();
    assert!(system.stop(LONG), "{}", system.process.log());
    assert!(begin.elapsed() < AT_ONCE, "it took {:?}", begin.elapsed());
    assert!(wait_until(AT_ONCE, || openbits_e2e::gone(worker)), "the worker survives");
    origin.release("f");
    system.restart();
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(origin.requests("f").last().unwrap().range(), Some(format!("bytes={}-", 5 * MIB).as_str()));
    job.must("complete");
    assert_is(&system.folder().join("f"), &Content::new(1, 8 * MIB));
}

/// What systemd does: a listening socket as descriptor 3, and a socket to hear that the service is ready.
#[test]
fn socket_activation_and_readiness() {
    let user = User::new(bits());
    let folder = user.sandbox().path();
    let (path, notify) = (folder.join("given.sock"), folder.join("notify.sock"));
    let ready = UnixDatagram::bind(&notify).unwrap();
    ready.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    // The first request waits in the socket before the service even runs.
    let door = Door { socket: path, uid: None };
    let early = std::thread::spawn({
        let door = door.clone();
        move || door.ask("GET", "/v1/service", None)
    });
    // `sh` makes LISTEN_PID its own id, which stays the service's after exec.
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" service --user 3<&0 0</dev/null";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).arg(user.program()).env_clear().envs(user.sandbox().envs());
    command.env("NOTIFY_SOCKET", &notify).stdin(std::os::fd::OwnedFd::from(listener));
    let log = std::fs::File::create(folder.join("service.log")).unwrap();
    let mut child = command.stderr(log).spawn().unwrap();
    let mut buffer = [0; 4096];
    let got = ready.recv(&mut buffer).map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned());
    let early = early.join().unwrap();
    openbits_e2e::signal(child.id(), Signal::SIGTERM);
    let status = child.wait().unwrap();
    assert!(got.as_ref().unwrap().lines().any(|line| line == "READY=1"), "{got:?}");
    assert_eq!(early.unwrap().status, 200);
    assert!(status.success());
    let stopping = ready.recv(&mut buffer).map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned());
    assert!(stopping.as_ref().unwrap().contains("STOPPING=1"), "{stopping:?}");
    assert!(door.socket.exists(), "the given socket is the service manager's, which keeps it");
}

#[test]
fn a_second_service_of_the_same_queue_is_refused() {
    let user = User::new(bits());
    let _first = user.start(&[]);
    let before = user.service_pid();
    let log = user.sandbox().path().join("second.log");
    let other = user.sandbox().path().join("other.sock");
    for socket in [other, user.door().socket] {
        let mut second = Spec::new(user.program(), &log)
            .within(user.sandbox())
            .args_of(&["service", "--user", "--socket", socket.to_str().unwrap()])
            .start()
            .unwrap();
        let status = second.wait(Duration::from_secs(10)).expect("it ends by itself");
        assert!(!status.success());
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("queue.db") && text.contains("another"), "not a clear message: {text}");
        // It did not take the socket of the first one away.
        assert_eq!(user.service_pid(), before);
    }
}

trait ArgsOf {
    fn args_of(self, words: &[&str]) -> Self;
}

impl ArgsOf for Spec {
    fn args_of(self, words: &[&str]) -> Self {
        words.iter().fold(self, |spec, word| spec.arg(*word))
    }
}

/// Commands that come while the old service is on its way out get a new one, not an error.
#[test]
fn commands_in_the_moment_of_the_end_are_served() {
    let user = User::new(bits());
    let door = user.wake();
    let _ = NewJob::new("there").create(&door);
    for _ in 0..10 {
        openbits_e2e::signal(user.service_pid(), Signal::SIGTERM);
        for _ in 0..3 {
            assert_eq!(user.must(&["list", "--json"]).matches("\"there\"").count(), 1);
        }
    }
}

#[test]
fn a_stale_socket_file_is_replaced_and_others_are_left_alone() {
    let user = User::new(bits());
    let mut process = user.start(&[]);
    process.kill().unwrap();
    assert!(user.door().socket.exists(), "SIGKILL leaves the file");
    let _ = user.must(&["list"]);
    kill(user.service_pid());
    std::fs::remove_file(user.door().socket).unwrap();
    std::fs::write(user.door().socket, "mine").unwrap();
    let mut refused = user.service().start().unwrap();
    let status = refused.wait(Duration::from_secs(10)).expect("it ends by itself");
    assert!(!status.success() && refused.log().contains("not a socket"), "{}", refused.log());
    assert_eq!(std::fs::read_to_string(user.door().socket).unwrap(), "mine");
}

#[test]
fn conformance_31_a_damaged_queue_is_kept_aside_and_said() {
    let user = User::new(bits());
    let door = user.wake();
    for n in 0..40 {
        let _ = NewJob::new(&format!("{n}")).create(&door);
    }
    kill(user.service_pid());
    // Somebody overwrites the middle of the database.
    let path = user.database();
    for suffix in ["-wal", "-shm"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 4;
    bytes[middle..].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let door = user.wake();
    let findings = door.service().findings;
    assert!(findings.iter().any(|finding| finding.contains("damaged")), "{findings:?}");
    let kept =
        findings[0].split_whitespace().find(|word| word.starts_with('/')).unwrap().trim_end_matches(';');
    assert!(Path::new(kept).exists(), "{kept} is not kept");
    let text = user.must(&["service-info"]);
    assert!(text.contains("damaged"), "{text}");
    // It works.
    let origin = Origin::start();
    origin.put("f", Content::new(1, 1000));
    let _ = user.must(&["get", &origin.url("f")]);
    assert_is(&user.path("f"), &Content::new(1, 1000));
    // A file that is no database at all.
    kill(user.service_pid());
    std::fs::write(&path, "this is no database, and never was one").unwrap();
    let door = user.wake();
    assert!(door.service().findings.iter().any(|finding| finding.contains("damaged")));
}

/// A mounted tmpfs, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(path: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).status().ok()?;
        status.success().then_some(Self(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_calls_and_recovers() {
    let user = User::new(bits());
    let folder = user.sandbox().path().join("small");
    let Some(mount) = is_root().then(|| Mount::new(folder, "size=4m")).flatten() else {
        return skip("full disk", "this needs root, who can mount a small file system");
    };
    let database = mount.0.join("queue.db");
    let process = user.service().arg("--database").arg(&database).start().unwrap();
    let door = user.door();
    assert!(door.answers(Duration::from_secs(10)), "{}", process.log());
    let origin = Origin::start();
    origin.put("f", Content::new(1, 1000));
    let kept = NewJob::new("kept").file(&origin.url("f"), &user.path("f")).create(&door);
    // Everything that is free is taken.
    let ballast = mount.0.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 65536]).is_ok() {}
    while file.write_all(&[0; 512]).is_ok() {}
    let mut refused = None;
    let mut made = BTreeSet::from([kept.id.clone()]);
    for n in 0..3000 {
        // Each is a durable step, until there is no room for one.
        let reply = NewJob::new(&format!("{n} {}", "x".repeat(200))).try_create(&door).unwrap();
        if reply.status == 201 {
            made.insert(reply.json::<openbits_api::Outcome>().job.id);
        } else {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("the disk is full at some time");
    assert_eq!((refused.status, refused.hresult().as_str()), (507, "0x80070070"), "{refused}");
    // Calls on jobs as well; what was acknowledged is there and can be read.
    assert_eq!(kept.act("resume").hresult(), "0x80070070");
    assert_eq!(door.jobs("").into_iter().map(|job| job.id).collect::<BTreeSet<_>>(), made);
    assert!(door.service().store_error.is_some());
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    let recovers = || kept.act("resume").is_success();
    assert!(
        wait_until(LONG, recovers),
        "{}\n{}",
        door.service().store_error.unwrap_or_default(),
        process.log()
    );
    assert_eq!(kept.wait(&[Transferred, Error], LONG), Transferred);
    kept.must("complete");
    assert_is(&user.path("f"), &Content::new(1, 1000));
    assert_eq!(door.service().store_error, None);
    made.remove(&kept.id);
    assert_eq!(door.jobs("").into_iter().map(|job| job.id).collect::<BTreeSet<_>>(), made);
}

/// A reader that comes back with its cursor after kills sees every durable event once.
#[test]
fn cursors_lose_nothing_over_restarts() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let mut seen = Vec::new();
    let mut cursor = 0;
    let mut ids = Vec::new();
    for round in 0..4 {
        let mut events = door.events(&format!("?after={cursor}&log=true"));
        for n in 0..5 {
            let name = format!("{round}-{n}");
            origin.put(&name, Content::new(n, 1000));
            let job = NewJob::new(&name).file(&origin.url(&name), &user.path(&name)).started().create(&door);
            assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
            job.must("complete");
            ids.push(job.id);
        }
        // Reads a part of it only, then the service dies.
        for _ in 0..7 {
            let event = events.next(LONG).expect("an event");
            if let Some(seq) = event.seq {
                cursor = seq;
                seen.push(event);
            }
        }
        kill(user.service_pid());
        let _ = user.wake();
    }
    let last = door.service().last_event;
    seen.extend(
        door.events(&format!("?after={cursor}&log=true")).until(LONG, |event| event.seq == Some(last)),
    );
    let numbers: Vec<u64> = seen.iter().filter_map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "each once, in order");
    for id in &ids {
        let kinds: Vec<&str> =
            seen.iter().filter(|e| e.job == *id && e.log.is_none()).map(|e| e.kind.as_str()).collect();
        assert_eq!(kinds.first(), Some(&"created"));
        for kind in ["created", "transferred", "acknowledged"] {
            assert_eq!(kinds.iter().filter(|k| **k == kind).count(), 1, "{kind} of {id}: {kinds:?}");
        }
    }
    // The same from the start, in one go.
    let again = door.events("?after=0&log=true").until(LONG, |event| event.seq == Some(last));
    assert_eq!(again, seen);
}

fn wakeups(pid: u32, during: Duration) -> u64 {
    let before = context_switches(pid).unwrap();
    std::thread::sleep(during);
    let after = context_switches(pid).unwrap();
    // Less of them: a thread has ended, with its count.
    after.voluntary.abs_diff(before.voluntary) + after.involuntary.abs_diff(before.involuntary)
}

#[test]
fn an_idle_service_sleeps() {
    let user = User::new(bits());
    let door = user.wake();
    let pid = user.service_pid();
    // The start, the worker's pings and its last connection have their ends; what wakes it up by itself has none.
    let rests = || wait_until(LONG, || wakeups(pid, Duration::from_secs(5)) == 0);
    assert!(rests(), "fresh");
    // With jobs that wait for their owner, and after work.
    let origin = Origin::start();
    origin.put("f", Content::new(1, MIB));
    for n in 0..20 {
        let path = user.path(&format!("{n}"));
        let job = NewJob::new("f").file(&origin.url("f"), &path).started().create(&door);
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
        if n % 2 == 0 {
            job.must("complete");
        }
        let _ = NewJob::new("suspended").file(&origin.url("f"), &path).create(&door);
    }
    assert!(rests(), "with 30 jobs that wait for their owner");
    assert_eq!(door.jobs("").len(), 30);
}

#[test]
fn suspend_means_that_no_byte_is_written_any_more() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", Content::new(1, 2048 * MIB));
    origin.throttle("f", Some(64 * MIB));
    let job = NewJob::new("f").file(&origin.url("f"), &user.path("f")).started().create(&door);
    for _ in 0..5 {
        assert_eq!(job.wait(&[Transferring, Error], LONG), Transferring);
        let stored = job.view().unwrap().bytes_transferred;
        job.wait_bytes(stored + MIB, LONG);
        job.must("suspend");
        let temporary = &leftovers(&user.folder())[0];
        let now = || {
            let about = std::fs::metadata(temporary).unwrap();
            (
                about.len(),
                about.blocks(),
                about.mtime(),
                about.mtime_nsec(),
                job.view().unwrap().bytes_transferred,
            )
        };
        let before = now();
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(now(), before, "written after Suspend was answered");
        assert_eq!(job.state(), Suspended);
        job.must("resume");
    }
    job.must("cancel");
    assert!(wait_until(LONG, || names(&user.folder()).is_empty()));
}

#[test]
fn floods_are_refused_and_survived() {
    let user = User::new(bits());
    let door = user.wake();
    let pid = user.service_pid();
    // A body beyond the limit.
    let big = serde_json::json!({ "display_name": "x".repeat(9 << 20) });
    let reply = door.ask("POST", "/v1/jobs", Some(&big)).map(|reply| reply.status);
    assert!(matches!(reply, Ok(413) | Err(_)), "{reply:?}");
    // A length that is a lie: the service waits for no more than its limit.
    let mut stream = door.connect().unwrap();
    write!(stream, "POST /v1/jobs HTTP/1.0\r\nContent-Length: 99999999999\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.0 413"), "{answer}");
    // Ten thousand header fields, one of a mebibyte, and garbage.
    let many = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let huge = format!("x: {}\r\n", "y".repeat(1 << 20));
    for head in [
        format!("GET /v1/service HTTP/1.1\r\n{many}\r\n"),
        format!("GET /v1/service HTTP/1.1\r\n{huge}\r\n"),
        "\0\u{1}garbage\r\n\r\n".to_owned(),
    ] {
        let mut stream = door.connect().unwrap();
        let _ = stream.write_all(head.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    // Bodies that are no requests.
    for body in ["", "{", "[]", "{\"display_name\":7}", "{\"display_name\":\"x\",\"unknown\":1}"] {
        let mut stream = door.connect().unwrap();
        write!(stream, "POST /v1/jobs HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 400") && answer.contains("0x80070057"), "{body}: {answer}");
    }
    // Two thousand connections that say nothing, or half a request; then room again.
    raise_descriptors();
    let mut idle = Vec::new();
    for n in 0..2000 {
        match door.connect() {
            Ok(mut stream) => {
                if n % 2 == 0 {
                    let _ = stream.write_all(b"GET /v1/ser");
                }
                idle.push(stream);
            }
            Err(_) => break,
        }
    }
    eprintln!("{} connections at once", idle.len());
    // Once all are accepted it rests, however long a busy machine takes to get there; a loop that spins never does.
    let mut used = Vec::new();
    let rests = (0..20).any(|_| {
        let before = cpu_time(pid).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        used.push(cpu_time(pid).unwrap() - before);
        used.last().is_some_and(|used| *used < Duration::from_millis(100))
    });
    assert!(rests, "it spins under the flood: {used:?} of each second");
    drop(idle);
    assert!(door.answers(LONG));
    assert_eq!(user.service_pid(), pid, "the same process");
    assert_eq!(door.jobs("").len(), 0);
}

/// Up to the hard limit, for the many connections.
fn raise_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
}

#[test]
fn the_served_openapi_document_is_the_committed_one() {
    let user = User::new(bits());
    let door = user.wake();
    let served = door.ask("GET", "/v1/openapi.json", None).unwrap();
    let committed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json")).unwrap();
    assert_eq!(served.status, 200);
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(json(&served.body), json(&committed));
}

/// A real origin, stopped when dropped.
struct Nginx {
    port: u16,
    _process: Process,
}

impl Nginx {
    fn start(folder: &Path) -> Option<Self> {
        let port = own_port();
        let root = folder.display();
        let text = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{}}\n\
             http {{\n\
               log_format short '$http_range|$http_if_range|$status|$body_bytes_sent';\n\
               access_log {root}/access.log short;\n\
               client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n\
               uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
               server {{ listen 127.0.0.1:{port}; root {root}/www; limit_rate 16m; }}\n\
             }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), text).unwrap();
        let spec =
            Spec::new("/usr/sbin/nginx", folder.join("nginx.log")).arg("-c").arg(folder.join("nginx.conf"));
        let process = spec.start().ok()?;
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(wait_until(LONG, listens), "{}", process.log());
        Some(Self { port, _process: process })
    }
}

#[test]
fn nginx_as_origin_across_kills() {
    let folder = tempfile::Builder::new().prefix("obnginx").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::create_dir(folder.path().join("www")).unwrap();
    let content = Content::new(77, 32 * MIB);
    std::fs::write(folder.path().join("www/file"), content.byte_range(0, 32 * MIB)).unwrap();
    let Some(nginx) = Nginx::start(folder.path()) else {
        return skip("nginx as origin", "nginx is not installed (Debian: nginx-light)");
    };
    let user = User::new(bits());
    let url = format!("http://127.0.0.1:{}/file", nginx.port);
    let job = user.must(&["get", "-b", "--priority", "FOREGROUND", &url, "file"]);
    let job = Job { id: job.trim().to_owned(), door: user.door() };
    for part in 1..=3 {
        job.wait_bytes(part * 8 * MIB, LONG);
        kill(user.service_pid());
        let _ = user.wake();
    }
    assert_eq!(job.wait(&[Acknowledged, Error], LONG), Acknowledged, "{:#?}", job.view());
    assert_is(&user.path("file"), &content);
    assert_eq!(names(&user.folder()), ["file"]);
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let requests: Vec<Vec<&str>> = log.lines().map(|line| line.split('|').collect()).collect();
    eprintln!("{log}");
    assert_eq!(requests.len(), 4, "one request for each life");
    for request in &requests[1..] {
        let start: u64 = request[0].trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        assert!(start > 0 && request[1].starts_with("\\x22") && request[2] == "206", "{request:?}");
    }
}
