//! Jobs of Delivery Optimization's first generation through the service's door (spec/delivery-optimization-com.md 5).

use crate::common::{NOWHERE, Service, code, refusal};
use openbits_api::{AddFile, CreateJob, SetFile, SetProperties};
use openbits_client::Action;
use openbits_core::delivery::codes;
use openbits_core::hresult::{self as h, HResult, S_OK};
use openbits_core::job::Dialect;
use openbits_core::{JobId, JobState, JobType, Priority};
use openbits_testkit::{Behaviour, Content, Origin, OriginFile};

const SIZE: u64 = 100_000;

fn request(files: Vec<AddFile>) -> CreateJob {
    CreateJob {
        id: None,
        display_name: "job".to_owned(),
        kind: JobType::Download,
        files,
        resume: false,
        properties: SetProperties::default(),
        environment_proxy: None,
        dialect: Dialect::DeliveryOptimization,
    }
}

impl Service {
    fn try_delivery(&self, request: &CreateJob) -> Result<JobId, HResult> {
        self.client.create_job(request).map(|outcome| outcome.job.id.parse().unwrap()).map_err(refusal)
    }

    fn sink(&self, id: JobId, file: u32, path: &str) -> Result<HResult, HResult> {
        code(self.client.set_file(
            id,
            file,
            &SetFile { local_name: Some(path.to_owned()), ..SetFile::default() },
        ))
    }

    fn pathless(&self, url: &str, content: &str) -> AddFile {
        AddFile { local_name: String::new(), content_id: Some(content.to_owned()), ..self.file(url, "") }
    }
}

/// 5.2: a name, downloads only, and the no-progress default of the level.
#[test]
fn delivery_optimization_jobs_are_created_by_their_own_rules() {
    let service = Service::start();
    for priority in Priority::ALL {
        let properties = SetProperties { priority: Some(*priority), ..SetProperties::default() };
        let id = service.try_delivery(&CreateJob { properties, ..request(vec![]) }).unwrap();
        let expected = if *priority == Priority::Foreground { 3_600 } else { 86_400 };
        let job = service.job(id);
        assert_eq!(job.no_progress_timeout_s, expected, "{priority:?}");
        assert_eq!((job.dialect, job.state), (Dialect::DeliveryOptimization, JobState::Suspended));
    }
    for kind in [JobType::Upload, JobType::UploadReply] {
        assert_eq!(service.try_delivery(&CreateJob { kind, ..request(vec![]) }), Err(h::E_NOTIMPL));
    }
    let named = |n: usize| CreateJob { display_name: "n".repeat(n), ..request(vec![]) };
    assert_eq!(service.try_delivery(&named(0)), Err(h::E_INVALIDARG));
    assert_eq!(service.try_delivery(&named(257)), Err(h::E_INVALIDARG));
    assert!(service.try_delivery(&named(256)).is_ok());
}

/// 5.2 and 5.4: TRANSIENT_ERROR becomes ERROR when nothing came for so long; Resume begins anew.
#[test]
fn delivery_optimization_jobs_without_progress_fail() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", OriginFile::new(Content::new(1, SIZE)).behaviour(Behaviour::Status(503)));
    let properties = SetProperties {
        minimum_retry_delay_s: Some(5),
        no_progress_timeout_s: Some(6),
        ..SetProperties::default()
    };
    let files = vec![service.file(&origin.url("a"), "a")];
    let id = service.try_delivery(&CreateJob { properties, ..request(files) }).unwrap();
    service.act(id, Action::Resume).unwrap();
    service.reaches(id, JobState::TransientError);
    let job = service.reaches(id, JobState::Error);
    assert_eq!(job.error.unwrap().name, "BG_E_HTTP_ERROR_503");
    assert!(job.error_count >= 2, "it was tried again in between");
    origin.set_behaviour("a", Behaviour::Good);
    service.transfer(id);
}

/// 5.3: a file without a local name gets it by DownloadSinkFilePath.
#[test]
fn delivery_optimization_file2_set_property_sink_path() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, SIZE));
    origin.put("b", Content::new(2, SIZE));
    // With the job, and later.
    let id = service.try_delivery(&request(vec![service.pathless(&origin.url("a"), "one")])).unwrap();
    code(service.client.add_files(id, vec![service.file(&origin.url("b"), "b")])).unwrap();
    let resumed = CreateJob { resume: true, ..request(vec![service.pathless(NOWHERE, "one")]) };
    assert_eq!(service.try_delivery(&resumed), Err(codes::DO_E_LOCALPATH_NOT_SET), "and none is left");
    assert_eq!(service.act(id, Action::Resume), Err(codes::DO_E_LOCALPATH_NOT_SET));
    assert_eq!(service.job(id).state, JobState::Suspended);
    let path = service.path("a").display().to_string();
    for (file, path, expected) in [
        (0, String::new(), h::E_INVALIDARG),
        (0, "relative".to_owned(), h::E_INVALIDARG),
        (0, service.path("none/a").display().to_string(), h::ERROR_PATH_NOT_FOUND),
        (2, path.clone(), h::BG_E_FILE_NOT_FOUND),
    ] {
        assert_eq!(service.sink(id, file, &path), Err(expected), "{file} {path}");
    }
    assert_eq!(service.sink(id, 0, &path), Ok(S_OK));
    assert_eq!(service.files(id)[0].local_name, path);
    service.transfer(id);
    assert_eq!(service.sink(id, 0, &path), Err(h::BG_E_INVALID_STATE));
    service.act(id, Action::Complete).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), Content::new(1, SIZE).byte_range(0, SIZE));
    assert!(service.path("b").exists());
    let bits = service.create(vec![service.file(NOWHERE, "c")]);
    let other = service.path("d").display().to_string();
    assert_eq!(service.sink(bits, 0, &other), Err(h::E_NOTIMPL));
    let refused = service.client.add_files(bits, vec![service.pathless(NOWHERE, "x")]);
    assert_eq!(code(refused), Err(h::E_INVALIDARG));
}

