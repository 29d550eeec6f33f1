//! IBackgroundCopyError (spec/bits-core.md 5.5).

use crate::common::Service;
use openbits_api::ErrorView;
use openbits_client::Action;
use openbits_core::hresult as h;
use openbits_core::{ErrorContext, JobState};
use openbits_testkit::Origin;

/// A job whose second file is not there.
fn not_found() -> ErrorView {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", openbits_testkit::Content::new(1, 10));
    let files = vec![service.file(&origin.url("a"), "a"), service.file(&origin.url("none"), "b")];
    let id = service.create(files);
    service.act(id, Action::Resume).unwrap();
    service.reaches(id, JobState::Error);
    service.client.error(id).unwrap()
}

#[test]
fn error_get_error() {
    let error = not_found();
    assert_eq!(openbits_api::error::parse_code(&error.hresult), Some(h::BG_E_HTTP_ERROR_404));
    assert_eq!((error.context, error.http_status), (ErrorContext::RemoteFile, Some(404)));
}

#[test]
fn error_get_file() {
    assert_eq!(not_found().file, Some(1));
}

#[test]
fn error_get_error_description() {
    let error = not_found();
    assert_eq!(error.name, "BG_E_HTTP_ERROR_404");
    assert!(error.text.contains("404"), "{}", error.text);
}

#[test]
fn error_get_error_context_description() {
    assert_eq!(not_found().context_text, ErrorContext::RemoteFile.text());
}

#[test]
fn error_get_protocol() {
    assert_eq!(not_found().protocol.as_deref(), Some("http"));
}
