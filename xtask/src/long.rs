//! The long suites: the same tests as the short ones, with more of everything.

use crate::generate::root;
use crate::run::{cargo, step};
use anyhow::{Result, bail};

fn suite(test: &str, variables: &[(&str, &str)]) -> Result<()> {
    // Not nextest: its profile ends a test after five minutes.
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
    command.envs(variables.iter().copied());
    step(command)
}

pub(crate) fn crash(kills: &str, mib: &str) -> Result<()> {
    suite("crash", &[("OPENBITS_KILLS", kills), ("OPENBITS_CRASH_MIB", mib), ("OPENBITS_ROUNDS", "60")])
}

pub(crate) fn uploads(kills: &str, mib: &str) -> Result<()> {
    suite("upload_crash", &[("OPENBITS_KILLS", kills), ("OPENBITS_CRASH_MIB", mib)])
}

pub(crate) fn hostile() -> Result<()> {
    suite("hostile", &[("OPENBITS_HOSTILE_S", "600")])
}

pub(crate) fn users() -> Result<()> {
    suite("users", &[("OPENBITS_SLOW", "1")])
}

/// Programs in C++ over the library, with more of everything.
pub(crate) fn com(cycles: &str) -> Result<()> {
    let mut command = cargo(&["test", "--package", "openbits-e2e", "--test", "cpp", "--"]);
    command.args(["--nocapture", "--test-threads=1"]);
    command.env("OPENBITS_CYCLES", cycles).env("OPENBITS_VALGRIND_CYCLES", "200");
    command.env("OPENBITS_RACE_S", "300").env("OPENBITS_KILL_S", "300");
    step(command)
}

/// The fuzzer is installed by the script; where that is impossible it says so and is skipped.
pub(crate) fn apifuzz(seconds: &str) -> Result<()> {
    step(cargo(&["build", "--package", "openbits-cli"]))?;
    let mut command = std::process::Command::new("python3");
    command.arg(root().join("scripts/apifuzz.py")).arg(seconds).current_dir(root());
    step(command)
}

/// `queue` is a program of ours, `transfer` a script that runs programs beside each other; both print what they take.
pub(crate) fn bench(name: &str, arguments: &[&str]) -> Result<()> {
    match name {
        "queue" => {
            step(cargo(&["build", "--release", "--package", "openbits-cli"]))?;
            let mut command = cargo(&["run", "--release", "--package", "openbits-bench", "--"]);
            command.args(arguments);
            step(command)
        }
        "transfer" | "rate" => {
            step(cargo(&["build", "--release", "--package", "openbits-cli"]))?;
            let mut command = std::process::Command::new("python3");
            let program = root().join("bench").join(name).with_extension("py");
            command.arg(program).args(arguments).current_dir(root());
            step(command)
        }
        "com" => {
            let packages = ["build", "--release", "--package", "openbits-cli", "--package", "openbits-com"];
            step(cargo(&packages))?;
            let mut command = std::process::Command::new("python3");
            command.arg(root().join("bench/com.py")).args(arguments).current_dir(root());
            step(command)
        }
        "upload" => {
            step(cargo(&[
                "build",
                "--release",
                "--package",
                "openbits-cli",
                "--package",
                "openbits-server",
            ]))?;
            let mut command = std::process::Command::new("python3");
            command.arg(root().join("bench/upload.py")).args(arguments).current_dir(root());
            step(command)
        }
        other => {
            bail!(
                "there is no benchmark {other:?}; there are com, queue, rate, transfer and upload (bench/README.md)"
            )
        }
    }
}
