//! The door to the service, which is part of the same program.

use openbits_api::error::exit;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the service with the arguments that follow its name.
pub(crate) fn run(_arguments: &[OsString]) -> ExitCode {
    eprintln!("bitsd: the service is not in this build");
    ExitCode::from(exit::OTHER)
}
