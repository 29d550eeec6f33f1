//! What a run can be told by its environment.

use std::path::PathBuf;

/// The number in this variable, or the default; printed, so that the run can be repeated.
#[must_use]
pub fn knob(name: &str, default: u64) -> u64 {
    let value = match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is not a number")),
        Err(_) => default,
    };
    eprintln!("{name}={value}");
    value
}

/// The program under test: `OPENBITS_BIN`, or the one that cargo built for the test.
#[must_use]
pub fn program(built: &str) -> PathBuf {
    std::env::var_os("OPENBITS_BIN").map_or_else(|| built.into(), PathBuf::from)
}
