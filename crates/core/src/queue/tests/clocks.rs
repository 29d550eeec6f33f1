//! Delays, periods and turns, second by second (spec/behaviour.md 10).

use super::world::{ALICE, Plan, Workers, World};
use crate::enums::{JobState, Priority};
use crate::hresult as h;
use crate::id::JobId;
use crate::job::property::Property;
use crate::limits::Limits;
use crate::queue::{Call, NoticeKind, Reason};
use crate::time::{FileTime, Now};
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

/// The worked example of 10.3, to the second.
#[test]
fn the_worked_example() {
    let (mut w, job) = trying(600, 3600);
    fail_503(&mut w, job);
    let zero = w.now.mono;
    for attempt in 1..=5 {
        assert_eq!((w.state(job), w.job(job).error_count), (TransientError, attempt));
        let why = w.q.why(job).expect("known");
        let at = zero.plus_s(u64::from(attempt) * 600);
        assert_eq!((why.reason, why.until), (Reason::WaitsForRetry, Some(at)));
        w.pass(599);
        assert_eq!(w.state(job), TransientError);
        w.pass(1);
        assert_eq!((w.state(job), w.now.mono), (Connecting, at));
        fail_503(&mut w, job);
    }
    assert_eq!((w.job(job).error_count, w.started.len()), (6, 6));
    w.take_notices(job);
    w.pass(599);
    assert_eq!((w.state(job), w.take_notices(job)), (TransientError, vec![]));
    w.pass(1);
    assert_eq!((w.state(job), w.now.mono), (Error, zero.plus_s(3600)));
    assert_eq!(w.take_notices(job), [(NoticeKind::Error, Error)]);
    assert_eq!(
        (w.error(job), w.job(job).error_count),
        (h::BG_E_HTTP_ERROR_503, 6),
        "no last retry, last error kept"
    );
    w.pass(100_000);
    assert_eq!((w.state(job), w.started.len()), (Error, 6));
}

/// Row 10 of section 31, and the third line of the example.
#[test]
fn conformance_10_one_byte_ends_the_period_and_the_next_error_begins_it_anew() {
    let (mut w, job) = trying(600, 3600);
    fail_503(&mut w, job);
    w.pass(600);
    fail_503(&mut w, job);
    w.pass(600);
    w.connect(job);
    w.pass(600);
    w.bytes(job, 0, 1);
    assert_eq!(w.job(job).no_progress_since, None);
    w.pass(400);
    fail_503(&mut w, job);
    let restart = w.now.mono;
    while w.state(job) != Error {
        assert!(w.now.mono < restart.plus_s(3601));
        w.pass(1);
        if w.is_running(job) {
            fail_503(&mut w, job);
        }
    }
    assert_eq!(w.now.mono, restart.plus_s(3600));
}

/// The fourth line.
#[test]
fn conformance_07_a_flap_of_the_network_retries_at_once() {
    let (mut w, job) = trying(600, 3600);
    fail_503(&mut w, job);
    w.pass(600);
    fail_503(&mut w, job);
    w.pass(300);
    w.network(false);
    assert_eq!((w.state(job), w.error(job)), (TransientError, h::BG_E_HTTP_ERROR_503));
    w.network(true);
    assert_eq!(w.state(job), Connecting);
    fail_503(&mut w, job);
    for _ in 0..2700 {
        assert_eq!(w.state(job), TransientError);
        w.pass(1);
        if w.is_running(job) {
            fail_503(&mut w, job);
        }
    }
    assert_eq!((w.state(job), w.job(job).error_count), (Error, 7), "the period ends when it would have");
}

/// 10.2 R11.
#[test]
fn resume_keeps_the_period_of_a_transient_error_and_restarts_that_of_an_error() {
    let (mut w, job) = trying(600, 3600);
    fail_503(&mut w, job);
    let since = w.job(job).no_progress_since;
    w.pass(10);
    w.call(ALICE, job, Call::Resume).expect("resumes");
    assert_eq!((w.state(job), w.job(job).no_progress_since), (Connecting, since), "the delay is skipped");
    fail_503(&mut w, job);
    assert_eq!(w.job(job).no_progress_since, since);
    w.pass(3590);
    while w.is_running(job) {
        fail_503(&mut w, job);
        w.tick();
    }
    assert_eq!(w.state(job), Error);
    w.call(ALICE, job, Call::Resume).expect("resumes");
    fail_503(&mut w, job);
    assert_eq!((w.state(job), w.job(job).no_progress_since), (TransientError, Some(w.now.mono)));
}

