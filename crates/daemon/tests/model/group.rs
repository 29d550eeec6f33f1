//! Groups of the first generation through the service's door: IBackgroundCopyQMgr, IBackgroundCopyGroup, IBackgroundCopyJob1
//! (spec/qmgr-legacy.md 4 to 9).

use crate::common::{NOWHERE, Service, refusal, wait};
use openbits_api::{CreateGroup, GroupFile, GroupJobView, GroupView, VariantView};
use openbits_client::{Action, Error, GroupAction};
use openbits_core::hresult::{self as h, HResult};
use openbits_core::job::Dialect;
use openbits_core::{JobId, JobState};
use openbits_testkit::{Content, Origin};

const INCOMPLETE: u32 = 0x80;
const SUSPENDED: u32 = 0x100;
const ERROR: u32 = 0x200;
const COMPLETE: u32 = 0x40;
const FOREGROUND: u32 = 0x400;

/// No random GUIDs: the caller may choose any.
fn id(n: u8) -> JobId {
    JobId::from_bytes([n; 16])
}

fn code<T>(result: Result<T, Error>) -> Result<(), HResult> {
    result.map(drop).map_err(refusal)
}

impl Service {
    fn create_group(&self, id: JobId) -> Result<GroupView, HResult> {
        let group = CreateGroup { id: id.to_string(), environment_proxy: None };
        self.client.create_group(&group).map_err(refusal)
    }

    /// A group with its job, and these files.
    fn group(&self, n: u8, files: &[(&str, &str)]) -> (JobId, JobId) {
        let (group, job) = (id(n), id(n + 100));
        self.create_group(group).unwrap();
        self.client.create_group_job(group, job).unwrap();
        if !files.is_empty() {
            let files = files.iter().map(|(url, name)| self.group_file(url, name)).collect();
            self.client.add_group_files(group, job, files).unwrap();
        }
        (group, job)
    }

    fn group_file(&self, url: &str, name: &str) -> GroupFile {
        let local_name = self.path(name).display().to_string();
        GroupFile { remote_name: url.to_owned(), local_name, size_hint: 77 }
    }

    fn act_on(&self, group: JobId, action: GroupAction) -> Result<(), HResult> {
        code(self.client.act_on_group(group, action))
    }

    fn status(&self, group: JobId) -> u32 {
        self.client.group(group).unwrap().status
    }

    fn status_reaches(&self, group: JobId, status: u32) {
        wait("the status", || (self.status(group) == status).then_some(()));
    }

    fn inner(&self, (group, job): (JobId, JobId)) -> GroupJobView {
        self.client.group_job(group, job).unwrap()
    }

    fn text(&self, group: JobId, number: u32) -> String {
        self.client.group_property(group, number).unwrap().text.unwrap()
    }
}

#[test]
fn q_mgr_create_group() {
    let mut service = Service::start();
    let view = service.create_group(id(1)).unwrap();
    assert_eq!((view.id.as_str(), view.status), (id(1).to_string().as_str(), INCOMPLETE | SUSPENDED));
    assert_eq!((view.job, view.size, view.job_index), (None, 0, 0), "empty");
    let modern = service.job(id(1));
    assert_eq!((modern.dialect, modern.state), (Dialect::Group, JobState::Suspended));
    assert_eq!(modern.notify_flags, 2, "errors are told by default");
    assert_eq!(service.create_group(id(1)).err(), Some(h::E_INVALIDARG));
    let other = service.create(vec![]);
    assert_eq!(service.create_group(other).err(), Some(h::E_INVALIDARG), "a modern job's");
    assert_eq!(service.create_group(id(0)).err(), Some(h::E_INVALIDARG));
    let bad = CreateGroup { id: "no GUID".to_owned(), environment_proxy: None };
    assert_eq!(code(service.client.create_group(&bad)), Err(h::E_INVALIDARG));
    service.restart();
    assert_eq!(service.status(id(1)), INCOMPLETE | SUSPENDED, "the answer meant: on disk");
}

