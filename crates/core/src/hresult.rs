//! HRESULT codes: the one vocabulary of results for every door (spec/bits-core.md 9).

mod table;

pub use table::*;

use serde::{Deserialize, Serialize};
use std::fmt;

/// A signed 32-bit result code; negative means failure.
///
/// `BG_S_*` codes are positive: test with [`HResult::is_ok`], never by comparing with `S_OK`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HResult(i32);

impl HResult {
    /// From the unsigned notation used in documentation (`0x8020_0001`).
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits.cast_signed())
    }

    /// From the signed value used in memory.
    pub const fn from_signed(value: i32) -> Self {
        Self(value)
    }

    /// The signed value.
    pub const fn signed(self) -> i32 {
        self.0
    }

    /// The unsigned notation.
    pub const fn bits(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// True for every success code, not only `S_OK`.
    pub const fn is_ok(self) -> bool {
        self.0 >= 0
    }

    /// `0x80190000 | status`: how an HTTP status becomes a job error (spec/bits-core.md 7.3).
    pub const fn from_http_status(status: u16) -> Self {
        Self::from_bits(0x8019_0000 | status as u32)
    }

    /// The HTTP status inside, if this code carries one (100 to 999).
    pub const fn http_status(self) -> Option<u16> {
        let status = self.bits() & 0xFFFF;
        if self.bits() >> 16 == 0x8019 && status >= 100 && status <= 999 { Some(status as u16) } else { None }
    }

    /// A Linux `errno` as the Windows code a BITS programmer expects (spec/bits-core.md 11).
    pub const fn from_errno(errno: i32) -> Self {
        match errno {
            2 => ERROR_FILE_NOT_FOUND,
            20 => ERROR_PATH_NOT_FOUND,
            1 | 13 | 40 | 21 => E_ACCESSDENIED, // EPERM, EACCES, ELOOP (a planted link), EISDIR
            12 => E_OUTOFMEMORY,
            28 | 122 | 27 => ERROR_DISK_FULL, // ENOSPC, EDQUOT, EFBIG
            30 => ERROR_WRITE_PROTECT,
            16 | 26 => ERROR_SHARING_VIOLATION,
            36 => ERROR_FILENAME_EXCED_RANGE,
            22 => ERROR_INVALID_NAME,
            _ => E_FAIL,
        }
    }

    /// The symbolic name, if the code has one.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    /// The row of BITS' table, else of Delivery Optimization's.
    fn row(self) -> Option<&'static (Self, &'static str, &'static str)> {
        TABLE.iter().chain(crate::delivery::codes::TABLE).find(|row| row.0 == self)
    }

    /// What the code means, in one English sentence; never empty.
    pub fn text(self) -> String {
        match self.row() {
            Some(row) => row.2.to_owned(),
            None => match self.http_status() {
                Some(status) => format!("HTTP status {status}."),
                None => format!("Unknown result code 0x{:08X}.", self.bits()),
            },
        }
    }
}

impl fmt::Display for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X}", self.bits())
    }
}

impl fmt::Debug for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({self})"),
            None => write!(f, "{self}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_specification_has_its_value_and_name() {
        let json: serde_json::Value =
            serde_json::from_str(include_str!("../../../spec/constants/bits-core.json")).unwrap();
        let mut count = 0;
        for row in json["hresults"].as_array().unwrap() {
            let signed = i32::try_from(row["signed"].as_i64().unwrap()).unwrap();
            let code = HResult::from_signed(signed);
            let name = row["name"].as_str().unwrap();
            let short =
                name.strip_prefix("HRESULT_FROM_WIN32(").and_then(|n| n.strip_suffix(')')).unwrap_or(name);
            let named: Vec<_> = TABLE.iter().filter(|r| r.1 == short).collect();
            assert_eq!(named.len(), 1, "{name}");
            assert_eq!(named[0].0, code, "{name}");
            assert_eq!(format!("{code}"), row["hex"].as_str().unwrap());
            assert_eq!(code.is_ok(), row["severity"] != "error", "{name}");
            count += 1;
        }
        assert_eq!(count, 199);
    }

    #[test]
    fn http_statuses_map_both_ways() {
        assert_eq!(HResult::from_http_status(404), BG_E_HTTP_ERROR_404);
        for status in 100..=999 {
            assert_eq!(HResult::from_http_status(status).http_status(), Some(status));
        }
        assert_eq!(BG_E_NOT_FOUND.http_status(), None);
        assert_eq!(BITS_MC_JOB_CANCELLED.http_status(), None);
    }

    #[test]
    fn codes_of_delivery_optimization_have_names_and_texts() {
        let code = crate::delivery::codes::DO_E_INTEGRITYCHECKINFO_UNAVAILABLE;
        assert_eq!(format!("{code:?}"), "DO_E_INTEGRITYCHECKINFO_UNAVAILABLE (0x80D02017)");
        assert_eq!(code.text(), "The pieces must be checked, and their digests cannot be had.");
        for (code, name, meaning) in crate::delivery::codes::TABLE {
            assert!(code.name().is_some() && !name.is_empty() && meaning.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn unknown_codes_still_have_a_text_with_the_number() {
        assert!(HResult::from_bits(0x8123_4567).text().contains("0x81234567"));
    }
}
