//! Between the ABI and safe Rust: what the generated code is made of.

mod automation;
mod memory;
mod out;
mod text;

pub(crate) use automation::Automation;
pub(crate) use memory::give_back;
pub(crate) use openbits_core::hresult::{self as h, HResult};
pub(crate) use out::{Out, OutArray, OutObject, OutObjects, OutSlots, OutText};
pub(crate) use text::{text, text_or_null};

use core::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use windows_core::{HRESULT, Interface};

/// What a method answers: a success code, or a failure. What is handed out is set last, so that a failure leaves it empty.
pub(crate) type Done = Result<HResult, HResult>;

/// S_OK
pub(crate) const OK: Done = Ok(h::S_OK);

/// Longest array that is taken, in elements; no limit of the service is as high.
const ELEMENTS_MAX: u32 = 1 << 20;

/// Runs a method's body; a panic becomes E_UNEXPECTED, since it must not leave through frames of other languages.
pub(crate) fn guard(body: impl FnOnce() -> Done) -> HRESULT {
    // The objects have no state that a panic could leave half changed, but for mutexes, which are taken over.
    let code = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(code) | Err(code)) => code,
        Err(_) => h::E_UNEXPECTED,
    };
    HRESULT(code.signed())
}

/// Refuses NULL.
pub(crate) fn present<T>(pointer: *const T, code: HResult) -> Result<(), HResult> {
    if pointer.is_null() { Err(code) } else { Ok(()) }
}

/// An array of the caller.
///
/// # Safety
/// `pointer` is NULL, or readable for `count` elements as long as the call lasts.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, count: u32) -> Result<&'a [T], HResult> {
    match count {
        0 => Ok(&[]),
        1..=ELEMENTS_MAX => {
            present(pointer, h::RPC_X_NULL_REF_POINTER)?;
            // SAFETY: by the contract of this function; u32 fits usize on every target.
            Ok(unsafe { std::slice::from_raw_parts(pointer, count as usize) })
        }
        _ => Err(h::E_INVALIDARG),
    }
}

/// A struct of the caller.
///
/// # Safety
/// `pointer` is readable as long as the call lasts.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T) -> &'a T {
    // SAFETY: by the contract of this function.
    unsafe { &*pointer }
}

/// An object of the caller, with a reference of our own.
///
/// # Safety
/// `pointer` is an interface pointer of this type.
pub(crate) unsafe fn object<I: Interface>(pointer: *mut c_void) -> I {
    // SAFETY: by the contract of this function; the clone takes the reference that the value gives back when it is dropped.
    let borrowed = core::mem::ManuallyDrop::new(unsafe { I::from_raw(pointer) });
    I::clone(&borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_unexpected_failure() {
        assert_eq!(guard(|| panic!("on purpose")).0, h::E_UNEXPECTED.signed());
        assert_eq!(guard(|| Ok(h::S_FALSE)).0, 1);
        assert_eq!(guard(|| Err(h::E_INVALIDARG)).0, h::E_INVALIDARG.signed());
    }

    #[test]
    fn arrays_have_a_limit() {
        // SAFETY: nothing is read of an empty, a missing, or an overlong array.
        unsafe {
            assert_eq!(slice::<u8>(std::ptr::null(), 0), Ok(&[][..]));
            assert_eq!(slice::<u8>(std::ptr::null(), 1), Err(h::RPC_X_NULL_REF_POINTER));
            assert_eq!(slice(&1u8, ELEMENTS_MAX + 1), Err(h::E_INVALIDARG));
        }
    }
}
