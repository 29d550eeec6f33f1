//! Uploads through the doors: `bits put` and the API against bits-server, an application behind it, and nginx.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Acknowledged, Cancelled, Error, Suspended, Transferred, TransientError};
use openbits_e2e::{
    Backend, Job, NewJob, UploadServer, User, assert_is, names, program, skip, write_content,
};
use openbits_testkit::{Content, Cutter, own_port, wait_until};
use serde_json::json;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

fn server(lines: &str) -> UploadServer {
    UploadServer::start(env!("CARGO_BIN_EXE_bits-server-under-test"), lines)
}

/// A user with a file to upload.
fn user(content: &Content) -> User {
    let user = User::new(bits());
    write_content(&user.path("f"), content);
    user
}

fn upload(user: &User, kind: &str, url: &str) -> NewJob {
    NewJob::new("f").kind(kind).file(url, &user.path("f"))
}

#[test]
fn put_delivers_to_bits_server_and_says_how() {
    let (server, content) = (server(""), Content::new(1, 30 * MIB + 7));
    let user = user(&content);
    let _ = user.must(&["put", "f", &server.url("/in/")]);
    assert_is(&server.delivered("in/f"), &content);
    assert_eq!(server.sessions(), 0);
    assert_eq!(names(&user.folder()), ["f"], "the source stays, and nothing comes beside it");
    // Once more: it exists, and may not be replaced.
    let refused = user.bits(&["put", "f", &server.url("/in/f")]);
    assert_eq!(refused.status.code(), Some(4));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("0x80070005"), "{said}");
}

#[test]
fn empty_and_one_byte_files() {
    let server = server("");
    for size in [0, 1] {
        let user = user(&Content::new(1, size));
        let _ = user.must(&["put", "f", &server.url(&format!("/in/{size}")), "--protocol", "bits"]);
        assert_eq!(std::fs::metadata(server.delivered(&format!("in/{size}"))).unwrap().len(), size);
    }
}

#[test]
fn tus_delivers_too() {
    let (server, content) = (server(""), Content::new(2, 20 * MIB));
    let user = user(&content);
    let id =
        user.must(&["put", "f", &server.url("/in/t"), "--protocol", "tus", "-b", "--priority", "FOREGROUND"]);
    let job = Job { id: id.trim().to_owned(), door: user.door() };
    assert_eq!(job.wait(&[Acknowledged, Error], LONG), Acknowledged);
    let delivered = wait_until(LONG, || server.delivered("in/t").exists());
    assert!(delivered);
    assert_is(&server.delivered("in/t"), &content);
}

#[test]
fn a_reply_comes_back() {
    let backend = Backend::start(b"well received");
    let server = server(&backend.settings());
    let content = Content::new(3, 5 * MIB);
    let user = user(&content);
    let _ = user.must(&["put", "f", &server.url("/in/r"), "--reply", "answer.txt"]);
    assert_eq!(std::fs::read(user.path("answer.txt")).unwrap(), b"well received");
    assert_eq!((backend.told(), server.sessions()), (1, 0));
    assert_eq!(names(&user.folder()), ["answer.txt", "f"]);
    assert!(!server.delivered("in/r").exists(), "the application took it");
}

