//! Settings of one path, with the meaning of the IIS extension's properties (spec/upload-protocol.md 16).

use openbits_core::upload::{MAX_URL, SESSION_TIMEOUT_S, grammar::is_host_id};
use serde::Deserialize;
use std::path::PathBuf;

/// `BITSServerNotificationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notification {
    /// 0: nobody is told.
    #[default]
    None,
    /// 1: the back-end gets paths.
    Reference,
    /// 2: the back-end gets the bytes.
    Value,
}

/// When the file appears at its destination (section 9.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Commit {
    /// With Close-Session.
    #[default]
    Close,
    /// Before the final fragment is acknowledged.
    FinalFragment,
}

/// Who may do something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Everybody, named or not.
    Anyone,
    /// Every caller with a name.
    Known,
    /// Nobody.
    Nobody,
    /// These callers.
    #[serde(untagged)]
    Names(Vec<String>),
}

impl Who {
    /// True if the caller may; an anonymous caller has the empty name.
    pub fn admits(&self, name: &str) -> bool {
        match self {
            Self::Anyone => true,
            Self::Known => !name.is_empty(),
            Self::Nobody => false,
            Self::Names(names) => !name.is_empty() && names.iter().any(|n| n == name),
        }
    }
}

/// One `[[path]]` of the file. What is missing is inherited from the next shorter prefix.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathSettings {
    /// Where it applies: this URL path and everything below.
    pub prefix: String,
    /// `BITSUploadEnabled`; not inherited.
    #[serde(default)]
    pub enabled: bool,
    /// `BITSSessionTimeout`, in seconds.
    pub session_timeout_s: Option<u64>,
    /// `BITSMaximumUploadSize`.
    pub max_size_bytes: Option<u64>,
    /// `BITSAllowOverwrites`.
    pub overwrite: Option<bool>,
    /// `BITSServerNotificationType`.
    pub notification: Option<Notification>,
    /// `BITSServerNotificationURL`: `http`, `https`, `unix:/socket:/path`, or relative to the destination.
    pub notification_url: Option<String>,
    /// File with the value of `Authorization` for the back-end.
    pub notification_credential: Option<PathBuf>,
    /// `BITSHostId`.
    pub host_id: Option<String>,
    /// `BITSHostIdFallbackTimeout`, in seconds.
    pub host_id_fallback_timeout_s: Option<u32>,
    /// `BITSNumberOfSessionsLimit`; 0 is no limit (`BITSSessionLimitEnable` off).
    pub sessions_per_user: Option<usize>,
    /// Bytes that the unfinished uploads of one caller may hold.
    pub pending_bytes_per_user: Option<u64>,
    /// When the file appears.
    pub commit: Option<Commit>,
    /// Who may upload.
    pub upload: Option<Who>,
    /// Who may download.
    pub download: Option<Who>,
}

impl PathSettings {
    /// Uploads enabled below `prefix`, the rest inherited.
    pub fn enabled(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), enabled: true, ..Self::default() }
    }
}

/// Everything that applies to one path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the one of PathSettings, with its default in place")]
pub struct Rules {
    pub enabled: bool,
    pub session_timeout_s: u64,
    pub max_size_bytes: u64,
    pub overwrite: bool,
    pub notification: Notification,
    pub notification_url: String,
    pub notification_credential: Option<PathBuf>,
    pub host_id: Option<String>,
    pub host_id_fallback_timeout_s: u32,
    pub sessions_per_user: usize,
    pub pending_bytes_per_user: u64,
    pub commit: Commit,
    pub upload: Who,
    pub download: Who,
}

impl Rules {
    pub(super) fn new(knows_callers: bool) -> Self {
        let who = if knows_callers { Who::Known } else { Who::Anyone };
        Self {
            enabled: false,
            session_timeout_s: SESSION_TIMEOUT_S,
            max_size_bytes: u64::MAX,
            overwrite: false,
            notification: Notification::None,
            notification_url: String::new(),
            notification_credential: None,
            host_id: None,
            host_id_fallback_timeout_s: 86_400,
            sessions_per_user: 50,
            pending_bytes_per_user: u64::MAX,
            commit: Commit::Close,
            upload: who.clone(),
            download: who,
        }
    }

    pub(super) fn apply(&mut self, entry: &PathSettings) {
        fn set<T: Clone>(to: &mut T, from: &Option<T>) {
            if let Some(value) = from {
                to.clone_from(value);
            }
        }
        self.enabled = entry.enabled;
        set(&mut self.session_timeout_s, &entry.session_timeout_s);
        set(&mut self.max_size_bytes, &entry.max_size_bytes);
        set(&mut self.overwrite, &entry.overwrite);
        set(&mut self.notification, &entry.notification);
        set(&mut self.notification_url, &entry.notification_url);
        if entry.notification_credential.is_some() {
            self.notification_credential.clone_from(&entry.notification_credential);
        }
        if entry.host_id.is_some() {
            self.host_id.clone_from(&entry.host_id);
        }
        set(&mut self.host_id_fallback_timeout_s, &entry.host_id_fallback_timeout_s);
        set(&mut self.sessions_per_user, &entry.sessions_per_user);
        set(&mut self.pending_bytes_per_user, &entry.pending_bytes_per_user);
        set(&mut self.commit, &entry.commit);
        set(&mut self.upload, &entry.upload);
        set(&mut self.download, &entry.download);
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.session_timeout_s == 0 {
            return Err("session_timeout_s must be positive".to_owned());
        }
        if self.host_id.as_deref().is_some_and(|host| !is_host_id(host)) {
            return Err("host_id is a host name or an address, without port".to_owned());
        }
        if self.notification == Notification::None {
            return Ok(());
        }
        let url = &self.notification_url;
        let scheme = url.split_once(':').map(|(scheme, _)| scheme).filter(|s| !s.contains(['/', '?', '.']));
        if url.is_empty() || url.len() > MAX_URL {
            return Err(format!("notification_url is needed, of at most {MAX_URL} characters"));
        }
        match scheme {
            None | Some("http" | "https" | "unix") => Ok(()),
            Some(other) => Err(format!("notification_url: {other} is not supported")),
        }
    }
}
