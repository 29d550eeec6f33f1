//! deliveryoptimization.h: IDOManager, IDODownload, its callback and its stream, and the interfaces of BITS' names
//! (spec/delivery-optimization-com.md).

use super::*;
use crate::session::{run, run_with_cache_host};
use api::{IDODownloadStatusCallback_Impl, ISequentialStream_Impl, IStream_Impl};
use openbits_core::delivery::codes;
use openbits_core::hresult as h;
use openbits_testkit::{Content, wait_until};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use windows_core::{IUnknown, implement};

pub(super) const LONG: Duration = Duration::from_secs(60);
pub(super) const S_OK: HRESULT = HRESULT(0);

pub(super) fn do_manager(session: &Session) -> api::IDOManager {
    create(session, &api::CLSID_DeliveryOptimization).unwrap()
}

pub(super) fn new_download(manager: &api::IDOManager) -> api::IDODownload {
    // SAFETY: a call as a program makes it.
    object(|place| unsafe { manager.CreateDownload(place) }).unwrap()
}

/// A VT_BSTR in memory of this program.
pub(super) fn bstr(text: &str) -> api::VARIANT {
    let units = w(text);
    let bytes = (units.len() - 1) * size_of::<Wchar>();
    let mut block = vec![0_u64; 1 + units.len()];
    // SAFETY: the block has room for the length before the characters, and for them.
    let pointer = unsafe {
        let start = block.as_mut_ptr().cast::<u8>();
        start.add(4).cast::<u32>().write(u32::try_from(bytes).unwrap());
        let place = start.add(8).cast::<Wchar>();
        place.copy_from_nonoverlapping(units.as_ptr(), units.len());
        place
    };
    std::mem::forget(block); // A test may leave something behind.
    variant(8, pointer as u64)
}

pub(super) fn variant(vt: u16, value: u64) -> api::VARIANT {
    api::VARIANT { vt, value: [value, 0], ..Default::default() }
}

pub(super) fn boolean(value: bool) -> api::VARIANT {
    variant(11, if value { 0xFFFF } else { 0 })
}

pub(super) fn number(value: u32) -> api::VARIANT {
    variant(19, value.into())
}

pub(super) fn unknown(object: IUnknown) -> api::VARIANT {
    variant(13, object.into_raw() as u64)
}

pub(super) fn set(download: &api::IDODownload, id: i32, value: &api::VARIANT) -> Result<(), HResult> {
    // SAFETY: a call as a program makes it.
    match code(unsafe { download.SetProperty(id, value) }) {
        code if code.is_ok() => Ok(()),
        code => Err(code),
    }
}

pub(super) fn get(download: &api::IDODownload, id: i32) -> Result<api::VARIANT, HResult> {
    let mut value = api::VARIANT { vt: 77, ..Default::default() };
    // SAFETY: a call as a program makes it.
    match code(unsafe { download.GetProperty(id, &mut value) }) {
        code if code.is_ok() => Ok(value),
        code => {
            assert_eq!(value.vt, 0, "a failure leaves VT_EMPTY");
            Err(code)
        }
    }
}

/// The text of a VT_BSTR of the library, which is freed.
fn text_of(value: api::VARIANT) -> String {
    assert_eq!(value.vt, 8);
    let pointer = value.value[0] as *mut Wchar;
    // SAFETY: a BSTR: its length before it, in a block that begins eight bytes before it.
    unsafe {
        let bytes = pointer.cast::<u32>().sub(1).read() as usize;
        let units = std::slice::from_raw_parts(pointer, bytes / size_of::<Wchar>());
        #[allow(clippy::useless_conversion, reason = "of one width to the other")]
        let units: Vec<u32> = units.iter().map(|unit| u32::from(*unit)).collect();
        free(pointer.cast::<u8>().sub(8).cast());
        if WCHAR_BYTES == 2 {
            let units: Vec<u16> = units.iter().map(|unit| u16::try_from(*unit).unwrap()).collect();
            return String::from_utf16(&units).unwrap();
        }
        units.iter().map(|unit| char::from_u32(*unit).unwrap()).collect()
    }
}

pub(super) fn status(download: &api::IDODownload) -> api::DO_DOWNLOAD_STATUS {
    // SAFETY: a call as a program makes it.
    value(|place| unsafe { download.GetStatus(place) })
}

pub(super) fn wait_for(download: &api::IDODownload, state: i32) -> api::DO_DOWNLOAD_STATUS {
    let reached = wait_until(LONG, || status(download).State == state);
    assert!(reached, "state is {} (error {:#x})", status(download).State, status(download).Error);
    status(download)
}

/// DO_DOWNLOAD_RANGES_INFO with these ranges.
#[repr(C)]
struct Ranges<const N: usize> {
    count: u32,
    ranges: [api::DO_DOWNLOAD_RANGE; N],
}

