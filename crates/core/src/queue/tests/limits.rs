//! Quotas and limits, at and beyond each (spec/bits-core.md 4.5, spec/policy.md C4).

use super::world::{ALICE, BOB, Plan, ROOT, Workers, World, file};
use crate::caller::Caller;
use crate::enums::{JobState, JobType, Priority};
use crate::hresult as h;
use crate::id::Uid;
use crate::job::property::Property;
use crate::limits::{FILES_PER_CALL, FILES_PER_JOB_EXEMPT, Limits};
use crate::names;
use crate::queue::{Call, NewJob};

fn idle() -> Plan {
    Plan { files: 0, resume: false, ..Plan::default() }
}

/// Row 27 of spec/behaviour.md 31.
#[test]
fn conformance_27_the_61st_job_of_a_user_is_refused_but_not_that_of_an_administrator() {
    let mut w = World::new();
    let jobs: Vec<_> = (0..60).map(|_| w.create(ALICE, idle())).collect();
    assert_eq!(w.try_create(ALICE, &idle()), Err(h::BG_E_TOO_MANY_JOBS_PER_USER));
    w.create(BOB, idle());
    for _ in 0..61 {
        w.create(ROOT, idle());
    }
    assert_eq!(w.call(ALICE, jobs[0], Call::Cancel), Ok(h::S_OK));
    w.create(ALICE, idle());
    assert_eq!(w.try_create(ALICE, &idle()), Err(h::BG_E_TOO_MANY_JOBS_PER_USER));
}

#[test]
fn the_301st_job_of_a_machine_is_refused_and_exempt_jobs_do_not_count() {
    let mut w = World::new();
    let member_of_exempt_group = Caller { uid: Uid(3000), exempt: true, login: None };
    for n in 0..400 {
        w.create(if n % 2 == 0 { ROOT } else { member_of_exempt_group }, idle());
    }
    let mut first = None;
    for n in 0..300 {
        first.get_or_insert(w.create(Caller::user(5000 + n / 60), idle()));
    }
    assert_eq!(w.try_create(ALICE, &idle()), Err(h::BG_E_TOO_MANY_JOBS_PER_MACHINE));
    // Both limits are reached for this user: his own is named.
    assert_eq!(w.try_create(Caller::user(5000), &idle()), Err(h::BG_E_TOO_MANY_JOBS_PER_USER));
    w.create(ROOT, idle());
    // An administrator who takes a job over takes it out of the count, too.
    assert_eq!(w.call(ROOT, first.expect("created"), Call::TakeOwnership), Ok(h::S_OK));
    w.create(ALICE, idle());
    assert_eq!(w.try_create(ALICE, &idle()), Err(h::BG_E_TOO_MANY_JOBS_PER_MACHINE));
    w.crash();
    assert_eq!(w.try_create(ALICE, &idle()), Err(h::BG_E_TOO_MANY_JOBS_PER_MACHINE));
}

#[test]
fn a_cancelled_job_counts_no_more_while_its_files_are_still_being_removed() {
    let mut w = World::with(Limits { jobs_per_user: 1, jobs_per_machine: 1, ..Limits::default() });
    let job = w.job_at(Priority::Normal);
    w.workers = Workers::Manual;
    let ticket = w.begin_later(ALICE, job, Call::Cancel);
    assert_eq!((w.q.count(Some(ALICE.uid)), w.q.count(None)), (0, 0));
    assert_eq!(w.q.own_jobs(ALICE.uid, None).count(), 0);
    let next = w.create(ALICE, idle());
    assert_eq!(w.answer(ticket), None);
    // The same after a crash in between.
    w.crash();
    assert_eq!(w.q.own_jobs(ALICE.uid, None).map(|j| j.id).collect::<Vec<_>>(), [next]);
    assert_eq!(w.try_create(BOB, &idle()), Err(h::BG_E_TOO_MANY_JOBS_PER_MACHINE));
    let (ticket, _) = w.file_work(job).expect("begun again");
    w.file_work_done(ticket);
    assert_eq!(w.state(job), JobState::Cancelled);
    assert_eq!(w.q.count(None), 1);
}

#[test]
fn files_per_job_and_per_call() {
    let mut w = World::new();
    let job = w.create(ALICE, idle());
    let files = |n: u32| Call::AddFiles((0..n).map(file).collect());
    assert_eq!(w.call(ALICE, job, files(201)), Err(h::BG_E_TOO_MANY_FILES_IN_JOB));
    assert_eq!(w.job(job).files.len(), 0, "all or nothing");
    assert_eq!(w.call(ALICE, job, files(199)), Ok(h::S_OK));
    assert_eq!(w.call(ALICE, job, files(2)), Err(h::BG_E_TOO_MANY_FILES_IN_JOB));
    assert_eq!(w.call(ALICE, job, files(1)), Ok(h::S_OK));
    assert_eq!(w.call(ALICE, job, files(1)), Err(h::BG_E_TOO_MANY_FILES_IN_JOB));
    assert_eq!(w.call(ALICE, job, files(0)), Ok(h::S_OK));
    assert_eq!(w.job(job).files.len(), 200);
    assert_eq!(w.call(ROOT, job, files(1)), Ok(h::S_OK), "the caller's exemption decides");
    assert_eq!(w.try_create(ALICE, &Plan { files: 201, ..idle() }), Err(h::BG_E_TOO_MANY_FILES_IN_JOB));
    let per_call = u32::try_from(FILES_PER_CALL).expect("small");
    let big = w.create(ROOT, idle());
    assert_eq!(w.call(ROOT, big, files(per_call + 1)), Err(h::E_INVALIDARG));
    for _ in 0..FILES_PER_JOB_EXEMPT / per_call {
        assert_eq!(w.q.call(ROOT, big, files(per_call), w.now), crate::queue::Called::Done(Ok(h::S_OK)));
    }
    assert_eq!(w.call(ROOT, big, files(1)), Err(h::BG_E_TOO_MANY_FILES_IN_JOB));
}

