//! IBackgroundCopyCallback1: the program's object for a group (spec/qmgr-legacy.md 10).

use super::super::*;
use super::group::{GroupObject, of_group};
use super::group_job::GroupJobObject;
use crate::job::Job;
use crate::notify::{Event, Target};
use openbits_core::JobId;
use openbits_core::group::{GroupError, qm_status};
use std::sync::Arc;
use windows_core::{HRESULT, IUnknown, Interface};

/// No file is concerned.
const NO_FILE: u32 = u32::MAX;

/// An object for SetNotificationPointer.
pub(super) struct GroupCallback {
    unknown: IUnknown,
    face: IBackgroundCopyCallback1,
}

// SAFETY: as for the callbacks of bits.h: they are called from threads of the library.
unsafe impl Send for GroupCallback {}
// SAFETY: as above.
unsafe impl Sync for GroupCallback {}

impl GroupCallback {
    /// # Errors
    /// `E_NOINTERFACE` for an object without IBackgroundCopyCallback1.
    pub(super) fn target(unknown: IUnknown) -> Result<Arc<dyn Target>, HResult> {
        let face = unknown.cast().map_err(|_| h::E_NOINTERFACE)?;
        Ok(Arc::new(Self { unknown, face }))
    }
}

impl Target for GroupCallback {
    fn call(&self, job: &Arc<Job>, event: Event) -> HResult {
        // Two things are told, and no others: the group is complete, or in error.
        let (status, file, error) = match &event {
            Event::JobTransferred => (qm_status::GROUP_COMPLETE, NO_FILE, None),
            Event::JobError(error) => (
                qm_status::GROUP_INCOMPLETE | qm_status::GROUP_ERROR,
                error.file.unwrap_or(NO_FILE),
                openbits_api::error::parse_code(&error.hresult),
            ),
            _ => return h::S_OK,
        };
        let view = match of_group(job.id(), async |client, id| client.group(id).await) {
            Ok(view) => view,
            // Meanwhile it was removed: there is nothing to tell.
            Err(h::QM_E_INVALID_STATE) => return h::S_OK,
            Err(code) => return code,
        };
        let error = error.map_or_else(GroupError::default, |code| {
            let retries = view.job.as_ref().map_or(0, |job| job.retries);
            GroupError { retries, ..GroupError::of(code) }
        });
        let foreground = view.status & qm_status::GROUP_FOREGROUND;
        let inner = view.job.as_ref().and_then(|job| job.id.parse::<JobId>().ok());
        let inner = inner.map(|inner| GroupJobObject::object(job.id(), inner));
        let group = GroupObject::object(job.clone());
        let inner_pointer = inner.as_ref().map_or(core::ptr::null_mut(), Interface::as_raw);
        // SAFETY: the pointers are of live objects of the right interfaces, or NULL, and outlive the call.
        let answer = unsafe {
            self.face.OnStatus(
                group.as_raw(),
                inner_pointer,
                file,
                status | qm_status::GROUP_SUSPENDED | foreground,
                error.retries,
                error.win32,
                error.transport,
            )
        };
        match answer {
            HRESULT(0) => h::S_OK,
            // This generation accepts by S_OK alone; another success is called again.
            HRESULT(code) if code > 0 => h::E_FAIL,
            HRESULT(code) => HResult::from_signed(code),
        }
    }

    fn unknown(&self) -> IUnknown {
        self.unknown.clone()
    }
}
