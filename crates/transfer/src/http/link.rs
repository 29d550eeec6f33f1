//! One connection to an origin or proxy, and one request at a time on it.
//!
//! The connection has no task of its own: whoever waits for an answer or a body moves it along, so that a byte never crosses
//! a thread or a queue on its way to the writer.

use super::connect::{self, io_code};
use super::payload::{Payload, Sent};
use super::pool::Route;
use super::proxy::Via;
use super::tls::{self, Setup, TlsCache};
use crate::auth::{Auth, Peer};
use crate::failure::{Outcome, transport, with};
use crate::pace::{Paced, Pacers};
use crate::protocol::Pace;
use crate::rate::{Limiter, Shaped, Tap};
use crate::sys;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use openbits_core::classify::{self, Class};
use openbits_core::hresult::*;
use openbits_core::job::http::security;
use openbits_core::plan::{Fail, Framing};
use openbits_core::{ErrorContext, Priority};
use rustls::pki_types::CertificateDer;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use url::Url;

/// Longest wait for the head of a revocation list's answer.
const LIST_PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes that one read from the socket takes.
const READ_BUFFER: usize = 1 << 20;
/// Limit of an answer's head, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Informational answers before the real one.
const MAX_INFORMATIONAL: u32 = 32;
/// The same while a body is sent: some servers report their progress so.
const MAX_INFORMATIONAL_SENDING: u32 = 100_000;
/// Beat in which a body under way is looked at.
const BEAT: Duration = Duration::from_millis(250);
/// Low-water mark of a fast transfer (research/crates.md 3).
const LOW_WATER: u32 = 512 << 10;
/// Nothing above one byte is set while less than this is to come: more than hyper may have buffered, and the mark itself.
const LOW_WATER_MARGIN: u64 = 4 << 20;
/// Bytes a second from which the mark is raised: the wait for it stays below some 30 ms.
const LOW_WATER_RATE: u64 = 16 << 20;

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;
type Empties = Payload;

enum Sender {
    H1(http1::SendRequest<Empties>),
    H2(http2::SendRequest<Empties>),
}

/// An open connection.
pub(crate) struct Link {
    sender: Sender,
    connection: Option<Connection>,
    failure: Option<hyper::Error>,
    /// A duplicate of the socket, for its options (low-water mark, later pacing).
    socket: Rc<OwnedFd>,
    address: IpAddr,
    paced: Option<Paced>,
    plain: bool,
    /// No proxy is in between.
    direct: bool,
    peer: String,
    tap: Tap,
    water: Water,
    /// The server wanted a client certificate, and the job has none.
    misses_certificate: bool,
    /// What the server presented, if the job's owner wants to see it.
    chain: Vec<CertificateDer<'static>>,
}

/// State of the low-water mark.
#[derive(Debug, Clone, Copy)]
struct Water {
    raised: bool,
    since: Instant,
    bytes: u64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// An answer whose body is not read yet.
pub(crate) struct Reply {
    pub(crate) head: http::response::Parts,
    pub(crate) framing: Framing,
    body: Incoming,
}

/// What the body gives.
pub(crate) enum Piece {
    Data(Bytes),
    End,
    Cut(Box<Fail>),
    /// What is read is a file, and it changed meanwhile.
    Changed,
}

impl Link {
    /// Connects, tunnels through a proxy if need be, shakes hands.
    pub(super) async fn open(
        route: &Route,
        tls: &TlsCache,
        timeout: Duration,
        opening: Opening<'_>,
    ) -> Outcome<Self> {
        match tokio::time::timeout(timeout, Box::pin(open(route, tls, opening))).await {
            Ok(result) => result,
            Err(_) => Err(transport(
                ERROR_WINHTTP_TIMEOUT,
                format!("No connection to {} within {} seconds.", route.host, timeout.as_secs()),
            )),
        }
    }

    /// Puts the connection under the pacing of its path, if jobs of this priority are paced.
    pub(super) fn pace(&mut self, pacers: &Pacers, priority: Priority) {
        self.paced = pacers.join(self.address, &self.socket, &self.tap, priority);
    }

    /// State of the pacing; `None` if the connection is not paced.
    pub(crate) fn pacing(&self) -> Option<Pace> {
        self.paced.as_ref().map(Paced::state)
    }

