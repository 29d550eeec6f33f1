//! Complete and Cancel: what is renamed, what is removed, who waits (spec/behaviour.md 14).

use super::world::{ALICE, BOB, Plan, ROOT, SIZE, Workers, World, file};
use crate::enums::{ErrorContext, JobState, JobType, Priority};
use crate::hresult as h;
use crate::id::JobId;
use crate::job::api::FinishResult;
use crate::job::property::Property;
use crate::queue::{Call, Called, NoticeKind, Reason};
use crate::time::FileTime;
use JobState::{Acknowledged, Cancelled, Connecting, Error, Queued, Suspended, Transferred, TransientError};

/// A job with `files` files, the first `finished` of them transferred, still running; manual workers.
fn running(files: u32, finished: u32) -> (World, JobId) {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files, ..Plan::default() });
    w.connect(job);
    for index in 0..finished {
        w.checkpoint(job, index, SIZE);
    }
    w.workers = Workers::Manual;
    (w, job)
}

#[test]
fn no_clock_of_the_job_strikes_while_it_is_being_completed() {
    let mut w = World::new();
    let waiting = w.create(ALICE, Plan { files: 2, ..Plan::default() });
    w.connect(waiting);
    w.checkpoint(waiting, 0, SIZE);
    w.fail(waiting, h::BG_E_HTTP_ERROR_503, Some(0));
    let active = w.create(ALICE, Plan { files: 2, priority: Priority::Foreground, ..Plan::default() });
    w.connect(active);
    w.checkpoint(active, 0, SIZE);
    w.workers = Workers::Manual;
    for id in [waiting, active] {
        w.begin_later(ALICE, id, Call::Complete);
    }
    w.stopped(active);
    w.pass(100 * 86_400);
    assert_eq!(w.state(waiting), TransientError);
    assert_eq!(w.job(active).error_count, 0);
    for id in [waiting, active] {
        let (work, _) = w.file_work(id).expect("under way");
        w.file_work_failed(work, 0, h::ERROR_SHARING_VIOLATION);
    }
    assert_eq!(w.states(&[waiting, active]), [TransientError, Suspended], "as before the call, and stopped");
    w.pass(0);
    w.tick();
    assert_eq!(w.state(waiting), Connecting, "its retry is overdue");
}

/// Rows 14 and 16 of spec/behaviour.md 31: what is renamed, and what goes.
#[test]
fn conformance_14_complete_with_one_of_three_files_done() {
    let (mut w, job) = running(3, 1);
    let ticket = w.begin_later(ALICE, job, Call::Complete);
    assert!(w.file_work(job).is_none(), "nothing is renamed before the worker stopped");
    assert_eq!(w.reason(job), Reason::Finishing);
    w.stopped(job);
    let (work, order) = w.file_work(job).expect("under way");
    assert_eq!((order.plan.rename, order.plan.remove), (vec![0], vec![1, 2]));
    assert!(!order.replay);
    w.file_work_done(work);
    assert_eq!(w.answer(ticket), Some(Ok(h::BG_S_PARTIAL_COMPLETE)));
    assert_eq!((w.state(job), w.job(job).transferred_at), (Acknowledged, FileTime::ZERO));
    let completed: Vec<_> = w.job(job).files.iter().map(|f| f.completed).collect();
    assert_eq!(completed, [true, false, false]);
    assert_eq!(w.store.ids().count(), 0);
}

