//! Callbacks: `GET /v1/callbacks` is a client's connection for them, registrations are made for each job, and each call that waits
//! for an answer gets one by `POST /v1/callbacks/{call}` (spec/bits-core.md 5.6 and 6, spec/bits-extended.md 8).
//!
//! The stream's first event is `listener` ([`ListenerView`]); the others are `callback` ([`CallbackView`]). A registration lives as
//! long as the connection of its listener.

use openbits_core::JobState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// First event of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListenerView {
    /// Number of this connection, for [`SetNotifyInterface`].
    pub listener: u64,
}

/// `PUT /v1/jobs/{id}/notify-interface`: SetNotifyInterface. `DELETE` is the call with NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetNotifyInterface {
    /// The caller's own listener.
    pub listener: u64,
}

/// `GET /v1/jobs/{id}/notify-interface`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotifyInterfaceView {
    /// A listener is registered and connected.
    pub registered: bool,
}

/// Which method is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackKind {
    /// IBackgroundCopyCallback::JobTransferred; waits for an answer.
    JobTransferred,
    /// IBackgroundCopyCallback::JobError; waits for an answer.
    JobError,
    /// IBackgroundCopyCallback::JobModification; no more often than the job's interval, some may be left out.
    JobModification,
    /// IBackgroundCopyCallback2::FileTransferred; waits for an answer.
    FileTransferred,
    /// IBackgroundCopyCallback3::FileRangesTransferred; as often as JobModification.
    FileRangesTransferred,
}

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileRangeView {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallbackView {
    /// Number for the answer; null: nobody waits for one. Without an answer within 60 s the call counts as failed.
    pub call: Option<u64>,
    /// What is called.
    pub kind: CallbackKind,
    /// The job.
    pub job: String,
    /// Its name.
    pub display_name: String,
    /// Its state when the call was made.
    #[schema(value_type = String)]
    pub state: JobState,
    /// Its progress then.
    pub bytes_transferred: u64,
    /// Sum of the file sizes; null while any is unknown.
    pub bytes_total: Option<u64>,
    /// Files with all their data.
    pub files_transferred: u32,
    /// Number of files.
    pub files_total: u32,
    /// Code of the job's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hresult: Option<String>,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u32>,
    /// What arrived of it since the call before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<FileRangeView>,
}

/// `POST /v1/callbacks/{call}`: what the callback returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackAnswer {
    /// `0x00000000` or another success code accepts; a failure has the call made again, or the notification program run.
    pub hresult: String,
}