#[test]
fn the_example_application_answers() {
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    if !python.is_ok_and(|status| status.success()) {
        return skip("the example application", "python3 is missing");
    }
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/upload-backend/backend.py");
    let mut child = Command::new("python3")
        .args([script, "--port", "0", "--keep"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    let port: u16 =
        line.split(|c: char| !c.is_ascii_digit()).rfind(|word| !word.is_empty()).unwrap().parse().unwrap();
    let lines = format!("notification = \"value\"\nnotification_url = \"http://127.0.0.1:{port}/intake\"");
    let server = server(&lines);
    let content = Content::new(4, 3 * MIB);
    let user = user(&content);
    let _ = user.must(&["put", "f", &server.url("/in/o?acct=4"), "--reply", "r"]);
    let reply = std::fs::read_to_string(user.path("r")).unwrap();
    assert_eq!(reply, format!("sha256 {} size {}\n", content.sha256_hex(), content.size()));
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn job2_get_reply_progress() {
    let backend = Backend::start(&[7; 3000]);
    let server = server(&backend.settings());
    let user = user(&Content::new(1, MIB));
    let door = user.wake();
    let job = upload(&user, "UPLOAD_REPLY", &server.url("/in/p")).create(&door);
    let before = job.view().unwrap();
    assert_eq!(
        before.bytes_total,
        Some(MIB),
        "the size of the source is known at once, and the reply is not in it"
    );
    let reply = before.reply.unwrap();
    assert_eq!((reply.bytes_total, reply.bytes_transferred), (None, 0));
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", job.view());
    let after = job.view().unwrap();
    assert_eq!((after.bytes_total, after.bytes_transferred), (Some(MIB), MIB));
    let reply = after.reply.unwrap();
    assert_eq!((reply.bytes_total, reply.bytes_transferred), (Some(3000), 3000));
    // Other kinds have none.
    let plain = upload(&user, "UPLOAD", &server.url("/in/q")).create(&door);
    assert_eq!(plain.view().unwrap().reply, None);
}

#[test]
fn job2_get_reply_data() {
    let backend = Backend::start(b"reply");
    let server = server(&backend.settings());
    let user = user(&Content::new(1, 1000));
    let door = user.wake();
    let data = |job: &Job| door.ask("GET", &job.path("/reply"), None).unwrap();
    let job = upload(&user, "UPLOAD_REPLY", &server.url("/in/d")).create(&door);
    assert_eq!(data(&job).hresult(), "0x80200002", "not TRANSFERRED yet");
    job.must("resume");
    job.wait(&[Transferred], LONG);
    assert_eq!((data(&job).status, data(&job).body), (200, b"reply".to_vec()));
    job.must("complete");
    assert_eq!(data(&job).body, b"reply", "after Complete too");
    // A megabyte, and one byte more.
    for (size, code) in [(MIB, ""), (MIB + 1, "0x80200020")] {
        backend.answers(200, &vec![9; usize::try_from(size).unwrap()]);
        let job = upload(&user, "UPLOAD_REPLY", &server.url("/in/big")).started().create(&door);
        job.wait(&[Transferred], LONG);
        let reply = data(&job);
        assert_eq!(reply.hresult(), code);
        if code.is_empty() {
            assert_eq!(reply.body.len() as u64, size);
        }
        job.must("complete");
    }
    // No reply: success without data, and an empty file.
    backend.answers(200, b"");
    let path = user.path("none");
    let job = upload(&user, "UPLOAD_REPLY", &server.url("/in/n"))
        .set("reply_file_name", json!(path))
        .started()
        .create(&door);
    job.wait(&[Transferred], LONG);
    assert_eq!((data(&job).status, data(&job).body.len()), (200, 0));
    assert!(!path.exists(), "only after Complete");
    job.must("complete");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    let plain = upload(&user, "UPLOAD", &server.url("/in/q")).create(&door);
    assert_eq!(data(&plain).hresult(), "0x80004001");
}

#[test]
fn job2_set_reply_file_name() {
    let backend = Backend::start(b"reply");
    let server = server(&backend.settings());
    let user = user(&Content::new(1, 1000));
    let door = user.wake();
    let job = upload(&user, "UPLOAD_REPLY", &server.url("/in/s")).create(&door);
    let set = |job: &Job, name: &str| {
        door.ask("PATCH", &job.path(""), Some(&json!({ "reply_file_name": name }))).unwrap()
    };
    assert_eq!(set(&job, "relative").hresult(), "0x80070057");
    let path = user.path("chosen");
    assert!(set(&job, path.to_str().unwrap()).is_success());
    job.must("resume");
    job.wait(&[Transferred], LONG);
    assert_eq!(set(&job, "/tmp/late").hresult(), "0x80200002", "the reply is there already");
    assert!(!path.exists());
    job.must("complete");
    assert_eq!(std::fs::read(&path).unwrap(), b"reply");
    let plain = upload(&user, "UPLOAD", &server.url("/in/q")).create(&door);
    assert_eq!(set(&plain, "/tmp/x").hresult(), "0x80004001");
}

#[test]
fn job2_get_reply_file_name() {
    let user = user(&Content::new(1, 10));
    let door = user.wake();
    let name = |job: &Job| job.view().unwrap().reply.unwrap().file_name;
    let job = NewJob::new("n").kind("UPLOAD_REPLY").create(&door);
    assert_eq!(name(&job), None, "nothing set, no file");
    let file = json!({ "files": [{ "remote_name": "http://127.0.0.1:9/x", "local_name": user.path("f") }] });
    assert!(door.ask("POST", &job.path("/files"), Some(&file)).unwrap().is_success());
    let generated = name(&job).unwrap();
    assert_eq!(PathBuf::from(&generated).parent(), Some(user.folder().as_path()), "in the upload's folder");
    let again = door.ask("POST", &job.path("/files"), Some(&file)).unwrap();
    assert_eq!(again.hresult(), "0x8020001C", "one file only");
    let plain = NewJob::new("p").kind("UPLOAD").create(&door);
    assert_eq!(plain.view().unwrap().reply, None);
}

#[test]
fn a_source_that_is_missing_or_no_file_is_refused_at_once() {
    let user = user(&Content::new(1, 10));
    let door = user.wake();
    let refused = |path: PathBuf| {
        let job = NewJob::new("x").kind("UPLOAD").file("http://127.0.0.1:9/x", &path);
        job.try_create(&door).unwrap().hresult()
    };
    assert_eq!(refused(user.path("nothing")), "0x80070002");
    assert_eq!(refused(user.folder()), "0x80070005");
}

/// Slow enough for something to happen meanwhile.
fn slowly(server: &UploadServer) -> Cutter {
    let cutter = Cutter::start(server.address()).unwrap();
    cutter.throttle_up(Some(4 * MIB));
    cutter
}

#[test]
fn conformance_13_a_source_that_changes_is_an_error_and_never_a_mixed_file() {
    let server = server("");
    let slow = slowly(&server);
    let user = user(&Content::new(1, 20 * MIB));
    let door = user.wake();
    let job = upload(&user, "UPLOAD", &slow.url("in/c")).started().create(&door);
    job.wait_bytes(2 * MIB, LONG);
    write_content(&user.path("f"), &Content::new(2, 20 * MIB));
    slow.throttle_up(None);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    let error = job.view().unwrap().error.unwrap();
    assert_eq!((error.hresult.as_str(), error.context.as_str()), ("0x8020001D", "LOCAL_FILE"));
    assert!(!server.delivered("in/c").exists());
    job.must("cancel");
    assert!(wait_until(LONG, || server.sessions() == 0), "the server forgets the half of it");
}

#[test]
fn suspend_and_resume_send_little_twice() {
    let server = server("");
    let slow = slowly(&server);
    let content = Content::new(1, 16 * MIB);
    let user = user(&content);
    let door = user.wake();
    let job = upload(&user, "UPLOAD", &slow.url("in/s")).started().create(&door);
    for at in [3, 7, 11] {
        job.wait_bytes(at * MIB, LONG);
        job.must("suspend");
        assert_eq!(job.state(), Suspended);
        job.must("resume");
    }
    slow.throttle_up(None);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", job.view());
    job.must("complete");
    assert_is(&server.delivered("in/s"), &content);
    let twice = slow.bytes_up() - content.size();
    assert!(twice < 3 * 16 * MIB, "{twice} bytes were sent twice");
}

#[test]
fn cancel_tells_the_server_at_once_or_when_it_is_back() {
    let mut server = server("");
    let user = user(&Content::new(1, 64 * MIB));
    let door = user.wake();
    let begin = |server: &UploadServer| {
        let slow = slowly(server);
        let job = upload(&user, "UPLOAD", &slow.url("in/x"))
            .set("minimum_retry_delay_s", 5)
            .started()
            .create(&door);
        job.wait_bytes(MIB, LONG);
        (slow, job)
    };
    let (slow, job) = begin(&server);
    assert_eq!(server.sessions(), 1);
    job.must("cancel");
    assert_eq!(job.state(), Cancelled);
    assert!(wait_until(LONG, || server.sessions() == 0));
    drop(slow);
    // Out of reach: the job is gone nevertheless, and the server is told later.
    let (_slow, job) = begin(&server);
    server.kill();
    job.must("cancel");
    assert!(door.jobs("").is_empty());
    server.revive();
    assert_eq!(server.sessions(), 1);
    assert!(wait_until(LONG, || server.sessions() == 0), "told when it is back");
}

#[test]
fn complete_needs_the_whole_upload() {
    let server = server("");
    let user = user(&Content::new(1, 10));
    let door = user.wake();
    let job = upload(&user, "UPLOAD", &server.url("/in/k")).create(&door);
    assert_eq!(job.act("complete").hresult(), "0x80200002");
    job.must("resume");
    job.wait(&[Transferred], LONG);
    job.must("complete");
    assert_eq!(job.state(), Acknowledged);
}

#[test]
fn an_application_that_fails_is_named_as_the_culprit() {
    let backend = Backend::start(b"");
    backend.answers(403, b"");
    let server = server(&backend.settings());
    let user = user(&Content::new(1, 10));
    let door = user.wake();
    let job = upload(&user, "UPLOAD_REPLY", &server.url("/in/e")).started().create(&door);
    assert_eq!(job.wait(&[Error, Transferred, TransientError], LONG), Error);
    assert_eq!(job.view().unwrap().reply.unwrap().bytes_total, None, "the upload failed, not the reply");
    backend.answers(500, b"");
    let job = upload(&user, "UPLOAD_REPLY", &server.url("/in/e2"))
        .set("minimum_retry_delay_s", 5)
        .started()
        .create(&door);
    assert_eq!(job.wait(&[Error, TransientError], LONG), TransientError);
    let error = job.view().unwrap().error.unwrap();
    assert_eq!((error.http_status, error.context.as_str()), (Some(500), "REMOTE_APPLICATION"));
    backend.answers(200, b"now");
    assert_eq!(job.wait(&[Error, Transferred], LONG), Transferred);
}

/// nginx with WebDAV's PUT into a folder.
struct Dav {
    child: std::process::Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Dav {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("in")).unwrap();
        let dir = folder.path().display();
        let port = own_port();
        let settings = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/log;\nevents {{}}\nhttp {{\n  access_log off;\n  \
             client_body_temp_path {dir}/body; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/fc; uwsgi_temp_path {dir}/u; \
             scgi_temp_path {dir}/s;\n  client_max_body_size 0;\n  server {{ listen 127.0.0.1:{port}; location / {{ root {dir}; \
             dav_methods PUT; }} }}\n}}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), settings).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(folder.path().join("nginx.conf")).arg("-e").arg(folder.path().join("log"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let dav = Self { child, folder, port };
        let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until(LONG, ready).then_some(dav)
    }
}

impl Drop for Dav {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn plain_put_to_nginx_begins_again_and_says_so() {
    let Some(dav) = Dav::start() else { return skip("PUT to nginx", "nginx is missing or has no WebDAV") };
    let content = Content::new(5, 12 * MIB);
    let user = user(&content);
    let _ = user.must(&["put", "f", &format!("http://127.0.0.1:{}/in/a", dav.port)]);
    assert_is(&dav.folder.path().join("in/a"), &content);
    // Cut in the middle: from the beginning again, and the file is right.
    let cutter = Cutter::start(([127, 0, 0, 1], dav.port).into()).unwrap();
    cutter.throttle_up(Some(8 * MIB));
    let door = user.door();
    let job = upload(&user, "UPLOAD", &cutter.url("in/b"))
        .set("minimum_retry_delay_s", 5)
        .set("upload_protocol", "auto")
        .started()
        .create(&door);
    assert!(wait_until(LONG, || cutter.bytes_up() > 3 * MIB));
    cutter.cut_now();
    assert_eq!(job.wait(&[TransientError, Error, Transferred], LONG), TransientError);
    let view = job.view().unwrap();
    let upload = view.upload.clone().unwrap();
    assert_eq!(
        (upload.used.map(|used| used.to_string()), upload.resumable),
        (Some("put".to_owned()), Some(false))
    );
    assert!(user.must(&["why", &job.id]).contains("begins again at the first byte"));
    assert!(user.must(&["show", &job.id]).contains("begins again at the first byte"));
    cutter.throttle_up(None);
    assert_eq!(job.wait(&[Error, Transferred], LONG), Transferred);
    assert_is(&dav.folder.path().join("in/b"), &content);
}
