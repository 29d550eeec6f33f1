//! Workers: one for each owner with something to do. In user mode it is a thread of the service; in system mode a process with
//! exactly the owner's rights ([`process`]).
//!
//! A worker is replaced when it dies, and killed and replaced when it does not answer a ping in time. An idle process leaves.

mod outbox;
pub mod process;
mod thread;

use openbits_core::{Mono, Uid};
use openbits_transfer::protocol::{Command, Event};
use outbox::Outbox;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A busy worker process is pinged this often, in milliseconds.
const PING_MS: i64 = 5_000;
/// A worker process that leaves a ping unanswered for so long hangs, in milliseconds.
const HANGS_MS: i64 = 10_000;
/// An idle worker process is asked to leave after so many milliseconds.
const IDLE_MS: i64 = 30_000;
/// A worker process that was asked to leave is killed after so many milliseconds.
const LEAVES_MS: i64 = 10_000;
/// Longest delay before the successor of a worker that died early is started, in milliseconds. Calls that need a worker (create with
/// files, complete) wait as long, so it stays far below a client's patience of 60 s.
const RESTART_DELAY_MAX_MS: i64 = 8_000;
/// A worker that lived so long has not died early, in milliseconds.
const LIVED_MS: i64 = 60_000;

/// How workers are run.
#[derive(Clone, Debug)]
pub enum Mode {
    /// One thread for the one user of this service.
    Thread(Uid),
    /// A process for each owner, started from this program.
    Process {
        /// Path of the program: `/proc/self/exe`.
        program: PathBuf,
    },
}

/// From a worker.
#[derive(Debug)]
pub struct WorkerMessage {
    /// Whose worker.
    pub owner: Uid,
    /// Which one of his.
    pub generation: u64,
    /// What it says.
    pub news: WorkerNews,
}

/// What a worker says.
#[derive(Debug)]
pub enum WorkerNews {
    /// A report.
    Event(Event),
    /// It is gone.
    Lost(String),
    /// It could not be started: there is no such account, or no process to be had.
    Impossible(String),
}

struct Slot {
    generation: u64,
    outbox: Arc<Outbox>,
    /// Kills a process; a thread is told to shut down.
    kill: Box<dyn FnMut() + Send>,
    started: Mono,
    /// When to look at it next; never for a thread, which shares the service's fate.
    look_at: Option<Mono>,
    /// When the oldest ping was sent that is not answered yet. Any word from the worker answers it.
    unanswered: Option<Mono>,
    idle_since: Option<Mono>,
    /// It was asked to leave at this time.
    leaving: Option<Mono>,
}

/// Deaths of an owner's workers, for the delay of the next.
#[derive(Clone, Copy, Default)]
struct Deaths {
    in_a_row: u32,
}

impl Slot {
    fn ask_to_leave(&mut self, now: Mono) {
        self.leaving = Some(now);
        self.idle_since = None;
        self.unanswered = None;
        self.look_at = self.look_at.map(|_| now.plus_ms(LEAVES_MS));
        self.outbox.push(Command::Shutdown);
    }
}

/// All workers.
pub struct Workers {
    mode: Mode,
    messages: mpsc::Sender<WorkerMessage>,
    slots: HashMap<Uid, Slot>,
    deaths: HashMap<Uid, Deaths>,
    next_generation: u64,
    next_ping: u64,
}

impl Workers {
    /// No worker runs yet.
    pub fn new(mode: Mode, messages: mpsc::Sender<WorkerMessage>) -> Self {
        Self {
            mode,
            messages,
            slots: HashMap::new(),
            deaths: HashMap::new(),
            next_generation: 1,
            next_ping: 1,
        }
    }

    /// True if this service can work for a user.
    pub fn serves(&self, uid: Uid) -> bool {
        match &self.mode {
            Mode::Thread(own) => *own == uid,
            Mode::Process { .. } => true,
        }
    }

    /// Gives a command to the owner's worker, which is started if there is none.
    pub fn send(&mut self, owner: Uid, command: Command, now: Mono) -> io::Result<()> {
        if self.slots.get(&owner).is_none_or(|slot| slot.leaving.is_some()) {
            // One that is leaving had nothing to do; it must not linger beside its successor.
            self.kill(owner, now);
            self.spawn(owner, now)?;
        }
        if let Some(slot) = self.slots.get_mut(&owner) {
            slot.idle_since = None;
            slot.outbox.push(command);
        }
        Ok(())
    }

