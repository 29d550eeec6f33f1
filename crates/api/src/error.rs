//! The one error table: HRESULT to name, HTTP status, exit code, text and suggested action.

use openbits_core::HResult;
use openbits_core::delivery::codes::{
    self, DO_E_INTEGRITYCHECKINFO_UNAVAILABLE, DO_E_INTEGRITYCHECKINFO_UNSPECIFIED,
};
use openbits_core::hresult as h;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Exit codes of the command line (spec/tools.md A1, D3).
pub mod exit {
    /// Success.
    pub const OK: u8 = 0;
    /// Usage.
    pub const USAGE: u8 = 1;
    /// Not found.
    pub const NOT_FOUND: u8 = 2;
    /// Access denied.
    pub const ACCESS_DENIED: u8 = 3;
    /// The job is in ERROR.
    pub const JOB_ERROR: u8 = 4;
    /// A limit or a policy refuses.
    pub const LIMIT: u8 = 5;
    /// The service cannot be reached.
    pub const UNREACHABLE: u8 = 6;
    /// The name fits several jobs.
    pub const AMBIGUOUS: u8 = 7;
    /// Anything else.
    pub const OTHER: u8 = 10;
    /// `wait` ran out of time.
    pub const TIMEOUT: u8 = 124;
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// HTTP status of a refused call.
    pub status: u16,
    /// Exit code of the command line.
    pub exit: u8,
    /// What to do about it.
    pub suggestion: &'static str,
}

