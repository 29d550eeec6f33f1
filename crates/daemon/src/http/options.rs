//! HTTP options of a job: the client certificate, the headers for their owner, and the questions about servers' certificates.

use super::App;
use super::extract::{Answer, Body, Id, Peer, Refusal};
use super::jobs::outcome;
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, Stream};
use openbits_api::{
    CertificateAnswer, CertificateCheck, CertificateView, CustomHeaders, Outcome, Problem, SCHEMA,
    SetClientCertificate, error,
};
use openbits_core::hresult as h;
use openbits_core::job::http::{CertificateLocation, CertificateName, CertificateQuery};
use openbits_core::queue::Call;
use openbits_core::{Caller, HResult, JobId, Sealed, Slot};
use std::convert::Infallible;
use std::time::Duration;

/// SetClientCertificateByID, SetClientCertificateByName (owner only).
#[utoipa::path(put, path = "/v1/jobs/{id}/client-certificate", tag = "jobs", operation_id = "set_client_certificate", params(("id" = String, Path, description = "GUID")), request_body = SetClientCertificate,
    responses((status = 200, description = "Found and stored.", body = Outcome), (status = "4XX", description = "No such store or certificate, or refused; nothing was changed.", body = Problem)))]
pub async fn set_certificate(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<SetClientCertificate>,
) -> Answer<Json<Outcome>> {
    let location = match body.location.as_str() {
        "CURRENT_USER" => CertificateLocation::CurrentUser,
        "LOCAL_MACHINE" => CertificateLocation::LocalMachine,
        _ => return Err(Refusal::new(h::E_NOTIMPL, "location is neither CURRENT_USER nor LOCAL_MACHINE")),
    };
    let name = match (body.hash, body.subject, body.context) {
        (Some(hash), None, None) => CertificateName::Hash(hash.to_ascii_lowercase()),
        (None, Some(subject), None) => CertificateName::Subject(subject),
        (None, None, Some(context)) => CertificateName::Hash(thumbprint(&context)?),
        _ => return Err(Refusal::new(h::E_INVALIDARG, "give one of hash, subject and context")),
    };
    let query = CertificateQuery { location, store: body.store, name };
    Ok(Json(outcome(app.brain.find_certificate(caller, id, query).await?)))
}

/// The hash of a certificate that was handed over itself.
fn thumbprint(context: &str) -> Answer<String> {
    let bytes = STANDARD
        .decode(context)
        .map_err(|_| Refusal::new(h::CRYPT_E_FILE_ERROR, "context is no base64 with padding"))?;
    let print = openbits_transfer::thumbprint(&bytes).map_err(|code| {
        Refusal::new(code, "context is neither a certificate nor a serialized certificate context")
    })?;
    Ok(print.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// GetClientCertificate.
#[utoipa::path(get, path = "/v1/jobs/{id}/client-certificate", tag = "jobs", operation_id = "get_client_certificate", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The certificate.", body = CertificateView), (status = "4XX", description = "There is none (RPC_X_BAD_STUB_DATA), or refused.", body = Problem)))]
pub async fn certificate(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<Json<CertificateView>> {
    let view = app.brain.read(move |view| {
        let job = view.queue.held_job(caller, id)?;
        job.client_certificate().map(views::certificate)
    });
    Ok(Json(view.await??))
}

/// RemoveClientCertificate (owner only): S_FALSE if there is none.
#[utoipa::path(delete, path = "/v1/jobs/{id}/client-certificate", tag = "jobs", operation_id = "remove_client_certificate", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "None is set any more.", body = Outcome), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn remove_certificate(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<Json<Outcome>> {
    Ok(Json(outcome(app.brain.call(caller, id, Call::RemoveClientCertificate).await?)))
}

/// GetCustomHeaders (owner only; refused once they are write-only).
#[utoipa::path(get, path = "/v1/jobs/{id}/custom-headers", tag = "jobs", operation_id = "get_custom_headers", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The headers.", body = CustomHeaders), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn headers(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<CustomHeaders>> {
    read_headers(app, caller, id, Slot::Headers).await
}

/// The headers that are held back until somebody asks who is there (owner only; refused once headers are write-only).
#[utoipa::path(get, path = "/v1/jobs/{id}/challenge-headers", tag = "jobs", operation_id = "get_challenge_headers", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The headers.", body = CustomHeaders), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn challenge_headers(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<Json<CustomHeaders>> {
    read_headers(app, caller, id, Slot::ChallengeHeaders).await
}

