//! Who runs, who waits, who makes room (spec/behaviour.md 3, rows S1 to S19 and the table of 3.2).

use super::world::{ALICE, BOB, Plan, ROOT, SIZE, Workers, World};
use crate::caller::Caller;
use crate::enums::{JobState, Priority};
use crate::hresult as h;
use crate::id::JobId;
use crate::limits::Limits;
use crate::queue::{Call, Reason};
use JobState::{Connecting, Queued, Suspended, Transferring, TransientError};
use Priority::{Foreground, High, Low, Normal};

fn whose(w: &mut World, who: Caller, priority: Priority) -> JobId {
    w.pass(1);
    w.create(who, Plan { priority, ..Plan::default() })
}

/// Row 2 of section 31; S2, S3.
#[test]
fn conformance_02_all_foreground_jobs_and_exactly_one_background_job_run() {
    let mut w = World::new();
    let foreground = [ALICE, BOB, ROOT].map(|who| whose(&mut w, who, Foreground));
    let normal = [ALICE, BOB, ROOT].map(|who| whose(&mut w, who, Normal));
    assert_eq!(w.states(&foreground), [Connecting; 3]);
    assert_eq!(w.states(&normal), [Connecting, Queued, Queued]);
    assert_eq!(w.reason(normal[1]), Reason::WaitsForTurn);
}

/// The table of 3.2, row by row: what runs, what becomes runnable, and both states after it.
#[test]
fn what_preempts_what() {
    let rows = [
        (Foreground, Foreground, Connecting, Connecting),
        (Foreground, High, Connecting, Connecting),
        (Foreground, Normal, Connecting, Connecting),
        (Foreground, Low, Connecting, Connecting),
        (High, High, Connecting, Queued),
        (High, Normal, Connecting, Queued),
        (High, Low, Connecting, Queued),
        (Normal, High, Queued, Connecting),
        (Normal, Normal, Connecting, Queued),
        (Normal, Low, Connecting, Queued),
        (Low, High, Queued, Connecting),
        (Low, Normal, Queued, Connecting),
        (Low, Low, Connecting, Queued),
        (High, Foreground, Connecting, Connecting),
        (Normal, Foreground, Connecting, Connecting),
        (Low, Foreground, Connecting, Connecting),
    ];
    for (running, newcomer, first, second) in rows {
        let mut w = World::new();
        let jobs = [w.job_at(running), w.job_at(newcomer)];
        assert_eq!(w.states(&jobs), [first, second], "{running} and then {newcomer}");
        for id in jobs {
            assert_eq!(
                (w.job(id).error_count, w.job(id).get_error().is_err()),
                (0, true),
                "no error, no count"
            );
        }
        // The order in which they came makes no difference for the levels.
        if running != newcomer {
            let mut w = World::new();
            let jobs = [w.job_at(newcomer), w.job_at(running)];
            assert_eq!(w.states(&jobs), [second, first]);
        }
    }
}

/// Row 3; S6.
#[test]
fn conformance_03_a_higher_job_takes_the_slot_as_soon_as_the_worker_let_go() {
    let mut w = World::new();
    let normal = w.job_at(Normal);
    w.connect(normal);
    w.checkpoint(normal, 0, 400);
    w.workers = Workers::Manual;
    let high = w.job_at(High);
    assert_eq!(w.states(&[normal, high]), [Queued, Queued]);
    w.checkpoint(normal, 0, 500);
    w.stopped(normal);
    assert_eq!(w.states(&[normal, high]), [Queued, Connecting]);
    assert_eq!(w.job(normal).files[0].done.len(), 500, "partial data kept");
    w.workers = Workers::Prompt;
    w.transfer(high);
    assert_eq!(w.state(normal), Connecting);
}

/// Row 4; S5.
#[test]
fn conformance_04_a_low_job_gets_no_time_while_higher_ones_are_runnable() {
    let mut w = World::new();
    let low = w.job_at(Low);
    let highs = [w.job_at(High), w.job_at(High)];
    w.started.clear();
    for _ in 0..100 {
        w.pass(60);
        assert_eq!(w.state(low), Queued);
    }
    assert!(!w.started.contains(&low) && w.started.len() > 40);
    assert_eq!(w.q.why(low).expect("known").ahead, Some(1), "the one that waits beside it");
    // Until every higher job is transferred, in an error state or suspended.
    w.fail(*w.started.last().expect("one runs"), h::BG_E_HTTP_ERROR_503, Some(0));
    let other = *w.started.last().expect("one runs");
    assert!(highs.contains(&other));
    w.call(ALICE, other, Call::Suspend).expect("suspends");
    assert_eq!(w.state(low), Connecting);
}

