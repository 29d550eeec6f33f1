//! Callbacks and streams of downloads that take their time: each holds up its own download only, and calls of one download never overlap.

use super::callbacks::{self, Notes, newest};
use super::delivery::{
    S_OK, bstr, do_manager, get_text, go, new_download, ready, set, sink, status, told, unknown, variant,
    wait_for,
};
use super::*;
use crate::session::run;
use api::{IDODownloadStatusCallback_Impl, ISequentialStream_Impl, IStream_Impl};
use openbits_core::delivery::codes;
use openbits_core::hresult as h;
use openbits_testkit::{Content, wait_until};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use windows_core::{IUnknown, implement};

const LONG: Duration = Duration::from_secs(60);
/// So long nothing happens where nothing may happen.
const QUIET: Duration = Duration::from_millis(700);
/// Calls at a time, and streams that are written at a time (docs/decisions/0028).
const AT_A_TIME: usize = 32;

/// Keeps calls inside until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    /// What the calls were for.
    calls: Mutex<Vec<i32>>,
    inside: AtomicUsize,
    overlapped: AtomicBool,
}

impl Gate {
    fn pass(&self, what: i32) {
        if self.inside.fetch_add(1, SeqCst) > 0 {
            self.overlapped.store(true, SeqCst);
        }
        self.calls.lock().unwrap().push(what);
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_timeout_while(is_open, 3 * LONG, |is_open| !*is_open).unwrap());
        self.inside.fetch_sub(1, SeqCst);
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn has_inside(&self, count: usize) -> bool {
        wait_until(LONG, || self.inside.load(SeqCst) == count)
    }

    fn calls(&self) -> Vec<i32> {
        let mut calls = self.calls.lock().unwrap().clone();
        calls.dedup();
        calls
    }

    /// The library has let go of every object with this gate.
    fn is_released(self: &Arc<Self>) -> bool {
        wait_until(LONG, || Arc::strong_count(self) == 1)
    }
}

#[implement(api::IDODownloadStatusCallback)]
struct SlowCallback(Arc<Gate>);

impl IDODownloadStatusCallback_Impl for SlowCallback_Impl {
    unsafe fn OnStatusChange(
        &self,
        _download: *mut c_void,
        status: *const api::DO_DOWNLOAD_STATUS,
    ) -> HRESULT {
        // SAFETY: the library calls with a struct.
        let state = unsafe { (*status).State };
        self.0.pass(state);
        S_OK
    }
}

/// Takes a thousand bytes at a time.
#[implement(api::IStream)]
struct SlowStream(Arc<Gate>, Arc<Mutex<Vec<u8>>>);

impl ISequentialStream_Impl for SlowStream_Impl {
    unsafe fn Read(&self, _data: *mut c_void, _bytes: u32, _read: *mut u32) -> HRESULT {
        HRESULT(h::E_NOTIMPL.signed())
    }

    unsafe fn Write(&self, data: *const c_void, bytes: u32, written: *mut u32) -> HRESULT {
        self.0.pass(0);
        let take = bytes.min(1000);
        // SAFETY: the library writes from memory of its own, and takes the number.
        unsafe {
            let slice = std::slice::from_raw_parts(data.cast::<u8>(), take as usize);
            self.1.lock().unwrap().extend_from_slice(slice);
            written.write(take);
        }
        S_OK
    }
}

impl IStream_Impl for SlowStream_Impl {}

/// Sets a property to an object, which is the library's alone then.
fn give(download: &api::IDODownload, id: i32, object: IUnknown) {
    let value = unknown(object);
    set(download, id, &value).unwrap();
    // SAFETY: the reference that the value has.
    drop(unsafe { IUnknown::from_raw(value.value[0] as *mut c_void) });
}

fn attach(download: &api::IDODownload, callback: IUnknown) {
    give(download, api::DODownloadProperty_CallbackInterface, callback);
}

/// A download with a callback that waits at this gate.
fn slow(session: &Session, manager: &api::IDOManager, to: &str, gate: &Arc<Gate>) -> api::IDODownload {
    let download = ready(session, manager, "g", to);
    attach(&download, SlowCallback(gate.clone()).into());
    download
}

