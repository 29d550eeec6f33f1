//! `GET /v1/events`: what happens, as server-sent events with a cursor.
//!
//! Kept events are read from the store page by page, then live ones follow from the hub. A reader who falls too far behind is sent
//! back to the store; nobody else waits for him.

use super::App;
use super::extract::{Answer, Id, Params, Peer, Refusal};
use crate::hub::Published;
use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use http::HeaderMap;
use openbits_api::{EVENTS_MAX, EventKind, EventView, JobLog, Problem, SCHEMA};
use openbits_core::hresult as h;
use openbits_core::{Caller, JobId, JobState};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

/// Parameters of the stream.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct EventParams {
    /// Events after this one (`Last-Event-ID` does the same). Absent: from now on.
    pub after: Option<u64>,
    /// Only this job: one of the caller's, for root anybody's.
    pub job: Option<String>,
    /// Events of all users' jobs (root only).
    pub all_users: bool,
    /// Also entries of the jobs' histories.
    pub log: bool,
}

/// The event stream.
#[utoipa::path(get, path = "/v1/events", tag = "events", operation_id = "events", params(EventParams),
    responses((status = 200, description = "Server-sent events; `data` is an EventView.", body = EventView, content_type = "text/event-stream"),
        (status = "4XX", description = "Refused.", body = Problem)))]
pub async fn events(
    State(app): State<App>,
    Peer(caller): Peer,
    headers: HeaderMap,
    Params(params): Params<EventParams>,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    if params.all_users && !caller.is_administrator() {
        return Err(Refusal::new(h::E_ACCESSDENIED, "only root may see the events of all users"));
    }
    let job = match params.job.as_deref() {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Refusal::new(h::E_INVALIDARG, "job is not a GUID"))?),
    };
    if let Some(id) = job
        && app.brain.read(move |view| view.queue.held_job(caller, id).err()).await? == Some(h::E_ACCESSDENIED)
    {
        return Err(Refusal::new(h::E_ACCESSDENIED, "the job belongs to another user"));
    }
    let header = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let live = app.brain.listen();
    // Asked after the listener is there, so that nothing falls between the two.
    let newest = app.brain.read(|view| view.service(Caller::root(), "").last_event).await?;
    let from = params.after.or(header);
    let reader = Reader {
        position: from.unwrap_or(newest).min(newest),
        catching_up: from.is_some_and(|from| from < newest),
        first_page: from.is_some(),
        caller,
        // A job that is named needs a right, not an owner; without a name, root too hears his own jobs.
        any_owner: params.all_users || (job.is_some() && caller.is_administrator()),
        job,
        live,
        log: params.log,
        ready: VecDeque::new(),
        app,
    };
    let stream = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        let data = serde_json::to_string(&*event).ok()?;
        let sse = Event::default().event(event.kind.as_str()).data(data);
        let sse = match event.seq {
            Some(seq) => sse.id(seq.to_string()),
            None => sse,
        };
        Some((Ok(sse), reader))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The history of a job: also of one that is over, for a while.
#[utoipa::path(get, path = "/v1/jobs/{id}/log", tag = "events", operation_id = "job_log", params(("id" = String, Path, description = "GUID")),
    responses((status = 200, description = "The history.", body = JobLog), (status = "4XX", description = "Refused, or nothing is known of it.", body = Problem)))]