    /// Nobody takes what comes (or somebody does again).
    pub(crate) fn hold(&self, held: bool) {
        if let Some(paced) = &self.paced {
            paced.hold(held);
        }
    }

    /// `host:port` of the peer that the bytes come from.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// The server asked for a client certificate, and the job has none.
    pub(crate) fn misses_certificate(&self) -> bool {
        self.misses_certificate
    }

    /// What the server presented, if the job's owner wants to see it; the server's own certificate first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// From now on bytes move under these limits, at this level.
    pub(crate) fn shape(&self, limiter: &Rc<Limiter>, level: &Rc<Cell<Priority>>) {
        let peer = self.peer.parse().ok().filter(|_| self.direct);
        self.tap.open(limiter, level, peer);
    }

    /// True while the limit of bandwidth, and not the server, lets us wait.
    pub(crate) fn is_held(&self) -> bool {
        self.tap.is_held()
    }

    /// HTTP/2 was agreed on.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::H2(_))
    }

    /// Lets the connection notice that its peer left.
    pub(crate) fn seems_alive(&mut self) -> bool {
        self.drive(&mut Context::from_waker(std::task::Waker::noop()));
        self.connection.is_some() && self.failure.is_none() && self.ready()
    }

    /// May serve another request, now that the answer was read to its end.
    pub(super) fn reusable(&mut self) -> bool {
        self.paced = None;
        self.lower_water();
        self.tap.close();
        self.seems_alive()
    }

    fn ready(&self) -> bool {
        match &self.sender {
            Sender::H1(sender) => sender.is_ready(),
            Sender::H2(sender) => sender.is_ready(),
        }
    }

