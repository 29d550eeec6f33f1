//! What a program attached to a download: its IDODownloadStatusCallback, and its stream (spec/delivery-optimization-com.md 4.5).
//!
//! Both live in this process only, whatever objects there are for the download. Something says that it is time to look (the service's
//! callback, a call of the program itself, a call of the program's code that is over; the ticker once in a while, since a callback may be
//! lost), and what the download is now is asked then (`download_look`). So nothing is told twice, and the last call tells the end.

use super::super::*;
use super::download::DownloadObject;
use super::download_sink::Sink;
use super::download_ticker;
use crate::job::{Face, Job};
use crate::notify::{self, Event, Target};
use openbits_api::{DownloadProperties, DownloadView};
use openbits_core::JobId;
use openbits_core::delivery::codes;
use openbits_core::delivery::download::State;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use windows_core::{IUnknown, Interface};

/// What was told last, and when.
pub(super) type Told = (DO_DOWNLOAD_STATUS, Instant);
/// What became of writing a Start's data into the stream: `None` without a stream, `Some(None)` as long as it has not happened.
pub(super) type Outcome = Option<Option<Result<(), HResult>>>;

/// A callback of the program.
pub(super) struct Callback {
    unknown: IUnknown,
    face: IDODownloadStatusCallback,
}

impl Callback {
    pub(super) fn face(&self) -> &IDODownloadStatusCallback {
        &self.face
    }
}

// SAFETY: the headers say that callbacks are called from threads of the library.
unsafe impl Send for Callback {}
// SAFETY: as above.
unsafe impl Sync for Callback {}

/// What is attached, and what is under way.
#[derive(Default)]
pub(super) struct Attached {
    pub(super) callback: Option<Arc<Callback>>,
    pub(super) sink: Option<Arc<Sink>>,
    /// The Start whose data the stream was given, and what became of it.
    pub(super) filled: Option<(u32, Result<(), HResult>)>,
    /// What a callback of the download was told last.
    pub(super) last: Option<Told>,
    /// The state that was seen last.
    pub(super) seen: Option<State>,
    /// A thread has a call of the callback: the next one waits for its end, whoever is attached then.
    pub(super) is_calling: bool,
    /// A thread has the stream.
    pub(super) is_filling: bool,
}

impl Attached {
    fn has_objects(&self) -> bool {
        self.callback.is_some() || self.sink.is_some()
    }
}

/// What is attached to one download. It stays until nothing is attached and nothing under way.
pub(super) struct Watch {
    job: Arc<Job>,
    attached: Mutex<Attached>,
    /// It is time to look.
    wish: AtomicBool,
    /// The download is over: its stream gets nothing more, and its callback the final state only.
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

