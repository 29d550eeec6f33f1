//! The thread that listens: it holds the connection for callbacks, and one for each job whose servers are checked.

use super::callers::{self, Work};
use crate::bridge::h;
use crate::pool;
use crate::quiet;
use openbits_client::{Callbacks, Client, Error};
use openbits_core::{HResult, JobId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Commands that may wait.
const COMMANDS_MAX: usize = 64;
/// Pause before the service is looked for again, after the client gave up.
const RETRY: Duration = Duration::from_secs(5);

type Answer = oneshot::Sender<Result<(), HResult>>;

enum Command {
    /// SetNotifyInterface with an object, or with NULL.
    Register { job: JobId, on: bool, answer: Answer },
    /// SetServerCertificateValidationInterface, likewise.
    Check { job: JobId, on: bool, answer: Answer },
    /// The job is over.
    Forget(JobId),
}

/// The way to the thread, and the process it runs in: a child of fork has none of its parent's threads.
static THREAD: Mutex<Option<(u32, mpsc::Sender<Command>)>> = Mutex::new(None);

/// Registers the job with the service, or takes that back.
pub(super) fn register(job: JobId, on: bool) -> Result<(), HResult> {
    if !on && !is_running() {
        // Another program's callback is removed just as well.
        return pool::call(async |client| client.set_notify_interface(job, None).await.map(drop));
    }
    ask(|answer| Command::Register { job, on, answer })
}

/// Has the job's servers checked by this program, or takes that back.
pub(super) fn check(job: JobId, on: bool) -> Result<(), HResult> {
    ask(|answer| Command::Check { job, on, answer })
}

/// Registers the job no more, without asking the service.
pub(super) fn forget(job: JobId) {
    if let Some(thread) = running() {
        let _ = thread.blocking_send(Command::Forget(job)); // The thread has ended: nothing is listened to.
    }
}

fn running() -> Option<mpsc::Sender<Command>> {
    let thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    thread.as_ref().filter(|(pid, _)| *pid == std::process::id()).map(|(_, sender)| sender.clone())
}

fn is_running() -> bool {
    running().is_some()
}

fn ask(command: impl FnOnce(Answer) -> Command) -> Result<(), HResult> {
    let thread = match running() {
        Some(thread) => thread,
        None => start().map_err(|_| h::E_OUTOFMEMORY)?,
    };
    let (answer, answered) = oneshot::channel();
    thread.blocking_send(command(answer)).map_err(|_| h::E_UNEXPECTED)?;
    answered.blocking_recv().unwrap_or(Err(h::E_UNEXPECTED))
}

fn start() -> std::io::Result<mpsc::Sender<Command>> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((pid, sender)) = &*thread
        && *pid == std::process::id()
    {
        return Ok(sender.clone());
    }
    callers::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    std::thread::Builder::new().name("openbits-listen".to_owned()).spawn(move || {
        quiet::for_ever();
        runtime.block_on(Listener::default().run(commands));
    })?;
    *thread = Some((std::process::id(), sender.clone()));
    Ok(sender)
}

#[derive(Default)]
struct Listener {
    client: Option<Client>,
    /// There is one as long as a job is registered.
    callbacks: Option<Callbacks>,
    /// Jobs that shall be registered.
    jobs: BTreeSet<JobId>,
    checks: BTreeMap<JobId, JoinHandle<()>>,
}

impl Listener {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.carry_out(command).await,
                    None => return,
                },
                () = Self::listen(&mut self.callbacks) => {
                    // The service stayed away.
                    self.callbacks = None;
                }
                () = sleep(RETRY), if self.callbacks.is_none() && !self.jobs.is_empty() => self.come_back().await,
            }
        }
    }

    /// Hands every call on; ends when the service is gone for longer than the client waits.
    async fn listen(callbacks: &mut Option<Callbacks>) {
        let Some(callbacks) = callbacks else { return std::future::pending().await };
        while let Ok(call) = callbacks.next().await {
            callers::hand_on(Work::Call(call));
        }
    }

    fn client(&mut self) -> Result<Client, Error> {
        if self.client.is_none() {
            self.client = Some(pool::client()?);
        }
        Ok(self.client.clone().expect("it was just made"))
    }

    async fn carry_out(&mut self, command: Command) {
        let (answer, result) = match command {
            Command::Register { job, on: true, answer } => (answer, self.register(job).await),
            Command::Register { job, on: false, answer } => (answer, self.unregister(job).await),
            Command::Check { job, on: true, answer } => (answer, self.check(job).await),
            Command::Check { job, on: false, answer } => (answer, self.stop_check(job).await),
            Command::Forget(job) => {
                self.jobs.remove(&job);
                self.stop(job);
                self.close_if_idle();
                return;
            }
        };
        let _ = answer.send(result.map_err(|e| pool::code(&e))); // The caller always waits.
    }

    async fn register(&mut self, job: JobId) -> Result<(), Error> {
        let mut callbacks = match self.callbacks.take() {
            Some(callbacks) => callbacks,
            None => self.client()?.callbacks().await?,
        };
        let mut result = callbacks.register(job).await;
        if lost_listener(&result) {
            // The connection broke, and nobody has noticed yet: another one has another number.
            callbacks = self.open().await?;
            result = callbacks.register(job).await;
        }
        if result.is_ok() {
            self.jobs.insert(job);
        }
        self.callbacks = Some(callbacks);
        self.close_if_idle();
        result
    }

    /// A connection with all jobs registered that shall be; jobs that are over are left out.
    async fn open(&mut self) -> Result<Callbacks, Error> {
        let mut callbacks = self.client()?.callbacks().await?;
        for job in self.jobs.clone() {
            match callbacks.register(job).await {
                Err(e) if e.is_gone() => return Err(e),
                Err(_) => {
                    self.jobs.remove(&job);
                }
                Ok(()) => {}
            }
        }
        Ok(callbacks)
    }

    async fn come_back(&mut self) {
        self.callbacks = self.open().await.ok();
        self.close_if_idle();
    }

    async fn unregister(&mut self, job: JobId) -> Result<(), Error> {
        let result = match &mut self.callbacks {
            Some(callbacks) => callbacks.unregister(job).await,
            None => self.client()?.set_notify_interface(job, None).await.map(drop),
        };
        if result.is_ok() {
            self.jobs.remove(&job);
        }
        self.close_if_idle();
        result
    }

    /// Without a job nothing is listened to.
    fn close_if_idle(&mut self) {
        if self.jobs.is_empty() {
            self.callbacks = None;
        }
    }

    async fn check(&mut self, job: JobId) -> Result<(), Error> {
        let mut checks = self.client()?.certificate_checks(job).await?;
        let task = tokio::spawn(async move {
            while let Ok(Some(check)) = checks.next().await {
                callers::hand_on(Work::Check(job, Box::new(check)));
            }
        });
        self.stop(job);
        self.checks.insert(job, task);
        Ok(())
    }

    async fn stop_check(&mut self, job: JobId) -> Result<(), Error> {
        self.client()?.stop_certificate_checks(job).await?;
        self.stop(job);
        Ok(())
    }

    fn stop(&mut self, job: JobId) {
        if let Some(task) = self.checks.remove(&job) {
            task.abort();
        }
    }
}

/// The service does not know the listener, as opposed to the job.
fn lost_listener(result: &Result<(), Error>) -> bool {
    result.as_ref().is_err_and(|e| e.is_code(h::E_INVALIDARG))
}
