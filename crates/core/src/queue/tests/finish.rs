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
