//! What comes out of the queue.

use super::{Callback, Pace, Program, Queue};
use crate::enums::{ErrorContext, JobState};
use crate::events_log::Record;
use crate::hresult::HResult;
use crate::id::{AttemptId, JobId, Ticket, Uid};
use crate::job::JobProgress;
use crate::job::api::FinishPlan;
use crate::layout::FileRange;
use crate::time::FileTime;

/// Something to do, after everything before it in the list.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Store the job as it is now (without its files).
    Save(JobId),
    /// Store one file of the job as it is now.
    SaveFile(JobId, u32),
    /// Remove the job and its files from the store.
    Delete(JobId),
    /// Tell a worker of the owner to transfer the unfinished files.
    Start {
        /// The job.
        job: JobId,
        /// The new attempt.
        attempt: AttemptId,
        /// Whose worker is to have it.
        owner: Uid,
    },
    /// Tell the worker to end the attempt.
    Stop {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: AttemptId,
        /// Owner whose worker has it.
        owner: Uid,
    },
    /// Tell the worker that has the job what is wanted of a file from now on.
    Want {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: AttemptId,
        /// Owner whose worker has it.
        owner: Uid,
        /// Position in the file list.
        file: u32,
    },
    /// Tell a worker of the owner to rename and remove files.
    Finish {
        /// The job.
        job: JobId,
        /// Comes back with the report.
        ticket: Ticket,
        /// Which files.
        plan: FinishPlan,
        /// Whose worker is to do it.
        owner: Uid,
        /// A repetition after a crash.
        replay: bool,
    },
    /// Tell the worker that what it asked to be kept is durable.
    Kept {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: AttemptId,
        /// Owner whose worker has it.
        owner: Uid,
    },
    /// Answer a call.
    Answer(Ticket, Result<HResult, Failure>),
    /// Tell the listeners.
    Notice(Notice),
    /// Call a job's callback.
    Callback(Box<Callback>),
    /// Run a notification program.
    Run(Box<Program>),
    /// Write into the log, and into the job's history.
    Log(Box<Record>),
}

/// A refused call.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Failure {
    /// Code.
    pub code: HResult,
    /// What exactly was refused.
    pub detail: String,
}

impl Failure {
    /// With an explanation.
    pub fn new(code: HResult, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl From<HResult> for Failure {
    fn from(code: HResult) -> Self {
        Self { code, detail: code.text() }
    }
}

/// What a notice is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeKind {
    /// Created.
    Created,
    /// State or properties changed.
    Modified,
    /// Reached TRANSFERRED.
    Transferred,
    /// Reached ERROR.
    Error,
    /// One file is finished.
    FileTransferred(u32),
    /// Ranges of a file are there; need not be kept.
    FileRangesTransferred(u32),
    /// Left the queue: completed.
    Acknowledged,
    /// Left the queue: cancelled.
    Cancelled,
    /// Bytes moved; need not be kept.
    Progress,
}

impl NoticeKind {
    /// May be lost: the next one, or a look at the job, tells the same.
    pub const fn is_volatile(self) -> bool {
        matches!(self, Self::Progress | Self::FileRangesTransferred(_))
    }
}

/// The job at the moment of the notice.
#[derive(Clone, PartialEq, Debug)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The job.
    pub job: JobId,
    /// Its owner.
    pub owner: Uid,
    /// Its name.
    pub display_name: Box<str>,
    /// When.
    pub at: FileTime,
    /// State after the event.
    pub state: JobState,
    /// Progress after the event.
    pub progress: JobProgress,
    /// The error, in ERROR and TRANSIENT_ERROR.
    pub error: Option<(HResult, ErrorContext)>,
    /// Pacing of the transfer.
    pub pace: Option<Pace>,
    /// What came, for [`NoticeKind::FileRangesTransferred`].
    pub ranges: Vec<FileRange>,
}

impl Queue {
    pub(super) fn save(&mut self, id: JobId) {
        self.touch_notice(id);
        self.count_job(id);
        // Within one input a job is saved once; its rows are made when the list is drained.
        if self.saved.insert(id) {
            self.effects.push(Effect::Save(id));
        }
    }

    pub(super) fn notice(&mut self, id: JobId, kind: NoticeKind, at: FileTime) {
        if !matches!(kind, NoticeKind::Progress | NoticeKind::FileTransferred(_) | NoticeKind::Created) {
            self.supersede(id);
        }
        self.notice_with(id, kind, Vec::new(), at);
    }

    pub(super) fn notice_with(&mut self, id: JobId, kind: NoticeKind, ranges: Vec<FileRange>, at: FileTime) {
        if let Some(notice) = self.notice_of(id, kind, at) {
            let notice = Notice { ranges, ..notice };
            self.mark_notice(&notice);
            self.count_job(id);
            self.record_notice(&notice);
            self.effects.push(Effect::Notice(notice));
        }
    }

    pub(super) fn notice_of(&self, id: JobId, kind: NoticeKind, at: FileTime) -> Option<Notice> {
        let job = self.jobs.get(&id)?;
        let failed = matches!(job.state, JobState::Error | JobState::TransientError);
        Some(Notice {
            kind,
            job: id,
            owner: job.owner,
            display_name: job.display_name.clone(),
            at,
            state: job.state,
            progress: job.progress(),
            error: job.error.as_deref().filter(|_| failed).map(|e| (e.code, e.context)),
            pace: self.pace(id).copied(),
            ranges: Vec::new(),
        })
    }
}
