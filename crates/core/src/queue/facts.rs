//! Facts about the machine that open and close the way for many jobs at once (spec/behaviour.md 5, 22).

use super::Queue;
use crate::enums::{JobState, Priority};
use crate::id::JobId;
use crate::job::event::Event;
use crate::job::{Job, Wait};
use crate::time::{Mono, Now};

/// For each priority level: nothing may be transferred, and until when (`None`: not known by time).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PolicyBlocks([Option<Option<Mono>>; 4]);

impl PolicyBlocks {
    /// Nothing is held.
    pub const NONE: Self = Self([None; 4]);

    /// The three background levels are held.
    pub const BACKGROUND: Self = Self([None, Some(None), Some(None), Some(None)]);

    /// Holds a level.
    #[must_use]
    pub const fn hold(mut self, priority: Priority, until: Option<Mono>) -> Self {
        self.0[priority as usize] = Some(until);
        self
    }

    /// True if the level is held.
    pub const fn holds(self, priority: Priority) -> bool {
        self.0[priority as usize].is_some()
    }

    /// When the hold ends.
    pub fn until(self, priority: Priority) -> Option<Mono> {
        self.0[priority as usize].flatten()
    }
}

impl Queue {
    /// The network is there, or not. Its return requeues every job in TRANSIENT_ERROR, whatever its error.
    pub fn set_network(&mut self, up: bool, now: Now) {
        if self.network == up {
            return;
        }
        self.network = up;
        let event = if up { Event::NetworkAvailable } else { Event::NetworkLost };
        self.apply_to_all(&event, now);
        self.reschedule(now);
    }

    /// True while the network is there.
    pub fn network(&self) -> bool {
        self.network
    }

    /// Levels for which the bandwidth policy allows nothing now, and when to ask it again ([`Queue::policy_review`]).
    pub fn set_policy_blocks(&mut self, blocks: PolicyBlocks, review: Option<Mono>, now: Now) {
        self.policy_review = review;
        let before = std::mem::replace(&mut self.policy_blocks, blocks);
        if Priority::ALL.iter().all(|p| before.holds(*p) == blocks.holds(*p)) {
            return;
        }
        let moved = |job: &Job| before.holds(job.priority) != blocks.holds(job.priority);
        let busy = |state| matches!(state, JobState::Queued | JobState::TransientError) || state.is_running();
        for id in self.ids_by_age(|job| moved(job) && busy(job.state) && job.finishing.is_none()) {
            let event = match self.jobs.get(&id).map(|job| blocks.holds(job.priority)) {
                Some(true) => Event::PolicyBlocks,
                _ => Event::PolicyUnblocks,
            };
            self.apply(id, event, now);
        }
        self.reschedule(now);
    }

    /// When [`Queue::set_policy_blocks`] has to be called again, because a window of the policy begins or ends.
    pub fn policy_review(&self) -> Option<Mono> {
        self.policy_review
    }

    /// Levels that the policy holds.
    pub fn policy_blocks(&self) -> PolicyBlocks {
        self.policy_blocks
    }

    /// The store takes no writes: nothing is started until [`Queue::start`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Brings a job in line with the gates: one that is ready waits before a closed gate, with that gate's code; one that waits
    /// before a gate that is open, or does not concern it any more, is ready. It makes no difference whether the job or the gate
    /// moved first.
    pub(super) fn pass_gates(&mut self, id: JobId, now: Now) {
        while let Some(event) = self.jobs.get(&id).and_then(|job| self.gate_event(job)) {
            if !self.change(id, event, now) {
                return;
            }
        }
    }

    fn gate_event(&self, job: &Job) -> Option<Event> {
        if job.finishing.is_some() {
            return None;
        }
        let blocked = self.policy_blocks.holds(job.priority);
        match job.wait {
            // What is known about the machine is not complete before the start.
            Some(Wait::Network) if self.network && !self.paused => Some(Event::NetworkAvailable),
            Some(Wait::Policy) if !blocked && !self.paused => Some(Event::PolicyUnblocks),
            Some(_) => None,
            None if job.state != JobState::Queued && !job.state.is_running() => None,
            None if !self.network => Some(Event::NetworkLost),
            None if blocked => Some(Event::PolicyBlocks),
            None => None,
        }
    }

    fn apply_to_all(&mut self, event: &Event, now: Now) {
        let busy = |state| {
            matches!(state, JobState::Queued | JobState::TransientError) || JobState::is_running(state)
        };
        for id in self.ids_by_age(|job| busy(job.state) && job.finishing.is_none()) {
            self.apply(id, event.clone(), now);
        }
    }
}
