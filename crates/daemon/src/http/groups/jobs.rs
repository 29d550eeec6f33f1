//! The job of a group: IBackgroundCopyJob1 (spec/qmgr-legacy.md 6).

use super::super::App;
use super::super::extract::{Answer, Body, Params, Peer, Refusal};
use super::{EnumParams, GroupId, ProgressParams, given, guid, job_view, variable};
use crate::secrets::intake;
use axum::Json;
use axum::extract::{FromRequestParts, State};
use http::StatusCode;
use http::request::Parts;
use openbits_api::{
    AddFile, AddGroupFiles, CreateGroupJob, GROUP_FILES_MAX, GroupDone, GroupFile, GroupIds, GroupJobView,
    GroupProgress, Problem, SCHEMA,
};
use openbits_core::group::{self, Group, GroupCall};
use openbits_core::hresult as h;
use openbits_core::queue::{Call, Failure};
use openbits_core::{Caller, JobId};

/// The `{id}` and `{job}` of a path.
#[derive(Clone, Copy, Debug)]
pub struct JobAt(pub JobId, pub JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobAt {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let GroupId(id) = GroupId::from_request_parts(parts, state).await?;
        Ok(Self(id, guid(&variable(parts, state, "job").await)?))
    }
}

/// And the `{file}`.
#[derive(Clone, Copy, Debug)]
pub struct FileAt(pub JobAt, pub u32);

impl<S: Send + Sync> FromRequestParts<S> for FileAt {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let job = JobAt::from_request_parts(parts, state).await?;
        let number = variable(parts, state, "file").await.parse();
        let file = number.map_err(|_| Refusal::new(h::QM_E_ITEM_NOT_FOUND, "not the number of a file"))?;
        Ok(Self(job, file))
    }
}

impl App {
    /// Looks at the job of a group.
    async fn read_job<T: Send + 'static>(
        &self,
        caller: Caller,
        JobAt(id, job): JobAt,
        look: impl FnOnce(Group<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<T> {
        let missing = move |code| Failure::new(code, format!("the group has no job {job}"));
        self.read_group(caller, id, move |group| group.job(job).map_err(missing).and_then(look)).await
    }
}

/// EnumJobs: one id, or none before CreateJob.
#[utoipa::path(get, path = "/v1/groups/{id}/jobs", tag = "groups", operation_id = "list_group_jobs", params(("id" = String, Path, description = "GUID"), EnumParams),
    responses((status = 200, description = "The id of its job.", body = GroupIds), (status = "4XX", description = "Refused; E_NOTIMPL for flags.", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
    Params(params): Params<EnumParams>,
) -> Answer<Json<GroupIds>> {
    group::check_flags(params.flags)?;
    let job = app.read_group(caller, id, |group| Ok(group.job_id())).await?;
    Ok(Json(GroupIds { schema: SCHEMA, ids: job.iter().map(JobId::to_string).collect() }))
}

/// CreateJob: the one job of a group that does not run.
#[utoipa::path(post, path = "/v1/groups/{id}/jobs", tag = "groups", operation_id = "create_group_job", params(("id" = String, Path, description = "GUID")), request_body = CreateGroupJob,
    responses((status = 201, description = "The job.", body = GroupJobView), (status = "4XX", description = "Refused; QM_E_INVALID_STATE while the group runs, E_NOTIMPL for a second job, E_INVALIDARG if the id is taken.", body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
    Body(body): Body<CreateGroupJob>,
) -> Answer<(StatusCode, Json<GroupJobView>)> {
    let job = given(&body.id)?;
    app.change_group(caller, id, Call::Group(GroupCall::CreateJob(job))).await?;
    let view = show(State(app), Peer(caller), JobAt(id, job)).await?;
    Ok((StatusCode::CREATED, view))
}

/// GetJob, with what GetStatus and GetFileCount tell.
#[utoipa::path(get, path = "/v1/groups/{id}/jobs/{job}", tag = "groups", operation_id = "show_group_job",
    params(("id" = String, Path, description = "GUID"), ("job" = String, Path, description = "GUID of its job")),
    responses((status = 200, description = "The job.", body = GroupJobView), (status = "4XX", description = "Refused; QM_E_ITEM_NOT_FOUND for another id.", body = Problem)))]
pub async fn show(State(app): State<App>, Peer(caller): Peer, at: JobAt) -> Answer<Json<GroupJobView>> {
    app.read_job(caller, at, move |group| Ok(job_view(group, at.1))).await.map(Json)
}

/// GetProgress of the job: the same as that of its group.
#[utoipa::path(get, path = "/v1/groups/{id}/jobs/{job}/progress", tag = "groups", operation_id = "group_job_progress",
    params(("id" = String, Path, description = "GUID"), ("job" = String, Path, description = "GUID of its job"), ProgressParams),
    responses((status = 200, description = "Percent or bytes.", body = GroupProgress), (status = "4XX", description = "Refused; E_NOTIMPL for time.", body = Problem)))]
