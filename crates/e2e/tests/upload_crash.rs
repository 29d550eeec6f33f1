//! SIGKILL of the client's service and of the server, and cuts of the connection, at random moments of one upload: the stored file is
//! the same, the application acts on it once, little is sent twice.
//!
//! `OPENBITS_KILLS` (default 8), `OPENBITS_CRASH_MIB` (default 48) and `OPENBITS_SEED` make the long run of it
//! (`cargo xtask uploads`).

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{NewJob, UploadServer, User, kill, knob, program, skip, write_content};
use openbits_testkit::{Content, Cutter, Rng, wait_until};
use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// Most bytes that may be sent a second time because of one cut.
const TWICE_MAX: u64 = 16 * MIB;
const LONG: Duration = Duration::from_secs(120);

/// The example application, which keeps each upload once, however often it is told.
struct Application {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Application {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/upload-backend/backend.py");
        let mut command = Command::new("python3");
        command.args([script, "--port", "0", "--keep"]).arg(folder.path()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let mut line = String::new();
        let mut said = std::io::BufReader::new(child.stdout.take()?);
        said.read_line(&mut line).ok()?;
        let port = line.split(|c: char| !c.is_ascii_digit()).rfind(|word| !word.is_empty())?.parse().ok()?;
        // It goes on saying what it was told.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Some(Self { child, port, folder })
    }

    /// What it acted on.
    fn kept(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn kills_of_client_server_and_connection_leave_one_identical_file() {
    let Some(application) = Application::start() else {
        return skip("kills during an upload", "python3 is missing");
    };
    let (count, total) = (knob("OPENBITS_KILLS", 8), knob("OPENBITS_CRASH_MIB", 48) * MIB + 12_345);
    let mut rng = Rng::announced("upload crash");
    let lines = format!(
        "notification = \"value\"\nnotification_url = \"http://127.0.0.1:{}/intake\"",
        application.port
    );
    let mut server = UploadServer::start(env!("CARGO_BIN_EXE_bits-server-under-test"), &lines);
    let cutter = Cutter::start(server.address()).unwrap();
    cutter.throttle_up(Some(24 * MIB));
    let content = Content::new(17, total);
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    write_content(&user.path("f"), &content);
    let door = user.wake();
    let job = NewJob::new("f")
        .kind("UPLOAD_REPLY")
        .file(&cutter.url("in/f"), &user.path("f"))
        .set("reply_file_name", user.path("reply").to_str().unwrap())
        .set("minimum_retry_delay_s", 5)
        .started()
        .create(&door);
    let (mut kills, mut amid, mut retries) = ([0_u64; 3], 0, 0);
    for at in 0..count {
        // Spread over what is still to come.
        let left = total.saturating_sub(cutter.bytes_up().min(total)) / (count - at);
        let (from, more) = (cutter.bytes_up(), rng.below(2 * left + MIB));
        let _ = wait_until(Duration::from_secs(2), || cutter.bytes_up() - from >= more);
        amid += u64::from(job.view().is_some_and(|view| view.bytes_transferred < total));
        let victim = usize::try_from(rng.below(3)).unwrap();
        kills[victim] += 1;
        match victim {
            0 => {
                kill(user.service_pid());
                let _ = user.must(&["list"]);
            }
            1 => {
                server.kill();
                server.revive();
            }
            _ => cutter.cut_now(),
        }
        // A wait for the retry delay is not what is tested.
        if job.view().is_some_and(|view| view.next_retry_time_ms.is_some()) {
            retries += 1;
            let _ = job.try_act("resume");
        }
    }
    cutter.throttle_up(None);
    eprintln!(
        "{count} kills (service, server, connection: {kills:?}), {amid} of them amid {} MiB",
        total / MIB
    );
    eprintln!("{retries} of them made the job wait for its retry delay");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", job.view());
    job.must("complete");
    let digest = content.sha256_hex();
    assert_eq!(
        application.kept(),
        std::slice::from_ref(&digest),
        "one upload was acted on, and it is identical"
    );
    let reply = std::fs::read_to_string(user.path("reply")).unwrap();
    assert_eq!(reply, format!("sha256 {digest} size {total}\n"));
    assert_eq!(server.sessions(), 0);
    let twice = cutter.bytes_up().saturating_sub(total);
    eprintln!("sent twice: {:.2} MiB for each kill", twice as f64 / MIB as f64 / count as f64);
    assert!(twice <= TWICE_MAX * count, "{twice} bytes were sent twice because of {count} kills");
}
