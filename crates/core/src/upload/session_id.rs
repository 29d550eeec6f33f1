//! The name of an upload session (spec/upload-protocol.md 3).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A session id: opaque text of 1 to 100 visible ASCII characters, compared byte for byte.
///
/// Ours are GUIDs in upper case and braces. An id from the network may hold `/` or `..`: use
/// [`SessionId::guid`] before it becomes part of any path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// The text is empty, longer than 100 characters, or has characters that HTTP does not allow there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id")]
pub struct InvalidSessionId;

impl SessionId {
    /// Longest id in characters.
    pub const MAX: usize = 100;

    /// A new id of 16 random bytes (122 of the bits are kept): `{3B0C7A52-…}`.
    pub fn from_random_bytes(bytes: [u8; 16]) -> Self {
        let guid = uuid::Builder::from_random_bytes(bytes).into_uuid();
        Self(guid.braced().to_string().to_uppercase())
    }

    /// From a header value, blanks around it removed.
    pub fn from_header(value: &[u8]) -> Result<Self, InvalidSessionId> {
        let text = std::str::from_utf8(value).map_err(|_| InvalidSessionId)?;
        Self::try_from(text.trim_matches([' ', '\t']).to_owned())
    }

    /// The bare GUID in lower case, if the id is exactly of the form that [`SessionId::from_random_bytes`] makes.
    ///
    /// Safe as a file name. Any other spelling names no session of ours.
    pub fn guid(&self) -> Option<String> {
        let bare = self.0.strip_prefix('{')?.strip_suffix('}')?;
        if bare.len() != 36 || bare.bytes().any(|b| b.is_ascii_lowercase()) {
            return None;
        }
        bare.parse::<uuid::Uuid>().ok().map(|guid| guid.hyphenated().to_string())
    }

    /// The id whose [`SessionId::guid`] is this text.
    pub fn from_guid(guid: &str) -> Result<Self, InvalidSessionId> {
        let id = Self(format!("{{{}}}", guid.to_uppercase()));
        if id.guid().as_deref() == Some(guid) { Ok(id) } else { Err(InvalidSessionId) }
    }

    /// The text as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SessionId {
    type Error = InvalidSessionId;

    fn try_from(text: String) -> Result<Self, InvalidSessionId> {
        let good = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if good { Ok(Self(text)) } else { Err(InvalidSessionId) }
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
