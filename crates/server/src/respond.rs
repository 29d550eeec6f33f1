//! Building answers.

use crate::storage::Conflict;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use openbits_core::upload::{Ack, Refusal};
use std::io;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Seconds after which a client that met a limit may come back.
const RETRY_AFTER: &str = "60";

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// An answer without a body.
pub(crate) fn status(code: u16) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// An answer with one line of text.
pub(crate) fn text(code: u16, line: &str) -> Response<Body> {
    let mut response = status(code);
    let bytes = Bytes::from(format!("{line}\n"));
    response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    set(&mut response, "Content-Type", "text/plain; charset=utf-8");
    *response.body_mut() = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
    response
}

/// Sets a header; a value that HTTP does not allow is left out.
pub(crate) fn set(response: &mut Response<Body>, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        response.headers_mut().append(name, value);
    }
}

/// A packet's answer.
pub(crate) fn ack(ack: &Ack) -> Response<Body> {
    let mut response = status(ack.status);
    response.headers_mut().clear();
    for (name, value) in ack.headers() {
        set(&mut response, name, &value);
    }
    if ack.status == 503 {
        set(&mut response, "Retry-After", RETRY_AFTER);
    }
    response
}

/// Credentials are needed, or were wrong.
pub(crate) fn challenge(challenges: &[&str]) -> Response<Body> {
    let mut response = status(401);
    for challenge in challenges {
        set(&mut response, "WWW-Authenticate", challenge);
    }
    response
}

/// What a failing storage means for the client.
pub(crate) fn storage(error: &io::Error) -> Refusal {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Conflict>());
    if inner.is_some() {
        return Refusal::Superseded;
    }
    match error.raw_os_error() {
        Some(28 | 122 | 27) => Refusal::DiskFull, // ENOSPC, EDQUOT, EFBIG
        errno => {
            tracing::error!(%error, "storage failed");
            Refusal::Storage(errno.unwrap_or(5))
        }
    }
}
