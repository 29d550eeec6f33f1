//! Every call in every state, through the queue (spec/bits-core.md 4.3, 4.6, 8.2, 10).

use super::world::{ALICE, Plan, ROOT, SIZE, World, file};
use crate::enums::{JobState, JobType, Priority};
use crate::hresult::{self as h, HResult};
use crate::id::JobId;
use crate::job::property::Property;
use crate::queue::{Call, NoticeKind};
use crate::time::FileTime;
use JobState::*;

type Outcome = Result<HResult, HResult>;
const OK: Outcome = Ok(h::S_OK);
const WRONG_STATE: Outcome = Err(h::BG_E_INVALID_STATE);

/// A job in the state, brought there from outside only.
fn job_in(w: &mut World, state: JobState, kind: JobType) -> JobId {
    let priority = if state == Queued { Priority::Low } else { Priority::Foreground };
    if state == Queued {
        w.job_at(Priority::High);
    }
    let job = w.create(ALICE, Plan { priority, kind, resume: state != Suspended, ..Plan::default() });
    match state {
        Queued | Connecting | Suspended => {}
        Transferring => w.connect(job),
        Error => w.fail(job, h::BG_E_HTTP_ERROR_404, None),
        TransientError => w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0)),
        Transferred => w.transfer(job),
        Acknowledged => {
            w.transfer(job);
            w.call(ALICE, job, Call::Complete).expect("completes");
        }
        Cancelled => drop(w.call(ALICE, job, Call::Cancel).expect("cancels")),
    }
    assert_eq!(w.state(job), state);
    w.take_notices(job);
    job
}

/// Result of a call in each state, and the state after it, in the order of [`JobState::ALL`].
fn check(kind: JobType, call: &Call, rows: [(Outcome, JobState); 9]) {
    for (state, (outcome, after)) in JobState::ALL.iter().zip(rows) {
        let mut w = World::new();
        let job = job_in(&mut w, *state, kind);
        let before = w.job(job).clone();
        w.pass(1);
        assert_eq!(w.call(ALICE, job, call.clone()), outcome, "{call:?} in {state}");
        // A job that becomes ready has its turn at once here.
        let now = if w.state(job) == Connecting && after == Queued { Queued } else { w.state(job) };
        assert_eq!(now, after, "{call:?} in {state}");
        let told = !w.take_notices(job).is_empty();
        let changed = w.job(job) != &before;
        assert_eq!(told, changed, "a change is told, and nothing else: {call:?} in {state}");
        assert_eq!(w.job(job).modified > before.modified, changed);
    }
}

fn stays(outcome: Outcome, last: Outcome) -> [(Outcome, JobState); 9] {
    [
        (outcome, Queued),
        (outcome, Connecting),
        (outcome, Transferring),
        (outcome, Suspended),
        (outcome, Error),
        (outcome, TransientError),
        (outcome, Transferred),
        (last, Acknowledged),
        (last, Cancelled),
    ]
}

#[test]
fn add_file() {
    let mut rows = stays(OK, WRONG_STATE);
    rows[6] = (OK, Suspended);
    check(JobType::Download, &Call::AddFiles(vec![file(9)]), rows);
    let full = stays(Err(h::BG_E_TOO_MANY_FILES), WRONG_STATE);
    check(JobType::Upload, &Call::AddFiles(vec![file(9)]), full);
}

#[test]
fn resume() {
    let mut rows = stays(OK, WRONG_STATE);
    for index in [3, 4, 5] {
        rows[index] = (OK, Queued);
    }
    check(JobType::Download, &Call::Resume, rows);
    check(JobType::Upload, &Call::Resume, rows);
}

#[test]
fn suspend() {
    let mut rows = stays(OK, WRONG_STATE);
    for index in [0, 1, 2, 5] {
        rows[index] = (OK, Suspended);
    }
    check(JobType::Download, &Call::Suspend, rows);
}

#[test]
fn cancel() {
    let mut rows = [(OK, Cancelled); 9];
    rows[7] = (WRONG_STATE, Acknowledged);
    rows[8] = (WRONG_STATE, Cancelled);
    for kind in JobType::ALL {
        check(*kind, &Call::Cancel, rows);
    }
}

#[test]
fn complete() {
    let mut rows = [(Ok(h::BG_S_PARTIAL_COMPLETE), Acknowledged); 9];
    rows[6] = (OK, Acknowledged);
    rows[7] = (WRONG_STATE, Acknowledged);
    rows[8] = (WRONG_STATE, Cancelled);
    check(JobType::Download, &Call::Complete, rows);
    let mut rows = stays(WRONG_STATE, WRONG_STATE);
    rows[6] = (OK, Acknowledged);
    check(JobType::Upload, &Call::Complete, rows);
    check(JobType::UploadReply, &Call::Complete, rows);
}

