//! A kill at any instant, and what is there afterwards (spec/behaviour.md 9, 31 row 21).

use super::store::durable_part;
use super::world::{ALICE, Plan, SIZE, Torn, Workers, World, file};
use crate::enums::{JobState, JobType, Priority};
use crate::hresult as h;
use crate::job::property::Property;
use crate::queue::Call;
use crate::secret::{Sealed, Slot};
use crate::time::FileTime;
use JobState::{Acknowledged, Cancelled, Connecting, Error, Queued, Suspended, Transferred, TransientError};

/// Row 21.
#[test]
fn conformance_21_a_restart_in_mid_transfer_goes_on_where_the_data_is_durable() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 2, ..Plan::default() });
    w.connect(job);
    w.checkpoint(job, 0, SIZE);
    w.checkpoint(job, 1, 300);
    w.bytes(job, 1, 900);
    assert_eq!(w.job(job).progress().bytes_transferred, SIZE + 900);
    w.crash_stopped();
    assert_eq!(w.state(job), Queued);
    assert_eq!(w.job(job).progress().bytes_transferred, SIZE + 300, "what was not synced is not believed");
    assert_eq!(w.job(job).files[1].etag.as_deref(), Some("\"v1\""), "the validator for If-Range");
    w.start();
    assert_eq!((w.state(job), w.job(job).error_count), (Connecting, 0));
}

#[test]
fn every_state_survives() {
    let mut w = World::new();
    let foreground = Plan { priority: Priority::Foreground, ..Plan::default() };
    let jobs: Vec<_> = (0..7).map(|_| w.create(ALICE, foreground.clone())).collect();
    w.call(ALICE, jobs[0], Call::Suspend).expect("suspends");
    w.fail(jobs[1], h::BG_E_HTTP_ERROR_404, None);
    w.fail(jobs[2], h::BG_E_HTTP_ERROR_503, Some(0));
    w.transfer(jobs[3]);
    w.connect(jobs[4]);
    w.set_priority(jobs[5], Priority::High);
    w.set_priority(jobs[6], Priority::Low);
    let before: Vec<_> = jobs.iter().map(|id| durable_part(w.job(*id))).collect();
    let times = w.job(jobs[3]).transferred_at;
    w.crash_stopped();
    assert_eq!(w.states(&jobs), [Suspended, Error, TransientError, Transferred, Queued, Queued, Queued]);
    for (id, before) in jobs.iter().zip(before) {
        assert_eq!(durable_part(w.job(*id)), before);
    }
    assert_ne!(times, FileTime::ZERO);
    w.start();
    assert_eq!(w.states(&jobs[4..]), [Connecting, Connecting, Queued]);
}

#[test]
fn every_property_survives() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { kind: JobType::UploadReply, resume: false, ..Plan::default() });
    let text = |t: &str| Some(t.to_owned());
    for property in [
        Property::DisplayName("name \u{1F600}".into()),
        Property::Description("words".into()),
        Property::Priority(3),
        Property::NotifyFlags(0x1F),
        Property::MinimumRetryDelay(77),
        Property::NoProgressTimeout(88),
        Property::Proxy { usage: 2, list: text("p:8080"), bypass: text("*.h") },
        Property::NotifyCommand { program: text("/bin/true"), parameters: text("true a") },
        Property::ReplyFileName(text("/d/reply")),
        Property::AutoComplete(true),
        Property::Bind(text("eth0")),
    ] {
        w.set(job, property).expect("settable");
    }
    w.set_credentials(ALICE, job, (2, 4), None, None).expect("settable");
    w.set_credentials(ALICE, job, (1, 1), Some("u"), Some("p")).expect("settable");
    w.set(job, Property::Sealed(Slot::Headers, Some(Sealed::new("s")))).expect("settable");
    let before = w.job(job).clone();
    w.crash_stopped();
    assert_eq!(w.job(job), &before);
    assert_eq!(before.reply_file_name(), Ok(Some("/d/reply")));
}

