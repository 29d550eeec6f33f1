//! Identifiers: jobs, owners, attempts, tickets.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A job's GUID: the only key of a job (spec/behaviour.md 1).
///
/// Written in lower case without braces; braces and any case are accepted when parsing. The caller
/// supplies the 16 random bytes, since this crate has no randomness.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(uuid::Uuid);

impl JobId {
    /// Makes a version 4 GUID of 16 random bytes.
    pub fn from_random_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// From the bytes of [`JobId::as_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// The 16 bytes, most significant first (the order of the text form).
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// A version 4 GUID, as [`JobId::from_random_bytes`] makes it.
    pub fn is_random(&self) -> bool {
        self.0.get_version_num() == 4 && self.0.get_variant() == uuid::Variant::RFC4122
    }

    /// True for GUID_NULL.
    pub fn is_nil(&self) -> bool {
        self.0.is_nil()
    }

    /// `{3B0C7A52-…}`: the form that bitsadmin prints.
    pub fn braced(&self) -> String {
        self.0.braced().to_string().to_uppercase()
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        if bare.len() != 36 {
            return Err(InvalidJobId);
        }
        bare.parse().map(Self).map_err(|_| InvalidJobId)
    }
}

/// The text is not a GUID in the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, with or without braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a job GUID")]
pub struct InvalidJobId;

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A COM class id: who is activated for notification (spec/bits-extended.md 6.3, id 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassId(uuid::Uuid);

impl ClassId {
    /// GUID_NULL: no class.
    pub const NIL: Self = Self(uuid::Uuid::nil());

    /// True for GUID_NULL.
    pub fn is_nil(self) -> bool {
        self == Self::NIL
    }

    /// From a GUID as Windows lays it out in memory.
    pub fn from_bytes_le(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes_le(bytes))
    }

    /// As Windows lays it out in memory.
    pub fn to_bytes_le(self) -> [u8; 16] {
        self.0.to_bytes_le()
    }

    /// `{084F6593-…}`: with braces, in upper case.
    pub fn braced(self) -> String {
        self.0.braced().to_string().to_uppercase()
    }
}

impl FromStr for ClassId {
    type Err = InvalidClassId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        if bare.len() != 36 {
            return Err(InvalidClassId);
        }
        bare.parse().map(Self).map_err(|_| InvalidClassId)
    }
}

/// The text is not a GUID in the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, with or without braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID")]
pub struct InvalidClassId;

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A Unix user id: the owner of a job. Always the kernel's word, never a field of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(pub u32);

impl Uid {
    /// The administrator; also the counterpart of LocalSystem (spec/bits-core.md 11).
    pub const ROOT: Self = Self(0);

    /// A system account: below the range of people's accounts, or `nobody` (spec/behaviour.md 8).
    pub const fn is_system(self) -> bool {
        self.0 < 1000 || self.0 == 65_534
    }

    /// Owner as `GetOwner` reports it: `S-1-22-1-<uid>`, root as LocalSystem (spec/bits-core.md 11).
    pub fn sid(self) -> String {
        if self == Self::ROOT { "S-1-5-18".to_owned() } else { format!("S-1-22-1-{}", self.0) }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of one job in a worker. Messages of an older attempt are recognised and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub u64);

/// A call whose answer comes later (it waits for a worker).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_in_every_documented_form() {
        let id = JobId::from_random_bytes([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.braced().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        assert!(id.is_random() && !JobId::from_bytes([7; 16]).is_random());
        for bad in
            ["", "{}", "7", "{07070707-0707-4707-8707-070707070707", "07070707070747078707070707070707"]
        {
            assert_eq!(bad.parse::<JobId>(), Err(InvalidJobId), "{bad}");
        }
    }

    #[test]
    fn owners_are_reported_as_sids() {
        assert_eq!(Uid(1000).sid(), "S-1-22-1-1000");
        assert_eq!(Uid::ROOT.sid(), "S-1-5-18");
    }
}
