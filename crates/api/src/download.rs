//! Downloads of Delivery Optimization as `deliveryoptimization.h` has them (spec/delivery-optimization-com.md 3 and 4): `/v1/downloads`.
//!
//! A download is an ordinary job under the same id: every call on `/v1/jobs/{id}` works on it as well. Codes here are those of that
//! interface (`DO_E_INVALID_STATE`, `DO_E_NO_DOWNLOADS`). Nobody sees another user's.

use crate::request::{EnvironmentProxyView, RangeView};
use openbits_core::Secret;
use openbits_core::delivery::download::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/downloads`: IDOManager::CreateDownload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDownload {
    /// Properties that differ from the defaults.
    #[serde(default, skip_serializing_if = "DownloadProperties::is_empty")]
    pub properties: DownloadProperties,
    /// Proxy variables of the caller's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_proxy: Option<EnvironmentProxyView>,
}

/// `PATCH /v1/downloads/{id}`: IDODownload::SetProperty of several properties, all or none. Absent ones stay as they are; an empty text
/// takes a property back. In a view, absent means never set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadProperties {
    /// URL (http or https), at most 2,200 characters; after the start only while the download is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Name of the content. It is kept; a download needs a URL all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Name for people, at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Absolute local path; before the start only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
    /// The data goes to a stream of the client, which reads it out of the file `local_path` of its own; before the start only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// Request headers, one in each line (CR LF or LF); lines without a colon are ignored. Shown by `/v1/jobs/{id}/custom-headers` only.
    #[serde(default, with = "openbits_core::secret::clear_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub http_custom_headers: Option<Secret>,
    /// DODownloadCostPolicy, 0 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_policy: Option<u32>,
    /// Sum of WinHTTP bits: 0x100 unknown issuer, 0x200 wrong usage, 0x1000 name, 0x2000 dates are ignored; 1 revocation is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_flags: Option<u32>,
    /// Callbacks after so many percent; 0 for none by percent. At most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_freq_percent: Option<u32>,
    /// Callbacks after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_freq_seconds: Option<u32>,
    /// Seconds without progress after which the download fails, at least 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_progress_timeout_seconds: Option<u32>,
    /// Unpaced, and before others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreground_priority: Option<bool>,
    /// Start of the COM interface waits for the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocking_mode: Option<bool>,
    /// Text of the client's telemetry; kept only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_vector: Option<String>,
    /// JSON that names a piece hash file; before the start only. Never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity_check_info: Option<String>,
    /// Without a good piece hash file the download fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity_check_mandatory: Option<bool>,
    /// Size that is expected; before the start only. In a view the real one, where none was set and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_size_bytes: Option<u64>,
    /// Waits while the network is cellular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disallow_on_cellular: Option<bool>,
    /// Headers that are sent after a challenge only, in the same form. Never shown.
    #[serde(default, with = "openbits_core::secret::clear_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub http_custom_auth_headers: Option<Secret>,
    /// A redirect from https to http is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_allow_secure_to_non_secure_redirect: Option<bool>,
    /// Survives a restart of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_volatile: Option<bool>,
}

impl DownloadProperties {
    /// Nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `POST /v1/downloads/{id}/start`: IDODownload::Start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartDownload {
    /// Only these bytes, each at its own offset of the file; without overlap. Empty: the whole file. Absent: the whole file, and later what
    /// is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<RangeView>>,
}

/// A download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadView {
    /// Version of this form.
    pub schema: u32,
    /// GUID.
    pub id: String,
    /// User id of its creator.
    pub owner_uid: u32,
    /// CREATED, TRANSFERRING, TRANSFERRED, FINALIZED, ABORTED or PAUSED.
    #[schema(value_type = String)]
    pub state: State,
    /// Bytes asked for; 0 while that is not known.
    pub bytes_total: u64,
    /// Of these, bytes there.
    pub bytes_transferred: u64,
    /// `0x00000000`, or what ended it.
    pub error: String,
    /// `0x00000000`, or what holds it; or what was behind `error`.
    pub extended_error: String,
    /// How often a start said what is wanted: the first one, and each with ranges.
    #[serde(default)]
    pub starts: u32,
    /// Ranges of the present start; absent: the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<RangeView>>,
    /// Path of the file that receives the data, while there is one.
    pub temporary_path: Option<String>,
    /// Properties that were set.
    pub properties: DownloadProperties,
}

/// `GET /v1/downloads`: IDOManager::EnumDownloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadIds {
    /// Version of this form.
    pub schema: u32,
    /// GUIDs, the oldest first; at least one.
    pub ids: Vec<String>,
}

/// A call was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadDone {
    /// `0x00000000`
    pub hresult: String,
    /// `S_OK`
    pub name: String,
}
