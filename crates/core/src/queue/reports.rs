//! Reports of workers. One that belongs to an older attempt is ignored.

use super::{Effect, NoticeKind, Pace, Queue};
use crate::enums::{ErrorContext, JobType};
use crate::hresult::{self as h, HResult};
use crate::id::{AttemptId, JobId, Ticket, Uid};
use crate::job::REPLY_INDEX;
use crate::job::api::FinishResult;
use crate::job::event::Event;
use crate::job::http::RedirectPolicy;
use crate::job::route::Verdict;
use crate::job::{ErrorRecord, Finishing};
use crate::job::{File, Job};
use crate::names;
use crate::range_set::RangeSet;
use crate::time::Now;
use crate::upload::client::UploadState;

/// What is durable of one file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FileReport {
    /// Position in the file list.
    pub file: u32,
    /// Size, when known.
    pub size: Option<u64>,
    /// Size of the remote file, where it is another.
    pub remote_size: Option<u64>,
    /// Ranges synced to the temporary file.
    pub done: RangeSet,
    /// Strong entity tag of the version they belong to.
    pub etag: Option<String>,
    /// Its `Last-Modified`, as the server wrote it.
    pub last_modified: Option<String>,
    /// The mirror that they came from; `None`: the remote name itself.
    pub mirror: Option<String>,
    /// The same in seconds since 1970.
    pub modified_s: Option<i64>,
    /// The whole file is there.
    pub finished: bool,
    /// The server does not serve ranges of it.
    pub no_ranges: bool,
}

impl Queue {
    pub(super) fn is_current(&self, id: JobId, attempt: AttemptId) -> bool {
        self.runs.get(&id).is_some_and(|run| run.attempt == attempt)
    }

    fn is_live(&self, id: JobId, attempt: AttemptId) -> bool {
        self.runs.get(&id).is_some_and(|run| run.attempt == attempt && !run.stopping)
    }

    /// The server gave a usable answer.
    pub fn on_connected(
        &mut self,
        id: JobId,
        attempt: AttemptId,
        file: u32,
        size: Option<u64>,
        peer: &str,
        now: Now,
    ) {
        if !self.is_live(id, attempt) {
            return;
        }
        if let Some(run) = self.runs.get_mut(&id) {
            run.peer = Some(peer.to_owned());
        }
        if self.is_reply(id, file) {
            self.reply_began(id, size);
        } else if let Some(file) = self.jobs.get_mut(&id).and_then(|job| job.files.get_mut(file as usize))
            && size.is_some()
        {
            file.size = size;
        }
        self.record_started(id, attempt, file);
        self.apply(id, Event::Answered, now);
    }

    /// Bytes are there, but not durable yet.
    pub fn on_progress(&mut self, id: JobId, attempt: AttemptId, file: u32, bytes: u64, now: Now) {
        if !self.is_live(id, attempt) {
            return;
        }
        if self.is_reply(id, file) {
            if let Some(reply) = self.jobs.get_mut(&id).and_then(|job| job.reply.as_deref_mut())
                && bytes > reply.transferred
            {
                reply.transferred = bytes;
                self.change(id, Event::BytesMoved, now);
                self.notice(id, NoticeKind::Progress, now.wall);
            }
            return;
        }
        let Some(file) = self.jobs.get_mut(&id).and_then(|job| job.files.get_mut(file as usize)) else {
            return;
        };
        if bytes > file.ahead && !file.transferred {
            file.ahead = bytes;
            self.change(id, Event::BytesMoved, now);
            if self.may_tell_progress(id, now) {
                self.notice(id, NoticeKind::Progress, now.wall);
            }
        }
    }

    /// The worker tells how the transfer behaves towards others. Listeners hear of it when the mode changes.
    pub fn on_pace(&mut self, id: JobId, attempt: AttemptId, pace: Pace, now: Now) {
        if !self.is_live(id, attempt) {
            return;
        }
        let Some(run) = self.runs.get_mut(&id) else { return };
        let changed = run.pace.is_none_or(|before| before.mode != pace.mode);
        run.pace = Some(pace);
        if changed {
            self.notice(id, NoticeKind::Progress, now.wall);
        }
    }

    /// These bytes of a file are written, durable or not.
    pub fn on_written(&mut self, id: JobId, attempt: AttemptId, file: u32, written: RangeSet, now: Now) {
        if !self.is_live(id, attempt) {
            return;
        }
        let slot = self.jobs.get_mut(&id).and_then(|job| job.files.get_mut(file as usize));
        if let Some(slot) = slot.filter(|slot| !slot.transferred) {
            slot.written = written;
            self.ranges_came(id, file, now);
        }
    }

