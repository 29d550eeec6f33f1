//! Delivery Optimization: cache hosts of its jobs (spec/delivery-optimization-linux-agent.md 8.4), and downloads of IDOManager
//! (spec/delivery-optimization-com.md 3, 4).

use super::{Called, Effect, Failure, NoticeKind, Queue};
use crate::caller::Caller;
use crate::delivery::cache::{BAN_S, Ban};
use crate::delivery::codes;
use crate::delivery::download::{State, status};
use crate::hresult as h;
use crate::id::JobId;
use crate::job::route::Verdict;
use crate::job::{Download, DownloadCall, ErrorRecord, FileId, Job, Notice};
use crate::secret::split_login;
use crate::time::{Mono, Now};
use std::collections::HashMap;

/// Most cache hosts that are remembered; beyond it the oldest go.
const BANS_MAX: usize = 64;

/// Until when a cache host is left alone: for one origin, or (`None`) for everything.
#[derive(Debug, Default)]
pub(super) struct Bans(HashMap<(String, Option<String>), Mono>);

impl Bans {
    fn ban(&mut self, host: &str, origin: Option<&str>, now: Mono) {
        self.0.retain(|_, until| *until > now);
        if self.0.len() >= BANS_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, until)| **until).map(|(key, _)| key.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert((host.to_owned(), origin.map(str::to_owned)), now.plus_s(BAN_S));
    }

    fn holds(&self, host: &str, origin: &str, now: Mono) -> bool {
        let until = |origin: Option<&str>| self.0.get(&(host.to_owned(), origin.map(str::to_owned)));
        [until(None), until(Some(origin))].into_iter().flatten().any(|until| *until > now)
    }
}

/// The names in a path: the same for `/a//b` and `/a/./b` as for `/a/b`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|step| !matches!(*step, "" | "."))
}

impl Queue {
    /// Before an attempt: a cache host or the origin. True if it is a cache host.
    pub(super) fn choose_side(&mut self, id: JobId, now: Now) -> bool {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.route.is_some()) else { return false };
        let bans = &self.bans;
        let other = job.choose_side(|host, origin| bans.holds(host, origin, now.mono));
        let (cached, marked) = (job.asks_cache_host().is_some(), if other { job.files.len() } else { 0 });
        let moved = (0u32..).zip(&job.files).take(marked).filter(|(_, file)| file.moved);
        self.effects.extend(moved.map(|(index, _)| Effect::SaveFile(id, index)));
        self.save(id);
        cached
    }

    /// What an attempt's error means for a job of Delivery Optimization; as `retry` says for every other job.
    pub(super) fn verdict(
        &mut self,
        id: JobId,
        error: &ErrorRecord,
        retry: Option<u64>,
        now: Now,
    ) -> Verdict {
        let Some(job) = self.jobs.get_mut(&id) else { return Verdict::Final };
        let bans = &self.bans;
        let banned = |host: &str, origin: &str| bans.holds(host, origin, now.mono);
        let (verdict, ban) = job.attempt_failed(error, retry, banned, now);
        if let Some((ban, host, origin)) = ban {
            let origin = Some(origin.as_str()).filter(|_| ban == Ban::ThisOrigin);
            self.bans.ban(&host, origin, now.mono);
        }
        verdict
    }
}

/// The file of an agent's download, between the question to a worker and its answer.
impl Queue {
    /// A worker is asked to make it. True: one was asked before, and its answer was not heard.
    pub fn begin_making(&mut self, id: JobId) -> bool {
        let Some(delivery) = self.jobs.get_mut(&id).and_then(|job| job.delivery.as_deref_mut()) else {
            return false;
        };
        let before = std::mem::replace(&mut delivery.making, true);
        if !before {
            self.save(id);
        }
        before
    }

    /// The worker answered that it made none.
    pub fn not_made(&mut self, id: JobId) {
        if let Some(delivery) = self.jobs.get_mut(&id).and_then(|job| job.delivery.as_deref_mut()) {
            delivery.making = false;
            self.save(id);
        }
    }

    /// A download has made this very file.
    pub fn is_made(&self, file: FileId) -> bool {
        self.jobs.values().any(|job| job.made() == Some(file))
    }
}

/// What IDOManager enumerates by (spec/delivery-optimization-com.md 3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Category {
    /// Id, compared as a GUID is.
    Id(String),
    /// Uri, as it was given but for user and password.
    Uri(String),
    /// ContentId
    ContentId(String),
    /// DisplayName
    DisplayName(String),
    /// LocalPath
    LocalPath(String),
}

