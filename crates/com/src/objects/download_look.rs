//! A look at a download with a callback or a stream, and what comes of it: a call of the one, or bytes for the other.
//!
//! Only the ticker's thread looks, so looks of one download never overlap. The program's code runs on other threads ([`Turns`]), one call
//! and one filling of a download at a time, while no lock is held; when it is done, the ticker looks again.

use super::super::*;
use super::download::{self, DownloadObject};
use super::download_sink::Sink;
use super::download_watch::{Callback, Told, Watch};
use crate::turns::Turns;
use openbits_api::DownloadView;
use openbits_core::delivery::download::State;
use std::sync::Arc;
use std::time::{Duration, Instant};
use windows_core::Interface;

/// Period of progress calls if none was set.
const PERIOD_S: u32 = 1;
/// Calls of status callbacks at a time, one for each download; those of more downloads wait for the first that ends.
const CALLS: usize = 32;
/// Streams that are written at a time; those of more downloads wait, and these stay in Transferring.
const STREAMS: usize = 32;
/// A thread without work ends.
const IDLE: Duration = Duration::from_secs(10);

static CALLERS: Turns = Turns::new("openbits-status", CALLS, IDLE);
static WRITERS: Turns = Turns::new("openbits-stream", STREAMS, IDLE);

impl Watch {
    /// Looks how the download is, has its stream filled if all is there, and its callback told what it has to know.
    pub(super) fn look(self: &Arc<Self>) {
        let Ok(view) = download::view(self.job()) else { return };
        let over = view.state.is_final();
        if over {
            self.set_ended();
        }
        self.fill(&view);
        let status = download::told(&view, self.sink_outcome(&view));
        let period = Duration::from_secs(view.properties.callback_freq_seconds.unwrap_or(PERIOD_S).into());
        let percent = view.properties.callback_freq_percent.unwrap_or(0);
        let call = {
            let mut attached = self.attached();
            attached.seen = Some(view.state);
            // There is another look after the call.
            if attached.is_calling {
                return;
            }
            let before = attached.last;
            // What it is when somebody begins to listen is no change.
            let due = match &before {
                Some((last, at)) => is_news(last, &status, at.elapsed() >= period, percent),
                None => status.State != DODownloadState_Created,
            };
            if due || before.is_none() {
                attached.last = Some((status, Instant::now()));
            }
            let callback = attached.callback.clone().filter(|_| due);
            if callback.is_none() && !over {
                return;
            }
            attached.is_calling = true;
            Call { watch: self.clone(), callback, status, over, before, has_begun: false, was_told: false }
        };
        CALLERS.hand(Box::new(move || call.make()));
    }

    /// Has the stream written, unless it is not the time, or it has been.
    fn fill(self: &Arc<Self>, view: &DownloadView) {
        let sink = {
            let mut attached = self.attached();
            let done = attached.filled.is_some_and(|(start, _)| start == view.starts);
            if view.state != State::Transferred || done || attached.is_filling {
                return;
            }
            let Some(sink) = attached.sink.clone() else { return };
            attached.is_filling = true;
            sink
        };
        let fill = Fill { watch: self.clone(), sink, view: view.clone(), outcome: None };
        WRITERS.hand(Box::new(move || fill.carry_out()));
    }
}

/// A call of the callback that is due, or, without one, the end.
struct Call {
    watch: Arc<Watch>,
    callback: Option<Arc<Callback>>,
    status: DO_DOWNLOAD_STATUS,
    /// The state is final.
    over: bool,
    /// What was told before this.
    before: Option<Told>,
    has_begun: bool,
    was_told: bool,
}

impl Call {
    fn make(mut self) {
        self.has_begun = true;
        self.was_told = self.tell();
        // For one that came meanwhile there is another look.
        if self.over && (self.was_told || !self.watch.has_callback()) {
            self.watch.release();
        }
    }

    /// Calls, unless the program meanwhile took the callback back or ended the download.
    fn tell(&self) -> bool {
        let Some(callback) = &self.callback else { return false };
        let object = DownloadObject::object(self.watch.job().id());
        if !self.watch.may_tell(callback, self.over) {
            return false;
        }
        // SAFETY: the pointers are of a live object and of a struct that outlive the call. What it answers is of no interest (4.5).
        let _ = unsafe { callback.face().OnStatusChange(object.as_raw(), &raw const self.status) };
        true
    }
}

impl Drop for Call {
    /// After the call; also where there was no thread for it.
    fn drop(&mut self) {
        self.watch.settle(|attached| {
            attached.is_calling = false;
            if !self.was_told && (self.over || self.callback.is_some()) {
                attached.last = self.before;
            }
        });
        if self.has_begun {
            self.watch.wish();
        }
    }
}

/// The bytes of one Start for the stream.
struct Fill {
    watch: Arc<Watch>,
    sink: Arc<Sink>,
    view: DownloadView,
    /// There is one as soon as it has begun.
    outcome: Option<Result<(), HResult>>,
}

impl Fill {
    fn carry_out(mut self) {
        self.outcome = Some(Err(h::E_UNEXPECTED));
        self.outcome = Some(self.sink.fill(&self.view, self.watch.ended()));
    }
}

impl Drop for Fill {
    /// After the last byte; also where there was no thread for it.
    fn drop(&mut self) {
        self.watch.settle(|attached| {
            attached.is_filling = false;
            let same = attached.sink.as_ref().is_some_and(|sink| Arc::ptr_eq(sink, &self.sink));
            if let Some(outcome) = self.outcome
                && same
            {
                attached.filled = Some((self.view.starts, outcome));
            }
        });
        if self.outcome.is_some() {
            self.watch.wish();
        }
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
