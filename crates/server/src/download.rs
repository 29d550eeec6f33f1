//! GET and HEAD of delivered files and replies (spec/upload-protocol.md 20.1).

use crate::ranges::{Wanted, wanted};
use crate::respond::{self, Body, set, status};
use crate::storage::{Reader, Stored};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::io;
use std::time::{Duration, SystemTime};

/// Bytes read from the storage at a time.
const PIECE: usize = 256 << 10;

/// Serves one file.
pub(crate) fn serve<R: Reader>(method: &Method, headers: &HeaderMap, file: Stored<R>) -> Response<Body> {
    let modified = httpdate::fmt_http_date(file.modified);
    let mut response = match conditions(headers, &file, &modified) {
        Some(code) => status(code),
        None => match chosen(headers, &file, &modified) {
            Wanted::None => {
                let mut response = status(416);
                set(&mut response, "Content-Range", &format!("bytes */{}", file.size));
                response
            }
            Wanted::Whole => body(200, method, file.size, || stream(file.reader.clone(), 0, file.size)),
            Wanted::Parts(parts) => match parts.as_slice() {
                [(first, length)] => {
                    let mut response =
                        body(206, method, *length, || stream(file.reader.clone(), *first, *length));
                    set(&mut response, "Content-Range", &content_range(*first, *length, file.size));
                    response
                }
                _ => multipart(method, &parts, &file),
            },
        },
    };
    if response.status() == 304 {
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
    }
    set(&mut response, "Accept-Ranges", "bytes");
    set(&mut response, "ETag", &file.etag);
    set(&mut response, "Last-Modified", &modified);
    if !response.headers().contains_key(http::header::CONTENT_TYPE) {
        set(&mut response, "Content-Type", "application/octet-stream");
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// Compares as strong validators do: weak tags equal nothing.
fn names_tag(list: &str, etag: &str) -> bool {
    list == "*" || list.split(',').any(|tag| tag.trim() == etag)
}

/// The status instead of the file, in the order of RFC 9110 13.2.2.
fn conditions<R>(headers: &HeaderMap, file: &Stored<R>, modified: &str) -> Option<u16> {
    let newer_than = |date: &str| {
        let date = httpdate::parse_http_date(date).ok();
        date.is_some_and(|date| whole_seconds(file.modified) > date)
    };
    if let Some(list) = text(headers, "if-match") {
        if !names_tag(list, &file.etag) {
            return Some(412);
        }
    } else if text(headers, "if-unmodified-since").is_some_and(newer_than) {
        return Some(412);
    }
    if let Some(list) = text(headers, "if-none-match") {
        let bare: Vec<&str> = list.split(',').map(|tag| tag.trim().trim_start_matches("W/")).collect();
        return (list == "*" || bare.contains(&file.etag.as_str())).then_some(304);
    }
    let since = text(headers, "if-modified-since");
    let same = since.is_some_and(|date| {
        date == modified || httpdate::parse_http_date(date).is_ok_and(|_| !newer_than(date))
    });
    same.then_some(304)
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn chosen<R>(headers: &HeaderMap, file: &Stored<R>, modified: &str) -> Wanted {
    let Some(range) = headers.get(http::header::RANGE) else { return Wanted::Whole };
    // A date is a strong validator only if the file is old enough not to change within the same second.
    let settled = || file.modified.elapsed().is_ok_and(|age| age > Duration::from_secs(2));
    match text(headers, "if-range") {
        Some(tag) if tag.starts_with('"') => {
            if tag == file.etag {
                wanted(range.as_bytes(), file.size)
            } else {
                Wanted::Whole
            }
        }
        Some(date) if date == modified && settled() => wanted(range.as_bytes(), file.size),
        Some(_) => Wanted::Whole,
        None => wanted(range.as_bytes(), file.size),
    }
}

fn content_range(first: u64, length: u64, size: u64) -> String {
    format!("bytes {first}-{}/{size}", first + length - 1)
}

fn body(code: u16, method: &Method, length: u64, bytes: impl FnOnce() -> Body) -> Response<Body> {
    let mut response = status(code);
    response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
    if method != Method::HEAD {
        *response.body_mut() = bytes();
    }
    response
}

/// `length` bytes from `first`; an error if the file is shorter by now, so that the client sees a broken body.
pub(crate) fn stream<R: Reader>(reader: R, first: u64, length: u64) -> Body {
    let pieces = stream::try_unfold((first, length), move |(at, left)| {
        let reader = reader.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let bytes = reader.read(at, size).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = bytes.len() as u64;
            Ok::<_, io::Error>(Some((Frame::data(bytes), (at + count, left - count))))
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// Several ranges: in the order asked, with nothing but Content-Range and Content-Type in each part (20.1, 4 and 5).
fn multipart<R: Reader>(method: &Method, parts: &[(u64, u64)], file: &Stored<R>) -> Response<Body> {
    use futures_util::StreamExt;
    let boundary = format!("bits-{:016x}", boundary_number(file, parts));
    let mut pieces: Vec<(Bytes, u64, u64)> = Vec::new();
    for (index, (first, length)) in parts.iter().enumerate() {
        let start = if index == 0 { "--" } else { "\r\n--" };
        let range = content_range(*first, *length, file.size);
        let head = format!(
            "{start}{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: {range}\r\n\r\n"
        );
        pieces.push((Bytes::from(head), *first, *length));
    }
    pieces.push((Bytes::from(format!("\r\n--{boundary}--\r\n")), 0, 0));
    let length = pieces.iter().map(|(head, _, length)| head.len() as u64 + length).sum();
    let reader = file.reader.clone();
    let mut response = body(206, method, length, || {
        let frames = stream::iter(pieces).flat_map(move |(head, first, length)| {
            let head = stream::iter([Ok(Frame::data(head))]);
            head.chain(stream(reader.clone(), first, length).into_data_stream().map(|b| b.map(Frame::data)))
        });
        StreamBody::new(frames).boxed_unsync()
    });
    set(&mut response, "Content-Type", &format!("multipart/byteranges; boundary={boundary}"));
    response
}

/// A boundary that the file's content cannot foresee: half of it is secret and changes with each process.
fn boundary_number<R>(file: &Stored<R>, parts: &[(u64, u64)]) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::OnceLock;
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    SECRET.get_or_init(RandomState::new).hash_one((&file.etag, parts))
}

/// 404 for a missing file, with as little said as possible.
pub(crate) fn not_found() -> Response<Body> {
    respond::text(404, "not found")
}

#[cfg(test)]
mod tests;
