//! The service under the agent's name, as the SDK and units meet it (section 10, and ConfigVersionTests of 14.2).

use crate::sdk::port_in;
use crate::service::{SMALL, Service};
use nix::sys::signal::Signal;
use std::process::{Command, Output};
use std::time::Duration;

const NAME: &str = "deliveryoptimization-agent";

/// The program under that name, with one option.
fn asked(option: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(NAME);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bitsd"), &program).unwrap();
    Command::new(program).arg(option).output().unwrap()
}

/// ConfigVersionTests.GetVersion: what `deliveryoptimization_get_components_version` makes of the agent's line and its own.
#[test]
fn config_version_get_version() {
    let line = format!("openbits;deliveryoptimization-agent/v{}", env!("CARGO_PKG_VERSION"));
    for option in ["--version", "-v"] {
        let output = asked(option);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{line}\n"));
    }
    let extra = String::from_utf8(asked("--version-extra").stdout).unwrap();
    let reference = extra.strip_prefix(&format!("{line} (")).and_then(|rest| rest.strip_suffix(")\n"));
    assert!(reference.is_some_and(|text| !text.is_empty()), "{extra}");
    let agent = String::from_utf8(asked("--version").stdout).unwrap();
    let joined = format!("DU;libdeliveryoptimization/v1.1.0,{agent}").replace('\n', "");
    let version = joined.replace("deliveryoptimization-", "").replace("libdeliveryoptimization", "lib");
    assert_eq!(version, format!("DU;lib/v1.1.0,openbits;agent/v{}", env!("CARGO_PKG_VERSION")));
    let other = asked("--no-such-option");
    assert!(!other.status.success() && other.stdout.is_empty());
}

/// Started under that name, without the option, it is the service with the door open; signals are those of the agent.
#[test]
fn the_service_under_the_agents_name_opens_the_door() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut service = Service::start_named(NAME, &["--user"], "", |_| {}).ready_now();
        service.sdk().download_plainly(&service.url("small"), &service.path("f")).unwrap();
        assert_eq!(service.size("f"), Some(SMALL));
        service.signal(Signal::SIGHUP);
        std::thread::sleep(Duration::from_millis(300));
        assert!(service.child.try_wait().unwrap().is_none(), "SIGHUP ends nothing");
        service.answers();
        service.signal(signal);
        assert_eq!(service.child.wait().unwrap().code(), Some(0), "{signal}");
        assert_eq!(port_in(&service.run()), None);
    }
}

/// A stop in mid-transfer leaves the partial file where it is.
#[test]
fn a_stop_leaves_the_partial_file() {
    let mut service = Service::start_named(NAME, &["--user"], "", |_| {}).ready_now();
    let download = service.sdk().make(&service.url("large"), &service.path("f")).unwrap();
    download.start().unwrap();
    let some = || download.status().transferred > 1 << 20;
    assert!(openbits_testkit::wait_until(Duration::from_secs(20), some));
    service.signal(Signal::SIGTERM);
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    assert!(service.size("f").is_some_and(|size| size > 0));
}