    /// Moves the connection along.
    fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            self.connection = None;
            self.failure = result.err();
        }
    }

    /// Sends a request and waits for the head of its answer. The second value of an error: no byte of an answer came, so the
    /// request may be sent again on a fresh connection.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Empties>,
        timeout: Duration,
    ) -> Result<Reply, (Box<Fail>, bool)> {
        match tokio::time::timeout(timeout, self.exchange(request, MAX_INFORMATIONAL)).await {
            Err(_) => Err((transport(ERROR_WINHTTP_TIMEOUT, "The server does not answer."), false)),
            Ok(result) => result,
        }
    }

    /// The same for a request with a body: `idle` is the longest time in which the connection takes no byte, `patience` the longest
    /// wait for the answer once it took all. `beat` is called four times a second with the bytes taken so far.
    pub(crate) async fn send(
        &mut self,
        request: Request<Empties>,
        sent: &Sent,
        (idle, patience): (Duration, Duration),
        mut beat: impl FnMut(u64),
    ) -> Result<Reply, (Box<Fail>, bool)> {
        let total = sent.total();
        let mut exchange = pin!(self.exchange(request, MAX_INFORMATIONAL_SENDING));
        let mut tick = tokio::time::interval(BEAT);
        let (mut last, mut since) = (0, Instant::now());
        loop {
            tokio::select! {
                biased;
                result = &mut exchange => return result,
                _ = tick.tick() => {
                    let bytes = sent.bytes();
                    if bytes != last {
                        (last, since) = (bytes, Instant::now());
                        beat(bytes);
                    }
                    let (limit, what) = if bytes < total {
                        (idle, "The server takes no more bytes.")
                    } else {
                        (patience, "The server does not answer.")
                    };
                    if since.elapsed() >= limit {
                        return Err((transport(ERROR_WINHTTP_TIMEOUT, what), false));
                    }
                }
            }
        }
    }

    async fn exchange(
        &mut self,
        mut request: Request<Empties>,
        max_informational: u32,
    ) -> Result<Reply, (Box<Fail>, bool)> {
        let informational = Arc::new(AtomicU32::new(0));
        let count = informational.clone();
        hyper::ext::on_informational(&mut request, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let answer: Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>> = match &mut self.sender
        {
            Sender::H1(sender) => Box::pin(sender.send_request(request)),
            Sender::H2(sender) => Box::pin(sender.send_request(request)),
        };
        let mut answer = pin!(answer);
        let result = poll_fn(|cx| {
            if let Poll::Ready(result) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            self.drive(cx);
            if informational.load(Ordering::Relaxed) > max_informational {
                return Poll::Ready(None);
            }
            answer.as_mut().poll(cx).map(Some)
        })
        .await;
        match result {
            None => Err((
                with(
                    ErrorContext::RemoteFile,
                    ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
                    Class::Transient,
                    "The server sends interim answers without end.",
                ),
                false,
            )),
            Some(Ok(response)) => {
                let (head, body) = response.into_parts();
                let framing = framing(&head, &body);
                Ok(Reply { head, framing, body })
            }
            Some(Err(error)) => {
                let silent = error.is_canceled()
                    || error.is_closed()
                    || error.is_incomplete_message()
                    || is_io(&error);
                let error = self.failure.take().filter(|_| error.is_canceled()).unwrap_or(error);
                Err((explain(&error), silent))
            }
        }
    }

    /// The next piece of the body. Dropping the future loses nothing.
    pub(crate) async fn piece(&mut self, reply: &mut Reply) -> Piece {
        poll_fn(|cx| {
            loop {
                let mut polled = Pin::new(&mut reply.body).poll_frame(cx);
                if polled.is_pending() {
                    self.drive(cx);
                    polled = Pin::new(&mut reply.body).poll_frame(cx);
                }
                return match polled {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(None) => Poll::Ready(Piece::End),
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) if data.is_empty() => continue,
                        Ok(data) => Poll::Ready(Piece::Data(data)),
                        Err(_) => continue, // trailers
                    },
                    Poll::Ready(Some(Err(error))) => {
                        let error = self.failure.take().filter(|_| error.is_canceled()).unwrap_or(error);
                        Poll::Ready(Piece::Cut(explain(&error)))
                    }
                };
            }
        })
        .await
    }

    /// Reads a short body that nobody wants, so that the connection stays usable. False: better drop it.
    pub(crate) async fn drain(&mut self, mut reply: Reply, most: u64) -> bool {
        let short = match reply.framing {
            Framing::Length(length) => length <= most,
            Framing::Stream(_) => return true, // dropping the body resets this stream only
            _ => false,
        };
        if !short {
            return false;
        }
        let all = async {
            loop {
                match self.piece(&mut reply).await {
                    Piece::Data(_) => {}
                    Piece::End => return true,
                    Piece::Cut(_) | Piece::Changed => return false,
                }
            }
        };
        tokio::time::timeout(Duration::from_millis(500), all).await.unwrap_or(false)
    }

    /// Tells how much came and how much of a body of known length is still to come. A fast plain connection then waits for a
    /// good handful of bytes before it wakes us.
    pub(crate) fn came(&mut self, bytes: usize, to_come: Option<u64>) {
        // The signal of the pacing lives on a socket that is read at once.
        if !self.plain || self.paced.is_some() {
            return;
        }
        let enough = to_come.is_some_and(|rest| rest >= LOW_WATER_MARGIN);
        if self.water.raised {
            if !enough {
                self.lower_water();
            }
            return;
        }
        if !enough {
            return;
        }
        self.water.bytes += bytes as u64;
        let elapsed = self.water.since.elapsed();
        if elapsed >= Duration::from_millis(50) {
            let rate = self.water.bytes.saturating_mul(1000)
                / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.water = Water { raised: rate >= LOW_WATER_RATE, since: Instant::now(), bytes: 0 };
            if self.water.raised {
                sys::set_receive_low_water(self.socket.as_fd(), LOW_WATER);
            }
        }
    }

    /// Nothing came for a while: take every byte again.
    pub(crate) fn lower_water(&mut self) {
        if self.water.raised {
            sys::set_receive_low_water(self.socket.as_fd(), 1);
        }
        self.water = Water { raised: false, since: Instant::now(), bytes: 0 };
    }
}

/// What a proxy may ask for while a tunnel is opened.
pub(crate) struct Opening<'a> {
    /// The proxy.
    pub(crate) proxy: Option<&'a Peer>,
    /// The job's credentials.
    pub(crate) auth: &'a mut Auth,
}

/// Connections to one proxy for one tunnel: it may close after each challenge.
const MAX_TUNNELS: u32 = 8;

