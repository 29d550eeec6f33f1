//! Connections: accepting, TLS, limits, shutting down.

use crate::app::{App, Peer};
use crate::auth::name_of;
use crate::guard::Guard;
use crate::respond::{self, Body};
use crate::route::answer;
use crate::settings::Limits;
use crate::storage::Storage;
use crate::tls;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub use crate::tls::TlsError;

/// Time for requests in progress when the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// Largest header of one request.
const MAX_HEADER: usize = 64 << 10;

/// Accepts connections on `listener` until `stop` ends, then lets requests finish for a few seconds.
pub async fn run<S: Storage>(
    app: Arc<App<S>>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), TlsError> {
    let acceptor = app.current().settings.tls.as_ref().map(tls::config).transpose()?.map(TlsAcceptor::from);
    let open = Arc::new(Open::default());
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(pair) => pair,
            Err(error) => {
                // Out of descriptors, or the peer is gone already: others may still leave.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let limits = app.current().settings.limits.clone();
        let Some(place) = Open::enter(&open, address.ip(), &limits) else {
            tracing::debug!(%address, "too many connections");
            continue;
        };
        let connection = Connection { app: Arc::clone(&app), address, limits, watcher: graceful.watcher() };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _place = place;
            connection.serve(stream, acceptor).await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

/// Open connections by address.
#[derive(Default)]
struct Open(Mutex<(usize, HashMap<IpAddr, usize>)>);

struct Place(Arc<Open>, IpAddr);

impl Open {
    fn enter(open: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Place> {
        let mut counts = open.0.lock().expect("never poisoned: nothing panics under it");
        let from_there = counts.1.get(&address).copied().unwrap_or(0);
        if counts.0 >= limits.connections || from_there >= limits.connections_per_address {
            return None;
        }
        counts.0 += 1;
        counts.1.insert(address, from_there + 1);
        Some(Place(Arc::clone(open), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().expect("never poisoned: nothing panics under it");
        counts.0 -= 1;
        if let Some(count) = counts.1.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.1.remove(&self.1);
            }
        }
    }
}

struct Connection<S> {
    app: Arc<App<S>>,
    address: SocketAddr,
    limits: Limits,
    watcher: Watcher,
}

impl<S: Storage> Connection<S> {
    async fn serve(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let _ = stream.set_nodelay(true);
        let address = self.address.ip().to_canonical();
        let stream = Guard::new(stream, Duration::from_secs(self.limits.idle_timeout_s));
        let Some(acceptor) = acceptor else {
            let peer = Peer { address, tls: false, certificate: None };
            return self.http(stream, peer, false).await;
        };
        let deadline = Duration::from_secs(self.limits.header_timeout_s);
        match tokio::time::timeout(deadline, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let session = stream.get_ref().1;
                let certificate = session.peer_certificates().and_then(|chain| chain.first()).map(name_of);
                let peer = Peer { address, tls: true, certificate: certificate.map(Arc::from) };
                let h2 = session.alpn_protocol() == Some(b"h2");
                self.http(stream, peer, h2).await;
            }
            Ok(Err(error)) => tracing::debug!(%address, %error, "TLS failed"),
            Err(_) => tracing::debug!(%address, "TLS took too long"),
        }
    }

    async fn http(self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer, h2: bool) {
        let Self { app, limits, watcher, address } = self;
        let service = service_fn(move |request: Request<Incoming>| {
            let (app, peer) = (Arc::clone(&app), peer.clone());
            // A task of its own: what arrived is kept, and the back-end's answer too, when the client goes away.
            let task = tokio::spawn(answer(app, peer, request));
            async move { Ok::<Response<Body>, Infallible>(task.await.unwrap_or_else(|_| respond::status(500))) }
        });
        let io = TokioIo::new(io);
        let result = if h2 {
            let mut http = http2::Builder::new(TokioExecutor::new());
            http.timer(TokioTimer::new())
                .max_concurrent_streams(64)
                .max_header_list_size(u32::try_from(MAX_HEADER).unwrap_or(u32::MAX))
                .keep_alive_interval(Duration::from_secs(limits.idle_timeout_s))
                .keep_alive_timeout(Duration::from_secs(limits.idle_timeout_s));
            watcher.watch(http.serve_connection(io, service)).await
        } else {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .max_header_size(MAX_HEADER)
                .half_close(true)
                .header_read_timeout(Duration::from_secs(limits.header_timeout_s));
            watcher.watch(http.serve_connection(io, service)).await
        };
        if let Err(error) = result {
            tracing::debug!(%address, %error, "connection ended");
        }
    }
}
