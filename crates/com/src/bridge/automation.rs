//! BSTR and VARIANT, as the headers' inline functions make and free them: a BSTR is a block of `malloc`, eight bytes (of which the last
//! four are the length in bytes), the characters, and a zero.

use super::memory::malloc_array;
use super::text::Unit;
use super::{HResult, h, present};
use crate::platform::{SAFEARRAY, VARIANT};
use core::ffi::c_void;
use core::marker::PhantomData;
use openbits_api::VariantView;
use openbits_core::group::property::vt;
use windows_core::{IUnknown, Interface};

/// Bytes before the characters.
const HEAD: usize = 8;
/// Longest BSTR that is taken, in bytes; no limit of the service is as high.
const BYTES_MAX: u32 = 4 << 20;

/// The Automation types in one width of characters.
pub(crate) struct Automation<W>(PhantomData<W>);

impl<W: Unit> Automation<W> {
    /// A new BSTR, which the caller frees with SysFreeString.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`
    pub(crate) fn bstr(text: &str) -> Result<*mut W, HResult> {
        let units = W::encode(text);
        let bytes = u32::try_from(size_of_val(units.as_slice())).map_err(|_| h::E_OUTOFMEMORY)?;
        let mut block = vec![0u8; HEAD];
        block[4..].copy_from_slice(&bytes.to_ne_bytes());
        units.iter().for_each(|unit| unit.put(&mut block));
        W::default().put(&mut block);
        // SAFETY: the block is longer than its head.
        Ok(unsafe { malloc_array(&block)?.add(HEAD) }.cast())
    }

    /// Text of a BSTR; empty for NULL.
    ///
    /// # Errors
    /// `E_INVALIDARG` if it is too long, or no Unicode.
    ///
    /// # Safety
    /// `bstr` is NULL or a BSTR.
    pub(crate) unsafe fn text(bstr: *const W) -> Result<String, HResult> {
        if bstr.is_null() {
            return Ok(String::new());
        }
        // SAFETY: four bytes before the characters of a BSTR are its length; nothing is said of their alignment.
        let bytes = unsafe { bstr.cast::<u32>().sub(1).read_unaligned() };
        if bytes > BYTES_MAX {
            return Err(h::E_INVALIDARG);
        }
        // SAFETY: the characters of a BSTR are as many as its length says.
        W::decode(unsafe { std::slice::from_raw_parts(bstr, bytes as usize / size_of::<W>()) })
            .ok_or(h::E_INVALIDARG)
    }

    /// Text of a BSTR that has to be there.
    ///
    /// # Errors
    /// `E_INVALIDARG`, also for NULL.
    ///
    /// # Safety
    /// `bstr` is NULL or a BSTR.
    pub(crate) unsafe fn required(bstr: *const W) -> Result<String, HResult> {
        present(bstr, h::E_INVALIDARG)?;
        // SAFETY: by the contract of this function.
        unsafe { Self::text(bstr) }
    }

    /// A VARIANT of the caller, as far as properties look into it.
    ///
    /// # Errors
    /// `E_INVALIDARG` for a text that is none.
    ///
    /// # Safety
    /// The value is of the type that the VARIANT says.
    pub(crate) unsafe fn read(variant: &VARIANT) -> Result<VariantView, HResult> {
        let bytes = variant.value[0].to_ne_bytes();
        let [a, b, c, d, ..] = bytes;
        let (short, long) = ([a, b], [a, b, c, d]);
        let number = match variant.vt {
            vt::I2 => Some(i64::from(i16::from_ne_bytes(short))),
            vt::UI2 => Some(i64::from(u16::from_ne_bytes(short))),
            vt::I4 | vt::INT => Some(i64::from(i32::from_ne_bytes(long))),
            vt::UI4 | vt::UINT => Some(i64::from(u32::from_ne_bytes(long))),
            _ => None,
        };
        let text = match variant.vt {
            // SAFETY: by the contract of this function.
            vt::BSTR => Some(unsafe { Self::text(variant.pointer()) }?),
            _ => None,
        };
        Ok(VariantView { vt: variant.vt, number, text })
    }

    /// The text of a VT_BSTR.
    ///
    /// # Errors
    /// `E_INVALIDARG` for another type, or a text that is none.
    ///
    /// # Safety
    /// The value is of the type that the VARIANT says.
    pub(crate) unsafe fn text_of(variant: &VARIANT) -> Result<String, HResult> {
        match variant.vt {
            // SAFETY: by the contract of this function.
            vt::BSTR => unsafe { Self::text(variant.pointer()) },
            _ => Err(h::E_INVALIDARG),
        }
    }

    /// A VT_BSTR for the caller.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`
    pub(crate) fn of_text(text: &str) -> Result<VARIANT, HResult> {
        let mut variant = VARIANT { vt: vt::BSTR, ..VARIANT::default() };
        variant.set_pointer(Self::bstr(text)?);
        Ok(variant)
    }

