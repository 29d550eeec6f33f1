//! The HTTP door: JSON over the Unix socket, the caller being whom the kernel says.

#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod callbacks;
pub mod credentials;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod downloads;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod events;
pub mod extract;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod files;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod groups;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod helper;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod jobs;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod metrics;
pub mod openapi;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod options;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod policy;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod properties;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod ranges;
pub mod server;
#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod service;

use crate::brain::Handle;
use crate::policy::keeper::Reloads;
use crate::secrets::Vault;
use axum::Router;
use axum::routing::{delete, get, post, put};
use std::sync::Arc;

/// What every handler has.
#[derive(Clone)]
pub struct App {
    /// The brain.
    pub brain: Handle,
    /// Seals the secrets that come in.
    pub vault: Arc<Vault>,
    /// Reads the policy again.
    pub reloads: Reloads,
    /// `user` or `system`.
    pub mode: &'static str,
    /// Tells streams that the service ends.
    pub closing: tokio::sync::watch::Receiver<bool>,
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/service", get(service::service))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/v1/errors/{hresult}", get(service::error_text))
        .route("/v1/job-ids", get(jobs::ids))
        .route("/v1/jobs", get(jobs::list).post(jobs::create))
        .route("/v1/jobs/{id}", get(jobs::show).patch(jobs::set))
        .route("/v1/jobs/{id}/files", get(jobs::files).post(jobs::add_files))
        .route("/v1/jobs/{id}/files/{file}", get(files::show).patch(files::set))
        .route("/v1/jobs/{id}/files/{file}/remote-name", put(files::set_remote_name))
        .route("/v1/jobs/{id}/files/{file}/validation", put(files::set_validation))
        .route(
            "/v1/jobs/{id}/files/{file}/properties/{number}",
            get(files::property).put(files::set_property),
        )
        .route("/v1/jobs/{id}/helper-token", put(helper::set).delete(helper::clear))
        .route("/v1/jobs/{id}/helper-token/ticket", post(helper::ticket))
        .route("/v1/jobs/{id}/replace-remote-prefix", post(files::replace_prefix))
        .route("/v1/jobs/{id}/credentials", put(credentials::set))
        .route("/v1/jobs/{id}/credentials/{target}/{scheme}", delete(credentials::remove))
        .route("/v1/jobs/{id}/files/{file}/ranges", get(ranges::ranges))
        .route("/v1/jobs/{id}/files/{file}/filled", get(ranges::filled))
        .route("/v1/jobs/{id}/files/{file}/requests", post(ranges::request))
        .route("/v1/jobs/{id}/files/{file}/position", post(ranges::position))
        .route("/v1/jobs/{id}/resume", post(jobs::resume))
        .route("/v1/jobs/{id}/suspend", post(jobs::suspend))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/jobs/{id}/complete", post(jobs::complete))
        .route("/v1/jobs/{id}/take-ownership", post(jobs::take_ownership))
        .route(
            "/v1/jobs/{id}/client-certificate",
            get(options::certificate).put(options::set_certificate).delete(options::remove_certificate),
        )
        .route("/v1/jobs/{id}/custom-headers", get(options::headers))
        .route("/v1/jobs/{id}/challenge-headers", get(options::challenge_headers))
        .route("/v1/jobs/{id}/certificate-checks", post(options::listen).delete(options::stop_listening))
        .route("/v1/jobs/{id}/certificate-checks/{check}", put(options::answer))
        .route("/v1/jobs/{id}/error", get(jobs::error))
        .route("/v1/jobs/{id}/reply", get(jobs::reply))
        .route("/v1/jobs/{id}/why", get(jobs::why))
        .route("/v1/jobs/{id}/properties/{number}", get(properties::get).put(properties::set))
        .route("/v1/jobs/{id}/log", get(events::job_log))
        .route(
            "/v1/jobs/{id}/notify-interface",
            get(callbacks::get).put(callbacks::set).delete(callbacks::clear),
        )
        .route("/v1/downloads", get(downloads::list).post(downloads::create))
        .route("/v1/downloads/{id}", get(downloads::show).patch(downloads::set))
        .route("/v1/downloads/{id}/start", post(downloads::start))
        .route("/v1/downloads/{id}/pause", post(downloads::pause))
        .route("/v1/downloads/{id}/abort", post(downloads::abort))
        .route("/v1/downloads/{id}/finalize", post(downloads::finalize))
        .route("/v1/groups", get(groups::list).post(groups::create))
        .route("/v1/groups/{id}", get(groups::show))
        .route("/v1/groups/{id}/get", post(groups::get))
        .route("/v1/groups/{id}/progress", get(groups::progress))
        .route("/v1/groups/{id}/properties/{number}", get(groups::property).put(groups::set_property))
        .route("/v1/groups/{id}/resume", post(groups::resume))
        .route("/v1/groups/{id}/suspend", post(groups::suspend))
        .route("/v1/groups/{id}/cancel", post(groups::cancel))
        .route("/v1/groups/{id}/switch-to-foreground", post(groups::switch_to_foreground))
        .route("/v1/groups/{id}/jobs", get(groups::jobs::list).post(groups::jobs::create))
        .route("/v1/groups/{id}/jobs/{job}", get(groups::jobs::show))
        .route("/v1/groups/{id}/jobs/{job}/progress", get(groups::jobs::progress))
        .route("/v1/groups/{id}/jobs/{job}/files", post(groups::jobs::add_files))
        .route("/v1/groups/{id}/jobs/{job}/files/{file}", get(groups::jobs::file))
        .route("/v1/groups/{id}/jobs/{job}/cancel", post(groups::jobs::cancel))
        .route("/v1/groups/{id}/jobs/{job}/switch-to-foreground", post(groups::jobs::switch_to_foreground))
        .route("/v1/callbacks", get(callbacks::callbacks))
        .route("/v1/callbacks/{call}", post(callbacks::answer))
        .route("/v1/jobs/{id}/policy", get(policy::explain))
        .route("/v1/policy", get(policy::show))
        .route("/v1/policy/check", post(policy::check))
        .route("/v1/policy/reload", post(policy::reload))
        .route("/v1/events", get(events::events))
        .route("/metrics", get(metrics::metrics))
        .fallback(service::no_such_path)
        .method_not_allowed_fallback(service::no_such_method)
        .layer(axum::extract::DefaultBodyLimit::max(openbits_api::REQUEST_BYTES_MAX))
        .with_state(app)
}
