//! Jobs as the API shows them. Unknown sizes are null, times are milliseconds since 1970 UTC.

use crate::http::HttpView;
use crate::request::{PieceHashFile, RangeView};
use openbits_core::job::Dialect;
use openbits_core::pace::Mode;
use openbits_core::upload::client::Protocol;
use openbits_core::{ErrorContext, JobState, JobType, Priority, ProxyUsage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Version of this form.
    pub schema: u32,
    /// GUID, lower case, without braces.
    pub id: String,
    /// Name for people.
    pub display_name: String,
    /// Description; empty if never set.
    pub description: String,
    /// DOWNLOAD, UPLOAD or UPLOAD_REPLY.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: JobType,
    /// Whose rules the job follows: `bits`, `group` or `delivery_optimization`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub dialect: Dialect,
    /// State.
    #[schema(value_type = String)]
    pub state: JobState,
    /// Priority level.
    #[schema(value_type = String)]
    pub priority: Priority,
    /// User id of the owner.
    pub owner_uid: u32,
    /// Owner as GetOwner reports it.
    pub owner_sid: String,
    /// Level of the owner's rights when he created or took the job: 0x2000 user, 0x3000 administrator, 0x4000 system.
    pub owner_integrity_level: u32,
    /// He was root by the login of an ordinary user.
    pub owner_elevated: bool,
    /// Sum of the file sizes; null while any is unknown.
    pub bytes_total: Option<u64>,
    /// Bytes moved so far.
    pub bytes_transferred: u64,
    /// Number of files.
    pub files_total: u32,
    /// Files with all their data.
    pub files_transferred: u32,
    /// Creation.
    pub creation_time_ms: i64,
    /// Last change.
    pub modification_time_ms: i64,
    /// Entry into TRANSFERRED; null before.
    pub transfer_completion_time_ms: Option<i64>,
    /// Milliseconds of connecting and transferring since the last resume.
    #[serde(default)]
    pub active_time_ms: i64,
    /// Failed attempts so far.
    pub error_count: u32,
    /// Error of the last attempt, while it is readable.
    pub error: Option<ErrorView>,
    /// Seconds between attempts.
    pub minimum_retry_delay_s: u32,
    /// Seconds without progress after which the job fails.
    pub no_progress_timeout_s: u32,
    /// Sum of BG_NOTIFY bits.
    pub notify_flags: u32,
    /// Notification program; empty texts if none.
    pub notify_program: String,
    /// Its command line.
    pub notify_parameters: String,
    /// A callback is registered.
    #[serde(default)]
    pub notify_interface: bool,
    /// Proxy settings, without users and passwords.
    pub proxy: ProxyView,
    /// Credentials that are set; what they are is shown by no call.
    #[serde(default)]
    pub credentials: Vec<crate::CredentialView>,
    /// The service completes the job by itself.
    pub auto_complete: bool,
    /// Local address or interface of the job's connections.
    pub bind: Option<String>,
    /// HTTP options.
    #[serde(default)]
    pub http: HttpView,
    /// How it uploads; null for a download.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadView>,
    /// The reply of an upload-reply job; null for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyView>,
    /// Sum of BG_COPY_FILE bits.
    pub acl_flags: u32,
    /// Sum of BG_JOB peer caching bits.
    pub peer_caching_flags: u32,
    /// Seconds of active transfer after which the job fails: the job's, else the policy's.
    pub maximum_download_time_s: u64,
    /// Mask of network costs in force: the job's, else what its priority has by the policy.
    pub cost_flags: u32,
    /// The mask is the job's own.
    pub cost_flags_set: bool,
    /// Not over cellular networks.
    #[serde(default)]
    pub disallow_cellular: bool,
    /// GUID of the class that is activated for notification.
    pub notification_clsid: Option<String>,
    /// The content is made on request.
    pub dynamic_content: bool,
    /// Straight into the destination.
    pub high_performance: bool,
    /// Most bytes of the whole job.
    pub max_download_size: Option<u64>,
    /// PROXY or NONE.
    pub use_stored_credentials: String,
    /// Milliseconds between two `modified` events.
    pub minimum_notification_interval_ms: u32,
    /// Only ranges that are asked for are fetched.
    pub on_demand_mode: bool,
    /// Sum of BG_TOKEN bits.
    pub helper_token_flags: u32,
    /// SID of the helper, while there is one.
    pub helper_token_sid: Option<String>,
    /// Next attempt, for a job in TRANSIENT_ERROR that waits for time.
    pub next_retry_time_ms: Option<i64>,
    /// Peer of the present transfer.
    pub peer: Option<String>,
    /// How the present transfer behaves towards others; null if it is not paced (FOREGROUND, or a peer on this machine).
    #[serde(default)]
    pub pace: Option<PaceView>,
    /// Cache host that the present transfer asks in place of the origin (Delivery Optimization).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_host: Option<String>,
    /// Files, when asked for with `?files=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileView>>,
}