    /// A VARIANT for the caller, who clears it.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`
    pub(crate) fn make(view: &VariantView) -> Result<VARIANT, HResult> {
        let mut variant = VARIANT { vt: view.vt, ..VARIANT::default() };
        match (view.number, &view.text) {
            (Some(number), _) => {
                let long = i32::try_from(number).map_err(|_| h::E_UNEXPECTED)?;
                let mut bytes = [0; 8];
                bytes[..4].copy_from_slice(&long.to_ne_bytes());
                variant.value[0] = u64::from_ne_bytes(bytes);
            }
            (None, Some(text)) => variant.set_pointer(Self::bstr(text)?),
            (None, None) => {}
        }
        Ok(variant)
    }
}

/// VARTYPEs beside those of groups.
mod types {
    pub(super) const EMPTY: u16 = 0;
    pub(super) const BOOL: u16 = 11;
    pub(super) const UNKNOWN: u16 = 13;
    pub(super) const UI4: u16 = 19;
    pub(super) const UI8: u16 = 21;
    /// VT_ARRAY | VT_UI1
    pub(super) const BYTES: u16 = 0x2011;
}

/// Values of VARIANTs that have no texts.
impl VARIANT {
    /// The value of a VT_BOOL.
    ///
    /// # Errors
    /// `E_INVALIDARG` for another type.
    pub(crate) const fn boolean(&self) -> Result<bool, HResult> {
        match self.vt {
            types::BOOL => Ok(self.low() & 0xFFFF != 0),
            _ => Err(h::E_INVALIDARG),
        }
    }

    /// The value of a VT_UI4.
    ///
    /// # Errors
    /// `E_INVALIDARG` for another type.
    pub(crate) const fn number(&self) -> Result<u32, HResult> {
        match self.vt {
            #[expect(clippy::cast_possible_truncation, reason = "the type has four bytes")]
            types::UI4 => Ok(self.low() as u32),
            _ => Err(h::E_INVALIDARG),
        }
    }

    /// The value of a VT_UI8.
    ///
    /// # Errors
    /// `E_INVALIDARG` for another type.
    pub(crate) const fn long_number(&self) -> Result<u64, HResult> {
        match self.vt {
            types::UI8 => Ok(self.low()),
            _ => Err(h::E_INVALIDARG),
        }
    }

    /// The object of a VT_UNKNOWN, with a reference of our own; nothing for NULL and VT_EMPTY.
    ///
    /// # Errors
    /// `E_INVALIDARG` for another type.
    ///
    /// # Safety
    /// The value is of the type that the VARIANT says.
    pub(crate) unsafe fn object(&self) -> Result<Option<IUnknown>, HResult> {
        let pointer = self.pointer::<c_void>();
        match self.vt {
            types::EMPTY => Ok(None),
            types::UNKNOWN if pointer.is_null() => Ok(None),
            // SAFETY: by the contract of this function.
            types::UNKNOWN => Ok(Some(unsafe { super::object(pointer.cast_mut()) })),
            _ => Err(h::E_INVALIDARG),
        }
    }

    /// The bytes of a VT_ARRAY | VT_UI1.
    ///
    /// # Errors
    /// `E_INVALIDARG` for another type, more than one dimension, or more than 1 MiB.
    ///
    /// # Safety
    /// The value is of the type that the VARIANT says.
    pub(crate) unsafe fn bytes(&self) -> Result<Vec<u8>, HResult> {
        let pointer = self.pointer::<SAFEARRAY>();
        if self.vt != types::BYTES || pointer.is_null() {
            return Err(h::E_INVALIDARG);
        }
        // SAFETY: by the contract of this function.
        let array = unsafe { pointer.read() };
        if array.cDims != 1 || array.cbElements != 1 {
            return Err(h::E_INVALIDARG);
        }
        // SAFETY: an array has as many elements as it says; NULL and a length beyond the limit are refused there.
        let elements = unsafe { super::slice(array.pvData.cast::<u8>(), array.rgsabound[0].cElements) };
        elements.map(<[u8]>::to_vec).map_err(|_| h::E_INVALIDARG)
    }

    /// A VT_BOOL for the caller.
    pub(crate) const fn of_boolean(value: bool) -> Self {
        // VARIANT_TRUE has all its bits set.
        Self::of_number(types::BOOL, if value { 0xFFFF } else { 0 })
    }

    /// A VT_UI4 for the caller.
    pub(crate) const fn of_u32(value: u32) -> Self {
        Self::of_number(types::UI4, value as u64)
    }

    /// A VT_UI8 for the caller.
    pub(crate) const fn of_u64(value: u64) -> Self {
        Self::of_number(types::UI8, value)
    }

    const fn of_number(vt: u16, value: u64) -> Self {
        Self { vt, wReserved1: 0, wReserved2: 0, wReserved3: 0, value: [value.to_le(), 0] }
    }