#[test]
fn complete_in_every_state() {
    let mut w = World::new();
    let partial = Ok(h::BG_S_PARTIAL_COMPLETE);
    let no_file = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    assert_eq!(w.call(ALICE, no_file, Call::Complete), Ok(h::S_OK));
    let idle = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    assert_eq!(w.call(ALICE, idle, Call::Complete), partial, "not one file was begun");
    let failed = w.job_at(Priority::Foreground);
    w.fail(failed, h::BG_E_HTTP_ERROR_404, None);
    assert_eq!(w.call(ALICE, failed, Call::Complete), partial);
    assert_eq!(
        w.job(failed).get_error(),
        Err(h::BG_E_ERROR_INFORMATION_UNAVAILABLE),
        "of a job that is over"
    );
    let waiting = w.job_at(Priority::Foreground);
    w.fail(waiting, h::BG_E_HTTP_ERROR_503, Some(0));
    assert_eq!(w.call(ALICE, waiting, Call::Complete), partial);
    let (first, queued) = (w.job_at(Priority::Normal), w.job_at(Priority::Normal));
    assert_eq!(w.call(ALICE, queued, Call::Complete), partial);
    assert_eq!(w.call(ALICE, first, Call::Complete), partial);
    let whole = w.job_at(Priority::Normal);
    w.transfer(whole);
    assert_eq!(w.call(ALICE, whole, Call::Complete), Ok(h::S_OK));
    assert_ne!(w.job(whole).transferred_at, FileTime::ZERO);
    for id in [no_file, idle, failed, waiting, first, queued, whole] {
        assert_eq!(w.state(id), Acknowledged);
        assert_eq!(w.call(ALICE, id, Call::Complete), Err(h::BG_E_INVALID_STATE));
    }
}

#[test]
fn an_upload_is_completed_only_when_it_is_transferred() {
    for kind in [JobType::Upload, JobType::UploadReply] {
        let mut w = World::new();
        let job = w.create(ALICE, Plan { kind, resume: false, ..Plan::default() });
        assert_eq!(w.call(ALICE, job, Call::Complete), Err(h::BG_E_INVALID_STATE));
        w.call(ALICE, job, Call::Resume).expect("resumes");
        w.connect(job);
        assert_eq!(w.call(ALICE, job, Call::Complete), Err(h::BG_E_INVALID_STATE));
        assert!(w.is_running(job), "untouched");
        w.checkpoint(job, 0, SIZE);
        w.done(job);
        assert_eq!(w.call(ALICE, job, Call::Complete), Ok(h::S_OK));
    }
}

/// Row 15.
#[test]
fn conformance_15_complete_with_a_destination_that_is_locked_and_then_again() {
    let (mut w, job) = running(3, 3);
    w.done(job);
    let times = w.job(job).transferred_at;
    w.take_notices(job);
    let ticket = w.begin_later(ALICE, job, Call::Complete);
    let (work, _) = w.file_work(job).expect("under way");
    w.file_work_failed(work, 1, h::ERROR_SHARING_VIOLATION);
    assert_eq!(w.answer(ticket), Some(Err(h::ERROR_SHARING_VIOLATION)));
    assert_eq!((w.state(job), w.job(job).transferred_at), (Transferred, times));
    assert!(w.job(job).get_error().is_err(), "a failed call makes no error record");
    assert_eq!(w.take_notices(job), []);
    assert!(w.store.get(job).expect("stored").files[0].completed, "what is in place is remembered");
    w.crash();
    let ticket = w.begin_later(ALICE, job, Call::Complete);
    let (work, order) = w.file_work(job).expect("under way");
    assert_eq!((order.plan.rename, order.plan.remove), (vec![1, 2], vec![]), "the rest");
    w.file_work_done(work);
    assert_eq!(w.answer(ticket), Some(Ok(h::S_OK)));
    assert_eq!(w.take_notices(job).last(), Some(&(NoticeKind::Acknowledged, Acknowledged)));
}

