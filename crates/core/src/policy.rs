//! The policy: what the administrator says (spec/policy.md C and D).
//!
//! [`table`] says which keys exist; [`resolve`] puts files together; this type gives the values their meaning. Files, time zones
//! and the clock come in as values.

pub mod bandwidth;
pub mod cost;
pub mod delivery;
pub mod finding;
pub mod kind;
pub mod reference;
pub mod registry;
pub mod resolve;
pub mod security;
pub mod table;
pub mod value;
pub mod window;

use crate::enums::Priority;
use crate::gate;
use crate::hresult::{self as h, HResult};
use crate::job::retry::RetryRules;
use crate::limits::Limits;
use crate::notify;
use bandwidth::{Bandwidth, Levels, Limit, Profile, Simple};
use security::{RequireDigest, Security};
use window::{Days, Hours, LocalClock, Window};

pub use finding::{About, Finding, Severity};
pub use kind::Kind;
pub use resolve::{Effective, Layer, Origin};
pub use table::{KEYS, Key};
pub use value::{Rate, Raw, Tree, Value};

/// The policy in force: every key has a value in its range.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    resolved: resolve::Resolved,
    bandwidth: Bandwidth,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(&[]).expect("no file, no error")
    }
}

impl Policy {
    /// The policy of these files. `Err`: it is refused as a whole, and the one before stays in force.
    pub fn new(layers: &[Layer]) -> Result<Self, Vec<Finding>> {
        let mut policy = Self { resolved: resolve::resolve(layers)?, bandwidth: Bandwidth::default() };
        policy.check_limits();
        policy.check_cache_hosts();
        policy.bandwidth = policy.resolve_bandwidth();
        Ok(policy)
    }

    /// Keys with their values, in the order of the table.
    pub fn entries(&self) -> impl Iterator<Item = (&'static Key, &Effective)> {
        KEYS.iter().zip(&self.resolved.values)
    }

    /// One key; `None` if there is no such key.
    pub fn entry(&self, name: &str) -> Option<&Effective> {
        table::position(name).map(|at| &self.resolved.values[at])
    }

    /// What was noticed.
    pub fn findings(&self) -> &[Finding] {
        &self.resolved.findings
    }

    /// Adds what only the caller can notice, such as a user that does not exist.
    pub fn notice(&mut self, finding: Finding) {
        self.resolved.findings.push(finding);
    }

    /// True if preferences may not set the key.
    pub fn is_locked(&self, name: &str) -> bool {
        self.resolved.is_locked(name)
    }

    /// Status of a preference that a caller sets: `S_OK`, or `BG_S_OVERRIDDEN_BY_POLICY` if it is recorded but not used.
    pub fn preference_status(&self, name: &str) -> HResult {
        let set = self.entry(name).is_none_or(|e| {
            matches!(e.origin, Origin::Administrator | Origin::DropIn | Origin::Volatile | Origin::Own)
        });
        if set || self.is_locked(name) { h::BG_S_OVERRIDDEN_BY_POLICY } else { h::S_OK }
    }

    fn value(&self, name: &str) -> &Value {
        // Only names of the table are asked for; a test reads them all.
        self.entry(name).map_or(&Value::Unset, |e| &e.value)
    }

    /// A yes or no; false for any other key.
    pub fn flag(&self, name: &str) -> bool {
        *self.value(name) == Value::Bool(true)
    }

    /// A number, a duration in seconds, a size in bytes or a percentage; 0 for any other key.
    pub fn number(&self, name: &str) -> u64 {
        match *self.value(name) {
            Value::Int(n) => u64::try_from(n).unwrap_or(0),
            Value::Seconds(n) | Value::Bytes(n) => n,
            Value::Percent(n) => n.into(),
            _ => 0,
        }
    }

