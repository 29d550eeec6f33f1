//! Files over files: order, resets, locks, preferences, versions (spec/policy.md C1).

use super::{about, layer, list, policy, shown, text};
use crate::hresult as h;
use crate::policy::{About, Origin, Policy, Raw, Severity, Tree};

#[test]
fn later_files_win_key_by_key_and_say_so() {
    let layers = [
        layer(
            Origin::Vendor,
            &[("limits.jobs_per_user", Raw::Int(1)), ("limits.files_per_job", Raw::Int(1))],
        ),
        layer(
            Origin::Administrator,
            &[("limits.jobs_per_user", Raw::Int(2)), ("disk.min_free", text("1GiB"))],
        ),
        layer(
            Origin::DropIn,
            &[("limits.jobs_per_user", Raw::Int(3)), ("limits.deny_users", list(&["a", "b"]))],
        ),
        layer(Origin::Volatile, &[("limits.deny_users", list(&["c"]))]),
    ];
    let p = Policy::new(&layers).expect("usable");
    assert_eq!(p.findings(), []);
    for (name, value, origin) in [
        ("limits.jobs_per_user", "3", Origin::DropIn),
        ("limits.files_per_job", "1", Origin::Vendor),
        ("disk.min_free", "1GiB", Origin::Administrator),
        ("limits.deny_users", "[c]", Origin::Volatile),
        ("limits.jobs_per_machine", "300", Origin::Default),
    ] {
        let entry = p.entry(name).expect("known");
        assert_eq!((entry.value.to_string().as_str(), entry.origin), (value, origin), "{name}");
    }
}

#[test]
fn tables_are_merged() {
    let states = |pairs: &[(&str, &str)]| {
        Raw::Table(pairs.iter().map(|(k, v)| ((*k).to_owned(), text(v))).collect::<Tree>())
    };
    let layers = [
        layer(Origin::Administrator, &[("cost.override", states(&[("a", "roaming"), ("b", "capped")]))]),
        layer(Origin::DropIn, &[("cost.override", states(&[("b", "usage-based")]))]),
    ];
    assert_eq!(shown(&Policy::new(&layers).expect("usable"), "cost.override"), "{a=roaming, b=usage-based}");
}

#[test]
fn default_hides_what_lower_files_say_of_a_key_or_of_a_table() {
    let low = layer(
        Origin::Vendor,
        &[
            ("bandwidth.work.high", Raw::Int(9)),
            ("bandwidth.work.hours", text("01-02")),
            ("tls.extra_ca", text("/x")),
        ],
    );
    let one = layer(
        Origin::Administrator,
        &[("bandwidth.work.high", text("default")), ("tls.extra_ca", text("default"))],
    );
    let p = Policy::new(&[low.clone(), one]).expect("usable");
    assert_eq!(
        (shown(&p, "bandwidth.work.high"), shown(&p, "bandwidth.work.hours")),
        ("unlimited".into(), "01-02".into())
    );
    assert_eq!(
        (p.text("tls.extra_ca"), p.entry("tls.extra_ca").expect("known").origin),
        (None, Origin::Default)
    );
    let all = layer(Origin::Administrator, &[("bandwidth.work", text("default"))]);
    let p = Policy::new(&[low, all]).expect("usable");
    assert_eq!(
        (shown(&p, "bandwidth.work.high"), shown(&p, "bandwidth.work.hours")),
        ("unlimited".into(), "08-17".into())
    );
    assert_eq!(p.findings(), []);
}

#[test]
fn unknown_keys_are_named_with_their_neighbour_and_refuse_a_strict_policy() {
    let keys = [
        ("limits.job_per_user", Raw::Int(1)),
        ("bandwith.work.low", Raw::Int(1)),
        ("nonsense.entirely_so", Raw::Int(1)),
    ];
    let p = policy(&keys);
    assert_eq!(
        about(p.findings(), "limits.job_per_user")[0].text,
        "there is no such key; did you mean limits.jobs_per_user?"
    );
    assert!(about(p.findings(), "bandwith")[0].text.starts_with("there is no such key"));
    assert_eq!(p.findings().len(), 3);
    assert!(p.findings().iter().all(|f| f.severity == Severity::Warning && f.about == About::UnknownKey));
    let mut strict = keys.to_vec();
    strict.push(("meta.strict", Raw::Bool(true)));
    let refused = Policy::new(&[layer(Origin::Administrator, &strict)]).expect_err("strict");
    assert!(refused.iter().all(|f| f.severity == Severity::Error));
    // A user's preferences cannot hold the policy up.
    let admin = layer(Origin::Administrator, &[("meta.strict", Raw::Bool(true))]);
    let user = layer(Origin::Preference, &[("peer.enable", Raw::Bool(true))]);
    assert_eq!(Policy::new(&[admin, user]).expect("usable").findings()[0].severity, Severity::Warning);
}