/// What was set is read, also after the service was killed; of a file without a path there is none.
#[test]
fn delivery_optimization_file2_get_property_sink_path() {
    let mut service = Service::start();
    let id = service.try_delivery(&request(vec![service.pathless(NOWHERE, "one")])).unwrap();
    assert_eq!(service.client.file(id, 0).unwrap().local_name, "");
    let path = service.path("a").display().to_string();
    service.sink(id, 0, &path).unwrap();
    assert_eq!(service.client.file(id, 0).unwrap().local_name, path);
    service.restart();
    let file = service.client.file(id, 0).unwrap();
    assert_eq!((file.local_name, file.content_id.as_deref()), (path, Some("one")));
    assert_eq!(service.client.file(id, 1).map_err(refusal).unwrap_err(), h::BG_E_FILE_NOT_FOUND);
}

/// 5.3: fileId is unique in its job, and shown.
#[test]
fn delivery_optimization_job_add_file_with_ranges() {
    let service = Service::start();
    let id = service.try_delivery(&request(vec![service.pathless(NOWHERE, "one")])).unwrap();
    let add = |files| code(service.client.add_files(id, files));
    assert_eq!(add(vec![service.pathless(NOWHERE, "one")]), Err(h::E_INVALIDARG));
    assert_eq!(
        add(vec![service.pathless(NOWHERE, "two"), service.pathless(NOWHERE, "two")]),
        Err(h::E_INVALIDARG)
    );
    assert_eq!(add(vec![service.pathless(NOWHERE, "two"), service.file(NOWHERE, "c")]), Ok(S_OK));
    let ids: Vec<_> = service.files(id).into_iter().map(|file| file.content_id).collect();
    assert_eq!(ids, [Some("one".to_owned()), Some("two".to_owned()), None]);
    // Overlapping ranges are refused, and the job is as it was (row 13 of the checklist).
    let range = |offset, length| openbits_api::RangeView { offset, length: Some(length) };
    let ranged = |ranges| AddFile { ranges: Some(ranges), ..service.file(NOWHERE, "d") };
    for (ranges, expected) in [
        (vec![range(0, 10), range(5, 10)], h::BG_E_OVERLAPPING_RANGES),
        (vec![range(100, 5), range(100, 5)], h::BG_E_OVERLAPPING_RANGES),
        (vec![range(0, 0)], h::BG_E_INVALID_RANGE),
    ] {
        assert_eq!(add(vec![ranged(ranges)]), Err(expected));
    }
    assert_eq!(service.files(id).len(), 3);
    assert_eq!(add(vec![ranged(vec![range(0, 10), range(20, 10)])]), Ok(S_OK));
}

/// 5.2: several background jobs at once.
#[test]
fn delivery_optimization_jobs_run_at_once() {
    let (service, origin) = (Service::start(), Origin::start());
    let names = ["a", "b", "c"];
    let ids = names.map(|name| {
        origin.put(name, Content::new(1, SIZE));
        origin.hold(name, 10_000);
        let files = vec![service.file(&origin.url(name), name)];
        service.try_delivery(&CreateJob { resume: true, ..request(files) }).unwrap()
    });
    for (id, name) in ids.into_iter().zip(names) {
        service.reaches(id, JobState::Transferring);
        origin.release(name);
    }
    for id in ids {
        service.reaches(id, JobState::Transferred);
    }
}

/// A piece hash file is fetched as every file is: the policy has its word before, and what is set comes into force with Resume only.
#[test]
fn delivery_optimization_file2_set_property_integrity_check_info_goes_by_the_policy() {
    let service = Service::with_policy("[security]\ndenied_hosts = [\"denied.example\"]\n");
    let origin = Origin::start();
    origin.put("a", Content::new(1, SIZE));
    let id = service.try_delivery(&request(vec![service.file(&origin.url("a"), "a")])).unwrap();
    let info = |url: &str| SetFile {
        integrity_check_info: Some(format!("{{\"PiecesHashFileUrl\":\"{url}\"}}")),
        ..SetFile::default()
    };
    let set = |set: &SetFile| code(service.client.set_file(id, 0, set));
    assert_eq!(set(&info("http://denied.example/p")), Err(h::E_ACCESSDENIED));
    assert_eq!(set(&info("no url")), Err(h::E_INVALIDARG));
    assert_eq!(set(&info(&origin.url("none"))), Ok(S_OK));
    origin.hold("a", 1000);
    service.act(id, Action::Resume).unwrap();
    let size = SetFile { size: Some(SIZE), ..SetFile::default() };
    assert_eq!(set(&size), Err(h::BG_E_INVALID_STATE));
    assert_eq!(set(&info(&origin.url("none"))), Err(h::BG_E_INVALID_STATE));
}
