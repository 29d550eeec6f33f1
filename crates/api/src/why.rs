//! `GET /v1/jobs/{id}/why`: why a job does not move.

use openbits_core::JobState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer: reason, until when, and what would change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// Version of this form.
    pub schema: u32,
    /// GUID.
    pub id: String,
    /// State.
    #[schema(value_type = String)]
    pub state: JobState,
    /// The job is moving: no reason to give.
    pub moving: bool,
    /// Stable word for scripts, e.g. `waits-for-turn`, `waits-for-retry`, `no-network`, `suspended`, `waits-for-complete`.
    pub reason: String,
    /// The reason in a sentence.
    pub text: String,
    /// When it ends by itself, milliseconds since 1970 UTC.
    pub until_ms: Option<i64>,
    /// What would change it.
    pub remedy: String,
    /// Jobs that are served before this one.
    pub jobs_ahead: Option<u64>,
    /// Code of the error behind it.
    pub hresult: Option<String>,
    /// Name of that code.
    pub name: Option<String>,
    /// What exactly happened.
    pub detail: Option<String>,
}
