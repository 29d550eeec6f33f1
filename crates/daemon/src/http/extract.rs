//! What comes in: caller, job id, JSON body; and what a refused call answers.

use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use openbits_api::{Problem, REQUEST_BYTES_MAX};
use openbits_core::hresult::{BG_E_FILE_NOT_FOUND, BG_E_NOT_FOUND, E_INVALIDARG};
use openbits_core::queue::Failure;
use openbits_core::{Caller, HResult, JobId};
use serde::de::DeserializeOwned;
use zeroize::Zeroize as _;

/// A refused call as `application/problem+json`.
#[derive(Debug)]
pub struct Refusal(Box<Problem>);

impl Refusal {
    /// For a code, with what exactly was refused.
    pub fn new(code: HResult, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    /// With another HTTP status than the code's.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status.as_u16();
        self
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code, failure.detail)
    }
}

impl From<HResult> for Refusal {
    fn from(code: HResult) -> Self {
        Self::new(code, code.text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// Result of every handler.
pub type Answer<T> = Result<T, Refusal>;

/// The caller, put into the request by the server for each connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Caller);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let missing = || Refusal::new(openbits_core::hresult::E_ACCESSDENIED, "the caller is unknown");
        parts.extensions.get::<Self>().copied().ok_or_else(missing)
    }
}

/// The `{id}` of a path.
#[derive(Clone, Copy, Debug)]
pub struct Id(pub JobId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        // By its name: some paths have further variables.
        let path = RawPathParams::from_request_parts(parts, state).await;
        let text =
            path.ok().and_then(|path| path.iter().find(|(name, _)| *name == "id").map(|(_, v)| v.to_owned()));
        let text = text.ok_or_else(|| Refusal::new(E_INVALIDARG, "not a job GUID"))?;
        let shown: String = text.chars().take(64).collect();
        text.parse()
            .map(Self)
            .map_err(|_| Refusal::new(BG_E_NOT_FOUND, format!("{shown:?} is not a job GUID")))
    }
}

/// The `{id}` and `{file}` of a path: a job, and the position of a file in its list.
#[derive(Clone, Copy, Debug)]
pub struct FileAt(pub JobId, pub u32);

impl<S: Send + Sync> FromRequestParts<S> for FileAt {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Id(id) = Id::from_request_parts(parts, state).await?;
        let path = RawPathParams::from_request_parts(parts, state).await;
        let text = path
            .ok()
            .and_then(|path| path.iter().find(|(name, _)| *name == "file").map(|(_, v)| v.to_owned()))
            .unwrap_or_default();
        let shown: String = text.chars().take(64).collect();
        text.parse()
            .map(|file| Self(id, file))
            .map_err(|_| Refusal::new(BG_E_FILE_NOT_FOUND, format!("{shown:?} is not the number of a file")))
    }
}

/// A JSON body; whatever is wrong with it, the answer says so.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        // A body that announces too much is refused at once; one that announces nothing is counted as it comes.
        if request.body().size_hint().lower() > REQUEST_BYTES_MAX as u64 {
            let detail = format!("the body is longer than {REQUEST_BYTES_MAX} bytes");
            return Err(Refusal::new(E_INVALIDARG, detail).with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let bytes = bytes::Bytes::from_request(request, state).await.map_err(|rejection| {
            let status = rejection.status();
            Refusal::new(E_INVALIDARG, rejection.body_text()).with_status(status)
        })?;
        let result = serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Refusal::new(E_INVALIDARG, format!("the body is not what is expected here: {error}"))
        });
        // It may hold a password.
        if let Ok(mut bytes) = bytes.try_into_mut() {
            bytes.zeroize();
        }
        result
    }
}

/// Query parameters; unknown ones are refused where the type says so.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let refused =
            |error: axum::extract::rejection::QueryRejection| Refusal::new(E_INVALIDARG, error.body_text());
        Query::from_request_parts(parts, state).await.map(|Query(value)| Self(value)).map_err(refused)
    }
}
