//! Finished files of one job are synced and reported in groups, while the next ones are on their way.

use super::Place;
use crate::failure::{Outcome, local};
use crate::protocol::{Event, FileCheckpoint};
use crate::sys;
use openbits_core::plan::Fail;
use openbits_core::{AttemptId, JobId};
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
        while self.0.pending.borrow().len() >= MAX_PENDING {
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

async fn drain(state: Rc<State>) {
    while !state.pending.borrow().is_empty() {
        if !state.hurry.get() && state.pending.borrow().len() < ENOUGH {
            // Either way the wait is over.
            let _ = tokio::time::timeout(GATHER, state.due.notified()).await;
        }
        let batch = state.pending.take();
        let (files, result) = tokio::task::spawn_blocking(move || sync(batch)).await.unwrap_or_else(|_| {
            (Vec::new(), Err((0, local(Errno::IO, "The sync of finished files was interrupted"))))
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
    state.running.set(false);
    state.moved.notify_waiters();
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
