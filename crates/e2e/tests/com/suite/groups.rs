//! qmgr.h: groups as a program of the first generation uses them (spec/qmgr-legacy.md).

use super::*;
use crate::session::run;
use openbits_core::hresult as h;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use windows_core::{IUnknown, implement};

unsafe extern "C" {
    fn malloc(bytes: usize) -> *mut c_void;
}

const GROUP: GUID = GUID::from_u128(0xA1);
const JOB: GUID = GUID::from_u128(0xB1);
const LONG: Duration = Duration::from_secs(60);

fn groups(session: &Session) -> api::IBackgroundCopyQMgr {
    create(session, &api::CLSID_BackgroundCopyQMgr).unwrap()
}

fn new_group(manager: &api::IBackgroundCopyQMgr, id: GUID) -> Result<api::IBackgroundCopyGroup, HResult> {
    // SAFETY: a call as a program makes it.
    object(|place| unsafe { manager.CreateGroup(id, place) })
}

fn new_job(group: &api::IBackgroundCopyGroup, id: GUID) -> Result<api::IBackgroundCopyJob1, HResult> {
    // SAFETY: a call as a program makes it.
    object(|place| unsafe { group.CreateJob(id, place) })
}

/// SysAllocString.
fn bstr(text: &str) -> *mut Wchar {
    let units = w(text);
    let bytes = size_of_val(&units[..units.len() - 1]);
    // SAFETY: the block is as long as what is written.
    unsafe {
        let block = malloc(8 + bytes + size_of::<Wchar>()).cast::<u8>();
        block.add(4).cast::<u32>().write_unaligned(u32::try_from(bytes).unwrap());
        let first = block.add(8).cast::<Wchar>();
        first.copy_from_nonoverlapping(units.as_ptr(), units.len());
        first
    }
}

/// SysFreeString, with the text.
fn take_bstr(bstr: *mut Wchar) -> String {
    assert!(!bstr.is_null());
    // SAFETY: it is a BSTR of the library, freed once.
    unsafe {
        let bytes = bstr.cast::<u32>().sub(1).read_unaligned() as usize;
        let units = std::slice::from_raw_parts(bstr, bytes / size_of::<Wchar>()).to_vec();
        assert_eq!(*bstr.add(units.len()), 0, "a zero at the end");
        free(bstr.cast::<u8>().sub(8).cast());
        let copy = malloc((units.len() + 1) * size_of::<Wchar>()).cast::<Wchar>();
        copy.copy_from_nonoverlapping(units.as_ptr(), units.len());
        copy.add(units.len()).write(0);
        take(copy).unwrap()
    }
}

fn number(vt: u16, value: u32) -> api::VARIANT {
    api::VARIANT { vt, value: [u64::from(value), 0], ..Default::default() }
}

fn text_variant(bstr: *mut Wchar) -> api::VARIANT {
    api::VARIANT { vt: 8, value: [bstr as u64, 0], ..Default::default() }
}

fn set_text(group: &api::IBackgroundCopyGroup, property: i32, value: &str) -> HResult {
    let bstr = bstr(value);
    // SAFETY: a call as a program makes it; the BSTR stays the program's.
    unsafe {
        let result = code(group.SetProp(property, &text_variant(bstr)));
        take_bstr(bstr);
        result
    }
}

fn get_text(group: &api::IBackgroundCopyGroup, property: i32) -> String {
    // SAFETY: a call as a program makes it.
    let variant = value(|place| unsafe { group.GetProp(property, place) });
    assert_eq!(variant.vt, 8);
    take_bstr(variant.value[0] as *mut Wchar)
}

fn add(job: &api::IBackgroundCopyJob1, files: &[(String, String)]) -> HResult {
    let set: Vec<api::FILESETINFO> = files
        .iter()
        .map(|(url, path)| api::FILESETINFO {
            bstrRemoteFile: bstr(url),
            bstrLocalFile: bstr(path),
            dwSizeHint: 77,
        })
        .collect();
    let pointers: Vec<*const api::FILESETINFO> = set.iter().map(std::ptr::from_ref).collect();
    // SAFETY: a call as a program makes it: an array of pointers.
    let result = code(unsafe { job.AddFiles(u32::try_from(set.len()).unwrap(), pointers.as_ptr()) });
    for info in &set {
        take_bstr(info.bstrRemoteFile);
        take_bstr(info.bstrLocalFile);
    }
    result
}

