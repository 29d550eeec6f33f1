//! Rows in, rows out; rules of the schema; cursor reads.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{batch, event, file, id, job, open, sorted};
use openbits_store::{CommitError, Finding, Loaded, Op};

#[test]
fn rows_come_back_after_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub/folder/queue.db");
    let first = open(&path);
    assert_eq!(first.findings, [Finding::CreatedNew]);
    assert_eq!(first.loaded, Loaded::default());
    let ops = vec![
        Op::PutJob(job(2, "b")),
        Op::PutJob(job(1, "a")),
        Op::PutFile(file(2, 1, "x")),
        Op::PutFile(file(2, 0, "y")),
        Op::PutFile(file(1, 0, "z")),
        Op::PutMeta { key: "k".into(), value: "v\0\u{1F600}".into() },
        Op::AppendEvent(event(7, 1)),
        Op::PutJob(job(2, "b again")),
    ];
    batch(&first.store, ops).unwrap();
    first.store.close();
    assert!(!path.with_file_name("queue.db-wal").exists(), "a clean close leaves no log");

    let second = open(&path);
    assert_eq!(second.findings, []);
    let expected = sorted(Loaded {
        jobs: vec![job(1, "a"), job(2, "b again")],
        files: vec![file(1, 0, "z"), file(2, 0, "y"), file(2, 1, "x")],
        meta: [("k".to_owned(), "v\0\u{1F600}".to_owned())].into(),
        last_event_seq: 7,
    });
    assert_eq!(second.loaded, expected);
    assert_eq!(second.store.reload().unwrap(), expected);
}

#[test]
fn deleting_a_job_deletes_its_files_and_keeps_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let opened = open(&path);
    let mut ops = Vec::new();
    for n in 0..3 {
        ops.push(Op::PutJob(job(n, "j")));
        ops.extend((0..4).map(|i| Op::PutFile(file(n, i, "f"))));
        ops.push(Op::AppendEvent(event(u64::from(n) + 1, n)));
    }
    batch(&opened.store, ops).unwrap();
    batch(
        &opened.store,
        vec![Op::DeleteJob(id(1)), Op::DeleteJob(id(99)), Op::DeleteMeta { key: "none".into() }],
    )
    .unwrap();
    opened.store.close();
    let again = open(&path);
    assert_eq!(again.loaded.jobs.iter().map(|j| j.id).collect::<Vec<_>>(), [id(0), id(2)]);
    assert_eq!(again.loaded.files.len(), 8);
    assert!(again.loaded.files.iter().all(|f| f.job != id(1)));
    assert_eq!(again.store.events_after(0, None, Some(id(1)), 10).unwrap(), [event(2, 1)]);
}

#[test]
fn a_batch_that_breaks_a_rule_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(&dir.path().join("queue.db"));
    let store = &opened.store;
    batch(store, vec![Op::PutJob(job(1, "a")), Op::AppendEvent(event(1, 1))]).unwrap();
    let mut not_json = job(3, "x");
    not_json.doc = "{".into();
    let mut beyond = event(1, 1);
    beyond.seq = u64::MAX;
    let wrong = [
        Op::PutFile(file(9, 0, "no job")),
        Op::PutJob(not_json),
        Op::AppendEvent(event(1, 1)),
        Op::AppendEvent(beyond),
    ];
    for op in wrong {
        let error = batch(store, vec![Op::PutJob(job(2, "not to be kept")), op]).unwrap_err();
        assert!(matches!(error, CommitError::Constraint(_)), "{error:?}");
        assert!(matches!(batch(store, vec![]), Err(CommitError::Poisoned)), "until the owner resets");
        store.reset_after_failure();
        assert_eq!(store.reload().unwrap().jobs, [job(1, "a")]);
    }
    batch(store, vec![Op::PutJob(job(2, "kept"))]).unwrap();
    assert_eq!(store.reload().unwrap().jobs.len(), 2);
}

#[test]
fn events_are_read_by_cursor_and_trimmed_from_the_old_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let opened = open(&path);
    let store = &opened.store;
    // Numbers with gaps: keep counts events, not numbers.
    let all: Vec<_> = (1..=100_u64).map(|n| event(n * 3, (n % 5) as u32)).collect();
    batch(store, all.iter().cloned().map(Op::AppendEvent).collect()).unwrap();
    assert_eq!(store.events_after(0, None, None, usize::MAX).unwrap(), all);
    assert_eq!(store.events_after(30, None, None, 5).unwrap(), all[10..15]);
    assert_eq!(store.events_after(u64::MAX, None, None, 5).unwrap(), []);
    let of_job: Vec<_> = all.iter().filter(|e| e.job == id(2)).cloned().collect();
    assert_eq!(store.events_after(0, Some(of_job[0].owner), Some(id(2)), 1000).unwrap(), of_job);
    assert_eq!(store.events_after(0, Some(4_000_000_000), None, 1000).unwrap(), []);
    batch(store, vec![Op::TrimEvents { owner: None, keep: 1000 }]).unwrap();
    assert_eq!(store.events_after(0, None, None, usize::MAX).unwrap().len(), 100);
    batch(store, vec![Op::TrimEvents { owner: None, keep: 10 }]).unwrap();
    assert_eq!(store.events_after(0, None, None, usize::MAX).unwrap(), all[90..]);
    batch(store, vec![Op::TrimEvents { owner: None, keep: 0 }]).unwrap();
    assert_eq!(store.events_after(0, None, None, usize::MAX).unwrap(), []);
    opened.store.close();
    let again = open(&path);
    assert_eq!(again.loaded.last_event_seq, 300, "numbers are not used twice, whatever was trimmed");
}

#[test]
fn events_of_one_owner_do_not_push_out_anothers() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(&dir.path().join("queue.db"));
    let store = &opened.store;
    let of = |n: u64, owner: u32, job: u32, kind: &str| {
        let mut event = event(n, job);
        (event.owner, event.kind) = (owner, kind.to_owned());
        event
    };
    let mut all: Vec<_> = (1..=10).map(|n| of(n, 7, 1, "log")).collect();
    all.extend((11..=500).map(|n| of(n, 8, 2, "modified")));
    batch(store, all.iter().cloned().map(Op::AppendEvent).collect()).unwrap();
    batch(
        store,
        vec![Op::TrimEvents { owner: Some(8), keep: 20 }, Op::TrimEvents { owner: Some(7), keep: 20 }],
    )
    .unwrap();
    assert_eq!(store.events_after(0, Some(7), None, 1000).unwrap(), all[..10]);
    assert_eq!(store.events_after(0, Some(8), None, 1000).unwrap(), all[480..]);
    // A gap is told to whom one was made, and to who reads everybody's.
    assert_eq!(store.trimmed(Some(7)).unwrap(), 0);
    assert_eq!(store.trimmed(Some(8)).unwrap(), 480);
    assert_eq!(store.trimmed(None).unwrap(), 480);
    batch(store, vec![Op::TrimJobEvents { job: id(1), kind: "log", keep: 3 }]).unwrap();
    assert_eq!(store.job_events(id(1), "log", 2).unwrap(), all[8..10]);
    assert_eq!(store.job_events(id(1), "log", 100).unwrap(), all[7..10]);
    assert_eq!(store.job_events(id(2), "log", 100).unwrap(), []);
}
