//! What a worker process does first, when it already runs with the owner's rights and holds nothing yet.

use crate::sys;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Gives up what a worker never needs: new privileges, core dumps (they would hold secrets), and every descriptor but the
/// standard ones and `keep`, which must be number 3. Best effort; what failed comes back, for the log.
///
/// Call it before anything else: descriptors from 4 on are closed whoever owns them.
pub fn enter() -> Vec<&'static str> {
    let mut failed = Vec::new();
    if rustix::thread::set_no_new_privs(true).is_err() {
        failed.push("no_new_privs");
    }
    // Neither a debugger of the owner nor pidfd_getfd may take the channel to the service: what comes through it is believed to be ours.
    if rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).is_err() {
        failed.push("PR_SET_DUMPABLE");
    }
    if setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_err() {
        failed.push("RLIMIT_CORE");
    }
    if !sys::close_from(KEEP_BELOW) {
        failed.push("close_range");
    }
    failed
}

/// Descriptors below this number stay open: standard input, output, error, and the channel to the service.
pub const KEEP_BELOW: u32 = 4;
