//! The worker: runs orders of the service, and decides nothing about jobs.
//!
//! Everything lives on one thread, but for writing, syncing, and name resolution.

mod attempt;
mod body;
mod exchange;
mod lists;
mod mirrors;
mod pieces;
mod report;
mod speed;
mod steer;
mod verdicts;

use crate::certificates;
use crate::file;
use crate::http::Pool;
use crate::protocol::{Command, Event, FailureClass, Finish, Purpose};
use crate::rate::{Level, Limiter};
use crate::upload::{self, UploadAttempt};
pub(crate) use attempt::{Attempt, Means};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
pub(crate) use exchange::{bind, look_over, server, tell_proxy};
use futures_util::FutureExt;
use openbits_core::hresult::E_UNEXPECTED;
use openbits_core::{AttemptId, JobId, Priority};
pub(crate) use report::{Reporter, failure};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;
use steer::Steer;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;
use verdicts::Verdicts;

/// Beat of the reports of what moves under limits.
const REPORT: Duration = Duration::from_millis(500);
/// Room for events that the service has not read yet, in the channels made here.
const EVENTS: usize = 256;
/// Room for commands that the worker has not read yet.
const COMMANDS: usize = 256;

/// A worker on a thread of its own, for a service that runs in the same process (user mode).
#[derive(Debug)]
pub struct Handle {
    /// Dropping it ends the worker as [`Command::Shutdown`] does.
    pub commands: mpsc::Sender<Command>,
    /// What the worker tells; it waits while nobody reads.
    pub events: mpsc::Receiver<Event>,
    /// Ends after the last event.
    pub thread: JoinHandle<()>,
}

/// Starts a worker on a new thread.
///
/// # Errors
/// No thread or no event loop can be made.
pub fn spawn() -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (commands, commands_in) = mpsc::channel(COMMANDS);
    let (events_out, events) = mpsc::channel(EVENTS);
    let thread = std::thread::Builder::new()
        .name("openbits-worker".into())
        .spawn(move || runtime.block_on(run(commands_in, events_out)))?;
    Ok(Handle { commands, events, thread })
}

/// Runs a worker until [`Command::Shutdown`] or until nobody can send commands any more.
///
/// The future stays on one thread: call it with `block_on` of a current-thread runtime that has I/O and time.
pub async fn run(commands: mpsc::Receiver<Command>, events: mpsc::Sender<Event>) {
    let (pool, limiter) = (Pool::default(), Rc::default());
    let worker = Worker { events, pool, limiter, running: Rc::default(), tasks: JoinSet::new() };
    LocalSet::new().run_until(worker.run(commands)).await;
}

/// An attempt under way.
#[derive(Debug)]
struct Running {
    attempt: AttemptId,
    stop: Rc<Stop>,
    steer: Rc<Steer>,
    ended: Rc<Notify>,
    verdicts: Rc<Verdicts>,
    /// The service has stored what an upload asked it to keep.
    kept: Rc<Notify>,
    level: Rc<Level>,
}

/// Asks an attempt to end.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    asked: Cell<bool>,
    notify: Notify,
}

impl Stop {
    fn ask(&self) {
        self.asked.set(true);
        self.notify.notify_one();
    }

    /// Ends when it is asked to; whoever waits then has to end, since it is told once.
    pub(crate) async fn asked(&self) {
        if !self.asked.get() {
            self.notify.notified().await;
        }
    }
}

/// An attempt that ended; a younger one of the same job stays.
fn forget(map: &Map, job: JobId, attempt: AttemptId) {
    let mut running = map.borrow_mut();
    if running.get(&job).is_some_and(|running| running.attempt == attempt) {
        running.remove(&job);
    }
}

type Map = Rc<RefCell<HashMap<JobId, Running>>>;

struct Worker {
    events: mpsc::Sender<Event>,
    pool: Pool,
    limiter: Rc<Limiter>,
    running: Map,
    tasks: JoinSet<()>,
}