fn status(group: &api::IBackgroundCopyGroup) -> u32 {
    let (mut status, mut index) = (0, 77);
    // SAFETY: a call as a program makes it.
    assert_eq!(code(unsafe { group.GetStatus(&mut status, &mut index) }), h::S_OK);
    assert_eq!(index, 0);
    status
}

fn wait_status(group: &api::IBackgroundCopyGroup, wanted: u32) {
    assert!(openbits_testkit::wait_until(LONG, || status(group) == wanted), "{:#x}", status(group));
}

/// Group, job, and these files of the origin.
fn ready(s: &Session, files: &[&str]) -> (api::IBackgroundCopyGroup, api::IBackgroundCopyJob1) {
    let group = new_group(&groups(s), GROUP).unwrap();
    let job = new_job(&group, JOB).unwrap();
    let files: Vec<_> = files.iter().map(|name| (s.origin().url(name), s.path(name))).collect();
    assert_eq!(add(&job, &files), h::S_OK);
    (group, job)
}

#[test]
fn q_mgr_create_group_and_get_group() {
    run(here!(), |s| {
        let manager = groups(s);
        let group = new_group(&manager, GROUP).unwrap();
        assert_eq!(new_group(&manager, GROUP).unwrap_err(), h::E_INVALIDARG, "the id is taken");
        assert_eq!(new_group(&manager, GUID::zeroed()).unwrap_err(), h::E_INVALIDARG);
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(value(|place| group.get_GroupID(place)), GROUP);
            let again: api::IBackgroundCopyGroup = object(|place| manager.GetGroup(GROUP, place)).unwrap();
            assert_eq!(value(|place| again.get_GroupID(place)), GROUP);
            let missing = object::<api::IBackgroundCopyGroup>(|place| manager.GetGroup(JOB, place));
            assert_eq!(missing.unwrap_err(), h::QM_E_ITEM_NOT_FOUND);
            assert_eq!(code(manager.GetGroup(GROUP, null_mut())), h::E_POINTER);
        }
        let wrong = create::<api::IBackgroundCopyManager>(s, &api::CLSID_BackgroundCopyQMgr);
        assert_eq!(wrong.unwrap_err(), h::E_NOINTERFACE);
    });
}

#[test]
fn q_mgr_enum_groups_and_enum_background_copy_groups_next() {
    run(here!(), |s| {
        let manager = groups(s);
        let ids: Vec<GUID> = [3u128, 1, 2].map(GUID::from_u128).to_vec();
        for id in &ids {
            new_group(&manager, *id).unwrap();
        }
        // SAFETY: calls as a program makes them.
        unsafe {
            let list: api::IEnumBackgroundCopyGroups = object(|place| manager.EnumGroups(0, place)).unwrap();
            let refused = object::<api::IEnumBackgroundCopyGroups>(|place| manager.EnumGroups(1, place));
            assert_eq!(refused.unwrap_err(), h::E_NOTIMPL);
            assert_eq!(value(|place| list.GetCount(place)), 3);
            let (mut places, mut fetched) = ([GUID::zeroed(); 5], 77);
            assert_eq!(code(list.Next(2, places.as_mut_ptr(), null_mut())), h::E_INVALIDARG);
            assert_eq!(code(list.Next(5, places.as_mut_ptr(), &mut fetched)), h::S_FALSE);
            assert_eq!((fetched, &places[..3]), (3, ids.as_slice()), "in the order of creation");
            assert_eq!(code(list.Reset()), h::S_OK);
            assert_eq!(code(list.Skip(2)), h::S_OK);
            let copy: api::IEnumBackgroundCopyGroups = object(|place| list.Clone(place)).unwrap();
            assert_eq!(code(list.Skip(2)), h::S_FALSE);
            assert_eq!(code(copy.Next(1, places.as_mut_ptr(), null_mut())), h::S_OK);
            assert_eq!(places[0], ids[2], "a position of its own");
        }
    });
}

