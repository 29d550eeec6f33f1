//! Where the reply is (spec/upload-protocol.md 14).

use super::super::{Target, UploadState};
use url::Url;

/// The addresses to try, in order: at the host that took the final fragment, then at the caller's. None: the reply is empty.
pub(super) fn addresses(target: &Target, state: &UploadState) -> Vec<String> {
    let Some(given) = &state.reply_url else { return Vec::new() };
    let mut found = Vec::new();
    for host in [state.host.as_deref(), None] {
        if let Some(url) = resolve(&target.at(host).0, given)
            && !found.contains(&url)
        {
            found.push(url);
        }
    }
    found
}

/// Absolute, or relative to the folder of the destination; backslashes are slashes, and braces are escaped.
fn resolve(destination: &Url, given: &str) -> Option<String> {
    let text = given.replace('\\', "/").replace('{', "%7B").replace('}', "%7D");
    let mut base = destination.clone();
    base.set_query(None);
    let url = base.join(&text).ok()?;
    // Nothing a server says makes us read a local file, or leave https.
    let safe = matches!(url.scheme(), "http" | "https")
        && !(destination.scheme() == "https" && url.scheme() == "http")
        && url.host_str().is_some_and(|host| !host.is_empty());
    safe.then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_reply_urls_with_braces_and_backslashes() {
        let at = |url: &str, given: &str| resolve(&Url::parse(url).unwrap(), given);
        for (url, given, expected) in [
            (
                "http://h/vd/file.txt?x=1",
                r"BITS-Sessions\Replies\{3B0C}\responsefile.bin",
                Some("http://h/vd/BITS-Sessions/Replies/%7B3B0C%7D/responsefile.bin"),
            ),
            ("http://h/vd/file.txt", "/r/1", Some("http://h/r/1")),
            ("http://h/vd/file.txt", "https://n/r/1", Some("https://n/r/1")),
            ("https://h/vd/file.txt", "http://n/r/1", None),
            ("http://h/vd/file.txt", "file:///etc/passwd", None),
        ] {
            assert_eq!(at(url, given).as_deref(), expected, "{given}");
        }
    }
}
