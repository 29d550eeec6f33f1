//! The door to the service, which is part of the same program (docs/decisions/0001).

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the service by this name of its own with the arguments that follow it.
pub(crate) fn run(name: &str, arguments: &[OsString]) -> ExitCode {
    let name = OsString::from(name);
    openbits_daemon::main_with_args(std::iter::once(name).chain(arguments.iter().cloned()))
}
