//! The cache host (Microsoft Connected Cache) and when to leave it (section 8).
//!
//! Two tries without a byte on one side lead to the other, once both were tried; a delay holds a download to the cache host until it is
//! over; -1 holds it there for good.

use crate::hresult::{self as h, HResult};
use crate::time::Mono;
use serde::{Deserialize, Serialize};

/// What failed is left alone so long, in seconds.
pub const BAN_S: u64 = 900;
/// Longest name of a cache host, in bytes.
pub const HOST_MAX: usize = 255;

/// What the configuration says, read at every Start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CacheHost {
    /// Its name.
    pub host: String,
    /// Seconds before the origin may be asked; `None`: by the automatic rule; -1: never.
    pub delay_s: Option<i64>,
}

/// Where a download asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The cache host.
    #[default]
    Cache,
    /// The URL's own server.
    Origin,
}

/// A download's way between the two.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// The configuration at its last Start.
    pub config: CacheHost,
    /// Where the present or next try goes.
    pub side: Side,
    /// Where the try before went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Side>,
    /// The first Start with a cache host.
    pub since: Mono,
    /// Tries in a row on this side that brought no byte.
    #[serde(default)]
    pub tries: u32,
    /// The origin was asked.
    #[serde(default)]
    pub origin_tried: bool,
    /// The delay was over when the cache host failed: the rest comes from the origin.
    #[serde(default)]
    pub given_up: bool,
}

/// What a failure leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// As without a cache host: the error decides, the usual delay.
    Usual,
    /// Another try after the usual delay, whatever the error.
    Later,
    /// A try at the other side, at once.
    AtOnce,
    /// The error is final.
    Final,
}

/// Who is left alone for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ban {
    /// The cache host, for this origin.
    ThisOrigin,
    /// The cache host, for everything.
    Everything,
}

/// A failure on the cache host's side that says that it is not there.
fn unreachable(code: HResult) -> bool {
    [h::ERROR_WINHTTP_TIMEOUT, h::ERROR_WINHTTP_NAME_NOT_RESOLVED, h::ERROR_WINHTTP_CANNOT_CONNECT]
        .contains(&code)
}

impl Route {
    /// A download that was never started with this configuration.
    pub fn new(config: CacheHost, now: Mono) -> Self {
        Self {
            config,
            side: Side::Cache,
            asked: None,
            since: now,
            tries: 0,
            origin_tried: false,
            given_up: false,
        }
    }

    fn is_due(&self, now: Mono) -> bool {
        match self.config.delay_s {
            None | Some(-1) => false,
            Some(delay) => now.since_ms(self.since) >= delay.max(0).saturating_mul(1000),
        }
    }

    /// Where the next try goes. `banned`: the cache host is left alone for this origin.
    pub fn choose(&mut self, banned: bool) -> Side {
        let never = self.config.delay_s == Some(-1);
        if self.given_up || (banned && !never) {
            self.side = Side::Origin;
        }
        self.origin_tried |= self.side == Side::Origin;
        self.side
    }

    /// A Start: the cache host first, unless it was given up.
    pub fn start(&mut self, config: CacheHost) {
        self.config = config;
        self.tries = 0;
        self.side = if self.given_up { Side::Origin } else { Side::Cache };
    }

    /// Bytes came.
    pub fn moved(&mut self) {
        self.tries = 0;
    }

    /// A try failed.
    pub fn failed(&mut self, code: HResult, http_status: Option<u16>, now: Mono) -> (Next, Option<Ban>) {
        self.tries = self.tries.saturating_add(1);
        let refused = http_status.is_some_and(|status| (400..500).contains(&status));
        match (self.side, self.config.delay_s) {
            (Side::Cache, Some(-1)) if refused => (Next::Final, None),
            (Side::Cache, Some(-1)) => (Next::Later, None),
            (Side::Cache, _) if refused => {
                self.turn(Side::Origin);
                (Next::AtOnce, Some(Ban::ThisOrigin))
            }
            (Side::Cache, Some(_)) if self.is_due(now) => {
                self.given_up = true;
                self.turn(Side::Origin);
                (Next::AtOnce, None)
            }
            // A delay is in force: no ban ends it early.
            (Side::Cache, Some(_)) => (Next::Later, None),
            (Side::Cache, None) => {
                let ban = unreachable(code).then_some(Ban::Everything);
                if !self.origin_tried {
                    self.turn(Side::Origin);
                    return (Next::AtOnce, ban);
                }
                if self.tries >= 2 {
                    self.turn(Side::Origin);
                }
                (Next::Later, ban)
            }
            (Side::Origin, delay) => {
                // An origin that refuses has the last word; one that is merely not there may be better known to the cache host.
                if delay.is_none() && self.tries >= 2 && !refused && !self.given_up {
                    self.turn(Side::Cache);
                }
                (Next::Usual, None)
            }
        }
    }

    fn turn(&mut self, side: Side) {
        self.side = side;
        self.tries = 0;
    }
}

/// The host of a checked http or https URL, without user and port.
pub fn host_of(url: &str) -> &str {
    let authority = authority(url).1;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    }
}

/// Scheme with its slashes, authority, and the rest.
fn authority(url: &str) -> (&str, &str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    (&url[..start], &url[start..end], &url[end..])
}

/// The URL at the cache host: everything is kept but the host (and the user, who is known to the origin only), and the origin is named.
pub fn rewrite(url: &str, cache: &str) -> String {
    let (scheme, authority, rest) = authority(url);
    let origin = host_of(url);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = host.strip_prefix(origin).unwrap_or_default();
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let mark = match rest.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{scheme}{cache}{port}{slash}{rest}{mark}cacheHostOrigin={origin}")
}

