//! Keys of Delivery Optimization (spec/delivery-optimization-com.md 10).

use super::{about, layer, list, policy, text};
use crate::delivery::cache::{CachePolicy, HOSTS_MAX, NEVER};
use crate::enums::Priority;
use crate::policy::{Origin, Policy, Rate, Raw};

const HOSTS: &str = "delivery_optimization.cache_hosts";
const FOREGROUND: &str = "delivery_optimization.cache_fallback_foreground";
const BACKGROUND: &str = "delivery_optimization.cache_fallback_background";

fn hosts(hosts: &[&str]) -> Option<Vec<String>> {
    Some(hosts.iter().map(|host| (*host).to_owned()).collect())
}

#[test]
fn cache_hosts_and_their_delays() {
    assert_eq!(Policy::default().cache(), CachePolicy::default());
    let set = policy(&[
        (HOSTS, list(&["mcc1", " 10.0.0.1:8080", "fd00::1"])),
        (FOREGROUND, Raw::Int(0)),
        (BACKGROUND, text("never")),
    ]);
    let expected = CachePolicy {
        hosts: hosts(&["mcc1", "10.0.0.1:8080", "[fd00::1]"]),
        foreground_s: Some(0),
        background_s: Some(NEVER),
        off_on_vpn: false,
        off: false,
    };
    assert_eq!((set.cache(), set.limits().cache), (expected.clone(), expected));
    assert_eq!(policy(&[(HOSTS, list(&[]))]).cache().hosts, hosts(&[]), "switched off, not unset");
    assert_eq!(policy(&[(BACKGROUND, text("30d"))]).cache().background_s, Some(2_592_000));
    for bad in [text("31d"), Raw::Int(-1), text("always")] {
        let policy = policy(&[(BACKGROUND, bad)]);
        assert_eq!((policy.cache().background_s, about(policy.findings(), BACKGROUND).len()), (None, 1));
    }
}

#[test]
fn what_is_no_host_is_told_and_not_used() {
    let set = policy(&[(HOSTS, list(&["http://mcc", "mcc1", "u:p@h"]))]);
    assert_eq!(set.cache().hosts, hosts(&["mcc1"]));
    let told = about(set.findings(), HOSTS);
    assert!(told.len() == 2 && told[0].text.contains("http://mcc"), "{told:?}");
    let many: Vec<String> = (0..=HOSTS_MAX).map(|n| format!("h{n}")).collect();
    let set = policy(&[(HOSTS, list(&many.iter().map(String::as_str).collect::<Vec<_>>()))]);
    assert_eq!((set.cache().hosts.unwrap().len(), about(set.findings(), HOSTS).len()), (HOSTS_MAX, 1));
}

#[test]
fn the_mode_that_bypasses_has_no_cache_hosts() {
    for mode in ["http-only", "lan", "group", "internet", "simple", "bypass"] {
        let set = policy(&[("delivery_optimization.download_mode", text(mode)), (HOSTS, list(&["mcc1"]))]);
        assert_eq!(set.cache().hosts.is_some(), mode != "bypass", "{mode}");
        assert_eq!(set.cache().forbids(false), mode == "bypass", "{mode}: nor those of anybody else");
    }
}

#[test]
fn names_of_a_vpn() {
    let of = |policy: &Policy, names: [&str; 4]| names.map(|name| policy.names_vpn(name));
    let names = ["eth0", "Company vpn", "F-Secure 2", "wlan0"];
    assert_eq!(of(&Policy::default(), names), [false, true, true, false]);
    let set = policy(&[("delivery_optimization.vpn_keywords", list(&[" WLAN", ""]))]);
    assert_eq!(of(&set, names), [false, false, false, true]);
    assert!(!set.cache().off_on_vpn);
    assert!(policy(&[("delivery_optimization.cache_on_vpn", Raw::Bool(false))]).cache().off_on_vpn);
}

#[test]
fn limits_of_bandwidth() {
    let of = |value: Raw| {
        let set = policy(&[("delivery_optimization.max_background_bandwidth", value)]);
        assert_eq!(set.delivery_rate(Priority::Foreground).0, Rate::Unlimited);
        [Priority::High, Priority::Normal, Priority::Low].map(|priority| set.delivery_rate(priority).0)
    };
    for (value, rate) in [
        (text("2500KB/s"), Rate::Limit(20_000_000)),
        (Raw::Int(1_000), Rate::Limit(1_000_000)),
        (Raw::Int(0), Rate::Unlimited),
        (text("unlimited"), Rate::Unlimited),
    ] {
        assert_eq!(of(value.clone()), [rate; 3], "{value}");
    }
    let set = policy(&[("delivery_optimization.max_foreground_bandwidth", text("1Mbps"))]);
    let key = "delivery_optimization.max_foreground_bandwidth";
    assert_eq!(set.delivery_rate(Priority::Foreground), (Rate::Limit(1_000_000), key));
    assert_eq!(set.delivery_rate(Priority::Low).0, Rate::Unlimited);
}

#[test]
fn they_are_the_machines_alone() {
    let rate = "delivery_optimization.max_background_bandwidth";
    let values =
        [(HOSTS, list(&["evil"])), (FOREGROUND, Raw::Int(9)), (BACKGROUND, Raw::Int(9)), (rate, Raw::Int(9))];
    for (key, value) in values {
        for origin in [Origin::Own, Origin::Preference] {
            let set = Policy::new(&[layer(origin, &[(key, value.clone())])]).unwrap();
            assert_eq!(set.cache(), CachePolicy::default(), "{key}");
            assert_eq!(set.delivery_rate(Priority::Low).0, Rate::Unlimited);
            assert_eq!(about(set.findings(), key).len(), 1);
        }
    }
}
