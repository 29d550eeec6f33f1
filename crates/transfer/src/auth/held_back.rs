//! Headers of the job's own that wait until somebody asks who is there.

use crate::http::put;
use crate::protocol::Header;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use openbits_core::AuthTarget;
use openbits_core::job::http::CONTROLLED_HEADERS;

/// What names for proxies begin with. What is for the server does not go to a proxy, which would read it in the clear when it is asked
/// for a tunnel; and what is for a proxy is none of the server's business.
const FOR_PROXIES: &str = "proxy-";

/// The headers, ready to be sent.
#[derive(Debug, Default)]
pub(super) struct HeldBack(Vec<(HeaderName, HeaderValue)>);

impl HeldBack {
    /// They were checked when they were set; what cannot be sent is left out.
    pub(super) fn new(headers: &[Header]) -> Self {
        let ready = |header: &Header| {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            let mut value = HeaderValue::from_bytes(header.value.reveal().as_bytes()).ok()?;
            value.set_sensitive(true);
            (!CONTROLLED_HEADERS.contains(&name.as_str())).then_some((name, value))
        };
        Self(headers.iter().filter_map(ready).collect())
    }

    fn of(&self, target: AuthTarget) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        let proxies = target == AuthTarget::Proxy;
        self.0.iter().filter(move |(name, _)| name.as_str().starts_with(FOR_PROXIES) == proxies)
    }

    /// There are some for whom asks.
    pub(super) fn is_for(&self, target: AuthTarget) -> bool {
        self.of(target).next().is_some()
    }

    /// Puts them into a request, as they were given.
    pub(super) fn put(&self, target: AuthTarget, headers: &mut HeaderMap) {
        let mut seen = Vec::new();
        for (name, value) in self.of(target) {
            put(headers, &mut seen, name.clone(), value.clone());
        }
    }
}
