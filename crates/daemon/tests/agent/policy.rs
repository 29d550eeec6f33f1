//! The policy opens and closes the door while the service runs (`delivery_optimization.*`).

use crate::sdk::{NO_SERVICE, port_in};
use crate::service::{SMALL, Service};
use crate::users::account;
use nix::unistd::Uid;
use openbits_api::PolicyOutcome;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

const ON: &str = "[delivery_optimization]\nagent = true\n";
const USER: &[&str] = &["--user"];

impl Service {
    /// Puts a policy in force and has it read.
    fn policy(&self, text: &str) -> PolicyOutcome {
        std::fs::write(self.folder.path().join("policy.toml"), text).unwrap();
        self.client().reload_policy().unwrap()
    }

    /// The door's port; it is open if there is one, and shut if there is none.
    fn door(&self) -> Option<u16> {
        let port = port_in(&self.run());
        assert!(port.is_none_or(connects), "a port file that leads nowhere");
        port
    }
}

fn connects(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// What was noticed about a key, at this severity.
fn told(outcome: &PolicyOutcome, severity: &str, key: &str) -> Vec<String> {
    let about = outcome.findings.iter().filter(|f| f.severity == severity && f.key.as_deref() == Some(key));
    about.map(|finding| finding.text.clone()).collect()
}

#[test]
fn the_policy_opens_and_closes_the_door() {
    let service = Service::start_with(USER, "");
    assert_eq!(service.door(), None, "off by default");
    let outcome = service.policy(ON);
    assert!(outcome.usable && outcome.findings.is_empty(), "{outcome:?}");
    let port = service.door().expect("open when the reload is answered");
    let sdk = service.sdk();
    sdk.download_plainly(&service.url("small"), &service.path("f")).unwrap();
    assert_eq!(service.size("f"), Some(SMALL));
    let kept = sdk.make(&service.url("other"), &service.path("g")).unwrap();
    // A change of something else does not touch it.
    assert!(service.policy(&format!("{ON}[limits]\nfiles_per_job = 9\n")).usable);
    assert_eq!(service.door(), Some(port));
    assert_eq!(kept.status().state, "Created", "on the same connection");

    assert!(service.policy("").usable);
    assert_eq!(std::fs::read_dir(service.run()).unwrap().count(), 0, "no port file");
    assert!(!connects(port));
    assert_eq!(kept.try_status().unwrap_err(), NO_SERVICE, "its connection is closed, too");

    assert!(service.policy(ON).usable);
    assert!(service.door().is_some());
    kept.start().unwrap();
    kept.reaches("Transferred", Duration::from_secs(60));
    kept.finalize().unwrap();
    assert!(service.is_whole("g", "other"), "what was asked for before goes on");
}

/// Limits of Delivery Optimization hold for the agent's downloads, too.
#[test]
fn the_policy_limits_the_bandwidth_of_downloads() {
    let limited = |rate: &str| format!("{ON}max_background_bandwidth = \"{rate}\"\n");
    let service = Service::start_with(USER, &limited("500KB/s"));
    service.ready();
    let download = service.sdk().make(&service.url("other"), &service.path("f")).unwrap();
    download.start().unwrap();
    let begun = openbits_testkit::wait_until(Duration::from_secs(20), || download.status().transferred > 0);
    assert!(begun);
    let before = download.status().transferred;
    std::thread::sleep(Duration::from_secs(4));
    let bytes = download.status().transferred - before;
    assert!((1_400_000..2_600_000).contains(&bytes), "{bytes} bytes in 4 s");
    // Another limit counts at once.
    assert!(service.policy(&limited("unlimited")).usable);
    download.reaches("Transferred", Duration::from_secs(60));
    download.finalize().unwrap();
    assert!(service.is_whole("f", "other"));
}

#[test]
fn the_door_of_a_policy_is_open_from_the_start_and_its_file_goes_at_the_end() {
    let mut service = Service::start_with(USER, ON);
    let port = service.door().expect("open");
    let pid = nix::unistd::Pid::from_raw(service.child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(service.child.wait().unwrap().success());
    assert_eq!(
        std::fs::read_dir(service.run()).unwrap().count(),
        0,
        "the port may soon be another program's"
    );
    assert!(!connects(port));
}

#[test]
fn the_command_line_goes_before_the_policy() {
    let service = Service::start_with(&["--user", "--do-agent"], "[delivery_optimization]\nagent = false\n");
    let port = service.door().expect("open");
    let outcome =
        service.policy("[delivery_optimization]\nagent = \"no\"\nagent_account = \"nobody-such\"\n");
    assert!(outcome.usable);
    assert!(
        told(&outcome, "error", "delivery_optimization.agent").is_empty(),
        "it does not matter: {outcome:?}"
    );
    assert_eq!(service.door(), Some(port));
}

/// Whatever cannot be used leaves the door as it is, and whoever reloads is told so.
#[test]
fn wrong_values_leave_the_door_as_it_is() {
    let service = Service::start_with(USER, "");
    let wrong = "[delivery_optimization]\nagent = \"yes\"\n";
    let errors = |outcome: &PolicyOutcome| told(outcome, "error", "delivery_optimization.agent");
    let outcome = service.policy(wrong);
    assert!(outcome.usable, "the rest is in force");
    assert!(errors(&outcome)[0].ends_with("stays closed"), "{outcome:?}");
    assert_eq!(service.door(), None);
    service.policy(ON);
    let port = service.door().expect("open");
    let outcome = service.policy(wrong);
    assert!(errors(&outcome)[0].ends_with(&format!("stays open at 127.0.0.1:{port}")), "{outcome:?}");
    assert_eq!(service.door(), Some(port));
    assert!(!service.policy("[delivery_optimization").usable, "no TOML");
    assert_eq!(service.door(), Some(port));
    assert!(service.policy("").usable);
    assert_eq!(service.door(), None);

    // A folder that others may write to: they could send every client elsewhere.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(service.run(), open).unwrap();
    let outcome = service.policy(ON);
    assert!(outcome.usable && errors(&outcome)[0].contains("nobody else may write to"), "{outcome:?}");
    assert_eq!(service.door(), None);
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(service.run(), closed).unwrap();
    assert!(errors(&service.policy(ON)).is_empty());
    assert!(service.door().is_some(), "mended, and tried again");
}

/// The folder where the SDK looks is for the system's service; a user's own does not take its clients away.
#[test]
fn a_service_of_a_user_needs_a_folder_of_its_own() {
    let mut service = Service::start_with(USER, "");
    service.stop();
    let own = service.arguments.iter().position(|word| word == "--do-agent-run").unwrap();
    service.arguments.drain(own..own + 2);
    service.start_again();
    service.answers();
    let outcome = service.policy(ON);
    let notes = told(&outcome, "note", "delivery_optimization.agent");
    assert!(notes.iter().any(|text| text.contains("--do-agent-run")), "{outcome:?}");
    assert_eq!(service.door(), None);
}

/// A user's own policy and preferences are not asked.
#[test]
fn a_users_files_do_not_open_the_door() {
    let service = Service::start_with(USER, "");
    let own = service.folder.path().join("config/openbits");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("preferences.toml"), ON).unwrap();
    let outcome = service.client().reload_policy().unwrap();
    assert_eq!(told(&outcome, "warning", "delivery_optimization.agent").len(), 1, "{outcome:?}");
    assert_eq!(service.door(), None);
}

#[test]
fn the_policy_names_the_account() {
    let people = account("openbits-t1").zip(account("openbits-t2"));
    let (true, Some(((first, _), (second, _)))) = (Uid::effective().is_root(), people) else {
        eprintln!("SKIPPED: the_policy_names_the_account: needs root and two accounts");
        return;
    };
    let with = |account: &str| format!("{ON}agent_account = \"{account}\"\n");
    let service = Service::start_with(&["--system"], &with("openbits-t1"));
    let port = service.door().expect("open from the start");
    let folder = service.folder.path().join("both");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let sdk = service.sdk();
    let owner_of_next = |name: &str| {
        sdk.download_plainly(&service.url("small"), &folder.join(name)).unwrap();
        std::fs::metadata(folder.join(name)).unwrap().uid()
    };
    assert_eq!(owner_of_next("a"), first.as_raw());
    for (bad, why) in [("openbits-none", "there is no account openbits-none"), ("root", "root's rights")] {
        let outcome = service.policy(&with(bad));
        let errors = told(&outcome, "error", "delivery_optimization.agent");
        assert!(outcome.usable && errors[0].contains(why), "{outcome:?}");
        assert!(errors[0].ends_with(&format!("stays open at 127.0.0.1:{port}")), "{outcome:?}");
    }
    assert_eq!(owner_of_next("b"), first.as_raw(), "as it was");
    let outcome = service.policy(&format!("{ON}agent_account = 7\n"));
    assert_eq!(told(&outcome, "error", "delivery_optimization.agent_account").len(), 1, "{outcome:?}");
    assert_eq!(owner_of_next("c"), first.as_raw(), "not the default's either");
    assert!(service.policy(&with("openbits-t2")).findings.is_empty());
    assert_eq!(service.door(), Some(port), "the same door");
    assert_eq!(owner_of_next("d"), second.as_raw(), "on the same connection");
}
