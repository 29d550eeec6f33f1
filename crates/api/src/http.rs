//! HTTP options of a job: custom headers, method, client certificate, security flags, the check of servers by the owner's program.

use openbits_core::job::http::CertificateLocation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// HTTP options as a job shows them. The headers themselves are secrets and are no part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HttpView {
    /// GET unless the job has another.
    pub method: String,
    /// Sum of BG_SSL and BG_HTTP_REDIRECT_POLICY bits.
    pub security_flags: u32,
    /// There are custom headers.
    pub custom_headers: bool,
    /// There are headers that are held back until a server or proxy asks who is there.
    #[serde(default)]
    pub challenge_headers: bool,
    /// Nobody may read the headers back, of either kind.
    pub custom_headers_write_only: bool,
    /// Client certificate.
    pub client_certificate: Option<CertificateView>,
    /// The owner's program has to accept each server certificate.
    pub certificate_validation: bool,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateView {
    /// CURRENT_USER or LOCAL_MACHINE.
    #[schema(value_type = String)]
    pub location: CertificateLocation,
    /// Name of the store, or an absolute path.
    pub store: String,
    /// SHA-1 of the certificate, 40 hexadecimal digits.
    pub sha1: String,
    /// SHA-256 of the certificate, 64 hexadecimal digits.
    pub sha256: String,
    /// Values of the subject's names, joined by `, `; may be empty.
    pub subject: String,
}

/// `PUT /v1/jobs/{id}/client-certificate`: name a certificate by its hash, by a part of its subject, or by itself. It is looked for at once,
/// with the owner's rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetClientCertificate {
    /// CURRENT_USER (default) or LOCAL_MACHINE; every other one is refused with E_NOTIMPL.
    #[serde(default = "current_user")]
    #[schema(example = "CURRENT_USER")]
    pub location: String,
    /// `MY` (default), `CA`, `ROOT`, `SPC`, the name of an application's store, or the absolute path of a file or folder; at most 255
    /// characters.
    #[serde(default = "my")]
    #[schema(example = "MY")]
    pub store: String,
    /// SHA-1 or SHA-256 of the certificate in hexadecimal; instead of `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Part of the subject, at most 255 characters; the first certificate that matches and may identify a client is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The certificate itself, in base64: DER, or a serialized certificate context, at most 64 KiB; instead of `hash` and `subject`. Its key
    /// is in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

fn current_user() -> String {
    "CURRENT_USER".to_owned()
}

fn my() -> String {
    "MY".to_owned()
}

/// `GET /v1/jobs/{id}/custom-headers` and `GET /v1/jobs/{id}/challenge-headers`: for the owner only, and not once they are write-only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomHeaders {
    /// Version of this form.
    pub schema: u32,
    /// `0x00000000`, or `0x00000001` (S_FALSE) if there are none.
    pub hresult: String,
    /// The headers, each ending with CR LF; null if there are none.
    pub headers: Option<String>,
}

impl std::fmt::Debug for CustomHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomHeaders").field("hresult", &self.hresult).finish_non_exhaustive()
    }
}

/// One question of `POST /v1/jobs/{id}/certificate-checks`: may the job talk to this server? The normal checks have passed, and no request
/// was sent yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateCheck {
    /// Version of this form.
    pub schema: u32,
    /// Names the question in the answer.
    pub check: u64,
    /// The job.
    pub job: String,
    /// Position of the file in the job's list.
    pub file: u32,
    /// Who presents the certificate: `host:port`.
    pub server: String,
    /// X509_ASN_ENCODING (1).
    pub encoding: u32,
    /// The server's certificate: DER in base64.
    pub certificate: String,
    /// What else the server presented, in its order: DER in base64.
    pub chain: Vec<String>,
    /// When the question is given up, milliseconds since 1970 UTC.
    pub expires_ms: i64,
}

/// `PUT /v1/jobs/{id}/certificate-checks/{check}`: the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateAnswer {
    /// `0x00000000` (any success) accepts; a failure code refuses and becomes the error of the job.
    #[schema(example = "0x00000000")]
    pub hresult: String,
}
