//! IBackgroundCopyJob: calls that move the job (spec/bits-core.md 5.2).

use crate::common::{NOWHERE, Service, code, refusal};
use openbits_client::Action;
use openbits_core::JobState;
use openbits_core::hresult::{self as h, S_OK};
use openbits_testkit::{Content, Origin};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn job_add_file_set() {
    let service = Service::start();
    let id = service.create(vec![]);
    let add = |files| code(service.client.add_files(id, files));
    assert_eq!(add(vec![]), Ok(S_OK), "nothing to add");
    assert_eq!(add(["b", "a", "c"].map(|n| service.file(NOWHERE, n)).to_vec()), Ok(S_OK));
    let names: Vec<_> = service.files(id).into_iter().map(|f| f.local_name).collect();
    assert_eq!(names, ["b", "a", "c"].map(|n| service.path(n).display().to_string()), "order kept");
    let mut bad = vec![service.file(NOWHERE, "d"), service.file(NOWHERE, "e")];
    bad[1].local_name = "relative".to_owned();
    assert_eq!(add(bad), Err(h::E_INVALIDARG));
    assert_eq!(service.files(id).len(), 3, "all or nothing");
}

#[test]
fn job_add_file() {
    let service = Service::start();
    let id = service.create(vec![]);
    let add = |url: &str, name: &str| code(service.client.add_files(id, vec![service.file(url, name)]));
    assert_eq!(add(NOWHERE, "a"), Ok(S_OK), "no server is asked");
    for (url, name, expected) in [
        ("gopher://h/x", "b", h::E_INVALIDARG),
        ("http://h/a b", "b", h::E_INVALIDARG),
        (&format!("http://h/{}", "x".repeat(2200)), "b", h::E_INVALIDARG),
        (NOWHERE, "no-such-folder/b", h::ERROR_PATH_NOT_FOUND),
        (NOWHERE, "", h::E_INVALIDARG),
    ] {
        assert_eq!(add(url, name), Err(expected), "{url} {name}");
    }
    let job = service.job(id);
    assert_eq!((job.files_total, job.bytes_total, job.state), (1, None, JobState::Suspended));
    service.act(id, Action::Cancel).unwrap();
    assert_eq!(add(NOWHERE, "b"), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn job_enum_files() {
    let service = Service::start();
    let id = service.create(vec![]);
    assert_eq!(service.files(id), [], "a list also without files");
    code(service.client.add_files(id, vec![service.file(NOWHERE, "a")])).unwrap();
    let snapshot = service.files(id);
    code(service.client.add_files(id, vec![service.file(NOWHERE, "b")])).unwrap();
    assert_eq!((snapshot.len(), service.files(id).len()), (1, 2));
    service.act(id, Action::Cancel).unwrap();
    assert_eq!(service.files(id).len(), 2, "in every state, while the job is held");
}

#[test]
fn job_suspend() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("f", Content::new(1, 8 << 20));
    origin.hold("f", 4 << 20);
    let id = service.create(vec![service.file(&origin.url("f"), "f")]);
    assert_eq!(service.act(id, Action::Suspend), Ok(S_OK), "already suspended");
    service.act(id, Action::Resume).unwrap();
    assert!(origin.wait_held("f", PATIENCE));
    assert_eq!(service.act(id, Action::Suspend), Ok(S_OK));
    let size = |service: &Service| {
        let files = service.files(id);
        let folder = service.path("f").parent().unwrap().to_owned();
        std::fs::metadata(folder.join(files[0].temporary_name.clone().unwrap())).unwrap().blocks_and_len()
    };
    let before = size(&service);
    origin.release("f");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        (size(&service), service.job(id).state),
        (before, JobState::Suspended),
        "no further byte is written"
    );
    service.transfer(id);
    assert_eq!(service.act(id, Action::Suspend), Ok(S_OK));
    assert_eq!(service.job(id).state, JobState::Transferred, "counts as suspended already");
    service.act(id, Action::Complete).unwrap();
    assert_eq!(service.act(id, Action::Suspend), Err(h::BG_E_INVALID_STATE));
}

