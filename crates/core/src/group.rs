//! Groups: the first generation of the interface, `qmgr.h` (spec/qmgr-legacy.md).
//!
//! A group is a modern job seen through another door. Its id is the job's; it is suspended, resumed, retried, shown and limited as any
//! job. What is told of it here is arithmetic over the job: status bits, progress, properties. Three facts have no modern counterpart
//! and are kept beside the job: [`GroupData`].

pub mod property;

use crate::enums::{JobState, Priority};
use crate::hresult::{self as h, HResult};
use crate::id::JobId;
use crate::job::{Dialect, File, Job};
use crate::names;
use serde::{Deserialize, Serialize};

pub use property::{Variant, VariantValue};

/// `QM_NOTIFY_*` bits (spec/qmgr-legacy.md 3.2). Errors are told unless everything is muted; no bit asks for them.
pub mod qm_notify {
    /// One file is finished; stored only.
    pub const FILE_DONE: u32 = 0x01;
    /// The job is finished; stored only.
    pub const JOB_DONE: u32 = 0x02;
    /// The group is finished.
    pub const GROUP_DONE: u32 = 0x04;
    /// Mutes everything.
    pub const DISABLE_NOTIFY: u32 = 0x40;
    /// OnProgressEx; stored only.
    pub const USE_PROGRESSEX: u32 = 0x80;
    /// Bits that are stored and mean nothing.
    pub const IDLE: u32 = FILE_DONE | JOB_DONE | USE_PROGRESSEX;
    /// Every defined bit.
    pub const ALL: u32 = IDLE | GROUP_DONE | DISABLE_NOTIFY;
}

/// `QM_STATUS_*` bits (spec/qmgr-legacy.md 3.3), those that are ever returned.
pub mod qm_status {
    /// The job is finished.
    pub const JOB_COMPLETE: u32 = 0x004;
    /// The job is not finished.
    pub const JOB_INCOMPLETE: u32 = 0x008;
    /// The job failed.
    pub const JOB_ERROR: u32 = 0x010;
    /// The group is finished.
    pub const GROUP_COMPLETE: u32 = 0x040;
    /// The group is not finished.
    pub const GROUP_INCOMPLETE: u32 = 0x080;
    /// The group does not run.
    pub const GROUP_SUSPENDED: u32 = 0x100;
    /// The group failed.
    pub const GROUP_ERROR: u32 = 0x200;
    /// The group has foreground priority.
    pub const GROUP_FOREGROUND: u32 = 0x400;
}

/// `QM_PROGRESS_*`: plain values, no bits.
pub mod qm_progress {
    /// Percent of the bytes.
    pub const PERCENT_DONE: u32 = 1;
    /// Not implemented.
    pub const TIME_DONE: u32 = 2;
    /// Bytes, at most 2^32 - 1.
    pub const SIZE_DONE: u32 = 3;
}

/// `QM_PROTOCOL_HTTP`, the one that may be set.
pub const PROTOCOL_HTTP: i64 = 1;

/// What a group has beside its modern job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupData {
    /// The first-generation job in it, once CreateJob was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// `QM_NOTIFY_*` bits without a modern counterpart.
    #[serde(skip_serializing_if = "is_zero")]
    pub idle_flags: u32,
    /// Random: temporary files are named after it, since the group's own id is the caller's choice and may be guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<JobId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What only a group can be asked for; the other calls of a group are those of its job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupCall {
    /// CreateJob with the id that the caller chose.
    CreateJob(JobId),
    /// SetProp: GROUPPROP as a raw number, and its value.
    SetProperty(u32, Variant),
    /// CancelGroup: finished files are delivered, the rest is dropped.
    Cancel,
}

/// How an error looks to a caller of the first generation (spec/qmgr-legacy.md 6 and 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupError {
    /// Win32 code, or the whole HRESULT if it has none; 0 if only the server refused.
    pub win32: u32,
    /// HTTP status; 0 if there was none.
    pub transport: u32,
    /// Failed attempts.
    pub retries: u32,
}

