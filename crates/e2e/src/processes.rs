//! Processes that are not children of the test: found, signalled, and gone.

use nix::sys::signal::Signal;
use openbits_testkit::process::stat;
use openbits_testkit::wait_until;
use std::path::Path;
use std::time::Duration;

/// Sends a signal; an error means that the process is gone.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("a process id");
    assert!(pid > 1, "never everybody");
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// True when the process is gone (one that waits for its parent counts as gone).
#[must_use]
pub fn gone(pid: u32) -> bool {
    stat(pid).map_or(true, |stat| matches!(stat.state, 'Z' | 'X'))
}

/// SIGKILL, and waits for the end.
pub fn kill(pid: u32) {
    signal(pid, Signal::SIGKILL);
    assert!(wait_until(Duration::from_secs(10), || gone(pid)), "process {pid} survives SIGKILL");
}

/// Kills every process that was started in this sandbox: whose environment has its path.
pub fn kill_group_of_environment(sandbox: &Path) {
    let needle = format!("XDG_RUNTIME_DIR={}/", sandbox.display()).into_bytes();
    let Ok(entries) = std::fs::read_dir("/proc") else { return };
    for pid in entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()) {
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { continue };
        if environment.split(|b| *b == 0).any(|variable| variable.starts_with(&needle)) {
            signal(pid, Signal::SIGKILL);
            let _ = wait_until(Duration::from_secs(5), || gone(pid));
        }
    }
}
