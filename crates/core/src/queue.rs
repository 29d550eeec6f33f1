//! The queue: every job in memory, and the decisions about all of them together.
//!
//! Inputs are calls ([`calls`]), reports of workers ([`reports`]), clock ticks ([`timers`]) and facts about the machine
//! ([`facts`]). Whatever has to be done comes out as [`Effect`]s, in order. An answer to a caller may leave only after the saves
//! before it are durable; so may every other effect.

mod calls;
mod census;
mod downloads;
mod effect;
mod facts;
mod groups;
mod helper;
mod notices;
mod notify;
mod ranges;
mod record;
mod reports;
mod run;
mod timers;
mod why;

use crate::caller::Caller;
use crate::gate::{Machine, Rules};
use crate::hresult::{self as h, HResult};
use crate::id::{AttemptId, JobId, Ticket, Uid};
use crate::job::{Job, Wait};
use crate::limits::Limits;
use crate::schedule::Scheduler;
use crate::time::{Mono, Now};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

pub use calls::{Call, Called, NewJob};
pub use census::States;
pub use downloads::Category;
pub use effect::{Effect, Failure, Notice, NoticeKind};
pub use facts::PolicyBlocks;
pub use helper::{HELPER_TICKET_S, HelperTicket};
pub use notify::{CallId, Callback, CallbackKind, ListenerId, Program, ProgramEnd};
pub use reports::FileReport;
pub use why::{Reason, Why};

use notify::Notifier;
use run::{Finish, Run};

/// How a background transfer behaves towards others on its path, as its worker told last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// What the controller is doing.
    pub mode: crate::pace::Mode,
    /// Since when.
    pub since: Mono,
    /// Delay of the path without a queue, in microseconds.
    pub base_us: Option<u64>,
    /// Delay by the queue, in microseconds.
    pub queue_us: u64,
    /// Window of all connections of the path, in bytes.
    pub window_bytes: u64,
    /// The delay says little: the window follows what is delivered.
    pub blind: bool,
}
use timers::Timers;

/// How many finished jobs stay readable for callers that still hold them.
const FINISHED_KEPT: usize = 1024;

/// All jobs, and what is going on with them.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    jobs: HashMap<JobId, Job>,
    by_owner: BTreeMap<Uid, BTreeSet<JobId>>,
    /// Jobs of callers that are not exempt, for the limit per machine.
    counted: usize,
    finished: HashMap<JobId, Job>,
    finished_order: VecDeque<JobId>,
    scheduler: Scheduler,
    runs: HashMap<JobId, Run>,
    finishes: HashMap<JobId, Finish>,
    /// Ids of the jobs in groups, and their groups.
    group_jobs: HashMap<JobId, JobId>,
    /// Calls that wait for a Complete in progress.
    deferred: HashMap<JobId, Vec<(Ticket, Caller, Call)>>,
    timers: Timers,
    /// Cache hosts that are left alone, in memory only.
    bans: downloads::Bans,
    /// Second identities of jobs, in memory only.
    helpers: HashMap<JobId, helper::Helper>,
    /// When listeners were told of which job.
    told: HashMap<JobId, notices::Told>,
    /// FileRangesTransferred: what is still to be told.
    telling: HashMap<JobId, ranges::Telling>,
    machine: Machine,
    gate_rules: Rules,
    policy_blocks: PolicyBlocks,
    policy_review: Option<Mono>,
    paused: bool,
    next_attempt: u64,
    next_ticket: u64,
    notify: Notifier,
    census: census::Census,
    /// Who asked for a Complete that is under way.
    completers: HashMap<JobId, Uid>,
    effects: Vec<Effect>,
    /// Jobs that have a [`Effect::Save`] in `effects`.
    saved: HashSet<JobId>,
}

impl Queue {
    /// The queue as it was stored. Jobs that were running are QUEUED again; a Complete or Cancel that was begun goes on.
    ///
    /// Nothing runs before [`Queue::start`].
    pub fn load(limits: Limits, jobs: Vec<Job>, now: Now) -> Self {
        let mut scheduler = Scheduler::default();
        scheduler.set_fair(limits.per_user_fairness);
        let mut queue = Self {
            limits,
            jobs: HashMap::with_capacity(jobs.len()),
            by_owner: BTreeMap::new(),
            counted: 0,
            finished: HashMap::new(),
            finished_order: VecDeque::new(),
            scheduler,
            runs: HashMap::new(),
            finishes: HashMap::new(),
            group_jobs: HashMap::new(),
            deferred: HashMap::new(),
            timers: Timers::default(),
            bans: downloads::Bans::default(),
            helpers: HashMap::new(),
            told: HashMap::new(),
            telling: HashMap::new(),
            machine: Machine::default(),
            gate_rules: Rules::default(),
            policy_blocks: PolicyBlocks::NONE,
            policy_review: None,
            paused: true,
            next_attempt: 1,
            next_ticket: 1,
            notify: Notifier::default(),
            census: census::Census::default(),
            completers: HashMap::new(),
            effects: Vec::new(),
            saved: HashSet::new(),
        };
        let mut jobs = jobs;
        jobs.sort_unstable_by_key(|job| (job.created, job.id));
        for mut job in jobs {
            let _ = job.apply(crate::job::event::Event::ServiceRestarted, now);
            let id = job.id;
            queue.notify.touch_if_owed(&job);
            queue.admit(job);
            queue.settle(id, now);
        }
        queue
    }

