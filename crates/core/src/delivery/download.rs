//! The state of a download as IDODownload::GetStatus tells it (spec/delivery-optimization-com.md 4.3).

use super::codes;
use super::status::common;
pub use super::status::{State, Status};
use crate::enums::JobState;
use crate::hresult::S_OK;
use crate::job::{Job, Wait};

/// The status of a job; `None`: it is no download of IDOManager.
pub fn status(job: &Job) -> Option<Status> {
    let download = job.download.as_deref()?;
    let cause = job.error.as_deref().map_or(S_OK, |error| codes::of_bits(error.code));
    let mut status = common(job, download.started, download.no_progress, cause);
    let ready = || !job.files.is_empty() && job.files.iter().all(|file| job.is_ready(file));
    match job.state {
        // Between two lists of ranges it is at rest.
        JobState::Suspended if download.started && ready() => status.state = State::Transferred,
        JobState::TransientError => {
            status.state = State::Paused;
            let held = job.wait.and_then(Wait::gate).and(job.wait.and_then(codes::of_wait));
            status.extended = held.unwrap_or(cause);
        }
        _ => {}
    }
    Some(status)
}