    fn spawn(&mut self, owner: Uid, now: Mono) -> io::Result<()> {
        let generation = self.next_generation;
        self.next_generation += 1;
        let outbox = Arc::new(Outbox::default());
        let deaths = self.deaths.get(&owner).copied().unwrap_or_default().in_a_row;
        let delay_ms = match deaths {
            0 | 1 => 0,
            n => (500_i64 << n.min(10)).min(RESTART_DELAY_MAX_MS),
        };
        let kill: Box<dyn FnMut() + Send> = match &self.mode {
            Mode::Thread(_) => thread::spawn(owner, generation, &outbox, &self.messages)?,
            Mode::Process { program } => {
                process::spawn(program, owner, generation, &outbox, &self.messages, delay_ms.unsigned_abs())?
            }
        };
        let slot = Slot {
            generation,
            outbox,
            kill,
            started: now.plus_ms(delay_ms),
            look_at: matches!(self.mode, Mode::Process { .. }).then(|| now.plus_ms(delay_ms + PING_MS)),
            unanswered: None,
            idle_since: None,
            leaving: None,
        };
        self.slots.insert(owner, slot);
        Ok(())
    }

    /// Number of the owner's present worker, if there is one that stays.
    pub fn generation(&self, owner: Uid) -> Option<u64> {
        self.slots.get(&owner).filter(|slot| slot.leaving.is_none()).map(|slot| slot.generation)
    }

    /// True if the message is of the owner's present worker.
    pub fn is_current(&self, owner: Uid, generation: u64) -> bool {
        self.slots.get(&owner).is_some_and(|slot| slot.generation == generation)
    }

    /// The worker gave a sign of life.
    pub fn heard_from(&mut self, owner: Uid) {
        if let Some(slot) = self.slots.get_mut(&owner) {
            slot.unanswered = None;
        }
    }

    /// The worker is gone. True if that was asked for.
    pub fn forget(&mut self, owner: Uid, now: Mono) -> bool {
        let Some(slot) = self.slots.remove(&owner) else { return true };
        if slot.leaving.is_some() {
            self.deaths.remove(&owner);
            return true;
        }
        let deaths = self.deaths.entry(owner).or_default();
        deaths.in_a_row =
            if now.since_ms(slot.started) > LIVED_MS { 1 } else { deaths.in_a_row.saturating_add(1) };
        false
    }

    /// When [`Workers::check`] has something to do; `None` while no worker process is there.
    pub fn deadline(&self) -> Option<Mono> {
        self.slots.values().filter_map(|slot| slot.look_at).min()
    }

    /// Pings who is busy, lets go who is idle, kills who hangs; returns the owners of those that were killed.
    pub fn check(&mut self, now: Mono, busy: impl Fn(Uid) -> bool) -> Vec<Uid> {
        let mut killed = Vec::new();
        for (owner, slot) in &mut self.slots {
            if slot.look_at.is_none_or(|at| at > now) {
                continue;
            }
            let hangs = slot.unanswered.is_some_and(|since| now.since_ms(since) >= HANGS_MS);
            if hangs || slot.leaving.is_some() {
                (slot.kill)();
                killed.push(*owner);
            } else if busy(*owner) {
                slot.idle_since = None;
                slot.outbox.push(Command::Ping { count: self.next_ping });
                self.next_ping += 1;
                slot.unanswered.get_or_insert(now);
                slot.look_at = Some(now.plus_ms(PING_MS));
            } else if slot.idle_since.is_some() {
                slot.ask_to_leave(now);
            } else {
                slot.idle_since = Some(now);
                slot.look_at = Some(now.plus_ms(IDLE_MS));
            }
        }
        for owner in &killed {
            self.forget(*owner, now);
        }
        killed
    }

    /// True if workers are processes, which can be killed.
    pub fn can_kill(&self) -> bool {
        matches!(self.mode, Mode::Process { .. })
    }

    /// Kills the owner's worker; the next command goes to a new one.
    pub fn kill(&mut self, owner: Uid, now: Mono) {
        if let Some(slot) = self.slots.get_mut(&owner) {
            (slot.kill)();
            self.forget(owner, now);
        }
    }

    /// Kills every worker; the next commands go to new ones.
    pub fn replace_all(&mut self) {
        for (_, mut slot) in self.slots.drain() {
            slot.outbox.push(Command::Shutdown);
            (slot.kill)();
        }
    }

    /// Asks every worker to checkpoint and leave.
    pub fn shut_down(&mut self, now: Mono) {
        for slot in self.slots.values_mut() {
            slot.ask_to_leave(now);
        }
    }

    /// True if no worker is left.
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }
}
