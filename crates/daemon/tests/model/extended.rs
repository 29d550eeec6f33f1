//! IBackgroundCopyJob3 and 4, File2 to File5 through the door (spec/bits-extended.md 4, 5, 7).

use crate::common::{NOWHERE, Service, code, refusal};
use openbits_api::SetProperties;
use openbits_client::Action;
use openbits_core::JobState;
use openbits_core::hresult::{self as h, S_FALSE, S_OK};
use openbits_testkit::{Behaviour, Content, Origin, OriginFile};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn read(service: &Service, name: &str) -> Vec<u8> {
    std::fs::read(service.path(name)).unwrap()
}

#[test]
fn job3_replace_remote_prefix_moves_a_running_job_to_another_server() {
    let (service, old, new) = (Service::start(), Origin::start(), Origin::start());
    let content = Content::new(3, 8 << 20);
    let file = || OriginFile::new(content.clone());
    old.put("a", file());
    new.put("a", file());
    old.hold("a", 4 << 20);
    let id = service.create(vec![service.file(&old.url("a"), "a"), service.file(NOWHERE, "b")]);
    service.act(id, Action::Resume).unwrap();
    assert!(old.wait_held("a", PATIENCE));
    crate::common::wait("a checkpoint", || (service.files(id)[0].bytes_transferred > 0).then_some(()));
    let prefix = |origin: &Origin| format!("http://{}/", origin.addr());
    let replace = |a: &str, b: &str| code(service.client.replace_remote_prefix(id, a, b));
    assert_eq!(replace("http://nobody/", "http://x/"), Ok(S_FALSE));
    assert_eq!(replace("", "http://x/"), Err(h::E_INVALIDARG));
    assert_eq!(replace(&prefix(&old), "ftp://x/"), Err(h::E_INVALIDARG));
    assert_eq!(replace(&prefix(&old), &prefix(&new)), Ok(S_OK));
    assert_eq!(service.files(id)[0].remote_name, new.url("a"));
    assert_eq!(service.files(id)[1].remote_name, NOWHERE, "it does not begin so");
    crate::common::wait("the file", || service.files(id)[0].transferred.then_some(()));
    let asked = new.requests("a");
    assert!(
        asked[0].range().is_some() && asked[0].header("if-range").is_some(),
        "it goes on where it was: {asked:?}"
    );
    assert_eq!(service.files(id)[0].restarts, 0);
    service.act(id, Action::Complete).unwrap();
    assert_eq!(content.first_difference(0, &read(&service, "a")), None);
}

