//! Groups of the first generation: IBackgroundCopyQMgr and IBackgroundCopyGroup (spec/qmgr-legacy.md 4 and 5).
//!
//! What a group is, is `openbits_core::group`'s; here calls are read, and codes of the modern job become those of groups.

#[allow(unused_qualifications, reason = "the path macro qualifies")]
pub mod jobs;

use super::App;
use super::extract::{Answer, Body, Params, Peer, Refusal};
use super::jobs::{environment, fresh_id};
use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams, State};
use http::StatusCode;
use http::request::Parts;
use openbits_api::{
    CreateGroup, GroupDone, GroupIds, GroupJobView, GroupProgress, GroupView, Problem, SCHEMA, VariantView,
};
use openbits_core::enums::notify;
use openbits_core::group::{self, Group, GroupCall, GroupData, Variant, VariantValue};
use openbits_core::hresult as h;
use openbits_core::job::property::Property;
use openbits_core::job::{Dialect, Extras};
use openbits_core::queue::{Call, Failure, NewJob};
use openbits_core::{Caller, JobId, JobType, Priority};
use serde::Deserialize;
use utoipa::IntoParams;

/// The `{id}` of a path, and `{job}` or `{number}` if there is one.
#[derive(Clone, Copy, Debug)]
pub struct GroupId(pub JobId);

impl<S: Send + Sync> FromRequestParts<S> for GroupId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = variable(parts, state, "id").await;
        guid(&text).map(Self)
    }
}

/// A variable of the path; empty if it has none.
pub(super) async fn variable<S: Send + Sync>(parts: &mut Parts, state: &S, wanted: &str) -> String {
    let path = RawPathParams::from_request_parts(parts, state).await;
    path.ok()
        .and_then(|path| path.iter().find(|(name, _)| *name == wanted).map(|(_, v)| v.to_owned()))
        .unwrap_or_default()
}

pub(super) fn guid(text: &str) -> Answer<JobId> {
    let shown: String = text.chars().take(64).collect();
    text.parse().map_err(|_| Refusal::new(h::QM_E_ITEM_NOT_FOUND, format!("{shown:?} is not a GUID")))
}

/// GUID in a body: whatever is no GUID is a bad argument.
pub(super) fn given(text: &str) -> Answer<JobId> {
    let shown: String = text.chars().take(64).collect();
    text.parse().map_err(|_| Refusal::new(h::E_INVALIDARG, format!("{shown:?} is not a GUID")))
}

/// Flags of an enumeration.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct EnumParams {
    /// Must be 0.
    pub flags: u32,
}

/// Which progress.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ProgressParams {
    /// QM_PROGRESS value: 1 percent, 3 bytes.
    pub kind: u32,
}

impl App {
    /// A failure in codes of the first generation: whether the service ends or has no worker for the owner is told apart
    /// (spec/qmgr-legacy.md 12, 15).
    pub(super) fn group_refusal(&self, failure: Failure) -> Refusal {
        let code = match failure.code {
            h::RPC_E_DISCONNECTED if *self.closing.borrow() => h::QM_E_SERVICE_UNAVAILABLE,
            h::RPC_E_DISCONNECTED => h::QM_E_DOWNLOADER_UNAVAILABLE,
            code => group::code(code),
        };
        Refusal::new(code, failure.detail)
    }

