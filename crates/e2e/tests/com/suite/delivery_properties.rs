//! A test for each property of IDODownload (spec/delivery-optimization-com.md 4.4): its type, who may read and write it, its default, and
//! what is refused.

use super::delivery::{
    S_OK, boolean, bstr, do_manager, get, get_text, go, new_download, number, ready, set, set_bytes, sink,
    status, told, unknown, variant, wait_for,
};
use super::*;
use crate::session::run;
use openbits_core::delivery::codes;
use openbits_core::hresult as h;
use openbits_testkit::Content;

/// VT_UI8
fn long(value: u64) -> api::VARIANT {
    variant(21, value)
}

/// A download without properties, beside the service.
fn with_download(here: &str, body: impl FnOnce(&Session, &api::IDODownload)) {
    run(here, |session| body(session, &new_download(&do_manager(session))));
}

/// Every type but its own is refused, and changes nothing.
fn refuses_other_types(download: &api::IDODownload, id: i32, own: u16) {
    let read = || get(download, id).map(|value| (value.vt, value.value[0]));
    let before = read();
    for other in [bstr("x"), number(1), boolean(true), long(1), variant(3, 1)] {
        if other.vt != own {
            assert_eq!(set(download, id, &other), Err(h::E_INVALIDARG), "type {}", other.vt);
        }
    }
    assert_eq!(read(), before);
}

/// A text that is not set at first, and is told as it was set.
fn keeps_text(download: &api::IDODownload, id: i32, text: &str) {
    assert_eq!(get(download, id).err(), Some(codes::E_NOT_SET));
    refuses_other_types_than_text(download, id);
    set(download, id, &bstr(text)).unwrap();
    assert_eq!(get_text(download, id), text);
    set(download, id, &bstr("")).unwrap();
    assert_eq!(get(download, id).err(), Some(codes::E_NOT_SET), "an empty text takes it back");
}

fn refuses_other_types_than_text(download: &api::IDODownload, id: i32) {
    for other in [number(1), boolean(true), long(1), variant(0, 0)] {
        assert_eq!(set(download, id, &other), Err(h::E_INVALIDARG));
    }
}

fn keeps_boolean(download: &api::IDODownload, id: i32, default: Option<bool>) {
    let read = || get(download, id).map(|value| (value.vt, value.value[0] & 0xFFFF));
    match default {
        Some(default) => assert_eq!(read(), Ok((11, if default { 0xFFFF } else { 0 }))),
        None => assert_eq!(read(), Err(codes::E_NOT_SET)),
    }
    refuses_other_types(download, id, 11);
    for value in [true, false] {
        set(download, id, &boolean(value)).unwrap();
        assert_eq!(read(), Ok((11, if value { 0xFFFF } else { 0 })));
    }
}

fn is_write_only(download: &api::IDODownload, id: i32) {
    assert_eq!(get(download, id).err(), Some(codes::DO_E_WRITE_ONLY_PROPERTY));
}

fn read_number(download: &api::IDODownload, id: i32) -> Result<u32, HResult> {
    get(download, id).map(|value| {
        assert_eq!(value.vt, 19);
        u32::try_from(value.value[0] & 0xFFFF_FFFF).unwrap()
    })
}

#[test]
fn do_property_id() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_Id;
        assert_eq!(get_text(download, id).len(), 36, "a GUID");
        assert_eq!(set(download, id, &bstr("x")), Err(codes::DO_E_READ_ONLY_PROPERTY));
    });
}

#[test]
fn do_property_uri() {
    with_download(here!(), |_, download| {
        keeps_text(download, api::DODownloadProperty_Uri, "https://host/file?x=%C3%BC");
        for bad in ["ftp://host/file", "/etc/passwd", "no address"] {
            assert_eq!(set(download, api::DODownloadProperty_Uri, &bstr(bad)), Err(h::E_INVALIDARG), "{bad}");
        }
        set(download, api::DODownloadProperty_Uri, &bstr("http://me:secret@host/file")).unwrap();
        assert!(
            !get_text(download, api::DODownloadProperty_Uri).contains("secret"),
            "a password is shown by no call"
        );
    });
}

#[test]
fn do_property_content_id() {
    with_download(here!(), |session, download| {
        keeps_text(download, api::DODownloadProperty_ContentId, "content 7");
        set(download, api::DODownloadProperty_ContentId, &bstr("content 7")).unwrap();
        set(download, api::DODownloadProperty_LocalPath, &bstr(&session.path("file"))).unwrap();
        assert_eq!(go(download), Err(codes::DO_E_DOWNLOAD_NO_URI), "nobody here knows contents by name");
    });
}

