//! What is uploaded where.

use super::SourceMark;
use crate::plan::{self, Fail};
use std::fmt::Write as _;
use url::Url;

/// Longest `Content-Name`, in characters (spec/upload-protocol.md 13).
const NAME_MAX: usize = 260;

/// The job's file, its URL, and what is wanted back.
#[derive(Clone, Debug)]
pub struct Target {
    text: String,
    url: Url,
    /// The source.
    pub source: SourceMark,
    /// Its name without path, safe for a header.
    pub name: String,
    /// An upload-reply job.
    pub wants_reply: bool,
}

impl Target {
    /// `url` as the caller gave it; `name` as the file is called.
    ///
    /// # Errors
    /// The URL is not an absolute http or https URL.
    pub fn new(url: &str, source: SourceMark, name: &str, wants_reply: bool) -> Result<Self, Box<Fail>> {
        let parsed = plan::parse_url(url)?;
        Ok(Self { text: url.to_owned(), url: parsed, source, name: header_name(name), wants_reply })
    }

    /// The URL, credentials included.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Bytes of the source.
    pub const fn size(&self) -> u64 {
        self.source.size
    }

    /// For people: without query and credentials.
    pub fn shown(&self) -> String {
        plan::shown_url(&self.url)
    }

    /// The URL without credentials, with another host if one is given, and the caller's spelling of path and query.
    pub(super) fn at(&self, host: Option<&str>) -> (Url, String) {
        let mut url = self.url.clone();
        let target = plan::wire_target(&self.text, &self.url);
        // Both fail only for URLs without a host, which are refused at the beginning.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        if let Some(host) = host {
            let bracketed = host.contains(':') && !host.starts_with('[');
            let _ = url.set_host(Some(&if bracketed { format!("[{host}]") } else { host.to_owned() }));
        }
        (url, target)
    }

    /// True if credentials for the caller's host may go to this host too: it is the same, or a name below it.
    pub(super) fn trusts(&self, host: &str) -> bool {
        let own = self.url.host_str().unwrap_or_default();
        host.eq_ignore_ascii_case(own)
            || (own.contains('.')
                && own.parse::<std::net::IpAddr>().is_err()
                && host.to_ascii_lowercase().ends_with(&format!(".{}", own.to_ascii_lowercase())))
    }

    /// True if credentials may go to this URL: same scheme and port, and a host that is trusted.
    pub(super) fn trusts_url(&self, url: &Url) -> bool {
        url.scheme() == self.url.scheme()
            && url.port_or_known_default() == self.url.port_or_known_default()
            && url.host_str().is_some_and(|host| self.trusts(host))
    }
}

/// Percent-encoded where a header or the specification's list of characters demands it.
fn header_name(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        let plain = byte.is_ascii_graphic() && !b"\\/:*?\"<>|%".contains(&byte);
        if plain || byte == b' ' {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out.truncate(NAME_MAX);
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        let source = SourceMark { size: 1, modified_s: 0, modified_ns: 0, inode: 1, device: 1 };
        Target::new(url, source, "ü/a b.txt", false).unwrap()
    }

    #[test]
    fn another_host_keeps_scheme_port_path_and_query() {
        let t = target("https://u:p@drop.example.net:8443/a%2fb/c?x=1#frag");
        assert_eq!(t.name, "%C3%BC%2Fa b.txt");
        let (url, wire) = t.at(Some("node7.drop.example.net"));
        assert_eq!(url.as_str(), "https://node7.drop.example.net:8443/a%2fb/c?x=1");
        assert_eq!(wire, "/a%2fb/c?x=1");
        assert_eq!(t.at(Some("2001:db8::1")).0.host_str(), Some("[2001:db8::1]"));
        assert_eq!(t.at(None).0.as_str(), "https://drop.example.net:8443/a%2fb/c?x=1");
    }

    #[test]
    fn credentials_stay_below_the_callers_host() {
        let t = target("https://drop.example.net/");
        for (host, trusted) in [
            ("drop.example.net", true),
            ("node7.Drop.Example.net", true),
            ("example.net", false),
            ("evildrop.example.net", false),
            ("drop.example.net.evil", false),
        ] {
            assert_eq!(t.trusts(host), trusted, "{host}");
        }
        assert!(!target("http://10.0.0.1/").trusts("x.10.0.0.1"));
        assert!(!target("http://localhost/").trusts("x.localhost"));
    }
}
