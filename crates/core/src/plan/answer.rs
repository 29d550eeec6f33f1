//! The head of an answer, and the few headers that a download reads.

use super::Fail;
use crate::hresult::{BG_E_INSUFFICIENT_RANGE_SUPPORT, BG_E_INVALID_SERVER_RESPONSE};

/// How the end of the body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1 with `Content-Length`.
    Length(u64),
    /// HTTP/1 chunked: the end is certain, the length is not told.
    Chunked,
    /// HTTP/1 without either: ends with the connection.
    UntilClose,
    /// HTTP/2: the end is certain; perhaps with `content-length`.
    Stream(Option<u64>),
}

/// Status, framing and header fields of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// HTTP status.
    pub status: u16,
    /// How the body ends.
    pub framing: Framing,
    /// Fields in the order received, names in lower case.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// `Content-Range: bytes first-last/total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) total: Option<u64>,
}

/// Longest entity tag that is kept, in bytes.
const MAX_ETAG: usize = 1024;

impl<'a> Head<'a> {
    /// The value of a field that appears once (or several times with the same value) and is ASCII.
    pub(super) fn one(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.iter().filter(|(n, _)| *n == name).map(|(_, value)| *value);
        let first = values.next()?;
        if values.any(|other| other != first) || !first.is_ascii() {
            return None;
        }
        std::str::from_utf8(first).ok().map(str::trim)
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| *n == name)
    }

    /// The strong entity tag, quotes included.
    pub(super) fn strong_etag(&self) -> Option<&'a str> {
        let tag = self.one("etag")?;
        let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
        let legal = inner.bytes().all(|b| b == b'!' || (0x23..=0x7E).contains(&b));
        (tag.len() <= MAX_ETAG && legal).then_some(tag)
    }

    /// `Last-Modified` as written, if it is a date.
    pub(super) fn last_modified(&self) -> Option<&'a str> {
        self.one("last-modified").filter(|text| date_s(text).is_some())
    }

    /// `Last-Modified`, seconds since 1970.
    pub(super) fn modified_s(&self) -> Option<i64> {
        self.one("last-modified").and_then(date_s)
    }

    /// `Date`, seconds since 1970.
    pub(super) fn date_s(&self) -> Option<i64> {
        self.one("date").and_then(date_s)
    }

    /// Some header says which version this is, even weakly.
    pub(super) fn identifies_version(&self) -> bool {
        self.has("etag") || self.has("last-modified")
    }

    /// Media type without parameters, in lower case.
    pub(super) fn media_type(&self) -> Option<String> {
        let value = self.one("content-type")?;
        Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
    }

    pub(super) fn is_multipart(&self) -> bool {
        self.media_type().is_some_and(|media| media.starts_with("multipart/"))
    }

    /// The body must be the file's own bytes: any coding but identity is refused, since its bytes are not the file's.
    pub(super) fn check_encoding(&self) -> Result<(), Box<Fail>> {
        let coded = |name: &str, plain: &[&str]| {
            self.headers.iter().filter(|(n, _)| *n == name).any(|(_, value)| {
                match std::str::from_utf8(value) {
                    Ok(text) => text
                        .split(',')
                        .map(str::trim)
                        .any(|part| !part.is_empty() && !plain.iter().any(|p| p.eq_ignore_ascii_case(part))),
                    Err(_) => true,
                }
            })
        };
        if coded("content-encoding", &["identity"]) || coded("transfer-encoding", &["chunked", "identity"]) {
            return Err(Box::new(Fail::new(
                BG_E_INVALID_SERVER_RESPONSE,
                "The server encoded the content although only identity was accepted.",
            )));
        }
        Ok(())
    }

    /// Length of the body by its framing. 204 has none, and so need not tell (RFC 9110 15.3.5).
    pub(super) fn declared_length(&self) -> Option<u64> {
        match self.framing {
            Framing::Stream(None) if self.status == 204 => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Stream(length) => length,
            Framing::Chunked | Framing::UntilClose => None,
        }
    }

    /// What has no body by its status has none by its framing either.
    pub(super) fn is_consistent(&self) -> bool {
        self.status != 204 || self.declared_length() == Some(0)
    }

    /// Length of the file by a 200 answer. A `Content-Range` in it must say "all of it", or the answer is really a part.
    pub(super) fn whole_length(&self) -> Result<Option<u64>, Box<Fail>> {
        let length = self.declared_length();
        if !self.has("content-range") {
            return length.map(checked).transpose();
        }
        match self.content_range() {
            Some(ContentRange { first: 0, last, total: Some(total) })
                if last + 1 == total && length.is_none_or(|length| length == total) =>
            {
                Ok(Some(total))
            }
            _ => Err(Box::new(Fail::new(
                BG_E_INSUFFICIENT_RANGE_SUPPORT,
                "The server says that the answer is the whole file, but its Content-Range says otherwise.",
            ))),
        }
    }

    /// A satisfied `Content-Range` that makes sense in itself.
    pub(super) fn content_range(&self) -> Option<ContentRange> {
        let spec = bytes_unit(self.one("content-range")?)?;
        let (range, total) = spec.split_once('/')?;
        let (first, last) = range.trim().split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)?),
        };
        let sane =
            first <= last && last < MAX_SIZE && total.is_none_or(|total| last < total && total <= MAX_SIZE);
        sane.then_some(ContentRange { first, last, total })
    }

    /// The size in `Content-Range: bytes */size` of a 416 answer.
    pub(super) fn unsatisfied_total(&self) -> Option<u64> {
        let spec = bytes_unit(self.one("content-range")?)?;
        number(spec.trim().strip_prefix("*/")?)
    }

    /// `Retry-After`: seconds, or a date against the answer's own `Date` (else `now_s`); in the past means now.
    pub(crate) fn retry_after_ms(&self, now_s: i64) -> Option<u64> {
        let value = self.one("retry-after")?;
        if let Some(seconds) = value.bytes().all(|b| b.is_ascii_digit()).then_some(value) {
            // More digits than fit are simply very long.
            return (!seconds.is_empty()).then(|| seconds.parse().unwrap_or(u64::MAX).saturating_mul(1000));
        }
        let seconds = date_s(value)?.saturating_sub(self.date_s().unwrap_or(now_s));
        Some(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
    }
}

/// Largest file: what a file offset can hold.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64;

fn checked(length: u64) -> Result<u64, Box<Fail>> {
    if length <= MAX_SIZE {
        return Ok(length);
    }
    Err(Box::new(Fail::new(BG_E_INVALID_SERVER_RESPONSE, "The announced length is impossible.")))
}

fn bytes_unit(value: &str) -> Option<&str> {
    let (unit, rest) = value.split_at_checked(5)?;
    (unit.eq_ignore_ascii_case("bytes") && rest.starts_with([' ', '\t', '='])).then(|| rest[1..].trim())
}

/// Decimal digits only: no sign, no space inside.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// An HTTP date in any of its three forms, seconds since 1970.
pub(super) fn date_s(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
