//! The machine around the queue: a clock, a store, workers, callers. Checks every promise of the queue after every input.

use super::store::{Store, durable_part};
use crate::caller::Caller;
use crate::enums::{ErrorContext, JobState, JobType, Priority};
use crate::hresult::HResult;
use crate::id::{AttemptId, JobId, Ticket, Uid};
use crate::job::api::{FinishPlan, FinishResult};
use crate::job::property::Property;
use crate::job::{ErrorRecord, Extras, Job, NewFile};
use crate::limits::Limits;
use crate::queue::{
    Call, Called, Effect, Failure, FileReport, NewJob, Notice, NoticeKind, PolicyBlocks, Queue, Reason,
};
use crate::range_set::RangeSet;
use crate::time::{FileTime, Mono, Now};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ALICE: Caller = Caller::user(1000);
pub(super) const BOB: Caller = Caller::user(1001);
pub(super) const ROOT: Caller = Caller::root();
/// Size of every file, in bytes.
pub(super) const SIZE: u64 = 1000;

/// An attempt as its worker sees it.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) job: JobId,
    pub(super) owner: Uid,
    pub(super) stopping: bool,
}

/// A Complete or Cancel as its worker sees it.
#[derive(Clone, Debug)]
pub(super) struct FileWork {
    pub(super) job: JobId,
    pub(super) plan: FinishPlan,
    pub(super) replay: bool,
    pub(super) owner: Uid,
}

/// How stops and finishes are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Workers {
    /// At once.
    Prompt,
    /// When the test says so.
    Manual,
}

pub(super) struct World {
    pub(super) q: Queue,
    pub(super) now: Now,
    pub(super) store: Store,
    pub(super) workers: Workers,
    pub(super) attempts: BTreeMap<AttemptId, Attempt>,
    pub(super) work: BTreeMap<Ticket, FileWork>,
    /// Calls without an answer yet.
    pub(super) waiting: BTreeMap<Ticket, JobId>,
    pub(super) answers: BTreeMap<Ticket, Result<HResult, Failure>>,
    pub(super) notices: Vec<Notice>,
    /// Jobs in the order in which they were started.
    pub(super) started: Vec<JobId>,
    pub(super) paused: bool,
    pub(super) policy_blocks: bool,
    next_id: u16,
    seen: BTreeMap<JobId, Job>,
}

/// What a new job is like.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) priority: Priority,
    pub(super) files: u32,
    pub(super) resume: bool,
    pub(super) kind: JobType,
    pub(super) auto_complete: bool,
}

impl Default for Plan {
    fn default() -> Self {
        let (priority, kind) = (Priority::Normal, JobType::Download);
        Self { priority, files: 1, resume: true, kind, auto_complete: false }
    }
}

