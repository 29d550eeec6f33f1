//! The table of keys against the tables of spec/policy.md C3 and C4, copied to `spec-keys.md`.

use crate::policy::table::{KEYS, Literal, position};
use crate::policy::{Policy, Value, reference};
use std::collections::{BTreeMap, BTreeSet};

const SPEC: &str = include_str!("spec-keys.md");

/// Keys of ours that the specification does not have.
const OURS: [&str; 11] = [
    "network.bind",
    "delivery_optimization.agent",
    "delivery_optimization.agent_account",
    "delivery_optimization.download_mode",
    "delivery_optimization.cache_hosts",
    "delivery_optimization.cache_fallback_foreground",
    "delivery_optimization.cache_fallback_background",
    "delivery_optimization.max_foreground_bandwidth",
    "delivery_optimization.max_background_bandwidth",
    "delivery_optimization.cache_on_vpn",
    "delivery_optimization.vpn_keywords",
];

/// Defaults that the specification's cells say in words, or for several keys at once.
const IN_WORDS: [(&str, &str); 14] = [
    ("log.level", "\"info\""),
    ("log.urls", "\"redact-query\""),
    ("cost.high", "\"unless-surcharge\""),
    ("cost.normal", "\"unless-surcharge\""),
    ("cost.low", "\"unconstrained\""),
    ("peer.max_peers", "0"),
    ("peer.max_clients", "3"),
    ("peer.min_disk", "\"0\""),
    ("peer.deny_urls", "[]"),
    ("http.user_agent", "–"),
    ("proxy.list", "–"),
    ("proxy.bypass", "–"),
    ("proxy.pac", "–"),
    ("bandwidth.simple.off_rate", "\"unlimited\""),
];

/// Keys and the cell of their default.
fn of_spec() -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let (mut key_column, mut default_column) = (0, 0);
    for line in SPEC.lines().filter(|l| l.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let column = |names: &[&str]| cells.iter().position(|c| names.contains(c));
        if let (Some(key), Some(default)) = (column(&["TOML key", "Key"]), column(&["Default"])) {
            (key_column, default_column) = (key, default);
            continue;
        }
        if cells[0].starts_with("---") {
            continue;
        }
        let mut group = String::new();
        let mut names = Vec::new();
        for part in cells[key_column].split([',', '/']) {
            let name = part.split(['=', '(']).next().unwrap_or_default().trim();
            let full = if name.contains('.') { name.to_owned() } else { format!("{group}.{name}") };
            group = full.rsplit_once('.').expect("a group").0.to_owned();
            names.push(full);
        }
        let cell = cells[default_column];
        let parts: Vec<&str> = cell.split(" / ").collect();
        for (at, name) in names.iter().enumerate() {
            let default = if parts.len() == names.len() { parts[at] } else { cell };
            let default = default.split(" (").next().unwrap_or_default().trim();
            found.entry(name.clone()).or_insert_with(|| default.to_owned());
        }
    }
    found
}

#[test]
fn the_table_has_the_keys_of_the_specification_and_no_others() {
    let spec: BTreeSet<String> = of_spec().into_keys().collect();
    let ours: BTreeSet<String> = KEYS.iter().map(|k| k.name.to_owned()).collect();
    let expected: BTreeSet<String> = spec.into_iter().chain(OURS.map(str::to_owned)).collect();
    assert_eq!(ours, expected);
    assert_eq!(ours.len(), KEYS.len(), "no key twice");
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    for (name, cell) in of_spec() {
        let key = &KEYS[position(&name).expect("known")];
        let expected = match IN_WORDS.iter().find(|(n, _)| *n == name) {
            Some((_, text)) => text,
            None if cell == "required if enabled" => "–",
            None => cell.as_str(),
        };
        let squeezed = expected.replace(", ", ",");
        // A text of the specification's prose may stand without quotes.
        let shown = key.default.to_string();
        let fits = shown == squeezed || shown.trim_matches('"') == squeezed;
        assert!(fits, "{name}: {shown} is not {expected}");
    }
}

#[test]
fn every_default_is_a_value_of_its_type() {
    for key in KEYS {
        for literal in [Some(key.default), key.strict].into_iter().flatten() {
            match literal.raw() {
                None => assert_eq!(literal, Literal::None),
                Some(raw) => drop(key.kind.parse(&raw).unwrap_or_else(|e| panic!("{}: {e}", key.name))),
            }
        }
        assert_eq!(key.default_value(false) == Value::Unset, key.default == Literal::None, "{}", key.name);
        assert!(!key.text.is_empty() && !key.text.ends_with('.'), "{}", key.name);
    }
}

/// Names in code are texts: each one that is asked for has to exist.
#[test]
fn names_in_the_code_are_keys_of_the_table() {
    let sources = [
        include_str!("../../policy.rs"),
        include_str!("../bandwidth.rs"),
        include_str!("../delivery.rs"),
        include_str!("../security.rs"),
    ];
    for source in sources {
        for name in source.split('"').skip(1).step_by(2) {
            let is_name =
                name.contains('.') && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_');
            let is_name = is_name && KEYS.iter().any(|k| name.starts_with(&format!("{}.", k.group())));
            let group = crate::policy::table::is_group(name);
            let prefix = name.ends_with('.') || name.ends_with('_');
            assert!(!is_name || group || prefix || position(name).is_some(), "{name}");
        }
    }
}

/// `cargo xtask generate` writes the file; this fails when it is stale.
#[test]
fn the_committed_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == reference::markdown(), "docs/policy.md is stale: run `cargo xtask generate`");
}

#[test]
fn every_key_of_the_reference_is_shown_once() {
    let text = reference::markdown();
    for (key, _) in Policy::default().entries() {
        assert_eq!(text.matches(&format!("| `{}` |", key.name)).count(), 1, "{}", key.name);
    }
}