#[test]
fn q_mgr_get_group() {
    let service = Service::start();
    let (group, job) = service.group(1, &[]);
    let view = service.client.get_group(group).unwrap();
    assert_eq!(view.job.unwrap().id, job.to_string());
    assert_eq!(code(service.client.get_group(id(2))), Err(h::QM_E_ITEM_NOT_FOUND));
    let modern = service.create(vec![]);
    assert_eq!(code(service.client.get_group(modern)), Err(h::QM_E_ITEM_NOT_FOUND), "no group");
    service.act_on(group, GroupAction::Cancel).unwrap();
    assert_eq!(code(service.client.get_group(group)), Err(h::QM_E_ITEM_NOT_FOUND), "gone");
}

#[test]
fn q_mgr_enum_groups() {
    let service = Service::start();
    for n in [3, 1, 2] {
        service.create_group(id(n)).unwrap();
    }
    service.create(vec![]);
    let ids = service.client.groups(0).unwrap().ids;
    assert_eq!(ids, [id(3), id(1), id(2)].map(|id| id.to_string()), "in the order of creation");
    for flags in [1, 2, u32::MAX] {
        assert_eq!(code(service.client.groups(flags)), Err(h::E_NOTIMPL), "{flags}");
    }
}

#[test]
fn group_get_prop() {
    let service = Service::start();
    let (group, _) = service.group(1, &[]);
    for (number, value) in [(0, 1), (5, 1), (6, 0)] {
        let view = service.client.group_property(group, number).unwrap();
        assert_eq!((view.vt, view.number, view.text), (3, Some(value), None), "{number}");
    }
    for number in [7, 11, 12] {
        let view = service.client.group_property(group, number).unwrap();
        assert_eq!((view.vt, view.number, view.text.as_deref()), (8, None, Some("")), "{number}");
    }
    for number in [1, 2, 3, 4, 8, 9, 10, 13, u32::MAX] {
        assert_eq!(code(service.client.group_property(group, number)), Err(h::E_NOTIMPL), "{number}");
    }
    service.act_on(group, GroupAction::Cancel).unwrap();
    assert_eq!(code(service.client.group_property(group, 0)), Err(h::QM_E_INVALID_STATE), "gone");
}

#[test]
fn group_set_prop() {
    let mut service = Service::start();
    let (group, _) = service.group(1, &[(NOWHERE, "a")]);
    let text = |text: &str| VariantView { vt: 8, number: None, text: Some(text.to_owned()) };
    let number = |vt, n| VariantView { vt, number: Some(n), text: None };
    service.act_on(group, GroupAction::Resume).unwrap();
    for (property, value) in [
        (0, number(2, 1)),
        (5, number(19, 1)),
        (6, number(18, 0x85)),
        (7, text("084f6593-3800-4e08-9b59-99fa59addf82")),
        (11, text("name")),
        (12, text("description")),
    ] {
        let set = service.client.set_group_property(group, property, &value);
        assert_eq!(code(set), Ok(()), "{property}, while it runs");
    }
    for (property, value, refused) in [
        (0, number(3, 2), h::E_INVALIDARG),
        (0, number(11, 1), h::E_INVALIDARG),
        (0, VariantView { vt: 3, number: None, text: None }, h::E_INVALIDARG),
        (1, text("user"), h::E_NOTIMPL),
        (6, number(3, 0x100), h::E_INVALIDARG),
        (7, text("no class"), h::E_INVALIDARG),
        (11, text(&"n".repeat(257)), h::E_INVALIDARG),
        (12, text(&"n".repeat(1025)), h::E_INVALIDARG),
        (13, number(3, 1), h::E_NOTIMPL),
    ] {
        let set = service.client.set_group_property(group, property, &value);
        assert_eq!(code(set), Err(refused), "{property}");
    }
    service.restart();
    assert_eq!((service.text(group, 11).as_str(), service.text(group, 12).as_str()), ("name", "description"));
    assert_eq!(service.text(group, 7), "{084F6593-3800-4E08-9B59-99FA59ADDF82}");
    assert_eq!(service.client.group_property(group, 6).unwrap().number, Some(0x85));
    assert_eq!((service.job(group).display_name.as_str(), service.job(group).notify_flags), ("name", 3));
}

