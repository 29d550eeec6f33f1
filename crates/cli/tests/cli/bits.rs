//! Runs the real program.

use super::fake::Fake;
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// Checks the exit code; shows everything if it is another.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// The program with an environment of its own.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bits"));
    command
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env("PATH", "/usr/bin:/bin").env("HOME", folder);
    // The service of the machine that runs the tests is not theirs.
    command.env("OPENBITS_SYSTEM_SOCKET", folder.join("no-system.sock"));
    command
}

pub(crate) fn spawn<S: AsRef<OsStr>>(fake: &Fake, folder: &Path, args: &[S]) -> Child {
    command(folder).arg("--socket").arg(&fake.path).args(args).spawn().unwrap()
}

pub(crate) fn run<S: AsRef<OsStr>>(fake: &Fake, folder: &Path, args: &[S]) -> Done {
    finish(spawn(fake, folder, args))
}

/// Waits for the program; one that hangs fails the test.
pub(crate) fn finish(mut child: Child) -> Done {
    fn collect(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        })
    }
    let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    let status = status.unwrap_or_else(|| panic!("the program hangs\n{out}\n{err}"));
    Done { code: status.code().unwrap_or(-1), out, err }
}
