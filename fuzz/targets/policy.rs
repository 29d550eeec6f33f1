//! Any text as a policy file, alone and under a user's preferences.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_core::Priority;
use openbits_core::policy::window::Fixed;
use openbits_core::policy::{Layer, Origin};
use openbits_daemon::policy::{Settings, files};

const AT: [i64; 4] = [0, 1_795_000_000, -1, 4_102_444_799];

fn layer(origin: Origin, text: &str) -> Option<Layer> {
    let tree = files::parse(text).ok()?;
    Some(Layer { origin, file: "fuzz.toml".to_owned(), tree })
}

fuzz_target!(|text: &str| {
    // A line of four dashes ends the administrator's file and begins the preferences.
    let (first, second) = text.split_once("\n----\n").unwrap_or((text, ""));
    let Some(policy) = layer(Origin::Administrator, first) else { return };
    let preference = layer(Origin::Preference, second);
    let layers: Vec<Layer> = std::iter::once(policy).chain(preference).collect();
    let settings = match Settings::of(&layers, Vec::new(), 0) {
        Ok(settings) => settings,
        Err(findings) => {
            assert!(!findings.is_empty(), "a refusal says why");
            findings.iter().for_each(|finding| drop(finding.to_string()));
            return;
        }
    };
    for (key, entry) in settings.policy.entries() {
        let usual = entry.value == key.default_value(true) || entry.value == key.default_value(false);
        assert!(usual || key.kind.contains(&entry.value), "{} = {}", key.name, entry.value);
        let _ = entry.value.to_json();
    }
    settings.policy.findings().iter().for_each(|finding| drop(finding.to_string()));
    let _ = settings.policy.cost_masks();
    let _ = settings.security.check("http://h/x", "/tmp/x");
    for at in AT {
        for priority in [Priority::Foreground, Priority::High, Priority::Normal, Priority::Low] {
            for limit in [
                settings.policy.rate(&Fixed(3600), at, priority, false),
                settings.policy.rate(&settings.zone, at, priority, true),
            ] {
                assert!(limit.until.is_none_or(|until| until > at), "{limit:?} at {at}");
            }
        }
    }
});
