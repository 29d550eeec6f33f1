//! The state of a download, as its clients are told it. The agent's and IDOManager's are jobs alike: where their contracts differ is in
//! [`of`] and in [`super::download::status`], what they share is here.

use super::codes;
use crate::enums::JobState;
use crate::hresult::{HResult, S_OK};
use crate::job::Job;
use serde::{Deserialize, Serialize};

/// DODownloadState (spec/delivery-optimization-com.md 4.3), and the word of getstatus (spec/delivery-optimization-linux-agent.md 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Never started.
    Created,
    /// In progress.
    Transferring,
    /// All that was asked for is there; of IDOManager's, other ranges may be asked for.
    Transferred,
    /// The file is its client's. The agent's are forgotten then, and never in this state.
    Finalized,
    /// Gone, with its file. The agent's are forgotten then, and never in this state.
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

    /// The word on the agent's wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Transferring => "Transferring",
            Self::Transferred => "Transferred",
            Self::Finalized => "Finalized",
            Self::Aborted => "Aborted",
            Self::Paused => "Paused",
        }
    }

    /// Nothing can be asked of it any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finalized | Self::Aborted)
    }
}

/// DO_DOWNLOAD_STATUS, and what getstatus tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// State.
    pub state: State,
    /// Bytes asked for; 0 = not known yet.
    pub total: u64,
    /// Of these, bytes there.
    pub transferred: u64,
    /// 0, or what ended it; of the agent's, also what ended the last try.
    pub error: HResult,
    /// 0, or what holds it; or what was behind `error`.
    pub extended: HResult,
}

/// What a job's state means to either interface, but for TRANSIENT_ERROR, which is TRANSFERRING here. `cause` is the code of the job's
/// error; `started`: Start was called; `no_progress`: the no-progress period ended it.
pub(super) fn common(job: &Job, started: bool, no_progress: bool, cause: HResult) -> Status {
    let progress = job.progress();
    let mut status = Status {
        state: State::Transferring,
        total: progress.bytes_total.unwrap_or(0),
        transferred: progress.bytes_transferred,
        error: S_OK,
        extended: S_OK,
    };
    status.state = match job.state {
        JobState::Suspended if !started => {
            status.total = 0;
            State::Created
        }
        JobState::Suspended => State::Paused,
        JobState::Transferred => {
            status.total = status.total.max(status.transferred);
            State::Transferred
        }
        JobState::Error => {
            (status.error, status.extended) = match no_progress {
                true => (codes::DO_E_DOWNLOAD_NO_PROGRESS, cause),
                false => (cause, S_OK),
            };
            State::Paused
        }
        JobState::Acknowledged => State::Finalized,
        JobState::Cancelled => State::Aborted,
        JobState::Queued | JobState::Connecting | JobState::Transferring | JobState::TransientError => {
            State::Transferring
        }
    };
    status
}

/// The status of a download of the agent's; `None`: the job is none, or is over.
pub fn of(job: &Job) -> Option<Status> {
    // Downloads of IDOManager are of the same dialect, and another interface's.
    let delivery = job.delivery.as_deref().filter(|_| !job.state.is_final())?;
    let cause = job.error.as_deref().map_or(S_OK, codes::of_error);
    let mut status = common(job, !job.files.is_empty(), delivery.no_progress, cause);
    if job.state == JobState::TransientError {
        // Between two tries it is still on its way (section 6).
        match job.wait.and_then(codes::of_wait) {
            Some(held) => (status.state, status.extended) = (State::Paused, held),
            None => status.error = cause,
        }
    }
    Some(status)
}