#[test]
fn group_get_progress() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1000));
    let (group, job) = service.group(1, &[(&origin.url("a"), "a")]);
    let progress = |kind| service.client.group_progress(group, kind).map(|p| p.value).map_err(refusal);
    assert_eq!((progress(1), progress(3)), (Ok(0), Ok(0)), "the size is not known");
    service.act_on(group, GroupAction::Resume).unwrap();
    service.status_reaches(group, COMPLETE | SUSPENDED);
    assert_eq!((progress(1), progress(3)), (Ok(100), Ok(1000)));
    assert_eq!(
        (progress(2), progress(0), progress(4)),
        (Err(h::E_NOTIMPL), Err(h::E_INVALIDARG), Err(h::E_INVALIDARG))
    );
    assert_eq!(service.client.group_job_progress(group, job, 3).unwrap().value, 1000, "the same");
}

#[test]
fn group_get_status() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1000));
    let (group, _) = service.group(1, &[(&origin.url("a"), "a")]);
    assert_eq!(service.status(group), INCOMPLETE | SUSPENDED);
    service.act_on(group, GroupAction::Resume).unwrap();
    service.status_reaches(group, COMPLETE | SUSPENDED);
    let (failing, _) = service.group(2, &[(&origin.url("missing"), "b")]);
    service.act_on(failing, GroupAction::Resume).unwrap();
    service.status_reaches(failing, INCOMPLETE | SUSPENDED | ERROR);
    let (trying, _) = service.group(3, &[(NOWHERE, "c")]);
    service.act_on(trying, GroupAction::Resume).unwrap();
    service.reaches(trying, JobState::TransientError);
    assert_eq!(service.status(trying), INCOMPLETE, "the service tries again by itself");
}

#[test]
fn group_get_job() {
    let service = Service::start();
    service.create_group(id(1)).unwrap();
    let get = |job| code(service.client.group_job(id(1), job));
    assert_eq!(get(id(101)), Err(h::QM_E_ITEM_NOT_FOUND), "no job yet");
    service.client.create_group_job(id(1), id(101)).unwrap();
    assert_eq!((get(id(101)), get(id(102))), (Ok(()), Err(h::QM_E_ITEM_NOT_FOUND)));
}

#[test]
fn group_suspend_group() {
    let service = Service::start();
    let (group, _) = service.group(1, &[(NOWHERE, "a")]);
    assert_eq!(service.act_on(group, GroupAction::Suspend), Ok(()), "it is suspended already");
    service.act_on(group, GroupAction::Resume).unwrap();
    service.status_reaches(group, INCOMPLETE);
    assert_eq!(service.act_on(group, GroupAction::Suspend), Ok(()));
    assert_eq!(service.status(group), INCOMPLETE | SUSPENDED);
    service.act_on(group, GroupAction::Cancel).unwrap();
    assert_eq!(service.act_on(group, GroupAction::Suspend), Err(h::QM_E_INVALID_STATE));
    assert_eq!(service.act_on(id(9), GroupAction::Suspend), Err(h::QM_E_ITEM_NOT_FOUND));
    let modern = service.create(vec![]);
    assert_eq!(service.act_on(modern, GroupAction::Suspend), Err(h::QM_E_ITEM_NOT_FOUND));
}