/// Looks a code up; every failure code has a row.
pub fn row(code: HResult) -> ErrorRow {
    let (status, exit, suggestion) = match code {
        h::BG_E_NOT_FOUND | h::QM_E_ITEM_NOT_FOUND => {
            (404, exit::NOT_FOUND, "List the jobs with `bits list`; finished jobs leave the queue.")
        }
        h::E_ACCESSDENIED => {
            (403, exit::ACCESS_DENIED, "Only the owner or root may do this; check file rights with `ls -ld`.")
        }
        h::BG_E_INVALID_STATE | h::QM_E_INVALID_STATE => {
            (409, exit::OTHER, "The job is finished, or its state does not allow this; see `bits show`.")
        }
        h::BG_E_EMPTY => (409, exit::OTHER, "Add a file first: `bits add JOB URL PATH`."),
        h::BG_E_TOO_MANY_JOBS_PER_USER
        | h::BG_E_TOO_MANY_JOBS_PER_MACHINE
        | h::BG_E_TOO_MANY_FILES_IN_JOB
        | h::BG_E_TOO_MANY_FILES
        | h::BG_E_TOO_MANY_RANGES_IN_FILE => (
            429,
            exit::LIMIT,
            "Complete or cancel old jobs, split the work, or raise `limits` in the policy file.",
        ),
        h::BG_E_BLOCKED_BY_POLICY => {
            (403, exit::LIMIT, "The policy closes background transfers now; see `bits why`.")
        }
        h::E_INVALIDARG => (400, exit::USAGE, "Check the argument that the message names."),
        h::BG_E_STRING_TOO_LONG
        | h::BG_E_PROXY_LIST_TOO_LARGE
        | h::BG_E_PROXY_BYPASS_LIST_TOO_LARGE
        | h::BG_E_USERNAME_TOO_LARGE
        | h::BG_E_PASSWORD_TOO_LARGE
        | h::BG_E_INVALID_AUTH_TARGET
        | h::BG_E_INVALID_AUTH_SCHEME
        | h::BG_E_INVALID_RANGE
        | h::BG_E_OVERLAPPING_RANGES
        | h::ERROR_INVALID_NAME
        | h::ERROR_FILENAME_EXCED_RANGE => (400, exit::USAGE, "Shorten or correct the value."),
        h::E_NOTIMPL => (400, exit::USAGE, "The value is undefined, or this kind of job does not have it."),
        h::ERROR_PATH_NOT_FOUND => {
            (400, exit::OTHER, "Create the destination folder first, or give another path.")
        }
        h::CRYPT_E_FILE_ERROR => (
            400,
            exit::USAGE,
            "Give a certificate in DER, or a context as CertSerializeCertificateStoreElement writes it.",
        ),
        h::CRYPT_E_NOT_FOUND => (
            404,
            exit::NOT_FOUND,
            "List the certificates of the store; see the page about client certificates.",
        ),
        h::RPC_X_BAD_STUB_DATA => {
            (404, exit::NOT_FOUND, "No client certificate is set, or the hash has not 20 or 32 bytes.")
        }
        h::E_PENDING => (409, exit::OTHER, "Wait until the file has all its data: `bits wait JOB`."),
        h::BG_E_READ_ONLY_WHEN_JOB_ACTIVE => (409, exit::OTHER, "Suspend the job first: `bits suspend JOB`."),
        h::BG_E_SERVER_CERT_VALIDATION_INTERFACE_REQUIRED => (
            502,
            exit::JOB_ERROR,
            "Start the program that checks certificates for this job, then `bits resume`.",
        ),
        h::ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED => (
            502,
            exit::JOB_ERROR,
            "Give the job a client certificate: `bits set JOB client-certificate=...`, then `bits resume`.",
        ),
        h::ERROR_WINHTTP_CLIENT_CERT_NO_ACCESS_PRIVATE_KEY => (
            502,
            exit::JOB_ERROR,
            "Put the private key beside the certificate, readable for the job's owner.",
        ),
        h::ERROR_WINHTTP_REDIRECT_FAILED => (
            502,
            exit::JOB_ERROR,
            "Use the final address, or allow the redirect with the job's security flags.",
        ),
        h::ERROR_FILE_NOT_FOUND => (400, exit::OTHER, "Check the path of the local file."),
        h::ERROR_DISK_FULL => (507, exit::OTHER, "Free some space on the volume, then `bits resume`."),
        h::ERROR_WRITE_PROTECT => (400, exit::OTHER, "The volume is read-only; choose another destination."),
        h::BG_E_ERROR_INFORMATION_UNAVAILABLE
        | h::BG_E_FILE_NOT_AVAILABLE
        | h::BG_E_PROTOCOL_NOT_AVAILABLE
        | h::BG_E_FILE_NOT_FOUND => (404, exit::NOT_FOUND, "There is no such information now."),
        h::BG_E_TOO_LARGE => (413, exit::LIMIT, "The content is larger than the limit."),
        h::BG_E_DATABASE_CORRUPT => {
            (503, exit::OTHER, "The queue's store is damaged; restart the service and see its log.")
        }
        h::RPC_S_SERVER_UNAVAILABLE | h::RPC_E_DISCONNECTED | h::QM_E_SERVICE_UNAVAILABLE => {
            (503, exit::UNREACHABLE, "Start the service: `bitsd --user`, or `systemctl start bitsd`.")
        }
        h::QM_E_DOWNLOADER_UNAVAILABLE => {
            (503, exit::OTHER, "The owner's worker process could not do its work; see the service's log.")
        }
        h::BG_E_HTTP_ERROR_401 | h::BG_E_HTTP_ERROR_407 => (
            502,
            exit::JOB_ERROR,
            "The server or proxy asks for credentials; correct them and `bits resume`.",
        ),
        h::BG_E_INVALID_CREDENTIALS => (
            409,
            exit::JOB_ERROR,
            "The stored credentials cannot be read any more; set them again and `bits resume`.",
        ),
        h::BG_E_HTTP_ERROR_404 | h::BG_E_HTTP_ERROR_410 => (502, exit::JOB_ERROR, "Check the URL."),
        h::BG_E_HTTP_ERROR_403 => {
            (502, exit::JOB_ERROR, "The server refuses; a signed URL may have expired.")
        }
        h::BG_E_VALIDATION_FAILED => {
            (502, exit::JOB_ERROR, "The content is not what was expected; check the digest and the source.")
        }
        codes::DO_E_JOB_NOT_FOUND | codes::DO_E_NO_DOWNLOADS | codes::E_NOT_SET => {
            (404, exit::NOT_FOUND, "List the jobs with `bits list`; downloads that are over leave the queue.")
        }
        codes::DO_E_FILE_NOT_AVAILABLE | codes::DO_E_ERROR_INFORMATION_UNAVAILABLE => {
            (404, exit::NOT_FOUND, "There is no such information now.")
        }
        codes::DO_E_INVALID_STATE => {
            (409, exit::OTHER, "The download is over, or its state does not allow this; see `bits show`.")
        }
        codes::DO_E_JOB_EMPTY
        | codes::DO_E_LOCALPATH_NOT_SET
        | codes::DO_E_FILE_DOWNLOADSINK_UNSPECIFIED
        | codes::DO_E_DOWNLOAD_NO_URI => {
            (409, exit::OTHER, "Say first where it comes from, and where it goes.")
        }
        codes::DO_E_UNKNOWN_PROPERTY_ID
        | codes::DO_E_READ_ONLY_PROPERTY
        | codes::DO_E_WRITE_ONLY_PROPERTY
        | codes::DO_E_INVALID_RANGE
        | codes::DO_E_OVERLAPPING_RANGES => (400, exit::USAGE, "Correct the property or the range."),
        codes::DO_E_NO_SERVICE => {
            (503, exit::UNREACHABLE, "Start the service: `bitsd --user`, or `systemctl start bitsd`.")
        }
        DO_E_INTEGRITYCHECKINFO_UNSPECIFIED | DO_E_INTEGRITYCHECKINFO_UNAVAILABLE => (
            502,
            exit::JOB_ERROR,
            "Check the address, the digest and the form of the piece hash file; see docs/delivery-optimization.md.",
        ),
        h::BG_E_REMOTE_FILE_CHANGED => {
            (502, exit::JOB_ERROR, "The file keeps changing on the server; resume later.")
        }
        h::BG_E_RANDOM_ACCESS_NOT_SUPPORTED => (
            409,
            exit::OTHER,
            "Only whole files of downloads, from servers with byte ranges and without dynamic content, are read in any order.",
        ),
        h::BG_E_UNSUPPORTED_JOB_CONFIGURATION => {
            (409, exit::OTHER, "Two settings of the job exclude each other; use another job.")
        }
        h::BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED => {
            (413, exit::LIMIT, "The files are larger than the job's limit; use a new job with a higher one.")
        }
        h::BG_E_INSUFFICIENT_RANGE_SUPPORT
        | h::BG_E_MISSING_FILE_SIZE
        | h::BG_E_INSUFFICIENT_HTTP_SUPPORT => (
            502,
            exit::JOB_ERROR,
            "The server (or a proxy) lacks what a safe download needs; try another URL.",
        ),
        h::ERROR_WINHTTP_NAME_NOT_RESOLVED => {
            (502, exit::JOB_ERROR, "Check the host name and the DNS settings.")
        }
        h::ERROR_WINHTTP_SECURE_INVALID_CA
        | h::ERROR_WINHTTP_SECURE_CERT_DATE_INVALID
        | h::ERROR_WINHTTP_SECURE_CERT_CN_INVALID
        | h::ERROR_WINHTTP_SECURE_FAILURE
        | h::ERROR_WINHTTP_SECURE_CHANNEL_ERROR
        | h::ERROR_WINHTTP_SECURE_CERT_REVOKED
        | h::ERROR_WINHTTP_SECURE_CERT_REV_FAILED
        | h::ERROR_WINHTTP_SECURE_CERT_WRONG_USAGE => (
            502,
            exit::JOB_ERROR,
            "The server's certificate cannot be trusted; check the clock and the system's roots.",
        ),
        _ if code.is_ok() => (200, exit::OK, ""),
        _ if code.http_status().is_some() => {
            (502, exit::JOB_ERROR, "The server answered with an error; see the URL.")
        }
        _ if code.bits() >> 16 == 0x8020 => (409, exit::OTHER, "See `bits why` and `bits show`."),
        _ => (500, exit::OTHER, "See the service's log."),
    };
    ErrorRow { status, exit, suggestion }
}

