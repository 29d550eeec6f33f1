//! The event stream: `GET /v1/events` (server-sent events).
//!
//! Events with a `seq` are durable: a reader that comes back with the last one it saw (`?after=` or `Last-Event-ID`) misses
//! nothing that is still kept. Progress events have no `seq` and are not kept.

use crate::request::RangeView;
use openbits_core::JobState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A job was created.
    Created,
    /// State or properties changed, or files were added.
    Modified,
    /// The job reached TRANSFERRED.
    Transferred,
    /// The job reached ERROR.
    Error,
    /// One file is finished.
    FileTransferred,
    /// Ranges of a file arrived; not durable, and only for jobs whose notify flags have BG_NOTIFY_FILE_RANGES_TRANSFERRED (0x20).
    FileRangesTransferred,
    /// The job was completed and left the queue.
    Acknowledged,
    /// The job was cancelled and left the queue.
    Cancelled,
    /// Bytes moved; not durable, at most two a second for each job.
    Progress,
    /// A line of the job's history (`log` says which); only in streams that ask for it.
    Log,
    /// Events before this one are not kept any more: read the jobs anew.
    Gap,
}

impl EventKind {
    /// The name in JSON and in the `event:` line of the stream.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Transferred => "transferred",
            Self::Error => "error",
            Self::FileTransferred => "file-transferred",
            Self::FileRangesTransferred => "file-ranges-transferred",
            Self::Acknowledged => "acknowledged",
            Self::Cancelled => "cancelled",
            Self::Progress => "progress",
            Self::Log => "log",
            Self::Gap => "gap",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Cursor: strictly growing; null for progress and ranges.
    pub seq: Option<u64>,
    /// What happened.
    pub kind: EventKind,
    /// The job.
    pub job: String,
    /// When, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// State after the event.
    #[schema(value_type = String)]
    pub state: JobState,
    /// Name of the job.
    pub display_name: String,
    /// Progress of the job.
    pub bytes_transferred: u64,
    /// Sum of the file sizes; null while any is unknown.
    pub bytes_total: Option<u64>,
    /// Files with all their data.
    pub files_transferred: u32,
    /// Number of files.
    pub files_total: u32,
    /// Code of the job's error, for `error` and for a `modified` into TRANSIENT_ERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hresult: Option<String>,
    /// Pacing of the transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<crate::PaceView>,
    /// The file, for `file-transferred` and `file-ranges-transferred`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u32>,
    /// What arrived since the last event of this kind, for `file-ranges-transferred`. GetFilledFileRanges tells the whole truth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<RangeView>,
    /// The entry, for `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Box<LogView>>,
}

/// One entry of a job's history, as it is in the service's log too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogView {
    /// Number of the event (docs/events.md).
    pub event: u16,
    /// `information`, `warning`, `error` or `verbose`.
    pub level: String,
    /// What it means.
    pub text: String,
    /// Its fields, by the names of docs/events.md.
    pub fields: BTreeMap<String, String>,
}

/// `GET /v1/jobs/{id}/log`: the history of a job, oldest first; readable for a while after the job is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobLog {
    /// Version of this form.
    pub schema: u32,
    /// The newest entries, at most 500.
    pub entries: Vec<EventView>,
}