/// Pacing of a background transfer (spec/politeness.md 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaceView {
    /// `start`, `fill` (uses what nobody else wants), `yield` (somebody else wants the link) or `probe` (looks whether it is free again).
    #[schema(value_type = String)]
    pub mode: Mode,
    /// Since when, milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// Delay of the path without a queue, in microseconds; null while unknown.
    pub base_us: Option<u64>,
    /// Delay by the queue now, in microseconds.
    pub queue_us: u64,
    /// Window of all connections of the path together, in bytes.
    pub window_bytes: u64,
    /// The kernel measures no rising delay on this path, for want of TCP timestamps: the window follows what is delivered.
    pub blind: bool,
}

/// Proxy settings of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProxyView {
    /// PRECONFIG, NO_PROXY, OVERRIDE or AUTODETECT.
    #[schema(value_type = String)]
    pub usage: ProxyUsage,
    /// Proxy list.
    pub list: Option<String>,
    /// Bypass list.
    pub bypass: Option<String>,
}

/// How an upload job uploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadView {
    /// What was asked for: auto, bits, tus, ietf, s3 or put.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// What is in use, once it is known.
    #[schema(value_type = Option<String>)]
    pub used: Option<Protocol>,
    /// An upload that breaks off goes on where it was; false: it begins again at zero. Null while that is not known.
    pub resumable: Option<bool>,
}

/// The reply part of an upload-reply job (BG_JOB_REPLY_PROGRESS and GetReplyFileName).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplyView {
    /// Path of the reply file, set or generated; null until a file was added.
    pub file_name: Option<String>,
    /// Size; null until the reply download begins.
    pub bytes_total: Option<u64>,
    /// Bytes received.
    pub bytes_transferred: u64,
}

/// One file of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileView {
    /// Position in the file list, from 0.
    pub index: u32,
    /// URL as given.
    pub remote_name: String,
    /// Destination path.
    pub local_name: String,
    /// The caller's name for the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Size; null while unknown.
    pub bytes_total: Option<u64>,
    /// Bytes moved so far.
    pub bytes_transferred: u64,
    /// All data is there.
    pub transferred: bool,
    /// The file is in place (after Complete).
    pub completed: bool,
    /// Name of the temporary file beside the destination, while there is one.
    pub temporary_name: Option<String>,
    /// Path of the file that receives the data, while there is one.
    pub temporary_path: Option<String>,
    /// The application, or complete, found the content good; false also if nobody judged it.
    pub valid: bool,
    /// Some bytes came from peers.
    pub downloaded_from_peer: bool,
    /// Bytes that came from the origin, of those that are there.
    pub bytes_from_origin: u64,
    /// Bytes that came from peers.
    pub bytes_from_peers: u64,
    /// Bytes that came from cache hosts.
    #[serde(default)]
    pub bytes_from_cache_hosts: u64,
    /// Without a good piece hash file the file fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity_check_mandatory: Option<bool>,
    /// Expected SHA-256.
    pub sha256: Option<String>,
    /// More expected digests, `ALGORITHM:HEX`.
    #[serde(default)]
    pub digests: Vec<String>,
    /// Expected size of the remote file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_size: Option<u64>,
    /// Location of the list of digests.
    #[serde(default)]
    pub checksum: Option<String>,
    /// Location of the Metalink.
    #[serde(default)]
    pub metalink: Option<String>,
    /// The piece hash file; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<PieceHashFile>,
    /// Mirrors that the caller gave.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// The mirror in use; null: the remote name.
    #[serde(default)]
    pub mirror: Option<String>,
    /// Bytes of the remote file that the file consists of, in the order of the local file; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<RangeView>>,
    /// How often the file began again because the server's copy changed.
    pub restarts: u32,
}

