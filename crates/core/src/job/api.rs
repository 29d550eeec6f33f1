//! Calls that change a job's state (spec/bits-core.md 5.2 and 8.2).

use super::download::TEXT_MAX;
use super::options::OwnerLevel;
use super::{Change, File, Finishing, Job, NewFile, Notice, REPLY_INDEX};
use crate::delivery::codes;
use crate::enums::{JobState, JobType};
use crate::hresult::{self as h, HResult};
use crate::id::Uid;
use crate::names;
use crate::time::Now;

/// What the worker has to do for Complete and Cancel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FinishPlan {
    /// Indexes of files to rename into place, in list order.
    pub rename: Vec<u32>,
    /// Indexes of files whose temporary file is to be removed.
    pub remove: Vec<u32>,
    /// The server is told to forget the upload.
    pub cancel_upload: bool,
}

/// What the worker did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FinishResult {
    /// Files that are in place.
    pub renamed: Vec<u32>,
    /// Code of the first rename that failed.
    pub error: Option<HResult>,
    /// Files whose finished data is gone or damaged: they are fetched again. Only together with `error`.
    pub lost: Vec<u32>,
    /// At least one temporary file could not be removed.
    pub left_behind: bool,
    /// The server did not answer: it may still hold the upload.
    pub upload_left: bool,
}

impl Job {
    /// AddFile, AddFileSet: all or nothing, order kept.
    ///
    /// `files_max` is the quota for this caller. Syntax and the owner's rights were checked before.
    pub fn add_files(
        &mut self,
        files: Vec<NewFile>,
        files_max: Option<u32>,
        now: Now,
    ) -> Result<Change, HResult> {
        let ranged = files.iter().any(|file| file.ranges.is_some());
        if ranged && self.kind != JobType::Download {
            return Err(h::E_NOTIMPL);
        }
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        if self.kind != JobType::Download && self.files.len() + files.len() > 1 {
            return Err(h::BG_E_TOO_MANY_FILES);
        }
        if files.is_empty() {
            return Ok(Change::ok(Notice::None));
        }
        if files_max.is_some_and(|max| self.files.len() + files.len() > max as usize) {
            return Err(h::BG_E_TOO_MANY_FILES_IN_JOB);
        }
        // Only Delivery Optimization adds files before it says where they go (spec/delivery-optimization-com.md 5.3).
        if files.iter().any(|file| file.local.is_empty()) {
            if self.dialect() != super::Dialect::DeliveryOptimization {
                return Err(h::E_INVALIDARG);
            }
            if self.state != JobState::Suspended {
                return Err(h::BG_E_INVALID_STATE);
            }
        }
        let ids = || files.iter().filter_map(|file| file.content_id.as_deref());
        let known = self.files.iter().filter_map(|file| file.content_id.as_deref());
        ids().try_for_each(|id| names::check_text(id, TEXT_MAX))?;
        let mut seen: std::collections::BTreeSet<&str> = known.collect();
        if !ids().all(|id| seen.insert(id)) {
            return Err(h::E_INVALIDARG);
        }
        if ranged && (self.options().dynamic_content || self.options().on_demand) {
            return Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION);
        }
        if ranged && self.has_custom_method() {
            return Err(h::BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD);
        }
        self.files.extend(files.into_iter().map(File::new));
        if self.reply.as_deref().is_some_and(|r| r.file_name.is_none()) {
            let name = self.generated_reply_name();
            if let Some(reply) = self.reply.as_deref_mut() {
                reply.file_name = name.map(Into::into);
                reply.generated = true;
            }
        }
        if self.state == JobState::Transferred {
            self.enter(JobState::Suspended, now);
        }
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// Resume.
    pub fn resume(&mut self, now: Now) -> Result<Change, HResult> {
        // What a download's Start asked for may have been lost, or forgotten with a server's refusal.
        let stands = matches!(self.state, JobState::Suspended | JobState::TransientError | JobState::Error);
        if stands && self.is_satisfied() && self.lacks_ranges() {
            self.ask_again();
        }
        match self.state {
            JobState::Acknowledged | JobState::Cancelled => Err(h::BG_E_INVALID_STATE),
            JobState::Suspended if self.files.is_empty() => Err(h::BG_E_EMPTY),
            JobState::Suspended if self.files.iter().any(|file| file.local.is_empty()) => {
                Err(codes::DO_E_LOCALPATH_NOT_SET)
            }
            JobState::Suspended if self.has_unset_checks() => {
                self.set_checks().and_then(|()| self.resume(now))
            }
            JobState::Suspended if self.all_transferred() => {
                self.resumed = true;
                self.error = None;
                self.no_progress_since = None;
                self.touch(now);
                self.transferred_at = now.wall;
                self.enter(JobState::Transferred, now);
                Ok(Change::ok(Notice::Transferred))
            }
            JobState::Suspended | JobState::TransientError | JobState::Error
                if self.is_satisfied() && !self.lacks_ranges() =>
            {
                // Nothing is asked for (spec/bits-extended.md 7.12).
                self.resumed = true;
                self.no_progress_since = None;
                self.touch(now);
                self.enter(JobState::Suspended, now);
                Ok(Change::ok(Notice::Modification))
            }
            JobState::Suspended | JobState::TransientError | JobState::Error => {
                if let Some(delivery) = self.delivery.as_deref_mut() {
                    delivery.begin_afresh();
                    self.no_progress_since = None;
                }
                if let Some(download) = self.download.as_deref_mut() {
                    download.no_progress = false;
                }
                if self.state == JobState::Error {
                    self.no_progress_since = None;
                }
                self.resumed = true;
                // Resume restarts the clock of the maximum download time.
                self.active_ms = 0;
                self.touch(now);
                self.enter(JobState::Queued, now);
                Ok(Change::ok(Notice::Modification))
            }
            JobState::Queued | JobState::Connecting | JobState::Transferring | JobState::Transferred => {
                Ok(Change::ok(Notice::None))
            }
        }
    }

