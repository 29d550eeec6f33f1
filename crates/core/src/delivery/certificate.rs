//! SecurityContext: a serialized certificate context (spec/delivery-optimization-com.md 4.4).
//!
//! A sequence of elements, each of them property id, encoding type and length as little-endian `u32`, then so many bytes. Element 32 is the
//! certificate in DER. The bare certificate is taken, too. Which certificate that is (its thumbprint) is found where certificates are
//! read: `openbits_transfer::thumbprint`.

use crate::hresult::{self as h, HResult};

/// Largest context, in bytes.
pub const CONTEXT_MAX: usize = 64 << 10;
/// `CERT_CERT_PROP_ID`: the element that is the certificate.
const CERTIFICATE: u32 = 32;
/// Property ids end here; a certificate begins with a larger number.
const ID_MAX: u32 = 0xFFFF;
/// Id, encoding type, length.
const HEAD: usize = 12;
/// Every certificate begins with it: a sequence.
const SEQUENCE: u8 = 0x30;

/// The DER in a context: one sequence, and nothing behind it. Whether it is a certificate is not looked at.
///
/// # Errors
/// `CRYPT_E_FILE_ERROR`: longer than [`CONTEXT_MAX`], lengths that do not fit, not exactly one element 32, or none of a sequence.
pub fn der(context: &[u8]) -> Result<&[u8], HResult> {
    if context.len() > CONTEXT_MAX {
        return Err(h::CRYPT_E_FILE_ERROR);
    }
    let bare = context.first() == Some(&SEQUENCE) && number(context).is_some_and(|id| id > ID_MAX);
    let der = if bare { Some(context) } else { element(context) };
    der.filter(|der| is_sequence(der)).ok_or(h::CRYPT_E_FILE_ERROR)
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|four| u32::from_le_bytes(*four))
}

/// Content of the one element 32; `None` also if the elements do not fill the context to its end.
fn element(context: &[u8]) -> Option<&[u8]> {
    let (mut rest, mut found) = (context, None);
    while !rest.is_empty() {
        let (head, behind) = rest.split_at_checked(HEAD)?;
        let length = usize::try_from(number(&head[8..])?).ok()?;
        let (content, more) = behind.split_at_checked(length)?;
        if number(head)? == CERTIFICATE && found.replace(content).is_some() {
            return None;
        }
        rest = more;
    }
    found
}

/// A sequence of the length that it says, in the form with the fewest bytes (DER).
fn is_sequence(der: &[u8]) -> bool {
    let [SEQUENCE, first, rest @ ..] = der else { return false };
    match first {
        0..=0x7F => usize::from(*first) == rest.len(),
        0x81 => rest.first().is_some_and(|length| *length > 0x7F && usize::from(*length) == rest.len() - 1),
        0x82 => rest.first_chunk().is_some_and(|two| {
            let length = u16::from_be_bytes(*two);
            length > 0xFF && usize::from(length) == rest.len() - 2
        }),
        // Longer than any context.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(elements: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (id, content) in elements {
            let length = u32::try_from(content.len()).unwrap();
            for number in [*id, 1, length] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend_from_slice(content);
        }
        bytes
    }

    /// A sequence with so many bytes in it.
    fn sequence(length: usize) -> Vec<u8> {
        let mut bytes = vec![SEQUENCE];
        match length {
            0..=0x7F => bytes.push(u8::try_from(length).unwrap()),
            0x80..=0xFF => bytes.extend([0x81, u8::try_from(length).unwrap()]),
            _ => {
                bytes.push(0x82);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + length, 5);
        bytes
    }

    #[test]
    fn the_certificate_stands_alone_or_among_other_elements() {
        for length in [3, 127, 128, 255, 256, 1000, 65_000] {
            let der_bytes = sequence(length);
            assert_eq!(der(&der_bytes), Ok(&der_bytes[..]), "{length}: bare");
            for elements in [
                vec![(32, &der_bytes[..])],
                vec![(3, &[9; 20][..]), (32, &der_bytes)],
                vec![(0x8001, &[][..]), (32, &der_bytes), (11, b"name")],
                // What begins with a sequence's byte need not be one.
                vec![(0x30, &[1][..]), (32, &der_bytes)],
            ] {
                assert_eq!(der(&context(&elements)), Ok(&der_bytes[..]), "{length}");
            }
        }
    }

    #[test]
    fn whatever_else_is_garbage() {
        let good = sequence(200);
        let whole = context(&[(3, &[9; 20]), (32, &good)]);
        for end in 0..whole.len() {
            assert_eq!(der(&whole[..end]), Err(h::CRYPT_E_FILE_ERROR), "cut after {end}");
        }
        for end in 0..good.len() {
            assert_eq!(der(&good[..end]), Err(h::CRYPT_E_FILE_ERROR), "bare, cut after {end}");
        }
        let mut huge = whole.clone();
        huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut more = good.clone();
        more.push(0);
        for bad in [
            b"garbage".to_vec(),
            vec![0; 12],
            vec![0xFF; 64],
            huge,
            more.clone(),
            context(&[(3, &[9; 20])]),
            context(&[(32, &good), (32, &good)]),
            context(&[(32, b"no sequence")]),
            context(&[(32, &more)]),
            context(&[(32, &[])]),
            // Lengths that DER writes shorter, and one without an end.
            vec![0x30, 0x81, 0x03, 5, 5, 5],
            vec![0x30, 0x82, 0x00, 0x03, 5, 5, 5],
            vec![0x30, 0x80, 5, 0, 0],
        ] {
            assert_eq!(der(&bad), Err(h::CRYPT_E_FILE_ERROR), "{:?}", &bad[..bad.len().min(16)]);
        }
    }

    #[test]
    fn the_limit_is_met_exactly() {
        let good = sequence(1000);
        let filled = |length: usize| {
            let filler = vec![0; length - good.len() - 2 * HEAD];
            context(&[(3, &filler), (32, &good)])
        };
        assert_eq!(filled(CONTEXT_MAX).len(), CONTEXT_MAX);
        assert!(der(&filled(CONTEXT_MAX)).is_ok());
        assert_eq!(der(&filled(CONTEXT_MAX + 1)), Err(h::CRYPT_E_FILE_ERROR));
    }
}