fn start<const N: usize>(download: &api::IDODownload, ranges: [(u64, u64); N]) -> Result<(), HResult> {
    let ranges = ranges.map(|(offset, length)| api::DO_DOWNLOAD_RANGE { Offset: offset, Length: length });
    let info = Ranges { count: u32::try_from(N).unwrap(), ranges };
    // SAFETY: the struct has as many ranges as it says, behind its count.
    match code(unsafe { download.Start((&raw const info).cast()) }) {
        code if code.is_ok() => Ok(()),
        code => Err(code),
    }
}

pub(super) fn go(download: &api::IDODownload) -> Result<(), HResult> {
    // SAFETY: NULL is the whole file.
    match code(unsafe { download.Start(std::ptr::null()) }) {
        code if code.is_ok() => Ok(()),
        code => Err(code),
    }
}

/// Sets a property of the type VT_ARRAY | VT_UI1.
pub(super) fn set_bytes(download: &api::IDODownload, id: i32, bytes: &[u8]) -> Result<(), HResult> {
    let mut array = api::SAFEARRAY {
        cDims: 1,
        fFeatures: 0,
        cbElements: 1,
        cLocks: 0,
        pvData: bytes.as_ptr().cast_mut().cast(),
        rgsabound: [api::SAFEARRAYBOUND { cElements: u32::try_from(bytes.len()).unwrap(), lLbound: 0 }],
    };
    set(download, id, &variant(0x2011, (&raw mut array) as u64))
}

/// A download of a file of the origin into a file.
pub(super) fn ready(session: &Session, manager: &api::IDOManager, name: &str, to: &str) -> api::IDODownload {
    ready_from(session, manager, &session.origin().url(name), to)
}

/// A download of a URL into a file.
pub(super) fn ready_from(session: &Session, manager: &api::IDOManager, url: &str, to: &str) -> api::IDODownload {
    let download = new_download(manager);
    set(&download, api::DODownloadProperty_Uri, &bstr(url)).unwrap();
    set(&download, api::DODownloadProperty_LocalPath, &bstr(&session.path(to))).unwrap();
    download
}

/// What a status callback saw.
#[derive(Default)]
pub(super) struct Seen {
    states: Mutex<Vec<(i32, u64)>>,
    /// Pauses the download from inside its first call in TRANSFERRING.
    pauses: bool,
    inside: std::sync::atomic::AtomicUsize,
    overlapped: std::sync::atomic::AtomicBool,
    /// The threads of its calls: never one in which the program calls the library, which may hold a lock that the callback takes.
    threads: Mutex<Vec<std::thread::ThreadId>>,
}

#[implement(api::IDODownloadStatusCallback)]
struct Told(Arc<Seen>);

impl IDODownloadStatusCallback_Impl for Told_Impl {
    unsafe fn OnStatusChange(
        &self,
        download: *mut c_void,
        status: *const api::DO_DOWNLOAD_STATUS,
    ) -> HRESULT {
        use std::sync::atomic::Ordering::SeqCst;
        if self.0.inside.fetch_add(1, SeqCst) > 0 {
            self.0.overlapped.store(true, SeqCst);
        }
        self.0.threads.lock().unwrap().push(std::thread::current().id());
        // SAFETY: the library calls with a pointer of this type, and with a struct.
        let (object, status) =
            unsafe { (api::IDODownload::from_raw_borrowed(&download).unwrap().clone(), *status) };
        let first = {
            let mut states = self.0.states.lock().unwrap();
            let first = states.iter().all(|(state, _)| *state != api::DODownloadState_Transferring);
            states.push((status.State, status.BytesTransferred));
            first
        };
        if self.0.pauses && first && status.State == api::DODownloadState_Transferring {
            // SAFETY: a call as a program makes it, from inside the callback.
            assert_eq!(unsafe { object.Pause() }, S_OK);
        }
        self.0.inside.fetch_sub(1, SeqCst);
        HRESULT(-1) // What it answers is of no interest.
    }
}

impl Seen {
    pub(super) fn states(&self) -> Vec<i32> {
        let mut states: Vec<i32> = self.states.lock().unwrap().iter().map(|(state, _)| *state).collect();
        states.dedup();
        states
    }
}

/// A callback that notes what it is told.
pub(super) fn told() -> (IUnknown, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    (Told(seen.clone()).into(), seen)
}

/// A stream, and what it got.
pub(super) fn sink() -> (IUnknown, Arc<Mutex<Vec<u8>>>) {
    let got = Arc::new(Mutex::new(Vec::new()));
    (Sink(got.clone(), S_OK).into(), got)
}

/// The text of a property.
pub(super) fn get_text(download: &api::IDODownload, id: i32) -> String {
    text_of(get(download, id).unwrap())
}

/// A stream that keeps what it gets.
#[implement(api::IStream)]
struct Sink(Arc<Mutex<Vec<u8>>>, HRESULT);

impl ISequentialStream_Impl for Sink_Impl {
    unsafe fn Read(&self, _data: *mut c_void, _bytes: u32, _read: *mut u32) -> HRESULT {
        HRESULT(h::E_NOTIMPL.signed())
    }