async fn open(route: &Route, tls: &TlsCache, mut opening: Opening<'_>) -> Outcome<Link> {
    let mut tunnels = 0;
    let stream = loop {
        match &route.via {
            Via::Direct => break connect::tcp(&route.host, route.port, route.bind.as_deref()).await?,
            Via::Proxy { host, port, .. } => {
                let stream = connect::tcp(host, *port, route.bind.as_deref()).await?;
                if !route.tls {
                    break stream;
                }
                if let Some(stream) = tunnel(stream, route, &mut opening).await? {
                    break stream;
                }
                tunnels += 1;
                if tunnels > MAX_TUNNELS {
                    let detail = "The proxy closed the connection again and again.";
                    return Err(transport(ERROR_WINHTTP_CANNOT_CONNECT, detail));
                }
            }
        }
    };
    let failed = |error: io::Error| {
        transport(
            io_code(&error, ERROR_WINHTTP_CANNOT_CONNECT),
            format!("The new connection failed: {error}."),
        )
    };
    let address = stream.peer_addr().map_err(failed)?;
    let peer = address.to_string();
    let socket = Rc::new(stream.as_fd().try_clone_to_owned().map_err(failed)?);
    let (stream, tap) = Shaped::new(stream);
    let direct = matches!(route.via, Via::Direct);
    let water = Water { raised: false, since: Instant::now(), bytes: 0 };
    let link = |sender, connection, plain| Link {
        sender,
        connection: Some(connection),
        failure: None,
        socket,
        address: address.ip(),
        paced: None,
        plain,
        direct,
        peer,
        tap,
        water,
        misses_certificate: false,
        chain: Vec::new(),
    };
    if !route.tls {
        let (sender, connection) =
            h1().handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
        return Ok(link(Sender::H1(sender), Box::pin(connection), true));
    }
    let secured = secure(stream, route, tls).await?;
    let (stream, misses_certificate, chain) = (secured.stream, secured.misses_certificate, secured.chain);
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let (sender, connection): (Sender, Connection) = if http2 {
        let (sender, connection) =
            h2().handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
        (Sender::H2(sender), Box::pin(connection))
    } else {
        let (sender, connection) =
            h1().handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
        (Sender::H1(sender), Box::pin(connection))
    };
    Ok(Link { misses_certificate, chain, ..link(sender, connection, false) })
}

/// A connection whose server is who it should be.
struct Secured {
    stream: tokio_rustls::client::TlsStream<Shaped<TcpStream>>,
    misses_certificate: bool,
    chain: Vec<CertificateDer<'static>>,
}

/// Shakes hands, and checks what the handshake itself does not.
async fn secure(stream: Shaped<TcpStream>, route: &Route, tls: &TlsCache) -> Outcome<Secured> {
    let setup = tls.get(route.extra_ca.as_deref(), route.http2, &route.options).await?;
    let host = route.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = rustls::pki_types::ServerName::try_from(host).map_err(|_| {
        transport(ERROR_WINHTTP_SECURE_CERT_CN_INVALID, "The host name cannot be in a certificate.")
    })?;
    let handshake = tokio_rustls::TlsConnector::from(setup.config.clone()).connect(name, stream);
    let (shaken, asked) = tls::asked_during(handshake).await;
    let server = format!("{}:{}", route.host, route.port);
    let misses_certificate = setup.asks(&server, asked) && !setup.has_certificate;
    let stream = shaken.map_err(|error| {
        let code = match tls::code(&error) {
            Some(_) if misses_certificate && tls::is_handshake_failure(&error) => {
                ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED
            }
            Some(code) => code,
            None => io_code(&error, ERROR_WINHTTP_CONNECTION_ERROR),
        };
        transport(code, format!("No secure connection to {}: {error}.", route.host))
    })?;
    if misses_certificate && route.options.strict {
        return Err(transport(
            ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED,
            "The server asks for a client certificate, and the job has none.",
        ));
    }
    let mut chain = Vec::new();
    if route.options.validate || route.options.flags & security::CRL_CHECK != 0 {
        chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    }
    if route.options.flags & security::CRL_CHECK != 0 {
        check_revocation(route, tls, &setup, &chain).await?;
    }
    Ok(Secured { stream, misses_certificate, chain })
}

