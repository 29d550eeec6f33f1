//! From a policy to a registry file: only keys that a file sets and that have a counterpart.

use super::{ACCOUNT, CHOICES, DAYS, Form, LEVELS, PLAIN, POLICY, PRIORITIES, PROFILES};
use crate::policy::value::{Rate, Value};
use crate::policy::window::{Days, Hours};
use crate::policy::{Origin, Policy, cost};
use std::collections::BTreeMap;

/// What an export came to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Exported {
    /// The registry file, with the line ends of its kind.
    pub text: String,
    /// Keys that are set and cannot be said there.
    pub unmapped: Vec<String>,
}

/// Numbers by key and name.
type Numbers = BTreeMap<(String, String), u32>;

/// The registry file for everything that the policy's files set.
pub fn export(policy: &Policy) -> Exported {
    let mut numbers = Numbers::new();
    let mut unmapped = Vec::new();
    for (key, entry) in policy.entries().filter(|(_, entry)| entry.origin != Origin::Default) {
        if write(&mut numbers, key.name, &entry.value).is_none() {
            unmapped.push(format!("{} = {}", key.name, entry.value));
        }
    }
    let mut text = String::from("Windows Registry Editor Version 5.00\r\n");
    let mut section = None;
    for ((key, name), number) in &numbers {
        if section != Some(key) {
            section = Some(key);
            let path = match key.as_str() {
                "" => POLICY.to_owned(),
                "@" => ACCOUNT.to_owned(),
                key => format!(r"{POLICY}\{key}"),
            };
            text.push_str(&format!("\r\n[{path}]\r\n"));
        }
        text.push_str(&format!("\"{name}\"=dword:{number:08x}\r\n"));
    }
    Exported { text, unmapped }
}

fn write(numbers: &mut Numbers, ours: &str, value: &Value) -> Option<()> {
    if let Some((key, name, _, form)) = PLAIN.iter().find(|(_, _, plain, _)| *plain == ours) {
        put(numbers, key, name, number(*form, value)?);
        return Some(());
    }
    if let Some((word, _)) = PRIORITIES.iter().find(|(_, key)| *key == ours) {
        let Value::Cost(mask) = value else { return None };
        let name = format!("BITS_TransferPolicy{word}PriorityValue");
        let choice = cost::name(*mask).and_then(|name| CHOICES.iter().position(|choice| *choice == name));
        match choice.and_then(|at| u32::try_from(at + 1).ok()) {
            Some(choice) => put(numbers, "TransferPolicy", &name, choice),
            None => put(numbers, "TransferPolicy", &format!("{name}Custom"), *mask),
        }
        return Some(());
    }
    match (ours, value) {
        ("bandwidth.simple.hours", Value::Hours(hours)) => {
            let (from, to) = whole_hours(*hours)?;
            put(numbers, "", "MaxBandwidthValidFrom", from);
            put(numbers, "", "MaxBandwidthValidTo", to);
        }
        ("bandwidth.simple.off_rate", Value::Rate(Rate::Unlimited)) => {
            put(numbers, "", "UseSystemMaximum", 1);
        }
        ("bandwidth.simple.off_rate", Value::Rate(rate)) => {
            put(numbers, "", "MaxTransferRateOffSchedule", kilobits(*rate)?);
            put(numbers, "", "UseSystemMaximum", 0);
        }
        _ => return profile(numbers, ours, value),
    }
    Some(())
}

fn profile(numbers: &mut Numbers, ours: &str, value: &Value) -> Option<()> {
    let (group, last) = ours.rsplit_once('.')?;
    let (key, _, windowed) = PROFILES.iter().find(|(_, profile, _)| *profile == group)?;
    match (last, value) {
        ("days", Value::Days(days)) if *windowed => {
            let (start, end) = span(*days)?;
            put(numbers, key, "StartDay", start);
            put(numbers, key, "EndDay", end);
        }
        ("hours", Value::Hours(hours)) if *windowed => {
            let (from, to) = whole_hours(*hours)?;
            put(numbers, key, "StartHour", from);
            put(numbers, key, "EndHour", to);
        }
        (level, Value::Rate(rate)) => {
            let (theirs, _) = LEVELS.iter().find(|(_, ours)| *ours == level)?;
            let (limit, kind) = if *rate == Rate::Unlimited { (0, 3) } else { (kilobits(*rate)?, 1) };
            put(numbers, key, &format!("{theirs}BandwidthLimit"), limit);
            put(numbers, key, &format!("{theirs}BandwidthType"), kind);
        }
        _ => return None,
    }
    Some(())
}

fn put(numbers: &mut Numbers, key: &str, name: &str, number: u32) {
    numbers.insert((key.to_owned(), name.to_owned()), number);
}

fn number(form: Form, value: &Value) -> Option<u32> {
    match (form, value) {
        (Form::Number, Value::Int(n)) => u32::try_from(*n).ok(),
        (Form::Number, Value::Percent(n)) => Some((*n).into()),
        (Form::Days, Value::Seconds(s)) if s % 86_400 == 0 => u32::try_from(s / 86_400).ok(),
        (Form::Seconds, Value::Seconds(s)) => u32::try_from(*s).ok(),
        (Form::Bool, Value::Bool(value)) => Some((*value).into()),
        (Form::Not, Value::Bool(value)) => Some((!*value).into()),
        (Form::Bits, Value::Rate(rate)) => u32::try_from(rate.bits_per_s()?).ok(),
        (Form::Kilobits, Value::Rate(rate)) => kilobits(*rate),
        (Form::Words(words), Value::Text(text)) => {
            u32::try_from(words.iter().position(|word| *word == text.as_str())?).ok()
        }
        _ => None,
    }
}

/// `None`: not a whole number of kilobits, or no limit at all.
fn kilobits(rate: Rate) -> Option<u32> {
    let bits = rate.bits_per_s()?;
    if bits % 1000 == 0 { u32::try_from(bits / 1000).ok() } else { None }
}

fn whole_hours(hours: Hours) -> Option<(u32, u32)> {
    let (from, to) = hours.ends();
    (from % 60 == 0 && to % 60 == 0).then_some((from / 60, to / 60))
}

/// First and last day if the days are one piece of the week, as the registry counts days.
fn span(days: Days) -> Option<(u32, u32)> {
    // Ours begin with Monday, theirs with Sunday.
    let has = |day: usize| days.contains(u32::try_from((day + 6) % 7).unwrap_or(0));
    let count = (0..DAYS.len()).filter(|day| has(*day)).count();
    if count == DAYS.len() {
        return Some((0, 6));
    }
    let start = (0..DAYS.len()).find(|day| has(*day) && !has((day + 6) % 7))?;
    let together = (0..count).all(|n| has((start + n) % 7));
    let end = (start + count - 1) % 7;
    together.then_some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
}
