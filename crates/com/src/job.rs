//! A job, as all objects for it share it: its id, and what it was like when it finished.

use crate::bridge::{Done, h};
use crate::{notify, pool};
use openbits_api::error::parse_code;
use openbits_api::{FileView, JobView, Outcome, SetProperties};
use openbits_client::{Action, Client, Error};
use openbits_core::delivery::codes;
use openbits_core::{HResult, JobId};
use std::sync::{Arc, Mutex, PoisonError};
use windows_core::GUID;

/// Which interfaces a pointer to a job belongs to: they have codes and rules of their own for the same job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Face {
    /// bits.h
    Bits,
    /// The interfaces of the same names in deliveryoptimization.h
    Delivery,
}

/// A job of the service. Objects hold it, so it lives as long as any pointer of the program.
pub(crate) struct Job {
    id: JobId,
    face: Face,
    /// The finished job with its files: pointers outlive its place in the queue (spec/bits-core.md 2.1), the service keeps it only a
    /// short while.
    finished: Mutex<Option<Arc<JobView>>>,
}

/// The code of an answer.
pub(crate) fn done(outcome: &Outcome) -> Done {
    Ok(parse_code(&outcome.hresult).unwrap_or(h::S_OK))
}

/// A GUID of the ABI as an id.
pub(crate) fn id_of(guid: &GUID) -> JobId {
    JobId::from_bytes(guid.to_u128().to_be_bytes())
}

/// An id as a GUID of the ABI.
pub(crate) fn guid_of(id: JobId) -> GUID {
    GUID::from_u128(u128::from_be_bytes(*id.as_bytes()))
}

impl Job {
    pub(crate) fn new(id: JobId) -> Arc<Self> {
        Self::with_face(id, Face::Bits)
    }

    pub(crate) fn with_face(id: JobId, face: Face) -> Arc<Self> {
        Arc::new(Self { id, face, finished: Mutex::new(None) })
    }

    pub(crate) const fn face(&self) -> Face {
        self.face
    }

    /// A code in the words of the interfaces that are asked.
    pub(crate) const fn said(&self, code: HResult) -> HResult {
        match self.face {
            Face::Bits => code,
            Face::Delivery => codes::of_bits(code),
        }
    }

    pub(crate) const fn id(&self) -> JobId {
        self.id
    }

    fn finished(&self) -> Option<Arc<JobView>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn finish(&self, view: JobView) -> Arc<JobView> {
        let view = Arc::new(view);
        *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
        view
    }

    /// The job now; a finished one as it ended.
    pub(crate) fn view(&self) -> Result<Arc<JobView>, HResult> {
        if let Some(view) = self.finished() {
            return Ok(view);
        }
        let id = self.id;
        let view = pool::call(async |client| {
            let view = client.job(id, false, true).await?;
            if view.state.is_final() { client.job(id, true, true).await } else { Ok(view) }
        })
        .map_err(|code| self.said(code))?;
        if view.state.is_final() { Ok(self.finish(view)) } else { Ok(Arc::new(view)) }
    }

    /// One of its files now.
    pub(crate) fn file(&self, index: u32) -> Result<FileView, HResult> {
        if let Some(view) = self.finished() {
            let file = view.files.as_ref().and_then(|files| files.get(index as usize)).cloned();
            return file.ok_or(self.said(h::BG_E_FILE_NOT_FOUND));
        }
        let id = self.id;
        pool::call(async |client| client.file(id, index).await).map_err(|code| self.said(code))
    }

    /// Reads something of it.
    pub(crate) fn read<T>(
        &self,
        call: impl AsyncFnOnce(&Client, JobId) -> Result<T, Error>,
    ) -> Result<T, HResult> {
        self.ask(call).map_err(|code| self.said(code))
    }

    fn ask<T>(&self, call: impl AsyncFnOnce(&Client, JobId) -> Result<T, Error>) -> Result<T, HResult> {
        let id = self.id;
        pool::call(async |client| call(client, id).await)
    }

    /// Changes it. The service forgets finished jobs; who has a pointer knows that there was one.
    pub(crate) fn change(&self, call: impl AsyncFnOnce(&Client, JobId) -> Result<Outcome, Error>) -> Done {
        match self.ask(call) {
            Ok(outcome) => done(&outcome),
            Err(h::BG_E_NOT_FOUND) => Err(self.said(h::BG_E_INVALID_STATE)),
            Err(code) => Err(self.said(code)),
        }
    }

    /// Sets properties.
    pub(crate) fn set(&self, properties: SetProperties) -> Done {
        self.change(async |client, id| client.set_properties(id, &properties).await)
    }

    /// Suspend, Resume, TakeOwnership.
    pub(crate) fn act(&self, action: Action) -> Done {
        self.change(async |client, id| client.act(id, action).await)
    }

    /// Complete, Cancel: the job is remembered as it ended.
    pub(crate) fn end(&self, action: Action) -> Done {
        let mut last = None;
        let done = self.change(async |client, id| {
            let outcome = client.act(id, action).await?;
            if outcome.job.state.is_final() {
                let mut view = outcome.job.clone();
                // Without them the files' getters still work as long as the service remembers the job.
                view.files = client.files(id).await.ok();
                last = Some(view);
            }
            Ok(outcome)
        });
        if let Some(view) = last.filter(|view| view.files.is_some()) {
            self.finish(view);
        }
        self.release_if_over(&done);
        done
    }

    /// After a call that was to end the job: if it is over, the program's objects for it are released. Who came too late looks whether it
    /// is over: whoever was faster may never hear the answer.
    pub(crate) fn release_if_over(&self, done: &Done) {
        let over = match done {
            Ok(_) => true,
            Err(code) if *code == self.said(h::BG_E_INVALID_STATE) || *code == h::QM_E_INVALID_STATE => {
                let gone = self.said(h::BG_E_NOT_FOUND);
                self.view().map_or_else(|e| e == gone, |v| v.state.is_final())
            }
            Err(_) => false,
        };
        if over {
            notify::forget(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_guids_are_the_same_text() {
        let id: JobId = "3b0c7a52-1234-4abc-8def-0123456789ab".parse().unwrap();
        let guid = guid_of(id);
        assert_eq!((guid.data1, guid.data2, guid.data3), (0x3b0c_7a52, 0x1234, 0x4abc));
        assert_eq!(guid.data4, [0x8d, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab]);
        assert_eq!(id_of(&guid), id);
    }
}
