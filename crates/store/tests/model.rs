//! Random operations against a plain map, with reopening, failing batches and group commits in between.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;

use common::{batch, event, file, id, job, open};
use openbits_store::{CommitError, EventRow, FileRow, JobRow, Loaded, Op};
use proptest::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    jobs: BTreeMap<[u8; 16], JobRow>,
    files: BTreeMap<([u8; 16], u32), FileRow>,
    meta: BTreeMap<String, String>,
    events: BTreeMap<u64, EventRow>,
    high: u64,
}

impl Model {
    /// `None` if the batch breaks a rule; then nothing changes.
    fn apply(&self, ops: &[Op]) -> Option<Self> {
        let mut next = self.clone();
        for op in ops {
            match op.clone() {
                Op::PutJob(job) => drop(next.jobs.insert(job.id, job)),
                Op::DeleteJob(id) => {
                    next.jobs.remove(&id);
                    next.files.retain(|(job, _), _| *job != id);
                }
                Op::PutFile(file) => {
                    next.jobs.get(&file.job)?;
                    next.files.insert((file.job, file.index), file);
                }
                Op::AppendEvent(event) => {
                    if next.events.contains_key(&event.seq) {
                        return None;
                    }
                    next.high = next.high.max(event.seq);
                    next.events.insert(event.seq, event);
                }
                Op::TrimJobEvents { .. } => unreachable!("see round_trip.rs"),
                Op::TrimEvents { keep, .. } => {
                    while next.events.len() as u64 > keep {
                        next.events.pop_first();
                    }
                }
                Op::PutMeta { key, value } => drop(next.meta.insert(key, value)),
                Op::DeleteMeta { key } => drop(next.meta.remove(&key)),
            }
        }
        Some(next)
    }

    fn loaded(&self) -> Loaded {
        Loaded {
            jobs: self.jobs.values().cloned().collect(),
            files: self.files.values().cloned().collect(),
            meta: self.meta.clone(),
            last_event_seq: self.high,
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = prop_oneof![Just("a"), Just("b"), Just(""), Just("\u{e9}")].prop_map(str::to_owned);
    prop_oneof![
        6 => (0..6_u32, ".{0,12}").prop_map(|(n, name)| Op::PutJob(job(n, &name))),
        1 => (0..6_u32, 0..9000_usize).prop_map(|(n, size)| Op::PutJob(job(n, &"long".repeat(size)))),
        2 => (0..6_u32).prop_map(|n| Op::DeleteJob(id(n))),
        6 => (0..6_u32, 0..4_u32, "[a-z]{0,8}").prop_map(|(n, i, tag)| Op::PutFile(file(n, i, &tag))),
        3 => (0..400_u64, 0..6_u32).prop_map(|(seq, n)| Op::AppendEvent(event(seq, n))),
        1 => (0..6_u64).prop_map(|keep| Op::TrimEvents { owner: None, keep }),
        2 => (key.clone(), ".{0,12}").prop_map(|(key, value)| Op::PutMeta { key, value }),
        1 => key.prop_map(|key| Op::DeleteMeta { key }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_store_behaves_like_a_map(steps in prop::collection::vec((prop::collection::vec(op(), 0..8), prop::bool::weighted(0.1)), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        let mut store = open(&path).store;
        let mut model = Model::default();
        for (ops, reopen) in steps {
            match model.apply(&ops) {
                Some(next) => {
                    prop_assert!(batch(&store, ops).is_ok());
                    model = next;
                }
                None => {
                    prop_assert!(matches!(batch(&store, ops), Err(CommitError::Constraint(_))));
                    store.reset_after_failure();
                    prop_assert_eq!(store.reload().unwrap(), model.loaded());
                }
            }
            if reopen {
                store.close();
                let opened = open(&path);
                prop_assert!(opened.findings.is_empty());
                prop_assert_eq!(&opened.loaded, &model.loaded());
                store = opened.store;
            }
        }
        prop_assert_eq!(store.reload().unwrap(), model.loaded());
        prop_assert_eq!(store.events_after(0, None, None, usize::MAX).unwrap(),
            model.events.range(1..).map(|(_, e)| e.clone()).collect::<Vec<_>>());
    }
}
