//! Downloads of Delivery Optimization: IDOManager and IDODownload (spec/delivery-optimization-com.md 3 and 4).
//!
//! What a download is, is `openbits_core::job::download`'s; here calls are read, and codes of the job become those of that interface.

use super::App;
use super::extract::{Answer, Body, Id, Params, Peer, Refusal};
use super::jobs::{environment, fresh_id};
use super::ranges;
use crate::secrets::intake;
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use openbits_api::{
    CreateDownload, DownloadDone, DownloadIds, DownloadProperties, DownloadView, Problem, SCHEMA,
    StartDownload,
};
use openbits_core::delivery::download;
use openbits_core::delivery::{codes, headers};
use openbits_core::hresult as h;
use openbits_core::job::download::NAME;
use openbits_core::job::{Dialect, DownloadCall, DownloadChange, Extras, Job};
use openbits_core::queue::{Call, Category, Failure, NewJob};
use openbits_core::{Caller, JobId, JobType, Priority, Secret};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which downloads; at most one of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct CategoryParams {
    /// GUID.
    pub id: Option<String>,
    /// URL as it was given.
    pub uri: Option<String>,
    /// Content id.
    pub content_id: Option<String>,
    /// Display name.
    pub display_name: Option<String>,
    /// Local path.
    pub local_path: Option<String>,
}

/// A failure in codes of this interface.
fn refusal(failure: Failure) -> Refusal {
    Refusal::new(codes::of_bits(failure.code), failure.detail)
}

impl App {
    /// Looks at a download that somebody still holds. Another user's is refused.
    async fn read_download(&self, caller: Caller, id: JobId) -> Answer<DownloadView> {
        let found = self.brain.read(move |view| {
            let job = view.queue.held_job(caller, id).map_err(Failure::from)?;
            self::view(job)
                .ok_or_else(|| Failure::new(h::BG_E_NOT_FOUND, format!("there is no download {id}")))
        });
        found.await.and_then(|inner| inner).map_err(refusal)
    }

    async fn call_download(&self, caller: Caller, id: JobId, call: Call) -> Answer<Json<DownloadDone>> {
        self.brain.call(caller, id, call).await.map_err(refusal)?;
        // Every success is S_OK to this interface.
        Ok(Json(DownloadDone { hresult: h::S_OK.to_string(), name: "S_OK".to_owned() }))
    }

    /// What a request sets, as the queue takes it.
    fn download_change(&self, id: JobId, set: DownloadProperties) -> Answer<DownloadChange> {
        let mut change = DownloadChange {
            content_id: set.content_id,
            display_name: set.display_name,
            path: set.local_path,
            stream: set.stream,
            cost_policy: set.cost_policy,
            security_flags: set.security_flags,
            allow_downgrade: set.http_allow_secure_to_non_secure_redirect,
            callback_percent: set.callback_freq_percent,
            callback_seconds: set.callback_freq_seconds,
            no_progress_s: set.no_progress_timeout_seconds,
            foreground: set.foreground_priority,
            blocking: set.blocking_mode,
            correlation_vector: set.correlation_vector,
            integrity: set.integrity_check_info,
            integrity_mandatory: set.integrity_check_mandatory,
            total_size: set.total_size_bytes,
            disallow_cellular: set.disallow_on_cellular,
            non_volatile: set.non_volatile,
            ..DownloadChange::default()
        };
        if let Some(uri) = set.uri {
            change.uri = Some(intake::remote(&self.vault, id, &uri)?);
        }
        if let Some(text) = set.http_custom_headers {
            let text = Secret::new(headers::normalize(text.reveal()));
            change.properties.push(intake::headers(&self.vault, id, &text)?);
        }
        if let Some(text) = set.http_custom_auth_headers {
            let text = Secret::new(headers::normalize(text.reveal()));
            change.properties.push(intake::challenge_headers(&self.vault, id, &text)?);
        }
        Ok(change)
    }
}

fn view(job: &Job) -> Option<DownloadView> {
    let (download, status) = (job.download.as_deref()?, download::status(job)?);
    let real_size = job.files.first().and_then(|file| file.size);
    let path = || download.path.clone().filter(|_| !download.stream);
    Some(DownloadView {
        schema: SCHEMA,
        id: job.id.to_string(),
        owner_uid: job.owner.0,
        state: status.state,
        bytes_total: status.total,
        bytes_transferred: status.transferred,
        error: status.error.to_string(),
        extended_error: status.extended.to_string(),
        starts: download.starts,
        ranges: (!download.ranges.is_empty()).then(|| ranges::shown(&download.ranges)),
        temporary_path: job.temporary_path(0).ok().flatten(),
        properties: DownloadProperties {
            uri: download.uri.clone(),
            content_id: download.content_id.clone(),
            display_name: download.display_name.clone(),
            local_path: path(),
            stream: download.stream.then_some(true),
            http_custom_headers: None,
            cost_policy: download.cost_policy,
            security_flags: None,
            callback_freq_percent: download.callback_percent,
            callback_freq_seconds: download.callback_seconds,
            no_progress_timeout_seconds: Some(download.no_progress_s.unwrap_or(job.no_progress_timeout_s)),
            foreground_priority: Some(job.priority == Priority::Foreground),
            blocking_mode: download.blocking,
            correlation_vector: download.correlation_vector.clone(),
            integrity_check_info: None,
            integrity_check_mandatory: download.integrity_mandatory,
            total_size_bytes: download.total_size.or(real_size),
            disallow_on_cellular: download.disallow_cellular,
            http_custom_auth_headers: None,
            http_allow_secure_to_non_secure_redirect: download.allow_downgrade,
            non_volatile: download.non_volatile,
        },
    })
}

