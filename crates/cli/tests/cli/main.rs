//! The real `bits` program against a fake service.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod bits;
mod blocking;
mod fake;
mod getting;
mod jobs;
mod policy;
mod starting;

use fake::Fake;
use tempfile::TempDir;

/// A fake service and a folder to download into.
fn stage() -> (Fake, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Fake::start(folder.path().join("s.sock")), folder)
}
