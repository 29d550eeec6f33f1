//! The answer of a server that does everything right (RFC 9110; spec upload-protocol 20.1).

use super::file::OriginFile;
use super::plan::{Fields, Plan, Step};
use super::request::Request;

/// Most ranges answered in one request; more count as no `Range` at all.
const RANGE_LIMIT: usize = 64;
/// Boundary of multipart answers.
pub(crate) const BOUNDARY: &str = "openbits-boundary-7f3a";

/// What the `Range` header of a request means for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Absent, malformed, of another unit, or void by `If-Range`: the whole file.
    Whole,
    /// Half-open ranges inside the file, as asked, at least one.
    Ranges(Vec<(u64, u64)>),
    /// No range lies inside the file.
    Unsatisfiable,
}

/// The right answer to `request` for `file`.
pub(crate) fn answer(request: &Request, file: &OriginFile) -> Plan {
    let head = request.is_head();
    if !head && request.method != "GET" && !file.any_method {
        return Plan::text(
            Fields::new(405).with("Allow", "GET, HEAD"),
            "text/plain",
            "only GET and HEAD\n",
            head,
        );
    }
    if let Some(status) = precondition(request, file) {
        return match status {
            304 => Plan::new(validators(Fields::new(304), file), Vec::new()),
            _ => {
                Plan::text(validators(Fields::new(status), file), "text/plain", "precondition failed\n", head)
            }
        };
    }
    match wanted(request, file) {
        Wanted::Whole => whole(request, file),
        Wanted::Ranges(ranges) if ranges.len() == 1 => partial(request, file, ranges[0]),
        Wanted::Ranges(ranges) => multipart(request, file, &ranges),
        Wanted::Unsatisfiable => {
            let fields = Fields::new(416).with("Content-Range", format!("bytes */{}", file.size()));
            Plan::text(fields, "text/plain", "no such range\n", head)
        }
    }
}

/// 200 with everything.
pub(crate) fn whole(request: &Request, file: &OriginFile) -> Plan {
    let fields = common(Fields::new(200), file).with("Content-Length", file.size().to_string());
    Plan::new(fields, body(request, file, 0, file.size()))
}

/// 206 with one range.
pub(crate) fn partial(request: &Request, file: &OriginFile, (start, end): (u64, u64)) -> Plan {
    let fields = common(Fields::new(206), file)
        .with("Content-Range", content_range(start, end, file.size()))
        .with("Content-Length", (end - start).to_string());
    Plan::new(fields, body(request, file, start, end))
}

/// 206 with several ranges (or, as a fault, one) as multipart/byteranges.
pub(crate) fn multipart(request: &Request, file: &OriginFile, ranges: &[(u64, u64)]) -> Plan {
    let mut steps = Vec::new();
    let mut length = 0;
    let text = |steps: &mut Vec<Step>, text: String| {
        let size = u64::try_from(text.len()).expect("a length in memory fits 64 bits");
        steps.push(Step::Bytes(text.into_bytes()));
        size
    };
    for (index, &(start, end)) in ranges.iter().enumerate() {
        let before = if index == 0 { "" } else { "\r\n" };
        let range = content_range(start, end, file.size());
        let kind = &file.content_type;
        length += text(
            &mut steps,
            format!("{before}--{BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n"),
        );
        steps.push(Step::Body { content: file.content.clone(), start, end });
        length += end - start;
    }
    length += text(&mut steps, format!("\r\n--{BOUNDARY}--\r\n"));
    let mut fields = common(Fields::new(206), file);
    fields.set("Content-Type", format!("multipart/byteranges; boundary={BOUNDARY}"));
    fields.set("Content-Length", length.to_string());
    Plan::new(fields, if request.is_head() { Vec::new() } else { steps })
}

/// The value of `Content-Range` for the half-open range.
pub(crate) fn content_range(start: u64, end: u64, total: u64) -> String {
    format!("bytes {start}-{}/{total}", end.saturating_sub(1))
}

/// The body step of an answer, none to HEAD.
pub(crate) fn body(request: &Request, file: &OriginFile, start: u64, end: u64) -> Vec<Step> {
    match request.is_head() {
        true => Vec::new(),
        false => vec![Step::Body { content: file.content.clone(), start, end }],
    }
}

fn common(fields: Fields, file: &OriginFile) -> Fields {
    let mut fields = validators(fields, file)
        .with("Accept-Ranges", "bytes")
        .with("Content-Type", file.content_type.as_str());
    fields.headers.extend(file.extra_headers.iter().cloned());
    fields
}

fn validators(fields: Fields, file: &OriginFile) -> Fields {
    let mut fields = fields.with("Date", httpdate::fmt_http_date(std::time::SystemTime::now()));
    if let Some(etag) = file.etag.value() {
        fields.set("ETag", etag);
    }
    if let Some(date) = file.last_modified_text() {
        fields.set("Last-Modified", date);
    }
    fields
}