/// A job of bits.h whose callback is called.
fn a_callback_of_bits_comes(session: &Session, to: &str) {
    let job = download(session, &manager(session), "f", to);
    let notes = Arc::new(Notes::default());
    assert_eq!(callbacks::set(&job, &newest(&notes)), h::S_OK);
    // SAFETY: calls as a program makes them.
    unsafe {
        assert_eq!(job.Resume(), S_OK);
        assert!(wait_until(LONG, || notes.count("transferred") == 1), "{to}");
        assert_eq!(job.Complete(), S_OK);
    }
}

/// Another download whose callback is called up to its end.
fn another_download_is_told(session: &Session, manager: &api::IDOManager, to: &str) {
    let other = ready(session, manager, "f", to);
    let (callback, seen) = told();
    attach(&other, callback);
    go(&other).unwrap();
    assert!(wait_until(LONG, || seen.states().last() == Some(&api::DODownloadState_Transferred)), "{to}");
    // SAFETY: a call as a program makes it.
    assert_eq!(unsafe { other.Finalize() }, S_OK);
    assert!(wait_until(LONG, || seen.states().last() == Some(&api::DODownloadState_Finalized)), "{to}");
}

fn abort(download: &api::IDODownload) {
    // SAFETY: a call as a program makes it.
    assert_eq!(unsafe { download.Abort() }, S_OK);
}

#[test]
fn do_download_status_callback_on_status_change_may_take_its_time() {
    run(here!(), |session| {
        let manager = do_manager(session);
        let gate = Arc::new(Gate::default());
        session.origin().hold("g", 1_000_000);
        let download = slow(session, &manager, "slow", &gate);
        go(&download).unwrap();
        assert!(gate.has_inside(1), "Start came back, and the call is still inside");
        another_download_is_told(session, &manager, "quick");
        a_callback_of_bits_comes(session, "bits");
        // Its own calls come back as well.
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { download.Pause() }, S_OK);
        go(&download).unwrap();
        session.origin().release("g");
        wait_for(&download, api::DODownloadState_Transferred);
        assert_eq!(gate.calls().len(), 1, "one call at a time");
        gate.open();
        assert!(wait_until(LONG, || gate.calls().last() == Some(&api::DODownloadState_Transferred)));
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { download.Finalize() }, S_OK);
        assert!(wait_until(LONG, || gate.calls().last() == Some(&api::DODownloadState_Finalized)));
        assert!(!gate.overlapped.load(SeqCst));
        assert!(gate.is_released());
    });
}

#[test]
fn do_download_status_callback_on_status_change_one_at_a_time_whoever_is_attached() {
    run(here!(), |session| {
        let manager = do_manager(session);
        let (first, second) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        second.open();
        session.origin().hold("g", 1_000_000);
        let download = slow(session, &manager, "slow", &first);
        go(&download).unwrap();
        assert!(first.has_inside(1));
        // Taken back, and another one attached, while the call is under way.
        set(&download, api::DODownloadProperty_CallbackInterface, &variant(0, 0)).unwrap();
        attach(&download, SlowCallback(second.clone()).into());
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { download.Pause() }, S_OK);
        std::thread::sleep(QUIET);
        assert!(second.calls().is_empty(), "the first one's call is still inside");
        first.open();
        assert!(wait_until(LONG, || second.calls().last() == Some(&api::DODownloadState_Paused)));
        abort(&download);
        assert!(wait_until(LONG, || second.calls().last() == Some(&api::DODownloadState_Aborted)));
        assert_eq!(first.calls().len(), 1, "taken back is taken back");
        assert!(first.is_released() && second.is_released());
    });
}

