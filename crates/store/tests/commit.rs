//! The writer: group commit, order of callbacks, what a failure does to the queue behind it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use common::{batch, event, file, job, open};
use openbits_store::{CommitError, Op, Options, Store, TrySubmitError};

#[test]
fn many_callers_share_commits() {
    const THREADS: u32 = 16;
    const EACH: u32 = 60;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let store = open(&path).store;
    std::thread::scope(|scope| {
        for t in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for i in 0..EACH {
                    batch(store, vec![Op::PutJob(job(t * EACH + i, "j"))]).unwrap();
                }
            });
        }
    });
    let stats = store.stats();
    assert_eq!((stats.batches, stats.ops), (u64::from(THREADS * EACH), u64::from(THREADS * EACH)));
    assert!(stats.commits < stats.batches, "{stats:?}");
    store.close();
    assert_eq!(open(&path).loaded.jobs.len(), (THREADS * EACH) as usize);
}

/// A batch whose callback holds the writer until the sender is dropped, so that others queue up behind it.
fn gate(store: &Store) -> std::sync::mpsc::SyncSender<()> {
    let (release, released) = sync_channel::<()>(0);
    store.submit(vec![], Box::new(move |_| assert!(released.recv().is_err()))).unwrap();
    release
}

#[test]
fn callbacks_run_in_order_and_waiting_batches_share_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(&dir.path().join("queue.db"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let release = gate(&opened.store);
    for n in 0..500_u32 {
        let seen = Arc::clone(&seen);
        // Every third is empty: a barrier.
        let ops = if n % 3 == 0 { vec![] } else { vec![Op::PutJob(job(n, "j"))] };
        let done = move |result: Result<(), CommitError>| seen.lock().unwrap().push((n, result.is_ok()));
        opened.store.submit(ops, Box::new(done)).unwrap();
    }
    drop(release);
    batch(&opened.store, vec![]).unwrap();
    assert_eq!(*seen.lock().unwrap(), (0..500).map(|n| (n, true)).collect::<Vec<_>>());
    assert!(opened.store.stats().commits <= 2, "{:?}", opened.store.stats());
}

#[test]
fn only_empty_batches_make_no_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(&dir.path().join("queue.db"));
    for _ in 0..10 {
        batch(&opened.store, vec![]).unwrap();
    }
    assert_eq!(opened.store.stats().commits, 0);
}

#[test]
fn a_failure_fails_its_group_and_everything_queued_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    // One batch per transaction, so that "behind" is another transaction.
    for max_batches_per_commit in [1, 1024] {
        let options = Options { max_batches_per_commit, ..Options::default() };
        let store = Store::open(&path, options).unwrap().store;
        let before = store.reload().unwrap();
        let results = Arc::new(Mutex::new(Vec::new()));
        let release = gate(&store);
        let push = |n: u32, op: Op| {
            let results = Arc::clone(&results);
            store.submit(vec![op], Box::new(move |r| results.lock().unwrap().push((n, r)))).unwrap();
        };
        push(0, Op::PutFile(file(77, 0, "no such job")));
        (1..20).for_each(|n| push(n, Op::PutJob(job(n, "behind"))));
        drop(release);
        assert!(batch(&store, vec![]).is_err());
        assert!(matches!(batch(&store, vec![Op::PutJob(job(50, "late"))]), Err(CommitError::Poisoned)));
        // Submitted before the reset, looked at after it: still dead.
        let release = gate(&store);
        push(20, Op::PutJob(job(20, "old generation")));
        store.reset_after_failure();
        drop(release);
        assert_eq!(store.reload().unwrap(), before);
        batch(&store, vec![Op::PutMeta { key: "new".into(), value: "generation".into() }]).unwrap();
        let results = results.lock().unwrap();
        assert_eq!(results.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..=20).collect::<Vec<_>>());
        assert!(matches!(results[0].1, Err(CommitError::Constraint(_))), "{:?}", results[0]);
        assert!(results.iter().all(|(_, r)| r.is_err()));
        assert!(matches!(results[20].1, Err(CommitError::Poisoned)));
        if max_batches_per_commit == 1 {
            assert!(matches!(results[1].1, Err(CommitError::Poisoned)), "{:?}", results[1]);
        }
        assert_eq!(store.reload().unwrap().jobs, before.jobs);
    }
}

#[test]
fn the_queue_is_bounded_and_close_drains_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let store = Store::open(&path, Options { queue_batches: 4, ..Options::default() }).unwrap().store;
    let (entered, inside) = sync_channel(1);
    let (release, released) = sync_channel::<()>(0);
    let hold = move |_| {
        entered.send(()).unwrap();
        assert!(released.recv().is_err());
    };
    store.submit(vec![], Box::new(hold)).unwrap();
    inside.recv().unwrap();
    let called = Arc::new(AtomicU32::new(0));
    let mut accepted = 0;
    let refusal = loop {
        let called = Arc::clone(&called);
        let done = Box::new(move |r: Result<(), _>| {
            r.unwrap();
            called.fetch_add(1, Ordering::Relaxed);
        });
        match store.try_submit(vec![Op::PutJob(job(accepted, "j"))], done) {
            Ok(()) => accepted += 1,
            Err(e) => break e,
        }
    };
    assert_eq!((refusal, accepted), (TrySubmitError::Full, 4));
    drop(release);
    store.close();
    assert_eq!(called.load(Ordering::Relaxed), 4);
    assert_eq!(open(&path).loaded.jobs.len(), 4);
}

#[test]
fn a_panicking_callback_does_not_stop_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(&dir.path().join("queue.db"));
    opened.store.submit(vec![Op::AppendEvent(event(1, 1))], Box::new(|_| panic!("on purpose"))).unwrap();
    batch(&opened.store, vec![Op::AppendEvent(event(2, 1))]).unwrap();
    assert_eq!(opened.store.events_after(0, None, None, 9).unwrap(), [event(1, 1), event(2, 1)]);
}

/// With nothing to do the writer sleeps: its thread is not scheduled at all.
#[test]
fn an_idle_store_does_not_wake_up() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(&dir.path().join("queue.db"));
    batch(&opened.store, vec![Op::PutJob(job(1, "j"))]).unwrap();
    let switches = || -> u64 {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let writer = tasks
            .map(|t| t.unwrap().path())
            .find(|t| std::fs::read_to_string(t.join("comm")).unwrap().trim() == "store-writer")
            .expect("the writer runs");
        let status = std::fs::read_to_string(writer.join("status")).unwrap();
        status
            .lines()
            .filter(|l| l.contains("ctxt_switches"))
            .map(|l| l.split('\t').nth(1).unwrap().parse::<u64>().unwrap())
            .sum()
    };
    // Once the commit is done, which may take its time; a writer that wakes up by itself never rests.
    let mut woken = Vec::new();
    let rests = (0..20).any(|_| {
        let before = switches();
        std::thread::sleep(std::time::Duration::from_millis(1500));
        woken.push(switches() - before);
        woken.last() == Some(&0)
    });
    assert!(rests, "woken so often in each 1.5 s: {woken:?}");
}