    /// Suspend. A job in ERROR or TRANSFERRED counts as suspended already and keeps its state; one of Delivery Optimization leaves ERROR
    /// (spec/delivery-optimization-com.md 5.4), but for the downloads of IDOManager and of the agent, whose pause keeps what ended them.
    pub fn suspend(&mut self, now: Now) -> Result<Change, HResult> {
        match self.state {
            JobState::Acknowledged | JobState::Cancelled => Err(h::BG_E_INVALID_STATE),
            JobState::Error if !self.leaves_error_by_suspend() => Ok(Change::ok(Notice::None)),
            JobState::Suspended | JobState::Transferred => Ok(Change::ok(Notice::None)),
            JobState::Queued
            | JobState::Connecting
            | JobState::Transferring
            | JobState::TransientError
            | JobState::Error => {
                self.touch(now);
                self.enter(JobState::Suspended, now);
                Ok(Change::ok(Notice::Modification))
            }
        }
    }

    fn leaves_error_by_suspend(&self) -> bool {
        self.dialect() == super::Dialect::DeliveryOptimization
            && self.delivery.is_none()
            && self.download.is_none()
    }

    /// First half of Cancel: the job is CANCELLED at once; the temporary files go next.
    pub fn cancel(&mut self, now: Now) -> Result<FinishPlan, HResult> {
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        self.touch(now);
        self.enter(JobState::Cancelled, now);
        self.finishing = Some(Finishing::Cancel);
        Ok(self.cancel_plan())
    }

    /// Files that Cancel removes: every temporary file that may exist. Files already in place stay.
    pub fn cancel_plan(&self) -> FinishPlan {
        let remove = match self.kind {
            JobType::Download => self.removable(|f| f.begun && !f.completed),
            // The source of an upload is the owner's; only a reply leaves something behind.
            JobType::Upload => Vec::new(),
            JobType::UploadReply => self
                .reply_file()
                .filter(|f| f.begun && !f.completed)
                .map(|_| REPLY_INDEX)
                .into_iter()
                .collect(),
        };
        FinishPlan { remove, ..FinishPlan::default() }
    }

    /// Second half of Cancel.
    pub fn cancelled(&mut self, result: &FinishResult) -> Change {
        self.finishing = None;
        let code = if result.left_behind { h::BG_S_UNABLE_TO_DELETE_FILES } else { h::S_OK };
        Change { code, notice: Notice::Final }
    }

    /// Whether Complete is legal now.
    pub fn may_complete(&self) -> Result<(), HResult> {
        if self.state.is_final() || (self.kind != JobType::Download && self.state != JobState::Transferred) {
            return Err(h::BG_E_INVALID_STATE);
        }
        Ok(())
    }

    /// First half of Complete. A running transfer has been stopped before; the state is kept until the files are in place.
    pub fn complete(&mut self) -> Result<FinishPlan, HResult> {
        self.may_complete()?;
        self.finishing = Some(Finishing::Complete);
        Ok(self.complete_plan())
    }

    /// Files that Complete renames and removes.
    pub fn complete_plan(&self) -> FinishPlan {
        if self.kind != JobType::Download {
            let reply = self.reply_file().filter(|f| f.transferred && !f.completed);
            return FinishPlan {
                rename: reply.map(|_| REPLY_INDEX).into_iter().collect(),
                ..FinishPlan::default()
            };
        }
        if self.made().is_some() {
            return FinishPlan::default(); // the file is where it belongs, and may be its client's already
        }
        FinishPlan {
            rename: self.indexes(|f| self.is_ready(f) && !f.completed),
            remove: self.removable(|f| f.begun && !self.is_ready(f)),
            cancel_upload: false,
        }
    }

