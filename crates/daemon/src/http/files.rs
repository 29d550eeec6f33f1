//! One file of a job: IBackgroundCopyFile2, 3 and 5 (spec/bits-extended.md 7).

use super::App;
use super::extract::{Answer, Body, Id, Peer, Refusal};
use super::jobs::call;
use crate::secrets::intake;
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use openbits_api::{
    FileProperty, FileView, Outcome, Problem, ReplacePrefix, SetFile, SetRemoteName, SetValidation,
};
use openbits_core::hresult::{self as h, HResult};
use openbits_core::job::{File, FileChange};
use openbits_core::queue::Call;
use openbits_core::secret::split_login;
use openbits_core::{Caller, Job, JobId};

/// `BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS`, the only property of files.
const HEADERS: &str = "1";

/// The `{index}` of a path; what is no number is no file of any job.
fn index(text: &str) -> u32 {
    text.parse().unwrap_or(u32::MAX)
}

fn file(job: &Job, index: u32) -> Result<&File, HResult> {
    job.files.get(index as usize).ok_or(h::BG_E_FILE_NOT_FOUND)
}

/// One file.
#[utoipa::path(get, path = "/v1/jobs/{id}/files/{file}", tag = "jobs", operation_id = "show_file",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0")),
    responses((status = 200, description = "The file.", body = FileView), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Path((_, position)): Path<(String, String)>,
) -> Answer<Json<FileView>> {
    let position = index(&position);
    let view = app.brain.read(move |view| {
        let job = view.queue.held_job(caller, id)?;
        file(job, position).map(|file| views::file(job, position, file))
    });
    Ok(Json(view.await??))
}

/// Properties of a file of a Delivery Optimization job, before it is fetched.
#[utoipa::path(patch, path = "/v1/jobs/{id}/files/{file}", tag = "jobs", operation_id = "set_file",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0")), request_body = SetFile,
    responses((status = 200, description = "Stored.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn set(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Path((_, position)): Path<(String, String)>,
    Body(body): Body<SetFile>,
) -> Answer<Json<Outcome>> {
    let change = FileChange {
        path: body.local_name,
        size: body.size,
        info: body.integrity_check_info,
        mandatory: body.integrity_check_mandatory,
    };
    call(&app, caller, id, Call::SetFile { file: index(&position), change }).await
}

/// SetRemoteName: the file goes on at its position if the new server has the same size and date.
#[utoipa::path(put, path = "/v1/jobs/{id}/files/{file}/remote-name", tag = "jobs", operation_id = "set_remote_name",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0")), request_body = SetRemoteName,
    responses((status = 200, description = "Stored.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn set_remote_name(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Path((_, position)): Path<(String, String)>,
    Body(body): Body<SetRemoteName>,
) -> Answer<Json<Outcome>> {
    let (name, login) = intake::remote(&app.vault, id, &body.remote_name)?;
    call(&app, caller, id, Call::SetRemoteName { file: index(&position), name, login }).await
}

/// SetValidationState: false sends the job to ERROR, and after a resume the file is fetched again.
#[utoipa::path(put, path = "/v1/jobs/{id}/files/{file}/validation", tag = "jobs", operation_id = "set_validation_state",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0")), request_body = SetValidation,
    responses((status = 200, description = "Stored.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn set_validation(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Path((_, position)): Path<(String, String)>,
    Body(body): Body<SetValidation>,
) -> Answer<Json<Outcome>> {
    call(&app, caller, id, Call::SetValidationState { file: index(&position), valid: body.valid }).await
}

/// A property of a file by its number: 1 are the headers of the last HTTP answer.
#[utoipa::path(get, path = "/v1/jobs/{id}/files/{file}/properties/{number}", tag = "jobs", operation_id = "get_file_property",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0"), ("number" = u32, Path, description = "BITS_FILE_PROPERTY_ID")),
    responses((status = 200, description = "The value.", body = FileProperty), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn property(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Path((_, position, number)): Path<(String, String, String)>,
) -> Answer<Json<FileProperty>> {
    let view = app.brain.read(move |view| {
        let file = file(view.queue.held_job(caller, id)?, index(&position))?;
        if number != HEADERS {
            return Err(h::BG_E_UNKNOWN_PROPERTY_ID);
        }
        let value = file.headers.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(FileProperty { id: 1, name: "BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS".to_owned(), value })
    });
    Ok(Json(view.await??))
}

/// There is no property of a file that can be set.
#[utoipa::path(put, path = "/v1/jobs/{id}/files/{file}/properties/{number}", tag = "jobs", operation_id = "set_file_property",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0"), ("number" = u32, Path, description = "BITS_FILE_PROPERTY_ID")),
    responses((status = "4XX", description = "Refused.", body = Problem)))]
pub async fn set_property(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Path((_, position, number)): Path<(String, String, String)>,
) -> Answer<Json<Outcome>> {
    reachable(&app, caller, id, index(&position)).await?;
    Err(if number == HEADERS { h::BG_E_READ_ONLY_PROPERTY } else { h::BG_E_UNKNOWN_PROPERTY_ID }.into())
}

async fn reachable(app: &App, caller: Caller, id: JobId, position: u32) -> Answer<()> {
    let found = app.brain.read(move |view| file(view.queue.held_job(caller, id)?, position).map(|_| ()));
    Ok(found.await??)
}

/// ReplaceRemotePrefix: all names that begin so, or none; S_FALSE if no name does.
#[utoipa::path(post, path = "/v1/jobs/{id}/replace-remote-prefix", tag = "jobs", operation_id = "replace_remote_prefix",
    params(("id" = String, Path, description = "GUID")), request_body = ReplacePrefix,
    responses((status = 200, description = "Stored, or S_FALSE.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn replace_prefix(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<ReplacePrefix>,
) -> Answer<Json<Outcome>> {
    // Names are kept without users and passwords; new ones need a whole server name, which they are sealed for.
    let (old, _) = split_login(&body.old);
    let (new, login) = intake::remote(&app.vault, id, &body.new)?;
    let whole = new.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if login.is_some() && !whole {
        let text = "a user or password needs the whole server name and a slash after it";
        return Err(Refusal::new(h::E_INVALIDARG, text));
    }
    call(&app, caller, id, Call::ReplaceRemotePrefix { old, new, login }).await
}
