//! The door to the service, which is part of the same program (docs/decisions/0001).

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the service with the arguments that follow its name.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let name = OsString::from("bitsd");
    openbits_daemon::main_with_args(std::iter::once(name).chain(arguments.iter().cloned()))
}
