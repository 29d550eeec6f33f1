//! The objects, once for each width of characters: what the reference says of each method, and nothing of how jobs work.

mod callback;
mod enumerate;
mod error;
mod file;
mod group;
mod group_callback;
mod group_enumerate;
mod group_job;
mod group_manager;
mod http_options;
mod job;
mod job_later;
mod manager;
mod peer_cache;
mod token_options;

use super::{IBackgroundCopyFile, IBackgroundCopyJob};
use crate::job::Job;
use std::sync::Arc;
use windows_core::IUnknown;

/// A manager.
pub(crate) fn manager() -> IUnknown {
    manager::Manager::default().into()
}

/// A manager of the first generation.
pub(crate) fn group_manager() -> IUnknown {
    group_manager::GroupManager::default().into()
}

/// An object for a job.
pub(crate) fn job(job: Arc<Job>) -> IBackgroundCopyJob {
    job::JobObject::object(job)
}

/// An object for a file of a job.
pub(crate) fn file(job: Arc<Job>, index: u32) -> IBackgroundCopyFile {
    file::FileObject::object(job, index)
}