#[test]
fn a_file_for_a_newer_version_is_refused() {
    let layers =
        [layer(Origin::DropIn, &[("meta.version", Raw::Int(2)), ("disk.preallocate", Raw::Bool(false))])];
    let refused = Policy::new(&layers).expect_err("too new");
    assert_eq!(refused[0].file.as_deref(), Some("drop-in"));
    let user =
        [layer(Origin::Preference, &[("meta.version", Raw::Int(2)), ("peer.enabled", Raw::Bool(true))])];
    let p = Policy::new(&user).expect("only the user's file");
    assert!(!p.flag("peer.enabled"));
    assert_eq!(p.findings().len(), 1);
}

#[test]
fn a_table_where_a_value_is_expected_and_the_other_way_round() {
    let p = policy(&[("limits", Raw::Int(3)), ("disk.min_free.deep", Raw::Int(3))]);
    assert_eq!(about(p.findings(), "limits")[0].text, "3 is not a table of keys");
    assert_eq!(about(p.findings(), "disk.min_free")[0].about, About::BadValue);
    assert_eq!(shown(&p, "disk.min_free"), "500MiB");
}

#[test]
fn preferences_set_what_is_theirs_unless_the_policy_sets_or_locks_it() {
    let user = layer(
        Origin::Preference,
        &[
            ("peer.enabled", Raw::Bool(true)),
            ("peer.max_cache_percent", Raw::Int(7)),
            ("peer.max_content_age", text("3d")),
        ],
    );
    let vendor = layer(Origin::Vendor, &[("peer.enabled", Raw::Bool(false))]);
    let p = Policy::new(&[vendor.clone(), user.clone()]).expect("usable");
    assert_eq!(
        (p.flag("peer.enabled"), p.number("peer.max_cache_percent"), p.findings().len()),
        (true, 7, 0)
    );
    assert_eq!(p.preference_status("peer.enabled"), h::S_OK);

    let admin = layer(
        Origin::Administrator,
        &[("peer.enabled", Raw::Bool(false)), ("meta.locked", list(&["peer.max_cache_percent"]))],
    );
    let p = Policy::new(&[vendor, admin, user]).expect("usable");
    assert_eq!((p.flag("peer.enabled"), p.number("peer.max_cache_percent")), (false, 1));
    assert_eq!(shown(&p, "peer.max_content_age"), "3d");
    for name in ["peer.enabled", "peer.max_cache_percent"] {
        assert_eq!(p.preference_status(name), h::BG_S_OVERRIDDEN_BY_POLICY);
        assert!(p.entry(name).expect("known").unused_preference.is_some(), "recorded");
        assert_eq!(about(p.findings(), name)[0].about.code(), Some(h::BG_S_OVERRIDDEN_BY_POLICY));
    }
    assert_eq!(p.preference_status("peer.max_content_age"), h::S_OK);
}

#[test]
fn a_users_own_policy_obeys_the_machines_locks_and_cannot_lift_them() {
    let admin = layer(
        Origin::Administrator,
        &[("bandwidth.schedule_enabled", Raw::Bool(true)), ("meta.locked", list(&["bandwidth", "no.such"]))],
    );
    let own = layer(
        Origin::Own,
        &[
            ("bandwidth.schedule_enabled", Raw::Bool(false)),
            ("disk.preallocate", Raw::Bool(false)),
            ("meta.locked", list(&[])),
        ],
    );
    let p = Policy::new(&[admin, own]).expect("usable");
    assert!(p.flag("bandwidth.schedule_enabled") && !p.flag("disk.preallocate"));
    assert!(p.is_locked("bandwidth.work.low") && !p.is_locked("disk.preallocate"));
    assert_eq!(about(p.findings(), "bandwidth.schedule_enabled")[0].about, About::Overridden);
    assert_eq!(about(p.findings(), "meta.locked").len(), 1, "no.such");
}

#[test]
fn strict_compatibility_changes_defaults_but_nothing_that_was_set() {
    let p = policy(&[("compat.strict", Raw::Bool(true)), ("cost.low", text("unless-roaming"))]);
    for (name, value) in [
        ("cost.high", "always"),
        ("cost.low", "unless-roaming"),
        ("owner.presence", "logged-on"),
        ("bandwidth.follow_wall_clock", "false"),
        ("http.head_fallback", "false"),
    ] {
        assert_eq!(shown(&p, name), value, "{name}");
    }
    assert!(p.limits().strict_names);
}

/// Who may open a door of the service is the machine's business, also in a service of one's own.
#[test]
fn a_key_of_the_machine_is_not_for_a_users_policy() {
    let door = "delivery_optimization.agent";
    for origin in [Origin::Own, Origin::Preference] {
        let layers = [
            layer(Origin::Vendor, &[("delivery_optimization.agent_account", text("agent"))]),
            layer(origin, &[(door, Raw::Bool(true)), ("delivery_optimization.agent_account", text("me"))]),
        ];
        let p = Policy::new(&layers).expect("usable");
        assert!(!p.flag(door));
        assert_eq!(p.text("delivery_optimization.agent_account"), Some("agent"));
        assert_eq!(about(p.findings(), door).len(), 1, "{origin:?}");
        assert_eq!(about(p.findings(), door)[0].about, About::Overridden);
    }
    for origin in [Origin::Vendor, Origin::Administrator, Origin::DropIn, Origin::Volatile] {
        assert!(Policy::new(&[layer(origin, &[(door, Raw::Bool(true))])]).expect("usable").flag(door));
    }
}
