//! Windows, profiles and the clock, with the days on which it is changed.

use super::{list, policy, text};
use crate::Priority;
use crate::policy::window::{Fixed, LocalClock, Offset, week_minute};
use crate::policy::{Policy, Rate, Raw};

/// Central Europe in 2026.
struct Europe;
const SPRING: i64 = 1_774_746_000; // 2026-03-29 01:00 UTC: 02:00 becomes 03:00
const AUTUMN: i64 = 1_792_890_000; // 2026-10-25 01:00 UTC: 03:00 becomes 02:00
/// Monday 2026-11-16 00:00 UTC.
const MONDAY: i64 = 1_794_787_200;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

impl LocalClock for Europe {
    fn offset(&self, unix_s: i64) -> Offset {
        match unix_s {
            t if t < SPRING => Offset { seconds: 3_600, until: Some(SPRING) },
            t if t < AUTUMN => Offset { seconds: 7_200, until: Some(AUTUMN) },
            _ => Offset { seconds: 3_600, until: None },
        }
    }
}

fn nightly(hours: &str) -> Policy {
    policy(&[
        ("bandwidth.schedule_enabled", Raw::Bool(true)),
        ("bandwidth.work.days", list(&["mon-sun"])),
        ("bandwidth.work.hours", text(hours)),
        ("bandwidth.work.normal", Raw::Int(0)),
    ])
}

/// Seconds of [from, to) in which NORMAL jobs are held, found by looking at every minute.
fn held(p: &Policy, from: i64, to: i64) -> i64 {
    let held = |t: &i64| p.rate(&Europe, *t, Priority::Normal, false).rate == Rate::Blocked;
    let minutes = (from..to).step_by(60).filter(held).count();
    i64::try_from(minutes).expect("few") * 60
}

/// The same, found by following `until`.
fn held_by_following(p: &Policy, from: i64, to: i64) -> i64 {
    let (mut at, mut sum) = (from, 0);
    while at < to {
        let limit = p.rate(&Europe, at, Priority::Normal, false);
        let next = limit.until.unwrap_or(to).min(to);
        assert!(next > at);
        if limit.rate == Rate::Blocked {
            sum += next - at;
        }
        at = next;
    }
    sum
}

#[test]
fn the_spring_day_swallows_the_window_and_the_autumn_day_doubles_it() {
    for (hours, spring, autumn) in [
        ("02-03", 0, 2 * HOUR),
        ("02:30-03:30", HOUR / 2, 3 * HOUR / 2),
        ("01-04", 2 * HOUR, 4 * HOUR),
        ("22-06", 7 * HOUR, 9 * HOUR),
        ("08-17", 9 * HOUR, 9 * HOUR),
        ("00-00", 23 * HOUR, 25 * HOUR),
    ] {
        let p = nightly(hours);
        // From noon to noon around the night of the change: all windows above lie within.
        let noon = |change: i64| (change - 14 * HOUR, change + 10 * HOUR);
        for (change, expected) in [(SPRING, spring), (AUTUMN, autumn)] {
            let (from, to) = match hours {
                "00-00" => {
                    // Local midnight to local midnight.
                    let from = change - if change == SPRING { 2 * HOUR } else { 3 * HOUR };
                    (from, from + expected)
                }
                "08-17" => (change, change + 20 * HOUR),
                _ => noon(change),
            };
            assert_eq!(held(&p, from, to), expected, "{hours} at {change}");
            assert_eq!(held_by_following(&p, from, to), expected, "{hours} at {change}, following");
        }
    }
}

#[test]
fn a_window_that_a_change_of_the_clock_swallows_comes_back_a_week_later() {
    let p = policy(&[
        ("bandwidth.schedule_enabled", Raw::Bool(true)),
        ("bandwidth.work.days", list(&["sun"])),
        ("bandwidth.work.hours", text("02-03")),
        ("bandwidth.work.low", Raw::Int(0)),
    ]);
    let limit = p.rate(&Europe, SPRING - 6 * DAY, Priority::Low, false);
    assert_eq!(
        (limit.rate, limit.until),
        (Rate::Unlimited, Some(SPRING + 7 * DAY - HOUR)),
        "Sunday 2026-04-05 02:00 local"
    );
}