    fn new(job: &Arc<Job>) -> Arc<Self> {
        Arc::new(Self {
            job: job.clone(),
            attached: Mutex::new(Attached::default()),
            wish: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    pub(super) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// Whoever takes the list of all watches too takes that first.
    pub(super) fn attached(&self) -> MutexGuard<'_, Attached> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attaches, or takes back; the service is told whether there is anybody to call.
    fn change<T>(job: &Arc<Job>, change: impl FnOnce(&mut Attached) -> T) {
        // What is released is released outside of the locks.
        let (_released, attached, gone) = {
            let mut watches = watches();
            let watch = watches.1.entry(job.id()).or_insert_with(|| Self::new(job)).clone();
            let mut attached = watch.attached();
            let released = change(&mut attached);
            let has_objects = attached.has_objects();
            let gone = watch.remove_if_idle(&mut watches.1, &attached);
            drop(attached);
            (released, has_objects.then_some(watch), gone)
        };
        if let Some(watch) = attached {
            // Without the service's callbacks the ticker alone says when to look: later, but surely.
            let _ = notify::register(job, Some(watch as Arc<dyn Target>));
            download_ticker::start();
        } else if gone {
            notify::forget(job.id());
        }
    }

    /// Ends what was under way; the last of it, after everything was taken back, ends the watch.
    pub(super) fn settle(&self, change: impl FnOnce(&mut Attached)) {
        let gone = {
            let mut watches = watches();
            let mut attached = self.attached();
            change(&mut attached);
            self.remove_if_idle(&mut watches.1, &attached)
        };
        if gone {
            notify::forget(self.job.id());
        }
    }

    /// True if it is not in the list any more by this.
    fn remove_if_idle(&self, watches: &mut BTreeMap<JobId, Arc<Self>>, attached: &Attached) -> bool {
        let idle = !attached.has_objects() && !attached.is_calling && !attached.is_filling;
        idle && self.remove(watches)
    }

    /// Takes it off the list; another one for the same download stays there.
    fn remove(&self, watches: &mut BTreeMap<JobId, Arc<Self>>) -> bool {
        let id = self.job.id();
        let is_there = watches.get(&id).is_some_and(|watch| std::ptr::eq(&raw const **watch, self));
        if is_there {
            watches.remove(&id);
        }
        is_there
    }

    /// There is nothing left to tell: everything is taken off.
    pub(super) fn release(&self) {
        let released = {
            let mut watches = watches();
            self.remove(&mut watches.1);
            let mut attached = self.attached();
            (attached.callback.take(), attached.sink.take())
        };
        if let Some(sink) = &released.1 {
            sink.remove_file();
        }
        notify::forget(self.job.id());
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
        // AddRef is the program's code: not under the lock.
        let callback = self.attached().callback.clone();
        callback.map(|callback| callback.unknown.clone())
    }

    pub(super) fn has_callback(&self) -> bool {
        self.attached().callback.is_some()
    }

    pub(super) fn stream_object(&self) -> Option<IUnknown> {
        let sink = self.attached().sink.clone();
        sink.map(|sink| sink.object())
    }

    pub(super) fn has_stream(&self) -> bool {
        self.attached().sink.is_some()
    }

    /// What became of writing the present Start's data into the stream.
    pub(super) fn sink_outcome(&self, view: &DownloadView) -> Outcome {
        let attached = self.attached();
        let filled = attached.filled.filter(|(start, _)| *start == view.starts).map(|(_, outcome)| outcome);
        attached.sink.is_some().then_some(filled)
    }

    /// A Start that the service accepted: a stream that failed is tried again.
    pub(super) fn started(&self) {
        {
            let mut attached = self.attached();
            attached.filled = attached.filled.filter(|(_, outcome)| outcome.is_ok());
            attached.seen = None;
        }
        self.wish();
    }

    /// The program ended the download, and the file of its stream with it.
    pub(super) fn end(&self) {
        self.set_ended();
        let sink = self.attached().sink.clone();
        if let Some(sink) = sink {
            sink.remove_file();
        }
        self.wish();
    }

    pub(super) fn set_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn ended(&self) -> &AtomicBool {
        &self.ended
    }

    /// Whether this callback is still to be called, `over`: with the final state.
    pub(super) fn may_tell(&self, callback: &Arc<Callback>, over: bool) -> bool {
        let attached = self.attached();
        let is_attached = attached.callback.as_ref().is_some_and(|now| Arc::ptr_eq(now, callback));
        is_attached && (over || !self.ended.load(Ordering::Acquire))
    }

    /// Whether something may happen that is not told: then it is worth a look.
    pub(super) fn is_moving(&self) -> bool {
        let attached = self.attached();
        match attached.seen {
            Some(State::Created | State::Paused) => self.ended.load(Ordering::Acquire),
            Some(State::Transferred) => {
                let unfilled = attached.sink.is_some() && attached.filled.is_none() && !attached.is_filling;
                self.ended.load(Ordering::Acquire) || unfilled
            }
            _ => true,
        }
    }

    /// Has the ticker look at once. The program may hold a lock that its callback takes: nothing is called here.
    pub(super) fn wish(&self) {
        self.wish.store(true, Ordering::Release);
        download_ticker::wake();
    }

    /// Whether it is time to look; then the wish is granted.
    pub(super) fn take_wish(&self) -> bool {
        self.wish.swap(false, Ordering::AcqRel)
    }
}

impl Target for Watch {
    /// The answer says that it was heard; the look is the ticker's.
    fn call(&self, job: &Arc<Job>, _event: Event) -> HResult {
        if let Some(watch) = Self::of(job.id()) {
            watch.wish();
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
