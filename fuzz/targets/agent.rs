//! Requests of the Delivery Optimization agent's door: what is understood stays within its limits, and never depends on how the bytes came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_core::delivery::request::{HEAD_MAX, Parsed, parse};
use openbits_core::delivery::route::{self, Ask};
use openbits_core::names::check_remote_name;

fuzz_target!(|bytes: &[u8]| {
    match parse(bytes) {
        Parsed::Incomplete => assert!(bytes.len() < HEAD_MAX + 2),
        Parsed::Malformed => {}
        Parsed::Request(request, used) => {
            assert!(used <= bytes.len() && used <= HEAD_MAX + 2);
            assert_eq!(parse(&bytes[..used]), Parsed::Request(request, used), "what follows has no say");
            for end in 0..used {
                assert!(!matches!(parse(&bytes[..end]), Parsed::Request(..)), "nothing is understood early");
            }
            assert!(request.path.is_ascii() && request.query.is_ascii() && !request.path.contains('?'));
            match route::route(&request) {
                Ok(Ask::Create(values) | Ask::SetProperty(values, _)) => {
                    if let Some(uri) = values.uri {
                        let fetched = route::fetched(&uri).expect("it was checked");
                        check_remote_name(&fetched).expect("what is fetched is a remote name");
                    }
                    if let Some(path) = values.path {
                        assert!(!path.is_empty() && !path.contains('\0'));
                        assert!(route::absolute(&path).starts_with('/'));
                    }
                    assert!(values.no_progress_s.is_none_or(|seconds| seconds >= 10));
                }
                Ok(_) => {}
                Err(code) => assert!(!code.is_ok()),
            }
        }
    }
});