/// Symbolic name of a code, or its number.
pub fn name(code: HResult) -> String {
    code.name().map_or_else(|| code.to_string(), str::to_owned)
}

/// Body of every refused call (`application/problem+json`, RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the code says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// Symbolic name of the code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What exactly was refused.
    pub detail: String,
    /// `0x80200001`
    pub hresult: String,
    /// Symbolic name of the code.
    pub name: String,
    /// What the code means.
    pub text: String,
    /// What to do about it.
    pub suggestion: String,
}

impl Problem {
    /// The body for a code; `detail` says what exactly was refused.
    pub fn new(code: HResult, detail: impl Into<String>) -> Self {
        let row = row(code);
        Self {
            kind: "about:blank".to_owned(),
            title: name(code),
            status: row.status,
            detail: detail.into(),
            hresult: code.to_string(),
            name: name(code),
            text: code.text(),
            suggestion: row.suggestion.to_owned(),
        }
    }

    /// The code again.
    pub fn code(&self) -> HResult {
        parse_code(&self.hresult).unwrap_or(h::E_FAIL)
    }
}

/// A code in words: `GET /v1/errors/{hresult}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorText {
    /// `0x80200001`
    pub hresult: String,
    /// Symbolic name, or the number again.
    pub name: String,
    /// What the code means.
    pub text: String,
    /// What to do about it.
    pub suggestion: String,
}

