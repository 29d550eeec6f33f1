//! Files on a disk: order, owners, damage; and the zones of a machine.

use super::files::{Place, Source, Sources, Trust, parse};
use super::zone::Zone;
use super::{People, Settings};
use openbits_core::Policy;
use openbits_core::policy::window::LocalClock;
use openbits_core::policy::{Layer, Origin, Severity};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn sources(folder: &Path, trust: Trust) -> Sources {
    let of = |origin, place| Source { origin, place, trust };
    Sources(vec![
        of(Origin::Vendor, Place::File(folder.join("vendor.toml"))),
        of(Origin::Administrator, Place::File(folder.join("policy.toml"))),
        of(Origin::DropIn, Place::Folder(folder.join("policy.d"))),
    ])
    .with_user(&folder.join("home"), true)
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn policy_of(text: &str) -> Policy {
    let layer = Layer { origin: Origin::Administrator, file: "f".to_owned(), tree: parse(text).unwrap() };
    Policy::new(&[layer]).unwrap()
}

#[test]
fn files_count_in_their_order_and_drop_ins_in_that_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = |n: u32| format!("[limits]\njobs_per_user = {n}\n");
    let sources = sources(at, Trust::Anybody);
    let jobs = || Settings::read(&sources, 0).unwrap().limits.jobs_per_user;
    assert_eq!(jobs(), 60, "no file at all");
    for (name, n) in [
        ("vendor.toml", 1),
        ("policy.toml", 2),
        ("policy.d/10-b.toml", 3),
        ("policy.d/20-a.toml", 4),
        ("home/policy.toml", 5),
    ] {
        write(at, name, &text(n));
        assert_eq!(jobs(), n, "{name}");
    }
    write(at, "policy.d/90.toml.bak", "not read");
    write(at, "policy.d/05.toml", &text(9));
    write(at, "home/preferences.toml", &text(50));
    let settings = Settings::read(&sources, 7).unwrap();
    assert_eq!((settings.limits.jobs_per_user, settings.read_at_ms, settings.files.len()), (5, 7, 7));
    assert!(
        settings.policy.findings()[0]
            .to_string()
            .contains("preferences.toml: limits.jobs_per_user: not used")
    );
}

/// Row 16 of spec/policy.md D, and what happens at the start.
#[test]
fn row_16_a_broken_file_is_refused_and_the_vendors_file_counts_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sources = sources(at, Trust::Anybody);
    write(at, "vendor.toml", "[limits]\njobs_per_user = 1\n");
    for (name, text) in [
        ("policy.toml", "[[["),
        ("policy.d/x.toml", "[limits]\njobs_per_user = 7\njobs_per_user = 8\n"),
        ("policy.d/x.toml", "[meta]\nversion = 2\n"),
        ("policy.d/x.toml", "[meta]\nstrict = true\n[nonsense]\na = 1\n"),
    ] {
        write(at, "policy.toml", "[limits]\njobs_per_user = 7\n");
        write(at, name, text);
        let refused = Settings::read(&sources, 0).unwrap_err();
        assert!(refused.iter().any(|f| f.severity == Severity::Error), "{text}: {refused:?}");
        let settings = Settings::at_start(&sources, 0);
        assert_eq!((settings.limits.jobs_per_user, settings.refused.is_empty()), (1, false), "{text}");
        std::fs::remove_file(at.join(name)).unwrap();
    }
    // Nobody's preferences hold the policy up.
    write(at, "home/preferences.toml", "[[[");
    assert_eq!(Settings::read(&sources, 0).unwrap().policy.findings()[0].severity, Severity::Warning);
}

#[test]
fn files_of_the_machine_have_to_be_roots_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sources = sources(at, Trust::RootOnly);
    write(at, "policy.toml", "[limits]\njobs_per_user = 7\n");
    let path = at.join("policy.toml");
    let root = rustix::process::geteuid().is_root();
    for (mode, trusted) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let settings = Settings::read(&sources, 0).unwrap();
        let expected = if trusted && root { (7, 0) } else { (60, 1) };
        assert_eq!((settings.limits.jobs_per_user, settings.policy.findings().len()), expected, "{mode:o}");
        assert!(settings.policy.findings().iter().all(|f| f.severity == Severity::Error));
    }
    if root {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        assert_eq!(Settings::read(&sources, 0).unwrap().limits.jobs_per_user, 60);
    }
}