    unsafe fn Write(&self, data: *const c_void, bytes: u32, written: *mut u32) -> HRESULT {
        // At most 1,000 bytes at a time: a stream may take less than it is given.
        let take = bytes.min(1000);
        // SAFETY: the library writes from memory of its own, and takes the number.
        unsafe {
            let slice = std::slice::from_raw_parts(data.cast::<u8>(), take as usize);
            self.0.lock().unwrap().extend_from_slice(slice);
            written.write(take);
        }
        self.1
    }
}

impl IStream_Impl for Sink_Impl {}

#[test]
pub(super) fn do_manager_create_download() {
    run(here!(), |session| {
        let manager = do_manager(session);
        let download = new_download(&manager);
        let now = status(&download);
        assert_eq!((now.State, now.BytesTotal, now.BytesTransferred), (0, 0, 0));
        assert_eq!((now.Error, now.ExtendedError), (0, 0));
        // The same class is the manager of the first generation (ambiguity 1).
        let old: api::IBackgroundCopyManager = create(session, &api::CLSID_DeliveryOptimization).unwrap();
        let _: api::IDOManager = old.cast().unwrap();
    });
}

#[test]
pub(super) fn do_manager_enum_downloads() {
    run(here!(), |session| {
        let manager = do_manager(session);
        // SAFETY: calls as a program makes them.
        let list = |category: Option<(i32, &str)>| {
            let text = category.map(|(_, text)| w(text));
            let category = category.map(|(property, _)| api::DO_DOWNLOAD_ENUM_CATEGORY {
                Property: property,
                Value: text.as_ref().unwrap().as_ptr(),
            });
            let pointer = category.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            object::<api::IEnumUnknown>(|place| unsafe { manager.EnumDownloads(pointer, place) })
        };
        assert_eq!(list(None).err(), Some(codes::DO_E_NO_DOWNLOADS));
        let (first, second) = (ready(session, &manager, "a", "a"), ready(session, &manager, "b", "b"));
        let id = text_of(get(&first, api::DODownloadProperty_Id).unwrap());
        let elements = |list: &api::IEnumUnknown| {
            let mut ids = Vec::new();
            loop {
                let (mut pointer, mut fetched) = (null_mut(), 9_u32);
                // SAFETY: a call as a program makes it.
                let answer = unsafe { list.Next(1, &mut pointer, &mut fetched) };
                if answer == HRESULT(1) {
                    assert_eq!((fetched, pointer.is_null()), (0, true), "the end is no error");
                    return ids;
                }
                // SAFETY: what a method hands out is a pointer of its type, with a reference for us.
                let unknown = unsafe { IUnknown::from_raw(pointer) };
                let download: api::IDODownload = unknown.cast().unwrap();
                ids.push(text_of(get(&download, api::DODownloadProperty_Id).unwrap()));
            }
        };
        assert_eq!(elements(&list(None).unwrap()).len(), 2);
        let upper = id.to_uppercase();
        assert_eq!(
            elements(&list(Some((api::DODownloadProperty_Id, &upper))).unwrap()),
            std::slice::from_ref(&id)
        );
        let url = session.origin().url("b");
        assert_eq!(elements(&list(Some((api::DODownloadProperty_Uri, &url))).unwrap()).len(), 1);
        let path = session.path("a");
        assert_eq!(elements(&list(Some((api::DODownloadProperty_LocalPath, &path))).unwrap()), [id]);
        assert_eq!(
            list(Some((api::DODownloadProperty_DisplayName, "x"))).err(),
            Some(codes::DO_E_NO_DOWNLOADS)
        );
        assert_eq!(list(Some((api::DODownloadProperty_CostPolicy, "1"))).err(), Some(h::E_INVALIDARG));
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(first.Abort(), S_OK);
            assert_eq!(second.Abort(), S_OK);
        }
        assert_eq!(list(None).err(), Some(codes::DO_E_NO_DOWNLOADS));
        // Row 7 of the checklist: also after Finalize.
        let last = ready(session, &manager, "f", "f");
        go(&last).unwrap();
        wait_for(&last, api::DODownloadState_Transferred);
        assert_eq!(elements(&list(None).unwrap()).len(), 1);
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { last.Finalize() }, S_OK);
        assert_eq!(list(None).err(), Some(codes::DO_E_NO_DOWNLOADS));
    });
}

/// An enumerator over three downloads.
fn with_three(here: &str, body: impl FnOnce(&api::IEnumUnknown)) {
    run(here, |session| {
        let manager = do_manager(session);
        let _three: Vec<_> = (0..3).map(|_| new_download(&manager)).collect();
        // SAFETY: a call as a program makes it.
        let list = object(|place| unsafe { manager.EnumDownloads(std::ptr::null(), place) }).unwrap();
        body(&list);
    });
}

/// Next: its answer, and how many elements there were.
fn next(list: &api::IEnumUnknown, count: u32) -> (HRESULT, u32) {
    let (mut places, mut fetched) = ([null_mut(); 4], 99);
    // SAFETY: a call as a program makes it; there are enough places.
    let answer = unsafe { list.Next(count, places.as_mut_ptr(), &mut fetched) };
    for place in &places[..fetched as usize] {
        // SAFETY: what a method hands out is a pointer of its type, with a reference for us.
        drop(unsafe { IUnknown::from_raw(*place) });
    }
    assert!(places[fetched as usize..].iter().all(|place| place.is_null()));
    (answer, fetched)
}

