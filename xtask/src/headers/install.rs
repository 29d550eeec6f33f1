//! Library, headers, pkg-config files and CMake package below a prefix.

use crate::generate::root;
use crate::run::{cargo, step};
use anyhow::{Context, Result};
use std::process::Command;

/// Builds the library for release and installs it with everything that programs need. The prefix is a full path.
pub(crate) fn install(prefix: &str) -> Result<()> {
    step(cargo(&["build", "--release", "--package", "openbits-com"]))?;
    let mut metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let output = metadata.output().context("starting cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo has a target folder")?;
    let packages = metadata["packages"].as_array().context("cargo has packages")?;
    let package = packages.iter().find(|package| package["name"] == "openbits-com");
    let version =
        package.and_then(|package| package["version"].as_str()).context("openbits-com has a version")?;
    let mut command = Command::new("sh");
    command.arg(root().join("scripts/install-lib.sh")).arg(prefix);
    command.arg(format!("{target}/release/libopenbits.so")).arg(version);
    step(command)
}
