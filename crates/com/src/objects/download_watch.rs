//! What a program attached to a download: its IDODownloadStatusCallback, and its stream (spec/delivery-optimization-com.md 4.5).
//!
//! Both live in this process only, whatever objects there are for the download. Something says that it is time to look (the service's
//! callback; a thread of the library once in a while, since such a callback may be lost, and after a call of the program itself), and what
//! the download is now is asked then. So nothing is told twice, and the last call tells the end.

use super::super::*;
use super::download::{self, DownloadObject};
use super::download_sink::Sink;
use super::download_ticker;
use crate::job::{Face, Job};
use crate::notify::{self, Event, Target};
use openbits_api::{DownloadProperties, DownloadView};
use openbits_core::JobId;
use openbits_core::delivery::codes;
use openbits_core::delivery::download::State;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use windows_core::{IUnknown, Interface};

/// Period of progress calls if none was set.
const PERIOD_S: u32 = 1;

thread_local! {
    /// This thread is in a call of the program's callback or stream.
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
}

/// A callback of the program.
struct Callback {
    unknown: IUnknown,
    face: IDODownloadStatusCallback,
}

// SAFETY: the headers say that callbacks are called from threads of the library.
unsafe impl Send for Callback {}
// SAFETY: as above.
unsafe impl Sync for Callback {}

/// What is attached.
#[derive(Default)]
struct Attached {
    callback: Option<Arc<Callback>>,
    sink: Option<Arc<Sink>>,
    /// The Start whose data the stream was given, and what became of it.
    filled: Option<(u32, Result<(), HResult>)>,
    /// What the callback was told last, and when.
    last: Option<(DO_DOWNLOAD_STATUS, Instant)>,
    /// The state that was seen last.
    seen: Option<State>,
}

/// What is attached to one download.
pub(super) struct Watch {
    job: Arc<Job>,
    attached: Mutex<Attached>,
    /// Somebody looks: calls for one download are never concurrent with each other.
    busy: AtomicBool,
    /// Who looks shall look again.
    again: AtomicBool,
    /// The program ended the download: its stream gets nothing more.
    ended: AtomicBool,
}

/// Everything that is attached, and the process in which: a child of fork has none of it.
static WATCHES: Mutex<(u32, BTreeMap<JobId, Arc<Watch>>)> = Mutex::new((0, BTreeMap::new()));

fn watches() -> MutexGuard<'static, (u32, BTreeMap<JobId, Arc<Watch>>)> {
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    if watches.0 != pid {
        // The objects are the parent's.
        std::mem::forget(std::mem::take(&mut watches.1));
        watches.0 = pid;
    }
    watches
}

/// Everything that is attached now.
pub(super) fn all() -> Vec<Arc<Watch>> {
    watches().1.values().cloned().collect()
}

impl Watch {
    /// What is attached to a download; `None` if nothing is.
    pub(super) fn of(id: JobId) -> Option<Arc<Self>> {
        watches().1.get(&id).cloned()
    }

    /// The same, made if there is none.
    fn for_job(job: &Arc<Job>) -> Arc<Self> {
        let new = || {
            Arc::new(Self {
                job: job.clone(),
                attached: Mutex::new(Attached::default()),
                busy: AtomicBool::new(false),
                again: AtomicBool::new(false),
                ended: AtomicBool::new(false),
            })
        };
        watches().1.entry(job.id()).or_insert_with(new).clone()
    }

    fn attached(&self) -> MutexGuard<'_, Attached> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attaches, or takes back; the service is told whether there is anybody to call.
    fn change<T>(job: &Arc<Job>, change: impl FnOnce(&mut Attached) -> T) {
        let watch = Self::for_job(job);
        // What is released is released outside of the lock.
        let (_released, empty) = {
            let mut attached = watch.attached();
            let released = change(&mut attached);
            (released, attached.callback.is_none() && attached.sink.is_none())
        };
        if empty {
            watch.release();
            return;
        }
        // Without the service's callbacks the ticker alone says when to look: later, but surely.
        let _ = notify::register(job, Some(watch as Arc<dyn Target>));
        download_ticker::start();
    }

    /// Nothing is attached any more, or there is nothing left to tell.
    fn release(&self) {
        let id = self.job.id();
        let watch = watches().1.remove(&id);
        if watch.is_some() {
            notify::forget(id);
        }
    }