/// Ranges of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RangeList {
    /// Version of this form.
    pub schema: u32,
    /// `0x00000000`, or `0x00000001` (S_FALSE) for a file without ranges.
    pub hresult: String,
    /// Symbolic name of the code.
    pub name: String,
    /// The ranges.
    pub ranges: Vec<RangeView>,
}

/// List of a job's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileList {
    /// Version of this form.
    pub schema: u32,
    /// The files in the order added.
    pub files: Vec<FileView>,
}

/// Error of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorView {
    /// `0x80190194`
    pub hresult: String,
    /// Symbolic name, or the number again.
    pub name: String,
    /// What the code means.
    pub text: String,
    /// Where the error arose.
    #[schema(value_type = String)]
    pub context: ErrorContext,
    /// What the context means.
    pub context_text: String,
    /// File being processed.
    pub file: Option<u32>,
    /// `http`, if the error concerns the protocol.
    pub protocol: Option<String>,
    /// HTTP status, if an answer arrived.
    pub http_status: Option<u16>,
    /// Address in use, query removed.
    pub url: Option<String>,
    /// What exactly happened.
    pub detail: String,
    /// When.
    pub time_ms: i64,
    /// What to do about it.
    pub suggestion: String,
}

/// Answer to SetHelperToken. It says nothing of the job: the helper may not see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HelperSet {
    /// `0x00000000`
    pub hresult: String,
    /// Symbolic name.
    pub name: String,
    /// The caller's SID, as GetHelperTokenSid gives it.
    pub sid: String,
}

/// A ticket that lets a helper in once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HelperTicketView {
    /// 32 hexadecimal digits; a secret between owner and helper.
    pub ticket: String,
    /// Void after so many seconds.
    pub valid_for_s: u64,
}

/// A numbered property of a file: IBackgroundCopyFile5::GetProperty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileProperty {
    /// BITS_FILE_PROPERTY_ID
    pub id: u32,
    /// Its name in `bits.h`.
    pub name: String,
    /// 1: status line and headers of the last HTTP answer, each line with CR LF; null before the first.
    pub value: Option<String>,
}

/// A numbered property of a job: IBackgroundCopyJob5::GetProperty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NumberedProperty {
    /// BITS_JOB_PROPERTY_ID
    pub id: u32,
    /// Its name in `bits.h`.
    pub name: String,
    /// The value in the form that the setter takes.
    pub value: String,
}

/// A page of `GET /v1/jobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobPage {
    /// Version of this form.
    pub schema: u32,
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// Value for `after` that gives the next page; null at the end.
    pub next: Option<String>,
}

/// A page of `GET /v1/job-ids`: which jobs there are, and nothing else, for enumerators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobIds {
    /// Version of this form.
    pub schema: u32,
    /// Their GUIDs.
    pub ids: Vec<String>,
    /// Value for `after` that gives the next page; null at the end.
    pub next: Option<String>,
}

/// Answer to a call that changes a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Success code: `0x00000000`, or a BG_S code such as `0x00200017`.
    pub hresult: String,
    /// Symbolic name.
    pub name: String,
    /// The job after the call.
    pub job: JobView,
}
