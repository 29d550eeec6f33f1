//! What a Delivery Optimization download has beside an ordinary job: its source and sink before the first Start, the file that it made,
//! and clocks of its own (spec/delivery-optimization-linux-agent.md 5 to 7).

use super::{Change, ErrorRecord, File, Job, NewFile, Notice};
use crate::delivery::cache::{Ban, CacheHost, Next, Route, Side};
use crate::delivery::codes;
use crate::enums::{ErrorContext, JobState};
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
    /// The cache host of its last Start, and where it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// The next try follows at once, at the other side.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
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
    /// The cache host of the Start that follows; `Some(None)`: none.
    pub cache: Option<Option<CacheHost>>,
}

impl Delivery {
    /// Seconds before the next try: 2, 4, 8, 16, 30, 30 …
    pub fn retry_delay_s(&self) -> u64 {
        if self.at_once {
            return 0;
        }
        (1_u64 << self.failures.clamp(1, 5)).min(DELAY_MAX_S)
    }

    /// Another user's from now on: the old owner's login is not used by the new one, nor the place that he chose for a file that was not
    /// made yet.
    pub(super) fn change_hands(&mut self, unmade: bool) {
        self.login = None;
        if unmade {
            self.path.clear();
        }
    }

    /// Forgets what went wrong: new bytes, another URL, a Start.
    pub fn begin_afresh(&mut self) {
        self.failures = 0;
        self.no_progress = false;
        self.at_once = false;
        self.route.iter_mut().for_each(Route::moved);
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
            delivery.path = path;
        }
        if let Some(cache) = change.cache {
            delivery.route = cache.map(|config| match delivery.route.take() {
                Some(mut route) => {
                    route.start(config);
                    route
                }
                None => Route::new(config, now.mono),
            });
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
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// Where the next try goes. `banned`: the cache host is left alone. True if that is another server than before.
    pub fn choose_side(&mut self, banned: bool) -> bool {
        let Some(route) = self.delivery.as_deref_mut().and_then(|delivery| delivery.route.as_mut()) else {
            return false;
        };
        let side = route.choose(banned);
        // What came before there was a cache host came from the origin.
        let other = route.asked.replace(side).unwrap_or(Side::Origin) != side;
        if let Some(file) = self.files.first_mut().filter(|file| other && !file.done.is_empty()) {
            file.moved = true;
        }
        other
    }

    /// The cache host that the present try asks, if it asks one.
    pub fn asks_cache_host(&self) -> Option<&str> {
        let route = self.delivery.as_deref()?.route.as_ref()?;
        (route.side == Side::Cache).then_some(route.config.host.as_str())
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

    /// Whether an error ends a download at once (`None`); `retry` is what the transfer thought of it (spec 7.3 and 8.4). Also, whom to leave
    /// alone for a while.
    pub fn delivery_failed(
        &mut self,
        error: &ErrorRecord,
        retry: Option<u64>,
        now: Now,
    ) -> (Option<u64>, Option<Ban>) {
        let Some(delivery) = self.delivery.as_deref_mut() else { return (retry, None) };
        delivery.at_once = false;
        let refused = error.http_status.filter(|status| !(200..300).contains(status));
        let local = error.context == ErrorContext::LocalFile;
        let usual = match refused {
            Some(400..=499) => None,
            Some(_) => Some(retry.unwrap_or(0)),
            None if local || codes::is_fatal(error.code) => None,
            None => Some(retry.unwrap_or(0)),
        };
        let Some(route) = delivery.route.as_mut().filter(|_| !local) else { return (usual, None) };
        let (next, ban) = route.failed(error.code, refused, now.mono);
        match next {
            Next::Usual => (usual, ban),
            Next::Later => (Some(retry.unwrap_or(0)), ban),
            Next::AtOnce => {
                delivery.at_once = true;
                (Some(0), ban)
            }
            Next::Final => (None, ban),
        }
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