    /// A VT_UNKNOWN for the caller, with a reference for it.
    pub(crate) fn of_object(object: IUnknown) -> Self {
        let mut variant = Self { vt: types::UNKNOWN, ..Self::default() };
        variant.set_pointer(object.into_raw());
        variant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn free(memory: *mut c_void);
    }

    fn there_and_back<W: Unit>(sample: &str) {
        let bstr = Automation::<W>::bstr(sample).unwrap();
        // SAFETY: it is a BSTR, whose block begins eight bytes before it, and which is freed once.
        unsafe {
            assert_eq!(Automation::text(bstr).as_deref(), Ok(sample));
            let bytes = bstr.cast::<u32>().sub(1).read_unaligned();
            assert_eq!(bytes as usize, W::encode(sample).len() * size_of::<W>());
            assert!(*bstr.add(bytes as usize / size_of::<W>()) == W::default(), "a zero at the end");
            free(bstr.cast::<u8>().sub(HEAD).cast());
        }
    }

    #[test]
    fn texts_survive_in_both_widths() {
        for sample in ["", "name", "Größe 𝄞", "with\0zero"] {
            there_and_back::<u16>(sample);
            there_and_back::<u32>(sample);
        }
        // SAFETY: NULL is the empty BSTR.
        assert_eq!(unsafe { Automation::<u32>::text(core::ptr::null()) }, Ok(String::new()));
        // SAFETY: likewise.
        assert_eq!(unsafe { Automation::<u32>::required(core::ptr::null()) }, Err(h::E_INVALIDARG));
    }

    #[test]
    fn integers_are_read_as_their_type_says() {
        let number = |vt, value: u64| {
            let variant = VARIANT { vt, value: [value.to_le(), 0], ..VARIANT::default() };
            // SAFETY: it holds a number.
            unsafe { Automation::<u32>::read(&variant) }.unwrap().number
        };
        assert_eq!(number(vt::I2, 0xAAAA_FFFF), Some(-1));
        assert_eq!(number(vt::UI2, 0xAAAA_FFFF), Some(0xFFFF));
        assert_eq!(number(vt::I4, 0xFFFF_FFFE), Some(-2));
        assert_eq!(number(vt::INT, 5), Some(5));
        assert_eq!(number(vt::UI4, 0xFFFF_FFFE), Some(0xFFFF_FFFE));
        assert_eq!(number(vt::UINT, 7), Some(7));
        for other in [0, 11, 20, 0x4003, 0x2003] {
            assert_eq!(number(other, 1), None, "{other:#x}");
        }
        let made =
            Automation::<u32>::make(&VariantView { vt: vt::I4, number: Some(-3), text: None }).unwrap();
        // SAFETY: it holds a number.
        assert_eq!(unsafe { Automation::<u32>::read(&made) }.unwrap().number, Some(-3));
        assert_eq!(size_of::<VARIANT>(), 24);
    }

    #[test]
    fn values_come_back_as_they_went_and_as_no_other_type() {
        assert_eq!(VARIANT::of_boolean(true).boolean(), Ok(true));
        assert_eq!(VARIANT::of_boolean(false).boolean(), Ok(false));
        assert_eq!(VARIANT::of_boolean(true).low(), 0xFFFF, "VARIANT_TRUE");
        assert_eq!(VARIANT::of_u32(u32::MAX).number(), Ok(u32::MAX));
        assert_eq!(VARIANT::of_u64(u64::MAX).long_number(), Ok(u64::MAX));
        assert_eq!(VARIANT::of_u64(1).number(), Err(h::E_INVALIDARG));
        assert_eq!(VARIANT::of_u32(1).long_number(), Err(h::E_INVALIDARG));
        assert_eq!(VARIANT::of_u32(1).boolean(), Err(h::E_INVALIDARG));
        let bytes = *b"abc";
        let mut array = SAFEARRAY {
            cDims: 1,
            fFeatures: 0,
            cbElements: 1,
            cLocks: 0,
            pvData: bytes.as_ptr().cast_mut().cast(),
            rgsabound: [crate::platform::SAFEARRAYBOUND { cElements: 3, lLbound: 0 }],
        };
        let mut variant = VARIANT { vt: types::BYTES, ..VARIANT::default() };
        variant.set_pointer(&raw mut array);
        // SAFETY: it is an array of three bytes.
        assert_eq!(unsafe { variant.bytes() }.as_deref(), Ok(&b"abc"[..]));
        array.cDims = 2;
        variant.set_pointer(&raw mut array);
        // SAFETY: nothing is read of an array of other dimensions.
        assert_eq!(unsafe { variant.bytes() }, Err(h::E_INVALIDARG));
        // SAFETY: there is no object in it.
        assert!(unsafe { VARIANT::default().object() }.unwrap().is_none(), "VT_EMPTY");
    }
}
