//! What a program attached to a download: its IDODownloadStatusCallback, and its stream (spec/delivery-optimization-com.md 4.5).
//!
//! Both live in this process only, whatever objects there are for the download. The service's callbacks say that something changed; what
//! it is now is asked then, so nothing is told twice and the last call tells the end.

use super::super::*;
use super::download::{self, DownloadObject};
use super::download_property::DO_E_FILE_DOWNLOADSINK_ALREADY_SET;
use super::download_sink::Sink;
use crate::job::Job;
use crate::notify::{self, Event, Target};
use openbits_api::{DownloadProperties, RangeView};
use openbits_core::JobId;
use openbits_core::delivery::codes;
use openbits_core::delivery::download::State;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use windows_core::{IUnknown, Interface};

/// Period of progress calls if none was set.
const PERIOD_S: u32 = 1;

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
    /// Ranges of the present Start.
    ranges: Vec<RangeView>,
    /// What became of writing them: nothing yet.
    outcome: Option<Result<(), HResult>>,
    /// What the callback was told last, and when.
    last: Option<(DO_DOWNLOAD_STATUS, Instant)>,
}

/// What is attached to one download.
pub(super) struct Watch {
    id: JobId,
    attached: Mutex<Attached>,
    /// Calls for one download are never concurrent with each other.
    turn: Mutex<()>,
}

/// The registry of callbacks keeps them alive; this finds them.
static WATCHES: Mutex<BTreeMap<JobId, Weak<Watch>>> = Mutex::new(BTreeMap::new());

fn watches() -> MutexGuard<'static, BTreeMap<JobId, Weak<Watch>>> {
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// What is attached to a download; `None` if nothing is.
    pub(super) fn of(id: JobId) -> Option<Arc<Self>> {
        watches().get(&id).and_then(Weak::upgrade)
    }

    fn attached(&self) -> MutexGuard<'_, Attached> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attaches, or takes back; the service is told whether there is anybody to call.
    fn change(job: &Job, change: impl FnOnce(&mut Attached) -> Attached) -> Done {
        let id = job.id();
        let known = Self::of(id);
        let is_known = known.is_some();
        let watch = known.unwrap_or_else(|| {
            Arc::new(Self { id, attached: Mutex::new(Attached::default()), turn: Mutex::new(()) })
        });
        // What is released is released outside of the lock.
        let (_released, empty) = {
            let mut attached = watch.attached();
            let released = change(&mut attached);
            (released, attached.callback.is_none() && attached.sink.is_none())
        };
        let done = match (is_known, empty) {
            (true, false) | (false, true) => OK,
            (_, true) => {
                watches().remove(&id);
                notify::register(job, None)
            }
            (false, false) => {
                let mut watches = watches();
                watches.retain(|_, watch| watch.strong_count() > 0);
                watches.insert(id, Arc::downgrade(&watch));
                drop(watches);
                notify::register(job, Some(watch.clone() as Arc<dyn Target>))
            }
        };
        done.map_err(codes::of_bits)
    }

    /// SetProperty(CallbackInterface): the second one replaces the first.
    pub(super) fn set_callback(job: &Job, object: Option<IUnknown>) -> Done {
        let callback = match object {
            Some(unknown) => {
                let face = unknown.cast().map_err(|_| h::E_NOINTERFACE)?;
                Some(Arc::new(Callback { unknown, face }))
            }
            None => None,
        };
        Self::change(job, |attached| Attached {
            callback: std::mem::replace(&mut attached.callback, callback),
            ..Attached::default()
        })
    }

    /// SetProperty(StreamInterface), before the first Start.
    pub(super) fn set_stream(download: &DownloadObject, object: Option<IUnknown>) -> Done {
        let view = download.view()?;
        if view.state != State::Created {
            return Err(codes::DO_E_INVALID_STATE);
        }
        if object.is_some() && view.properties.local_path.is_some() {
            return Err(DO_E_FILE_DOWNLOADSINK_ALREADY_SET);
        }
        let job = download.job();
        let sink = object.map(|object| Sink::new(job.id(), object)).transpose()?;
        let path = sink.as_ref().map_or(String::new(), |sink| sink.path().display().to_string());
        if sink.is_some() || view.properties.stream == Some(true) {
            download.keep(&DownloadProperties {
                local_path: Some(path),
                stream: Some(sink.is_some()),
                ..DownloadProperties::default()
            })?;
        }
        Self::change(job, |attached| Attached {
            sink: std::mem::replace(&mut attached.sink, sink.map(Arc::new)),
            ..Attached::default()
        })
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

    /// What became of writing into the stream: `None` without a stream, `Some(None)` as long as it has not happened.
    pub(super) fn sink_outcome(&self) -> Option<Option<Result<(), HResult>>> {
        let attached = self.attached();
        attached.sink.is_some().then_some(attached.outcome)
    }

    /// A Start: these are written next. Without ranges what is pending, or, once everything was written, nothing.
    pub(super) fn expect(&self, job: &Job, ranges: Option<&[RangeView]>) {
        let created = || download::view(job).is_ok_and(|view| view.state == State::Created);
        let mut attached = self.attached();
        match ranges {
            Some(ranges) => (attached.ranges, attached.outcome) = (ranges.to_vec(), None),
            None if attached.outcome.is_some_and(|outcome| outcome.is_err()) => attached.outcome = None,
            None if created() => (attached.ranges, attached.outcome) = (Vec::new(), None),
            None => {}
        }
    }

    pub(super) fn remove_file(&self) {
        if let Some(sink) = &self.attached().sink {
            sink.remove_file();
        }
    }

    /// Looks how the download is, fills the stream if all is there, and tells the callback what it has to know.
    fn look(&self, job: &Arc<Job>) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(view) = download::view(job) else { return };
        let (sink, ranges, done) = {
            let attached = self.attached();
            (attached.sink.clone(), attached.ranges.clone(), attached.outcome.is_some())
        };
        if view.state == State::Transferred
            && let Some(sink) = sink.filter(|_| !done)
        {
            let outcome = sink.fill(&view, &ranges);
            self.attached().outcome = Some(outcome);
        }
        if view.state == State::Aborted {
            self.remove_file();
        }
        let period = Duration::from_secs(view.properties.callback_freq_seconds.unwrap_or(PERIOD_S).into());
        let percent = view.properties.callback_freq_percent.unwrap_or(0);
        let (status, _) = download::told(job, view);
        let callback = {
            let mut attached = self.attached();
            let due = attached
                .last
                .is_none_or(|(last, at)| is_news(&last, &status, at.elapsed() >= period, percent));
            if !due {
                return;
            }
            attached.last = Some((status, Instant::now()));
            attached.callback.clone()
        };
        let Some(callback) = callback else { return };
        let object = DownloadObject::object(self.id);
        // SAFETY: the pointers are of a live object and of a struct that outlive the call. What it answers is of no interest (4.5).
        let _ = unsafe { callback.face.OnStatusChange(object.as_raw(), &raw const status) };
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
    fn call(&self, job: &Arc<Job>, _event: Event) -> HResult {
        self.look(job);
        h::S_OK
    }

    /// The service's notifications are of the job; nobody asks for this object by them.
    fn unknown(&self) -> IUnknown {
        DownloadObject::object(self.id).into()
    }

    fn face(&self) -> crate::job::Face {
        crate::job::Face::Delivery
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