#[test]
fn enum_unknown_next() {
    with_three(here!(), |list| {
        assert_eq!(next(list, 2), (S_OK, 2));
        assert_eq!(next(list, 2), (HRESULT(1), 1));
        assert_eq!(next(list, 1), (HRESULT(1), 0), "the end is no error");
        assert_eq!(next(list, 0), (S_OK, 0));
        let mut places = [null_mut(); 2];
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(
                code(list.Next(2, places.as_mut_ptr(), null_mut())),
                h::E_INVALIDARG,
                "a count is needed"
            );
            assert_eq!(code(list.Next(1, null_mut(), null_mut())), h::E_POINTER);
        }
    });
}

#[test]
fn enum_unknown_skip() {
    with_three(here!(), |list| {
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(list.Skip(2), S_OK);
            assert_eq!(next(list, 1), (S_OK, 1));
            assert_eq!(list.Skip(1), HRESULT(1));
        }
    });
}

#[test]
fn enum_unknown_reset() {
    with_three(here!(), |list| {
        assert_eq!(next(list, 3), (S_OK, 3));
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { list.Reset() }, S_OK);
        assert_eq!(next(list, 4), (HRESULT(1), 3));
    });
}

#[test]
fn enum_unknown_clone() {
    with_three(here!(), |list| {
        assert_eq!(next(list, 1), (S_OK, 1));
        // SAFETY: a call as a program makes it.
        let copy: api::IEnumUnknown = object(|place| unsafe { list.Clone(place) }).unwrap();
        assert_eq!(next(list, 2), (S_OK, 2));
        assert_eq!(next(&copy, 4), (HRESULT(1), 2), "at the same position, and its own");
    });
}

/// Rows 1 to 4 of the checklist.
#[test]
fn do_download_get_property_start_pause_finalize() {
    run(here!(), |session| {
        let content = Content::new(3, 200_000);
        session.origin().put("file", content.clone());
        let manager = do_manager(session);
        let download = ready(session, &manager, "file", "file");
        assert_eq!(
            set(&download, api::DODownloadProperty_Id, &bstr("x")),
            Err(codes::DO_E_READ_ONLY_PROPERTY)
        );
        let secret = get(&download, api::DODownloadProperty_SecurityContext);
        assert_eq!(secret.err(), Some(codes::DO_E_WRITE_ONLY_PROPERTY));
        assert_eq!(get(&download, 999).err(), Some(codes::DO_E_UNKNOWN_PROPERTY_ID));
        assert_eq!(get(&download, api::DODownloadProperty_CorrelationVector).err(), Some(codes::E_NOT_SET));
        assert_eq!(set(&download, api::DODownloadProperty_Uri, &number(1)), Err(h::E_INVALIDARG));
        let foreground = || get(&download, api::DODownloadProperty_ForegroundPriority).unwrap();
        assert_eq!((foreground().vt, foreground().value[0]), (11, 0));
        set(&download, api::DODownloadProperty_ForegroundPriority, &boolean(true)).unwrap();
        assert_eq!(foreground().value[0] & 0xFFFF, 0xFFFF);
        assert_eq!(
            set(&download, api::DODownloadProperty_NoProgressTimeoutSeconds, &number(59)),
            Err(h::E_INVALIDARG)
        );
        session.origin().hold("file", 100_000);
        go(&download).unwrap();
        assert!(session.origin().wait_held("file", LONG));
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(download.Pause(), S_OK);
            let paused = status(&download);
            assert_eq!((paused.State, paused.Error, paused.ExtendedError), (5, 0, 0));
            session.origin().release("file");
            go(&download).unwrap();
            let done = wait_for(&download, api::DODownloadState_Transferred);
            assert_eq!((done.BytesTotal, done.BytesTransferred), (200_000, 200_000));
            let size = get(&download, api::DODownloadProperty_TotalSizeBytes).unwrap();
            assert_eq!((size.vt, size.value[0]), (21, 200_000), "the real one, though it was never set");
            assert!(!std::path::Path::new(&session.path("file")).exists());
            assert_eq!(download.Finalize(), S_OK);
            assert_eq!(status(&download).State, api::DODownloadState_Finalized);
            assert_eq!(std::fs::read(session.path("file")).unwrap(), content.byte_range(0, 200_000));
            assert_eq!(code(download.Abort()), codes::DO_E_INVALID_STATE);
            assert_eq!(go(&download), Err(codes::DO_E_INVALID_STATE));
        }
    });
}