/// Checks the revocation of what the server presented. Lists that do not serve are fetched once more: they may be old.
async fn check_revocation(
    route: &Route,
    tls: &TlsCache,
    setup: &Setup,
    chain: &[CertificateDer<'static>],
) -> Outcome<()> {
    let wanted = setup.list_addresses(chain)?;
    let mut second = false;
    loop {
        let mut lists = Vec::new();
        for addresses in &wanted {
            lists.push(list(route, tls, addresses).await?);
        }
        match setup.check_revocation(chain, &lists) {
            Err(fail) if !second && fail.code == ERROR_WINHTTP_SECURE_CERT_REV_FAILED => {
                second = true;
                wanted.iter().flatten().for_each(|address| tls.lists.forget(address));
            }
            result => return result,
        }
    }
}

/// A revocation list from the first of its addresses that has it.
async fn list(
    route: &Route,
    tls: &TlsCache,
    addresses: &[String],
) -> Outcome<Rc<webpki::CertRevocationList<'static>>> {
    if let Some(list) = addresses.iter().find_map(|address| tls.lists.get(address)) {
        return Ok(list);
    }
    let mut why = String::new();
    for address in addresses {
        match Box::pin(fetch_list(route, tls, address)).await {
            Ok(der) => match tls.lists.put(address, &der) {
                Some(list) => return Ok(list),
                None => why = format!("what is at {address} is no revocation list"),
            },
            Err(fail) => why = format!("the list at {address} cannot be fetched ({})", fail.detail),
        }
    }
    Err(tls::unknown_revocation(&why))
}

async fn fetch_list(route: &Route, tls: &TlsCache, address: &str) -> Outcome<Vec<u8>> {
    let bad = || transport(ERROR_WINHTTP_INVALID_URL, "its address cannot be read");
    let url = Url::parse(address).map_err(|_| bad())?;
    let route = route.to_list(&url);
    let through_proxy = matches!(route.via, Via::Proxy { .. });
    let target =
        if through_proxy { url.as_str() } else { &url[url::Position::BeforePath..url::Position::AfterQuery] };
    let mut request = Request::new(Payload::Empty);
    *request.uri_mut() = target.parse().map_err(|_| bad())?;
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    request.headers_mut().insert(http::header::HOST, host.parse().map_err(|_| bad())?);
    // Of the job's credentials only those that stand in the proxy's setting: nobody else is to know who asks for a list.
    let (mut auth, proxy) = (Auth::default(), route.via.peer());
    proxy.iter().for_each(|proxy| auth.dress(&mut request, proxy));
    let mut link = open(&route, tls, Opening { proxy: proxy.as_ref(), auth: &mut auth }).await?;
    let mut reply = link.ask(request, LIST_PATIENCE).await.map_err(|(fail, _)| fail)?;
    if reply.head.status != http::StatusCode::OK {
        return Err(transport(
            ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
            format!("status {}", reply.head.status),
        ));
    }
    let mut der = Vec::new();
    loop {
        match link.piece(&mut reply).await {
            Piece::Data(data) if (der.len() + data.len()) as u64 <= tls::LIST_MAX => {
                der.extend_from_slice(&data);
            }
            Piece::Data(_) => return Err(transport(ERROR_WINHTTP_INVALID_SERVER_RESPONSE, "it is too long")),
            Piece::End => return Ok(der),
            Piece::Cut(fail) => return Err(fail),
            Piece::Changed => {
                return Err(transport(ERROR_WINHTTP_INVALID_SERVER_RESPONSE, "it changed meanwhile"));
            }
        }
    }
}

fn h1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(READ_BUFFER).max_header_size(MAX_HEAD);
    builder
}

/// Runs hyper's HTTP/2 tasks on our own thread.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

fn h2() -> http2::Builder<Local> {
    let mut builder = http2::Builder::new(Local);
    builder
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(4 << 20)
        .max_frame_size(64 << 10)
        .max_header_list_size(MAX_HEAD as u32);
    builder
}

