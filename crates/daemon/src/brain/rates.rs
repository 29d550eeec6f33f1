//! Limits of bandwidth: what the policy allows now, divided among the workers that have something to move.
//!
//! A worker keeps to its part until it is told of another one. Only while several have to share do they report what they use, twice a
//! second; what one does not use goes to the others.

use super::{Action, Brain};
use openbits_core::job::Dialect;
use openbits_core::policy::Rate;
use openbits_core::policy::bandwidth::Limit;
use openbits_core::rate::{RATE_MIN, Want, demand, shares};
use openbits_core::{AttemptId, Job, JobId, Priority, Uid};
use openbits_transfer::protocol::{Command, Rates};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Limits: one for each priority, and two for jobs of Delivery Optimization beside (FOREGROUND ones, and all others).
const CLASSES: usize = 6;
/// Who shares: all priorities with each other, each class of Delivery Optimization alone.
const GROUPS: [std::ops::Range<usize>; 3] = [0..4, 4..5, 5..6];

/// A number for each limit.
type PerClass<T> = [T; CLASSES];

/// The limits that hold for a job: its level's, and that of Delivery Optimization.
fn classes_of(job: &Job) -> impl Iterator<Item = usize> {
    let delivery = job.dialect() == Dialect::DeliveryOptimization;
    let beside = 4 + usize::from(job.priority != Priority::Foreground);
    [Some(job.priority as usize), delivery.then_some(beside)].into_iter().flatten()
}

fn bytes_of(rate: Rate) -> Option<u64> {
    match rate {
        Rate::Unlimited => None,
        Rate::Limit(bits) => Some((bits / 8).max(RATE_MIN)),
        // Only jobs from neighbours run, and if one is sent elsewhere it gets as good as nothing.
        Rate::Blocked => Some(RATE_MIN),
    }
}

/// What workers were told, and what they told.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Bytes a second of each class now.
    limits: PerClass<Option<u64>>,
    /// Levels without a limit for servers in the own subnets.
    near_free: [bool; 4],
    /// Each worker's present limits; one that is not here has none.
    sent: HashMap<Uid, (u64, Rates)>,
    /// Bytes a second that moved by the last report.
    used: HashMap<Uid, PerClass<u64>>,
    /// Workers whose next report begins under an older limit.
    stale: HashSet<Uid>,
    /// Levels that workers know of.
    known: HashMap<JobId, (AttemptId, Priority)>,
}

fn part_of(rates: &Rates, class: usize) -> Option<u64> {
    rates.levels.iter().chain(&rates.delivery).nth(class).copied().flatten()
}

impl Sharing {
    /// The limit of a level by the policy, for servers elsewhere and for those in the own subnets; and that of Delivery Optimization.
    pub(super) fn set(&mut self, priority: Priority, far: &Limit, near: &Limit, delivery: Rate) {
        let before = self.limits;
        self.limits[priority as usize] = bytes_of(far.rate);
        self.limits[4 + usize::from(priority != Priority::Foreground)] = bytes_of(delivery);
        self.near_free[priority as usize] = near.rate == Rate::Unlimited;
        if self.limits != before {
            // What was used under the old limit says nothing about the new one; nor does the report that is under way.
            let told = std::mem::take(&mut self.used).into_keys();
            self.stale.extend(told);
        }
    }

    fn limits_nothing(&self) -> bool {
        self.limits == [None; CLASSES]
    }

    /// A worker's report.
    pub(super) fn moved(&mut self, owner: Uid, bytes: [u64; 4], delivery: [u64; 2], ms: u64) {
        if self.stale.remove(&owner) {
            return;
        }
        let mut all = bytes.into_iter().chain(delivery);
        let used = std::array::from_fn(|_| all.next().unwrap_or(0).saturating_mul(1000) / ms.max(1));
        self.used.insert(owner, used);
    }

    /// Who asks for a part of a limit of this group, and the limit.
    fn asking(
        &self,
        workers: &BTreeMap<Uid, PerClass<u64>>,
        group: std::ops::Range<usize>,
    ) -> Vec<(Uid, usize, u64)> {
        let classes = |(owner, jobs): (&Uid, &PerClass<u64>)| {
            let (owner, jobs) = (*owner, *jobs);
            group.clone().filter_map(move |class| {
                Some((owner, class, self.limits[class].filter(|_| jobs[class] > 0)?))
            })
        };
        workers.iter().flat_map(classes).collect()
    }

    /// Several share a limit.
    fn is_shared(&self, workers: &BTreeMap<Uid, PerClass<u64>>) -> bool {
        GROUPS.into_iter().any(|group| self.asking(workers, group).len() > 1)
    }

    /// The parts of these workers; for each, how many jobs of each class it runs.
    fn divide(&self, workers: &BTreeMap<Uid, PerClass<u64>>) -> BTreeMap<Uid, PerClass<Option<u64>>> {
        let mut parts: BTreeMap<Uid, PerClass<Option<u64>>> =
            workers.keys().map(|owner| (*owner, self.limits)).collect();
        for group in GROUPS {
            let asking = self.asking(workers, group);
            // One limit for all that runs: the highest of those in force. No level gets more than its own.
            let total = asking.iter().map(|(_, _, limit)| *limit).max().unwrap_or(0);
            let wants: Vec<Want> = asking
                .iter()
                .map(|(owner, class, limit)| {
                    let part = self.sent.get(owner).and_then(|(_, rates)| part_of(rates, *class));
                    let used = self.used.get(owner).map(|used| used[*class]);
                    let can_use = match (part, used) {
                        (Some(part), Some(used)) => demand(part, used, total),
                        _ => u64::MAX,
                    };
                    Want { most: can_use.min(*limit), weight: workers[owner][*class] }
                })
                .collect();
            for ((owner, class, _), part) in asking.into_iter().zip(shares(total, &wants)) {
                if let Some(parts) = parts.get_mut(&owner) {
                    parts[class] = Some(part.max(1));
                }
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
        let mut workers: BTreeMap<Uid, PerClass<u64>> = BTreeMap::new();
        let mut levels = HashMap::new();
        for (job, attempt) in self.queue.running() {
            let Some(owner) = self.queue.worker_of(job.id) else { continue };
            let counts = workers.entry(owner).or_default();
            classes_of(job).for_each(|class| counts[class] += 1);
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
        let shared = self.sharing.is_shared(&workers);
        if !shared {
            self.sharing.used.clear();
        }
        let subnets: Vec<_> = self.queue.machine().subnets.iter().collect();
        for (owner, parts) in self.sharing.divide(&workers) {
            let rates = if self.sharing.limits_nothing() {
                Rates::default()
            } else {
                let [first, second, third, fourth, front, back] = parts;
                let (levels, delivery) = ([first, second, third, fourth], [front, back]);
                let (near_free, subnets) = (self.sharing.near_free, subnets.clone());
                Rates { levels, near_free, delivery, subnets, report: shared }
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
mod tests;
