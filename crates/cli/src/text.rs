//! Words for people: times, sizes, safe texts.

use openbits_api::RangeView;
use std::io::Write;
use url::Url;

/// Writes lines to standard error. A standard error that is gone is nobody's problem.
pub(crate) fn note<I: IntoIterator<Item = S>, S: AsRef<str>>(lines: I) {
    let mut out = std::io::stderr().lock();
    for line in lines {
        let _ = writeln!(out, "{}", line.as_ref());
    }
}

/// A text from elsewhere, without anything that a terminal would obey: control and direction characters are shown escaped.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let directs =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || directs || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// A URL without its secrets: query, fragment, user and password.
pub(crate) fn redact_url(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else {
        return url.split(['?', '#']).next().unwrap_or_default().to_owned();
    };
    if parsed.query().is_some() {
        parsed.set_query(Some("…"));
    }
    parsed.set_fragment(None);
    // Fails only for URLs that have no host, and so no user.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.as_str().replace("?%E2%80%A6", "?…")
}

/// The same for every URL inside a sentence.
pub(crate) fn redact_urls_in(text: &str) -> String {
    let redact = |word: &str| match word.find("://") {
        Some(_) => redact_url(word),
        None => word.to_owned(),
    };
    text.split(' ').map(redact).collect::<Vec<_>>().join(" ")
}

/// Local time with its offset: `2026-03-01 14:05:09+01:00`.
pub(crate) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| format!("{ms} ms"),
        |t| t.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string(),
    )
}

/// Bytes with a binary unit: `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// `1.5 MiB / 3 MiB`, `1.5 MiB / unknown`; never a percent of nothing (spec/behaviour.md 15).
pub(crate) fn progress(done: u64, total: Option<u64>) -> String {
    format!("{} / {}", bytes(done), total.map_or_else(|| "unknown".to_owned(), bytes))
}

/// `offset:length` of a range; the length may be `eof` (spec/tools.md A2).
pub(crate) fn range(text: &str) -> Result<RangeView, String> {
    let bad = || format!("`{text}` is not offset:length");
    let (offset, length) = text.split_once(':').ok_or_else(bad)?;
    let offset = offset.parse().map_err(|_| bad())?;
    let length = match length {
        eof if eof.eq_ignore_ascii_case("eof") => None,
        number => Some(number.parse().map_err(|_| bad())?),
    };
    Ok(RangeView { offset, length })
}

/// A range as it is read.
pub(crate) fn range_shown(range: &RangeView) -> String {
    match range.length {
        Some(length) => format!("{}:{length}", range.offset),
        None => format!("{}:eof", range.offset),
    }
}

/// Seconds, or a number with `s`, `m`, `h` or `d`.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let bad = || format!("`{text}` is not a number of seconds (or e.g. 10m, 2h, 1d)");
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    digits.parse::<u32>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(clean("a\x1b[2J\nb\u{202e}c\u{9b}ü"), "a\\u{1b}[2J\\u{a}b\\u{202e}c\\u{9b}ü");
    }

    #[test]
    fn urls_lose_their_secrets() {
        assert_eq!(redact_url("https://u:p@h/a/b?token=1#x"), "https://h/a/b?…");
        assert_eq!(redact_url("http://h/a"), "http://h/a");
        assert_eq!(redact_url("not a url?secret"), "not a url");
        assert_eq!(redact_urls_in("GET http://h/a?s=1 failed"), "GET http://h/a?… failed");
    }

    #[test]
    fn durations() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("2h"), Ok(7_200));
        assert_eq!(seconds("1d"), Ok(86_400));
        for bad in ["", "m", "-1", "1w", "99999999d", "1.5", "é"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_totals_have_no_number() {
        assert_eq!(progress(1536, None), "1.50 KiB / unknown");
        assert_eq!(progress(0, Some(0)), "0 B / 0 B");
    }
}
