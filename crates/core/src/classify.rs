//! Transient or fatal: what becomes of a job after an error (spec/behaviour.md 11, spec/bits-core.md 7.3 and 7.4).

use crate::hresult::*;
use serde::{Deserialize, Serialize};

/// Whether trying again by itself may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// TRANSIENT_ERROR: tried again when the delay is over or the condition ends.
    Transient,
    /// ERROR: not tried again without Resume.
    Fatal,
}

/// What an HTTP status becomes when it ends an attempt.
///
/// Statuses that a download understands (200, 206, followed redirects, the first 416) never come here; see [`crate::plan`].
pub fn http_status(status: u16) -> (HResult, Class) {
    (HResult::from_http_status(status), http_class(status))
}

/// The class of an HTTP status. Beyond the documented rule: 429, 425, 420 and 499 are transient although they are 4xx,
/// and 205 is fatal, since asking again cannot make "reset your form" a file.
pub fn http_class(status: u16) -> Class {
    match status {
        205 => Class::Fatal,
        300..=305 | 307 => Class::Fatal,
        408 | 409 | 420 | 425 | 429 | 499 => Class::Transient,
        400..=499 => Class::Fatal,
        501 | 505 => Class::Fatal,
        _ => Class::Transient,
    }
}

/// The class of a job error by its code; codes that no table knows are fatal, so that nothing is hammered by mistake.
pub fn hresult(code: HResult) -> Class {
    if let Some(status) = code.http_status() {
        return http_class(status);
    }
    if TRANSIENT.contains(&code) { Class::Transient } else { Class::Fatal }
}

/// Every code that is retried; all others are fatal.
const TRANSIENT: &[HResult] = &[
    BG_E_DESTINATION_LOCKED,
    BG_E_NETWORK_DISCONNECTED,
    BG_E_SESSION_NOT_FOUND,
    BG_E_NO_PROGRESS,
    BG_E_CONNECT_FAILURE,
    BG_E_CONNECTION_CLOSED,
    BG_E_BLOCKED_BY_POLICY,
    BG_E_BLOCKED_BY_COST_TRANSFER_POLICY,
    BG_E_STANDBY_MODE,
    BG_E_BLOCKED_BY_BATTERY_POLICY,
    BG_E_BLOCKED_BY_BATTERY_SAVER,
    BG_E_WATCHDOG_TIMEOUT,
    BG_E_BLOCKED_BY_BACKGROUND_ACCESS_POLICY,
    BG_E_BLOCKED_BY_GAME_MODE,
    BG_E_BLOCKED_BY_SYSTEM_POLICY,
    ERROR_SHARING_VIOLATION,
    ERROR_CAN_NOT_COMPLETE,
    ERROR_BAD_NETPATH, // the server of a share is down
    ERROR_WINHTTP_TIMEOUT,
    ERROR_WINHTTP_NAME_NOT_RESOLVED,
    ERROR_WINHTTP_CANNOT_CONNECT,
    ERROR_WINHTTP_CONNECTION_ERROR,
    ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
    E_INVALIDARG, // a bad proxy name in the owner's settings: waits for the fix (spec/behaviour.md 11.2)
];

#[cfg(test)]
mod tests;
