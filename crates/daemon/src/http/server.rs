//! Connections: who is there, how many, how long.

use super::extract::Peer;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use openbits_core::{Caller, Uid};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

/// Connections at once, of all callers together.
const CONNECTIONS_MAX: usize = 1024;
/// Header bytes of a request.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 100;

/// Who may call, and who is exempt from the quotas.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// Only this user and root; `None`: everybody.
    pub only: Option<Uid>,
    /// Accounts below this uid are system accounts and exempt; 0: none but root.
    pub system_accounts_below: u32,
}

impl Admission {
    fn caller(self, uid: u32) -> Option<Caller> {
        let exempt = uid == 0 || uid < self.system_accounts_below;
        let caller = Caller { uid: Uid(uid), exempt };
        self.only.is_none_or(|only| only == caller.uid || caller.is_administrator()).then_some(caller)
    }
}

/// Serves until told to close; then lets answers in progress go out.
pub async fn serve(
    listener: UnixListener,
    router: Router,
    admission: Admission,
    mut closing: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            _ = closing.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        let Some((stream, slot)) = accepted else { continue };
        let Some(caller) = stream.peer_cred().ok().and_then(|peer| admission.caller(peer.uid())) else {
            continue;
        };
        let (router, closing) = (router.clone(), closing.clone());
        connections.spawn(async move {
            serve_connection(stream, router, caller, closing).await;
            drop(slot);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(Duration::from_millis(300), async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn accept(
    listener: &UnixListener,
    slots: &Arc<Semaphore>,
) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            // Out of descriptors, most likely: others have to end first.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn serve_connection(
    stream: UnixStream,
    router: Router,
    caller: Caller,
    mut closing: watch::Receiver<bool>,
) {
    let router = router.layer(axum::Extension(Peer(caller)));
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .pipeline_flush(true);
    // Counts from the first byte of a request only while one is awaited on a fresh connection.
    builder.header_read_timeout(Duration::from_secs(3600));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "connection ended");
            }
            return;
        }
        _ = closing.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