impl GroupError {
    /// Win32 and HTTP halves of a code.
    pub const fn of(code: HResult) -> Self {
        let bits = code.bits();
        let (win32, transport) = match (bits >> 16, code.http_status()) {
            (_, Some(status)) => (0, status as u32),
            (0x8007, None) => (bits & 0xFFFF, 0),
            _ => (bits, 0),
        };
        Self { win32, transport, retries: 0 }
    }
}

/// A job seen as a group.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a>(&'a Job);

impl<'a> Group<'a> {
    /// The job as a group that may still be used.
    ///
    /// # Errors
    /// `QM_E_ITEM_NOT_FOUND` if it is no group; `QM_E_INVALID_STATE` if it was removed from the queue.
    pub fn of(job: &'a Job) -> Result<Self, HResult> {
        if job.dialect() != Dialect::Group {
            return Err(h::QM_E_ITEM_NOT_FOUND);
        }
        if job.state.is_final() { Err(h::QM_E_INVALID_STATE) } else { Ok(Self(job)) }
    }

    /// The modern job.
    pub const fn modern(self) -> &'a Job {
        self.0
    }

    fn data(self) -> Option<&'a GroupData> {
        self.0.extras().group.as_deref()
    }

    /// Id of the job in it (EnumJobs); nothing before CreateJob.
    pub fn job_id(self) -> Option<JobId> {
        self.data()?.job
    }

    /// GetJob.
    ///
    /// # Errors
    /// `QM_E_ITEM_NOT_FOUND`: it has no job, or another one.
    pub fn job(self, id: JobId) -> Result<Self, HResult> {
        if self.job_id() == Some(id) { Ok(self) } else { Err(h::QM_E_ITEM_NOT_FOUND) }
    }

    fn is_complete(self) -> bool {
        self.0.state == JobState::Transferred
    }

    /// The group does not stand still: it runs, waits for its turn, or is retried by the service.
    pub fn is_running(self) -> bool {
        !matches!(self.0.state, JobState::Suspended | JobState::Error | JobState::Transferred)
    }

    /// IBackgroundCopyGroup::GetStatus (spec/qmgr-legacy.md 8).
    pub fn status(self) -> u32 {
        let complete =
            if self.is_complete() { qm_status::GROUP_COMPLETE } else { qm_status::GROUP_INCOMPLETE };
        let suspended = if self.is_running() { 0 } else { qm_status::GROUP_SUSPENDED };
        let error = if self.0.state == JobState::Error { qm_status::GROUP_ERROR } else { 0 };
        let foreground =
            if self.0.priority == Priority::Foreground { qm_status::GROUP_FOREGROUND } else { 0 };
        complete | suspended | error | foreground
    }

    /// First value of IBackgroundCopyJob1::GetStatus.
    pub fn job_status(self) -> u32 {
        let complete = if self.is_complete() { qm_status::JOB_COMPLETE } else { qm_status::JOB_INCOMPLETE };
        complete | if self.0.state == JobState::Error { qm_status::JOB_ERROR } else { 0 }
    }

    /// The other values of IBackgroundCopyJob1::GetStatus: all 0 unless the job is in error.
    pub fn error(self) -> GroupError {
        match self.0.error.as_deref().filter(|_| self.0.state == JobState::Error) {
            Some(error) => GroupError { retries: self.0.error_count, ..GroupError::of(error.code) },
            None => GroupError::default(),
        }
    }

    /// get_Size: bytes of all files; 0 while one is unknown.
    pub fn size(self) -> u32 {
        saturated(self.0.progress().bytes_total.unwrap_or(0))
    }

    /// GetProgress of the group and of its job: they are the same.
    ///
    /// # Errors
    /// `E_NOTIMPL` for TIME_DONE, `E_INVALIDARG` for what is no kind of progress.
    pub fn progress(self, kind: u32) -> Result<u32, HResult> {
        let progress = self.0.progress();
        match kind {
            qm_progress::SIZE_DONE => Ok(saturated(progress.bytes_transferred)),
            qm_progress::PERCENT_DONE if self.is_complete() => Ok(100),
            qm_progress::PERCENT_DONE => Ok(percent(progress.bytes_transferred, progress.bytes_total)),
            qm_progress::TIME_DONE => Err(h::E_NOTIMPL),
            _ => Err(h::E_INVALIDARG),
        }
    }

    /// GetFile of the job.
    ///
    /// # Errors
    /// `QM_E_ITEM_NOT_FOUND` from the number of files on.
    pub fn file(self, index: u32) -> Result<&'a File, HResult> {
        self.0.files.get(index as usize).ok_or(h::QM_E_ITEM_NOT_FOUND)
    }

    /// GetProp: GROUPPROP as a raw number.
    ///
    /// # Errors
    /// `E_NOTIMPL` for a property that groups do not have.
    pub fn property(self, number: u32) -> Result<Variant, HResult> {
        property::get(self.0, self.data(), number)
    }

    /// CreateJob, but for the id: the state counts first.
    ///
    /// # Errors
    /// `QM_E_INVALID_STATE` while it runs, `E_NOTIMPL` if it has a job.
    pub fn may_create_job(self) -> Result<(), HResult> {
        match (self.is_running(), self.job_id()) {
            (true, _) => Err(h::QM_E_INVALID_STATE),
            (false, Some(_)) => Err(h::E_NOTIMPL),
            (false, None) => Ok(()),
        }
    }

    /// ResumeGroup: there has to be something to transfer.
    ///
    /// # Errors
    /// `QM_E_INVALID_STATE` without a job, or without files.
    pub fn may_resume(self) -> Result<(), HResult> {
        if self.job_id().is_none() || self.0.files.is_empty() { Err(h::QM_E_INVALID_STATE) } else { Ok(()) }
    }

    /// CancelGroup completes the job if a file is finished, and cancels it otherwise.
    pub fn is_delivered_by_cancel(self) -> bool {
        self.0.files.iter().any(|file| file.transferred)
    }
}

