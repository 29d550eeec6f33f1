//! The policy in the forms of the contract.

use super::Settings;
use crate::brain::{ScheduleClock, View, forbidden};
use openbits_api::{
    BandwidthView, PolicyExplanation, PolicyFileView, PolicyFinding, PolicyKeyView, PolicyOutcome,
    PolicyRule, PolicyView, SCHEMA, Why,
};
use openbits_core::job::Dialect;
use openbits_core::policy::{Finding, KEYS, Rate};
use openbits_core::queue::Reason;
use openbits_core::{Job, JobState, Mono, Now, Priority};

/// Findings.
pub fn findings(findings: &[Finding]) -> Vec<PolicyFinding> {
    let view = |finding: &Finding| PolicyFinding {
        severity: finding.severity.as_str().to_owned(),
        key: finding.key.clone(),
        file: finding.file.clone(),
        text: finding.text.clone(),
        event: finding.about.event(),
        hresult: finding.about.code().map(|code| code.to_string()),
    };
    findings.iter().map(view).collect()
}

/// Answer to a check or a reload.
pub fn outcome(usable: bool, noticed: &[Finding]) -> PolicyOutcome {
    PolicyOutcome { schema: SCHEMA, usable, findings: findings(noticed) }
}

/// Everything.
pub fn policy(settings: &Settings, now: Now) -> PolicyView {
    let policy = &settings.policy;
    let key =
        |(key, entry): (&openbits_core::policy::Key, &openbits_core::policy::Effective)| PolicyKeyView {
            key: key.name.to_owned(),
            value: entry.value.to_json(),
            text: entry.value.to_string(),
            origin: entry.origin.as_str().to_owned(),
            file: entry.file.clone(),
            preference: key.preference,
            locked: policy.is_locked(key.name),
            unused_preference: entry.unused_preference.clone(),
            used: key.used,
            applies: key.applies().as_str().to_owned(),
            note: match (&entry.note, key.used) {
                (Some(note), _) => Some(note.clone()),
                (None, false) => Some("not used by this version".to_owned()),
                (None, true) => None,
            },
        };
    PolicyView {
        schema: SCHEMA,
        read_at_ms: settings.read_at_ms,
        keys: policy.entries().map(key).collect(),
        files: settings
            .files
            .iter()
            .map(|(origin, path)| PolicyFileView { path: path.clone(), origin: origin.as_str().to_owned() })
            .collect(),
        findings: findings(policy.findings()),
        refused: findings(&settings.refused),
        bandwidth: bandwidth(settings, now),
    }
}

fn bandwidth(settings: &Settings, now: Now) -> Vec<BandwidthView> {
    let at_s = ScheduleClock::of(settings, now).unix_s();
    let view = |priority: &Priority| {
        let limit = settings.policy.rate(&settings.zone, at_s, *priority, false);
        BandwidthView {
            priority: priority.to_string(),
            bits_per_s: limit.rate.bits_per_s(),
            rule: limit.rule.map(str::to_owned),
            until_ms: limit.until.map(|at| at.saturating_mul(1000)),
        }
    };
    Priority::ALL.iter().map(view).collect()
}

/// A job that the policy forbids says so, and not just that it is suspended.
pub fn correct_why(why: &mut Why, view: &View<'_>, job: &Job) {
    if job.state != JobState::Suspended {
        return;
    }
    if let Some(forbidden) = forbidden(&view.settings.security, job) {
        "forbidden-by-policy".clone_into(&mut why.reason);
        "The policy forbids a file of the job; it is suspended.".clone_into(&mut why.text);
        why.detail = Some(forbidden.to_string());
        "Ask the administrator to change the policy, then `bits resume JOB`.".clone_into(&mut why.remedy);
    }
}

struct Explainer<'a> {
    view: &'a View<'a>,
    rules: Vec<PolicyRule>,
}

impl Explainer<'_> {
    fn rule(&mut self, key: &str, holds: bool, text: impl Into<String>, until_ms: Option<i64>) {
        let Some(entry) = self.view.settings.policy.entry(key) else { return };
        self.rules.push(PolicyRule {
            key: key.to_owned(),
            value: entry.value.to_string(),
            origin: entry.file.clone().unwrap_or_else(|| entry.origin.as_str().to_owned()),
            holds,
            text: text.into(),
            until_ms,
        });
    }

    fn wall_ms(&self, at: Mono) -> i64 {
        self.view.clock.wall_ms(at)
    }
}

