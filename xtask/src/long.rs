//! The long suites: the same tests as the short ones, with more of everything.

use crate::run::{cargo, step};
use anyhow::Result;

fn suite(test: &str, variables: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo(&[
        "test",
        "--release",
        "--package",
        "openbits-e2e",
        "--test",
        test,
        "--",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env("OPENBITS_LONG", "1").envs(variables.iter().copied());
    step(command)
}

pub(crate) fn crash(kills: &str, mib: &str) -> Result<()> {
    suite("crash", &[("OPENBITS_KILLS", kills), ("OPENBITS_CRASH_MIB", mib)])
}

pub(crate) fn hostile() -> Result<()> {
    suite("hostile", &[])
}

pub(crate) fn users() -> Result<()> {
    suite("users", &[])
}

pub(crate) fn bench(arguments: &[&str]) -> Result<()> {
    let mut command = cargo(&["run", "--release", "--package", "openbits-bench", "--"]);
    command.args(arguments);
    step(command)
}