#[test]
fn file2_set_remote_name_goes_on_by_size_and_date_and_over_a_restart() {
    let (mut service, old, new) = (Service::start(), Origin::start(), Origin::start());
    let content = Content::new(4, 8 << 20);
    old.put("a", OriginFile::new(content.clone()));
    // The same size and date, another tag: another kind of server.
    new.put("b", OriginFile::new(content.clone()).etag(openbits_testkit::Etag::Strong("other".into())));
    old.hold("a", 5 << 20);
    let id = service.create(vec![service.file(&old.url("a"), "a")]);
    service.act(id, Action::Resume).unwrap();
    assert!(old.wait_held("a", PATIENCE));
    crate::common::wait("a checkpoint", || (service.files(id)[0].bytes_transferred > 0).then_some(()));
    service.act(id, Action::Suspend).unwrap();
    let set = |service: &Service, index, url: &str| code(service.client.set_remote_name(id, index, url));
    assert_eq!(set(&service, 0, "gopher://h/"), Err(h::E_INVALIDARG));
    assert_eq!(set(&service, 1, NOWHERE), Err(h::BG_E_FILE_NOT_FOUND));
    assert_eq!(set(&service, 0, &new.url("b")), Ok(S_OK));
    service.restart();
    assert_eq!(service.files(id)[0].remote_name, new.url("b"));
    let before = service.files(id)[0].bytes_transferred;
    assert!(before > 0);
    service.transfer(id);
    assert_eq!(service.files(id)[0].restarts, 0, "the date is as good as the tag");
    assert!(new.sent("b") <= content.size() - before, "only the rest was fetched");
    assert_eq!(service.act(id, Action::Complete), Ok(S_OK));
    assert_eq!(content.first_difference(0, &read(&service, "a")), None);
    assert_eq!(set(&service, 0, NOWHERE), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn file2_set_remote_name_keeps_passwords_to_itself_and_to_their_server() {
    let service = Service::start();
    let id = service.create(vec![service.file("http://u:secret@127.0.0.1:1/a", "a")]);
    assert_eq!(code(service.client.set_remote_name(id, 0, "http://u:other@127.0.0.1:2/a")), Ok(S_OK));
    assert_eq!(service.files(id)[0].remote_name, "http://127.0.0.1:2/a");
    let replace = |old: &str, new: &str| code(service.client.replace_remote_prefix(id, old, new));
    assert_eq!(
        replace("http://127.0.0.1:2", "http://u:p@127.0.0.1:3"),
        Err(h::E_INVALIDARG),
        "for which server?"
    );
    assert_eq!(replace("http://u:x@127.0.0.1:2/", "http://u:p@127.0.0.1:3/"), Ok(S_OK));
    assert_eq!(service.files(id)[0].remote_name, "http://127.0.0.1:3/a");
}

#[test]
fn file2_set_remote_name_begins_anew_where_the_content_is_another() {
    let (service, origin) = (Service::start(), Origin::start());
    let other = Content::new(6, 7 << 20);
    origin.put("a", Content::new(5, 8 << 20));
    origin.put("b", other.clone());
    origin.hold("a", 5 << 20);
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    service.act(id, Action::Resume).unwrap();
    assert!(origin.wait_held("a", PATIENCE));
    crate::common::wait("a checkpoint", || (service.files(id)[0].bytes_transferred > 0).then_some(()));
    assert_eq!(code(service.client.set_remote_name(id, 0, &origin.url("b"))), Ok(S_OK));
    service.reaches(id, JobState::Transferred);
    service.act(id, Action::Complete).unwrap();
    assert_eq!(other.first_difference(0, &read(&service, "a")), None, "never a mixture");
}

#[test]
fn job3_set_file_acl_flags_and_get_file_acl_flags_through_the_door() {
    let (mut service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 10));
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    let flags = |n| SetProperties { acl_flags: Some(n), ..SetProperties::default() };
    assert_eq!(service.set(id, flags(0x10)), Err(h::E_INVALIDARG));
    assert_eq!(service.set(id, flags(7)), Ok(S_OK), "no privilege is asked for at the call");
    service.restart();
    service.transfer(id);
    assert_eq!(service.set(id, flags(1)), Err(h::BG_E_INVALID_STATE));
    assert_eq!(service.act(id, Action::Complete), Ok(S_OK), "without effect on what comes by HTTP");
}

#[test]
fn job3_get_file_acl_flags() {
    let mut service = Service::start();
    let id = service.create(vec![]);
    assert_eq!(service.job(id).acl_flags, 0);
    service.set(id, SetProperties { acl_flags: Some(5), ..SetProperties::default() }).unwrap();
    service.restart();
    assert_eq!(service.job(id).acl_flags, 5);
}

#[test]
fn job4_set_peer_caching_flags() {
    let service = Service::start();
    let id = service.create(vec![]);
    let flags = |n| SetProperties { peer_caching_flags: Some(n), ..SetProperties::default() };
    for (bits, expected) in [(0, Ok(S_OK)), (7, Ok(S_OK)), (8, Err(h::E_NOTIMPL))] {
        assert_eq!(service.set(id, flags(bits)), expected, "{bits}");
    }
}

#[test]
fn job4_get_peer_caching_flags() {
    let mut service = Service::start();
    let id = service.create(vec![]);
    assert_eq!(service.job(id).peer_caching_flags, 0);
    service.set(id, SetProperties { peer_caching_flags: Some(4), ..SetProperties::default() }).unwrap();
    service.restart();
    assert_eq!(service.job(id).peer_caching_flags, 4);
}

#[test]
fn job4_get_owner_integrity_level_and_elevation_at_the_door() {
    let service = Service::start();
    let job = service.job(service.create(vec![]));
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login = login.and_then(|text| text.trim().parse::<u32>().ok()).filter(|uid| *uid != u32::MAX);
    let expected = match (rustix::process::geteuid().is_root(), login) {
        (false, _) => (0x2000, false),
        (true, None) => (0x4000, false),
        (true, Some(uid)) => (0x3000, uid != 0),
    };
    assert_eq!((job.owner_integrity_level, job.owner_elevated), expected);
}

#[test]
fn job4_set_maximum_download_time() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1 << 20));
    origin.hold("a", 1000);
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    let time = |s| SetProperties { maximum_download_time_s: Some(s), ..SetProperties::default() };
    assert_eq!(service.set(id, time(0)), Err(h::E_INVALIDARG));
    assert_eq!(service.set(id, time(1)), Ok(S_OK));
    service.act(id, Action::Resume).unwrap();
    let job = service.reaches(id, JobState::Error);
    assert_eq!(job.error.unwrap().name, "BG_E_MAXDOWNLOAD_TIMEOUT");
    origin.release("a");
    service.transfer(id);
}

#[test]
fn job4_get_maximum_download_time() {
    let mut service = Service::with_policy("[timeouts]\nmax_download = \"10d\"\n");
    let id = service.create(vec![]);
    assert_eq!(service.job(id).maximum_download_time_s, 864_000, "the policy's");
    let time = SetProperties { maximum_download_time_s: Some(u32::MAX), ..SetProperties::default() };
    service.set(id, time).unwrap();
    service.restart();
    assert_eq!(service.job(id).maximum_download_time_s, u64::from(u32::MAX), "the job's");
}

