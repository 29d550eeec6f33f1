//! The brain task: the one owner of the queue. Everything that changes a job goes through here, one after the other.
//!
//! The order of every step is: decide (queue) -> store -> act. Answers, commands to workers and events leave only after the
//! batch with their state is on disk; batches are handed to the store without waiting, so that many share one sync.
//!
//! If a commit fails, the memory is ahead of the disk: it is thrown away and read anew from the store, whoever waits gets the
//! error, and nothing is started until a write succeeds again (docs/decisions/0003).

mod act;
mod ask;
mod callbacks;
mod calls;
mod checks;
mod downloads;
mod machine;
mod policy;
mod probes;
mod rates;
mod recover;
mod worker_events;

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::journal::Journal;
use crate::metrics::Counters;
use crate::notify::{self, Runner};
use crate::policy::Settings;
use crate::secrets::Vault;
use crate::workers::{WorkerMessage, Workers};
use openbits_core::{HResult, JobId, Mono, Queue, Ticket, Uid};
use openbits_link::Facts;
use openbits_store::{CommitError, Store};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc, watch};

pub use act::Action;
pub use ask::{Answer, Ask, Handle, View};
pub use checks::Listening;
pub use policy::{ScheduleClock, forbidden};

/// Messages taken before the store is given a batch.
const DRAIN: usize = 512;
/// Durable events of one owner that are kept for readers who come back.
const EVENTS_KEPT: u64 = 20_000;
/// Entries of one job's history that are kept.
const LOG_KEPT: u64 = 500;
/// Batches in flight to the store before the brain takes no further messages.
const IN_FLIGHT: usize = 4096;

/// What the store's writer thread reports: the last batch that is durable, or the first error.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    last: AtomicU64,
    /// Batches below this number were given up by a fail-over: what becomes of them is of no interest.
    valid_from: AtomicU64,
    error: Mutex<Option<CommitError>>,
    notify: Notify,
}

