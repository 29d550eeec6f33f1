//! Opening a connection.

use super::secure::secure;
use super::tunnel::tunnel;
use super::{Connection, Link, MAX_HEAD, Sender, Water, explain};
use crate::auth::{Auth, Peer};
use crate::failure::{Outcome, transport};
use crate::http::connect::{self, io_code};
use crate::http::pool::Route;
use crate::http::proxy::Via;
use crate::http::tls::TlsCache;
use crate::rate::Shaped;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use openbits_core::hresult::ERROR_WINHTTP_CANNOT_CONNECT;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Instant;

/// Most bytes that one read from the socket takes.
const READ_BUFFER: usize = 1 << 20;

/// What a proxy may ask for while a tunnel is opened.
pub(crate) struct Opening<'a> {
    /// The proxy.
    pub(crate) proxy: Option<&'a Peer>,
    /// The job's credentials.
    pub(crate) auth: &'a mut Auth,
}

/// Connections to one proxy for one tunnel: it may close after each challenge.
const MAX_TUNNELS: u32 = 8;

pub(super) async fn open(route: &Route, tls: &TlsCache, mut opening: Opening<'_>) -> Outcome<Link> {
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
