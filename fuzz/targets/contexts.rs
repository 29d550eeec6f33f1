//! What Delivery Optimization clients hand over as bytes and texts: certificate contexts, header texts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_core::JobType;
use openbits_core::delivery::certificate::{CONTEXT_MAX, der};
use openbits_core::delivery::headers::normalize;
use openbits_core::hresult as h;
use openbits_core::job::http::parse_headers;

/// A certificate in a context of its own.
fn serialized(certificate: &[u8]) -> Vec<u8> {
    let length = u32::try_from(certificate.len()).expect("within the limit");
    [&32_u32.to_le_bytes()[..], &1_u32.to_le_bytes(), &length.to_le_bytes(), certificate].concat()
}

fuzz_target!(|bytes: &[u8]| {
    match der(bytes) {
        Ok(found) => {
            assert!(bytes.len() <= CONTEXT_MAX && found.first() == Some(&0x30));
            assert!(bytes.as_ptr_range().contains(&found.as_ptr()), "it is a part of what came");
            // By itself it means the same only if nothing can take it for an element.
            if found.len() > 4 && found[2..4] != [0, 0] {
                assert_eq!(der(found), Ok(found));
            }
            if found.len() + 12 <= CONTEXT_MAX {
                assert_eq!(der(&serialized(found)), Ok(found));
            }
            for end in 0..found.len().min(64) {
                assert_eq!(der(&serialized(&found[..end])), Err(h::CRYPT_E_FILE_ERROR), "cut after {end}");
            }
        }
        Err(code) => assert_eq!((code, openbits_transfer::thumbprint(bytes)), (h::CRYPT_E_FILE_ERROR, Err(code))),
    }
    // Whatever is a sequence may be a certificate or none; reading it ends.
    let _ = openbits_transfer::thumbprint(bytes);

    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = normalize(text);
    assert_eq!(normalize(&lines), lines);
    assert!(lines.is_empty() || lines.ends_with("\r\n"));
    assert!(lines.split_terminator("\r\n").all(|line| line.contains(':') && !line.contains('\n')));
    match parse_headers(&lines, JobType::Download) {
        Ok(headers) => assert_eq!(headers.len(), lines.matches("\r\n").count()),
        Err(code) => assert!([h::E_INVALIDARG, h::BG_E_STRING_TOO_LONG].contains(&code)),
    }
});
