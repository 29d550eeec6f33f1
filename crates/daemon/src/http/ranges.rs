//! Ranges of files: what they consist of, what of them is there, what is wanted first.

use super::App;
use super::extract::{Answer, Body, FileAt, Peer};
use super::jobs::call;
use axum::Json;
use axum::extract::State;
use openbits_api::{DownloadPosition, Outcome, Problem, RangeList, RangeView, RequestRanges, SCHEMA};
use openbits_core::FileRange;
use openbits_core::hresult::{S_FALSE, S_OK};
use openbits_core::layout::LENGTH_TO_EOF;
use openbits_core::queue::Call;

/// Ranges of a request as the queue takes them.
pub fn given(ranges: Vec<RangeView>) -> Vec<FileRange> {
    ranges.into_iter().map(|r| FileRange::new(r.offset, r.length.unwrap_or(LENGTH_TO_EOF))).collect()
}

/// Ranges as the API shows them.
pub fn shown(ranges: &[FileRange]) -> Vec<RangeView> {
    let view = |r: &FileRange| RangeView { offset: r.offset, length: (!r.is_to_end()).then_some(r.length) };
    ranges.iter().map(view).collect()
}

fn list(code: openbits_core::HResult, ranges: &[FileRange]) -> RangeList {
    let name = openbits_api::error::name(code);
    RangeList { schema: SCHEMA, hresult: code.to_string(), name, ranges: shown(ranges) }
}

/// GetFileRanges: the ranges that a file was added with, in their order. S_FALSE and none for a file without ranges.
#[utoipa::path(get, path = "/v1/jobs/{id}/files/{file}/ranges", tag = "files", operation_id = "get_file_ranges",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0")),
    responses((status = 200, description = "The ranges.", body = RangeList), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn ranges(
    State(app): State<App>,
    Peer(caller): Peer,
    FileAt(id, file): FileAt,
) -> Answer<Json<RangeList>> {
    let answer = app.brain.read(move |view| {
        let ranges = view.queue.held_job(caller, id)?.file_ranges(file)?;
        Ok::<_, openbits_core::HResult>(list(if ranges.is_empty() { S_FALSE } else { S_OK }, ranges))
    });
    Ok(Json(answer.await??))
}

/// GetFilledFileRanges: what of a file is there, in ascending order.
#[utoipa::path(get, path = "/v1/jobs/{id}/files/{file}/filled", tag = "files", operation_id = "get_filled_file_ranges",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0")),
    responses((status = 200, description = "The ranges.", body = RangeList), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn filled(
    State(app): State<App>,
    Peer(caller): Peer,
    FileAt(id, file): FileAt,
) -> Answer<Json<RangeList>> {
    let answer = app.brain.read(move |view| {
        let filled = view.queue.held_job(caller, id)?.filled_ranges(file)?;
        Ok::<_, openbits_core::HResult>(list(S_OK, &filled))
    });
    Ok(Json(answer.await??))
}

/// RequestFileRanges: fetch these before everything else. In ON_DEMAND_MODE nothing else is fetched; a job that is SUSPENDED has to be
/// resumed.
#[utoipa::path(post, path = "/v1/jobs/{id}/files/{file}/requests", tag = "files", operation_id = "request_file_ranges",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0")), request_body = RequestRanges,
    responses((status = 200, description = "Noted.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn request(
    State(app): State<App>,
    Peer(caller): Peer,
    FileAt(id, file): FileAt,
    Body(body): Body<RequestRanges>,
) -> Answer<Json<Outcome>> {
    call(&app, caller, id, Call::RequestRanges(file, given(body.ranges))).await
}

/// UpdateDownloadPosition: fetch what is missing from here on, then from the front.
#[utoipa::path(post, path = "/v1/jobs/{id}/files/{file}/position", tag = "files", operation_id = "update_download_position",
    params(("id" = String, Path, description = "GUID"), ("file" = u32, Path, description = "Position in the file list, from 0")), request_body = DownloadPosition,
    responses((status = 200, description = "Noted.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn position(
    State(app): State<App>,
    Peer(caller): Peer,
    FileAt(id, file): FileAt,
    Body(body): Body<DownloadPosition>,
) -> Answer<Json<Outcome>> {
    call(&app, caller, id, Call::UpdatePosition(file, body.offset)).await
}
