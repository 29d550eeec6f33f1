//! The program's own objects: callbacks, and its check of servers' certificates.

use super::super::*;
use super::error::ErrorObject;
use crate::job::{Face, Job};
use crate::notify::{Check, Checker, Event, Target};
use core::ffi::c_void;
use std::sync::Arc;
use windows_core::{HRESULT, IUnknown, Interface};

/// An object for SetNotifyInterface, under each of the interfaces that it has.
pub(super) struct Callback {
    face: Face,
    unknown: IUnknown,
    first: IBackgroundCopyCallback,
    second: Option<IBackgroundCopyCallback2>,
    third: Option<IBackgroundCopyCallback3>,
}

// SAFETY: the headers say that callbacks are called from threads of the library, as in a multithreaded apartment.
unsafe impl Send for Callback {}
// SAFETY: as above.
unsafe impl Sync for Callback {}

impl Callback {
    /// # Errors
    /// `E_NOINTERFACE` for an object without IBackgroundCopyCallback.
    pub(super) fn target(unknown: IUnknown, face: Face) -> Result<Arc<dyn Target>, HResult> {
        let first = unknown.cast().map_err(|_| h::E_NOINTERFACE)?;
        let (second, third) = (unknown.cast().ok(), unknown.cast().ok());
        Ok(Arc::new(Self { face, unknown, first, second, third }))
    }
}

fn answer(code: HRESULT) -> HResult {
    HResult::from_signed(code.0)
}

impl Target for Callback {
    fn call(&self, job: &Arc<Job>, event: Event) -> HResult {
        let object = super::job(job.clone());
        let job_pointer = object.as_raw();
        let file = |index| super::file(job.clone(), index);
        // SAFETY (all calls): the pointers are of live objects of the right interfaces, and outlive the call; arrays are as long as said.
        match event {
            // SAFETY: see above.
            Event::JobTransferred => answer(unsafe { self.first.JobTransferred(job_pointer) }),
            Event::JobError(view) => {
                let error = ErrorObject::object(job.clone(), *view);
                // SAFETY: see above.
                answer(unsafe { self.first.JobError(job_pointer, error.as_raw()) })
            }
            // SAFETY: see above.
            Event::JobModification => answer(unsafe { self.first.JobModification(job_pointer, 0) }),
            // Whoever cannot be told of files is not asked; the job goes on.
            Event::FileTransferred(index) => self.second.as_ref().map_or(h::S_OK, |second| {
                let file = file(index);
                // SAFETY: see above.
                answer(unsafe { second.FileTransferred(job_pointer, file.as_raw()) })
            }),
            Event::FileRangesTransferred(index, ranges) => self.third.as_ref().map_or(h::S_OK, |third| {
                let file = file(index);
                let count = u32::try_from(ranges.len()).unwrap_or(0);
                // SAFETY: see above.
                answer(unsafe {
                    third.FileRangesTransferred(job_pointer, file.as_raw(), count, ranges.as_ptr())
                })
            }),
        }
    }

    fn unknown(&self) -> IUnknown {
        self.unknown.clone()
    }

    fn face(&self) -> Face {
        self.face
    }
}

/// An object for SetServerCertificateValidationInterface.
pub(super) struct Validator(IBackgroundCopyServerCertificateValidationCallback);

// SAFETY: as for [`Callback`].
unsafe impl Send for Validator {}
// SAFETY: as for [`Callback`].
unsafe impl Sync for Validator {}

impl Validator {
    /// # Errors
    /// `E_NOINTERFACE` for an object without the interface.
    pub(super) fn target(unknown: IUnknown) -> Result<Arc<dyn Checker>, HResult> {
        Ok(Arc::new(Self(unknown.cast().map_err(|_| h::E_NOINTERFACE)?)))
    }
}

impl Checker for Validator {
    fn check(&self, job: &Arc<Job>, check: &Check) -> HResult {
        let (job_object, file) = (super::job(job.clone()), super::file(job.clone(), check.file));
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
        let pointer = |bytes: &[u8]| bytes.as_ptr();
        let (job_pointer, file_pointer): (*mut c_void, *mut c_void) = (job_object.as_raw(), file.as_raw());
        // SAFETY: the pointers are of live objects of the right interfaces, and outlive the call; arrays are as long as said.
        answer(unsafe {
            self.0.ValidateServerCertificate(
                job_pointer,
                file_pointer,
                length(&check.certificate),
                pointer(&check.certificate),
                check.encoding,
                length(&check.store),
                pointer(&check.store),
            )
        })
    }
}
