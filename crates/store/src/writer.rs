//! The writer thread: takes everything that waits, commits it with one sync, calls back in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use crate::error::CommitError;
use crate::ops;
use crate::row::Op;
use crate::store::{Done, Options};

/// A batch on its way to the writer.
pub(crate) struct Batch {
    pub(crate) ops: Vec<Op>,
    pub(crate) done: Done,
    /// The generation of the memory state it was computed from.
    pub(crate) generation: u64,
}

/// What the writer and the callers share.
///
/// A failed commit makes its generation dead: what was submitted in it assumes rows that are not on disk. The owner
/// begins the next generation with `reset_after_failure`.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Generation of new submissions.
    pub(crate) generation: AtomicU64,
    /// The first generation that is alive.
    pub(crate) alive_from: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) ops: AtomicU64,
}

pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) path: PathBuf,
    pub(crate) shared: Arc<Shared>,
    pub(crate) options: Options,
}

impl Writer {
    /// Works until all senders are gone and the queue is empty, then empties the log into the database.
    pub(crate) fn run(self, queue: &Receiver<Batch>) {
        let mut group: Vec<Batch> = Vec::new();
        while let Ok(first) = queue.recv() {
            let mut ops = first.ops.len();
            group.push(first);
            while group.len() < self.options.max_batches_per_commit && ops < self.options.max_ops_per_commit {
                let Ok(next) = queue.try_recv() else { break };
                ops += next.ops.len();
                group.push(next);
            }
            self.commit(&mut group);
        }
        // A failure here costs nothing: the log stays and is read at the next start.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    fn commit(&self, group: &mut Vec<Batch>) {
        let alive_from = self.shared.alive_from.load(Ordering::Acquire);
        let alive = |batch: &Batch| batch.generation >= alive_from;
        let result = if group.iter().any(|b| alive(b) && !b.ops.is_empty()) {
            self.transaction(group.iter().filter(|b| alive(b)))
        } else {
            Ok(())
        };
        if let Err(error) = &result {
            debug_assert!(!matches!(error, CommitError::Poisoned));
            let dead = group.iter().map(|b| b.generation).max().unwrap_or(alive_from);
            self.shared.alive_from.store(dead + 1, Ordering::Release);
        }
        for Batch { done, generation, .. } in group.drain(..) {
            let answer = if generation >= alive_from { result.clone() } else { Err(CommitError::Poisoned) };
            // A panicking callback is a bug of the caller; it must not take the queue of everybody with it. The panic
            // hook has reported it.
            let _ = catch_unwind(AssertUnwindSafe(move || done(answer)));
        }
    }

    fn transaction<'b>(&self, batches: impl Iterator<Item = &'b Batch>) -> Result<(), CommitError> {
        let mut counts = (0, 0);
        let attempt = (|| {
            self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            for batch in batches {
                counts.0 += 1;
                counts.1 += batch.ops.len() as u64;
                batch.ops.iter().try_for_each(|op| ops::apply(&self.conn, op))?;
            }
            self.conn.prepare_cached("COMMIT")?.execute([]).map(drop)
        })();
        match attempt {
            Ok(()) => {
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                self.shared.batches.fetch_add(counts.0, Ordering::Relaxed);
                self.shared.ops.fetch_add(counts.1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                if !self.conn.is_autocommit() {
                    // Cannot fail in a way that matters: SQLite rolls back from memory, and the log has no commit mark.
                    let _ = self.conn.execute_batch("ROLLBACK");
                }
                Err(CommitError::new(error, crate::folder::no_space(&self.path)))
            }
        }
    }
}
