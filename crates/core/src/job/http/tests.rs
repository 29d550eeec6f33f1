//! HTTP options by the rows of spec/bits-extended.md 9.

use super::*;
use crate::enums::JobType::{Download, Upload, UploadReply};
use crate::id::{JobId, Uid};
use crate::job::NewFile;
use crate::job::property::Property;
use crate::time::{FileTime, Mono};

const NOW: Now = Now { mono: Mono(5_000), wall: FileTime(10_000_000) };

fn job(kind: JobType) -> Job {
    let mut job = Job::new(JobId::from_bytes([7; 16]), Uid(1000), kind, "n", NOW);
    let file = NewFile { remote: "http://h/f".into(), local: "/d/f".into(), ..NewFile::default() };
    let _ = job.add_files(vec![file], None, NOW).unwrap();
    job
}

fn set(job: &mut Job, property: Property) -> Result<HResult, HResult> {
    job.set(vec![property], NOW).map(|change| change.code)
}

fn headers(text: &str) -> Property {
    let sealed = (!text.is_empty()).then(|| Sealed::new(format!("sealed {text}")));
    Property::CustomHeaders(CheckedHeaders::new(text, sealed))
}

fn method(text: &str) -> Property {
    Property::HttpMethod(text.to_owned())
}

fn certificate() -> ClientCertificate {
    ClientCertificate {
        location: CertificateLocation::CurrentUser,
        store: "MY".into(),
        sha1: "ab".repeat(20),
        sha256: "cd".repeat(32),
        subject: "example, alice".into(),
    }
}

#[test]
fn job_http_options_set_custom_headers_syntax_and_limit() {
    let ok = |text: &str, kind| parse_headers(text, kind).map(|list| list.len());
    assert_eq!(ok("", Download), Ok(0));
    assert_eq!(parse_headers("A: b\r\nC:\td e \r\n", Download), Ok(vec![("A", "b"), ("C", "d e")]));
    assert_eq!(ok("A:\r\n", Download), Ok(1), "an empty value is legal");
    let bad = Err(h::E_INVALIDARG);
    for text in [
        "A: b",
        "A: b\n",
        "A: b\r\n\r\n",
        "A: b\r\n c\r\n",
        "A: b\r\n\tc: d\r\n",
        "A b\r\n",
        ": b\r\n",
        "A : b\r\n",
        "A: b\0\r\n",
        "A: b\nC: d\r\n",
        "A: b\rC: d\r\n",
        "Ä: b\r\n",
    ] {
        assert_eq!(ok(text, Download), bad, "{text:?}");
    }
    for name in CONTROLLED_HEADERS {
        assert_eq!(ok(&format!("{}: x\r\n", name.to_uppercase()), Download), bad, "{name}");
    }
    assert_eq!(ok("BITS-Session-Id: x\r\n", Download), Ok(1));
    assert_eq!(ok("BITS-Session-Id: x\r\n", Upload), bad);
    assert_eq!(ok("bits-packet-type: x\r\n", UploadReply), bad);
    // 16,384 characters with the terminator.
    let fill = |length: usize| format!("A: {}\r\n", "x".repeat(length - 5));
    assert_eq!(ok(&fill(HEADERS_MAX), Download), Ok(1));
    assert_eq!(ok(&fill(HEADERS_MAX + 1), Download), Err(h::BG_E_STRING_TOO_LONG));
    assert_eq!(ok(&"A: b\r\n".repeat(HEADER_COUNT_MAX), Download), Ok(HEADER_COUNT_MAX));
    assert_eq!(ok(&"A: b\r\n".repeat(HEADER_COUNT_MAX + 1), Download), bad);
}