#[test]
fn group_set_prop_and_get_prop() {
    run(here!(), |s| {
        let group = new_group(&groups(s), GROUP).unwrap();
        // SAFETY: calls as a program makes them.
        unsafe {
            for (property, vt, good) in [(0, 3, 1), (5, 18, 1), (6, 19, 4)] {
                assert_eq!(code(group.SetProp(property, &number(vt, good))), h::S_OK, "{property}");
                let variant = value(|place| group.GetProp(property, place));
                assert_eq!((variant.vt, variant.value[0] & 0xFFFF_FFFF), (3, u64::from(good)), "{property}");
            }
            assert_eq!(code(group.SetProp(0, &number(3, 2))), h::E_INVALIDARG);
            assert_eq!(code(group.SetProp(6, &number(11, 4))), h::E_INVALIDARG, "VT_BOOL");
            assert_eq!(code(group.SetProp(11, &number(3, 4))), h::E_INVALIDARG, "no text");
            let mut variant = number(3, 77);
            for property in [1, 2, 3, 4, 8, 9, 10, 13, -1] {
                assert_eq!(code(group.SetProp(property, &number(3, 1))), h::E_NOTIMPL, "{property}");
                assert_eq!(code(group.GetProp(property, &mut variant)), h::E_NOTIMPL, "{property}");
                assert_eq!(variant, api::VARIANT::default(), "a failure hands nothing out");
            }
            assert_eq!(code(group.GetProp(0, null_mut())), h::E_POINTER);
            assert_eq!(code(group.SetProp(0, std::ptr::null())), h::E_POINTER);
            // A null BSTR is the empty text.
            assert_eq!(code(group.SetProp(11, &text_variant(null_mut()))), h::S_OK);
        }
        for property in [7, 11, 12] {
            assert_eq!(get_text(&group, property), "", "{property}");
        }
        assert_eq!(set_text(&group, 11, "Größe 𝄞"), h::S_OK);
        assert_eq!(get_text(&group, 11), "Größe 𝄞");
        assert_eq!(set_text(&group, 11, &"n".repeat(257)), h::E_INVALIDARG);
        assert_eq!(set_text(&group, 12, &"d".repeat(1024)), h::S_OK);
        assert_eq!(set_text(&group, 7, "084f6593-3800-4e08-9b59-99fa59addf82"), h::S_OK);
        assert_eq!(get_text(&group, 7), "{084F6593-3800-4E08-9B59-99FA59ADDF82}");
        assert_eq!(set_text(&group, 7, "none"), h::E_INVALIDARG);
    });
}

/// From the first call to the files, as a client of that time does it.
#[test]
fn group_resume_group_to_cancel_group() {
    run(here!(), |s| {
        let (group, job) = ready(s, &["f", "g"]);
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(status(&group), 0x180);
            assert_eq!(code(group.SwitchToForeground()), h::S_OK);
            assert_eq!(status(&group), 0x580);
            assert_eq!(code(group.ResumeGroup()), h::S_OK);
            wait_status(&group, 0x540);
            assert_eq!(value(|place| group.get_Size(place)), 3_050_000);
            assert_eq!(value(|place| group.GetProgress(1, place)), 100);
            assert_eq!(value(|place| job.GetProgress(3, place)), 3_050_000);
            let mut progress = 77;
            assert_eq!(code(group.GetProgress(2, &mut progress)), h::E_NOTIMPL);
            assert_eq!(code(job.GetProgress(0, &mut progress)), h::E_INVALIDARG);
            assert_eq!(progress, 0);
            assert!(!std::path::Path::new(&s.path("f")).exists(), "not before the end");
            assert_eq!(code(group.SuspendGroup()), h::S_OK);
            assert_eq!(code(group.CancelGroup()), h::S_OK);
            assert_eq!(std::fs::metadata(s.path("g")).unwrap().len(), 3_000_000);
            // Pointers outlive it.
            let (mut word, mut index) = (0, 0);
            assert_eq!(code(group.GetStatus(&mut word, &mut index)), h::QM_E_INVALID_STATE);
            assert_eq!(code(group.CancelGroup()), h::QM_E_INVALID_STATE);
            assert_eq!(code(job.GetFileCount(&mut word)), h::QM_E_INVALID_STATE);
            assert_eq!(value(|place| job.get_JobID(place)), JOB);
            new_group(&groups(s), GROUP).unwrap();
        }
    });
}

