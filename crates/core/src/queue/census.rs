//! Numbers for the metrics, kept as things happen: asking for them walks states, not jobs.

use super::Queue;
use crate::enums::JobState;
use crate::id::{JobId, Uid};
use std::collections::{BTreeMap, HashMap};

/// Jobs in each state, by the state's number.
pub type States = [u64; 9];

/// Jobs and bytes of each owner.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Where each job was counted last.
    seen: HashMap<JobId, (Uid, JobState)>,
    owners: BTreeMap<Uid, States>,
    received: BTreeMap<Uid, u64>,
}

impl Census {
    pub(super) fn see(&mut self, id: JobId, owner: Uid, state: JobState) {
        match self.seen.insert(id, (owner, state)) {
            Some(before) if before == (owner, state) => return,
            Some(before) => self.leave(before),
            None => {}
        }
        self.owners.entry(owner).or_default()[usize::from(state.value())] += 1;
    }

    pub(super) fn forget(&mut self, id: JobId) {
        if let Some(before) = self.seen.remove(&id) {
            self.leave(before);
        }
    }

    pub(super) fn receive(&mut self, owner: Uid, bytes: u64) {
        *self.received.entry(owner).or_default() += bytes;
    }

    fn leave(&mut self, (owner, state): (Uid, JobState)) {
        let Some(states) = self.owners.get_mut(&owner) else { return };
        states[usize::from(state.value())] -= 1;
        if *states == States::default() {
            self.owners.remove(&owner);
        }
    }
}

impl Queue {
    /// Jobs in each state, of one owner or of all. Takes time in proportion to the owners.
    pub fn states(&self, owner: Option<Uid>) -> States {
        match owner {
            Some(owner) => self.census.owners.get(&owner).copied().unwrap_or_default(),
            None => self.census.owners.values().fold(States::default(), |mut sum, states| {
                sum.iter_mut().zip(states).for_each(|(sum, n)| *sum += n);
                sum
            }),
        }
    }

    /// Bytes that became durable since the start, of one owner's jobs or of all.
    pub fn received(&self, owner: Option<Uid>) -> u64 {
        match owner {
            Some(owner) => self.census.received.get(&owner).copied().unwrap_or(0),
            None => self.census.received.values().sum(),
        }
    }

    pub(super) fn count_job(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get(&id) {
            self.census.see(id, job.owner, job.state);
        }
    }
}
