//! A request of an upload as it goes out. Every upload protocol sends through here, so that credentials and headers of the job
//! are added in one place.

use super::payload::Payload;
use super::pool::Route;
use super::request::{address, custom};
use crate::failure::{Outcome, with};
use crate::protocol::TransferOptions;
use http::header::{self, HeaderName, HeaderValue};
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::E_INVALIDARG;
use openbits_core::upload::client::Ask;
use url::Url;

/// Builds it. `original`: the caller's URL, whose credentials go over https only, and where the plan allows it.
pub(crate) fn build_upload(
    ask: &Ask,
    body: Payload,
    options: &TransferOptions,
    route: &Route,
    original: &Url,
) -> Outcome<http::Request<Payload>> {
    let bad = |what: &str| with(ErrorContext::RemoteFile, E_INVALIDARG, Class::Fatal, what);
    let value =
        |text: &str| HeaderValue::from_str(text).map_err(|_| bad("A request header has an illegal value."));
    // Uploads speak HTTP/1.1.
    let (uri, authority) = address(&ask.target, &ask.url, route, false)?;
    let length = ask.body.len();
    let mut out = http::Request::new(body);
    *out.method_mut() =
        http::Method::from_bytes(ask.method.as_bytes()).map_err(|_| bad("An illegal method."))?;
    *out.uri_mut() = uri;
    let headers = out.headers_mut();
    headers.insert(header::HOST, value(&authority)?);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::USER_AGENT, value(&options.user_agent)?);
    let downgraded = original.scheme() == "https" && !route.tls;
    custom(headers, options, ask.credentials, downgraded)?;
    for (name, text) in &ask.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("An illegal header."))?;
        headers.insert(name, value(text)?);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(out)
}