#[test]
fn group_create_job_get_job_and_enum_jobs() {
    run(here!(), |s| {
        let group = new_group(&groups(s), GROUP).unwrap();
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(group.ResumeGroup()), h::QM_E_INVALID_STATE, "no job");
            let missing = object::<api::IBackgroundCopyJob1>(|place| group.GetJob(JOB, place));
            assert_eq!(missing.unwrap_err(), h::QM_E_ITEM_NOT_FOUND);
            assert_eq!(new_job(&group, GROUP).unwrap_err(), h::E_INVALIDARG, "the id is taken");
            let job = new_job(&group, JOB).unwrap();
            assert_eq!(new_job(&group, GUID::from_u128(9)).unwrap_err(), h::E_NOTIMPL, "a second one");
            assert_eq!(code(group.ResumeGroup()), h::QM_E_INVALID_STATE, "no files");
            let again: api::IBackgroundCopyJob1 = object(|place| group.GetJob(JOB, place)).unwrap();
            assert_eq!(value(|place| again.get_JobID(place)), JOB);
            let jobs: api::IEnumBackgroundCopyJobs1 = object(|place| group.EnumJobs(0, place)).unwrap();
            let mut id = GUID::zeroed();
            assert_eq!(code(jobs.Next(1, &mut id, null_mut())), h::S_OK);
            assert_eq!((id, value(|place| jobs.GetCount(place))), (JOB, 1));
            assert_eq!(code(jobs.Next(1, &mut id, null_mut())), h::S_FALSE);
            let refused = object::<api::IEnumBackgroundCopyJobs1>(|place| group.EnumJobs(1, place));
            assert_eq!(refused.unwrap_err(), h::E_NOTIMPL);
            assert_eq!(add(&job, &[("http://127.0.0.1:1/x".to_owned(), s.path("x"))]), h::S_OK);
            assert_eq!(code(group.ResumeGroup()), h::S_OK);
            assert_eq!(new_job(&group, GUID::from_u128(9)).unwrap_err(), h::QM_E_INVALID_STATE, "it runs");
        }
    });
}

#[test]
fn job1_add_files_get_file_and_get_status() {
    run(here!(), |s| {
        let (group, job) = ready(s, &["f", "missing"]);
        assert_eq!(add(&job, &[]), h::E_INVALIDARG);
        assert_eq!(add(&job, &[(s.origin().url("f"), s.path("no/such/x"))]), h::E_INVALIDARG);
        assert_eq!(add(&job, &[("ftp://h/x".to_owned(), s.path("x"))]), h::E_INVALIDARG);
        // SAFETY: calls as a program makes them.
        unsafe {
            let nothing = [std::ptr::null::<api::FILESETINFO>()];
            assert_eq!(code(job.AddFiles(1, nothing.as_ptr())), h::E_INVALIDARG, "a null pointer in it");
            assert_eq!(value(|place| job.GetFileCount(place)), 2);
            let info = value(|place| job.GetFile(1, place));
            assert_eq!(take_bstr(info.bstrRemoteFile), s.origin().url("missing"));
            assert_eq!((take_bstr(info.bstrLocalFile), info.dwSizeHint), (s.path("missing"), 0));
            let mut info = info;
            assert_eq!(code(job.GetFile(2, &mut info)), h::QM_E_ITEM_NOT_FOUND);
            assert!(info.bstrRemoteFile.is_null());
            let words = || {
                let mut words = [77; 4];
                let [a, b, c, d] = &mut words;
                assert_eq!(code(job.GetStatus(a, b, c, d)), h::S_OK);
                words
            };
            assert_eq!(words(), [0x8, 0, 0, 0]);
            assert_eq!(code(group.ResumeGroup()), h::S_OK);
            wait_status(&group, 0x380);
            assert_eq!(words(), [0x18, 0, 404, 1]);
            assert_eq!(code(job.CancelJob()), h::E_NOTIMPL);
            assert_eq!(code(job.SwitchToForeground()), h::E_NOTIMPL);
        }
    });
}

