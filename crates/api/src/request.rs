//! What a caller sends. Unknown fields are refused, so that a misspelt option is never silently ignored.

use openbits_core::integrity::Digest;
use openbits_core::job::Dialect;
use openbits_core::upload::client::Protocol;
use openbits_core::{JobType, Priority, ProxyUsage, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/jobs`: create a job; with `files` and `resume` it is also filled and started, all in one durable step.
///
/// If any part is refused, no job is left behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJob {
    /// GUID of the new job, chosen by the caller: a random one (version 4). Absent: the service chooses.
    ///
    /// With it the call may be repeated when its answer was lost: the same caller, type and files get the job that was made, also
    /// when it has finished a short while ago; anything else is refused with BG_E_INVALID_STATE (409).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name for people, at most 256 characters; need not be unique.
    pub display_name: String,
    /// DOWNLOAD (default), UPLOAD or UPLOAD_REPLY.
    #[serde(default = "download", rename = "type")]
    #[schema(value_type = String, example = "DOWNLOAD")]
    pub kind: JobType,
    /// Files to add at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<AddFile>,
    /// Start at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
    /// Properties that differ from the defaults.
    #[serde(default, skip_serializing_if = "SetProperties::is_empty")]
    pub properties: SetProperties,
    /// Proxy variables of the caller's environment, used while the job's proxy setting is PRECONFIG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_proxy: Option<EnvironmentProxyView>,
    /// Whose rules the job follows: `bits` (default), `group` (qmgr.h) or `delivery_optimization`.
    #[serde(default, skip_serializing_if = "Dialect::is_bits")]
    #[schema(value_type = String, example = "bits")]
    pub dialect: Dialect,
}

const fn download() -> JobType {
    JobType::Download
}

/// `POST /v1/jobs/{id}/files`: add files, all or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddFiles {
    /// The files, in the order in which they will be transferred.
    pub files: Vec<AddFile>,
}

/// One file to add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddFile {
    /// Where it comes from, used exactly as given; at most 2,200 characters: a URL (http, https, `smb://server/share/path`,
    /// `file:///path`), `\\server\share\path`, or an absolute path of a mounted file system. A `user:password@` in a URL is kept
    /// sealed and shown by no call.
    pub remote_name: String,
    /// Absolute local path. Empty, in a job of Delivery Optimization that was not started yet: it is told later.
    pub local_name: String,
    /// The caller's name for the content, unique in the job, at most 2,200 characters; for jobs of Delivery Optimization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Expected SHA-256 of the content, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// More expected digests, `ALGORITHM:HEX` with sha-256, sha-512 or blake3; at most 8, and all of them must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub digests: Vec<Digest>,
    /// A list of digests (`SHA256SUMS` and its relatives) that tells one for this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<DigestSourceRequest>,
    /// A Metalink 4 document that tells digests, size and mirrors of this file. Its location may be the remote name itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metalink: Option<DigestSourceRequest>,
    /// Expected size of the remote file, in bytes: another one is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Other remote names of the same file, at most 32, tried in this order when the first one fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// A piece hash file: wrong pieces of the file are fetched again, and only they.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<PieceHashFile>,
    /// The file consists of these bytes of the remote file, back to back in this order (AddFileWithRanges); at least one, at most 500,
    /// without overlap. Absent: of the whole remote file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<RangeView>>,
}

/// Where a list of digests or a Metalink is; the owner's worker fetches it with the file. At most 8 MiB are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DigestSourceRequest {
    /// A remote name, like that of a file.
    pub location: String,
    /// Name of the file in it [default: the last part of the remote name; of a Metalink with one file, that one].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Where a file with the digests of another's pieces is; the owner's worker fetches it with the file. At most 8 MiB are read. Its form is
/// `BPM1` (`docs/delivery-optimization.md`); a file of another form is not understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PieceHashFile {
    /// A remote name, like that of a file.
    pub location: String,
    /// Digest of the piece hash file itself, `ALGORITHM:HEX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub digest: Option<Digest>,
    /// The file is not fetched without its pieces (0x80D02017); otherwise it is, where they cannot be had or are not understood.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mandatory: bool,
}

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeView {
    /// First byte, from 0.
    pub offset: u64,
    /// Number of bytes, at least 1; absent (or 2^64-1): to the end of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

/// `POST /v1/jobs/{id}/files/{file}/requests`: fetch these before everything else (RequestFileRanges). They may overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestRanges {
    /// At least one.
    pub ranges: Vec<RangeView>,
}

/// `POST /v1/jobs/{id}/files/{file}/position`: where the rest is fetched from (UpdateDownloadPosition).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadPosition {
    /// Offset in the file, from 0.
    pub offset: u64,
}

