//! What no program sees in good times: an object whose every method panics, called through its vtable.

use crate::bridge::{Done, Out, OutText};
use crate::wide32 as api;
use api::{IBackgroundCopyFileMethods, Wchar};
use openbits_core::hresult as h;
use std::ptr::null_mut;
use windows_core::{IUnknown, Interface, implement};

#[implement(api::IBackgroundCopyFile)]
struct Faulty;

impl IBackgroundCopyFileMethods for Faulty {
    fn get_remote_name(&self, _name: OutText<'_, Wchar>) -> Done {
        panic!("on purpose")
    }

    fn get_local_name(&self, _name: OutText<'_, Wchar>) -> Done {
        Err(h::E_FAIL)
    }

    fn get_progress(&self, _progress: Out<'_, api::BG_FILE_PROGRESS>) -> Done {
        Ok(h::S_FALSE)
    }
}

#[test]
fn a_panic_stays_inside_of_the_library() {
    let file: api::IBackgroundCopyFile = Faulty.into();
    let mut name = std::ptr::without_provenance_mut(77);
    let mut progress = api::BG_FILE_PROGRESS { BytesTotal: 77, BytesTransferred: 77, Completed: 77 };
    // SAFETY: calls as a program makes them.
    unsafe {
        assert_eq!(file.GetRemoteName(&mut name).0, h::E_UNEXPECTED.signed());
        assert!(name.is_null(), "a failure hands nothing out");
        assert_eq!(file.GetLocalName(&mut name).0, h::E_FAIL.signed());
        assert_eq!(file.GetLocalName(null_mut()).0, h::E_INVALIDARG.signed());
        assert_eq!(file.GetProgress(&mut progress).0, 1);
        assert_eq!((progress.BytesTotal, progress.Completed), (0, 0));
        // The object still works, and goes with its last reference.
        let unknown: IUnknown = file.cast().unwrap();
        drop(file);
        assert!(unknown.cast::<api::IBackgroundCopyFile>().is_ok());
        assert!(unknown.cast::<api::IBackgroundCopyFile2>().is_err());
    }
}
