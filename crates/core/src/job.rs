//! The job: its data. What may happen to it is in [`api`] (calls) and [`event`] (everything else).

pub mod api;
pub mod credential;
pub mod delivery;
pub mod dialect;
pub mod download;
pub mod error;
pub mod event;
pub mod file;
pub mod group;
pub mod http;
pub mod options;
pub mod progress;
pub mod property;
pub mod random_access;
pub mod remote_name;
pub mod retry;
pub mod route;
pub mod validation;

use crate::delivery::cache::Route;
use crate::enums::{JobState, JobType, Priority, notify};
use crate::gate::Gate;
use crate::hresult::HResult;
use crate::id::{JobId, Uid};
use crate::notify::{Owed, Subject};
use crate::secret::{Sealed, Slot};
use crate::time::{FileTime, Mono, Now};
use crate::upload::client::UploadState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use credential::Credential;
pub use delivery::{Delivery, DeliveryChange, FileId};
pub use dialect::Dialect;
pub use download::{Download, DownloadCall, DownloadChange, FileChange};
pub use error::ErrorRecord;
pub use file::{File, IntegrityCheck, NewFile};
pub use http::HttpOptions;
pub use options::{Options, Setting};
pub use progress::{FileProgress, JobProgress, ReplyProgress};
pub use property::{Extras, NotifyCommand, ProxySettings};

/// Minimum retry delay of a new job, in seconds.
pub const DEFAULT_RETRY_DELAY_S: u32 = 600;
/// Smaller values are raised to this, in seconds.
pub const RETRY_DELAY_FLOOR_S: u32 = 5;
/// No-progress timeout of a new job, in seconds: 14 days.
pub const DEFAULT_NO_PROGRESS_TIMEOUT_S: u32 = 1_209_600;

/// What a change of a job tells the outside (spec/bits-core.md 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Nothing.
    None,
    /// JobModification.
    Modification,
    /// JobTransferred.
    Transferred,
    /// JobError.
    Error,
    /// One best-effort JobModification for a job that leaves the queue.
    Final,
}

/// A change that was made: the success code of the call, and the notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Change {
    /// `S_OK` or a `BG_S_*` code.
    pub code: HResult,
    /// What to tell.
    pub notice: Notice,
}

impl Change {
    const fn ok(notice: Notice) -> Self {
        Self { code: crate::hresult::S_OK, notice }
    }
}

/// Why a job in TRANSIENT_ERROR waits, and what ends the wait (spec/bits-core.md 7.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Until the retry delay is over.
    Retry {
        /// When the error arose.
        since: Mono,
        /// What the server asked for, in milliseconds.
        retry_after_ms: u64,
    },
    /// Until the network is back.
    Network,
    /// Until the volume is unlocked.
    Volume,
    /// Until the bandwidth policy allows background transfers again.
    Policy,
    /// Until the network costs less, or the job may pay more.
    Cost,
    /// Until the network is no cellular one.
    Cellular,
    /// Until the machine has mains power again.
    Battery,
    /// Until the power saver is off.
    Saver,
    /// Until the game is over.
    Game,
}

impl Wait {
    /// The gate that the job waits before.
    pub const fn gate(self) -> Option<Gate> {
        match self {
            Self::Retry { .. } | Self::Volume => None,
            Self::Network => Some(Gate::Network),
            Self::Policy => Some(Gate::Policy),
            Self::Cost => Some(Gate::Cost),
            Self::Cellular => Some(Gate::Cellular),
            Self::Battery => Some(Gate::Battery),
            Self::Saver => Some(Gate::Saver),
            Self::Game => Some(Gate::Game),
        }
    }
}

impl From<Gate> for Wait {
    fn from(gate: Gate) -> Self {
        match gate {
            Gate::Network => Self::Network,
            Gate::Policy => Self::Policy,
            Gate::Cost => Self::Cost,
            Gate::Cellular => Self::Cellular,
            Gate::Battery => Self::Battery,
            Gate::Saver => Self::Saver,
            Gate::Game => Self::Game,
        }
    }
}

/// A last step that was begun and is repeated after a crash until it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finishing {
    /// Complete.
    Complete,
    /// Cancel (or the inactivity clean-up).
    Cancel,
    /// The job is cancelled and its files are gone; its upload server is still to be told.
    Farewell,
}

/// The reply part of an upload-reply job.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Reply {
    /// Path set by SetReplyFileName or generated.
    pub file_name: Option<Box<str>>,
    /// True if `file_name` was generated and may be generated anew.
    pub generated: bool,
    /// Size, once the reply download began.
    pub size: Option<u64>,
    /// Bytes received.
    pub transferred: u64,
    /// Its download.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<File>>,
}

/// Index by which a worker knows the reply of an upload-reply job, whose only file is 0.
pub const REPLY_INDEX: u32 = 1;

