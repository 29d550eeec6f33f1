//! What the application thinks of a file's content: SetValidationState (spec/bits-extended.md 7.4, 7.5).

use super::{Change, ErrorRecord, Job, Notice};
use crate::enums::{ErrorContext, JobState, JobType};
use crate::hresult::{self as h, HResult};
use crate::time::Now;

impl Job {
    /// IBackgroundCopyFile3::SetValidationState. FALSE sends the job to ERROR, and Resume fetches the file again.
    ///
    /// # Errors
    /// `E_NOTIMPL` for an upload, `BG_E_INVALID_STATE` in a final state, `BG_E_FILE_NOT_FOUND` for a position beyond the list,
    /// `E_PENDING` while the file (or the reply) is not there completely.
    pub fn set_validation_state(&mut self, file: u32, valid: bool, now: Now) -> Result<Change, HResult> {
        if self.kind == JobType::Upload {
            return Err(h::E_NOTIMPL);
        }
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        let replies = self.kind == JobType::UploadReply;
        let all_there = self.state == JobState::Transferred;
        let found = self.files.get_mut(file as usize).ok_or(h::BG_E_FILE_NOT_FOUND)?;
        if if replies { !all_there } else { !found.transferred } {
            return Err(h::E_PENDING);
        }
        found.validated = valid;
        if valid {
            self.touch(now);
            return Ok(Change::ok(Notice::Modification));
        }
        if let Some(reply) = self.reply.as_deref_mut() {
            (reply.size, reply.transferred) = (None, 0);
        } else {
            found.restart();
            self.ask_again();
        }
        let mut error = ErrorRecord::new(h::BG_E_VALIDATION_FAILED, ErrorContext::RemoteFile, now.wall);
        error.file = Some(file);
        error.detail = "The application judged the content invalid.".into();
        self.fail_completion(error, now);
        Ok(Change::ok(Notice::Error))
    }

    /// IBackgroundCopyFile3::GetTemporaryName: the file that receives the data, while there is one.
    ///
    /// # Errors
    /// `E_NOTIMPL` for an upload, `BG_E_FILE_NOT_FOUND` for a position beyond the list.
    pub fn temporary_path(&self, file: u32) -> Result<Option<String>, HResult> {
        if self.kind != JobType::Download {
            return Err(h::E_NOTIMPL);
        }
        let found = self.files.get(file as usize).ok_or(h::BG_E_FILE_NOT_FOUND)?;
        if self.is_direct() {
            return Ok(Some(found.local.to_string()));
        }
        let folder = found.local.rsplit_once('/').map_or("", |(folder, _)| folder);
        Ok((found.begun && !found.completed).then(|| format!("{folder}/{}", self.temporary_name(file))))
    }
}
