//! Codes of Delivery Optimization, and what a job's error is called there (sections 6.1, 7.3, 12).

use crate::enums::ErrorContext;
use crate::hresult::{self as h, HResult};
use crate::job::{ErrorRecord, Wait};

macro_rules! codes {
    ($(#[doc = $doc:literal] $name:ident = $bits:literal;)*) => {
        $(#[doc = $doc] pub const $name: HResult = HResult::from_bits($bits);)*

        /// Every code of this page: value, symbolic name, meaning.
        pub const TABLE: &[(HResult, &str, &str)] = &[$(($name, stringify!($name), $doc.trim_ascii()),)*];
    };
}

codes! {
    /// Wrong verb or path.
    E_UNSUPPORTED = 0x8007_0032;
    /// No such download.
    E_NOT_SET = 0x8007_0490;
    /// Not a usable URL.
    INET_E_INVALID_URL = 0x800C_0002;
    /// No service.
    DO_E_NO_SERVICE = 0x80D0_1001;
    /// No byte for the whole no-progress period.
    DO_E_DOWNLOAD_NO_PROGRESS = 0x80D0_2002;
    /// No such property.
    DO_E_UNKNOWN_PROPERTY_ID = 0x80D0_2011;
    /// The property cannot be set.
    DO_E_READ_ONLY_PROPERTY = 0x80D0_2012;
    /// Not in this state.
    DO_E_INVALID_STATE = 0x80D0_2013;
    /// No such job.
    DO_E_JOB_NOT_FOUND = 0x80D0_2003;
    /// The job has no file.
    DO_E_JOB_EMPTY = 0x80D0_2004;
    /// An enumeration found nothing.
    DO_E_NO_DOWNLOADS = 0x80D0_2005;
    /// A file has no path yet.
    DO_E_LOCALPATH_NOT_SET = 0x80D0_200D;
    /// No file is tied to the error.
    DO_E_FILE_NOT_AVAILABLE = 0x80D0_2010;
    /// There is no error.
    DO_E_ERROR_INFORMATION_UNAVAILABLE = 0x80D0_2014;
    /// The property cannot be read.
    DO_E_WRITE_ONLY_PROPERTY = 0x80D0_2015;
    /// Bad range.
    DO_E_INVALID_RANGE = 0x80D0_5010;
    /// Ranges overlap, or one comes twice.
    DO_E_OVERLAPPING_RANGES = 0x80D0_5012;
    /// The pieces must be checked, and nothing says where their digests are.
    DO_E_INTEGRITYCHECKINFO_UNSPECIFIED = 0x80D0_2016;
    /// The pieces must be checked, and their digests cannot be had.
    DO_E_INTEGRITYCHECKINFO_UNAVAILABLE = 0x80D0_2017;
    /// Start without a path.
    DO_E_FILE_DOWNLOADSINK_UNSPECIFIED = 0x80D0_2018;
    /// A second sink.
    DO_E_FILE_DOWNLOADSINK_ALREADY_SET = 0x80D0_2019;
    /// Start without a URL.
    DO_E_DOWNLOAD_NO_URI = 0x80D0_2200;
    /// Held by the cost of the network, or by another policy.
    DO_E_BLOCKED_BY_COST_TRANSFER_POLICY = 0x80D0_3801;
    /// Held on a cellular network.
    DO_E_BLOCKED_BY_CELLULAR_POLICY = 0x80D0_3803;
    /// Held on battery.
    DO_E_BLOCKED_BY_POWER_STATE = 0x80D0_3804;
    /// There is no network.
    DO_E_BLOCKED_BY_NO_NETWORK = 0x80D0_3805;
    /// The server sent another amount of bytes than was asked for.
    DO_E_HTTP_BLOCKSIZE_MISMATCH = 0x80D0_5001;
    /// The server does not do ranges.
    DO_E_INSUFFICIENT_RANGE_SUPPORT = 0x80D0_5011;
}

/// What a code of BITS is called in the COM interfaces of Delivery Optimization (spec/delivery-optimization-com.md 5.2, 8); codes of the
/// machine and of HTTP are the same there.
pub const fn of_bits(code: HResult) -> HResult {
    match code {
        h::BG_E_NOT_FOUND => DO_E_JOB_NOT_FOUND,
        h::BG_E_EMPTY => DO_E_JOB_EMPTY,
        h::BG_E_INVALID_STATE
        | h::BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE
        | h::BG_E_READ_ONLY_PROPERTY_AFTER_RESUME => DO_E_INVALID_STATE,
        h::BG_E_FILE_NOT_AVAILABLE | h::BG_E_FILE_NOT_FOUND => DO_E_FILE_NOT_AVAILABLE,
        h::BG_E_ERROR_INFORMATION_UNAVAILABLE => DO_E_ERROR_INFORMATION_UNAVAILABLE,
        h::BG_E_INVALID_RANGE | h::BG_E_TOO_MANY_RANGES_IN_FILE => DO_E_INVALID_RANGE,
        h::BG_E_OVERLAPPING_RANGES => DO_E_OVERLAPPING_RANGES,
        h::BG_E_INSUFFICIENT_RANGE_SUPPORT => DO_E_INSUFFICIENT_RANGE_SUPPORT,
        h::BG_E_READ_ONLY_PROPERTY => DO_E_READ_ONLY_PROPERTY,
        h::BG_E_UNKNOWN_PROPERTY_ID => DO_E_UNKNOWN_PROPERTY_ID,
        h::BG_E_STRING_TOO_LONG => h::E_INVALIDARG,
        h::BG_E_NETWORK_DISCONNECTED => DO_E_BLOCKED_BY_NO_NETWORK,
        h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY | h::BG_E_BLOCKED_BY_POLICY => {
            DO_E_BLOCKED_BY_COST_TRANSFER_POLICY
        }
        h::BG_E_BLOCKED_BY_BATTERY_POLICY | h::BG_E_BLOCKED_BY_BATTERY_SAVER => DO_E_BLOCKED_BY_POWER_STATE,
        code => code,
    }
}

/// `0xC0D00000 + errno`: a local file.
pub const fn of_errno(errno: i32) -> HResult {
    HResult::from_bits(0xC0D0_0000_u32.wrapping_add(errno.cast_unsigned() & 0xFFFF))
}

/// Trying again would not help, whatever the transfer thinks.
pub(crate) fn is_fatal(code: HResult) -> bool {
    let fatal = [
        h::E_OUTOFMEMORY,
        h::ERROR_WINHTTP_INVALID_URL,
        h::BG_E_INSUFFICIENT_RANGE_SUPPORT,
        h::BG_E_MAXDOWNLOAD_TIMEOUT,
        h::BG_E_TOKEN_REQUIRED,
        DO_E_HTTP_BLOCKSIZE_MISMATCH,
    ];
    fatal.contains(&code)
}

/// What an HTTP status that is no success is called (7.3).
pub const fn of_http_status(status: u16) -> HResult {
    HResult::from_bits(match status {
        300 | 500 | 503 => 0x8019_01F4,
        301..=303 => 0x8019_0003,
        305 | 502 | 504 => 0x8019_01F6,
        400 | 405 | 409 | 411 | 412 | 414 | 415 => 0x8019_0190,
        401 => 0x8019_0191,
        403 => 0x8019_0193,
        404 | 410 => 0x8019_0194,
        406 => 0x8019_0196,
        407 => 0x8019_0197,
        408 => 0x8019_0198,
        413 => 0x8019_019D,
        501 | 505 => 0x8019_01F5,
        _ => 0x8019_0001,
    })
}

/// What a job's error is called.
pub fn of_error(error: &ErrorRecord) -> HResult {
    match error.http_status {
        Some(status) if !(200..300).contains(&status) => return of_http_status(status),
        _ => {}
    }
    // A status of success that is none to these downloads.
    if let Some(status @ 200..300) = error.code.http_status() {
        return of_http_status(status);
    }
    if error.context == ErrorContext::LocalFile {
        return of_local(error.code);
    }
    match error.code {
        h::ERROR_WINHTTP_INVALID_URL => INET_E_INVALID_URL,
        h::BG_E_INSUFFICIENT_RANGE_SUPPORT => DO_E_INSUFFICIENT_RANGE_SUPPORT,
        code => code,
    }
}

/// The way back from the codes that a local error became ([`HResult::from_errno`]).
fn of_local(code: HResult) -> HResult {
    match code {
        h::ERROR_FILE_NOT_FOUND | h::ERROR_PATH_NOT_FOUND => of_errno(2),
        h::E_ACCESSDENIED => of_errno(13),
        h::E_OUTOFMEMORY => code,
        h::ERROR_DISK_FULL => of_errno(28),
        h::ERROR_WRITE_PROTECT => of_errno(30),
        h::ERROR_SHARING_VIOLATION => of_errno(16),
        h::ERROR_FILENAME_EXCED_RANGE => of_errno(36),
        h::ERROR_INVALID_NAME => of_errno(22),
        code if code.bits() >> 16 == 0xC0D0 => code,
        _ => of_errno(5),
    }
}

/// Why a download waits without an error of its own.
pub const fn of_wait(wait: Wait) -> Option<HResult> {
    match wait {
        Wait::Retry { .. } | Wait::Volume => None,
        Wait::Network => Some(DO_E_BLOCKED_BY_NO_NETWORK),
        Wait::Battery | Wait::Saver => Some(DO_E_BLOCKED_BY_POWER_STATE),
        Wait::Cellular => Some(DO_E_BLOCKED_BY_CELLULAR_POLICY),
        Wait::Policy | Wait::Cost | Wait::Game => Some(DO_E_BLOCKED_BY_COST_TRANSFER_POLICY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_download_waits_for_has_a_transient_code() {
        for (wait, code) in [
            (Wait::Network, 0x80D0_3805),
            (Wait::Cellular, 0x80D0_3803),
            (Wait::Cost, 0x80D0_3801),
            (Wait::Policy, 0x80D0_3801),
            (Wait::Game, 0x80D0_3801),
            (Wait::Battery, 0x80D0_3804),
            (Wait::Saver, 0x80D0_3804),
        ] {
            let told = of_wait(wait).map(HResult::bits);
            assert_eq!(told, Some(code), "{wait:?}");
            assert_eq!(code & 0xFFFF_F800, 0x80D0_3800, "the kind that clients take for a pause");
        }
        assert_eq!(of_wait(Wait::Volume), None);
    }

    /// A download tries again whatever the transfer thinks of an error, but for these.
    #[test]
    fn a_wrong_size_is_final() {
        for code in [DO_E_HTTP_BLOCKSIZE_MISMATCH, h::BG_E_INSUFFICIENT_RANGE_SUPPORT] {
            assert!(is_fatal(code), "{code}");
        }
        assert!(!is_fatal(h::ERROR_WINHTTP_TIMEOUT));
    }

    /// Spec/delivery-optimization-com.md 5.2 and 8: the number that a code of BITS becomes; what is not listed stays as it is.
    #[test]
    fn what_codes_of_bits_are_called() {
        let table = [
            (h::BG_E_NOT_FOUND, 0x80D0_2003),
            (h::BG_E_EMPTY, 0x80D0_2004),
            (h::BG_E_FILE_NOT_AVAILABLE, 0x80D0_2010),
            (h::BG_E_UNKNOWN_PROPERTY_ID, 0x80D0_2011),
            (h::BG_E_READ_ONLY_PROPERTY, 0x80D0_2012),
            (h::BG_E_INVALID_STATE, 0x80D0_2013),
            (h::BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE, 0x80D0_2013),
            (h::BG_E_READ_ONLY_PROPERTY_AFTER_RESUME, 0x80D0_2013),
            (h::BG_E_FILE_NOT_FOUND, 0x80D0_2010),
            (h::BG_E_TOO_MANY_RANGES_IN_FILE, 0x80D0_5010),
            (h::BG_E_ERROR_INFORMATION_UNAVAILABLE, 0x80D0_2014),
            (h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY, 0x80D0_3801),
            (h::BG_E_BLOCKED_BY_POLICY, 0x80D0_3801),
            (h::BG_E_BLOCKED_BY_BATTERY_POLICY, 0x80D0_3804),
            (h::BG_E_BLOCKED_BY_BATTERY_SAVER, 0x80D0_3804),
            (h::BG_E_NETWORK_DISCONNECTED, 0x80D0_3805),
            (h::BG_E_INVALID_RANGE, 0x80D0_5010),
            (h::BG_E_INSUFFICIENT_RANGE_SUPPORT, 0x80D0_5011),
            (h::BG_E_OVERLAPPING_RANGES, 0x80D0_5012),
            (h::BG_E_STRING_TOO_LONG, 0x8007_0057),
        ];
        for (code, bits) in table {
            assert_eq!(of_bits(code).bits(), bits, "{code}");
            assert_eq!(of_bits(of_bits(code)), of_bits(code), "{code}: one that has its name keeps it");
        }
        for same in [
            h::S_OK,
            h::E_ACCESSDENIED,
            h::E_INVALIDARG,
            h::E_NOTIMPL,
            h::ERROR_FILE_NOT_FOUND,
            h::ERROR_DISK_FULL,
            h::BG_E_HTTP_ERROR_403,
            h::BG_E_HTTP_ERROR_404,
            h::BG_E_HTTP_ERROR_503,
            DO_E_INVALID_STATE,
            DO_E_LOCALPATH_NOT_SET,
        ] {
            assert_eq!(of_bits(same), same);
        }
    }
}
