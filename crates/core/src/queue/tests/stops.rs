//! What happens between the wish that a transfer ends and the worker's word that it has ended.

use super::world::{ALICE, BOB, Plan, ROOT, SIZE, Workers, World, file};
use crate::enums::{JobState, Priority};
use crate::hresult as h;
use crate::id::Uid;
use crate::job::property::{NotifyCommand, Property};
use crate::queue::{Call, Called, Reason};
use crate::secret::{Sealed, Slot};
use JobState::{Cancelled, Connecting, Queued, Suspended, Transferring};

/// A job that moves bytes, and workers that answer when the test says so.
fn moving() -> (World, crate::JobId) {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 2, ..Plan::default() });
    w.connect(job);
    w.workers = Workers::Manual;
    (w, job)
}

#[test]
fn suspend_is_answered_only_after_the_worker_stopped() {
    let (mut w, job) = moving();
    let ticket = w.begin_later(ALICE, job, Call::Suspend);
    assert_eq!((w.state(job), w.answer(ticket)), (Suspended, None));
    w.checkpoint(job, 0, 500);
    assert_eq!(w.answer(ticket), None);
    w.stopped(job);
    assert_eq!(w.answer(ticket), Some(Ok(h::S_OK)));
    assert_eq!(w.job(job).files[0].done.len(), 500, "the last checkpoint counts");
    assert!(!w.is_running(job));
}

#[test]
fn a_second_suspend_waits_for_the_same_stop() {
    let (mut w, job) = moving();
    let first = w.begin_later(ALICE, job, Call::Suspend);
    let second = w.begin_later(ALICE, job, Call::Suspend);
    assert_eq!((w.answer(first), w.answer(second)), (None, None));
    w.stopped(job);
    assert_eq!((w.answer(first), w.answer(second)), (Some(Ok(h::S_OK)), Some(Ok(h::S_OK))));
    assert_eq!(w.begin(ALICE, job, Call::Suspend), Called::Done(Ok(h::S_OK)), "nothing to wait for");
}

#[test]
fn suspend_of_a_job_in_error_waits_for_its_worker_too() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.connect(job);
    w.workers = Workers::Manual;
    w.pass(w.q.limits().max_download_s);
    assert_eq!(w.state(job), JobState::Error);
    let ticket = w.begin_later(ALICE, job, Call::Suspend);
    w.stopped(job);
    assert_eq!((w.answer(ticket), w.state(job)), (Some(Ok(h::S_OK)), JobState::Error));
}

#[test]
fn other_calls_do_not_wait_for_the_stop() {
    let (mut w, job) = moving();
    let ticket = w.begin_later(ALICE, job, Call::Suspend);
    let set = Call::Set(vec![Property::Description("d".into())]);
    assert_eq!(w.begin(ALICE, job, set), Called::Done(Ok(h::S_OK)));
    assert_eq!(w.begin(ALICE, job, Call::AddFiles(vec![file(9)])), Called::Done(Ok(h::S_OK)));
    assert_eq!(w.state(job), Suspended);
    w.stopped(job);
    assert_eq!(w.answer(ticket), Some(Ok(h::S_OK)));
}

#[test]
fn resume_races_the_stop_and_the_next_attempt_waits_for_the_last() {
    let (mut w, job) = moving();
    let old = w.attempt(job).expect("runs");
    let ticket = w.begin_later(ALICE, job, Call::Suspend);
    assert_eq!(w.begin(ALICE, job, Call::Resume), Called::Done(Ok(h::S_OK)));
    assert_eq!((w.state(job), w.reason(job)), (Queued, Reason::Stopping));
    assert_eq!(w.attempt(job), Some(old));
    w.stopped(job);
    assert_eq!(w.answer(ticket), Some(Ok(h::S_OK)));
    assert_eq!(w.state(job), Connecting);
    assert_ne!(w.attempt(job), Some(old));
    // A late word of the old attempt means nothing any more.
    w.q.on_stopped(job, old, w.now);
    w.drain();
    assert!(w.is_running(job) && w.state(job) == Connecting);
    w.q.on_failed(
        job,
        old,
        crate::job::ErrorRecord::new(h::E_FAIL, crate::ErrorContext::Unknown, w.now.wall),
        None,
        w.now,
    );
    w.drain();
    assert_eq!(w.state(job), Connecting);
}