/// Which rules concern a job, those that hold it now first.
pub fn explain(view: &View<'_>, job: &Job) -> PolicyExplanation {
    let settings = view.settings;
    let now = view.clock.now();
    let reason = view.queue.why(job.id).map(|why| why.reason);
    let mut out = Explainer { view, rules: Vec::new() };
    if let Some(forbidden) = forbidden(&settings.security, job) {
        out.rule(forbidden.key, true, format!("it forbids {}", forbidden.what), None);
    }
    let at_s = ScheduleClock::of(settings, now).unix_s();
    let limit = settings.policy.rate(&settings.zone, at_s, job.priority, false);
    if let Some(rule) = limit.rule {
        let until_ms = limit.until.map(|at| at.saturating_mul(1000));
        match limit.rate {
            Rate::Blocked => {
                let text = format!("{} jobs may transfer nothing now", job.priority);
                out.rule(rule, reason == Some(Reason::BlockedByPolicy), text, until_ms);
            }
            rate => {
                let text =
                    format!("{} jobs have {rate} now, together with all others that run", job.priority);
                out.rule(rule, false, text, until_ms);
            }
        }
    }
    if job.dialect() == Dialect::DeliveryOptimization
        && let (rate, key) = settings.policy.delivery_rate(job.priority)
        && rate != Rate::Unlimited
    {
        let which = if job.priority == Priority::Foreground { "foreground" } else { "background" };
        let text = format!("{which} jobs of Delivery Optimization have {rate} together");
        out.rule(key, false, text, None);
    }
    let cost_key = match job.priority {
        Priority::Foreground => "cost.foreground",
        Priority::High => "cost.high",
        Priority::Normal => "cost.normal",
        Priority::Low => "cost.low",
    };
    match reason {
        Some(Reason::BlockedByCost) if job.options().cost_flags.is_some() => {
            let text = "the job has a mask of its own, which goes before it and forbids the network's cost";
            out.rule(cost_key, false, text, None);
        }
        Some(Reason::BlockedByCost) => {
            out.rule(cost_key, true, "it forbids the network's present cost", None);
        }
        Some(Reason::OnBattery) => out.rule("power.on_battery", true, "the machine runs on battery", None),
        Some(Reason::PowerSaver) => {
            out.rule("power.saver_blocks_background", true, "the power saver is on", None);
        }
        Some(Reason::GameMode) => out.rule("power.game_mode", true, "a game runs", None),
        Some(Reason::OwnerAbsent) => out.rule("owner.presence", true, "the owner is not logged on", None),
        Some(Reason::WaitsForTurn) => {
            out.rule("scheduler.max_background", true, "as many background jobs run already", None);
            out.rule("scheduler.time_slice", false, "then another job of the level has its turn", None);
        }
        Some(Reason::WaitsForForegroundSlot) => {
            out.rule("scheduler.max_foreground", true, "as many foreground jobs run already", None);
        }
        Some(Reason::WaitsForRetry) => {
            let at = job.retry_at(&settings.limits.retry).map(|at| out.wall_ms(at));
            let floor = settings.limits.retry.floor_s > u64::from(job.minimum_retry_delay_s);
            if floor {
                out.rule("retry.min_delay_floor", true, "it is longer than the job's own delay", at);
            }
            if settings.limits.retry.jitter_percent > 0 {
                out.rule("retry.jitter", false, "it spreads the next attempt", at);
            }
        }
        _ => {}
    }
    if let Some(at) =
        job.no_progress_at(&settings.limits.retry).filter(|_| job.state == JobState::TransientError)
    {
        let at = out.wall_ms(at);
        out.rule("retry.gate_pauses_clock", false, "then the job's no-progress timeout ends it", Some(at));
    }
    if !job.state.is_final() {
        let most_s = job.maximum_download_time_s(&settings.limits);
        let left_ms = i64::try_from(most_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        let left_ms = left_ms.saturating_sub(job.active_time_ms(now.mono)).max(0);
        let until = job.active_since.map(|_| out.wall_ms(now.mono.plus_ms(left_ms)));
        out.rule(
            "timeouts.max_download",
            false,
            format!("{} s of active transfer are left", left_ms / 1000),
            until,
        );
        let idle = out.wall_ms(job.last_activity.plus_s(settings.limits.job_inactivity_s));
        out.rule(
            "timeouts.job_inactivity",
            false,
            "without any activity the job is cancelled then",
            Some(idle),
        );
        let text = format!("the job has {} files", job.files.len());
        out.rule(
            "limits.files_per_job",
            false,
            if job.exempt { format!("{text}; its creator is exempt") } else { text },
            None,
        );
    }
    out.rules.sort_by_key(|rule| !rule.holds);
    debug_assert!(out.rules.iter().all(|rule| KEYS.iter().any(|key| key.name == rule.key)));
    PolicyExplanation { schema: SCHEMA, id: job.id.to_string(), rules: out.rules }
}
