//! From files to values: layers, locks, resets, defaults (spec/policy.md C1).

use super::finding::{About, Finding, Severity};
use super::table::{self, KEYS};
use super::value::{Raw, Tree, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Where a value comes from, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// No file sets it.
    Default,
    /// The vendor's file.
    Vendor,
    /// The administrator's file.
    Administrator,
    /// A drop-in of the administrator.
    DropIn,
    /// A file of a management agent, gone at the next start of the machine.
    Volatile,
    /// The policy of a user for his own service: as strong as the administrator's, but locked keys are not his.
    Own,
    /// A user's preferences.
    Preference,
}

impl Origin {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Vendor => "vendor",
            Self::Administrator => "administrator",
            Self::DropIn => "drop-in",
            Self::Volatile => "volatile",
            Self::Own => "own",
            Self::Preference => "preference",
        }
    }
}

/// One file, in the order in which they count: later ones go before earlier ones.
#[derive(Clone, PartialEq, Debug)]
pub struct Layer {
    /// Which kind.
    pub origin: Origin,
    /// Its path, for messages.
    pub file: String,
    /// What it says.
    pub tree: Tree,
}

/// A value in force.
#[derive(Clone, PartialEq, Debug)]
pub struct Effective {
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
    /// The file.
    pub file: Option<String>,
    /// What has to be known about it.
    pub note: Option<String>,
    /// A preference that is recorded, but not used.
    pub unused_preference: Option<String>,
}

/// Values of all keys in the order of [`KEYS`].
#[derive(Clone, PartialEq, Debug)]
pub struct Resolved {
    /// The values.
    pub values: Vec<Effective>,
    /// What was noticed.
    pub findings: Vec<Finding>,
    /// Groups of keys that have a bad value: `bandwidth.work` and so on.
    pub faulty: BTreeSet<&'static str>,
    locks: Vec<String>,
}

impl Resolved {
    /// True if preferences may not set the key.
    pub fn is_locked(&self, name: &str) -> bool {
        is_locked(&self.locks, name)
    }
}

/// The groups that are ignored as a whole when one of their values is bad.
const PROFILES: [&str; 4] =
    ["bandwidth.simple", "bandwidth.work", "bandwidth.nonwork", "bandwidth.maintenance"];

fn is_locked(locks: &[String], name: &str) -> bool {
    locks.iter().any(|lock| {
        name.strip_prefix(lock.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// What a file says about a key.
#[derive(Clone, PartialEq, Debug)]
enum Said {
    Reset,
    Value(Raw),
}

type Sayings<'a> = BTreeMap<usize, (Said, &'a Layer)>;

struct Reader {
    findings: Vec<Finding>,
}

impl Reader {
    fn note(&mut self, severity: Severity, about: About, key: &str, layer: Option<&Layer>, text: String) {
        let file = layer.map(|l| l.file.clone());
        self.findings.push(Finding { severity, about, key: Some(key.to_owned()), file, text });
    }

    /// Finds the keys of a table.
    fn walk(
        &mut self,
        layer: &Layer,
        tree: &Tree,
        prefix: &str,
        strict: bool,
        said: &mut Vec<(usize, Said)>,
    ) {
        for (name, raw) in tree {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let is_reset = matches!(raw, Raw::Text(text) if text == "default");
            if let Some(position) = table::position(&path) {
                said.push((position, if is_reset { Said::Reset } else { Said::Value(raw.clone()) }));
            } else if !table::is_group(&path) {
                let severity = if strict && layer.origin != Origin::Preference {
                    Severity::Error
                } else {
                    Severity::Warning
                };
                let hint =
                    table::nearest(&path).map_or_else(String::new, |near| format!("; did you mean {near}?"));
                let path: String = path.chars().take(100).collect();
                self.note(
                    severity,
                    About::UnknownKey,
                    &path,
                    Some(layer),
                    format!("there is no such key{hint}"),
                );
            } else if let Raw::Table(tree) = raw {
                self.walk(layer, tree, &path, strict, said);
            } else if is_reset {
                let of_group =
                    |name: &str| name.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'));
                let keys = (0..KEYS.len()).filter(|at| of_group(KEYS[*at].name));
                said.extend(keys.map(|at| (at, Said::Reset)));
            } else {
                let text = format!("{raw} is not a table of keys");
                self.note(Severity::Warning, About::BadValue, &path, Some(layer), text);
            }
        }
    }
}

/// One value that decides how the rest is read, from the strongest policy file that has it.
fn early<'a>(layers: &'a [Layer], group: &str, name: &str) -> Option<&'a Raw> {
    let find = |layer: &'a Layer| match layer.tree.get(group) {
        Some(Raw::Table(table)) => table.get(name),
        _ => None,
    };
    layers.iter().rev().filter(|l| l.origin != Origin::Preference).find_map(find)
}

fn locks_of(layers: &[Layer]) -> Vec<String> {
    // A bad list is told with the other bad values; it locks nothing.
    match early(layers, "meta", "locked").map(|raw| super::Kind::List.parse(raw)) {
        Some(Ok(Value::List(list))) => list,
        _ => Vec::new(),
    }
}

