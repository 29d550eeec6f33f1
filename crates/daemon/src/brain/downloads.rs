//! Start of a download of Delivery Optimization. Of the agent's: its file is made before the answer
//! (spec/delivery-optimization-linux-agent.md 6.1, docs/decisions/0024).
//!
//! Where the agent's account writes in place of the caller, the caller's own worker is asked first whether it could make a file there, and
//! the agent's worker makes it in exactly the folder that was looked at: a path that is bent in between leads nowhere.

use super::Brain;
use super::ask::CallResult;
use super::policy::refused;
use super::probes::{Probing, Waiter};
use openbits_core::delivery::integrity::IntegrityInfo;
use openbits_core::delivery::{codes, route, status};
use openbits_core::hresult as h;
use openbits_core::job::download::is_whole;
use openbits_core::job::property::Property;
use openbits_core::job::{DeliveryChange, DownloadChange, FileChange, FileId, NewFile};
use openbits_core::layout::FileRange;
use openbits_core::queue::{Call, Failure};
use openbits_core::{Caller, HResult, JobId};
use openbits_transfer::protocol::Purpose;
use tokio::sync::oneshot;

/// What a worker is asked, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The caller's: may a file be made there?
    Entry,
    /// Who does the job: make it.
    Make,
    /// Who does the job: it is still there.
    Still,
}

/// Downloads of IDOManager (spec/delivery-optimization-com.md 4): they write as every job does, beside their place until they are finalized.
impl Brain {
    /// The file of the first Start; nothing for a later one.
    pub(super) fn first_file(
        &self,
        caller: Caller,
        id: JobId,
        ranges: Option<&[FileRange]>,
    ) -> Result<Option<NewFile>, Failure> {
        let job = self.queue.held_job(caller, id)?;
        let Some(download) =
            job.download.as_deref().filter(|_| job.files.is_empty() && !job.state.is_final())
        else {
            return Ok(None);
        };
        let file = download.new_file().map_err(|code| match code {
            codes::DO_E_DOWNLOAD_NO_URI => Failure::new(code, "the download has no URL"),
            code => Failure::new(code, "the download has neither a path nor a stream"),
        })?;
        // That is what a malformed path is called here (4.7).
        self.check_local_name(&file.local)
            .map_err(|failure| Failure::new(h::ERROR_INVALID_NAME, failure.detail))?;
        self.check_files(std::slice::from_ref(&file), false)?;
        if let Some(ranges) = ranges.filter(|ranges| !ranges.is_empty()) {
            if file.has_digest() && !is_whole(ranges) {
                let text = "only the whole of a file can be checked, and this one has to be";
                return Err(Failure::new(codes::DO_E_INTEGRITYCHECKINFO_UNAVAILABLE, text));
            }
            self.queue.check_ranges(caller, &[NewFile { ranges: Some(ranges.to_vec()), ..file.clone() }])?;
        }
        self.check_added(caller, id, std::slice::from_ref(&file))?;
        Ok(Some(file))
    }

    /// Another URL for a file that was begun is as good as another file, and a level may want digests.
    pub(super) fn check_download_change(
        &self,
        caller: Caller,
        id: JobId,
        change: &DownloadChange,
    ) -> Result<(), Failure> {
        if let Some((uri, _)) = &change.uri {
            self.check_remote_name(caller, id, 0, uri)?;
        }
        let priority = change.priority().map(|priority| Property::Priority(priority.value().into()));
        self.check_properties(caller, id, priority.as_slice())
    }

    /// Another path for a file is as good as another file, and digests of pieces are fetched as files are.
    pub(super) fn check_file_change(
        &self,
        caller: Caller,
        id: JobId,
        file: u32,
        change: &FileChange,
    ) -> Result<(), Failure> {
        let Ok(job) = self.queue.job(caller, id) else { return Ok(()) };
        // What is no text of the property, the call itself refuses.
        let info = change.info.as_deref().and_then(|info| IntegrityInfo::parse(info).ok());
        if let Some(url) = info.and_then(|info| info.url) {
            self.settings.security.check_remote(&url).map_err(|forbidden| refused(&forbidden))?;
        }
        let Some(path) = change.path.as_deref() else { return Ok(()) };
        let file = job.files.get(file as usize).ok_or(h::BG_E_FILE_NOT_FOUND)?;
        self.check_local_name(path)?;
        self.check_security(&file.remote, path)
    }
}

/// Downloads of the agent.
impl Brain {
    /// Another URL for a download that was started is as good as another file: it may go on by itself.
    pub(super) fn check_delivery_change(
        &self,
        caller: Caller,
        id: JobId,
        change: &DeliveryChange,
    ) -> Result<(), Failure> {
        match &change.uri {
            Some((_, fetched, _)) => self.check_remote_name(caller, id, 0, fetched),
            None => Ok(()),
        }
    }

