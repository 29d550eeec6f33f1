//! Where a redirect leads, and what never goes with it (spec/behaviour.md 18.3).

use super::{Fail, Limits};
use crate::ErrorContext;
use crate::classify::Class;
use crate::hresult::{
    E_INVALIDARG, ERROR_WINHTTP_INVALID_URL, ERROR_WINHTTP_REDIRECT_FAILED,
    ERROR_WINHTTP_UNRECOGNIZED_SCHEME, HResult,
};
use crate::remote;
use url::Url;

fn refuse(code: HResult, detail: &str) -> Box<Fail> {
    Box::new(Fail {
        code,
        context: ErrorContext::RemoteFile,
        class: Class::Fatal,
        retry_after_ms: None,
        discard: false,
        detail: detail.to_owned(),
    })
}

/// The caller's URL, ready to be asked.
pub(super) fn parse(text: &str) -> Result<Url, Box<Fail>> {
    let unreadable = |_| refuse(ERROR_WINHTTP_INVALID_URL, "The URL cannot be read.");
    let known = ["http://", "https://", "smb://", "file://"];
    let begins = |scheme: &&str| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
    if !text.starts_with(['/', '\\']) && !known.iter().any(begins) {
        let url =
            Url::parse(text).map_err(|_| refuse(ERROR_WINHTTP_INVALID_URL, "The URL cannot be read."))?;
        let detail = format!("`{}:` is none of http, https, smb and file.", url.scheme());
        return Err(refuse(ERROR_WINHTTP_UNRECOGNIZED_SCHEME, &detail));
    }
    // Stored names may be older than the present rules for them.
    if begins(&known[0]) || begins(&known[1]) {
        let mut url =
            Url::parse(text).map_err(|_| refuse(ERROR_WINHTTP_INVALID_URL, "The URL cannot be read."))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse(ERROR_WINHTTP_INVALID_URL, "The URL names no host."));
        }
        url.set_fragment(None);
        return Ok(url);
    }
    remote::canonical(text).map_err(unreadable)
}

/// The target of a redirect. Credentials in it are dropped: they are the server's wish, not the caller's.
pub(super) fn follow(from: &Url, location: &str, visited: &[Url], limits: Limits) -> Result<Url, Box<Fail>> {
    let failed = |detail: &str| refuse(ERROR_WINHTTP_REDIRECT_FAILED, detail);
    let mut url =
        from.join(location).map_err(|_| failed("The server redirects to an address that cannot be read."))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(
            E_INVALIDARG,
            "The server redirects to something that is neither http nor https.",
        ));
    }
    url.set_fragment(None);
    if url.host_str().is_none_or(str::is_empty)
        || url.set_username("").is_err()
        || url.set_password(None).is_err()
    {
        return Err(failed("The server redirects to an address without a host."));
    }
    if from.scheme() == "https" && url.scheme() == "http" && !limits.allow_https_to_http {
        return Err(failed("The server redirects from https to plain http, which this job does not allow."));
    }
    if visited.len() >= limits.max_redirects as usize {
        return Err(failed("The server redirects too often."));
    }
    if url == *from || visited.contains(&url) {
        return Err(failed("The server redirects in a circle."));
    }
    Ok(url)
}

/// Without query, fragment and credentials.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for URLs without a host, which are never built here.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Path and query for the wire: the caller's own spelling if it is legal there, else the normalised form.
pub(super) fn target(text: &str, original: &Url, current: &Url) -> String {
    if current == original
        && let Some(raw) = raw_target(text)
    {
        return raw;
    }
    match current.query() {
        Some(query) => format!("{}?{query}", current.path()),
        None => current.path().to_owned(),
    }
}

fn raw_target(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let rest = rest.split('#').next()?;
    let start = rest.find(['/', '?'])?;
    let raw = &rest[start..];
    let legal = raw.bytes().all(|b| {
        b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'}' | b'|')
    });
    (legal && raw.starts_with('/')).then(|| raw.to_owned())
}