/// Resume, wait and Complete by the modern object, as programs do that know of both.
#[test]
fn group_query_new_job_interface() {
    run(here!(), |s| {
        let (group, _) = ready(s, &["f"]);
        // SAFETY: calls as a program makes them.
        unsafe {
            let iid = api::IBackgroundCopyJob::IID;
            let modern: api::IBackgroundCopyJob = object(|p| group.QueryNewJobInterface(&iid, p)).unwrap();
            let newest = api::IBackgroundCopyJob5::IID;
            let same: api::IBackgroundCopyJob5 = object(|p| group.QueryNewJobInterface(&newest, p)).unwrap();
            assert_eq!(value(|place| same.GetId(place)), GROUP);
            let other = api::IBackgroundCopyManager::IID;
            let refused = object::<IUnknown>(|place| group.QueryNewJobInterface(&other, place));
            assert_eq!(refused.unwrap_err(), h::E_NOINTERFACE);
            assert_eq!(code(modern.Resume()), h::S_OK);
            wait_state(&modern, api::BG_JOB_STATE_TRANSFERRED);
            assert_eq!(status(&group), 0x140);
            assert_eq!(code(modern.Complete()), h::S_OK);
            assert!(std::path::Path::new(&s.path("f")).exists());
            let gone = object::<IUnknown>(|place| group.QueryNewJobInterface(&iid, place));
            assert_eq!(gone.unwrap_err(), h::QM_E_INVALID_STATE);
        }
    });
}

type Told = (GUID, GUID, [u32; 5]);

/// A program's callback.
#[implement(api::IBackgroundCopyCallback1)]
struct Listener {
    told: std::sync::Mutex<SyncSender<Told>>,
    _alive: Arc<()>,
}

fn listener() -> (api::IBackgroundCopyCallback1, Receiver<Told>) {
    let (sender, told) = sync_channel(16);
    (Listener { told: std::sync::Mutex::new(sender), _alive: Arc::default() }.into(), told)
}

impl api::IBackgroundCopyCallback1_Impl for Listener_Impl {
    unsafe fn OnStatus(
        &self,
        group: *mut c_void,
        job: *mut c_void,
        file: u32,
        status: u32,
        retries: u32,
        win32: u32,
        transport: u32,
    ) -> HRESULT {
        // SAFETY: the library's pointers are of live objects, and not ours to release.
        let (group, job) = unsafe {
            let group = std::mem::ManuallyDrop::new(api::IBackgroundCopyGroup::from_raw(group));
            let job = std::mem::ManuallyDrop::new(api::IBackgroundCopyJob1::from_raw(job));
            (value(|place| group.get_GroupID(place)), value(|place| job.get_JobID(place)))
        };
        self.told.lock().unwrap().send((group, job, [file, status, retries, win32, transport])).unwrap();
        HRESULT(0)
    }

    unsafe fn OnProgress(&self, _: u32, _: *mut c_void, _: *mut c_void, _: u32, _: u32) -> HRESULT {
        panic!("never called")
    }

    unsafe fn OnProgressEx(
        &self,
        _: u32,
        _: *mut c_void,
        _: *mut c_void,
        _: u32,
        _: u32,
        _: u32,
        _: *const u8,
    ) -> HRESULT {
        panic!("never called")
    }
}

