//! Where a notification goes.

use std::path::PathBuf;
use url::Url;

/// How the back-end is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// One notification's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) way: Way,
    /// Value of `Host`.
    pub(super) host: String,
    /// Path and query.
    pub(super) path: String,
}

impl Target {
    /// `configured` is absolute, relative to the destination URL, or `unix:/socket:/path`; the destination's query is
    /// appended (section 15.4).
    pub(super) fn resolve(configured: &str, destination: &str) -> Result<Self, String> {
        let destination = Url::parse(destination).map_err(|e| format!("{destination}: {e}"))?;
        let query = destination.query();
        if let Some(rest) = configured.strip_prefix("unix:") {
            let (socket, path) = rest.split_once(':').unwrap_or((rest, "/"));
            let path = join(path, query);
            return Ok(Self { way: Way::Unix(PathBuf::from(socket)), host: "localhost".to_owned(), path });
        }
        let url = destination.join(configured).map_err(|e| format!("{configured}: {e}"))?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("{other} is not supported")),
        };
        let name = url.host_str().ok_or("the notification URL has no host")?;
        let port = url.port_or_known_default().ok_or("the notification URL has no port")?;
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let own = url.query().map_or_else(|| url.path().to_owned(), |own| format!("{}?{own}", url.path()));
        let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { way: Way::Tcp { host: bare, port, tls }, host, path: join(&own, query) })
    }
}

fn join(path: &str, query: Option<&str>) -> String {
    match query {
        None => path.to_owned(),
        Some(query) if path.contains('?') => format!("{path}&{query}"),
        Some(query) => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(configured: &str, destination: &str) -> (Way, String, String) {
        let target = Target::resolve(configured, destination).unwrap();
        (target.way, target.host, target.path)
    }

    #[test]
    fn the_examples_of_section_15_4() {
        let (way, host, path) = target("http://other/vd2/bag.asp", "https://drop/vd/file.asp?ACCOUNT=86433");
        assert_eq!(way, Way::Tcp { host: "other".to_owned(), port: 80, tls: false });
        assert_eq!((host.as_str(), path.as_str()), ("other", "/vd2/bag.asp?ACCOUNT=86433"));
        let (way, host, path) = target("myasp.asp", "https://drop:8443/myvdir/file.txt");
        assert_eq!(way, Way::Tcp { host: "drop".to_owned(), port: 8443, tls: true });
        assert_eq!((host.as_str(), path.as_str()), ("drop:8443", "/myvdir/myasp.asp"));
    }

    #[test]
    fn sockets_and_queries() {
        let (way, host, path) = target("unix:/run/app.sock:/hook?a=1", "http://drop/f?b=2");
        assert_eq!(
            (way, host.as_str(), path.as_str()),
            (Way::Unix("/run/app.sock".into()), "localhost", "/hook?a=1&b=2")
        );
        assert!(Target::resolve("ftp://x/", "http://drop/f").is_err());
        let (way, ..) = target("http://[::1]:81/", "http://drop/f");
        assert_eq!(way, Way::Tcp { host: "::1".to_owned(), port: 81, tls: false });
    }
}
