//! One request and its answer: by the ways that the proxy settings give, and with the credentials that are asked for on the way.

use super::report::Reporter;
use super::verdicts::Verdicts;
use crate::auth::{Auth, Peer};
use crate::failure::Outcome;
use crate::http::{self, Link, Opening, Pool, Reply, Route, Via};
use crate::protocol::{Note, Order, Pair, TransferOptions};
use openbits_core::plan::{Fail, Request};
use openbits_core::{AuthTarget, JobId};
use std::time::Duration;
use url::Url;

/// Body of a challenge that is read, so that the answer can go out on the same connection.
const CHALLENGE: u64 = 256 << 10;
/// Requests for one answer.
const MAX_TRIES: u32 = 24;

/// An answer, its connection, and why the peer did not let us pass, if it did not.
pub(super) struct Answered {
    pub(super) route: Route,
    pub(super) link: Link,
    pub(super) reply: Reply,
    pub(super) why: Option<String>,
}

/// What an exchange needs of its attempt.
pub(super) struct Around<'a> {
    pub(super) order: &'a Order,
    pub(super) reporter: &'a Reporter,
    pub(super) verdicts: &'a Verdicts,
    pub(super) pool: &'a Pool,
    /// Position in the job's file list.
    pub(super) file: u32,
    /// The caller's URL.
    pub(super) original: &'a Url,
    /// User and password of the file's URL.
    pub(super) login: Option<&'a Pair>,
    /// Puts a connection under the job's limits.
    pub(super) shape: &'a dyn Fn(&mut Link),
}

/// Gets an answer.
pub(super) async fn exchange(request: &Request, around: &Around<'_>, auth: &mut Auth) -> Outcome<Answered> {
    let options = &around.order.options;
    let desktop = if options.desktop_proxy { around.pool.desktop().await } else { None };
    let ways = http::routes(desktop.as_ref().unwrap_or(&options.proxy), &request.url)?;
    let several = ways.iter().any(|via| matches!(via, Via::Proxy { .. }));
    let mut last = None;
    for via in ways {
        let proxy = via.peer();
        let route = Route::new(&request.url, via, options, around.order.attempt);
        match by(request, around, auth, route).await {
            Ok(answered) => return Ok(answered),
            Err(Way::Ended(fail)) => return Err(fail),
            // The next proxy of the list may do.
            Err(Way::Closed(fail)) => {
                tell_proxy(auth, proxy.as_ref(), &fail);
                last = Some(fail);
            }
        }
    }
    let fail = last.expect("there is at least one way");
    if several {
        auth.tell(Note::ProxyFailed { proxy: String::new(), code: fail.code, all: true });
    }
    Err(fail)
}

/// Why one way gave no answer.
enum Way {
    /// No connection: another may be tried.
    Closed(Box<Fail>),
    /// Whatever it was, another way makes it no better.
    Ended(Box<Fail>),
}