/// One job with all that is remembered of it.
///
/// `id`, `owner`, `state`, `priority`, `display_name` and `files` have columns or rows of their own in the store; the rest is
/// its JSON document.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// GUID.
    #[serde(skip, default = "nil")]
    pub id: JobId,
    /// Creator, or the last administrator who took ownership.
    #[serde(skip, default = "root")]
    pub owner: Uid,
    /// Download, upload or upload-reply; fixed at creation.
    pub kind: JobType,
    /// State.
    #[serde(skip, default = "suspended")]
    pub state: JobState,
    /// Priority level.
    #[serde(skip, default = "normal")]
    pub priority: Priority,
    /// Name for people; need not be unique.
    #[serde(skip)]
    pub display_name: Box<str>,
    /// Description; empty if never set.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub description: Box<str>,
    /// `BG_NOTIFY_*` bits.
    pub notify_flags: u32,
    /// Program to run at TRANSFERRED and ERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_command: Option<Box<NotifyCommand>>,
    /// Seconds between attempts after a recoverable error; at least 5.
    pub minimum_retry_delay_s: u32,
    /// Seconds without progress, from the first recoverable error, after which the job fails; 0 = every error is final.
    pub no_progress_timeout_s: u32,
    /// Failed attempts; never reset.
    pub error_count: u32,
    /// Error of the last attempt; lives until TRANSFERRING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<ErrorRecord>>,
    /// Proxy settings; `None` = PRECONFIG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Box<ProxySettings>>,
    /// Credentials, at most one for each target and scheme.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
    /// Other secrets, sealed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<Slot, Sealed>,
    /// Reply part of an upload-reply job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Box<Reply>>,
    /// What the original does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extras: Option<Box<Extras>>,
    /// HTTP options that differ from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Box<HttpOptions>>,
    /// Properties that came after BITS 1.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Box<Options>>,
    /// What a Delivery Optimization download has beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Box<Delivery>>,
    /// What a download of IDOManager has beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download: Option<Box<Download>>,
    /// The cache hosts of its last Start, and where it asks (Delivery Optimization).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<Route>>,
    /// Resume was called at least once: some properties are frozen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// Creation.
    pub created: FileTime,
    /// Created by a caller who is exempt from the quotas: does not count for the limit per machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exempt: bool,
    /// Last change; never goes back.
    pub modified: FileTime,
    /// Entry into TRANSFERRED; zero before.
    #[serde(default)]
    pub transferred_at: FileTime,
    /// What a job in TRANSIENT_ERROR waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// When the no-progress period began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_progress_since: Option<Mono>,
    /// Milliseconds of the no-progress period that the job spent before closed gates, without the present wait.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gated_ms: i64,
    /// When the present wait before a gate began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_since: Option<Mono>,
    /// Last activity, for the inactivity clean-up.
    pub last_activity: Mono,
    /// Milliseconds in CONNECTING and TRANSFERRING since the last Resume, without the present run.
    #[serde(default)]
    pub active_ms: i64,
    /// Start of the present run in CONNECTING or TRANSFERRING.
    #[serde(skip)]
    pub active_since: Option<Mono>,
    /// Complete or Cancel that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finishing: Option<Finishing>,
    /// Notification that is owed since the entry into TRANSFERRED or ERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Box<Owed>>,
    /// Entries into TRANSFERRED and ERROR so far.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub entries: u32,
    /// Files in the order added.
    #[serde(skip)]
    pub files: Vec<File>,
}

