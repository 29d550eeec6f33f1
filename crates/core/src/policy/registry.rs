//! The original's settings and ours, in both directions (spec/policy.md A, C3, C7): exported registry files (`.reg`), and the values of a
//! mobile device manager.
//!
//! Only keys with a counterpart are written; what has none is listed.

mod export;
mod mdm;
mod text;

use super::value::Raw;
use std::collections::BTreeMap;

pub use export::{Exported, export};
pub use mdm::import_mdm;
pub use text::decode;

/// Where the policy lives.
const POLICY: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\BITS";
/// Where the rule for implicit credentials lives.
const ACCOUNT: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\BITS";
/// Most values that are looked at.
const VALUES_MAX: usize = 10_000;

/// How a registry number and our value correspond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The same number.
    Number,
    /// Days there, a duration here.
    Days,
    /// Seconds there, a duration here.
    Seconds,
    /// 0 or 1 there, false or true here.
    Bool,
    /// 0 or 1 there, true or false here.
    Not,
    /// Bits a second.
    Bits,
    /// Kilobits a second.
    Kilobits,
    /// A word for each number.
    Words(&'static [&'static str]),
}

/// Settings that stand for themselves: key below [`POLICY`] (or [`ACCOUNT`]), value, our key, form.
const PLAIN: &[(&str, &str, &str, Form)] = &[
    ("", "JobInactivityTimeout", "timeouts.job_inactivity", Form::Days),
    ("", "MaxDownloadTime", "timeouts.max_download", Form::Seconds),
    ("", "MaxJobsPerMachine", "limits.jobs_per_machine", Form::Number),
    ("", "MaxJobsPerUser", "limits.jobs_per_user", Form::Number),
    ("", "MaxFilesPerJob", "limits.files_per_job", Form::Number),
    ("", "MaxRangesPerFile", "limits.ranges_per_file", Form::Number),
    ("", "EnableBITSMaxBandwidth", "bandwidth.simple.enabled", Form::Bool),
    ("", "MaxTransferRateOnSchedule", "bandwidth.simple.rate", Form::Kilobits),
    ("", "EnablePeercaching", "peer.enabled", Form::Bool),
    ("", "DisablePeerCachingClient", "peer.client", Form::Not),
    ("", "DisablePeerCachingServer", "peer.server", Form::Not),
    ("", "MaxContentAge", "peer.max_content_age", Form::Days),
    ("", "MaxCacheSize", "peer.max_cache_percent", Form::Number),
    ("", "MaxBandwidthServed", "peer.max_served", Form::Bits),
    ("", "DisableBranchCache", "peer.content_cache", Form::Not),
    ("Throttling", "EnableBandwidthLimits", "bandwidth.schedule_enabled", Form::Bool),
    ("Throttling", "IgnoreBandwidthLimitsOnLan", "bandwidth.ignore_on_lan", Form::Bool),
    ("Throttling", "EnableMaintenanceLimits", "bandwidth.maintenance.enabled", Form::Bool),
    ("@", "UseLMCompat", "auth.implicit_credentials", Form::Words(&["always", "if-strong", "explicit-only"])),
];

/// Profiles: key, name of ours, has days and hours.
const PROFILES: [(&str, &str, bool); 3] = [
    (r"Throttling\WorkSchedule", "bandwidth.work", true),
    (r"Throttling\NonWorkSchedule", "bandwidth.nonwork", false),
    (r"Throttling\MaintenanceSchedule", "bandwidth.maintenance", true),
];
const LEVELS: [(&str, &str); 3] = [("High", "high"), ("Normal", "normal"), ("Low", "low")];
/// Days as the registry counts them.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const PRIORITIES: [(&str, &str); 4] = [
    ("Foreground", "cost.foreground"),
    ("High", "cost.high"),
    ("Normal", "cost.normal"),
    ("Low", "cost.low"),
];
/// Words of the choices 1 to 5.
const CHOICES: [&str; 5] =
    ["always", "unless-roaming", "unless-surcharge", "unless-near-limit", "unconstrained"];

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Imported {
    /// Our keys and values, as they stand in a file.
    pub keys: BTreeMap<String, Raw>,
    /// Settings that have no counterpart, or cannot be understood, each with the reason.
    pub unmapped: Vec<String>,
}

