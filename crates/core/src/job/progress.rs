//! Progress as the API tells it (spec/behaviour.md 15). `None` stands for BG_SIZE_UNKNOWN.

use super::Job;
use crate::enums::JobType;
use crate::hresult::{E_NOTIMPL, HResult};

/// BG_JOB_PROGRESS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobProgress {
    /// Sum of the file sizes; `None` while any is unknown; 0 without files.
    pub bytes_total: Option<u64>,
    /// Sum of the bytes moved.
    pub bytes_transferred: u64,
    /// Number of files.
    pub files_total: u32,
    /// Files with all their data.
    pub files_transferred: u32,
}

/// BG_FILE_PROGRESS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileProgress {
    /// Size, or unknown.
    pub bytes_total: Option<u64>,
    /// Bytes moved.
    pub bytes_transferred: u64,
    /// Download: renamed by Complete. Upload: transferred.
    pub completed: bool,
}

/// BG_JOB_REPLY_PROGRESS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyProgress {
    /// Unknown until the reply download begins.
    pub bytes_total: Option<u64>,
    /// Reply bytes moved.
    pub bytes_transferred: u64,
}

impl Job {
    /// IBackgroundCopyJob::GetProgress. The reply of an upload-reply job is not counted.
    pub fn progress(&self) -> JobProgress {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        if let Some((bytes_total, bytes_transferred)) = self.asked_progress() {
            let there = usize::from(self.files.iter().all(|file| self.is_ready(file)));
            return JobProgress {
                bytes_total,
                bytes_transferred,
                files_total: count(self.files.len()),
                files_transferred: count(there),
            };
        }
        JobProgress {
            bytes_total: self.files.iter().map(|f| f.size).try_fold(0u64, |sum, size| sum.checked_add(size?)),
            bytes_transferred: self.files.iter().fold(0, |sum, f| sum.saturating_add(f.bytes_transferred())),
            files_total: count(self.files.len()),
            files_transferred: count(self.files.iter().filter(|f| f.transferred).count()),
        }
    }

    /// IBackgroundCopyFile::GetProgress.
    pub fn file_progress(&self, index: usize) -> Option<FileProgress> {
        let file = self.files.get(index)?;
        Some(FileProgress {
            bytes_total: file.size,
            bytes_transferred: file.bytes_transferred(),
            completed: match self.kind {
                JobType::Download => file.completed,
                JobType::Upload | JobType::UploadReply => file.transferred,
            },
        })
    }

    /// IBackgroundCopyJob2::GetReplyProgress.
    pub fn reply_progress(&self) -> Result<ReplyProgress, HResult> {
        let reply = self.reply.as_deref().ok_or(E_NOTIMPL)?;
        Ok(ReplyProgress { bytes_total: reply.size, bytes_transferred: reply.transferred })
    }
}
