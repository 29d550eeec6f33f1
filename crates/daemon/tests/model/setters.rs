//! IBackgroundCopyJob: the setters, with their limits (spec/bits-core.md 5.2).

use crate::common::{NOWHERE, Service};
use openbits_api::{NotifyCommandView, ProxyRequest, SetProperties};
use openbits_client::Action;
use openbits_core::hresult::{self as h, HResult, S_OK};
use openbits_core::{JobId, JobState, Priority, ProxyUsage};

/// A setter: accepted and refused values, then what a job in a final state says.
fn check<T: Clone + std::fmt::Debug>(
    put: impl Fn(&mut SetProperties, T),
    rows: &[(T, Result<HResult, HResult>)],
) -> (Service, JobId) {
    let service = Service::start();
    let id = service.create(vec![]);
    let set = |id, value: T| {
        let mut properties = SetProperties::default();
        put(&mut properties, value);
        service.set(id, properties)
    };
    let before = service.job(id);
    for (value, expected) in rows {
        assert_eq!(set(id, value.clone()), *expected, "{value:?}");
    }
    assert!(service.job(id).modification_time_ms >= before.modification_time_ms);
    let over = service.create(vec![]);
    service.act(over, Action::Cancel).unwrap();
    let good = rows.iter().find(|(_, expected)| expected.is_ok()).expect("one is accepted");
    assert_eq!(set(over, good.0.clone()), Err(h::BG_E_INVALID_STATE));
    (service, id)
}

#[test]
fn job_set_display_name() {
    let long = "ä".repeat(256);
    let rows = [
        (long.clone(), Ok(S_OK)),
        ("n".repeat(257), Err(h::BG_E_STRING_TOO_LONG)),
        ("a\0b".to_owned(), Err(h::E_INVALIDARG)),
    ];
    let (service, id) = check(|p, v| p.display_name = Some(v), &rows);
    assert_eq!(service.job(id).display_name, long, "the refused ones changed nothing");
}

#[test]
fn job_set_description() {
    let rows = [
        ("d".repeat(1024), Ok(S_OK)),
        ("d".repeat(1025), Err(h::BG_E_STRING_TOO_LONG)),
        (String::new(), Ok(S_OK)),
    ];
    let (service, id) = check(|p, v| p.description = Some(v), &rows);
    assert_eq!(service.job(id).description, "");
}

#[test]
fn job_set_priority() {
    let rows = Priority::ALL.iter().map(|p| (*p, Ok(S_OK))).collect::<Vec<_>>();
    let (service, id) = check(|p, v| p.priority = Some(v), &rows);
    assert_eq!(service.job(id).priority, Priority::Low);
}

#[test]
fn job_set_notify_flags() {
    let rows = [(0, Ok(S_OK)), (0x3F, Ok(S_OK)), (0x40, Err(h::E_NOTIMPL)), (7, Ok(S_OK))];
    let (service, id) = check(|p, v| p.notify_flags = Some(v), &rows);
    assert_eq!(service.job(id).notify_flags, 7, "with DISABLE the others are stored");
}

#[test]
fn job_set_minimum_retry_delay() {
    let rows = [(u32::MAX, Ok(S_OK)), (0, Ok(S_OK))];
    let (service, id) = check(|p, v| p.minimum_retry_delay_s = Some(v), &rows);
    assert_eq!(service.job(id).minimum_retry_delay_s, 5, "raised to the floor");
}

#[test]
fn job_set_no_progress_timeout() {
    let (service, _) =
        check(|p, v| p.no_progress_timeout_s = Some(v), &[(u32::MAX, Ok(S_OK)), (0, Ok(S_OK))]);
    let id = service.create(vec![service.file(NOWHERE, "a")]);
    service.act(id, Action::Resume).unwrap();
    service.reaches(id, JobState::TransientError);
    service.set(id, SetProperties { no_progress_timeout_s: Some(0), ..SetProperties::default() }).unwrap();
    assert_eq!(service.job(id).state, JobState::Error, "0 turns a transient error into a final one at once");
}

#[test]
fn job_set_proxy_settings() {
    let proxy = |usage, list: Option<&str>, bypass: Option<&str>| ProxyRequest {
        usage,
        list: list.map(str::to_owned),
        bypass: bypass.map(str::to_owned),
    };
    let long = "p".repeat(16_385);
    let rows = [
        (proxy(ProxyUsage::NoProxy, None, None), Ok(S_OK)),
        (proxy(ProxyUsage::NoProxy, Some("p:80"), None), Err(h::E_INVALIDARG)),
        (proxy(ProxyUsage::Override, None, None), Err(h::E_INVALIDARG)),
        (proxy(ProxyUsage::Override, Some(&long), None), Err(h::BG_E_PROXY_LIST_TOO_LARGE)),
        (proxy(ProxyUsage::Override, Some("p"), Some(&long)), Err(h::BG_E_PROXY_BYPASS_LIST_TOO_LARGE)),
        (proxy(ProxyUsage::Override, Some("p:80"), Some("<local>")), Ok(S_OK)),
    ];
    let (service, id) = check(|p, v| p.proxy = Some(v), &rows);
    let stored = service.job(id).proxy;
    assert_eq!((stored.list.as_deref(), stored.bypass.as_deref()), (Some("p:80"), Some("<local>")));
}

#[test]
fn job2_set_notify_cmd_line() {
    let command = |program: Option<&str>, parameters: Option<&str>| NotifyCommandView {
        program: program.map(str::to_owned),
        parameters: parameters.map(str::to_owned),
        argv: None,
    };
    let long = format!("/{}", "p".repeat(300));
    let rows = [
        (command(Some("/bin/x"), Some("/bin/x a")), Ok(S_OK)),
        (command(None, Some("a")), Err(h::E_INVALIDARG)),
        (command(Some("relative"), None), Err(h::E_INVALIDARG)),
        (command(Some(&long), None), Err(h::BG_E_STRING_TOO_LONG)),
        (command(Some("/bin/x"), Some(&"p".repeat(4001))), Err(h::BG_E_STRING_TOO_LONG)),
    ];
    let (service, id) = check(|p, v| p.notify_command = Some(v), &rows);
    assert_eq!(service.job(id).notify_program, "/bin/x");
    let none = SetProperties { notify_command: Some(command(None, None)), ..SetProperties::default() };
    service.set(id, none).unwrap();
    assert_eq!(service.job(id).notify_program, "", "both absent removes it");
}

#[test]
fn job2_set_reply_file_name_of_a_download() {
    let service = Service::start();
    let id = service.create(vec![]);
    let name = SetProperties { reply_file_name: Some("/tmp/x".to_owned()), ..SetProperties::default() };
    assert_eq!(service.set(id, name), Err(h::E_NOTIMPL));
}
