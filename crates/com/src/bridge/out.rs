//! Where a method puts what it hands out. Each place is emptied when the call begins.

use super::HResult;
use super::memory::malloc_array;
use super::text::Unit;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use windows_core::Interface;

/// A number or a plain struct.
pub(crate) struct Out<'a, T>(&'a mut T);

impl<T: Copy> Out<'_, T> {
    /// # Safety
    /// `place` is writable as long as the call lasts, and a `T` of zeroes is a value (every type of the interfaces is).
    pub(crate) unsafe fn new(place: *mut T) -> Self {
        // SAFETY: by the contract of this function; written before it is borrowed.
        unsafe {
            place.write(core::mem::zeroed());
            Self(&mut *place)
        }
    }

    /// Hands a value out.
    pub(crate) fn set(self, value: T) {
        *self.0 = value;
    }
}

/// A text, which the caller frees.
pub(crate) struct OutText<'a, W>(Out<'a, *mut W>);

impl<W: Unit> OutText<'_, W> {
    /// # Safety
    /// As [`Out::new`].
    pub(crate) unsafe fn new(place: *mut *mut W) -> Self {
        // SAFETY: by the contract of this function; NULL is a pointer of zeroes.
        Self(unsafe { Out::new(place) })
    }

    /// Hands a text out.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`
    pub(crate) fn set(self, text: &str) -> Result<(), HResult> {
        self.0.set(Self::copy(text)?);
        Ok(())
    }

    /// Hands a text out, or NULL.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`
    pub(crate) fn set_or_null(self, text: Option<&str>) -> Result<(), HResult> {
        text.map_or(Ok(()), |text| self.set(text))
    }

    /// A text in memory of the caller.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`
    pub(crate) fn copy(text: &str) -> Result<*mut W, HResult> {
        let mut units = W::encode(text);
        units.push(W::default());
        malloc_array(&units)
    }
}

/// An array, which the caller frees; NULL when it is empty.
pub(crate) struct OutArray<'a, T>(Out<'a, *mut T>);

impl<T: Copy> OutArray<'_, T> {
    /// # Safety
    /// As [`Out::new`].
    pub(crate) unsafe fn new(place: *mut *mut T) -> Self {
        // SAFETY: by the contract of this function; NULL is a pointer of zeroes.
        Self(unsafe { Out::new(place) })
    }

    /// Hands the elements out.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`
    pub(crate) fn set(self, elements: &[T]) -> Result<(), HResult> {
        self.0.set(malloc_array(elements)?);
        Ok(())
    }
}

/// An object, with a reference for the caller.
pub(crate) struct OutObject<'a, I> {
    place: &'a mut *mut c_void,
    kind: PhantomData<I>,
}

impl<I: Interface> OutObject<'_, I> {
    /// # Safety
    /// As [`Out::new`].
    pub(crate) unsafe fn new(place: *mut *mut c_void) -> Self {
        // SAFETY: by the contract of this function; written before it is borrowed.
        unsafe {
            place.write(core::ptr::null_mut());
            Self { place: &mut *place, kind: PhantomData }
        }
    }

    /// Hands an object out.
    pub(crate) fn set(self, object: I) {
        *self.place = object.into_raw();
    }
}

/// An array of the caller for so many objects.
pub(crate) struct OutObjects<'a, I> {
    place: NonNull<*mut c_void>,
    count: u32,
    kind: PhantomData<&'a I>,
}

impl<I: Interface> OutObjects<'_, I> {
    /// # Safety
    /// `place` is not NULL, and writable for `count` pointers as long as the call lasts.
    pub(crate) unsafe fn new(place: *mut *mut c_void, count: u32) -> Self {
        // SAFETY: by the contract of this function.
        unsafe {
            place.write_bytes(0, count as usize);
            Self { place: NonNull::new_unchecked(place), count, kind: PhantomData }
        }
    }

    /// How many are asked for.
    pub(crate) const fn asked(&self) -> u32 {
        self.count
    }

    /// Hands objects out, at most as many as are asked for; how many there were.
    pub(crate) fn set(self, objects: impl Iterator<Item = I>) -> u32 {
        let mut given = 0;
        for object in objects.take(self.count as usize) {
            // SAFETY: `given` is below `count`, so the place is within the array.
            unsafe { self.place.add(given as usize).write(object.into_raw()) };
            given += 1;
        }
        given
    }
}

/// An array of the caller for so many plain values.
pub(crate) struct OutSlots<'a, T> {
    place: NonNull<T>,
    count: u32,
    kind: PhantomData<&'a T>,
}

impl<T: Copy> OutSlots<'_, T> {
    /// # Safety
    /// `place` is not NULL, and writable for `count` values as long as the call lasts; a `T` of zeroes is a value.
    pub(crate) unsafe fn new(place: *mut T, count: u32) -> Self {
        // SAFETY: by the contract of this function.
        unsafe {
            place.write_bytes(0, count as usize);
            Self { place: NonNull::new_unchecked(place), count, kind: PhantomData }
        }
    }

    /// How many are asked for.
    pub(crate) const fn asked(&self) -> u32 {
        self.count
    }

    /// Hands values out, at most as many as are asked for; how many there were.
    pub(crate) fn set(self, values: impl Iterator<Item = T>) -> u32 {
        let mut given = 0;
        for value in values.take(self.count as usize) {
            // SAFETY: `given` is below `count`, so the place is within the array.
            unsafe { self.place.add(given as usize).write(value) };
            given += 1;
        }
        given
    }
}
