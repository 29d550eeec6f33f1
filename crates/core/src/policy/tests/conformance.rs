//! The rows of spec/policy.md D that the pure policy answers. Rows 13 (call), 14 and 16 go on in the queue's and the service's tests.

use super::{about, layer, list, policy, shown, text};
use crate::policy::window::Fixed;
use crate::policy::{About, KEYS, Layer, Origin, Policy, Rate, Raw, cost};
use crate::{Priority, hresult as h};

/// Monday 2026-11-16 00:00 UTC.
const MONDAY: i64 = 1_794_787_200;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

fn rate(p: &Policy, at: i64, priority: Priority) -> Rate {
    p.rate(&Fixed(0), at, priority, false).rate
}

#[test]
fn policy_01_an_empty_policy_has_every_default() {
    let p = Policy::default();
    assert_eq!((p.findings().len(), p.entries().count()), (0, KEYS.len()));
    for (key, entry) in p.entries() {
        assert_eq!(
            (entry.origin, &entry.value),
            (Origin::Default, &key.default_value(false)),
            "{}",
            key.name
        );
    }
    assert_eq!(p.limits(), crate::Limits::default());
}

#[test]
fn policy_02_the_limit_per_user_is_not_above_the_machines() {
    let p = policy(&[("limits.jobs_per_user", Raw::Int(100)), ("limits.jobs_per_machine", Raw::Int(50))]);
    assert_eq!((p.limits().jobs_per_user, p.limits().jobs_per_machine), (50, 50));
    assert_eq!(p.findings()[0].about.event(), Some(16_397));
    assert!(p.entry("limits.jobs_per_user").expect("known").note.is_some());
}

/// The states of jobs in this row are a test of the queue.
#[test]
fn policy_03_a_simple_rate_of_zero_holds_background_jobs_inside_its_hours() {
    let p = policy(&[("bandwidth.simple.enabled", Raw::Bool(true)), ("bandwidth.simple.rate", Raw::Int(0))]);
    let at = MONDAY + 9 * HOUR;
    let limit = p.rate(&Fixed(0), at, Priority::Normal, false);
    assert_eq!(
        (limit.rate, limit.rule, limit.until),
        (Rate::Blocked, Some("bandwidth.simple.rate"), Some(MONDAY + 17 * HOUR))
    );
    assert_eq!(rate(&p, at, Priority::Foreground), Rate::Unlimited);
    assert_eq!(rate(&p, MONDAY + 17 * HOUR, Priority::Normal), Rate::Unlimited);
    assert_eq!(rate(&p, MONDAY + 5 * DAY + 9 * HOUR, Priority::Normal), Rate::Blocked, "every day");
}

#[test]
fn policy_04_a_rate_of_one_is_about_two_kilobits() {
    let p = policy(&[("bandwidth.simple.enabled", Raw::Bool(true)), ("bandwidth.simple.rate", Raw::Int(1))]);
    assert_eq!(rate(&p, MONDAY + 9 * HOUR, Priority::Low), Rate::Limit(2_000));
}

#[test]
fn policy_05_the_schedule_goes_before_the_simple_limit_with_one_warning() {
    let p = policy(&[
        ("bandwidth.simple.enabled", Raw::Bool(true)),
        ("bandwidth.simple.rate", Raw::Int(10)),
        ("bandwidth.schedule_enabled", Raw::Bool(true)),
        ("bandwidth.work.high", text("4Mbps")),
    ]);
    assert_eq!(rate(&p, MONDAY + 9 * HOUR, Priority::High), Rate::Limit(4_000_000));
    assert_eq!(rate(&p, MONDAY + 20 * HOUR, Priority::High), Rate::Unlimited);
    assert_eq!(p.findings().iter().map(|f| f.about).collect::<Vec<_>>(), [About::Conflict]);
}

fn working_week() -> Vec<(&'static str, Raw)> {
    vec![
        ("bandwidth.schedule_enabled", Raw::Bool(true)),
        ("bandwidth.ignore_on_lan", Raw::Bool(true)),
        ("bandwidth.work.normal", text("1Mbps")),
        ("bandwidth.work.low", Raw::Int(0)),
        ("bandwidth.nonwork.low", text("8Mbps")),
        ("bandwidth.maintenance.enabled", Raw::Bool(true)),
        ("bandwidth.maintenance.days", list(&["wed"])),
        ("bandwidth.maintenance.hours", text("10-11")),
        ("bandwidth.maintenance.high", text("256kbps")),
        ("bandwidth.maintenance.normal", Raw::Int(0)),
    ]
}

