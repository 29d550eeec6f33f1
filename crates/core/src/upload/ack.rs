//! Answers: printing them for the server, reading them for the client (spec/upload-protocol.md 4.2).

use super::grammar::{context, decimal_value, hresult, is_host_id};
use super::{Headers, NO_FALLBACK_S, PROTOCOL, PacketType, Refusal, SessionId, header};
use crate::{ErrorContext, HResult};

/// The host that a client uses for the rest of the session (section 12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostId {
    /// Host name or address, without port.
    pub host: String,
    /// Seconds without contact after which the client goes back to the origin host.
    pub fallback_s: u32,
}

/// The error part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckError {
    /// The code.
    pub code: HResult,
    /// Who failed.
    pub context: ErrorContext,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// HTTP status.
    pub status: u16,
    /// Session, if there is one.
    pub session: Option<SessionId>,
    /// The session was created: protocol and codings are named.
    pub created: bool,
    /// Where to go on.
    pub host: Option<HostId>,
    /// Next byte the server expects.
    pub received: Option<u64>,
    /// Where the reply is.
    pub reply_url: Option<String>,
    /// What went wrong; never with 200 or 201.
    pub error: Option<AckError>,
}

/// The answer does not come from a BITS server, or makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableAck {
    /// Success without `BITS-Packet-Type: Ack`: a proxy's page or a plain web server.
    #[error("the answer is not from a BITS server")]
    NotBits,
    /// A new session without an id, or with an impossible one.
    #[error("the server created a session without a usable id")]
    BadSessionId,
    /// The server chose a protocol that we did not offer.
    #[error("the server chose an unknown protocol")]
    BadProtocol,
}

impl Ack {
    /// A success, with what belongs on it still to be set.
    pub const fn ok(session: Option<SessionId>) -> Self {
        Self {
            status: 200,
            session,
            created: false,
            host: None,
            received: None,
            reply_url: None,
            error: None,
        }
    }

    /// A refusal. The offset is named where the specification wants it.
    pub fn refuse(refusal: Refusal, session: Option<SessionId>) -> Self {
        let error = refusal.error().map(|(code, context)| AckError { code, context });
        let received = if let Refusal::OutOfStep { next } = refusal { Some(next) } else { None };
        Self { status: refusal.status(), session, received, error, ..Self::ok(None) }
    }

    /// The headers in the order in which they are sent, Content-Length included.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut out = vec![("Pragma", "no-cache".to_owned())];
        out.push((header::PACKET_TYPE, PacketType::Ack.as_str().to_owned()));
        if self.created {
            out.push((header::PROTOCOL, PROTOCOL.to_owned()));
        }
        if let Some(id) = &self.session {
            out.push((header::SESSION_ID, id.as_str().to_owned()));
        }
        if let Some(host) = &self.host {
            out.push((header::HOST_ID, host.host.clone()));
            out.push((header::HOST_ID_FALLBACK, host.fallback_s.to_string()));
        }
        if self.created {
            out.push(("Accept-Encoding", "identity".to_owned()));
        }
        if let Some(next) = self.received {
            out.push((header::RECEIVED, next.to_string()));
        }
        if let Some(url) = &self.reply_url {
            out.push((header::REPLY_URL, url.clone()));
        }
        if let Some(error) = &self.error {
            out.push((header::ERROR, error.code.to_string()));
            out.push((header::ERROR_CODE, error.code.to_string()));
            out.push((header::ERROR_CONTEXT, format!("0x{:X}", error.context.value())));
        }
        out.push(("Content-Length", "0".to_owned()));
        out
    }

    /// Reads an answer to a packet of kind `asked`, with the tolerance of sections 4.3, 8.1 and 22.
    ///
    /// A missing or unreadable offset is `received: None`; a bad host id counts as none.
    pub fn read(
        asked: PacketType,
        status: u16,
        headers: &(impl Headers + ?Sized),
    ) -> Result<Self, UnreadableAck> {
        let good = matches!(status, 200 | 201);
        let is_ack = headers.value(header::PACKET_TYPE).and_then(PacketType::parse) == Some(PacketType::Ack);
        if good && !is_ack {
            return Err(UnreadableAck::NotBits);
        }
        let mut ack = Self::ok(None);
        ack.status = status;
        ack.session = headers.value(header::SESSION_ID).and_then(|v| SessionId::from_header(v).ok());
        ack.received = headers.value(header::RECEIVED).and_then(decimal_value);
        ack.reply_url = text(headers, header::REPLY_URL).filter(|url| !url.is_empty());
        if good && asked == PacketType::CreateSession {
            ack.created = true;
            if ack.session.is_none() {
                return Err(UnreadableAck::BadSessionId);
            }
            let chosen = headers.value(header::PROTOCOL);
            if chosen.is_some_and(|v| !v.trim_ascii().eq_ignore_ascii_case(PROTOCOL.as_bytes())) {
                return Err(UnreadableAck::BadProtocol);
            }
            ack.host = text(headers, header::HOST_ID).map(without_port).filter(|host| is_host_id(host)).map(
                |host| {
                    let seconds = headers.value(header::HOST_ID_FALLBACK).and_then(decimal_value);
                    HostId {
                        host,
                        fallback_s: seconds.and_then(|s| s.try_into().ok()).unwrap_or(NO_FALLBACK_S),
                    }
                },
            );
        }
        if !good {
            let code = headers.value(header::ERROR).or_else(|| headers.value(header::ERROR_CODE));
            let origin = headers.value(header::ERROR_CONTEXT).and_then(context);
            ack.error = code
                .and_then(hresult)
                .map(|code| AckError { code, context: origin.unwrap_or(ErrorContext::RemoteFile) });
        }
        Ok(ack)
    }
}

/// Some servers name a port, which counts for nothing: the port of the destination stays (section 22).
fn without_port(host: String) -> String {
    match host.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name.to_owned()
        }
        _ => host,
    }
}

fn text(headers: &(impl Headers + ?Sized), name: &str) -> Option<String> {
    headers.value(name).and_then(|v| std::str::from_utf8(v).ok()).map(|v| v.trim().to_owned())
}