/// Row 5: two ranges to a stream deliver exactly these bytes; then other ranges, to the same stream.
#[test]
fn do_download_start_to_a_stream() {
    run(here!(), |session| {
        let content = Content::new(4, 50_000);
        session.origin().put("file", content.clone());
        let manager = do_manager(session);
        let download = new_download(&manager);
        set(&download, api::DODownloadProperty_Uri, &bstr(&session.origin().url("file"))).unwrap();
        assert_eq!(go(&download), Err(codes::DO_E_FILE_DOWNLOADSINK_UNSPECIFIED));
        let got = Arc::new(Mutex::new(Vec::new()));
        let stream: IUnknown = Sink(got.clone(), S_OK).into();
        set(&download, api::DODownloadProperty_StreamInterface, &unknown(stream)).unwrap();
        assert_eq!(get(&download, api::DODownloadProperty_LocalPath).err(), Some(codes::E_NOT_SET));
        start(&download, [(200, 1000), (0, 100)]).unwrap();
        let done = wait_for(&download, api::DODownloadState_Transferred);
        assert_eq!((done.BytesTotal, done.BytesTransferred), (1100, 1100));
        let expected = [content.byte_range(200, 1000), content.byte_range(0, 100)].concat();
        assert_eq!(std::mem::take(&mut *got.lock().unwrap()), expected, "in the order of the list");
        start(&download, [(0, u64::MAX)]).unwrap();
        wait_for(&download, api::DODownloadState_Transferred);
        assert_eq!(*got.lock().unwrap(), content.byte_range(0, 50_000));
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { download.Finalize() }, S_OK);
        assert_eq!(start(&download, [(0, 1)]), Err(codes::DO_E_INVALID_STATE));
        // A stream that fails is the end of it.
        let broken = new_download(&manager);
        set(&broken, api::DODownloadProperty_Uri, &bstr(&session.origin().url("file"))).unwrap();
        let stream: IUnknown = Sink(got, HRESULT(0x8003_0070_u32.cast_signed())).into();
        set(&broken, api::DODownloadProperty_StreamInterface, &unknown(stream)).unwrap();
        go(&broken).unwrap();
        let end = wait_for(&broken, api::DODownloadState_Paused);
        assert_eq!(end.Error.cast_unsigned(), 0x8003_0070);
        // Start tries the stream again, and it fails again.
        go(&broken).unwrap();
        assert!(wait_until(LONG, || status(&broken).Error.cast_unsigned() == 0x8003_0070));
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { broken.Abort() }, S_OK);
        assert_eq!(status(&broken).State, api::DODownloadState_Aborted);
    });
}

/// Rows 6, 9 and 10, and that calls are never two at a time.
#[test]
fn do_download_status_callback_on_status_change() {
    run(here!(), |session| {
        session.origin().put("file", Content::new(5, 400_000));
        let manager = do_manager(session);
        let download = ready(session, &manager, "file", "file");
        let (first, second) = (Arc::new(Seen::default()), Arc::new(Seen { pauses: true, ..Seen::default() }));
        let attach = |seen: &Arc<Seen>| {
            let callback: IUnknown = Told(seen.clone()).into();
            set(&download, api::DODownloadProperty_CallbackInterface, &unknown(callback)).unwrap();
        };
        attach(&first);
        attach(&second);
        assert_eq!(get(&download, api::DODownloadProperty_CallbackInterface).unwrap().vt, 13);
        session.origin().hold("file", 200_000);
        go(&download).unwrap();
        let paused = wait_for(&download, api::DODownloadState_Paused);
        assert_eq!((paused.Error, paused.ExtendedError), (0, 0), "the callback paused it");
        assert!(wait_until(LONG, || second.states().last() == Some(&api::DODownloadState_Paused)));
        session.origin().release("file");
        go(&download).unwrap();
        wait_for(&download, api::DODownloadState_Transferred);
        assert!(wait_until(LONG, || second.states().last() == Some(&api::DODownloadState_Transferred)));
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { download.Finalize() }, S_OK);
        assert!(wait_until(LONG, || second.states().last() == Some(&api::DODownloadState_Finalized)));
        assert!(first.states().is_empty(), "the first one was replaced: {:?}", first.states());
        assert!(!second.overlapped.load(std::sync::atomic::Ordering::SeqCst));
        assert!(!second.threads.lock().unwrap().contains(&std::thread::current().id()), "called back in a call");
        // Row 10.
        let missing = ready(session, &manager, "nothing", "nothing");
        set(&missing, api::DODownloadProperty_BlockingMode, &boolean(true)).unwrap();
        assert_eq!(go(&missing), Err(HResult::from_bits(0x8019_0194)), "Start blocks and carries the result");
        let end = status(&missing);
        assert_eq!((end.State, end.Error.cast_unsigned()), (5, 0x8019_0194));
    });
}

fn old_manager(session: &Session) -> api::IBackgroundCopyManager {
    create(session, &api::CLSID_DeliveryOptimization).unwrap()
}

fn named_job(
    manager: &api::IBackgroundCopyManager,
    kind: i32,
    name: &str,
) -> Result<api::IBackgroundCopyJob, HResult> {
    let mut id = GUID::zeroed();
    // SAFETY: a call as a program makes it.
    object(|place| unsafe { manager.CreateJob(w(name).as_ptr(), kind, &mut id, place) })
}

