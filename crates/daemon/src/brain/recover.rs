//! When a commit fails: throw the memory away, read the disk, go on when it takes writes again.

use super::{Action, Brain};
use crate::rows;
use openbits_core::hresult as h;
use openbits_core::queue::{Failure, Queue};
use openbits_core::{HResult, Mono};
use openbits_store::{CommitError, Op};
use std::sync::Arc;

/// Milliseconds between trials to write again.
const TRIAL_MS: i64 = 5_000;

/// Code of a refused call for a failed commit.
pub(super) fn code(error: &CommitError) -> HResult {
    match error {
        CommitError::DiskFull(_) => h::ERROR_DISK_FULL,
        CommitError::ReadOnly(_) => h::ERROR_WRITE_PROTECT,
        CommitError::Corrupt(_) => h::BG_E_DATABASE_CORRUPT,
        _ => h::E_FAIL,
    }
}

impl Brain {
    /// The memory is ahead of the disk: what waits fails, and the disk is the truth again.
    pub(super) fn fail_over(&mut self, error: &CommitError) {
        tracing::error!(%error, "the queue could not be written; reading it anew");
        let failure = Failure::new(code(error), format!("the service's queue could not be written: {error}"));
        for pending in std::mem::take(&mut self.pending) {
            for action in pending.actions {
                match action {
                    Action::Answer(answer, _) => answer.send(Err(failure.clone())),
                    // Questions were answered from a memory that is void now: their askers see a closed channel.
                    Action::Deliver(_)
                    | Action::Worker(..)
                    | Action::Publish(_)
                    | Action::Callback(_)
                    | Action::Run(_)
                    | Action::Log(_) => {}
                }
            }
        }
        for (_, answer) in std::mem::take(&mut self.waiting) {
            answer.send(Err(failure.clone()));
        }
        self.fail_probes(None, &failure.detail);
        self.workers.replace_all();
        // What is owed is on disk; clients register again.
        self.runner.kill_all();
        self.listeners.hang_up();
        self.store_error = Some((code(error), error.to_string()));
        self.committed.valid_from.store(self.next_batch, std::sync::atomic::Ordering::Release);
        let _ = self.committed.take_error();
        self.store.reset_after_failure();
        match self.store.reload() {
            Ok(loaded) => {
                self.event_seq = loaded.last_event_seq;
                let (jobs, complaints) = rows::jobs(loaded);
                for complaint in complaints {
                    tracing::error!(complaint, "a row of the queue makes no sense");
                }
                let mut queue = Queue::load(self.settings.limits.clone(), jobs, self.clock.now());
                queue.continue_numbers(&self.queue);
                self.queue = queue;
                self.review_bandwidth();
                self.review_machine();
            }
            Err(error) => {
                // Neither written nor read: nothing can be promised any more. A restart keeps the file aside and salvages it.
                tracing::error!(%error, "the queue cannot be read either; the service ends");
                std::process::exit(1);
            }
        }
        self.trial_at = Some(self.clock.now().mono.plus_ms(TRIAL_MS));
    }

    pub(super) fn recovery_deadline(&self) -> Option<Mono> {
        self.trial_at
    }

    /// Tries a small write; when it succeeds, jobs run again.
    pub(super) fn recover_if_due(&mut self) {
        let now = self.clock.now();
        if self.trial_at.is_none_or(|at| at > now.mono) {
            return;
        }
        self.trial_at = Some(now.mono.plus_ms(TRIAL_MS));
        let committed = Arc::clone(&self.committed);
        let trial = Arc::clone(&self.trial);
        let operation = Op::PutMeta { key: "trial".to_owned(), value: now.wall.0.to_string() };
        let done = Box::new(move |result: Result<(), CommitError>| {
            trial.store(result.is_ok(), std::sync::atomic::Ordering::Release);
            committed.notify.notify_one();
        });
        self.store.reset_after_failure();
        let _ = self.store.submit(vec![operation], done);
    }

    /// A trial write succeeded.
    pub(super) fn recovered(&mut self) {
        if self.trial_at.is_some() && self.trial.swap(false, std::sync::atomic::Ordering::AcqRel) {
            tracing::info!("the queue can be written again");
            self.trial_at = None;
            self.store_error = None;
            self.queue.start(self.clock.now());
            self.flush();
        }
    }
}
