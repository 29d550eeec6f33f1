//! Values of the headers (spec/upload-protocol.md 3).

use super::{MAX_PROTOCOLS, PROTOCOL};
use crate::{ErrorContext, HResult};
use std::fmt;

/// Value of `Content-Range` in a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes first-last/total` with `first <= last`; offsets in the destination file, both ends included.
    Span {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
        /// Size of the whole file.
        total: u64,
    },
    /// `bytes */0` or `bytes 0-0/0`: the whole of an empty file (section 10.2).
    Empty,
}

impl ContentRange {
    /// Parses the value. `length` is the request's Content-Length: it tells `0-0/0` of an empty file from a bad range.
    ///
    /// Only the form is checked, and `first <= last`; `last < total` and the length are for [`super::fragment`].
    pub fn parse(value: &[u8], length: u64) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
        let (unit, rest) = text.split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (span, total) = rest.trim_matches([' ', '\t']).split_once('/')?;
        let total = decimal(total)?;
        if span == "*" {
            return (total == 0 && length == 0).then_some(Self::Empty);
        }
        let (first, last) = span.split_once('-')?;
        let (first, last) = (decimal(first)?, decimal(last)?);
        if (first, last, total, length) == (0, 0, 0, 0) {
            return Some(Self::Empty);
        }
        (first <= last).then_some(Self::Span { first, last, total })
    }

    /// Size of the whole file.
    pub const fn total(self) -> u64 {
        match self {
            Self::Span { total, .. } => total,
            Self::Empty => 0,
        }
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span { first, last, total } => write!(f, "bytes {first}-{last}/{total}"),
            Self::Empty => f.write_str("bytes */0"),
        }
    }
}

/// An unsigned decimal number without sign; no more than 20 digits and no overflow.
pub fn decimal(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// [`decimal`] of a header value, blanks around it removed.
pub fn decimal_value(value: &[u8]) -> Option<u64> {
    decimal(std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']))
}

/// True if the list of protocols contains ours; entries are separated by blanks or commas, case does not matter.
pub fn speaks_our_protocol(list: &[u8]) -> bool {
    list.split(|b| matches!(b, b' ' | b'\t' | b','))
        .filter(|entry| !entry.is_empty())
        .take(MAX_PROTOCOLS)
        .any(|entry| entry.eq_ignore_ascii_case(PROTOCOL.as_bytes()))
}

/// An HRESULT in hexadecimal; `0x` is optional, any case, at most 8 digits.
pub fn hresult(value: &[u8]) -> Option<HResult> {
    hexadecimal(value).and_then(|bits| u32::try_from(bits).ok()).map(HResult::from_bits)
}

/// `BITS-Error-Context`: any value of the enumeration is understood, though only 0x5 and 0x7 travel.
pub fn context(value: &[u8]) -> Option<ErrorContext> {
    hexadecimal(value).and_then(|bits| ErrorContext::from_value(i64::try_from(bits).ok()?))
}

fn hexadecimal(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let good = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if good { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// True if the text can be a host id: a host name or an IP address, without scheme, port or path (section 12).
pub fn is_host_id(text: &str) -> bool {
    if text.is_empty() || text.len() > super::MAX_HOST_ID {
        return false;
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Some(address) = bare {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    text.parse::<std::net::Ipv6Addr>().is_ok()
        || text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}
