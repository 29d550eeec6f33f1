//! Who is next: strict levels, owners in turn, an owner's jobs in turn (spec/behaviour.md 3).
//!
//! Holds only jobs that wait for a turn. Every operation is logarithmic in the number of waiting jobs.

use crate::enums::Priority;
use crate::id::{JobId, Uid};
use std::collections::{BTreeMap, HashMap};

/// The waiting jobs of one level.
#[derive(Debug, Default)]
struct Level {
    owners: BTreeMap<Uid, BTreeMap<u64, JobId>>,
    /// Owner who was served last: the next one in the order of uids is served next.
    last: Option<Uid>,
    count: usize,
}

impl Level {
    fn next_owner(&self) -> Option<Uid> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.last.and_then(|last| self.owners.range((Excluded(last), Unbounded)).next());
        after.or_else(|| self.owners.iter().next()).map(|(owner, _)| *owner)
    }
}

/// Where a job waits.
#[derive(Clone, Copy, Debug)]
struct Place {
    priority: Priority,
    owner: Uid,
    sequence: u64,
}

/// The waiting jobs of all levels.
#[derive(Debug, Default)]
pub struct Scheduler {
    levels: [Level; 4],
    places: HashMap<JobId, Place>,
    next_sequence: u64,
    /// All owners count as one.
    unfair: bool,
}

impl Scheduler {
    /// Owners take turns (the default), or all jobs of a level are one queue.
    pub fn set_fair(&mut self, fair: bool) {
        if self.unfair != fair {
            return;
        }
        self.unfair = !fair;
        self.levels = Default::default();
        for (job, place) in &self.places {
            let level = &mut self.levels[place.priority as usize];
            let ring = if fair { place.owner } else { Uid::ROOT };
            level.owners.entry(ring).or_default().insert(place.sequence, *job);
            level.count += 1;
        }
    }

    /// Whose queue a job of this owner is in.
    const fn ring(&self, owner: Uid) -> Uid {
        if self.unfair { Uid::ROOT } else { owner }
    }

    /// Puts a job at the tail of its owner's queue; one that waits already is moved only if its level or owner changed.
    pub fn insert(&mut self, job: JobId, owner: Uid, priority: Priority) {
        if let Some(place) = self.places.get(&job) {
            if (place.priority, place.owner) == (priority, owner) {
                return;
            }
            self.remove(job);
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let ring = self.ring(owner);
        let level = &mut self.levels[priority as usize];
        level.owners.entry(ring).or_default().insert(sequence, job);
        level.count += 1;
        self.places.insert(job, Place { priority, owner, sequence });
    }

    /// Takes a job out; true if it waited.
    pub fn remove(&mut self, job: JobId) -> bool {
        let Some(Place { priority, owner, sequence }) = self.places.remove(&job) else { return false };
        let ring = self.ring(owner);
        let level = &mut self.levels[priority as usize];
        if let Some(queue) = level.owners.get_mut(&ring) {
            queue.remove(&sequence);
            if queue.is_empty() {
                level.owners.remove(&ring);
            }
        }
        level.count -= 1;
        true
    }

    /// True if the job waits for a turn.
    pub fn is_waiting(&self, job: JobId) -> bool {
        self.places.contains_key(&job)
    }

    /// Number of jobs that wait at a level.
    pub fn waiting(&self, priority: Priority) -> usize {
        self.levels[priority as usize].count
    }

    /// The highest background level at which a job waits.
    pub fn best_background(&self) -> Option<Priority> {
        [Priority::High, Priority::Normal, Priority::Low].into_iter().find(|p| self.waiting(*p) > 0)
    }

    /// Takes the next job of a level: owners in turn, each owner's jobs in the order of arrival.
    pub fn pop(&mut self, priority: Priority) -> Option<JobId> {
        let level = &mut self.levels[priority as usize];
        let owner = level.next_owner()?;
        let queue = level.owners.get_mut(&owner)?;
        let (_, job) = queue.pop_first()?;
        if queue.is_empty() {
            level.owners.remove(&owner);
        }
        level.last = Some(owner);
        level.count -= 1;
        self.places.remove(&job);
        Some(job)
    }

    /// Jobs that are certain to be served before this one: those of higher background levels, and the older ones of its owner.
    /// `None` if the job does not wait.
    pub fn ahead(&self, job: JobId) -> Option<u64> {
        let &Place { priority, owner, sequence } = self.places.get(&job)?;
        let higher: usize = match priority {
            Priority::Foreground => 0,
            _ => self.levels[1..priority as usize].iter().map(|level| level.count).sum(),
        };
        let older = self.levels[priority as usize]
            .owners
            .get(&self.ring(owner))
            .map_or(0, |q| q.range(..sequence).count());
        Some((higher + older) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> JobId {
        JobId::from_bytes([n; 16])
    }

    #[test]
    fn owners_take_turns_and_each_owners_jobs_are_first_in_first_out() {
        let mut s = Scheduler::default();
        for n in 0..3 {
            s.insert(id(n), Uid(1), Priority::Normal);
        }
        s.insert(id(10), Uid(2), Priority::Normal);
        s.insert(id(20), Uid(3), Priority::Normal);
        s.insert(id(30), Uid(3), Priority::Low);
        assert_eq!(s.ahead(id(2)), Some(2));
        assert_eq!(s.ahead(id(30)), Some(5));
        let order: Vec<_> = std::iter::from_fn(|| s.best_background().and_then(|p| s.pop(p))).collect();
        assert_eq!(order, [id(0), id(10), id(20), id(1), id(2), id(30)]);
        assert_eq!(s.ahead(id(2)), None);
    }

    #[test]
    fn a_change_of_level_moves_a_job_and_a_repeated_insert_does_not() {
        let mut s = Scheduler::default();
        s.insert(id(1), Uid(1), Priority::Low);
        s.insert(id(2), Uid(1), Priority::Low);
        s.insert(id(1), Uid(1), Priority::Low);
        assert_eq!(s.waiting(Priority::Low), 2);
        s.insert(id(2), Uid(1), Priority::High);
        assert_eq!((s.waiting(Priority::Low), s.best_background()), (1, Some(Priority::High)));
        assert!(s.remove(id(2)) && !s.remove(id(2)));
        assert_eq!(s.pop(Priority::Low), Some(id(1)));
        assert_eq!(s.best_background(), None);
    }
}
