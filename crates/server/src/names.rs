//! Header names in the spelling of the specification.
//!
//! hyper writes names in lower case unless the message carries the spelling that it recorded when it parsed another
//! one. That record's type is private, but it travels in the message's extensions: so one request with our spellings
//! is parsed at start, and its extensions go with every answer. Clients that compare case exist (section 3).

use http::{Extensions, Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use openbits_core::upload::header as bits;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;

const OTHERS: &[&str] = &[
    "Accept-Encoding",
    "Accept-Ranges",
    "Allow",
    "Cache-Control",
    "Connection",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Last-Modified",
    "Location",
    "Pragma",
    "Retry-After",
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "WWW-Authenticate",
];
const OURS: &[&str] = &[
    bits::PACKET_TYPE,
    bits::SESSION_ID,
    bits::PROTOCOL,
    bits::RECEIVED,
    bits::REPLY_URL,
    bits::HOST_ID,
    bits::HOST_ID_FALLBACK,
    bits::ERROR,
    bits::ERROR_CODE,
    bits::ERROR_CONTEXT,
];

/// The record, to be put into an answer's extensions. Without it names are in lower case, which is legal too.
pub(crate) async fn spellings() -> Extensions {
    let found = Arc::new(Mutex::new(Extensions::new()));
    let service = service_fn({
        let found = Arc::clone(&found);
        move |request: Request<Incoming>| {
            *found.lock().expect("never poisoned: nothing panics under it") = request.extensions().clone();
            async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
        }
    });
    let (mut client, server) = tokio::io::duplex(16 << 10);
    let mut text = "GET / HTTP/1.0\r\n".to_owned();
    for name in
        OURS.iter().chain(OTHERS).filter(|name| !name.starts_with("Content-L") && **name != "Connection")
    {
        text += &format!("{name}: x\r\n");
    }
    text += "Content-Length: 0\r\nConnection: close\r\n\r\n";
    if client.write_all(text.as_bytes()).await.is_ok() {
        let mut http = hyper::server::conn::http1::Builder::new();
        let served = http.preserve_header_case(true).serve_connection(TokioIo::new(server), service).await;
        if let Err(error) = served {
            tracing::debug!(%error, "header names stay in lower case");
        }
    }
    let found = found.lock().expect("never poisoned: nothing panics under it");
    found.clone()
}
