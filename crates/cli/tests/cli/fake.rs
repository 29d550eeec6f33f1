//! A service that does what the test says: the contract's answers over a real socket, without any transfer.

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use openbits_api::{
    AddFile, AddFiles, CreateJob, ErrorView, EventKind, EventView, FileView, JobPage, JobView, Outcome,
    Problem, ProxyView, SCHEMA, ServiceInfo, ServiceLimits, SetClientCertificate, SetProperties, Why,
};
use openbits_core::{ErrorContext, HResult, JobId, JobState, Priority, ProxyUsage, hresult as h};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What the service knows. Outlives a kill, like a store.
pub(crate) struct State {
    pub(crate) jobs: BTreeMap<String, JobView>,
    pub(crate) events: Vec<EventView>,
    pub(crate) created: Vec<CreateJob>,
    pub(crate) patched: Vec<SetProperties>,
    pub(crate) actions: Vec<(String, String)>,
    pub(crate) jobs_max: usize,
    /// How a job beyond them is refused.
    pub(crate) too_many: HResult,
    pub(crate) limits: ServiceLimits,
    /// Actions are never answered.
    pub(crate) hangs: bool,
    /// The connection breaks after a job was created, before the answer.
    pub(crate) breaks_create: bool,
    /// Sent into every event stream as it is.
    pub(crate) raw_events: Option<String>,
    changed: watch::Sender<u64>,
}

impl State {
    /// Puts a job into a state and tells it.
    pub(crate) fn enter(&mut self, id: &str, state: JobState, kind: EventKind) {
        let job = self.jobs.get_mut(id).expect("the test's job");
        job.state = state;
        if state == JobState::Acknowledged {
            for file in job.files.iter_mut().flatten() {
                std::fs::write(&file.local_name, "content").expect("the destination's folder is there");
                file.completed = true;
            }
            job.files_transferred = job.files_total;
        }
        let job = job.clone();
        self.tell(&job, kind);
    }

    fn tell(&mut self, job: &JobView, kind: EventKind) {
        self.events.push(EventView {
            seq: Some(self.events.len() as u64 + 1),
            kind,
            job: job.id.clone(),
            time_ms: 1_000,
            state: job.state,
            display_name: job.display_name.clone(),
            bytes_transferred: job.bytes_transferred,
            bytes_total: job.bytes_total,
            files_transferred: job.files_transferred,
            files_total: job.files_total,
            hresult: job.error.as_ref().map(|e| e.hresult.clone()),
            pace: None,
            file: None,
            log: None,
            ranges: Vec::new(),
        });
        self.changed.send_modify(|n| *n += 1);
    }

    /// Fails a job with an HTTP status.
    pub(crate) fn fail(&mut self, id: &str, state: JobState, status: u16) {
        let code = HResult::from_http_status(status);
        let job = self.jobs.get_mut(id).expect("the test's job");
        job.error = Some(ErrorView {
            hresult: code.to_string(),
            name: openbits_api::error::name(code),
            text: code.text(),
            context: ErrorContext::RemoteFile,
            context_text: "The remote file.".to_owned(),
            file: Some(0),
            protocol: Some("http".to_owned()),
            http_status: Some(status),
            url: None,
            detail: String::new(),
            time_ms: 0,
            suggestion: openbits_api::error::row(code).suggestion.to_owned(),
        });
        job.next_retry_time_ms = (state == JobState::TransientError).then_some(1_800_000_000_000);
        let kind = if state == JobState::Error { EventKind::Error } else { EventKind::Modified };
        self.enter(id, state, kind);
    }

    /// A job that is there before the test begins.
    pub(crate) fn add(&mut self, name: &str, state: JobState) -> String {
        let id = JobId::from_random_bytes([u8::try_from(self.jobs.len()).expect("few jobs") + 1; 16]);
        self.add_with(&id.to_string(), name, state)
    }