/// The last row of 3.2; S9, S11.
#[test]
fn a_high_job_in_a_transient_error_gives_its_turn_away_and_takes_it_back() {
    let mut w = World::new();
    let (high, normal) = (w.job_at(High), w.job_at(Normal));
    w.fail(high, h::BG_E_HTTP_ERROR_503, Some(0));
    assert_eq!(w.states(&[high, normal]), [TransientError, Connecting]);
    w.pass(599);
    assert_eq!(w.state(normal), Connecting);
    w.pass(1);
    assert_eq!(w.states(&[high, normal]), [Connecting, Queued]);
}

/// Row 5; S7, S10.
#[test]
fn conformance_05_two_normal_jobs_take_turns_of_one_slice() {
    let mut w = World::new();
    let (large, small) = (w.job_at(Normal), w.job_at(Normal));
    for _ in 0..3 {
        w.pass(119);
        assert_eq!(w.states(&[large, small]), [Connecting, Queued]);
        w.pass(1);
        assert_eq!(w.states(&[large, small]), [Queued, Connecting]);
        w.connect(small);
        w.bytes(small, 0, 1);
        w.pass(119);
        assert_eq!(w.states(&[large, small]), [Queued, Transferring]);
        w.pass(1);
        assert_eq!(w.states(&[large, small]), [Connecting, Queued]);
    }
}

/// S10.
#[test]
fn a_job_alone_at_its_level_is_not_interrupted() {
    let mut w = World::new();
    let (normal, low) = (w.job_at(Normal), w.job_at(Low));
    w.pass(100_000);
    assert_eq!((w.states(&[normal, low]), w.started.len()), (vec![Connecting, Queued], 1));
    // Its slice is long over: the next of its level need not wait.
    let second = w.job_at(Normal);
    assert_eq!(w.states(&[normal, second]), [Queued, Connecting]);
}

/// S8, S12.
#[test]
fn first_in_first_out_and_requeued_jobs_at_the_tail() {
    let mut w = World::new();
    let jobs = [0; 4].map(|_| whose(&mut w, ALICE, Normal));
    w.fail(jobs[0], h::BG_E_HTTP_ERROR_503, Some(0));
    w.call(ALICE, jobs[0], Call::Resume).expect("resumes");
    for _ in 0..4 {
        let running = *w.started.last().expect("one runs");
        w.transfer(running);
    }
    assert_eq!(w.started, [jobs[0], jobs[1], jobs[2], jobs[3], jobs[0]]);
}

#[test]
fn the_order_survives_a_restart() {
    let mut w = World::new();
    let jobs = [0; 6].map(|_| whose(&mut w, ALICE, Normal));
    w.started.clear();
    w.crash();
    for _ in &jobs {
        let running = *w.started.last().expect("one runs");
        w.transfer(running);
    }
    assert_eq!(w.started, jobs);
}

/// S19.
#[test]
fn owners_take_turns_however_many_jobs_each_has() {
    let mut w = World::new();
    let alice = [0; 4].map(|_| whose(&mut w, ALICE, Normal));
    let bob = whose(&mut w, BOB, Normal);
    let root = whose(&mut w, ROOT, Normal);
    for _ in 0..6 {
        let running = *w.started.last().expect("one runs");
        w.transfer(running);
    }
    assert_eq!(w.started, [alice[0], bob, root, alice[1], alice[2], alice[3]]);
}

/// S13.
#[test]
fn a_running_job_that_is_lowered_makes_room_and_one_that_is_raised_takes_it() {
    let mut w = World::new();
    let (first, second) = (w.job_at(Normal), w.job_at(Normal));
    w.connect(first);
    w.checkpoint(first, 0, 300);
    w.set_priority(first, Low);
    assert_eq!(w.states(&[first, second]), [Queued, Connecting]);
    w.set_priority(first, High);
    assert_eq!(w.states(&[first, second]), [Connecting, Queued]);
    w.set_priority(second, Foreground);
    assert_eq!(w.states(&[first, second]), [Connecting, Connecting], "at once, beside the other");
    let third = w.job_at(Low);
    w.set_priority(first, Foreground);
    assert_eq!(w.states(&[first, second, third]), [Connecting; 3], "its slot is free for the next");
    assert_eq!(w.started.iter().filter(|id| **id == first).count(), 2, "its own transfer went on");
    assert_eq!(w.job(first).files[0].done.len(), 300);
}

#[test]
fn of_two_jobs_lowered_from_foreground_one_goes_on() {
    let mut w = World::new();
    let jobs = [0; 3].map(|_| whose(&mut w, ALICE, Foreground));
    for id in jobs {
        w.set_priority(id, Normal);
    }
    assert_eq!(w.states(&jobs), [Connecting, Queued, Queued], "the one that came first");
}

