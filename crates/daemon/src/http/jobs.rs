//! Jobs: create, list, show, change, finish.

use super::App;
use super::extract::{Answer, Body, Id, Params, Peer, Refusal};
use crate::brain::View;
use crate::secrets::{CannotSeal, Vault, intake};
use crate::views;
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use openbits_api::{
    AddFiles, CreateJob, EnvironmentProxyView, ErrorView, FileList, IDS_MAX, JobIds, JobPage, JobView,
    Outcome, PAGE_MAX, Problem, SCHEMA, SetProperties, Why, error,
};
use openbits_core::hresult::{self as h, HResult};
use openbits_core::job::options::{PropertyId, PropertyValue};
use openbits_core::job::property::{EnvironmentProxy, Property};
use openbits_core::job::{Extras, Setting};
use openbits_core::queue::{Call, Failure, NewJob};
use openbits_core::{Caller, Job, JobId, JobState, Uid};
use serde::Deserialize;
use utoipa::IntoParams;

pub(super) fn outcome((code, job): (HResult, JobView)) -> Outcome {
    Outcome { hresult: code.to_string(), name: error::name(code), job }
}

impl From<CannotSeal> for Refusal {
    fn from(error: CannotSeal) -> Self {
        Self::new(h::E_UNEXPECTED, error.to_string())
    }
}

/// The properties of a request as the queue takes them.
///
/// # Errors
/// A text that is no value of its property, or a secret that cannot be kept.
pub fn properties(vault: &Vault, job: JobId, set: SetProperties) -> Result<Vec<Property>, Refusal> {
    let mut list = Vec::new();
    list.extend(set.display_name.map(Property::DisplayName));
    list.extend(set.description.map(Property::Description));
    list.extend(set.priority.map(|p| Property::Priority(i64::from(p.value()))));
    list.extend(set.notify_flags.map(Property::NotifyFlags));
    list.extend(set.minimum_retry_delay_s.map(Property::MinimumRetryDelay));
    list.extend(set.no_progress_timeout_s.map(Property::NoProgressTimeout));
    if let Some(proxy) = set.proxy {
        list.extend(intake::proxy(vault, job, proxy)?);
    }
    list.extend(set.notify_command.map(|c| match c.argv {
        // Both at once contradict each other; the program alone says what is wrong.
        Some(argv) if c.program.is_none() && c.parameters.is_none() => Property::NotifyArguments(argv),
        Some(_) => Property::NotifyCommand { program: None, parameters: Some(String::new()) },
        None => Property::NotifyCommand { program: c.program, parameters: c.parameters },
    }));
    list.extend(set.auto_complete.map(Property::AutoComplete));
    list.extend(set.bind.map(|b| Property::Bind(Some(b).filter(|b| !b.is_empty()))));
    list.extend(set.upload_protocol.map(Property::UploadProtocol));
    list.extend(set.reply_file_name.map(|n| Property::ReplyFileName(Some(n).filter(|n| !n.is_empty()))));
    if let Some(text) = set.custom_headers {
        list.push(intake::headers(vault, job, &text)?);
    }
    if let Some(text) = set.challenge_headers {
        list.push(intake::challenge_headers(vault, job, &text)?);
    }
    match set.custom_headers_write_only {
        Some(true) => list.push(Property::HeadersWriteOnly),
        Some(false) => {
            return Err(Refusal::new(h::E_INVALIDARG, "that headers are write-only is not taken back"));
        }
        None => {}
    }
    list.extend(set.http_method.map(Property::HttpMethod));
    list.extend(set.security_flags.map(Property::SecurityFlags));
    let text = |id, text: Option<String>| {
        let value = text.map(|text| PropertyValue::parse(id, &text)).transpose()?;
        value.map(|value| Setting::numbered(id, value)).transpose()
    };
    let settings = [
        set.acl_flags.map(Setting::FileAclFlags),
        set.peer_caching_flags.map(Setting::PeerCachingFlags),
        set.maximum_download_time_s.map(Setting::MaximumDownloadTime),
        set.cost_flags.map(Setting::CostFlags),
        set.disallow_cellular.map(Setting::DisallowCellular),
        text(PropertyId::NotificationClsid, set.notification_clsid)?,
        set.dynamic_content.map(Setting::DynamicContent),
        set.high_performance.map(Setting::HighPerformance),
        set.max_download_size.map(Setting::MaxDownloadSize),
        text(PropertyId::UseStoredCredentials, set.use_stored_credentials)?,
        set.minimum_notification_interval_ms.map(Setting::MinimumNotificationInterval),
        set.on_demand_mode.map(Setting::OnDemandMode),
        set.helper_token_flags.map(Setting::HelperTokenFlags),
    ];
    list.extend(settings.into_iter().flatten().map(Property::Option));
    Ok(list)
}

