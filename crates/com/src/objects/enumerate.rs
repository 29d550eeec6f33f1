//! IEnumBackgroundCopyJobs, IEnumBackgroundCopyFiles (spec/bits-core.md 5.7): snapshots of what there was; the elements show live values.

use super::super::*;
use crate::job::{Face, Job};
use openbits_core::JobId;
use openbits_core::enumerate::Enumerator;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windows_core::{Interface, implement};

/// A snapshot, whose position many threads may move.
pub(super) struct Shared<T>(Mutex<Enumerator<T>>);

impl<T: Clone> Shared<T> {
    pub(super) fn new(items: Vec<T>) -> Self {
        Self(Mutex::new(Enumerator::new(items)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Enumerator<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same snapshot at the same position.
    pub(super) fn copy(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    /// `Next`: objects are made of what is asked for only.
    pub(super) fn next<I: Interface>(
        &self,
        places: OutObjects<'_, I>,
        fetched: Option<Out<'_, u32>>,
        make: impl Fn(T) -> I,
    ) -> Done {
        let (code, items) = self.lock().next(places.asked(), fetched.is_some())?;
        let given = places.set(items.into_iter().map(make));
        if let Some(fetched) = fetched {
            fetched.set(given);
        }
        Ok(code)
    }
}

/// Ids of jobs.
#[implement(IEnumBackgroundCopyJobs)]
pub(super) struct JobEnumerator {
    ids: Shared<JobId>,
    face: Face,
}

impl JobEnumerator {
    pub(super) fn object(ids: Vec<JobId>, face: Face) -> IEnumBackgroundCopyJobs {
        Self { ids: Shared::new(ids), face }.into()
    }
}

impl IEnumBackgroundCopyJobsMethods for JobEnumerator {
    fn next(&self, jobs: OutObjects<'_, IBackgroundCopyJob>, fetched: Option<Out<'_, u32>>) -> Done {
        self.ids.next(jobs, fetched, |id| super::job(Job::with_face(id, self.face)))
    }

    fn skip(&self, count: u32) -> Done {
        Ok(self.ids.lock().skip(count))
    }

    fn reset(&self) -> Done {
        self.ids.lock().reset();
        OK
    }

    fn clone(&self, other: OutObject<'_, IEnumBackgroundCopyJobs>) -> Done {
        other.set(Self { ids: self.ids.copy(), face: self.face }.into());
        OK
    }

    fn get_count(&self, count: Out<'_, u32>) -> Done {
        count.set(self.ids.lock().count());
        OK
    }
}

/// Places in the list of a job's files.
#[implement(IEnumBackgroundCopyFiles)]
pub(super) struct FileEnumerator {
    job: Arc<Job>,
    places: Shared<u32>,
}

impl FileEnumerator {
    pub(super) fn object(job: Arc<Job>, count: u32) -> IEnumBackgroundCopyFiles {
        Self { job, places: Shared::new((0..count).collect()) }.into()
    }
}

impl IEnumBackgroundCopyFilesMethods for FileEnumerator {
    fn next(&self, files: OutObjects<'_, IBackgroundCopyFile>, fetched: Option<Out<'_, u32>>) -> Done {
        self.places.next(files, fetched, |index| super::file(self.job.clone(), index))
    }

    fn skip(&self, count: u32) -> Done {
        Ok(self.places.lock().skip(count))
    }

    fn reset(&self) -> Done {
        self.places.lock().reset();
        OK
    }

    fn clone(&self, other: OutObject<'_, IEnumBackgroundCopyFiles>) -> Done {
        other.set(Self { job: self.job.clone(), places: self.places.copy() }.into());
        OK
    }

    fn get_count(&self, count: Out<'_, u32>) -> Done {
        count.set(self.places.lock().count());
        OK
    }
}
