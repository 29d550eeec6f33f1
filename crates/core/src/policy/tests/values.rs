//! Every key at its range and beyond; values of every type (spec/policy.md C2).

use super::{list, policy, shown, text};
use crate::policy::kind::RATE_MAX_KBPS;
use crate::policy::value::Tree;
use crate::policy::{About, KEYS, Kind, Policy, Raw, Value};
use proptest::prelude::*;

#[test]
fn rates() {
    for (raw, expected) in [
        (Raw::Int(0), "0"),
        (Raw::Int(1), "2kbps"),
        (Raw::Int(2), "2kbps"),
        (Raw::Int(256), "256kbps"),
        (text("256kbps"), "256kbps"),
        (text("2Mbps"), "2Mbps"),
        (text("2 Mbit/s"), "2Mbps"),
        (text("1.5MB/s"), "12Mbps"),
        (text("1MiB/s"), "8388608bps"),
        (text("0.001bps"), "2kbps"),
        (text("0kbps"), "0"),
        (text("unlimited"), "unlimited"),
        (Raw::Int(4_294_967_200), "4294967200kbps"),
    ] {
        let value = Kind::Rate.parse(&raw).unwrap_or_else(|e| panic!("{e}"));
        let expected =
            if expected == "4294967200kbps" { "4294967200kbps".to_owned() } else { expected.to_owned() };
        assert_eq!(value.to_string(), expected, "{raw}");
    }
    for bad in [
        "banana",
        "",
        "5",
        "5 kb/s",
        "-1kbps",
        "1.2.3kbps",
        "1e3kbps",
        "kbps",
        "99999999999999999Gbps",
        "Unlimited",
    ] {
        assert!(Kind::Rate.parse(&text(bad)).is_err(), "{bad}");
    }
    for bad in [-1, 4_294_967_201, i64::MAX] {
        assert!(Kind::Rate.parse(&Raw::Int(bad)).is_err(), "{bad}");
    }
    assert!(Kind::Rate.parse(&Raw::Float(1.5)).is_err());
}