#[test]
fn setters() {
    for property in [
        Property::DisplayName("n".into()),
        Property::Description(String::new()),
        Property::NotifyFlags(0x3F),
        Property::MinimumRetryDelay(60),
        Property::NoProgressTimeout(86_400),
        Property::Proxy { usage: 3, list: None, bypass: None },
        Property::NotifyCommand { program: Some("/bin/true".into()), parameters: None },
    ] {
        check(JobType::Download, &Call::Set(vec![property]), stays(OK, WRONG_STATE));
    }
}

/// Wrong values are named before the state (4.1).
#[test]
fn values_that_no_setter_takes() {
    let proxy =
        |usage, list: Option<&str>| Property::Proxy { usage, list: list.map(Into::into), bypass: None };
    let program = |program: Option<&str>, parameters: Option<&str>| Property::NotifyCommand {
        program: program.map(Into::into),
        parameters: parameters.map(Into::into),
    };
    for (property, code) in [
        (Property::Priority(4), h::E_NOTIMPL),
        (Property::Priority(-1), h::E_NOTIMPL),
        (Property::NotifyFlags(0x40), h::E_NOTIMPL),
        (proxy(4, None), h::E_NOTIMPL),
        (proxy(2, None), h::E_INVALIDARG),
        (proxy(0, Some("p:80")), h::E_INVALIDARG),
        (program(None, Some("x")), h::E_INVALIDARG),
        (program(Some("relative"), None), h::E_INVALIDARG),
        (Property::ReplyFileName(Some("/d/r".into())), h::E_NOTIMPL),
        (Property::Description("x".repeat(1025)), h::BG_E_STRING_TOO_LONG),
    ] {
        check(JobType::Download, &Call::Set(vec![property.clone()]), stays(Err(code), Err(code)));
        let mut w = World::new();
        let job = job_in(&mut w, Suspended, JobType::Download);
        let both = Call::Set(vec![Property::DisplayName("changed".into()), property]);
        assert_eq!(w.call(ALICE, job, both), Err(code));
        assert_ne!(&*w.job(job).display_name, "changed", "all or nothing");
    }
}

#[test]
fn reply_file_name() {
    let name = |n: Option<&str>| Call::Set(vec![Property::ReplyFileName(n.map(Into::into))]);
    let mut rows = stays(OK, WRONG_STATE);
    rows[6] = (WRONG_STATE, Transferred);
    check(JobType::UploadReply, &name(Some("/d/reply")), rows);
    let bad = Err(h::E_INVALIDARG);
    check(JobType::UploadReply, &name(Some("reply")), stays(bad, bad));
    let mut w = World::new();
    let plan = Plan { kind: JobType::UploadReply, files: 0, resume: false, ..Plan::default() };
    let job = w.create(ALICE, plan);
    assert_eq!(w.job(job).reply_file_name(), Ok(None));
    w.call(ALICE, job, Call::AddFiles(vec![file(1)])).expect("added");
    let generated = w.job(job).reply_file_name().expect("reply").expect("generated").to_owned();
    assert!(generated.starts_with("/d/BIT"));
    w.call(ALICE, job, name(Some("/d/own"))).expect("settable");
    assert_eq!(w.job(job).reply_file_name(), Ok(Some("/d/own")));
    w.call(ALICE, job, name(Some(""))).expect("settable");
    assert_eq!(w.job(job).reply_file_name(), Ok(Some(generated.as_str())), "in the upload's folder again");
}

#[test]
fn get_job_and_lists() {
    for state in JobState::ALL {
        let mut w = World::new();
        let job = job_in(&mut w, *state, JobType::Download);
        let found = w.q.job(ALICE, job).map(|j| j.state);
        assert_eq!(found, if state.is_final() { Err(h::BG_E_NOT_FOUND) } else { Ok(*state) });
        let listed = w.q.own_jobs(ALICE.uid, None).any(|j| j.id == job);
        assert_eq!(listed, !state.is_final());
        assert_eq!(w.q.held_job(ALICE, job).map(|j| j.state), Ok(*state), "by a reference that is held");
        assert!(w.q.why(job).is_some());
    }
}