/// `PATCH /v1/jobs/{id}`: set properties; all or none. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetProperties {
    /// Name for people, at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Description, at most 1,024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// FOREGROUND, HIGH, NORMAL or LOW.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "NORMAL")]
    pub priority: Option<Priority>,
    /// Sum of BG_NOTIFY bits, 0 to 63.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_flags: Option<u32>,
    /// Seconds between attempts; values below 5 become 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_retry_delay_s: Option<u32>,
    /// Seconds without progress after which the job fails; 0 makes every error final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_progress_timeout_s: Option<u32>,
    /// Proxy settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyRequest>,
    /// Program to run at TRANSFERRED and ERROR; both members null clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_command: Option<NotifyCommandView>,
    /// The service completes the job by itself when it is TRANSFERRED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_complete: Option<bool>,
    /// Local IP address or interface name for the job's connections; an empty text removes the binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
    /// How an upload is done: auto (the server is asked), bits, tus, ietf, s3 or put; only until its session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "auto")]
    pub upload_protocol: Option<Protocol>,
    /// Reply file of an upload-reply job; an empty text lets the service choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_file_name: Option<String>,
    /// Headers that go with every request of the job: lines `Name: value`, each ending with CR LF, together at most 16,383 characters; an
    /// empty text removes them. Only for the owner.
    #[serde(default, with = "openbits_core::secret::clear_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "X-Build: 7\r\n")]
    pub custom_headers: Option<Secret>,
    /// Headers that are held back until the server of the remote name answers 401, or a proxy 407: then they go to it, once. Those whose
    /// names begin with `Proxy-` are for proxies, all others for the server. Form and limits are those of `custom_headers`; an empty text
    /// removes them. Only for the owner.
    #[serde(default, with = "openbits_core::secret::clear_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "Authorization: Bearer 7\r\n")]
    pub challenge_headers: Option<Secret>,
    /// True: nobody may read the headers back from now on, for good. False is refused. Only for the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_headers_write_only: Option<bool>,
    /// HTTP method of downloads; before the first Resume only. Any but GET makes the job FOREGROUND for good and every error final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "POST")]
    pub http_method: Option<String>,
    /// Sum of BG_SSL bits (1 check revocation, 2 ignore the name, 4 dates, 8 an unknown issuer, 16 a wrong usage) and
    /// BG_HTTP_REDIRECT_POLICY bits (0x100 report, 0x200 disallow, 0x800 allow https to http).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_flags: Option<u32>,
    /// Sum of BG_COPY_FILE bits: owner 1, group 2, access list 4, audit list 8. For sources that have owners; applied by complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl_flags: Option<u32>,
    /// Sum of BG_JOB peer caching bits, 0 to 7; stored only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_caching_flags: Option<u32>,
    /// Seconds of active transfer after which the job fails; goes before the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_download_time_s: Option<u32>,
    /// Mask of the network costs at which the job may run; goes before the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_flags: Option<u32>,
    /// True: not over cellular networks, whatever they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disallow_cellular: Option<bool>,
    /// GUID of the class that is activated for notification; an empty text for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_clsid: Option<String>,
    /// The content is made on request: no size, no ranges. Downloads only, before the first resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_content: Option<bool>,
    /// Straight into the destination, no progress kept over a crash. Downloads only, before the first file is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_performance: Option<bool>,
    /// Most bytes of the whole job, at least 1. Downloads only, before the first resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_download_size: Option<u64>,
    /// PROXY: stored credentials may be offered to proxies; NONE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_stored_credentials: Option<String>,
    /// Milliseconds between two `modified` events of the job; 0 for no minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_notification_interval_ms: Option<u32>,
    /// Only ranges that are asked for are fetched. Downloads only, before the first resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand_mode: Option<bool>,
    /// Sum of BG_TOKEN bits: 1 local files, 2 network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper_token_flags: Option<u32>,
}

/// `POST /v1/jobs/{id}/replace-remote-prefix`: the names of all files that begin so, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplacePrefix {
    /// What names begin with now; compared byte for byte.
    pub old: String,
    /// What they shall begin with.
    pub new: String,
}

/// `PUT /v1/jobs/{id}/files/{index}/remote-name`: another URL for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRemoteName {
    /// URL (http or https), used exactly as given; at most 2,200 characters.
    pub remote_name: String,
}

/// `PATCH /v1/jobs/{id}/files/{index}`: properties of a file of a suspended Delivery Optimization job, before it is fetched; all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetFile {
    /// Absolute local path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_name: Option<String>,
    /// Expected size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// JSON that names a piece hash file; never shown. An empty text takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity_check_info: Option<String>,
    /// Without a good piece hash file the file fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity_check_mandatory: Option<bool>,
}

/// `PUT /v1/jobs/{id}/helper-token`: the caller becomes the job's helper (IBitsTokenOptions::SetHelperToken).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetHelperToken {
    /// Ticket of the owner, 32 hexadecimal digits; the owner himself and root need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// `PUT /v1/jobs/{id}/files/{index}/validation`: what the application thinks of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetValidation {
    /// False sends the job to ERROR; after a resume the file is fetched again.
    pub valid: bool,
}

/// `PUT /v1/jobs/{id}/properties/{number}`: IBackgroundCopyJob5::SetProperty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetNumbered {
    /// A number (`0x` for hexadecimal), TRUE or FALSE, a GUID, or NONE and PROXY, as the property has it.
    pub value: String,
}

impl SetProperties {
    /// Nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Proxy settings of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyRequest {
    /// PRECONFIG, NO_PROXY, OVERRIDE or AUTODETECT.
    #[schema(value_type = String, example = "OVERRIDE")]
    pub usage: ProxyUsage,
    /// Space-separated `[protocol=][protocol://]server[:port]`; only with OVERRIDE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Space-separated host names; `*` left-most, `<local>`; only with OVERRIDE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<String>,
}

/// Program and command line for notification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyCommandView {
    /// Full path of the program.
    #[serde(default)]
    pub program: Option<String>,
    /// Whole command line; its first word is the program again. It is split by the rules of programs on Windows: words end at blanks,
    /// `"` quotes, `\\"` is a quote; no shell, nothing is expanded.
    #[serde(default)]
    pub parameters: Option<String>,
    /// In place of both: the arguments, the first being the full path of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
}

/// Proxy variables of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentProxyView {
    /// `http_proxy`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `https_proxy`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// `all_proxy`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,
    /// `no_proxy`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no: Option<String>,
}
