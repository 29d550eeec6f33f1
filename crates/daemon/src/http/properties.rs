//! The numbered properties of a job (spec/bits-extended.md 6).

use super::App;
use super::extract::{Answer, Body, Id, Peer};
use super::jobs::call;
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use openbits_api::{NumberedProperty, Outcome, Problem, SetNumbered};
use openbits_core::hresult::{self as h, HResult};
use openbits_core::job::Setting;
use openbits_core::job::options::{PropertyId, PropertyValue};
use openbits_core::job::property::Property;
use openbits_core::queue::Call;

/// The second part of the path; what is no number is no property either.
fn property(text: &str) -> Result<PropertyId, HResult> {
    PropertyId::from_value(text.parse().map_err(|_| h::BG_E_UNKNOWN_PROPERTY_ID)?)
}

/// A property by its number.
#[utoipa::path(get, path = "/v1/jobs/{id}/properties/{number}", tag = "jobs", operation_id = "get_numbered_property",
    params(("id" = String, Path, description = "GUID"), ("number" = u32, Path, description = "BITS_JOB_PROPERTY_ID")),
    responses((status = 200, description = "The value in force.", body = NumberedProperty), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn get(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Path((_, number)): Path<(String, String)>,
) -> Answer<Json<NumberedProperty>> {
    let view = app.brain.read(move |view| {
        let job = view.queue.held_job(caller, id)?;
        Ok::<_, HResult>(views::numbered(view.queue, job, property(&number)?))
    });
    Ok(Json(view.await??))
}

/// Set a property by its number.
#[utoipa::path(put, path = "/v1/jobs/{id}/properties/{number}", tag = "jobs", operation_id = "set_numbered_property",
    params(("id" = String, Path, description = "GUID"), ("number" = u32, Path, description = "BITS_JOB_PROPERTY_ID")), request_body = SetNumbered,
    responses((status = 200, description = "Stored.", body = Outcome), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn set(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Path((_, number)): Path<(String, String)>,
    Body(body): Body<SetNumbered>,
) -> Answer<Json<Outcome>> {
    // Rights come first: a stranger learns nothing of the job, not even that a number is wrong.
    app.brain.read(move |view| view.queue.held_job(caller, id).map(|_| ())).await??;
    let number = property(&number)?;
    let setting = Setting::numbered(number, PropertyValue::parse(number, &body.value)?)?;
    call(&app, caller, id, Call::Set(vec![Property::Option(setting)])).await
}
