//! The description of the API, generated from the handlers.

use super::{
    callbacks, credentials, downloads, events, files, groups, helper, jobs, metrics, options, policy,
    properties, ranges, service,
};
use axum::Json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{Modify, OpenApi};

/// The document.
#[derive(OpenApi)]
#[openapi(
    modifiers(&Problems),
    info(title = "openbits", description = "Background transfer service: HTTP/1.1 with JSON over a Unix socket. The caller is the peer of the socket.", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    paths(
        service::service, service::error_text, jobs::create, jobs::list, jobs::ids, jobs::show, jobs::set, jobs::files, jobs::add_files, credentials::set, credentials::remove,
        jobs::resume, jobs::suspend, jobs::cancel, jobs::complete, jobs::take_ownership, jobs::error, jobs::reply, jobs::why, events::events,
        events::job_log, callbacks::callbacks, callbacks::answer, callbacks::get, callbacks::set, callbacks::clear, metrics::metrics,
        options::certificate, options::set_certificate, options::remove_certificate, options::headers,
        options::challenge_headers,
        options::listen, options::answer, options::stop_listening,
        properties::get, properties::set,
        ranges::ranges, ranges::filled, ranges::request, ranges::position,
        files::show, files::set, files::set_remote_name, files::set_validation, files::property,
        files::set_property, files::replace_prefix, helper::ticket, helper::set, helper::clear,
        downloads::create, downloads::list, downloads::show, downloads::set, downloads::start, downloads::pause,
        downloads::abort, downloads::finalize,
        groups::create, groups::list, groups::show, groups::get, groups::progress, groups::property, groups::set_property,
        groups::resume, groups::suspend, groups::cancel, groups::switch_to_foreground,
        groups::jobs::list, groups::jobs::create, groups::jobs::show, groups::jobs::progress, groups::jobs::add_files,
        groups::jobs::file, groups::jobs::cancel, groups::jobs::switch_to_foreground,
        policy::show, policy::check, policy::reload, policy::explain,
    ),
    tags((name = "jobs", description = "Jobs and their files"), (name = "files", description = "Single files"), (name = "downloads", description = "Downloads of Delivery Optimization (deliveryoptimization.h)"), (name = "groups", description = "Groups of the first generation (qmgr.h)"), (name = "policy", description = "What the administrator says"), (name = "service", description = "The service itself"), (name = "events", description = "What happens"))
)]
pub struct Document;

/// Refusals are `application/problem+json`, also where a handler names only the type.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for item in document.paths.paths.values_mut() {
            let operations: [&mut Option<Operation>; 5] =
                [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                for response in operation.responses.responses.values_mut() {
                    let RefOr::T(response) = response else { continue };
                    let problem = |schema: &Option<RefOr<Schema>>| matches!(schema, Some(RefOr::Ref(name)) if name.ref_location.ends_with("/Problem"));
                    let is = match response.content.get("application/json") {
                        Some(RefOr::T(content)) => problem(&content.schema),
                        _ => false,
                    };
                    if let Some(content) =
                        is.then(|| response.content.shift_remove("application/json")).flatten()
                    {
                        response.content.insert("application/problem+json".into(), content);
                    }
                }
            }
        }
    }
}

/// The document as pretty JSON with a final line break.
pub fn text() -> String {
    let mut text = Document::openapi().to_pretty_json().expect("the document has a JSON form");
    text.push('\n');
    text
}

/// `GET /v1/openapi.json`
pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

#[cfg(test)]
mod tests {
    /// `cargo xtask generate` writes the file; this fails when it is stale.
    #[test]
    fn the_committed_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == super::text(),
            "docs/openapi.json is stale: run `cargo run -p openbits-daemon -- openapi > docs/openapi.json`"
        );
    }
}