#[test]
fn do_property_display_name() {
    with_download(here!(), |_, download| {
        keeps_text(download, api::DODownloadProperty_DisplayName, "a name");
        let long = "x".repeat(257);
        assert_eq!(set(download, api::DODownloadProperty_DisplayName, &bstr(&long)), Err(h::E_INVALIDARG));
    });
}

#[test]
fn do_property_local_path() {
    run(here!(), |session| {
        session.origin().put("file", Content::new(1, 10));
        let manager = do_manager(session);
        let download = ready(session, &manager, "file", "file");
        set(&download, api::DODownloadProperty_LocalPath, &bstr("relative")).unwrap();
        assert!(go(&download).is_err(), "no absolute path");
        set(&download, api::DODownloadProperty_LocalPath, &bstr("/nowhere/at/all")).unwrap();
        assert_eq!(go(&download), Err(h::ERROR_PATH_NOT_FOUND), "the caller's own rights");
        set(&download, api::DODownloadProperty_LocalPath, &bstr(&session.path("file"))).unwrap();
        go(&download).unwrap();
        let other = bstr(&session.path("other"));
        assert_eq!(
            set(&download, api::DODownloadProperty_LocalPath, &other),
            Err(codes::DO_E_INVALID_STATE),
            "not after the start"
        );
        let (sink, _) = sink();
        let second = new_download(&manager);
        set(&second, api::DODownloadProperty_StreamInterface, &unknown(sink)).unwrap();
        let two = HResult::from_bits(0x80D0_2019);
        assert_eq!(set(&second, api::DODownloadProperty_LocalPath, &other), Err(two), "one sink");
    });
}

#[test]
fn do_property_http_custom_headers() {
    run(here!(), |session| {
        session.origin().put("file", Content::new(1, 10));
        let download = ready(session, &do_manager(session), "file", "file");
        let id = api::DODownloadProperty_HttpCustomHeaders;
        assert_eq!(get(&download, id).err(), Some(codes::E_NOT_SET));
        refuses_other_types_than_text(&download, id);
        set(&download, id, &bstr("X-One: 1\nName=value\nX-Two: 2\n")).unwrap();
        assert_eq!(get_text(&download, id), "X-One: 1\r\nX-Two: 2\r\n");
        go(&download).unwrap();
        let sent = || session.origin().requests("file").into_iter().next();
        assert!(openbits_testkit::wait_until(std::time::Duration::from_secs(60), || sent().is_some()));
        let request = format!("{:?}", sent().unwrap()).to_lowercase();
        assert!(request.contains("x-two"), "{request}");
    });
}

#[test]
fn do_property_cost_policy() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_CostPolicy;
        assert_eq!(read_number(download, id), Ok(2), "Standard in the background");
        set(download, api::DODownloadProperty_ForegroundPriority, &boolean(true)).unwrap();
        assert_eq!(read_number(download, id), Ok(0), "Always in the foreground");
        refuses_other_types(download, id, 19);
        for policy in 0..=5 {
            set(download, id, &number(policy)).unwrap();
            assert_eq!(read_number(download, id), Ok(policy));
        }
        assert_eq!(set(download, id, &number(6)), Err(h::E_INVALIDARG));
    });
}

#[test]
fn do_property_security_flags() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_SecurityFlags;
        is_write_only(download, id);
        for flags in [0, 0x100, 0x200, 0x1000, 0x2000, 0x3300, 1, 0x101] {
            set(download, id, &number(flags)).unwrap();
        }
        assert_eq!(set(download, id, &number(0x4000)), Err(h::E_INVALIDARG), "no bit of WinHTTP");
        assert_eq!(set(download, id, &bstr("1")), Err(h::E_INVALIDARG));
    });
}

#[test]
fn do_property_callback_freq_percent() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_CallbackFreqPercent;
        assert_eq!(read_number(download, id), Err(codes::E_NOT_SET));
        set(download, id, &number(10)).unwrap();
        assert_eq!(read_number(download, id), Ok(10));
        assert_eq!(set(download, id, &number(101)), Err(h::E_INVALIDARG));
        refuses_other_types(download, id, 19);
    });
}

#[test]
fn do_property_callback_freq_seconds() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_CallbackFreqSeconds;
        assert_eq!(read_number(download, id), Ok(1));
        set(download, id, &number(30)).unwrap();
        assert_eq!(read_number(download, id), Ok(30));
        refuses_other_types(download, id, 19);
    });
}