    /// Bytes are durable. Also taken from an attempt that is being stopped: what it stored is true.
    pub fn on_checkpoint(&mut self, id: JobId, attempt: AttemptId, files: Vec<FileReport>, now: Now) {
        if !self.is_current(id, attempt) || self.runs.get(&id).is_some_and(|run| run.void) {
            return;
        }
        if let [report] = &files[..]
            && self.is_reply(id, report.file)
        {
            self.on_reply_checkpoint(id, report, now);
            return;
        }
        let cached = self.runs.get(&id).is_some_and(|run| run.cached);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut moved = false;
        let mut finished = Vec::new();
        let mut came = Vec::new();
        let mut lost = false;
        for report in files {
            let Some(file) = job.files.get_mut(report.file as usize) else { continue };
            if file.transferred || file.completed {
                continue;
            }
            if report.done.len() > file.done.len() {
                self.census.receive(job.owner, report.done.len() - file.done.len());
                if cached && report.mirror.is_none() {
                    file.cache_bytes += report.done.len() - file.done.len();
                }
            }
            moved |= report.done.len() > file.done.len() || report.finished;
            file.cache_bytes = file.cache_bytes.min(report.done.len());
            file.ahead = report.done.len();
            if report.done.is_empty() && !report.finished {
                // Nothing of it is kept: its size may be another next time.
                file.size = report.size.or_else(|| file.layout.local_size(None));
                (file.written, file.told) = (RangeSet::new(), RangeSet::new());
            }
            file.size = report.size.or(file.size);
            file.remote_size = report.remote_size;
            lost |= file.done.iter().any(|range| !report.done.contains(range));
            file.done = report.done;
            // A report of the attempt that did not know of the new name yet still has the old server's tag.
            file.moved &= report.etag.is_some();
            file.trim_requests();
            file.no_ranges |= report.no_ranges;
            came.push(report.file);
            file.etag = report.etag.map(Into::into);
            file.last_modified = report.last_modified.map(Into::into);
            file.modified_s = report.modified_s;
            file.mirror = report.mirror.map(Into::into);
            file.begun = true;
            file.transferred = report.finished;
            if report.finished {
                // Its end is known now, whatever the server said before.
                file.size = file.size.or(Some(file.done.len()));
                finished.push(report.file);
            }
            self.effects.push(Effect::SaveFile(id, report.file));
        }
        if lost {
            job.ask_again();
        }
        let asks_again = lost && job.lacks_ranges();
        let all = job.all_transferred();
        if asks_again {
            self.wants_changed(id, 0);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if moved {
            job.bytes_stored(now);
            self.save(id);
            self.arm_for(id, now);
        }
        for file in came {
            self.ranges_came(id, file, now);
        }
        if !finished.is_empty() {
            // What came of a file is told before its end.
            self.tell_ranges(id, now);
        }
        for file in finished {
            if !all {
                self.change(id, Event::FileFinished, now);
            }
            self.record_transferred(id, attempt, file);
            self.notice(id, NoticeKind::FileTransferred(file), now.wall);
        }
    }

    /// Status line and headers of an answer. They are stored with the next thing that is stored of the file.
    pub fn on_headers(&mut self, id: JobId, attempt: AttemptId, file: u32, text: &str) {
        if !self.is_current(id, attempt) {
            return;
        }
        if let Some(file) = self.jobs.get_mut(&id).and_then(|job| job.files.get_mut(file as usize)) {
            file.headers = Some(text.into());
        }
    }

    /// What is known of an upload. `keep`: the worker waits until it is durable. Also taken from an attempt that is being stopped: what
    /// the server has is true.
    pub fn on_upload(&mut self, id: JobId, attempt: AttemptId, state: UploadState, keep: bool, now: Now) {
        if !self.is_current(id, attempt) {
            return;
        }
        let Some(run_owner) = self.runs.get(&id).map(|run| run.owner) else { return };
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.kind != JobType::Download) else { return };
        let Some(file) = job.files.first_mut() else { return };
        if !file.transferred {
            let moved = state.offset > file.done.len();
            file.size = state.source.map(|source| source.size).or(file.size);
            file.done = RangeSet::prefix(state.offset);
            file.ahead = state.offset;
            file.transferred = state.closed && (job.kind == JobType::Upload || state.reply_stored);
            let finished = file.transferred;
            file.upload = Some(Box::new(state));
            self.effects.push(Effect::SaveFile(id, 0));
            if moved || finished {
                job.bytes_stored(now);
                self.save(id);
                self.arm_for(id, now);
            }
            if finished {
                self.notice(id, NoticeKind::FileTransferred(0), now.wall);
            }
        }
        if keep {
            self.effects.push(Effect::Kept { job: id, attempt, owner: run_owner });
        }
    }