pub(super) fn file(n: u32) -> NewFile {
    NewFile { remote: format!("http://h/{n}"), local: format!("/d/{n}"), size: None, sha256: None }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let wall = FileTime::from_unix_ms(1_700_000_000_000);
        let now = Now { mono: Mono(5_000_000), wall };
        let mut world = Self {
            q: Queue::load(limits, Vec::new(), now),
            now,
            store: Store::default(),
            workers: Workers::Prompt,
            attempts: BTreeMap::new(),
            work: BTreeMap::new(),
            waiting: BTreeMap::new(),
            answers: BTreeMap::new(),
            notices: Vec::new(),
            started: Vec::new(),
            paused: true,
            policy_blocks: false,
            next_id: 1,
            seen: BTreeMap::new(),
        };
        world.start();
        world
    }

    // ---- callers ----

    pub(super) fn plan(&mut self, plan: &Plan) -> NewJob {
        let mut bytes = [0; 16];
        // Ids are random in life: spread them, so that no test can lean on their order.
        bytes[..2].copy_from_slice(&self.next_id.wrapping_mul(40_503).to_be_bytes());
        bytes[2..4].copy_from_slice(&self.next_id.to_be_bytes());
        self.next_id += 1;
        NewJob {
            id: JobId::from_bytes(bytes),
            display_name: format!("job {}", self.next_id - 1),
            kind: plan.kind,
            properties: vec![Property::Priority(i64::from(plan.priority.value()))],
            files: (0..plan.files).map(file).collect(),
            resume: plan.resume,
            extras: Extras { auto_complete: plan.auto_complete, ..Extras::NONE },
        }
    }

    pub(super) fn try_create(&mut self, caller: Caller, plan: &Plan) -> Result<JobId, HResult> {
        let new = self.plan(plan);
        let before = self.q.count(None);
        let result = self.q.create(caller, new, self.now).map_err(|f| f.code);
        if result.is_err() {
            assert_eq!(self.q.count(None), before, "a refused job leaves nothing behind");
        }
        self.drain();
        result
    }

    pub(super) fn create(&mut self, caller: Caller, plan: Plan) -> JobId {
        self.try_create(caller, &plan).expect("created")
    }

    /// A job of Alice's with one file, resumed.
    pub(super) fn job_at(&mut self, priority: Priority) -> JobId {
        self.create(ALICE, Plan { priority, ..Plan::default() })
    }

    /// A call whose answer may come later.
    pub(super) fn begin(&mut self, caller: Caller, id: JobId, call: Call) -> Called {
        let before = self.q.held_job(ROOT, id).ok().cloned();
        let called = self.q.call(caller, id, call, self.now);
        match &called {
            Called::Later(ticket) => assert_eq!(self.waiting.insert(*ticket, id), None, "tickets are unique"),
            Called::Done(Err(_)) => {
                assert_eq!(self.q.held_job(ROOT, id).ok(), before.as_ref(), "a failed call changes nothing");
            }
            Called::Done(Ok(_)) => {}
        }
        self.drain();
        called
    }

    /// A call that prompt workers let answer at once.
    pub(super) fn call(&mut self, caller: Caller, id: JobId, call: Call) -> Result<HResult, HResult> {
        match self.begin(caller, id, call) {
            Called::Done(result) => result.map_err(|f| f.code),
            Called::Later(ticket) => self.answer(ticket).expect("answered"),
        }
    }

    /// A call that has to wait: its ticket.
    pub(super) fn begin_later(&mut self, caller: Caller, id: JobId, call: Call) -> Ticket {
        match self.begin(caller, id, call) {
            Called::Later(ticket) => ticket,
            Called::Done(result) => panic!("answered at once: {result:?}"),
        }
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<Result<HResult, HResult>> {
        self.answers.get(&ticket).map(|result| result.clone().map_err(|f| f.code))
    }

    pub(super) fn set(&mut self, id: JobId, property: Property) -> Result<HResult, HResult> {
        self.call(ROOT, id, Call::Set(vec![property]))
    }

    pub(super) fn set_priority(&mut self, id: JobId, priority: Priority) {
        let value = i64::from(priority.value());
        self.set(id, Property::Priority(value)).expect("settable");
    }

    // ---- looking ----

    pub(super) fn job(&self, id: JobId) -> &Job {
        self.q.held_job(ROOT, id).expect("known")
    }

    pub(super) fn state(&self, id: JobId) -> JobState {
        self.job(id).state
    }

    pub(super) fn states(&self, ids: &[JobId]) -> Vec<JobState> {
        ids.iter().map(|id| self.state(*id)).collect()
    }

    pub(super) fn is_running(&self, id: JobId) -> bool {
        self.attempt(id).is_some()
    }

    pub(super) fn reason(&self, id: JobId) -> Reason {
        self.q.why(id).expect("known").reason
    }

    pub(super) fn error(&self, id: JobId) -> HResult {
        self.job(id).get_error().expect("an error record").code
    }

    /// Notices of a job since the last look, oldest first; progress left out.
    pub(super) fn take_notices(&mut self, id: JobId) -> Vec<(NoticeKind, JobState)> {
        let mine = self.notices.iter().filter(|n| n.job == id && n.kind != NoticeKind::Progress);
        let kinds = mine.map(|n| (n.kind, n.state)).collect();
        self.notices.retain(|n| n.job != id);
        kinds
    }

    // ---- the machine ----

    pub(super) fn start(&mut self) {
        self.paused = false;
        self.q.start(self.now);
        self.drain();
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
        self.q.pause();
        self.drain();
    }

    pub(super) fn network(&mut self, up: bool) {
        self.q.set_network(up, self.now);
        self.drain();
    }

    pub(super) fn policy(&mut self, blocks: bool) {
        self.policy_blocks = blocks;
        let levels = if blocks { PolicyBlocks::BACKGROUND } else { PolicyBlocks::NONE };
        self.q.set_policy_blocks(levels, None, self.now);
        self.drain();
    }

    /// Both clocks go on by whole seconds; every deadline on the way is kept to the millisecond.
    pub(super) fn pass(&mut self, seconds: u64) {
        let end = self.now.mono.plus_s(seconds);
        for _ in 0..10_000 {
            match self.q.next_deadline() {
                Some(at) if at <= end => {
                    self.clock_to(at.max(self.now.mono));
                    self.tick();
                }
                _ => {
                    self.clock_to(end);
                    return;
                }
            }
        }
        panic!("the queue asks for ever to be looked at");
    }

    fn clock_to(&mut self, to: Mono) {
        let ms = to.since_ms(self.now.mono);
        self.now = Now { mono: to, wall: FileTime(self.now.wall.0 + ms.cast_unsigned() * 10_000) };
    }

    pub(super) fn tick(&mut self) {
        self.q.tick(self.now);
        let next = self.q.next_deadline();
        assert!(next.is_none_or(|at| at > self.now.mono), "nothing that is due is left: {next:?}");
        self.drain();
    }

    /// The service is killed and starts again; nobody hears of calls that had no answer.
    pub(super) fn crash(&mut self) {
        self.crash_stopped();
        self.start();
    }

    /// The same, up to the moment before jobs run.
    pub(super) fn crash_stopped(&mut self) {
        self.attempts.clear();
        self.work.clear();
        self.waiting.clear();
        let limits = self.q.limits().clone();
        self.q = Queue::load(limits, self.store.load(), self.now);
        (self.paused, self.policy_blocks) = (true, false);
        self.seen.clear();
        assert_eq!(self.q.jobs.len(), self.store.ids().count(), "no job is lost");
        for id in self.store.ids() {
            let (ours, stored) =
                (durable_part(&self.q.jobs[&id]), durable_part(self.store.get(id).expect("twin")));
            assert_eq!(ours, stored, "what was durable is what is there");
        }
        assert!(self.q.runs.is_empty(), "nothing runs before the start");
        self.drain();
    }

    // ---- workers ----

    pub(super) fn attempt(&self, id: JobId) -> Option<AttemptId> {
        self.attempts.iter().find(|(_, a)| a.job == id).map(|(attempt, _)| *attempt)
    }

    fn live(&self, id: JobId) -> AttemptId {
        self.attempt(id).unwrap_or_else(|| panic!("no attempt, the job is {}", self.state(id)))
    }

    pub(super) fn connect(&mut self, id: JobId) {
        let attempt = self.live(id);
        self.q.on_connected(id, attempt, 0, Some(SIZE), "h:80", self.now);
        self.drain();
    }

    /// A worker wrote this many bytes of the file.
    pub(super) fn bytes(&mut self, id: JobId, file: u32, bytes: u64) {
        let attempt = self.live(id);
        self.q.on_progress(id, attempt, file, bytes, self.now);
        self.drain();
    }

    pub(super) fn checkpoint(&mut self, id: JobId, file: u32, bytes: u64) {
        let attempt = self.live(id);
        let report = FileReport {
            file,
            size: Some(SIZE),
            done: RangeSet::prefix(bytes),
            etag: Some("\"v1\"".into()),
            finished: bytes == SIZE,
            ..FileReport::default()
        };
        self.q.on_checkpoint(id, attempt, vec![report], self.now);
        self.drain();
    }

    pub(super) fn done(&mut self, id: JobId) {
        let attempt = self.live(id);
        if !self.attempts[&attempt].stopping {
            self.attempts.remove(&attempt);
        }
        self.q.on_done(id, attempt, self.now);
        self.drain();
    }

    /// The worker moves everything that is left.
    pub(super) fn transfer(&mut self, id: JobId) {
        self.connect(id);
        for index in 0..self.job(id).files.len() {
            if !self.job(id).files[index].transferred {
                self.checkpoint(id, u32::try_from(index).expect("few"), SIZE);
            }
        }
        self.done(id);
    }

    /// The same, unless the attempt is being stopped.
    pub(super) fn transfer_if_live(&mut self, id: JobId) {
        if self.attempt(id).is_some_and(|attempt| !self.attempts[&attempt].stopping) {
            self.transfer(id);
        }
    }

    /// The attempt ends with an error; `retry` as in the report.
    pub(super) fn fail(&mut self, id: JobId, code: HResult, retry: Option<u64>) {
        let attempt = self.live(id);
        if !self.attempts[&attempt].stopping {
            self.attempts.remove(&attempt);
        }
        let record = ErrorRecord::new(code, ErrorContext::RemoteFile, self.now.wall);
        self.q.on_failed(id, attempt, record, retry, self.now);
        self.drain();
    }

    pub(super) fn stopped(&mut self, id: JobId) {
        let attempt = self.live(id);
        self.stopped_attempt(attempt);
    }

    pub(super) fn stopped_attempt(&mut self, attempt: AttemptId) {
        let Some(gone) = self.attempts.remove(&attempt) else { return };
        assert!(gone.stopping, "only a stop is answered");
        self.q.on_stopped(gone.job, attempt, self.now);
        self.drain();
    }

    /// The file work of a job, which a manual worker has.
    pub(super) fn file_work(&self, id: JobId) -> Option<(Ticket, FileWork)> {
        self.work.iter().find(|(_, w)| w.job == id).map(|(t, w)| (*t, w.clone()))
    }

    /// The worker did everything of the plan.
    pub(super) fn file_work_done(&mut self, ticket: Ticket) {
        let Some(work) = self.work.remove(&ticket) else { return };
        let result = FinishResult { renamed: work.plan.rename, ..FinishResult::default() };
        self.q.on_finish_done(work.job, ticket, &result, None, self.now);
        self.drain();
    }

    /// The first `renamed` files are in place, the next one could not be renamed.
    pub(super) fn file_work_failed(&mut self, ticket: Ticket, renamed: usize, code: HResult) {
        let work = self.work.remove(&ticket).expect("under way");
        let at = work.plan.rename[renamed];
        let result = FinishResult {
            renamed: work.plan.rename[..renamed].to_vec(),
            error: Some(code),
            left_behind: false,
        };
        self.q.on_finish_done(work.job, ticket, &result, Some((at, code, "in use".into())), self.now);
        self.drain();
    }

    pub(super) fn worker_lost(&mut self, owner: Uid) {
        self.attempts.retain(|_, a| a.owner != owner);
        self.work.retain(|_, w| w.owner != owner);
        self.q.on_worker_lost(owner, self.now);
        self.drain();
    }

    // ---- effects ----

    /// Does what the queue asks for, in order, and checks its promises.
    pub(super) fn drain(&mut self) {
        loop {
            let effects = self.q.take_effects();
            if effects.is_empty() {
                break;
            }
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
            Effect::Start { job, attempt } => self.execute_start(job, attempt),
            Effect::Stop { job, attempt, owner } => {
                let live = self.attempts.get_mut(&attempt).expect("only live attempts are stopped");
                assert!(live.job == job && live.owner == owner && !live.stopping);
                live.stopping = true;
            }
            Effect::Finish { job, ticket, plan, replay } => {
                assert!(self.attempt(job).is_none(), "no worker writes to a job that is being finished");
                assert!(self.work.values().all(|w| w.job != job), "one finish at a time");
                let stored = self.store.get(job).expect("stored");
                assert!(stored.finishing.is_some(), "the intent is durable first");
                self.work.insert(ticket, FileWork { job, plan, replay, owner: stored.owner });
            }
            Effect::Answer(ticket, result) => {
                let job = self.waiting.remove(&ticket).expect("every ticket is answered once");
                if let Some(live) = self.q.jobs.get(&job) {
                    let strip = |job: &Job| Job { finishing: None, ..durable_part(job) };
                    let stored = self.store.get(job).expect("stored");
                    assert_eq!(strip(stored), strip(live), "what an answer tells is durable");
                } else {
                    assert!(self.store.get(job).is_none(), "a finished job is gone before anybody is told");
                }
                self.answers.insert(ticket, result);
            }
            Effect::Notice(notice) => self.execute_notice(notice),
        }
    }

    fn execute_start(&mut self, id: JobId, attempt: AttemptId) {
        assert!(self.attempt(id).is_none(), "a job never has two attempts");
        let job = &self.q.jobs[&id];
        assert!(!self.paused && self.q.network(), "nothing starts while the queue is held");
        let stored = self.store.get(id).expect("stored");
        assert!(stored.files.iter().all(|f| f.begun || f.transferred), "the beginning is durable first");
        self.attempts.insert(attempt, Attempt { job: id, owner: job.owner, stopping: false });
        self.started.push(id);
        let background = self
            .attempts
            .values()
            .filter(|a| self.q.jobs.get(&a.job).is_some_and(|job| job.priority != Priority::Foreground));
        let background = background.count();
        if self.q.jobs[&id].priority != Priority::Foreground {
            assert!(!self.policy_blocks && background <= self.q.limits().max_background as usize);
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
            assert_eq!(job.finishing.is_some(), finishing);
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
            .filter(|(id, _)| q.jobs[*id].priority != Priority::Foreground)
            .map(|(id, run)| (q.jobs[id].priority, run.stopping))
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
            let waits = job.state == JobState::Queued && !q.runs.contains_key(id) && job.finishing.is_none();
            assert_eq!(q.scheduler.ahead(*id).is_some(), waits, "membership of {job:?}");
            waiting += usize::from(waits);
            if !waits || self.paused || !q.network {
                continue;
            }
            if job.priority == Priority::Foreground {
                assert!(cap > 0 && foreground >= cap, "a foreground job waits for nothing else");
                continue;
            }
            if self.policy_blocks {
                continue;
            }
            assert!(background.len() >= q.limits.max_background as usize, "no slot is left empty");
            let lower = background.iter().any(|(level, stopping)| !stopping && *level > job.priority);
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
        let counted = q.jobs.values().filter(|job| !job.exempt && !job.state.is_final()).count();
        assert_eq!(q.counted, counted, "jobs that count for the limit");
        for (id, job) in &q.finished {
            assert!(job.state.is_final() && !q.jobs.contains_key(id) && self.store.get(*id).is_none());
        }
        assert!(q.deferred.keys().all(|id| q.finishes.contains_key(id) || q.runs.contains_key(id)));
        assert!(self.work.values().all(|w| q.finishes.contains_key(&w.job)));
    }
}