// Placeholders for the fields that have columns of their own; the loader overwrites them at once.
fn nil() -> JobId {
    JobId::from_bytes([0; 16])
}
const fn root() -> Uid {
    Uid::ROOT
}
const fn suspended() -> JobState {
    JobState::Suspended
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(n: &i64) -> bool {
    *n == 0
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none_yet(n: &u32) -> bool {
    *n == 0
}
const fn normal() -> Priority {
    Priority::Normal
}

impl Job {
    /// A fresh job: SUSPENDED, with the defaults of spec/bits-core.md 4.6. Name and type are checked by the caller.
    pub fn new(id: JobId, owner: Uid, kind: JobType, display_name: &str, now: Now) -> Self {
        Self {
            id,
            owner,
            kind,
            state: JobState::Suspended,
            priority: Priority::Normal,
            display_name: display_name.into(),
            description: "".into(),
            notify_flags: notify::DEFAULT,
            notify_command: None,
            minimum_retry_delay_s: DEFAULT_RETRY_DELAY_S,
            no_progress_timeout_s: DEFAULT_NO_PROGRESS_TIMEOUT_S,
            error_count: 0,
            error: None,
            proxy: None,
            credentials: Vec::new(),
            secrets: BTreeMap::new(),
            reply: (kind == JobType::UploadReply).then(Box::default),
            extras: None,
            http: None,
            options: None,
            delivery: None,
            download: None,
            route: None,
            resumed: false,
            created: now.wall,
            exempt: false,
            modified: now.wall,
            transferred_at: FileTime::ZERO,
            wait: None,
            no_progress_since: None,
            gated_ms: 0,
            gate_since: None,
            last_activity: now.mono,
            active_ms: 0,
            active_since: None,
            finishing: None,
            owed: None,
            entries: 0,
            files: Vec::new(),
        }
    }

    /// True if there is nothing left to transfer (and there is at least one file).
    pub fn all_transferred(&self) -> bool {
        !self.files.is_empty() && self.files.iter().all(|f| f.transferred)
    }

    /// The download of the reply, once it began.
    pub fn reply_file(&self) -> Option<&File> {
        self.reply.as_deref()?.file.as_deref()
    }

    /// The server holds something of a cancelled upload that it could be told to forget.
    pub fn has_open_upload(&self) -> bool {
        self.files.first().and_then(|file| file.upload.as_deref()).is_some_and(UploadState::is_open)
    }

    /// Until when a cancelled upload's server is told so again (spec/bits-core.md 4.4): 24 hours or the no-progress timeout,
    /// whichever is less, from the Cancel on.
    pub fn farewell_end(&self) -> Mono {
        self.last_activity.plus_s(u64::from(self.no_progress_timeout_s).min(86_400))
    }

    /// True if every unfinished file comes from an address that the URL names and that is like this.
    pub fn comes_from(&self, wanted: impl Fn(std::net::IpAddr) -> bool) -> bool {
        let mut files = self.files.iter().filter(|file| !file.transferred).peekable();
        files.peek().is_some()
            && files.all(|file| crate::subnet::literal_address(&file.remote).is_some_and(&wanted))
    }

    /// Name of a file's temporary file, beside its destination.
    ///
    /// Derived from the job's random GUID (of a group: from a random one beside the caller's choice), so that a leftover can be named
    /// after any crash, and nobody else can guess it.
    ///
    /// A HIGH_PERFORMANCE job and a download of Delivery Optimization write straight to the destination: its name it is then.
    pub fn temporary_name(&self, index: u32) -> String {
        if self.is_direct()
            && let Some((_, name)) =
                self.files.get(index as usize).and_then(|file| file.local.rsplit_once('/'))
        {
            return name.to_owned();
        }
        let hex: String = self.seed().as_bytes()[..10].iter().map(|b| format!("{b:02X}")).collect();
        format!("BIT{hex}{index:X}.tmp")
    }

    /// The extras, for reading.
    pub fn extras(&self) -> &Extras {
        const NONE: &Extras = &Extras::NONE;
        self.extras.as_deref().unwrap_or(NONE)
    }

    /// The level whose slots the job takes. Jobs of Delivery Optimization do not wait for each other: all of them run at once, as
    /// their clients expect, and their pacing alone keeps them polite.
    pub fn slot_level(&self) -> Priority {
        if self.dialect() == Dialect::DeliveryOptimization { Priority::Foreground } else { self.priority }
    }

    /// Whose rules the job follows; fixed at creation.
    pub fn dialect(&self) -> Dialect {
        self.extras().dialect
    }

    /// Gap between two JobModification calls, and between two FileRangesTransferred calls, in milliseconds.
    pub fn notification_interval_ms(&self) -> i64 {
        i64::from(self.options().notification_interval_ms())
    }

    /// Retries make sense: neither is every error final, nor is the delay longer than the no-progress period
    /// (spec/bits-core.md 7.5).
    pub const fn may_retry(&self) -> bool {
        self.no_progress_timeout_s > 0 && self.minimum_retry_delay_s <= self.no_progress_timeout_s
    }

    /// Milliseconds of active transfer counted against the maximum download time.
    pub fn active_time_ms(&self, now: Mono) -> i64 {
        self.active_ms + self.active_since.map_or(0, |since| now.since_ms(since))
    }

    /// Sets the state and keeps the clock of active transfer time.
    fn enter(&mut self, state: JobState, now: Now) {
        match (self.active_since, state.is_running()) {
            (None, true) => self.active_since = Some(now.mono),
            (Some(since), false) => {
                self.active_ms += now.mono.since_ms(since);
                self.active_since = None;
            }
            _ => {}
        }
        if state != JobState::TransientError {
            self.wait = None;
            self.leave_gate(now.mono);
        }
        // The completion time is that of TRANSFERRED and of what Complete made of it (spec/bits-core.md 8.5, row 4).
        if !matches!(state, JobState::Transferred | JobState::Acknowledged) {
            self.transferred_at = FileTime::ZERO;
        }
        // Every entry is a new event; one that nobody took is dropped with its state (spec/bits-core.md 6).
        self.owed = Subject::of(state).map(|subject| {
            self.entries = self.entries.wrapping_add(1);
            Box::new(Owed::new(subject, self.entries))
        });
        self.state = state;
    }

    /// Records activity (spec/bits-core.md 4.7). The modification time never goes back.
    fn touch(&mut self, now: Now) {
        self.modified = self.modified.max(now.wall);
        if !self.ages_from_creation() {
            self.last_activity = self.last_activity.max(now.mono);
        }
    }

    /// The clean-up counts from the job's creation, whatever happens to it (spec/delivery-optimization-com.md 5.2). The agent's downloads
    /// are cleaned up when nobody touched them.
    pub fn ages_from_creation(&self) -> bool {
        self.dialect() == Dialect::DeliveryOptimization && self.delivery.is_none()
    }
}