impl Worker {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut report_at = None;
        loop {
            // Nobody is woken for a report while nothing runs, or nobody wants it.
            let reports = self.limiter.reports() && !self.running.borrow().is_empty();
            report_at = reports.then(|| report_at.unwrap_or_else(|| Instant::now() + REPORT));
            let report = async {
                match report_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = report => {
                    report_at = None;
                    let (bytes, delivery, ms) = self.limiter.report();
                    self.say(Event::Moved { bytes, delivery, ms }).await;
                }
                command = commands.recv() => match command {
                    None | Some(Command::Shutdown) => break,
                    Some(command) => self.command(command).await,
                },
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
            }
        }
        for running in self.running.borrow().values() {
            running.stop.ask();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    async fn command(&mut self, command: Command) {
        let crashed = command.refusal(
            E_UNEXPECTED,
            FailureClass::Transient,
            "The transfer program made an error (its log tells where).",
        );
        match command {
            Command::Start(order) => self.start(*order, crashed),
            Command::Stop { job, attempt } => {
                let running =
                    self.running.borrow().get(&job).filter(|r| r.attempt == attempt).map(|r| r.stop.clone());
                match running {
                    Some(stop) => stop.ask(),
                    None => self.say(Event::Stopped { job, attempt }).await,
                }
            }
            Command::Want { job, attempt, file, wanted } => {
                // An attempt that is over hears nothing: the next order says the same.
                if let Some(running) = self.running.borrow().get(&job).filter(|r| r.attempt == attempt) {
                    running.steer.put(file, wanted);
                }
            }
            Command::Rates(rates) => self.limiter.set(*rates),
            Command::Level { job, attempt, priority } => {
                if let Some(running) = self.running.borrow().get(&job).filter(|r| r.attempt == attempt) {
                    running.level.set(priority);
                }
            }
            Command::Ping { count } => self.say(Event::Pong { count }).await,
            Command::Probe { ticket, path, purpose: Purpose::Content { most } } => {
                self.aside(crashed, move || match upload::content(&path, most) {
                    Ok(bytes) => Event::Probed {
                        ticket,
                        result: Ok(Some(bytes.len() as u64)),
                        content: Some(STANDARD.encode(bytes)),
                        id: None,
                    },
                    Err(code) => Event::Probed { ticket, result: Err(code), content: None, id: None },
                });
            }
            Command::FindCertificate { ticket, query } => self.aside(crashed, move || {
                Event::CertificateFound { ticket, result: certificates::find(&query).map(Box::new) }
            }),
            Command::CertificateVerdict { job, attempt, check, code } => {
                if let Some(running) = self.running.borrow().get(&job).filter(|r| r.attempt == attempt) {
                    running.verdicts.give(check, code);
                }
            }
            Command::Probe { ticket, path, purpose } => {
                self.aside(crashed, move || {
                    let (result, id) = match file::probe(&path, purpose) {
                        Ok(found) => (Ok(found.size), found.id),
                        Err(code) => (Err(code), None),
                    };
                    Event::Probed { ticket, result, content: None, id }
                });
            }
            Command::Kept { job, attempt } => {
                if let Some(running) = self.running.borrow().get(&job).filter(|r| r.attempt == attempt) {
                    running.kept.notify_one();
                }
            }
            Command::Finish(order) if order.cancel.is_some() => self.farewell(*order),
            Command::Finish(order) => self.aside(crashed, move || file::finish(&order)),
            Command::Shutdown => {} // ends the loop above
        }
    }

    /// An event to a service that is gone is of no use to anybody.
    async fn say(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    /// Local file work outside of the event loop. `crashed` is the answer if it panics.
    fn aside(&mut self, crashed: Option<Event>, work: impl FnOnce() -> Event + Send + 'static) {
        let events = self.events.clone();
        self.tasks.spawn_local(async move {
            if let Some(event) = tokio::task::spawn_blocking(work).await.ok().or(crashed) {
                let _ = events.send(event).await;
            }
        });
    }

    /// Tells a server that an upload is not wanted any more, and does the file part of the order.
    fn farewell(&mut self, order: Finish) {
        let level = Rc::new(Level::new(Priority::Foreground, false));
        let (steer, verdicts) = (Rc::new(Steer::default()), Rc::new(Verdicts::default()));
        let means = Means { pool: self.pool.clone(), limiter: self.limiter.clone(), level, steer, verdicts };
        let events = self.events.clone();
        // Of no attempt: what is told of it is passed over.
        let reporter = Reporter { job: order.job, attempt: AttemptId(0), events: events.clone() };
        self.tasks.spawn_local(async move {
            let told = match &order.cancel {
                Some(cancel) => Box::pin(upload::cancel(cancel, reporter, means)).await,
                None => true,
            };
            if let Ok(mut done) = tokio::task::spawn_blocking(move || file::finish(&order)).await {
                if let Event::FinishDone { upload_left, .. } = &mut done {
                    *upload_left = !told;
                }
                let _ = events.send(done).await;
            }
        });
    }

    fn start(&mut self, order: crate::protocol::Order, crashed: Option<Event>) {
        let (job, attempt) = (order.job, order.attempt);
        let (stop, ended, kept) = (Rc::new(Stop::default()), Rc::new(Notify::new()), Rc::new(Notify::new()));
        let steer = Rc::new(Steer::default());
        let level = Rc::new(Level::new(order.priority, order.options.delivery_optimization));
        let verdicts = Rc::new(Verdicts::default());
        let running = Running {
            attempt,
            stop: stop.clone(),
            steer: steer.clone(),
            ended: ended.clone(),
            verdicts: verdicts.clone(),
            kept: kept.clone(),
            level: level.clone(),
        };
        let before = self.running.borrow_mut().insert(job, running);
        let (events, pool, map) = (self.events.clone(), self.pool.clone(), self.running.clone());
        let limiter = self.limiter.clone();
        self.tasks.spawn_local(async move {
            if let Some(before) = before {
                // The service starts a job again only after it ended; if not, the older attempt must be out of the file first.
                before.stop.ask();
                before.ended.notified().await;
            }
            let means = Means { pool, limiter, level, steer, verdicts };
            let attempt_at = run_order(order, events.clone(), means, kept, &stop);
            // A panic ends this attempt and no other, and is told like any error. Bytes that its writer still holds may reach the file
            // later: they are of the version that they belong to, and a restart has another file.
            let last = AssertUnwindSafe(Box::pin(attempt_at)).catch_unwind().await;
            if let Some(event) = last.unwrap_or(crashed) {
                let _ = events.send(event).await;
            }
            ended.notify_one();
            forget(&map, job, attempt);
            if stop.asked.get() {
                let _ = events.send(Event::Stopped { job, attempt }).await;
            }
        });
    }
}

/// An upload or a download.
async fn run_order(
    order: crate::protocol::Order,
    events: mpsc::Sender<Event>,
    means: Means,
    kept: Rc<Notify>,
    stop: &Stop,
) -> Option<Event> {
    if order.upload.is_some() {
        return Box::pin(UploadAttempt::new(order, events, means, kept)?.go(stop)).await;
    }
    Box::pin(Attempt::new(order, events, means).go(stop)).await
}

#[cfg(test)]
mod tests;
