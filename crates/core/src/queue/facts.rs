//! Facts about the machine that open and close the way for many jobs at once (spec/behaviour.md 5, 22).

use super::Queue;
use crate::enums::JobState;
use crate::id::JobId;
use crate::job::event::Event;
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

    fn apply_to_all(&mut self, event: &Event, now: Now) {
        let busy = |state| {
            matches!(state, JobState::Queued | JobState::TransientError) || JobState::is_running(state)
        };
        let ids: Vec<JobId> =
            self.jobs.values().filter(|j| busy(j.state) && j.finishing.is_none()).map(|j| j.id).collect();
        for id in ids {
            self.apply(id, event.clone(), now);
        }
    }
}
