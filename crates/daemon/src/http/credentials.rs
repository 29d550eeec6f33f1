//! SetCredentials and RemoveCredentials (spec/bits-core.md 5.2, slots 41 and 42).

use super::App;
use super::extract::{Answer, Body, Id, Peer};
use super::jobs::call;
use crate::secrets::intake;
use axum::Json;
use axum::extract::{Path, State};
use openbits_api::{Outcome, Problem, SetCredentials};
use openbits_core::queue::Call;
use openbits_core::{AuthScheme, AuthTarget, JobId};

/// A name or a number; what is neither becomes a value that the job refuses with the code of its kind.
fn value<T: std::str::FromStr>(text: &str, number: impl Fn(T) -> u8) -> i64 {
    text.parse::<T>().map_or_else(|_| text.parse().unwrap_or(0), |value| i64::from(number(value)))
}

fn target(text: &str) -> i64 {
    value(text, AuthTarget::value)
}

fn scheme(text: &str) -> i64 {
    value(text, AuthScheme::value)
}

/// Set the credentials of one target and scheme.
#[utoipa::path(put, path = "/v1/jobs/{id}/credentials", tag = "jobs", operation_id = "set_credentials", params(("id" = String, Path, description = "GUID")), request_body = SetCredentials,
    responses((status = 200, description = "Stored, sealed.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn set(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<SetCredentials>,
) -> Answer<Json<Outcome>> {
    let slot = (target(&body.target), scheme(&body.scheme));
    let credential = intake::credential(&app.vault, id, slot, body.user, body.password)?;
    call(&app, caller, id, Call::SetCredentials(credential)).await
}

/// Remove the credentials of one target and scheme. `S_FALSE` if there are none.
#[utoipa::path(delete, path = "/v1/jobs/{id}/credentials/{target}/{scheme}", tag = "jobs", operation_id = "remove_credentials",
    params(("id" = String, Path, description = "GUID"), ("target" = String, Path, description = "SERVER or PROXY"), ("scheme" = String, Path, description = "BASIC, DIGEST, NTLM, NEGOTIATE or PASSPORT")),
    responses((status = 200, description = "Removed, or there was none.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn remove(
    State(app): State<App>,
    Peer(caller): Peer,
    Path((id, t, s)): Path<(String, String, String)>,
) -> Answer<Json<Outcome>> {
    let id: JobId = id.parse().map_err(|_| openbits_core::hresult::BG_E_NOT_FOUND)?;
    call(&app, caller, id, Call::RemoveCredentials { target: target(&t), scheme: scheme(&s) }).await
}