#[test]
fn job_http_options_set_custom_headers_in_every_state_but_the_final_ones() {
    for state in JobState::ALL {
        let mut job = job(Download);
        job.state = *state;
        let expected = if state.is_final() { Err(h::BG_E_INVALID_STATE) } else { Ok(h::S_OK) };
        assert_eq!(set(&mut job, headers("A: b\r\n")), expected, "{state}");
        assert_eq!(job.has_custom_headers(), !state.is_final());
        // A running attempt has the old ones: another one begins.
        let after = if state.is_running() { JobState::Queued } else { *state };
        assert_eq!(job.state, after);
    }
    let mut job = job(Download);
    let _ = set(&mut job, headers("A: b\r\n"));
    let _ = set(&mut job, headers("C: d\r\n"));
    let kept = job.read_custom_headers().unwrap().unwrap().as_str();
    assert_eq!(kept, "sealed C: d\r\n", "each call replaces the whole set");
    assert_eq!(set(&mut job, headers("")), Ok(h::S_OK));
    assert_eq!(job.read_custom_headers(), Ok(None));
    assert_eq!(set(&mut job, headers("no colon")), Err(h::E_INVALIDARG));
    assert!(!job.has_custom_headers());
}

/// HttpCustomAuthHeaders: the same syntax and limits, and a slot of its own.
#[test]
fn challenge_headers_have_the_rules_of_custom_headers() {
    let held_back = |text: &str| {
        let sealed = (!text.is_empty()).then(|| Sealed::new(format!("sealed {text}")));
        Property::ChallengeHeaders(CheckedHeaders::new(text, sealed))
    };
    let limit = format!("A: {}\r\n", "x".repeat(HEADERS_MAX - 5));
    let beyond = format!("A: {}\r\n", "x".repeat(HEADERS_MAX - 4));
    for (text, kind, expected) in [
        ("Authorization: Bearer x\r\n", Download, Ok(h::S_OK)),
        ("Proxy-Authorization: Basic eA==\r\n", Upload, Ok(h::S_OK)),
        (&limit, Download, Ok(h::S_OK)),
        (&beyond, Download, Err(h::BG_E_STRING_TOO_LONG)),
        ("A: b\n", Download, Err(h::E_INVALIDARG)),
        ("Name=value\r\n", Download, Err(h::E_INVALIDARG)),
        ("Host: h\r\n", Download, Err(h::E_INVALIDARG)),
        ("BITS-Session-Id: x\r\n", UploadReply, Err(h::E_INVALIDARG)),
    ] {
        let mut job = job(kind);
        assert_eq!(set(&mut job, held_back(text)), expected, "{text:.30}");
        assert_eq!((job.has_challenge_headers(), job.has_custom_headers()), (expected.is_ok(), false));
    }
    for state in JobState::ALL {
        let mut job = job(Download);
        job.state = *state;
        let expected = if state.is_final() { Err(h::BG_E_INVALID_STATE) } else { Ok(h::S_OK) };
        assert_eq!(set(&mut job, held_back("A: b\r\n")), expected, "{state}");
        let after = if state.is_running() { JobState::Queued } else { *state };
        assert_eq!(job.state, after, "a running attempt has the old ones");
    }
    let mut job = job(Download);
    let _ = set(&mut job, held_back("A: hunter2\r\n"));
    assert!(!format!("{job:?}").contains("hunter2"), "no debug text has it");
    assert_eq!(job.read_challenge_headers().unwrap().unwrap().as_str(), "sealed A: hunter2\r\n");
    let stored: Job = serde_json::from_str(&serde_json::to_string(&job).unwrap()).unwrap();
    assert!(stored.has_challenge_headers(), "also after a restart");
    assert_eq!(set(&mut job, held_back("")), Ok(h::S_OK));
    assert_eq!(job.read_challenge_headers(), Ok(None));
    let _ = set(&mut job, Property::HeadersWriteOnly);
    assert_eq!(job.read_challenge_headers(), Err(h::E_ACCESSDENIED));
}

#[test]
fn job_http_options_get_custom_headers_and_write_only() {
    let mut job = job(Download);
    assert_eq!(job.read_custom_headers(), Ok(None));
    let _ = set(&mut job, headers("Key: hunter2\r\n"));
    assert_eq!(job.read_custom_headers().unwrap().unwrap().as_str(), "sealed Key: hunter2\r\n");
    assert!(
        !format!("{job:?} {:?}", headers("Key: hunter2\r\n")).contains("hunter2"),
        "no debug text has it"
    );
}

