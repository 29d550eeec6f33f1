//! Helper tokens: IBitsTokenOptions (spec/bits-extended.md 10).

use super::App;
use super::extract::{Answer, Body, Id, Peer, Refusal};
use super::jobs::call;
use axum::Json;
use axum::extract::State;
use openbits_api::{HelperSet, HelperTicketView, Outcome, Problem, SetHelperToken, error};
use openbits_core::hresult as h;
use openbits_core::queue::{Call, HELPER_TICKET_S, HelperTicket};

/// A ticket for a helper: an owner's word that another user may become the job's helper. Random, for one use.
#[utoipa::path(post, path = "/v1/jobs/{id}/helper-token/ticket", tag = "jobs", operation_id = "issue_helper_ticket",
    params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The ticket; an earlier one is void.", body = HelperTicketView), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn ticket(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<Json<HelperTicketView>> {
    let mut ticket = HelperTicket::default();
    getrandom::fill(&mut ticket)
        .map_err(|e| Refusal::new(h::E_UNEXPECTED, format!("no random numbers: {e}")))?;
    app.brain.call(caller, id, Call::IssueHelperTicket(ticket)).await?;
    let ticket = format!("{:032x}", u128::from_be_bytes(ticket));
    Ok(Json(HelperTicketView { ticket, valid_for_s: HELPER_TICKET_S }))
}

/// SetHelperToken: the user at the other end of this connection becomes the job's helper.
#[utoipa::path(put, path = "/v1/jobs/{id}/helper-token", tag = "jobs", operation_id = "set_helper_token",
    params(("id" = String, Path, description = "GUID")), request_body = SetHelperToken,
    responses((status = 200, description = "The caller is the helper.", body = HelperSet), (status = "4XX", description = "Refused; nothing was changed.", body = Problem)))]
pub async fn set(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<SetHelperToken>,
) -> Answer<Json<HelperSet>> {
    let ticket = body.ticket.as_deref().map(parse);
    let ticket =
        ticket.map(|t| t.ok_or_else(|| Refusal::new(h::E_INVALIDARG, "a ticket has 32 hexadecimal digits")));
    let (code, _) = app.brain.call(caller, id, Call::SetHelperToken(ticket.transpose()?)).await?;
    Ok(Json(HelperSet { hresult: code.to_string(), name: error::name(code), sid: caller.uid.sid() }))
}

fn parse(text: &str) -> Option<HelperTicket> {
    let plain = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}

/// ClearHelperToken: the helper is dropped, the flags stay.
#[utoipa::path(delete, path = "/v1/jobs/{id}/helper-token", tag = "jobs", operation_id = "clear_helper_token",
    params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "There is no helper.", body = Outcome), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn clear(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<Outcome>> {
    call(&app, caller, id, Call::ClearHelperToken).await
}