/// A usable name of a host from a configuration: a comma list gives its first, a port is taken off.
pub fn usable_host(text: &str) -> Option<String> {
    let first = text.split(',').next().unwrap_or_default().trim();
    let host = match first.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => first,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (!host.is_empty() && host.len() <= HOST_MAX && host.bytes().all(plain)).then(|| host.to_owned())
}

/// The value of `GatewayHostName=` of a connection string, up to `;` or its end.
pub fn gateway_of(connection: &str) -> Option<&str> {
    connection.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("GatewayHostName").then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: HResult = h::ERROR_WINHTTP_CANNOT_CONNECT;

    fn route(delay_s: Option<i64>) -> Route {
        Route::new(CacheHost { host: "mcc1".to_owned(), delay_s }, Mono(0))
    }

    const fn at(seconds: i64) -> Mono {
        Mono(seconds * 1000)
    }

    #[test]
    fn urls_at_the_cache_host() {
        for (url, there) in [
            ("http://dl.example/f?a=b", "http://mcc1/f?a=b&cacheHostOrigin=dl.example"),
            ("https://dl.example:8443/f", "https://mcc1:8443/f?cacheHostOrigin=dl.example"),
            ("http://u:p@dl.example/f?", "http://mcc1/f?cacheHostOrigin=dl.example"),
            ("http://dl.example", "http://mcc1/?cacheHostOrigin=dl.example"),
            ("http://dl.example?x#y", "http://mcc1/?x&cacheHostOrigin=dl.example"),
            ("http://[::1]:80/f", "http://mcc1:80/f?cacheHostOrigin=[::1]"),
        ] {
            assert_eq!(rewrite(url, "mcc1"), there);
        }
    }

    #[test]
    fn names_from_the_configuration() {
        assert_eq!(usable_host("10.0.0.1:8080,other"), Some("10.0.0.1".to_owned()));
        assert_eq!(usable_host(" mcc "), Some("mcc".to_owned()));
        for bad in ["", ",x", "a b", "a/b", "u@h", "a\r\nb", &"h".repeat(HOST_MAX + 1)] {
            assert_eq!(usable_host(bad), None, "{bad}");
        }
        assert_eq!(gateway_of("HostName=h;DeviceId=d;GatewayHostName=10.1.1.1"), Some("10.1.1.1"));
        assert_eq!(gateway_of("HostName=h;gatewayhostname=g;SharedAccessKey=a=="), Some("g"));
        assert_eq!(gateway_of("HostName=h"), None);
    }

    /// Row "delay unset": the origin at once, then from side to side after two tries each.
    #[test]
    fn without_a_delay_the_origin_is_asked_at_once() {
        let mut route = route(None);
        assert_eq!(route.choose(false), Side::Cache);
        assert_eq!(route.failed(DOWN, None, at(1)), (Next::AtOnce, Some(Ban::Everything)));
        assert_eq!(route.choose(true), Side::Origin);
        assert_eq!(route.failed(DOWN, None, at(2)), (Next::Usual, None));
        assert_eq!(route.choose(false), Side::Origin, "one try is not two");
        assert_eq!(route.failed(DOWN, None, at(3)), (Next::Usual, None));
        assert_eq!(route.choose(false), Side::Cache);
        assert_eq!(route.failed(DOWN, None, at(4)), (Next::Later, Some(Ban::Everything)));
        assert_eq!(route.failed(h::ERROR_WINHTTP_CONNECTION_ERROR, None, at(5)), (Next::Later, None));
        assert_eq!(route.choose(false), Side::Origin);
    }

    #[test]
    fn a_refusal_of_the_cache_host_leads_to_the_origin() {
        for delay in [None, Some(0), Some(3600)] {
            let mut route = route(delay);
            let next = route.failed(HResult::from_http_status(404), Some(404), at(1));
            assert_eq!(next, (Next::AtOnce, Some(Ban::ThisOrigin)), "{delay:?}");
            assert_eq!(route.choose(false), Side::Origin);
            assert_eq!(route.failed(HResult::from_http_status(404), Some(404), at(2)), (Next::Usual, None));
        }
    }

    #[test]
    fn minus_one_never_leaves_it() {
        let mut route = route(Some(-1));
        for second in [1, 1000, 100_000] {
            assert_eq!(route.failed(DOWN, None, at(second)), (Next::Later, None));
            assert_eq!(route.choose(true), Side::Cache, "no ban counts");
        }
        assert_eq!(route.failed(HResult::from_http_status(404), Some(404), at(1)), (Next::Final, None));
    }

    #[test]
    fn a_delay_holds_until_it_is_over() {
        let mut route = route(Some(45));
        assert_eq!(route.failed(DOWN, None, at(44)), (Next::Later, None));
        assert_eq!(route.choose(false), Side::Cache);
        assert_eq!(route.failed(DOWN, None, at(45)), (Next::AtOnce, None));
        assert_eq!(route.choose(false), Side::Origin);
        route.start(CacheHost { host: "mcc1".to_owned(), delay_s: Some(45) });
        assert_eq!(route.choose(false), Side::Origin, "it was given up for good");
        for (delay, due) in [(0, true), (-5, true)] {
            let mut route = self::route(Some(delay));
            assert_eq!(route.failed(DOWN, None, at(0)).0 == Next::AtOnce, due, "{delay}");
        }
    }

    #[test]
    fn a_resume_begins_at_the_cache_host() {
        let mut route = route(None);
        let _ = route.failed(DOWN, None, at(1));
        route.start(CacheHost { host: "mcc2".to_owned(), delay_s: None });
        assert_eq!(route.choose(false), Side::Cache);
        assert_eq!(route.config.host, "mcc2");
    }
}
