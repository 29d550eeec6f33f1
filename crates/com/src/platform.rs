//! What the interfaces use of the platform's own headers.

use core::ffi::c_void;
use windows_core::{HRESULT, IUnknown, interface};

/// FILETIME: ticks of 100 ns since 1601 UTC, in two halves.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FILETIME {
    /// Low half.
    pub dwLowDateTime: u32,
    /// High half.
    pub dwHighDateTime: u32,
}

/// FILETIME of 1970-01-01 (spec/bits-core.md 2.1).
const EPOCH_TICKS: i64 = 116_444_736_000_000_000;

impl FILETIME {
    /// From milliseconds since 1970 UTC.
    pub(crate) fn from_ms(ms: i64) -> Self {
        let ticks = ms.saturating_mul(10_000).saturating_add(EPOCH_TICKS).max(0).cast_unsigned();
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let low = ticks as u32;
        Self { dwLowDateTime: low, dwHighDateTime: (ticks >> 32) as u32 }
    }
}

/// VARIANT: a type, and 16 bytes of value (`automation.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VARIANT {
    /// VARTYPE
    pub vt: u16,
    /// Nothing.
    pub wReserved1: u16,
    /// Nothing.
    pub wReserved2: u16,
    /// Nothing.
    pub wReserved3: u16,
    /// The value, at its beginning.
    pub value: [u64; 2],
}

impl VARIANT {
    /// The value as a pointer.
    pub(crate) fn pointer<T>(&self) -> *const T {
        // SAFETY: the value is aligned for a pointer and at least as long; any bits are a pointer that nobody follows yet.
        unsafe { (&raw const self.value).cast::<*const T>().read() }
    }

    /// Makes the value a pointer.
    pub(crate) fn set_pointer<T>(&mut self, pointer: *mut T) {
        self.value = [0; 2];
        // SAFETY: as in [`Self::pointer`].
        unsafe { (&raw mut self.value).cast::<*mut T>().write(pointer) };
    }
}

/// IDispatch, for the vtables that build on it.
#[interface("00020400-0000-0000-c000-000000000046")]
pub unsafe trait IDispatch: IUnknown {
    /// Slot 3.
    unsafe fn GetTypeInfoCount(&self, count: *mut u32) -> HRESULT;
    /// Slot 4.
    unsafe fn GetTypeInfo(&self, index: u32, language: u32, info: *mut *mut c_void) -> HRESULT;
    /// Slot 5.
    unsafe fn GetIDsOfNames(
        &self,
        riid: *const c_void,
        names: *mut *mut c_void,
        count: u32,
        language: u32,
        ids: *mut i32,
    ) -> HRESULT;
    /// Slot 6.
    unsafe fn Invoke(
        &self,
        id: i32,
        riid: *const c_void,
        language: u32,
        flags: u16,
        params: *mut c_void,
        result: *mut c_void,
        exception: *mut c_void,
        argument: *mut u32,
    ) -> HRESULT;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1601() {
        let split = |ticks: u64| FILETIME {
            dwLowDateTime: (ticks & 0xFFFF_FFFF) as u32,
            dwHighDateTime: (ticks >> 32) as u32,
        };
        assert_eq!(FILETIME::from_ms(0), split(116_444_736_000_000_000));
        assert_eq!(FILETIME::from_ms(1), split(116_444_736_000_010_000));
        assert_eq!(FILETIME::from_ms(i64::MIN), split(0));
    }
}