#[test]
fn delivery_optimization_job_add_file_with_ranges() {
    run(here!(), |session| {
        let content = Content::new(6, 10_000);
        session.origin().put("file", content.clone());
        let manager = old_manager(session);
        assert_eq!(named_job(&manager, 1, "up").err(), Some(h::E_NOTIMPL), "downloads only");
        assert_eq!(named_job(&manager, 0, "").err(), Some(h::E_INVALIDARG), "a name is needed");
        let job = named_job(&manager, 0, "job").unwrap();
        let faces: api::IDeliveryOptimizationJob = job.cast().unwrap();
        let (url, path) = (w(&session.origin().url("file")), w(&session.path("file")));
        let add = |id: &str, path: &[Wchar], ranges: &[(u64, u64)], size: u64| {
            let range =
                |&(offset, length): &(u64, u64)| api::BG_FILE_RANGE { InitialOffset: offset, Length: length };
            let list: Vec<_> = ranges.iter().map(range).collect();
            // SAFETY: a call as a program makes it.
            code(unsafe {
                faces.AddFileWithRanges(
                    w(id).as_ptr(),
                    url.as_ptr(),
                    path.as_ptr(),
                    u32::try_from(list.len()).unwrap(),
                    list.as_ptr(),
                    size,
                )
            })
        };
        let unknown = u64::MAX;
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(job.Resume()), codes::DO_E_JOB_EMPTY);
            assert_eq!(add("a", &w(""), &[], unknown), h::E_INVALIDARG);
            assert_eq!(add("a", &path, &[(0, 10), (5, 10)], unknown), codes::DO_E_OVERLAPPING_RANGES);
            assert_eq!(add("a", &path, &[(u64::MAX, 10)], unknown), codes::DO_E_INVALID_RANGE);
            assert_eq!(add("a", &path, &[(9_990, 20)], 10_000), codes::DO_E_INVALID_RANGE);
            assert_eq!(add("a", &path, &[(100, 5), (9_000, unknown)], 10_000), h::S_OK);
            assert_eq!(add("a", &path, &[], unknown), h::E_INVALIDARG, "the name is unique in the job");
            assert_eq!(job.Resume(), S_OK);
            wait_state(&job, api::BG_JOB_STATE_TRANSFERRED);
            assert_eq!(job.Complete(), S_OK);
            assert_eq!(code(job.Resume()), codes::DO_E_INVALID_STATE);
            let expected = [content.byte_range(100, 5), content.byte_range(9_000, 1_000)].concat();
            assert_eq!(std::fs::read(session.path("file")).unwrap(), expected);
        }
        // A job of BITS has no such face, and is not there for this manager.
        let bits = super::manager(session);
        let other = new_job(&bits, "bits", api::BG_JOB_TYPE_DOWNLOAD);
        assert!(other.cast::<api::IDeliveryOptimizationJob>().is_err());
        // SAFETY: calls as a program makes them.
        unsafe {
            let id: GUID = value(|place| other.GetId(place));
            let found = object::<api::IBackgroundCopyJob>(|place| manager.GetJob(&id, place));
            assert_eq!(found.err(), Some(codes::DO_E_JOB_NOT_FOUND));
        }
    });
}

#[test]
fn delivery_optimization_job2_add_file() {
    run(here!(), |session| {
        session.origin().put("file", Content::new(6, 10_000));
        let manager = old_manager(session);
        let job = named_job(&manager, 0, "job").unwrap();
        let second: api::IDeliveryOptimizationJob2 = job.cast().unwrap();
        let url = w(&session.origin().url("file"));
        let none = std::ptr::null();
        // SAFETY: calls as a program makes them.
        unsafe {
            let add = |iid: &GUID, place| second.AddFile(w("id").as_ptr(), url.as_ptr(), 0, none, iid, place);
            let wrong = object::<IUnknown>(|place| add(&api::IBackgroundCopyFile::IID, place));
            assert_eq!(wrong.err(), Some(h::E_NOINTERFACE));
            let file: api::IDeliveryOptimizationFile =
                object(|place| add(&api::IDeliveryOptimizationFile::IID, place)).unwrap();
            assert_eq!(code(job.Resume()), codes::DO_E_LOCALPATH_NOT_SET);
            let properties: api::IDeliveryOptimizationFile2 = file.cast().unwrap();
            let path = bstr(&session.path("file"));
            assert_eq!(properties.SetProperty(api::DOFilePropertyId_DownloadSinkFilePath, &path), S_OK);
            assert_eq!(job.Resume(), S_OK);
            wait_state(&job, api::BG_JOB_STATE_TRANSFERRED);
            assert_eq!(job.Complete(), S_OK);
            assert!(std::path::Path::new(&session.path("file")).exists());
        }
    });
}

#[test]
fn delivery_optimization_job2_set_property() {
    run(here!(), |session| {
        let job = named_job(&old_manager(session), 0, "job").unwrap();
        let second: api::IDeliveryOptimizationJob2 = job.cast().unwrap();
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(second.SetProperty(0, &bstr("x"))), codes::DO_E_READ_ONLY_PROPERTY);
            assert_eq!(code(second.SetProperty(1, &bstr("x"))), codes::DO_E_UNKNOWN_PROPERTY_ID);
        }
    });
}