#[test]
fn durations_sizes_percents() {
    let duration = Kind::Duration { min_s: 0, max_s: 86_400_000 };
    for (raw, expected) in [
        (Raw::Int(600), 600),
        (text("600"), 600),
        (text("10m"), 600),
        (text("2 h"), 7_200),
        (text("90d"), 7_776_000),
        (text("2w"), 1_209_600),
        (text("0s"), 0),
    ] {
        assert_eq!(duration.parse(&raw), Ok(Value::Seconds(expected)), "{raw}");
    }
    for bad in ["", "d", "1.5h", "-1s", "3 parsecs", "99999999999999999999s", "9999999999999999w", "ü"] {
        assert!(duration.parse(&text(bad)).is_err(), "{bad}");
    }
    for (raw, expected) in [
        (Raw::Int(7), 7),
        (text("0"), 0),
        (text("500MiB"), 500 << 20),
        (text("1.5GB"), 1_500_000_000),
        (text("2 TiB"), 2 << 40),
        (text("10kB"), 10_000),
    ] {
        assert_eq!(Kind::Size.parse(&raw), Ok(Value::Bytes(expected)), "{raw}");
    }
    for bad in ["", "MiB", "-1", "1.1234567MB", "999999999TiB", "1PB"] {
        assert!(Kind::Size.parse(&text(bad)).is_err(), "{bad}");
    }
    let percent = Kind::Percent { min: 1, max: 80 };
    assert_eq!(percent.parse(&text("80%")), Ok(Value::Percent(80)));
    assert_eq!(percent.parse(&Raw::Int(1)), Ok(Value::Percent(1)));
    for bad in [Raw::Int(0), Raw::Int(81), Raw::Int(-1), Raw::Int(300), text("80"), text("81%"), text("%")] {
        assert!(percent.parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn days_and_hours() {
    for (raw, expected) in [
        (list(&["mon-fri"]), "mon,tue,wed,thu,fri"),
        (text("Mon-Fri"), "mon,tue,wed,thu,fri"),
        (list(&["mon", "thu"]), "mon,thu"),
        (list(&["fri-mon"]), "mon,fri,sat,sun"),
        (list(&["sun-sat"]), "mon,tue,wed,thu,fri,sat,sun"),
        (list(&["sun", "sun"]), "sun"),
    ] {
        assert_eq!(Kind::Days.parse(&raw).expect("days").to_string(), expected);
    }
    for bad in
        [list(&[]), list(&["monday"]), list(&["mon-"]), text(""), Raw::Int(1), Raw::List(vec![Raw::Int(1)])]
    {
        assert!(Kind::Days.parse(&bad).is_err(), "{bad}");
    }
    for (good, minutes) in
        [("08-17", 540), ("8-17", 540), ("22:30-06:00", 450), ("00-00", 1440), ("23-00", 60)]
    {
        let Ok(Value::Hours(hours)) = Kind::Hours.parse(&text(good)) else { panic!("{good}") };
        assert_eq!(hours.length_min(), minutes, "{good}");
    }
    for bad in ["", "08", "08-24", "24-08", "08:60-09", "08-17-18", "-", "+8-9", "008-17", "8.5-9"] {
        assert!(Kind::Hours.parse(&text(bad)).is_err(), "{bad}");
    }
}

#[test]
fn costs() {
    for (raw, mask) in [
        (text("always"), 0x8000_00FF),
        (text("unless-roaming"), 0x8000_007F),
        (text("unless-surcharge"), 0x8000_006F),
        (text("unless-near-limit"), 0x8000_0067),
        (text("unconstrained"), 0x8000_0021),
        (Raw::Int(1), 0x8000_00FF),
        (Raw::Int(5), 0x8000_0021),
        (Raw::Int(0x8000_0067), 0x8000_0067),
        (Raw::Int(0x40), 0x40),
    ] {
        assert_eq!(Kind::Cost.parse(&raw), Ok(Value::Cost(mask)), "{raw}");
    }
    for bad in [Raw::Int(0), Raw::Int(0x100), Raw::Int(-1), Raw::Int(0x8000_0000), text("sometimes")] {
        assert!(Kind::Cost.parse(&bad).is_err(), "{bad}");
    }
}

/// Smallest and largest values of each key, and those just beyond.
fn limits_of(kind: Kind) -> (Vec<Raw>, Vec<Raw>) {
    let int = |n: u64| Raw::Int(i64::try_from(n).expect("small"));
    let wrong = vec![Raw::Float(0.5), Raw::Other("1979-05-27".to_owned())];
    let (good, mut bad) = match kind {
        Kind::Bool => (vec![Raw::Bool(true), Raw::Bool(false)], vec![Raw::Int(1), text("true")]),
        Kind::Int { min, max } => {
            (vec![Raw::Int(min), Raw::Int(max)], vec![Raw::Int(min - 1), Raw::Int(max + 1), text("1")])
        }
        Kind::IntOr { min, max, word } => (
            vec![Raw::Int(min), Raw::Int(max), text(word)],
            vec![Raw::Int(min - 1), Raw::Int(max + 1), text("x")],
        ),
        Kind::Duration { min_s, max_s } => (
            vec![int(min_s), int(max_s), text(&format!("{max_s}s"))],
            vec![Raw::Int(i64::try_from(min_s).expect("small") - 1), int(max_s + 1), text("x")],
        ),
        Kind::DurationOr { min_s, max_s, word } => (
            vec![int(min_s), int(max_s), text(word)],
            vec![Raw::Int(i64::try_from(min_s).expect("small") - 1), int(max_s + 1), text("x")],
        ),
        Kind::Rate => (
            vec![Raw::Int(0), int(RATE_MAX_KBPS), text("unlimited")],
            vec![Raw::Int(-1), int(RATE_MAX_KBPS + 1), text("x"), Raw::Bool(true)],
        ),
        Kind::BitRate { min, max } => {
            (vec![int(min), int(max)], vec![int(min - 1), int(max + 1), text("unlimited"), Raw::Int(0)])
        }
        Kind::Size => (vec![Raw::Int(0), Raw::Int(i64::MAX)], vec![Raw::Int(-1), text("x")]),
        Kind::Percent { min, max } => (
            vec![Raw::Int(min.into()), Raw::Int(max.into()), text(&format!("{max}%"))],
            vec![Raw::Int(i64::from(min) - 1), Raw::Int(i64::from(max) + 1)],
        ),
        Kind::Days => (vec![list(&["mon-sun"]), list(&["wed"])], vec![list(&[]), text("x")]),
        Kind::Hours => (vec![text("00-23"), text("23:59-00:00")], vec![text("00-24"), Raw::Int(8)]),
        Kind::Cost => (
            vec![Raw::Int(1), Raw::Int(5), Raw::Int(0xC000_00FF)],
            vec![Raw::Int(0), Raw::Int(0x1_0000_0000)],
        ),
        Kind::Word(words) => {
            (words.iter().map(|w| text(w)).collect(), vec![text("x"), Raw::Int(0), list(&[])])
        }
        Kind::Text => (
            vec![text(""), text(&"x".repeat(4096))],
            vec![text(&"x".repeat(4097)), text("a\nb"), Raw::Int(1)],
        ),
        Kind::List => (
            vec![list(&[]), list(&["x"; 1024])],
            vec![list(&["x"; 1025]), text("x"), Raw::List(vec![Raw::Int(1)])],
        ),
        Kind::Words(words) => {
            (vec![list(words), list(&words[..1])], vec![list(&[]), list(&["x"]), text(words[0])])
        }
        Kind::States => (
            vec![
                Raw::Table(Tree::new()),
                Raw::Table(Tree::from([("phone".to_owned(), text("usage-based"))])),
            ],
            vec![Raw::Table(Tree::from([("phone".to_owned(), text("dear"))])), text("x")],
        ),
    };
    bad.extend(wrong);
    (good, bad)
}

#[test]
fn every_key_at_its_limits_and_beyond() {
    for key in KEYS {
        let (good, bad) = limits_of(key.kind);
        for raw in good {
            let mut keys = vec![(key.name, raw.clone())];
            if key.name == "limits.jobs_per_user" {
                keys.push(("limits.jobs_per_machine", Raw::Int(4_294_967_200)));
            }
            if key.name == "limits.jobs_per_machine" {
                keys.push(("limits.jobs_per_user", Raw::Int(0)));
            }
            let p = policy(&keys);
            let entry = p.entry(key.name).expect("known");
            assert_eq!(Ok(entry.value.clone()), key.kind.parse(&raw), "{} = {raw}", key.name);
            assert_eq!(entry.file.as_deref(), Some("administrator"), "{}", key.name);
        }
        // A version that is too high refuses the whole file: a test of its own.
        for raw in bad.into_iter().filter(|raw| key.name != "meta.version" || *raw != Raw::Int(2)) {
            let p = policy(&[(key.name, raw.clone())]);
            assert_eq!(
                p.entry(key.name).expect("known").value,
                key.default_value(false),
                "{} = {raw}",
                key.name
            );
            let bad: Vec<_> = super::about(p.findings(), key.name).into_iter().map(|f| f.about).collect();
            assert_eq!(bad, [About::BadValue], "{} = {raw}", key.name);
            assert_eq!(bad[0].event(), Some(83));
        }
    }
}

#[test]
fn what_is_shown_can_be_written_again() {
    for key in KEYS {
        for raw in limits_of(key.kind).0 {
            let value = key.kind.parse(&raw).expect("good");
            let again = match value.to_json() {
                serde_json::Value::Null => continue,
                json => from_json(json),
            };
            assert_eq!(key.kind.parse(&again), Ok(value), "{}: {again}", key.name);
        }
    }
    assert_eq!(shown(&Policy::default(), "timeouts.job_inactivity"), "90d");
    assert_eq!(shown(&Policy::default(), "cost.low"), "unconstrained");
}

fn from_json(json: serde_json::Value) -> Raw {
    match json {
        serde_json::Value::Bool(b) => Raw::Bool(b),
        serde_json::Value::Number(n) => Raw::Int(n.as_i64().expect("whole")),
        serde_json::Value::String(s) => match s.strip_prefix("0x") {
            Some(hex) => Raw::Int(i64::from_str_radix(hex, 16).expect("a mask")),
            None => Raw::Text(s),
        },
        serde_json::Value::Array(list) => Raw::List(list.into_iter().map(from_json).collect()),
        serde_json::Value::Object(map) => {
            Raw::Table(map.into_iter().map(|(k, v)| (k, from_json(v))).collect())
        }
        serde_json::Value::Null => panic!("nothing"),
    }
}

fn any_raw() -> impl Strategy<Value = Raw> {
    let word = prop_oneof![
        "\\PC{0,12}",
        "[0-9]{1,22}(\\.[0-9]{0,8})?[a-zA-Z/%]{0,5}",
        "[0-9]{1,2}(:[0-9]{2})?-[0-9]{1,2}",
        Just("default".to_owned()),
        Just("unlimited".to_owned()),
        Just("mon-fri".to_owned()),
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Raw::Bool),
        any::<i64>().prop_map(Raw::Int),
        (0_i64..200).prop_map(Raw::Int),
        any::<f64>().prop_map(Raw::Float),
        word.prop_map(Raw::Text),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Raw::List),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4).prop_map(Raw::Table),
        ]
    })
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        4 => (0..KEYS.len()).prop_map(|at| KEYS[at].name.to_owned()),
        1 => (0..KEYS.len()).prop_map(|at| KEYS[at].group().to_owned()),
        1 => "[a-z_.]{0,12}",
    ];
    prop::collection::vec((name, any_raw()), 0..12).prop_map(|pairs| {
        let mut tree = Tree::new();
        for (name, raw) in pairs {
            plant(&mut tree, &name, raw);
        }
        tree
    })
}

