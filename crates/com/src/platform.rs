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

    /// The value as a number, from its lowest bytes.
    pub(crate) const fn low(&self) -> u64 {
        self.value[0]
    }

    /// Makes the value a pointer.
    pub(crate) fn set_pointer<T>(&mut self, pointer: *mut T) {
        self.value = [0; 2];
        // SAFETY: as in [`Self::pointer`].
        unsafe { (&raw mut self.value).cast::<*mut T>().write(pointer) };
    }
}

/// SAFEARRAYBOUND: elements of a dimension, and the index of the first one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SAFEARRAYBOUND {
    /// Elements.
    pub cElements: u32,
    /// Index of the first.
    pub lLbound: i32,
}

/// SAFEARRAY of one dimension.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SAFEARRAY {
    /// Dimensions.
    pub cDims: u16,
    /// FADF bits.
    pub fFeatures: u16,
    /// Bytes of an element.
    pub cbElements: u32,
    /// Locks.
    pub cLocks: u32,
    /// The elements.
    pub pvData: *mut c_void,
    /// The dimension.
    pub rgsabound: [SAFEARRAYBOUND; 1],
}

/// ISequentialStream: what a sink of data has to do.
#[interface("0c733a30-2a1c-11ce-ade5-00aa0044773d")]
pub unsafe trait ISequentialStream: IUnknown {
    /// Slot 3.
    pub unsafe fn Read(&self, data: *mut c_void, bytes: u32, read: *mut u32) -> HRESULT;
    /// Slot 4.
    pub unsafe fn Write(&self, data: *const c_void, bytes: u32, written: *mut u32) -> HRESULT;
}

/// IStream. Its own methods are not called here.
#[interface("0000000c-0000-0000-c000-000000000046")]
pub unsafe trait IStream: ISequentialStream {}

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
