//! Limits of bandwidth: what the policy allows now, divided among the workers that have something to move.
//!
//! A worker keeps to its part until it is told of another one. Only while several have to share do they report what they use, twice a
//! second; what one does not use goes to the others.

use super::{Action, Brain};
use openbits_core::policy::Rate;
use openbits_core::policy::bandwidth::Limit;
use openbits_core::rate::{RATE_MIN, Want, demand, shares};
use openbits_core::{AttemptId, JobId, Priority, Uid};
use openbits_transfer::protocol::{Command, Rates};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What workers were told, and what they told.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Bytes a second of each level now.
    levels: [Option<u64>; 4],
    /// Levels without a limit for servers in the own subnets.
    near_free: [bool; 4],
    /// Each worker's present limits; one that is not here has none.
    sent: HashMap<Uid, (u64, Rates)>,
    /// Bytes a second that moved by the last report.
    used: HashMap<Uid, [u64; 4]>,
    /// Workers whose next report begins under an older limit.
    stale: HashSet<Uid>,
    /// Levels that workers know of.
    known: HashMap<JobId, (AttemptId, Priority)>,
}

impl Sharing {
    /// The limit of a level by the policy, for servers elsewhere and for those in the own subnets.
    pub(super) fn set(&mut self, priority: Priority, far: &Limit, near: &Limit) {
        let level = priority as usize;
        let before = self.levels[level];
        self.levels[level] = match far.rate {
            Rate::Unlimited => None,
            Rate::Limit(bits) => Some((bits / 8).max(RATE_MIN)),
            // Only jobs from neighbours run, and if one is sent elsewhere it gets as good as nothing.
            Rate::Blocked => Some(RATE_MIN),
        };
        self.near_free[level] = near.rate == Rate::Unlimited;
        if self.levels[level] != before {
            // What was used under the old limit says nothing about the new one; nor does the report that is under way.
            let told = std::mem::take(&mut self.used).into_keys();
            self.stale.extend(told);
        }
    }

    fn limits_nothing(&self) -> bool {
        self.levels == [None; 4]
    }

    /// A worker's report.
    pub(super) fn moved(&mut self, owner: Uid, bytes: [u64; 4], ms: u64) {
        if self.stale.remove(&owner) {
            return;
        }
        self.used.insert(owner, bytes.map(|bytes| bytes.saturating_mul(1000) / ms.max(1)));
    }

    /// The parts of these workers; for each, how many jobs of each level it runs.
    fn divide(&self, workers: &BTreeMap<Uid, [u64; 4]>) -> BTreeMap<Uid, [Option<u64>; 4]> {
        let mut asking = Vec::new();
        for (owner, jobs) in workers {
            for (level, limit) in self.levels.iter().enumerate() {
                if let Some(limit) = limit.filter(|_| jobs[level] > 0) {
                    asking.push((*owner, level, limit));
                }
            }
        }
        // One limit for all that runs: the highest of those in force. No level gets more than its own.
        let total = asking.iter().map(|(_, _, limit)| *limit).max().unwrap_or(0);
        let wants: Vec<Want> = asking
            .iter()
            .map(|(owner, level, limit)| {
                let part = self.sent.get(owner).and_then(|(_, rates)| rates.levels[*level]);
                let used = self.used.get(owner).map(|used| used[*level]);
                let can_use = match (part, used) {
                    (Some(part), Some(used)) => demand(part, used, total),
                    _ => u64::MAX,
                };
                Want { most: can_use.min(*limit), weight: workers[owner][*level] }
            })
            .collect();
        let mut parts: BTreeMap<Uid, [Option<u64>; 4]> =
            workers.keys().map(|owner| (*owner, self.levels)).collect();
        for ((owner, level, _), part) in asking.into_iter().zip(shares(total, &wants)) {
            if let Some(levels) = parts.get_mut(&owner) {
                levels[level] = Some(part.max(1));
            }
        }
        parts
    }
}