/// Data that vanished after the download can be fetched again, and only that.
#[test]
fn complete_without_the_data_leads_to_a_resume_that_fetches_it() {
    for auto_complete in [false, true] {
        let (mut w, job) = running(3, 3);
        if auto_complete {
            w.call(ALICE, job, Call::Set(vec![Property::AutoComplete(true)])).expect("set");
        }
        w.done(job);
        let ticket = (!auto_complete).then(|| w.begin_later(ALICE, job, Call::Complete));
        let (work, _) = w.file_work(job).expect("under way");
        w.take_notices(job);
        w.file_work_failed_with(work, 1, h::BG_E_LOCAL_FILE_CHANGED, vec![1]);
        if let Some(ticket) = ticket {
            assert_eq!(w.answer(ticket), Some(Err(h::BG_E_LOCAL_FILE_CHANGED)));
        }
        assert_eq!(w.take_notices(job).last(), Some(&(NoticeKind::Error, Error)));
        w.crash();
        let stored = w.job(job);
        let error = stored.get_error().expect("a record");
        assert_eq!((error.code, error.context), (h::BG_E_LOCAL_FILE_CHANGED, ErrorContext::LocalFile));
        assert_eq!(error.file, Some(1));
        let files: Vec<_> = stored.files.iter().map(|f| (f.completed, f.transferred, f.done.len())).collect();
        assert_eq!(files, [(true, true, SIZE), (false, false, 0), (false, true, SIZE)]);
        assert_eq!(w.call(ALICE, job, Call::Resume), Ok(h::S_OK));
        w.connect(job);
        w.checkpoint(job, 1, SIZE);
        w.done(job);
        if !auto_complete {
            assert_eq!(w.state(job), Transferred);
            w.begin_later(ALICE, job, Call::Complete);
        }
        let (work, order) = w.file_work(job).expect("under way");
        assert_eq!((order.plan.rename, order.plan.remove), (vec![1, 2], vec![]), "the rest");
        w.file_work_done(work);
        assert_eq!(w.state(job), Acknowledged);
    }
}

/// A job that was not TRANSFERRED keeps its state: a Resume is due anyway.
#[test]
fn a_loss_in_an_unfinished_job_only_begins_the_file_again() {
    let (mut w, job) = running(3, 1);
    let ticket = w.begin_later(ALICE, job, Call::Complete);
    w.stopped(job);
    let (work, _) = w.file_work(job).expect("under way");
    w.file_work_failed_with(work, 0, h::ERROR_FILE_NOT_FOUND, vec![0]);
    assert_eq!((w.answer(ticket), w.state(job)), (Some(Err(h::ERROR_FILE_NOT_FOUND)), Suspended));
    assert!(!w.store.get(job).expect("stored").files[0].transferred);
}

#[test]
fn cancel_after_a_complete_that_failed_in_part_keeps_what_is_in_place() {
    let (mut w, job) = running(3, 3);
    w.done(job);
    w.begin_later(ALICE, job, Call::Complete);
    let (work, _) = w.file_work(job).expect("under way");
    w.file_work_failed(work, 2, h::ERROR_SHARING_VIOLATION);
    let ticket = w.begin_later(ALICE, job, Call::Cancel);
    let (work, order) = w.file_work(job).expect("under way");
    assert_eq!((order.plan.rename, order.plan.remove), (vec![], vec![2]));
    w.file_work_done(work);
    assert_eq!(w.answer(ticket), Some(Ok(h::S_OK)));
    assert_eq!(w.job(job).transferred_at, FileTime::ZERO);
}

#[test]
fn a_running_job_whose_complete_fails_is_suspended_and_goes_on_after_resume() {
    let (mut w, job) = running(2, 1);
    let ticket = w.begin_later(ALICE, job, Call::Complete);
    w.stopped(job);
    let (work, _) = w.file_work(job).expect("under way");
    w.file_work_failed(work, 0, h::ERROR_SHARING_VIOLATION);
    assert_eq!((w.answer(ticket), w.state(job)), (Some(Err(h::ERROR_SHARING_VIOLATION)), Suspended));
    assert_eq!(
        w.take_notices(job).last(),
        Some(&(NoticeKind::Modified, Suspended)),
        "any change of state is told"
    );
    w.workers = Workers::Prompt;
    w.call(ALICE, job, Call::Resume).expect("resumes");
    w.transfer(job);
    assert_eq!((w.state(job), w.call(ALICE, job, Call::Complete)), (Transferred, Ok(h::S_OK)));
}

#[test]
fn a_job_with_all_its_data_is_not_partial_whatever_its_state() {
    let (mut w, job) = running(2, 1);
    w.begin_later(ALICE, job, Call::Suspend);
    w.checkpoint(job, 1, SIZE);
    w.stopped(job);
    assert_eq!(w.state(job), Suspended);
    let ticket = w.begin_later(ALICE, job, Call::Complete);
    let (work, order) = w.file_work(job).expect("under way");
    assert_eq!(order.plan.rename, [0, 1]);
    w.file_work_done(work);
    assert_eq!(w.answer(ticket), Some(Ok(h::S_OK)));
}