async fn by(
    request: &Request,
    around: &Around<'_>,
    auth: &mut Auth,
    mut route: Route,
) -> Result<Answered, Way> {
    let Around { order, pool, login, shape, .. } = *around;
    let options = &order.options;
    let connect = Duration::from_millis(options.connect_timeout_ms);
    let idle = Duration::from_millis(options.idle_timeout_ms);
    let proxy = route.via.peer();
    // Only to whom they are for: not to where a redirect leads.
    let server = request.credentials.then(|| server(&route, login));
    let asked_in_the_open = proxy.as_ref().filter(|_| !route.tls);
    let mut held: Option<Link> = None;
    for _ in 0..MAX_TRIES {
        bind(&mut route, auth, order.job, server.as_ref(), asked_in_the_open);
        let (mut link, fresh) = match held.take().map(|link| (link, true)) {
            Some(found) => found,
            // A request with a method of the job's own is sent once, so not on a connection that may be dead already.
            None => match pool.take(&route, order.priority).filter(|_| options.method.is_none()) {
                Some(link) => (link, false),
                None => {
                    let opening = Opening { proxy: proxy.as_ref(), auth };
                    let opened = pool.open(&route, connect, order.priority, opening).await;
                    let link = opened.map_err(Way::closed)?;
                    let asked =
                        look_over(&link, &route, options, around.verdicts, around.reporter, around.file);
                    asked.await.map_err(Way::Ended)?;
                    (link, true)
                }
            },
        };
        shape(&mut link);
        let mut message =
            http::build(request, options, &route, link.is_http2(), around.original).map_err(Way::Ended)?;
        for peer in server.iter().chain(asked_in_the_open) {
            auth.dress(&mut message, peer);
        }
        let reply = match link.ask(message, idle).await {
            Ok(reply) => reply,
            // The server had closed it: once more, on a fresh one.
            Err((_, true)) if !fresh => {
                server.iter().chain(asked_in_the_open).for_each(|peer| auth.connection_lost(peer));
                continue;
            }
            Err((fail, _)) => return Err(Way::Ended(fail)),
        };
        let asks = match reply.head.status.as_u16() {
            401 => server.as_ref(),
            407 => asked_in_the_open,
            _ => None,
        };
        let Some(peer) = asks else {
            server.iter().chain(asked_in_the_open).for_each(|peer| auth.accepted(peer));
            return Ok(Answered { route, link, reply, why: None });
        };
        if !auth.challenged(peer, &reply.head.headers).await {
            let why = Some(auth.why(peer));
            return Ok(Answered { route, link, reply, why });
        }
        let http1 = !auth.is_bound(peer) || !link.is_http2();
        if link.drain(reply, CHALLENGE).await && link.seems_alive() && http1 {
            held = Some(link);
        } else {
            auth.connection_lost(peer);
        }
    }
    let fail = crate::failure::transport(
        openbits_core::hresult::ERROR_WINHTTP_CONNECTION_ERROR,
        "The connection broke again and again before the server knew who asks.",
    );
    Err(Way::Ended(fail))
}

impl Way {
    fn closed(fail: Box<Fail>) -> Self {
        // A proxy that asks for credentials is there; another one is no answer to it.
        let code = openbits_core::hresult::BG_E_HTTP_ERROR_407;
        if fail.code == code { Self::Ended(fail) } else { Self::Closed(fail) }
    }
}

/// The server of a route, for credentials.
pub(crate) fn server(route: &Route, login: Option<&Pair>) -> Peer {
    Peer {
        target: AuthTarget::Server,
        host: route.host.clone(),
        port: route.port,
        private: route.tls,
        login: login.cloned(),
    }
}

/// Asks the owner's program about the server of a new connection, if the job wants that.
pub(crate) async fn look_over(
    link: &Link,
    route: &Route,
    options: &TransferOptions,
    verdicts: &Verdicts,
    reporter: &Reporter,
    file: u32,
) -> Outcome<()> {
    if !route.tls || !options.tls.validate {
        return Ok(());
    }
    let server = format!("{}:{}", route.host, route.port);
    verdicts.ask(reporter, file, server, link.chain()).await
}

/// A proxy gave no connection.
pub(crate) fn tell_proxy(auth: &mut Auth, proxy: Option<&Peer>, fail: &Fail) {
    if let Some(proxy) = proxy {
        let proxy = format!("{}:{}", proxy.host, proxy.port);
        auth.tell(Note::ProxyFailed { proxy, code: fail.code, all: false });
    }
}

/// A connection that is authenticated belongs to this job, and is HTTP/1.1.
pub(crate) fn bind(route: &mut Route, auth: &Auth, job: JobId, server: Option<&Peer>, proxy: Option<&Peer>) {
    if [server, proxy].into_iter().flatten().any(|peer| auth.is_bound(peer)) {
        route.bound_to = Some(job);
        route.http2 = false;
    }
}