/// AddFiles: what this generation asks of local names beyond the modern rules, and of the list itself.
///
/// # Errors
/// `E_INVALIDARG`: no file, a local name of more than 260 characters or with wildcards.
pub fn check_files<'a>(locals: impl IntoIterator<Item = &'a str>) -> Result<(), HResult> {
    let mut count = 0u32;
    for local in locals {
        count += 1;
        names::check_local_name(local, true)?;
    }
    if count == 0 { Err(h::E_INVALIDARG) } else { Ok(()) }
}

/// EnumGroups and EnumJobs have no flags.
///
/// # Errors
/// `E_NOTIMPL`
pub const fn check_flags(flags: u32) -> Result<(), HResult> {
    if flags == 0 { Ok(()) } else { Err(h::E_NOTIMPL) }
}

/// A modern code as a caller of this generation knows it.
///
/// Codes of a refused call only; that the service ends, or has no worker, is the door's to tell apart.
pub const fn code(modern: HResult) -> HResult {
    match modern {
        h::BG_E_NOT_FOUND | h::BG_E_FILE_NOT_FOUND => h::QM_E_ITEM_NOT_FOUND,
        h::BG_E_INVALID_STATE | h::BG_E_EMPTY => h::QM_E_INVALID_STATE,
        // "Every directory in it must exist", or the name is a bad one (spec/qmgr-legacy.md 3.5, 6).
        h::BG_E_STRING_TOO_LONG | h::ERROR_PATH_NOT_FOUND | h::ERROR_INVALID_NAME => h::E_INVALIDARG,
        code => code,
    }
}

/// Rounded down; 100 is for what is complete.
fn percent(done: u64, total: Option<u64>) -> u32 {
    match total {
        Some(total) if total > 0 => {
            let percent = u128::from(done) * 100 / u128::from(total);
            u32::try_from(percent).unwrap_or(u32::MAX).min(99)
        }
        _ => 0,
    }
}

fn saturated(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
