//! IDODownload (spec/delivery-optimization-com.md 4).

use super::super::*;
use super::download_property::{get, set};
use super::download_watch::{Outcome, Watch};
use crate::job::{Face, Job};
use crate::turns;
use openbits_api::error::parse_code;
use openbits_api::{DownloadProperties, DownloadView, RangeView, StartDownload};
use openbits_client::DownloadAction;
use openbits_core::JobId;
use openbits_core::delivery::codes;
use openbits_core::delivery::download::State;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windows_core::implement;

/// The download was ended meanwhile.
pub(super) const E_ABORT: HResult = HResult::from_bits(0x8000_4004);
/// How often a Start that blocks looks, from and to.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// A download, by its id. Pointers outlive it.
#[implement(IDODownload)]
pub(super) struct DownloadObject {
    job: Arc<Job>,
    /// As it ended: the service keeps it only a short while.
    ended: Mutex<Option<DownloadView>>,
}

impl DownloadObject {
    pub(super) fn object(id: JobId) -> IDODownload {
        Self { job: Job::with_face(id, Face::Delivery), ended: Mutex::new(None) }.into()
    }

    /// The download now, or as it ended.
    pub(super) fn view(&self) -> Result<DownloadView, HResult> {
        if let Some(view) = self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(view);
        }
        let view = view(&self.job)?;
        if view.state.is_final() {
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
        }
        Ok(view)
    }

    pub(super) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// Sets properties that the service keeps.
    pub(super) fn keep(&self, properties: &DownloadProperties) -> Done {
        self.job.read(async |client, id| client.set_download(id, properties).await).map_err(over)?;
        OK
    }

    fn act(&self, action: DownloadAction) -> Done {
        self.job.read(async |client, id| client.act_on_download(id, action).await).map_err(over)?;
        OK
    }

    /// Abort, Finalize: the download is remembered as it ended, and what is attached to it told and released.
    fn end(&self, action: DownloadAction, state: State) -> Done {
        let before = self.view()?;
        let done = self.act(action);
        if done.is_ok() {
            let view = view(&self.job).ok().filter(|view| view.state == state);
            let view = view.unwrap_or(DownloadView { state, ..before });
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(view);
        }
        // Also when another process was faster.
        let over =
            |code| code == codes::DO_E_INVALID_STATE && self.view().is_ok_and(|view| view.state.is_final());
        if done.map_or_else(over, |_| true)
            && let Some(watch) = Watch::of(self.job.id())
        {
            watch.end();
        }
        done
    }

    /// What became of the stream, as far as this process knows.
    fn sink_outcome(&self, view: &DownloadView) -> Outcome {
        Watch::of(self.job.id()).and_then(|watch| watch.sink_outcome(view))
    }

    /// Waits until there is nothing to wait for.
    fn wait(&self) -> Done {
        let mut pause = LOOKS.0;
        loop {
            let view = self.view()?;
            let status = told(&view, self.sink_outcome(&view));
            match view.state {
                _ if status.Error != 0 => return Err(HResult::from_signed(status.Error)),
                State::Aborted => return Err(E_ABORT),
                State::Finalized => return OK,
                State::Transferred if status.State == DODownloadState_Transferred => return OK,
                // By its client. What ends by itself is waited for.
                State::Paused if status.ExtendedError == 0 => return OK,
                _ => {}
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOKS.1);
        }
    }
}

/// A pointer is the proof that there was a download: one that the service does not know is over.
fn over(code: HResult) -> HResult {
    if code == codes::DO_E_JOB_NOT_FOUND { codes::DO_E_INVALID_STATE } else { code }
}

/// The download now.
pub(super) fn view(job: &Job) -> Result<DownloadView, HResult> {
    match job.read(async |client, id| client.download(id).await) {
        // Forgotten by the service, after its end.
        Err(codes::DO_E_JOB_NOT_FOUND) => Ok(DownloadView {
            schema: openbits_api::SCHEMA,
            id: job.id().to_string(),
            owner_uid: 0,
            state: State::Aborted,
            bytes_total: 0,
            bytes_transferred: 0,
            error: h::S_OK.to_string(),
            extended_error: h::S_OK.to_string(),
            starts: 0,
            ranges: None,
            temporary_path: None,
            properties: DownloadProperties::default(),
        }),
        answer => answer,
    }
}

