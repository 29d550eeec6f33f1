//! A full and a read-only disk. The real ones need root (a small tmpfs is mounted); without it they are skipped loudly,
//! and the size limit of the store stands in.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{batch, event, file, id, job, open};
use openbits_store::{CommitError, Loaded, Op, OpenError, Options, Store};

/// Fills the store until a commit fails; returns the error and what was acknowledged.
fn fill(store: &Store) -> (CommitError, Loaded) {
    for n in 0..100_000 {
        let mut long = job(n, "filler");
        long.doc = format!("\"{}\"", "x".repeat(20_000));
        let before = store.reload();
        if let Err(error) = batch(store, vec![Op::PutJob(long), Op::PutFile(file(n, 0, "t"))]) {
            return (error, before.unwrap());
        }
    }
    panic!("the disk is never full");
}

#[test]
fn the_size_limit_acts_like_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let options = Options { max_database_bytes: Some(1 << 20), ..Options::default() };
    let store = Store::open(&path, options).unwrap().store;
    let (error, acknowledged) = fill(&store);
    assert!(matches!(error, CommitError::DiskFull(_)), "{error:?}");
    store.reset_after_failure();
    assert_eq!(store.reload().unwrap(), acknowledged);
    assert!(acknowledged.jobs.len() > 20);
    // Deleting works on a full disk, and makes room.
    batch(&store, (0..10).map(|n| Op::DeleteJob(id(n))).collect()).unwrap();
    batch(&store, vec![Op::PutJob(job(1, "fits again"))]).unwrap();
    let expected = store.reload().unwrap();
    store.close();
    assert_eq!(open(&path).loaded, expected);
}

struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(folder: &'a Path, size: &str) -> Option<Self> {
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], folder).then_some(Self(folder))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

fn mount(args: &[&str], folder: &Path) -> bool {
    Command::new("mount").args(args).arg(folder).status().is_ok_and(|s| s.success())
}

#[test]
fn a_full_disk_fails_commits_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::new(dir.path(), "4m") else {
        eprintln!("SKIPPED: a tmpfs cannot be mounted here; the full disk was NOT tested");
        return;
    };
    let path = dir.path().join("queue.db");
    let store = open(&path).store;
    batch(&store, (1..50).map(|n| Op::AppendEvent(event(n, 1))).collect()).unwrap();
    let (error, acknowledged) = fill(&store);
    assert!(matches!(error, CommitError::DiskFull(_)), "{error:?}");
    assert!(matches!(batch(&store, vec![]), Err(CommitError::Poisoned)));
    store.reset_after_failure();
    assert_eq!(store.reload().unwrap(), acknowledged);
    let full = dir.path().join("other/queue.db");
    // The rest of the space goes too, so that a new store finds none.
    let _ = std::fs::write(dir.path().join("rest"), vec![0; 4 << 20]);
    let error = Store::open(&full, Options::default()).expect_err("no space");
    assert!(matches!(error, OpenError::DiskFull { .. }), "{error:?}");
    // Space comes back: the same store goes on.
    std::fs::remove_file(dir.path().join("rest")).unwrap();
    assert!(mount(&["-o", "remount,size=64m"], dir.path()));
    batch(&store, vec![Op::PutJob(job(90_000, "fits"))]).unwrap();
    let expected = store.reload().unwrap();
    assert_eq!(expected.jobs.len(), acknowledged.jobs.len() + 1);
    store.close();
    assert_eq!(open(&path).loaded, expected);
    // And a file system that became read-only is told apart.
    assert!(mount(&["-o", "remount,ro"], dir.path()));
    let error = Store::open(&path, Options::default()).expect_err("read-only");
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
}