impl Brain {
    /// Tells workers of changed limits, and of changed levels of their jobs.
    pub(super) fn review_rates(&mut self) {
        if self.sharing.limits_nothing() && self.sharing.sent.is_empty() {
            return;
        }
        let mut workers: BTreeMap<Uid, [u64; 4]> = BTreeMap::new();
        let mut levels = HashMap::new();
        for (job, attempt) in self.queue.running() {
            let Some(owner) = self.queue.worker_of(job.id) else { continue };
            workers.entry(owner).or_default()[job.priority as usize] += 1;
            levels.insert(job.id, (attempt, job.priority));
            if self.sharing.known.get(&job.id) != Some(&(attempt, job.priority)) {
                // After the order, which may still wait to be durable.
                let command = Command::Level { job: job.id, attempt, priority: job.priority };
                self.round.push(Action::Worker(owner, command));
            }
        }
        self.sharing.known = levels;
        let (all, running) = (&self.workers, &workers);
        self.sharing.sent.retain(|owner, (generation, _)| all.generation(*owner) == Some(*generation));
        self.sharing.used.retain(|owner, _| running.contains_key(owner));
        self.sharing.stale.retain(|owner| running.contains_key(owner));
        let shared = workers
            .values()
            .flat_map(|jobs| jobs.iter().zip(self.sharing.levels))
            .filter(|(jobs, limit)| **jobs > 0 && limit.is_some())
            .count();
        if shared < 2 {
            self.sharing.used.clear();
        }
        let subnets: Vec<_> = self.queue.machine().subnets.iter().collect();
        for (owner, levels) in self.sharing.divide(&workers) {
            let rates = if self.sharing.limits_nothing() {
                Rates::default()
            } else {
                let (near_free, subnets) = (self.sharing.near_free, subnets.clone());
                Rates { levels, near_free, subnets, report: shared > 1 }
            };
            let told = self.sharing.sent.get(&owner).map(|(_, rates)| rates);
            if told.map_or(rates == Rates::default(), |told| *told == rates) {
                continue;
            }
            self.command(owner, Command::Rates(Box::new(rates.clone())));
            match self.workers.generation(owner).filter(|_| rates != Rates::default()) {
                Some(generation) => drop(self.sharing.sent.insert(owner, (generation, rates))),
                None => drop(self.sharing.sent.remove(&owner)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(all: &[(u32, [u64; 4])]) -> BTreeMap<Uid, [u64; 4]> {
        all.iter().map(|(uid, jobs)| (Uid(*uid), *jobs)).collect()
    }

    fn limit(rate: Rate) -> Limit {
        Limit { rate, rule: None, until: None }
    }

    fn sharing(background: Rate) -> Sharing {
        let mut sharing = Sharing::default();
        for priority in [Priority::High, Priority::Normal, Priority::Low] {
            sharing.set(priority, &limit(background), &limit(Rate::Unlimited));
        }
        sharing
    }

    #[test]
    fn one_limit_for_all_that_runs() {
        let mut sharing = sharing(Rate::Limit(8_000_000));
        assert_eq!(sharing.near_free, [false, true, true, true]);
        let alone = sharing.divide(&workers(&[(1, [1, 0, 1, 0])]));
        assert_eq!(alone[&Uid(1)], [None, Some(1_000_000), Some(1_000_000), Some(1_000_000)]);
        let two = workers(&[(1, [0, 0, 1, 0]), (2, [0, 0, 3, 0])]);
        let parts = sharing.divide(&two);
        assert_eq!((parts[&Uid(1)][2], parts[&Uid(2)][2]), (Some(250_000), Some(750_000)), "by jobs");
        // Levels of one worker share, too.
        let levels = sharing.divide(&workers(&[(1, [0, 1, 0, 1])]))[&Uid(1)];
        assert_eq!((levels[1], levels[3]), (Some(500_000), Some(500_000)));
        // No level gets more than its own limit, and the others get the rest.
        sharing.set(Priority::Low, &limit(Rate::Limit(800_000)), &limit(Rate::Unlimited));
        let levels = sharing.divide(&workers(&[(1, [0, 1, 0, 1])]))[&Uid(1)];
        assert_eq!((levels[1], levels[3]), (Some(900_000), Some(100_000)));
    }

    #[test]
    fn what_one_does_not_use_goes_to_the_others() {
        let mut sharing = sharing(Rate::Limit(8_000_000));
        let two = workers(&[(1, [0, 0, 1, 0]), (2, [0, 0, 1, 0])]);
        let parts = sharing.divide(&two);
        for (owner, levels) in parts {
            sharing.sent.insert(owner, (1, Rates { levels, ..Rates::default() }));
        }
        sharing.moved(Uid(1), [0, 0, 20_000, 0], 500);
        sharing.moved(Uid(2), [0, 0, 250_000, 0], 500);
        let parts = sharing.divide(&two);
        assert_eq!((parts[&Uid(1)][2], parts[&Uid(2)][2]), (Some(100_000), Some(900_000)));
        // Another limit: everybody begins anew, also if his last report comes late.
        sharing.set(Priority::Normal, &limit(Rate::Limit(80_000_000)), &limit(Rate::Unlimited));
        let fair = Some(5_000_000);
        assert_eq!(sharing.divide(&two).values().map(|levels| levels[2]).collect::<Vec<_>>(), [fair, fair]);
        sharing.moved(Uid(1), [0, 0, 50_000, 0], 500);
        assert_eq!(sharing.divide(&two)[&Uid(1)][2], fair);
        sharing.set(Priority::Normal, &limit(Rate::Limit(8_000_000)), &limit(Rate::Unlimited));
        sharing.moved(Uid(1), [0, 0, 1 << 48, 0], 0);
        assert_eq!(
            sharing.divide(&two)[&Uid(1)][2],
            Some(500_000),
            "a report of nonsense takes no more than a fair part"
        );
    }
}
