//! Memory that the caller frees with CoTaskMemFree, which is `free`.

use core::ffi::c_void;

use super::{HResult, h};

unsafe extern "C" {
    fn malloc(bytes: usize) -> *mut c_void;
}

/// Gives memory of [`malloc_array`] back that nobody was handed.
pub(crate) fn give_back<T>(memory: *mut T) {
    unsafe extern "C" {
        fn free(memory: *mut c_void);
    }
    // SAFETY: it comes from malloc, or is NULL, and nobody else knows it.
    unsafe { free(memory.cast()) };
}

/// A copy of the elements in memory of `malloc`; NULL for none.
///
/// # Errors
/// `E_OUTOFMEMORY`
pub(crate) fn malloc_array<T: Copy>(elements: &[T]) -> Result<*mut T, HResult> {
    let bytes = size_of_val(elements);
    if bytes == 0 {
        return Ok(core::ptr::null_mut());
    }
    // SAFETY: malloc may be called with any size; its alignment is enough for every type of the interfaces (at most 16).
    let memory = unsafe { malloc(bytes) }.cast::<T>();
    if memory.is_null() {
        return Err(h::E_OUTOFMEMORY);
    }
    // SAFETY: the memory is new, aligned, and as large as the elements.
    unsafe { memory.copy_from_nonoverlapping(elements.as_ptr(), elements.len()) };
    Ok(memory)
}
