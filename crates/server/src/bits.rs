//! The BITS door: packets in, Acks out (spec/upload-protocol.md 9).

use crate::app::{App, Current, Denied, Peer, counted_as, now_s, random, reply_token};
use crate::base::base_url;
use crate::complete;
use crate::locks::Held;
use crate::path::SafePath;
use crate::receive::{Intake, Pace, drain, receive};
use crate::respond::{self, Body, storage};
use crate::settings::{Notification, Rules};
use crate::storage::{Destination, Storage, Writer};
use http::request::Parts;
use http::{HeaderMap, Request, Response, Version};
use hyper::body::Incoming;
use openbits_core::upload::fragment::{Decision, decide};
use openbits_core::upload::{
    Ack, ContentRange, Door, Envelope, Headers, HostId, MAX_FRAGMENT, Packet, Phase, Progress, Refusal,
    Session, SessionId, header,
};
use std::sync::Arc;

/// Body bytes that are read after a refusal of a caller who may upload: one fragment of a Windows client.
const DRAIN: u64 = MAX_FRAGMENT + (1 << 20);
/// The same for anybody else.
const DRAIN_UNKNOWN: u64 = 64 << 10;

struct HttpHeaders<'a>(&'a HeaderMap);

impl Headers for HttpHeaders<'_> {
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(http::HeaderValue::as_bytes)
    }

    fn longest_value(&self) -> usize {
        self.0.values().map(http::HeaderValue::len).max().unwrap_or(0)
    }
}

enum Stop {
    Challenge,
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One packet and all that is known of it.
struct Request1<'a, S> {
    app: &'a Arc<App<S>>,
    current: Arc<Current>,
    peer: &'a Peer,
    parts: &'a Parts,
    path: SafePath,
    rules: Rules,
    caller: String,
}

/// Answers one request with the method `BITS_POST`.
pub(crate) async fn handle<S: Storage>(
    app: &Arc<App<S>>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let current = app.current();
    let mut known = false;
    let result = packet(app, Arc::clone(&current), peer, &parts, &mut body, &mut known).await;
    let refusal = match result {
        Ok(ack) => return respond::ack(&ack),
        Err(Stop::Challenge) => None,
        Err(Stop::Refused(refusal)) => Some(refusal),
    };
    let clean = drain(&mut body, if known { DRAIN } else { DRAIN_UNKNOWN }, &current.settings.limits).await;
    let mut response = match refusal {
        None => respond::challenge(&current.credentials.challenges()),
        Some(refusal) => {
            tracing::debug!(path = parts.uri.path(), %refusal, "packet refused");
            let session = parts.headers.get(header::SESSION_ID);
            let session = session.and_then(|value| SessionId::from_header(value.as_bytes()).ok());
            respond::ack(&Ack::refuse(refusal, session))
        }
    };
    if !clean && parts.version < Version::HTTP_2 {
        respond::set(&mut response, "Connection", "close");
    }
    response
}

/// The checks of section 9.2, in their order, then the packet.
async fn packet<S: Storage>(
    app: &Arc<App<S>>,
    current: Arc<Current>,
    peer: &Peer,
    parts: &Parts,
    body: &mut Incoming,
    known: &mut bool,
) -> Result<Ack, Stop> {
    let path = SafePath::parse(parts.uri.path()).map_err(|_| Refusal::Invalid("the path is not allowed"))?;
    let rules = current.settings.rules(&path);
    if !rules.enabled {
        return Err(Refusal::Disabled.into());
    }
    let headers = HttpHeaders(&parts.headers);
    let envelope = Envelope::parse(parts.version >= Version::HTTP_11, &headers)?;
    let caller = match current.caller(&parts.headers, peer, &rules.upload).await {
        Ok(caller) => caller,
        Err(Denied::Challenge) => return Err(Stop::Challenge),
        Err(Denied::Forbidden) => return Err(Refusal::AccessDenied.into()),
    };
    *known = true;
    if path.is_reserved() {
        return Err(Refusal::AccessDenied.into());
    }
    let request = Request1 { app, current, peer, parts, path, rules, caller };
    match envelope.packet(&headers)? {
        Packet::Ping => Ok(Ack::ok(None)),
        Packet::Create => Ok(request.create().await?),
        Packet::Fragment(id) => Ok(request.fragment(id, envelope, body).await?),
        Packet::Close(id) => Ok(request.close(id).await?),
        Packet::Cancel(id) => Ok(request.cancel(id).await?),
    }
}

