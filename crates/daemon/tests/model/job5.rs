//! IBackgroundCopyJob5: the numbered properties.

use crate::common::{NOWHERE, Service, code, refusal};
use openbits_api::{SetNumbered, SetProperties};
use openbits_client::Action;
use openbits_core::JobId;
use openbits_core::hresult::{self as h, HResult, S_OK};

fn set(service: &Service, id: JobId, number: u32, value: &str) -> Result<HResult, HResult> {
    code(service.client.set_numbered(id, number, &SetNumbered { value: value.to_owned() }))
}

fn get(service: &Service, id: JobId, number: u32) -> Result<String, HResult> {
    service.client.numbered(id, number).map(|property| property.value).map_err(refusal)
}

#[test]
fn job5_set_property_through_the_door_and_over_a_restart() {
    let mut service = Service::start();
    let id = service.create(vec![]);
    let class = "6d18ad12-bde3-4393-b311-099c346e6df9";
    let rows = [
        (1, "0x80000021", "0x80000021"),
        (2, class, class),
        (4, "true", "TRUE"),
        (5, "1000000", "1000000"),
        (7, "proxy", "PROXY"),
        (9, "0", "0x00000000"),
        (10, "1", "TRUE"),
    ];
    for (number, value, _) in rows {
        assert_eq!(set(&service, id, number, value), Ok(S_OK), "{number}");
    }
    assert_eq!(set(&service, id, 3, "TRUE"), Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION));
    for (number, code) in [
        (0, h::BG_E_UNKNOWN_PROPERTY_ID),
        (6, h::BG_E_UNKNOWN_PROPERTY_ID),
        (8, h::BG_E_UNKNOWN_PROPERTY_ID),
        (11, h::BG_E_UNKNOWN_PROPERTY_ID),
    ] {
        assert_eq!(set(&service, id, number, "1"), Err(code), "{number}");
        assert_eq!(get(&service, id, number), Err(code), "{number}");
    }
    assert_eq!(set(&service, id, 5, "0"), Err(h::BG_E_MAX_DOWNLOAD_SIZE_INVALID_VALUE));
    assert_eq!(set(&service, id, 7, "SERVER"), Err(h::BG_E_USE_STORED_CREDENTIALS_NOT_SUPPORTED));
    assert_eq!(set(&service, id, 1, "0x100"), Err(h::E_INVALIDARG));
    assert_eq!(set(&service, id, 2, "no GUID"), Err(h::E_INVALIDARG));
    service.restart();
    for (number, _, value) in rows {
        assert_eq!(get(&service, id, number).as_deref(), Ok(value), "{number}");
    }
    let job = service.job(id);
    assert!(job.high_performance && job.on_demand_mode && !job.dynamic_content && job.cost_flags_set);
    assert_eq!((job.max_download_size, job.minimum_notification_interval_ms), (Some(1_000_000), 0));
    assert_eq!(
        (job.notification_clsid.as_deref(), job.use_stored_credentials.as_str()),
        (Some(class), "PROXY")
    );
}

#[test]
fn job5_set_property_freezes_at_the_door() {
    let service = Service::start();
    let id = service.create(vec![service.file(NOWHERE, "a")]);
    assert_eq!(set(&service, id, 4, "TRUE"), Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE));
    assert_eq!(set(&service, id, 5, "5"), Ok(S_OK));
    service.act(id, Action::Resume).unwrap();
    service.act(id, Action::Suspend).unwrap();
    for number in [3, 5, 10] {
        assert_eq!(set(&service, id, number, "1"), Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_RESUME), "{number}");
    }
    for (number, value) in [(1, "0x21"), (2, ""), (7, "NONE"), (9, "100")] {
        assert_eq!(set(&service, id, number, value), Ok(S_OK), "{number}: at any time");
    }
    let both =
        SetProperties { on_demand_mode: Some(true), dynamic_content: Some(true), ..SetProperties::default() };
    let refused = service.create_with(vec![], both).unwrap_err();
    assert_eq!(refusal(refused), h::BG_E_UNSUPPORTED_JOB_CONFIGURATION, "and no job is left");
    assert_eq!(service.client.jobs(&openbits_client::JobQuery::default()).unwrap().len(), 1);
}

#[test]
fn job5_get_property_follows_policy_and_priority() {
    let service = Service::with_policy("[cost]\nlow = \"unless-roaming\"\n");
    let id = service.create(vec![]);
    assert_eq!(get(&service, id, 1).as_deref(), Ok("0x8000006F"));
    let low = SetProperties { priority: Some(openbits_core::Priority::Low), ..SetProperties::default() };
    service.set(id, low).unwrap();
    assert_eq!(get(&service, id, 1).as_deref(), Ok("0x8000007F"), "the policy's mask of its priority");
    set(&service, id, 1, "0x1").unwrap();
    assert_eq!(get(&service, id, 1).as_deref(), Ok("0x00000001"));
    assert!(matches!(get(&service, JobId::from_random_bytes([9; 16]), 1), Err(h::BG_E_NOT_FOUND)));
}