/// As many as there are threads for: the next one waits, and is not told what is over by then.
#[test]
fn do_download_status_callback_on_status_change_of_more_than_there_are_threads() {
    run(here!(), |session| {
        let manager = do_manager(session);
        let gate = Arc::new(Gate::default());
        session.origin().hold("g", 1_000_000);
        let downloads: Vec<_> =
            (0..AT_A_TIME).map(|n| slow(session, &manager, &format!("slow{n}"), &gate)).collect();
        for download in &downloads {
            go(download).unwrap();
        }
        assert!(gate.has_inside(AT_A_TIME), "{} inside", gate.inside.load(SeqCst));
        let waiting = ready(session, &manager, "g", "waiting");
        let (callback, seen) = told();
        attach(&waiting, callback);
        go(&waiting).unwrap();
        a_callback_of_bits_comes(session, "bits");
        std::thread::sleep(QUIET);
        assert!(seen.states().is_empty());
        abort(&waiting);
        gate.open();
        assert!(wait_until(LONG, || !seen.states().is_empty()));
        std::thread::sleep(QUIET);
        assert_eq!(seen.states(), [api::DODownloadState_Aborted], "only this after Abort returned");
        downloads.iter().for_each(abort);
        drop(downloads);
        assert!(gate.is_released());
    });
}

#[test]
fn do_property_stream_interface_may_take_its_time() {
    run(here!(), |session| {
        let content = Content::new(4, 5_000);
        session.origin().put("file", content.clone());
        let manager = do_manager(session);
        let (gate, got) = (Arc::new(Gate::default()), Arc::new(Mutex::new(Vec::new())));
        let into = |got: &Arc<Mutex<Vec<u8>>>| {
            let download = new_download(&manager);
            let url = bstr(&session.origin().url("file"));
            set(&download, api::DODownloadProperty_Uri, &url).unwrap();
            let stream: IUnknown = SlowStream(gate.clone(), got.clone()).into();
            give(&download, api::DODownloadProperty_StreamInterface, stream);
            go(&download).unwrap();
            download
        };
        let filled: Vec<_> = (0..4).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
        let downloads: Vec<_> = filled.iter().map(into).collect();
        let ended = into(&got);
        let (callback, seen) = told();
        attach(&ended, callback);
        assert!(gate.has_inside(5), "five streams are inside of Write");
        a_callback_of_bits_comes(session, "bits");
        another_download_is_told(session, &manager, "quick");
        for download in downloads.iter().chain([&ended]) {
            assert_eq!(status(download).State, api::DODownloadState_Transferring);
        }
        // One of them ends while its stream is inside: this is told at once, and the stream gets nothing more.
        abort(&ended);
        assert!(wait_until(LONG, || seen.states().last() == Some(&api::DODownloadState_Aborted)));
        gate.open();
        for (download, filled) in downloads.iter().zip(&filled) {
            wait_for(download, api::DODownloadState_Transferred);
            assert_eq!(*filled.lock().unwrap(), content.byte_range(0, 5_000));
            // SAFETY: a call as a program makes it.
            assert_eq!(unsafe { download.Finalize() }, S_OK);
        }
        assert!(gate.is_released());
        assert_eq!(got.lock().unwrap().len(), 1_000, "the Write that was under way, and no other");
    });
}

/// The stream of another process: here nobody knows what it has.
#[test]
fn do_download_finalize_where_the_stream_is() {
    run(here!(), |session| {
        let properties = serde_json::json!({
            "uri": session.origin().url("f"), "local_path": session.path("stream"), "stream": true
        });
        let body = serde_json::json!({ "properties": properties });
        let reply = session.door.ask("POST", "/v1/downloads", Some(&body)).unwrap();
        assert!(reply.is_success());
        let id = reply.json::<openbits_api::DownloadView>().id;
        let manager = do_manager(session);
        // SAFETY: calls as a program makes them.
        let download: api::IDODownload = unsafe {
            let list: api::IEnumUnknown =
                object(|place| manager.EnumDownloads(std::ptr::null(), place)).unwrap();
            let mut fetched = 0;
            let one: IUnknown = object(|place| list.Next(1, place, &mut fetched)).unwrap();
            one.cast().unwrap()
        };
        assert_eq!(get_text(&download, api::DODownloadProperty_Id), id);
        go(&download).unwrap();
        wait_for(&download, api::DODownloadState_Transferred);
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(download.Finalize()), codes::DO_E_INVALID_STATE);
            let (stream, got) = sink();
            give(&download, api::DODownloadProperty_StreamInterface, stream);
            assert!(wait_until(LONG, || download.Finalize() == S_OK), "in place of a process that is gone");
            assert_eq!(got.lock().unwrap().len(), 50_000);
        }
    });
}
