//! Texts in the caller's characters: 2 or 4 bytes each.

use super::{HResult, h};

/// Longest text that is taken, in characters; no limit of the service is as high.
const UNITS_MAX: usize = 1 << 20;

/// A character of the caller.
pub(crate) trait Unit: Copy + PartialEq + Default {
    /// The text; `None` if it is none.
    fn decode(units: &[Self]) -> Option<String>;
    /// The characters, without an end.
    fn encode(text: &str) -> Vec<Self>;
    /// Appends the character's bytes, in the order of memory.
    fn put(self, block: &mut Vec<u8>);
}

impl Unit for u16 {
    fn decode(units: &[Self]) -> Option<String> {
        String::from_utf16(units).ok()
    }

    fn encode(text: &str) -> Vec<Self> {
        text.encode_utf16().collect()
    }

    fn put(self, block: &mut Vec<u8>) {
        block.extend(self.to_ne_bytes());
    }
}

impl Unit for u32 {
    fn decode(units: &[Self]) -> Option<String> {
        units.iter().map(|&unit| char::from_u32(unit)).collect()
    }

    fn encode(text: &str) -> Vec<Self> {
        text.chars().map(Self::from).collect()
    }

    fn put(self, block: &mut Vec<u8>) {
        block.extend(self.to_ne_bytes());
    }
}

/// A text of the caller.
///
/// # Errors
/// `E_INVALIDARG` if it has no end within a million characters, or is no Unicode.
///
/// # Safety
/// `pointer` is readable up to a character 0.
pub(crate) unsafe fn text<W: Unit>(pointer: *const W) -> Result<String, HResult> {
    let end = W::default();
    // SAFETY: every character up to the end is readable, and none behind it is looked at.
    let length = (0..UNITS_MAX).find(|&i| unsafe { *pointer.add(i) } == end).ok_or(h::E_INVALIDARG)?;
    // SAFETY: so many were just read.
    W::decode(unsafe { std::slice::from_raw_parts(pointer, length) }).ok_or(h::E_INVALIDARG)
}

/// The same, where NULL is allowed.
///
/// # Errors
/// As [`text`].
///
/// # Safety
/// As [`text`], or NULL.
pub(crate) unsafe fn text_or_null<W: Unit>(pointer: *const W) -> Result<Option<String>, HResult> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: by the contract of this function.
    unsafe { text(pointer) }.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<W: Unit>(sample: &str) {
        let mut units = W::encode(sample);
        units.push(W::default());
        // SAFETY: the end was just written.
        assert_eq!(unsafe { text(units.as_ptr()) }.as_deref(), Ok(sample));
    }

    #[test]
    fn texts_survive_in_both_widths() {
        for sample in ["", "MyJobName", "Größe ☃ 𝄞", "/tmp/😀"] {
            there_and_back::<u16>(sample);
            there_and_back::<u32>(sample);
        }
        assert_eq!(u16::encode("𝄞").len(), 2);
        assert_eq!(u32::encode("𝄞").len(), 1);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        // SAFETY: each of these ends with 0, or is longer than what is looked at.
        unsafe {
            assert_eq!(text([0xD800u16, 0].as_ptr()), Err(h::E_INVALIDARG));
            assert_eq!(text([0xD800u32, 0].as_ptr()), Err(h::E_INVALIDARG));
            assert_eq!(text([0x0011_0000u32, 0].as_ptr()), Err(h::E_INVALIDARG));
            assert_eq!(text(vec![65u16; UNITS_MAX].as_ptr()), Err(h::E_INVALIDARG));
            assert_eq!(text_or_null(std::ptr::null::<u16>()), Ok(None));
        }
    }
}
