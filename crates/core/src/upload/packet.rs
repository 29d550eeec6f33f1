//! Requests: which packet is it, and is it well formed (spec/upload-protocol.md 4.1, 9.2).

use super::grammar::{ContentRange, decimal_value, speaks_our_protocol};
use super::{MAX_HEADER_VALUE, Refusal, SessionId, header};
use std::fmt;

/// The headers of one message, however an HTTP library keeps them.
pub trait Headers {
    /// The first value of the header; names compare without case.
    fn value(&self, name: &str) -> Option<&[u8]>;
    /// Length in bytes of the longest value of all headers.
    fn longest_value(&self) -> usize;
}

/// Any list of names and values.
impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|pair| pair.0.as_ref().eq_ignore_ascii_case(name)).map(|pair| pair.1.as_ref())
    }

    fn longest_value(&self) -> usize {
        self.iter().map(|pair| pair.1.as_ref().len()).max().unwrap_or(0)
    }
}

/// The kinds of packets (section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// Opens the connection, does nothing.
    Ping,
    /// Begins a session.
    CreateSession,
    /// Carries bytes.
    Fragment,
    /// Ends a session: the upload is delivered.
    CloseSession,
    /// Ends a session: the upload is discarded.
    CancelSession,
    /// The answer to each of them.
    Ack,
}

impl PacketType {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Ping, Self::CreateSession, Self::Fragment, Self::CloseSession, Self::CancelSession, Self::Ack];

    /// The name in the spelling of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "Ping",
            Self::CreateSession => "Create-Session",
            Self::Fragment => "Fragment",
            Self::CloseSession => "Close-Session",
            Self::CancelSession => "Cancel-Session",
            Self::Ack => "Ack",
        }
    }

    /// From a header value; case does not matter.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let name = value.trim_ascii();
        Self::ALL.into_iter().find(|kind| kind.as_str().as_bytes().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What can be said of a request before it is known who sends it (checks 2 to 4 of section 9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// Kind of packet.
    pub kind: PacketType,
    /// Content-Length in bytes.
    pub length: u64,
}

/// A well-formed packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Answer 200.
    Ping,
    /// Begin a session. The client speaks our protocol.
    Create,
    /// Bytes for a session; its range is read by [`Envelope::range`] once the session is known.
    Fragment(SessionId),
    /// Deliver.
    Close(SessionId),
    /// Discard.
    Cancel(SessionId),
}

impl Envelope {
    /// Checks 2 to 4 of section 9.2: HTTP version, sizes of headers, Content-Length, packet type.
    pub fn parse(http_1_1_or_later: bool, headers: &(impl Headers + ?Sized)) -> Result<Self, Refusal> {
        if !http_1_1_or_later {
            return Err(Refusal::Invalid("HTTP/1.1 is needed"));
        }
        if headers.longest_value() > MAX_HEADER_VALUE {
            return Err(Refusal::Invalid("a header value is longer than 4 KiB"));
        }
        let length = headers.value("Content-Length").ok_or(Refusal::LengthRequired)?;
        let length = decimal_value(length).ok_or(Refusal::Invalid("Content-Length is not a number"))?;
        let kind = headers.value(header::PACKET_TYPE).and_then(PacketType::parse);
        let kind = kind.ok_or(Refusal::Invalid("no known BITS-Packet-Type"))?;
        Ok(Self { kind, length })
    }

    /// Checks 7 to 10 of section 9.2 and step 1 of section 9.3.
    pub fn packet(self, headers: &(impl Headers + ?Sized)) -> Result<Packet, Refusal> {
        if self.length != 0 && self.kind != PacketType::Fragment {
            return Err(Refusal::Invalid("only a Fragment has a body"));
        }
        match self.kind {
            PacketType::Ping => Ok(Packet::Ping),
            PacketType::CreateSession => match headers.value(header::SUPPORTED_PROTOCOLS) {
                Some(list) if speaks_our_protocol(list) => Ok(Packet::Create),
                _ => Err(Refusal::Invalid("no common protocol")),
            },
            PacketType::Fragment => session(headers).map(Packet::Fragment),
            PacketType::CloseSession => session(headers).map(Packet::Close),
            PacketType::CancelSession => session(headers).map(Packet::Cancel),
            PacketType::Ack => Err(Refusal::Invalid("an Ack is not a request")),
        }
    }

    /// The range of a Fragment (section 3): well formed, as long as the body, identity coded.
    pub fn range(self, headers: &(impl Headers + ?Sized)) -> Result<ContentRange, Refusal> {
        if headers
            .value("Content-Encoding")
            .is_some_and(|v| !v.trim_ascii().eq_ignore_ascii_case(b"identity"))
        {
            return Err(Refusal::Invalid("Content-Encoding is not identity"));
        }
        let value = headers.value("Content-Range").ok_or(Refusal::Invalid("no Content-Range"))?;
        let range = ContentRange::parse(value, self.length).ok_or(Refusal::Invalid("bad Content-Range"))?;
        if let ContentRange::Span { first, last, total } = range {
            if last >= total {
                return Err(Refusal::Invalid("the range ends beyond the total"));
            }
            if last - first + 1 != self.length {
                return Err(Refusal::Invalid("Content-Range and Content-Length differ"));
            }
        }
        Ok(range)
    }
}

fn session(headers: &(impl Headers + ?Sized)) -> Result<SessionId, Refusal> {
    let value = headers.value(header::SESSION_ID).ok_or(Refusal::Invalid("no BITS-Session-Id"))?;
    SessionId::from_header(value).map_err(|_| Refusal::Invalid("bad BITS-Session-Id"))
}
