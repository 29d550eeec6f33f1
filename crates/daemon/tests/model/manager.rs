//! IBackgroundCopyManager (spec/bits-core.md 5.1).

use crate::common::{NOWHERE, Service, refusal};
use openbits_api::CreateJob;
use openbits_client::{Action, JobQuery};
use openbits_core::hresult as h;
use openbits_core::{HResult, JobId, JobState, JobType};

#[test]
fn manager_create_job() {
    let service = Service::start();
    let request = |name: &str, kind| CreateJob {
        id: None,
        display_name: name.to_owned(),
        kind,
        files: vec![],
        resume: false,
        properties: openbits_api::SetProperties::default(),
        environment_proxy: None,
        dialect: openbits_core::job::Dialect::Bits,
    };
    let create = |name: &str| service.client.create_job(&request(name, JobType::Download));
    let first = create(&"n".repeat(256)).unwrap().job;
    assert_eq!((first.state, first.files_total, first.kind), (JobState::Suspended, 0, JobType::Download));
    assert_ne!(
        create("").unwrap().job.id,
        create("").unwrap().job.id,
        "names need not be unique, nor be there"
    );
    assert_eq!(create(&"n".repeat(257)).map_err(refusal).unwrap_err(), h::E_INVALIDARG);
    assert_eq!(service.client.jobs(&JobQuery::default()).unwrap().len(), 3, "a refused job leaves nothing");
}

#[test]
fn manager_get_job() {
    let service = Service::start();
    let id = service.create(vec![]);
    let get = |id| service.client.job(id, false, false).map(|job| job.id).map_err(refusal);
    assert_eq!(get(id), Ok(id.to_string()));
    assert_eq!(get(JobId::from_random_bytes([3; 16])), Err(h::BG_E_NOT_FOUND));
    service.act(id, Action::Cancel).unwrap();
    assert_eq!(get(id), Err(h::BG_E_NOT_FOUND), "a job that is over is not found");
}

#[test]
fn manager_enum_jobs() {
    let service = Service::start();
    let list =
        |all_users| service.client.jobs(&JobQuery { all_users, ..JobQuery::default() }).map_err(refusal);
    assert_eq!(list(false).map(|jobs| jobs.len()), Ok(0), "an empty queue is a list, too");
    let mut ids =
        [service.create(vec![]), service.create(vec![service.file(NOWHERE, "a")])].map(|id| id.to_string());
    let mut listed: Vec<_> = list(false).unwrap().into_iter().map(|job| job.id).collect();
    ids.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, ids);
    service.act(ids[0].parse().unwrap(), Action::Cancel).unwrap();
    assert_eq!(list(false).map(|jobs| jobs.len()), Ok(1), "no jobs in final states");
    // Administrators only; who runs this test is or is not one.
    let expected = if rustix::process::geteuid().is_root() { Ok(1) } else { Err(h::E_ACCESSDENIED) };
    assert_eq!(list(true).map(|jobs| jobs.len()), expected);
}

#[test]
fn manager_get_error_description() {
    let service = Service::start();
    let text = |bits, language| {
        service.client.describe(HResult::from_bits(bits), language).map(|text| text.text).map_err(refusal)
    };
    for known in [0x8020_0001, 0x8019_0194, 0x8007_0005, 0x8020_0057] {
        assert!(text(known, 1033).unwrap().len() > 10, "{known:x}");
    }
    assert!(text(0x8123_4567, 2057).unwrap().to_uppercase().contains("81234567"), "a text for every number");
    assert_eq!(text(0x8020_0001, 0), Err(h::E_INVALIDARG));
    assert_eq!(text(0x8020_0001, 1031), Err(h::ERROR_RESOURCE_LANG_NOT_FOUND));
}

/// The modes of peers are in force as Simple until machines share (spec/delivery-optimization-com.md 10.1).
#[test]
fn the_download_mode_in_force_is_told() {
    for (word, mode) in [("lan", 99), ("internet", 99), ("http-only", 0), ("bypass", 100)] {
        let service = Service::with_policy(&format!("[delivery_optimization]\ndownload_mode = \"{word}\"\n"));
        assert_eq!(service.client.service_info().unwrap().download_mode, mode, "{word}");
    }
}