impl Committed {
    fn report(&self, batch: u64, result: Result<(), CommitError>) {
        match result {
            Ok(()) => self.last.store(batch, Ordering::Release),
            Err(_) if batch < self.valid_from.load(Ordering::Acquire) => {}
            Err(error) => {
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
        self.notify.notify_one();
    }

    fn take_error(&self) -> Option<CommitError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Actions that wait for a batch.
struct Pending {
    batch: u64,
    actions: Vec<Action>,
}

/// The brain's state.
pub struct Brain {
    queue: Queue,
    clock: Clock,
    store: Arc<Store>,
    settings: Arc<Settings>,
    vault: Arc<Vault>,
    facts: watch::Receiver<Facts>,
    sharing: rates::Sharing,
    workers: Workers,
    hub: Hub,
    asks: mpsc::Receiver<Ask>,
    worker_messages: mpsc::Receiver<WorkerMessage>,
    alarm: Alarm,
    committed: Arc<Committed>,
    pending: VecDeque<Pending>,
    next_batch: u64,
    event_seq: u64,
    /// Events of each owner since they were trimmed last.
    untrimmed: HashMap<Uid, u64>,
    /// Entries of each job's history since they were trimmed last.
    untrimmed_logs: HashMap<JobId, u64>,
    journal: Journal,
    counters: Counters,
    runner: Runner,
    listeners: callbacks::Listeners,
    /// Who waits for which ticket.
    waiting: HashMap<Ticket, Answer>,
    probes: probes::Probes,
    checks: checks::Checks,
    /// What a worker was told to end, and by when it has to have done so.
    due: HashMap<JobId, (Uid, Mono)>,
    /// Actions of the present round, to be carried out after its batch.
    round: Vec<Action>,
    /// The store refuses writes, and why.
    store_error: Option<(HResult, String)>,
    findings: Vec<String>,
    /// After a failed commit: when to try a write again, and whether one succeeded.
    trial_at: Option<Mono>,
    trial: Arc<AtomicBool>,
    closing: Option<tokio::sync::oneshot::Sender<()>>,
}

/// What the brain is made of.
pub struct Parts {
    /// Clocks.
    pub clock: Clock,
    /// The open store.
    pub store: Arc<Store>,
    /// The queue as it was stored.
    pub queue: Queue,
    /// Newest durable event.
    pub event_seq: u64,
    /// Settings in force.
    pub settings: Arc<Settings>,
    /// Opens what workers need.
    pub vault: Arc<Vault>,
    /// What is known about the machine, and whenever that changes.
    pub facts: watch::Receiver<Facts>,
    /// Workers.
    pub workers: Workers,
    /// Their messages.
    pub worker_messages: mpsc::Receiver<WorkerMessage>,
    /// Listeners.
    pub hub: Hub,
    /// What was noticed when the store was opened.
    pub findings: Vec<String>,
    /// Where the service's events go.
    pub journal: Journal,
    /// How notification programs are run.
    pub notify: notify::Settings,
}

impl Brain {
    /// A brain and the handle to ask it.
    pub fn new(parts: Parts) -> std::io::Result<(Self, Handle)> {
        let (sender, asks) = mpsc::channel(1024);
        let runner = Runner::new(parts.notify, sender.downgrade());
        let handle = Handle { sender, hub: parts.hub.clone(), store: Arc::clone(&parts.store) };
        let brain = Self {
            queue: parts.queue,
            clock: parts.clock,
            store: parts.store,
            settings: parts.settings,
            vault: parts.vault,
            facts: parts.facts,
            sharing: rates::Sharing::default(),
            workers: parts.workers,
            hub: parts.hub,
            asks,
            worker_messages: parts.worker_messages,
            alarm: Alarm::new()?,
            committed: Arc::default(),
            pending: VecDeque::new(),
            next_batch: 1,
            event_seq: parts.event_seq,
            untrimmed: HashMap::new(),
            untrimmed_logs: HashMap::new(),
            journal: parts.journal,
            counters: Counters::default(),
            runner,
            listeners: callbacks::Listeners::default(),
            waiting: HashMap::new(),
            probes: probes::Probes::default(),
            checks: checks::Checks::default(),
            due: HashMap::new(),
            round: Vec::new(),
            store_error: None,
            findings: parts.findings,
            trial_at: None,
            trial: Arc::default(),
            closing: None,
        };
        Ok((brain, handle))
    }

    /// Runs until a shutdown is asked for and everything is stored.
    pub async fn run(mut self) {
        self.review_bandwidth();
        self.review_machine();
        self.suspend_forbidden();
        self.queue.drop_volatile(self.clock.now());
        self.queue.start(self.clock.now());
        self.review_rates();
        self.flush();
        loop {
            let deadline = [
                self.queue.next_deadline(),
                self.recovery_deadline(),
                self.workers.deadline(),
                self.due_deadline(),
                self.checks.deadline(),
            ];
            if let Err(error) = self.alarm.set(deadline.into_iter().flatten().min(), self.clock) {
                tracing::error!(%error, "the alarm clock cannot be set");
            }
            let room = self.pending.len() < IN_FLIGHT;
            let committed = Arc::clone(&self.committed);
            tokio::select! {
                () = committed.notify.notified() => {}
                () = self.alarm.fired() => {}
                // Nobody will tell any more once the watcher is gone: then the facts stay as they are.
                Ok(()) = self.facts.changed() => self.review_machine(),
                Some(message) = self.worker_messages.recv(), if room => self.on_worker(message),
                ask = self.asks.recv(), if room => match ask {
                    Some(ask) => self.on_ask(ask),
                    None => break,
                },
            }
            for _ in 0..DRAIN {
                if self.pending.len() >= IN_FLIGHT {
                    break;
                }
                // One of each, so that busy workers do not keep callers waiting, nor the other way round.
                let message = self.worker_messages.try_recv().ok();
                let ask = self.asks.try_recv().ok();
                if message.is_none() && ask.is_none() {
                    break;
                }
                message.into_iter().for_each(|message| self.on_worker(message));
                ask.into_iter().for_each(|ask| self.on_ask(ask));
            }
            let now = self.clock.now();
            if self.queue.next_deadline().is_some_and(|at| at <= now.mono) {
                self.queue.tick(now);
            }
            if self.queue.policy_review().is_some_and(|at| at <= now.mono) {
                self.review_bandwidth();
            }
            self.check_workers(now);
            self.expire_checks(now);
            self.review_rates();
            // What is carried out may have consequences of its own; nothing is left lying until the next message.
            self.flush();
            self.settle_commits();
            while self.queue.has_effects() && self.pending.len() < IN_FLIGHT {
                self.flush();
                self.settle_commits();
            }
            self.recovered();
            self.recover_if_due();
            if self.closing.is_some() && self.workers.is_idle() && self.pending.is_empty() {
                break;
            }
        }
        if let Some(done) = self.closing.take() {
            let _ = done.send(());
        }
    }

    /// Hands the round's changes to the store and keeps its actions until they are durable.
    fn flush(&mut self) {
        let mut operations = Vec::new();
        self.queue.deliver(self.clock.now());
        let effects = self.queue.take_effects();
        let mut actions = Vec::new();
        for effect in effects {
            self.translate(effect, &mut operations, &mut actions);
        }
        actions.append(&mut self.round);
        if operations.is_empty() && actions.is_empty() {
            return;
        }
        if operations.is_empty() && self.pending.is_empty() {
            for action in actions {
                self.act(action);
            }
            return;
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        self.pending.push_back(Pending { batch, actions });
        let committed = Arc::clone(&self.committed);
        let done = Box::new(move |result| committed.report(batch, result));
        // The store's queue is longer than IN_FLIGHT: this never waits.
        if self.store.submit(operations, done).is_err() {
            self.committed.report(batch, Err(CommitError::Poisoned));
        }
    }

    /// Carries out what became durable.
    fn settle_commits(&mut self) {
        if let Some(error) = self.committed.take_error() {
            self.fail_over(&error);
            return;
        }
        loop {
            let last = self.committed.last.load(Ordering::Acquire);
            let Some(pending) = self.pending.pop_front_if(|p| p.batch <= last) else { break };
            for action in pending.actions {
                self.act(action);
            }
        }
    }
}