pub async fn progress(
    State(app): State<App>,
    Peer(caller): Peer,
    at: JobAt,
    Params(params): Params<ProgressParams>,
) -> Answer<Json<GroupProgress>> {
    let value = app.read_job(caller, at, move |group| Ok(group.progress(params.kind)?)).await?;
    Ok(Json(GroupProgress { value }))
}

/// AddFiles, all or none; also while the group runs.
#[utoipa::path(post, path = "/v1/groups/{id}/jobs/{job}/files", tag = "groups", operation_id = "add_group_files",
    params(("id" = String, Path, description = "GUID"), ("job" = String, Path, description = "GUID of its job")), request_body = AddGroupFiles,
    responses((status = 200, description = "Added.", body = GroupDone), (status = "4XX", description = "Refused; nothing was added.", body = Problem)))]
pub async fn add_files(
    State(app): State<App>,
    Peer(caller): Peer,
    at: JobAt,
    Body(body): Body<AddGroupFiles>,
) -> Answer<Json<GroupDone>> {
    app.read_job(caller, at, |_| Ok(())).await?;
    if body.files.len() > GROUP_FILES_MAX {
        return Err(Refusal::new(h::E_INVALIDARG, format!("more than {GROUP_FILES_MAX} files in one call")));
    }
    group::check_files(body.files.iter().map(|file| file.local_name.as_str())).map_err(|code| {
        Refusal::new(code, "no file, or a local name that is no full path of at most 260 characters")
    })?;
    let modern = |file: GroupFile| AddFile {
        remote_name: file.remote_name,
        local_name: file.local_name,
        ..AddFile::default()
    };
    let files = intake::files(&app.vault, at.0, body.files.into_iter().map(modern).collect())?;
    app.call_group(caller, at.0, Call::AddFiles(files)).await
}

/// GetFile.
#[utoipa::path(get, path = "/v1/groups/{id}/jobs/{job}/files/{file}", tag = "groups", operation_id = "show_group_file",
    params(("id" = String, Path, description = "GUID"), ("job" = String, Path, description = "GUID of its job"), ("file" = u32, Path, description = "From 0")),
    responses((status = 200, description = "The file.", body = GroupFile), (status = "4XX", description = "Refused; QM_E_ITEM_NOT_FOUND from the number of files on.", body = Problem)))]
pub async fn file(
    State(app): State<App>,
    Peer(caller): Peer,
    FileAt(at, index): FileAt,
) -> Answer<Json<GroupFile>> {
    let found = app.read_job(caller, at, move |group| {
        let missing = |code| Failure::new(code, format!("the job has no file {index}"));
        let file = group.file(index).map_err(missing)?;
        Ok(GroupFile {
            remote_name: file.remote.to_string(),
            local_name: file.local.to_string(),
            size_hint: 0,
        })
    });
    found.await.map(Json)
}

/// CancelJob: never implemented.
#[utoipa::path(post, path = "/v1/groups/{id}/jobs/{job}/cancel", tag = "groups", operation_id = "cancel_group_job",
    params(("id" = String, Path, description = "GUID"), ("job" = String, Path, description = "GUID of its job")),
    responses((status = "4XX", description = "E_NOTIMPL; cancel the group.", body = Problem)))]
pub async fn cancel(State(app): State<App>, Peer(caller): Peer, at: JobAt) -> Answer<Json<GroupDone>> {
    refuse(&app, caller, at, "the job of a group is not cancelled by itself; cancel the group").await
}

/// SwitchToForeground of the job: never implemented.
#[utoipa::path(post, path = "/v1/groups/{id}/jobs/{job}/switch-to-foreground", tag = "groups", operation_id = "switch_group_job_to_foreground",
    params(("id" = String, Path, description = "GUID"), ("job" = String, Path, description = "GUID of its job")),
    responses((status = "4XX", description = "E_NOTIMPL; switch the group.", body = Problem)))]
pub async fn switch_to_foreground(
    State(app): State<App>,
    Peer(caller): Peer,
    at: JobAt,
) -> Answer<Json<GroupDone>> {
    refuse(&app, caller, at, "the job of a group has no priority of its own; switch the group").await
}

async fn refuse(app: &App, caller: Caller, at: JobAt, detail: &str) -> Answer<Json<GroupDone>> {
    app.read_job(caller, at, |_| Ok(())).await?;
    Err(Refusal::new(h::E_NOTIMPL, detail))
}
