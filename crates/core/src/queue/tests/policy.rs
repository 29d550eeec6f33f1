//! What the policy changes in the queue: held levels, rules for retries, turns of owners (spec/policy.md C4, C6, D).

use super::world::{ALICE, BOB, Plan, World};
use crate::enums::{JobState, Priority};
use crate::hresult as h;
use crate::job::retry::RetryRules;
use crate::limits::Limits;
use crate::queue::{Call, PolicyBlocks, Reason};
use JobState::{Connecting, Error, Queued, TransientError};

const DAY_S: u64 = 86_400;

/// Row 3: and the window's end comes by the queue's own clock.
#[test]
fn a_level_is_held_until_its_window_ends_and_the_others_run() {
    let mut w = World::new();
    let (low, normal) = (w.job_at(Priority::Low), w.job_at(Priority::Normal));
    let end = w.now.mono.plus_s(3_600);
    assert_eq!(w.q.policy_review(), None);
    w.hold(PolicyBlocks::NONE.hold(Priority::Low, Some(end)), Some(end));
    assert_eq!(w.states(&[low, normal]), [TransientError, Connecting]);
    assert_eq!((w.error(low), w.job(low).error_count), (h::BG_E_BLOCKED_BY_POLICY, 0));
    let why = w.q.why(low).expect("known");
    assert_eq!((why.reason, why.until), (Reason::BlockedByPolicy, Some(end)));
    w.transfer(normal);
    assert_eq!(w.state(low), TransientError, "no turn while it is held");
    w.pass(3_599);
    assert_eq!(w.state(low), TransientError);
    w.pass(1);
    assert_eq!((w.state(low), w.q.policy_review()), (Connecting, None));
}

#[test]
fn a_held_level_does_not_hold_up_those_below_it() {
    let mut w = World::new();
    let (high, normal, low) = (w.job_at(Priority::High), w.job_at(Priority::Normal), w.job_at(Priority::Low));
    w.hold(PolicyBlocks::NONE.hold(Priority::High, None), None);
    assert_eq!(w.states(&[high, normal, low]), [TransientError, Connecting, Queued]);
    w.set_priority(high, Priority::Low);
    assert_eq!(w.states(&[high, normal, low]), [Queued, Connecting, Queued], "its new level is free");
    w.set_priority(low, Priority::High);
    assert_eq!((w.state(low), w.reason(low)), (TransientError, Reason::BlockedByPolicy));
}

#[test]
fn foreground_jobs_are_held_when_the_policy_says_so() {
    let mut w = World::new();
    let job = w.job_at(Priority::Foreground);
    w.connect(job);
    w.hold(PolicyBlocks::BACKGROUND.hold(Priority::Foreground, None), None);
    assert_eq!((w.state(job), w.error(job)), (TransientError, h::BG_E_BLOCKED_BY_POLICY));
    w.hold(PolicyBlocks::BACKGROUND, None);
    assert_eq!(w.state(job), Connecting);
}

#[test]
fn a_change_that_holds_the_same_levels_moves_no_job() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.policy(true);
    w.take_notices(job);
    let later = w.now.mono.plus_s(60);
    w.hold(PolicyBlocks::BACKGROUND.hold(Priority::Normal, Some(later)), Some(later));
    assert!(w.take_notices(job).is_empty());
    assert_eq!(w.q.why(job).expect("known").until, Some(later), "but what is said of it is new");
    assert_eq!(w.q.next_deadline(), Some(later));
}

#[test]
fn without_fairness_the_oldest_job_is_next_whoever_owns_it() {
    let order = |fair: bool, live: bool| {
        let limits = Limits { per_user_fairness: fair || live, ..Limits::default() };
        let mut w = World::with(limits);
        let first = w.create(ALICE, Plan::default());
        let rest = [ALICE, ALICE, BOB].map(|caller| w.create(caller, Plan::default()));
        if live {
            w.set_limits(Limits { per_user_fairness: fair, ..Limits::default() });
        }
        w.started.clear();
        let mut running = first;
        for _ in rest {
            w.transfer(running);
            running = *w.started.last().expect("one runs");
        }
        (w.started.clone(), rest)
    };
    let (started, [a2, a3, b]) = order(true, false);
    assert_eq!(started, [b, a2, a3], "the owners take turns");
    for live in [false, true] {
        let (started, [a2, a3, b]) = order(false, live);
        assert_eq!(started, [a2, a3, b], "changed while they wait: {live}");
    }
}