#[test]
fn do_property_no_progress_timeout_seconds() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_NoProgressTimeoutSeconds;
        assert_eq!(read_number(download, id), Ok(86_400));
        set(download, api::DODownloadProperty_ForegroundPriority, &boolean(true)).unwrap();
        assert_eq!(read_number(download, id), Ok(3_600));
        assert_eq!(set(download, id, &number(59)), Err(h::E_INVALIDARG));
        set(download, id, &number(60)).unwrap();
        assert_eq!(read_number(download, id), Ok(60));
    });
}

/// Row 8 of the checklist, its first half; the race is in `delivery_effects.rs`.
#[test]
fn do_property_foreground_priority() {
    with_download(here!(), |session, download| {
        keeps_boolean(download, api::DODownloadProperty_ForegroundPriority, Some(false));
        set(download, api::DODownloadProperty_ForegroundPriority, &boolean(true)).unwrap();
        let id = get_text(download, api::DODownloadProperty_Id);
        let job: serde_json::Value = session.door.get(&format!("/v1/jobs/{id}"));
        assert_eq!(job["priority"], "FOREGROUND");
    });
}

#[test]
fn do_property_blocking_mode() {
    run(here!(), |session| {
        session.origin().put("file", Content::new(1, 100_000));
        let download = ready(session, &do_manager(session), "file", "file");
        keeps_boolean(&download, api::DODownloadProperty_BlockingMode, Some(false));
        set(&download, api::DODownloadProperty_BlockingMode, &boolean(true)).unwrap();
        go(&download).unwrap();
        assert_eq!(status(&download).State, api::DODownloadState_Transferred, "Start waited");
    });
}

#[test]
fn do_property_callback_interface() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_CallbackInterface;
        assert_eq!(get(download, id).err(), Some(codes::E_NOT_SET));
        let (callback, _) = told();
        set(download, id, &unknown(callback.clone())).unwrap();
        let back = get(download, id).unwrap();
        assert_eq!(back.vt, 13);
        // SAFETY: a VT_UNKNOWN of the library, with a reference for us.
        let back = unsafe { windows_core::IUnknown::from_raw(back.value[0] as *mut c_void) };
        assert_eq!(back, callback, "the program's own object");
        let (sink, _) = sink();
        assert_eq!(set(download, id, &unknown(sink)), Err(h::E_NOINTERFACE));
        set(download, id, &variant(0, 0)).unwrap();
        assert_eq!(get(download, id).err(), Some(codes::E_NOT_SET), "VT_EMPTY clears it");
        set(download, id, &unknown(callback)).unwrap();
        set(download, id, &variant(13, 0)).unwrap();
        assert_eq!(get(download, id).err(), Some(codes::E_NOT_SET), "and so does NULL");
        assert_eq!(set(download, id, &number(1)), Err(h::E_INVALIDARG));
    });
}

#[test]
fn do_property_stream_interface() {
    run(here!(), |session| {
        session.origin().put("empty", Content::new(1, 0));
        let download = new_download(&do_manager(session));
        let id = api::DODownloadProperty_StreamInterface;
        assert_eq!(get(&download, id).err(), Some(codes::E_NOT_SET));
        let (callback, _) = told();
        assert_eq!(set(&download, id, &unknown(callback)), Err(h::E_NOINTERFACE));
        let (stream, got) = sink();
        set(&download, id, &unknown(stream)).unwrap();
        set(&download, api::DODownloadProperty_Uri, &bstr(&session.origin().url("empty"))).unwrap();
        go(&download).unwrap();
        wait_for(&download, api::DODownloadState_Transferred);
        assert!(got.lock().unwrap().is_empty());
        assert_eq!(set(&download, id, &variant(0, 0)), Err(codes::DO_E_INVALID_STATE), "not after the start");
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { download.Finalize() }, S_OK);
    });
}

/// Row 14 of the checklist.
#[test]
fn do_property_security_context() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_SecurityContext;
        is_write_only(download, id);
        let garbage = set_bytes(download, id, b"this is no certificate");
        assert_eq!(garbage, Err(HResult::from_bits(0x8009_2003)));
        assert_eq!(set(download, id, &bstr("x")), Err(h::E_INVALIDARG));
        // SAFETY: a call as a program makes it.
        assert_eq!(unsafe { download.Abort() }, S_OK);
    });
}

#[test]
fn do_property_network_token() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_NetworkToken;
        is_write_only(download, id);
        set(download, id, &boolean(true)).unwrap();
        set(download, id, &boolean(false)).unwrap();
        assert_eq!(set(download, id, &number(1)), Err(h::E_INVALIDARG));
    });
}

