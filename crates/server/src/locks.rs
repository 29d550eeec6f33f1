//! One request per session at a time; a newer one takes over (spec/upload-protocol.md 9.7).

use openbits_core::upload::{Refusal, SessionId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::{OwnedMutexGuard, watch};

struct Slot {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Number of the newest turn.
    newest: watch::Sender<u64>,
}

/// Sessions with a request in progress.
#[derive(Default)]
pub(crate) struct Locks(Mutex<HashMap<SessionId, Weak<Slot>>>);

/// The right to work on a session.
pub(crate) struct Held {
    _guard: OwnedMutexGuard<()>,
    _slot: Arc<Slot>,
    newest: watch::Receiver<u64>,
    turn: u64,
}

impl Locks {
    /// Waits until older requests have stopped: those that read a body stop at once and keep what they have.
    pub(crate) async fn take(&self, id: &SessionId) -> Result<Held, Refusal> {
        let (slot, turn) = {
            let mut map = self.0.lock().expect("never poisoned: nothing panics under it");
            if map.len() > 64 {
                map.retain(|_, slot| slot.strong_count() > 0);
            }
            let slot = map.get(id).and_then(Weak::upgrade).unwrap_or_else(|| {
                let slot = Arc::new(Slot { lock: Arc::default(), newest: watch::Sender::new(0) });
                map.insert(id.clone(), Arc::downgrade(&slot));
                slot
            });
            let mut turn = 0;
            slot.newest.send_modify(|newest| {
                *newest += 1;
                turn = *newest;
            });
            (slot, turn)
        };
        let newest = slot.newest.subscribe();
        let guard = Arc::clone(&slot.lock).lock_owned().await;
        if *newest.borrow() != turn {
            return Err(Refusal::Superseded);
        }
        Ok(Held { _guard: guard, _slot: slot, newest, turn })
    }

    /// The session, if nobody works on it; for the sweeper.
    pub(crate) fn take_idle(&self, id: &SessionId) -> Option<Held> {
        let mut map = self.0.lock().expect("never poisoned: nothing panics under it");
        if map.get(id).and_then(Weak::upgrade).is_some() {
            return None;
        }
        let slot = Arc::new(Slot { lock: Arc::default(), newest: watch::Sender::new(0) });
        let guard = Arc::clone(&slot.lock).try_lock_owned().ok()?;
        map.insert(id.clone(), Arc::downgrade(&slot));
        Some(Held { _guard: guard, newest: slot.newest.subscribe(), _slot: slot, turn: 0 })
    }
}

impl Held {
    /// True if a newer request for the session has come.
    pub(crate) fn is_superseded(&self) -> bool {
        *self.newest.borrow() != self.turn
    }

    /// Returns when a newer request for the session has come.
    pub(crate) async fn superseded(&mut self) {
        let turn = self.turn;
        // The sender lives as long as the slot that this value holds.
        let _ = self.newest.wait_for(|newest| *newest != turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_request_gets_the_session() {
        let locks = Arc::new(Locks::default());
        let id = SessionId::from_random_bytes([1; 16]);
        let mut first = locks.take(&id).await.unwrap();
        let (second, third) = tokio::join!(async { locks.take(&id).await.err() }, async {
            let third = tokio::spawn({
                let (locks, id) = (Arc::clone(&locks), id.clone());
                async move { locks.take(&id).await.is_ok() }
            });
            first.superseded().await;
            tokio::task::yield_now().await;
            drop(first);
            third.await.unwrap()
        });
        assert_eq!(second, Some(Refusal::Superseded));
        assert!(third);
    }

    #[tokio::test]
    async fn the_sweeper_leaves_busy_sessions_alone() {
        let locks = Locks::default();
        let id = SessionId::from_random_bytes([1; 16]);
        let held = locks.take(&id).await.unwrap();
        assert!(locks.take_idle(&id).is_none());
        drop(held);
        assert!(locks.take_idle(&id).is_some());
    }
}
