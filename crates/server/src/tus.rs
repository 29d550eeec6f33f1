//! The tus 1.0 door (spec/resumable-uploads-elsewhere.md 2).

use crate::app::{App, Current, Denied, Peer};
use crate::complete;
use crate::locks::Held;
use crate::path::{SafePath, UPLOADS};
use crate::receive::{Intake, Pace, drain, receive};
use crate::respond::{self, Body, set, storage};
use crate::settings::{Commit, Rules};
use crate::storage::{Storage, Writer};
use crate::tus_create;
use crate::tus_headers::{ALGORITHMS, CONCATENATION, EXTENSIONS, MEDIA_TYPE, VERSION, checksum, number};
use aws_lc_rs::digest::Context;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, Version};
use hyper::body::Incoming;
use openbits_core::upload::{Door, MAX_FRAGMENT, Refusal, Session, SessionId, TusConcat};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Body bytes that are read after a refusal.
const DRAIN: u64 = MAX_FRAGMENT;

/// Any other answer than success.
pub(crate) enum Stop {
    Challenge,
    Status(u16, &'static str),
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One request.
pub(crate) struct Ask<'a, S> {
    pub(crate) app: &'a Arc<App<S>>,
    pub(crate) current: Arc<Current>,
    pub(crate) peer: &'a Peer,
    pub(crate) parts: &'a Parts,
    pub(crate) path: SafePath,
}

/// Answers OPTIONS, POST, HEAD, PATCH and DELETE.
pub(crate) async fn handle<S: Storage>(
    app: &Arc<App<S>>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let current = app.current();
    let limits = current.settings.limits.clone();
    let result = match SafePath::parse(parts.uri.path()) {
        Ok(path) => {
            let ask = Ask { app, current: Arc::clone(&current), peer, parts: &parts, path };
            ask.answer(&mut body).await
        }
        Err(_) => Err(Stop::Status(400, "bad path")),
    };
    let mut response = match result {
        Ok(response) => response,
        Err(stop) => {
            let clean = drain(&mut body, DRAIN, &limits).await;
            let mut response = match stop {
                Stop::Challenge => respond::challenge(&current.credentials.challenges()),
                Stop::Status(code, line) => respond::text(code, line),
                Stop::Refused(refusal) => respond::text(status_of(refusal), &refusal.to_string()),
            };
            if !clean && parts.version < Version::HTTP_2 {
                set(&mut response, "Connection", "close");
            }
            if response.status() == 412 {
                set(&mut response, "Tus-Version", VERSION);
            }
            if response.status() == 503 {
                set(&mut response, "Retry-After", "60");
            }
            response
        }
    };
    set(&mut response, "Tus-Resumable", VERSION);
    response
}

/// Statuses that mean something else to a tus client than to a BITS client.
fn status_of(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::TooLarge => 413,
        Refusal::DiskFull => 507,
        Refusal::Superseded => 423,
        Refusal::SessionNotFound | Refusal::Vanished => 404,
        Refusal::Disabled => 403,
        other => other.status(),
    }
}

