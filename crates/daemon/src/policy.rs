//! The policy of the service: files ([`files`]), the local clock ([`zone`]), and who notices a change ([`keeper`]).
//!
//! The rules themselves are `openbits_core::policy`; here they meet the machine: paths, owners, users, groups, time zones.

pub mod files;
pub mod keeper;
pub mod people;
pub mod views;
pub mod watch;
pub mod zone;

use files::Sources;
use openbits_core::events_log::Record;
use openbits_core::job::http::security;
use openbits_core::policy::security::Security;
use openbits_core::policy::{About, Finding, Layer, Origin, Severity};
use openbits_core::{Limits, Policy};
use openbits_transfer::protocol::{TlsOptions, TransferOptions};
use people::People;
use zone::Zone;

/// The policy in force, with everything that follows from it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The values.
    pub policy: Policy,
    /// Limits of the queue.
    pub limits: Limits,
    /// Defaults of every transfer.
    pub transfer: TransferOptions,
    /// What jobs may fetch and write.
    pub security: Security,
    /// Who may create jobs, who is exempt.
    pub people: People,
    /// The zone of the schedule.
    pub zone: Zone,
    /// The files that were read, weakest first.
    pub files: Vec<(Origin, String)>,
    /// When they were read, milliseconds since 1970.
    pub read_at_ms: i64,
    /// Why newer files are not in force.
    pub refused: Vec<Finding>,
}

impl Settings {
    /// Reads the files. `Err`: they cannot be used, and what was in force before stays (spec/policy.md C1, bad TOML).
    pub fn read(sources: &Sources, at_ms: i64) -> Result<Self, Vec<Finding>> {
        let read = sources.read();
        if read.broken {
            return Err(read.findings);
        }
        Self::of(&read.layers, read.findings, at_ms)
    }

    /// At the start there is nothing before: the vendor's file and the defaults.
    pub fn at_start(sources: &Sources, at_ms: i64) -> Self {
        Self::read(sources, at_ms).unwrap_or_else(|refused| {
            let vendor = sources.vendor_only();
            let read = vendor.read();
            let layers = if read.broken { Vec::new() } else { read.layers };
            let settings = Self::of(&layers, Vec::new(), at_ms).or_else(|_| Self::of(&[], Vec::new(), at_ms));
            let mut settings = settings.expect("no file, no error");
            settings.refused = refused;
            settings
        })
    }

    /// The policy of these layers, on this machine.
    pub fn of(layers: &[Layer], noticed: Vec<Finding>, at_ms: i64) -> Result<Self, Vec<Finding>> {
        let mut policy = match Policy::new(layers) {
            Ok(policy) => policy,
            Err(findings) => return Err(noticed.into_iter().chain(findings).collect()),
        };
        noticed.into_iter().for_each(|finding| policy.notice(finding));
        let people = People::of(&mut policy);
        let name = policy.text("bandwidth.timezone").unwrap_or("local").to_owned();
        let zone = Zone::named(&name).unwrap_or_else(|why| {
            let text = format!("{name:?}: {why}; the local zone is used");
            let key = Some("bandwidth.timezone".to_owned());
            let about = About::BadValue;
            policy.notice(Finding { severity: Severity::Warning, about, key, file: None, text });
            Zone::local()
        });
        let transfer = transfer_options(&mut policy);
        Ok(Self {
            limits: policy.limits(),
            transfer,
            security: policy.security(),
            people,
            zone,
            files: layers.iter().map(|l| (l.origin, l.file.clone())).collect(),
            read_at_ms: at_ms,
            refused: Vec::new(),
            policy,
        })
    }

    /// As the original does it, also where we would be more helpful.
    pub fn is_strict(&self) -> bool {
        self.policy.flag("compat.strict")
    }

    /// A full disk is tried again.
    pub fn full_is_transient(&self) -> bool {
        self.policy.flag("disk.full_is_transient")
    }

    /// The schedule follows the wall clock also when somebody sets it.
    pub fn follows_wall_clock(&self) -> bool {
        self.policy.flag("bandwidth.follow_wall_clock")
    }

    /// Says in the log what was read (events 82 and 83 of the original), and what is wrong.
    ///
    /// The events of the original's log come back, for the journal.
    pub fn log(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (key, entry) in self.policy.entries() {
            let event = if entry.origin == Origin::Default { 83 } else { 82 };
            records.push(Record::new(event).with("Title", key.name).with("PolicyValue", &entry.value));
        }
        for finding in self.policy.findings() {
            let key = finding.key.as_deref().unwrap_or_default();
            match finding.about {
                About::FaultyProfile => {
                    records.push(Record::new(16_405).with("Key", key).with("SubKeyOrValueName", finding));
                }
                About::UserAboveMachine => {
                    let limits = (self.limits.jobs_per_user, self.limits.jobs_per_machine);
                    let record = Record::new(16_397).with("name", finding);
                    records.push(record.with("current", limits.0).with("limit", limits.1));
                }
                _ => tracing::warn!(event = finding.about.event(), "policy: {finding}"),
            }
        }
        for finding in &self.refused {
            tracing::error!("policy not in force: {finding}");
        }
        records
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::of(&[], Vec::new(), 0).expect("no file, no error")
    }
}

fn transfer_options(policy: &mut Policy) -> TransferOptions {
    let defaults = TransferOptions::default();
    let milliseconds = |name: &str| policy.number(name).saturating_mul(1000);
    let agent = policy.text("http.user_agent").map(str::to_owned);
    let fits = |agent: &String| agent.bytes().all(|b| (0x20..0x7f).contains(&b));
    let options = TransferOptions {
        connect_timeout_ms: milliseconds("http.connect_timeout"),
        idle_timeout_ms: milliseconds("http.idle_timeout"),
        max_redirects: u32::try_from(policy.number("http.max_redirects")).unwrap_or(defaults.max_redirects),
        user_agent: agent.clone().filter(fits).unwrap_or_else(|| defaults.user_agent.clone()),
        http2: policy.list("http.versions").iter().any(|v| v == "2"),
        min_free_bytes: policy.number("disk.min_free"),
        preallocate: policy.flag("disk.preallocate"),
        extra_ca: policy.text("tls.extra_ca").map(str::to_owned),
        bind: policy.text("network.bind").map(str::to_owned),
        plaintext_basic: policy.flag("auth.allow_plaintext_basic"),
        strip_on_redirect: policy.flag("http.strip_credentials_on_redirect"),
        tls: TlsOptions {
            // Unless a job says otherwise.
            flags: if policy.flag("tls.crl_default") { security::CRL_CHECK } else { 0 },
            only_13: policy.text("tls.min") == Some("1.3"),
            strict: policy.flag("compat.strict"),
            ..TlsOptions::default()
        },
        ..defaults
    };
    if agent.is_some_and(|agent| !fits(&agent)) {
        let text = "a User-Agent has ASCII characters only; the default is used".to_owned();
        let key = Some("http.user_agent".to_owned());
        let about = About::BadValue;
        policy.notice(Finding { severity: Severity::Warning, about, key, file: None, text });
    }
    options
}

#[cfg(test)]
mod tests;
