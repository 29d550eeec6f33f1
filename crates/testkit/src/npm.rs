//! Packages of the npm registry, for peers that are written for Node.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder below `cache` with these packages (`name@version`), made once; `None` (said loudly) where npm cannot.
///
/// # Panics
/// When `cache` cannot be written.
#[must_use]
pub fn packages(cache: &Path, name: &str, packages: &[&str]) -> Option<PathBuf> {
    let folder = cache.join(name);
    std::fs::create_dir_all(&folder).expect("the cache can be written");
    let lock = std::fs::File::create(folder.join("lock")).expect("the cache can be written");
    lock.lock().expect("a lock of our own");
    let (done, wanted) = (folder.join("done"), packages.join("\n"));
    if std::fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Some(folder);
    }
    let mut command = Command::new("npm");
    // No scripts of packages are run.
    command.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", "."]);
    let output = command.args(packages).current_dir(&folder).output();
    if !output.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: npm cannot install {packages:?}: {output:?}");
        return None;
    }
    std::fs::write(done, wanted).expect("the cache can be written");
    Some(folder)
}