/// 4.6; rows 4 to 8, 13, 44, 51 of section 10.
#[test]
fn a_fresh_job() {
    let mut w = World::new();
    let mut new = w.plan(&Plan { files: 0, resume: false, ..Plan::default() });
    new.properties.clear();
    let (id, name) = (new.id, new.display_name.clone());
    assert_eq!(w.q.create(ALICE, new, w.now), Ok(id));
    w.drain();
    assert_eq!(w.take_notices(id), [(NoticeKind::Created, Suspended)]);
    let job = w.q.job(ALICE, id).expect("visible at once");
    assert_eq!((job.state, job.kind, &*job.display_name), (Suspended, JobType::Download, name.as_str()));
    assert_eq!((&*job.description, job.priority, job.notify_flags), ("", Priority::Normal, 3));
    assert_eq!((job.minimum_retry_delay_s, job.no_progress_timeout_s), (600, 1_209_600));
    assert_eq!((job.error_count, job.get_error().err()), (0, Some(h::BG_E_ERROR_INFORMATION_UNAVAILABLE)));
    assert!(job.proxy.is_none() && job.notify_command.is_none() && job.credentials.is_empty());
    let p = job.progress();
    assert_eq!((p.bytes_total, p.bytes_transferred, p.files_total, p.files_transferred), (Some(0), 0, 0, 0));
    assert_eq!((job.created, job.modified, job.transferred_at), (w.now.wall, w.now.wall, FileTime::ZERO));
    assert_eq!((job.owner, job.owner.sid()), (ALICE.uid, "S-1-22-1-1000".to_owned()));
    w.call(ALICE, id, Call::AddFiles(vec![file(1)])).expect("added");
    let job = w.job(id);
    let f = job.file_progress(0).expect("there");
    assert_eq!((f.bytes_total, f.bytes_transferred, f.completed), (None, 0, false));
    assert_eq!((job.progress().bytes_total, job.progress().files_total), (None, 1));
}

/// Row 1 of behaviour 31; rows 9 and 10 of section 10.
#[test]
fn conformance_01_resume_of_an_empty_job_and_of_one_with_a_file() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    assert_eq!(w.call(ALICE, job, Call::Resume), Err(h::BG_E_EMPTY));
    assert_eq!(w.state(job), Suspended);
    w.job_at(Priority::Normal);
    w.call(ALICE, job, Call::AddFiles(vec![file(1)])).expect("added");
    assert_eq!(w.state(job), Suspended, "adding resumes nothing");
    assert_eq!((w.call(ALICE, job, Call::Resume), w.state(job)), (OK, Queued));
}

/// Rows 12, 20 to 23 and 60 of section 10.
#[test]
fn a_finished_job_through_a_held_reference() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.transfer(job);
    assert_eq!((w.call(ALICE, job, Call::Resume), w.state(job)), (OK, Transferred));
    let file_progress = |w: &World| w.job(job).file_progress(0).map(|f| (f.completed, f.bytes_transferred));
    assert_eq!(file_progress(&w), Some((false, SIZE)));
    assert_eq!(w.call(ALICE, job, Call::Complete), OK);
    assert_eq!((w.state(job), file_progress(&w)), (Acknowledged, Some((true, SIZE))));
    assert_eq!(w.call(ALICE, job, Call::Complete), WRONG_STATE);
    assert_eq!(w.call(ROOT, job, Call::Cancel), WRONG_STATE);
}

/// A file added to a TRANSFERRED job: only that one is transferred.
#[test]
fn a_transferred_job_takes_another_file() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.transfer(job);
    w.call(ALICE, job, Call::AddFiles(vec![file(9)])).expect("added");
    assert_eq!((w.state(job), w.job(job).transferred_at), (Suspended, FileTime::ZERO));
    w.pass(1000);
    assert_eq!(w.state(job), Suspended);
    w.call(ALICE, job, Call::Resume).expect("resumes");
    assert_eq!(w.job(job).files.iter().filter(|f| !f.transferred).count(), 1);
    w.take_notices(job);
    w.transfer(job);
    assert_eq!(w.take_notices(job).last(), Some(&(NoticeKind::Transferred, Transferred)), "a new event");
}

/// Row 15 of section 10, and which events a flag lets through (6).
#[test]
fn notify_flags() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    for (flags, outcome) in [(0x1F, OK), (0, OK), (0x3F, OK), (0x40, Err(h::E_NOTIMPL))] {
        assert_eq!(w.set(job, Property::NotifyFlags(flags)), outcome);
    }
    assert_eq!(w.job(job).notify_flags, 0x3F);
    use crate::Queue as Q;
    let kinds = [
        (NoticeKind::Transferred, 0x01),
        (NoticeKind::Error, 0x02),
        (NoticeKind::Modified, 0x08),
        (NoticeKind::FileTransferred(0), 0x10),
    ];
    for (kind, bit) in kinds {
        assert!(Q::wants(bit, kind) && !Q::wants(0x3F & !bit, kind) && !Q::wants(bit | 0x04, kind));
    }
}
