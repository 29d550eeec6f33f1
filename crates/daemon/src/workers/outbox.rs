//! Commands on their way to a worker. The brain never waits for a worker, so this side has no limit of its own: it is bounded by
//! what the queue has asked for (a start, a stop and a finish for each job that runs).

use openbits_transfer::protocol::Command;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// A queue with one reader.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    commands: Mutex<VecDeque<Command>>,
    notify: Notify,
}

impl Outbox {
    /// Adds a command.
    pub(super) fn push(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push_back(command);
        self.notify.notify_one();
    }

    /// Takes the next command; waits for one.
    pub(super) async fn pop(&self) -> Command {
        loop {
            let command = self.commands.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if let Some(command) = command {
                return command;
            }
            self.notify.notified().await;
        }
    }
}