impl Imported {
    /// A policy file with these keys.
    pub fn toml(&self) -> String {
        let mut tables: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in &self.keys {
            let (table, key) = name.rsplit_once('.').unwrap_or(("", name));
            tables.entry(table).or_default().push(format!("{key} = {}\n", toml_value(value)));
        }
        let mut text = String::new();
        for (table, lines) in tables {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("[{table}]\n{}", lines.concat()));
        }
        text
    }

    fn set(&mut self, key: &str, value: Raw) {
        self.keys.insert(key.to_owned(), value);
    }
}

/// Values of an import are numbers, words and lists of words: no character needs an escape.
fn toml_value(value: &Raw) -> String {
    match value {
        Raw::Bool(value) => value.to_string(),
        Raw::Text(text) => format!("{text:?}"),
        Raw::List(list) => format!("[{}]", list.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Settings of a registry file: (key below the policy's, value) in lower case, the spelling found, the number.
type Values = BTreeMap<(String, String), (String, u32)>;

/// Takes a value out, so that what is left over is what nobody understood.
fn take(values: &mut Values, key: &str, name: &str) -> Option<u32> {
    values.remove(&(key.to_lowercase(), name.to_lowercase())).map(|(_, number)| number)
}

fn text_value(text: impl Into<String>) -> Raw {
    Raw::Text(text.into())
}

/// Reads an exported registry file.
///
/// # Errors
/// It is none.
pub fn import_reg(file: &str) -> Result<Imported, String> {
    let mut imported = Imported::default();
    let mut values = text::parse(file, &mut imported.unmapped)?;
    for (key, name, ours, form) in PLAIN {
        if let Some(number) = take(&mut values, key, name) {
            match plain(*form, number) {
                Some(value) => imported.set(ours, value),
                None => imported.unmapped.push(format!("{name} = {number}: not a value that it can have")),
            }
        }
    }
    simple(&mut values, &mut imported);
    for (key, ours, windowed) in PROFILES {
        profile(&mut values, &mut imported, key, ours, windowed);
    }
    costs(&mut values, &mut imported);
    for ((key, _), (name, number)) in values {
        let at = if key.is_empty() { String::new() } else { format!(r"{key}\") };
        imported.unmapped.push(format!("{at}{name} = {number}: no counterpart"));
    }
    Ok(imported)
}

fn plain(form: Form, number: u32) -> Option<Raw> {
    Some(match form {
        Form::Number | Form::Seconds | Form::Bits | Form::Kilobits => Raw::Int(number.into()),
        Form::Days => text_value(format!("{number}d")),
        Form::Bool if number <= 1 => Raw::Bool(number == 1),
        Form::Not if number <= 1 => Raw::Bool(number == 0),
        Form::Bool | Form::Not => return None,
        Form::Words(words) => text_value(*words.get(usize::try_from(number).ok()?)?),
    })
}

fn hours(imported: &mut Imported, key: &str, from: Option<u32>, to: Option<u32>) {
    if from.is_none() && to.is_none() {
        return;
    }
    // One of them alone: the other has its default (spec/policy.md A4, A5).
    let (from, to) = (from.unwrap_or(8), to.unwrap_or(17));
    if from < 24 && to < 24 {
        imported.set(key, text_value(format!("{from:02}-{to:02}")));
    } else {
        imported.unmapped.push(format!("hours from {from} to {to}: not hours of a day"));
    }
}

fn simple(values: &mut Values, imported: &mut Imported) {
    let from = take(values, "", "MaxBandwidthValidFrom");
    let to = take(values, "", "MaxBandwidthValidTo");
    hours(imported, "bandwidth.simple.hours", from, to);
    let off = take(values, "", "MaxTransferRateOffSchedule");
    match (take(values, "", "UseSystemMaximum"), off) {
        (Some(1), None) => imported.set("bandwidth.simple.off_rate", text_value("unlimited")),
        (Some(1), Some(rate)) => {
            imported.set("bandwidth.simple.off_rate", text_value("unlimited"));
            imported
                .unmapped
                .push(format!("MaxTransferRateOffSchedule = {rate}: UseSystemMaximum goes before it"));
        }
        (Some(0), Some(rate)) => imported.set("bandwidth.simple.off_rate", Raw::Int(rate.into())),
        (Some(other), _) => {
            imported.unmapped.push(format!("UseSystemMaximum = {other}: without MaxTransferRateOffSchedule"));
        }
        (None, Some(rate)) => {
            imported
                .unmapped
                .push(format!("MaxTransferRateOffSchedule = {rate}: without UseSystemMaximum = 0"));
        }
        (None, None) => {}
    }
}

fn profile(values: &mut Values, imported: &mut Imported, key: &str, ours: &str, windowed: bool) {
    if windowed {
        let day =
            |number: Option<u32>, default| usize::try_from(number.unwrap_or(default)).unwrap_or(usize::MAX);
        let (start, end) = (take(values, key, "StartDay"), take(values, key, "EndDay"));
        if start.is_some() || end.is_some() {
            match (DAYS.get(day(start, 1)), DAYS.get(day(end, 5))) {
                (Some(start), Some(end)) => {
                    let days = if start == end { (*start).to_owned() } else { format!("{start}-{end}") };
                    imported.set(&format!("{ours}.days"), Raw::List(vec![text_value(days)]));
                }
                _ => imported.unmapped.push(format!(r"{key}\StartDay, EndDay: not days of a week")),
            }
        }
        let (from, to) = (take(values, key, "StartHour"), take(values, key, "EndHour"));
        hours(imported, &format!("{ours}.hours"), from, to);
    }
    for (theirs, level) in LEVELS {
        let limit = take(values, key, &format!("{theirs}BandwidthLimit"));
        let kind = take(values, key, &format!("{theirs}BandwidthType"));
        let value = match (limit, kind) {
            (None, None) => continue,
            (_, Some(3)) => text_value("unlimited"),
            (Some(limit), Some(1)) => Raw::Int(limit.into()),
            (Some(limit), Some(2)) => Raw::Int(i64::from(limit) * 1000),
            (limit, kind) => {
                imported.unmapped.push(format!(
                    r"{key}\{theirs}BandwidthLimit {limit:?} of type {kind:?}: a number and a type from 1 to 3 belong together"
                ));
                continue;
            }
        };
        imported.set(&format!("{ours}.{level}"), value);
    }
}

/// The names of these values are not certain: the priority's word decides (spec/policy.md A6).
fn costs(values: &mut Values, imported: &mut Imported) {
    for (word, ours) in PRIORITIES {
        let word = word.to_lowercase();
        let mine = |(key, name): &&(String, String)| key == "transferpolicy" && name.contains(&word);
        let found: Vec<_> = values.keys().filter(mine).cloned().collect();
        let (mut choice, mut custom) = (None, None);
        for entry in found {
            let number = values.remove(&entry).map(|(_, number)| number);
            *(if entry.1.contains("custom") { &mut custom } else { &mut choice }) = number;
        }
        let named = choice.and_then(|n| CHOICES.get(usize::try_from(n).ok()?.checked_sub(1)?));
        match (named, custom) {
            (Some(name), _) => imported.set(ours, text_value(*name)),
            (None, Some(mask)) => imported.set(ours, Raw::Int(mask.into())),
            (None, None) => {
                if let Some(number) = choice {
                    imported.unmapped.push(format!("{ours}: choice {number} without a mask"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
