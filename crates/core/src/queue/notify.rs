//! Notifications of all jobs together: listeners, what is under way, who waits for a turn.
//!
//! The decision for one job is [`crate::notify`]'s. A job is looked at when something of it was saved, when a deadline of it came, or
//! when a turn is free; nothing else costs anything. Listeners live as long as their connection and are not stored; what is owed is.

use super::timers::Kind;
use super::{Effect, Failure, Notice, NoticeKind, Queue};
use crate::caller::Caller;
use crate::enums::{JobState, notify as flag};
use crate::hresult::{self as h, HResult};
use crate::id::{JobId, Uid};
use crate::job::property::Property;
use crate::job::{Job, NotifyCommand};
use crate::notify::{ANSWER_MS, Facts, IN_FLIGHT_PER_USER, Owed, Step, Subject, file_pause_ms, wanted};
use crate::range_set::RangeSet;
use crate::time::{Mono, Now};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// A client's connection for callbacks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ListenerId(pub u64);

/// One call of a callback, or one run of a program, that has an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CallId(pub u64);

/// What a callback tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallbackKind {
    /// JobTransferred
    Transferred,
    /// JobError
    Error,
    /// JobModification; without an answer.
    Modification,
    /// FileTransferred
    FileTransferred(u32),
    /// FileRangesTransferred: what arrived since the call before; without an answer.
    RangesTransferred(u32, RangeSet),
}

/// A call of a job's callback.
#[derive(Clone, PartialEq, Debug)]
pub struct Callback {
    /// Whose connection.
    pub listener: ListenerId,
    /// Comes back in the answer; `None`: nobody waits for one.
    pub call: Option<CallId>,
    /// What is told.
    pub kind: CallbackKind,
    /// The job as it is.
    pub job: Notice,
}

/// A program to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Comes back in [`Queue::on_program`].
    pub call: CallId,
    /// The job.
    pub job: JobId,
    /// As whom.
    pub uid: Uid,
    /// Full path.
    pub program: String,
    /// Arguments, the first is the program's name.
    pub arguments: Vec<String>,
    /// State of the job.
    pub state: JobState,
    /// Its error.
    pub error: Option<HResult>,
    /// Its name.
    pub display_name: String,
    /// Longest run, in seconds.
    pub timeout_s: u64,
}

/// How a program ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProgramEnd {
    /// With this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It ran for too long and was killed.
    TimedOut,
    /// It could not be started, and why.
    NotStarted(String),
}

/// What is under way for a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Callback { listener: ListenerId, entry: u32 },
    File { listener: ListenerId, index: u32, restarts: u32 },
    Program { entry: u32 },
}

impl What {
    const fn listener(self) -> Option<ListenerId> {
        match self {
            Self::Callback { listener, .. } | Self::File { listener, .. } => Some(listener),
            Self::Program { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    job: JobId,
    uid: Uid,
    what: What,
    /// A program's time is its runner's affair.
    deadline: Option<Mono>,
}

#[derive(Debug)]
struct Listener {
    uid: Uid,
    jobs: BTreeSet<JobId>,
}

/// SetNotifyInterface of one job.
#[derive(Debug)]
struct Registration {
    listener: ListenerId,
    /// Finished files that the callback has not accepted.
    files: BTreeSet<u32>,
    file_failures: u32,
    file_not_before: Option<Mono>,
    /// The last JobModification.
    told_at: Option<Mono>,
    /// A modification that is not told yet.
    modified: bool,
}

/// Listeners and what is under way.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    listeners: HashMap<ListenerId, Listener>,
    registered: HashMap<JobId, Registration>,
    calls: HashMap<CallId, InFlight>,
    /// Of each job at most one.
    busy: HashMap<JobId, CallId>,
    counts: HashMap<Uid, usize>,
    /// Jobs that wait for a turn of their user, each once.
    waiting: BTreeMap<Uid, VecDeque<JobId>>,
    queued: HashSet<JobId>,
    /// To be looked at.
    touched: BTreeSet<JobId>,
    next: u64,
}

impl Notifier {
    pub(super) fn touch(&mut self, id: JobId) {
        self.touched.insert(id);
    }

    pub(super) fn touch_if_owed(&mut self, job: &Job) {
        if job.owed.as_deref().is_some_and(|owed| owed.settled.is_none()) && job.notify_command.is_some() {
            self.touch(job.id);
        }
    }

    pub(super) fn continue_numbers(&mut self, old: &Self) {
        self.next = old.next;
    }

    /// The job changed.
    pub(super) fn mark_modified(&mut self, id: JobId) {
        if let Some(registration) = self.registered.get_mut(&id) {
            registration.modified = true;
            self.touched.insert(id);
        }
    }

    fn under_way(&self) -> usize {
        debug_assert_eq!(self.counts.values().sum::<usize>(), self.calls.len());
        self.calls.len()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn has_turn(&self, uid: Uid) -> bool {
        self.counts.get(&uid).copied().unwrap_or(0) < IN_FLIGHT_PER_USER
    }

    /// Takes a turn of the user's for the job, or a place among those who wait for one.
    fn begin(&mut self, job: JobId, uid: Uid, what: What, deadline: Option<Mono>) -> Option<CallId> {
        if !self.has_turn(uid) {
            if self.queued.insert(job) {
                self.waiting.entry(uid).or_default().push_back(job);
            }
            return None;
        }
        let call = CallId(self.number());
        *self.counts.entry(uid).or_default() += 1;
        self.calls.insert(call, InFlight { job, uid, what, deadline });
        self.busy.insert(job, call);
        Some(call)
    }

    fn end(&mut self, call: CallId) -> Option<InFlight> {
        let flight = self.calls.remove(&call)?;
        self.busy.remove(&flight.job);
        if let Some(count) = self.counts.get_mut(&flight.uid) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&flight.uid);
            }
        }
        self.touched.insert(flight.job);
        Some(flight)
    }

