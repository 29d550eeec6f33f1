//! Which way a URL is reached: directly, or through a proxy of the job (spec/bits-core.md 5.2, spec/behaviour.md 20).

use crate::auth::Peer;
use crate::failure::{Outcome, with};
use crate::protocol::{Pair, Proxy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::proxy::matcher::Matcher;
use openbits_core::classify::Class;
use openbits_core::hresult::BG_E_INVALID_PROXY_INFO;
use openbits_core::{AuthTarget, ErrorContext, Secret};
use url::Url;

/// Default port of a proxy without one: that of http.
const DEFAULT_PORT: u16 = 80;
/// Entries of a list that are looked at.
const MAX_ENTRIES: usize = 64;

/// One way to an origin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Via {
    Direct,
    Proxy { host: String, port: u16, login: Option<Pair> },
}

impl Via {
    /// The proxy, as one who may ask for credentials.
    pub(crate) fn peer(&self) -> Option<Peer> {
        match self {
            Self::Direct => None,
            Self::Proxy { host, port, login } => Some(Peer {
                target: AuthTarget::Proxy,
                host: host.clone(),
                port: *port,
                private: false,
                login: login.clone(),
            }),
        }
    }
}

fn invalid(detail: &str) -> Box<openbits_core::plan::Fail> {
    with(ErrorContext::GeneralTransport, BG_E_INVALID_PROXY_INFO, Class::Fatal, detail)
}

/// The ways to try, in order; never empty.
pub(crate) fn routes(proxy: &Proxy, url: &Url) -> Outcome<Vec<Via>> {
    match proxy {
        Proxy::None => Ok(vec![Via::Direct]),
        Proxy::Environment { http, https, all, no } => {
            let value = |text: &Option<String>| text.clone().unwrap_or_default();
            let matcher = Matcher::builder()
                .http(value(http))
                .https(value(https))
                .all(value(all))
                .no(value(no))
                .build();
            let target = url.origin().ascii_serialization();
            let target =
                target.parse().map_err(|_| invalid("The URL cannot be matched with the proxy settings."))?;
            let Some(found) = matcher.intercept(&target) else { return Ok(vec![Via::Direct]) };
            if found.uri().scheme_str() != Some("http") {
                return Err(invalid("Only http proxies are supported."));
            }
            let host = found.uri().host().filter(|host| !host.is_empty());
            let host = host.ok_or_else(|| invalid("The proxy setting names no host."))?;
            let port = found.uri().port_u16().unwrap_or(DEFAULT_PORT);
            let login = found.basic_auth().and_then(|value| of_basic(value.as_bytes()));
            Ok(vec![Via::Proxy { host: host.to_owned(), port, login }])
        }
        Proxy::List { list, bypass } => {
            if bypassed(bypass.as_deref().unwrap_or(""), url) {
                return Ok(vec![Via::Direct]);
            }
            from_list(list, url.scheme())
        }
    }
}

/// Name and password of a Basic value, as the matcher gives them.
fn of_basic(value: &[u8]) -> Option<Pair> {
    let text = std::str::from_utf8(value).ok()?.strip_prefix("Basic ")?;
    let pair = zeroize::Zeroizing::new(STANDARD.decode(text).ok()?);
    let pair = std::str::from_utf8(&pair).ok()?;
    let (user, password) = pair.split_once(':').unwrap_or((pair, ""));
    Some(Pair { user: Secret::new(user), password: Secret::new(password) })
}

/// `[protocol=][protocol://]server[:port]`, separated by spaces; entries without protocol serve those not named.
fn from_list(list: &str, scheme: &str) -> Outcome<Vec<Via>> {
    let (mut named, mut general) = (Vec::new(), Vec::new());
    for entry in list.split([' ', ';', '\t']).filter(|entry| !entry.is_empty()).take(MAX_ENTRIES) {
        let (protocol, server) = match entry.split_once('=') {
            Some((protocol, server)) => (Some(protocol.to_ascii_lowercase()), server),
            None => (None, entry),
        };
        let server = match server.split_once("://") {
            Some((kind, rest)) if kind.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(invalid("The proxy list names a proxy that is not http.")),
            None => server,
        };
        let via = server_of(server.trim_end_matches('/'))?;
        match protocol.as_deref() {
            None => general.push(via),
            Some("http" | "https") => {
                if protocol.as_deref() == Some(scheme) {
                    named.push(via);
                }
            }
            Some(_) => {
                return Err(invalid("The proxy list names a protocol that is neither http nor https."));
            }
        }
    }
    let chosen = if named.is_empty() { general } else { named };
    if list.trim().is_empty() {
        return Err(invalid("The proxy list is empty."));
    }
    // A list that serves only the other protocol: this one goes directly.
    Ok(if chosen.is_empty() { vec![Via::Direct] } else { chosen })
}