impl ErrorText {
    /// The words for a code.
    pub fn of(code: HResult) -> Self {
        Self {
            hresult: code.to_string(),
            name: name(code),
            text: code.text(),
            suggestion: row(code).suggestion.to_owned(),
        }
    }
}

/// Reads `0x80200001`.
pub fn parse_code(text: &str) -> Option<HResult> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    u32::from_str_radix(hex, 16).ok().map(HResult::from_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_table_has_a_consistent_row() {
        for &(code, name_text, meaning) in h::TABLE {
            let row = row(code);
            assert_eq!(name(code), name_text);
            assert!(!meaning.is_empty());
            assert_eq!(parse_code(&code.to_string()), Some(code));
            if code.is_ok() {
                assert_eq!((row.status, row.exit), (200, exit::OK), "{name_text}");
            } else {
                assert!((400..600).contains(&row.status), "{name_text}");
                assert_ne!(row.exit, exit::OK, "{name_text}");
                assert!(!row.suggestion.is_empty(), "{name_text}");
                let problem = Problem::new(code, "x");
                assert_eq!(problem.code(), code);
                assert_eq!(
                    serde_json::from_str::<Problem>(&serde_json::to_string(&problem).unwrap()).unwrap(),
                    problem
                );
            }
        }
    }

    /// A caller's mistake is never told as the service's.
    #[test]
    fn refusals_of_delivery_optimization_have_a_status_of_their_own() {
        for (code, status) in [
            (codes::DO_E_JOB_NOT_FOUND, 404),
            (codes::DO_E_NO_DOWNLOADS, 404),
            (codes::E_NOT_SET, 404),
            (codes::DO_E_INVALID_STATE, 409),
            (codes::DO_E_JOB_EMPTY, 409),
            (codes::DO_E_LOCALPATH_NOT_SET, 409),
            (codes::DO_E_DOWNLOAD_NO_URI, 409),
            (codes::DO_E_INVALID_RANGE, 400),
            (codes::DO_E_UNKNOWN_PROPERTY_ID, 400),
        ] {
            assert_eq!(row(code).status, status, "{code}");
        }
    }
}
