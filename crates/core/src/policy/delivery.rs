//! What the policy says about jobs of Delivery Optimization (spec/delivery-optimization-com.md 10, docs/decisions/0029).

use super::{About, Policy, Rate, Value};
use crate::delivery::cache::{CachePolicy, HOSTS_MAX, NEVER, host_and_port};
use crate::delivery::mode;
use crate::enums::Priority;

/// Limits of bandwidth of foreground jobs, and of all others.
const RATES: [&str; 2] =
    ["delivery_optimization.max_foreground_bandwidth", "delivery_optimization.max_background_bandwidth"];
const HOSTS: &str = "delivery_optimization.cache_hosts";
/// Number of the mode that hands over to BITS: no cache hosts.
const BYPASS: i32 = 100;

impl Policy {
    /// Cache hosts, and when to leave them.
    pub fn cache(&self) -> CachePolicy {
        let off_on_vpn = !self.flag("delivery_optimization.cache_on_vpn");
        let mode = self.text("delivery_optimization.download_mode").unwrap_or_default();
        if mode::in_force(mode) == BYPASS {
            return CachePolicy { off_on_vpn, off: true, ..CachePolicy::default() };
        }
        let hosts = match self.value(HOSTS) {
            Value::List(list) => {
                Some(list.iter().filter_map(|host| host_and_port(host)).take(HOSTS_MAX).collect())
            }
            _ => None,
        };
        CachePolicy {
            hosts,
            foreground_s: self.fallback("delivery_optimization.cache_fallback_foreground"),
            background_s: self.fallback("delivery_optimization.cache_fallback_background"),
            off_on_vpn,
            off: false,
        }
    }

    /// The limit that all jobs of Delivery Optimization of this level's class have together, and the key that says so. Nothing of it blocks:
    /// 0 is no limit, as in the original.
    pub fn delivery_rate(&self, priority: Priority) -> (Rate, &'static str) {
        let key = RATES[usize::from(priority != Priority::Foreground)];
        match self.rate_of(key) {
            Rate::Blocked => (Rate::Unlimited, key),
            rate => (rate, key),
        }
    }

    /// A connection or interface of this name is a VPN.
    pub fn names_vpn(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let keywords =
            self.list("delivery_optimization.vpn_keywords").iter().map(|word| word.trim().to_lowercase());
        keywords.filter(|word| !word.is_empty()).any(|word| name.contains(&word))
    }

    fn fallback(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Value::Seconds(seconds) => i64::try_from(*seconds).ok(),
            Value::Text(_) => Some(NEVER),
            _ => None,
        }
    }

    /// Says which hosts of the list are not used.
    pub(super) fn check_cache_hosts(&mut self) {
        let list = self.list(HOSTS);
        let bad = list.iter().filter(|host| host_and_port(host).is_none());
        let mut told: Vec<String> = bad
            .take(HOSTS_MAX)
            .map(|host| format!("{host:?} is no name or address of a host; it is not used"))
            .collect();
        if list.iter().filter(|host| host_and_port(host).is_some()).count() > HOSTS_MAX {
            told.push(format!("only the first {HOSTS_MAX} hosts are used"));
        }
        for text in told {
            self.add(About::BadValue, HOSTS, text);
        }
    }
}
