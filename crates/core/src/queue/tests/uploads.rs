//! Upload jobs in the queue: what is remembered, what waits for durability, and the server that is told of a Cancel.

use super::world::{ALICE, Plan, SIZE, World};
use crate::enums::{JobState, JobType};
use crate::id::JobId;
use crate::job::Finishing;
use crate::job::api::FinishResult;
use crate::queue::{Call, FileReport};
use crate::range_set::RangeSet;
use crate::upload::client::{SourceMark, UploadState};

fn begun(kind: JobType) -> (World, JobId) {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { kind, ..Plan::default() });
    w.connect(job);
    (w, job)
}

fn state(offset: u64) -> UploadState {
    let source = SourceMark { size: SIZE, modified_s: 1, modified_ns: 0, inode: 1, device: 1 };
    UploadState { source: Some(source), session: Some("{S}".into()), offset, ..UploadState::default() }
}

fn report(w: &mut World, job: JobId, state: UploadState, keep: bool) {
    let attempt = w.attempt(job).unwrap();
    w.q.on_upload(job, attempt, state, keep, w.now);
    w.drain();
}

#[test]
fn a_session_is_durable_before_the_worker_goes_on() {
    let (mut w, job) = begun(JobType::Upload);
    let attempt = w.attempt(job).unwrap();
    report(&mut w, job, state(0), true);
    assert_eq!(w.kept, [attempt]);
    assert_eq!(w.store.get(job).unwrap().files[0].upload.as_deref(), Some(&state(0)));
    report(&mut w, job, state(400), false);
    assert_eq!((w.kept.len(), w.job(job).progress().bytes_transferred), (1, 400));
    // The server may have less than it said.
    report(&mut w, job, state(100), false);
    assert_eq!(w.job(job).progress().bytes_transferred, 100);
    report(&mut w, job, UploadState { received: true, closed: true, ..state(SIZE) }, false);
    w.done(job);
    assert_eq!(w.state(job), JobState::Transferred);
    assert_eq!(w.call(ALICE, job, Call::Complete), Ok(crate::hresult::S_OK));
}

#[test]
fn a_reply_is_counted_apart_and_renamed_by_complete() {
    let (mut w, job) = begun(JobType::UploadReply);
    report(&mut w, job, UploadState { received: true, ..state(SIZE) }, false);
    assert_eq!(w.job(job).reply_progress().unwrap().bytes_total, None);
    let attempt = w.attempt(job).unwrap();
    w.q.on_connected(job, attempt, 1, Some(70), "h:80", w.now);
    assert_eq!(w.job(job).reply_progress().unwrap().bytes_total, Some(70));
    let part = |done, finished| FileReport {
        file: 1,
        size: Some(70),
        done: RangeSet::prefix(done),
        finished,
        ..FileReport::default()
    };
    w.q.on_checkpoint(job, attempt, vec![part(30, false)], w.now);
    w.drain();
    assert_eq!(w.job(job).reply_progress().unwrap().bytes_transferred, 30);
    assert_eq!(w.job(job).progress().bytes_total, Some(SIZE), "the reply is not in it");
    let kept = w.store.get(job).unwrap();
    assert_eq!(kept.reply_file().unwrap().done, RangeSet::prefix(30), "a reply is resumed too");
    w.q.on_checkpoint(job, attempt, vec![part(70, true)], w.now);
    w.drain();
    assert_eq!(w.state(job), JobState::Transferring, "the session is still to be closed");
    report(&mut w, job, UploadState { closed: true, reply_stored: true, ..state(SIZE) }, false);
    w.done(job);
    assert_eq!(w.state(job), JobState::Transferred);
    assert_eq!(w.job(job).reply_data_size(), Ok(70));
    assert_eq!(w.job(job).complete_plan().rename, [1]);
    assert_eq!(w.call(ALICE, job, Call::Complete), Ok(crate::hresult::S_OK));
    assert!(w.q.held_job(ALICE, job).unwrap().reply_file().unwrap().completed);
}

#[test]
fn cancel_is_answered_at_once_and_the_server_is_told_for_a_day() {
    let (mut w, job) = begun(JobType::Upload);
    report(&mut w, job, state(400), false);
    w.workers = super::world::Workers::Manual;
    let attempt = w.attempt(job).unwrap();
    let ticket = w.begin_later(ALICE, job, Call::Cancel);
    w.attempts.remove(&attempt);
    w.q.on_stopped(job, attempt, w.now);
    w.drain();
    assert_eq!(w.answer(ticket), Some(Ok(crate::hresult::S_OK)), "nobody waits for a server");
    assert_eq!(w.q.job(ALICE, job).map(|_| ()), Err(crate::hresult::BG_E_NOT_FOUND));
    let mut tries = 0;
    while let Some((ticket, work)) = w.file_work(job) {
        tries += 1;
        assert!(work.plan.cancel_upload);
        assert_eq!(w.store.get(job).unwrap().finishing, Some(Finishing::Farewell));
        w.work.remove(&ticket);
        let left = FinishResult { upload_left: true, ..FinishResult::default() };
        w.q.on_finish_done(job, ticket, &left, None, w.now);
        w.drain();
        if let Some(at) = w.q.next_deadline() {
            w.now.mono = at;
            w.q.tick(w.now);
            w.drain();
        }
    }
    assert_eq!(tries, 144, "every ten minutes for 24 hours");
    assert!(w.store.get(job).is_none(), "then it is given up");
}

#[test]
fn a_server_that_was_told_ends_it_also_after_a_restart() {
    let (mut w, job) = begun(JobType::Upload);
    report(&mut w, job, state(400), false);
    // Prompt workers tell it.
    assert_eq!(w.call(ALICE, job, Call::Cancel), Ok(crate::hresult::S_OK));
    assert!(w.store.get(job).is_none());
    let (mut w, job) = begun(JobType::Upload);
    report(&mut w, job, UploadState { received: true, closed: true, ..state(SIZE) }, false);
    w.done(job);
    w.workers = super::world::Workers::Manual;
    let _ = w.begin(ALICE, job, Call::Cancel);
    assert_eq!(w.file_work(job).map(|(_, work)| work.plan), None, "what was delivered stays");
    assert!(w.store.get(job).is_none());
}
