//! SecurityFlags and HttpAllowSecureToNonSecureRedirect, and the security flags of a job (spec/delivery-optimization-com.md 4.4).

use crate::hresult::{self as h, HResult};
use crate::job::http::security;

/// `SECURITY_FLAG_IGNORE_UNKNOWN_CA`
pub const IGNORE_UNKNOWN_CA: u32 = 0x0100;
/// `SECURITY_FLAG_IGNORE_CERT_WRONG_USAGE`
pub const IGNORE_CERT_WRONG_USAGE: u32 = 0x0200;
/// `SECURITY_FLAG_IGNORE_CERT_CN_INVALID`
pub const IGNORE_CERT_CN_INVALID: u32 = 0x1000;
/// `SECURITY_FLAG_IGNORE_CERT_DATE_INVALID`
pub const IGNORE_CERT_DATE_INVALID: u32 = 0x2000;
/// `WINHTTP_ENABLE_SSL_REVOCATION`
pub const ENABLE_SSL_REVOCATION: u32 = 0x0001;

/// Bit of WinHTTP, bit of the job.
const TABLE: [(u32, u32); 5] = [
    (IGNORE_UNKNOWN_CA, security::IGNORE_CA),
    (IGNORE_CERT_WRONG_USAGE, security::IGNORE_USAGE),
    (IGNORE_CERT_CN_INVALID, security::IGNORE_NAME),
    (IGNORE_CERT_DATE_INVALID, security::IGNORE_DATE),
    (ENABLE_SSL_REVOCATION, security::CRL_CHECK),
];

/// The job's `security_flags`. With the bit for revocation all other certificate bits are left out.
///
/// # Errors
/// `E_INVALIDARG` for bits that are not in the table.
pub fn flags(winhttp: u32, allow_secure_to_non_secure: bool) -> Result<u32, HResult> {
    let known = TABLE.iter().fold(0, |all, (bit, _)| all | bit);
    if winhttp & !known != 0 {
        return Err(h::E_INVALIDARG);
    }
    let heard = if winhttp & ENABLE_SSL_REVOCATION == 0 { winhttp } else { winhttp & ENABLE_SSL_REVOCATION };
    let certificate = TABLE.iter().filter(|(bit, _)| heard & bit != 0).fold(0, |flags, (_, own)| flags | own);
    let redirect = if allow_secure_to_non_secure { security::ALLOW_HTTPS_TO_HTTP } else { 0 };
    Ok(certificate | redirect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::http::check_security_flags;

    #[test]
    fn each_bit_and_revocation_before_all() {
        for (winhttp, own) in [
            (0, 0),
            (0x0100, 0x0008),
            (0x0200, 0x0010),
            (0x1000, 0x0002),
            (0x2000, 0x0004),
            (0x3300, 0x001E),
            (0x0001, 0x0001),
            (0x3301, 0x0001),
            (0x0101, 0x0001),
        ] {
            assert_eq!(flags(winhttp, false), Ok(own), "{winhttp:#x}");
            assert_eq!(flags(winhttp, true), Ok(own | 0x0800), "{winhttp:#x}");
            for allow in [false, true] {
                assert!(flags(winhttp, allow).is_ok_and(|flags| check_security_flags(flags).is_ok()));
            }
        }
    }

    #[test]
    fn unknown_bits_are_refused() {
        for bit in (0..32).map(|n| 1_u32 << n) {
            let known = [0x1, 0x100, 0x200, 0x1000, 0x2000].contains(&bit);
            assert_eq!(flags(bit, false).is_ok(), known, "{bit:#x}");
            assert_eq!(flags(bit | ENABLE_SSL_REVOCATION, true).is_ok(), known, "{bit:#x}");
        }
    }
}