pub async fn job_log(State(app): State<App>, Peer(caller): Peer, Id(id): Id) -> Answer<Json<JobLog>> {
    let known = app.brain.read(move |view| view.queue.held_job(caller, id).map(|job| job.owner)).await?;
    if known == Err(h::E_ACCESSDENIED) {
        return Err(h::E_ACCESSDENIED.into());
    }
    let store = Arc::clone(app.brain.store());
    let kind = EventKind::Log.as_str();
    let read = tokio::task::spawn_blocking(move || store.job_events(*id.as_bytes(), kind, LOG_MAX)).await;
    let rows = match read {
        Ok(Ok(rows)) => rows,
        other => {
            tracing::error!(?other, "a history cannot be read");
            return Err(Refusal::new(h::E_FAIL, "the history cannot be read"));
        }
    };
    // Who may see the job sees all of it, also what happened under another owner; of a job that is gone everybody sees his own.
    let visible = |owner: u32| known.is_ok() || caller.may_use(openbits_core::Uid(owner));
    let entries: Vec<EventView> = rows
        .iter()
        .filter(|row| visible(row.owner))
        .filter_map(|row| serde_json::from_str(&row.body).ok())
        .collect();
    if entries.is_empty() && known.is_err() {
        return Err(Refusal::new(h::BG_E_NOT_FOUND, format!("nothing is known of a job {id}")));
    }
    Ok(Json(JobLog { schema: SCHEMA, entries }))
}

/// Entries of a history in one answer.
const LOG_MAX: usize = 500;

struct Reader {
    app: App,
    caller: Caller,
    /// Events of others' jobs as well.
    any_owner: bool,
    /// Entries of histories as well.
    log: bool,
    job: Option<JobId>,
    live: broadcast::Receiver<Published>,
    /// The last durable event that was passed on (or skipped).
    position: u64,
    catching_up: bool,
    first_page: bool,
    ready: VecDeque<Arc<EventView>>,
}

impl Reader {
    async fn next(&mut self) -> Option<Arc<EventView>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.catching_up {
                self.read_page().await?;
                continue;
            }
            let received = tokio::select! {
                received = self.live.recv() => received,
                _ = self.app.closing.changed() => return None,
            };
            match received {
                Ok(published) => self.take(published),
                Err(RecvError::Lagged(_)) => self.catching_up = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take(&mut self, Published { owner, event }: Published) {
        if let Some(seq) = event.seq {
            if seq <= self.position {
                return;
            }
            self.position = seq;
        }
        let wanted = (self.log || event.kind != EventKind::Log)
            && (self.any_owner || owner == self.caller.uid)
            && self.job.is_none_or(|job| job.to_string() == event.job);
        if wanted {
            self.ready.push_back(event);
        }
    }

    async fn read_page(&mut self) -> Option<()> {
        let store = Arc::clone(self.app.brain.store());
        let owner = (!self.any_owner).then_some(self.caller.uid.0);
        let (position, job, first) = (self.position, self.job.map(|job| *job.as_bytes()), self.first_page);
        let read = tokio::task::spawn_blocking(move || {
            // How far this owner's events were trimmed tells whether something was lost.
            let trimmed = if first { store.trimmed(owner)? } else { 0 };
            Ok::<_, openbits_store::ReadError>((
                trimmed,
                store.events_after(position, owner, job, EVENTS_MAX)?,
            ))
        });
        let (trimmed, rows) = match read.await {
            Ok(Ok(read)) => read,
            other => {
                tracing::error!(?other, "kept events cannot be read");
                return None;
            }
        };
        self.first_page = false;
        if trimmed > position {
            self.ready.push_back(Arc::new(gap(trimmed)));
        }
        self.catching_up = rows.len() == EVENTS_MAX;
        for row in rows {
            self.position = self.position.max(row.seq);
            match serde_json::from_str::<EventView>(&row.body) {
                Ok(event) if event.kind == EventKind::Log && !self.log => {}
                Ok(event) => self.ready.push_back(Arc::new(event)),
                Err(error) => tracing::error!(seq = row.seq, %error, "a kept event makes no sense"),
            }
        }
        Some(())
    }
}

/// Tells a reader that events up to `seq` are not kept any more.
fn gap(seq: u64) -> EventView {
    EventView {
        seq: Some(seq),
        kind: EventKind::Gap,
        job: String::new(),
        time_ms: 0,
        state: JobState::Queued,
        display_name: String::new(),
        bytes_transferred: 0,
        bytes_total: None,
        files_transferred: 0,
        files_total: 0,
        hresult: None,
        pace: None,
        file: None,
        log: None,
        ranges: Vec::new(),
    }
}