impl<S: Storage> Request1<'_, S> {
    /// Section 9.3.
    async fn create(&self) -> Result<Ack, Refusal> {
        let found = self.app.storage.probe(&self.path).await.map_err(|e| storage(&e))?;
        match found {
            Destination::Folder => return Err(Refusal::Invalid("the destination is a folder")),
            Destination::NoFolder => return Err(Refusal::NoFolder),
            Destination::File if !self.rules.overwrite => return Err(Refusal::Exists),
            Destination::File | Destination::Absent if self.path.is_folder_form() => {
                return Err(Refusal::Invalid("the destination is a folder"));
            }
            Destination::File | Destination::Absent => {}
        }
        let id = SessionId::from_random_bytes(random()?);
        let base = base_url(&self.current.settings, self.parts, self.peer);
        let target = self.parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let session = Session {
            id: id.clone(),
            door: Door::Bits,
            owner: self.caller.clone(),
            counted_as: counted_as(&self.caller, self.peer),
            path: self.path.text(),
            url: format!("{base}{target}"),
            created_s: now_s(),
            phase: Phase::Receive,
            copy_to_destination: true,
            reply_token: reply_token()?,
            reply_url: None,
            progress: Progress::default(),
            tus: None,
        };
        let all = self.current.settings.limits.sessions;
        self.app.ledger.admit(&id, &session.counted_as, &self.rules, all)?;
        if let Err(error) = self.app.storage.create(&session).await {
            self.app.ledger.remove(&id);
            return Err(storage(&error));
        }
        self.app.ledger.stored(&id);
        let host = self
            .rules
            .host_id
            .clone()
            .map(|host| HostId { host, fallback_s: self.rules.host_id_fallback_timeout_s });
        Ok(Ack { created: true, host, ..Ack::ok(Some(id)) })
    }

    /// The session of the packet, for its owner at its URL only; `None` if it is not there.
    async fn session(&self, id: &SessionId) -> Result<(Held, Option<Session>), Refusal> {
        // A stranger who knows the id must not even interrupt the owner's request.
        let early = self.app.storage.load(id).await.map_err(|e| storage(&e))?;
        if early.is_some_and(|s| !s.is_for(&self.caller, &self.path.text()) || s.door != Door::Bits) {
            return Err(Refusal::SessionNotFound);
        }
        let held = self.app.locks.take(id).await?;
        let session = self.app.storage.load(id).await.map_err(|e| storage(&e))?;
        Ok((held, session))
    }

    /// What is remembered of an ended session: `(closed, complete)`.
    async fn ended(&self, id: &SessionId) -> Result<(bool, Progress), Refusal> {
        let found = self.app.storage.tombstone(id).await.map_err(|e| storage(&e))?;
        match found {
            Some(tomb) if tomb.owner == self.caller && tomb.path == self.path.text() => {
                Ok((tomb.closed, tomb.progress))
            }
            _ => Err(Refusal::SessionNotFound),
        }
    }

    /// Sections 9.4, 9.5 and 10.1.
    async fn fragment(&self, id: SessionId, envelope: Envelope, body: &mut Incoming) -> Result<Ack, Refusal> {
        let headers = HttpHeaders(&self.parts.headers);
        let limits = &self.current.settings.limits;
        let (mut held, session) = self.session(&id).await?;
        let Some(mut session) = session else {
            let (closed, progress) = self.ended(&id).await?;
            let range = envelope.range(&headers)?;
            let again = closed && progress.is_complete() && progress.total == Some(range.total());
            if !again || !is_last(range) {
                return Err(Refusal::SessionNotFound);
            }
            drain(body, DRAIN, limits).await;
            return Ok(Ack { received: Some(progress.next), ..Ack::ok(Some(id)) });
        };
        let range = envelope.range(&headers)?;
        let last = match decide(session.progress, range, self.rules.max_size_bytes, limits.fragment_bytes)? {
            Decision::Duplicate { last } => {
                drain(body, DRAIN, limits).await;
                self.app.storage.touch(&id).await.map_err(|e| storage(&e))?;
                last
            }
            Decision::Write { skip, length, total } => {
                if session.progress.total.is_none() {
                    complete::reserve(self.app, &session, total, &self.rules, limits).await?;
                }
                let mut writer = complete::writer(self.app, &session, Some(total)).await?;
                let intake = Intake {
                    writer: &mut writer,
                    held: &mut held,
                    pace: Pace::new(limits),
                    skip,
                    limit: length,
                    digest: None,
                };
                let received = receive(body, intake).await;
                // What arrived is kept, also when the connection broke or a newer request took over.
                let progress = writer.sync().await.map_err(|e| storage(&e))?;
                received?;
                session.progress = progress;
                is_last(range)
            }
        };
        if last {
            complete::settle(self.app, &self.current, &mut session, &self.rules).await?;
        }
        let reply_url = if last { session.reply_url.clone() } else { None };
        Ok(Ack { received: Some(session.progress.next), reply_url, ..Ack::ok(Some(id)) })
    }

    /// Section 9.6.
    async fn close(&self, id: SessionId) -> Result<Ack, Refusal> {
        let (_held, session) = self.session(&id).await?;
        match session {
            None if self.ended(&id).await?.0 => {}
            None => return Err(Refusal::SessionNotFound),
            Some(mut session) => complete::close(self.app, &self.current, &mut session, &self.rules).await?,
        }
        Ok(Ack::ok(Some(id)))
    }

    /// Section 5.5 and 9.7.
    async fn cancel(&self, id: SessionId) -> Result<Ack, Refusal> {
        let (_held, session) = self.session(&id).await?;
        match session {
            None if !self.ended(&id).await?.0 => {}
            None => return Err(Refusal::SessionNotFound),
            Some(session) => complete::forget(self.app, &session, false).await?,
        }
        Ok(Ack::ok(Some(id)))
    }
}

fn is_last(range: ContentRange) -> bool {
    match range {
        ContentRange::Empty => true,
        ContentRange::Span { last, total, .. } => last + 1 == total,
    }
}

/// True if a reply can come from the path's back-end.
pub(crate) fn has_backend(rules: &Rules) -> bool {
    rules.notification != Notification::None
}
