//! Other names, validation, notices at intervals: calls of BITS 2.0 and later on the queue.

use super::world::{ALICE, Plan, SIZE, World};
use crate::enums::{JobState, JobType, Priority};
use crate::hresult::{self as h, HResult, S_FALSE, S_OK};
use crate::id::JobId;
use crate::job::Setting;
use crate::job::property::Property;
use crate::queue::{Call, NoticeKind};

fn rename(w: &mut World, id: JobId, file: u32, name: &str) -> Result<HResult, HResult> {
    w.call(ALICE, id, Call::SetRemoteName { file, name: name.into(), login: None })
}

fn replace(w: &mut World, id: JobId, old: &str, new: &str) -> Result<HResult, HResult> {
    w.call(ALICE, id, Call::ReplaceRemotePrefix { old: old.into(), new: new.into(), login: None })
}

fn judge(w: &mut World, id: JobId, file: u32, valid: bool) -> Result<HResult, HResult> {
    w.call(ALICE, id, Call::SetValidationState { file, valid })
}

fn idle(w: &mut World, files: u32) -> JobId {
    w.create(ALICE, Plan { files, resume: false, ..Plan::default() })
}

#[test]
fn file2_set_remote_name_refuses_what_add_file_refuses() {
    let mut w = World::new();
    let id = idle(&mut w, 1);
    let too_long = format!("http://h/{}", "a".repeat(2200));
    for bad in ["", "gopher://h/", "relative", &too_long] {
        assert_eq!(rename(&mut w, id, 0, bad), Err(h::E_INVALIDARG), "{bad}");
    }
    assert_eq!(rename(&mut w, id, 1, "http://i/"), Err(h::BG_E_FILE_NOT_FOUND));
    assert_eq!(rename(&mut w, id, 0, "https://i/new"), Ok(S_OK));
    assert_eq!(&*w.job(id).files[0].remote, "https://i/new");
    let upload = w.create(ALICE, Plan { kind: JobType::Upload, resume: false, ..Plan::default() });
    assert_eq!(rename(&mut w, upload, 0, "http://i/"), Err(h::E_NOTIMPL));
    w.call(ALICE, id, Call::Cancel).unwrap();
    assert_eq!(rename(&mut w, id, 0, "http://i/"), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn file2_set_remote_name_while_running_goes_on_with_the_new_name() {
    let mut w = World::new();
    let id = w.job_at(Priority::Normal);
    w.connect(id);
    w.checkpoint(id, 0, 400);
    let first = w.attempt(id);
    assert_eq!(rename(&mut w, id, 0, "http://mirror/0"), Ok(S_OK));
    assert!(w.is_running(id) && w.attempt(id) != first, "a new attempt knows the new name");
    let file = &w.job(id).files[0];
    assert_eq!((file.done.len(), &*file.remote), (400, "http://mirror/0"), "what is there stays");
    w.crash();
    assert_eq!(&*w.job(id).files[0].remote, "http://mirror/0", "durable at once, also without Resume");
}

#[test]
fn file2_set_remote_name_of_a_finished_file_moves_nothing() {
    let mut w = World::new();
    let id = w.job_at(Priority::Normal);
    w.connect(id);
    w.checkpoint(id, 0, SIZE);
    w.done(id);
    assert_eq!(w.state(id), JobState::Transferred);
    assert_eq!(rename(&mut w, id, 0, "http://mirror/0"), Ok(S_OK));
    assert_eq!(w.state(id), JobState::Transferred);
    assert!(w.job(id).files[0].transferred && !w.job(id).files[0].moved);
}

#[test]
fn job3_replace_remote_prefix() {
    let mut w = World::new();
    let id = idle(&mut w, 3);
    assert_eq!(rename(&mut w, id, 1, "http://H/1"), Ok(S_OK));
    for (old, new) in [("", "x"), ("http://h", "")] {
        assert_eq!(replace(&mut w, id, old, new), Err(h::E_INVALIDARG));
    }
    assert_eq!(replace(&mut w, id, "ttp://h/", "http://i/"), Ok(S_FALSE), "anchored at the first character");
    assert_eq!(replace(&mut w, id, "http://h/", "gopher://i/"), Err(h::E_INVALIDARG));
    assert_eq!(replace(&mut w, id, "http://h/", &format!("http://i/{}", "a".repeat(2190))), Ok(S_OK));
    assert_eq!(
        replace(&mut w, id, "http://i/", "http://longer.example/"),
        Err(h::E_INVALIDARG),
        "one too long"
    );
    let names: Vec<_> = w.job(id).files.iter().map(|f| f.remote.len()).collect();
    assert_eq!(names, [2200, 10, 2200], "all or none, and case counts");
    let upload = w.create(ALICE, Plan { kind: JobType::UploadReply, resume: false, ..Plan::default() });
    assert_eq!(replace(&mut w, upload, "http://h", "http://i"), Err(h::E_NOTIMPL));
    w.call(ALICE, id, Call::Cancel).unwrap();
    assert_eq!(replace(&mut w, id, "http://h", "http://i"), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn file3_set_validation_state_false_sends_the_job_to_error_and_resume_fetches_again() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan { files: 2, ..Plan::default() });
    assert_eq!(judge(&mut w, id, 0, true), Err(h::E_PENDING));
    assert_eq!(judge(&mut w, id, 2, true), Err(h::BG_E_FILE_NOT_FOUND));
    w.connect(id);
    w.checkpoint(id, 0, SIZE);
    assert_eq!(judge(&mut w, id, 0, true), Ok(S_OK));
    assert!(w.job(id).files[0].validated);
    assert_eq!(judge(&mut w, id, 0, false), Ok(S_OK), "while the other file is being transferred");
    assert_eq!((w.state(id), w.error(id)), (JobState::Error, h::BG_E_VALIDATION_FAILED));
    assert!(!w.is_running(id));
    let job = w.job(id);
    assert_eq!((job.error.as_ref().unwrap().file, job.files[0].bytes_transferred()), (Some(0), 0));
    assert!(!job.files[0].validated);
    w.crash();
    assert_eq!((w.state(id), w.job(id).files[0].transferred), (JobState::Error, false));
    w.call(ALICE, id, Call::Resume).unwrap();
    w.connect(id);
    w.checkpoint(id, 0, SIZE);
    w.checkpoint(id, 1, SIZE);
    w.done(id);
    assert_eq!(w.state(id), JobState::Transferred);
    w.call(ALICE, id, Call::Complete).unwrap();
    assert!(w.job(id).files.iter().all(|f| f.validated), "Complete takes what is not judged for good");
    assert_eq!(judge(&mut w, id, 0, true), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn file3_get_validation_state_survives_the_store_and_not_a_restart_of_the_file() {
    let mut w = World::new();
    let id = w.job_at(Priority::Normal);
    assert!(!w.job(id).files[0].validated, "false also means: never set");
    w.connect(id);
    w.checkpoint(id, 0, SIZE);
    w.done(id);
    judge(&mut w, id, 0, true).unwrap();
    w.crash();
    assert!(w.job(id).files[0].validated);
    let upload = w.create(ALICE, Plan { kind: JobType::Upload, resume: false, ..Plan::default() });
    assert_eq!(judge(&mut w, upload, 0, true), Err(h::E_NOTIMPL));
    let mut file = w.job(id).files[0].clone();
    file.restart();
    assert!(!file.validated);
}

#[test]
fn file3_get_temporary_name() {
    let mut w = World::new();
    let id = idle(&mut w, 1);
    assert_eq!(w.job(id).temporary_path(0), Ok(None), "not before the transfer");
    w.call(ALICE, id, Call::Resume).unwrap();
    let path = w.job(id).temporary_path(0).unwrap().unwrap();
    assert!(path.starts_with("/d/BIT") && path.ends_with(".tmp"), "beside the destination: {path}");
    assert_eq!(w.job(id).temporary_path(1), Err(h::BG_E_FILE_NOT_FOUND));
    let upload = w.create(ALICE, Plan { kind: JobType::Upload, resume: false, ..Plan::default() });
    assert_eq!(w.job(upload).temporary_path(0), Err(h::E_NOTIMPL));
    let direct = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    w.call(ALICE, direct, Call::Set(vec![Property::Option(Setting::HighPerformance(true))])).unwrap();
    w.call(ALICE, direct, Call::AddFiles(vec![super::world::file(9)])).unwrap();
    assert_eq!(w.job(direct).temporary_path(0).unwrap().as_deref(), Some("/d/9"), "straight into its place");
}

#[test]
fn file3_is_downloaded_from_peer_and_file4_get_peer_download_stats() {
    let mut w = World::new();
    let id = w.job_at(Priority::Normal);
    w.connect(id);
    w.checkpoint(id, 0, SIZE);
    w.done(id);
    let mut file = w.job(id).files[0].clone();
    assert_eq!((file.is_downloaded_from_peer(), file.peer_download_stats()), (false, (SIZE, 0)));
    file.peer_bytes = 300;
    assert_eq!((file.is_downloaded_from_peer(), file.peer_download_stats()), (true, (SIZE - 300, 300)));
    file.restart();
    assert_eq!((file.is_downloaded_from_peer(), file.peer_download_stats()), (false, (0, 0)));
}

#[test]
fn job4_set_maximum_download_time_goes_before_the_policy_and_resume_gives_a_fresh_allowance() {
    let mut w = World::new();
    let id = w.job_at(Priority::Normal);
    w.set(id, Property::Option(Setting::MaximumDownloadTime(100))).unwrap();
    w.connect(id);
    w.pass(99);
    assert_eq!(w.state(id), JobState::Transferring);
    w.pass(1);
    assert_eq!((w.state(id), w.error(id)), (JobState::Error, h::BG_E_MAXDOWNLOAD_TIMEOUT));
    w.call(ALICE, id, Call::Resume).unwrap();
    w.connect(id);
    w.pass(99);
    assert_eq!(w.state(id), JobState::Transferring, "a fresh allowance");
    w.call(ALICE, id, Call::Suspend).unwrap();
    w.pass(1000);
    assert_eq!(w.state(id), JobState::Suspended, "SUSPENDED does not count");
}

fn modified(w: &mut World, id: JobId) -> usize {
    w.take_notices(id).into_iter().filter(|(kind, _)| *kind == NoticeKind::Modified).count()
}

#[test]
fn job5_set_property_minimum_notification_interval_holds_changes_back() {
    let mut w = World::new();
    let id = idle(&mut w, 1);
    w.set(id, Property::Option(Setting::MinimumNotificationInterval(2_000))).unwrap();
    assert_eq!(modified(&mut w, id), 1, "the first is told at once");
    for n in 0..5 {
        w.set(id, Property::Description(n.to_string())).unwrap();
    }
    assert_eq!(modified(&mut w, id), 0, "the others wait");
    w.pass(1);
    assert_eq!(modified(&mut w, id), 0);
    w.pass(1);
    assert_eq!(modified(&mut w, id), 1, "and are one");
    w.pass(100);
    assert_eq!(modified(&mut w, id), 0, "then there is silence");
    w.set(id, Property::Description("later".into())).unwrap();
    assert_eq!(modified(&mut w, id), 1);
}

#[test]
fn job5_set_property_minimum_notification_interval_delays_no_end() {
    let mut w = World::new();
    let id = idle(&mut w, 1);
    w.set(id, Property::Option(Setting::MinimumNotificationInterval(u32::MAX))).unwrap();
    w.take_notices(id);
    w.call(ALICE, id, Call::Resume).unwrap();
    w.connect(id);
    w.checkpoint(id, 0, SIZE);
    w.done(id);
    let kinds: Vec<_> = w.take_notices(id).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [NoticeKind::FileTransferred(0), NoticeKind::Transferred]);
    w.call(ALICE, id, Call::Complete).unwrap();
    let kinds: Vec<_> = w.take_notices(id).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [NoticeKind::Acknowledged]);
}