/// 10.2 R9.
#[test]
fn a_delay_changed_while_the_job_waits_counts_from_the_error() {
    let (mut w, job) = trying(600, 3600);
    fail_503(&mut w, job);
    w.pass(100);
    w.set(job, Property::MinimumRetryDelay(200)).expect("settable");
    w.pass(99);
    assert_eq!(w.state(job), TransientError);
    w.pass(1);
    assert_eq!(w.state(job), Connecting, "earlier");
    fail_503(&mut w, job);
    w.set(job, Property::MinimumRetryDelay(500)).expect("settable");
    w.pass(499);
    assert_eq!(w.state(job), TransientError);
    w.pass(1);
    assert_eq!(w.state(job), Connecting, "later");
    fail_503(&mut w, job);
    w.pass(100);
    w.set(job, Property::MinimumRetryDelay(50)).expect("settable");
    w.tick();
    assert_eq!(w.state(job), Connecting, "over already");
    fail_503(&mut w, job);
    w.set(job, Property::NoProgressTimeout(810)).expect("settable");
    w.pass(9);
    assert_eq!(w.state(job), TransientError);
    w.pass(1);
    assert_eq!(w.state(job), Error, "so with the period, from the first error");
}

/// 10.2 R4; bits-core 12 row 40.
#[test]
fn retry_after_is_honoured_up_to_the_end_of_the_period() {
    for (asked_s, waited) in [(0, 600), (599, 600), (900, 900), (100_000, 3600), (u64::MAX / 1000, 3600)] {
        let (mut w, job) = trying(600, 3600);
        w.fail(job, h::BG_E_HTTP_ERROR_503, Some(asked_s * 1000));
        w.pass(waited - 1);
        assert_eq!(w.state(job), TransientError, "asked for {asked_s} s");
        w.pass(1);
        assert_eq!(w.state(job), if waited == 3600 { Error } else { Connecting });
    }
}

/// Row 11 of section 31.
#[test]
fn conformance_11_a_delay_below_five_seconds_reads_back_as_five() {
    let (mut w, job) = trying(1, 3600);
    assert_eq!(w.job(job).minimum_retry_delay_s, 5);
    for (given, stored) in [(0, 5), (5, 5), (6, 6), (u32::MAX, u32::MAX)] {
        w.set(job, Property::MinimumRetryDelay(given)).expect("settable");
        assert_eq!(w.job(job).minimum_retry_delay_s, stored);
    }
    w.set(job, Property::NoProgressTimeout(u32::MAX)).expect("settable");
    fail_503(&mut w, job);
    assert_eq!(w.job(job).retry_at(&w.q.limits().retry), Some(w.now.mono.plus_s(u64::from(u32::MAX))));
}

/// Row 29 of section 31; 4.8.
#[test]
fn conformance_29_a_jump_of_the_wall_clock_moves_no_timer() {
    let (mut w, job) = trying(600, 3600);
    let idle = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    fail_503(&mut w, job);
    let modified = w.job(job).modified;
    let month = 30 * 86_400 * 10_000_000;
    for wall in [w.now.wall.0 + 12 * month, w.now.wall.0 - 12 * month] {
        w.now = Now { wall: FileTime(wall), ..w.now };
        w.tick();
        w.pass(100);
        assert_eq!(w.states(&[job, idle]), [TransientError, Suspended]);
    }
    w.set(job, Property::Description("set back".into())).expect("settable");
    assert!(w.job(job).modified >= modified, "never goes back");
    w.pass(399);
    assert_eq!(w.state(job), TransientError);
    w.pass(1);
    assert_eq!(w.state(job), Connecting);
}

/// 10.4; row 30 of section 31 (the monotonic clock counts sleep).
#[test]
fn the_maximum_download_time_counts_connecting_and_transferring_only() {
    let mut w = World::with(Limits { max_download_s: 1000, ..Limits::default() });
    let job = w.create(ALICE, Plan { resume: false, priority: Priority::Low, ..Plan::default() });
    w.pass(5000);
    w.call(ALICE, job, Call::Resume).expect("resumes");
    w.pass(300);
    w.connect(job);
    w.pass(300);
    let high = w.job_at(Priority::High);
    w.connect(high);
    assert_eq!(w.state(job), Queued);
    w.pass(900);
    w.transfer(high);
    w.pass(100);
    fail_503(&mut w, job);
    w.pass(600);
    assert_eq!(w.job(job).active_time_ms(w.now.mono), 700_000);
    w.call(ALICE, job, Call::Resume).expect("a no-op resets nothing");
    w.pass(299);
    assert_eq!(w.state(job), Connecting);
    w.take_notices(job);
    w.pass(1);
    assert_eq!((w.state(job), w.error(job)), (Error, h::BG_E_MAXDOWNLOAD_TIMEOUT));
    assert_eq!(w.take_notices(job), [(NoticeKind::Error, Error)]);
    assert!(!w.is_running(job));
    w.call(ALICE, job, Call::Resume).expect("resumes");
    w.pass(999);
    assert_eq!(w.state(job), Connecting, "from zero again");
    w.call(ALICE, job, Call::Suspend).expect("suspends");
    w.pass(5000);
    w.call(ALICE, job, Call::Resume).expect("resumes");
    w.pass(999);
    assert_eq!(w.state(job), Connecting);
}

