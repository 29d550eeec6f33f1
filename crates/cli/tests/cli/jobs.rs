//! The commands on jobs.

use crate::bits::{command, finish, run, spawn};
use crate::stage;
use openbits_api::{EventKind, EventView, JobPage, JobView, Outcome, ServiceInfo, Why};
use openbits_core::{JobState, ProxyUsage};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_name_of_several_jobs_is_ambiguous() {
    let (fake, folder) = stage();
    let (a, b) = fake.with(|s| (s.add("a", JobState::Suspended), s.add("a", JobState::Queued)));
    let done = run(&fake, folder.path(), &["show", "a"]).exits(7);
    assert!(done.err.contains(&a) && done.err.contains(&b), "{}", done.err);
    assert_eq!(done.out, "");
    run(&fake, folder.path(), &["show", &a]).exits(0);
    run(&fake, folder.path(), &["show", &format!("{{{}}}", b.to_uppercase())]).exits(0);
    run(&fake, folder.path(), &["show", "nobody"]).exits(2);
    run(&fake, folder.path(), &["show", "99999999-9999-4999-9999-999999999999"]).exits(2);
}

#[test]
fn beginnings_of_guids() {
    let (fake, folder) = stage();
    fake.with(|s| {
        s.add_with("aaaaaaaa-1111-4111-8111-111111111111", "x", JobState::Queued);
        s.add_with("aaaaaaaa-2222-4111-8111-111111111111", "y", JobState::Queued);
    });
    run(&fake, folder.path(), &["why", "aaaaaa"]).exits(7);
    run(&fake, folder.path(), &["why", "AAAAAAAA-1"]).exits(0);
    run(&fake, folder.path(), &["why", "aaaaa"]).exits(2);
}

#[test]
fn lists_have_all_pages_and_no_terminal_codes() {
    let (fake, folder) = stage();
    fake.with(|s| {
        for i in 0..5 {
            s.add(&format!("job{i}\x1b[31m"), if i == 0 { JobState::Error } else { JobState::Queued });
        }
    });
    let done = run(&fake, folder.path(), &["list"]).exits(0);
    assert_eq!(done.out.lines().count(), 6, "{}", done.out);
    assert!(done.out.starts_with("GUID") && !done.out.contains('\x1b'), "{}", done.out);
    let page: JobPage =
        serde_json::from_str(&run(&fake, folder.path(), &["list", "--json"]).exits(0).out).unwrap();
    assert_eq!((page.jobs.len(), page.next), (5, None));
    let done = run(&fake, folder.path(), &["list", "--state", "error", "--json"]).exits(0);
    assert_eq!(serde_json::from_str::<JobPage>(&done.out).unwrap().jobs.len(), 1);
}

#[test]
fn json_forms_are_those_of_the_contract() {
    let (fake, folder) = stage();
    let id = fake.with(|s| s.add("a", JobState::Suspended));
    let out = |args: &[&str]| run(&fake, folder.path(), args).exits(0).out;
    let job: JobView = serde_json::from_str(&out(&["show", &id, "--json"])).unwrap();
    assert!(job.files.is_some());
    let why: Why = serde_json::from_str(&out(&["--json", "why", &id])).unwrap();
    assert_eq!(why.id, id);
    let info: ServiceInfo = serde_json::from_str(&out(&["service-info", "--json"])).unwrap();
    assert_eq!(info.version, "9.9.9");
    let outcome: Outcome = serde_json::from_str(&out(&["resume", &id, "--json"])).unwrap();
    assert_eq!(outcome.job.state, JobState::Queued);
    assert_eq!(out(&["suspend", &id]), "");
}

#[test]
fn create_add_set_and_own() {
    let (fake, folder) = stage();
    let id = run(&fake, folder.path(), &["create", "nightly"]).exits(0).out;
    let id = id.trim_end();
    assert_eq!(fake.created(1), [id]);
    run(&fake, folder.path(), &["add", "nightly", "http://h/a", "x"]).exits(0);
    let name = fake.with(|s| s.jobs[id].files.as_ref().unwrap()[0].local_name.clone());
    assert_eq!(name, folder.path().join("x").to_str().unwrap());
    std::fs::write(folder.path().join("l.csv"), "Source,Destination\nhttp://h/b,/d/b\nhttp://h/c,/d/c\n")
        .unwrap();
    run(&fake, folder.path(), &["add", "nightly", "--from", "l.csv"]).exits(0);
    fake.with(|s| assert_eq!(s.jobs[id].files.as_ref().unwrap().len(), 2));
    run(&fake, folder.path(), &["set", "nightly", "priority=low", "proxy=OVERRIDE:p1:80,p2"]).exits(0);
    fake.with(|s| {
        let proxy = s.patched[0].proxy.clone().unwrap();
        assert_eq!((proxy.usage, proxy.list.as_deref()), (ProxyUsage::Override, Some("p1:80 p2")));
    });
    run(&fake, folder.path(), &["set", "nightly", "colour=red"]).exits(1);
    let done = run(&fake, folder.path(), &["set", "nightly", "notify-command=/bin/x a"]).exits(0);
    assert_eq!(done.err, "");
    assert_eq!(run(&fake, folder.path(), &["set", "nightly", "notify-command="]).exits(0).err, "");
    run(&fake, folder.path(), &["create", "up", "--type", "upload"]).exits(0);
    run(&fake, folder.path(), &["create", "up", "--type", "sideways"]).exits(1);
    run(&fake, folder.path(), &["own", "nightly"]).exits(0);
    fake.with(|s| assert_eq!(s.actions.last().unwrap().1, "take-ownership"));
}