#[test]
fn group_resume_group() {
    let (service, origin) = (Service::start(), Origin::start());
    service.create_group(id(1)).unwrap();
    let resume = |group| service.act_on(group, GroupAction::Resume);
    assert_eq!(resume(id(1)), Err(h::QM_E_INVALID_STATE), "no job");
    service.client.create_group_job(id(1), id(101)).unwrap();
    assert_eq!(resume(id(1)), Err(h::QM_E_INVALID_STATE), "no files");
    let files = vec![service.group_file(&origin.url("a"), "a")];
    service.client.add_group_files(id(1), id(101), files).unwrap();
    assert_eq!((resume(id(1)), resume(id(1))), (Ok(()), Ok(())));
    service.status_reaches(id(1), INCOMPLETE | SUSPENDED | ERROR);
    origin.put("a", Content::new(1, 10));
    assert_eq!(resume(id(1)), Ok(()), "a group in error is tried again");
    service.status_reaches(id(1), COMPLETE | SUSPENDED);
    assert_eq!(resume(id(1)), Ok(()));
}

#[test]
fn group_cancel_group() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1000));
    // One file is there, the other is not.
    let (group, job) = service.group(1, &[(&origin.url("a"), "a"), (&origin.url("missing"), "b")]);
    service.act_on(group, GroupAction::Resume).unwrap();
    service.status_reaches(group, INCOMPLETE | SUSPENDED | ERROR);
    assert!(!service.path("a").exists(), "no final name before the end");
    assert_eq!(service.act_on(group, GroupAction::Cancel), Ok(()));
    assert_eq!(std::fs::read(service.path("a")).unwrap(), Content::new(1, 1000).byte_range(0, 1000));
    assert!(!service.path("b").exists());
    assert_eq!(std::fs::read_dir(service.path("")).unwrap().count(), 1, "nothing is left behind");
    assert_eq!(service.act_on(group, GroupAction::Cancel), Err(h::QM_E_INVALID_STATE));
    assert_eq!(code(service.client.group_job(group, job)), Err(h::QM_E_INVALID_STATE));
    assert_eq!(service.create_group(group).map(|view| view.job), Ok(None), "the id is free again");
    assert_eq!(service.act_on(group, GroupAction::Cancel), Ok(()), "an empty one goes too");
    assert_eq!(service.client.groups(0).unwrap().ids, Vec::<String>::new());
}

#[test]
fn group_get_size() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 700));
    origin.put("b", Content::new(2, 300));
    let (group, _) = service.group(1, &[(&origin.url("a"), "a"), (&origin.url("b"), "b")]);
    let size = || service.client.group(group).unwrap().size;
    assert_eq!(size(), 0, "not known yet");
    service.act_on(group, GroupAction::Resume).unwrap();
    service.status_reaches(group, COMPLETE | SUSPENDED);
    assert_eq!(size(), 1000);
}

#[test]
fn group_get_group_id() {
    let service = Service::start();
    let (group, _) = service.group(1, &[]);
    assert_eq!(service.client.group(group).unwrap().id, "01010101-0101-0101-0101-010101010101");
}

#[test]
fn group_create_job() {
    let mut service = Service::start();
    service.create_group(id(1)).unwrap();
    service.create_group(id(2)).unwrap();
    let create = |service: &Service, group, job| code(service.client.create_group_job(group, job));
    for taken in [id(0), id(1), id(2), service.create(vec![])] {
        assert_eq!(create(&service, id(1), taken), Err(h::E_INVALIDARG), "{taken}");
    }
    assert_eq!(create(&service, id(1), id(101)), Ok(()));
    assert_eq!(create(&service, id(1), id(102)), Err(h::E_NOTIMPL));
    assert_eq!(create(&service, id(2), id(101)), Err(h::E_INVALIDARG), "taken by the other group");
    let files = vec![service.group_file(NOWHERE, "a")];
    service.client.add_group_files(id(1), id(101), files).unwrap();
    service.act_on(id(1), GroupAction::Resume).unwrap();
    assert_eq!(create(&service, id(1), id(102)), Err(h::QM_E_INVALID_STATE), "running goes first");
    service.restart();
    assert_eq!(service.inner((id(1), id(101))).files, 1, "all of it was stored");
}

