//! Facts about the machine that open and close the way for many jobs at once (spec/behaviour.md 5, 22).

use super::Queue;
use crate::enums::{JobState, Priority};
use crate::id::JobId;
use crate::job::event::Event;
use crate::job::{Job, Wait};
use crate::time::Now;

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

    /// The bandwidth policy allows background jobs nothing, or something again.
    pub fn set_policy_blocks(&mut self, blocks: bool, now: Now) {
        if self.policy_blocks == blocks {
            return;
        }
        self.policy_blocks = blocks;
        let event = if blocks { Event::PolicyBlocks } else { Event::PolicyUnblocks };
        self.apply_to_all(&event, now);
        self.reschedule(now);
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
        let blocked = self.policy_blocks && job.priority != Priority::Foreground;
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