    /// Lets jobs run (or again, after a pause).
    pub fn start(&mut self, now: Now) {
        self.paused = false;
        // What was begun before a restart goes on; not earlier, since its end could not be stored.
        for id in self.ids_by_age(|job| job.finishing.is_some()) {
            let begun = self.jobs.get(&id).and_then(|job| job.finishing);
            let under_way = self.finishes.contains_key(&id) || self.runs.contains_key(&id);
            if let Some(finishing) = begun.filter(|_| !under_way) {
                self.finish_again(id, finishing, now);
            }
        }
        // A condition may have ended while nobody looked, and a job that completes itself was not completed.
        let waits_for_gate = |job: &Job| job.wait.and_then(Wait::gate).is_some();
        let completes = |job: &Job| job.extras().auto_complete && job.all_transferred();
        for id in self.ids_by_age(|job| waits_for_gate(job) || completes(job)) {
            self.settle(id, now);
        }
        self.reschedule(now);
    }

    /// True if there is something to take.
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty() || self.owes_a_look()
    }

    /// What has to be done now, in order. Drain it after every input.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.saved.clear();
        std::mem::take(&mut self.effects)
    }

    /// New limits; existing jobs stay (spec/policy.md C6), and their clocks run by the new values.
    pub fn set_limits(&mut self, limits: Limits, now: Now) {
        let periods = |l: &Limits| (l.job_inactivity_s, l.max_download_s, l.retry);
        let changed = periods(&limits) != periods(&self.limits);
        let programs = limits.notify != self.limits.notify;
        let costs = limits.cost_masks != self.limits.cost_masks;
        self.scheduler.set_fair(limits.per_user_fairness);
        self.limits = limits;
        if programs {
            self.review_notices();
        }
        if changed {
            for id in self.ids_by_age(|_| true) {
                self.arm_inactivity(id);
                self.arm_for(id, now);
            }
        }
        if costs {
            self.look_at_gates(now);
        }
        self.reschedule(now);
    }

    /// Limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A job without a check of rights: for the service itself.
    pub fn get(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// GetJob: `BG_E_NOT_FOUND` for an unknown or finished job, `E_ACCESSDENIED` for somebody else's.
    pub fn job(&self, caller: Caller, id: JobId) -> Result<&Job, HResult> {
        let job = self.jobs.get(&id).filter(|job| !job.state.is_final()).ok_or(h::BG_E_NOT_FOUND)?;
        if caller.may_use(job.owner) { Ok(job) } else { Err(h::E_ACCESSDENIED) }
    }

    /// A job by a reference that is still held: finished jobs are readable for a while.
    pub fn held_job(&self, caller: Caller, id: JobId) -> Result<&Job, HResult> {
        let job = self.jobs.get(&id).or_else(|| self.finished.get(&id)).ok_or(h::BG_E_NOT_FOUND)?;
        if caller.may_use(job.owner) { Ok(job) } else { Err(h::E_ACCESSDENIED) }
    }

    /// EnumJobs with flag 0: the caller's own jobs (also for root), in the order of their ids.
    pub fn own_jobs(&self, owner: Uid, after: Option<JobId>) -> impl Iterator<Item = &Job> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let ids = self.by_owner.get(&owner).map(|ids| ids.range((start, Unbounded)));
        ids.into_iter().flatten().filter_map(|id| self.jobs.get(id)).filter(|job| !job.state.is_final())
    }

    /// EnumJobs with BG_JOB_ENUM_ALL_USERS: administrators only. Ordered by owner, then id.
    pub fn all_jobs(
        &self,
        caller: Caller,
        after: Option<(Uid, JobId)>,
    ) -> Result<impl Iterator<Item = &Job>, HResult> {
        if !caller.is_administrator() {
            return Err(h::E_ACCESSDENIED);
        }
        let from = after.map_or(Uid::ROOT, |(owner, _)| owner);
        Ok(self.by_owner.range(from..).flat_map(move |(owner, _)| {
            self.own_jobs(*owner, after.filter(|(o, _)| o == owner).map(|(_, id)| id))
        }))
    }

    /// Number of jobs in the queue, of one owner or of all; jobs in a final state do not count.
    pub fn count(&self, owner: Option<Uid>) -> usize {
        match owner {
            Some(owner) => self.by_owner.get(&owner).map_or(0, BTreeSet::len),
            None => self.by_owner.values().map(BTreeSet::len).sum(),
        }
    }

    /// Jobs that a worker has now: job, owner, attempt.
    pub fn running(&self) -> impl Iterator<Item = (&Job, AttemptId)> {
        self.runs.iter().filter_map(|(id, run)| Some((self.jobs.get(id)?, run.attempt)))
    }

    /// True if a worker of this owner has something to do.
    pub fn owner_is_busy(&self, owner: Uid) -> bool {
        // A run belongs to the worker that has it, also if the job changed hands meanwhile.
        self.runs.values().any(|run| run.owner == owner) || self.finishes.values().any(|f| f.owner == owner)
    }

    /// Whose worker has the job now, for a transfer or for its last step; `None` if nobody has it.
    pub fn worker_of(&self, id: JobId) -> Option<Uid> {
        if let Some(run) = self.runs.get(&id) {
            return Some(run.owner);
        }
        self.finishes.get(&id).map(|finish| finish.owner)
    }

    /// This attempt at the job is the present one, and was not told to stop.
    pub fn has_attempt(&self, id: JobId, attempt: AttemptId) -> bool {
        self.runs.get(&id).is_some_and(|run| run.attempt == attempt && !run.stopping)
    }

    /// Peer of the job's present transfer.
    pub fn peer(&self, id: JobId) -> Option<&str> {
        self.runs.get(&id)?.peer.as_deref()
    }

    /// Pacing of the job's present transfer; `None` if it is not paced.
    pub fn pace(&self, id: JobId) -> Option<&Pace> {
        self.runs.get(&id)?.pace.as_ref()
    }

    /// A new ticket for a call that is answered later.
    pub fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    /// Goes on with the numbers and helper tokens of a queue that this one replaces, so that late messages meant for that one fit nothing here.
    pub fn continue_numbers(&mut self, old: &Self) {
        let shift = old.next_attempt.max(old.next_ticket);
        self.next_attempt += shift;
        self.next_ticket += shift;
        self.notify.continue_numbers(&old.notify);
        self.take_helpers(old);
    }

    /// Jobs in the order of their creation: whatever is done to many jobs at once keeps them roughly first in, first out.
    fn ids_by_age(&self, wanted: impl Fn(&Job) -> bool) -> Vec<JobId> {
        let mut found: Vec<_> =
            self.jobs.values().filter(|job| wanted(job)).map(|job| (job.created, job.id)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    fn attempt(&mut self) -> AttemptId {
        let attempt = AttemptId(self.next_attempt);
        self.next_attempt += 1;
        attempt
    }

    fn admit(&mut self, job: Job) {
        if !job.state.is_final() {
            self.by_owner.entry(job.owner).or_default().insert(job.id);
            self.counted += usize::from(!job.exempt);
            if let Some(inner) = job.extras().group.as_deref().and_then(|group| group.job) {
                self.group_jobs.insert(inner, job.id);
            }
        }
        let id = job.id;
        self.jobs.insert(id, job);
        self.count_job(id);
        self.arm_inactivity(id);
    }

    /// A job that is over appears in no list and counts for no quota, though its files may still be worked on
    /// (spec/bits-core.md 4.5).
    fn unlist(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(ids) = self.by_owner.get_mut(&job.owner) else { return };
        if ids.remove(&id) {
            self.counted -= usize::from(!job.exempt);
            if let Some(inner) = job.extras().group.as_deref().and_then(|group| group.job) {
                self.group_jobs.remove(&inner);
            }
            if ids.is_empty() {
                self.by_owner.remove(&job.owner);
            }
        }
    }

    /// A job leaves the queue; its last form stays readable for a while.
    fn retire(&mut self, id: JobId) {
        self.unlist(id);
        let Some(job) = self.jobs.remove(&id) else { return };
        self.completers.remove(&id);
        self.census.forget(id);
        self.unregister(id);
        self.scheduler.remove(id);
        self.timers.forget(id);
        self.told.remove(&id);
        self.forget_helper(id);
        self.telling.remove(&id);
        self.effects.push(Effect::Delete(id));
        if self.finished_order.len() == FINISHED_KEPT
            && let Some(oldest) = self.finished_order.pop_front()
        {
            self.finished.remove(&oldest);
        }
        self.finished_order.push_back(id);
        self.finished.insert(id, job);
    }
}

#[cfg(test)]
mod tests;
