//! Starting, stopping and finishing: who holds a slot, and what follows a stop.

use super::timers::Kind;
use super::{Effect, Failure, NoticeKind, Pace, Queue};
use crate::enums::{ErrorContext, JobState, JobType, Priority};
use crate::gate::Gate;
use crate::hresult::{BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED, E_UNEXPECTED, HResult};
use crate::id::{AttemptId, JobId, Ticket, Uid};
use crate::job::api::{FinishPlan, FinishResult};
use crate::job::event::Event;
use crate::job::{ErrorRecord, Finishing, Notice};
use crate::time::{Mono, Now};

/// The server of a cancelled upload is told.
const FAREWELL: FinishPlan = FinishPlan { rename: Vec::new(), remove: Vec::new(), cancel_upload: true };

/// One attempt in a worker.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) attempt: AttemptId,
    /// The worker that has it is this owner's, also if the job changed hands meanwhile.
    pub(super) owner: Uid,
    pub(super) started: Mono,
    /// Files of the job when the attempt began: those added later are not in its order.
    pub(super) files: usize,
    /// A stop was asked for; the slot is free when the worker has answered.
    pub(super) stopping: bool,
    /// Calls to answer with this code when the worker has stopped.
    pub(super) after_stop: Vec<(Ticket, HResult)>,
    /// Complete or Cancel to begin when the worker has stopped, and who asked.
    pub(super) then: Option<(Finishing, Option<Ticket>)>,
    pub(super) peer: Option<String>,
    /// What it stored is of no use any more.
    pub(super) void: bool,
    /// It asks a cache host.
    pub(super) cached: bool,
    pub(super) pace: Option<Pace>,
    /// What is wanted of a file changed after the order was written.
    pub(super) wants_changed: bool,
}

/// A Complete or Cancel that a worker is at.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) ticket: Ticket,
    pub(super) caller: Option<Ticket>,
    pub(super) kind: Finishing,
    /// Whose worker is at it.
    pub(super) owner: Uid,
}

impl Queue {
    /// Applies an internal event and everything that follows from it. False if it means nothing in the job's state.
    pub(super) fn apply(&mut self, id: JobId, event: Event, now: Now) -> bool {
        let changed = self.change(id, event, now);
        if changed {
            self.settle(id, now);
        }
        changed
    }

    /// Applies an internal event: state, save, notice; but not what follows from the new state.
    pub(super) fn change(&mut self, id: JobId, event: Event, now: Now) -> bool {
        // Turns and bytes need not be durable: after a crash the job is QUEUED again, and its ranges are saved apart.
        let volatile = matches!(event, Event::Turn | Event::BytesMoved);
        let blocked = match event {
            Event::PolicyBlocks => Some(Gate::Policy),
            Event::GateCloses(gate) => Some(gate).filter(|gate| *gate != Gate::Network),
            _ => None,
        };
        let bytes = matches!(event, Event::BytesMoved | Event::FileFinished);
        let Some(change) = self.jobs.get_mut(&id).and_then(|job| job.apply(event, now)) else { return false };
        if volatile {
            self.count_job(id);
        } else {
            self.save(id);
        }
        if let Some(gate) = blocked {
            self.record_blocked(id, gate);
        }
        if !bytes {
            self.tell(id, change.notice, now);
        }
        true
    }

    pub(super) fn tell(&mut self, id: JobId, notice: Notice, now: Now) {
        let kind = match notice {
            Notice::None | Notice::Final => return,
            Notice::Modification => {
                self.modified(id, now);
                return;
            }
            Notice::Transferred => NoticeKind::Transferred,
            Notice::Error => NoticeKind::Error,
        };
        self.notice(id, kind, now.wall);
    }

    /// Brings queue, slots and clocks in line with the job's state.
    pub(super) fn settle(&mut self, id: JobId, now: Now) {
        self.pass_gates(id, now);
        self.leave_wrong_worker(id, now);
        let Some(job) = self.jobs.get(&id) else { return };
        let (state, owner, priority) = (job.state, job.owner, job.slot_level());
        let run = self.runs.get(&id).map(|run| run.stopping);
        let present = self.machine.is_present(owner);
        let waits = state == JobState::Queued && run.is_none() && job.finishing.is_none() && present;
        let completes = state == JobState::Transferred
            && job.extras().auto_complete
            && job.finishing.is_none()
            && run.is_none()
            && !self.paused;
        if waits {
            self.scheduler.insert(id, owner, priority);
        } else {
            self.scheduler.remove(id);
        }
        if run == Some(false) && !state.is_running() {
            self.stop(id);
        }
        self.arm_for(id, now);
        if completes {
            self.begin_finish(id, Finishing::Complete, None, now);
        }
    }

