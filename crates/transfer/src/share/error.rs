//! What a server of shares answers, in the codes of the specification (spec/behaviour.md 11.2, spec/bits-extended.md 10.4).

use crate::failure::{transport, with};
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::plan::Fail;
use openbits_core::{ErrorContext, HResult};
use smb2::types::status::NtStatus;
use smb2::{Error, ErrorKind};

/// An error of the SMB crate as a failure of the attempt. Its text never holds a password.
pub(super) fn explain(error: &Error) -> Box<Fail> {
    let fatal = |code: HResult, what: &str| with(ErrorContext::RemoteFile, code, Class::Fatal, what);
    if let Some(known) = error.status().and_then(of_status) {
        return fatal(known.0, known.1);
    }
    match (error, error.kind()) {
        (Error::ConnectFailed { .. }, _) => {
            transport(ERROR_BAD_NETPATH, format!("The server of the share cannot be reached: {error}."))
        }
        (Error::GuestSessionRefused { .. }, _) => fatal(
            ERROR_LOGON_FAILURE,
            "The server lets the user in as a guest only: user or password is wrong.",
        ),
        (_, ErrorKind::SharingViolation) => with(
            ErrorContext::RemoteFile,
            ERROR_SHARING_VIOLATION,
            Class::Transient,
            "The file is in use by another program.",
        ),
        (_, ErrorKind::NotFound) => fatal(ERROR_FILE_NOT_FOUND, "The file does not exist on the share."),
        (_, ErrorKind::AccessDenied) => fatal(E_ACCESSDENIED, "The server denies access to the file."),
        (_, ErrorKind::AuthRequired | ErrorKind::SigningRequired) => {
            fatal(ERROR_LOGON_FAILURE, "The server does not let the user in, or no guests.")
        }
        (_, ErrorKind::IsADirectory | ErrorKind::NotADirectory) => {
            fatal(E_ACCESSDENIED, "The source is a folder, or a part of its path is none.")
        }
        (_, ErrorKind::InvalidName) => fatal(ERROR_INVALID_NAME, "The server does not know such names."),
        (_, ErrorKind::DiskFull) => fatal(ERROR_DISK_FULL, "The volume of the share is full."),
        (_, ErrorKind::TimedOut) => {
            transport(ERROR_WINHTTP_TIMEOUT, "The server of the share does not answer.")
        }
        _ => transport(BG_E_CONNECTION_CLOSED, format!("The session with the share broke: {error}.")),
    }
}

/// Statuses that have one meaning, and do not pass by themselves.
fn of_status(status: NtStatus) -> Option<(HResult, &'static str)> {
    Some(match status {
        NtStatus::OBJECT_NAME_NOT_FOUND => (ERROR_FILE_NOT_FOUND, "The file does not exist on the share."),
        NtStatus::OBJECT_PATH_NOT_FOUND => (ERROR_PATH_NOT_FOUND, "The folder does not exist on the share."),
        NtStatus::BAD_NETWORK_NAME => (ERROR_BAD_NET_NAME, "The server has no share of this name."),
        NtStatus::BAD_NETWORK_PATH => (ERROR_BAD_NETPATH, "The server does not know the path."),
        NtStatus::ACCESS_DENIED => (
            E_ACCESSDENIED,
            "The server denies access (or wants encryption, which this version cannot give to a single share).",
        ),
        NtStatus::LOGON_FAILURE
        | NtStatus::ACCOUNT_RESTRICTION
        | NtStatus::PASSWORD_EXPIRED
        | NtStatus::PASSWORD_MUST_CHANGE
        | NtStatus::ACCOUNT_DISABLED
        | NtStatus::ACCOUNT_EXPIRED
        | NtStatus::ACCOUNT_LOCKED_OUT => (ERROR_LOGON_FAILURE, "The server does not let the user in."),
        NtStatus::FILE_IS_A_DIRECTORY => (E_ACCESSDENIED, "The source is a folder and not a file."),
        _ => return None,
    })
}
