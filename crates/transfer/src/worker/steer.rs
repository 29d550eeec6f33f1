//! What is wanted changes while an attempt runs.

use openbits_core::plan::Wanted;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tokio::sync::Notify;

/// The service's side and the attempt's side of it.
#[derive(Debug, Default)]
pub(super) struct Steer {
    /// The newest word about each file; at most one for each file of the job.
    changes: RefCell<BTreeMap<u32, Wanted>>,
    notify: Notify,
}

impl Steer {
    /// From now on this is wanted of the file.
    pub(super) fn put(&self, file: u32, wanted: Wanted) {
        self.changes.borrow_mut().insert(file, wanted);
        self.notify.notify_one();
    }

    /// Takes all changes.
    pub(super) fn take(&self) -> BTreeMap<u32, Wanted> {
        self.changes.take()
    }

    /// The change for this file, which stays to be taken.
    pub(super) fn peek(&self, file: u32) -> Option<Wanted> {
        self.changes.borrow().get(&file).cloned()
    }

    /// Something is asked for of another file.
    pub(super) fn others(&self, file: u32) -> bool {
        self.changes.borrow().iter().any(|(other, wanted)| *other != file && !wanted.first.is_empty())
    }

    /// Waits for a change.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }
}
