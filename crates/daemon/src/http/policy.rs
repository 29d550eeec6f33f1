//! The policy: shown, checked, read again, explained.

use super::App;
use super::extract::{Answer, Body, Id, Peer, Refusal};
use crate::policy::{Settings, files, views};
use axum::Json;
use axum::extract::State;
use openbits_api::{CheckPolicy, PolicyExplanation, PolicyOutcome, PolicyView, Problem};
use openbits_core::hresult as h;
use openbits_core::policy::{Finding, Layer, Origin, Severity};

/// Every key with the value in force and where it comes from.
#[utoipa::path(get, path = "/v1/policy", tag = "policy", operation_id = "show_policy",
    responses((status = 200, description = "The policy.", body = PolicyView)))]
pub async fn show(State(app): State<App>, Peer(_): Peer) -> Answer<Json<PolicyView>> {
    Ok(Json(app.brain.read(|view| views::policy(view.settings, view.clock.now())).await?))
}

/// Look a policy file over without using it, as if it were the administrator's only one.
#[utoipa::path(post, path = "/v1/policy/check", tag = "policy", operation_id = "check_policy", request_body = CheckPolicy,
    responses((status = 200, description = "What was noticed.", body = PolicyOutcome), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn check(Peer(_): Peer, Body(body): Body<CheckPolicy>) -> Answer<Json<PolicyOutcome>> {
    if body.text.len() as u64 > files::FILE_BYTES_MAX {
        return Err(Refusal::new(h::BG_E_TOO_LARGE, "a policy file is at most 1 MiB long"));
    }
    let name: String = body.name.unwrap_or_else(|| "policy".to_owned()).chars().take(1024).collect();
    // Names of users may be asked of a server.
    let checked = tokio::task::spawn_blocking(move || look_over(&body.text, name)).await;
    checked.map(Json).map_err(|_| Refusal::new(h::E_UNEXPECTED, "the check was broken off"))
}

fn look_over(text: &str, name: String) -> PolicyOutcome {
    let tree = match files::parse(text) {
        Ok(tree) => tree,
        Err(why) => return views::outcome(false, &[Finding::file(Severity::Error, name, why)]),
    };
    let layer = Layer { origin: Origin::Administrator, file: name, tree };
    match Settings::of(&[layer], Vec::new(), 0) {
        Ok(settings) => views::outcome(true, settings.policy.findings()),
        Err(findings) => views::outcome(false, &findings),
    }
}

/// Read the policy's files again (root, or the user whose service it is).
#[utoipa::path(post, path = "/v1/policy/reload", tag = "policy", operation_id = "reload_policy",
    responses((status = 200, description = "What was noticed, and whether the files are in force now.", body = PolicyOutcome), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn reload(State(app): State<App>, Peer(caller): Peer) -> Answer<Json<PolicyOutcome>> {
    if app.mode == "system" && !caller.is_administrator() {
        return Err(Refusal::new(
            h::E_ACCESSDENIED,
            "only root may reload the policy of the system's service",
        ));
    }
    let reloaded = app.reloads.reload().await;
    let reloaded = reloaded.ok_or_else(|| Refusal::new(h::RPC_E_DISCONNECTED, "the service is stopping"))?;
    Ok(Json(views::outcome(reloaded.usable, &reloaded.findings)))
}

/// Which rules of the policy concern a job, and which one holds it.
#[utoipa::path(get, path = "/v1/jobs/{id}/policy", tag = "policy", operation_id = "explain_policy", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The rules.", body = PolicyExplanation), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn explain(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<Json<PolicyExplanation>> {
    let explanation = app.brain.read(move |view| {
        let job = view.queue.held_job(caller, id)?;
        Ok::<_, openbits_core::HResult>(views::explain(&view, job))
    });
    Ok(Json(explanation.await??))
}
