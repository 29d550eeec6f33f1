//! `bits get`.

use crate::bits::{self, finish, run, spawn};
use crate::stage;
use openbits_api::{EventKind, JobView};
use openbits_core::{HResult, JobState, Priority, hresult as h};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

const URL: &str = "http://h/dir/a%20b.bin?token=secret";

fn interrupt(child: &std::process::Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

#[test]
fn a_file_arrives() {
    let (fake, folder) = stage();
    let child = bits::command(folder.path())
        .arg("--socket")
        .arg(&fake.path)
        .args(["get", URL])
        .env("https_proxy", "http://p:1")
        .env("HTTP_PROXY", "http://evil:1")
        .spawn()
        .unwrap();
    let id = fake.created(1).remove(0);
    fake.with(|s| {
        let created = &s.created[0];
        assert!(created.resume);
        assert_eq!(created.files[0].remote_name, URL);
        assert_eq!(created.files[0].local_name, folder.path().join("a b.bin").to_str().unwrap());
        assert_eq!(created.properties.priority, Some(Priority::Foreground));
        assert_eq!(created.properties.minimum_retry_delay_s, Some(5));
        assert_eq!(created.properties.auto_complete, Some(true));
        let proxy = created.environment_proxy.clone().unwrap();
        assert_eq!((proxy.https.as_deref(), proxy.http), (Some("http://p:1"), None));
        s.enter(&id, JobState::Transferring, EventKind::Modified);
        s.enter(&id, JobState::Transferred, EventKind::Transferred);
        s.enter(&id, JobState::Acknowledged, EventKind::Acknowledged);
    });
    let done = finish(child).exits(0);
    assert_eq!(done.out, "");
    assert!(done.err.contains("a b.bin is in place"), "{}", done.err);
    assert!(folder.path().join("a b.bin").exists());
}

#[test]
fn an_error_is_explained_and_the_job_cancelled() {
    let (fake, folder) = stage();
    let child = spawn(&fake, folder.path(), &["get", URL]);
    let id = fake.created(1).remove(0);
    fake.with(|s| s.fail(&id, JobState::Error, 404));
    let done = finish(child).exits(4);
    for part in [
        "0x80190194",
        "BG_E_HTTP_ERROR_404",
        "HTTP status: 404",
        "http://h/dir/a%20b.bin?…",
        "Check the URL.",
    ] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
    assert!(!done.err.contains("secret"), "{}", done.err);
    fake.with(|s| assert_eq!(s.actions, [(id.clone(), "cancel".to_owned())]));
}

#[test]
fn keep_keeps_a_failed_job_and_json_shows_it() {
    let (fake, folder) = stage();
    let child = spawn(&fake, folder.path(), &["get", URL, "x", "--keep", "--json"]);
    let id = fake.created(1).remove(0);
    fake.with(|s| s.fail(&id, JobState::Error, 403));
    let done = finish(child).exits(4);
    let job: JobView = serde_json::from_str(&done.out).unwrap();
    assert_eq!((job.id.as_str(), job.state), (id.as_str(), JobState::Error));
    assert_eq!(job.error.unwrap().http_status, Some(403));
    fake.with(|s| assert_eq!(s.actions, []));
}

#[test]
fn a_temporary_error_is_said_once_and_waited_for() {
    let (fake, folder) = stage();
    let child = spawn(&fake, folder.path(), &["get", URL]);
    let id = fake.created(1).remove(0);
    fake.followed(1);
    for _ in 0..3 {
        fake.with(|s| s.fail(&id, JobState::TransientError, 503));
        std::thread::sleep(Duration::from_millis(150));
    }
    fake.with(|s| s.enter(&id, JobState::Acknowledged, EventKind::Acknowledged));
    let done = finish(child).exits(0);
    assert_eq!(done.err.matches("waiting: 0x801901F7").count(), 1, "{}", done.err);
    assert!(done.err.contains("next try 2027-01-15"), "{}", done.err);
}

#[test]
fn a_kill_of_the_service_in_the_middle_is_survived() {
    let (mut fake, folder) = stage();
    let child = spawn(&fake, folder.path(), &["get", URL]);
    let id = fake.created(1).remove(0);
    fake.with(|s| s.enter(&id, JobState::Transferring, EventKind::Modified));
    fake.kill();
    std::thread::sleep(Duration::from_millis(400));
    // It ends while nobody listens: the event is read afterwards.
    fake.with(|s| s.enter(&id, JobState::Acknowledged, EventKind::Acknowledged));
    fake.restart();
    let done = finish(child).exits(0);
    assert!(done.err.contains("connected to the service again"), "{}", done.err);
    fake.with(|s| assert_eq!(s.created.len(), 1));
}

#[test]
fn the_background_prints_guids_alone() {
    let (fake, folder) = stage();
    let done = run(&fake, folder.path(), &["get", "-b", "http://h/a", "http://h/b", "-j", "2"]).exits(0);
    let ids = fake.created(2);
    let mut printed: Vec<&str> = done.out.lines().collect();
    printed.sort_unstable();
    assert_eq!(printed, ids);
    assert_eq!(done.err, "");
    fake.with(|s| {
        assert!(s.created.iter().all(|c| c.properties.priority == Some(Priority::Normal)));
        assert!(s.created.iter().all(|c| c.properties.minimum_retry_delay_s.is_none()));
    });
}

#[test]
fn more_files_than_fit_follow_as_jobs_end() {
    follow_as_jobs_end(h::BG_E_TOO_MANY_JOBS_PER_USER);
}

#[test]
fn jobs_of_others_are_waited_for_too() {
    follow_as_jobs_end(h::BG_E_TOO_MANY_JOBS_PER_MACHINE);
}

fn follow_as_jobs_end(refusal: HResult) {
    let (fake, folder) = stage();
    fake.with(|s| (s.jobs_max, s.too_many) = (2, refusal));
    let list: String = (0..5).map(|i| format!("http://h/{i}\n")).collect();
    std::fs::write(folder.path().join("list"), list).unwrap();
    let child = spawn(&fake, folder.path(), &["get", "-i", "list", "-j", "5"]);
    for round in 1..=5 {
        let id = fake.until("another job", |s| {
            (s.created.len() >= round).then_some(())?;
            s.jobs.values().find(|j| !j.state.is_final()).map(|j| j.id.clone())
        });
        fake.with(|s| s.enter(&id, JobState::Acknowledged, EventKind::Acknowledged));
    }
    finish(child).exits(0);
    assert!((0..5).all(|i| folder.path().join(i.to_string()).exists()));
}

/// The places are taken by jobs of others, after ours have ended: the rest still comes.
#[test]
fn a_place_is_asked_for_again_when_nothing_of_ours_is_left_to_end() {
    let (fake, folder) = stage();
    fake.with(|s| (s.jobs_max, s.too_many) = (1, h::BG_E_TOO_MANY_JOBS_PER_MACHINE));
    let child = spawn(&fake, folder.path(), &["get", "http://h/a", "http://h/b"]);
    let first = fake.created(1).remove(0);
    let others = fake.with(|s| {
        let others = s.add("others", JobState::Queued);
        s.enter(&first, JobState::Acknowledged, EventKind::Acknowledged);
        others
    });
    std::thread::sleep(Duration::from_millis(500));
    fake.with(|s| {
        assert_eq!(s.created.len(), 1);
        s.jobs.remove(&others);
    });
    let second =
        fake.until("a second job", |s| s.jobs.values().find(|j| !j.state.is_final()).map(|j| j.id.clone()));
    fake.with(|s| s.enter(&second, JobState::Acknowledged, EventKind::Acknowledged));
    finish(child).exits(0);
}

#[test]
fn a_limit_that_leaves_no_place_at_all_is_said_at_once() {
    let (fake, folder) = stage();
    fake.with(|s| (s.jobs_max, s.too_many) = (0, h::BG_E_TOO_MANY_JOBS_PER_MACHINE));
    run(&fake, folder.path(), &["get", URL]).exits(5);
}

#[test]
fn a_job_has_as_many_files_as_the_service_allows() {
    let (fake, folder) = stage();
    fake.with(|s| s.limits.files_per_job = 2);
    let list: String = (0..5).map(|i| format!("http://h/{i}\n")).collect();
    std::fs::write(folder.path().join("list"), list).unwrap();
    run(&fake, folder.path(), &["get", "-b", "-i", "list", "-j", "1"]).exits(0);
    fake.with(|s| assert_eq!(s.created.iter().map(|c| c.files.len()).collect::<Vec<_>>(), [2, 2, 1]));
}

#[test]
fn ctrl_c_cancels_or_keeps() {
    for keep in [false, true] {
        let (fake, folder) = stage();
        let args: &[&str] = if keep { &["get", URL, "--keep"] } else { &["get", URL] };
        let child = spawn(&fake, folder.path(), args);
        // It watches its keys before it asks for anything.
        let id = fake.created(1).remove(0);
        interrupt(&child);
        let done = finish(child).exits(130);
        assert_eq!(fake.with(|s| s.jobs[&id].state == JobState::Cancelled), !keep);
        assert_eq!(done.err.contains(&format!("bits wait {id}")), keep, "{}", done.err);
    }
}

#[test]
fn an_error_of_the_command_leaves_the_jobs_to_the_service_and_says_which() {
    let (fake, folder) = stage();
    fake.with(|s| s.raw_events = Some(format!("data: {}\n\n", "x".repeat(1 << 20))));
    let done = run(&fake, folder.path(), &["get", URL]).exits(10);
    assert!(done.err.contains("longer than"), "{}", done.err);
    let id = fake.created(1).remove(0);
    assert!(done.err.contains(&format!("bits wait {id}")), "{}", done.err);
    fake.with(|s| assert_eq!((s.jobs[&id].state, s.actions.len()), (JobState::Queued, 0)));
}

#[test]
fn a_cancelled_job_is_not_a_success() {
    let (fake, folder) = stage();
    let child = spawn(&fake, folder.path(), &["get", URL]);
    let id = fake.created(1).remove(0);
    fake.with(|s| s.enter(&id, JobState::Cancelled, EventKind::Cancelled));
    finish(child).exits(2);
}

#[test]
fn usage_is_checked_before_anything_is_created() {
    let (fake, folder) = stage();
    for (args, code) in [
        (&["get", "h/a"][..], 1),
        (&["get", "ftp://h/a"], 1),
        (&["get", "http://h/a", "missing/x"], 10),
        (&["get", "http://h/a", "--priority", "urgent"], 1),
        (&["get"], 1),
    ] {
        run(&fake, folder.path(), args).exits(code);
    }
    fake.with(|s| assert!(s.created.is_empty()));
}

#[test]
fn the_second_ctrl_c_leaves_at_once() {
    let (fake, folder) = stage();
    fake.with(|s| s.hangs = true);
    let child = spawn(&fake, folder.path(), &["get", URL]);
    fake.created(1);
    interrupt(&child);
    fake.until("the wish to cancel", |s| (s.hung > 0).then_some(()));
    interrupt(&child);
    let done = finish(child).exits(130);
    assert!(!done.err.contains("does not answer"), "it waited for the answer: {}", done.err);
}

#[test]
fn a_lost_answer_does_not_create_the_job_twice() {
    let (fake, folder) = stage();
    fake.with(|s| s.breaks_create = true);
    let done = run(&fake, folder.path(), &["get", "-b", URL]).exits(0);
    fake.with(|s| {
        assert_eq!(s.created.len(), 1);
        assert_eq!(s.jobs.keys().collect::<Vec<_>>(), [done.out.trim_end()]);
    });
}

#[test]
fn a_job_that_the_service_does_not_complete_is_completed() {
    let (fake, folder) = stage();
    let child = spawn(&fake, folder.path(), &["get", URL]);
    let id = fake.created(1).remove(0);
    fake.with(|s| s.enter(&id, JobState::Transferred, EventKind::Transferred));
    finish(child).exits(0);
    fake.with(|s| assert_eq!(s.actions, [(id.clone(), "complete".to_owned())]));
}

#[test]
fn a_second_get_follows_the_job_of_the_first() {
    let (fake, folder) = stage();
    run(&fake, folder.path(), &["get", "-b", URL, "x"]).exits(0);
    let id = fake.created(1).remove(0);
    // Another place, or a digest that the job does not check, is another job.
    let digest = "0".repeat(64);
    run(&fake, folder.path(), &["get", "-b", URL, "y"]).exits(0);
    run(&fake, folder.path(), &["get", "-b", URL, "x", "--sha256", &digest]).exits(0);
    run(&fake, folder.path(), &["get", "-b", URL, "x", "--new"]).exits(0);
    fake.with(|s| {
        assert_eq!(s.created.len(), 4);
        s.jobs.retain(|i, _| *i == id);
        s.fail(&id, JobState::Error, 500);
    });
    let done = run(&fake, folder.path(), &["get", "-b", URL, "x"]).exits(0);
    assert_eq!(done.out.trim_end(), id);
    assert!(
        done.err.contains("fetches it already") && done.err.contains("BG_E_HTTP_ERROR_500"),
        "{}",
        done.err
    );
    let before = fake.with(|s| s.followed);
    let child = spawn(&fake, folder.path(), &["get", URL, "x"]);
    fake.looked(before + 1);
    fake.with(|s| s.enter(&id, JobState::Acknowledged, EventKind::Acknowledged));
    let done = finish(child).exits(0);
    assert!(done.err.contains(&format!("job {id} fetches it already; it is QUEUED")), "{}", done.err);
    fake.with(|s| {
        assert_eq!((s.created.len(), &s.actions[..]), (4, &[(id.clone(), "resume".to_owned())][..]));
    });
}

#[test]
fn http_options_go_to_the_new_job_and_to_one_that_was_there() {
    let (fake, folder) = stage();
    std::fs::write(folder.path().join("h"), "X-A: 1\n").unwrap();
    let get = |words: &[&str]| run(&fake, folder.path(), &[&["get", "-b", URL, "x"], words].concat());
    get(&["--headers", "@h", "--http-method", "POST", "--security-flags", "ignore-ca"]).exits(0);
    let id = fake.created(1).remove(0);
    fake.with(|s| {
        let created = &s.created[0];
        assert!(created.resume);
        assert_eq!(created.properties.custom_headers.as_ref().unwrap().reveal(), "X-A: 1\r\n");
        assert_eq!(created.properties.http_method.as_deref(), Some("POST"));
        assert_eq!(created.properties.security_flags, Some(8));
        s.fail(&id, JobState::Error, 401);
    });
    // What was wrong may be just what this command gives.
    std::fs::write(folder.path().join("h"), "X-A: 2\n").unwrap();
    get(&["--headers", "@h"]).exits(0);
    fake.with(|s| {
        assert_eq!(s.patched[0].custom_headers.as_ref().unwrap().reveal(), "X-A: 2\r\n");
        assert_eq!((s.created.len(), &s.actions[..]), (1, &[(id.clone(), "resume".to_owned())][..]));
    });
}

#[test]
fn a_job_with_a_client_certificate_is_started_only_when_that_was_found() {
    let (fake, folder) = stage();
    let get = |subject: &str| {
        run(
            &fake,
            folder.path(),
            &["get", "-b", URL, "x", "--client-certificate", &format!("subject:{subject}")],
        )
    };
    get("alice").exits(0);
    let first = fake.created(1).remove(0);
    fake.with(|s| {
        assert!(!s.created[0].resume);
        let steps = ["client-certificate", "resume"].map(|step| (first.clone(), step.to_owned()));
        assert_eq!(s.actions, steps);
        s.enter(&first, JobState::Acknowledged, EventKind::Acknowledged);
        s.actions.clear();
    });
    let done = get("nobody");
    assert_ne!(done.code, 0, "{done:?}");
    fake.with(|s| {
        assert_eq!(s.created.len(), 2);
        let actions: Vec<&str> = s.actions.iter().map(|(_, action)| action.as_str()).collect();
        assert_eq!(actions, ["cancel"]);
    });
}

#[test]
fn a_job_that_was_there_before_is_not_cancelled() {
    let (fake, folder) = stage();
    run(&fake, folder.path(), &["get", "-b", URL]).exits(0);
    let id = fake.created(1).remove(0);
    let child = spawn(&fake, folder.path(), &["get", URL, "http://h/b"]);
    fake.until("the other job", |s| (s.created.len() == 2).then_some(()));
    interrupt(&child);
    assert!(finish(child).exits(130).err.contains(&format!("bits wait {id}")));
    fake.with(|s| {
        assert_eq!(s.jobs[&id].state, JobState::Queued);
        assert_eq!(s.actions.len(), 1, "the other one was this command's own");
    });
    let before = fake.with(|s| s.followed);
    let child = spawn(&fake, folder.path(), &["get", URL]);
    fake.looked(before + 1);
    fake.with(|s| s.fail(&id, JobState::Error, 404));
    assert!(finish(child).exits(4).err.contains("is kept"));
    fake.with(|s| assert_eq!(s.actions.len(), 1));
}

#[test]
fn existing_files_are_skipped_on_request() {
    let (fake, folder) = stage();
    std::fs::write(folder.path().join("a"), "old").unwrap();
    let done = run(&fake, folder.path(), &["get", "--no-clobber", "http://h/a"]).exits(0);
    assert!(done.err.contains("exists; skipped"), "{}", done.err);
    fake.with(|s| assert!(s.created.is_empty()));
}
