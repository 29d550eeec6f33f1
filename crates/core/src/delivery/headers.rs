//! Header texts of Delivery Optimization clients (spec/delivery-optimization-com.md 4.4, HttpCustomHeaders).
//!
//! What ends a line is not written down anywhere: CR LF and LF are taken. A line without a colon (`Name=value`) is seen in the wild and
//! means nothing. Ordinary jobs keep their strict rule, [`crate::job::http::parse_headers`], and what leaves here is put before it.

/// The text as an ordinary job takes it: every line that has a colon, each ended by CR LF. Everything else of a line stays as it is.
pub fn normalize(text: &str) -> String {
    let mut lines = String::with_capacity(text.len());
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(':') {
            lines.push_str(line);
            lines.push_str("\r\n");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enums::JobType;
    use crate::hresult as h;
    use crate::job::http::{HEADERS_MAX, parse_headers};

    #[test]
    fn lines_end_as_they_like_and_those_without_a_colon_are_left_out() {
        for (given, taken) in [
            ("", ""),
            ("\n", ""),
            ("\r\n\r\n", ""),
            ("A: b", "A: b\r\n"),
            ("A: b\n", "A: b\r\n"),
            ("A: b\r\n", "A: b\r\n"),
            ("A: b\nC: d\n", "A: b\r\nC: d\r\n"),
            ("A: b\r\nC: d", "A: b\r\nC: d\r\n"),
            ("A: b\n\r\n\nC: d\r\n", "A: b\r\nC: d\r\n"),
            ("Name=value\n", ""),
            ("Name=value\nA: b\nOther", "A: b\r\n"),
            ("A:\n", "A:\r\n"),
            ("A: http://h/\n", "A: http://h/\r\n"),
        ] {
            assert_eq!(normalize(given), taken, "{given:?}");
            assert_eq!(normalize(taken), taken, "what was taken is taken again");
            assert!(parse_headers(taken, JobType::Download).is_ok(), "{taken:?}");
        }
    }

    /// What the ordinary rule forbids is not made legal.
    #[test]
    fn the_ordinary_rule_still_holds() {
        let long = format!("A: {}\n", "x".repeat(HEADERS_MAX));
        for (given, code) in [
            (": b\n", h::E_INVALIDARG),
            ("A: b\rC: d\n", h::E_INVALIDARG),
            ("A: b\n folded: c\n", h::E_INVALIDARG),
            ("Host: h\n", h::E_INVALIDARG),
            ("A: \0\n", h::E_INVALIDARG),
            (&long, h::BG_E_STRING_TOO_LONG),
        ] {
            assert_eq!(parse_headers(&normalize(given), JobType::Download), Err(code), "{given:.20}");
        }
    }
}