#[test]
fn job_http_options3_make_custom_headers_write_only() {
    let mut job = job(Download);
    assert_eq!(set(&mut job, Property::HeadersWriteOnly), Ok(h::S_OK), "also before any is set");
    assert_eq!(set(&mut job, headers("A: b\r\n")), Ok(h::S_OK), "writing still works");
    assert_eq!(job.read_custom_headers(), Err(h::E_ACCESSDENIED));
    assert_eq!(set(&mut job, Property::HeadersWriteOnly), Ok(h::S_OK));
    assert_eq!(set(&mut job, headers("")), Ok(h::S_OK));
    assert_eq!(job.read_custom_headers(), Err(h::E_ACCESSDENIED), "for good");
    let stored: Job = serde_json::from_str(&serde_json::to_string(&job).unwrap()).unwrap();
    assert!(stored.http().write_only, "also after a restart");
}

#[test]
fn job_http_options_set_security_flags_valid_values() {
    let known = 0x0F1F_u32;
    for flags in 0..=0x1FFF_u32 {
        let policy = flags & 0x700;
        let legal = flags & !known == 0 && matches!(policy, 0 | 0x100 | 0x200);
        assert_eq!(check_security_flags(flags), if legal { Ok(()) } else { Err(h::E_NOTIMPL) }, "{flags:#x}");
    }
    assert_eq!(check_security_flags(0x8000_0000), Err(h::E_NOTIMPL));
    assert_eq!(check_security_flags(0xA00), Ok(()), "https-to-http with DISALLOW is accepted");
    assert_eq!(RedirectPolicy::of(0xA00), RedirectPolicy::Disallow);
    assert_eq!(RedirectPolicy::of(0x11F), RedirectPolicy::Report);
    assert_eq!(RedirectPolicy::of(0x81F), RedirectPolicy::Silent);
}

#[test]
fn job_http_options_get_security_flags() {
    let mut job = job(Download);
    assert_eq!((job.security_flags(), job.http().security), (0, None));
    assert_eq!(set(&mut job, Property::SecurityFlags(0x91F)), Ok(h::S_OK));
    assert_eq!(job.security_flags(), 0x91F);
    assert!(job.checks_revocation());
    assert_eq!(set(&mut job, Property::SecurityFlags(0x400)), Err(h::E_NOTIMPL));
    assert_eq!(job.security_flags(), 0x91F);
    // Zero is an answer, too: the policy's default does not count any more.
    assert_eq!(set(&mut job, Property::SecurityFlags(0)), Ok(h::S_OK));
    assert_eq!(job.http().security, Some(0));
}

#[test]
fn job_http_options2_set_http_method_values_and_time() {
    for (text, code) in [
        ("POST", Ok(h::S_OK)),
        ("get", Ok(h::S_OK)),
        ("M-SEARCH", Ok(h::S_OK)),
        ("", Err(h::E_INVALIDARG)),
        ("A B", Err(h::E_INVALIDARG)),
        ("A\r\n", Err(h::E_INVALIDARG)),
        ("CONNECT", Err(h::E_INVALIDARG)),
        (&"X".repeat(257), Err(h::BG_E_STRING_TOO_LONG)),
    ] {
        assert_eq!(set(&mut job(Download), method(text)), code, "{text:?}");
    }
    assert!(set(&mut job(Download), method(&"X".repeat(256))).is_ok());
    // Uploads have one method.
    assert_eq!(set(&mut job(Upload), method("BITS_POST")), Ok(h::S_OK));
    assert_eq!(set(&mut job(Upload), method("PUT")), Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION));
    // Only before the first Resume, also when the job is suspended again.
    let mut job = job(Download);
    let _ = job.resume(NOW).unwrap();
    assert_eq!(set(&mut job, method("POST")), Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_RESUME));
    let _ = job.suspend(NOW).unwrap();
    assert_eq!(set(&mut job, method("POST")), Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_RESUME));
}

