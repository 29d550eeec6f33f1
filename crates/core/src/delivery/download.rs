//! The state of a download as IDODownload::GetStatus tells it (spec/delivery-optimization-com.md 4.3).

use super::codes;
use crate::enums::JobState;
use crate::hresult::{HResult, S_OK};
use crate::job::{Job, Wait};
use serde::{Deserialize, Serialize};

/// DODownloadState
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Never started.
    Created,
    /// In progress.
    Transferring,
    /// All that was asked for is there; other ranges may be asked for.
    Transferred,
    /// The file is its client's.
    Finalized,
    /// Gone, with its file.
    Aborted,
    /// By its client, by a condition that ends by itself, or by an error.
    Paused,
}

impl State {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Transferring, Self::Transferred, Self::Finalized, Self::Aborted, Self::Paused];

    /// The enumerator's number.
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Nothing can be asked of it any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finalized | Self::Aborted)
    }
}

/// DO_DOWNLOAD_STATUS
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// State.
    pub state: State,
    /// Bytes asked for; 0 = not known yet.
    pub total: u64,
    /// Of these, bytes there.
    pub transferred: u64,
    /// 0, or what ended it.
    pub error: HResult,
    /// 0, or what holds it; or what was behind `error`.
    pub extended: HResult,
}

/// The status of a job; `None`: it is no download of IDOManager.
pub fn status(job: &Job) -> Option<Status> {
    let download = job.download.as_deref()?;
    let progress = job.progress();
    let mut status = Status {
        state: State::Transferring,
        total: progress.bytes_total.unwrap_or(0),
        transferred: progress.bytes_transferred,
        error: S_OK,
        extended: S_OK,
    };
    let cause = job.error.as_deref().map_or(S_OK, |error| codes::of_bits(error.code));
    let ready = !job.files.is_empty() && job.files.iter().all(|file| job.is_ready(file));
    match job.state {
        JobState::Suspended if !download.started => (status.state, status.total) = (State::Created, 0),
        JobState::Suspended if ready => status.state = State::Transferred,
        JobState::Suspended => status.state = State::Paused,
        JobState::Transferred => {
            status.state = State::Transferred;
            status.total = status.total.max(status.transferred);
        }
        JobState::Error => {
            status.state = State::Paused;
            (status.error, status.extended) = match download.no_progress {
                true => (codes::DO_E_DOWNLOAD_NO_PROGRESS, cause),
                false => (cause, S_OK),
            };
        }
        JobState::TransientError => {
            status.state = State::Paused;
            status.extended =
                job.wait.and_then(Wait::gate).and(job.wait.and_then(codes::of_wait)).unwrap_or(cause);
        }
        JobState::Acknowledged => status.state = State::Finalized,
        JobState::Cancelled => status.state = State::Aborted,
        JobState::Queued | JobState::Connecting | JobState::Transferring => {}
    }
    Some(status)
}