    /// Calls that waited for the end of a Start.
    pub(super) fn after_start(&mut self, id: JobId) {
        for waiter in self.probes.started(id) {
            match waiter {
                Waiter::Start(caller, sender) => self.on_start(caller, id, sender),
                Waiter::Call(caller, call, sender) => self.on_call(caller, id, *call, sender),
            }
        }
    }

    pub(super) fn on_start(&mut self, caller: Caller, id: JobId, sender: oneshot::Sender<CallResult>) {
        if self.probes.is_starting(id) {
            return self.probes.wait_for_start(id, Waiter::Start(caller, sender));
        }
        let begun = self.refusal().map_or(Ok(()), Err).and_then(|()| self.first_step(caller, id));
        match begun {
            Err(failure) => drop(sender.send(Err(failure))),
            // It is on its way already, or finished.
            Ok(None) => self.call_done(id, sender),
            Ok(Some(step)) => self.ask_step(step, None, caller, id, sender),
        }
    }

    /// The checks in their order, and what has to be asked of a worker; nothing for a download that is on its way.
    fn first_step(&self, caller: Caller, id: JobId) -> Result<Option<Step>, Failure> {
        let job = self.queue.job(caller, id)?;
        let (Some(delivery), Some(status)) = (job.delivery.as_deref(), status::of(job)) else {
            return Err(codes::E_NOT_SET.into());
        };
        match status.state {
            status::State::Transferring | status::State::Transferred => return Ok(None),
            status::State::Paused => {
                return self.check_resume(caller, id).map(|()| Some(Step::Still));
            }
            status::State::Created => {}
            status::State::Finalized | status::State::Aborted => return Err(codes::E_NOT_SET.into()),
        }
        if delivery.uri.is_empty() {
            return Err(Failure::new(codes::DO_E_DOWNLOAD_NO_URI, "the download has no URL"));
        }
        if delivery.path.is_empty() {
            let code = codes::DO_E_FILE_DOWNLOADSINK_UNSPECIFIED;
            return Err(Failure::new(code, "the download has no path"));
        }
        self.check_resume(caller, id)?;
        self.check_security(&delivery.uri, &route::absolute(&delivery.path))?;
        // Root may write everywhere; what the agent's account may not, it is refused all the same.
        let other = delivery.runs_as.is_some_and(|agent| agent != caller.uid) && !caller.is_administrator();
        Ok(Some(if other { Step::Entry } else { Step::Make }))
    }

    fn ask_step(
        &mut self,
        step: Step,
        folder: Option<FileId>,
        caller: Caller,
        id: JobId,
        sender: oneshot::Sender<CallResult>,
    ) {
        let Some(job) = self.queue.get(id) else {
            return drop(sender.send(Err(codes::E_NOT_SET.into())));
        };
        let worker = self.queue.file_worker(job);
        let made = job.made();
        let path =
            job.delivery.as_deref().map(|delivery| route::absolute(&delivery.path)).unwrap_or_default();
        let (worker, purpose) = match (step, made) {
            (Step::Entry, _) => (caller.uid, Purpose::Entry),
            // That it is asked is on disk before it is asked.
            (Step::Make, _) => (worker, Purpose::Make { folder, again: self.queue.begin_making(id) }),
            (Step::Still, Some(made)) => (worker, Purpose::Still { made }),
            (Step::Still, None) => return self.call(caller, id, Call::Resume, sender),
        };
        self.probe(caller, worker, Probing::Start(step, id, sender), vec![path], purpose);
    }

    pub(super) fn on_start_step(
        &mut self,
        step: Step,
        caller: Caller,
        id: JobId,
        outcome: Result<Option<FileId>, HResult>,
        sender: oneshot::Sender<CallResult>,
    ) {
        let found = match outcome {
            Ok(found) => found,
            Err(code) => {
                if matches!(step, Step::Make) {
                    self.queue.not_made(id);
                }
                let text = match step {
                    Step::Entry => "the caller may not make a file there",
                    Step::Make => "the download's file cannot be made",
                    Step::Still => "the download's file is gone",
                };
                return drop(sender.send(Err(Failure::new(code, text))));
            }
        };
        match (step, found) {
            (Step::Entry, folder) => self.ask_step(Step::Make, folder, caller, id, sender),
            (Step::Still, _) => self.call(caller, id, Call::Resume, sender),
            (Step::Make, made) => {
                let delivery = self.queue.get(id).and_then(|job| job.delivery.as_deref());
                // The policy may be another than when it was asked.
                let allowed =
                    delivery.map_or(Ok(()), |d| self.check_security(&d.uri, &route::absolute(&d.path)));
                if let Err(failure) = allowed {
                    return drop(sender.send(Err(failure)));
                }
                let parts = delivery.zip(made).and_then(|(delivery, made)| {
                    let remote = route::fetched(&delivery.uri).ok()?;
                    Some(Call::Deliver { remote, local: route::absolute(&delivery.path), made })
                });
                match parts {
                    Some(call) => self.call(caller, id, call, sender),
                    None => drop(sender.send(Err(codes::E_NOT_SET.into()))),
                }
            }
        }
    }
}