/// S15.
#[test]
fn the_cap_on_foreground_jobs() {
    let mut w = World::with(Limits { max_foreground: 2, ..Limits::default() });
    let jobs = [0; 3].map(|_| whose(&mut w, ALICE, Foreground));
    let background = w.job_at(Low);
    assert_eq!(w.states(&jobs), [Connecting, Connecting, Queued]);
    assert_eq!(w.state(background), Connecting);
    assert_eq!(w.reason(jobs[2]), Reason::WaitsForForegroundSlot);
    w.transfer(jobs[0]);
    assert_eq!(w.state(jobs[2]), Connecting);
    let late = w.job_at(Foreground);
    assert_eq!(w.state(late), Queued);
    w.q.set_limits(Limits::default(), w.now);
    w.drain();
    assert_eq!(w.state(late), Connecting);
}

#[test]
fn more_slots_and_fewer() {
    let mut w = World::with(Limits { max_background: 3, ..Limits::default() });
    let jobs = [Low, Normal, High, Normal].map(|level| whose(&mut w, ALICE, level));
    assert_eq!(w.states(&jobs), [Queued, Connecting, Connecting, Connecting]);
    w.workers = Workers::Manual;
    w.q.set_limits(Limits { max_background: 1, ..Limits::default() }, w.now);
    w.drain();
    assert_eq!(w.states(&jobs), [Queued, Queued, Connecting, Queued], "all that are too many, at once");
    w.workers = Workers::Prompt;
    w.answer_promptly();
    w.q.set_limits(Limits { max_background: 0, ..Limits::default() }, w.now);
    w.drain();
    assert_eq!(w.states(&jobs), [Queued; 4]);
    w.pass(1000);
    w.q.set_limits(Limits::default(), w.now);
    w.drain();
    assert_eq!(w.states(&jobs), [Queued, Queued, Connecting, Queued]);
}

/// S4: one attempt has every unfinished file; the worker takes them in their order.
#[test]
fn a_failing_file_stops_the_job_and_finished_ones_are_kept() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 3, ..Plan::default() });
    w.connect(job);
    w.checkpoint(job, 0, SIZE);
    w.checkpoint(job, 1, 10);
    w.fail(job, h::BG_E_HTTP_ERROR_404, None);
    let files: Vec<_> = w.job(job).files.iter().map(|f| (f.transferred, f.done.len())).collect();
    assert_eq!((w.state(job), files), (JobState::Error, vec![(true, SIZE), (false, 10), (false, 0)]));
}

#[test]
fn a_held_queue_starts_nothing_and_says_why() {
    let mut w = World::new();
    w.pause();
    let jobs = [Foreground, Normal].map(|level| whose(&mut w, ALICE, level));
    w.pass(1000);
    assert_eq!(w.states(&jobs), [Queued, Queued]);
    assert_eq!(w.reason(jobs[0]), Reason::StoreUnavailable);
    w.start();
    assert_eq!(w.states(&jobs), [Connecting, Connecting]);
    let idle = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    let empty = w.create(ALICE, Plan { resume: false, files: 0, ..Plan::default() });
    assert_eq!(
        (w.state(idle), w.reason(idle), w.reason(empty)),
        (Suspended, Reason::Suspended, Reason::Empty)
    );
}

#[test]
fn one_newcomer_takes_one_slot_however_long_it_takes() {
    let mut w = World::with(Limits { max_background: 2, ..Limits::default() });
    let lows = [0; 2].map(|_| whose(&mut w, ALICE, Low));
    w.workers = Workers::Manual;
    let high = w.job_at(High);
    w.tick();
    let normal = whose(&mut w, ALICE, Foreground);
    w.connect(normal);
    assert_eq!(w.states(&lows), [Queued, Connecting], "the one that ran longest");
    w.stopped(lows[0]);
    assert_eq!(w.states(&[high, lows[1], lows[0]]), [Connecting, Connecting, Queued]);
}

#[test]
fn a_slot_that_is_being_freed_needs_no_other() {
    let mut w = World::with(Limits { max_background: 2, ..Limits::default() });
    let (normal, low) = (w.job_at(Normal), w.job_at(Low));
    w.workers = Workers::Manual;
    w.begin_later(ALICE, normal, Call::Suspend);
    let high = w.job_at(High);
    assert_eq!(w.states(&[normal, low, high]), [Suspended, Connecting, Queued]);
    w.stopped(normal);
    assert_eq!(w.states(&[normal, low, high]), [Suspended, Connecting, Connecting]);
}
