//! Downloads of Delivery Optimization and their cache hosts (spec/delivery-optimization-linux-agent.md 8.4).

use super::{Effect, Queue};
use crate::delivery::cache::{BAN_S, Ban, host_of};
use crate::id::JobId;
use crate::job::ErrorRecord;
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

impl Queue {
    /// Before an attempt: the cache host or the origin.
    pub(super) fn choose_side(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let route = job.delivery.as_deref().and_then(|delivery| delivery.route.as_ref());
        let Some((route, file)) = route.zip(job.files.first()) else { return };
        let banned = self.bans.holds(&route.config.host, host_of(&file.remote), now.mono);
        if job.choose_side(banned) {
            self.effects.push(Effect::SaveFile(id, 0));
        }
        self.save(id);
    }

    /// What an attempt's error means for a download; `retry` unchanged for every other job.
    pub(super) fn delivery_failed(
        &mut self,
        id: JobId,
        error: &ErrorRecord,
        retry: Option<u64>,
        now: Now,
    ) -> Option<u64> {
        let job = self.jobs.get_mut(&id)?;
        let host = job.asks_cache_host().map(str::to_owned);
        let origin = job.files.first().map(|file| host_of(&file.remote).to_owned());
        let (retry, ban) = job.delivery_failed(error, retry, now);
        if let (Some(host), Some(ban)) = (host, ban) {
            let origin = origin.filter(|_| ban == Ban::ThisOrigin);
            self.bans.ban(&host, origin.as_deref(), now.mono);
        }
        retry
    }
}