    /// The job has another owner, or another helper, than the worker that has it: it goes on in the right one.
    fn leave_wrong_worker(&mut self, id: JobId, now: Now) {
        let Some((job, run)) = self.jobs.get(&id).zip(self.runs.get(&id)) else { return };
        if job.state.is_running() && !run.stopping && run.owner != self.file_worker(job) {
            self.change(id, Event::Preempted, now);
        }
    }

    fn stop(&mut self, id: JobId) {
        if let Some(run) = self.runs.get_mut(&id).filter(|run| !run.stopping) {
            run.stopping = true;
            let effect = Effect::Stop { job: id, attempt: run.attempt, owner: run.owner };
            self.effects.push(effect);
        }
    }

    fn background_runs(&self) -> impl Iterator<Item = (JobId, Priority, &Run)> {
        self.runs.iter().filter_map(|(id, run)| {
            let priority = self.jobs.get(id)?.slot_level();
            (priority != Priority::Foreground).then_some((*id, priority, run))
        })
    }

    /// When the turn of a running background job ends because another of its level waits.
    ///
    /// `None` while that moment would change nothing: the queue is held, or a slot is about to be free anyway.
    pub(super) fn slice_end(&self) -> Option<Mono> {
        if self.paused || self.background_runs().any(|(_, _, run)| run.stopping) {
            return None;
        }
        self.background_runs()
            .filter(|(_, priority, _)| self.scheduler.waiting(*priority) > 0)
            .map(|(_, _, run)| run.started.plus_s(self.limits.time_slice_s))
            .min()
    }

    /// Gives turns: all foreground jobs, and the background slots by strict levels (spec/behaviour.md 3.3).
    pub(super) fn reschedule(&mut self, now: Now) {
        if self.paused {
            return;
        }
        let cap = self.limits.max_foreground as usize;
        let is_foreground =
            |id: &JobId| self.jobs.get(id).is_some_and(|job| job.slot_level() == Priority::Foreground);
        let mut foreground = self.runs.keys().filter(|id| is_foreground(id)).count();
        while cap == 0 || foreground < cap {
            let Some(id) = self.scheduler.pop(Priority::Foreground) else { break };
            foreground += usize::from(self.begin_run(id, now));
        }
        while self.background_runs().count() < self.limits.max_background as usize {
            let Some(best) = self.scheduler.best_background() else { break };
            if let Some(id) = self.scheduler.pop(best) {
                self.begin_run(id, now);
            }
        }
        self.preempt_excess(now);
        if let Some(best) = self.scheduler.best_background() {
            self.preempt_for(best, now);
        }
    }

    /// Ends the turn of one background job that has to make room for a job of level `best`.
    fn preempt_for(&mut self, best: Priority, now: Now) {
        let over = |run: &Run| now.mono >= run.started.plus_s(self.limits.time_slice_s);
        if self.background_runs().any(|(_, _, run)| run.stopping) {
            return; // a slot is about to be free
        }
        let worst = self
            .background_runs()
            .filter(|(_, priority, run)| *priority > best || (*priority == best && over(run)))
            .max_by_key(|(id, priority, run)| (*priority, std::cmp::Reverse(run.started), *id))
            .map(|(id, _, _)| id);
        if let Some(id) = worst {
            self.apply(id, Event::Preempted, now);
        }
    }

    /// Jobs lowered from FOREGROUND, or fewer slots than before, may leave too many: the lowest and latest go.
    fn preempt_excess(&mut self, now: Now) {
        let live = self.background_runs().filter(|(_, _, run)| !run.stopping);
        let mut live: Vec<_> = live.map(|(id, priority, run)| (priority, run.started, id)).collect();
        live.sort_unstable();
        for (_, _, id) in live.into_iter().skip(self.limits.max_background as usize) {
            self.apply(id, Event::Preempted, now);
        }
    }

