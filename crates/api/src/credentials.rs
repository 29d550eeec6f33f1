//! Credentials of a job: set and removed, never read.

use openbits_core::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `PUT /v1/jobs/{id}/credentials`: a user name and password for a server or proxy that asks for them (SetCredentials).
///
/// There is one slot for each pair of target and scheme; a new value replaces the old one. Only the job's owner may set them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetCredentials {
    /// SERVER or PROXY (or the number of BG_AUTH_TARGET).
    #[schema(example = "SERVER")]
    pub target: String,
    /// BASIC, DIGEST, NTLM, NEGOTIATE or PASSPORT (or the number of BG_AUTH_SCHEME).
    #[schema(example = "DIGEST")]
    pub scheme: String,
    /// At most 300 characters. Absent together with the password, for NTLM and NEGOTIATE only: the owner's own logon credentials.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "openbits_core::secret::clear_option")]
    #[schema(value_type = Option<String>, write_only)]
    pub user: Option<Secret>,
    /// At most 65,536 characters.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "openbits_core::secret::clear_option")]
    #[schema(value_type = Option<String>, write_only, format = Password)]
    pub password: Option<Secret>,
}

/// A slot of a job's credentials that is in use. What is in it is shown by no call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    /// SERVER or PROXY.
    pub target: String,
    /// BASIC, DIGEST, NTLM, NEGOTIATE or PASSPORT.
    pub scheme: String,
    /// The owner's own logon credentials are used.
    pub implicit: bool,
}
