//! Removing dead sessions (spec/upload-protocol.md 9.8, 17).

use crate::app::{App, now_s};
use crate::path::SafePath;
use crate::storage::Storage;
use std::io;
use std::sync::Arc;
use std::time::Duration;

impl<S: Storage> App<S> {
    /// Removes sessions without progress for their path's time-out, old tombstones, and leftovers of crashes.
    /// Returns the number of sessions removed.
    pub async fn sweep(&self) -> io::Result<usize> {
        let current = self.current();
        let limits = &current.settings.limits;
        let now_s = now_s();
        let mut removed = 0;
        for one in self.storage.census().await? {
            let Ok(path) = SafePath::from_text(&one.path) else { continue };
            let timeout_s = current.settings.rules(&path).session_timeout_s;
            if one.touched_s.saturating_add(timeout_s) > now_s {
                continue;
            }
            let Some(_held) = self.locks.take_idle(&one.id) else { continue };
            if let Some(session) = self.storage.load(&one.id).await? {
                self.storage.forget(&session, None).await?;
                tracing::info!(session = %one.id, path = one.path, "session expired");
                removed += 1;
            }
        }
        self.storage.sweep(now_s.saturating_sub(limits.tombstone_s), limits.tombstones).await?;
        let known = self.ledger.known();
        self.ledger.recount(&self.storage.census().await?, &known);
        Ok(removed)
    }

    /// Sweeps for ever.
    pub async fn sweep_forever(self: Arc<Self>) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::error!(%error, "sweep failed");
            }
            let pause = self.current().settings.limits.sweep_s.max(1);
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
    }
}