impl<S: Storage> Ask<'_, S> {
    async fn answer(&self, body: &mut Incoming) -> Result<Response<Body>, Stop> {
        let headers = &self.parts.headers;
        let overridden = headers.get("x-http-method-override").map(|v| Method::from_bytes(v.as_bytes()));
        let method = match overridden {
            Some(method) if self.parts.method == Method::POST => {
                method.map_err(|_| Stop::Status(400, "bad method"))?
            }
            _ => self.parts.method.clone(),
        };
        if method == Method::OPTIONS {
            return Ok(self.options());
        }
        if headers.get("tus-resumable").is_none_or(|version| version.as_bytes() != VERSION.as_bytes()) {
            return Err(Stop::Status(412, "Tus-Resumable: 1.0.0 is needed"));
        }
        if method == Method::POST {
            return tus_create::create(self, body).await;
        }
        let (_, name) = self.path.below(UPLOADS).ok_or(Stop::Status(405, "this is not an upload"))?;
        let id = SessionId::from_guid(name).map_err(|_| Refusal::SessionNotFound)?;
        match method {
            Method::HEAD => self.head(&id).await,
            Method::PATCH => self.patch(&id, body).await,
            Method::DELETE => self.delete(&id).await,
            _ => Err(Stop::Status(405, "method not allowed")),
        }
    }

    fn options(&self) -> Response<Body> {
        let mut response = respond::status(204);
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        set(&mut response, "Tus-Version", VERSION);
        let more = if S::READS_UNFINISHED { CONCATENATION } else { "" };
        set(&mut response, "Tus-Extension", &format!("{EXTENSIONS}{more}"));
        set(&mut response, "Tus-Checksum-Algorithm", ALGORITHMS);
        let max = self.current.settings.rules(&self.path).max_size_bytes;
        if max != u64::MAX {
            set(&mut response, "Tus-Max-Size", &max.to_string());
        }
        response
    }

    /// The rules of a path and the caller's name, if the caller may upload there.
    pub(crate) async fn admitted(&self, path: &SafePath) -> Result<(Rules, String), Stop> {
        let mut rules = self.current.settings.rules(path);
        // There is no Close in tus: the last byte ends the upload.
        rules.commit = Commit::FinalFragment;
        if !rules.enabled {
            return Err(Refusal::Disabled.into());
        }
        match self.current.caller(&self.parts.headers, self.peer, &rules.upload).await {
            Ok(caller) => Ok((rules, caller)),
            Err(Denied::Challenge) => Err(Stop::Challenge),
            Err(Denied::Forbidden) => Err(Refusal::AccessDenied.into()),
        }
    }

    /// The upload, if it is the caller's.
    async fn upload(&self, id: &SessionId) -> Result<(Held, Session, Rules), Stop> {
        let early = self.app.storage.load(id).await.map_err(|e| storage(&e))?;
        let Some(early) = early.filter(|session| session.door == Door::Tus) else {
            return Err(self.ended(id).await);
        };
        let path = SafePath::from_text(&early.path).map_err(|_| Refusal::SessionNotFound)?;
        let (rules, caller) = self.admitted(&path).await?;
        if caller != early.owner {
            return Err(Refusal::SessionNotFound.into());
        }
        let held = self.app.locks.take(id).await?;
        match self.app.storage.load(id).await.map_err(|e| storage(&e))? {
            Some(session) => Ok((held, session, rules)),
            None => Err(self.ended(id).await),
        }
    }

    /// The answer about an upload that is over, to its owner; 404 to all others.
    async fn ended(&self, id: &SessionId) -> Stop {
        let unknown = Stop::Refused(Refusal::SessionNotFound);
        let Ok(Some(tomb)) = self.app.storage.tombstone(id).await else { return unknown };
        let Ok(path) = SafePath::from_text(&tomb.path) else { return unknown };
        match self.admitted(&path).await {
            Ok((_, caller)) if caller == tomb.owner && tomb.door == Door::Tus => {
                if tomb.closed {
                    Stop::Status(403, "the upload is complete")
                } else {
                    Stop::Status(410, "gone")
                }
            }
            Ok(_) => unknown,
            Err(stop) => stop,
        }
    }

    async fn head(&self, id: &SessionId) -> Result<Response<Body>, Stop> {
        let mut response = respond::status(200);
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        set(&mut response, "Cache-Control", "no-store");
        let progress = match self.upload(id).await {
            Ok((_held, mut session, rules)) => {
                let tus = session.tus.clone().unwrap_or_default();
                if let Some(metadata) = &tus.metadata {
                    set(&mut response, "Upload-Metadata", metadata);
                }
                if tus.concat == Some(TusConcat::Partial) {
                    set(&mut response, "Upload-Concat", "partial");
                }
                self.app.storage.touch(id).await.map_err(|e| storage(&e))?;
                // All is there, but delivery or the back-end failed, or the server died: a client that sees the
                // full offset believes that all is well, so it must become true before it is said.
                self.finish(&mut session, &rules, &mut response).await?;
                session.progress
            }
            // 403 stands for a finished upload here, and its size is still known.
            Err(Stop::Status(403, _)) => {
                let tomb = self.app.storage.tombstone(id).await.map_err(|e| storage(&e))?;
                tomb.ok_or(Refusal::SessionNotFound)?.progress
            }
            Err(stop) => return Err(stop),
        };
        set(&mut response, "Upload-Offset", &progress.next.to_string());
        match progress.total {
            Some(total) => set(&mut response, "Upload-Length", &total.to_string()),
            None => set(&mut response, "Upload-Defer-Length", "1"),
        }
        Ok(response)
    }

    async fn patch(&self, id: &SessionId, body: &mut Incoming) -> Result<Response<Body>, Stop> {
        let headers = &self.parts.headers;
        if !is_upload_body(headers) {
            return Err(Stop::Status(415, "Content-Type must be application/offset+octet-stream"));
        }
        let offset = number(headers, "upload-offset").map_err(|_| Stop::Status(400, "bad Upload-Offset"))?;
        let offset = offset.ok_or(Stop::Status(400, "Upload-Offset is needed"))?;
        let (mut held, mut session, rules) = self.upload(id).await?;
        if session.progress.next != offset {
            return Err(Stop::Status(409, "Upload-Offset differs"));
        }
        let length = number(headers, "upload-length").map_err(|_| Stop::Status(400, "bad Upload-Length"))?;
        if let Some(length) = length {
            match session.progress.total {
                None if length >= offset => {
                    let limits = &self.current.settings.limits;
                    complete::reserve(self.app, &session, length, &rules, limits).await?;
                    session.progress.total = Some(length);
                }
                Some(total) if total == length => {}
                _ => return Err(Stop::Status(400, "the length is fixed")),
            }
        }
        self.append(&mut held, &mut session, &rules, body).await?;
        let mut response = respond::status(204);
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        set(&mut response, "Upload-Offset", &session.progress.next.to_string());
        self.finish(&mut session, &rules, &mut response).await?;
        Ok(response)
    }

    /// Stores the body at the session's end. Without a checksum every byte that arrived is kept.
    pub(crate) async fn append(
        &self,
        held: &mut Held,
        session: &mut Session,
        rules: &Rules,
        body: &mut Incoming,
    ) -> Result<(), Stop> {
        let limits = &self.current.settings.limits;
        let check = self.parts.headers.get("upload-checksum").map(|value| value.to_str().map_or(Err(()), Ok));
        let check = check.transpose().map_err(|()| Stop::Status(400, "bad Upload-Checksum"))?;
        let check = check.map(checksum).transpose();
        let check = check.map_err(|_| Stop::Status(400, "bad Upload-Checksum"))?;
        let mut digest = check.as_ref().map(|(algorithm, _)| Context::new(algorithm));
        let total = session.progress.total;
        let mut writer = complete::writer(self.app, session, total).await?;
        let limit = total.unwrap_or(rules.max_size_bytes).saturating_sub(session.progress.next);
        let announced = http_body::Body::size_hint(body).lower();
        if announced > limit {
            return Err(Stop::Status(413, "the body is longer than what is missing"));
        }
        let intake = Intake {
            writer: &mut writer,
            held,
            pace: Pace::new(limits),
            skip: 0,
            limit,
            digest: digest.as_mut(),
        };
        let received = receive(body, intake).await;
        if let (Some((_, wanted)), Some(digest)) = (&check, digest) {
            let is_right = digest.finish().as_ref() == wanted;
            if received.is_err() || !is_right {
                // What is still on its way to the disk must not land among the bytes of the next try.
                writer.discard().await;
                received?;
                return Err(Stop::Status(460, "checksum mismatch"));
            }
            session.progress = writer.sync().await.map_err(|e| storage(&e))?;
            return Ok(());
        }
        session.progress = writer.sync().await.map_err(|e| storage(&e))?;
        Ok(received?)
    }

    /// Delivers a complete upload; parts of a concatenation wait.
    pub(crate) async fn finish(
        &self,
        session: &mut Session,
        rules: &Rules,
        response: &mut Response<Body>,
    ) -> Result<(), Stop> {
        let partial = session.tus.as_ref().is_some_and(|tus| tus.concat == Some(TusConcat::Partial));
        if partial || !session.progress.is_complete() {
            expires(response, rules);
            return Ok(());
        }
        complete::settle(self.app, &self.current, session, rules).await?;
        if let Some(url) = &session.reply_url {
            set(response, openbits_core::upload::header::REPLY_URL, url);
            // The reply stays until the session's time-out.
            return Ok(());
        }
        Ok(complete::forget(self.app, session, true).await?)
    }

    async fn delete(&self, id: &SessionId) -> Result<Response<Body>, Stop> {
        let (_held, session, _) = self.upload(id).await?;
        complete::forget(self.app, &session, false).await?;
        let mut response = respond::status(204);
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        Ok(response)
    }
}

/// True if the body is meant to be stored.
pub(crate) fn is_upload_body(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()))
}

/// `Upload-Expires`: every request restarts the time-out.
pub(crate) fn expires(response: &mut Response<Body>, rules: &Rules) {
    let at =
        SystemTime::now().checked_add(Duration::from_secs(rules.session_timeout_s.min(10 * 365 * 86_400)));
    if let Some(at) = at {
        set(response, "Upload-Expires", &httpdate::fmt_http_date(at));
    }
}
