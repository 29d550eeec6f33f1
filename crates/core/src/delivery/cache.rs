//! Cache hosts (Microsoft Connected Cache), and when to leave them (spec/delivery-optimization-linux-agent.md 8,
//! spec/delivery-optimization-com.md 10.2).
//!
//! Several are asked in their order, one at a time; the origin follows when the last one failed. Two tries without a byte on one side lead
//! to the other, once both were tried; a delay holds a download to the cache hosts until it is over; -1 holds it there for good.

mod host;

pub use host::{HOST_MAX, HOSTS_MAX, gateway_of, has_port, host_and_port, host_of, hosts_of_list, rewrite};

use crate::enums::Priority;
use crate::hresult::{self as h, HResult};
use crate::time::Mono;
use serde::{Deserialize, Serialize};

/// What failed is left alone so long, in seconds.
pub const BAN_S: u64 = 900;
/// The delay that never ends.
pub const NEVER: i64 = -1;

/// What the policy says for all jobs of Delivery Optimization.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CachePolicy {
    /// Names or addresses, with a port where one is given; `None`: not set. An empty list is set: there is none.
    pub hosts: Option<Vec<String>>,
    /// Seconds before a foreground job may ask the origin, as in [`CacheHosts`].
    pub foreground_s: Option<i64>,
    /// The same of all other jobs.
    pub background_s: Option<i64>,
    /// There are none while the way out goes through a VPN.
    pub off_on_vpn: bool,
    /// There are none at all, whoever names them: the mode bypass.
    pub off: bool,
}

impl CachePolicy {
    /// No cache host may be asked now, whoever names it.
    pub const fn forbids(&self, vpn: bool) -> bool {
        self.off || self.off_on_vpn && vpn
    }

    /// What holds for a job of this level; `None`: straight to the origin.
    pub fn of(&self, priority: Priority) -> Option<CacheHosts> {
        let hosts = self.hosts.as_ref().filter(|hosts| !hosts.is_empty())?.clone();
        let delay_s = match priority {
            Priority::Foreground => self.foreground_s,
            _ => self.background_s,
        };
        Some(CacheHosts { hosts, delay_s })
    }
}

/// What the configuration says, read at every Start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CacheHosts {
    /// Their names, in the order in which they are asked; at least one.
    pub hosts: Vec<String>,
    /// Seconds before the origin may be asked; `None`: by the automatic rule; [`NEVER`]: never.
    pub delay_s: Option<i64>,
}

/// Where a download asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A cache host.
    #[default]
    Cache,
    /// The URL's own server.
    Origin,
}

/// A download's way between the two.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// The configuration at its last Start.
    pub config: CacheHosts,
    /// Where the present or next try goes.
    pub side: Side,
    /// Position of the cache host that is asked there.
    #[serde(default)]
    pub at: usize,
    /// Whom the try before asked: a cache host, or (`None`) the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// The first Start with these cache hosts.
    pub since: Mono,
    /// Tries in a row on this side that brought no byte.
    #[serde(default)]
    pub tries: u32,
    /// Cache hosts in a row that refused.
    #[serde(default)]
    pub refusals: usize,
    /// The origin was asked.
    #[serde(default)]
    pub origin_tried: bool,
    /// The delay was over when the last cache host failed: the rest comes from the origin.
    #[serde(default)]
    pub given_up: bool,
}

/// What a failure leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// As without a cache host: the error decides, the usual delay.
    Usual,
    /// Another try after the usual delay, whatever the error.
    Later,
    /// A try at another server, at once.
    AtOnce,
    /// The error is final.
    Final,
}

/// Who is left alone for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ban {
    /// The cache host, for this origin.
    ThisOrigin,
    /// The cache host, for everything.
    Everything,
}

/// A failure on the cache host's side that says that it is not there.
fn unreachable(code: HResult) -> bool {
    [h::ERROR_WINHTTP_TIMEOUT, h::ERROR_WINHTTP_NAME_NOT_RESOLVED, h::ERROR_WINHTTP_CANNOT_CONNECT]
        .contains(&code)
}

impl Route {
    /// A download that was never started with this configuration.
    pub fn new(config: CacheHosts, now: Mono) -> Self {
        Self {
            config,
            side: Side::Cache,
            at: 0,
            asked: None,
            since: now,
            tries: 0,
            refusals: 0,
            origin_tried: false,
            given_up: false,
        }
    }

    /// The cache host that the present try asks, if it asks one.
    pub fn host(&self) -> Option<&str> {
        let host = self.config.hosts.get(self.at).filter(|_| self.side == Side::Cache);
        host.map(String::as_str)
    }