pub(crate) fn fresh_id() -> Answer<JobId> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Refusal::new(h::E_UNEXPECTED, format!("no random numbers: {e}")))?;
    Ok(JobId::from_random_bytes(bytes))
}

fn given_id(text: &str) -> Answer<JobId> {
    let id = text.parse().ok().filter(JobId::is_random);
    id.ok_or_else(|| Refusal::new(h::E_INVALIDARG, "id is not a random (version 4) GUID"))
}

/// The proxy variables that came with a create; what is secret in them becomes a property.
pub(super) fn environment(
    app: &App,
    id: JobId,
    given: Option<EnvironmentProxyView>,
    properties: &mut Vec<Property>,
) -> Answer<Option<EnvironmentProxy>> {
    let Some(given) = given else { return Ok(None) };
    let texts = [&given.http, &given.https, &given.all, &given.no];
    if texts.into_iter().flatten().any(|t| t.len() > 4096 || t.contains(['\0', '\n', '\r'])) {
        return Err(Refusal::new(
            h::E_INVALIDARG,
            "a proxy variable is longer than 4,096 bytes or has a line break",
        ));
    }
    let (environment, sealed) = intake::environment(&app.vault, id, given)?;
    properties.extend(sealed);
    Ok(Some(environment).filter(|e| *e != EnvironmentProxy::default()))
}

/// Create a job; with `files` and `resume` it is filled and started in the same durable step.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", operation_id = "create_job", request_body = CreateJob,
    responses((status = 201, description = "The job, durable; also if the same call with the same id made it before.", body = Outcome), (status = "4XX", description = "Refused; no job is left.", body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Peer(caller): Peer,
    Body(body): Body<CreateJob>,
) -> Answer<(StatusCode, Json<Outcome>)> {
    let id = body.id.as_deref().map_or_else(fresh_id, given_id)?;
    let mut properties = properties(&app.vault, id, body.properties)?;
    let environment_proxy = environment(&app, id, body.environment_proxy, &mut properties)?;
    let new = NewJob {
        id,
        display_name: body.display_name,
        kind: body.kind,
        properties,
        files: intake::files(&app.vault, id, body.files)?,
        resume: body.resume,
        extras: Extras { dialect: body.dialect, environment_proxy, ..Extras::NONE },
        delivery: None,
        download: None,
    };
    let result = app.brain.create(caller, new).await?;
    Ok((StatusCode::CREATED, Json(outcome(result))))
}

/// Parameters of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct ListParams {
    /// Jobs of all users (root only).
    pub all_users: bool,
    /// Only these states, comma separated.
    pub state: Option<String>,
    /// Only jobs of exactly this name.
    pub name: Option<String>,
    /// Only jobs whose GUID begins so.
    pub id_prefix: Option<String>,
    /// With the files of each job.
    pub files: bool,
    /// Most jobs in this page (at most 1,000; default 1,000).
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub after: Option<String>,
}

/// The caller's jobs, or with `all_users` everybody's.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", operation_id = "list_jobs", params(ListParams),
    responses((status = 200, description = "A page of jobs.", body = JobPage), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Peer(caller): Peer,
    Params(params): Params<ListParams>,
) -> Answer<Json<JobPage>> {
    let filter = Filter::of(&params)?;
    let page = app.brain.read(move |view| filter.page(view, caller)).await??;
    Ok(Json(page))
}

/// Parameters of the list of ids.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct IdsParams {
    /// Jobs of all users (root only).
    pub all_users: bool,
    /// `next` of the page before.
    pub after: Option<String>,
}

/// Which jobs the caller has, or with `all_users` everybody: their ids only (EnumJobs).
#[utoipa::path(get, path = "/v1/job-ids", tag = "jobs", operation_id = "list_job_ids", params(IdsParams),
    responses((status = 200, description = "A page of at most 100,000 ids.", body = JobIds), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn ids(
    State(app): State<App>,
    Peer(caller): Peer,
    Params(params): Params<IdsParams>,
) -> Answer<Json<JobIds>> {
    let after = after(params.after.as_deref())?;
    let page = app.brain.read(move |view| {
        if params.all_users {
            Ok::<_, Failure>(id_page(view.queue.all_jobs(caller, after)?))
        } else {
            Ok(id_page(view.queue.own_jobs(caller.uid, after.map(|(_, id)| id))))
        }
    });
    Ok(Json(page.await??))
}

fn id_page<'a>(mut jobs: impl Iterator<Item = &'a Job>) -> JobIds {
    let mut page = JobIds { schema: SCHEMA, ids: Vec::new(), next: None };
    let mut last = None;
    for job in jobs.by_ref().take(IDS_MAX) {
        page.ids.push(job.id.to_string());
        last = Some((job.owner, job.id));
    }
    if jobs.next().is_some() {
        page.next = last.map(|(owner, id)| format!("{owner}-{id}"));
    }
    page
}