    /// Somebody who waited and whose user has a free turn.
    fn next_waiting(&mut self) -> Option<JobId> {
        let uid = *self.waiting.keys().find(|uid| self.has_turn(**uid))?;
        let queue = self.waiting.get_mut(&uid)?;
        let job = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&uid);
        }
        if let Some(job) = &job {
            self.queued.remove(job);
        }
        job
    }
}

impl Queue {
    // ---- calls ----

    /// A client's connection for callbacks.
    pub fn listen(&mut self, caller: Caller) -> ListenerId {
        let id = ListenerId(self.notify.number());
        self.notify.listeners.insert(id, Listener { uid: caller.uid, jobs: BTreeSet::new() });
        id
    }

    /// The connection is gone: its registrations end, and what it has not answered has failed.
    pub fn unlisten(&mut self, id: ListenerId, now: Now) {
        let Some(listener) = self.notify.listeners.remove(&id) else { return };
        for job in listener.jobs {
            self.notify.registered.remove(&job);
        }
        let mut open: Vec<CallId> = self
            .notify
            .calls
            .iter()
            .filter(|(_, f)| f.what.listener() == Some(id))
            .map(|(c, _)| *c)
            .collect();
        open.sort_unstable();
        for call in open {
            self.called(call, false, now);
        }
    }

    /// SetNotifyInterface: the last one wins; `None` ends it. An event that the job is in already is told at once.
    ///
    /// # Errors
    /// The job is not there, is over, or somebody else's; the listener is not the caller's.
    pub fn set_notify_interface(
        &mut self,
        caller: Caller,
        id: JobId,
        listener: Option<ListenerId>,
    ) -> Result<HResult, Failure> {
        let job = self.held_job(caller, id)?;
        if job.state.is_final() {
            return Err(h::BG_E_INVALID_STATE.into());
        }
        let Some(listener) = listener else {
            self.unregister(id);
            return Ok(h::S_OK);
        };
        // A download whose ranges are there has no event that is told at once: its client looks at its state.
        let modified = job.download.as_deref().is_some_and(|download| download.started);
        let files =
            (0u32..).zip(&job.files).filter(|(_, f)| f.transferred && !f.accepted).map(|(n, _)| n).collect();
        let known = self.notify.listeners.get(&listener).filter(|known| known.uid == caller.uid);
        if known.is_none() {
            return Err(Failure::new(h::E_INVALIDARG, "there is no such listener of yours any more"));
        }
        self.unregister(id);
        if let Some(known) = self.notify.listeners.get_mut(&listener) {
            known.jobs.insert(id);
        }
        let registration = Registration {
            listener,
            files,
            file_failures: 0,
            file_not_before: None,
            told_at: None,
            modified,
        };
        self.notify.registered.insert(id, registration);
        if let Some(owed) = self.jobs.get_mut(&id).and_then(|job| job.owed.as_deref_mut()) {
            owed.registered();
            self.save(id);
        }
        self.notify.touch(id);
        Ok(h::S_OK)
    }