#[test]
fn reports_that_cross_a_stop_change_no_state() {
    for crossing in 0..3 {
        let (mut w, job) = moving();
        w.begin_later(ALICE, job, Call::Suspend);
        match crossing {
            0 => w.fail(job, h::BG_E_HTTP_ERROR_404, None),
            1 => w.done(job),
            _ => w.connect(job),
        }
        assert_eq!((w.state(job), w.job(job).error_count), (Suspended, 0));
        w.stopped(job);
        assert_eq!(w.state(job), Suspended);
    }
}

#[test]
fn a_job_whose_last_bytes_cross_the_stop_is_transferred_at_its_next_turn() {
    let (mut w, job) = moving();
    w.checkpoint(job, 0, SIZE);
    w.begin_later(ALICE, job, Call::Suspend);
    w.checkpoint(job, 1, SIZE);
    w.stopped(job);
    assert_eq!(w.state(job), Suspended);
    assert_eq!(w.call(ALICE, job, Call::Resume), Ok(h::S_OK));
    assert_eq!(w.state(job), JobState::Transferred);
    assert_eq!(w.started.len(), 1, "nothing was left to move");
}

#[test]
fn cancel_while_running_removes_the_files_after_the_worker_stopped() {
    let (mut w, job) = moving();
    w.checkpoint(job, 0, SIZE);
    let ticket = w.begin_later(ALICE, job, Call::Cancel);
    assert_eq!(w.state(job), Cancelled, "at once");
    assert!(w.q.job(ALICE, job).is_err_and(|code| code == h::BG_E_NOT_FOUND));
    assert!(w.file_work(job).is_none());
    assert_eq!(w.call(ALICE, job, Call::Resume), Err(h::BG_E_INVALID_STATE));
    w.stopped(job);
    let (work, plan) = w.file_work(job).map(|(t, work)| (t, work.plan)).expect("under way");
    assert_eq!((plan.rename, plan.remove), (vec![], vec![0, 1]), "finished files go, too");
    assert_eq!(w.answer(ticket), None);
    w.file_work_done(work);
    assert_eq!(w.answer(ticket), Some(Ok(h::S_OK)));
    assert_eq!(w.store.ids().count(), 0);
}

#[test]
fn cancel_answers_a_suspend_that_still_waits() {
    let (mut w, job) = moving();
    let suspend = w.begin_later(ALICE, job, Call::Suspend);
    let cancel = w.begin_later(ALICE, job, Call::Cancel);
    w.stopped(job);
    assert_eq!((w.answer(suspend), w.answer(cancel)), (Some(Ok(h::S_OK)), None));
    let (ticket, _) = w.file_work(job).expect("under way");
    w.file_work_done(ticket);
    assert_eq!(w.answer(cancel), Some(Ok(h::S_OK)));
}

#[test]
fn a_file_added_to_a_running_job_is_transferred_in_its_turn() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.connect(job);
    w.checkpoint(job, 0, SIZE);
    assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![file(9)])), Ok(h::S_OK));
    assert_eq!(w.state(job), Transferring);
    w.done(job);
    assert_eq!((w.state(job), w.started.len()), (Transferring, 2), "a new order for the new file");
    w.transfer(job);
    assert_eq!(w.state(job), JobState::Transferred);
    assert_eq!(w.job(job).progress().files_transferred, 2);
}

#[test]
fn the_turn_goes_on_over_files_added_meanwhile() {
    let mut w = World::new();
    let (first, second) = (w.job_at(Priority::Normal), w.job_at(Priority::Normal));
    w.connect(first);
    w.pass(100);
    w.checkpoint(first, 0, SIZE);
    assert_eq!(w.call(ALICE, first, Call::AddFiles(vec![file(9)])), Ok(h::S_OK));
    w.done(first);
    w.pass(19);
    assert!(w.is_running(first));
    w.pass(1);
    assert_eq!(
        w.states(&[first, second]),
        [Queued, Connecting],
        "120 s from the first byte, not from the last file"
    );
}