/// Reads the `next` of a page.
fn after(text: Option<&str>) -> Answer<Option<(Uid, JobId)>> {
    let Some(text) = text else { return Ok(None) };
    let parsed = text.split_once('-').and_then(|(uid, id)| Some((Uid(uid.parse().ok()?), id.parse().ok()?)));
    let invalid = || Refusal::new(h::E_INVALIDARG, "after is not the `next` of a page");
    parsed.map(Some).ok_or_else(invalid)
}

struct Filter {
    all_users: bool,
    states: Option<Vec<JobState>>,
    name: Option<String>,
    id_prefix: Option<String>,
    files: bool,
    limit: usize,
    after: Option<(Uid, JobId)>,
}

/// Files in one page of jobs (a job with more makes a page of its own), so that no answer grows without limit.
const FILES_PER_PAGE: usize = 2_000;
/// Jobs looked at for one page, so that a rare match in a long queue does not hold everybody up.
const LOOKED_AT_MAX: usize = 200_000;

impl Filter {
    fn of(params: &ListParams) -> Answer<Self> {
        let invalid = |what: &str| Refusal::new(h::E_INVALIDARG, what.to_owned());
        let states =
            params.state.as_deref().map(|text| text.split(',').map(str::parse).collect::<Result<_, _>>());
        let limit = params.limit.unwrap_or(PAGE_MAX);
        if limit == 0 || limit > PAGE_MAX {
            return Err(invalid("limit is not between 1 and 1,000"));
        }
        let after = after(params.after.as_deref())?;
        Ok(Self {
            all_users: params.all_users,
            states: states.transpose().map_err(|_| invalid("state names an unknown state"))?,
            name: params.name.clone(),
            id_prefix: params.id_prefix.as_deref().map(|p| p.trim_start_matches('{').to_ascii_lowercase()),
            files: params.files,
            limit,
            after,
        })
    }

    fn fits(&self, job: &Job) -> bool {
        self.states.as_ref().is_none_or(|states| states.contains(&job.state))
            && self.name.as_ref().is_none_or(|name| **name == *job.display_name)
            && self.id_prefix.as_ref().is_none_or(|prefix| job.id.to_string().starts_with(prefix.as_str()))
    }

    fn page(&self, view: View<'_>, caller: Caller) -> Result<JobPage, Failure> {
        let queue = view.queue;
        if self.all_users {
            Ok(self.collect(view, queue.all_jobs(caller, self.after)?))
        } else {
            Ok(self.collect(view, queue.own_jobs(caller.uid, self.after.map(|(_, id)| id))))
        }
    }

    fn collect<'a>(&self, view: View<'_>, jobs: impl Iterator<Item = &'a Job>) -> JobPage {
        let mut page = JobPage { schema: SCHEMA, jobs: Vec::new(), next: None };
        let mut last = None;
        let mut files = 0;
        for (looked_at, job) in jobs.enumerate() {
            if page.jobs.len() == self.limit || looked_at == LOOKED_AT_MAX {
                page.next = last;
                break;
            }
            let before = last.replace(format!("{}-{}", job.owner, job.id));
            if self.fits(job) {
                if self.files {
                    files += job.files.len();
                    if files > FILES_PER_PAGE && !page.jobs.is_empty() {
                        page.next = before;
                        break;
                    }
                }
                page.jobs.push(views::job(view.queue, job, self.files, view.clock));
            }
        }
        page
    }
}

/// Parameters of a single job.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct ShowParams {
    /// With its files.
    pub files: bool,
    /// Also a job that finished a short while ago, like a reference that is still held.
    pub held: bool,
}

/// One job.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "show_job", params(("id" = String, Path, description = "GUID"), ShowParams),
    responses((status = 200, description = "The job.", body = JobView), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Params(params): Params<ShowParams>,
) -> Answer<Json<JobView>> {
    let view = app.brain.read(move |view| {
        let job = if params.held { view.queue.held_job(caller, id)? } else { view.queue.job(caller, id)? };
        Ok::<_, HResult>(views::job(view.queue, job, params.files, view.clock))
    });
    Ok(Json(view.await??))
}