impl Category {
    fn fits(&self, job: &Job, download: &Download) -> bool {
        match self {
            Self::Id(text) => text.parse().is_ok_and(|id: JobId| id == job.id),
            Self::Uri(text) => download.uri.as_ref() == Some(&split_login(text).0),
            Self::ContentId(text) => download.content_id.as_ref() == Some(text),
            Self::DisplayName(text) => download.display_name.as_ref() == Some(text),
            Self::LocalPath(text) => !download.stream && download.path.as_ref() == Some(text),
        }
    }
}

/// Downloads of IDOManager.
impl Queue {
    /// EnumDownloads: those that this caller created and that are not over, by age.
    pub fn downloads(&self, caller: Caller, category: Option<&Category>) -> Vec<JobId> {
        let fits = |job: &&Job| {
            let download = job.download.as_deref();
            download.is_some_and(|download| category.is_none_or(|wanted| wanted.fits(job, download)))
        };
        let mut found: Vec<_> =
            self.own_jobs(caller.uid, None).filter(fits).map(|job| (job.created, job.id)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// The service began anew: downloads that nobody asked to keep are gone (NonVolatile, 4.4).
    pub fn drop_volatile(&mut self, now: Now) {
        let volatile =
            |job: &Job| job.finishing.is_none() && job.download.as_deref().is_some_and(Download::is_volatile);
        for id in self.ids_by_age(volatile) {
            self.abort(id, now);
        }
    }

    /// Cancel without a caller.
    fn abort(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.cancel(now).is_ok() {
            self.save(id);
            self.notice(id, NoticeKind::Modified, now.wall);
            self.begin_cancel_files(id, None, now);
        }
    }

    /// Checks of a download's call that come before it waits for anything.
    pub(super) fn check_download_call(job: &Job, call: &DownloadCall) -> Result<(), Failure> {
        let Some(status) = status(job) else {
            return Err(Failure::new(h::BG_E_NOT_FOUND, format!("there is no download {}", job.id)));
        };
        match call {
            DownloadCall::Set(change) => {
                change.check().map_err(|code| Failure::new(code, "not a value of the property"))
            }
            DownloadCall::Finalize if status.state != State::Transferred => {
                Err(Failure::new(codes::DO_E_INVALID_STATE, "the download is not transferred"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn perform_download(
        &mut self,
        caller: Caller,
        id: JobId,
        call: DownloadCall,
        now: Now,
    ) -> Result<Called, Failure> {
        let ranges_max = self.ranges_per_file(caller);
        let job = self.jobs.get_mut(&id).ok_or(h::BG_E_NOT_FOUND)?;
        let files_before = job.files.len();
        let change = match call {
            DownloadCall::Set(change) => {
                let renames = change.uri.is_some() && files_before > 0;
                let unchecked = !job.checks_revocation();
                let change = job.set_download(*change, now)?;
                // Whether it is kept may be another now.
                self.arm_inactivity(id);
                let Some(job) = self.jobs.get_mut(&id) else { return Err(h::BG_E_NOT_FOUND.into()) };
                if unchecked && job.checks_revocation() {
                    self.begin_files_again(id);
                }
                if renames {
                    return Ok(self.renamed(id, change, &[0], now));
                }
                change
            }
            DownloadCall::Start(file, ranges) => {
                let change = job.start_download(file.map(|file| *file), ranges, ranges_max, now)?;
                if change.notice != Notice::None {
                    job.follow_cache_policy(&self.limits.cache, self.machine.vpn, now);
                }
                self.save_files(id, 0..1);
                if files_before == 0 {
                    self.replace_paused(id, now);
                }
                change
            }
            // They were turned into modern calls.
            DownloadCall::Abort | DownloadCall::Finalize => return Err(h::E_UNEXPECTED.into()),
        };
        self.save(id);
        self.tell(id, change.notice, now);
        self.settle(id, now);
        Ok(Called::Done(Ok(change.code)))
    }

    /// A paused download to the same path is aborted by the second one (4.7).
    fn replace_paused(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(path) = job.files.first().map(|file| file.local.clone()) else { return };
        let same = |other: &Job| {
            let paused = status(other).is_some_and(|status| status.state == State::Paused);
            other.id != id
                && other.owner == job.owner
                && paused
                && other.finishing.is_none()
                && other.files.first().is_some_and(|file| steps(&file.local).eq(steps(&path)))
        };
        let others: Vec<JobId> =
            self.own_jobs(job.owner, None).filter(|other| same(other)).map(|job| job.id).collect();
        for other in others {
            self.abort(other, now);
        }
    }
}