#[test]
fn job_http_options2_set_http_method_forces_foreground_and_freezes_it() {
    let mut job = job(Download);
    assert_eq!(set(&mut job, method("GET")), Ok(h::S_OK));
    assert_eq!(
        (job.priority, job.has_custom_method()),
        (Priority::Normal, false),
        "the default has no effect"
    );
    assert_eq!(set(&mut job, method("POST")), Ok(h::S_OK));
    assert_eq!(job.priority, Priority::Foreground);
    assert_eq!(set(&mut job, Property::Priority(2)), Err(h::BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD));
    assert_eq!(set(&mut job, Property::Priority(0)), Ok(h::S_OK));
    // Both in one call: nothing is stored.
    let mut other = tests::job(Download);
    let both = vec![method("POST"), Property::Priority(3)];
    assert_eq!(other.set(both, NOW), Err(h::BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD));
    assert!(!other.has_custom_method());
    // Back to the default: unfrozen, and the priority stays.
    assert_eq!(set(&mut job, method("GET")), Ok(h::S_OK));
    assert_eq!(job.priority, Priority::Foreground);
    assert_eq!(set(&mut job, Property::Priority(2)), Ok(h::S_OK));
}

#[test]
fn job_http_options2_set_http_method_conflicts_with_dynamic_content_and_on_demand_mode() {
    use crate::job::Setting;
    for setting in [Setting::DynamicContent(true), Setting::OnDemandMode(true)] {
        let mut first = job(Download);
        assert_eq!(set(&mut first, Property::Option(setting)), Ok(h::S_OK));
        assert_eq!(set(&mut first, method("POST")), Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION));
        assert_eq!(set(&mut first, method("GET")), Ok(h::S_OK), "the default has no effect");
        let mut second = job(Download);
        assert_eq!(set(&mut second, method("POST")), Ok(h::S_OK));
        let refused = set(&mut second, Property::Option(setting));
        assert_eq!(refused, Err(h::BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD));
        let both = vec![method("POST"), Property::Option(setting)];
        assert_eq!(job(Download).set(both, NOW), Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION));
    }
}

#[test]
fn job_http_options2_set_http_method_makes_every_error_final() {
    use crate::enums::ErrorContext;
    use crate::job::ErrorRecord;
    use crate::job::event::Event;
    for (text, expected) in [("GET", JobState::TransientError), ("POST", JobState::Error)] {
        for lost in [false, true] {
            let mut job = job(Download);
            let _ = set(&mut job, method(text)).unwrap();
            let _ = job.resume(NOW).unwrap();
            let _ = job.apply(Event::Turn, NOW);
            let error = ErrorRecord::new(h::ERROR_WINHTTP_TIMEOUT, ErrorContext::GeneralTransport, NOW.wall);
            let event =
                if lost { Event::NetworkLost } else { Event::Recoverable { error, retry_after_ms: 0 } };
            let _ = job.apply(event, NOW);
            assert_eq!(job.state, expected, "{text}, network lost: {lost}");
        }
    }
}

#[test]
fn job_http_options2_get_http_method() {
    let mut job = job(Download);
    assert_eq!(job.http_method(), "GET");
    let _ = set(&mut job, method("POST"));
    assert_eq!(job.http_method(), "POST");
    assert_eq!(tests::job(Upload).http_method(), "BITS_POST");
    assert_eq!(tests::job(UploadReply).http_method(), "BITS_POST");
}

#[test]
fn job_http_options_set_client_certificate_arguments() {
    let query = |store: &str, name| CertificateQuery {
        location: CertificateLocation::CurrentUser,
        store: store.to_owned(),
        name,
    };
    let hash = |digits| CertificateName::Hash("a".repeat(digits));
    let subject = |text: &str| CertificateName::Subject(text.to_owned());
    for (query, code) in [
        (query("MY", hash(40)), Ok(())),
        (query("MY", hash(64)), Ok(())),
        (query("MY", hash(38)), Err(h::RPC_X_BAD_STUB_DATA)),
        (query("MY", hash(0)), Err(h::RPC_X_BAD_STUB_DATA)),
        (query("MY", CertificateName::Hash("A".repeat(40))), Err(h::RPC_X_BAD_STUB_DATA)),
        (query("MY", subject("alice")), Ok(())),
        (query("MY", subject(" ")), Err(h::E_INVALIDARG)),
        (query("MY", subject(&"x".repeat(255))), Ok(())),
        (query("MY", subject(&"x".repeat(256))), Err(h::BG_E_STRING_TOO_LONG)),
        (query("/home/a/c.p12", hash(40)), Ok(())),
        (query("", hash(40)), Err(h::ERROR_FILE_NOT_FOUND)),
        (query("../x", hash(40)), Err(h::ERROR_FILE_NOT_FOUND)),
        (query("a/b", hash(40)), Err(h::ERROR_FILE_NOT_FOUND)),
        (query(&"s".repeat(256), hash(40)), Err(h::BG_E_STRING_TOO_LONG)),
    ] {
        assert_eq!(query.check(), code, "{query:?}");
    }
    let values: Vec<_> = (-1..9).map(CertificateLocation::from_value).collect();
    assert_eq!(values.iter().flatten().count(), 2, "the other locations are E_NOTIMPL");
    assert!(
        values.iter().flatten().all(|at| CertificateLocation::from_value(at.value().into()) == Some(*at))
    );
}

