//! What the queue asks for is done here, in order; and every promise is checked after it.

use super::store::durable_part;
use super::world::{Attempt, FileWork, ROOT, Torn, Workers, World};
use crate::enums::{ErrorContext, JobState, Priority};
use crate::gate::Gate;
use crate::id::{AttemptId, JobId, Ticket, Uid};
use crate::job::Job;
use crate::queue::{Effect, Notice, NoticeKind};
use crate::time::FileTime;
use std::collections::{BTreeMap, BTreeSet};

impl World {
    // ---- effects ----

    /// Does what the queue asks for, in order, and checks its promises.
    pub(super) fn drain(&mut self) {
        loop {
            self.q.deliver(self.now);
            let effects = self.q.take_effects();
            if effects.is_empty() {
                break;
            }
            if let Some(torn) = self.torn.take() {
                if torn == Torn::AfterCommit {
                    let stores =
                        |e: &Effect| matches!(e, Effect::Save(_) | Effect::SaveFile(..) | Effect::Delete(_));
                    effects.into_iter().filter(stores).for_each(|effect| self.execute(effect));
                }
                self.crash();
                return;
            }
            // Of several answers in one breath the last one tells the state that is stored now.
            let mut last = BTreeMap::new();
            for effect in &effects {
                if let Effect::Answer(ticket, _) = effect {
                    last.insert(self.waiting[ticket], *ticket);
                }
            }
            self.last_answers = last.into_values().collect();
            for effect in effects {
                self.execute(effect);
            }
            self.check();
            if self.workers == Workers::Prompt {
                self.answer_promptly();
            }
        }
        self.check();
    }

