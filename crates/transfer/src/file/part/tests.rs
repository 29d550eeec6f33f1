//! A disk that fails: what counts as durable afterwards.

use super::*;
use crate::file::temp;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Syncs to come that succeed before one fails; after it they succeed again, as the kernel's do.
static GOOD: AtomicU32 = AtomicU32::new(u32::MAX);
static ASKED: AtomicU32 = AtomicU32::new(0);

fn fails_once(_: &File, _: Option<&Folder>) -> Outcome<()> {
    ASKED.fetch_add(1, Ordering::Relaxed);
    if GOOD.fetch_sub(1, Ordering::Relaxed) == 0 {
        return Err(local(Errno::IO, "A disk that fails"));
    }
    Ok(())
}

fn part(folder: &Path, temp_name: &str) -> Part {
    let folder = Arc::new(Folder::open(folder).unwrap());
    let place = Place::new(folder, "f", temp_name).unwrap();
    let file = temp::create(&place, "").unwrap();
    Part { sync_file: fails_once, ..Part::new(place, file, &Wanted::default()) }
}

async fn write(part: &mut Part, offset: u64, bytes: usize) {
    part.begin(offset, None).unwrap();
    part.push(Bytes::from(vec![1; bytes])).await.unwrap();
    part.finish_run().await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn a_sync_after_a_failed_one_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = part(dir.path(), "t");
    GOOD.store(1, Ordering::Relaxed);
    write(&mut part, 0, 1000).await;
    part.settle().await.unwrap();
    assert_eq!((part.durable(), part.entry_durable()), (&RangeSet::prefix(1000), true));
    write(&mut part, 1000, 1000).await;
    let asked = ASKED.load(Ordering::Relaxed);
    assert!(part.settle().await.is_err());
    assert_eq!(ASKED.load(Ordering::Relaxed), asked + 1);
    // What an attempt does when it ends: it settles once more. The disk would say yes now.
    part.settle().await.unwrap();
    part.start_sync();
    assert!(!part.syncing() && !part.wants_sync(0, 0));
    write(&mut part, 2000, 1000).await;
    part.settle().await.unwrap();
    assert_eq!(ASKED.load(Ordering::Relaxed), asked + 1, "no further sync");
    assert_eq!(part.durable(), &RangeSet::prefix(1000), "the last good sync");
    assert!(part.fit(3000).is_err(), "such a file is never finished");
    // The first sync of a file covers its name, too.
    let mut other = self::part(dir.path(), "u");
    GOOD.store(0, Ordering::Relaxed);
    write(&mut other, 0, 10).await;
    assert!(other.settle().await.is_err());
    assert!(!other.entry_durable() && other.durable().is_empty());
}

#[test]
fn a_full_disk_keeps_what_was_written_and_a_broken_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut poisoned = Vec::new();
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::IO, Errno::ROFS] {
        let mut part = part(dir.path(), "t");
        assert!(part.wrote(Err(errno)).is_err());
        poisoned.push(part.poisoned);
    }
    assert_eq!(poisoned, [false, false, false, true, true]);
}
