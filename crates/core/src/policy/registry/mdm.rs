//! Values of a mobile device manager: SyncML, or names with values in JSON (spec/policy.md A4, A6).

use super::{CHOICES, Imported, hours, text_value};
use crate::policy::value::Raw;

/// Most items that are looked at.
const ITEMS_MAX: usize = 10_000;

/// Reads the settings of `./Device/Vendor/MSFT/Policy/Config/BITS`.
///
/// # Errors
/// It is neither SyncML nor a JSON object.
pub fn import_mdm(file: &str) -> Result<Imported, String> {
    let items = if file.trim_start().starts_with('{') { json(file)? } else { sync_ml(file)? };
    let mut imported = Imported::default();
    let (mut from, mut to) = (None, None);
    for (uri, data) in items.into_iter().take(ITEMS_MAX) {
        let name = uri.rsplit('/').next().unwrap_or_default().to_owned();
        let number = data.trim().parse::<u32>().ok();
        let choice = number.and_then(|n| CHOICES.get(usize::try_from(n).ok()?.checked_sub(1)?));
        match (name.as_str(), number, choice) {
            ("BandwidthThrottlingStartTime", Some(hour), _) => from = Some(hour),
            ("BandwidthThrottlingEndTime", Some(hour), _) => to = Some(hour),
            ("BandwidthThrottlingTransferRate", Some(rate), _) => {
                imported.set("bandwidth.simple.enabled", Raw::Bool(true));
                imported.set("bandwidth.simple.rate", Raw::Int(rate.into()));
            }
            ("CostedNetworkBehaviorForegroundPriority", _, Some(choice)) => {
                imported.set("cost.foreground", text_value(*choice));
            }
            ("CostedNetworkBehaviorBackgroundPriority", _, Some(choice)) => {
                imported.set("cost.normal", text_value(*choice));
            }
            ("JobInactivityTimeout", Some(days), _) => {
                imported.set("timeouts.job_inactivity", text_value(format!("{days}d")));
            }
            _ => imported
                .unmapped
                .push(format!("{uri} = {data}: no counterpart, or not a value that it can have")),
        }
    }
    hours(&mut imported, "bandwidth.simple.hours", from, to);
    Ok(imported)
}

fn json(file: &str) -> Result<Vec<(String, String)>, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(file).map_err(|error| error.to_string())?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(object.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// The names and data of the items. The form is fixed enough to need no reader of XML: no attribute, no entity in a number or a name.
fn sync_ml(file: &str) -> Result<Vec<(String, String)>, String> {
    let mut items = Vec::new();
    let mut rest = file;
    while let Some((_, after)) = rest.split_once("<LocURI>") {
        let Some((uri, after)) = after.split_once("</LocURI>") else { break };
        // The data belong to this item only.
        let own = after.split("<LocURI>").next().unwrap_or_default();
        let tag = own.split_once("<Data").and_then(|(_, data)| data.split_once('>'));
        let data = tag.and_then(|(_, data)| data.split_once("</Data>")).map_or("", |(data, _)| data);
        items.push((uri.trim().to_owned(), data.trim().to_owned()));
        rest = after;
    }
    if items.is_empty() { Err("neither SyncML nor a JSON object".to_owned()) } else { Ok(items) }
}
