//! Names of cache hosts, and URLs at them (spec/delivery-optimization-linux-agent.md 8.1, 8.2).

use std::net::Ipv6Addr;

/// Longest name of a cache host, in bytes.
pub const HOST_MAX: usize = 255;
/// Most cache hosts of a list.
pub const HOSTS_MAX: usize = 16;

/// A name or address, and a port.
struct Parts<'a> {
    host: std::borrow::Cow<'a, str>,
    port: Option<&'a str>,
}

fn parse(text: &str) -> Option<Parts<'_>> {
    let text = text.trim();
    if text.len() > HOST_MAX {
        return None;
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some(Parts { host: format!("[{text}]").into(), port: None });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse().is_ok_and(|n: u16| n > 0);
    if !port.is_none_or(is_port) {
        return None;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let named = !host.is_empty() && host.bytes().all(plain);
    let numbered = || {
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
    };
    (named || numbered()).then_some(Parts { host: host.into(), port })
}

/// A usable cache host: a name or an address, with a port where one is given; an IPv6 address comes out in brackets.
pub fn host_and_port(text: &str) -> Option<String> {
    let parts = parse(text)?;
    Some(match parts.port {
        Some(port) => format!("{}:{port}", parts.host),
        None => parts.host.into_owned(),
    })
}

/// The usable hosts of a comma list, in its order, without their ports (8.1): the agent keeps to the port of the URL.
pub fn hosts_of_list(text: &str) -> Vec<String> {
    let hosts = text.split(',').filter_map(|one| Some(parse(one)?.host.into_owned()));
    hosts.take(HOSTS_MAX).collect()
}

/// The value of `GatewayHostName=` of a connection string, up to `;` or its end.
pub fn gateway_of(connection: &str) -> Option<&str> {
    connection.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("GatewayHostName").then_some(value)
    })
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

/// The URL names a port.
pub fn has_port(url: &str) -> bool {
    let authority = authority(url).1;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.len() > host_of(url).len()
}

/// Scheme with its slashes, authority, and the rest.
fn authority(url: &str) -> (&str, &str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    (&url[..start], &url[start..end], &url[end..])
}

/// The URL at the cache host: everything is kept but the host (and the user, who is known to the origin only), and the origin is named.
/// The port is the cache host's, if it has one, else the URL's.
pub fn rewrite(url: &str, cache: &str) -> String {
    let (scheme, authority, rest) = authority(url);
    let origin = host_of(url);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let own_port = host_of(cache).len() < cache.len();
    let port = if own_port { "" } else { host.strip_prefix(origin).unwrap_or_default() };
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let mark = match rest.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{scheme}{cache}{port}{slash}{rest}{mark}cacheHostOrigin={origin}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_at_the_cache_host() {
        for (url, cache, there) in [
            ("http://dl.example/f?a=b", "mcc1", "http://mcc1/f?a=b&cacheHostOrigin=dl.example"),
            ("https://dl.example:8443/f", "mcc1", "https://mcc1:8443/f?cacheHostOrigin=dl.example"),
            ("http://u:p@dl.example/f?", "mcc1", "http://mcc1/f?cacheHostOrigin=dl.example"),
            ("http://dl.example", "mcc1", "http://mcc1/?cacheHostOrigin=dl.example"),
            ("http://dl.example?x#y", "mcc1", "http://mcc1/?x&cacheHostOrigin=dl.example"),
            ("http://[::1]:80/f", "mcc1", "http://mcc1:80/f?cacheHostOrigin=[::1]"),
            ("http://dl.example:81/f", "mcc1:8080", "http://mcc1:8080/f?cacheHostOrigin=dl.example"),
            ("https://dl.example/f", "[fd00::1]:8443", "https://[fd00::1]:8443/f?cacheHostOrigin=dl.example"),
            ("http://dl.example:81/f", "[fd00::1]", "http://[fd00::1]:81/f?cacheHostOrigin=dl.example"),
        ] {
            assert_eq!(rewrite(url, cache), there);
        }
    }

    #[test]
    fn hosts_of_a_policy() {
        for (text, host) in [
            (" mcc ", "mcc"),
            ("10.0.0.1:8080", "10.0.0.1:8080"),
            ("fd00::1", "[fd00::1]"),
            ("[fd00::1]", "[fd00::1]"),
            ("[fd00::1]:80", "[fd00::1]:80"),
        ] {
            assert_eq!(host_and_port(text).as_deref(), Some(host));
        }
        let long = "h".repeat(HOST_MAX + 1);
        for bad in [
            "", ",", "a,b", "a b", "a/b", "u@h", "http://h", "a\r\nb", "h:", "h:0", "h:65536", "h:+1", "h:x",
            ":80", "[x]:80", "[::1]x", "[::1", &long,
        ] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_of_the_agent() {
        assert_eq!(hosts_of_list("10.0.0.1:8080, other ,,u@h,fd00::1"), ["10.0.0.1", "other", "[fd00::1]"]);
        for bad in ["", ",x y", "a b", "a/b", "u@h", "a\r\nb"] {
            assert_eq!(hosts_of_list(bad), [""; 0], "{bad}");
        }
        assert_eq!(hosts_of_list(&"h,".repeat(HOSTS_MAX + 1)).len(), HOSTS_MAX);
        assert_eq!(gateway_of("HostName=h;DeviceId=d;GatewayHostName=10.1.1.1"), Some("10.1.1.1"));
        assert_eq!(gateway_of("HostName=h;gatewayhostname=g;SharedAccessKey=a=="), Some("g"));
        assert_eq!(gateway_of("HostName=h"), None);
    }
}
