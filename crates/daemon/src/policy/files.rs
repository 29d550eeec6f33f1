//! The policy's files: where they are, who may have written them, and what they say (spec/policy.md C1).

use openbits_core::policy::{Finding, Layer, Origin, Raw, Severity, Tree};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest file that is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most drop-ins of one folder.
const DROP_INS_MAX: usize = 256;

/// Whether a file has to be root's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Owned by root, writable by nobody else; otherwise it is ignored.
    RootOnly,
    /// Whoever could write it may set it.
    Anybody,
}

/// Where one source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One file.
    File(PathBuf),
    /// All `*.toml` of a folder, in byte order of their names.
    Folder(PathBuf),
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it counts as.
    pub origin: Origin,
    /// Where it is.
    pub place: Place,
    /// Who may have written it.
    pub trust: Trust,
}

/// All sources, weakest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(pub Vec<Source>);

/// What was read.
#[derive(Debug, Default)]
pub struct ReadFiles {
    /// The files that can be used.
    pub layers: Vec<Layer>,
    /// What was noticed.
    pub findings: Vec<Finding>,
    /// A file of the policy is not TOML or cannot be read: the whole policy is refused.
    pub broken: bool,
}

const VENDOR: &str = "/usr/lib/openbits/policy.toml";
const ADMINISTRATOR: &str = "/etc/openbits/policy.toml";
const VOLATILE: &str = "/run/openbits/policy.d";

fn beside(file: &Path) -> PathBuf {
    file.with_file_name("policy.d")
}

impl Sources {
    /// Those of the machine. `administrator` names another file in place of the administrator's; its drop-ins are beside it.
    pub fn of_machine(administrator: Option<&Path>, trust: Trust) -> Self {
        let file = administrator.unwrap_or(Path::new(ADMINISTRATOR)).to_owned();
        let drop_ins = beside(&file);
        let of = |origin, place, trust| Source { origin, place, trust };
        Self(vec![
            of(Origin::Vendor, Place::File(VENDOR.into()), Trust::RootOnly),
            of(Origin::Administrator, Place::File(file), trust),
            of(Origin::DropIn, Place::Folder(drop_ins), trust),
            of(Origin::Volatile, Place::Folder(VOLATILE.into()), Trust::RootOnly),
        ])
    }

    /// Adds those of a user for his own service: `folder` is `~/.config/openbits`. With `policy` false only his preferences.
    pub fn with_user(mut self, folder: &Path, policy: bool) -> Self {
        let of = |origin, place| Source { origin, place, trust: Trust::Anybody };
        if policy {
            self.0.push(of(Origin::Own, Place::File(folder.join("policy.toml"))));
            self.0.push(of(Origin::Own, Place::Folder(folder.join("policy.d"))));
        }
        self.0.push(of(Origin::Preference, Place::File(folder.join("preferences.toml"))));
        self
    }

    /// The vendor's alone.
    pub fn vendor_only(&self) -> Self {
        Self(self.0.iter().filter(|s| s.origin == Origin::Vendor).cloned().collect())
    }

    /// Reads everything that is there.
    pub fn read(&self) -> ReadFiles {
        let mut read = ReadFiles::default();
        for source in &self.0 {
            match &source.place {
                Place::File(path) => read.file(source, path),
                Place::Folder(path) => read.folder(source, path),
            }
        }
        read
    }
}

impl ReadFiles {
    fn folder(&mut self, source: &Source, folder: &Path) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    self.notice(source, folder, &format!("cannot be read: {error}"));
                }
                return;
            }
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .collect();
        files.sort();
        if files.len() > DROP_INS_MAX {
            self.notice(
                source,
                folder,
                &format!("has more than {DROP_INS_MAX} files; the others are ignored"),
            );
            files.truncate(DROP_INS_MAX);
        }
        for file in files {
            self.file(source, &file);
        }
    }

    fn file(&mut self, source: &Source, path: &Path) {
        let text = match read_text(path, source.trust) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            // A file that must not count is ignored; one that should and cannot be read breaks the policy.
            Err(Unusable::Untrusted(why)) => return self.notice(source, path, &why),
            Err(Unusable::Broken(why)) => return self.give_up(source, path, &why),
        };
        match parse(&text) {
            Ok(tree) => {
                let file = path.display().to_string();
                self.layers.push(Layer { origin: source.origin, file, tree });
            }
            Err(why) => self.give_up(source, path, &why),
        }
    }

    fn notice(&mut self, source: &Source, path: &Path, why: &str) {
        let severity = if source.origin == Origin::Preference { Severity::Warning } else { Severity::Error };
        self.findings.push(Finding::file(severity, path.display().to_string(), why));
    }

    fn give_up(&mut self, source: &Source, path: &Path, why: &str) {
        self.notice(source, path, why);
        // A user's preferences cannot hold the policy up.
        self.broken |= source.origin != Origin::Preference;
    }
}

enum Unusable {
    Untrusted(String),
    Broken(String),
}

fn read_text(path: &Path, trust: Trust) -> Result<Option<String>, Unusable> {
    let broken = |why: String| Unusable::Broken(why);
    // A FIFO in the way must not hold the service up.
    let nonblocking = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let file = match std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(format!("cannot be read: {error}"))),
    };
    let about = file.metadata().map_err(|e| broken(format!("cannot be read: {e}")))?;
    if !about.is_file() {
        return Err(broken("is not a file".to_owned()));
    }
    if trust == Trust::RootOnly && (about.uid() != 0 || about.mode() & 0o022 != 0) {
        let text = "ignored: it has to belong to root and be writable by nobody else";
        return Err(Unusable::Untrusted(text.to_owned()));
    }
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|e| broken(format!("cannot be read: {e}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(broken(format!("is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(Some(text))
}

/// Parses TOML into the policy's own tree; the error says where it is wrong.
pub fn parse(text: &str) -> Result<Tree, String> {
    let table: toml::Table =
        toml::from_str(text).map_err(|e| format!("not TOML: {}", e.to_string().trim_end()))?;
    Ok(tree(table))
}

fn tree(table: toml::Table) -> Tree {
    table.into_iter().map(|(name, value)| (name, raw(value))).collect()
}

fn raw(value: toml::Value) -> Raw {
    match value {
        toml::Value::Boolean(value) => Raw::Bool(value),
        toml::Value::Integer(value) => Raw::Int(value),
        toml::Value::Float(value) => Raw::Float(value),
        toml::Value::String(text) => Raw::Text(text),
        toml::Value::Array(list) => Raw::List(list.into_iter().map(raw).collect()),
        toml::Value::Table(table) => Raw::Table(tree(table)),
        toml::Value::Datetime(at) => Raw::Other(at.to_string()),
    }
}