    /// SetProperty(CallbackInterface): the second one replaces the first.
    pub(super) fn set_callback(download: &DownloadObject, object: Option<IUnknown>) -> Done {
        let callback = match object {
            Some(unknown) => {
                let face = unknown.cast().map_err(|_| h::E_NOINTERFACE)?;
                Some(Arc::new(Callback { unknown, face }))
            }
            None => None,
        };
        if download.view()?.state.is_final() {
            return Err(codes::DO_E_INVALID_STATE);
        }
        Self::change(download.job(), |attached| std::mem::replace(&mut attached.callback, callback));
        OK
    }

    /// SetProperty(StreamInterface): before the first Start, or in place of the stream of a process that is gone.
    pub(super) fn set_stream(download: &DownloadObject, object: Option<IUnknown>) -> Done {
        let view = download.view()?;
        let id = download.job().id();
        let orphan = view.properties.stream == Some(true)
            && !view.state.is_final()
            && !Self::of(id).is_some_and(|watch| watch.has_stream());
        if view.state != State::Created && !orphan {
            return Err(codes::DO_E_INVALID_STATE);
        }
        if object.is_some() && view.properties.local_path.is_some() {
            return Err(codes::DO_E_FILE_DOWNLOADSINK_ALREADY_SET);
        }
        let sink = object.map(|object| Sink::new(id, object)).transpose()?;
        let path = sink.as_ref().map_or("", |sink| sink.path()).to_owned();
        if view.state == State::Created && (sink.is_some() || view.properties.stream == Some(true)) {
            download.keep(&DownloadProperties {
                local_path: Some(path),
                stream: Some(sink.is_some()),
                ..DownloadProperties::default()
            })?;
        }
        Self::change(download.job(), |attached| std::mem::replace(&mut attached.sink, sink.map(Arc::new)));
        OK
    }

    pub(super) fn callback_object(&self) -> Option<IUnknown> {
        self.attached().callback.as_ref().map(|callback| callback.unknown.clone())
    }

    pub(super) fn stream_object(&self) -> Option<IUnknown> {
        self.attached().sink.as_ref().map(|sink| sink.object())
    }

    pub(super) fn has_stream(&self) -> bool {
        self.attached().sink.is_some()
    }

    /// What became of writing this Start's data into the stream: `None` without a stream, `Some(None)` as long as it has not happened.
    pub(super) fn sink_outcome(&self, view: &DownloadView) -> Option<Option<Result<(), HResult>>> {
        let attached = self.attached();
        let filled = attached.filled.filter(|(start, _)| *start == view.starts).map(|(_, outcome)| outcome);
        attached.sink.is_some().then_some(filled)
    }

    /// A Start that the service accepted: a stream that failed is tried again. The program may hold a lock that its callback takes, so
    /// the look is a thread's of the library, at once.
    pub(super) fn started(&self) {
        {
            let mut attached = self.attached();
            attached.filled = attached.filled.filter(|(_, outcome)| outcome.is_ok());
            attached.seen = None;
        }
        download_ticker::wake();
    }

    /// The program ended the download, and the file of its stream with it.
    pub(super) fn end(self: &Arc<Self>) {
        self.ended.store(true, Ordering::Release);
        let sink = self.attached().sink.clone();
        if let Some(sink) = sink {
            sink.remove_file();
        }
        download_ticker::wake();
    }

    /// Whether something may happen that is not told: then it is worth a look.
    pub(super) fn is_moving(&self) -> bool {
        let attached = self.attached();
        match attached.seen {
            Some(State::Created | State::Paused) => self.ended.load(Ordering::Acquire),
            Some(State::Transferred) => {
                self.ended.load(Ordering::Acquire) || attached.sink.is_some() && attached.filled.is_none()
            }
            _ => true,
        }
    }

    /// True on a thread that is in a call of the program: what waits for such a call must not wait here.
    pub(super) fn is_in_call() -> bool {
        IN_CALL.get()
    }

    /// Looks, unless somebody does: then that one looks once more.
    pub(super) fn run(self: &Arc<Self>) {
        self.again.store(true, Ordering::Release);
        while self.again.load(Ordering::Acquire) {
            if self.busy.swap(true, Ordering::AcqRel) {
                return;
            }
            self.again.store(false, Ordering::Release);
            let over = self.look();
            self.busy.store(false, Ordering::Release);
            if over {
                self.release();
                return;
            }
        }
    }