/// The status as programs are told it: of a stream, everything is there when the stream has it (`outcome`: [`Watch::sink_outcome`]).
pub(super) fn told(view: &DownloadView, outcome: Outcome) -> DO_DOWNLOAD_STATUS {
    let code = |text: &str| parse_code(text).unwrap_or(h::E_UNEXPECTED).signed();
    let mut status = DO_DOWNLOAD_STATUS {
        BytesTotal: view.bytes_total,
        BytesTransferred: view.bytes_transferred,
        State: view.state.value().into(),
        Error: code(&view.error),
        ExtendedError: code(&view.extended_error),
    };
    if view.state == State::Transferred
        && let Some(outcome) = outcome
    {
        match outcome {
            None => status.State = DODownloadState_Transferring,
            Some(Ok(())) => {}
            Some(Err(code)) => {
                status.State = DODownloadState_Paused;
                status.Error = code.signed();
            }
        }
    }
    status
}

/// Ranges of the caller: `None` for NULL.
///
/// # Safety
/// `info` is NULL, or readable with as many ranges as it says.
unsafe fn ranges_of(info: *const DO_DOWNLOAD_RANGES_INFO) -> Result<Option<Vec<RangeView>>, HResult> {
    if info.is_null() {
        return Ok(None);
    }
    // SAFETY: by the contract of this function. No reference is made: the struct is longer than its type.
    let list = unsafe {
        let count = (&raw const (*info).RangeCount).read();
        slice((&raw const (*info).Ranges).cast::<DO_DOWNLOAD_RANGE>(), count)?
    };
    let view = |range: &DO_DOWNLOAD_RANGE| RangeView {
        offset: range.Offset,
        length: (range.Length != DO_LENGTH_TO_EOF).then_some(range.Length),
    };
    Ok(Some(list.iter().map(view).collect()))
}

impl IDODownloadMethods for DownloadObject {
    fn start(&self, ranges: *const DO_DOWNLOAD_RANGES_INFO) -> Done {
        // SAFETY: the caller's struct has as many ranges as it says.
        let ranges = unsafe { ranges_of(ranges)? };
        let start = StartDownload { ranges };
        self.job.read(async |client, id| client.start_download(id, &start).await).map_err(over)?;
        if let Some(watch) = Watch::of(self.job.id()) {
            watch.started();
        }
        // From inside a callback nobody waits: what would end the wait comes after it.
        let blocks = !turns::is_here() && self.view()?.properties.blocking_mode == Some(true);
        if blocks { self.wait() } else { OK }
    }

    fn pause(&self) -> Done {
        self.act(DownloadAction::Pause)
    }

    fn abort(&self) -> Done {
        self.end(DownloadAction::Abort, State::Aborted)
    }

    fn finalize(&self) -> Done {
        let view = self.view()?;
        // Only where the stream is does anybody know that it has its bytes: another process's Finalize would take them from it.
        let has_stream = view.properties.stream == Some(true) && !view.state.is_final();
        if has_stream && self.sink_outcome(&view) != Some(Some(Ok(()))) {
            return Err(codes::DO_E_INVALID_STATE);
        }
        self.end(DownloadAction::Finalize, State::Finalized)
    }

    fn get_status(&self, status: Out<'_, DO_DOWNLOAD_STATUS>) -> Done {
        let view = self.view()?;
        status.set(told(&view, self.sink_outcome(&view)));
        OK
    }

    fn get_property(&self, id: i32, value: Out<'_, VARIANT>) -> Done {
        value.set(get(self, id)?);
        OK
    }

    fn set_property(&self, id: i32, value: &VARIANT) -> Done {
        set(self, id, value)
    }
}
