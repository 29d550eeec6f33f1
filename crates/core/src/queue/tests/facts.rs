//! Network and policy (spec/behaviour.md 5.2, 31 rows 6, 7, 22).

use super::world::{ALICE, Plan, Workers, World};
use crate::enums::{JobState, Priority};
use crate::hresult as h;
use crate::job::Wait;
use crate::queue::{Call, NoticeKind, Reason};
use JobState::{Connecting, Error, Queued, Suspended, Transferred, Transferring, TransientError};

/// Rows 6 and 7.
#[test]
fn conformance_06_cable_out_and_in() {
    let mut w = World::new();
    let foreground = Plan { priority: Priority::Foreground, ..Plan::default() };
    let refused = w.create(ALICE, foreground.clone());
    w.fail(refused, h::BG_E_HTTP_ERROR_503, Some(0));
    let (moving, queued) = (w.job_at(Priority::Normal), w.job_at(Priority::Normal));
    let connecting = w.create(ALICE, foreground.clone());
    let idle = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    let failed = w.create(ALICE, foreground.clone());
    w.fail(failed, h::BG_E_HTTP_ERROR_404, None);
    let ready = w.create(ALICE, foreground);
    w.transfer(ready);
    w.connect(moving);
    w.checkpoint(moving, 0, 400);
    let all = [moving, queued, connecting, refused, idle, failed, ready];
    assert_eq!(
        w.states(&all),
        [Transferring, Queued, Connecting, TransientError, Suspended, Error, Transferred]
    );
    let counts: Vec<_> = all.iter().map(|id| w.job(*id).error_count).collect();
    w.take_notices(moving);
    w.network(false);
    let out = [TransientError, TransientError, TransientError, TransientError, Suspended, Error, Transferred];
    assert_eq!(w.states(&all), out);
    for id in [moving, queued, connecting] {
        assert_eq!((w.error(id), w.job(id).wait), (h::BG_E_NETWORK_DISCONNECTED, Some(Wait::Network)));
        assert_eq!((w.reason(id), w.q.why(id).expect("known").until), (Reason::NoNetwork, None));
    }
    assert_eq!(w.take_notices(moving), [(NoticeKind::Modified, TransientError)]);
    assert_eq!(w.error(refused), h::BG_E_HTTP_ERROR_503, "unchanged");
    assert!(w.attempts.is_empty());
    w.pass(300);
    w.network(true);
    // The 503 one does not wait for its delay.
    assert_eq!(w.states(&all), [Connecting, Queued, Connecting, Connecting, Suspended, Error, Transferred]);
    assert_eq!(all.iter().map(|id| w.job(*id).error_count).collect::<Vec<_>>(), counts, "nothing is counted");
    assert_eq!(w.job(moving).files[0].done.len(), 400, "data kept");
}

#[test]
fn a_wait_for_the_network_is_not_ended_by_time() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.network(false);
    w.pass(1_209_599);
    assert_eq!(w.state(job), TransientError);
    w.pass(1);
    assert_eq!((w.state(job), w.error(job)), (Error, h::BG_E_NETWORK_DISCONNECTED), "but the period runs");
}

#[test]
fn a_job_that_becomes_ready_without_a_network_waits_for_it_with_its_code() {
    let mut w = World::new();
    let refused = w.job_at(Priority::Normal);
    w.fail(refused, h::BG_E_HTTP_ERROR_503, Some(0));
    w.pass(1);
    let idle = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    w.network(false);
    assert_eq!(w.call(ALICE, idle, Call::Resume), Ok(h::S_OK));
    let new = w.job_at(Priority::Foreground);
    w.pass(600);
    for id in [refused, idle, new] {
        assert_eq!((w.state(id), w.error(id)), (TransientError, h::BG_E_NETWORK_DISCONNECTED));
    }
    assert_eq!(w.call(ALICE, new, Call::Resume), Ok(h::S_OK));
    assert_eq!(w.state(new), TransientError, "Resume brings no network");
    w.network(true);
    assert_eq!(w.states(&[refused, idle, new]), [Connecting, Queued, Connecting]);
}

#[test]
fn a_wait_that_was_stored_ends_when_the_service_starts_with_an_open_gate() {
    for up in [true, false] {
        let mut w = World::new();
        let (lost, blocked) = (w.job_at(Priority::Foreground), w.job_at(Priority::High));
        w.policy(true);
        w.network(false);
        w.crash_stopped();
        assert_eq!(
            w.states(&[lost, blocked]),
            [TransientError, TransientError],
            "the restart itself changes nothing"
        );
        w.q.set_network(up, w.now);
        w.start();
        let expected = if up { [Connecting, Connecting] } else { [TransientError, TransientError] };
        assert_eq!(w.states(&[lost, blocked]), expected);
        assert!(up || w.error(blocked) == h::BG_E_NETWORK_DISCONNECTED, "one gate opened, another is closed");
        w.network(true);
        assert_eq!(w.states(&[lost, blocked]), [Connecting, Connecting]);
    }
}