#[test]
fn file3_get_temporary_name_is_where_the_data_is() {
    let (service, origin) = (Service::start(), Origin::start());
    let content = Content::new(1, 5000);
    origin.put("a", content.clone());
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    assert_eq!(service.files(id)[0].temporary_path, None);
    service.transfer(id);
    let path = service.files(id)[0].temporary_path.clone().unwrap();
    assert_eq!(content.first_difference(0, &std::fs::read(path).unwrap()), None);
    service.act(id, Action::Complete).unwrap();
    assert_eq!(service.files(id)[0].temporary_path, None);
}

#[test]
fn file3_set_validation_state_through_the_door() {
    let (mut service, origin) = (Service::start(), Origin::start());
    let content = Content::new(1, 5000);
    origin.put("a", content.clone());
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    let judge = |service: &Service, index, valid| code(service.client.set_validation(id, index, valid));
    assert_eq!(judge(&service, 0, true), Err(h::E_PENDING));
    assert_eq!(judge(&service, 1, true), Err(h::BG_E_FILE_NOT_FOUND));
    service.transfer(id);
    assert_eq!(judge(&service, 0, true), Ok(S_OK));
    service.restart();
    assert!(service.files(id)[0].valid);
    assert_eq!(judge(&service, 0, false), Ok(S_OK));
    let job = service.job(id);
    assert_eq!((job.state, job.error.unwrap().name.as_str()), (JobState::Error, "BG_E_VALIDATION_FAILED"));
    assert_eq!((service.files(id)[0].bytes_transferred, service.files(id)[0].valid), (0, false));
    service.transfer(id);
    assert_eq!(origin.requests("a").len(), 2, "fetched again");
    assert_eq!(service.act(id, Action::Complete), Ok(S_OK));
    assert_eq!(content.first_difference(0, &read(&service, "a")), None);
    assert_eq!(judge(&service, 0, true), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn file3_get_validation_state() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 50));
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    assert!(!service.files(id)[0].valid, "never set");
    service.transfer(id);
    assert!(!service.files(id)[0].valid, "nobody judged it");
    service.act(id, Action::Complete).unwrap();
    assert!(service.files(id)[0].valid, "Complete did");
}

#[test]
fn file3_is_downloaded_from_peer() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 50));
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    service.transfer(id);
    assert!(!service.files(id)[0].downloaded_from_peer);
}

#[test]
fn file4_get_peer_download_stats() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 50));
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    let stats = || (service.files(id)[0].bytes_from_origin, service.files(id)[0].bytes_from_peers);
    assert_eq!(stats(), (0, 0));
    service.transfer(id);
    assert_eq!(stats(), (50, 0));
}

#[test]
fn file5_get_property() {
    let (mut service, origin) = (Service::start(), Origin::start());
    origin.put("a", OriginFile::new(Content::new(1, 50)).header("X-One", "1").header("X-Two", "2"));
    let id =
        service.create(vec![service.file(&origin.url("a"), "a"), service.file(&origin.url("none"), "b")]);
    let headers = |service: &Service, index| {
        service.client.file_property(id, index, 1).map(|p| p.value).map_err(refusal)
    };
    assert_eq!(headers(&service, 0), Ok(None), "no answer yet");
    for unknown in [0, 2, u32::MAX] {
        let refused = service.client.file_property(id, 0, unknown).map_err(refusal).unwrap_err();
        assert_eq!(refused, h::BG_E_UNKNOWN_PROPERTY_ID);
    }
    assert_eq!(headers(&service, 2), Err(h::BG_E_FILE_NOT_FOUND));
    service.act(id, Action::Resume).unwrap();
    service.reaches(id, JobState::Error);
    service.restart();
    let text = headers(&service, 0).unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 206 Partial Content\r\n") && text.ends_with("\r\n"), "{text}");
    for line in ["x-one: 1", "x-two: 2", "content-length: 50"] {
        assert!(text.to_ascii_lowercase().split("\r\n").any(|l| l == line), "{line} in {text}");
    }
    let text = headers(&service, 1).unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 404 "), "also of an answer that is an error: {text}");
}

#[test]
fn file5_get_property_after_redirects_is_the_final_answer() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", OriginFile::new(Content::new(1, 50)).behaviour(Behaviour::Redirect(302)));
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    service.transfer(id);
    assert!(origin.requests("a").len() >= 2, "it was redirected");
    let text = service.client.file_property(id, 0, 1).unwrap().value.unwrap();
    assert!(text.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{text}");
}

#[test]
fn file5_set_property() {
    let service = Service::start();
    let id = service.create(vec![service.file(NOWHERE, "a")]);
    let set = |index, number| code(service.client.set_file_property(id, index, number));
    assert_eq!(set(0, 1), Err(h::BG_E_READ_ONLY_PROPERTY));
    for unknown in [0, 2, u32::MAX] {
        assert_eq!(set(0, unknown), Err(h::BG_E_UNKNOWN_PROPERTY_ID));
    }
    assert_eq!(set(1, 1), Err(h::BG_E_FILE_NOT_FOUND));
}
