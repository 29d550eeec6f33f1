//! Remote and local names of callers: what passes is safe to use further on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_core::RangeSet;
use openbits_core::names::{self, RemoteScheme, check_local_name, check_remote_name};
use openbits_core::plan::{FilePlan, Limits, Next, Validator};
use std::path::Path;

fuzz_target!(|text: &str| {
    if let Ok(scheme) = check_remote_name(text) {
        assert!(names::utf16_len(text) <= names::REMOTE_NAME_MAX);
        let limits = Limits { max_redirects: 4, allow_https_to_http: false };
        let (mut plan, _) = FilePlan::new(text, None, RangeSet::new(), Validator::default(), limits)
            .expect("a checked name can be planned");
        let Next::Send(request) = plan.step() else { panic!("complete before the first byte") };
        let wanted = match scheme {
            RemoteScheme::Http => "http",
            RemoteScheme::Https => "https",
            RemoteScheme::Smb => "smb",
            RemoteScheme::File => "file",
        };
        assert_eq!(request.url.scheme(), wanted);
        assert!(scheme == RemoteScheme::File || request.url.host_str().is_some_and(|host| !host.is_empty()));
        assert!(request.url.fragment().is_none());
        assert!(request.target.starts_with('/'), "{:?}", request.target);
        assert!(request.target.bytes().all(|b| b.is_ascii_graphic()), "{:?}", request.target);
        assert!(!request.target.contains('#'));
        let _ = plan.shown_url();
    }
    let plain = check_local_name(text, false);
    if check_local_name(text, true).is_ok() {
        assert!(plain.is_ok(), "strict only forbids more");
    }
    if plain.is_ok() {
        let path = Path::new(text);
        assert!(path.is_absolute() && !text.contains('\0'));
        let last = path.file_name().and_then(|name| name.to_str()).expect("a file's name");
        assert_eq!(Some(last), text.rsplit('/').next());
    }
});