#[test]
fn group_enum_jobs() {
    let service = Service::start();
    service.create_group(id(1)).unwrap();
    let ids = || service.client.group_jobs(id(1), 0).unwrap().ids;
    assert_eq!(ids(), Vec::<String>::new());
    service.client.create_group_job(id(1), id(101)).unwrap();
    assert_eq!(ids(), [id(101).to_string()]);
    assert_eq!(code(service.client.group_jobs(id(1), 1)), Err(h::E_NOTIMPL));
}

#[test]
fn group_switch_to_foreground() {
    let service = Service::start();
    let (group, job) = service.group(1, &[]);
    for _ in 0..2 {
        assert_eq!(service.act_on(group, GroupAction::SwitchToForeground), Ok(()));
    }
    assert_eq!(service.status(group), INCOMPLETE | SUSPENDED | FOREGROUND);
    assert_eq!(service.inner((group, job)).status, 0x8, "a job has no such bit");
    assert_eq!(service.client.group_property(group, 0).unwrap().number, Some(1), "nor the property");
    assert_eq!(service.job(group).priority, openbits_core::Priority::Foreground);
    service.act_on(group, GroupAction::Cancel).unwrap();
    assert_eq!(service.act_on(group, GroupAction::SwitchToForeground), Err(h::QM_E_INVALID_STATE));
}

/// The modern object behind the group: every modern call works on it, by the same id.
#[test]
fn group_query_new_job_interface_is_the_modern_job() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1000));
    let (group, _) = service.group(1, &[(&origin.url("a"), "a")]);
    let listed = service.client.jobs(&openbits_client::JobQuery::default()).unwrap();
    assert_eq!(listed.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), [group.to_string()]);
    service.transfer(group);
    assert_eq!(service.status(group), COMPLETE | SUSPENDED);
    service.act(group, Action::Complete).unwrap();
    assert!(service.path("a").exists());
    assert_eq!(code(service.client.group(group)), Err(h::QM_E_INVALID_STATE), "gone for both");
}

/// A live listener is that of the modern job: registered by the same id, and gone with its connection.
#[test]
fn group_set_notification_pointer_is_a_registration() {
    let service = Service::start();
    let (group, _) = service.group(1, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = service.asynchronous();
        let mut callbacks = client.callbacks().await.unwrap();
        callbacks.register(group).await.unwrap();
        assert!(client.notify_interface(group).await.unwrap().registered);
    });
    drop(runtime);
    wait("its end", || (!service.job(group).notify_interface).then_some(()));
}

#[test]
fn job1_cancel_job() {
    let service = Service::start();
    let (group, job) = service.group(1, &[]);
    assert_eq!(code(service.client.cancel_group_job(group, job)), Err(h::E_NOTIMPL));
    assert_eq!(code(service.client.cancel_group_job(group, id(9))), Err(h::QM_E_ITEM_NOT_FOUND));
    assert_eq!(service.inner((group, job)).status, 0x8, "it is there as before");
}

#[test]
fn job1_get_progress() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1000));
    let (group, job) = service.group(1, &[(&origin.url("a"), "a"), (NOWHERE, "b")]);
    let progress =
        |kind| service.client.group_job_progress(group, job, kind).map(|p| p.value).map_err(refusal);
    service.act_on(group, GroupAction::Resume).unwrap();
    wait("the first file", || (progress(3) == Ok(1000)).then_some(()));
    assert_eq!(progress(1), Ok(0), "the other's size is not known");
    assert_eq!((progress(2), progress(9)), (Err(h::E_NOTIMPL), Err(h::E_INVALIDARG)));
}