    pub(crate) fn add_with(&mut self, id: &str, name: &str, state: JobState) -> String {
        let job = JobView {
            schema: SCHEMA,
            id: id.to_owned(),
            display_name: name.to_owned(),
            description: String::new(),
            kind: openbits_core::JobType::Download,
            dialect: openbits_core::job::Dialect::Bits,
            state,
            priority: Priority::Normal,
            owner_uid: 1000,
            owner_sid: "S-1-22-1-1000".to_owned(),
            owner_integrity_level: 0x2000,
            owner_elevated: false,
            bytes_total: None,
            bytes_transferred: 0,
            files_total: 0,
            files_transferred: 0,
            creation_time_ms: 9_000_000_000_000,
            modification_time_ms: 0,
            transfer_completion_time_ms: None,
            active_time_ms: 0,
            error_count: 0,
            error: None,
            minimum_retry_delay_s: 600,
            no_progress_timeout_s: 1_209_600,
            notify_flags: 3,
            notify_interface: false,
            notify_program: String::new(),
            notify_parameters: String::new(),
            proxy: ProxyView { usage: ProxyUsage::Preconfig, list: None, bypass: None },
            credentials: Vec::new(),
            auto_complete: false,
            bind: None,
            http: openbits_api::HttpView { method: "GET".to_owned(), ..openbits_api::HttpView::default() },
            upload: None,
            reply: None,
            acl_flags: 0,
            peer_caching_flags: 0,
            maximum_download_time_s: 7_776_000,
            cost_flags: 0x8000_006F,
            cost_flags_set: false,
            disallow_cellular: false,
            notification_clsid: None,
            dynamic_content: false,
            high_performance: false,
            max_download_size: None,
            use_stored_credentials: "NONE".to_owned(),
            minimum_notification_interval_ms: 500,
            on_demand_mode: false,
            helper_token_flags: 0,
            helper_token_sid: None,
            next_retry_time_ms: None,
            peer: None,
            pace: None,
            cache_host: None,
            files: Some(vec![]),
        };
        self.jobs.insert(id.to_owned(), job);
        id.to_owned()
    }
}

type App = Arc<Mutex<State>>;

/// The state; also after a handler was made to panic.
fn lock(app: &App) -> MutexGuard<'_, State> {
    app.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The service and its socket.
pub(crate) struct Fake {
    pub(crate) path: PathBuf,
    state: App,
    running: Option<(tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>)>,
}