    const fn never(&self) -> bool {
        matches!(self.config.delay_s, Some(NEVER))
    }

    fn is_due(&self, now: Mono) -> bool {
        match self.config.delay_s {
            None | Some(NEVER) => false,
            Some(delay) => now.since_ms(self.since) >= delay.max(0).saturating_mul(1000),
        }
    }

    /// The first cache host from this position on that is not left alone.
    fn free(&self, from: usize, banned: impl Fn(&str) -> bool) -> Option<usize> {
        let hosts = self.config.hosts.iter().enumerate().skip(from);
        hosts.filter(|(_, host)| self.never() || !banned(host)).map(|(at, _)| at).next()
    }

    /// Where the next try goes. `banned`: this cache host is left alone for the download's origin. True if that is another server than the
    /// one of the try before (what came before there was a cache host came from the origin).
    pub fn choose(&mut self, banned: impl Fn(&str) -> bool) -> bool {
        if self.side == Side::Cache {
            match self.free(self.at, &banned).or_else(|| self.free(0, &banned)) {
                Some(at) if !self.given_up => self.at = at,
                _ => self.turn(Side::Origin),
            }
        }
        self.origin_tried |= self.side == Side::Origin;
        let asks = self.host().map(str::to_owned);
        let other = self.asked != asks;
        self.asked = asks;
        other
    }

    /// A Start: the first cache host first, unless the same ones were given up.
    pub fn start(&mut self, config: CacheHosts, now: Mono) {
        if self.config.hosts == config.hosts {
            self.config = config;
            self.origin_tried = false;
            self.turn(if self.given_up { Side::Origin } else { Side::Cache });
        } else {
            let asked = self.asked.take();
            *self = Self { asked, ..Self::new(config, now) };
        }
    }

    /// Bytes came.
    pub fn moved(&mut self) {
        self.tries = 0;
    }

    /// A try failed. `status` of the answer; `is_final`: the same server will not do better (content that is not what was asked for).
    /// `banned` as in [`Route::choose`], as it was before this failure.
    pub fn failed(
        &mut self,
        code: HResult,
        status: Option<u16>,
        is_final: bool,
        banned: impl Fn(&str) -> bool,
        now: Mono,
    ) -> (Next, Option<Ban>) {
        self.tries = self.tries.saturating_add(1);
        let refused = status.is_some_and(|status| (400..500).contains(&status));
        if self.side == Side::Origin {
            // An origin that refuses has the last word; one that is merely not there may be better known to the cache host.
            if self.config.delay_s.is_none() && self.tries >= 2 && !refused && !self.given_up {
                self.turn(Side::Cache);
            }
            return (Next::Usual, None);
        }
        let ban = match self.config.delay_s {
            Some(NEVER) => None,
            _ if refused => Some(Ban::ThisOrigin),
            _ if is_final => None,
            None if unreachable(code) => Some(Ban::Everything),
            // A delay is in force: no ban ends it early.
            _ => None,
        };
        let refused = refused || is_final;
        self.refusals = if refused { self.refusals.saturating_add(1) } else { 0 };
        if let Some(next) = self.free(self.at.saturating_add(1), &banned) {
            self.at = next;
            return (Next::AtOnce, ban);
        }
        (self.after_the_last(refused, banned, now), ban)
    }

    /// The last cache host of the list failed.
    fn after_the_last(&mut self, refused: bool, banned: impl Fn(&str) -> bool, now: Mono) -> Next {
        let own = self.config.hosts.get(self.at).cloned();
        // One that has just refused is left alone from now on.
        let again = self.free(0, |host| banned(host) || refused && own.as_deref() == Some(host));
        match (self.config.delay_s, again) {
            (Some(NEVER), _) if self.refusals >= self.config.hosts.len() => Next::Final,
            (Some(NEVER), _) => {
                self.at = 0;
                Next::Later
            }
            (Some(_), _) if self.is_due(now) => {
                self.given_up = true;
                self.turn(Side::Origin);
                Next::AtOnce
            }
            (Some(_), Some(first)) if self.refusals < self.config.hosts.len() => {
                self.at = first;
                Next::Later
            }
            (Some(_), _) => {
                self.turn(Side::Origin);
                Next::AtOnce
            }
            (None, _) if refused || !self.origin_tried => {
                self.turn(Side::Origin);
                Next::AtOnce
            }
            (None, first) => {
                self.at = first.unwrap_or(0);
                if self.tries >= 2 {
                    self.turn(Side::Origin);
                }
                Next::Later
            }
        }
    }

    fn turn(&mut self, side: Side) {
        self.side = side;
        self.at = 0;
        self.tries = 0;
        self.refusals = 0;
    }
}

#[cfg(test)]
mod tests;