    fn is_reply(&self, id: JobId, file: u32) -> bool {
        file == REPLY_INDEX && self.jobs.get(&id).is_some_and(|job| job.kind == JobType::UploadReply)
    }

    /// From here on the reply has its name, and GetReplyProgress a size.
    fn reply_began(&mut self, id: JobId, size: Option<u64>) {
        if let Some(reply) = self.jobs.get_mut(&id).and_then(|job| job.reply.as_deref_mut()) {
            reply.size = size.or(reply.size);
            let local = reply.file_name.clone().unwrap_or_default();
            let new = || Box::new(File { local, begun: true, ..File::default() });
            reply.file.get_or_insert_with(new).size = size;
            self.save(id);
        }
    }

    fn on_reply_checkpoint(&mut self, id: JobId, report: &FileReport, now: Now) {
        self.reply_began(id, report.size);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(reply) = job.reply.as_deref_mut() else { return };
        let Some(file) = reply.file.as_deref_mut().filter(|file| !file.transferred) else { return };
        let moved = report.done.len() > file.done.len() || report.finished;
        file.size = report.size;
        file.done = report.done.clone();
        file.etag = report.etag.as_deref().map(Into::into);
        file.last_modified = report.last_modified.as_deref().map(Into::into);
        file.modified_s = report.modified_s;
        file.transferred = report.finished;
        reply.transferred = report.done.len();
        if report.finished {
            reply.size = Some(report.done.len());
        }
        if moved {
            job.bytes_stored(now);
            self.arm_for(id, now);
        }
        self.save(id);
    }

    /// A file begins again at zero, because the server's copy changed.
    pub fn on_restarted(&mut self, id: JobId, attempt: AttemptId, file: u32, now: Now) {
        if !self.is_live(id, attempt) {
            return;
        }
        if self.change(id, Event::RemoteChanged { file }, now) && !self.is_reply(id, file) {
            if self.jobs.get(&id).is_some_and(Job::lacks_ranges) {
                // The worker knows only what lacked when it began.
                self.wants_changed(id, file);
            } else {
                self.effects.push(Effect::SaveFile(id, file));
            }
        }
    }

