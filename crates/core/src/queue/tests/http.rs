//! HTTP options in the life of jobs (spec/bits-extended.md 9).

use super::world::{ALICE, BOB, Plan, ROOT, SIZE, Workers, World};
use crate::caller::Caller;
use crate::enums::JobState::{Error, Queued, Suspended, Transferring};
use crate::enums::Priority;
use crate::hresult::{self as h, HResult};
use crate::id::Uid;
use crate::job::http::{CertificateLocation, CheckedHeaders, ClientCertificate};
use crate::job::property::Property;
use crate::queue::Call;
use crate::secret::Sealed;

const DENIED: Result<HResult, HResult> = Err(h::E_ACCESSDENIED);

fn set(property: Property) -> Call {
    Call::Set(vec![property])
}

fn headers(text: &str) -> Call {
    set(Property::CustomHeaders(CheckedHeaders::new(text, Some(Sealed::new(text)))))
}

fn challenge_headers(text: &str) -> Call {
    set(Property::ChallengeHeaders(CheckedHeaders::new(text, Some(Sealed::new(text)))))
}

fn certificate() -> Call {
    Call::SetClientCertificate(Box::new(ClientCertificate {
        location: CertificateLocation::LocalMachine,
        store: "MY".into(),
        sha1: "ab".repeat(20),
        sha256: "cd".repeat(32),
        subject: "alice".into(),
    }))
}

#[test]
fn job_http_options_set_custom_headers_and_certificates_are_the_owners_alone() {
    let calls = [
        headers("A: b\r\n"),
        challenge_headers("A: b\r\n"),
        set(Property::HeadersWriteOnly),
        certificate(),
        Call::RemoveClientCertificate,
    ];
    for call in calls {
        let mut w = World::new();
        let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
        for other in [BOB, ROOT, Caller::user(0)] {
            assert_eq!(w.call(other, job, call.clone()), DENIED, "{call:?}");
        }
        assert!(w.call(ALICE, job, call).is_ok());
    }
    // The rest is an administrator's, too.
    for call in [set(Property::SecurityFlags(1)), set(Property::HttpMethod("POST".into()))] {
        let mut w = World::new();
        let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
        assert_eq!(w.call(BOB, job, call.clone()), DENIED);
        assert_eq!(w.call(ROOT, job, call), Ok(h::S_OK));
    }
}

#[test]
fn job_http_options_get_custom_headers_is_the_owners_alone() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    let read = |w: &World, caller: Caller| {
        let of = |challenge| {
            let text = w.q.headers(caller, job, challenge).map_err(|f| f.code)?;
            Ok(text.map(|t| t.as_str().to_owned()))
        };
        (of(false), of(true))
    };
    let some = |text: &str| Ok(Some(text.to_owned()));
    let denied = || (Err(h::E_ACCESSDENIED), Err(h::E_ACCESSDENIED));
    assert_eq!(read(&w, ALICE), (Ok(None), Ok(None)));
    assert_eq!(w.call(ALICE, job, headers("A: b\r\n")), Ok(h::S_OK));
    assert_eq!(read(&w, ALICE), (some("A: b\r\n"), Ok(None)));
    assert_eq!(w.call(ALICE, job, challenge_headers("C: d\r\n")), Ok(h::S_OK));
    assert_eq!(read(&w, ALICE), (some("A: b\r\n"), some("C: d\r\n")), "each for itself");
    assert_eq!((read(&w, ROOT), read(&w, BOB)), (denied(), denied()));
    assert_eq!(w.call(ALICE, job, set(Property::HeadersWriteOnly)), Ok(h::S_OK));
    assert_eq!(read(&w, ALICE), denied(), "nobody, the owner included");
}

#[test]
fn options_of_a_running_job_count_from_its_next_attempt_which_begins_at_once() {
    for call in [
        headers("A: b\r\n"),
        challenge_headers("A: b\r\n"),
        set(Property::SecurityFlags(0x10)),
        certificate(),
    ] {
        let mut w = World::new();
        let job = w.job_at(Priority::Normal);
        w.connect(job);
        w.checkpoint(job, 0, SIZE / 2);
        let first = w.attempt(job);
        assert_eq!(w.call(ALICE, job, call), Ok(h::S_OK));
        assert!(w.is_running(job) && w.attempt(job) != first, "another attempt");
        assert_eq!(w.job(job).files[0].done.len(), SIZE / 2, "nothing is lost");
        w.transfer(job);
    }
}

