//! Connections that wait for their next file.

use super::desktop::Desktop;
use super::link::{Link, Opening};
use super::proxy::Via;
use super::tls::TlsCache;
use crate::failure::Outcome;
use crate::pace::Pacers;
use crate::protocol::{Proxy, TlsOptions, TransferOptions};
use openbits_core::{AttemptId, JobId, Priority};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use url::Url;

/// Idle connections kept in all.
const MAX_IDLE: usize = 32;
/// How long one is kept; servers close theirs after 5 to 75 seconds.
const MAX_IDLE_TIME: Duration = Duration::from_secs(15);

/// Everything that makes two connections interchangeable. Credentials are no part of it where they go with each request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) via: Via,
    pub(crate) bind: Option<String>,
    pub(crate) extra_ca: Option<String>,
    pub(crate) http2: bool,
    /// The connection itself is authenticated, for this job.
    pub(crate) bound_to: Option<JobId>,
    pub(crate) options: TlsOptions,
    /// What the owner's program accepted for one attempt is no other's.
    pub(crate) scope: Option<AttemptId>,
}

impl Route {
    pub(crate) fn new(url: &Url, via: Via, options: &TransferOptions, attempt: AttemptId) -> Self {
        let tls = url.scheme() == "https";
        let security = if tls { options.tls.clone() } else { TlsOptions::default() };
        Self {
            tls,
            scope: security.validate.then_some(attempt),
            options: security,
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            via,
            bind: options.bind.clone(),
            extra_ca: options.extra_ca.clone(),
            http2: options.http2,
            bound_to: None,
        }
    }

    /// The way to a revocation list: plain http, as the way to the server itself goes.
    pub(super) fn to_list(&self, url: &Url) -> Self {
        Self {
            tls: false,
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            options: TlsOptions::default(),
            scope: None,
            ..self.clone()
        }
    }
}

#[derive(Debug)]
struct Idle {
    route: Route,
    link: Link,
    since: Instant,
}

/// The pool of one worker: one owner, one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    idle: Rc<RefCell<Vec<Idle>>>,
    tls: Rc<TlsCache>,
    desktop: Rc<Desktop>,
    pacers: Pacers,
}

impl Pool {
    /// The proxy settings of the owner's desktop.
    pub(crate) async fn desktop(&self) -> Option<Proxy> {
        self.desktop.proxy().await
    }

    /// An idle connection that still seems alive.
    pub(crate) fn take(&self, route: &Route, priority: Priority) -> Option<Link> {
        let mut idle = self.idle.borrow_mut();
        while let Some(at) = idle.iter().rposition(|idle| idle.route == *route) {
            let mut candidate = idle.swap_remove(at);
            if candidate.since.elapsed() < MAX_IDLE_TIME && candidate.link.seems_alive() {
                candidate.link.pace(&self.pacers, priority);
                return Some(candidate.link);
            }
        }
        None
    }

    /// An attempt begins: the client certificate is read anew.
    pub(crate) fn begin(&self, options: &TlsOptions) {
        self.tls.forget_certificate(options);
    }

    /// A new connection.
    pub(crate) async fn open(
        &self,
        route: &Route,
        timeout: Duration,
        priority: Priority,
        opening: Opening<'_>,
    ) -> Outcome<Link> {
        let mut link = Link::open(route, &self.tls, timeout, opening).await?;
        link.pace(&self.pacers, priority);
        Ok(link)
    }

    /// Gives a connection back whose answer was read to its end.
    pub(crate) fn give(&self, route: Route, mut link: Link) {
        if !link.reusable() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        let first = idle.is_empty();
        idle.push(Idle { route, link, since: Instant::now() });
        if first {
            tokio::task::spawn_local(expire(self.idle.clone()));
        }
    }
}

/// Runs only while something is idle: an idle worker has no timers.
async fn expire(idle: Rc<RefCell<Vec<Idle>>>) {
    loop {
        tokio::time::sleep(MAX_IDLE_TIME).await;
        let mut idle = idle.borrow_mut();
        idle.retain(|idle| idle.since.elapsed() < MAX_IDLE_TIME);
        if idle.is_empty() {
            return;
        }
    }
}
