//! Delays, periods and turns, second by second (spec/behaviour.md 10).

use super::world::{ALICE, Plan, ROOT, SIZE, Workers, World};
use crate::enums::{JobState, Priority};
use crate::hresult as h;
use crate::id::JobId;
use crate::job::property::Property;
use crate::limits::Limits;
use crate::queue::{Call, NoticeKind, Reason};
use crate::time::{FileTime, Mono, Now};
use JobState::{Connecting, Error, Queued, Suspended, Transferring, TransientError};

/// A job with the given delay and period that has its turn.
fn trying(delay: u32, period: u32) -> (World, JobId) {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    w.set(job, Property::MinimumRetryDelay(delay)).expect("settable");
    w.set(job, Property::NoProgressTimeout(period)).expect("settable");
    w.call(ALICE, job, Call::Resume).expect("resumes");
    w.take_notices(job);
    (w, job)
}

fn fail_503(w: &mut World, job: JobId) {
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
}

#[test]
fn a_finished_job_leaves_no_wake_up_behind() {
    let mut w = World::new();
    for call in [Call::Cancel, Call::Complete] {
        let job = w.job_at(Priority::Normal);
        fail_503(&mut w, job);
        assert!(w.q.next_deadline().is_some());
        w.call(ALICE, job, call).expect("finishes");
        assert_eq!(w.q.next_deadline(), None);
    }
}

#[test]
fn the_end_of_a_turn_wakes_nobody_while_it_can_change_nothing() {
    let mut w = World::with(Limits { max_background: 2, ..Limits::default() });
    let jobs: Vec<_> = (0..4).map(|_| w.job_at(Priority::Normal)).collect();
    w.workers = Workers::Manual;
    w.pause();
    w.pass(500);
    w.tick();
    assert_eq!(w.states(&jobs), [Connecting, Connecting, Queued, Queued], "held: nobody is started");
    w.start();
    w.tick();
    assert_eq!(w.states(&jobs), [Queued, Connecting, Queued, Queued], "one turn ends; its worker is slow");
    w.pass(500);
    w.tick();
    w.stopped(jobs[0]);
    assert_eq!(w.states(&jobs), [Queued, Queued, Connecting, Queued]);
}

/// spec/bits-core.md 12, row 41.
#[test]
fn a_queued_job_without_a_period_waits_for_the_network_for_as_long_as_it_takes() {
    let mut w = World::new();
    let running = w.job_at(Priority::Normal);
    let job = w.job_at(Priority::Normal);
    for id in [running, job] {
        w.set(id, Property::NoProgressTimeout(0)).expect("settable");
    }
    w.network(false);
    assert_eq!(w.states(&[running, job]), [Error, TransientError]);
    w.pass(30 * 86_400);
    assert_eq!(w.state(job), TransientError);
    w.set(job, Property::Description("no clock is touched".into())).expect("settable");
    assert_eq!(w.state(job), TransientError);
    w.network(true);
    assert_eq!(w.states(&[running, job]), [Error, Connecting]);
    // Row 33 of section 10 holds for this wait as well.
    w.network(false);
    let waiting = w.job_at(Priority::Normal);
    w.set(waiting, Property::NoProgressTimeout(0)).expect("settable");
    assert_eq!(w.state(waiting), Error);
}

#[test]
fn the_last_checkpoint_of_a_stopped_attempt_is_progress() {
    let (mut w, job) = trying(60, 600);
    fail_503(&mut w, job);
    w.pass(500);
    w.connect(job);
    w.workers = Workers::Manual;
    w.network(false);
    let before = w.job(job).last_activity;
    w.pass(1);
    w.checkpoint(job, 0, 100);
    assert!(w.job(job).last_activity > before);
    w.stopped(job);
    w.pass(599);
    assert_eq!(w.state(job), TransientError, "the period began anew with these bytes");
    w.pass(1);
    assert_eq!(w.state(job), Error);
}

#[test]
fn active_time_survives_a_crash_with_the_bytes() {
    let mut w = World::with(Limits { max_download_s: 1000, ..Limits::default() });
    let job = w.job_at(Priority::Normal);
    w.connect(job);
    w.pass(900);
    w.checkpoint(job, 0, 100);
    w.pass(50);
    w.crash();
    w.connect(job);
    w.pass(99);
    assert_eq!(w.state(job), Transferring);
    w.pass(1);
    assert_eq!((w.state(job), w.error(job)), (Error, h::BG_E_MAXDOWNLOAD_TIMEOUT));
}

#[test]
fn shorter_limits_hold_for_jobs_that_are_there() {
    const DAY_S: u64 = 86_400;
    let mut w = World::new();
    let idle = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    let active = w.job_at(Priority::Normal);
    w.connect(active);
    w.pass(3600);
    let limits = Limits { job_inactivity_s: DAY_S, max_download_s: 7200, ..Limits::default() };
    w.q.set_limits(limits, w.now);
    w.drain();
    w.pass(3599);
    assert_eq!(w.state(active), Transferring);
    w.pass(1);
    assert_eq!((w.state(active), w.error(active)), (Error, h::BG_E_MAXDOWNLOAD_TIMEOUT));
    w.pass(DAY_S - 7201);
    assert_eq!(w.state(idle), Suspended);
    w.pass(1);
    assert_eq!(w.state(idle), JobState::Cancelled);
}