    /// GetNotifyInterface: whether a listener is registered.
    pub fn has_notify_interface(&self, id: JobId) -> bool {
        self.notify.registered.contains_key(&id)
    }

    /// Callbacks without an answer and programs that run, of all users.
    pub fn under_way(&self) -> usize {
        self.notify.under_way()
    }

    /// What the callback returned: any success code accepts.
    ///
    /// # Errors
    /// `BG_E_NOT_FOUND`: nobody waits for it (any more); `E_ACCESSDENIED`: it was somebody else's to answer.
    pub fn answer_callback(
        &mut self,
        caller: Caller,
        call: CallId,
        code: HResult,
        now: Now,
    ) -> Result<(), HResult> {
        let flight = self.notify.calls.get(&call).filter(|flight| flight.what.listener().is_some());
        let flight = flight.ok_or(h::BG_E_NOT_FOUND)?;
        if flight.uid != caller.uid {
            return Err(h::E_ACCESSDENIED);
        }
        self.called(call, code.is_ok(), now);
        Ok(())
    }

    /// A call could not be handed to the listener.
    pub fn callback_undelivered(&mut self, call: CallId, now: Now) {
        self.called(call, false, now);
    }

    /// A program ended.
    pub fn on_program(&mut self, call: CallId, end: &ProgramEnd, now: Now) {
        let Some(InFlight { job: id, what: What::Program { entry }, .. }) = self.notify.end(call) else {
            return;
        };
        self.record_program(id, end);
        let accepted = *end == ProgramEnd::Exit(0);
        self.outcome(id, entry, now, |owed, retry_at, rules, _| owed.ran(accepted, retry_at, rules));
    }

    /// Programs that this user may have set, by the policy (spec/policy.md C4, `notify.*`).
    pub(super) fn may_set_command(
        &self,
        caller: Caller,
        owner: Uid,
        properties: &[Property],
    ) -> Result<(), Failure> {
        for property in properties {
            let program = match property {
                Property::NotifyCommand { program: Some(program), .. } => program,
                Property::NotifyArguments(words) if !words.is_empty() => &words[0],
                _ => continue,
            };
            self.limits.notify.check(owner, caller.uid, program).map_err(|key| {
                Failure::new(
                    h::E_ACCESSDENIED,
                    format!("{key} in the policy does not let you set this program"),
                )
            })?;
        }
        Ok(())
    }

