//! `bits policy import` and `bits policy export`: the original's settings and ours (spec/policy.md C7).

use super::{read, read_bytes};
use crate::args::{ExportPolicy, ImportPolicy};
use crate::context::{Context, print};
use crate::failure::Failure;
use openbits_api::error::exit;
use openbits_core::policy::registry::{self, Exported, Imported};
use openbits_core::policy::{Layer, Origin, Policy, Raw, Tree};
use serde_json::Value;
use std::path::Path;

/// Makes a policy file.
pub(super) fn import(args: &ImportPolicy) -> Result<u8, Failure> {
    let (file, imported) = match (&args.reg, &args.mdm) {
        (Some(file), _) => {
            (file, registry::decode(&read_bytes(file)?).and_then(|text| registry::import_reg(&text)))
        }
        (None, Some(file)) => {
            (file, registry::decode(&read_bytes(file)?).and_then(|text| registry::import_mdm(&text)))
        }
        (None, None) => return Err(Failure::Usage("name a file: --reg FILE or --mdm FILE".to_owned())),
    };
    let bad = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let Imported { unmapped, .. } = imported.as_ref().map_err(|why| bad(why.clone()))?;
    list("left out", unmapped);
    let text = imported.map_err(bad)?.toml();
    write(args.output.as_deref(), &text, text.as_bytes())
}

/// Makes a registry file.
pub(super) async fn export(context: &Context, args: &ExportPolicy) -> Result<u8, Failure> {
    let tree = match &args.file {
        Some(file) => {
            let bad = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
            openbits_daemon::policy::files::parse(&read(file)?).map_err(bad)?
        }
        None => {
            let policy = context.client.policy().await?;
            let set = policy.keys.iter().filter(|key| key.origin != Origin::Default.as_str());
            tree(set.map(|key| (key.key.as_str(), &key.value)))
        }
    };
    let layer = Layer { origin: Origin::Administrator, file: "policy".to_owned(), tree };
    let policy = Policy::new(&[layer]).map_err(|findings| {
        let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
        Failure::Usage(texts.join("; "))
    })?;
    for finding in policy.findings() {
        eprintln!("{finding}");
    }
    let Exported { text, unmapped } = registry::export(&policy);
    list("no counterpart", &unmapped);
    let wide: Vec<u8> =
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    write(args.output.as_deref(), &text, &wide)
}

fn list(what: &str, items: &[String]) {
    for item in items {
        eprintln!("{what}: {}", crate::text::clean(item));
    }
}

/// Text for people's terminals, bytes for files.
fn write(path: Option<&Path>, text: &str, bytes: &[u8]) -> Result<u8, Failure> {
    match path {
        None => print(text.trim_end())?,
        Some(path) => std::fs::write(path, bytes)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?,
    }
    Ok(exit::OK)
}

/// Keys and values as a file would say them.
fn tree<'a>(keys: impl Iterator<Item = (&'a str, &'a Value)>) -> Tree {
    let mut tree = Tree::new();
    for (name, value) in keys {
        let (mut at, mut parts) = (&mut tree, name.split('.').peekable());
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                at.insert(part.to_owned(), raw(value));
                break;
            }
            let next = at.entry(part.to_owned()).or_insert_with(|| Raw::Table(Tree::new()));
            let Raw::Table(table) = next else { break };
            at = table;
        }
    }
    tree
}

fn raw(value: &Value) -> Raw {
    match value {
        Value::Bool(value) => Raw::Bool(*value),
        Value::Number(number) => number.as_i64().map_or_else(|| Raw::Other(number.to_string()), Raw::Int),
        Value::String(text) => Raw::Text(text.clone()),
        Value::Array(list) => Raw::List(list.iter().map(raw).collect()),
        Value::Object(table) => {
            Raw::Table(table.iter().map(|(key, value)| (key.clone(), raw(value))).collect())
        }
        Value::Null => Raw::Other("null".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imported_file_can_be_exported_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let text = "Windows Registry Editor Version 5.00\r\n\r\n\
                    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\BITS]\r\n\
                    \"JobInactivityTimeout\"=dword:0000001e\r\n\"MaxJobsPerUser\"=dword:00000064\r\n";
        std::fs::write(at("a.reg"), text).expect("written");
        let args = ImportPolicy { reg: Some(at("a.reg")), mdm: None, output: Some(at("a.toml")) };
        assert_eq!(import(&args).expect("imported"), exit::OK);
        let toml = std::fs::read_to_string(at("a.toml")).expect("a file");
        assert_eq!(toml, "[limits]\njobs_per_user = 100\n\n[timeouts]\njob_inactivity = \"30d\"\n");
        let tree = openbits_daemon::policy::files::parse(&toml).expect("TOML");
        let layer = Layer { origin: Origin::Administrator, file: String::new(), tree };
        assert_eq!(registry::export(&Policy::new(&[layer]).expect("usable")).text, text);
        let bad = ImportPolicy { reg: Some(at("a.toml")), mdm: None, output: None };
        assert!(matches!(import(&bad), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_services_answer_reads_like_a_file() {
        let values = [
            ("bandwidth.work.days", serde_json::json!(["mon", "tue"])),
            ("bandwidth.work.high", serde_json::json!("4000kbps")),
            ("peer.enabled", serde_json::json!(true)),
            ("cost.override", serde_json::json!({ "phone": "roaming" })),
        ];
        let read = tree(values.iter().map(|(name, value)| (*name, value)));
        let toml = "cost.override.phone = \"roaming\"\npeer.enabled = true\n[bandwidth.work]\ndays = [\"mon\", \"tue\"]\nhigh = \"4000kbps\"\n";
        assert_eq!(read, openbits_daemon::policy::files::parse(toml).expect("TOML"));
    }
}
