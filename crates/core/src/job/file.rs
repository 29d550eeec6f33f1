//! One file of a job.

use crate::range_set::RangeSet;
use crate::secret::Sealed;
use serde::{Deserialize, Serialize};

/// A file as a caller adds it; syntax already checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewFile {
    /// Remote name (URL), without user and password.
    pub remote: String,
    /// User and password that stood in the URL, sealed for the job and the URL's origin.
    pub login: Option<Sealed>,
    /// Absolute local path.
    pub local: String,
    /// Size of an upload's source.
    pub size: Option<u64>,
    /// Expected SHA-256, lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// A file of a job. `remote` and `local` have columns of their own in the store.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct File {
    /// Remote name, byte for byte what the caller gave but for user and password.
    #[serde(skip)]
    pub remote: Box<str>,
    /// Absolute local path.
    #[serde(skip)]
    pub local: Box<str>,
    /// User and password that stood in the URL, sealed for the job and the URL's origin; of no use at another origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Sealed>,
    /// Size, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Ranges durable in the temporary file.
    #[serde(default, skip_serializing_if = "RangeSet::is_empty")]
    pub done: RangeSet,
    /// Bytes written and not yet durable, for display only.
    #[serde(skip)]
    pub ahead: u64,
    /// All data is there (and its digest is right).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transferred: bool,
    /// Renamed to its local name by Complete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completed: bool,
    /// Something of this file was begun: a temporary file may exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// Strong entity tag of the version that `done` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<Box<str>>,
    /// `Last-Modified` of that version, as the server wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Box<str>>,
    /// `Last-Modified` as seconds since 1970: the mtime of the finished file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_s: Option<i64>,
    /// Expected SHA-256, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Box<str>>,
    /// How often the file began again at zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// A callback has accepted that the file is finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl File {
    /// A file just added.
    pub fn new(file: NewFile) -> Self {
        Self {
            remote: file.remote.into(),
            local: file.local.into(),
            login: file.login,
            size: file.size,
            sha256: file.sha256.map(Into::into),
            ..Self::default()
        }
    }

    /// Bytes moved so far, as GetProgress tells them.
    pub fn bytes_transferred(&self) -> u64 {
        if self.transferred {
            return self.size.unwrap_or_else(|| self.done.len());
        }
        let bytes = self.done.len().max(self.ahead);
        self.size.map_or(bytes, |size| bytes.min(size))
    }

    /// Forgets all progress: the next transfer begins at byte 0.
    pub fn restart(&mut self) {
        self.size = None;
        self.done = RangeSet::new();
        self.ahead = 0;
        self.transferred = false;
        self.etag = None;
        self.last_modified = None;
        self.modified_s = None;
        self.told = false;
    }
}
