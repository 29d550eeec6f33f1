//! The state of a download as getstatus tells it (sections 4.1 and 6).

use super::codes;
use crate::enums::JobState;
use crate::hresult::{HResult, S_OK};
use crate::job::Job;

/// State of a download. Finalized and aborted downloads are gone, and have none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Never started.
    Created,
    /// Bytes move, or will by themselves.
    Transferring,
    /// Every byte is there.
    Transferred,
    /// By its client, by an error, or by a condition that ends by itself.
    Paused,
}

impl State {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Transferring => "Transferring",
            Self::Transferred => "Transferred",
            Self::Paused => "Paused",
        }
    }
}

/// What getstatus tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// State.
    pub state: State,
    /// Bytes of the whole; 0 = not known yet.
    pub total: u64,
    /// Bytes on disk.
    pub transferred: u64,
    /// 0, or what ended it or its last try.
    pub error: HResult,
    /// 0, or the condition that holds it, or what was behind `error`.
    pub extended: HResult,
}

/// The status of a job; `None`: it is no download of the agent's, or is over.
pub fn of(job: &Job) -> Option<Status> {
    // Downloads of IDOManager are of the same dialect, and another interface's.
    if job.delivery.is_none() || job.state.is_final() {
        return None;
    }
    let progress = job.progress();
    let mut status = Status {
        state: State::Transferring,
        total: progress.bytes_total.unwrap_or(0),
        transferred: progress.bytes_transferred,
        error: S_OK,
        extended: S_OK,
    };
    let error = job.error.as_deref().map_or(S_OK, codes::of_error);
    match job.state {
        JobState::Suspended if job.files.is_empty() => (status.state, status.total) = (State::Created, 0),
        JobState::Suspended => status.state = State::Paused,
        JobState::Transferred => {
            status.state = State::Transferred;
            status.total = status.total.max(status.transferred);
        }
        JobState::Error => {
            status.state = State::Paused;
            let no_progress = job.delivery.as_deref().is_some_and(|delivery| delivery.no_progress);
            (status.error, status.extended) = match no_progress {
                true => (codes::DO_E_DOWNLOAD_NO_PROGRESS, error),
                false => (error, S_OK),
            };
        }
        JobState::TransientError => match job.wait.and_then(codes::of_wait) {
            Some(held) => (status.state, status.extended) = (State::Paused, held),
            None => status.error = error,
        },
        _ => {}
    }
    Some(status)
}
