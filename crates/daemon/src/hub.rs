//! Where events go that are durable: every listening stream.

use openbits_api::EventView;
use openbits_core::Uid;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Events that a slow listener may be behind before it has to read them from the store again.
const BUFFER: usize = 4096;

/// An event and who may see it.
#[derive(Clone, Debug)]
pub struct Published {
    /// Owner of the job.
    pub owner: Uid,
    /// The event.
    pub event: Arc<EventView>,
}

/// The sender's side.
#[derive(Clone, Debug)]
pub struct Hub(broadcast::Sender<Published>);

/// A hub without listeners.
impl Default for Hub {
    fn default() -> Self {
        Self(broadcast::channel(BUFFER).0)
    }
}

impl Hub {
    /// To all listeners; nobody listening is fine.
    pub fn publish(&self, event: Published) {
        let _ = self.0.send(event);
    }

    /// True if anybody listens: progress need not be built otherwise.
    pub fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// A new listener.
    pub fn listen(&self) -> broadcast::Receiver<Published> {
        self.0.subscribe()
    }
}
