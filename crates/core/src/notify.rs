//! Notification of a job's end: when the client's callback is called, when the program is run, when either is tried again
//! (spec/behaviour.md 16, spec/bits-core.md 5.2 and 6).
//!
//! Pure: [`Owed::next`] looks at what is owed and at the facts, and says the one step to take; what came of the step goes back in.
//! Who holds the listeners and what is under way is the queue's affair.

pub mod command_line;

use crate::enums::{JobState, notify};
use crate::id::Uid;
use crate::job::NotifyCommand;
use crate::policy::security::matches;
use crate::time::Mono;
use serde::{Deserialize, Serialize};

/// Notifications with an answer that one user may have under way at a time, over all of his applications (spec/behaviour.md 16.3).
pub const IN_FLIGHT_PER_USER: usize = 4;
/// A callback without an answer for so long counts as failed, in milliseconds.
pub const ANSWER_MS: i64 = 60_000;
/// First pause after a refused FileTransferred, in milliseconds; it doubles up to [`FILE_PAUSE_MAX_MS`] (spec/bits-extended.md 8.1).
const FILE_PAUSE_FIRST_MS: i64 = 1_000;
/// Longest pause between two calls of one FileTransferred, in milliseconds.
const FILE_PAUSE_MAX_MS: i64 = 600_000;

/// Pause after the `failures`th refusal of a FileTransferred, in milliseconds.
pub fn file_pause_ms(failures: u32) -> i64 {
    (FILE_PAUSE_FIRST_MS << failures.saturating_sub(1).min(10)).min(FILE_PAUSE_MAX_MS)
}

/// Who may have a program run (policy `notify.commands`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Commands {
    /// Whoever may change the job; it runs as the user who set it.
    Allow,
    /// Only the job's owner.
    #[default]
    OwnerOnly,
    /// Nobody.
    Deny,
}

/// The policy's word on programs (spec/policy.md C4, `notify.*`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Who may have one.
    pub commands: Commands,
    /// Also jobs of system accounts, and programs set by one.
    pub system_accounts: bool,
    /// Longest run, in seconds.
    pub timeout_s: u64,
    /// How often a failed notification is repeated; `None` = for ever.
    pub retries: Option<u32>,
    /// Patterns of program paths.
    pub allowed_programs: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            commands: Commands::OwnerOnly,
            system_accounts: false,
            timeout_s: 3600,
            retries: None,
            allowed_programs: vec!["*".to_owned()],
        }
    }
}

impl Rules {
    /// May this program be set for (and run at the end of) a job of `owner`?
    ///
    /// # Errors
    /// The policy's key that forbids it.
    pub fn check(&self, owner: Uid, setter: Uid, program: &str) -> Result<(), &'static str> {
        match self.commands {
            Commands::Deny => return Err("notify.commands"),
            Commands::OwnerOnly if owner != setter => return Err("notify.commands"),
            Commands::OwnerOnly | Commands::Allow => {}
        }
        let fits = |pattern: &String| {
            // A name that leads elsewhere than it looks fits no pattern but "*".
            let plain = program.split('/').all(|part| part != "." && part != "..");
            pattern == "*" || (plain && matches(pattern, program))
        };
        if self.allowed_programs.iter().any(fits) { Ok(()) } else { Err("notify.allowed_programs") }
    }

    /// The same at the moment of the launch, where the accounts count as well: a job of a system account never runs a program
    /// (spec/behaviour.md 8), but may have one set.
    ///
    /// # Errors
    /// The policy's key that forbids it.
    pub fn check_launch(&self, owner: Uid, command: &NotifyCommand) -> Result<(), &'static str> {
        let setter = command.set_by.unwrap_or(owner);
        self.check(owner, setter, &command.program)?;
        if !self.system_accounts && (owner.is_system() || setter.is_system()) {
            return Err("notify.allow_for_system_accounts");
        }
        Ok(())
    }
}

/// What somebody has to be told. Both are owed from every entry into the state on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The job is TRANSFERRED.
    Transferred,
    /// The job is in ERROR.
    Error,
}

