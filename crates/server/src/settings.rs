//! Settings: one TOML file, read at start and again on SIGHUP.

mod rules;

pub use rules::{Commit, Notification, PathSettings, Rules, Who};

use crate::path::SafePath;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The file. Everything has a default; unknown names are errors.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Scheme and authority in addresses given to clients, when a proxy stands in front (`https://drop.example.net`).
    pub public_url: Option<String>,
    /// Certificate and key; with them every listener speaks TLS.
    pub tls: Option<Tls>,
    /// Who may come.
    pub auth: Auth,
    /// Bounds of the whole server.
    pub limits: Limits,
    /// Permissions of delivered files, octal.
    pub file_mode: Option<String>,
    /// `POST` with `X-HTTP-Method-Override: BITS_POST` is a packet.
    pub method_override: bool,
    /// Settings by path; the entry with the longest matching prefix counts, and inherits from shorter ones.
    pub path: Vec<PathSettings>,
}

/// Certificate and key, PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Authorities whose client certificates identify callers.
    pub client_ca: Option<PathBuf>,
}

/// Where callers' names come from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Apache's format, bcrypt hashes only (`htpasswd -B`).
    pub htpasswd: Option<PathBuf>,
    /// Lines `name:SHA-256 of the token in hexadecimal`.
    pub tokens: Option<PathBuf>,
    /// Basic credentials are accepted without TLS too.
    pub basic_without_tls: bool,
}

/// Bounds. Times in seconds, sizes in bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Open connections from one address.
    pub connections_per_address: usize,
    /// Live sessions of everybody.
    pub sessions: usize,
    /// Largest body of one Fragment.
    pub fragment_bytes: u64,
    /// Time for TLS, for the header of a request, and between two requests.
    pub header_timeout_s: u64,
    /// Longest pause while a body is sent or an answer is read.
    pub idle_timeout_s: u64,
    /// Slowest body, averaged, once `idle_timeout_s` has passed.
    pub min_bytes_per_s: u64,
    /// Space that uploads leave free.
    pub reserve_bytes: u64,
    /// Longest wait for each step of a notification.
    pub notification_timeout_s: u64,
    /// Ended sessions that are remembered, and for how long.
    pub tombstones: usize,
    /// See `tombstones`.
    pub tombstone_s: u64,
    /// Time between two sweeps for dead sessions.
    pub sweep_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            connections_per_address: 1024,
            sessions: 10_000,
            fragment_bytes: 256 << 20,
            header_timeout_s: 60,
            idle_timeout_s: 60,
            min_bytes_per_s: 64,
            reserve_bytes: 64 << 20,
            notification_timeout_s: 300,
            tombstones: 100_000,
            tombstone_s: 1_209_600,
            sweep_s: 300,
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] std::io::Error),
    /// It is not what is expected.
    #[error("{0}: {1}")]
    Syntax(PathBuf, #[source] Box<toml::de::Error>),
    /// A value makes no sense.
    #[error("{0}")]
    Value(String),
}

impl Settings {
    /// What `bits-server --root DIR` runs with: uploads everywhere, by anybody, nothing is ever replaced.
    pub fn open_to_all() -> Self {
        Self { path: vec![PathSettings::enabled("/")], ..Self::default() }
    }

    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|e| SettingsError::Read(path.to_owned(), e))?;
        let settings: Self =
            toml::from_str(&text).map_err(|e| SettingsError::Syntax(path.to_owned(), Box::new(e)))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.mode()?;
        for entry in &self.path {
            let path = SafePath::parse(&entry.prefix)
                .map_err(|_| SettingsError::Value(format!("prefix {:?} is not a path", entry.prefix)))?;
            self.rules(&path).check().map_err(|m| SettingsError::Value(format!("{}: {m}", entry.prefix)))?;
        }
        Ok(())
    }

    /// Permissions of delivered files.
    pub fn mode(&self) -> Result<u32, SettingsError> {
        match &self.file_mode {
            None => Ok(0o644),
            Some(text) => u32::from_str_radix(text, 8)
                .ok()
                .filter(|mode| *mode <= 0o777)
                .ok_or_else(|| SettingsError::Value(format!("file_mode {text:?} is not an octal mode"))),
        }
    }

    /// True if callers can have names at all.
    pub fn knows_callers(&self) -> bool {
        self.auth.htpasswd.is_some()
            || self.auth.tokens.is_some()
            || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// The settings for a path. Everything is inherited from shorter prefixes but `enabled` (section 16).
    pub fn rules(&self, path: &SafePath) -> Rules {
        let mut matching: Vec<(usize, &PathSettings)> = self
            .path
            .iter()
            .filter_map(|entry| {
                let prefix = SafePath::parse(&entry.prefix).ok()?;
                path.depth_below(&prefix).map(|depth| (depth, entry))
            })
            .collect();
        matching.sort_by_key(|(depth, _)| *depth);
        let mut rules = Rules::new(self.knows_callers());
        for (_, entry) in matching {
            rules.apply(entry);
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml: &str, path: &str) -> Rules {
        let settings: Settings = toml::from_str(toml).unwrap();
        settings.check().unwrap();
        settings.rules(&SafePath::parse(path).unwrap())
    }

    #[test]
    fn defaults_are_those_of_section_16() {
        let rules = rules("", "/in/x");
        assert!(!rules.enabled && !rules.overwrite);
        assert_eq!(rules.session_timeout_s, 1_209_600);
        assert_eq!(rules.max_size_bytes, u64::MAX);
        assert_eq!(rules.notification, Notification::None);
        assert_eq!(rules.host_id_fallback_timeout_s, 86_400);
        assert_eq!(rules.sessions_per_user, 50);
        assert_eq!(rules.commit, Commit::Close);
    }

    #[test]
    fn everything_but_enabled_is_inherited() {
        let toml = r#"
            [[path]]
            prefix = "/in/deep"
            max_size_bytes = 5
            [[path]]
            prefix = "/in"
            enabled = true
            overwrite = true
            max_size_bytes = 10
        "#;
        let outer = rules(toml, "/in/x");
        assert!(outer.enabled && outer.overwrite && outer.max_size_bytes == 10);
        let inner = rules(toml, "/in/deep/x");
        assert!(!inner.enabled && inner.overwrite && inner.max_size_bytes == 5);
        assert!(!rules(toml, "/inner").enabled);
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for bad in [
            "unknown = 1",
            "file_mode = \"rw\"",
            "[[path]]\nprefix = \"/../x\"",
            "[[path]]\nprefix = \"/\"\nnotification = \"value\"",
            "[[path]]\nprefix = \"/\"\nsession_timeout_s = 0",
            "[[path]]\nprefix = \"/\"\nhost_id = \"http://x/\"",
            "[[path]]\nprefix = \"/\"\nnotification = \"value\"\nnotification_url = \"ftp://x/\"",
        ] {
            let read = toml::from_str::<Settings>(bad);
            assert!(read.is_err() || read.unwrap().check().is_err(), "{bad}");
        }
    }
}