    fn number_u32(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    /// A text or word; `None` if it is not set.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Value::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A list; empty for any other key.
    pub fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            Value::List(list) => list,
            _ => &[],
        }
    }

    fn rate_of(&self, name: &str) -> Rate {
        match self.value(name) {
            Value::Rate(rate) => *rate,
            _ => Rate::Unlimited,
        }
    }

    /// Limits and settings of the queue.
    pub fn limits(&self) -> Limits {
        Limits {
            jobs_per_user: self.number_u32("limits.jobs_per_user"),
            jobs_per_machine: self.number_u32("limits.jobs_per_machine"),
            files_per_job: self.number_u32("limits.files_per_job"),
            ranges_per_file: self.number_u32("limits.ranges_per_file"),
            max_download_s: self.number("timeouts.max_download"),
            job_inactivity_s: self.number("timeouts.job_inactivity"),
            time_slice_s: self.number("scheduler.time_slice"),
            max_foreground: self.number_u32("scheduler.max_foreground"),
            max_background: self.number_u32("scheduler.max_background"),
            per_user_fairness: self.flag("scheduler.per_user_fairness"),
            strict_names: self.flag("compat.strict"),
            default_retry_delay_s: self.number_u32("retry.default_delay"),
            default_no_progress_s: self.number_u32("retry.default_no_progress"),
            cost_masks: self.cost_masks(),
            retry: RetryRules {
                floor_s: self.number("retry.min_delay_floor"),
                jitter_percent: u8::try_from(self.number("retry.jitter")).unwrap_or(0),
                honour_retry_after: self.flag("retry.honour_retry_after"),
                gates_pause_clock: self.flag("retry.gate_pauses_clock"),
            },
            notify: self.notify_rules(),
            cache: self.cache(),
        }
    }

    fn notify_rules(&self) -> notify::Rules {
        notify::Rules {
            commands: match self.text("notify.commands") {
                Some("allow") => notify::Commands::Allow,
                Some("deny") => notify::Commands::Deny,
                _ => notify::Commands::OwnerOnly,
            },
            system_accounts: self.flag("notify.allow_for_system_accounts"),
            timeout_s: self.number("notify.timeout"),
            // "forever" is a word, and a number is a number.
            retries: match self.value("notify.retry") {
                Value::Int(n) => Some(u32::try_from(*n).unwrap_or(u32::MAX)),
                _ => None,
            },
            allowed_programs: self.list("notify.allowed_programs").to_vec(),
        }
    }

    /// Maximum time of active transfer for a job: its own, if it has one, goes before the policy (spec/policy.md B).
    pub fn max_download_s(&self, own: Option<u32>) -> u64 {
        own.map_or_else(|| self.number("timeouts.max_download"), u64::from)
    }

    /// What jobs may fetch and write.
    pub fn security(&self) -> Security {
        Security {
            schemes: self.list("security.allowed_url_schemes").to_vec(),
            allowed_hosts: self.list("security.allowed_hosts").to_vec(),
            denied_hosts: self.list("security.denied_hosts").to_vec(),
            destinations: self.list("security.allowed_destinations").to_vec(),
            require_digest: match self.text("integrity.require_digest") {
                Some("always") => RequireDigest::Always,
                Some("background") => RequireDigest::Background,
                _ => RequireDigest::Never,
            },
        }
    }

    /// What the policy makes of the machine's state.
    pub fn gate_rules(&self) -> gate::Rules {
        gate::Rules {
            on_battery: match self.text("power.on_battery") {
                Some("foreground-only") => gate::OnBattery::ForegroundOnly,
                Some("stop") => gate::OnBattery::Stop,
                _ => gate::OnBattery::Run,
            },
            saver_holds: self.flag("power.saver_blocks_background"),
            game_holds: self.flag("power.game_mode"),
        }
    }

    /// Cost of the network in use: bits of [`cost`]. `names`: what the connection is called, the best name first; `metered`: what the
    /// system says about it.
    pub fn cost_state(&self, names: &[&str], metered: Option<bool>, roaming: bool) -> u32 {
        let Value::Map(table) = self.value("cost.override") else { return cost::UNRESTRICTED };
        let word = names.iter().find_map(|name| table.get(*name));
        let known = word.and_then(|word| cost::STATES.iter().find(|(state, _)| state == word));
        let unknown_is_metered = self.text("cost.treat_unknown_as") == Some("metered");
        let told = match metered {
            Some(true) => cost::USAGE_BASED,
            None if unknown_is_metered => cost::USAGE_BASED,
            _ => cost::UNRESTRICTED,
        };
        // An override is the last word: also that a roaming network is free.
        known.map_or(told | if roaming { cost::ROAMING } else { 0 }, |(_, bit)| *bit)
    }

    /// Masks of network costs for jobs without one of their own.
    pub fn cost_masks(&self) -> cost::Masks {
        let mask = |name| match self.value(name) {
            Value::Cost(mask) => *mask,
            _ => cost::ALWAYS,
        };
        cost::Masks::new(["cost.foreground", "cost.high", "cost.normal", "cost.low"].map(mask))
    }

    /// Everything about bandwidth.
    pub fn bandwidth(&self) -> &Bandwidth {
        &self.bandwidth
    }

    /// The limit of bandwidth for a job of this priority now; `on_lan`: its server is in the own subnet.
    pub fn rate(&self, clock: &impl LocalClock, unix_s: i64, priority: Priority, on_lan: bool) -> Limit {
        self.bandwidth.limit_now(clock, unix_s, priority, on_lan)
    }

    /// The limit per user is never above the limit per machine (spec/policy.md A3).
    fn check_limits(&mut self) {
        let (user, machine) = (self.number("limits.jobs_per_user"), self.number("limits.jobs_per_machine"));
        if user <= machine {
            return;
        }
        let text = format!("{user} is above limits.jobs_per_machine; {machine} is used");
        if let Some(at) = table::position("limits.jobs_per_user") {
            let entry = &mut self.resolved.values[at];
            entry.value = Value::Int(i64::try_from(machine).unwrap_or(i64::MAX));
            entry.note = Some(text.clone());
        }
        self.add(About::UserAboveMachine, "limits.jobs_per_user", text);
    }

    fn add(&mut self, about: About, key: &str, text: String) {
        let file = self.entry(key).and_then(|e| e.file.clone());
        let key = Some(key.to_owned());
        self.resolved.findings.push(Finding { severity: Severity::Warning, about, key, file, text });
    }

    fn levels(&self, profile: &str) -> Levels {
        ["high", "normal", "low"].map(|level| self.rate_of(&format!("{profile}.{level}")))
    }

    fn window(&self, profile: &str) -> Option<Window> {
        match (self.value(&format!("{profile}.days")), self.value(&format!("{profile}.hours"))) {
            (Value::Days(days), Value::Hours(hours)) => Some(Window { days: *days, hours: *hours }),
            _ => None,
        }
    }

    fn profile(&self, name: &str) -> Option<Profile> {
        Some(Profile { window: self.window(name)?, levels: self.levels(name) })
    }

    fn resolve_bandwidth(&mut self) -> Bandwidth {
        let schedule = self.flag("bandwidth.schedule_enabled");
        let maintenance = self.flag("bandwidth.maintenance.enabled");
        if maintenance && self.window("bandwidth.maintenance").is_none() {
            self.resolved.faulty.insert("bandwidth.maintenance");
        }
        for profile in self.resolved.faulty.clone() {
            let text = "a value is missing or bad: the whole profile is ignored".to_owned();
            self.add(About::FaultyProfile, profile, text);
        }
        let sound = |name: &str| !self.resolved.faulty.contains(name);
        let simple_hours: Option<Hours> = match self.value("bandwidth.simple.hours") {
            Value::Hours(hours) => Some(*hours),
            _ => None,
        };
        let simple =
            simple_hours.filter(|_| self.flag("bandwidth.simple.enabled") && sound("bandwidth.simple"));
        let bandwidth = Bandwidth {
            simple: simple.map(|hours| Simple {
                window: Window { days: Days::ALL, hours },
                rate: self.rate_of("bandwidth.simple.rate"),
                off_rate: self.rate_of("bandwidth.simple.off_rate"),
            }),
            schedule,
            work: self.profile("bandwidth.work").filter(|_| schedule && sound("bandwidth.work")),
            nonwork: Some(self.levels("bandwidth.nonwork"))
                .filter(|_| schedule && sound("bandwidth.nonwork")),
            maintenance: self
                .profile("bandwidth.maintenance")
                .filter(|_| maintenance && sound("bandwidth.maintenance")),
            ignore_on_lan: self.flag("bandwidth.ignore_on_lan"),
            foreground: self
                .flag("bandwidth.apply_to_foreground")
                .then(|| self.rate_of("bandwidth.foreground")),
        };
        if bandwidth.simple.is_some() && schedule {
            let text = "the schedule is enabled, too, and goes before it".to_owned();
            self.add(About::Conflict, "bandwidth.simple.enabled", text);
        }
        bandwidth
    }
}

#[cfg(test)]
mod tests;
