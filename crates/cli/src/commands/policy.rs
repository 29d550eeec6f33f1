//! `bits policy`: what the administrator says, and what it means for a job.

mod exchange;

use crate::args::{Policy, ShowPolicy};
use crate::context::{Context, print, print_json};
use crate::failure::Failure;
use crate::resolve;
use crate::text::{self, clean};
use openbits_api::error::exit;
use openbits_api::{
    BandwidthView, CheckPolicy, PolicyExplanation, PolicyFinding, PolicyKeyView, PolicyOutcome, PolicyView,
};
use std::io::Read;
use std::path::Path;

/// Longest file that the service looks at.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Runs a command; the exit code.
pub(crate) async fn run(context: &Context, command: &Policy) -> Result<u8, Failure> {
    match command {
        Policy::Show(args) => show(context, args).await,
        Policy::Check { file } => {
            let text = read(file)?;
            let name = Some(file.display().to_string());
            told(
                context,
                &context.client.check_policy(&CheckPolicy { text, name }).await?,
                "usable",
                "not usable",
            )
        }
        Policy::Explain { job } => {
            let id = resolve::job(&context.client, job).await?;
            let explanation = context.client.explain_policy(id).await?;
            if context.json {
                print_json(&explanation)?;
            } else {
                print(explained(&explanation).join("\n"))?;
            }
            Ok(exit::OK)
        }
        Policy::Reload => {
            let outcome = context.client.reload_policy().await?;
            told(context, &outcome, "in force", "not in force; the policy before it stays")
        }
        Policy::Import(args) => exchange::import(args),
        Policy::Export(args) => exchange::export(context, args).await,
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(file)?;
    String::from_utf8(bytes).map_err(|e| Failure::Usage(format!("{}: {e}", file.display())))
}

fn read_bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let bad = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| bad(e.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(bad("a policy file is at most 1 MiB long".to_owned()));
    }
    Ok(bytes)
}

/// A policy that cannot be used is a failure; warnings are not.
fn told(context: &Context, outcome: &PolicyOutcome, yes: &str, no: &str) -> Result<u8, Failure> {
    if context.json {
        print_json(outcome)?;
    } else {
        outcome.findings.iter().try_for_each(|f| print(finding(f)))?;
        print(if outcome.usable { yes } else { no })?;
    }
    Ok(if outcome.usable { exit::OK } else { exit::USAGE })
}

fn finding(finding: &PolicyFinding) -> String {
    let mut line = finding.severity.clone();
    for part in [&finding.file, &finding.key].into_iter().flatten() {
        line.push_str(": ");
        line.push_str(part);
    }
    let event = finding.event.map_or_else(String::new, |event| format!(" (event {event})"));
    let lines: Vec<String> = format!("{line}: {}{event}", finding.text).lines().map(clean).collect();
    lines.join("\n  ")
}

async fn show(context: &Context, args: &ShowPolicy) -> Result<u8, Failure> {
    let mut policy = context.client.policy().await?;
    let wanted = |key: &PolicyKeyView| {
        let name = &key.key;
        args.keys.is_empty()
            || args
                .keys
                .iter()
                .any(|w| name.strip_prefix(w.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('.')))
    };
    policy.keys.retain(wanted);
    if policy.keys.is_empty() {
        return Err(Failure::Usage("there is no such key; `bits policy show` lists them all".to_owned()));
    }
    if context.json {
        print_json(&policy)?;
    } else {
        print(shown(&policy, args).join("\n"))?;
    }
    Ok(exit::OK)
}

fn shown(policy: &PolicyView, args: &ShowPolicy) -> Vec<String> {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for key in &policy.keys {
        let locked = if key.locked { " (locked)" } else { "" };
        let from = key.file.as_deref().map_or_else(|| key.origin.clone(), |f| format!("{} {f}", key.origin));
        let from = if args.origin { format!("{from}{locked}") } else { String::new() };
        let mut note = key.note.as_deref().map_or_else(String::new, |n| format!("# {n}"));
        if let Some(preference) = &key.unused_preference {
            note.push_str(&format!(" # preference {preference} is not used"));
        }
        rows.push([key.key.clone(), key.text.clone(), from, note].map(|cell| clean(&cell)));
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0).min(60);
    let widths = [width(0), width(1), width(2), 0];
    let line = |row: &[String; 4]| {
        let cells = row.iter().zip(widths).filter(|(cell, width)| *width > 0 || !cell.is_empty());
        cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect::<Vec<_>>()
            .join("  ")
            .trim_end()
            .to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    if args.keys.is_empty() {
        lines.push(String::new());
        lines.extend(policy.bandwidth.iter().map(bandwidth));
        if args.origin {
            lines.extend(policy.files.iter().map(|f| clean(&format!("file: {} ({})", f.path, f.origin))));
        }
        lines.extend(policy.findings.iter().map(finding));
        if !policy.refused.is_empty() {
            lines.push("the files as they are now are not in force:".to_owned());
            lines.extend(policy.refused.iter().map(finding));
        }
    }
    lines
}

fn bandwidth(limit: &BandwidthView) -> String {
    let rate = match limit.bits_per_s {
        None => "no limit".to_owned(),
        Some(0) => "nothing".to_owned(),
        Some(bits) => format!("{} kbit/s", bits / 1000),
    };
    let rule = limit.rule.as_deref().map_or_else(String::new, |rule| format!(" ({rule})"));
    let until = limit.until_ms.map_or_else(String::new, |at| format!(" until {}", text::time(at)));
    clean(&format!("bandwidth now, {}: {rate}{rule}{until}", limit.priority))
}

fn explained(explanation: &PolicyExplanation) -> Vec<String> {
    let mut lines = Vec::new();
    if !explanation.rules.iter().any(|rule| rule.holds) {
        lines.push("No rule of the policy holds the job now.".to_owned());
    }
    for rule in &explanation.rules {
        let until = rule.until_ms.map_or_else(String::new, |at| format!(" ({})", text::time(at)));
        let holds = if rule.holds { "holds it: " } else { "" };
        lines.push(clean(&format!("{} = {} [{}]", rule.key, rule.value, rule.origin)));
        lines.push(clean(&format!("  {holds}{}{until}", rule.text)));
    }
    lines
}