/// CreateDownload: nothing of it touches a disk or a network before the first start.
#[utoipa::path(post, path = "/v1/downloads", tag = "downloads", operation_id = "create_download", request_body = CreateDownload,
    responses((status = 201, description = "The download.", body = DownloadView), (status = "4XX", description = "Refused; none is left.", body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Peer(caller): Peer,
    Body(body): Body<CreateDownload>,
) -> Answer<(StatusCode, Json<DownloadView>)> {
    let id = fresh_id()?;
    let change = app.download_change(id, body.properties)?;
    let mut properties = Vec::new();
    let environment_proxy = environment(&app, id, body.environment_proxy, &mut properties)?;
    let new = NewJob {
        id,
        display_name: NAME.to_owned(),
        kind: JobType::Download,
        properties,
        files: Vec::new(),
        resume: false,
        extras: Extras { dialect: Dialect::DeliveryOptimization, environment_proxy, ..Extras::NONE },
        delivery: None,
        download: Some(Box::new(change)),
    };
    app.brain.create(caller, new).await.map_err(refusal)?;
    Ok((StatusCode::CREATED, Json(app.read_download(caller, id).await?)))
}

/// EnumDownloads: those that the caller created and that are neither finalized nor aborted.
#[utoipa::path(get, path = "/v1/downloads", tag = "downloads", operation_id = "list_downloads", params(CategoryParams),
    responses((status = 200, description = "Their ids.", body = DownloadIds), (status = "4XX", description = "None (DO_E_NO_DOWNLOADS), or refused.", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Peer(caller): Peer,
    Params(params): Params<CategoryParams>,
) -> Answer<Json<DownloadIds>> {
    let mut given = [
        params.id.map(Category::Id),
        params.uri.map(Category::Uri),
        params.content_id.map(Category::ContentId),
        params.display_name.map(Category::DisplayName),
        params.local_path.map(Category::LocalPath),
    ]
    .into_iter()
    .flatten();
    let category = given.next();
    if given.next().is_some() {
        return Err(Refusal::new(h::E_INVALIDARG, "one property at most"));
    }
    let ids =
        app.brain.read(move |view| view.queue.downloads(caller, category.as_ref())).await.map_err(refusal)?;
    if ids.is_empty() {
        return Err(Refusal::new(codes::DO_E_NO_DOWNLOADS, "there is no such download"));
    }
    Ok(Json(DownloadIds { schema: SCHEMA, ids: ids.iter().map(JobId::to_string).collect() }))
}

/// GetStatus and GetProperty.
#[utoipa::path(get, path = "/v1/downloads/{id}", tag = "downloads", operation_id = "show_download", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The download; also for a while after its end.", body = DownloadView), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn show(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<DownloadView>> {
    app.read_download(caller, id).await.map(Json)
}

/// SetProperty.
#[utoipa::path(patch, path = "/v1/downloads/{id}", tag = "downloads", operation_id = "set_download_properties", params(("id" = String, Path, description = "GUID")), request_body = DownloadProperties,
    responses((status = 200, description = "Stored.", body = DownloadDone), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn set(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<DownloadProperties>,
) -> Answer<Json<DownloadDone>> {
    app.read_download(caller, id).await?;
    let change = app.download_change(id, body)?;
    app.call_download(caller, id, Call::Download(DownloadCall::Set(Box::new(change)))).await
}

/// Start: begins, goes on, or fetches other ranges.
#[utoipa::path(post, path = "/v1/downloads/{id}/start", tag = "downloads", operation_id = "start_download", params(("id" = String, Path, description = "GUID")), request_body = StartDownload,
    responses((status = 200, description = "It is on its way.", body = DownloadDone), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn start(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<StartDownload>,
) -> Answer<Json<DownloadDone>> {
    let call = DownloadCall::Start(None, body.ranges.map(ranges::given));
    app.call_download(caller, id, Call::Download(call)).await
}

/// Pause. One that does not move stays as it is.
#[utoipa::path(post, path = "/v1/downloads/{id}/pause", tag = "downloads", operation_id = "pause_download", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Nothing moves any more.", body = DownloadDone), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn pause(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<DownloadDone>> {
    app.read_download(caller, id).await?;
    app.call_download(caller, id, Call::Suspend).await
}

/// Abort: the download and its file are gone.
#[utoipa::path(post, path = "/v1/downloads/{id}/abort", tag = "downloads", operation_id = "abort_download", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Done.", body = DownloadDone), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn abort(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<DownloadDone>> {
    app.call_download(caller, id, Call::Download(DownloadCall::Abort)).await
}

/// Finalize: the file is in its place and the client's.
#[utoipa::path(post, path = "/v1/downloads/{id}/finalize", tag = "downloads", operation_id = "finalize_download", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Done.", body = DownloadDone), (status = "4XX", description = "Refused; DO_E_INVALID_STATE unless it is transferred.", body = Problem)))]
pub async fn finalize(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<DownloadDone>> {
    app.read_download(caller, id).await?;
    app.call_download(caller, id, Call::Download(DownloadCall::Finalize)).await
}
