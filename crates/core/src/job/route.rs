//! From where a job of Delivery Optimization fetches: its cache hosts, or the origin (spec/delivery-optimization-linux-agent.md 8,
//! docs/decisions/0029). The whole job is on one side at a time.

use super::{Dialect, ErrorRecord, File, Job};
use crate::delivery::cache::{Ban, CacheHosts, CachePolicy, Next, Route, has_port, host_of, rewrite};
use crate::delivery::codes;
use crate::enums::{ErrorContext, JobType};
use crate::names::{self, RemoteScheme};
use crate::time::Now;

/// What follows from the failure of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Another attempt, not before what the server asked for (milliseconds).
    Again(u64),
    /// Another attempt at once: it asks another server.
    Elsewhere,
    /// The error is final.
    Final,
}

impl Verdict {
    const fn of(retry: Option<u64>) -> Self {
        match retry {
            Some(ms) => Self::Again(ms),
            None => Self::Final,
        }
    }
}

impl File {
    /// Fetched from a web server, which a cache host can stand in for.
    fn is_of_the_web(&self) -> bool {
        names::check_remote_name(&self.remote).is_ok_and(RemoteScheme::has_ranges)
    }
}

impl Job {
    /// A cache host can stand in for the origin. It answers GET; what a method of the job's own does, only the origin knows.
    fn may_ask_cache_hosts(&self) -> bool {
        self.dialect() == Dialect::DeliveryOptimization
            && self.kind == JobType::Download
            && !self.has_custom_method()
    }

    /// Start or Resume of a job that is not the agent's, which has a configuration of its own: the policy of this moment holds until the
    /// next one.
    pub(crate) fn follow_cache_policy(&mut self, policy: &CachePolicy, vpn: bool, now: Now) {
        if self.dialect() == Dialect::DeliveryOptimization && self.delivery.is_none() {
            let config =
                policy.of(self.priority).filter(|_| self.may_ask_cache_hosts() && !policy.forbids(vpn));
            self.set_cache_hosts(config, now);
        }
    }

    /// The cache hosts of the Start that follows; `None`: none.
    pub(super) fn set_cache_hosts(&mut self, config: Option<CacheHosts>, now: Now) {
        match (config, self.route.as_deref_mut()) {
            (Some(config), Some(route)) => route.start(config, now.mono),
            (Some(config), None) => self.route = Some(Box::new(Route::new(config, now.mono))),
            (None, Some(route)) => {
                if route.asked.is_some() {
                    self.files.iter_mut().for_each(File::comes_from_elsewhere);
                }
                self.route = None;
            }
            (None, None) => {}
        }
    }

    /// Where the next try goes. `banned`: the cache host is left alone for an origin. True if that is another server than before: files of
    /// which something is there are marked.
    pub(crate) fn choose_side(&mut self, banned: impl Fn(&str, &str) -> bool) -> bool {
        let Some(route) = self.route.as_deref_mut() else { return false };
        let wanted = || self.files.iter().filter(|file| !file.transferred && file.is_of_the_web());
        let other = route.choose(|host| wanted().any(|file| banned(host, host_of(&file.remote))));
        if other {
            self.files.iter_mut().for_each(File::comes_from_elsewhere);
        }
        other
    }

    /// The cache host that the present try asks, if it asks one.
    pub fn asks_cache_host(&self) -> Option<&str> {
        self.route.as_deref()?.host()
    }

    /// The URL of a file at the cache host, if the present try asks one for it.
    pub fn cache_url(&self, file: &File) -> Option<String> {
        // A Metalink that is its own file's address names the places itself.
        let stands_for = || file.expect().sources.iter().any(|source| *source.location == *file.remote);
        let host = self.asks_cache_host().filter(|_| file.is_of_the_web() && !stands_for())?;
        Some(rewrite(&file.remote, host))
    }

    /// What the error of an attempt means; `retry` is what the transfer thought of it (of the agent's downloads: spec 7.3). Also, whom to
    /// leave alone for a while: a cache host, and its origin.
    pub(crate) fn attempt_failed(
        &mut self,
        error: &ErrorRecord,
        retry: Option<u64>,
        banned: impl Fn(&str, &str) -> bool,
        now: Now,
    ) -> (Verdict, Option<(Ban, String, String)>) {
        let refused = error.http_status.filter(|status| !(200..300).contains(status));
        let local = error.context == ErrorContext::LocalFile;
        let usual = match refused {
            _ if self.delivery.is_none() => retry,
            Some(400..=499) => None,
            Some(_) => Some(retry.unwrap_or(0)),
            None if local || codes::is_fatal(error.code) => None,
            None => Some(retry.unwrap_or(0)),
        };
        // What this machine or the job itself is to blame for, no other server cures.
        let own = local || error.context == ErrorContext::GeneralQueueManager;
        let file = error.file.and_then(|file| self.files.get(file as usize));
        let file = file.or_else(|| self.files.iter().find(|file| !file.transferred));
        let own = own || file.is_some_and(|file| !file.is_of_the_web());
        // A list of digests may be what failed, at another server; and where a cache host has no port of its own, the URL's may lead to
        // nothing there. Neither says anything about the cache host to others.
        let lists = file.is_some_and(|file| file.expect().locations().next().is_some());
        let port = file.is_some_and(|file| has_port(&file.remote));
        let origin = file.map_or_else(String::new, |file| host_of(&file.remote).to_owned());
        let Some(route) = self.route.as_deref_mut().filter(|_| !own) else {
            return (Verdict::of(usual), None);
        };
        let host = route.host().map(str::to_owned);
        let (next, ban) =
            route.failed(error.code, refused, retry.is_none(), |host| banned(host, &origin), now.mono);
        let ban = ban.filter(|_| !lists).map(|ban| if port { Ban::ThisOrigin } else { ban });
        let verdict = match next {
            Next::Usual => Verdict::of(usual),
            Next::Later => Verdict::Again(retry.unwrap_or(0)),
            Next::AtOnce => Verdict::Elsewhere,
            Next::Final => Verdict::Final,
        };
        (verdict, ban.zip(host).map(|(ban, host)| (ban, host, origin)))
    }
}

impl File {
    /// What is there came from another server than what follows: the next answer is compared by size and date alone.
    fn comes_from_elsewhere(&mut self) {
        if !self.transferred && !self.done.is_empty() {
            self.moved = true;
        }
    }
}