impl Subject {
    /// What the entry into a state owes.
    pub const fn of(state: JobState) -> Option<Self> {
        match state {
            JobState::Transferred => Some(Self::Transferred),
            JobState::Error => Some(Self::Error),
            _ => None,
        }
    }

    /// The `BG_NOTIFY_*` bit that asks for it.
    pub const fn flag(self) -> u32 {
        match self {
            Self::Transferred => notify::JOB_TRANSFERRED,
            Self::Error => notify::JOB_ERROR,
        }
    }
}

/// True if the flags ask for one of these bits, and are not muted.
pub const fn wanted(flags: u32, bits: u32) -> bool {
    flags & notify::DISABLE == 0 && flags & bits != 0
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// The callback accepted it.
    Callback,
    /// The program ended with 0.
    Command,
    /// It was repeated as often as the policy allows.
    GaveUp,
}

/// A notification that is owed, from the entry into the state until the job leaves it. It is stored with the job, so that it is made at
/// least once, whatever is restarted in between.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Owed {
    /// What to tell.
    pub subject: Subject,
    /// Number of the job's entry into such a state: tells a late answer from a timely one.
    pub entry: u32,
    /// Whole rounds (callback, then program) that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// The callback refused in this round: the program is next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// Not again before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Mono>,
    /// Nothing is left to do, until somebody new asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What the decision depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The flags ask for it.
    pub wanted: bool,
    /// A listener is registered and its connection is there.
    pub listener: bool,
    /// A program is set, and the policy lets it run.
    pub command: bool,
    /// Now.
    pub now: Mono,
}

/// The next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// None, until a fact changes.
    Nothing,
    /// Call the listener.
    Call,
    /// Run the program.
    Run,
    /// Look again at this instant.
    At(Mono),
}

impl Owed {
    /// Owed from now on.
    pub const fn new(subject: Subject, entry: u32) -> Self {
        Self { subject, entry, failed: 0, refused: false, not_before: None, settled: None }
    }

    /// What to do now; nothing else of this job is under way.
    pub fn next(&self, facts: Facts) -> Step {
        if self.settled.is_some() || !facts.wanted || !(facts.listener || facts.command) {
            return Step::Nothing;
        }
        if let Some(at) = self.not_before
            && at > facts.now
        {
            return Step::At(at);
        }
        // The callback is not called again for an event that it refused while there is a program to run.
        if facts.listener && !(self.refused && facts.command) { Step::Call } else { Step::Run }
    }

    /// The listener answered; a listener that is gone, or silent for too long, has not accepted. True if the whole round failed.
    pub fn called(&mut self, accepted: bool, has_command: bool, retry_at: Mono, rules: &Rules) -> bool {
        if accepted {
            self.settle(Settled::Callback);
            return false;
        }
        if has_command {
            self.refused = true;
            return false;
        }
        self.round_failed(retry_at, rules);
        true
    }

    /// The program ended (or could not be started). True if the round failed.
    pub fn ran(&mut self, accepted: bool, retry_at: Mono, rules: &Rules) -> bool {
        if accepted {
            self.settle(Settled::Command);
        } else {
            self.round_failed(retry_at, rules);
        }
        !accepted
    }

    /// A listener was registered: it is told of what is so, also if somebody else was told before (spec/bits-core.md 6, duplicate).
    pub fn registered(&mut self) {
        self.again();
    }

    /// Another program was set. It runs, unless a listener that is still there has accepted the event.
    pub fn command_set(&mut self, has_listener: bool) {
        if !(has_listener && self.settled == Some(Settled::Callback)) {
            self.again();
        }
    }

    fn again(&mut self) {
        *self = Self::new(self.subject, self.entry);
    }

    fn settle(&mut self, how: Settled) {
        self.settled = Some(how);
        self.refused = false;
        self.not_before = None;
    }

    fn round_failed(&mut self, retry_at: Mono, rules: &Rules) {
        self.failed = self.failed.saturating_add(1);
        self.refused = false;
        if rules.retries.is_some_and(|most| self.failed > most) {
            self.settle(Settled::GaveUp);
        } else {
            self.not_before = Some(retry_at);
        }
    }
}

#[cfg(test)]
mod tests;