#[test]
fn a_worker_that_is_lost_requeues_its_runs_and_answers_who_waits() {
    let (mut w, job) = moving();
    let other = w.create(BOB, Plan { priority: Priority::Foreground, ..Plan::default() });
    w.checkpoint(job, 0, 700);
    w.worker_lost(ALICE.uid);
    assert_eq!(w.states(&[job, other]), [Connecting, Connecting], "started again at once");
    assert_eq!((w.started.len(), w.job(job).error_count), (3, 0));
    assert_eq!(w.job(job).files[0].done.len(), 700);
    let ticket = w.begin_later(ALICE, job, Call::Suspend);
    w.worker_lost(ALICE.uid);
    assert_eq!((w.answer(ticket), w.state(job)), (Some(Ok(h::S_OK)), Suspended));
    w.worker_lost(ALICE.uid);
    assert_eq!(w.state(job), Suspended);
}

#[test]
fn a_worker_lost_while_it_renames_has_its_work_repeated() {
    for call in [Call::Complete, Call::Cancel] {
        let (mut w, job) = moving();
        w.checkpoint(job, 0, SIZE);
        let ticket = w.begin_later(ALICE, job, call);
        w.stopped(job);
        let (first, work) = w.file_work(job).expect("begun");
        assert!(!work.replay);
        w.worker_lost(ALICE.uid);
        let (second, again) = w.file_work(job).expect("repeated");
        assert!(again.replay && again.plan == work.plan && second != first);
        // The word of the lost worker, if it arrives after all, is not taken.
        w.q.on_finish_done(job, first, &Default::default(), None, w.now);
        w.drain();
        assert_eq!(w.answer(ticket), None);
        w.file_work_done(second);
        assert!(w.answer(ticket).expect("answered").is_ok());
    }
}

#[test]
fn take_ownership_of_a_running_job_stops_the_old_owners_worker_and_starts_the_new_ones() {
    let (mut w, job) = moving();
    w.checkpoint(job, 0, 300);
    assert_eq!(w.set_credentials(ALICE, job, (1, 1), Some("u"), Some("p")), Ok(h::S_OK));
    w.set(job, Property::Sealed(Slot::Headers, Some(Sealed::new("s")))).expect("settable");
    let notify = Property::NotifyCommand { program: Some("/bin/true".into()), parameters: None };
    assert_eq!(w.call(ALICE, job, Call::Set(vec![notify])), Ok(h::S_OK));
    assert!(matches!(w.job(job).notify_command.as_deref(), Some(NotifyCommand { .. })));
    assert_eq!(w.begin(ROOT, job, Call::TakeOwnership), Called::Done(Ok(h::S_OK)));
    assert_eq!((w.job(job).owner, w.state(job)), (Uid::ROOT, Queued));
    assert!(w.job(job).credentials.is_empty() && w.job(job).notify_command.is_none());
    assert!(w.job(job).secrets.is_empty());
    let old = w.attempt(job).expect("still stopping");
    assert_eq!(w.attempts[&old].owner, ALICE.uid);
    assert!(w.q.owner_is_busy(ALICE.uid), "her worker still has it");
    w.stopped(job);
    let new = w.attempt(job).expect("goes on");
    assert_eq!(w.attempts[&new].owner, Uid::ROOT);
    assert!(w.q.owner_is_busy(Uid::ROOT) && !w.q.owner_is_busy(ALICE.uid));
    assert_eq!(w.job(job).files[0].done.len(), 300, "progress is kept");
    assert_eq!(w.call(ALICE, job, Call::Suspend), Err(h::E_ACCESSDENIED), "not hers any more");
}

#[test]
fn a_worker_lost_before_the_stop_for_a_complete_is_followed_by_one_finish() {
    for call in [Call::Complete, Call::Cancel] {
        let (mut w, job) = moving();
        w.checkpoint(job, 0, SIZE);
        let ticket = w.begin_later(ALICE, job, call);
        w.worker_lost(ALICE.uid);
        let (work, _) = w.file_work(job).expect("begun");
        assert_eq!(w.work.len(), 1);
        w.file_work_done(work);
        assert!(w.answer(ticket).expect("answered").is_ok());
    }
}

#[test]
fn a_worker_that_is_done_without_the_data_is_not_asked_again_at_once() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 2, ..Plan::default() });
    w.connect(job);
    w.checkpoint(job, 0, SIZE);
    w.done(job);
    assert_eq!((w.state(job), w.error(job)), (JobState::TransientError, h::E_UNEXPECTED));
    w.pass(600);
    w.transfer(job);
    assert_eq!(w.state(job), JobState::Transferred);
}
