//! What workers do and report.

use super::world::{FileWork, SIZE, World};
use crate::enums::ErrorContext;
use crate::hresult::HResult;
use crate::id::{AttemptId, JobId, Ticket, Uid};
use crate::job::ErrorRecord;
use crate::job::api::FinishResult;
use crate::queue::FileReport;
use crate::range_set::RangeSet;

impl World {
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
        self.file_work_failed_with(ticket, renamed, code, vec![]);
    }

    /// The same, and the data of some files is gone.
    pub(super) fn file_work_failed_with(
        &mut self,
        ticket: Ticket,
        renamed: usize,
        code: HResult,
        lost: Vec<u32>,
    ) {
        let work = self.work.remove(&ticket).expect("under way");
        let at = work.plan.rename[renamed];
        let result = FinishResult {
            renamed: work.plan.rename[..renamed].to_vec(),
            error: Some(code),
            lost,
            left_behind: false,
            upload_left: false,
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
}
