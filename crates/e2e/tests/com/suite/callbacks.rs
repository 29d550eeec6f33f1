//! The program's own objects: IBackgroundCopyCallback to 3.

use super::*;
use crate::session::run;
use api::{IBackgroundCopyCallback_Impl, IBackgroundCopyCallback2_Impl, IBackgroundCopyCallback3_Impl};
use openbits_core::hresult as h;
use openbits_testkit::authority::{Authority, Leaf};
use openbits_testkit::{ServerFolder, wait_until};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use windows_core::{IUnknown, implement};

const LONG: Duration = Duration::from_secs(60);
const S_OK: HRESULT = HRESULT(0);
const E_FAIL: HRESULT = HRESULT(h::E_FAIL.signed());

/// What a callback saw, and how it answers.
#[derive(Default)]
pub(super) struct Notes {
    calls: Mutex<Vec<String>>,
    /// So many calls are answered with a failure first.
    failures: Mutex<u32>,
    /// JobTransferred completes the job.
    completes: bool,
}

impl Notes {
    fn note(&self, call: String) -> HRESULT {
        self.calls.lock().unwrap().push(call);
        let mut failures = self.failures.lock().unwrap();
        if *failures == 0 {
            return S_OK;
        }
        *failures -= 1;
        E_FAIL
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub(super) fn count(&self, name: &str) -> usize {
        self.calls().iter().filter(|call| call.starts_with(name)).count()
    }
}

#[implement(api::IBackgroundCopyCallback3)]
struct Newest(Arc<Notes>);

#[implement(api::IBackgroundCopyCallback)]
struct Oldest(Arc<Notes>);

/// The job that a callback got: a reference of its own, as AddRef gives it.
fn job_of(pointer: *mut c_void) -> api::IBackgroundCopyJob {
    // SAFETY: the library calls with a pointer of this type.
    unsafe { api::IBackgroundCopyJob::from_raw_borrowed(&pointer) }.unwrap().clone()
}

fn name_of(pointer: *mut c_void) -> String {
    let job = job_of(pointer);
    // SAFETY: a call as a program makes it.
    text(|p| unsafe { job.GetDisplayName(p) }).unwrap()
}

impl Notes {
    fn transferred(&self, job: *mut c_void) -> HRESULT {
        let name = name_of(job);
        if self.completes {
            // SAFETY: a call as a program makes it.
            let done = code(unsafe { job_of(job).Complete() });
            assert_eq!(done, h::S_OK);
        }
        self.note(format!("transferred {name}"))
    }

