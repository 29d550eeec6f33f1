//! IBackgroundCopyJob: the getters, on a fresh job and on one that was transferred (spec/bits-core.md 4.6, 5.2).

use crate::common::{NOWHERE, Service, refusal};
use openbits_api::SetProperties;
use openbits_client::Action;
use openbits_core::hresult as h;
use openbits_core::{JobState, JobType, Priority, ProxyUsage};
use openbits_testkit::{Content, Origin};

#[test]
fn job_get_id() {
    let service = Service::start();
    let id = service.create(vec![]);
    assert!(id.is_random());
    assert_eq!(service.job(id).id, id.to_string());
}

#[test]
fn job_get_type() {
    let service = Service::start();
    assert_eq!(service.job(service.create(vec![])).kind, JobType::Download);
}

#[test]
fn job_get_progress() {
    let (service, origin) = (Service::start(), Origin::start());
    let id = service.create(vec![]);
    let progress = || {
        let job = service.job(id);
        (job.bytes_total, job.bytes_transferred, job.files_total, job.files_transferred)
    };
    assert_eq!(progress(), (Some(0), 0, 0, 0));
    origin.put("a", Content::new(1, 1000));
    origin.put("b", Content::new(1, 500));
    let files = vec![service.file(&origin.url("a"), "a"), service.file(&origin.url("b"), "b")];
    service.client.add_files(id, files).unwrap();
    assert_eq!(progress(), (None, 0, 2, 0), "no server was asked");
    service.transfer(id);
    assert_eq!(progress(), (Some(1500), 1500, 2, 2));
}

#[test]
fn job_get_times() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1000));
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    let fresh = service.job(id);
    assert_eq!(fresh.transfer_completion_time_ms, None);
    assert!(
        fresh.creation_time_ms > 1_700_000_000_000 && fresh.modification_time_ms >= fresh.creation_time_ms
    );
    let done = service.transfer(id);
    let at = done.transfer_completion_time_ms.unwrap();
    assert!(done.creation_time_ms == fresh.creation_time_ms && at >= fresh.creation_time_ms);
    assert!(done.modification_time_ms >= fresh.modification_time_ms);
}

#[test]
fn job_get_state() {
    let service = Service::start();
    let id = service.create(vec![service.file(NOWHERE, "a")]);
    assert_eq!(service.job(id).state, JobState::Suspended);
    service.act(id, Action::Resume).unwrap();
    service.reaches(id, JobState::TransientError);
    service.act(id, Action::Cancel).unwrap();
    assert_eq!(service.job(id).state, JobState::Cancelled);
}

#[test]
fn job_get_error() {
    let service = Service::start();
    let id = service.create(vec![service.file(NOWHERE, "a")]);
    let error = || service.client.error(id).map(|e| e.file).map_err(refusal);
    assert_eq!(error(), Err(h::BG_E_ERROR_INFORMATION_UNAVAILABLE));
    service.act(id, Action::Resume).unwrap();
    service.reaches(id, JobState::TransientError);
    assert!(error().is_ok());
    service.act(id, Action::Cancel).unwrap();
    assert_eq!(error(), Err(h::BG_E_ERROR_INFORMATION_UNAVAILABLE), "nor of a job that is over");
}

#[test]
fn job_get_owner() {
    let service = Service::start();
    let job = service.job(service.create(vec![]));
    let uid = rustix::process::geteuid().as_raw();
    let sid = if uid == 0 { "S-1-5-18".to_owned() } else { format!("S-1-22-1-{uid}") };
    assert_eq!((job.owner_uid, job.owner_sid), (uid, sid));
}

#[test]
fn job_get_display_name() {
    let service = Service::start();
    assert_eq!(service.job(service.create(vec![])).display_name, "job");
}

#[test]
fn job_get_description() {
    let service = Service::start();
    assert_eq!(service.job(service.create(vec![])).description, "", "empty if never set");
}

#[test]
fn job_get_priority() {
    let service = Service::start();
    assert_eq!(service.job(service.create(vec![])).priority, Priority::Normal);
}

#[test]
fn job_get_notify_flags() {
    let service = Service::start();
    assert_eq!(service.job(service.create(vec![])).notify_flags, 3);
}

#[test]
fn job_get_minimum_retry_delay() {
    let service = Service::start();
    assert_eq!(service.job(service.create(vec![])).minimum_retry_delay_s, 600);
}

#[test]
fn job_get_no_progress_timeout() {
    let service = Service::start();
    assert_eq!(service.job(service.create(vec![])).no_progress_timeout_s, 1_209_600);
}

#[test]
fn job_get_error_count() {
    let service = Service::start();
    let id = service.create(vec![service.file(NOWHERE, "a")]);
    assert_eq!(service.job(id).error_count, 0);
    for count in 1..=2 {
        service.act(id, Action::Resume).unwrap();
        crate::common::wait("another error", || (service.job(id).error_count == count).then_some(()));
    }
    service.act(id, Action::Suspend).unwrap();
    assert_eq!(service.job(id).error_count, 2, "never reset");
}

#[test]
fn job_get_proxy_settings() {
    let service = Service::start();
    let proxy = service.job(service.create(vec![])).proxy;
    assert_eq!((proxy.usage, proxy.list, proxy.bypass), (ProxyUsage::Preconfig, None, None));
}

#[test]
fn job2_get_notify_cmd_line() {
    let service = Service::start();
    let id = service.create(vec![]);
    let line = || (service.job(id).notify_program, service.job(id).notify_parameters);
    assert_eq!(line(), (String::new(), String::new()), "empty, not absent");
    let command = openbits_api::NotifyCommandView {
        program: Some("/bin/true".to_owned()),
        parameters: Some("/bin/true a".to_owned()),
        argv: None,
    };
    service.set(id, SetProperties { notify_command: Some(command), ..SetProperties::default() }).unwrap();
    assert_eq!(line(), ("/bin/true".to_owned(), "/bin/true a".to_owned()));
}