/// Row 22.
#[test]
fn conformance_22_a_policy_of_zero_holds_background_jobs_only() {
    let mut w = World::new();
    let (foreground, background) = (w.job_at(Priority::Foreground), w.job_at(Priority::High));
    let waiting = w.job_at(Priority::Low);
    w.connect(background);
    w.policy(true);
    assert_eq!(w.states(&[foreground, background, waiting]), [Connecting, TransientError, TransientError]);
    for id in [background, waiting] {
        assert_eq!((w.error(id), w.job(id).error_count), (h::BG_E_BLOCKED_BY_POLICY, 0));
        assert_eq!(w.reason(id), Reason::BlockedByPolicy);
    }
    w.pass(10_000);
    let late = w.job_at(Priority::Normal);
    assert_eq!((w.state(late), w.error(late)), (TransientError, h::BG_E_BLOCKED_BY_POLICY));
    w.policy(false);
    assert_eq!(w.states(&[background, waiting, late]), [Connecting, Queued, Queued]);
}

#[test]
fn a_job_raised_to_foreground_leaves_the_policy_behind_and_one_lowered_meets_it() {
    let mut w = World::new();
    let (up, down) = (w.job_at(Priority::Normal), w.job_at(Priority::Foreground));
    w.connect(down);
    w.policy(true);
    assert_eq!(w.states(&[up, down]), [TransientError, Transferring]);
    w.set_priority(up, Priority::Foreground);
    assert_eq!(w.state(up), Connecting);
    w.set_priority(down, Priority::Low);
    assert_eq!((w.state(down), w.error(down)), (TransientError, h::BG_E_BLOCKED_BY_POLICY));
    assert!(!w.is_running(down));
}

#[test]
fn the_network_returns_while_the_policy_still_blocks() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.policy(true);
    w.network(false);
    w.network(true);
    assert_eq!((w.state(job), w.error(job)), (TransientError, h::BG_E_BLOCKED_BY_POLICY));
    w.network(false);
    w.policy(false);
    assert_eq!((w.state(job), w.error(job)), (TransientError, h::BG_E_NETWORK_DISCONNECTED));
    w.network(true);
    assert_eq!(w.state(job), Connecting);
}

#[test]
fn a_flap_is_over_before_the_worker_has_stopped() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.connect(job);
    w.workers = Workers::Manual;
    w.network(false);
    w.network(true);
    assert_eq!((w.state(job), w.reason(job), w.started.len()), (Queued, Reason::Stopping, 1));
    w.stopped(job);
    assert_eq!((w.state(job), w.started.len()), (Connecting, 2));
}

#[test]
fn jobs_come_back_from_a_flap_in_the_order_of_their_creation() {
    let mut w = World::new();
    let jobs: Vec<_> = (0..20)
        .map(|_| {
            w.pass(1);
            w.job_at(Priority::Normal)
        })
        .collect();
    w.network(false);
    w.started.clear();
    w.network(true);
    for _ in &jobs {
        let running = *w.started.last().expect("one runs");
        w.transfer(running);
    }
    assert_eq!(w.started, jobs);
}

#[test]
fn gates_do_not_disturb_a_complete() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.connect(job);
    w.workers = Workers::Manual;
    let ticket = w.begin_later(ALICE, job, Call::Complete);
    w.policy(true);
    w.network(false);
    w.stopped(job);
    let (work, _) = w.file_work(job).expect("under way");
    w.file_work_done(work);
    assert_eq!(w.answer(ticket), Some(Ok(h::BG_S_PARTIAL_COMPLETE)));
}

/// A look through the list of effects at each save would take minutes here.
#[test]
fn a_flap_with_many_jobs_is_one_save_for_each() {
    let mut w = World::new();
    let count = 20_000_u32;
    for n in 0..count {
        let mut new = w.plan(&Plan { priority: Priority::Low, ..Plan::default() });
        new.id = crate::JobId::from_random_bytes(u128::from(n).to_le_bytes());
        w.q.create(crate::Caller::root(), new, w.now).expect("created");
    }
    w.q.take_effects();
    w.q.set_network(false, w.now);
    let saves = w.q.take_effects().iter().filter(|e| matches!(e, crate::queue::Effect::Save(_))).count();
    assert_eq!(saves, usize::try_from(count).expect("small"));
    w.q.set_network(true, w.now);
    let saves = w.q.take_effects().iter().filter(|e| matches!(e, crate::queue::Effect::Save(_))).count();
    assert_eq!(saves, usize::try_from(count).expect("small"));
}