/// Row 26 of section 31; 10.5.
#[test]
fn conformance_26_jobs_nobody_touches_are_cancelled_after_ninety_days() {
    const DAY_S: u64 = 86_400;
    let mut w = World::new();
    let plan = Plan { priority: Priority::Foreground, ..Plan::default() };
    let [ready, failed, touched, busy] = [(); 4].map(|()| w.create(ALICE, plan.clone()));
    let idle = w.create(ALICE, Plan { resume: false, ..plan });
    w.transfer(ready);
    w.fail(failed, h::BG_E_HTTP_ERROR_404, None);
    w.call(ALICE, touched, Call::Suspend).expect("suspends");
    w.set(busy, Property::MinimumRetryDelay(5)).expect("settable");
    let until = w.q.why(ready).expect("known").until;
    assert_eq!(until, Some(w.now.mono.plus_s(90 * DAY_S)), "the end is told");
    w.pass(50 * DAY_S);
    w.set(touched, Property::Description("a property change is activity".into())).expect("settable");
    assert!(w.q.held_job(ALICE, idle).is_ok() && w.q.why(idle).is_some(), "reading is none");
    w.connect(busy);
    w.bytes(busy, 0, 1);
    w.pass(40 * DAY_S - 1);
    assert_eq!(w.states(&[ready, failed, idle]), [JobState::Transferred, Error, Suspended]);
    w.workers = Workers::Manual;
    w.pass(1);
    let gone = [ready, failed, idle];
    assert_eq!(w.states(&gone), [JobState::Cancelled; 3]);
    assert!(w.file_work(ready).expect("files go").1.plan.remove == [0]);
    w.workers = Workers::Prompt;
    w.answer_promptly();
    assert!(gone.iter().all(|id| w.store.get(*id).is_none()));
    w.pass(50 * DAY_S);
    assert_eq!(
        w.states(&[touched, busy]),
        [JobState::Cancelled, Error],
        "the busy one ran into its own maximum"
    );
}

#[test]
fn a_job_that_a_worker_has_is_not_abandoned() {
    const DAY_S: u64 = 86_400;
    let mut w = World::with(Limits { max_download_s: 1000 * DAY_S, ..Limits::default() });
    let job = w.job_at(Priority::Normal);
    w.pass(400 * DAY_S);
    assert_eq!(w.state(job), Connecting);
    // R3: the inactivity comes first where the period is longer.
    w.set(job, Property::NoProgressTimeout(u32::MAX)).expect("settable");
    w.set(job, Property::MinimumRetryDelay(u32::MAX)).expect("settable");
    fail_503(&mut w, job);
    w.pass(90 * DAY_S - 1);
    assert_eq!(w.state(job), TransientError);
    w.pass(1);
    assert_eq!(w.state(job), JobState::Cancelled);
}

#[test]
fn clocks_go_on_over_a_restart() {
    let (mut w, job) = trying(600, 3600);
    fail_503(&mut w, job);
    w.pass(200);
    w.crash();
    w.pass(399);
    assert_eq!(w.state(job), TransientError);
    w.pass(1);
    assert_eq!(w.state(job), Connecting);
    fail_503(&mut w, job);
    // The service is down when the delay ends: it is due at once.
    w.crash_stopped();
    w.now = Now { mono: w.now.mono.plus_s(10_000), ..w.now };
    w.start();
    assert_eq!(w.state(job), TransientError);
    w.tick();
    assert_eq!(w.state(job), Connecting);
}

/// The machine sleeps in mid-transfer: its clock (CLOCK_BOOTTIME) has gone on, and so has the time of the transfer (row 30 of section 31).
#[test]
fn conformance_30_sleep_counts_as_download_time_and_the_job_goes_on() {
    let mut w = World::with(Limits { max_download_s: 10_000, ..Limits::default() });
    let job = w.job_at(Priority::Normal);
    w.connect(job);
    w.pass(100);
    assert_eq!(w.job(job).active_time_ms(w.now.mono), 100_000);
    // One step of the clock, as after hibernation, and not second by second.
    w.now.mono = w.now.mono.plus_s(3_000);
    w.tick();
    assert_eq!(w.job(job).active_time_ms(w.now.mono), 3_100_000);
    assert_eq!(w.state(job), Transferring, "the job continues");
    w.transfer(job);
    assert_eq!(w.state(job), JobState::Transferred);
}
