//! The service under test, in a HOME of its own.

use crate::caller::Caller;
use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Higher limits than an ordinary user's.
const POLICY: &str = "[limits]\njobs_per_machine = 1000000\njobs_per_user = 1000000\n";

/// A running service.
pub(crate) struct Service {
    bits: PathBuf,
    folder: PathBuf,
    child: Child,
}

impl Service {
    /// Starts it; the seconds until its first answer.
    pub(crate) fn start(bits: &Path, folder: &Path) -> Result<(Self, f64)> {
        std::fs::write(folder.join("policy.toml"), POLICY)?;
        let (child, seconds) = spawn(bits, folder)?;
        Ok((Self { bits: bits.to_owned(), folder: folder.to_owned(), child }, seconds))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("bitsd.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with a signal and starts it again: seconds to its end, and from the start to its first answer.
    pub(crate) fn restart(&mut self, signal: Signal) -> Result<(f64, f64)> {
        let stopping = self.stop(signal)?;
        let (child, seconds) = spawn(&self.bits, &self.folder)?;
        self.child = child;
        Ok((stopping, seconds))
    }

    /// Ends it.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<f64> {
        let begin = Instant::now();
        kill_process(Pid::from_child(&self.child), signal)?;
        self.child.wait()?;
        Ok(begin.elapsed().as_secs_f64())
    }

    /// Bytes of the database with its log.
    pub(crate) fn database_bytes(&self) -> u64 {
        let size = |name| std::fs::metadata(self.folder.join(name)).map_or(0, |m| m.len());
        size("queue.db") + size("queue.db-wal")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already ended in the good case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(bits: &Path, folder: &Path) -> Result<(Child, f64)> {
    let begin = Instant::now();
    let log = File::options().create(true).append(true).open(folder.join("bitsd.log"))?;
    let mut child = Command::new(bits)
        .arg0("bitsd")
        .arg("--user")
        .arg("--socket")
        .arg(folder.join("bitsd.sock"))
        .arg("--database")
        .arg(folder.join("queue.db"))
        .arg("--policy")
        .arg(folder.join("policy.toml"))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    loop {
        let answer = Caller::connect(&folder.join("bitsd.sock"))
            .and_then(|mut caller| caller.ask("GET", "/v1/service", "").map(drop));
        if answer.is_ok() {
            return Ok((child, begin.elapsed().as_secs_f64()));
        }
        ensure!(child.try_wait()?.is_none(), "the service ended; see {}", folder.join("bitsd.log").display());
        ensure!(begin.elapsed() < Duration::from_secs(60), "the service does not answer");
        std::thread::sleep(Duration::from_millis(1));
    }
}