async fn read_headers(app: App, caller: Caller, id: JobId, slot: Slot) -> Answer<Json<CustomHeaders>> {
    let challenge = slot == Slot::ChallengeHeaders;
    let sealed =
        app.brain.read(move |view| view.queue.headers(caller, id, challenge).map(Option::<&Sealed>::cloned));
    let open = |sealed| {
        let opened = app.vault.open_sealed(id, slot.name(), &sealed);
        opened.map_err(|why| {
            Refusal::new(h::BG_E_INVALID_CREDENTIALS, format!("the headers cannot be read any more: {why}"))
        })
    };
    let headers = sealed.await??.map(open).transpose()?.map(|text| text.reveal().to_owned());
    let code = if headers.is_some() { h::S_OK } else { h::S_FALSE };
    Ok(Json(CustomHeaders { schema: SCHEMA, hresult: code.to_string(), headers }))
}

/// SetServerCertificateValidationInterface: from now on the job's servers need this program's consent. It listens as long as the connection is
/// open, and takes the place of an earlier one; what was accepted before is asked again.
#[utoipa::path(post, path = "/v1/jobs/{id}/certificate-checks", tag = "jobs", operation_id = "listen_for_certificate_checks", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Server-sent events; `data` is a CertificateCheck.", body = CertificateCheck, content_type = "text/event-stream"),
        (status = "4XX", description = "Refused: the job is active, or not the caller's.", body = Problem)))]
pub async fn listen(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    // That a program is required is stored before the program may rely on it.
    app.brain.call(caller, id, Call::RequireValidation(true)).await?;
    let listening = app.brain.listen_for_checks(caller, id).await?;
    let stream = stream::unfold((listening, app.closing), |(mut listening, mut closing)| async move {
        let question = tokio::select! {
            question = listening.next() => question?,
            _ = closing.changed() => return None,
        };
        let data = serde_json::to_string(&question).ok()?;
        let event = Event::default().event("certificate-check").id(question.check.to_string()).data(data);
        Some((Ok(event), (listening, closing)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The answer to a question about a server's certificate.
#[utoipa::path(put, path = "/v1/jobs/{id}/certificate-checks/{check}", tag = "jobs", operation_id = "answer_certificate_check", params(("id" = String, Path, description = "GUID"), ("check" = u64, Path, description = "`check` of the question")), request_body = CertificateAnswer,
    responses((status = 200, description = "Taken: the answer again.", body = CertificateAnswer), (status = "4XX", description = "There is no such question any more, or refused.", body = Problem)))]
pub async fn answer(
    State(app): State<App>,
    Peer(caller): Peer,
    Path((id, check)): Path<(String, String)>,
    Body(body): Body<CertificateAnswer>,
) -> Answer<Json<CertificateAnswer>> {
    let id = id.parse().map_err(|_| Refusal::new(h::BG_E_NOT_FOUND, "not a job GUID"))?;
    let check = check.parse().map_err(|_| Refusal::new(h::BG_E_NOT_FOUND, "not a question"))?;
    let code: HResult = error::parse_code(&body.hresult)
        .ok_or_else(|| Refusal::new(h::E_INVALIDARG, "hresult is not of the form 0x80004005"))?;
    app.brain.answer_check(caller, id, check, code).await?;
    Ok(Json(CertificateAnswer { hresult: code.to_string() }))
}

/// SetServerCertificateValidationInterface(NULL): no program is required any more.
#[utoipa::path(delete, path = "/v1/jobs/{id}/certificate-checks", tag = "jobs", operation_id = "stop_certificate_checks", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Done.", body = Outcome), (status = "4XX", description = "Refused: the job is active, or not the caller's.", body = Problem)))]
pub async fn stop_listening(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<Outcome>> {
    let done = app.brain.call(caller, id, Call::RequireValidation(false)).await?;
    app.brain.stop_checks(id).await;
    Ok(Json(outcome(done)))
}