/// A group in error is told by default, one that is complete when GROUP_DONE is set; both may be called from within.
#[test]
fn group_set_notification_pointer_and_callback1_on_status() {
    run(here!(), |s| {
        let (group, job) = ready(s, &["missing"]);
        let (callback, told) = listener();
        let iid = api::IBackgroundCopyCallback1::IID;
        // SAFETY: calls as a program makes them.
        unsafe {
            let wrong = api::IBackgroundCopyCallback::IID;
            assert_eq!(code(group.SetNotificationPointer(&wrong, callback.as_raw())), h::E_NOINTERFACE);
            assert_eq!(code(group.SetNotificationPointer(&iid, group.as_raw())), h::E_NOINTERFACE);
            assert_eq!(code(group.SetNotificationPointer(&iid, callback.as_raw())), h::S_OK);
            assert_eq!(code(group.ResumeGroup()), h::S_OK);
            let error = (GROUP, JOB, [0, 0x380, 1, 0, 404]);
            assert_eq!(told.recv_timeout(LONG), Ok(error));
            s.origin().put("missing", openbits_testkit::Content::new(3, 10));
            assert_eq!(code(group.SetProp(6, &number(3, 4))), h::S_OK, "GROUP_DONE");
            assert_eq!(code(group.ResumeGroup()), h::S_OK);
            let complete = (GROUP, JOB, [u32::MAX, 0x140, 0, 0, 0]);
            assert_eq!(told.recv_timeout(LONG), Ok(complete));
            assert_eq!(code(group.SetNotificationPointer(&iid, null_mut())), h::S_OK);
            assert_eq!(code(group.CancelGroup()), h::S_OK);
            assert_eq!(code(group.SetNotificationPointer(&iid, callback.as_raw())), h::QM_E_INVALID_STATE);
        }
        drop(job);
    });
}

/// A program's callback that is counted as long as it lives.
fn counted(alive: &Arc<()>) -> api::IBackgroundCopyCallback1 {
    let (sender, _) = sync_channel(16);
    Listener { told: std::sync::Mutex::new(sender), _alive: Arc::clone(alive) }.into()
}

/// Another program removed the group: nobody tells this one, and the call that comes too late releases its object.
#[test]
fn group_cancel_group_that_comes_too_late_releases_the_callback() {
    run(here!(), |s| {
        let group = new_group(&groups(s), GROUP).unwrap();
        let alive = Arc::new(());
        let iid = api::IBackgroundCopyCallback1::IID;
        let callback = counted(&alive);
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(group.SetNotificationPointer(&iid, callback.as_raw())), h::S_OK);
            drop(callback);
            let id = openbits_core::JobId::from_bytes(GROUP.to_u128().to_be_bytes());
            let path = format!("/v1/groups/{id}/cancel");
            assert!(s.door.ask("POST", &path, None).unwrap().is_success());
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(Arc::strong_count(&alive), 2, "the library holds it still");
            assert_eq!(code(group.CancelGroup()), h::QM_E_INVALID_STATE);
        }
        assert!(openbits_testkit::wait_until(LONG, || Arc::strong_count(&alive) == 1));
    });
}

/// Four threads at once: one removes the group, and no object of the program is left, whoever was faster.
#[test]
fn group_cancel_group_of_many_threads_releases_every_callback() {
    struct Shared(api::IBackgroundCopyGroup);
    // SAFETY: the objects are made for it.
    unsafe impl Sync for Shared {}
    run(here!(), |s| {
        let manager = groups(s);
        let alive = Arc::new(());
        for round in 1..=25_u128 {
            // SAFETY: calls as a program makes them.
            let one = unsafe {
                let group = new_group(&manager, GUID::from_u128(round)).unwrap();
                let callback = counted(&alive);
                let iid = api::IBackgroundCopyCallback1::IID;
                assert_eq!(code(group.SetNotificationPointer(&iid, callback.as_raw())), h::S_OK);
                Shared(group)
            };
            let start = std::sync::Barrier::new(4);
            let codes: Vec<HResult> = std::thread::scope(|scope| {
                let cancel = || {
                    let one: &Shared = &one;
                    start.wait();
                    // SAFETY: a call as a program makes it.
                    code(unsafe { one.0.CancelGroup() })
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(cancel)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(codes.iter().filter(|code| **code == h::S_OK).count(), 1, "{codes:?}");
            assert_eq!(codes.iter().filter(|code| **code == h::QM_E_INVALID_STATE).count(), 3, "{codes:?}");
        }
        assert!(openbits_testkit::wait_until(LONG, || Arc::strong_count(&alive) == 1));
    });
}
