//! The metrics at the socket, and, where the administrator wants it, at a port of this machine.

use super::App;
use super::extract::{Answer, Peer};
use crate::metrics;
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use openbits_core::Uid;

/// OpenMetrics: root sees the machine's numbers, others those of their own jobs.
#[utoipa::path(get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics text.", body = String, content_type = "application/openmetrics-text")))]
pub async fn metrics(State(app): State<App>, Peer(caller): Peer) -> Answer<impl IntoResponse> {
    answer(app, (!caller.is_administrator()).then_some(caller.uid)).await
}

/// The same for anybody on this machine: numbers of all jobs together.
async fn metrics_of_all(State(app): State<App>) -> Answer<impl IntoResponse> {
    answer(app, None).await
}

async fn answer(app: App, owner: Option<Uid>) -> Answer<impl IntoResponse> {
    let stats = app.brain.store().stats();
    let text = app.brain.read(move |view| metrics::text(&view, owner, app.mode, stats)).await?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}

/// What answers at a port.
pub fn port_router(app: App) -> Router {
    Router::new().route("/metrics", get(metrics_of_all)).with_state(app)
}