    fn error(&self, job: *mut c_void, error: *mut c_void) -> HRESULT {
        let (mut context, mut number) = (0, 0);
        // SAFETY: the library calls with a pointer of this type.
        let got = unsafe {
            let error = api::IBackgroundCopyError::from_raw_borrowed(&error).unwrap();
            error.GetError(&mut context, &mut number)
        };
        assert_eq!(got, S_OK);
        self.note(format!("error {} {}", name_of(job), HResult::from_signed(number)))
    }
}

macro_rules! first_methods {
    ($type:ident) => {
        impl IBackgroundCopyCallback_Impl for $type {
            unsafe fn JobTransferred(&self, job: *mut c_void) -> HRESULT {
                self.0.transferred(job)
            }

            unsafe fn JobError(&self, job: *mut c_void, error: *mut c_void) -> HRESULT {
                self.0.error(job, error)
            }

            unsafe fn JobModification(&self, _job: *mut c_void, reserved: u32) -> HRESULT {
                self.0.note(format!("modification {reserved}"))
            }
        }
    };
}

first_methods!(Newest_Impl);
first_methods!(Oldest_Impl);

impl IBackgroundCopyCallback2_Impl for Newest_Impl {
    unsafe fn FileTransferred(&self, _job: *mut c_void, file: *mut c_void) -> HRESULT {
        // SAFETY: the library calls with a pointer of this type.
        let file = unsafe { api::IBackgroundCopyFile::from_raw_borrowed(&file) }.unwrap();
        // SAFETY: a call as a program makes it.
        let name = text(|p| unsafe { file.GetLocalName(p) }).unwrap();
        self.0.note(format!("file {}", name.rsplit('/').next().unwrap()))
    }
}

impl IBackgroundCopyCallback3_Impl for Newest_Impl {
    unsafe fn FileRangesTransferred(
        &self,
        _job: *mut c_void,
        _file: *mut c_void,
        count: u32,
        ranges: *const api::BG_FILE_RANGE,
    ) -> HRESULT {
        // SAFETY: the library says how long the array is.
        let bytes: u64 =
            unsafe { std::slice::from_raw_parts(ranges, count as usize) }.iter().map(|r| r.Length).sum();
        self.0.note(format!("ranges {bytes}"))
    }
}

pub(super) fn newest(notes: &Arc<Notes>) -> IUnknown {
    Newest(notes.clone()).into()
}

pub(super) fn set(job: &api::IBackgroundCopyJob, target: &IUnknown) -> HResult {
    // SAFETY: a call as a program makes it.
    code(unsafe { job.SetNotifyInterface(target.as_raw()) })
}

#[test]
fn callback_job_transferred_completes_the_job() {
    run(here!(), |s| {
        let job = download(s, &manager(s), "g", "g");
        let notes = Arc::new(Notes { completes: true, ..Notes::default() });
        let target = newest(&notes);
        assert_eq!(set(&job, &target), h::S_OK);
        // SAFETY: calls as a program makes them.
        unsafe {
            let got: IUnknown = object(|p| job.GetNotifyInterface(p)).unwrap();
            assert_eq!(got.as_raw(), target.as_raw());
            assert_eq!(code(job.SetNotifyFlags(0x1 | 0x2 | 0x8 | 0x10 | 0x20)), h::S_OK);
            assert_eq!(code(job.Resume()), h::S_OK);
        }
        drop(target);
        assert!(wait_until(LONG, || notes.count("transferred") == 1), "{:?}", notes.calls());
        assert!(wait_until(LONG, || state(&job) == api::BG_JOB_STATE_ACKNOWLEDGED));
        let calls = notes.calls();
        assert_eq!(notes.count("file g"), 1, "{calls:?}");
        assert!(notes.count("modification 0") >= 1, "{calls:?}");
        let before = |name: &str| calls.iter().position(|call| call.starts_with(name)).unwrap();
        assert!(before("file") < before("transferred"), "{calls:?}");
        assert_eq!(std::fs::metadata(s.path("g")).unwrap().len(), 3_000_000);
        // The library's references go with the job.
        assert!(wait_until(LONG, || Arc::strong_count(&notes) == 1), "{}", Arc::strong_count(&notes));
    });
}

#[test]
fn callback_job_error_comes_again_until_it_is_accepted() {
    run(here!(), |s| {
        let job = download(s, &manager(s), "missing", "x");
        let notes = Arc::new(Notes { failures: Mutex::new(1), ..Notes::default() });
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.SetMinimumRetryDelay(5)), h::S_OK);
            assert_eq!(code(job.Resume()), h::S_OK);
            wait_state(&job, api::BG_JOB_STATE_ERROR);
            // The event is older than the callback.
            assert_eq!(set(&job, &newest(&notes)), h::S_OK);
        }
        assert!(wait_until(LONG, || notes.count("error") == 2), "{:?}", notes.calls());
        assert_eq!(notes.calls(), ["error download 0x80190194"; 2]);
        assert!(!wait_until(Duration::from_secs(6), || notes.count("error") > 2), "accepted");
    });
}

#[test]
fn callback2_file_transferred_is_not_asked_of_older_callbacks() {
    run(here!(), |s| {
        let job = download(s, &manager(s), "f", "f");
        let notes = Arc::new(Notes::default());
        let oldest: IUnknown = Oldest(notes.clone()).into();
        assert_eq!(set(&job, &oldest), h::S_OK);
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.SetNotifyFlags(0x11)), h::S_OK);
            assert_eq!(code(job.Resume()), h::S_OK);
        }
        assert!(wait_until(LONG, || notes.count("transferred") == 1), "{:?}", notes.calls());
        assert_eq!(notes.calls(), ["transferred download"]);
        // NULL takes it back, and releases it.
        // SAFETY: a call as a program makes it.
        assert_eq!(code(unsafe { job.SetNotifyInterface(null_mut()) }), h::S_OK);
        drop(oldest);
        assert!(wait_until(LONG, || Arc::strong_count(&notes) == 1));
        let mut place = std::ptr::without_provenance_mut(77);
        // SAFETY: a call as a program makes it.
        assert_eq!(code(unsafe { job.GetNotifyInterface(&mut place) }), h::S_OK);
        assert!(place.is_null());
        // What is no callback is refused, and the one before stays.
        let other = new_job(&manager(s), "b", 0);
        let stranger: IUnknown = other.cast().unwrap();
        assert_eq!(set(&job, &stranger), h::E_NOINTERFACE);
    });
}

#[test]
fn callbacks_survive_the_service() {
    run(here!(), |s| {
        let manager = manager(s);
        let job = download(s, &manager, "f", "f");
        let notes = Arc::new(Notes::default());
        assert_eq!(set(&job, &newest(&notes)), h::S_OK);
        s.kill_service();
        let mut service = s.restart_service();
        // SAFETY: a call as a program makes it.
        assert_eq!(code(unsafe { job.Resume() }), h::S_OK);
        assert!(wait_until(LONG, || notes.count("transferred") == 1), "{:?}", notes.calls());
        service.kill().unwrap();
        service.wait().unwrap();
    });
}