impl Fake {
    pub(crate) fn start(path: PathBuf) -> Self {
        let state = State {
            jobs: BTreeMap::new(),
            events: vec![],
            created: vec![],
            patched: vec![],
            actions: vec![],
            jobs_max: 60,
            too_many: h::BG_E_TOO_MANY_JOBS_PER_USER,
            limits: ServiceLimits {
                files_per_job: 200,
                jobs_per_user: Some(60),
                jobs_per_machine: Some(300),
            },
            hangs: false,
            breaks_create: false,
            raw_events: None,
            changed: watch::channel(0).0,
        };
        let mut fake = Self { path, state: Arc::new(Mutex::new(state)), running: None };
        fake.restart();
        fake
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut lock(&self.state))
    }

    /// All connections break, nobody listens; the socket's file stays, as after SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            thread.join().unwrap();
        }
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.path);
        let listener = std::os::unix::net::UnixListener::bind(&self.path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let app = router(self.state.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
                    _ = stopped => {}
                }
            });
        });
        self.running = Some((stop, thread));
    }

    /// Waits until the state is as wanted.
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = self.with(&mut look) {
                return found;
            }
            assert!(Instant::now() < deadline, "never happened: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until so many jobs were created; their GUIDs.
    pub(crate) fn created(&self, count: usize) -> Vec<String> {
        self.until("jobs created", |s| (s.created.len() >= count).then(|| s.jobs.keys().cloned().collect()))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

fn router(state: App) -> Router {
    Router::new()
        .route("/v1/service", get(service))
        .route("/v1/jobs", get(list).post(create))
        .route("/v1/jobs/{id}", get(show).patch(patch))
        .route("/v1/jobs/{id}/files", post(add))
        .route("/v1/jobs/{id}/why", get(why))
        .route("/v1/jobs/{id}/client-certificate", put(certificate))
        .route("/v1/jobs/{id}/{action}", post(act))
        .route("/v1/events", get(events))
        .with_state(state)
}

fn refuse(code: HResult) -> Response {
    let problem = Problem::new(code, "said by the test");
    let status = StatusCode::from_u16(problem.status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
}

fn done(job: &JobView) -> Response {
    let outcome = Outcome { hresult: h::S_OK.to_string(), name: "S_OK".to_owned(), job: job.clone() };
    Json(outcome).into_response()
}

async fn service(Shared(app): Shared<App>) -> Json<ServiceInfo> {
    let state = lock(&app);
    Json(ServiceInfo {
        schema: SCHEMA,
        version: "9.9.9".to_owned(),
        mode: "user".to_owned(),
        pid: 1,
        jobs: state.jobs.len() as u64,
        running: 0,
        network: true,
        store_error: None,
        findings: vec![],
        limits: state.limits,
        last_event: state.events.len() as u64,
        download_mode: 99,
    })
}

async fn list(Shared(app): Shared<App>, Query(query): Query<HashMap<String, String>>) -> Json<JobPage> {
    let state = lock(&app);
    let fits = |job: &JobView| {
        !job.state.is_final()
            && query.get("name").is_none_or(|n| *n == job.display_name)
            && query.get("id_prefix").is_none_or(|p| job.id.starts_with(p.as_str()))
            && query.get("state").is_none_or(|s| s.split(',').any(|s| s == job.state.as_str()))
            && query.get("after").is_none_or(|a| job.id > *a)
    };
    // Two jobs a page, so that every list is a list of pages.
    let mut jobs: Vec<JobView> = state.jobs.values().filter(|j| fits(j)).take(3).cloned().collect();
    let more = jobs.len() > 2;
    jobs.truncate(2);
    let next = jobs.last().filter(|_| more).map(|j| j.id.clone());
    Json(JobPage { schema: SCHEMA, jobs, next })
}

fn file_views(files: &[AddFile]) -> Vec<FileView> {
    let view = |(i, file): (usize, &AddFile)| FileView {
        index: u32::try_from(i).unwrap(),
        remote_name: file.remote_name.clone(),
        local_name: file.local_name.clone(),
        content_id: None,
        bytes_total: None,
        bytes_transferred: 0,
        transferred: false,
        completed: false,
        temporary_name: None,
        temporary_path: None,
        valid: false,
        downloaded_from_peer: false,
        bytes_from_origin: 0,
        bytes_from_peers: 0,
        bytes_from_cache_hosts: 0,
        integrity_check_mandatory: None,
        sha256: file.sha256.clone(),
        digests: file.digests.iter().map(ToString::to_string).collect(),
        checksum: file.checksum.as_ref().map(|source| source.location.clone()),
        expected_size: file.size,
        metalink: file.metalink.as_ref().map(|source| source.location.clone()),
        pieces: file.pieces.clone(),
        mirrors: file.mirrors.clone(),
        mirror: None,
        ranges: file.ranges.clone(),
        restarts: 0,
    };
    files.iter().enumerate().map(view).collect()
}

async fn create(Shared(app): Shared<App>, Json(wanted): Json<CreateJob>) -> Response {
    let mut state = lock(&app);
    let id = wanted.id.clone().expect("the client chooses the GUID");
    assert!(id.parse::<JobId>().expect("a GUID").is_random());
    if let Some(job) = state.jobs.get(&id) {
        return (StatusCode::CREATED, done(job)).into_response();
    }
    if state.jobs.values().filter(|j| !j.state.is_final()).count() >= state.jobs_max {
        return refuse(state.too_many);
    }
    let start = if wanted.resume { JobState::Queued } else { JobState::Suspended };
    state.add_with(&id, &wanted.display_name, start);
    let job = state.jobs.get_mut(&id).unwrap();
    job.auto_complete = wanted.properties.auto_complete == Some(true);
    job.files_total = u32::try_from(wanted.files.len()).unwrap();
    job.files = Some(file_views(&wanted.files));
    let job = job.clone();
    state.created.push(wanted);
    state.tell(&job, EventKind::Created);
    assert!(!std::mem::take(&mut state.breaks_create), "the test wants this connection to break");
    (StatusCode::CREATED, done(&job)).into_response()
}

async fn show(
    Shared(app): Shared<App>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let state = lock(&app);
    match state.jobs.get(&id) {
        Some(job) if !job.state.is_final() || query.contains_key("held") => {
            let mut job = job.clone();
            if !query.contains_key("files") {
                job.files = None;
            }
            Json(job).into_response()
        }
        _ => refuse(h::BG_E_NOT_FOUND),
    }
}

async fn patch(Shared(app): Shared<App>, Path(id): Path<String>, Json(set): Json<SetProperties>) -> Response {
    let mut state = lock(&app);
    state.patched.push(set);
    state.jobs.get(&id).map_or_else(|| refuse(h::BG_E_NOT_FOUND), done)
}

/// The owner has every certificate but nobody's.
async fn certificate(
    Shared(app): Shared<App>,
    Path(id): Path<String>,
    Json(wanted): Json<SetClientCertificate>,
) -> Response {
    let mut state = lock(&app);
    if wanted.subject.as_deref() == Some("nobody") {
        return refuse(h::CRYPT_E_NOT_FOUND);
    }
    state.actions.push((id.clone(), "client-certificate".to_owned()));
    state.jobs.get(&id).map_or_else(|| refuse(h::BG_E_NOT_FOUND), done)
}

async fn add(Shared(app): Shared<App>, Path(id): Path<String>, Json(add): Json<AddFiles>) -> Response {
    let mut state = lock(&app);
    let Some(job) = state.jobs.get_mut(&id) else { return refuse(h::BG_E_NOT_FOUND) };
    job.files = Some(file_views(&add.files));
    done(job)
}

async fn why(Shared(app): Shared<App>, Path(id): Path<String>) -> Response {
    let state = lock(&app);
    let Some(job) = state.jobs.get(&id) else { return refuse(h::BG_E_NOT_FOUND) };
    Json(Why {
        schema: SCHEMA,
        id,
        state: job.state,
        moving: false,
        reason: "suspended".to_owned(),
        text: "The job is suspended.".to_owned(),
        until_ms: None,
        remedy: "Resume it.".to_owned(),
        jobs_ahead: None,
        hresult: None,
        name: None,
        detail: None,
    })
    .into_response()
}

async fn act(Shared(app): Shared<App>, Path((id, action)): Path<(String, String)>) -> Response {
    if lock(&app).hangs {
        return std::future::pending().await;
    }
    let mut state = lock(&app);
    if !state.jobs.contains_key(&id) {
        return refuse(h::BG_E_NOT_FOUND);
    }
    state.actions.push((id.clone(), action.clone()));
    match action.as_str() {
        "cancel" => state.enter(&id, JobState::Cancelled, EventKind::Cancelled),
        "complete" => state.enter(&id, JobState::Acknowledged, EventKind::Acknowledged),
        "resume" => state.enter(&id, JobState::Queued, EventKind::Modified),
        "suspend" => state.enter(&id, JobState::Suspended, EventKind::Modified),
        _ => {}
    }
    done(&state.jobs[&id])
}

async fn events(Shared(app): Shared<App>, Query(query): Query<HashMap<String, String>>) -> Response {
    let after: u64 = query.get("after").map_or(0, |a| a.parse().unwrap());
    let job = query.get("job").cloned();
    let changed = lock(&app).changed.subscribe();
    let stream =
        futures_util::stream::unfold((app, changed, after, job), async |(app, mut changed, after, job)| {
            loop {
                let (text, last) = {
                    let state = lock(&app);
                    let mut text = state.raw_events.clone().unwrap_or_default();
                    let new = state.events.iter().filter(|e| e.seq > Some(after));
                    for event in new.filter(|e| job.as_ref().is_none_or(|j| *j == e.job)) {
                        let data = serde_json::to_string(event).unwrap();
                        text += &format!(
                            "id: {}\nevent: {}\ndata: {data}\n\n",
                            event.seq.unwrap(),
                            event.kind.as_str()
                        );
                    }
                    (text, state.events.len() as u64)
                };
                if !text.is_empty() {
                    let bytes = Ok::<_, std::convert::Infallible>(Bytes::from(text));
                    return Some((bytes, (app, changed, last, job)));
                }
                changed.changed().await.ok()?;
            }
        });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}