#[test]
fn files_that_cannot_be_removed_are_told_and_partial_wins() {
    let left = FinishResult { left_behind: true, ..FinishResult::default() };
    for (call, code) in
        [(Call::Cancel, h::BG_S_UNABLE_TO_DELETE_FILES), (Call::Complete, h::BG_S_PARTIAL_COMPLETE)]
    {
        let (mut w, job) = running(1, 0);
        let ticket = w.begin_later(ALICE, job, call);
        w.stopped(job);
        let (work, _) = w.file_work(job).expect("under way");
        w.work.clear();
        w.q.on_finish_done(job, work, &left, None, w.now);
        w.drain();
        assert_eq!(w.answer(ticket), Some(Ok(code)));
        assert!(w.state(job).is_final(), "gone all the same");
    }
}

#[test]
fn calls_during_a_complete_are_answered_after_it() {
    let (mut w, job) = running(1, 1);
    w.done(job);
    let complete = w.begin_later(ALICE, job, Call::Complete);
    let calls = [Call::Suspend, Call::Cancel, Call::Set(vec![Property::Priority(0)]), Call::Complete];
    let waiting: Vec<_> = calls.iter().map(|call| w.begin_later(ALICE, job, call.clone())).collect();
    assert!(matches!(w.begin(BOB, job, Call::Cancel), Called::Done(Err(_))), "strangers do not wait");
    let (work, _) = w.file_work(job).expect("under way");
    w.file_work_done(work);
    assert_eq!(w.answer(complete), Some(Ok(h::S_OK)));
    for ticket in waiting {
        assert_eq!(w.answer(ticket), Some(Err(h::BG_E_INVALID_STATE)));
    }
}

#[test]
fn calls_during_a_complete_that_fails_are_done_in_their_order() {
    let (mut w, job) = running(1, 1);
    w.done(job);
    let first = w.begin_later(ALICE, job, Call::Complete);
    let set = w.begin_later(ALICE, job, Call::Set(vec![Property::Description("d".into())]));
    let second = w.begin_later(ALICE, job, Call::Complete);
    let cancel = w.begin_later(ALICE, job, Call::Cancel);
    let late = w.begin_later(ALICE, job, Call::Resume);
    let (work, _) = w.file_work(job).expect("under way");
    w.file_work_failed(work, 0, h::ERROR_SHARING_VIOLATION);
    assert_eq!(w.answer(first), Some(Err(h::ERROR_SHARING_VIOLATION)));
    assert_eq!(w.answer(set), Some(Ok(h::S_OK)));
    assert_eq!(
        (w.answer(second), w.answer(cancel), w.answer(late)),
        (None, None, None),
        "the next Complete is on"
    );
    let (work, _) = w.file_work(job).expect("under way again");
    w.file_work_failed(work, 0, h::ERROR_SHARING_VIOLATION);
    assert_eq!(w.answer(second), Some(Err(h::ERROR_SHARING_VIOLATION)));
    assert_eq!(w.state(job), Cancelled);
    assert_eq!(w.answer(late), Some(Err(h::BG_E_INVALID_STATE)));
    let (work, _) = w.file_work(job).expect("the Cancel");
    w.file_work_done(work);
    assert_eq!(w.answer(cancel), Some(Ok(h::S_OK)));
}

#[test]
fn a_job_may_complete_itself() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { auto_complete: true, ..Plan::default() });
    w.transfer(job);
    assert_eq!(w.state(job), Acknowledged);
    let kinds: Vec<_> = w.take_notices(job).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds[kinds.len() - 2..], [NoticeKind::Transferred, NoticeKind::Acknowledged]);
    // Asked for afterwards, it is done at once.
    let ready = w.job_at(Priority::Normal);
    w.transfer(ready);
    w.set(ready, Property::AutoComplete(true)).expect("settable");
    assert_eq!(w.state(ready), Acknowledged);
    let upload = w.create(ALICE, Plan { kind: JobType::Upload, auto_complete: true, ..Plan::default() });
    w.transfer(upload);
    assert_eq!(w.state(upload), Acknowledged);
}