    /// SetNotifyCmdLine was carried out: it runs as who set it, and at once if the event is there already.
    pub(super) fn command_was_set(&mut self, caller: Caller, id: JobId, before: Option<&NotifyCommand>) {
        let has_listener = self.has_notify_interface(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let owner = job.owner;
        if let Some(command) = job.notify_command.as_deref_mut() {
            command.set_by = Some(caller.uid).filter(|uid| *uid != owner);
        }
        // The same again changes nothing; a program that sets itself would run for ever.
        if job.notify_command.as_deref() != before
            && let Some(owed) = job.owed.as_deref_mut()
        {
            owed.command_set(has_listener);
        }
        self.save(id);
    }

    // ---- marks ----

    pub(super) fn touch_notice(&mut self, id: JobId) {
        let has_one = self.notify.registered.contains_key(&id);
        if has_one || self.jobs.get(&id).is_some_and(|job| job.owed.is_some() && job.notify_command.is_some())
        {
            self.notify.touch(id);
        }
    }

    pub(super) fn mark_notice(&mut self, notice: &Notice) {
        let Some(registration) = self.notify.registered.get_mut(&notice.job) else { return };
        match notice.kind {
            // They have calls of their own.
            NoticeKind::Transferred | NoticeKind::Error => {}
            // The event is made as often as the call: both tell what came since the one before.
            NoticeKind::FileRangesTransferred(index) => {
                let came =
                    notice.ranges.iter().map(|r| r.offset..r.offset.saturating_add(r.length)).collect();
                let kind = CallbackKind::RangesTransferred(index, came);
                self.tell_lossy(notice, flag::FILE_RANGES_TRANSFERRED, kind);
            }
            NoticeKind::FileTransferred(index) => {
                registration.files.insert(index);
                registration.modified = true;
            }
            NoticeKind::Created | NoticeKind::Modified | NoticeKind::Progress => registration.modified = true,
            // One call by best effort; the job is gone when the others are made.
            NoticeKind::Acknowledged | NoticeKind::Cancelled => {
                self.tell_lossy(notice, flag::JOB_MODIFICATION, CallbackKind::Modification);
            }
        }
        self.notify.touch(notice.job);
    }

    /// A call without an answer, if the job's flags ask for it.
    fn tell_lossy(&mut self, notice: &Notice, wants: u32, kind: CallbackKind) {
        let Some(registration) = self.notify.registered.get(&notice.job) else { return };
        let listener = registration.listener;
        let flags = self.jobs.get(&notice.job).map_or(0, |job| job.notify_flags);
        if wanted(flags, wants) {
            let callback = Callback { listener, call: None, kind, job: notice.clone() };
            self.effects.push(Effect::Callback(Box::new(callback)));
        }
    }

    pub(super) fn unregister(&mut self, id: JobId) {
        let Some(registration) = self.notify.registered.remove(&id) else { return };
        if let Some(listener) = self.notify.listeners.get_mut(&registration.listener) {
            listener.jobs.remove(&id);
        }
    }

    /// The policy on programs changed.
    pub(super) fn review_notices(&mut self) {
        let jobs = self.jobs.values();
        jobs.for_each(|job| self.notify.touch_if_owed(job));
    }

    pub(super) fn owes_a_look(&self) -> bool {
        !self.paused && !self.notify.touched.is_empty()
    }

    // ---- looking ----

    /// Makes the calls and starts the programs that are due. Call it after every input, before [`Queue::take_effects`].
    pub fn deliver(&mut self, now: Now) {
        if self.paused {
            return;
        }
        loop {
            while let Some(id) = self.notify.touched.pop_first() {
                self.look_at_notices(id, now);
            }
            let Some(id) = self.notify.next_waiting() else { break };
            self.notify.touch(id);
        }
    }

    fn look_at_notices(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (flags, owner) = (job.notify_flags, job.owner);
        // A job that is being finished has been dealt with, unless the service finishes it by itself.
        let over = job.state.is_final()
            || (job.finishing.is_some()
                && !(job.extras().auto_complete && job.state == JobState::Transferred));
        self.tell_modification(id, flags, now);
        if let Some(call) = self.notify.busy.get(&id).copied() {
            match self.notify.calls.get(&call).and_then(|flight| flight.deadline) {
                Some(at) if at <= now.mono => self.called(call, false, now),
                Some(at) => self.timers.arm(id, Kind::Notify, at),
                None => {}
            }
            return;
        }
        if over {
            return;
        }
        let listener = self.notify.registered.get(&id).map(|registration| registration.listener);
        // Files come before the job, one after the other (spec/bits-extended.md 8.1).
        if let Some(listener) = listener
            && wanted(flags, flag::FILE_TRANSFERRED)
            && self.tell_file(id, listener, now)
        {
            return;
        }
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(owed) = job.owed.as_deref() else { return };
        let command = self.command_of(job);
        let facts = Facts {
            wanted: wanted(flags, owed.subject.flag()),
            listener: listener.is_some(),
            command: command.is_some(),
            now: now.mono,
        };
        let entry = owed.entry;
        match (owed.next(facts), listener, command) {
            (Step::At(at), ..) => self.timers.arm(id, Kind::Notify, at),
            (Step::Call, Some(listener), _) => {
                let kind = match owed.subject {
                    Subject::Transferred => CallbackKind::Transferred,
                    Subject::Error => CallbackKind::Error,
                };
                self.call_back(id, What::Callback { listener, entry }, kind, now);
            }
            (Step::Run, _, Some(command)) => {
                let uid = command.set_by.unwrap_or(owner);
                let mut program = Program {
                    call: CallId(0),
                    job: id,
                    uid,
                    program: command.program.clone(),
                    arguments: command.arguments(),
                    state: job.state,
                    error: job.get_error().ok().map(|record| record.code),
                    display_name: job.display_name.to_string(),
                    timeout_s: self.limits.notify.timeout_s,
                };
                if let Some(call) = self.notify.begin(id, uid, What::Program { entry }, None) {
                    program.call = call;
                    self.effects.push(Effect::Run(Box::new(program)));
                }
            }
            _ => {}
        }
    }

    /// The program of a job, if the policy lets it run.
    fn command_of<'a>(&self, job: &'a Job) -> Option<&'a NotifyCommand> {
        job.notify_command
            .as_deref()
            .filter(|command| self.limits.notify.check_launch(job.owner, command).is_ok())
    }

    /// FileTransferred of the first file that is not accepted yet. True if the job's own event has to wait.
    fn tell_file(&mut self, id: JobId, listener: ListenerId, now: Now) -> bool {
        let Some((registration, job)) = self.notify.registered.get_mut(&id).zip(self.jobs.get(&id)) else {
            return false;
        };
        // One that began again is told when it is finished again.
        registration
            .files
            .retain(|n| job.files.get(*n as usize).is_some_and(|f| f.transferred && !f.accepted));
        let Some(&index) = registration.files.first() else { return false };
        if let Some(at) = registration.file_not_before.filter(|at| *at > now.mono) {
            self.timers.arm(id, Kind::Notify, at);
            return true;
        }
        let restarts = job.files.get(index as usize).map_or(0, |file| file.restarts);
        self.call_back(
            id,
            What::File { listener, index, restarts },
            CallbackKind::FileTransferred(index),
            now,
        );
        true
    }

    fn call_back(&mut self, id: JobId, what: What, kind: CallbackKind, now: Now) {
        let Some(listener) = what.listener() else { return };
        let Some(uid) = self.notify.listeners.get(&listener).map(|listener| listener.uid) else { return };
        let Some(job) = self.notice_of(id, NoticeKind::Modified, now.wall) else { return };
        let deadline = now.mono.plus_ms(ANSWER_MS);
        if let Some(call) = self.notify.begin(id, uid, what, Some(deadline)) {
            self.timers.arm(id, Kind::Notify, deadline);
            let callback = Callback { listener, call: Some(call), kind, job };
            self.effects.push(Effect::Callback(Box::new(callback)));
        }
    }

    /// JobModification: no more often than the job's interval, and without an answer.
    fn tell_modification(&mut self, id: JobId, flags: u32, now: Now) {
        let Some(registration) = self.notify.registered.get_mut(&id) else { return };
        if !wanted(flags, flag::JOB_MODIFICATION) {
            registration.modified = false;
        }
        if !registration.modified {
            return;
        }
        let interval = self.jobs.get(&id).map_or(0, Job::notification_interval_ms);
        let at = registration.told_at.map_or(now.mono, |at| at.plus_ms(interval));
        if at > now.mono {
            self.timers.arm(id, Kind::Notify, at);
            return;
        }
        registration.modified = false;
        registration.told_at = Some(now.mono);
        let listener = registration.listener;
        if let Some(job) = self.notice_of(id, NoticeKind::Modified, now.wall) {
            let callback = Callback { listener, call: None, kind: CallbackKind::Modification, job };
            self.effects.push(Effect::Callback(Box::new(callback)));
        }
    }

    // ---- outcomes ----

    fn called(&mut self, call: CallId, accepted: bool, now: Now) {
        let Some(flight) = self.notify.end(call) else { return };
        let id = flight.job;
        match flight.what {
            What::Callback { entry, .. } => {
                self.outcome(id, entry, now, |owed, retry_at, rules, has_command| {
                    owed.called(accepted, has_command, retry_at, rules)
                });
            }
            What::File { index, restarts, .. } => self.file_called(id, index, restarts, accepted, now),
            What::Program { .. } => {}
        }
    }

    fn file_called(&mut self, id: JobId, index: u32, restarts: u32, accepted: bool, now: Now) {
        if accepted {
            let file = self.jobs.get_mut(&id).and_then(|job| job.files.get_mut(index as usize));
            let same = |file: &&mut crate::job::File| file.transferred && file.restarts == restarts;
            if let Some(file) = file.filter(same) {
                file.accepted = true;
                self.effects.push(Effect::SaveFile(id, index));
            }
        }
        if let Some(registration) = self.notify.registered.get_mut(&id) {
            registration.file_failures =
                if accepted { 0 } else { registration.file_failures.saturating_add(1) };
            let pause = file_pause_ms(registration.file_failures);
            registration.file_not_before = (!accepted).then(|| now.mono.plus_ms(pause));
        }
    }

    /// Notes what came of a call or a run, if the job is still in the state that it was about.
    fn outcome(
        &mut self,
        id: JobId,
        entry: u32,
        now: Now,
        note: impl FnOnce(&mut Owed, Mono, &crate::notify::Rules, bool) -> bool,
    ) {
        let has_command = self.jobs.get(&id).is_some_and(|job| self.command_of(job).is_some());
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let delay_s = job.minimum_retry_delay_s;
        let Some(owed) = job.owed.as_deref_mut().filter(|owed| owed.entry == entry) else { return };
        let retry_at = now.mono.plus_s(u64::from(delay_s));
        let failed = note(owed, retry_at, &self.limits.notify, has_command);
        let again = owed.settled.is_none();
        self.save(id);
        if failed && again {
            self.record_notice_failed(id, delay_s);
        }
    }
}
