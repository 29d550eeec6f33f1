//! The machine around the queue: a clock, a store, workers, callers. Checks every promise of the queue after every input.

use super::store::{Store, durable_part};
use crate::caller::Caller;
use crate::enums::{JobState, JobType, Priority};
use crate::events_log::Record;
use crate::hresult::HResult;
use crate::id::{AttemptId, JobId, Ticket, Uid};
use crate::job::api::FinishPlan;
use crate::job::credential;
use crate::job::property::Property;
use crate::job::{Credential, Extras, Job, NewFile, Setting};
use crate::limits::Limits;
use crate::queue::{
    Call, Callback, Called, Failure, NewJob, Notice, NoticeKind, PolicyBlocks, Program, Queue, Reason,
};
use crate::secret::Sealed;
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
    /// Calls of callbacks since the last look.
    pub(super) callbacks: Vec<Callback>,
    /// Programs that were started.
    pub(super) programs: Vec<Program>,
    /// What was logged.
    pub(super) records: Vec<Record>,
    /// Jobs in the order in which they were started.
    pub(super) started: Vec<JobId>,
    pub(super) paused: bool,
    /// Attempts that were told that what they asked to be kept is durable.
    pub(super) kept: Vec<AttemptId>,
    pub(super) policy_blocks: PolicyBlocks,
    /// The service dies over the next effects.
    pub(super) torn: Option<Torn>,
    next_id: u16,
    pub(super) last_answers: BTreeSet<Ticket>,
    pub(super) seen: BTreeMap<JobId, Job>,
}

/// A crash in the middle of what follows an input. All saves of one input are one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Torn {
    /// Nothing was stored.
    BeforeCommit,
    /// All was stored, nothing else was done.
    AfterCommit,
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
    NewFile { remote: format!("http://h/{n}"), local: format!("/d/{n}"), ..NewFile::default() }
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
            callbacks: Vec::new(),
            programs: Vec::new(),
            records: Vec::new(),
            started: Vec::new(),
            paused: true,
            kept: Vec::new(),
            policy_blocks: PolicyBlocks::NONE,
            torn: None,
            next_id: 1,
            last_answers: BTreeSet::new(),
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
            properties: vec![
                Property::Priority(i64::from(plan.priority.value())),
                // Every change is to be seen at once.
                Property::Option(Setting::MinimumNotificationInterval(0)),
            ],
            files: (0..plan.files).map(file).collect(),
            resume: plan.resume,
            extras: Extras { auto_complete: plan.auto_complete, ..Extras::NONE },
            delivery: None,
            download: None,
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

    /// SetCredentials, as the door makes it: the values are looked at, the secret is sealed.
    pub(super) fn set_credentials(
        &mut self,
        caller: Caller,
        id: JobId,
        slot: (i64, i64),
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<HResult, HResult> {
        let checked = credential::check(slot.0, slot.1, user, password);
        let sealed = user.map(|user| Sealed::new(format!("sealed {user}")));
        let credential = checked.map(|(target, scheme)| Credential { target, scheme, sealed });
        self.call(caller, id, Call::SetCredentials(credential))
    }

    /// RemoveCredentials.
    pub(super) fn remove_credentials(
        &mut self,
        caller: Caller,
        id: JobId,
        slot: (i64, i64),
    ) -> Result<HResult, HResult> {
        self.call(caller, id, Call::RemoveCredentials { target: slot.0, scheme: slot.1 })
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
        // A program is the owner's to set.
        let owners = matches!(property, Property::NotifyCommand { .. });
        let caller = if owners { Caller::user(self.job(id).owner.0) } else { ROOT };
        self.call(caller, id, Call::Set(vec![property]))
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
        self.hold(if blocks { PolicyBlocks::BACKGROUND } else { PolicyBlocks::NONE }, None);
    }

    /// These levels are held; at `review` they are not any more.
    pub(super) fn hold(&mut self, blocks: PolicyBlocks, review: Option<Mono>) {
        self.policy_blocks = blocks;
        self.q.set_policy_blocks(blocks, review, self.now);
        self.drain();
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.q.set_limits(limits, self.now);
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
        if self.q.policy_review().is_some_and(|at| at <= self.now.mono) {
            self.hold(PolicyBlocks::NONE, None);
        }
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
        // Notices of the last input may be lost with it: keeping them is the store's affair.
        self.notices.clear();
        self.callbacks.clear();
        self.programs.clear();
        let limits = self.q.limits().clone();
        self.q = Queue::load(limits, self.store.load(), self.now);
        (self.paused, self.policy_blocks) = (true, PolicyBlocks::NONE);
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
}
