//! What is remembered of an upload (spec/upload-protocol.md 7).

use super::Protocol;
use serde::{Deserialize, Serialize};

/// Identity of the source as it was when the upload began: any difference means that the file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceMark {
    /// Bytes.
    pub size: u64,
    /// Time of the last change of the content, seconds since 1970.
    pub modified_s: i64,
    /// Its nanoseconds.
    pub modified_ns: u32,
    /// Inode.
    pub inode: u64,
    /// Device.
    pub device: u64,
}

/// Everything about an upload that survives a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UploadState {
    /// The protocol in use, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The source as it was when the upload began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceMark>,
    /// BITS session id, tus or IETF upload URL, S3 upload id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Host of the session, if the server named one (section 12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Seconds without contact to that host after which it is given up; none: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_s: Option<u32>,
    /// Since when that host cannot be reached, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_lost_ms: Option<i64>,
    /// Bytes that the server has confirmed.
    #[serde(skip_serializing_if = "is_zero")]
    pub offset: u64,
    /// Largest request body that the server takes, if it refused a larger one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_max: Option<u64>,
    /// Where the reply is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_url: Option<String>,
    /// The server has every byte.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub received: bool,
    /// The reply is stored (or there is none).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reply_stored: bool,
    /// The closing request was sent at least once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub close_sent: bool,
    /// The upload is delivered, and the session is over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// S3: bytes of every part but the last.
    #[serde(skip_serializing_if = "is_zero")]
    pub part_bytes: u64,
    /// S3: a hash over the entity tags of the parts below `offset`, to recognise them in the server's list.
    #[serde(skip_serializing_if = "is_zero")]
    pub seal: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl UploadState {
    /// Longest text of any field, in bytes.
    pub const TEXT_MAX: usize = 4096;

    /// There is something on the server that a Cancel has to take back.
    pub fn is_open(&self) -> bool {
        self.session.is_some() && !self.closed
    }

    /// Forgets the session; source, protocol and limits stay.
    pub fn forget_session(&mut self) {
        *self = Self {
            protocol: self.protocol,
            source: self.source,
            body_max: self.body_max,
            host: self.host.take(),
            fallback_s: self.fallback_s,
            host_lost_ms: self.host_lost_ms,
            ..Self::default()
        };
    }

    /// What is stored makes sense for a file of this size.
    pub fn is_sound(&self) -> bool {
        let short = |text: &Option<String>| text.as_ref().is_none_or(|t| t.len() <= Self::TEXT_MAX);
        let size = self.source.map_or(u64::MAX, |source| source.size);
        short(&self.session) && short(&self.host) && short(&self.reply_url) && self.offset <= size
    }
}
