//! Starting the user's own service when none answers.

use crate::connection::Connection;
use crate::error::Error;
use openbits_api::SOCKET_VARIABLE;
use openbits_api::socket::{Endpoint, Environment, START_LOCK_NAME, SocketError};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a started service may take until it answers, in the default.
pub const START_TIME: Duration = Duration::from_secs(10);
/// A log longer than this is emptied before the next start, in bytes.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// How much of the log an error shows, in bytes.
const TAIL_BYTES: u64 = 2 << 10;
const POLL: Duration = Duration::from_millis(20);

/// How to start the user's own service.
#[derive(Clone, Debug)]
pub struct Starter {
    /// The program.
    pub program: PathBuf,
    /// Its argv\[0\]; the program's path if none.
    pub arg0: Option<OsString>,
    /// Its arguments; `--socket PATH` follows them.
    pub args: Vec<OsString>,
    /// Where its standard error goes.
    pub log: PathBuf,
    /// How long it may take until it answers.
    pub limit: Duration,
    /// Who the user is, and where the socket lives.
    pub environment: Environment,
}

/// Why the service did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The directory of the socket cannot be used.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The lock or the log cannot be made.
    #[error("cannot open {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("cannot run the service {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program ended.
    #[error("the service ended at once ({status}); its log {} says:\n{tail}", log.display())]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The log.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// It runs, and does not answer.
    #[error("the service does not answer after {} s; its log {} says:\n{tail}", limit.as_secs_f32(), log.display())]
    Slow {
        /// The limit.
        limit: Duration,
        /// The log.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
}

impl Starter {
    /// Starts `program --user --socket PATH` under the name `bitsd`, with the log in the state directory.
    pub fn new(program: PathBuf, environment: Environment) -> Self {
        Self {
            program,
            arg0: Some("bitsd".into()),
            args: vec!["--user".into()],
            log: environment.state_directory().join("bitsd.log"),
            limit: START_TIME,
            environment,
        }
    }

    /// Starts the service unless another starter did, and waits until it answers on `endpoint`.
    ///
    /// Starters take turns by a lock beside the socket; the second finds the first one's service and starts none.
    pub async fn start(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let deadline = Instant::now() + self.limit;
        let directory = self.environment.ensure_user_directory().map_err(StartError::from)?;
        let Some(_lock) = self.lock(&directory.join(START_LOCK_NAME), endpoint, deadline).await? else {
            return Ok(());
        };
        if answers(endpoint).await? {
            return Ok(());
        }
        let (log, before) = self.open_log()?;
        let ended = self.spawn(log, &endpoint.path)?;
        loop {
            if answers(endpoint).await? {
                return Ok(());
            }
            if let Ok(status) = ended.try_recv() {
                // The one that lost a race for the store's lock ends; the winner may be about to answer.
                if answers(endpoint).await? {
                    return Ok(());
                }
                let tail = tail(&self.log, before);
                return Err(StartError::Ended { status, log: self.log.clone(), tail }.into());
            }
            if Instant::now() >= deadline {
                let tail = tail(&self.log, before);
                return Err(StartError::Slow { limit: self.limit, log: self.log.clone(), tail }.into());
            }
            sleep(POLL).await;
        }
    }

    /// The lock, or nothing if the service answers meanwhile.
    async fn lock(
        &self,
        path: &Path,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<Option<File>, StartError> {
        let failed = |e: rustix::io::Errno| StartError::File { path: path.to_owned(), source: e.into() };
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(file)),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(e) => return Err(failed(e)),
            }
            if Connection::open(endpoint).await.is_ok() {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                let tail = tail(&self.log, 0);
                return Err(StartError::Slow { limit: self.limit, log: self.log.clone(), tail });
            }
            sleep(POLL).await;
        }
    }

    /// The log for appending, and its length before.
    fn open_log(&self) -> Result<(File, u64), StartError> {
        let failed = |source| StartError::File { path: self.log.clone(), source };
        if let Some(directory) = self.log.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::open(&self.log, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
        let file = File::from(file);
        let mut length = file.metadata().map_err(failed)?.len();
        if length > LOG_BYTES_MAX {
            file.set_len(0).map_err(failed)?;
            length = 0;
        }
        Ok((file, length))
    }

    /// Runs the program in a session of its own, to listen at `socket`; the receiver tells when it ends.
    fn spawn(&self, log: File, socket: &Path) -> Result<Receiver<ExitStatus>, StartError> {
        let mut command = Command::new(&self.program);
        // The caller's variable may name another service's socket: the new one is told where it is waited for.
        command.args(&self.args).arg("--socket").arg(socket).env_remove(SOCKET_VARIABLE);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir("/");
        // They speak to the caller's own service manager, not to this child.
        command.env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS").env_remove("LISTEN_PID");
        if let Some(arg0) = &self.arg0 {
            command.arg0(arg0);
        }
        #[allow(unsafe_code, reason = "a new session can only be made in the child, before exec")]
        // SAFETY: setsid(2) is async-signal-safe; nothing else runs between fork and exec.
        unsafe {
            command.pre_exec(|| rustix::process::setsid().map(|_| ()).map_err(io::Error::from));
        }
        let mut child =
            command.spawn().map_err(|source| StartError::Spawn { program: self.program.clone(), source })?;
        let (send, receive) = sync_channel(1);
        // Reaps the child in callers that live longer than it.
        std::thread::spawn(move || {
            if let Ok(status) = child.wait() {
                let _ = send.send(status); // Nobody waits for it any more.
            }
        });
        Ok(receive)
    }
}

/// The service answers; false if nobody is there, an error if the wrong one is.
async fn answers(endpoint: &Endpoint) -> Result<bool, Error> {
    match Connection::open(endpoint).await {
        Ok(_) => Ok(true),
        Err(Error::Unreachable { .. } | Error::Timeout(_)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The end of what was written since the log had `from` bytes, at most [`TAIL_BYTES`], without control characters.
fn tail(log: &Path, from: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.min(length).max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text =
        read().map_or_else(|e| format!("(unreadable: {e})"), |b| String::from_utf8_lossy(&b).into_owned());
    let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    match text.trim() {
        "" => "(nothing)".to_owned(),
        text => text.to_owned(),
    }
}