#[test]
fn do_property_correlation_vector() {
    with_download(here!(), |_, download| {
        keeps_text(download, api::DODownloadProperty_CorrelationVector, "vXLdUnUlIUWyDQWC.1");
    });
}

#[test]
fn do_property_decryption_info() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_DecryptionInfo;
        is_write_only(download, id);
        assert_eq!(
            set(download, id, &bstr("{\"KeyData\":\"\"}")),
            Err(h::E_NOTIMPL),
            "nobody could decrypt it"
        );
        set(download, id, &bstr("")).unwrap();
        assert_eq!(set(download, id, &number(1)), Err(h::E_INVALIDARG));
    });
}

/// Row 15 of the checklist is `do_property_integrity_check_mandatory`'s.
#[test]
fn do_property_integrity_check_info() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_IntegrityCheckInfo;
        is_write_only(download, id);
        assert_eq!(set(download, id, &bstr("no JSON")), Err(h::E_INVALIDARG));
        set(download, id, &bstr("{\"PiecesHashFileUrl\":\"http://host/file.phf\"}")).unwrap();
        is_write_only(download, id);
    });
}

#[test]
fn do_property_integrity_check_mandatory() {
    run(here!(), |session| {
        session.origin().put("file", Content::new(1, 10));
        let manager = do_manager(session);
        let download = ready(session, &manager, "file", "file");
        keeps_boolean(&download, api::DODownloadProperty_IntegrityCheckMandatory, None);
        set(&download, api::DODownloadProperty_IntegrityCheckMandatory, &boolean(true)).unwrap();
        assert_eq!(go(&download), Err(HResult::from_bits(0x80D0_2016)), "nothing to check by");
        set(&download, api::DODownloadProperty_IntegrityCheckMandatory, &boolean(false)).unwrap();
        go(&download).unwrap();
        wait_for(&download, api::DODownloadState_Transferred);
    });
}

#[test]
fn do_property_total_size_bytes() {
    run(here!(), |session| {
        session.origin().put("file", Content::new(1, 100));
        let manager = do_manager(session);
        let id = api::DODownloadProperty_TotalSizeBytes;
        let read = |download: &api::IDODownload| get(download, id).map(|value| (value.vt, value.value[0]));
        let download = ready(session, &manager, "file", "file");
        assert_eq!(read(&download), Err(codes::E_NOT_SET));
        assert_eq!(set(&download, id, &number(100)), Err(h::E_INVALIDARG), "VT_UI8");
        set(&download, id, &long(100)).unwrap();
        assert_eq!(read(&download), Ok((21, 100)));
        go(&download).unwrap();
        wait_for(&download, api::DODownloadState_Transferred);
        let other = ready(session, &manager, "file", "other");
        set(&other, id, &long(99)).unwrap();
        go(&other).unwrap();
        let end = wait_for(&other, api::DODownloadState_Paused);
        assert_eq!(end.Error.cast_unsigned(), 0x80D0_5001, "another size than was expected");
    });
}

#[test]
fn do_property_disallow_on_cellular() {
    with_download(here!(), |_, download| {
        keeps_boolean(download, api::DODownloadProperty_DisallowOnCellular, None);
    });
}

#[test]
fn do_property_http_custom_auth_headers() {
    with_download(here!(), |_, download| {
        let id = api::DODownloadProperty_HttpCustomAuthHeaders;
        assert_eq!(get(download, id).err(), Some(codes::E_NOT_SET));
        set(download, id, &bstr("Authorization: Bearer 7\n")).unwrap();
        assert_eq!(get_text(download, id), "Authorization: Bearer 7\r\n");
        refuses_other_types_than_text(download, id);
    });
}

#[test]
fn do_property_http_allow_secure_to_non_secure_redirect() {
    with_download(here!(), |_, download| {
        keeps_boolean(download, api::DODownloadProperty_HttpAllowSecureToNonSecureRedirect, Some(false));
    });
}

#[test]
fn do_property_non_volatile() {
    with_download(here!(), |_, download| {
        keeps_boolean(download, api::DODownloadProperty_NonVolatile, Some(false));
    });
}

#[test]
fn do_property_that_there_is_not() {
    with_download(here!(), |_, download| {
        for id in [-1, 26, 999, i32::MAX] {
            assert_eq!(get(download, id).err(), Some(codes::DO_E_UNKNOWN_PROPERTY_ID));
            assert_eq!(set(download, id, &number(1)), Err(codes::DO_E_UNKNOWN_PROPERTY_ID));
        }
    });
}
