//! The upload plans: what to send next, and what an answer means. Pure; the worker only does as it is told.
//!
//! One [`Plan`] for each protocol: [`Bits`] (spec/upload-protocol.md), [`Patch`] (tus 1.0 and the IETF draft,
//! spec/resumable-uploads-elsewhere.md 2 and 3), [`Put`] (section 5). [`Discover`] asks a server which of them it speaks.
//!
//! The law:
//! * The server's offset is always adopted, whether it is lower or higher than what was expected; what it does not
//!   confirm does not count.
//! * A session's name is stored before its first byte goes out, and that Close-Session was sent is stored before it is
//!   sent ([`Plan::take_must_keep`]): so nothing is delivered twice by a client that crashed.
//! * Whatever a server answers, a plan ends in finitely many steps without progress: in success, or in an error.

mod bits;
mod cancel;
mod discover;
mod patch;
mod put;
mod sizes;
mod state;
mod target;

pub use bits::Bits;
pub use cancel::{cancel, is_cancelled};
pub use discover::Discover;
pub use patch::Patch;
pub use put::Put;
pub use sizes::Sizes;
pub use state::{SourceMark, UploadState};
pub use target::Target;

use crate::plan::Fail;
use serde::{Deserialize, Serialize};
use std::fmt;
use url::Url;

/// How a file is uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The server is asked.
    #[default]
    Auto,
    /// The BITS upload protocol.
    Bits,
    /// tus 1.0.
    Tus,
    /// Resumable uploads for HTTP (IETF draft).
    Ietf,
    /// S3 multipart upload.
    S3,
    /// One PUT of the whole file: after a break it begins again.
    Put,
}

impl Protocol {
    /// Every value.
    pub const ALL: [Self; 6] = [Self::Auto, Self::Bits, Self::Tus, Self::Ietf, Self::S3, Self::Put];

    /// The name in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bits => "bits",
            Self::Tus => "tus",
            Self::Ietf => "ietf",
            Self::S3 => "s3",
            Self::Put => "put",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Protocol {
    type Err = crate::enums::UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|p| p.as_str().eq_ignore_ascii_case(text));
        found.ok_or(crate::enums::UnknownName)
    }
}

/// Body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// None: `Content-Length: 0`.
    Empty,
    /// Bytes of the source.
    File {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// This text.
    Text(String),
}

impl Payload {
    /// Bytes of the body.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::File { length, .. } => *length,
            Self::Text(text) => text.len() as u64,
        }
    }

    /// No body.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A request to send. `Host`, `User-Agent`, the job's headers, credentials and `Content-Length` are the sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// HTTP method.
    pub method: &'static str,
    /// Where to; never carries a fragment or credentials.
    pub url: Url,
    /// Path and query as they go on the wire.
    pub target: String,
    /// Header fields in their order.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Payload,
    /// The caller's credentials may go with it: it is still the caller's server.
    pub credentials: bool,
    /// Milliseconds to wait for the answer once everything was sent.
    pub patience_ms: u64,
    /// The answer's body is read, up to 1 MiB.
    pub wants_body: bool,
}

/// Wait for an answer, in milliseconds (spec/upload-protocol.md 8.3).
pub const PATIENCE_MS: u64 = 300_000;
/// The same for an answer behind which a back-end works: longer than the server's own limit.
pub const LONG_PATIENCE_MS: u64 = 360_000;

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// HTTP status.
    pub status: u16,
    /// Fields in the order received, names in lower case.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Body, where it was wanted.
    pub body: &'a [u8],
    /// Milliseconds from the first byte of the request to the answer.
    pub took_ms: u64,
    /// The same request had gone out just before, on a connection that broke without an answer: the server may have acted on it.
    pub repeated: bool,
}

impl<'a> Heard<'a> {
    /// A header as text, blanks around it removed.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.1).ok().map(str::trim)
    }

    /// A header as an unsigned decimal number.
    pub fn number(&self, name: &str) -> Option<u64> {
        super::grammar::decimal(self.text(name)?)
    }

    /// `Retry-After` in milliseconds, at most a day.
    pub fn retry_after_ms(&self, now_ms: i64) -> Option<u64> {
        let framing = crate::plan::Framing::Chunked;
        let head = crate::plan::Head { status: self.status, framing, headers: self.headers };
        head.retry_after_ms(now_ms / 1000).map(|ms| ms.min(crate::plan::MAX_RETRY_AFTER_MS))
    }
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Send(Box<Ask>),
    /// Download the reply from the first of these addresses that has it, then call [`Plan::reply_stored`]. None: the reply is empty.
    Reply(Vec<String>),
    /// The server speaks this protocol.
    Settled(Protocol),
    /// The upload is delivered.
    Finished,
}

/// What an answer (or its absence) means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Go on with [`Plan::step`].
    Next,
    /// The same after so many milliseconds.
    Wait(u64),
    /// The attempt fails.
    Fail(Box<Fail>),
}

/// An upload in one attempt. Times are milliseconds since 1970.
pub trait Plan: fmt::Debug {
    /// What to do now.
    fn step(&mut self, now_ms: i64) -> Next;
    /// The answer to what [`Plan::step`] sent.
    fn answer(&mut self, heard: &Heard<'_>, now_ms: i64) -> Turn;
    /// No answer came; `sent` bytes of the body had left.
    fn broken(&mut self, fail: Box<Fail>, sent: u64, now_ms: i64) -> Turn;
    /// What has to survive a crash.
    fn state(&self) -> &UploadState;
    /// True once after a change that has to be durable before the next request is sent.
    fn take_must_keep(&mut self) -> bool;
    /// The reply is stored completely.
    fn reply_stored(&mut self) {}
}

#[cfg(test)]
mod tests;