#[test]
fn delivery_optimization_job2_get_property() {
    run(here!(), |session| {
        let manager = old_manager(session);
        let job = named_job(&manager, 0, "job").unwrap();
        let second: api::IDeliveryOptimizationJob2 = job.cast().unwrap();
        let mut value = api::VARIANT::default();
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(code(second.GetProperty(1, &mut value)), codes::DO_E_UNKNOWN_PROPERTY_ID);
            assert_eq!(code(second.GetProperty(0, &mut value)), codes::E_NOT_SET, "no error yet");
            let (url, path) = (w(&session.origin().url("nothing")), w(&session.path("x")));
            assert_eq!(job.AddFile(url.as_ptr(), path.as_ptr()), S_OK);
            assert_eq!(job.Resume(), S_OK);
            wait_state(&job, api::BG_JOB_STATE_ERROR);
            assert_eq!(second.GetProperty(0, &mut value), S_OK);
            let text = text_of(value);
            assert!(text.starts_with("0x80190194 "), "{text}");
        }
    });
}

/// Context and file for 403 alone (row 11), the no-progress defaults, no CONNECTING, and the flags.
#[test]
fn delivery_optimization_job_differs_from_bits() {
    run(here!(), |session| {
        use openbits_testkit::Behaviour;
        let manager = old_manager(session);
        let failing = |name: &str| {
            let job = named_job(&manager, 0, name).unwrap();
            let (url, path) = (w(&session.origin().url(name)), w(&session.path(name)));
            // SAFETY: calls as a program makes them.
            unsafe {
                assert_eq!(job.AddFile(url.as_ptr(), path.as_ptr()), S_OK);
                assert_eq!(job.Resume(), S_OK);
                wait_state(&job, api::BG_JOB_STATE_ERROR);
                let error: api::IBackgroundCopyError = object(|place| job.GetError(place)).unwrap();
                let (mut context, mut found) = (-1, 0);
                assert_eq!(error.GetError(&mut context, &mut found), S_OK);
                let file = object::<api::IBackgroundCopyFile>(|place| error.GetFile(place));
                (context, found.cast_unsigned(), file.err())
            }
        };
        session.origin().put("forbidden", Content::new(1, 10));
        assert!(session.origin().set_behaviour("forbidden", Behaviour::Status(403)));
        assert_eq!(failing("forbidden"), (api::BG_ERROR_CONTEXT_REMOTE_FILE, 0x8019_0193, None));
        let none = Some(codes::DO_E_FILE_NOT_AVAILABLE);
        assert_eq!(failing("nothing"), (api::BG_ERROR_CONTEXT_NONE, 0x8019_0194, none));
        let job = named_job(&manager, 0, "job").unwrap();
        // SAFETY: calls as a program makes them.
        unsafe {
            let no_progress = || value::<u32>(|place| job.GetNoProgressTimeout(place));
            assert_eq!(no_progress(), 86_400);
            assert_eq!(job.SetPriority(api::BG_JOB_PRIORITY_FOREGROUND), S_OK);
            assert_eq!(no_progress(), 3_600);
            assert_eq!(code(job.SetNotifyFlags(0x20)), h::E_NOTIMPL);
            assert_eq!(job.SetNotifyFlags(0x1F), S_OK);
            let error = object::<api::IBackgroundCopyError>(|place| job.GetError(place));
            assert_eq!(error.err(), Some(codes::DO_E_ERROR_INFORMATION_UNAVAILABLE));
            let fifth: api::IBackgroundCopyJob5 = job.cast().unwrap();
            let mut property = std::mem::zeroed();
            assert_eq!(fifth.GetProperty(1, &mut property), S_OK);
            assert_eq!(code(fifth.GetProperty(10, &mut property)), h::E_NOTIMPL);
            assert_eq!(job.Cancel(), S_OK);
            assert_eq!(code(job.Suspend()), codes::DO_E_INVALID_STATE);
        }
    });
}

#[test]
fn delivery_optimization_file_get_stats() {
    run(here!(), |session| {
        session.origin().put("file", Content::new(6, 10_000));
        let manager = old_manager(session);
        let job = named_job(&manager, 0, "job").unwrap();
        let faces: api::IDeliveryOptimizationJob = job.cast().unwrap();
        let (url, path) = (w(&session.origin().url("file")), w(&session.path("file")));
        // SAFETY: calls as a program makes them.
        unsafe {
            let id = w("content-7");
            let added = faces.AddFileWithRanges(
                id.as_ptr(),
                url.as_ptr(),
                path.as_ptr(),
                0,
                std::ptr::null(),
                u64::MAX,
            );
            assert_eq!(added, S_OK);
            let file: api::IDeliveryOptimizationFile = first_file(&job).cast().unwrap();
            let stats = || value::<api::DOSwarmStats>(|place| file.GetStats(place));
            let before = stats();
            assert_eq!(take(before.fileId).as_deref(), Some("content-7"));
            assert_eq!(take(before.sourceURL), Some(session.origin().url("file")));
            assert_eq!((before.fileSize, before.status), (u64::MAX, api::SwarmStatus_Paused));
            assert_eq!(job.Resume(), S_OK);
            wait_state(&job, api::BG_JOB_STATE_TRANSFERRED);
            let after = stats();
            assert_eq!((after.fileSize, after.totalBytesDownloaded), (10_000, 10_000));
            assert_eq!((after.bytesFromHttp, after.bytesFromLanPeers), (10_000, 0));
            assert_eq!(
                (after.downloadMode, after.status),
                (api::DownloadMode_Simple, api::SwarmStatus_Complete)
            );
            assert_eq!(after.isBackground, 1);
            drop((take(after.fileId), take(after.sourceURL)));
        }
    });
}

