//! The TLS handshake, and what it leaves unchecked.

use super::Piece;
use super::open::{Opening, open};
use crate::auth::Auth;
use crate::failure::{Outcome, transport};
use crate::http::connect::io_code;
use crate::http::payload::Payload;
use crate::http::pool::Route;
use crate::http::proxy::Via;
use crate::http::tls::{self, Setup, TlsCache};
use crate::rate::Shaped;
use http::Request;
use openbits_core::hresult::*;
use openbits_core::job::http::security;
use rustls::pki_types::CertificateDer;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use url::Url;

/// Longest wait for the head of a revocation list's answer.
const LIST_PATIENCE: Duration = Duration::from_secs(30);

/// A connection whose server is who it should be.
pub(super) struct Secured {
    pub(super) stream: tokio_rustls::client::TlsStream<Shaped<TcpStream>>,
    pub(super) misses_certificate: bool,
    pub(super) chain: Vec<CertificateDer<'static>>,
}

/// Shakes hands, and checks what the handshake itself does not.
pub(super) async fn secure(stream: Shaped<TcpStream>, route: &Route, tls: &TlsCache) -> Outcome<Secured> {
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