fn with_rules(rules: RetryRules) -> Limits {
    Limits { retry: rules, ..Limits::default() }
}

#[test]
fn a_higher_floor_moves_the_deadlines_of_jobs_that_wait() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
    w.pass(300);
    w.set_limits(with_rules(RetryRules { floor_s: 1_200, ..RetryRules::default() }));
    w.pass(899);
    assert_eq!((w.state(job), w.job(job).minimum_retry_delay_s), (TransientError, 600));
    w.pass(1);
    assert_eq!(w.state(job), Connecting);
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
    w.pass(700);
    w.set_limits(Limits::default());
    w.tick();
    assert_eq!(w.state(job), Connecting, "a lower floor counts at once, too");
}

#[test]
fn a_server_that_asks_for_patience_gets_it_unless_the_policy_forbids() {
    for (honour, seconds) in [(true, 3_600), (false, 600)] {
        let rules = RetryRules { honour_retry_after: honour, ..RetryRules::default() };
        let mut w = World::with(with_rules(rules));
        let job = w.job_at(Priority::Normal);
        w.fail(job, h::BG_E_HTTP_ERROR_503, Some(3_600_000));
        w.pass(seconds - 1);
        assert_eq!(w.state(job), TransientError, "{honour}");
        w.pass(1);
        assert_eq!(w.state(job), Connecting, "{honour}");
    }
}

#[test]
fn jitter_lengthens_delays_by_at_most_its_part_and_not_all_alike() {
    let rules = RetryRules { jitter_percent: 50, ..RetryRules::default() };
    let mut w = World::with(Limits { max_foreground: 0, ..with_rules(rules) });
    let jobs: Vec<_> = (0..40).map(|_| w.job_at(Priority::Foreground)).collect();
    let mut delays = std::collections::BTreeSet::new();
    for job in jobs {
        w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
        let delay = w.job(job).retry_at(&rules).expect("waits").since_ms(w.now.mono);
        assert!((600_000..=900_000).contains(&delay), "{delay}");
        assert_eq!(w.job(job).retry_at(&rules), w.job(job).retry_at(&rules), "always the same answer");
        delays.insert(delay);
    }
    assert!(delays.len() > 20, "{delays:?}");
}

/// spec/behaviour.md 10.2 R7: a portable machine that is off the net for a month.
#[test]
fn gates_stop_the_clock_of_patience_when_the_policy_says_so() {
    for pause in [false, true] {
        let rules = RetryRules { gates_pause_clock: pause, ..RetryRules::default() };
        let mut w = World::with(with_rules(rules));
        let job = w.job_at(Priority::Foreground);
        w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
        w.pass(300);
        w.network(false);
        w.network(true);
        w.network(false);
        w.pass(30 * DAY_S);
        assert_eq!(w.state(job), if pause { TransientError } else { Error }, "{pause}");
        if !pause {
            continue;
        }
        w.crash();
        w.network(false);
        w.pass(DAY_S);
        w.network(true);
        assert_eq!(w.state(job), Connecting);
        w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
        let left = w.job(job).no_progress_at(&rules).expect("it runs again").since_ms(w.now.mono);
        assert_eq!(
            left,
            i64::try_from(14 * DAY_S - 300).expect("small") * 1000,
            "only the time of the first wait counts"
        );
    }
}

#[test]
fn defaults_of_the_policy_are_for_jobs_that_say_nothing_themselves() {
    let mut w =
        World::with(Limits { default_retry_delay_s: 77, default_no_progress_s: 88, ..Limits::default() });
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    assert_eq!((w.job(job).minimum_retry_delay_s, w.job(job).no_progress_timeout_s), (77, 88));
    w.set(job, crate::job::property::Property::MinimumRetryDelay(99)).expect("settable");
    w.set_limits(Limits::default());
    assert_eq!((w.job(job).minimum_retry_delay_s, w.job(job).no_progress_timeout_s), (99, 88));
    assert_eq!(w.call(ALICE, job, Call::Resume), Ok(h::S_OK));
}