trait Amount {
    fn blocks_and_len(&self) -> (u64, u64);
}

impl Amount for std::fs::Metadata {
    fn blocks_and_len(&self) -> (u64, u64) {
        (std::os::unix::fs::MetadataExt::blocks(self), self.len())
    }
}

#[test]
fn job_resume() {
    let (service, origin) = (Service::start(), Origin::start());
    let id = service.create(vec![]);
    assert_eq!(service.act(id, Action::Resume), Err(h::BG_E_EMPTY));
    assert_eq!(service.job(id).state, JobState::Suspended);
    code(service.client.add_files(id, vec![service.file(NOWHERE, "f")])).unwrap();
    assert_eq!(service.act(id, Action::Resume), Ok(S_OK));
    service.reaches(id, JobState::TransientError);
    assert_eq!(service.act(id, Action::Resume), Ok(S_OK), "the retry delay is skipped");
    let count = service.job(id).error_count;
    assert!(count >= 1, "and the errors are not forgotten");
    origin.put("g", Content::new(1, 1000));
    let good = service.create(vec![service.file(&origin.url("g"), "g")]);
    service.transfer(good);
    assert_eq!(service.act(good, Action::Resume), Ok(S_OK));
    assert_eq!(service.job(good).state, JobState::Transferred, "nothing to do is success");
    service.act(good, Action::Cancel).unwrap();
    assert_eq!(service.act(good, Action::Resume), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn job_cancel() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("f", Content::new(1, 1000));
    std::fs::write(service.path("f"), "before").unwrap();
    let id = service.create(vec![service.file(&origin.url("f"), "f")]);
    service.transfer(id);
    assert_eq!(service.act(id, Action::Cancel), Ok(S_OK));
    assert_eq!(service.job(id).state, JobState::Cancelled);
    assert_eq!(service.act(id, Action::Cancel), Err(h::BG_E_INVALID_STATE), "a second time");
    let left: Vec<_> =
        std::fs::read_dir(service.path("").as_path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["f"], "no temporary file is left");
    assert_eq!(std::fs::read(service.path("f")).unwrap(), b"before", "what was there stays");
}

#[test]
fn job_complete() {
    let (service, origin) = (Service::start(), Origin::start());
    let content = Content::new(1, 100_000);
    origin.put("f", content.clone());
    let whole = service.create(vec![service.file(&origin.url("f"), "f")]);
    service.transfer(whole);
    assert!(!service.path("f").exists(), "nothing is visible before");
    assert_eq!(service.act(whole, Action::Complete), Ok(S_OK));
    assert_eq!(content.first_difference(0, &std::fs::read(service.path("f")).unwrap()), None);
    assert_eq!(service.job(whole).state, JobState::Acknowledged);
    assert!(service.files(whole)[0].completed, "readable while the job is held");
    assert_eq!(service.act(whole, Action::Complete), Err(h::BG_E_INVALID_STATE));
    let partial = service.create(vec![service.file(NOWHERE, "g")]);
    assert_eq!(service.act(partial, Action::Complete), Ok(h::BG_S_PARTIAL_COMPLETE));
    let empty = service.create(vec![]);
    assert_eq!(service.act(empty, Action::Complete), Ok(S_OK));
}

#[test]
fn job_take_ownership_of_the_own_job() {
    let service = Service::start();
    let id = service.create(vec![]);
    // Only root may; who owns the job already changes nothing by it.
    let root = rustix::process::geteuid().is_root();
    let expected = if root { Ok(S_OK) } else { Err(h::E_ACCESSDENIED) };
    assert_eq!(service.act(id, Action::TakeOwnership), expected);
    service.act(id, Action::Cancel).unwrap();
    let expected = if root { h::BG_E_INVALID_STATE } else { h::E_ACCESSDENIED };
    assert_eq!(service.client.act(id, Action::TakeOwnership).map_err(refusal).unwrap_err(), expected);
}