#[test]
fn policy_06_maintenance_goes_before_work() {
    let p = policy(&working_week());
    let wednesday = MONDAY + 2 * DAY;
    assert_eq!(rate(&p, wednesday + 9 * HOUR, Priority::Normal), Rate::Limit(1_000_000));
    assert_eq!(rate(&p, wednesday + 10 * HOUR, Priority::Normal), Rate::Blocked);
    assert_eq!(rate(&p, wednesday + 10 * HOUR, Priority::High), Rate::Limit(256_000));
    assert_eq!(rate(&p, wednesday + 10 * HOUR, Priority::Low), Rate::Unlimited, "not set there");
    assert_eq!(rate(&p, wednesday + 11 * HOUR, Priority::Low), Rate::Blocked);
    assert_eq!(rate(&p, wednesday + 17 * HOUR, Priority::Low), Rate::Limit(8_000_000));
}

#[test]
fn policy_07_servers_in_the_own_subnet_have_no_limit() {
    let p = policy(&working_week());
    for hour in [9, 10, 20] {
        let at = MONDAY + 2 * DAY + hour * HOUR;
        for priority in Priority::ALL {
            assert_eq!(p.rate(&Fixed(0), at, *priority, true).rate, Rate::Unlimited, "{hour} {priority}");
        }
    }
    // It is a rule of the second generation.
    let p = policy(&[
        ("bandwidth.simple.enabled", Raw::Bool(true)),
        ("bandwidth.ignore_on_lan", Raw::Bool(true)),
    ]);
    assert_eq!(p.rate(&Fixed(0), MONDAY + 9 * HOUR, Priority::Normal, true).rate, Rate::Limit(1_000_000));
}

#[test]
fn policy_08_the_jobs_own_download_time_goes_before_the_policys() {
    let p = policy(&[("timeouts.max_download", Raw::Int(60))]);
    assert_eq!((p.max_download_s(Some(3_600)), p.max_download_s(None)), (3_600, 60));
}

#[test]
fn policy_09_the_jobs_own_cost_mask_goes_before_the_policys() {
    let p = policy(&[("cost.normal", text("unconstrained"))]);
    let metered = cost::USAGE_BASED;
    assert!(cost::allows(p.cost_masks().of(Some(cost::ALWAYS), Priority::Normal), metered));
    assert!(!cost::allows(p.cost_masks().of(None, Priority::Normal), metered));
}

#[test]
fn policy_10_the_policys_cost_mask_follows_the_priority() {
    let p = policy(&[("cost.normal", text("unconstrained")), ("cost.foreground", text("always"))]);
    let allowed = |priority| cost::allows(p.cost_masks().of(None, priority), cost::USAGE_BASED);
    assert!(!allowed(Priority::Normal) && allowed(Priority::Foreground));
    // Every choice against every state (spec/behaviour.md 21).
    let expected = [0xFF, 0x7F, 0x6F, 0x67, 0x21];
    for ((_, mask), states) in cost::NAMED.into_iter().zip(expected) {
        for bit in 0..8 {
            assert_eq!(cost::allows(mask, 1 << bit), states & (1 << bit) != 0, "{mask:x} {bit}");
        }
    }
}

/// What the clock shows decides, not what it showed before; the service hands in a clock that stands on its own in strict mode.
#[test]
fn policy_11_a_clock_that_is_moved_moves_the_slot() {
    let p = policy(&working_week());
    assert_eq!(rate(&p, MONDAY + 7 * HOUR, Priority::Low), Rate::Limit(8_000_000));
    assert_eq!(rate(&p, MONDAY + 9 * HOUR, Priority::Low), Rate::Blocked);
    assert!(p.flag("bandwidth.follow_wall_clock"));
    assert!(!policy(&[("compat.strict", Raw::Bool(true))]).flag("bandwidth.follow_wall_clock"));
}