    /// Second half of Complete: marks what is in place; ACKNOWLEDGED unless a rename failed. Files whose data was lost begin again at
    /// zero.
    pub fn completed(&mut self, result: &FinishResult, now: Now) -> Result<Change, HResult> {
        self.finishing = None;
        if self.made().is_some() {
            self.files.iter_mut().for_each(|file| file.completed |= file.transferred);
        }
        for &index in &result.renamed {
            if let Some(file) = self.file_or_reply_mut(index) {
                file.completed = true;
                file.validated = true;
            }
        }
        if let Some(code) = result.error {
            for &index in &result.lost {
                if let Some(file) = self.file_or_reply_mut(index).filter(|file| !file.completed) {
                    file.restart();
                }
            }
            self.ask_again();
            // A transfer that ran was stopped for this Complete (spec/bits-core.md 12, row 16).
            if self.state.is_running() || self.state == JobState::Queued {
                self.enter(JobState::Suspended, now);
            }
            if !result.renamed.is_empty() {
                self.touch(now);
            }
            return Err(code);
        }
        // A job that is not TRANSFERRED may have all its data: its last bytes crossed a stop, or an earlier Complete failed.
        let partial = self.kind == JobType::Download && self.files.iter().any(|file| !file.completed);
        let code = if partial {
            h::BG_S_PARTIAL_COMPLETE
        } else if result.left_behind {
            h::BG_S_UNABLE_TO_DELETE_FILES
        } else {
            h::S_OK
        };
        self.touch(now);
        self.enter(JobState::Acknowledged, now);
        Ok(Change { code, notice: Notice::Final })
    }

    /// Complete failed in a way that somebody has to be told of: the service began it by itself, or data has to be fetched again. The
    /// job goes to ERROR, and Resume tries again.
    pub fn fail_completion(&mut self, error: super::ErrorRecord, now: Now) {
        self.error = Some(Box::new(error));
        self.error_count = self.error_count.saturating_add(1);
        self.touch(now);
        self.enter(JobState::Error, now);
    }

    /// TakeOwnership by an administrator whose access to the files was checked.
    pub fn take_ownership(&mut self, new_owner: Uid, now: Now) -> Result<Change, HResult> {
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        if self.owner == new_owner {
            return Ok(Change::ok(Notice::Modification));
        }
        self.owner = new_owner;
        self.credentials.clear();
        self.secrets.clear();
        self.files.iter_mut().for_each(|file| file.login = None);
        if let Some(download) = self.download.as_deref_mut() {
            download.change_hands(self.files.is_empty());
        }
        if let Some(delivery) = self.delivery.as_deref_mut() {
            delivery.change_hands(self.files.is_empty());
        }
        self.notify_command = None;
        if let Some(http) = self.http.as_deref_mut() {
            http.change_hands();
        }
        // The old owner's proxy may carry his password, and what he set going must not go on with the new owner's rights unasked.
        if let Some(extras) = self.extras.as_deref_mut() {
            extras.environment_proxy = None;
            extras.auto_complete = false;
            extras.bind = None;
        }
        // Nor must the new owner's name start what the old owner chose (spec/bits-extended.md 3.4).
        if let Some(options) = self.options.as_deref_mut() {
            options.notification_class = None;
            options.helper_flags = 0;
            options.owner_level = OwnerLevel::default();
        }
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// GetError. Nothing is available of a job that is over (spec/bits-core.md 4.3).
    pub fn get_error(&self) -> Result<&super::ErrorRecord, HResult> {
        self.error.as_deref().filter(|_| !self.state.is_final()).ok_or(h::BG_E_ERROR_INFORMATION_UNAVAILABLE)
    }

    /// Temporary files to remove. Data that went straight to its destination stays there: it is the client's
    /// (HIGH_PERFORMANCE, spec/behaviour.md 14.2).
    fn removable(&self, wanted: impl Fn(&File) -> bool) -> Vec<u32> {
        let kept = self.options().high_performance && self.made().is_none();
        if kept { Vec::new() } else { self.indexes(wanted) }
    }

    /// A file by the index that workers use: of an upload-reply job the reply is file 1.
    pub(crate) fn file_or_reply_mut(&mut self, index: u32) -> Option<&mut File> {
        if self.kind == JobType::UploadReply && index == REPLY_INDEX {
            return self.reply.as_deref_mut()?.file.as_deref_mut();
        }
        self.files.get_mut(index as usize)
    }

    fn indexes(&self, wanted: impl Fn(&File) -> bool) -> Vec<u32> {
        (0u32..).zip(&self.files).filter(|(_, file)| wanted(file)).map(|(index, _)| index).collect()
    }
}