#[test]
fn job_http_options_set_security_flags_crl_check_begins_unfinished_files_again() {
    let mut w = World::new();
    w.workers = Workers::Manual;
    let job = w.create(ALICE, Plan { files: 2, ..Plan::default() });
    w.connect(job);
    w.checkpoint(job, 0, SIZE);
    w.checkpoint(job, 1, SIZE / 2);
    assert_eq!(w.call(ALICE, job, set(Property::SecurityFlags(1))), Ok(h::S_OK));
    assert_eq!(w.state(job), Queued);
    assert!(w.job(job).files[0].transferred, "finished files are not checked again");
    assert!(w.job(job).files[1].done.is_empty(), "the other starts over");
    // What the old attempt still stored does not come back.
    w.checkpoint(job, 1, SIZE / 2);
    assert!(w.job(job).files[1].done.is_empty());
    w.stopped(job);
    w.connect(job);
    assert_eq!(w.state(job), Transferring);
    w.checkpoint(job, 1, SIZE / 4);
    assert_eq!(w.job(job).files[1].done.len(), SIZE / 4);
    // On already: nothing starts over.
    assert_eq!(w.call(ALICE, job, set(Property::SecurityFlags(3))), Ok(h::S_OK));
    assert_eq!(w.job(job).files[1].done.len(), SIZE / 4);
}

#[test]
fn conformance_24_disallow_redirect_gives_the_file_its_target_as_remote_name() {
    for (flags, renamed) in [(0x200, true), (0x100, true), (0, false)] {
        let mut w = World::new();
        let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
        assert_eq!(w.call(ALICE, job, set(Property::SecurityFlags(flags))), Ok(h::S_OK));
        assert_eq!(w.call(ALICE, job, Call::Resume), Ok(h::S_OK));
        let attempt = w.attempt(job).unwrap();
        let before = w.job(job).files[0].remote.clone();
        // A worker parses what strangers send: only what could be a remote name becomes one, and only if the job says so.
        for bad in ["file:///etc/passwd", "", &format!("http://h/{}", "x".repeat(2_200)), "http://h/ x"] {
            w.q.on_redirected(job, attempt, 0, bad, w.now);
            w.drain();
            assert_eq!(w.job(job).files[0].remote, before);
        }
        w.q.on_redirected(job, attempt, 7, "http://other/x", w.now);
        w.q.on_redirected(job, attempt, 0, "http://other/x", w.now);
        w.drain();
        w.fail(job, h::BG_E_HTTP_ERROR_302, None);
        assert_eq!((w.state(job), w.error(job)), (Error, h::BG_E_HTTP_ERROR_302));
        let after = if renamed { "http://other/x" } else { &*before };
        assert_eq!(&*w.job(job).files[0].remote, after, "{flags:#x}");
        w.crash();
        assert_eq!(&*w.job(job).files[0].remote, after, "also after a crash");
    }
}

#[test]
fn job_http_options3_set_server_certificate_validation_interface_is_remembered() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    assert_eq!(w.call(BOB, job, Call::RequireValidation(true)), DENIED);
    assert_eq!(w.call(ALICE, job, Call::RequireValidation(true)), Ok(h::S_OK));
    assert_eq!(w.call(ALICE, job, Call::Resume), Ok(h::S_OK));
    assert_eq!(w.call(ALICE, job, Call::RequireValidation(false)), Err(h::BG_E_READ_ONLY_WHEN_JOB_ACTIVE));
    w.crash();
    assert!(w.job(job).http().validates, "the fact that one is required survives the service");
    assert_eq!(w.call(ALICE, job, Call::Suspend), Ok(h::S_OK));
    assert_eq!(w.state(job), Suspended);
    assert_eq!(w.call(ALICE, job, Call::RequireValidation(false)), Ok(h::S_OK));
    assert!(!w.job(job).http().validates);
}

/// Row 25 of spec/behaviour.md 31: what the old owner entrusted to the job does not follow it to the new one.
#[test]
fn conformance_25_take_ownership_removes_credentials_headers_certificate_and_command() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    w.call(ALICE, job, headers("X-Key: secret\r\n")).expect("set");
    w.call(ALICE, job, challenge_headers("Authorization: Bearer x\r\n")).expect("set");
    w.call(ALICE, job, certificate()).expect("set");
    w.set_credentials(ALICE, job, (1, 1), Some("u"), Some("p")).expect("set");
    let notify = Property::NotifyCommand { program: Some("/bin/true".into()), parameters: None };
    w.call(ALICE, job, Call::Set(vec![notify])).expect("set");
    let before = w.job(job);
    assert!(
        before.has_custom_headers() && before.has_challenge_headers() && before.client_certificate().is_ok()
    );
    assert!(!before.credentials.is_empty() && before.notify_command.is_some());
    w.call(ROOT, job, Call::TakeOwnership).expect("an administrator");
    let after = w.job(job);
    assert_eq!(after.owner, Uid::ROOT);
    assert!(after.credentials.is_empty() && after.notify_command.is_none());
    assert!(
        !after.has_custom_headers() && !after.has_challenge_headers() && after.client_certificate().is_err()
    );
    assert!(after.secrets.is_empty(), "nothing is left, not even sealed");
}
