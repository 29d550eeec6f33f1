//! Starting, stopping, killing and measuring processes.

mod proc;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;

pub use nix::sys::signal::Signal;
pub use proc::{ProcStat, Switches, children, context_switches, cpu_time, descendants, rss_bytes, stat};

use crate::sandbox::Sandbox;
use crate::wait::wait_until;

/// What to start: program, arguments, environment, log file.
#[derive(Debug, Clone)]
pub struct Spec {
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    clear_env: bool,
    log: PathBuf,
}

impl Spec {
    /// `program`, with standard output and error appended to the file `log`, in this process's environment.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            envs: Vec::new(),
            clear_env: false,
            log: log.into(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((key.into(), value.into()));
        self
    }

    /// Gives it the environment of the sandbox and nothing else (and what [`Spec::env`] adds).
    #[must_use]
    pub fn within(mut self, sandbox: &Sandbox) -> Self {
        self.clear_env = true;
        let mut envs = sandbox.envs();
        envs.append(&mut self.envs);
        self.envs = envs;
        self
    }

    /// Starts it, as leader of its own process group, with empty standard input.
    ///
    /// # Errors
    /// When the program cannot be started or the log not be opened.
    pub fn start(&self) -> io::Result<Process> {
        Ok(Process { child: self.spawn()?, spec: self.clone(), ended: None })
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        if self.clear_env {
            command.env_clear();
        }
        command
            .args(&self.args)
            .envs(self.envs.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
    }
}

/// A started process. Dropping it kills it with everything in its process group and all its descendants.
#[derive(Debug)]
pub struct Process {
    child: Child,
    spec: Spec,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The path of its log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.spec.log
    }

    /// What is in its log; empty when it cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.spec.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Sends a signal to this process alone (SIGSTOP, SIGCONT, SIGTERM, ...).
    ///
    /// # Errors
    /// `NotFound` when it has ended (its id may belong to another by now); the kernel's refusal otherwise.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if !self.is_running() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(kill(pid(self.pid())?, signal)?)
    }

    /// SIGSTOP; returns when it stands still.
    ///
    /// # Errors
    /// As [`Process::signal`]; `TimedOut` when it still runs after 5 s.
    pub fn stop(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let id = self.pid();
        let stopped = || stat(id).is_ok_and(|stat| stat.state == 'T');
        if wait_until(Duration::from_secs(5), stopped) { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn cont(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGKILL to this process alone, and waits for its end. Its children live on: see [`Process::kill_tree`].
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        if self.is_running() {
            self.child.kill()?;
        }
        let status = self.child.wait()?;
        self.ended = Some(status);
        Ok(status)
    }

    /// SIGKILL to it and all its descendants (as in a power cut), and waits for its own end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill_tree(&mut self) -> io::Result<ExitStatus> {
        if self.is_running() {
            // Stopped first, it cannot have more children while they are counted.
            self.signal(Signal::SIGSTOP)?;
            for child in descendants(self.pid()) {
                // It may have ended meanwhile.
                let _ = kill(pid(child)?, Signal::SIGKILL);
            }
        }
        self.kill()
    }

    /// SIGTERM, and SIGKILL when it has not ended after `patience`. The status tells which it was.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn terminate(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        if self.is_running() {
            self.signal(Signal::SIGTERM)?;
        }
        match self.wait(patience) {
            Some(status) => Ok(status),
            None => self.kill(),
        }
    }

    /// Its status, when it ends within `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let _ = wait_until(timeout, || !self.is_running());
        self.ended
    }

    /// False when it has ended.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            // An error would mean that it is not our child, which cannot be.
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.is_none()
    }

    /// Starts the same again, after killing it if it still runs; the log goes on.
    ///
    /// # Errors
    /// As [`Spec::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        self.child = self.spec.spawn()?;
        self.ended = None;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about errors here; most mean that all are gone already.
        let group = pid(self.pid());
        if self.is_running() {
            if let Ok(group) = group {
                let _ = killpg(group, Signal::SIGSTOP);
            }
            let _ = self.kill_group(group.ok());
        }
    }
}

impl Process {
    fn kill_group(&mut self, group: Option<Pid>) -> io::Result<ExitStatus> {
        for child in descendants(self.pid()) {
            let _ = kill(pid(child)?, Signal::SIGKILL);
        }
        if let Some(group) = group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        self.kill()
    }
}

fn pid(id: u32) -> io::Result<Pid> {
    i32::try_from(id).map(Pid::from_raw).map_err(|_| io::ErrorKind::InvalidInput.into())
}