#[test]
fn windows_have_an_exclusive_end_and_wrap_around_midnight_and_the_week() {
    let p = policy(&[
        ("bandwidth.schedule_enabled", Raw::Bool(true)),
        ("bandwidth.work.days", list(&["fri"])),
        ("bandwidth.work.hours", text("22-06")),
        ("bandwidth.work.normal", Raw::Int(256)),
    ]);
    let rate = |t| p.rate(&Fixed(0), t, Priority::Normal, false);
    let friday = MONDAY + 4 * DAY;
    assert_eq!(rate(friday + 5 * HOUR).rate, Rate::Unlimited, "Thursday is no day of it");
    assert_eq!(rate(friday + 22 * HOUR - 1).rate, Rate::Unlimited);
    assert_eq!(rate(friday + 22 * HOUR - 1).until, Some(friday + 22 * HOUR));
    assert_eq!(rate(friday + 22 * HOUR).rate, Rate::Limit(256_000));
    assert_eq!(rate(friday + 30 * HOUR - 1).rate, Rate::Limit(256_000));
    assert_eq!(rate(friday + 30 * HOUR - 1).until, Some(friday + 30 * HOUR));
    assert_eq!(rate(friday + 30 * HOUR).rate, Rate::Unlimited);
    // Sunday night into Monday.
    let p = policy(&[
        ("bandwidth.maintenance.enabled", Raw::Bool(true)),
        ("bandwidth.maintenance.days", list(&["sun"])),
        ("bandwidth.maintenance.hours", text("23-01")),
        ("bandwidth.maintenance.normal", Raw::Int(256)),
    ]);
    assert_eq!(p.rate(&Fixed(0), MONDAY + HOUR - 1, Priority::Normal, false).rate, Rate::Limit(256_000));
    assert_eq!(p.rate(&Fixed(0), MONDAY + HOUR, Priority::Normal, false).rate, Rate::Unlimited);
    // The zone decides which hour it is.
    assert_eq!(p.rate(&Fixed(3_600), MONDAY + HOUR - 1, Priority::Normal, false).rate, Rate::Unlimited);
    assert_eq!((week_minute(&Fixed(0), MONDAY), week_minute(&Fixed(-60), MONDAY)), (0, 10_079));
}

#[test]
fn foreground_jobs_have_a_limit_only_when_the_policy_says_so() {
    let keys = [
        ("bandwidth.simple.enabled", Raw::Bool(true)),
        ("bandwidth.simple.rate", Raw::Int(500)),
        ("bandwidth.foreground", text("2Mbps")),
    ];
    let rate = |p: &Policy, hour: i64| p.rate(&Fixed(0), MONDAY + hour * HOUR, Priority::Foreground, false);
    assert_eq!(rate(&policy(&keys), 9).rate, Rate::Unlimited);
    let mut apply = keys.to_vec();
    apply.push(("bandwidth.apply_to_foreground", Raw::Bool(true)));
    let p = policy(&apply);
    assert_eq!((rate(&p, 9).rate, rate(&p, 9).rule), (Rate::Limit(500_000), Some("bandwidth.simple.rate")));
    assert_eq!(
        (rate(&p, 18).rate, rate(&p, 18).rule),
        (Rate::Limit(2_000_000), Some("bandwidth.foreground"))
    );
}

#[test]
fn nothing_set_limits_nothing_and_wakes_nobody() {
    for priority in Priority::ALL {
        let limit = Policy::default().rate(&Europe, MONDAY, *priority, false);
        assert_eq!((limit.rate, limit.rule, limit.until), (Rate::Unlimited, None, None));
    }
    // The same rate inside and outside changes nothing either.
    let p = policy(&[
        ("bandwidth.schedule_enabled", Raw::Bool(true)),
        ("bandwidth.work.normal", text("unlimited")),
    ]);
    assert_eq!(p.rate(&Europe, MONDAY, Priority::Normal, false).until, None);
}