    pub(super) fn answer_promptly(&mut self) {
        let stopping: Vec<_> = self.attempts.iter().filter(|(_, a)| a.stopping).map(|(id, _)| *id).collect();
        for attempt in stopping {
            self.stopped_attempt(attempt);
        }
        let tickets: Vec<Ticket> = self.work.keys().copied().collect();
        for ticket in tickets {
            self.file_work_done(ticket);
        }
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Save(id) => {
                if let Some(job) = self.q.jobs.get(&id) {
                    self.store.save(job);
                }
            }
            Effect::SaveFile(id, index) => {
                if let Some(job) = self.q.jobs.get(&id) {
                    self.store.save_file(job, index);
                }
            }
            Effect::Delete(id) => self.store.delete(id),
            Effect::Start { job, attempt, owner } => self.execute_start(job, attempt, owner),
            Effect::Stop { job, attempt, owner } => {
                let live = self.attempts.get_mut(&attempt).expect("only live attempts are stopped");
                assert!(live.job == job && live.owner == owner && !live.stopping);
                live.stopping = true;
            }
            Effect::Want { job, attempt, owner, file } => {
                let live = self.attempts.get(&attempt).expect("only live attempts hear of changes");
                assert!(live.job == job && live.owner == owner && !live.stopping);
                let wanted =
                    |job: &Job| job.files.get(file as usize).map(|f| (f.requested.clone(), f.position));
                let stored = self.store.get(job).expect("stored");
                assert_eq!(wanted(stored), wanted(&self.q.jobs[&job]), "what is wanted is durable first");
            }
            Effect::Finish { job, ticket, plan, owner, replay } => {
                assert!(self.attempt(job).is_none(), "no worker writes to a job that is being finished");
                assert!(self.work.values().all(|w| w.job != job), "one finish at a time");
                let stored = self.store.get(job).expect("stored");
                assert!(stored.finishing.is_some(), "the intent is durable first");
                self.work.insert(ticket, FileWork { job, plan, replay, owner });
            }
            Effect::Kept { attempt, .. } => self.kept.push(attempt),
            Effect::Answer(ticket, result) => {
                let job = self.waiting.remove(&ticket).expect("every ticket is answered once");
                match (self.q.jobs.get(&job), self.store.get(job)) {
                    _ if !self.last_answers.contains(&ticket) => {}
                    (None, stored) => assert!(stored.is_none(), "gone before anybody is told"),
                    (Some(live), stored) => {
                        // What follows in the same breath (the next attempt, the next Complete) it does not tell.
                        let told = |job: &Job| {
                            let mut job = Job { finishing: None, ..durable_part(job) };
                            job.files.iter_mut().for_each(|file| file.begun = false);
                            job
                        };
                        assert_eq!(stored.map(told), Some(told(live)), "what an answer tells is durable");
                    }
                }
                self.answers.insert(ticket, result);
            }
            Effect::Notice(notice) => self.execute_notice(notice),
            Effect::Callback(callback) => self.callbacks.push(*callback),
            Effect::Run(program) => {
                let stored = self.store.get(program.job).expect("stored");
                assert!(stored.owed.is_some(), "what is owed is durable first");
                self.programs.push(*program);
            }
            Effect::Log(record) => self.records.push(*record),
        }
    }

    fn execute_start(&mut self, id: JobId, attempt: AttemptId, owner: Uid) {
        assert!(self.attempt(id).is_none(), "a job never has two attempts");
        assert_eq!(
            owner,
            self.q.file_worker(&self.q.jobs[&id]),
            "the worker has the owner's rights, or the helper's"
        );
        let job = &self.q.jobs[&id];
        assert!(!self.paused, "nothing starts while the queue is held");
        let closed = Gate::ALL.into_iter().find(|gate| self.q.is_closed(*gate, job));
        assert_eq!(closed, None, "nothing starts before a closed gate");
        assert!(self.q.machine().is_present(job.owner), "nor while its owner is away");
        let stored = self.store.get(id).expect("stored");
        assert!(stored.files.iter().all(|f| f.begun || !stored.wants(f)), "the beginning is durable first");
        self.attempts.insert(attempt, Attempt { job: id, owner, stopping: false });
        self.started.push(id);
        let background = self
            .attempts
            .values()
            .filter(|a| self.q.jobs.get(&a.job).is_some_and(|job| job.slot_level() != Priority::Foreground));
        let background = background.count();
        let job = &self.q.jobs[&id];
        assert!(!self.policy_blocks.holds(job.priority), "a level that is held does not run");
        if job.slot_level() != Priority::Foreground {
            assert!(background <= self.q.limits().max_background as usize);
        }
    }

    fn execute_notice(&mut self, notice: Notice) {
        match notice.kind {
            NoticeKind::Error => assert_eq!(notice.state, JobState::Error),
            NoticeKind::Transferred => assert_eq!(notice.state, JobState::Transferred),
            NoticeKind::Modified if matches!(notice.state, JobState::Error | JobState::Transferred) => {
                let last = self.notices.iter().rev().find(|n| n.job == notice.job);
                assert!(last.is_none_or(|n| n.state == notice.state), "an entry has its own notice");
            }
            _ => {}
        }
        self.notices.push(notice);
    }

    // ---- promises ----

    fn check(&mut self) {
        self.check_jobs();
        self.check_slots();
        self.check_lists();
    }

    fn check_jobs(&mut self) {
        let q = &self.q;
        for (id, job) in &q.jobs {
            let run = q.runs.get(id);
            let live = run.is_some_and(|run| !run.stopping);
            assert_eq!(live, job.state.is_running() && job.finishing.is_none(), "{job:?} {run:?}");
            let finishing = q.finishes.contains_key(id) || run.is_some_and(|run| run.then.is_some());
            // After a restart it waits for the start.
            // A server that is to be told of a Cancel is told again when the retry delay is over.
            let between = q.paused || job.finishing == Some(crate::job::Finishing::Farewell);
            assert!(job.finishing.is_some() == finishing || (between && job.finishing.is_some()));
            let stored = self.store.get(*id).expect("every job is stored");
            if let Some(attempt) = self.attempt(*id) {
                assert_eq!(run.map(|run| run.attempt), Some(attempt));
            }
            assert_eq!(durable_part(stored), durable_part(job), "memory and store agree");
            let progress = job.progress();
            assert!(progress.files_transferred <= progress.files_total);
            assert!(progress.bytes_total.is_none_or(|total| progress.bytes_transferred <= total));
            assert_eq!(job.transferred_at != FileTime::ZERO, job.state == JobState::Transferred);
            if matches!(job.state, JobState::Error | JobState::TransientError) {
                let error = job.get_error().expect("an error has a record");
                assert!(error.context != ErrorContext::None && !error.code.is_ok());
            }
            if matches!(job.state, JobState::Transferring | JobState::Transferred) {
                assert!(job.get_error().is_err(), "no record in {}", job.state);
            }
            assert_eq!(job.wait.is_some(), job.state == JobState::TransientError);
            assert!(job.created <= job.modified);
            if let Some(before) = self.seen.get(id) {
                assert!(job.modified >= before.modified && job.last_activity >= before.last_activity);
                assert!(job.error_count >= before.error_count);
            }
        }
        self.seen.clone_from(&q.jobs.iter().map(|(id, job)| (*id, job.clone())).collect());
    }

    /// Strict levels, no slot left empty, no level served before a higher one.
    fn check_slots(&self) {
        let q = &self.q;
        let background: Vec<_> = q
            .runs
            .iter()
            .filter(|(id, _)| q.jobs[*id].slot_level() != Priority::Foreground)
            .map(|(id, run)| (q.jobs[id].slot_level(), run.stopping))
            .collect();
        let foreground = q.runs.len() - background.len();
        let cap = q.limits.max_foreground as usize;
        let stopping = background.iter().any(|(_, stopping)| *stopping);
        let live = background.iter().filter(|(_, stopping)| !stopping).count();
        if !self.paused {
            assert!(live <= q.limits.max_background as usize, "no more than the slots");
        }
        let mut waiting = 0;
        for (id, job) in &q.jobs {
            let present = q.machine.is_present(job.owner);
            let waits = job.state == JobState::Queued
                && !q.runs.contains_key(id)
                && job.finishing.is_none()
                && present;
            assert_eq!(q.scheduler.ahead(*id).is_some(), waits, "membership of {job:?}");
            waiting += usize::from(waits);
            if !waits || self.paused || !q.machine.network || self.policy_blocks.holds(job.priority) {
                continue;
            }
            if job.slot_level() == Priority::Foreground {
                assert!(cap > 0 && foreground >= cap, "a foreground job waits for nothing else");
                continue;
            }
            assert!(background.len() >= q.limits.max_background as usize, "no slot is left empty");
            let lower = background.iter().any(|(level, stopping)| !stopping && *level > job.slot_level());
            assert!(!lower || stopping, "a lower level does not run while a higher one waits");
        }
        let listed: usize = Priority::ALL.iter().map(|p| q.scheduler.waiting(*p)).sum();
        assert_eq!(listed, waiting, "nothing waits that is not there");
    }

    fn check_lists(&self) {
        let q = &self.q;
        let all: Vec<_> = q.all_jobs(ROOT, None).expect("root").map(|job| (job.owner, job.id)).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        let open: BTreeSet<_> =
            q.jobs.values().filter(|job| !job.state.is_final()).map(|job| (job.owner, job.id)).collect();
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), open, "exactly the open jobs are listed");
        let mut states = crate::queue::States::default();
        q.jobs.values().for_each(|job| states[usize::from(job.state.value())] += 1);
        assert_eq!(q.states(None), states, "jobs are counted in their states");
        let counted = q.jobs.values().filter(|job| !job.exempt && !job.state.is_final()).count();
        assert_eq!(q.counted, counted, "jobs that count for the limit");
        for (id, job) in &q.finished {
            assert!(job.state.is_final() && !q.jobs.contains_key(id) && self.store.get(*id).is_none());
        }
        assert!(q.deferred.keys().all(|id| q.finishes.contains_key(id) || q.runs.contains_key(id)));
        assert!(self.work.values().all(|w| q.finishes.contains_key(&w.job)));
    }
}
