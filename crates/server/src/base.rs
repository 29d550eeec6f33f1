//! Absolute addresses given to clients.

use crate::app::Peer;
use crate::settings::Settings;
use http::request::Parts;

/// `scheme://authority` as the client knows this server.
pub(crate) fn base_url(settings: &Settings, parts: &Parts, peer: &Peer) -> String {
    let named = settings.public_url.clone().unwrap_or_else(|| {
        let host = parts.headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
        let host = parts.uri.authority().map(http::uri::Authority::as_str).or(host);
        let host = host.filter(|host| host.parse::<http::uri::Authority>().is_ok()).unwrap_or("localhost");
        format!("{}://{host}", if peer.tls { "https" } else { "http" })
    });
    named.trim_end_matches('/').to_owned()
}

/// `scheme://authority` of a URL, on the node `host_id` if there is one; the port stays (section 12).
pub(crate) fn origin_on_node(url: &str, host_id: Option<&str>) -> Option<String> {
    let mut url = url::Url::parse(url).ok()?;
    if let Some(host) = host_id {
        url.set_host(Some(host)).ok()?;
    }
    Some(url.origin().ascii_serialization())
}
