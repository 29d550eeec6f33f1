//! Telling the back-end of a finished upload (spec/upload-protocol.md 15).

mod connect;
mod target;

use crate::complete::reply_url;
use crate::respond::Body;
use crate::settings::{Limits, Notification, Rules};
use crate::storage::Storage;
use bytes::{Bytes, BytesMut};
use connect::{Connector, send};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use openbits_core::upload::{MAX_URL, Notified, Session, header};
use std::time::Duration;
use target::Target;

/// Answer to the client when the back-end cannot be reached or breaks off: transient, so the client tries again.
const BAD_GATEWAY: u16 = 502;
/// Pieces in which a reply is stored.
const PIECE: usize = 256 << 10;

/// Sends notifications.
pub(crate) struct Notifier {
    connector: Connector,
}

enum Failure {
    TimedOut,
    Unreachable(String),
}

impl Notifier {
    pub(crate) fn new() -> Self {
        Self { connector: Connector::new() }
    }

    /// Posts the upload and stores the reply. Every step has the same deadline.
    pub(crate) async fn notify<S: Storage>(
        &self,
        storage: &S,
        session: &Session,
        rules: &Rules,
        limits: &Limits,
    ) -> Notified {
        let deadline = Duration::from_secs(limits.notification_timeout_s);
        match self.exchange(storage, session, rules, deadline).await {
            Ok(answer) => answer,
            Err(Failure::TimedOut) => Notified::TimedOut,
            Err(Failure::Unreachable(reason)) => {
                tracing::warn!(session = %session.id, reason, "the back-end cannot be reached");
                Notified::Refused(BAD_GATEWAY)
            }
        }
    }

    async fn exchange<S: Storage>(
        &self,
        storage: &S,
        session: &Session,
        rules: &Rules,
        deadline: Duration,
    ) -> Result<Notified, Failure> {
        let target = Target::resolve(&rules.notification_url, &session.url).map_err(Failure::Unreachable)?;
        let mut request = request(&target, session, rules).map_err(Failure::Unreachable)?;
        if rules.notification == Notification::Value {
            let size = session.progress.next;
            let reader = storage.uploaded(session).await.map_err(unreachable)?;
            request.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(size));
            *request.body_mut() = crate::download::stream(reader, 0, size);
        } else {
            let Some((upload, reply)) = storage.by_reference(session) else {
                return Err(Failure::Unreachable("this storage has no paths to tell".to_owned()));
            };
            request.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(0));
            for (name, path) in [(header::REQUEST_FILE, upload), (header::RESPONSE_FILE, reply)] {
                put(&mut request, name, &path.to_string_lossy()).map_err(Failure::Unreachable)?;
            }
        }
        let sender = self.connector.connect(&target, deadline).await?;
        let response = send(sender, request, deadline).await?;
        let status = response.status().as_u16();
        if status != 200 {
            // Success of another kind would make the client believe that all is well.
            return Ok(Notified::Refused(if (200..300).contains(&status) { BAD_GATEWAY } else { status }));
        }
        accepted(storage, session, rules, response, deadline).await
    }
}

fn unreachable(error: impl std::fmt::Display) -> Failure {
    Failure::Unreachable(error.to_string())
}

fn put(request: &mut Request<Body>, name: &'static str, value: &str) -> Result<(), String> {
    let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
    request.headers_mut().insert(name, HeaderValue::from_str(value).map_err(|e| e.to_string())?);
    Ok(())
}

fn request(target: &Target, session: &Session, rules: &Rules) -> Result<Request<Body>, String> {
    let mut request = Request::new(crate::respond::empty());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.path.parse().map_err(|e: http::uri::InvalidUri| e.to_string())?;
    put(&mut request, "Host", &target.host)?;
    put(&mut request, "User-Agent", concat!("bits-server/", env!("CARGO_PKG_VERSION")))?;
    put(&mut request, header::ORIGINAL_URL, &session.url)?;
    if !session.owner.is_empty() {
        put(&mut request, "X-Forwarded-User", &session.owner)?;
    }
    if let Some(file) = &rules.notification_credential {
        let secret = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        put(&mut request, "Authorization", secret.trim())?;
    }
    Ok(request)
}

/// 200: where is the reply, and what becomes of the upload.
async fn accepted<S: Storage>(
    storage: &S,
    session: &Session,
    rules: &Rules,
    response: Response<Incoming>,
    deadline: Duration,
) -> Result<Notified, Failure> {
    let copy_to_destination = response.headers().contains_key(header::COPY_TO_DESTINATION);
    let fixed =
        response.headers().get(header::STATIC_RESPONSE_URL).map(|url| url.to_str().map(str::to_owned));
    if let Some(url) = fixed {
        let url = url.map_err(unreachable)?;
        if url.len() > MAX_URL {
            return Ok(Notified::ReplyUrlTooLong);
        }
        return Ok(Notified::Accepted { copy_to_destination, reply_url: Some(url) });
    }
    let there = match rules.notification {
        Notification::Value => store(storage, session, response.into_body(), deadline).await? > 0,
        // By reference the body counts for nothing; the back-end has written the file, or has not.
        _ => storage.open_reply(&session.reply_token).await.map_err(unreachable)?.is_some(),
    };
    let reply_url = if there { reply_url(session, rules) } else { None };
    if reply_url.as_ref().is_some_and(|url| url.len() > MAX_URL) {
        return Ok(Notified::ReplyUrlTooLong);
    }
    Ok(Notified::Accepted { copy_to_destination, reply_url })
}

/// Stores the response body as the reply and returns its size.
async fn store<S: Storage>(
    storage: &S,
    session: &Session,
    mut body: Incoming,
    deadline: Duration,
) -> Result<u64, Failure> {
    let (mut piece, mut offset) = (BytesMut::new(), 0);
    loop {
        let frame = tokio::time::timeout(deadline, body.frame()).await.map_err(|_| Failure::TimedOut)?;
        let last = frame.is_none();
        if let Some(frame) = frame
            && let Ok(bytes) = frame.map_err(unreachable)?.into_data()
        {
            piece.extend_from_slice(&bytes);
        }
        if piece.len() >= PIECE || (last && offset + piece.len() as u64 > 0) {
            let bytes: Bytes = piece.split().freeze();
            let size = bytes.len() as u64;
            storage.write_reply(&session.reply_token, offset, bytes, last).await.map_err(unreachable)?;
            offset += size;
        }
        if last {
            return Ok(offset);
        }
    }
}