/// The status of a failed precondition (RFC 9110 13.2.2).
fn precondition(request: &Request, file: &OriginFile) -> Option<u16> {
    let strong = file.etag.value().filter(|tag| !tag.starts_with("W/"));
    let lists = |value: &str, tag: &str| {
        let opaque = |text: &str| text.trim().trim_start_matches("W/").to_owned();
        value.trim() == "*" || value.split(',').any(|one| opaque(one) == opaque(tag))
    };
    let date = |name: &str| request.header(name).and_then(|text| httpdate::parse_http_date(text).ok());
    if let Some(value) = request.header("if-match") {
        let holds = value.trim() == "*"
            || strong.as_ref().is_some_and(|tag| value.split(',').any(|one| one.trim() == tag));
        if !holds {
            return Some(412);
        }
    } else if let (Some(limit), Some(changed)) = (date("if-unmodified-since"), file.last_modified)
        && changed > limit
    {
        return Some(412);
    }
    if let Some(value) = request.header("if-none-match") {
        return file.etag.value().is_some_and(|tag| lists(value, &tag)).then_some(304);
    }
    match (date("if-modified-since"), file.last_modified) {
        (Some(limit), Some(changed)) if changed <= limit => Some(304),
        _ => None,
    }
}

/// What is asked for, `If-Range` considered.
pub(crate) fn wanted(request: &Request, file: &OriginFile) -> Wanted {
    match request.header("if-range") {
        Some(condition) if !if_range_holds(condition.trim(), file) => Wanted::Whole,
        _ => wanted_unconditionally(request, file.size()),
    }
}

/// True when the condition names this very version, by a strong tag or the exact date.
fn if_range_holds(condition: &str, file: &OriginFile) -> bool {
    if condition.starts_with('"') {
        return file.etag.value().as_deref() == Some(condition);
    }
    !condition.starts_with("W/") && file.last_modified_text().as_deref() == Some(condition)
}

/// What is asked for, whatever `If-Range` says.
pub(crate) fn wanted_unconditionally(request: &Request, size: u64) -> Wanted {
    let Some(list) = request.header("range").and_then(|value| value.strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let mut ranges = Vec::new();
    for (index, text) in list.split(',').enumerate() {
        if index == RANGE_LIMIT {
            return Wanted::Whole;
        }
        let Some((first, last)) = text.trim().split_once('-') else { return Wanted::Whole };
        let range = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
            (Ok(first), Err(_)) if last.is_empty() => (first, size),
            (Err(_), Ok(suffix)) if first.is_empty() => (size.saturating_sub(suffix), size),
            _ => return Wanted::Whole,
        };
        if range.0 < range.1 {
            ranges.push(range);
        }
    }
    if ranges.is_empty() { Wanted::Unsatisfiable } else { Wanted::Ranges(ranges) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::origin::file::Etag;

    fn asks(headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { method: "GET".to_owned(), target: "/x".to_owned(), version: 11, headers }
    }

    #[test]
    fn ranges_are_understood() {
        let table: &[(&str, Wanted)] = &[
            ("bytes=0-0", Wanted::Ranges(vec![(0, 1)])),
            ("bytes=5-", Wanted::Ranges(vec![(5, 10)])),
            ("bytes=-3", Wanted::Ranges(vec![(7, 10)])),
            ("bytes=-30", Wanted::Ranges(vec![(0, 10)])),
            ("bytes=2-99", Wanted::Ranges(vec![(2, 10)])),
            ("bytes=2-18446744073709551615", Wanted::Ranges(vec![(2, 10)])),
            ("bytes=0-1, 4-5", Wanted::Ranges(vec![(0, 2), (4, 6)])),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=a-", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ];
        for (range, want) in table {
            assert_eq!(&wanted_unconditionally(&asks(&[("Range", range)]), 10), want, "{range}");
        }
    }

    #[test]
    fn if_range_takes_only_strong_and_exact_validators() {
        let file = OriginFile::new(Content::new(1, 10));
        let tag = file.etag.value().unwrap();
        let date = file.last_modified_text().unwrap();
        let status = |file: &OriginFile, condition: &str| {
            answer(&asks(&[("Range", "bytes=1-"), ("If-Range", condition)]), file).status()
        };
        assert_eq!(status(&file, &tag), Some(206));
        assert_eq!(status(&file, &date), Some(206));
        assert_eq!(status(&file, "\"other\""), Some(200));
        assert_eq!(status(&file, "Thu, 01 Jan 1970 00:00:00 GMT"), Some(200));
        let weak = file.clone().etag(Etag::Weak("a".to_owned()));
        assert_eq!(status(&weak, "W/\"a\""), Some(200));
    }

    #[test]
    fn preconditions_are_honoured() {
        let file = OriginFile::new(Content::new(1, 10));
        let tag = file.etag.value().unwrap();
        let date = file.last_modified_text().unwrap();
        let status = |name: &str, value: &str| answer(&asks(&[(name, value)]), &file).status();
        assert_eq!(status("If-Match", &tag), Some(200));
        assert_eq!(status("If-Match", "\"no\""), Some(412));
        assert_eq!(status("If-None-Match", &tag), Some(304));
        assert_eq!(status("If-Unmodified-Since", &date), Some(200));
        assert_eq!(status("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"), Some(412));
        assert_eq!(status("If-Modified-Since", &date), Some(304));
    }
}