#[test]
fn a_job_that_cannot_complete_itself_is_in_error_and_resume_tries_again() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 2, auto_complete: true, ..Plan::default() });
    w.workers = Workers::Manual;
    w.transfer(job);
    let call = w.begin_later(ALICE, job, Call::Set(vec![Property::Description("d".into())]));
    let (work, _) = w.file_work(job).expect("by itself");
    w.file_work_failed(work, 1, h::ERROR_SHARING_VIOLATION);
    assert_eq!(w.answer(call), Some(Ok(h::S_OK)));
    let record = w.job(job).get_error().expect("a record");
    assert_eq!((record.code, record.context), (h::ERROR_SHARING_VIOLATION, ErrorContext::LocalFile));
    assert_eq!((record.get_file(), &*record.detail), (Ok(1), "in use"));
    assert_eq!((w.state(job), w.job(job).error_count), (Error, 1));
    assert!(w.take_notices(job).contains(&(NoticeKind::Error, Error)));
    w.pass(1_000_000);
    assert_eq!((w.state(job), w.work.len()), (Error, 0), "it does not try for ever");
    w.call(ALICE, job, Call::Resume).expect("resumes");
    assert_eq!((w.state(job), w.started.len()), (Transferred, 1), "nothing is transferred again");
    let (work, order) = w.file_work(job).expect("again");
    assert_eq!(order.plan.rename, [1]);
    w.file_work_done(work);
    assert_eq!(w.state(job), Acknowledged);
}

#[test]
fn a_job_in_error_after_its_own_complete_can_be_completed_by_hand() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { auto_complete: true, ..Plan::default() });
    w.workers = Workers::Manual;
    w.transfer(job);
    let (work, _) = w.file_work(job).expect("by itself");
    w.file_work_failed(work, 0, h::ERROR_SHARING_VIOLATION);
    w.workers = Workers::Prompt;
    assert_eq!(w.call(ALICE, job, Call::Complete), Ok(h::S_OK), "all its data was there");
}

#[test]
fn a_complete_repeated_after_a_crash_fails_as_it_would_have_for_its_caller() {
    let (mut w, job) = running(1, 1);
    w.done(job);
    w.begin_later(ALICE, job, Call::Complete);
    w.crash();
    let (work, order) = w.file_work(job).expect("replayed");
    assert!(order.replay);
    w.file_work_failed(work, 0, h::ERROR_SHARING_VIOLATION);
    assert_eq!((w.state(job), w.job(job).error_count), (Transferred, 0));
    assert_eq!(w.reason(job), Reason::WaitsForComplete);
}

#[test]
fn cancel_in_every_state_and_twice() {
    let mut w = World::new();
    let mut jobs = vec![w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() })];
    let job = w.job_at(Priority::Foreground);
    w.fail(job, h::BG_E_HTTP_ERROR_404, None);
    jobs.push(job);
    let job = w.job_at(Priority::Foreground);
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
    jobs.push(job);
    let job = w.job_at(Priority::Foreground);
    w.transfer(job);
    jobs.push(job);
    jobs.extend([w.job_at(Priority::Normal), w.job_at(Priority::Normal), w.job_at(Priority::Foreground)]);
    w.connect(jobs[6]);
    let states = [Suspended, Error, TransientError, Transferred, Connecting, Queued, JobState::Transferring];
    assert_eq!(w.states(&jobs), states);
    for id in jobs {
        assert_eq!(w.call(ROOT, id, Call::Cancel), Ok(h::S_OK));
        assert_eq!((w.state(id), w.reason(id)), (Cancelled, Reason::Cancelled));
        assert_eq!(w.call(ALICE, id, Call::Cancel), Err(h::BG_E_INVALID_STATE));
        assert_eq!(w.q.job(ALICE, id).err(), Some(h::BG_E_NOT_FOUND));
        assert_eq!(w.call(ALICE, id, Call::AddFiles(vec![file(1)])), Err(h::BG_E_INVALID_STATE));
    }
}
