//! Callbacks: one thread of the library listens to the service, four others call the program (spec/bits-core.md 6: at most four
//! notifications at a time). What is registered is kept here, since the service knows connections and no objects.
//!
//! No thread calls the program while it holds a lock or drives the connection, so callbacks may call every method.

mod callers;
mod listener;
mod store;

use crate::bridge::{Done, h};
use crate::generated::types::BG_FILE_RANGE;
use crate::job::{Face, Job};
use openbits_api::ErrorView;
use openbits_core::{HResult, JobId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windows_core::IUnknown;

/// A program's object for a job's notifications.
pub(crate) trait Target: Send + Sync {
    /// Calls it; what it returned.
    fn call(&self, job: &Arc<Job>, event: Event) -> HResult;
    /// The object.
    fn unknown(&self) -> IUnknown;
    /// The interfaces that the object belongs to.
    fn face(&self) -> Face {
        Face::Bits
    }
}

/// What a callback is called for.
pub(crate) enum Event {
    JobTransferred,
    JobError(Box<ErrorView>),
    JobModification,
    FileTransferred(u32),
    FileRangesTransferred(u32, Vec<BG_FILE_RANGE>),
}

/// A program's object that accepts or refuses servers' certificates for a job.
pub(crate) trait Checker: Send + Sync {
    /// Calls it; what it returned.
    fn check(&self, job: &Arc<Job>, check: &Check) -> HResult;
}

/// A server's certificate.
pub(crate) struct Check {
    /// Place of the file in the job's list.
    pub(crate) file: u32,
    /// DER of the server's certificate.
    pub(crate) certificate: Vec<u8>,
    /// X509_ASN_ENCODING
    pub(crate) encoding: u32,
    /// A serialised store with all that the server presented.
    pub(crate) store: Vec<u8>,
}

/// What is registered.
struct Registry {
    targets: BTreeMap<JobId, Arc<dyn Target>>,
    checkers: BTreeMap<JobId, Arc<dyn Checker>>,
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { targets: BTreeMap::new(), checkers: BTreeMap::new() });

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn swap<T: ?Sized>(map: &mut BTreeMap<JobId, Arc<T>>, id: JobId, new: Option<Arc<T>>) -> Option<Arc<T>> {
    match new {
        Some(new) => map.insert(id, new),
        None => map.remove(&id),
    }
}

/// SetNotifyInterface.
///
/// # Errors
/// As the service refuses; then what was registered before still is.
pub(crate) fn register(job: &Job, target: Option<Arc<dyn Target>>) -> Done {
    let id = job.id();
    let on = target.is_some();
    // Before the service knows: an event that is owed is called at once. The old object is released at the end, outside of the lock.
    let old = swap(&mut registry().targets, id, target);
    let result = listener::register(id, on);
    let _released = settle(&result, id, old, |registry| &mut registry.targets);
    result.map(|()| h::S_OK).map_err(gone)
}

/// What remains registered after the service's answer; returns what is to be released outside of the lock.
fn settle<T: ?Sized>(
    result: &Result<(), HResult>,
    id: JobId,
    old: Option<Arc<T>>,
    map: fn(&mut Registry) -> &mut BTreeMap<JobId, Arc<T>>,
) -> (Option<Arc<T>>, Option<Arc<T>>) {
    let mut registry = registry();
    match result {
        Ok(()) => (old, None),
        // The end of the job has been here, or will not come: what went back now would stay for ever.
        Err(h::BG_E_NOT_FOUND | h::BG_E_INVALID_STATE) => (old, map(&mut registry).remove(&id)),
        Err(_) => (swap(map(&mut registry), id, old), None),
    }
}

/// A pointer to a job is the proof that there was one: it has finished.
fn gone(code: HResult) -> HResult {
    if code == h::BG_E_NOT_FOUND { h::BG_E_INVALID_STATE } else { code }
}

/// What this program registered.
pub(crate) fn registered(id: JobId) -> Option<Arc<dyn Target>> {
    registry().targets.get(&id).cloned()
}

/// SetServerCertificateValidationInterface.
///
/// # Errors
/// As the service refuses; then what was set before still is.
pub(crate) fn validate(job: &Job, checker: Option<Arc<dyn Checker>>) -> Done {
    let id = job.id();
    let on = checker.is_some();
    let old = swap(&mut registry().checkers, id, checker);
    let result = listener::check(id, on);
    let _released = settle(&result, id, old, |registry| &mut registry.checkers);
    result.map(|()| h::S_OK).map_err(gone)
}

fn checker(id: JobId) -> Option<Arc<dyn Checker>> {
    registry().checkers.get(&id).cloned()
}

/// The job is over: its objects are released.
pub(crate) fn forget(id: JobId) {
    let mut registry = registry();
    let released = (registry.targets.remove(&id), registry.checkers.remove(&id));
    drop(registry);
    if released.0.is_some() || released.1.is_some() {
        listener::forget(id);
    }
}
