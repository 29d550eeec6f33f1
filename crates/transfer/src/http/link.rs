//! One connection to an origin or proxy, and one request at a time on it.
//!
//! The connection has no task of its own: whoever waits for an answer or a body moves it along, so that a byte never crosses
//! a thread or a queue on its way to the writer.

mod open;
mod secure;
mod tunnel;

pub(crate) use open::Opening;

use super::connect::io_code;
use super::payload::{Payload, Sent};
use super::pool::Route;
use super::tls::{self, TlsCache};
use crate::failure::{Outcome, transport, with};
use crate::pace::{Paced, Pacers, Watch};
use crate::protocol::Pace;
use crate::rate::{Level, Limiter, Tap};
use crate::sys;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::plan::{Fail, Framing};
use openbits_core::{ErrorContext, Priority};
use rustls::pki_types::CertificateDer;
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
        match tokio::time::timeout(timeout, Box::pin(open::open(route, tls, opening))).await {
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
    pub(crate) fn shape(&self, limiter: &Rc<Limiter>, level: &Rc<Level>) {
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
    /// wait for the answer once it took all. `beat` is called four times a second with the bytes taken so far
    /// and the state of the pacing.
    pub(crate) async fn send(
        &mut self,
        request: Request<Empties>,
        sent: &Sent,
        (idle, patience): (Duration, Duration),
        mut beat: impl FnMut(u64, Option<Pace>),
    ) -> Result<Reply, (Box<Fail>, bool)> {
        let total = sent.total();
        let pacing = self.paced.as_ref().map(Paced::watch);
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
                        beat(bytes, pacing.as_ref().map(Watch::state));
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
        let enough = to_come.is_some_and(|rest| rest >= LOW_WATER_MARGIN);
        if let Some(paced) = &self.paced {
            // The signal of the pacing lives on a socket that is read soon: it says how soon.
            paced.batch(self.plain && enough);
            return;
        }
        if !self.plain {
            return;
        }
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
        if let Some(paced) = &self.paced {
            paced.batch(false);
        }
        self.water = Water { raised: false, since: Instant::now(), bytes: 0 };
    }
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