#[test]
fn what_is_no_file_or_too_long_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sources = sources(at, Trust::Anybody);
    std::fs::create_dir(at.join("policy.toml")).unwrap();
    assert!(Settings::read(&sources, 0).is_err());
    std::fs::remove_dir(at.join("policy.toml")).unwrap();
    nix::unistd::mkfifo(&at.join("policy.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(Settings::read(&sources, 0).is_err());
    std::fs::remove_file(at.join("policy.toml")).unwrap();
    write(at, "policy.toml", &format!("# {}", "x".repeat(1 << 20)));
    assert!(Settings::read(&sources, 0).is_err());
}

#[test]
fn values_of_toml_reach_the_transfers() {
    let text = "[http]\nconnect_timeout = 5\nidle_timeout = \"1m\"\nmax_redirects = 3\nuser_agent = \"x/1\"\nversions = [\"1.1\"]\n\
                [disk]\nmin_free = \"2GiB\"\npreallocate = false\n[tls]\nextra_ca = \"/ca.pem\"\n[network]\nbind = \"127.0.0.2\"\n";
    let layer = Layer { origin: Origin::Administrator, file: "f".to_owned(), tree: parse(text).unwrap() };
    let settings = Settings::of(&[layer], Vec::new(), 0).unwrap();
    assert_eq!(settings.policy.findings(), []);
    let options = &settings.transfer;
    assert_eq!(
        (options.connect_timeout_ms, options.idle_timeout_ms, options.max_redirects),
        (5_000, 60_000, 3)
    );
    assert_eq!((options.user_agent.as_str(), options.http2, options.preallocate), ("x/1", false, false));
    assert_eq!(
        (options.min_free_bytes, options.extra_ca.as_deref(), options.bind.as_deref()),
        (2 << 30, Some("/ca.pem"), Some("127.0.0.2"))
    );
    // Nothing set is what the transfers have by themselves.
    assert_eq!(Settings::default().transfer, openbits_transfer::protocol::TransferOptions::default());
    // A date is no value of any key, and does not break the file.
    assert_eq!(policy_of("[disk]\nmin_free = 1979-05-27\n").findings().len(), 1);
}

#[test]
fn people_are_known_by_name_and_number() {
    let mut policy = policy_of(
        "[limits]\nallow_users = [\"root\", \"4711\"]\ndeny_users = [\"4712\", \"no-such-user-here\"]\nexempt_groups = [\"root\", \"4713\"]\n",
    );
    let people = People::of(&mut policy);
    assert_eq!(policy.findings().len(), 1, "{:?}", policy.findings());
    for (uid, key) in
        [(0, None), (4711, None), (4712, Some("limits.deny_users")), (4713, Some("limits.allow_users"))]
    {
        assert_eq!(people.forbids(uid), key, "{uid}");
    }
    for (uid, gid, exempt) in
        [(0, 9, true), (999, 999, true), (1000, 1000, false), (1000, 4713, true), (1000, 0, true)]
    {
        assert_eq!(people.exempts(uid, gid), exempt, "{uid} {gid}");
    }
    let mut policy = policy_of(
        "[limits]\nallow_users = [\"no-such-user-here\"]\nexempt_system_accounts = false\nexempt_groups = []\n",
    );
    let people = People::of(&mut policy);
    assert_eq!(people.forbids(1000), Some("limits.allow_users"), "a name that nobody has opens no door");
    assert!(!people.exempts(999, 0) && !people.exempts_by_group(999));
}

#[test]
fn zones_have_names_and_changes() {
    assert_eq!(Zone::named("UTC").unwrap().offset(0).seconds, 0);
    for bad in ["../../etc/passwd", "/etc/localtime", "No/Such_Zone", "a b", ""] {
        assert!(Zone::named(bad).is_err(), "{bad}");
    }
    let settings = |name: &str| {
        let tree = parse(&format!("[bandwidth]\ntimezone = {name:?}\n")).unwrap();
        Settings::of(&[Layer { origin: Origin::Administrator, file: "f".to_owned(), tree }], Vec::new(), 0)
            .unwrap()
    };
    assert_eq!(settings("Nowhere/Atall").policy.findings().len(), 1);
    if !Path::new("/usr/share/zoneinfo/Europe/Berlin").exists() {
        eprintln!("SKIPPED: no time zone database on this machine");
        return;
    }
    let spring = 1_774_746_000;
    let zone = settings("Europe/Berlin").zone;
    assert_eq!((zone.offset(spring - 1).seconds, zone.offset(spring - 1).until), (3_600, Some(spring)));
    assert_eq!(zone.offset(spring).seconds, 7_200);
}