/// The files of a job.
#[utoipa::path(get, path = "/v1/jobs/{id}/files", tag = "jobs", operation_id = "list_files", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The files.", body = FileList), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn files(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<FileList>> {
    let files = app.brain.read(move |view| view.queue.held_job(caller, id).map(views::files)).await??;
    Ok(Json(FileList { schema: SCHEMA, files }))
}

/// Add files, all or none.
#[utoipa::path(post, path = "/v1/jobs/{id}/files", tag = "jobs", operation_id = "add_files", params(("id" = String, Path, description = "GUID")), request_body = AddFiles,
    responses((status = 200, description = "Added.", body = Outcome), (status = "4XX", description = "Refused; nothing was added.", body = Problem)))]
pub async fn add_files(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<AddFiles>,
) -> Answer<Json<Outcome>> {
    let files = intake::files(&app.vault, id, body.files)?;
    call(&app, caller, id, Call::AddFiles(files)).await
}

/// Set properties, all or none.
#[utoipa::path(patch, path = "/v1/jobs/{id}", tag = "jobs", operation_id = "set_properties", params(("id" = String, Path, description = "GUID")), request_body = SetProperties,
    responses((status = 200, description = "Stored.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn set(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<SetProperties>,
) -> Answer<Json<Outcome>> {
    let properties = properties(&app.vault, id, body)?;
    call(&app, caller, id, Call::Set(properties)).await
}

pub(super) async fn call(app: &App, caller: Caller, id: JobId, call: Call) -> Answer<Json<Outcome>> {
    Ok(Json(outcome(app.brain.call(caller, id, call).await?)))
}

macro_rules! plain_call {
    ($name:ident, $path:literal, $operation:literal, $call:expr, $doc:literal) => {
        #[doc = $doc]
        #[utoipa::path(post, path = $path, tag = "jobs", operation_id = $operation, params(("id" = String, Path, description = "GUID")),
            responses((status = 200, description = "Done.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
        pub async fn $name(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<Outcome>> {
            call(&app, caller, id, $call).await
        }
    };
}

plain_call!(resume, "/v1/jobs/{id}/resume", "resume_job", Call::Resume, "Resume: let the job run.");
plain_call!(
    suspend,
    "/v1/jobs/{id}/suspend",
    "suspend_job",
    Call::Suspend,
    "Suspend: after the answer no byte of the job is written."
);
plain_call!(
    cancel,
    "/v1/jobs/{id}/cancel",
    "cancel_job",
    Call::Cancel,
    "Cancel: remove the job and its temporary files."
);
plain_call!(
    complete,
    "/v1/jobs/{id}/complete",
    "complete_job",
    Call::Complete,
    "Complete: put the finished files in place and remove the job."
);
plain_call!(
    take_ownership,
    "/v1/jobs/{id}/take-ownership",
    "take_ownership",
    Call::TakeOwnership,
    "Take ownership (root only)."
);

/// The whole reply of an upload-reply job (GetReplyData): at most 1 MiB, when it is TRANSFERRED or was completed a short while ago.
#[utoipa::path(get, path = "/v1/jobs/{id}/reply", tag = "jobs", operation_id = "get_reply", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The bytes; none if the server gave no reply.", body = [u8], content_type = "application/octet-stream"), (status = "4XX", description = "Refused, not there yet, or too large.", body = Problem)))]
pub async fn reply(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<impl axum::response::IntoResponse> {
    let bytes = app.brain.reply(caller, id).await?;
    Ok(([(http::header::CONTENT_TYPE, "application/octet-stream")], bytes))
}

/// Error of the last attempt.
#[utoipa::path(get, path = "/v1/jobs/{id}/error", tag = "jobs", operation_id = "get_error", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The error.", body = ErrorView), (status = "4XX", description = "There is none, or refused.", body = Problem)))]
pub async fn error(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<ErrorView>> {
    let view = app.brain.read(move |view| {
        let job = view.queue.held_job(caller, id)?;
        job.get_error().map(views::error_view)
    });
    Ok(Json(view.await??))
}

/// Why the job does not move.
#[utoipa::path(get, path = "/v1/jobs/{id}/why", tag = "jobs", operation_id = "why", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The reason.", body = Why), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn why(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<Why>> {
    let why = app.brain.read(move |view| {
        let job = view.queue.held_job(caller, id)?;
        let mut why = views::why(view.queue, job, view.clock).ok_or(h::BG_E_NOT_FOUND)?;
        crate::policy::views::correct_why(&mut why, &view, job);
        Ok::<_, HResult>(why)
    });
    Ok(Json(why.await??))
}
