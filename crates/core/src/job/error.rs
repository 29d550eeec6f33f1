//! The error record of a job (spec/bits-core.md 7).

use crate::enums::ErrorContext;
use crate::hresult::{BG_E_FILE_NOT_AVAILABLE, BG_E_PROTOCOL_NOT_AVAILABLE, HResult};
use crate::time::FileTime;
use serde::{Deserialize, Serialize};

/// Why the last attempt failed: the code and context of the original, and what people ask for beside them
/// (spec/behaviour.md 11.3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// Code.
    pub code: HResult,
    /// Where it arose; never NONE.
    pub context: ErrorContext,
    /// File being processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u32>,
    /// When.
    pub at: FileTime,
    /// HTTP status, if an answer arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Address in use; query and credentials removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Box<str>>,
    /// One sentence for people; no secrets.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub detail: Box<str>,
}

impl ErrorRecord {
    /// A record with a code and a context only.
    pub fn new(code: HResult, context: ErrorContext, at: FileTime) -> Self {
        Self { code, context, file: None, at, http_status: None, url: None, detail: "".into() }
    }

    /// IBackgroundCopyError::GetFile.
    pub fn get_file(&self) -> Result<u32, HResult> {
        if self.context.names_a_file() {
            self.file.ok_or(BG_E_FILE_NOT_AVAILABLE)
        } else {
            Err(BG_E_FILE_NOT_AVAILABLE)
        }
    }

    /// IBackgroundCopyError::GetProtocol: `http` for http and https.
    pub fn get_protocol(&self) -> Result<&'static str, HResult> {
        if !self.context.names_a_protocol() {
            return Err(BG_E_PROTOCOL_NOT_AVAILABLE);
        }
        let of_files = |url: &str| url.starts_with("smb:") || url.starts_with("file:");
        Ok(if self.url.as_deref().is_some_and(of_files) { "file" } else { "http" })
    }
}