#[test]
fn policy_12_a_profile_with_a_bad_value_is_ignored_and_the_others_apply() {
    let mut keys = working_week();
    keys.retain(|(name, _)| *name != "bandwidth.work.low");
    keys.push(("bandwidth.work.low", text("banana")));
    let p = policy(&keys);
    let faulty = about(p.findings(), "bandwidth.work");
    assert_eq!(faulty.iter().map(|f| f.about.event()).collect::<Vec<_>>(), [Some(16_405)]);
    assert_eq!(about(p.findings(), "bandwidth.work.low")[0].about.event(), Some(83));
    let monday = MONDAY + 9 * HOUR;
    assert_eq!(rate(&p, monday, Priority::Normal), Rate::Unlimited, "not the work profile's 1 Mbps");
    assert_eq!(rate(&p, monday, Priority::Low), Rate::Limit(8_000_000), "every hour is a nonwork hour");
    assert_eq!(
        rate(&p, MONDAY + 2 * DAY + 10 * HOUR, Priority::Normal),
        Rate::Blocked,
        "maintenance applies"
    );
    // Maintenance needs its window.
    let p = policy(&[
        ("bandwidth.maintenance.enabled", Raw::Bool(true)),
        ("bandwidth.maintenance.normal", Raw::Int(0)),
    ]);
    assert_eq!(about(p.findings(), "bandwidth.maintenance")[0].about.event(), Some(16_405));
    assert_eq!(rate(&p, monday, Priority::Normal), Rate::Unlimited);
}

/// The call itself comes with the peer cache; this is what it asks.
#[test]
fn policy_13_a_preference_for_a_locked_group_is_recorded_and_not_used() {
    let admin = layer(Origin::Administrator, &[("meta.locked", list(&["peer"]))]);
    let user = layer(Origin::Preference, &[("peer.enabled", Raw::Bool(true))]);
    let p = Policy::new(&[admin, user]).expect("usable");
    assert_eq!(p.preference_status("peer.enabled"), h::BG_S_OVERRIDDEN_BY_POLICY);
    let entry = p.entry("peer.enabled").expect("known");
    assert_eq!(
        (entry.unused_preference.as_deref(), entry.value.to_string().as_str()),
        (Some("true"), "false")
    );
}

#[test]
fn policy_15_a_users_file_sets_no_limits() {
    let user = layer(Origin::Preference, &[("limits.jobs_per_user", Raw::Int(10_000))]);
    let p = Policy::new(&[user]).expect("usable");
    assert_eq!(p.limits().jobs_per_user, 60);
    assert_eq!(about(p.findings(), "limits.jobs_per_user")[0].about, About::Overridden);
}

#[test]
fn policy_18_days_wrap_around_the_week() {
    let mut keys = working_week();
    keys.push(("bandwidth.work.days", list(&["fri-mon"])));
    let p = policy(&keys);
    let held = (0..7).map(|day| rate(&p, MONDAY + day * DAY + 9 * HOUR, Priority::Low) == Rate::Blocked);
    assert_eq!(held.collect::<Vec<_>>(), [true, false, false, false, true, true, true]);
    assert_eq!(shown(&p, "bandwidth.work.days"), "mon,fri,sat,sun");
}

/// The example of spec/policy.md C5 has nothing to complain about.
#[test]
fn the_example_of_the_specification() {
    let layers: [Layer; 1] = [layer(
        Origin::Administrator,
        &[
            ("meta.version", Raw::Int(1)),
            ("timeouts.job_inactivity", text("30d")),
            ("timeouts.max_download", text("7d")),
            ("limits.jobs_per_machine", Raw::Int(1000)),
            ("limits.jobs_per_user", Raw::Int(100)),
            ("bandwidth.schedule_enabled", Raw::Bool(true)),
            ("bandwidth.ignore_on_lan", Raw::Bool(true)),
            ("bandwidth.apply_to_foreground", Raw::Bool(false)),
            ("bandwidth.work.days", list(&["mon-fri"])),
            ("bandwidth.work.hours", text("08-18")),
            ("bandwidth.work.high", text("4Mbps")),
            ("bandwidth.work.normal", text("1Mbps")),
            ("bandwidth.work.low", Raw::Int(0)),
            ("bandwidth.nonwork.low", text("8Mbps")),
            ("bandwidth.maintenance.enabled", Raw::Bool(true)),
            ("bandwidth.maintenance.days", list(&["sun"])),
            ("bandwidth.maintenance.hours", text("02-04")),
            ("bandwidth.maintenance.high", text("256kbps")),
            ("cost.normal", text("unless-near-limit")),
            ("auth.implicit_credentials", text("explicit-only")),
        ],
    )];
    let p = Policy::new(&layers).expect("usable");
    assert_eq!(p.findings(), []);
    let limit = p.rate(&Fixed(0), MONDAY + 9 * HOUR, Priority::Low, false);
    assert_eq!((limit.rate, limit.until), (Rate::Blocked, Some(MONDAY + 18 * HOUR)));
}
