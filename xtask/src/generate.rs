//! Generated sources: one table in `spec/constants`, one place in the code.

mod com;
mod conformance;
mod delivery;
mod delivery_rows;
pub(crate) mod hresults;
mod upload_rows;
mod uploads;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether differences are written or reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Overwrite the files.
    Write,
    /// Fail when a file differs (CI's drift check).
    Check,
}

/// The repository's root folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_path_buf()
}

/// Reads a constants file of the specification.
pub(crate) fn constants(name: &str) -> Result<serde_json::Value> {
    let path = root().join("spec/constants").join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// Runs every generator.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let mut files = vec![("crates/core/src/hresult/table.rs".to_owned(), hresults::generate()?)];
    files.extend(com::generate()?);
    let mut stale: Vec<String> = Vec::new();
    for (name, text) in files {
        let text = format_rust(&text)?;
        let path = root().join(&name);
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        if old != text {
            match mode {
                Mode::Write => {
                    if let Some(folder) = path.parent() {
                        std::fs::create_dir_all(folder)?;
                    }
                    std::fs::write(&path, text)?;
                }
                Mode::Check => stale.push(name),
            }
        }
    }
    stale.extend(headers(mode)?);
    let tests = conformance::tests()?;
    let mut missing = Vec::new();
    for (name, page) in [
        ("docs/conformance.md", conformance::generate(&tests)?),
        ("docs/upload-conformance.md", uploads::generate(&tests)?),
        ("docs/delivery-optimization-conformance.md", delivery::generate(&tests)?),
    ] {
        let path = root().join(name);
        match mode {
            Mode::Write => std::fs::write(&path, &page.text)?,
            Mode::Check if std::fs::read_to_string(&path).unwrap_or_default() != page.text => {
                stale.push(name.to_owned());
            }
            Mode::Check => {}
        }
        missing.extend(page.missing);
    }
    if mode == Mode::Write {
        // These come from the code itself; tests of the crates compare them.
        for (word, path) in [
            ("openapi", "docs/openapi.json"),
            ("policy-reference", "docs/policy.md"),
            ("events-reference", "docs/events.md"),
        ] {
            let output = crate::run::cargo(&["run", "--quiet", "--package", "openbits-daemon", "--", word])
                .output()?;
            if !output.status.success() {
                bail!("bitsd {word} failed: {}", String::from_utf8_lossy(&output.stderr));
            }
            std::fs::write(root().join(path), output.stdout)?;
        }
    }
    if !missing.is_empty() {
        bail!("rows of the specification without a test:\n  {}", missing.join("\n  "));
    }
    if !stale.is_empty() {
        bail!("stale generated files: {stale:?}; run `cargo xtask generate`");
    }
    Ok(())
}

/// Writes or compares the C headers; returns the names of those that differ.
pub(crate) fn headers(mode: Mode) -> Result<Vec<String>> {
    let mut stale: Vec<String> = Vec::new();
    for (name, text) in crate::headers::generate()? {
        let path = root().join(&name);
        match mode {
            Mode::Write => std::fs::write(&path, text)?,
            Mode::Check if std::fs::read_to_string(&path).unwrap_or_default() != text => stale.push(name),
            Mode::Check => {}
        }
    }
    Ok(stale)
}

fn format_rust(text: &str) -> Result<String> {
    use std::io::Write;
    let mut child = Command::new("rustfmt")
        .arg("--config-path")
        .arg(root())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("rustfmt is needed to generate sources")?;
    child.stdin.take().expect("stdin was piped").write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused generated source");
    }
    Ok(String::from_utf8(output.stdout)?)
}
