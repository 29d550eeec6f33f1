//! What a Delivery Optimization download has beside an ordinary job: its source and sink before the first Start, the file that it made,
//! and clocks of its own (spec/delivery-optimization-linux-agent.md 5 to 7).

use super::{Change, File, Job, NewFile, Notice};
use crate::delivery::cache::CacheHosts;
use crate::delivery::codes;
use crate::enums::JobState;
use crate::hresult::{self as h, HResult};
use crate::id::Uid;
use crate::secret::Sealed;
use crate::time::Now;
use serde::{Deserialize, Serialize};

/// Longest wait between two tries, in seconds.
const DELAY_MAX_S: u64 = 30;
/// No-progress timeout of a download that sets none, in seconds: 30 checks, 10 s apart.
pub const NO_PROGRESS_S: u32 = 300;
/// Least value of NoProgressTimeoutSeconds.
pub const NO_PROGRESS_MIN_S: u32 = 10;
/// A download that nobody finalizes or aborts is cleaned up after so many seconds: 30 days.
pub const RETENTION_S: u64 = 30 * 86_400;

/// Which file exactly: a name may lead elsewhere the next time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FileId {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Birth in nanoseconds since 1970 (0 where the file system does not tell): inode numbers are used again.
    pub born_ns: i64,
}

/// Of a job of the dialect `delivery_optimization`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// URL as given, without user and password; empty: not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// User and password of the URL, sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<Sealed>,
    /// Local path as given; empty: not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// NoProgressTimeoutSeconds as written; `None`: never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_progress_s: Option<u32>,
    /// The account whose worker does the job in place of the owner's: the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_as: Option<Uid>,
    /// The file that the first Start made, at its final path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<FileId>,
    /// Tries in a row that brought no byte.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// A worker was asked to make the file, and what came of it was not heard: an empty file of that account may be the download's own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub making: bool,
    /// The no-progress period ended it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_progress: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Properties to set; all or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeliveryChange {
    /// The URL as given, the form that is fetched, and its login.
    pub uri: Option<(String, String, Option<Sealed>)>,
    /// DownloadFilePath
    pub path: Option<String>,
    /// NoProgressTimeoutSeconds
    pub no_progress_s: Option<u32>,
    /// The cache hosts of the Start that follows; `Some(None)`: none.
    pub cache: Option<Option<CacheHosts>>,
}

impl Delivery {
    /// Seconds before the next try: 2, 4, 8, 16, 30, 30 …
    pub fn retry_delay_s(&self) -> u64 {
        (1_u64 << self.failures.clamp(1, 5)).min(DELAY_MAX_S)
    }

    /// Another user's from now on: the old owner's login is not used by the new one, nor the place that he chose for a file that was not
    /// made yet.
    pub(super) fn change_hands(&mut self, unmade: bool) {
        self.login = None;
        if unmade {
            self.path.clear();
            self.making = false;
        }
    }

    /// Forgets what went wrong: new bytes, another URL, a Start.
    pub fn begin_afresh(&mut self) {
        self.failures = 0;
        self.no_progress = false;
    }
}

impl Job {
    /// The data goes straight to its place: HIGH_PERFORMANCE, or a download that made its file.
    pub fn is_direct(&self) -> bool {
        self.options().high_performance || self.made().is_some()
    }

    /// The file that a download made at its final path.
    pub fn made(&self) -> Option<FileId> {
        self.delivery.as_deref()?.made
    }

    /// The account whose worker does the job, if it is not the owner's.
    pub fn runs_as(&self) -> Option<Uid> {
        self.delivery.as_deref()?.runs_as
    }

    /// SetProperty of a download: state of each, then all.
    ///
    /// # Errors
    /// `DO_E_INVALID_STATE`, `E_INVALIDARG`
    pub fn set_delivery(&mut self, change: DeliveryChange, now: Now) -> Result<Change, HResult> {
        let created = self.files.is_empty() && self.state == JobState::Suspended;
        let paused = crate::delivery::status::of(self)
            .is_some_and(|status| status.state == crate::delivery::status::State::Paused);
        let Some(delivery) = self.delivery.as_deref_mut() else { return Err(h::BG_E_INVALID_STATE) };
        if change.uri.is_some() && !created && !paused || change.path.is_some() && !created {
            return Err(codes::DO_E_INVALID_STATE);
        }
        if change.no_progress_s.is_some_and(|seconds| seconds < NO_PROGRESS_MIN_S) {
            return Err(h::E_INVALIDARG);
        }
        if let Some(seconds) = change.no_progress_s {
            delivery.no_progress_s = Some(seconds);
            self.no_progress_timeout_s = seconds.saturating_add(5) / 10 * 10;
        }
        if let Some(path) = change.path {
            // What a worker may have made lies at the old path.
            delivery.making &= delivery.path == path;
            delivery.path = path;
        }
        if let Some((uri, remote, login)) = change.uri {
            let other = delivery.uri != uri || delivery.login != login;
            delivery.uri = uri;
            delivery.login.clone_from(&login);
            if other && !self.files.is_empty() {
                delivery.begin_afresh();
                self.no_progress_since = None;
                self.rename(0, remote.into(), login);
            }
        }
        // A Start that came twice does not turn round an attempt that is on its way.
        if let Some(config) = change.cache.filter(|_| created || paused) {
            self.set_cache_hosts(config, now);
        }
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// The first Start: the file was made, exclusively, at its final path; the transfer begins.
    ///
    /// # Errors
    /// `DO_E_INVALID_STATE`: it was started before.
    pub fn deliver(
        &mut self,
        remote: String,
        local: String,
        made: FileId,
        now: Now,
    ) -> Result<Change, HResult> {
        if !self.files.is_empty() || self.state != JobState::Suspended {
            return Err(codes::DO_E_INVALID_STATE);
        }
        let Some(delivery) = self.delivery.as_deref_mut() else { return Err(codes::DO_E_INVALID_STATE) };
        let login = delivery.login.clone();
        (delivery.made, delivery.making) = (Some(made), false);
        let file = File::new(NewFile { remote, local, login, ..NewFile::default() });
        self.files.push(File { begun: true, ..file });
        self.resume(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute() {
        let after = |failures| Delivery { failures, ..Delivery::default() }.retry_delay_s();
        assert_eq!([1, 2, 3, 4, 5, 6, u32::MAX].map(after), [2, 4, 8, 16, 30, 30, 30]);
    }
}