fn server_of(server: &str) -> Outcome<Via> {
    let (login, server) = match server.rsplit_once('@') {
        Some(("" | ":", _)) => return Err(invalid("The proxy list cannot be read.")),
        Some((login, server)) => (Some(Pair::of_userinfo(login)), server),
        None => (None, server),
    };
    // The URL parser forgives these, and would use a part of the entry.
    if server.contains(['#', '?', '\\']) || server.contains(|c: char| c.is_control()) {
        return Err(invalid("The proxy list cannot be read."));
    }
    let url =
        Url::parse(&format!("http://{server}/")).map_err(|_| invalid("The proxy list cannot be read."))?;
    match url.host_str() {
        Some(host) if url.path() == "/" && !host.is_empty() => {
            Ok(Via::Proxy { host: host.to_owned(), port: url.port().unwrap_or(DEFAULT_PORT), login })
        }
        _ => Err(invalid("The proxy list cannot be read.")),
    }
}

/// Host names or addresses; `*` only left-most; `<local>` is every name without a dot.
fn bypassed(bypass: &str, url: &Url) -> bool {
    let host = url.host_str().unwrap_or("").to_ascii_lowercase();
    bypass.split([' ', ';', '\t']).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        match entry.strip_prefix('*') {
            _ if entry == "<local>" => !host.contains('.') && !host.starts_with('['),
            Some(suffix) => host.ends_with(suffix),
            None => host == entry || host == format!("[{entry}]"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(host: &str, port: u16) -> Via {
        Via::Proxy { host: host.to_owned(), port, login: None }
    }

    fn with_login(host: &str, port: u16) -> Via {
        Via::Proxy { host: host.to_owned(), port, login: Some(Pair::of_userinfo("u:p")) }
    }

    fn list(list: &str, bypass: &str, url: &str) -> Result<Vec<Via>, u32> {
        let proxy = Proxy::List { list: list.to_owned(), bypass: Some(bypass.to_owned()) };
        routes(&proxy, &Url::parse(url).unwrap()).map_err(|fail| fail.code.bits())
    }

    #[test]
    fn lists_follow_the_grammar() {
        let bad = Err(0x8020_003F);
        let cases = [
            ("p:8080", "", "http://h/", Ok(vec![proxy("p", 8080)])),
            ("p", "", "https://h/", Ok(vec![proxy("p", 80)])),
            ("a:1 b:2", "", "http://h/", Ok(vec![proxy("a", 1), proxy("b", 2)])),
            ("http=a:1 https=b:2", "", "https://h/", Ok(vec![proxy("b", 2)])),
            ("https=b:2 c:3", "", "http://h/", Ok(vec![proxy("c", 3)])),
            ("https=http://b:2", "", "https://h/", Ok(vec![proxy("b", 2)])),
            ("https=b:2", "", "http://h/", Ok(vec![Via::Direct])),
            ("[::1]:3128", "", "http://h/", Ok(vec![proxy("[::1]", 3128)])),
            ("", "", "http://h/", bad.clone()),
            ("socks=a:1", "", "http://h/", bad.clone()),
            ("socks5://a:1", "", "http://h/", bad.clone()),
            ("a:notaport", "", "http://h/", bad.clone()),
            ("u:p@a:1", "", "http://h/", Ok(vec![with_login("a", 1)])),
            ("https=http://u:p@a:1/", "", "https://h/", Ok(vec![with_login("a", 1)])),
            ("@a:1", "", "http://h/", bad.clone()),
            ("a#b:1", "", "http://h/", bad.clone()),
            ("a\nb", "", "http://h/", bad.clone()),
            ("a/b", "", "http://h/", bad.clone()),
            ("p:1", "h", "http://h/", Ok(vec![Via::Direct])),
            ("p:1", "x *.example.org", "http://a.example.org/", Ok(vec![Via::Direct])),
            ("p:1", "*.example.org", "http://example.com/", Ok(vec![proxy("p", 1)])),
            ("p:1", "<local>", "http://intranet/", Ok(vec![Via::Direct])),
            ("p:1", "<local>", "http://a.b/", Ok(vec![proxy("p", 1)])),
            ("p:1", "*", "http://a.b/", Ok(vec![Via::Direct])),
        ];
        for (text, bypass, url, expected) in cases {
            assert_eq!(list(text, bypass, url), expected, "{text} / {bypass} / {url}");
        }
    }

    #[test]
    fn environment_settings() {
        let proxy = Proxy::Environment {
            http: Some("http://user:pass@p:3128".into()),
            https: Some("q:8080".into()),
            all: None,
            no: Some("localhost,.corp".into()),
        };
        let go = |url: &str| routes(&proxy, &Url::parse(url).unwrap()).unwrap().remove(0);
        assert_eq!(
            go("http://h/"),
            Via::Proxy { host: "p".into(), port: 3128, login: Some(Pair::of_userinfo("user:pass")) }
        );
        assert_eq!(go("https://h/"), Via::Proxy { host: "q".into(), port: 8080, login: None });
        assert_eq!(go("https://x.corp/"), Via::Direct);
        assert_eq!(go("http://localhost/"), Via::Direct);
        let nobody =
            Proxy::Environment { http: None, https: None, all: Some("user:pass@:1".into()), no: None };
        let fail = routes(&nobody, &Url::parse("http://h/").unwrap()).unwrap_err();
        assert_eq!(fail.code, BG_E_INVALID_PROXY_INFO);
        let socks =
            Proxy::Environment { http: None, https: None, all: Some("socks5://s:1".into()), no: None };
        let fail = routes(&socks, &Url::parse("http://h/").unwrap()).unwrap_err();
        assert_eq!(fail.code, BG_E_INVALID_PROXY_INFO);
    }
}