#[test]
fn a_call_that_was_not_stored_was_not_made() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    for (torn, priority) in [(Torn::BeforeCommit, Priority::Normal), (Torn::AfterCommit, Priority::High)] {
        w.torn = Some(torn);
        w.begin(ALICE, job, Call::Set(vec![Property::Priority(1)]));
        assert_eq!(w.job(job).priority, priority);
    }
    w.torn = Some(Torn::BeforeCommit);
    w.begin(ALICE, job, Call::AddFiles(vec![file(1), file(2)]));
    assert_eq!(w.job(job).files.len(), 1, "all or nothing");
}

#[test]
fn a_complete_is_finished_from_every_point_at_which_the_service_dies() {
    for (call, end) in [(Call::Complete, Acknowledged), (Call::Cancel, Cancelled)] {
        for point in 0..6 {
            let mut w = World::new();
            let job = w.create(ALICE, Plan { files: 2, ..Plan::default() });
            w.connect(job);
            w.checkpoint(job, 0, SIZE);
            w.workers = Workers::Manual;
            w.torn = [Some(Torn::BeforeCommit), Some(Torn::AfterCommit)].get(point).copied().flatten();
            w.begin(ALICE, job, call.clone());
            if point == 0 {
                assert_eq!(w.state(job), Connecting, "nothing was stored: the transfer goes on");
                assert!(w.waiting.is_empty(), "and nobody was told");
                continue;
            }
            match point {
                2 => w.crash(), // before the worker stopped
                3 => {
                    w.stopped(job);
                    w.crash(); // while files are renamed
                }
                4 | 5 => {
                    w.stopped(job);
                    w.torn = Some(if point == 4 { Torn::BeforeCommit } else { Torn::AfterCommit });
                    let (work, _) = w.file_work(job).expect("under way");
                    w.file_work_done(work);
                }
                _ => {}
            }
            if point == 5 {
                assert!(w.q.held_job(ALICE, job).is_err() && w.store.get(job).is_none(), "it was over");
                continue;
            }
            assert!(!w.is_running(job), "begun is begun");
            let (work, again) = w.file_work(job).expect("replayed");
            assert!(again.replay);
            let (rename, remove) = (again.plan.rename, again.plan.remove);
            let expected = if end == Acknowledged { (vec![0], vec![1]) } else { (vec![], vec![0, 1]) };
            assert_eq!((rename, remove), expected, "point {point}");
            w.file_work_done(work);
            assert_eq!(w.state(job), end);
        }
    }
}

#[test]
fn a_job_that_completes_itself_does_so_after_a_crash() {
    for torn in [Torn::BeforeCommit, Torn::AfterCommit] {
        let mut w = World::new();
        let job = w.create(ALICE, Plan { auto_complete: true, ..Plan::default() });
        w.connect(job);
        w.checkpoint(job, 0, SIZE);
        w.workers = Workers::Manual;
        w.torn = Some(torn);
        w.done(job);
        assert_eq!((w.state(job), w.started.len()), (Transferred, 1), "no byte is moved twice");
        let (work, _) = w.file_work(job).expect("under way");
        w.file_work_done(work);
        assert_eq!(w.state(job), Acknowledged);
    }
}

#[test]
fn a_job_whose_turn_was_not_stored_has_no_temporary_file_to_remove() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    w.workers = Workers::Manual;
    w.torn = Some(Torn::BeforeCommit);
    w.begin(ALICE, job, Call::Resume);
    assert_eq!(w.call(ALICE, job, Call::Cancel), Ok(h::S_OK), "no work for a worker");
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    w.torn = Some(Torn::AfterCommit);
    w.begin(ALICE, job, Call::Resume);
    w.begin_later(ALICE, job, Call::Cancel);
    assert!(w.is_running(job));
    w.stopped(job);
    assert_eq!(w.file_work(job).expect("it may exist").1.plan.remove, [0]);
}