/// Asks a proxy for a tunnel (CONNECT), and answers its challenges. None: it closed the connection after a challenge that can be
/// answered on another.
async fn tunnel(stream: TcpStream, route: &Route, opening: &mut Opening<'_>) -> Outcome<Option<TcpStream>> {
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
    let mut connection = pin!(connection.with_upgrades());
    let mut finished = false;
    let exchange = async {
        loop {
            let mut request = connect_request(route)?;
            if let Some(proxy) = opening.proxy {
                opening.auth.dress(&mut request, proxy);
            }
            let response = match sender.send_request(request).await {
                Ok(response) => response,
                Err(error) => return Err(explain(&error)),
            };
            let status = response.status();
            if status.is_success() {
                opening.proxy.into_iter().for_each(|proxy| opening.auth.accepted(proxy));
                return hyper::upgrade::on(response).await.map(Some).map_err(|error| explain(&error));
            }
            let mut detail = format!("The proxy refuses a tunnel with status {}.", status.as_u16());
            let (code, class) = classify::http_status(status.as_u16());
            if let Some(proxy) =
                opening.proxy.filter(|_| status == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED)
            {
                if opening.auth.challenged(proxy, response.headers()).await {
                    if read_away(response.into_body()).await && sender.ready().await.is_ok() {
                        continue;
                    }
                    opening.auth.connection_lost(proxy);
                    return Ok(None);
                }
                detail = format!("{detail} {}", opening.auth.why(proxy));
                return Err(with(ErrorContext::RemoteFile, code, class, detail));
            }
            return Err(with(ErrorContext::GeneralTransport, code, class, detail));
        }
    };
    let mut exchange = pin!(exchange);
    let upgraded = poll_fn(|cx| {
        if let Poll::Ready(result) = exchange.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if !finished && connection.as_mut().poll(cx).is_ready() {
            finished = true;
        }
        exchange.as_mut().poll(cx)
    })
    .await?;
    let Some(upgraded) = upgraded else { return Ok(None) };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) if parts.read_buf.is_empty() => Ok(Some(parts.io.into_inner())),
        // A server never speaks first in TLS.
        _ => Err(transport(ERROR_WINHTTP_CANNOT_CONNECT, "The proxy sent data of its own into the tunnel.")),
    }
}

fn connect_request(route: &Route) -> Outcome<Request<Empties>> {
    let target = format!("{}:{}", route.host, route.port);
    let bad = || transport(ERROR_WINHTTP_CANNOT_CONNECT, "The host cannot be asked of a proxy.");
    let mut request = Request::new(Payload::Empty);
    *request.method_mut() = http::Method::CONNECT;
    *request.uri_mut() = http::Uri::from(target.parse::<http::uri::Authority>().map_err(|_| bad())?);
    let host = http::HeaderValue::from_str(&target).map_err(|_| bad())?;
    request.headers_mut().insert(http::header::HOST, host);
    Ok(request)
}

/// Longest page of a proxy that asks for credentials which is read for the sake of the connection, in bytes.
const MAX_PAGE: usize = 256 << 10;

/// Reads a body that nobody wants. False: it is too long, or broke.
async fn read_away(mut body: Incoming) -> bool {
    let mut left = MAX_PAGE;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}

fn framing(head: &http::response::Parts, body: &Incoming) -> Framing {
    let exact = body.size_hint().exact();
    if head.version == http::Version::HTTP_2 {
        return Framing::Stream(
            exact.filter(|&length| length > 0 || head.headers.contains_key("content-length")),
        );
    }
    if let Some(length) = exact {
        return Framing::Length(length);
    }
    let chunked = head
        .headers
        .get_all(http::header::TRANSFER_ENCODING)
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"));
    if chunked { Framing::Chunked } else { Framing::UntilClose }
}

fn is_io(error: &hyper::Error) -> bool {
    source_io(error).is_some()
}

fn source_io(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        source = error.source();
    }
    None
}

/// A hyper error as a failure of the attempt.
fn explain(error: &hyper::Error) -> Box<Fail> {
    if let Some(io) = source_io(error) {
        if let Some(code) = tls::late_code(io) {
            // In TLS 1.3 a server says only now that it wants another client certificate, or one at all.
            return with(
                ErrorContext::RemoteFile,
                code,
                Class::Fatal,
                format!("The server refuses us: {io}."),
            );
        }
        let code = tls::code(io).unwrap_or_else(|| io_code(io, ERROR_WINHTTP_CONNECTION_ERROR));
        let mut fail = transport(code, format!("The connection broke: {io}."));
        if tls::code(io).is_some() {
            // After the handshake a TLS error is damage on the way, not a wrong identity.
            fail = transport(ERROR_WINHTTP_CONNECTION_ERROR, format!("The secure connection broke: {io}."));
        }
        return fail;
    }
    if error.is_parse() {
        return with(
            ErrorContext::RemoteFile,
            ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
            Class::Transient,
            format!("The answer cannot be read: {error}."),
        );
    }
    let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default();
    transport(ERROR_WINHTTP_CONNECTION_ERROR, format!("The connection broke: {error}{cause}."))
}