/// 5.5: what came from a cache host is told apart (docs/decisions/0029).
#[test]
fn delivery_optimization_file_get_stats_of_a_cache_host() {
    run_with_cache_host(here!(), |session, cache| {
        cache.put("file", Content::new(6, 10_000));
        cache.hold("file", 4_000);
        let manager = old_manager(session);
        let job = named_job(&manager, 0, "job").unwrap();
        let (url, path) = (w(&session.origin().url("file")), w(&session.path("file")));
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(job.AddFile(url.as_ptr(), path.as_ptr()), S_OK);
            let file: api::IDeliveryOptimizationFile = first_file(&job).cast().unwrap();
            let stats = || value::<api::DOSwarmStats>(|place| file.GetStats(place));
            assert_eq!(job.Resume(), S_OK);
            assert!(cache.wait_held("file", LONG));
            assert!(wait_until(LONG, || stats().bytesFromDoinc > 0));
            let now = stats();
            assert_eq!((now.bytesFromHttp, now.totalBytesDownloaded), (0, now.bytesFromDoinc));
            assert_eq!((now.doincConnectionCount, now.httpConnectionCount), (1, 0));
            cache.release("file");
            wait_state(&job, api::BG_JOB_STATE_TRANSFERRED);
            let after = stats();
            assert_eq!((after.bytesFromDoinc, after.bytesFromHttp, after.totalBytesDownloaded), (10_000, 0, 10_000));
            assert_eq!((after.doincConnectionCount, after.httpConnectionCount), (0, 0));
            assert_eq!(take(after.sourceURL), Some(session.origin().url("file")), "as given");
        }
        assert!(session.origin().log().is_empty());
    });
}

#[test]
fn delivery_optimization_file2_get_property() {
    run(here!(), |session| {
        let manager = old_manager(session);
        let job = named_job(&manager, 0, "job").unwrap();
        let (url, path) = (w(&session.origin().url("file")), w(&session.path("file")));
        // SAFETY: calls as a program makes them.
        unsafe {
            assert_eq!(job.AddFile(url.as_ptr(), path.as_ptr()), S_OK);
            let file: api::IDeliveryOptimizationFile2 = first_file(&job).cast().unwrap();
            let get = |id| {
                let mut value = api::VARIANT::default();
                match code(file.GetProperty(id, &mut value)) {
                    code if code.is_ok() => Ok(value),
                    code => Err(code),
                }
            };
            let set = |id, value: &api::VARIANT| code(file.SetProperty(id, value));
            let write_only = Some(codes::DO_E_WRITE_ONLY_PROPERTY);
            assert_eq!(get(api::DOFilePropertyId_DecryptionInfo).err(), write_only);
            assert_eq!(get(api::DOFilePropertyId_IntegrityCheckInfo).err(), write_only);
            assert_eq!(get(api::DOFilePropertyId_IntegrityCheckMandatory).err(), Some(codes::E_NOT_SET));
            assert_eq!(get(api::DOFilePropertyId_TotalSizeBytes).err(), Some(codes::E_NOT_SET));
            assert_eq!(get(77).err(), Some(codes::DO_E_UNKNOWN_PROPERTY_ID));
            assert_eq!(set(77, &boolean(true)), codes::DO_E_UNKNOWN_PROPERTY_ID);
            assert_eq!(
                text_of(get(api::DOFilePropertyId_DownloadSinkFilePath).unwrap()),
                session.path("file")
            );
            assert_eq!(set(api::DOFilePropertyId_TotalSizeBytes, &variant(21, 77)), h::S_OK);
            assert_eq!(get(api::DOFilePropertyId_TotalSizeBytes).unwrap().value[0], 77);
            assert_eq!(set(api::DOFilePropertyId_TotalSizeBytes, &number(77)), h::E_INVALIDARG);
            assert_eq!(set(api::DOFilePropertyId_IntegrityCheckInfo, &bstr("no JSON")), h::E_INVALIDARG);
            assert_eq!(set(api::DOFilePropertyId_IntegrityCheckMandatory, &boolean(true)), h::S_OK);
            assert_eq!(get(api::DOFilePropertyId_IntegrityCheckMandatory).unwrap().value[0] & 0xFFFF, 0xFFFF);
            let missing = HResult::from_bits(0x80D0_2016);
            assert_eq!(code(job.Resume()), missing, "a check without anything to check by");
            assert_eq!(set(api::DOFilePropertyId_DecryptionInfo, &bstr("{}")), h::E_NOTIMPL);
        }
    });
}
