//! Groups, the first generation of the interface (`qmgr.h`, spec/qmgr-legacy.md): `/v1/groups`.
//!
//! A group is an ordinary job under the same id: every call on `/v1/jobs/{id}` works on it as well. Codes here are those of the first
//! generation (`QM_E_ITEM_NOT_FOUND`, `QM_E_INVALID_STATE`). Sizes are 32 bits and stay at their maximum beyond it.

use crate::request::EnvironmentProxyView;
use openbits_core::JobState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most files in one AddFiles.
pub const GROUP_FILES_MAX: usize = 10_000;

/// `POST /v1/groups`: CreateGroup. A call whose answer was lost is not repeated: the id would be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroup {
    /// GUID that the caller chose: any that nothing in the queue has, not all zeros.
    pub id: String,
    /// Proxy variables of the caller's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_proxy: Option<EnvironmentProxyView>,
}

/// `POST /v1/groups/{id}/jobs`: CreateJob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroupJob {
    /// GUID that the caller chose: any that nothing in the queue has, not all zeros.
    pub id: String,
}

/// `POST /v1/groups/{id}/jobs/{job}/files`: AddFiles, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddGroupFiles {
    /// At least one, at most 10,000.
    pub files: Vec<GroupFile>,
}

/// FILESETINFO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupFile {
    /// URL, at most 2,200 characters, used as it is.
    pub remote_name: String,
    /// Full path, at most 260 characters, no wildcards; its folder exists.
    pub local_name: String,
    /// Ignored, and told as 0.
    #[serde(default)]
    pub size_hint: u32,
}

/// A VARIANT: value of a property.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantView {
    /// VARTYPE: 3 is VT_I4, 8 is VT_BSTR.
    pub vt: u16,
    /// The value of an integer type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// The value of VT_BSTR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// EnumGroups and EnumJobs: ids in the order of creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupIds {
    /// Version of this form.
    pub schema: u32,
    /// GUIDs, lower case, without braces.
    pub ids: Vec<String>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Version of this form.
    pub schema: u32,
    /// GUID, lower case, without braces; also that of the modern job.
    pub id: String,
    /// User id of the owner.
    pub owner_uid: u32,
    /// State of the modern job.
    #[schema(value_type = String)]
    pub state: JobState,
    /// Sum of QM_STATUS_GROUP bits.
    pub status: u32,
    /// Always 0.
    pub job_index: u32,
    /// Bytes of all files; 0 while one is unknown.
    pub size: u32,
    /// Its job, after CreateJob.
    pub job: Option<GroupJobView>,
}

/// The job of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupJobView {
    /// GUID, lower case, without braces.
    pub id: String,
    /// Sum of QM_STATUS_JOB bits.
    pub status: u32,
    /// With QM_STATUS_JOB_ERROR: the Win32 code, or an HRESULT without one. Else 0.
    pub win32_result: u32,
    /// With QM_STATUS_JOB_ERROR: the HTTP status, or 0.
    pub transport_result: u32,
    /// With QM_STATUS_JOB_ERROR: failed attempts.
    pub retries: u32,
    /// Number of files.
    pub files: u32,
}

/// GetProgress of a group or of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupProgress {
    /// Percent (100 only when all is there), or bytes.
    pub value: u32,
}

/// Answer to a call that changes a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupDone {
    /// `0x00000000`
    pub hresult: String,
    /// `S_OK`
    pub name: String,
}