#[test]
fn job_http_options_remove_client_certificate_says_whether_there_was_one() {
    let mut job = job(Download);
    assert_eq!(job.remove_client_certificate(NOW).unwrap().code, h::S_FALSE);
    let _ = job.set_client_certificate(certificate(), NOW).unwrap();
    assert_eq!(job.remove_client_certificate(NOW).unwrap().code, h::S_OK);
    assert_eq!(job.remove_client_certificate(NOW).unwrap().code, h::S_FALSE);
}

#[test]
fn job_http_options_get_client_certificate_in_every_state() {
    for state in JobState::ALL {
        let mut job = job(Download);
        job.state = *state;
        assert_eq!(job.client_certificate(), Err(h::RPC_X_BAD_STUB_DATA));
        if state.is_final() {
            assert_eq!(job.set_client_certificate(certificate(), NOW), Err(h::BG_E_INVALID_STATE));
            assert_eq!(job.remove_client_certificate(NOW), Err(h::BG_E_INVALID_STATE));
            continue;
        }
        assert_eq!(job.remove_client_certificate(NOW).unwrap().code, h::S_FALSE);
        assert_eq!(job.set_client_certificate(certificate(), NOW).unwrap().code, h::S_OK);
        assert_eq!(job.client_certificate(), Ok(&certificate()));
        assert_eq!(job.remove_client_certificate(NOW).unwrap().code, h::S_OK);
        assert_eq!(job.client_certificate(), Err(h::RPC_X_BAD_STUB_DATA));
    }
}

#[test]
fn job_http_options3_set_server_certificate_validation_interface_states() {
    for state in JobState::ALL {
        for wanted in [true, false] {
            let mut job = job(Download);
            job.state = *state;
            let expected = match state {
                JobState::Suspended | JobState::Error | JobState::Transferred => Ok(h::S_OK),
                JobState::Acknowledged | JobState::Cancelled => Err(h::BG_E_INVALID_STATE),
                _ => Err(h::BG_E_READ_ONLY_WHEN_JOB_ACTIVE),
            };
            assert_eq!(job.require_validation(wanted, NOW).map(|change| change.code), expected, "{state}");
            assert_eq!(job.http().validates, wanted && expected.is_ok());
        }
    }
}

#[test]
fn conformance_25_take_ownership_removes_headers_and_certificate() {
    let mut job = job(Download);
    let _ = set(&mut job, headers("A: b\r\n"));
    let held_back = CheckedHeaders::new("C: d\r\n", Some(Sealed::new("C: d\r\n")));
    let _ = set(&mut job, Property::ChallengeHeaders(held_back));
    let _ = set(&mut job, Property::HeadersWriteOnly);
    let _ = set(&mut job, Property::SecurityFlags(8));
    let _ = set(&mut job, method("POST"));
    let _ = job.set_client_certificate(certificate(), NOW);
    let _ = job.require_validation(true, NOW);
    let _ = job.take_ownership(Uid(0), NOW).unwrap();
    assert!(!job.has_custom_headers() && !job.has_challenge_headers());
    assert_eq!(job.client_certificate(), Err(h::RPC_X_BAD_STUB_DATA));
    let http = job.http();
    assert!(http.write_only && http.validates, "the marks stay");
    assert_eq!((job.security_flags(), job.http_method()), (8, "POST"));
}