/// A certificate, its encoding, and the store that came with it.
type Asked = (Vec<u8>, u32, Vec<u8>);

/// What a judge of certificates got, and how it answers.
#[derive(Default)]
struct Verdicts {
    asked: Mutex<Vec<Asked>>,
    refusals: Mutex<u32>,
}

#[implement(api::IBackgroundCopyServerCertificateValidationCallback)]
struct Judge(Arc<Verdicts>);

impl api::IBackgroundCopyServerCertificateValidationCallback_Impl for Judge_Impl {
    unsafe fn ValidateServerCertificate(
        &self,
        job: *mut c_void,
        file: *mut c_void,
        length: u32,
        certificate: *const u8,
        encoding: u32,
        store_length: u32,
        store: *const u8,
    ) -> HRESULT {
        assert_eq!(name_of(job), "download");
        // SAFETY: the library calls with pointers of these types, and says how long the arrays are.
        unsafe {
            let file = api::IBackgroundCopyFile::from_raw_borrowed(&file).unwrap();
            assert!(text(|p| file.GetRemoteName(p)).unwrap().starts_with("https://"));
            let bytes = |pointer, length: u32| std::slice::from_raw_parts(pointer, length as usize).to_vec();
            let asked = (bytes(certificate, length), encoding, bytes(store, store_length));
            self.0.asked.lock().unwrap().push(asked);
        }
        let mut refusals = self.0.refusals.lock().unwrap();
        if *refusals == 0 {
            return S_OK;
        }
        *refusals -= 1;
        E_FAIL
    }
}

#[test]
fn server_certificate_validation_callback_validate_server_certificate_by_the_library() {
    let Some(folder) = ServerFolder::new() else {
        return openbits_e2e::skip("certificates", "nginx is not installed (Debian: nginx-light)");
    };
    run(here!(), |s| {
        let issued = Authority::root("nobody knows").below("below", None).issue(&Leaf::server());
        folder.write("www/f", "content");
        folder.write("s.pem", &issued.chain_pem);
        folder.write("s.key", &issued.key_pem);
        let nginx = folder.start(
            "server { listen 127.0.0.1:@0@ ssl; ssl_certificate @F@/s.pem; ssl_certificate_key @F@/s.key; }\n",
        );
        let job = new_job(&manager(s), "download", api::BG_JOB_TYPE_DOWNLOAD);
        let options: api::IBackgroundCopyJobHttpOptions3 = job.cast().unwrap();
        let verdicts = Arc::new(Verdicts { refusals: Mutex::new(1), ..Verdicts::default() });
        let judge: IUnknown = Judge(verdicts.clone()).into();
        let set = |judge: *mut c_void| {
            // SAFETY: a call as a program makes it.
            code(unsafe { options.SetServerCertificateValidationInterface(judge) })
        };
        let url = w(&format!("https://127.0.0.1:{}/f", nginx.port(0)));
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.SetPriority(api::BG_JOB_PRIORITY_FOREGROUND)), h::S_OK);
            assert_eq!(code(job.AddFile(url.as_ptr(), w(&s.path("f")).as_ptr())), h::S_OK);
            assert_eq!(code(options.SetSecurityFlags(api::BG_SSL_IGNORE_UNKNOWN_CA)), h::S_OK);
        }
        assert_eq!(set(judge.as_raw()), h::S_OK);
        assert_eq!(set(job.as_raw()), h::E_NOINTERFACE);
        drop(judge);
        // Refused: the program's own code, and context 8.
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.Resume()), h::S_OK);
            wait_state(&job, api::BG_JOB_STATE_TRANSIENT_ERROR);
            let error: api::IBackgroundCopyError = object(|p| job.GetError(p)).unwrap();
            let (mut context, mut number) = (0, 0);
            assert_eq!(code(error.GetError(&mut context, &mut number)), h::S_OK);
            assert_eq!(context, api::BG_ERROR_CONTEXT_SERVER_CERTIFICATE_CALLBACK);
            assert_eq!(number, E_FAIL.0);
            assert_eq!(set(null_mut()), h::BG_E_READ_ONLY_WHEN_JOB_ACTIVE);
            assert_eq!(code(job.Resume()), h::S_OK);
            wait_state(&job, api::BG_JOB_STATE_TRANSFERRED);
        }
        let asked = verdicts.asked.lock().unwrap();
        assert_eq!(asked.len(), 2);
        let (certificate, encoding, store) = &asked[1];
        assert_eq!((certificate, *encoding), (&issued.chain[0], 1));
        assert!(store.starts_with(b"\0\0\0\0CERT"));
        assert!(store.windows(issued.chain[1].len()).any(|part| part == issued.chain[1]), "with its issuer");
        drop(asked);
        // NULL takes it back, and releases it.
        assert_eq!(set(null_mut()), h::S_OK);
        assert!(wait_until(LONG, || Arc::strong_count(&verdicts) == 1));
    });
}
