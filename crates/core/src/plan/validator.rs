//! What identifies one version of a remote file.

use super::Head;
use super::answer::date_s;
use serde::{Deserialize, Serialize};

/// Seconds by which `Date` must be later than `Last-Modified` before the latter is trusted.
///
/// `Last-Modified` counts whole seconds: a file that changes twice in one second keeps its date. RFC 9110 (8.8.2.2) calls the
/// date strong when the answer was made at least one second later by the same clock. Clocks of web server and file store may
/// differ, so we ask for 60 seconds (the figure of the RFC before it). The price is small: a file without entity tag that was
/// published within the last minute is fetched again after an interruption. Without `Date` it is never trusted.
pub const LAST_MODIFIED_GUARD_S: i64 = 60;

/// Identity of one version of a remote file (spec/upload-protocol.md 20.2). Only what is strong is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// Strong entity tag, quotes included. Weak ones are never kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified` exactly as the server wrote it; kept only if it was older than [`LAST_MODIFIED_GUARD_S`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// The mirror whose version this is; `None`: the remote name itself. Entity tags and dates of two servers say nothing about each
    /// other, so bytes of one are never continued from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
}

/// An answer against the stored version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Shown to be the same.
    Same,
    /// Shown to be another.
    Changed(&'static str),
    /// Neither.
    Unproven,
}

impl Comparison {
    pub(super) fn reason(self) -> String {
        match self {
            Self::Same => "nothing changed".to_owned(),
            Self::Changed(what) => format!("the file changed on the server (another {what})"),
            Self::Unproven => "the server does not show that the file is still the same".to_owned(),
        }
    }
}

impl Validator {
    pub(super) fn of(head: &Head<'_>) -> Self {
        let guarded = match (head.modified_s(), head.date_s()) {
            (Some(modified), Some(date)) => date.saturating_sub(modified) >= LAST_MODIFIED_GUARD_S,
            _ => false,
        };
        Self {
            etag: head.strong_etag().map(str::to_owned),
            last_modified: head.last_modified().filter(|_| guarded).map(str::to_owned),
            mirror: None,
        }
    }

    /// True if bytes bound to this validator may be continued.
    pub fn usable(&self, size: Option<u64>) -> bool {
        self.etag.is_some() || (self.last_modified.is_some() && size.is_some())
    }

    /// The date in it, seconds since 1970.
    pub fn modified_s(&self) -> Option<i64> {
        self.last_modified.as_deref().and_then(date_s)
    }

    /// Value of `If-Range`.
    pub(super) fn if_range(&self) -> Option<&str> {
        self.etag.as_deref().or(self.last_modified.as_deref())
    }

    /// Any difference in what both sides tell is a change, even where the entity tag stayed: better to fetch once more than to
    /// trust a server that contradicts itself.
    pub(super) fn compare(&self, size: Option<u64>, head: &Head<'_>, total: Option<u64>) -> Comparison {
        let (etag, date) = (head.strong_etag(), head.last_modified());
        let differs =
            |stored: Option<&str>, seen: Option<&str>| matches!((stored, seen), (Some(a), Some(b)) if a != b);
        let equal =
            |stored: Option<&str>, seen: Option<&str>| matches!((stored, seen), (Some(a), Some(b)) if a == b);
        if differs(self.etag.as_deref(), etag) {
            return Comparison::Changed("entity tag");
        }
        if differs(self.last_modified.as_deref(), date) {
            return Comparison::Changed("date");
        }
        if matches!((size, total), (Some(a), Some(b)) if a != b) {
            return Comparison::Changed("size");
        }
        let same_size = size.is_some() && size == total;
        if equal(self.etag.as_deref(), etag) || (equal(self.last_modified.as_deref(), date) && same_size) {
            return Comparison::Same;
        }
        Comparison::Unproven
    }
}