    /// Looks at a group that somebody still holds.
    pub(super) async fn read_group<T: Send + 'static>(
        &self,
        caller: Caller,
        id: JobId,
        look: impl FnOnce(Group<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<T> {
        let found = self.brain.read(move |view| view.queue.group(caller, id).and_then(look)).await;
        found.and_then(|inner| inner).map_err(|failure| self.group_refusal(failure))
    }

    /// A call; every success is S_OK to this generation.
    pub(super) async fn call_group(&self, caller: Caller, id: JobId, call: Call) -> Answer<Json<GroupDone>> {
        self.change_group(caller, id, call).await?;
        Ok(Json(GroupDone { hresult: h::S_OK.to_string(), name: "S_OK".to_owned() }))
    }

    /// The same, of which something else is to be told.
    pub(super) async fn change_group(&self, caller: Caller, id: JobId, call: Call) -> Answer<()> {
        let called = self.brain.call(caller, id, call).await;
        called.map(drop).map_err(|failure| self.group_refusal(failure))
    }
}

fn view(group: Group<'_>) -> GroupView {
    let job = group.modern();
    GroupView {
        schema: SCHEMA,
        id: job.id.to_string(),
        owner_uid: job.owner.0,
        state: job.state,
        status: group.status(),
        job_index: 0,
        size: group.size(),
        job: group.job_id().map(|id| job_view(group, id)),
    }
}

pub(super) fn job_view(group: Group<'_>, id: JobId) -> GroupJobView {
    let error = group.error();
    GroupJobView {
        id: id.to_string(),
        status: group.job_status(),
        win32_result: error.win32,
        transport_result: error.transport,
        retries: error.retries,
        files: group.modern().progress().files_total,
    }
}

fn variant(view: VariantView) -> Variant {
    let value = match (view.number, view.text) {
        (Some(number), None) => VariantValue::Number(number),
        (None, Some(text)) => VariantValue::Text(text),
        _ => VariantValue::Other,
    };
    Variant { vt: view.vt, value }
}

fn variant_view(variant: Variant) -> VariantView {
    let (number, text) = match variant.value {
        VariantValue::Number(number) => (Some(number), None),
        VariantValue::Text(text) => (None, Some(text)),
        VariantValue::Other => (None, None),
    };
    VariantView { vt: variant.vt, number, text }
}

/// CreateGroup: an empty, suspended group under the caller's id.
#[utoipa::path(post, path = "/v1/groups", tag = "groups", operation_id = "create_group", request_body = CreateGroup,
    responses((status = 201, description = "The group, durable.", body = GroupView), (status = "4XX", description = "Refused; E_INVALIDARG if the id is taken.", body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Peer(caller): Peer,
    Body(body): Body<CreateGroup>,
) -> Answer<(StatusCode, Json<GroupView>)> {
    let id = given(&body.id)?;
    // Only errors are told, unless the caller asks for more.
    let mut properties = vec![Property::NotifyFlags(notify::JOB_ERROR)];
    let environment_proxy = environment(&app, id, body.environment_proxy, &mut properties)?;
    let new = NewJob {
        id,
        display_name: String::new(),
        kind: JobType::Download,
        properties,
        files: Vec::new(),
        resume: false,
        extras: Extras {
            dialect: Dialect::Group,
            group: Some(Box::new(GroupData { seed: Some(fresh_id()?), ..GroupData::default() })),
            environment_proxy,
            ..Extras::NONE
        },
        delivery: None,
        download: None,
    };
    app.brain.create(caller, new).await.map_err(|failure| app.group_refusal(failure))?;
    let view = app.read_group(caller, id, |group| Ok(view(group))).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// EnumGroups: the caller's groups; everybody's for root.
#[utoipa::path(get, path = "/v1/groups", tag = "groups", operation_id = "list_groups", params(EnumParams),
    responses((status = 200, description = "Their ids.", body = GroupIds), (status = "4XX", description = "Refused; E_NOTIMPL for flags.", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Peer(caller): Peer,
    Params(params): Params<EnumParams>,
) -> Answer<Json<GroupIds>> {
    group::check_flags(params.flags)?;
    let ids = app.brain.read(move |view| view.queue.groups(caller)).await;
    let ids = ids.map_err(|failure| app.group_refusal(failure))?;
    Ok(Json(GroupIds { schema: SCHEMA, ids: ids.iter().map(JobId::to_string).collect() }))
}

/// The group as it is; its owner stays.
#[utoipa::path(get, path = "/v1/groups/{id}", tag = "groups", operation_id = "show_group", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The group.", body = GroupView), (status = "4XX", description = "Refused; QM_E_INVALID_STATE if it was removed a short while ago.", body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
) -> Answer<Json<GroupView>> {
    app.read_group(caller, id, |group| Ok(view(group))).await.map(Json)
}

/// GetGroup: root becomes the owner of somebody else's group.
#[utoipa::path(post, path = "/v1/groups/{id}/get", tag = "groups", operation_id = "get_group", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The group, now the caller's.", body = GroupView), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn get(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
) -> Answer<Json<GroupView>> {
    let owner = app
        .brain
        .read(move |view| view.queue.find_group(caller, id).map(|group| group.modern().owner))
        .await
        .and_then(|inner| inner)
        .map_err(|failure| app.group_refusal(failure))?;
    if owner != caller.uid {
        app.change_group(caller, id, Call::TakeOwnership).await?;
    }
    show(State(app), Peer(caller), GroupId(id)).await
}

/// GetProgress of the group.
#[utoipa::path(get, path = "/v1/groups/{id}/progress", tag = "groups", operation_id = "group_progress", params(("id" = String, Path, description = "GUID"), ProgressParams),
    responses((status = 200, description = "Percent or bytes.", body = GroupProgress), (status = "4XX", description = "Refused; E_NOTIMPL for time.", body = Problem)))]
