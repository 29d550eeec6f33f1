//! A tunnel through a proxy.

use super::open::Opening;
use super::{Empties, MAX_HEAD, explain};
use crate::failure::{Outcome, transport, with};
use crate::http::payload::Payload;
use crate::http::pool::Route;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openbits_core::ErrorContext;
use openbits_core::classify;
use openbits_core::hresult::ERROR_WINHTTP_CANNOT_CONNECT;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use tokio::net::TcpStream;

/// Asks a proxy for a tunnel (CONNECT), and answers its challenges. None: it closed the connection after a challenge that can be
/// answered on another.
pub(super) async fn tunnel(
    stream: TcpStream,
    route: &Route,
    opening: &mut Opening<'_>,
) -> Outcome<Option<TcpStream>> {
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
