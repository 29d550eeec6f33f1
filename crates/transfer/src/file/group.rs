//! Finished files of one job are synced and reported in groups, while the next ones are on their way.

use super::Place;
use crate::failure::{Outcome, local, with};
use crate::protocol::{Event, FileCheckpoint};
use crate::sys;
use openbits_core::classify::Class;
use openbits_core::hresult::E_UNEXPECTED;
use openbits_core::plan::Fail;
use openbits_core::{AttemptId, ErrorContext, JobId};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Finished files that may wait for their sync before the next download waits too.
const MAX_PENDING: usize = 64;
/// So many finished files are synced at once.
const ENOUGH: usize = 16;
/// Fewer wait so long for company: a sync, a report and a commit cost much the same for one file as for sixteen.
const GATHER: Duration = Duration::from_millis(10);

/// An error of one of the files.
type FileError = (u32, Box<Fail>);

/// A file whose every byte is written.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) place: Place,
    pub(crate) file: Arc<File>,
    pub(crate) checkpoint: FileCheckpoint,
    /// Its data and name are durable already.
    pub(crate) durable: bool,
}

#[derive(Debug)]
struct State {
    job: JobId,
    attempt: AttemptId,
    events: mpsc::Sender<Event>,
    pending: RefCell<Vec<Finished>>,
    running: Cell<bool>,
    /// Somebody waits for the end.
    hurry: Cell<bool>,
    /// Enough files are pending, or somebody waits.
    due: Notify,
    moved: Notify,
    error: RefCell<Option<FileError>>,
}

/// The finished files of one attempt that are not reported yet.
#[derive(Debug)]
pub(crate) struct Group(Rc<State>);

impl Group {
    pub(crate) fn new(job: JobId, attempt: AttemptId, events: mpsc::Sender<Event>) -> Self {
        Self(Rc::new(State {
            job,
            attempt,
            events,
            pending: RefCell::default(),
            running: Cell::new(false),
            hurry: Cell::new(false),
            due: Notify::new(),
            moved: Notify::new(),
            error: RefCell::default(),
        }))
    }

    /// Adds a file; waits while too many are pending. Err: an earlier file could not be synced.
    pub(crate) async fn add(&self, finished: Finished) -> Result<(), FileError> {
        self.0.pending.borrow_mut().push(finished);
        if !self.0.running.replace(true) {
            tokio::task::spawn_local(drain(self.0.clone()));
        }
        if self.0.pending.borrow().len() >= ENOUGH {
            self.0.due.notify_one();
        }
        while self.0.pending.borrow().len() >= MAX_PENDING && self.0.running.get() {
            self.0.moved.notified().await;
        }
        self.take_error()
    }

    /// Waits until every file is durable and reported.
    pub(crate) async fn flush(&self) -> Result<(), FileError> {
        self.0.hurry.set(true);
        self.0.due.notify_one();
        while self.0.running.get() {
            self.0.moved.notified().await;
        }
        self.0.hurry.set(false);
        self.take_error()
    }

    fn take_error(&self) -> Result<(), FileError> {
        self.0.error.borrow_mut().take().map_or(Ok(()), Err)
    }
}

/// Wakes who waits for [`drain`], whatever its end.
struct Draining(Rc<State>);

impl Drop for Draining {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let fail = with(
                ErrorContext::GeneralTransport,
                E_UNEXPECTED,
                Class::Transient,
                "The transfer program made an error (its log tells where).",
            );
            let first = self.0.pending.take().first().map_or(0, |finished| finished.checkpoint.file);
            self.0.error.borrow_mut().get_or_insert((first, fail));
        }
        self.0.running.set(false);
        self.0.moved.notify_waiters();
    }
}

