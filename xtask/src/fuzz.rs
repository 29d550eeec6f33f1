//! Fuzz targets: `fuzz/`, described in docs/fuzzing.md.

use crate::generate::root;
use crate::run::{cargo, has, step};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Newest version that was tried.
const CARGO_FUZZ: &str = "0.13.2";

/// Cargo, with what every step of the fuzz build needs. The compiler is the one of all other builds: the flags that it keeps for
/// the nightly channel are opened by `RUSTC_BOOTSTRAP`. The build has a folder of its own, since all its flags differ.
fn fuzz_cargo(arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO_BUILD_BUILD_DIR");
    command.env("CARGO_TARGET_DIR", root().join("fuzz/target"));
    command
}

/// The names of all targets: the files of `fuzz/targets`.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/targets");
    let mut names = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Asks the compiler for every target, since nothing else in the gate builds them. libFuzzer itself is left out. The folder is that of all
/// other checks, whose libraries are shared: no flag may differ from theirs.
pub(crate) fn check() -> Result<()> {
    let what = ["check", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--no-default-features", "--locked"];
    let mut command = cargo(&what);
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        command.env("CARGO_TARGET_DIR", root().join("target"));
    }
    step(command)
}

/// Runs one target, or all, for so many seconds each. Inputs that are found on the way stay in `fuzz/target/corpus`; those under
/// version control are the seeds in `fuzz/corpus`.
pub(crate) fn run(target: Option<&str>, seconds: &str) -> Result<()> {
    if seconds.parse::<u32>().is_err() {
        bail!("{seconds:?} is not a number of seconds");
    }
    let mut names = targets()?;
    if let Some(target) = target.filter(|target| *target != "all") {
        if !names.iter().any(|name| name == target) {
            bail!("there is no fuzz target {target:?}; there are {}", names.join(", "));
        }
        names = vec![target.to_owned()];
    }
    if !has("cargo-fuzz", "--version") {
        step(cargo(&["install", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ]))?;
    }
    for name in &names {
        let found = root().join("fuzz/target/corpus").join(name);
        std::fs::create_dir_all(&found).with_context(|| format!("creating {}", found.display()))?;
        let (found, seeds) = (found.display().to_string(), format!("fuzz/corpus/{name}"));
        // No sanitizer: the targets are safe Rust, where an address sanitizer only costs speed; overflow and debug checks are on.
        let limit = format!("-max_total_time={seconds}");
        let build = ["fuzz", "run", "--sanitizer", "none", name.as_str(), found.as_str(), seeds.as_str()];
        let options = ["--", limit.as_str(), "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"];
        step(fuzz_cargo(&[&build[..], &options[..]].concat()))?;
    }
    Ok(())
}
