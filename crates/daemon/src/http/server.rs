//! Connections: who is there, how many, how long.

use super::extract::Peer;
use crate::policy::Settings;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use openbits_core::{Caller, Uid};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

/// Connections at once, of all callers together.
const CONNECTIONS_MAX: usize = 4096;
/// Connections at once of one user other than root, so that nobody can shut the others out.
const CONNECTIONS_PER_USER: usize = 64;
/// A request's header has to arrive within this time once it began; a connection without a request may wait.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Header bytes of a request.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 100;

/// Who may call, and who is exempt from the quotas.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Only this user and root, and nobody but root is exempt; `None`: everybody.
    pub only: Option<Uid>,
    /// The policy in force.
    pub settings: watch::Receiver<Arc<Settings>>,
}

impl Admission {
    fn caller(&self, uid: u32, gid: u32, pid: Option<i32>) -> Option<Caller> {
        let exempt = match self.only {
            Some(_) => uid == 0,
            None => self.settings.borrow().people.exempts(uid, gid),
        };
        // Only what root's jobs show of him follows from it.
        let login = pid.filter(|_| uid == 0).and_then(login_of);
        let caller = Caller { uid: Uid(uid), exempt, login };
        self.only.is_none_or(|only| only == caller.uid || caller.is_administrator()).then_some(caller)
    }

    /// A caller of whom nothing but the user is known; the groups are those of his account.
    pub(crate) async fn caller_of(&self, uid: u32) -> Option<Caller> {
        let own_group = move || {
            let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
            user.map(|user| user.gid.as_raw())
        };
        let gid = tokio::task::spawn_blocking(own_group).await.ok().flatten()?;
        Some(self.with_groups(self.caller(uid, gid, None)?).await)
    }

    /// Exempt by one of the account's groups: the system's databases are asked aside, because they may be slow.
    async fn with_groups(&self, caller: Caller) -> Caller {
        if caller.exempt || self.only.is_some() {
            return caller;
        }
        let people = self.settings.borrow().people.clone();
        let uid = caller.uid.0;
        let exempt = tokio::task::spawn_blocking(move || people.exempts_by_group(uid)).await;
        Caller { exempt: exempt.unwrap_or(false), ..caller }
    }
}

/// Who logged in to start a process: its audit login uid. `None`: nobody did, or the kernel does not tell.
fn login_of(pid: i32) -> Option<Uid> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX).map(Uid)
}

/// Connections of each user.
#[derive(Clone, Default)]
pub(crate) struct Users(Arc<Mutex<HashMap<Uid, usize>>>);

/// One connection in the count; given back when dropped.
pub(crate) struct Place(Users, Uid);

impl Users {
    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<Uid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place(&self, caller: Caller) -> Option<Place> {
        let mut counts = self.counts();
        let count = counts.entry(caller.uid).or_default();
        if *count >= CONNECTIONS_PER_USER && !caller.is_administrator() {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), caller.uid))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.counts();
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
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
    let users = Users::default();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            _ = closing.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        let Some((stream, slot)) = accepted else { continue };
        let peer = stream.peer_cred().ok();
        let Some(caller) = peer.and_then(|peer| admission.caller(peer.uid(), peer.gid(), peer.pid())) else {
            continue;
        };
        let Some(place) = users.place(caller) else {
            tracing::warn!(uid = caller.uid.0, "too many connections of one user");
            continue;
        };
        let (router, closing, admission) = (router.clone(), closing.clone(), admission.clone());
        connections.spawn(async move {
            let caller = admission.with_groups(caller).await;
            serve_connection(stream, router, caller, closing).await;
            drop((place, slot));
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
    builder.header_read_timeout(HEADER_TIME);
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