    /// The job's redirect policy makes the target of a redirect the remote name. One that could not be a remote name changes nothing.
    pub fn on_redirected(&mut self, id: JobId, attempt: AttemptId, file: u32, remote: &str, now: Now) {
        let policy = self.jobs.get(&id).map(|job| RedirectPolicy::of(job.security_flags()));
        let wanted = policy.is_some_and(|policy| policy != RedirectPolicy::Silent);
        // A server may send a job to another server, never to a share or to a file of this machine.
        let web = names::check_remote_name(remote).is_ok_and(names::RemoteScheme::has_ranges);
        // A cache host that sends the transfer on says nothing of where the file is.
        let cached = self.runs.get(&id).is_some_and(|run| run.cached);
        if !self.is_current(id, attempt) || cached || !wanted || !web {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(entry) = job.files.get_mut(file as usize) else { return };
        if *entry.remote != *remote {
            entry.remote = remote.into();
            job.modified = job.modified.max(now.wall);
            self.effects.push(Effect::SaveFile(id, file));
            self.save(id);
            self.notice(id, NoticeKind::Modified, now.wall);
        }
    }

    /// Every file of the attempt's order is finished.
    pub fn on_done(&mut self, id: JobId, attempt: AttemptId, now: Now) {
        if !self.is_live(id, attempt) {
            return;
        }
        self.tell_ranges(id, now);
        let Some((job, run)) = self.jobs.get(&id).zip(self.runs.get(&id)) else { return };
        if job.all_transferred() {
            self.runs.remove(&id);
            self.apply(id, Event::AllFinished, now);
        } else if job.is_satisfied() && !job.lacks_ranges() {
            self.runs.remove(&id);
            self.apply(id, Event::RequestsFilled, now);
        } else if job.is_satisfied() {
            // Nothing is asked for, and yet not all of it is there: the next turn asks again.
            self.runs.remove(&id);
            self.apply(id, Event::Preempted, now);
        } else if job.files.len() > run.files || run.wants_changed {
            // Files were added meanwhile, or more was asked for: the job goes on with them.
            let started = run.started;
            self.start_attempt(id, now);
            if let Some(run) = self.runs.get_mut(&id) {
                run.started = started;
            }
        } else {
            // The worker believes to be ready and is not. The same order at once would have the same end, for ever.
            self.runs.remove(&id);
            let mut error = ErrorRecord::new(h::E_UNEXPECTED, ErrorContext::GeneralTransport, now.wall);
            error.detail = "the transfer ended without all of its data".into();
            self.apply(id, Event::Recoverable { error, retry_after_ms: 0 }, now);
        }
        self.reschedule(now);
    }

    /// The attempt ended with an error; `retry_after_ms` is `None` for a fatal one.
    pub fn on_failed(
        &mut self,
        id: JobId,
        attempt: AttemptId,
        error: ErrorRecord,
        retry: Option<u64>,
        now: Now,
    ) {
        if !self.is_live(id, attempt) {
            return;
        }
        self.record_failed(id, attempt, &error);
        self.runs.remove(&id);
        let verdict = self.verdict(id, &error, retry, now);
        // The headers of the answer that said so.
        let files = self.jobs.get(&id).map_or(0, |job| job.files.len());
        if let Some(file) = error.file.filter(|file| (*file as usize) < files) {
            self.effects.push(Effect::SaveFile(id, file));
        }
        self.tell_ranges(id, now);
        self.forget_impossible(id, &error);
        let event = match verdict {
            Verdict::Again(retry_after_ms) => Event::Recoverable { error, retry_after_ms },
            Verdict::Elsewhere => Event::Elsewhere(error),
            Verdict::Final => Event::Fatal(error),
        };
        self.apply(id, event, now);
        self.reschedule(now);
    }

    /// The worker has let go of the job.
    pub fn on_stopped(&mut self, id: JobId, attempt: AttemptId, now: Now) {
        if self.is_current(id, attempt) {
            self.ended(id, now);
        }
    }

    /// Files were renamed and removed.
    pub fn on_finish_done(
        &mut self,
        id: JobId,
        ticket: Ticket,
        result: &FinishResult,
        error: Option<(u32, HResult, String)>,
        now: Now,
    ) {
        self.finished(id, ticket, result, error, now);
        self.reschedule(now);
    }

    /// No worker can be had for an owner (its account is gone, or no process can be started): what waits for one is answered.
    ///
    /// Attempts end with `error` and are retried; a Cancel leaves its temporary files behind; a Complete is refused.
    pub fn on_no_worker(&mut self, owner: Uid, error: &ErrorRecord, now: Now) {
        let runs: Vec<_> = self
            .runs
            .iter()
            .filter(|(_, run)| run.owner == owner)
            .map(|(id, run)| (*id, run.attempt))
            .collect();
        for (id, attempt) in runs {
            self.on_failed(id, attempt, error.clone(), Some(0), now);
            self.on_stopped(id, attempt, now);
        }
        let finishes: Vec<_> = self
            .finishes
            .iter()
            .filter(|(_, finish)| finish.owner == owner)
            .map(|(id, f)| (*id, f.ticket, f.kind))
            .collect();
        for (id, ticket, kind) in finishes {
            let (result, refused) = match kind {
                Finishing::Cancel => (FinishResult { left_behind: true, ..FinishResult::default() }, None),
                Finishing::Farewell => (FinishResult { upload_left: true, ..FinishResult::default() }, None),
                Finishing::Complete => (
                    FinishResult { error: Some(error.code), ..FinishResult::default() },
                    Some((0, error.code, error.detail.to_string())),
                ),
            };
            self.finished(id, ticket, &result, refused, now);
        }
        self.reschedule(now);
    }

    /// The worker of an owner is gone: its jobs are QUEUED again, and a Complete or Cancel is repeated by its successor.
    pub fn on_worker_lost(&mut self, owner: Uid, now: Now) {
        // Read before the runs end: what their ends begin is with the successor already.
        let mut unfinished: Vec<_> = self
            .finishes
            .iter()
            .filter(|(_, finish)| finish.owner == owner)
            .map(|(id, finish)| (*id, finish.kind))
            .collect();
        unfinished.sort_unstable_by_key(|(id, _)| *id);
        let mut lost: Vec<JobId> =
            self.runs.iter().filter(|(_, run)| run.owner == owner).map(|(id, _)| *id).collect();
        lost.sort_unstable_by_key(|id| self.runs[id].attempt);
        for id in lost {
            self.change(id, Event::Preempted, now);
            self.ended(id, now);
        }
        for (id, kind) in unfinished {
            self.finish_again(id, kind, now);
        }
        self.reschedule(now);
    }
}