async fn drain(state: Rc<State>) {
    let draining = Draining(state);
    let state = &draining.0;
    while !state.pending.borrow().is_empty() {
        if !state.hurry.get() && state.pending.borrow().len() < ENOUGH {
            // Either way the wait is over.
            let _ = tokio::time::timeout(GATHER, state.due.notified()).await;
        }
        let batch = state.pending.take();
        #[cfg(test)]
        assert_ne!(batch[0].checkpoint.file, tests::PANICS);
        let first = batch[0].checkpoint.file;
        let (files, result) = tokio::task::spawn_blocking(move || sync(batch)).await.unwrap_or_else(|_| {
            (Vec::new(), Err((first, local(Errno::IO, "The sync of finished files was interrupted"))))
        });
        if let Err(error) = result {
            state.error.borrow_mut().get_or_insert(error);
        }
        if !files.is_empty() {
            let event = Event::Checkpoint { job: state.job, attempt: state.attempt, files };
            // A service that is gone needs no report.
            let _ = state.events.send(event).await;
        }
        state.moved.notify_waiters();
    }
}

/// Syncs files and then their folders; returns what may be reported.
fn sync(batch: Vec<Finished>) -> (Vec<FileCheckpoint>, Result<(), FileError>) {
    let one = |finished: &Finished| -> Outcome<()> {
        if finished.durable {
            return Ok(());
        }
        rustix::fs::fdatasync(&*finished.file)
            .map_err(|errno| local(errno, "A finished file cannot be synced"))
    };
    // The disk begins with all of them, so that the first wait is the only long one.
    batch
        .iter()
        .filter(|finished| !finished.durable)
        .for_each(|finished| sys::start_writing(finished.file.as_fd()));
    let mut result = Ok(());
    let mut synced = Vec::with_capacity(batch.len());
    for finished in batch {
        match one(&finished) {
            Ok(()) => synced.push(finished),
            Err(fail) if result.is_ok() => result = Err((finished.checkpoint.file, fail)),
            Err(_) => {}
        }
    }
    let mut folders: Vec<_> = Vec::new();
    for finished in synced.iter().filter(|finished| !finished.durable) {
        if folders.iter().any(|known| Arc::ptr_eq(known, &finished.place.folder)) {
            continue;
        }
        if let Err(fail) = finished.place.folder.sync() {
            return (Vec::new(), Err((finished.checkpoint.file, fail)));
        }
        folders.push(finished.place.folder.clone());
    }
    (synced.into_iter().map(|finished| finished.checkpoint).collect(), result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Folder, create};
    use openbits_core::RangeSet;
    use std::time::Duration;
    use tokio::task::LocalSet;

    /// Number of a file whose sync ends in a panic.
    pub(super) const PANICS: u32 = u32::MAX;

    fn finished(folder: &Arc<Folder>, index: u32) -> Finished {
        let place = Place::new(folder.clone(), "f", &format!("t{index}")).unwrap();
        let file = Arc::new(create(&place, "").unwrap());
        let checkpoint = FileCheckpoint {
            file: index,
            size: Some(0),
            remote_size: None,
            no_ranges: false,
            done: RangeSet::new(),
            validator: None,
            modified_s: None,
            finished: true,
        };
        Finished { place, file, checkpoint, durable: false }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_panic_is_an_error_and_nobody_waits_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(dir.path()).unwrap());
        let (events, mut told) = mpsc::channel(8);
        let group = Group::new(JobId::from_random_bytes([1; 16]), AttemptId(1), events);
        let work = async {
            group.add(finished(&folder, PANICS)).await.unwrap();
            let end = tokio::time::timeout(Duration::from_secs(5), group.flush()).await;
            assert_eq!(end.expect("flush ends").unwrap_err().1.code, E_UNEXPECTED);
            // The next one has a new chance.
            group.add(finished(&folder, 1)).await.unwrap();
            group.flush().await.unwrap();
        };
        LocalSet::new().run_until(work).await;
        let files = match told.recv().await {
            Some(Event::Checkpoint { files, .. }) => files,
            other => panic!("{other:?}"),
        };
        assert_eq!(files.iter().map(|file| file.file).collect::<Vec<_>>(), [1]);
    }
}