#[test]
fn job1_get_status() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 10));
    let words = |at| {
        let view = service.inner(at);
        (view.status, view.win32_result, view.transport_result, view.retries)
    };
    let good = service.group(1, &[(&origin.url("a"), "a")]);
    assert_eq!(words(good), (0x8, 0, 0, 0));
    service.act_on(good.0, GroupAction::Resume).unwrap();
    service.status_reaches(good.0, COMPLETE | SUSPENDED);
    assert_eq!(words(good), (0x4, 0, 0, 0));
    let bad = service.group(2, &[(&origin.url("missing"), "b")]);
    service.act_on(bad.0, GroupAction::Resume).unwrap();
    service.status_reaches(bad.0, INCOMPLETE | SUSPENDED | ERROR);
    assert_eq!(words(bad), (0x18, 0, 404, 1), "incomplete and in error");
    let trying = service.group(3, &[(NOWHERE, "c")]);
    service.act_on(trying.0, GroupAction::Resume).unwrap();
    service.reaches(trying.0, JobState::TransientError);
    assert_eq!(words(trying), (0x8, 0, 0, 0), "no error while the service tries again");
}

#[test]
fn job1_add_files() {
    let service = Service::start();
    let (group, job) = service.group(1, &[]);
    let add = |files| code(service.client.add_group_files(group, job, files));
    let file = |url: &str, name: &str| service.group_file(url, name);
    let at = |local: &str| GroupFile { local_name: local.to_owned(), ..file(NOWHERE, "x") };
    assert_eq!(add(vec![]), Err(h::E_INVALIDARG), "count 0");
    for bad in [
        file("ftp://h/x", "a"),
        file("http://h/a b", "a"),
        file(&format!("http://h/{}", "a".repeat(2192)), "a"),
        file(NOWHERE, "*"),
        file(NOWHERE, "no/such/folder"),
        at("relative"),
        at(&format!("/{}x", "a/".repeat(130))),
    ] {
        assert_eq!(add(vec![file(NOWHERE, "good"), bad.clone()]), Err(h::E_INVALIDARG), "{bad:?}");
    }
    assert_eq!(service.inner((group, job)).files, 0, "all or nothing");
    assert_eq!(add(vec![file(NOWHERE, "a"), file(NOWHERE, "b")]), Ok(()));
    service.act_on(group, GroupAction::Resume).unwrap();
    assert_eq!(add(vec![file(NOWHERE, "c")]), Ok(()), "while it runs");
    let refused = service.client.add_group_files(group, id(9), vec![file(NOWHERE, "d")]);
    assert_eq!(code(refused), Err(h::QM_E_ITEM_NOT_FOUND));
    service.act_on(group, GroupAction::Cancel).unwrap();
    assert_eq!(add(vec![file(NOWHERE, "e")]), Err(h::QM_E_INVALID_STATE));
}

#[test]
fn job1_get_file() {
    let service = Service::start();
    let (group, job) = service.group(1, &[(NOWHERE, "a"), ("http://h/%7Eb", "b")]);
    let get = |index| service.client.group_file(group, job, index).map_err(refusal);
    let second = GroupFile { size_hint: 0, ..service.group_file("http://h/%7Eb", "b") };
    assert_eq!(get(1), Ok(second), "as it was added; a hint is told as 0");
    for beyond in [2, 3, u32::MAX] {
        assert_eq!(get(beyond), Err(h::QM_E_ITEM_NOT_FOUND), "{beyond}");
    }
}

#[test]
fn job1_get_file_count() {
    let service = Service::start();
    let (group, job) = service.group(1, &[]);
    assert_eq!(service.inner((group, job)).files, 0);
    service.client.add_group_files(group, job, vec![service.group_file(NOWHERE, "a")]).unwrap();
    assert_eq!(service.inner((group, job)).files, 1);
}

#[test]
fn job1_switch_to_foreground() {
    let service = Service::start();
    let (group, job) = service.group(1, &[]);
    assert_eq!(code(service.client.switch_group_job_to_foreground(group, job)), Err(h::E_NOTIMPL));
    assert_eq!(service.status(group), INCOMPLETE | SUSPENDED, "nothing changed");
}

#[test]
fn job1_get_job_id() {
    let service = Service::start();
    let at = service.group(1, &[]);
    assert_eq!(service.inner(at).id, id(101).to_string());
}
