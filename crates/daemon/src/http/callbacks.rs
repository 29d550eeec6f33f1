//! Callbacks: a connection that takes the calls, registrations of jobs, answers (`openbits_api::callback`).

use super::App;
use super::extract::{Answer, Body, Id, Peer, Refusal};
use crate::brain::Handle;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use http::StatusCode;
use openbits_api::{
    CallbackAnswer, CallbackView, ListenerView, NotifyInterfaceView, Problem, SetNotifyInterface, error,
};
use openbits_core::hresult as h;
use openbits_core::queue::{CallId, ListenerId};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;

/// The client's connection for callbacks: `listener`, then a `callback` for each call.
#[utoipa::path(get, path = "/v1/callbacks", tag = "events", operation_id = "callbacks",
    responses((status = 200, description = "Server-sent events; `data` of the first is a ListenerView, of the others a CallbackView.", body = CallbackView, content_type = "text/event-stream"),
        (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn callbacks(
    State(app): State<App>,
    Peer(caller): Peer,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let (listener, calls) = app.brain.callbacks(caller).await?;
    let line = Line { brain: app.brain, listener, calls, greeted: false, closing: app.closing };
    let stream = stream::unfold(line, |mut line| async move {
        let event = line.next().await?;
        Some((Ok(event), line))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The connection; its end is told to the brain.
struct Line {
    brain: Handle,
    listener: ListenerId,
    calls: mpsc::Receiver<CallbackView>,
    greeted: bool,
    closing: tokio::sync::watch::Receiver<bool>,
}

impl Line {
    async fn next(&mut self) -> Option<Event> {
        if !std::mem::replace(&mut self.greeted, true) {
            let data = serde_json::to_string(&ListenerView { listener: self.listener.0 }).ok()?;
            return Some(Event::default().event("listener").data(data));
        }
        let call = tokio::select! {
            call = self.calls.recv() => call?,
            _ = self.closing.changed() => return None,
        };
        Some(Event::default().event("callback").data(serde_json::to_string(&call).ok()?))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (brain, listener) = (self.brain.clone(), self.listener);
        tokio::spawn(async move { brain.hang_up(listener).await });
    }
}

/// SetNotifyInterface: the last listener that is registered is called.
#[utoipa::path(put, path = "/v1/jobs/{id}/notify-interface", tag = "events", operation_id = "set_notify_interface", params(("id" = String, Path, description = "GUID")), request_body = SetNotifyInterface,
    responses((status = 200, description = "Registered.", body = NotifyInterfaceView), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn set(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
    Body(body): Body<SetNotifyInterface>,
) -> Answer<Json<NotifyInterfaceView>> {
    app.brain.set_notify_interface(caller, id, Some(ListenerId(body.listener))).await?;
    Ok(Json(NotifyInterfaceView { registered: true }))
}

/// SetNotifyInterface with NULL.
#[utoipa::path(delete, path = "/v1/jobs/{id}/notify-interface", tag = "events", operation_id = "clear_notify_interface", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Nobody is registered.", body = NotifyInterfaceView), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn clear(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<Json<NotifyInterfaceView>> {
    app.brain.set_notify_interface(caller, id, None).await?;
    Ok(Json(NotifyInterfaceView { registered: false }))
}

/// GetNotifyInterface: whether somebody is registered.
#[utoipa::path(get, path = "/v1/jobs/{id}/notify-interface", tag = "events", operation_id = "get_notify_interface", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "Whether somebody is.", body = NotifyInterfaceView), (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn get(
    State(app): State<App>,
    Peer(caller): Peer,
    Id(id): Id,
) -> Answer<Json<NotifyInterfaceView>> {
    let registered = app
        .brain
        .read(move |view| view.queue.held_job(caller, id).map(|job| view.queue.has_notify_interface(job.id)));
    Ok(Json(NotifyInterfaceView { registered: registered.await?? }))
}

/// What a callback returned.
#[utoipa::path(post, path = "/v1/callbacks/{call}", tag = "events", operation_id = "answer_callback", params(("call" = u64, Path, description = "Number of the call")), request_body = CallbackAnswer,
    responses((status = 204, description = "Taken."), (status = "4XX", description = "Refused, or too late.", body = Problem)))]
pub async fn answer(
    State(app): State<App>,
    Peer(caller): Peer,
    Path(call): Path<String>,
    Body(body): Body<CallbackAnswer>,
) -> Answer<StatusCode> {
    let call = call.parse().map_err(|_| Refusal::new(h::E_INVALIDARG, "not the number of a call"))?;
    let code = error::parse_code(&body.hresult)
        .ok_or_else(|| Refusal::new(h::E_INVALIDARG, "hresult is not a code such as 0x80004005"))?;
    app.brain.answer_callback(caller, CallId(call), code).await?;
    Ok(StatusCode::NO_CONTENT)
}