pub async fn progress(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
    Params(params): Params<ProgressParams>,
) -> Answer<Json<GroupProgress>> {
    let value = app.read_group(caller, id, move |group| Ok(group.progress(params.kind)?)).await?;
    Ok(Json(GroupProgress { value }))
}

/// The `{id}` and `{number}` of a path.
#[derive(Clone, Copy, Debug)]
pub struct PropertyAt(pub JobId, pub u32);

impl<S: Send + Sync> FromRequestParts<S> for PropertyAt {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let GroupId(id) = GroupId::from_request_parts(parts, state).await?;
        let text = variable(parts, state, "number").await;
        let number = text.parse().map_err(|_| Refusal::new(h::E_NOTIMPL, "not the number of a property"))?;
        Ok(Self(id, number))
    }
}

/// GetProp.
#[utoipa::path(get, path = "/v1/groups/{id}/properties/{number}", tag = "groups", operation_id = "get_group_property",
    params(("id" = String, Path, description = "GUID"), ("number" = u32, Path, description = "GROUPPROP")),
    responses((status = 200, description = "The value.", body = VariantView), (status = "4XX", description = "Refused; E_NOTIMPL for a property that groups do not have.", body = Problem)))]
pub async fn property(
    State(app): State<App>,
    Peer(caller): Peer,
    PropertyAt(id, number): PropertyAt,
) -> Answer<Json<VariantView>> {
    let value = app.read_group(caller, id, move |group| Ok(group.property(number)?)).await?;
    Ok(Json(variant_view(value)))
}

/// SetProp.
#[utoipa::path(put, path = "/v1/groups/{id}/properties/{number}", tag = "groups", operation_id = "set_group_property",
    params(("id" = String, Path, description = "GUID"), ("number" = u32, Path, description = "GROUPPROP")), request_body = VariantView,
    responses((status = 200, description = "Stored.", body = GroupDone), (status = "4XX", description = "Refused; E_INVALIDARG for a wrong type or value.", body = Problem)))]
pub async fn set_property(
    State(app): State<App>,
    Peer(caller): Peer,
    PropertyAt(id, number): PropertyAt,
    Body(body): Body<VariantView>,
) -> Answer<Json<GroupDone>> {
    app.call_group(caller, id, Call::Group(GroupCall::SetProperty(number, variant(body)))).await
}

/// ResumeGroup: starts a suspended group, and tries one in error again.
#[utoipa::path(post, path = "/v1/groups/{id}/resume", tag = "groups", operation_id = "resume_group", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Done.", body = GroupDone), (status = "4XX", description = "Refused; QM_E_INVALID_STATE without a job or without files.", body = Problem)))]
pub async fn resume(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
) -> Answer<Json<GroupDone>> {
    let empty = |code| Failure::new(code, "the group has no job, or no files");
    app.read_group(caller, id, move |group| group.may_resume().map_err(empty)).await?;
    app.call_group(caller, id, Call::Resume).await
}

/// SuspendGroup.
#[utoipa::path(post, path = "/v1/groups/{id}/suspend", tag = "groups", operation_id = "suspend_group", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Done.", body = GroupDone), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn suspend(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
) -> Answer<Json<GroupDone>> {
    app.read_group(caller, id, |_| Ok(())).await?;
    app.call_group(caller, id, Call::Suspend).await
}

/// CancelGroup: removes the group; files that have all their data are put in place first.
#[utoipa::path(post, path = "/v1/groups/{id}/cancel", tag = "groups", operation_id = "cancel_group", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The group is gone, and its id free.", body = GroupDone), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn cancel(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
) -> Answer<Json<GroupDone>> {
    app.call_group(caller, id, Call::Group(GroupCall::Cancel)).await
}

/// SwitchToForeground of the group; there is no way back here.
#[utoipa::path(post, path = "/v1/groups/{id}/switch-to-foreground", tag = "groups", operation_id = "switch_group_to_foreground", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Done.", body = GroupDone), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn switch_to_foreground(
    State(app): State<App>,
    Peer(caller): Peer,
    GroupId(id): GroupId,
) -> Answer<Json<GroupDone>> {
    app.read_group(caller, id, |_| Ok(())).await?;
    let priority = i64::from(Priority::Foreground.value());
    app.call_group(caller, id, Call::Set(vec![Property::Priority(priority)])).await
}