#[test]
fn an_upload_has_one_file() {
    let mut w = World::new();
    for kind in [JobType::Upload, JobType::UploadReply] {
        assert_eq!(w.try_create(ALICE, &Plan { kind, files: 2, ..idle() }), Err(h::BG_E_TOO_MANY_FILES));
        let job = w.create(ALICE, Plan { kind, ..idle() });
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![file(1), file(2)])), Err(h::BG_E_TOO_MANY_FILES));
        assert_eq!(w.job(job).files.len(), 0, "none added");
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![file(1)])), Ok(h::S_OK));
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![file(2)])), Err(h::BG_E_TOO_MANY_FILES));
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![])), Ok(h::S_OK));
    }
}

#[test]
fn texts_at_and_beyond_their_lengths() {
    let mut w = World::new();
    let job = w.create(ALICE, idle());
    let text = |n: usize| "x".repeat(n);
    let program = |n: usize| format!("/{}", text(n - 1));
    let notify =
        |p: usize, a: usize| Property::NotifyCommand { program: Some(program(p)), parameters: Some(text(a)) };
    let proxy = |list: usize, bypass: usize| Property::Proxy {
        usage: 2,
        list: Some(text(list)),
        bypass: Some(text(bypass)),
    };
    let (list, too_long) = (names::PROXY_LIST_MAX, Err(h::BG_E_STRING_TOO_LONG));
    let rows = [
        (Property::DisplayName(text(256)), Ok(h::S_OK)),
        (Property::DisplayName(text(257)), too_long),
        (Property::DisplayName(String::new()), Ok(h::S_OK)),
        (Property::Description(text(1024)), Ok(h::S_OK)),
        (Property::Description(text(1025)), too_long),
        (notify(260, 4000), Ok(h::S_OK)),
        (notify(261, 4000), too_long),
        (notify(260, 4001), too_long),
        (proxy(list, list), Ok(h::S_OK)),
        (proxy(list + 1, 1), Err(h::BG_E_PROXY_LIST_TOO_LARGE)),
        (proxy(1, list + 1), Err(h::BG_E_PROXY_BYPASS_LIST_TOO_LARGE)),
    ];
    for (property, expected) in rows {
        let name = format!("{property:?}");
        assert_eq!(w.set(job, property), expected, "{}", &name[..40.min(name.len())]);
    }
    let credentials = |w: &mut World, user: usize, password: usize| {
        let (user, password) = (text(user), text(password));
        w.set_credentials(ALICE, job, (1, 1), Some(&user), Some(&password))
    };
    assert_eq!(credentials(&mut w, 300, 65_536), Ok(h::S_OK));
    assert_eq!(credentials(&mut w, 301, 1), Err(h::BG_E_USERNAME_TOO_LARGE));
    assert_eq!(credentials(&mut w, 1, 65_537), Err(h::BG_E_PASSWORD_TOO_LARGE));
}

#[test]
fn a_display_name_that_is_too_long_is_an_invalid_argument_of_create() {
    let mut w = World::new();
    for (length, expected) in [(256, Ok(())), (257, Err(h::E_INVALIDARG))] {
        let mut new = w.plan(&idle());
        new.display_name = "x".repeat(length);
        let result = w.q.create(ALICE, new, w.now).map(|_| ()).map_err(|f| f.code);
        w.drain();
        assert_eq!(result, expected);
    }
}

/// Who lost the answer asks again, also when there would be no room for a second job, and when the job has changed or ended.
#[test]
fn a_create_with_a_known_id_is_the_same_job_or_refused() {
    let mut w = World::with(Limits { jobs_per_user: 1, ..Limits::default() });
    let new = w.plan(&Plan { files: 2, ..Plan::default() });
    let id = new.id;
    for _ in 0..2 {
        assert_eq!(w.q.create(ALICE, new.clone(), w.now).map_err(|f| f.code), Ok(id));
        w.drain();
        assert_eq!(w.q.count(None), 1);
    }
    w.set(id, Property::DisplayName("renamed".into())).expect("settable");
    assert_eq!(w.q.create(ALICE, new.clone(), w.now).map_err(|f| f.code), Ok(id));
    let refused = |w: &mut World, caller, change: &dyn Fn(&mut NewJob)| {
        let mut other = new.clone();
        change(&mut other);
        assert_eq!(w.q.create(caller, other, w.now).map_err(|f| f.code), Err(h::BG_E_INVALID_STATE));
        w.drain();
    };
    refused(&mut w, BOB, &|_| {});
    refused(&mut w, ALICE, &|new| new.kind = JobType::Upload);
    refused(&mut w, ALICE, &|new| new.files[1].remote = "http://h/other".into());
    refused(&mut w, ALICE, &|new| new.files[0].local = "/other".into());
    refused(&mut w, ALICE, &|new| new.files[0].sha256 = Some("0".repeat(64)));
    refused(&mut w, ALICE, &|new| new.files.push(new.files[0].clone()));
    w.call(ALICE, id, Call::Cancel).expect("cancels");
    assert_eq!(w.q.create(ALICE, new.clone(), w.now).map_err(|f| f.code), Ok(id));
    w.drain();
    assert_eq!(w.q.count(None), 0, "it is not made anew");
}