    /// Looks how the download is, fills the stream if all is there, and tells the callback what it has to know. True: it is over.
    fn look(&self) -> bool {
        let Ok(view) = download::view(&self.job) else { return false };
        let (sink, waits) = {
            let mut attached = self.attached();
            attached.seen = Some(view.state);
            let done = attached.filled.is_some_and(|(start, _)| start == view.starts);
            (attached.sink.clone(), view.state == State::Transferred && !done)
        };
        if let Some(sink) = sink.filter(|_| waits) {
            IN_CALL.set(true);
            let outcome = sink.fill(&view, &self.ended);
            IN_CALL.set(false);
            self.attached().filled = Some((view.starts, outcome));
        }
        let over = view.state.is_final();
        let period = Duration::from_secs(view.properties.callback_freq_seconds.unwrap_or(PERIOD_S).into());
        let percent = view.properties.callback_freq_percent.unwrap_or(0);
        let (status, _) = download::told(&self.job, view);
        let callback = {
            let mut attached = self.attached();
            let news = |(last, at): &(DO_DOWNLOAD_STATUS, Instant)| {
                is_news(last, &status, at.elapsed() >= period, percent)
            };
            // What it is when somebody begins to listen is no change.
            let due = match &attached.last {
                Some(last) => news(last),
                None => status.State != DODownloadState_Created,
            };
            if due || attached.last.is_none() {
                attached.last = Some((status, Instant::now()));
            }
            attached.callback.clone().filter(|_| due)
        };
        if let Some(callback) = callback {
            let object = DownloadObject::object(self.job.id());
            IN_CALL.set(true);
            // SAFETY: the pointers are of a live object and of a struct that outlive the call. What it answers is of no interest (4.5).
            let _ = unsafe { callback.face.OnStatusChange(object.as_raw(), &raw const status) };
            IN_CALL.set(false);
        }
        if over {
            let sink = self.attached().sink.clone();
            if let Some(sink) = sink {
                sink.remove_file();
            }
        }
        over
    }
}

/// Another state or error, or progress that is due: after the period, or after so many percent.
fn is_news(last: &DO_DOWNLOAD_STATUS, now: &DO_DOWNLOAD_STATUS, period_over: bool, percent: u32) -> bool {
    let key = |s: &DO_DOWNLOAD_STATUS| (s.State, s.Error, s.ExtendedError);
    let step = |s: &DO_DOWNLOAD_STATUS| {
        let share = u128::from(s.BytesTransferred) * 100 / u128::from(s.BytesTotal.max(1));
        share / u128::from(percent.max(1))
    };
    let moved = last.BytesTransferred != now.BytesTransferred;
    key(last) != key(now) || moved && (period_over || percent > 0 && step(last) != step(now))
}

impl Target for Watch {
    /// The answer says that it was heard; the look itself may be somebody else's.
    fn call(&self, job: &Arc<Job>, _event: Event) -> HResult {
        if let Some(watch) = Self::of(job.id()) {
            watch.run();
        }
        h::S_OK
    }

    /// The service's notifications are of the job; nobody asks for this object by them.
    fn unknown(&self) -> IUnknown {
        DownloadObject::object(self.job.id()).into()
    }

    fn face(&self) -> Face {
        Face::Delivery
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: i32, transferred: u64) -> DO_DOWNLOAD_STATUS {
        DO_DOWNLOAD_STATUS {
            BytesTotal: 1000,
            BytesTransferred: transferred,
            State: state,
            Error: 0,
            ExtendedError: 0,
        }
    }

    #[test]
    fn states_are_told_at_once_and_progress_by_either_of_its_steps() {
        let (before, same) = (status(1, 100), status(1, 100));
        assert!(!is_news(&before, &same, true, 10), "nothing moved");
        assert!(is_news(&before, &status(2, 100), false, 0), "another state");
        assert!(!is_news(&before, &status(1, 109), false, 0));
        assert!(is_news(&before, &status(1, 109), true, 0), "by time");
        assert!(!is_news(&before, &status(1, 109), false, 5), "the same step");
        assert!(is_news(&before, &status(1, 150), false, 5), "the next step");
        let failed = DO_DOWNLOAD_STATUS { Error: -1, ..before };
        assert!(is_news(&before, &failed, false, 0));
    }
}