    /// Starts a job that has its turn. False if there was nothing left to transfer.
    fn begin_run(&mut self, id: JobId, now: Now) -> bool {
        if self.require_token(id, now) || !self.change(id, Event::Turn, now) {
            return false;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let forgotten = job.is_satisfied() && job.lacks_ranges();
        if forgotten {
            job.ask_again();
            self.effects.push(Effect::SaveFile(id, 0));
        }
        let at_once = if job.all_transferred() {
            Some(Event::AllFinished)
        } else if job.is_satisfied() && job.lacks_ranges() {
            let mut error = ErrorRecord::new(E_UNEXPECTED, ErrorContext::GeneralQueueManager, now.wall);
            error.detail = "ranges of the download are missing, and cannot be asked for again".into();
            Some(Event::Fatal(error))
        } else if job.is_satisfied() {
            Some(Event::RequestsFilled)
        } else if job.is_over_cap() {
            let context = ErrorContext::GeneralQueueManager;
            let mut error = ErrorRecord::new(BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED, context, now.wall);
            error.detail = "the files are larger than the job's limit".into();
            Some(Event::Fatal(error))
        } else {
            None
        };
        if let Some(event) = at_once {
            self.apply(id, event, now);
            return false;
        }
        self.start_attempt(id, now);
        self.arm_for(id, now);
        true
    }

    /// A new attempt with the files that are unfinished now.
    pub(super) fn start_attempt(&mut self, id: JobId, now: Now) {
        let cached = self.choose_side(id, now);
        let attempt = self.attempt();
        let Some(owner) = self.jobs.get(&id).map(|job| self.file_worker(job)) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let files = job.files.len();
        // From here on temporary files may exist; Cancel and Complete look at exactly these.
        let mut begun = Vec::new();
        let on_demand = job.options().on_demand;
        for (index, file) in (0u32..).zip(&mut job.files) {
            let wanted = if on_demand { file.has_requests() } else { !file.transferred };
            if wanted && !file.begun {
                file.begun = true;
                begun.push(index);
            }
        }
        self.effects.extend(begun.into_iter().map(|index| Effect::SaveFile(id, index)));
        let run = Run {
            attempt,
            owner,
            started: now.mono,
            files,
            stopping: false,
            after_stop: Vec::new(),
            then: None,
            peer: None,
            void: false,
            cached,
            pace: None,
            wants_changed: false,
        };
        self.runs.insert(id, run);
        self.effects.push(Effect::Start { job: id, attempt, owner });
    }

    /// The worker let go of the job: answer who waits, and do what was to follow.
    pub(super) fn ended(&mut self, id: JobId, now: Now) {
        let Some(run) = self.runs.remove(&id) else { return };
        for (ticket, code) in run.after_stop {
            self.effects.push(Effect::Answer(ticket, Ok(code)));
        }
        match run.then {
            Some((Finishing::Complete, caller)) => self.begin_finish(id, Finishing::Complete, caller, now),
            Some((Finishing::Cancel | Finishing::Farewell, caller)) => {
                self.begin_cancel_files(id, caller, now);
            }
            None => self.settle(id, now),
        }
        self.reschedule(now);
    }

    /// Begins Complete (or the file part of Cancel) of a job that no worker has.
    pub(super) fn begin_finish(&mut self, id: JobId, kind: Finishing, caller: Option<Ticket>, now: Now) {
        if kind == Finishing::Complete && self.file_token_missing(id) {
            self.refuse_complete(id, caller, now);
            return;
        }
        let Some(owner) = self.jobs.get(&id).map(|job| self.file_worker(job)) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let plan = match kind {
            Finishing::Complete => match job.complete() {
                Ok(plan) => plan,
                Err(code) => {
                    self.answer(caller, Err(code.into()));
                    return;
                }
            },
            Finishing::Cancel => job.cancel_plan(),
            Finishing::Farewell => FAREWELL,
        };
        self.scheduler.remove(id);
        self.save(id);
        let ticket = self.ticket();
        self.finishes.insert(id, Finish { ticket, caller, kind, owner });
        if plan == FinishPlan::default() {
            self.finished(id, ticket, &FinishResult::default(), None, now);
        } else {
            self.effects.push(Effect::Finish { job: id, ticket, plan, owner, replay: false });
        }
    }

    /// Complete and Cancel that were begun before a restart (or that a lost worker had) are done again from the start.
    pub(super) fn finish_again(&mut self, id: JobId, kind: Finishing, now: Now) {
        if kind == Finishing::Complete && self.file_token_missing(id) {
            let caller = self.finishes.remove(&id).and_then(|finish| finish.caller);
            self.refuse_complete(id, caller, now);
            return;
        }
        let Some(job) = self.jobs.get(&id) else { return };
        let owner = self.file_worker(job);
        let plan = match kind {
            Finishing::Complete => job.complete_plan(),
            Finishing::Cancel => job.cancel_plan(),
            Finishing::Farewell => FAREWELL,
        };
        let caller = self.finishes.remove(&id).and_then(|finish| finish.caller);
        self.scheduler.remove(id);
        let ticket = self.ticket();
        self.finishes.insert(id, Finish { ticket, caller, kind, owner });
        self.effects.push(Effect::Finish { job: id, ticket, plan, owner, replay: true });
    }

    /// The files of a job that is CANCELLED already: after the worker stopped, or at once.
    pub(super) fn begin_cancel_files(&mut self, id: JobId, caller: Option<Ticket>, now: Now) {
        self.unlist(id);
        self.scheduler.remove(id);
        if let Some(run) = self.runs.get_mut(&id) {
            run.then = Some((Finishing::Cancel, caller));
            self.stop(id);
        } else {
            self.begin_finish(id, Finishing::Cancel, caller, now);
        }
    }

    /// A worker did the file part of Complete or Cancel.
    pub(super) fn finished(
        &mut self,
        id: JobId,
        ticket: Ticket,
        result: &FinishResult,
        error: Option<(u32, HResult, String)>,
        now: Now,
    ) {
        if self.finishes.get(&id).is_none_or(|finish| finish.ticket != ticket) {
            return;
        }
        let Some(finish) = self.finishes.remove(&id) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match finish.kind {
            Finishing::Cancel => {
                let change = job.cancelled(result);
                let goes_on = job.has_open_upload();
                self.notice(id, NoticeKind::Cancelled, now.wall);
                if goes_on {
                    // Nobody waits for a server that may be out of reach (spec/upload-protocol.md 5.5).
                    if let Some(job) = self.jobs.get_mut(&id) {
                        job.finishing = Some(Finishing::Farewell);
                    }
                    self.begin_finish(id, Finishing::Farewell, None, now);
                } else {
                    self.retire(id);
                }
                self.answer(finish.caller, Ok(change.code));
            }
            Finishing::Farewell => {
                let again = now.mono.plus_s(u64::from(job.minimum_retry_delay_s));
                if result.upload_left && again < job.farewell_end() {
                    self.timers.arm(id, Kind::Farewell, again);
                } else {
                    self.retire(id);
                }
            }
            Finishing::Complete => {
                let before = job.state;
                match job.completed(result, now) {
                    Ok(change) => {
                        self.record_completed(id);
                        self.notice(id, NoticeKind::Acknowledged, now.wall);
                        self.retire(id);
                        self.answer(finish.caller, Ok(change.code));
                    }
                    Err(code) => {
                        if job.state != before {
                            self.tell(id, Notice::Modification, now);
                        }
                        self.rename_failed(id, code, error, finish.caller, result, now);
                    }
                }
            }
        }
        self.run_deferred(id, now);
    }

    fn rename_failed(
        &mut self,
        id: JobId,
        code: HResult,
        error: Option<(u32, HResult, String)>,
        caller: Option<Ticket>,
        result: &FinishResult,
        now: Now,
    ) {
        let is_download = self.jobs.get(&id).is_some_and(|job| job.kind == JobType::Download);
        for &index in result.renamed.iter().chain(&result.lost).filter(|_| is_download) {
            self.effects.push(Effect::SaveFile(id, index));
        }
        self.save(id);
        let (file, detail) = error.map_or((None, String::new()), |(file, _, text)| (Some(file), text));
        if let Some(caller) = caller {
            let detail = if detail.is_empty() { code.text() } else { detail.clone() };
            self.effects.push(Effect::Answer(caller, Err(Failure { code, detail })));
        }
        // The job stays TRANSFERRED for another Complete (spec/behaviour.md 14.1), with two exceptions. One that the service completes by
        // itself must not try for ever, and somebody has to be told. One whose data was lost can only be completed after a Resume has
        // fetched it again; a download whose ranges are there is SUSPENDED meanwhile.
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let alone = caller.is_none() && job.extras().auto_complete;
        let waits = job.state == JobState::Suspended && job.lacks_ranges() && !result.lost.is_empty();
        let done = job.state == JobState::Transferred;
        if !(waits || done && (alone || !result.lost.is_empty())) {
            self.settle(id, now);
            return;
        }
        let mut record = ErrorRecord::new(code, ErrorContext::LocalFile, now.wall);
        record.file = file;
        record.detail = detail.into();
        job.fail_completion(record, now);
        self.notice(id, NoticeKind::Error, now.wall);
    }

    pub(super) fn answer(&mut self, caller: Option<Ticket>, result: Result<HResult, Failure>) {
        if let Some(ticket) = caller {
            self.effects.push(Effect::Answer(ticket, result));
        }
    }
}
