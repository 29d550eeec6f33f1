//! Notification programs: run as the user who set them, fenced in, with a time limit; how each ended goes to the brain
//! (spec/behaviour.md 16.4, docs/notifications.md). When to run what is the queue's decision.

use crate::brain::Ask;
use crate::system::identity::{Identity, end_of, start_program};
use openbits_core::Uid;
use openbits_core::queue::{CallId, Program, ProgramEnd};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Bytes of a program's output that are kept for the log, of each stream.
const OUTPUT_MAX: usize = 4096;
/// How long a program that ran for too long has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is read after the program's end: what it started may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Variables of the service's environment that a user's own service passes on.
const SESSION_VARIABLES: &[&str] = &[
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
];

/// As whom programs run, and where the service is for those that call back.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The system's service: programs take on their user's identity. Otherwise they run as the service itself.
    pub system: bool,
    /// Socket of the service.
    pub socket: PathBuf,
}

/// Programs that run now.
pub struct Runner {
    settings: Settings,
    results: mpsc::WeakSender<Ask>,
    running: HashMap<CallId, AbortHandle>,
}

impl Runner {
    /// Nothing runs yet.
    pub fn new(settings: Settings, results: mpsc::WeakSender<Ask>) -> Self {
        Self { settings, results, running: HashMap::new() }
    }

    /// Starts a program; its end comes as [`Ask::ProgramEnded`].
    pub fn start(&mut self, program: Program) {
        let (settings, results, call) = (self.settings.clone(), self.results.clone(), program.call);
        let task = tokio::spawn(async move {
            let end = run(&program, &settings).await;
            if let Some(results) = results.upgrade() {
                let _ = results.send(Ask::ProgramEnded(call, end)).await;
            }
        });
        self.running.insert(call, task.abort_handle());
    }

    /// A program ended.
    pub fn forget(&mut self, call: CallId) {
        self.running.remove(&call);
    }

    /// Kills all programs; they run again when what is owed is looked at again.
    pub fn kill_all(&mut self) {
        for (_, task) in self.running.drain() {
            task.abort();
        }
    }
}

/// A program and everything of its process group; killed when let go before its end.
struct Group {
    child: Child,
    /// Readable when the program has ended.
    end: AsyncFd<OwnedFd>,
    reaped: bool,
}

impl Group {
    fn new(child: Child) -> io::Result<Self> {
        let end = match end_of(&child) {
            Ok(end) => end,
            Err(error) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self { child, end, reaped: false })
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let _ready = self.end.readable().await?;
        let status = self.child.wait()?;
        self.reaped = true;
        Ok(status)
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        // As long as the leader is not reaped, its number is nobody else's.
        if let (false, Ok(pid)) = (self.reaped, i32::try_from(self.child.id())) {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        if !self.reaped && !matches!(self.child.try_wait(), Ok(Some(_))) {
            // It dies in a moment, or late if it hangs in the kernel: a thread waits for it, not the service.
            let pid = rustix::process::Pid::from_child(&self.child);
            let wait = move || rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            let _ = std::thread::Builder::new().name("reaper".to_owned()).spawn(wait);
        }
    }
}

async fn run(program: &Program, settings: &Settings) -> ProgramEnd {
    let identity = if settings.system {
        let uid = Uid(program.uid.0);
        match tokio::task::spawn_blocking(move || Identity::of(uid)).await {
            Ok(Ok(identity)) => Some(identity),
            Ok(Err(error)) => return ProgramEnd::NotStarted(error.to_string()),
            Err(error) => return ProgramEnd::NotStarted(error.to_string()),
        }
    } else {
        None
    };
    let command = command(program, settings, identity.as_ref());
    let mut group = match start_program(command, identity.as_ref(), program.timeout_s) {
        Ok(child) => match Group::new(child) {
            Ok(group) => group,
            Err(error) => return ProgramEnd::NotStarted(error.to_string()),
        },
        Err(error) => return ProgramEnd::NotStarted(error.to_string()),
    };
    tracing::info!(job = %program.job, uid = program.uid.0, program = %program.program, arguments = ?program.arguments, "notification program started");
    let stdout = group.child.stdout.take().and_then(|pipe| pipe::Receiver::from_owned_fd(pipe.into()).ok());
    let stderr = group.child.stderr.take().and_then(|pipe| pipe::Receiver::from_owned_fd(pipe.into()).ok());
    let output = tokio::spawn(async move { tokio::join!(read(stdout), read(stderr)) });
    let end = match tokio::time::timeout(Duration::from_secs(program.timeout_s), group.wait()).await {
        Ok(Ok(status)) => ended(status),
        Ok(Err(error)) => ProgramEnd::NotStarted(error.to_string()),
        Err(_) => {
            group.signal(nix::sys::signal::Signal::SIGTERM);
            // Not reaped yet, so that the group's number stays its own until all of it is killed.
            let _ = tokio::time::timeout(GRACE, group.end.readable()).await;
            group.signal(nix::sys::signal::Signal::SIGKILL);
            let _ = tokio::time::timeout(GRACE, group.wait()).await;
            ProgramEnd::TimedOut
        }
    };
    drop(group);
    let abort = output.abort_handle();
    match tokio::time::timeout(LAST_WORDS, output).await {
        Ok(Ok((stdout, stderr))) if !(stdout.is_empty() && stderr.is_empty()) => {
            tracing::info!(job = %program.job, uid = program.uid.0, stdout, stderr, "notification program wrote");
        }
        Ok(_) => {}
        Err(_) => abort.abort(),
    }
    end
}

fn ended(status: ExitStatus) -> ProgramEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => ProgramEnd::Exit(code),
        (None, Some(signal)) => ProgramEnd::Signal(signal),
        (None, None) => ProgramEnd::NotStarted("its end is not known".to_owned()),
    }
}

/// The environment is empty but for what docs/notifications.md lists.
fn command(program: &Program, settings: &Settings, identity: Option<&Identity>) -> Command {
    let mut command = Command::new(&program.program);
    let mut arguments = program.arguments.iter();
    if let Some(first) = arguments.next() {
        command.arg0(first);
    }
    command.args(arguments).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    match identity {
        Some(identity) => {
            command.env("HOME", identity.home()).env("USER", identity.name()).env("LOGNAME", identity.name());
            let runtime = PathBuf::from(format!("/run/user/{}", program.uid));
            if runtime.is_dir() {
                let bus = format!("unix:path={}/bus", runtime.display());
                command.env("DBUS_SESSION_BUS_ADDRESS", bus).env("XDG_RUNTIME_DIR", runtime);
            }
        }
        None => {
            let names = ["HOME", "USER", "LOGNAME"].iter().chain(SESSION_VARIABLES);
            command.envs(names.filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
    }
    command
        .env("JOB_ID", program.job.to_string())
        .env("JOB_STATE", program.state.as_str())
        .env("JOB_ERROR", program.error.map(|code| code.to_string()).unwrap_or_default())
        .env("JOB_NAME", &program.display_name)
        .env(openbits_api::SOCKET_VARIABLE, &settings.socket);
    command
}

/// The first bytes of a stream as text for one line; the rest is read and thrown away, so that the program does not block.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(got @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..got.min(OUTPUT_MAX - kept.len())]);
    }
    // Escaped: whoever writes it must not write lines of the service's log.
    String::from_utf8_lossy(kept.trim_ascii_end()).escape_debug().to_string()
}

#[cfg(test)]
mod tests;