/// A file whose form is newer than this program.
fn is_too_new(layer: &Layer) -> bool {
    matches!(early(std::slice::from_ref(layer), "meta", "version"), Some(Raw::Int(version)) if *version > 1)
        || matches!(layer.tree.get("meta"), Some(Raw::Table(t)) if matches!(t.get("version"), Some(Raw::Int(v)) if *v > 1))
}

/// Puts the layers together. `Err`: the policy is refused as a whole (an unknown key in strict mode, a version that is too new).
pub fn resolve(layers: &[Layer]) -> Result<Resolved, Vec<Finding>> {
    let mut reader = Reader { findings: Vec::new() };
    let strict = early(layers, "meta", "strict") == Some(&Raw::Bool(true));
    let policy: Vec<Layer> = layers.iter().filter(|l| l.origin < Origin::Own).cloned().collect();
    let machine_locks = locks_of(&policy);
    let mut locks = locks_of(layers);
    // A user does not unlock by a list of his own what the machine locks.
    locks.extend(machine_locks.iter().cloned());
    for lock in &locks {
        if table::position(lock).is_none() && !table::is_group(lock) {
            let text = format!("{lock:?} is neither a key nor a group of keys");
            reader.note(Severity::Warning, About::UnknownKey, "meta.locked", None, text);
        }
    }
    let mut said: Sayings<'_> = BTreeMap::new();
    let mut unused: BTreeMap<usize, String> = BTreeMap::new();
    for layer in layers {
        if is_too_new(layer) {
            let severity =
                if layer.origin == Origin::Preference { Severity::Warning } else { Severity::Error };
            let text = "the file is for a newer version of this program".to_owned();
            reader.note(severity, About::File, "meta.version", Some(layer), text);
            continue;
        }
        let mut found = Vec::new();
        reader.walk(layer, &layer.tree, "", strict, &mut found);
        for (position, value) in found {
            let key = &KEYS[position];
            let refused = match layer.origin {
                Origin::Preference if !key.preference => {
                    Some("it is not a preference; only the policy sets it")
                }
                Origin::Preference if is_locked(&locks, key.name) => Some("the policy locks it"),
                Origin::Preference
                    if said.get(&position).is_some_and(|(_, by)| by.origin > Origin::Vendor) =>
                {
                    Some("the policy sets it")
                }
                Origin::Own if key.machine => Some("only the machine's policy sets it"),
                Origin::Own if is_locked(&machine_locks, key.name) => Some("the machine's policy locks it"),
                _ => None,
            };
            if let Some(why) = refused {
                let shown = match &value {
                    Said::Reset => "default".to_owned(),
                    Said::Value(raw) => raw.to_string(),
                };
                if key.preference || layer.origin == Origin::Own {
                    unused.insert(position, shown);
                }
                reader.note(
                    Severity::Warning,
                    About::Overridden,
                    key.name,
                    Some(layer),
                    format!("not used: {why}"),
                );
                continue;
            }
            merge(&mut said, position, value, layer);
        }
    }
    if reader.findings.iter().any(|f| f.severity == Severity::Error) {
        return Err(reader.findings);
    }
    Ok(values(reader, &said, unused, locks))
}

/// Later files go before earlier ones; tables are merged, everything else is replaced.
fn merge<'a>(said: &mut Sayings<'a>, position: usize, value: Said, layer: &'a Layer) {
    let value = match (said.remove(&position), value) {
        (Some((Said::Value(Raw::Table(mut old)), _)), Said::Value(Raw::Table(new))) => {
            old.extend(new);
            Said::Value(Raw::Table(old))
        }
        (_, value) => value,
    };
    said.insert(position, (value, layer));
}

fn values(
    mut reader: Reader,
    said: &Sayings<'_>,
    mut unused: BTreeMap<usize, String>,
    locks: Vec<String>,
) -> Resolved {
    let strict = table::position("compat.strict")
        .and_then(|at| said.get(&at))
        .is_some_and(|(value, _)| *value == Said::Value(Raw::Bool(true)));
    let mut values = Vec::with_capacity(KEYS.len());
    let mut faulty = BTreeSet::new();
    for (position, key) in KEYS.iter().enumerate() {
        let mut effective = Effective {
            value: key.default_value(strict),
            origin: Origin::Default,
            file: None,
            note: None,
            unused_preference: unused.remove(&position),
        };
        match said.get(&position) {
            None => {}
            Some((Said::Reset, layer)) => effective.note = Some(format!("reset by {}", layer.file)),
            Some((Said::Value(raw), layer)) => match key.kind.parse(raw) {
                Ok(value) => {
                    effective.value = value;
                    effective.origin = layer.origin;
                    effective.file = Some(layer.file.clone());
                }
                Err(text) => {
                    let text = format!("{text}; the default is used: {}", effective.value);
                    reader.note(Severity::Warning, About::BadValue, key.name, Some(layer), text.clone());
                    effective.note = Some(text);
                    faulty.extend(PROFILES.into_iter().find(|profile| {
                        key.name.strip_prefix(profile).is_some_and(|rest| rest.starts_with('.'))
                    }));
                }
            },
        }
        values.push(effective);
    }
    Resolved { values, findings: reader.findings, faulty, locks }
}
