//! The request as it goes out.

use super::payload::Payload;
use super::pool::Route;
use super::proxy::Via;
use crate::failure::{Outcome, with};
use crate::protocol::{HARMLESS_HEADERS, TransferOptions};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::E_INVALIDARG;
use openbits_core::job::http::CONTROLLED_HEADERS;
use openbits_core::plan;
use url::Url;

fn bad(what: &str) -> Box<plan::Fail> {
    with(ErrorContext::RemoteFile, E_INVALIDARG, Class::Fatal, what)
}

/// The target as it goes out, and what stands in `Host`: only the path, unless a proxy is asked or HTTP/2 is spoken.
pub(super) fn address(target: &str, url: &Url, route: &Route, http2: bool) -> Outcome<(Uri, String)> {
    let path: PathAndQuery = target.parse().map_err(|_| bad("The URL has an illegal path."))?;
    let host = url.host_str().unwrap_or_default();
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let through_proxy = !route.tls && matches!(route.via, Via::Proxy { .. });
    let uri = if http2 || through_proxy {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if route.tls { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority =
            Some(authority.parse::<Authority>().map_err(|_| bad("The URL has an illegal host."))?);
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| bad("The URL cannot be sent."))?
    } else {
        Uri::from(path)
    };
    Ok((uri, authority))
}

/// Builds the request. `original`: the caller's URL; what peers want to see of the caller comes later ([`crate::auth`]).
pub(crate) fn build(
    request: &plan::Request,
    options: &TransferOptions,
    route: &Route,
    http2: bool,
    original: &Url,
) -> Outcome<http::Request<Payload>> {
    let (uri, authority) = address(&request.target, &request.url, route, http2)?;
    let mut out = http::Request::new(Payload::Empty);
    *out.method_mut() = http::Method::from_bytes(request.method.as_bytes())
        .map_err(|_| bad("The job's HTTP method is malformed."))?;
    *out.uri_mut() = uri;
    let headers = out.headers_mut();
    let value =
        |text: &str| HeaderValue::from_str(text).map_err(|_| bad("A request header has an illegal value."));
    if !http2 {
        headers.insert(header::HOST, value(&authority)?);
    }
    headers.insert(header::USER_AGENT, value(&options.user_agent)?);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    let downgraded = original.scheme() == "https" && !route.tls;
    custom(headers, options, request.credentials, downgraded)?;
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(range) = &request.range {
        headers.insert(header::RANGE, value(range)?);
    }
    if let Some(condition) = &request.if_range {
        headers.insert(header::IF_RANGE, value(condition)?);
    }
    if request.no_cache {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    }
    Ok(out)
}

/// The job's own headers. At another origin than the first only harmless ones, unless the policy says otherwise; never any that are
/// write-only, nor over plain http what was meant for https.
pub(super) fn custom(
    headers: &mut HeaderMap,
    options: &TransferOptions,
    at_home: bool,
    downgraded: bool,
) -> Outcome<()> {
    let mut seen: Vec<HeaderName> = Vec::new();
    if !at_home && options.headers_stay {
        return Ok(());
    }
    for header in &options.headers {
        let bad = |_| {
            with(ErrorContext::RemoteFile, E_INVALIDARG, Class::Fatal, "A header of the job is malformed.")
        };
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| bad(()))?;
        let mut value = HeaderValue::from_bytes(header.value.reveal().as_bytes()).map_err(|_| bad(()))?;
        value.set_sensitive(true);
        let guarded = options.strip_on_redirect || downgraded;
        let stays = !at_home && guarded && !HARMLESS_HEADERS.contains(&name.as_str());
        if CONTROLLED_HEADERS.contains(&name.as_str()) || stays {
            continue;
        }
        put(headers, &mut seen, name, value);
    }
    Ok(())
}

/// A header of the caller's: the first value of a name replaces what is there, further ones (`seen`) are added.
pub(crate) fn put(headers: &mut HeaderMap, seen: &mut Vec<HeaderName>, name: HeaderName, value: HeaderValue) {
    if seen.contains(&name) {
        headers.append(name, value);
    } else {
        seen.push(name.clone());
        headers.insert(name, value);
    }
}
