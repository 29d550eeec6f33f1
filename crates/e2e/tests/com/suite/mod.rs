//! The tests, and how they talk: as C++ does, with raw pointers.

mod callbacks;
mod delivery;
mod delivery_effects;
mod delivery_properties;
mod delivery_slow;
mod files;
mod groups;
mod job;
mod manager;
mod objects;

use super::{WCHAR_BYTES, api};
use crate::session::Session;
use api::Wchar;
use openbits_core::HResult;
use std::ffi::c_void;
use std::ptr::null_mut;
use windows_core::{GUID, HRESULT, Interface};

unsafe extern "C" {
    /// What CoTaskMemFree is.
    fn free(memory: *mut c_void);
}

/// A text for the library.
fn w(text: &str) -> Vec<Wchar> {
    let mut units: Vec<Wchar> = if WCHAR_BYTES == 2 {
        text.encode_utf16().map(|unit| unit as Wchar).collect()
    } else {
        text.chars().map(|c| u32::from(c) as Wchar).collect()
    };
    units.push(0);
    units
}

/// A text of the library, which is freed.
#[allow(clippy::useless_conversion, reason = "of one width to the other")]
fn take(text: *mut Wchar) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut units = Vec::new();
    // SAFETY: texts of the library end with 0, and are freed by whoever gets them.
    unsafe {
        while *text.add(units.len()) != 0 {
            units.push(u32::from(*text.add(units.len())));
        }
        free(text.cast());
    }
    if WCHAR_BYTES == 2 {
        let units: Vec<u16> = units.iter().map(|&unit| u16::try_from(unit).unwrap()).collect();
        return Some(String::from_utf16(&units).unwrap());
    }
    Some(units.into_iter().map(|unit| char::from_u32(unit).unwrap()).collect())
}

/// An object of the library.
fn object<I: Interface>(call: impl FnOnce(*mut *mut c_void) -> HRESULT) -> Result<I, HResult> {
    let mut pointer = null_mut();
    match call(&mut pointer) {
        HRESULT(0) => {
            assert!(!pointer.is_null());
            // SAFETY: what a method hands out is a pointer of its type, with a reference for us.
            Ok(unsafe { I::from_raw(pointer) })
        }
        HRESULT(code) => {
            assert!(pointer.is_null(), "a failure hands nothing out");
            Err(HResult::from_signed(code))
        }
    }
}

/// A text of a getter.
fn text(call: impl FnOnce(*mut *mut Wchar) -> HRESULT) -> Option<String> {
    let mut pointer = null_mut();
    assert_eq!(code(call(&mut pointer)), openbits_core::hresult::S_OK);
    take(pointer)
}

/// A value of a getter.
fn value<T>(call: impl FnOnce(*mut T) -> HRESULT) -> T {
    let mut place = std::mem::MaybeUninit::<T>::zeroed();
    assert_eq!(code(call(place.as_mut_ptr())), openbits_core::hresult::S_OK);
    // SAFETY: a success code says that it was written; zeroes are a value of every type that is asked for.
    unsafe { place.assume_init() }
}

fn code(hresult: HRESULT) -> HResult {
    HResult::from_signed(hresult.0)
}

fn create<I: Interface>(session: &Session, class: &GUID) -> Result<I, HResult> {
    // SAFETY: as the header's CoCreateInstance does it.
    object(|place| unsafe { session.factory()(class, null_mut(), 4, &I::IID, place, WCHAR_BYTES) })
}

/// The manager of the newest version.
fn manager(session: &Session) -> api::IBackgroundCopyManager {
    create(session, &api::CLSID_BackgroundCopyManager10_3).unwrap()
}

/// A new job.
fn new_job(manager: &api::IBackgroundCopyManager, name: &str, kind: i32) -> api::IBackgroundCopyJob {
    let mut id = GUID::zeroed();
    // SAFETY: a call as a program makes it.
    object(|place| unsafe { manager.CreateJob(w(name).as_ptr(), kind, &mut id, place) }).unwrap()
}

/// A new download in the foreground with this file of the origin.
fn download(
    session: &Session,
    manager: &api::IBackgroundCopyManager,
    file: &str,
    to: &str,
) -> api::IBackgroundCopyJob {
    let job = new_job(manager, "download", api::BG_JOB_TYPE_DOWNLOAD);
    let (url, path) = (w(&session.origin().url(file)), w(&session.path(to)));
    // SAFETY: calls as a program makes them.
    unsafe {
        assert_eq!(code(job.SetPriority(api::BG_JOB_PRIORITY_FOREGROUND)).bits(), 0);
        assert_eq!(code(job.AddFile(url.as_ptr(), path.as_ptr())).bits(), 0);
    }
    job
}

fn state(job: &api::IBackgroundCopyJob) -> i32 {
    // SAFETY: a call as a program makes it.
    value(|place| unsafe { job.GetState(place) })
}

/// Waits until the job is in this state.
fn wait_state(job: &api::IBackgroundCopyJob, wanted: i32) {
    let reached = openbits_testkit::wait_until(std::time::Duration::from_secs(60), || state(job) == wanted);
    assert!(reached, "state is {}", state(job));
}

/// The first file of a job.
fn first_file(job: &api::IBackgroundCopyJob) -> api::IBackgroundCopyFile {
    // SAFETY: calls as a program makes them.
    let files: api::IEnumBackgroundCopyFiles = object(|place| unsafe { job.EnumFiles(place) }).unwrap();
    // SAFETY: likewise.
    object(|place| unsafe { files.Next(1, place, null_mut()) }).unwrap()
}
