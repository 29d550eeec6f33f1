//! The service itself, texts of codes, and what does not exist.

use super::App;
use super::extract::{Answer, Params, Peer, Refusal};
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use openbits_api::{ErrorText, Problem, ServiceInfo, error};
use openbits_core::hresult as h;
use serde::Deserialize;
use utoipa::IntoParams;

/// The service: version, mode, counts, findings.
#[utoipa::path(get, path = "/v1/service", tag = "service", operation_id = "service",
    responses((status = 200, description = "The service.", body = ServiceInfo)))]
pub async fn service(State(app): State<App>, Peer(caller): Peer) -> Answer<Json<ServiceInfo>> {
    Ok(Json(app.brain.read(move |view| view.service(caller, app.mode)).await?))
}

/// Parameters of a text.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct TextParams {
    /// Windows language id; only English (any primary language 9) has texts. Default 1033.
    pub language: Option<u32>,
}

/// GetErrorDescription: the text of a code.
#[utoipa::path(get, path = "/v1/errors/{hresult}", tag = "service", operation_id = "error_description",
    params(("hresult" = String, Path, description = "Code as 0x and 8 hexadecimal digits"), TextParams),
    responses((status = 200, description = "The text.", body = ErrorText), (status = "4XX", description = "No text in this language.", body = Problem)))]
pub async fn error_text(
    Path(code): Path<String>,
    Params(params): Params<TextParams>,
) -> Answer<Json<ErrorText>> {
    const PRIMARY: u32 = 0x3FF;
    const ENGLISH: u32 = 9;
    match params.language.unwrap_or(1033) {
        0 => return Err(Refusal::new(h::E_INVALIDARG, "language 0 is not a language")),
        language if language & PRIMARY != ENGLISH => return Err(h::ERROR_RESOURCE_LANG_NOT_FOUND.into()),
        _ => {}
    }
    let code = error::parse_code(&code)
        .ok_or_else(|| Refusal::new(h::E_INVALIDARG, "not a code such as 0x80200001"))?;
    Ok(Json(ErrorText::of(code)))
}

/// Any other path.
pub async fn no_such_path() -> Refusal {
    Refusal::new(h::BG_E_NOT_FOUND, "there is no such path; see /v1/openapi.json")
        .with_status(StatusCode::NOT_FOUND)
}

/// A known path with another method.
pub async fn no_such_method() -> Refusal {
    Refusal::new(h::E_NOTIMPL, "this path does not take this method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