fn plant(tree: &mut Tree, name: &str, raw: Raw) {
    match name.split_once('.') {
        None => drop(tree.insert(name.to_owned(), raw)),
        Some((first, rest)) => {
            if let Raw::Table(inner) = tree.entry(first.to_owned()).or_insert_with(|| Raw::Table(Tree::new()))
            {
                plant(inner, rest, raw);
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_files_say_every_value_is_in_its_range(trees in prop::collection::vec(any_tree(), 0..4), at in any::<i32>()) {
        use crate::policy::{Layer, Origin, window::Fixed};
        let origins = [Origin::Vendor, Origin::Administrator, Origin::Own, Origin::Preference];
        let layers: Vec<_> = trees
            .into_iter()
            .zip(origins)
            .map(|(tree, origin)| Layer { origin, file: origin.as_str().to_owned(), tree })
            .collect();
        if let Ok(policy) = Policy::new(&layers) {
            for (key, entry) in policy.entries() {
                let unset = entry.value == Value::Unset && key.default_value(false) == Value::Unset;
                prop_assert!(unset || key.kind.contains(&entry.value), "{} = {}", key.name, entry.value);
            }
            let limits = policy.limits();
            prop_assert!(limits.jobs_per_user <= limits.jobs_per_machine);
            prop_assert!((1..=8).contains(&limits.max_background) && (5..=3600).contains(&limits.time_slice_s));
            for priority in crate::Priority::ALL {
                let limit = policy.rate(&Fixed(at % 50_000), at.into(), *priority, at % 2 == 0);
                prop_assert!(limit.until.is_none_or(|until| until > at.into()));
            }
            let _ = (policy.security(), policy.cost_masks());
        }
    }

    #[test]
    fn no_text_makes_a_type_panic(raw in any_raw()) {
        for key in KEYS {
            if let Ok(value) = key.kind.parse(&raw) {
                prop_assert!(key.kind.contains(&value));
            }
        }
    }
}
