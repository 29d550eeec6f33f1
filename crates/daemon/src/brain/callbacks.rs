//! Clients' connections for callbacks, and the log.

use super::Brain;
use crate::views;
use openbits_api::CallbackView;
use openbits_core::Caller;
use openbits_core::events_log::Record;
use openbits_core::hresult as h;
use openbits_core::queue::{Callback, Failure, ListenerId};
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};

/// Calls that wait in a connection until they are written. Those without an answer are left out when it is half full.
pub(super) const CALLS: usize = 64;

/// Clients' connections.
#[derive(Default)]
pub(super) struct Listeners(HashMap<ListenerId, mpsc::Sender<CallbackView>>);

impl Listeners {
    /// Ends every connection: the clients come back and register again.
    pub(super) fn hang_up(&mut self) {
        self.0.clear();
    }
}

impl Brain {
    pub(super) fn listen(
        &mut self,
        caller: Caller,
        calls: mpsc::Sender<CallbackView>,
        sender: oneshot::Sender<ListenerId>,
    ) {
        let listener = self.queue.listen(caller);
        self.listeners.0.insert(listener, calls);
        if sender.send(listener).is_err() {
            self.unlisten(listener);
        }
    }

    pub(super) fn unlisten(&mut self, listener: ListenerId) {
        self.listeners.0.remove(&listener);
        self.queue.unlisten(listener, self.clock.now());
    }

    /// Hands a call to its connection. The brain waits for nobody: a connection that takes no more has failed.
    pub(super) fn call_back(&mut self, callback: &Callback) {
        let room = self.listeners.0.get(&callback.listener);
        let sent = match (room, callback.call) {
            (Some(calls), None) if calls.capacity() <= CALLS / 2 => return,
            (Some(calls), _) => calls.try_send(views::callback(callback)).is_ok(),
            (None, _) => false,
        };
        if let (false, Some(call)) = (sent, callback.call) {
            self.queue.callback_undelivered(call, self.clock.now());
        }
    }

    /// Writes an event into the journal.
    pub(super) fn log(&mut self, record: &Record) {
        self.counters.count(record);
        self.journal.write(record);
    }

    /// A create or add that was refused for a limit (events 16398 to 16401).
    pub(super) fn log_limit(&mut self, failure: &Failure) {
        let limits = self.queue.limits();
        let (number, limit) = match failure.code {
            h::BG_E_TOO_MANY_JOBS_PER_USER => (16_398, limits.jobs_per_user),
            h::BG_E_TOO_MANY_JOBS_PER_MACHINE => (16_400, limits.jobs_per_machine),
            h::BG_E_TOO_MANY_FILES_IN_JOB => (16_401, limits.files_per_job),
            _ => return,
        };
        let record = Record::new(number).with("entityName", &failure.detail);
        self.log(&record.with("currentSize", limit).with("currentLimit", limit));
    }
}
