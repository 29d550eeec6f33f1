//! The objects, once for each width of characters: what the reference says of each method, and nothing of how jobs work.

mod callback;
#[allow(non_upper_case_globals, reason = "enumerators keep their names")]
mod delivery;
#[allow(non_upper_case_globals, reason = "enumerators keep their names")]
mod delivery_file;
#[allow(non_upper_case_globals, reason = "enumerators keep their names")]
mod delivery_manager;
#[allow(non_upper_case_globals, reason = "enumerators keep their names")]
mod download;
mod download_enumerate;
#[allow(non_upper_case_globals, reason = "enumerators keep their names")]
mod download_look;
#[allow(non_upper_case_globals, reason = "enumerators keep their names")]
mod download_property;
#[allow(non_upper_case_globals, reason = "enumerators keep their names")]
mod download_sink;
mod download_ticker;
#[allow(non_upper_case_globals, reason = "enumerators keep their names")]
mod download_watch;
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
use crate::job::{Face, Job};
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

/// The manager of Delivery Optimization, of both generations.
pub(crate) fn delivery_manager() -> IUnknown {
    delivery_manager::DeliveryManager::default().into()
}

/// An object for a job.
pub(crate) fn job(job: Arc<Job>) -> IBackgroundCopyJob {
    match job.face() {
        Face::Bits => job::JobObject::object(job),
        Face::Delivery => delivery::DeliveryJob::object(job),
    }
}

/// An object for a file of a job.
pub(crate) fn file(job: Arc<Job>, index: u32) -> IBackgroundCopyFile {
    match job.face() {
        Face::Bits => file::FileObject::object(job, index),
        Face::Delivery => delivery_file::DeliveryFile::object(job, index),
    }
}