#[test]
fn waits_end_with_the_documented_codes() {
    let (fake, folder) = stage();
    let id = fake.with(|s| s.add("a", JobState::Queued));
    run(&fake, folder.path(), &["wait", "a", "--timeout", "1"]).exits(124);
    run(&fake, folder.path(), &["wait", "nobody"]).exits(2);

    let before = fake.with(|s| s.followed);
    let child = spawn(&fake, folder.path(), &["wait", "a", "--timeout", "120"]);
    fake.looked(before + 1);
    fake.with(|s| s.fail(&id, JobState::Error, 500));
    assert!(finish(child).exits(4).err.contains("HTTP status: 500"));

    fake.with(|s| s.enter(&id, JobState::Transferred, EventKind::Transferred));
    run(&fake, folder.path(), &["wait", "a"]).exits(0);
    run(&fake, folder.path(), &["wait", "a", "--complete"]).exits(0);
    fake.with(|s| assert_eq!(s.actions, [(id.clone(), "complete".to_owned())]));
    run(&fake, folder.path(), &["wait", &id]).exits(0); // Finished already: still held.

    let other = fake.with(|s| s.add("b", JobState::Queued));
    let before = fake.with(|s| s.followed);
    let child = spawn(&fake, folder.path(), &["wait", "b"]);
    fake.looked(before + 1);
    fake.with(|s| s.enter(&other, JobState::Cancelled, EventKind::Cancelled));
    finish(child).exits(2);
}

#[test]
fn a_wait_survives_a_kill_of_the_service() {
    let (mut fake, folder) = stage();
    let id = fake.with(|s| s.add("a", JobState::Queued));
    let child = spawn(&fake, folder.path(), &["wait", "a"]);
    fake.looked(1);
    fake.kill();
    // It finds nobody meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    fake.restart();
    fake.looked(2);
    fake.with(|s| s.enter(&id, JobState::Transferred, EventKind::Transferred));
    finish(child).exits(0);
}

#[test]
fn watch_writes_a_line_for_each_event() {
    let (fake, folder) = stage();
    let id = fake.with(|s| s.add("a", JobState::Queued));
    for json in [true, false] {
        fake.with(|s| s.enter(&id, JobState::Queued, EventKind::Modified));
        let args: &[&str] = if json { &["watch", &id, "--json"] } else { &["watch", &id] };
        let before = fake.with(|s| s.followed);
        let child = spawn(&fake, folder.path(), args);
        fake.followed(before + 1);
        fake.with(|s| {
            s.enter(&id, JobState::Transferring, EventKind::Modified);
            s.enter(&id, JobState::Cancelled, EventKind::Cancelled);
        });
        let lines: Vec<String> = finish(child).exits(0).out.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        if json {
            let events: Vec<EventView> = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
            assert_eq!(events[1].kind, EventKind::Cancelled);
        } else {
            assert!(
                lines[0].contains("'a' modified TRANSFERRING files 0/0 bytes 0 B / unknown"),
                "{lines:?}"
            );
        }
    }
}

#[test]
fn nobody_there_is_exit_6_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let child = command(folder.path()).args(["--socket", "none.sock", "list"]).spawn().unwrap();
    let done = finish(child).exits(6);
    assert!(done.err.contains("none.sock") && done.err.contains("bitsd --user"), "{}", done.err);
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_success() {
    let (fake, folder) = stage();
    fake.with(|s| s.add("a", JobState::Queued));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = command(folder.path())
        .arg("--socket")
        .arg(&fake.path)
        .arg("list")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn help_version_and_completions_need_no_service() {
    let folder = tempfile::tempdir().unwrap();
    let out = |args: &[&str]| finish(command(folder.path()).args(args).spawn().unwrap()).exits(0).out;
    assert!(out(&["--help"]).contains("Download files"));
    assert!(out(&["--version"]).starts_with("bits "));
    assert!(out(&["completions", "bash"]).contains("complete"));
    finish(command(folder.path()).arg("nonsense").spawn().unwrap()).exits(1);
}
