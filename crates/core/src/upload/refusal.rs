//! Every answer that is not a success (spec/upload-protocol.md 6).

use crate::hresult::{
    BG_E_SESSION_NOT_FOUND, BG_E_TOO_LARGE, E_ACCESSDENIED, E_FAIL, E_INVALIDARG, ERROR_DISK_FULL, S_OK,
};
use crate::{ErrorContext, HResult};

/// Why a packet was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Unknown, expired, somebody else's, or of another URL.
    #[error("unknown session")]
    SessionNotFound,
    /// The destination exists and may not be replaced.
    #[error("the destination exists")]
    Exists,
    /// The caller may not upload there.
    #[error("access denied")]
    AccessDenied,
    /// Uploads are not enabled at this URL.
    #[error("uploads are not enabled here")]
    Disabled,
    /// The fragment begins after the next expected byte; that offset goes into the answer.
    #[error("the fragment is not contiguous; byte {next} is next")]
    OutOfStep {
        /// Next expected byte.
        next: u64,
    },
    /// Malformed or contradictory.
    #[error("{0}")]
    Invalid(&'static str),
    /// No Content-Length.
    #[error("Content-Length is needed")]
    LengthRequired,
    /// The back-end named a reply URL of more than 2,200 characters.
    #[error("the reply URL of the back-end is too long")]
    ReplyUrlTooLong,
    /// The file is larger than the path's limit.
    #[error("the file is larger than allowed here")]
    TooLarge,
    /// One fragment is larger than the server's limit.
    #[error("the fragment is too large")]
    FragmentTooLarge,
    /// No space, or the caller's quota is used up.
    #[error("the disk is full")]
    DiskFull,
    /// The back-end answered with this status.
    #[error("the back-end answered {0}")]
    Backend(u16),
    /// The back-end did not answer in time.
    #[error("the back-end did not answer in time")]
    BackendTimeout,
    /// The stored bytes are gone.
    #[error("the stored upload is gone")]
    Vanished,
    /// The folder of the destination does not exist.
    #[error("the folder of the destination does not exist")]
    NoFolder,
    /// Too many sessions; try again later.
    #[error("too many sessions")]
    Busy,
    /// A newer request for the same session took over.
    #[error("a newer request took over")]
    Superseded,
    /// The client sent too slowly; what arrived is kept.
    #[error("the request took too long")]
    TooSlow,
    /// Reading or writing failed with this `errno`.
    #[error("storage failed (errno {0})")]
    Storage(i32),
}

impl Refusal {
    /// HTTP status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid(_) | Self::ReplyUrlTooLong => 400,
            Self::Exists | Self::AccessDenied => 403,
            Self::Vanished | Self::NoFolder => 404,
            Self::BackendTimeout | Self::TooSlow => 408,
            Self::LengthRequired => 411,
            Self::FragmentTooLarge => 413,
            Self::OutOfStep { .. } => 416,
            Self::SessionNotFound | Self::TooLarge | Self::DiskFull | Self::Storage(_) => 500,
            Self::Disabled => 501,
            Self::Busy | Self::Superseded => 503,
            Self::Backend(status) => status,
        }
    }

    /// HRESULT and context of the answer; none where the status says everything.
    pub fn error(self) -> Option<(HResult, ErrorContext)> {
        let code = match self {
            Self::SessionNotFound => BG_E_SESSION_NOT_FOUND,
            Self::Exists | Self::AccessDenied | Self::Disabled => E_ACCESSDENIED,
            Self::Invalid(_) | Self::LengthRequired | Self::ReplyUrlTooLong => E_INVALIDARG,
            Self::OutOfStep { .. } => S_OK,
            Self::TooLarge => BG_E_TOO_LARGE,
            Self::DiskFull => ERROR_DISK_FULL,
            Self::Backend(status) => HResult::from_http_status(status),
            Self::BackendTimeout => HResult::from_http_status(408),
            Self::Storage(errno) => match HResult::from_errno(errno) {
                code if code.is_ok() => E_FAIL,
                code => code,
            },
            Self::FragmentTooLarge
            | Self::Vanished
            | Self::NoFolder
            | Self::Busy
            | Self::Superseded
            | Self::TooSlow => {
                return None;
            }
        };
        let context = match self {
            Self::Backend(_) | Self::BackendTimeout | Self::ReplyUrlTooLong => {
                ErrorContext::RemoteApplication
            }
            _ => ErrorContext::RemoteFile,
        };
        Some((code, context))
    }
}
