//! The calls of the service, one method each.

use crate::checks::CertificateChecks;
use crate::connection::{Connection, Failure, Request, Response};
use crate::error::Error;
use crate::events::{EventStream, Scope};
use crate::start::Starter;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use openbits_api::socket::{Choice, Endpoint, Environment, Kind};
use openbits_api::{
    AddFile, AddFiles, CallbackAnswer, CertificateAnswer, CertificateView, CheckPolicy, CreateJob,
    CustomHeaders, DownloadPosition, ErrorText, ErrorView, FileList, FileProperty, FileView, HelperSet,
    HelperTicketView, JobIds, JobLog, JobPage, JobView, NotifyInterfaceView, NumberedProperty, Outcome,
    PolicyExplanation, PolicyOutcome, PolicyView, Problem, RangeList, RangeView, ReplacePrefix,
    RequestRanges, ServiceInfo, SetClientCertificate, SetCredentials, SetFile, SetHelperToken,
    SetNotifyInterface, SetNumbered, SetProperties, SetRemoteName, SetValidation, Why,
};
use openbits_core::hresult::{QM_E_SERVICE_UNAVAILABLE, RPC_E_DISCONNECTED};
use openbits_core::{HResult, JobId, JobState};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

/// Longest answer that is read, in bytes: a page of 1,000 jobs with some files each.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How many connections that take no request are borne for one call.
const UNSENT_MAX: u32 = 3;
/// How often a call is repeated that a stopping service refused, and the pause before; together longer than its end takes.
const STOPPING_MAX: u32 = 50;
const STOPPING_PAUSE: Duration = Duration::from_millis(50);

/// Pause before a call is repeated whose answer was lost.
const REPEAT_PAUSE: Duration = Duration::from_millis(200);

/// How long to wait for the service.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the answer to one call.
    pub call: Duration,
    /// For a service that went away to come back, while an event stream is followed.
    pub return_of_service: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { call: Duration::from_secs(60), return_of_service: Duration::from_secs(60) }
    }
}

/// The asynchronous client. Cheap to clone; clones share one connection, and calls on it take turns.
///
/// A call that finds its connection closed opens another. A call whose connection breaks after the request has left is sent once
/// more if it is idempotent, otherwise it is [`Error::Interrupted`]. With a [`Starter`], a service that is gone is started.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    starter: Option<Starter>,
    timeouts: Timeouts,
    connection: Mutex<Option<Connection>>,
}

/// Calls on a job without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put it into the queue.
    Resume,
    /// Pause it.
    Suspend,
    /// Delete it and what it has received.
    Cancel,
    /// Put its files in place and finish it.
    Complete,
    /// Become its owner.
    TakeOwnership,
}

impl Action {
    const fn path(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Suspend => "suspend",
            Self::Cancel => "cancel",
            Self::Complete => "complete",
            Self::TakeOwnership => "take-ownership",
        }
    }

    /// Carrying it out twice is the same as once, also in its answer.
    const fn is_idempotent(self) -> bool {
        matches!(self, Self::Resume | Self::Suspend | Self::TakeOwnership)
    }
}

/// What `GET /v1/jobs` shall list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Jobs of all users (root only).
    pub all_users: bool,
    /// Only these states; empty for all.
    pub states: Vec<JobState>,
    /// Only jobs with exactly this name.
    pub name: Option<String>,
    /// Only jobs whose GUID begins with these hexadecimal digits.
    pub id_prefix: Option<String>,
    /// With their files.
    pub files: bool,
    /// Most jobs in the page.
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub after: Option<String>,
}

impl JobQuery {
    fn path(&self) -> String {
        let mut query = Query::new("/v1/jobs");
        if self.all_users {
            query.add("all_users", "true");
        }
        if !self.states.is_empty() {
            let states: Vec<_> = self.states.iter().map(|s| s.as_str()).collect();
            query.add("state", &states.join(","));
        }
        if let Some(name) = &self.name {
            query.add("name", name);
        }
        if let Some(prefix) = &self.id_prefix {
            query.add("id_prefix", prefix);
        }
        if self.files {
            query.add("files", "true");
        }
        if let Some(limit) = self.limit {
            query.add("limit", &limit.to_string());
        }
        if let Some(after) = &self.after {
            query.add("after", after);
        }
        query.text
    }
}

/// A path with a query that grows.
pub(crate) struct Query {
    pub(crate) text: String,
    separator: char,
}

impl Query {
    pub(crate) fn new(path: &str) -> Self {
        Self { text: path.to_owned(), separator: '?' }
    }

    pub(crate) fn add(&mut self, key: &str, value: &str) {
        use std::fmt::Write as _;
        self.text.push(std::mem::replace(&mut self.separator, '&'));
        self.text.push_str(key);
        self.text.push('=');
        for &byte in value.as_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' => {
                    self.text.push(char::from(byte));
                }
                _ => write!(self.text, "%{byte:02X}").expect("a String takes everything"),
            }
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// A random GUID for a job to create.
pub fn new_job_id() -> Result<JobId, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::Random(e.to_string()))?;
    Ok(JobId::from_random_bytes(bytes))
}

impl Client {
    /// A client of the service behind `endpoint`. Nothing is sent yet. The starter is used for the user's own service only.
    pub fn new(endpoint: Endpoint, starter: Option<Starter>, timeouts: Timeouts) -> Self {
        let starter = starter.filter(|_| endpoint.kind == Kind::User);
        Self { inner: Arc::new(Inner { endpoint, starter, timeouts, connection: Mutex::new(None) }) }
    }

    /// Finds the service by the rule of [`openbits_api::socket`].
    pub fn find(choice: &Choice, starter: Option<Starter>) -> Result<Self, Error> {
        let endpoint = Environment::of_process().find(choice)?;
        Ok(Self::new(endpoint, starter, Timeouts::default()))
    }

    /// The socket in use.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// The limits in time.
    pub fn timeouts(&self) -> Timeouts {
        self.inner.timeouts
    }

    /// `GET /v1/service`
    pub async fn service_info(&self) -> Result<ServiceInfo, Error> {
        self.get("/v1/service").await
    }

    /// `POST /v1/jobs`, under a GUID of our own if the job has none. So the call may be repeated: when its answer is lost or does
    /// not come in time, it is, for [`Timeouts::return_of_service`]. If that ends with [`Error::Interrupted`] or
    /// [`Error::Timeout`], it is open whether there is a job; with a GUID given in `job` the caller can ask later.
    pub async fn create_job(&self, job: &CreateJob) -> Result<Outcome, Error> {
        let mut job = job.clone();
        if job.id.is_none() {
            job.id = Some(new_job_id()?.to_string());
        }
        let body = to_json(&job)?;
        let mut deadline = None;
        loop {
            let error = match self.call(Method::POST, "/v1/jobs", body.clone(), true).await {
                Err(e @ (Error::Interrupted | Error::Timeout(_))) => e,
                // It went away with the call and is not back yet.
                Err(e) if deadline.is_some() && e.is_gone() => e,
                answer => return answer,
            };
            let now = Instant::now();
            if now >= *deadline.get_or_insert(now + self.inner.timeouts.return_of_service) {
                return Err(error);
            }
            sleep(REPEAT_PAUSE).await;
        }
    }

    /// `GET /v1/jobs`: one page.
    pub async fn jobs_page(&self, query: &JobQuery) -> Result<JobPage, Error> {
        self.get(&query.path()).await
    }

    /// `GET /v1/jobs`: all pages.
    pub async fn jobs(&self, query: &JobQuery) -> Result<Vec<JobView>, Error> {
        let mut query = query.clone();
        let mut jobs = Vec::new();
        loop {
            let page = self.jobs_page(&query).await?;
            jobs.extend(page.jobs);
            match page.next {
                Some(next) if query.after.as_ref() != Some(&next) => query.after = Some(next),
                _ => return Ok(jobs),
            }
        }
    }

    /// `GET /v1/job-ids`: the ids of the caller's jobs, or of everybody's (root only); all pages.
    pub async fn job_ids(&self, all_users: bool) -> Result<Vec<JobId>, Error> {
        let mut ids = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = Query::new("/v1/job-ids");
            if all_users {
                query.add("all_users", "true");
            }
            if let Some(after) = &after {
                query.add("after", after);
            }
            let page: JobIds = self.get(&query.text).await?;
            for id in &page.ids {
                ids.push(id.parse().map_err(|e| Error::Protocol(format!("job id: {e}")))?);
            }
            match page.next {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(ids),
            }
        }
    }

    /// `GET /v1/jobs/{id}`: the job; `files` with its files, `held` also if it finished recently.
    pub async fn job(&self, id: JobId, files: bool, held: bool) -> Result<JobView, Error> {
        let mut query = Query::new(&format!("/v1/jobs/{id}"));
        if files {
            query.add("files", "true");
        }
        if held {
            query.add("held", "true");
        }
        self.get(&query.text).await
    }

    /// `GET /v1/jobs/{id}/files`
    pub async fn files(&self, id: JobId) -> Result<Vec<FileView>, Error> {
        let list: FileList = self.get(&format!("/v1/jobs/{id}/files")).await?;
        Ok(list.files)
    }

    /// `POST /v1/jobs/{id}/files`: all or none.
    pub async fn add_files(&self, id: JobId, files: Vec<AddFile>) -> Result<Outcome, Error> {
        self.call(Method::POST, &format!("/v1/jobs/{id}/files"), to_json(&AddFiles { files })?, false).await
    }

    /// `GET /v1/jobs/{id}/files/{file}/ranges`: what the file was added with.
    pub async fn file_ranges(&self, id: JobId, file: u32) -> Result<RangeList, Error> {
        self.get(&format!("/v1/jobs/{id}/files/{file}/ranges")).await
    }

    /// `GET /v1/jobs/{id}/files/{file}/filled`: what of the file is there.
    pub async fn filled_ranges(&self, id: JobId, file: u32) -> Result<RangeList, Error> {
        self.get(&format!("/v1/jobs/{id}/files/{file}/filled")).await
    }

    /// `POST /v1/jobs/{id}/files/{file}/requests`: fetch these before everything else.
    pub async fn request_ranges(
        &self,
        id: JobId,
        file: u32,
        ranges: Vec<RangeView>,
    ) -> Result<Outcome, Error> {
        let path = format!("/v1/jobs/{id}/files/{file}/requests");
        self.call(Method::POST, &path, to_json(&RequestRanges { ranges })?, true).await
    }

    /// `POST /v1/jobs/{id}/files/{file}/position`: fetch the rest from here on.
    pub async fn update_position(&self, id: JobId, file: u32, offset: u64) -> Result<Outcome, Error> {
        let path = format!("/v1/jobs/{id}/files/{file}/position");
        self.call(Method::POST, &path, to_json(&DownloadPosition { offset })?, true).await
    }

    /// `PATCH /v1/jobs/{id}`: all or none.
    pub async fn set_properties(&self, id: JobId, properties: &SetProperties) -> Result<Outcome, Error> {
        self.call(Method::PATCH, &format!("/v1/jobs/{id}"), to_json(properties)?, true).await
    }

    /// `GET /v1/jobs/{id}/files/{index}`
    pub async fn file(&self, id: JobId, index: u32) -> Result<FileView, Error> {
        self.get(&format!("/v1/jobs/{id}/files/{index}")).await
    }

    /// `PATCH /v1/jobs/{id}/files/{index}`: IDeliveryOptimizationFile2::SetProperty.
    pub async fn set_file(&self, id: JobId, index: u32, set: &SetFile) -> Result<Outcome, Error> {
        self.call(Method::PATCH, &format!("/v1/jobs/{id}/files/{index}"), to_json(set)?, true).await
    }

    /// `PUT /v1/jobs/{id}/files/{index}/remote-name`: IBackgroundCopyFile2::SetRemoteName.
    pub async fn set_remote_name(&self, id: JobId, index: u32, name: &str) -> Result<Outcome, Error> {
        let body = to_json(&SetRemoteName { remote_name: name.to_owned() })?;
        self.call(Method::PUT, &format!("/v1/jobs/{id}/files/{index}/remote-name"), body, true).await
    }

    /// `PUT /v1/jobs/{id}/files/{index}/validation`: IBackgroundCopyFile3::SetValidationState.
    pub async fn set_validation(&self, id: JobId, index: u32, valid: bool) -> Result<Outcome, Error> {
        let body = to_json(&SetValidation { valid })?;
        self.call(Method::PUT, &format!("/v1/jobs/{id}/files/{index}/validation"), body, false).await
    }

    /// `GET /v1/jobs/{id}/files/{index}/properties/{number}`: IBackgroundCopyFile5::GetProperty.
    pub async fn file_property(&self, id: JobId, index: u32, number: u32) -> Result<FileProperty, Error> {
        self.get(&format!("/v1/jobs/{id}/files/{index}/properties/{number}")).await
    }

    /// `PUT /v1/jobs/{id}/files/{index}/properties/{number}`: IBackgroundCopyFile5::SetProperty; always refused.
    pub async fn set_file_property(&self, id: JobId, index: u32, number: u32) -> Result<Outcome, Error> {
        let path = format!("/v1/jobs/{id}/files/{index}/properties/{number}");
        self.call(Method::PUT, &path, Bytes::new(), true).await
    }

    /// `POST /v1/jobs/{id}/replace-remote-prefix`: all names that begin with `old`, or none.
    pub async fn replace_remote_prefix(&self, id: JobId, old: &str, new: &str) -> Result<Outcome, Error> {
        let body = to_json(&ReplacePrefix { old: old.to_owned(), new: new.to_owned() })?;
        self.call(Method::POST, &format!("/v1/jobs/{id}/replace-remote-prefix"), body, false).await
    }

    /// `POST /v1/jobs/{id}/helper-token/ticket`
    pub async fn helper_ticket(&self, id: JobId) -> Result<HelperTicketView, Error> {
        self.call(Method::POST, &format!("/v1/jobs/{id}/helper-token/ticket"), Bytes::new(), true).await
    }

    /// `PUT /v1/jobs/{id}/helper-token`: IBitsTokenOptions::SetHelperToken.
    pub async fn set_helper_token(&self, id: JobId, ticket: Option<&str>) -> Result<HelperSet, Error> {
        let body = to_json(&SetHelperToken { ticket: ticket.map(str::to_owned) })?;
        self.call(Method::PUT, &format!("/v1/jobs/{id}/helper-token"), body, false).await
    }

    /// `DELETE /v1/jobs/{id}/helper-token`: IBitsTokenOptions::ClearHelperToken.
    pub async fn clear_helper_token(&self, id: JobId) -> Result<Outcome, Error> {
        self.call(Method::DELETE, &format!("/v1/jobs/{id}/helper-token"), Bytes::new(), true).await
    }

    /// `GET /v1/jobs/{id}/properties/{number}`: IBackgroundCopyJob5::GetProperty.
    pub async fn numbered(&self, id: JobId, number: u32) -> Result<NumberedProperty, Error> {
        self.get(&format!("/v1/jobs/{id}/properties/{number}")).await
    }

    /// `PUT /v1/jobs/{id}/properties/{number}`: IBackgroundCopyJob5::SetProperty.
    pub async fn set_numbered(&self, id: JobId, number: u32, value: &SetNumbered) -> Result<Outcome, Error> {
        let path = format!("/v1/jobs/{id}/properties/{number}");
        self.call(Method::PUT, &path, to_json(value)?, true).await
    }

    /// `PUT /v1/jobs/{id}/credentials`
    pub async fn set_credentials(&self, id: JobId, credentials: &SetCredentials) -> Result<Outcome, Error> {
        self.call(Method::PUT, &format!("/v1/jobs/{id}/credentials"), to_json(credentials)?, true).await
    }

    /// `DELETE /v1/jobs/{id}/credentials/{target}/{scheme}`; `S_FALSE` if there are none.
    pub async fn remove_credentials(&self, id: JobId, target: &str, scheme: &str) -> Result<Outcome, Error> {
        let encode =
            |text: &str| text.bytes().filter(u8::is_ascii_alphanumeric).map(char::from).collect::<String>();
        let path = format!("/v1/jobs/{id}/credentials/{}/{}", encode(target), encode(scheme));
        // Repeated, it would say that there was nothing to remove.
        self.call(Method::DELETE, &path, Bytes::new(), false).await
    }

    /// `POST /v1/jobs/{id}/ACTION`
    pub async fn act(&self, id: JobId, action: Action) -> Result<Outcome, Error> {
        let path = format!("/v1/jobs/{id}/{}", action.path());
        self.call(Method::POST, &path, Bytes::new(), action.is_idempotent()).await
    }

    /// `GET /v1/jobs/{id}/error`
    pub async fn error(&self, id: JobId) -> Result<ErrorView, Error> {
        self.get(&format!("/v1/jobs/{id}/error")).await
    }

    /// `GET /v1/jobs/{id}/reply`: the reply of an upload-reply job, of at most 1 MiB; empty if the server gave none.
    pub async fn reply(&self, id: JobId) -> Result<Vec<u8>, Error> {
        let (status, body) =
            self.exchange(Method::GET, &format!("/v1/jobs/{id}/reply"), Bytes::new(), true).await?;
        if status.is_success() {
            return Ok(body.to_vec());
        }
        understand::<serde_json::Value>(status, &body).map(|_| Vec::new())
    }

    /// `GET /v1/jobs/{id}/why`
    pub async fn why(&self, id: JobId) -> Result<Why, Error> {
        self.get(&format!("/v1/jobs/{id}/why")).await
    }

    /// `GET /v1/policy`
    pub async fn policy(&self) -> Result<PolicyView, Error> {
        self.get("/v1/policy").await
    }

    /// `POST /v1/policy/check`
    pub async fn check_policy(&self, check: &CheckPolicy) -> Result<PolicyOutcome, Error> {
        self.call(Method::POST, "/v1/policy/check", to_json(check)?, true).await
    }

    /// `POST /v1/policy/reload`
    pub async fn reload_policy(&self) -> Result<PolicyOutcome, Error> {
        self.call(Method::POST, "/v1/policy/reload", Bytes::new(), true).await
    }

    /// `GET /v1/jobs/{id}/policy`: which rules of the policy concern the job.
    pub async fn explain_policy(&self, id: JobId) -> Result<PolicyExplanation, Error> {
        self.get(&format!("/v1/jobs/{id}/policy")).await
    }

    /// `GET /v1/errors/{hresult}`: text of a code; `language` is a Windows language id, e.g. 1033.
    pub async fn describe(&self, code: HResult, language: u32) -> Result<ErrorText, Error> {
        self.get(&format!("/v1/errors/{code}?language={language}")).await
    }

    /// `PUT /v1/jobs/{id}/client-certificate` (owner only): looks for the certificate, and sets it.
    pub async fn set_client_certificate(
        &self,
        id: JobId,
        certificate: &SetClientCertificate,
    ) -> Result<Outcome, Error> {
        let path = format!("/v1/jobs/{id}/client-certificate");
        self.call(Method::PUT, &path, to_json(certificate)?, true).await
    }

    /// `GET /v1/jobs/{id}/client-certificate`: RPC_X_BAD_STUB_DATA if none is set.
    pub async fn client_certificate(&self, id: JobId) -> Result<CertificateView, Error> {
        self.get(&format!("/v1/jobs/{id}/client-certificate")).await
    }

    /// `DELETE /v1/jobs/{id}/client-certificate` (owner only): S_FALSE if none is set.
    pub async fn remove_client_certificate(&self, id: JobId) -> Result<Outcome, Error> {
        self.call(Method::DELETE, &format!("/v1/jobs/{id}/client-certificate"), Bytes::new(), false).await
    }

    /// `GET /v1/jobs/{id}/custom-headers` (owner only): E_ACCESSDENIED once they are write-only.
    pub async fn custom_headers(&self, id: JobId) -> Result<CustomHeaders, Error> {
        self.get(&format!("/v1/jobs/{id}/custom-headers")).await
    }

    /// `GET /v1/jobs/{id}/challenge-headers` (owner only): E_ACCESSDENIED once headers are write-only.
    pub async fn challenge_headers(&self, id: JobId) -> Result<CustomHeaders, Error> {
        self.get(&format!("/v1/jobs/{id}/challenge-headers")).await
    }

    /// `POST /v1/jobs/{id}/certificate-checks`: from now on this program has to accept the job's servers.
    pub async fn certificate_checks(&self, id: JobId) -> Result<CertificateChecks, Error> {
        CertificateChecks::open(self, id).await
    }

    /// `PUT /v1/jobs/{id}/certificate-checks/{check}`: a success code accepts, a failure code refuses.
    pub async fn answer_certificate_check(
        &self,
        id: JobId,
        check: u64,
        code: HResult,
    ) -> Result<CertificateAnswer, Error> {
        let path = format!("/v1/jobs/{id}/certificate-checks/{check}");
        let answer = CertificateAnswer { hresult: code.to_string() };
        self.call(Method::PUT, &path, to_json(&answer)?, false).await
    }

    /// `DELETE /v1/jobs/{id}/certificate-checks`: no program is asked any more.
    pub async fn stop_certificate_checks(&self, id: JobId) -> Result<Outcome, Error> {
        self.call(Method::DELETE, &format!("/v1/jobs/{id}/certificate-checks"), Bytes::new(), true).await
    }

    /// Follows the events after the cursor `after`, or from now on; of one job, of the caller's, or of everybody's.
    pub async fn events(&self, after: Option<u64>, scope: impl Into<Scope>) -> Result<EventStream, Error> {
        let scope = scope.into();
        let after = match after {
            Some(seq) => seq,
            None => self.service_info().await?.last_event,
        };
        EventStream::open(self.clone(), after, scope, false).await
    }

    /// Follows the events of one job after the cursor `after`, with the entries of its history ([`openbits_api::EventKind::Log`]).
    pub async fn job_log_events(&self, after: u64, job: JobId) -> Result<EventStream, Error> {
        EventStream::open(self.clone(), after, Scope::Job(job), true).await
    }

    /// `GET /v1/jobs/{id}/log`: the history of a job.
    pub async fn job_log(&self, id: JobId) -> Result<JobLog, Error> {
        self.get(&format!("/v1/jobs/{id}/log")).await
    }

    /// `PUT` or `DELETE /v1/jobs/{id}/notify-interface`: SetNotifyInterface by the number of an own listener. Use [`crate::Callbacks`].
    pub async fn set_notify_interface(
        &self,
        id: JobId,
        listener: Option<u64>,
    ) -> Result<NotifyInterfaceView, Error> {
        let path = format!("/v1/jobs/{id}/notify-interface");
        match listener {
            Some(listener) => {
                self.call(Method::PUT, &path, to_json(&SetNotifyInterface { listener })?, true).await
            }
            None => self.call(Method::DELETE, &path, Bytes::new(), true).await,
        }
    }

    /// `GET /v1/jobs/{id}/notify-interface`: GetNotifyInterface, whether a listener is registered.
    pub async fn notify_interface(&self, id: JobId) -> Result<NotifyInterfaceView, Error> {
        self.get(&format!("/v1/jobs/{id}/notify-interface")).await
    }

    /// `POST /v1/callbacks/{call}`: what a callback returned. Use [`crate::Callbacks`].
    pub async fn answer_callback(&self, call: u64, code: HResult) -> Result<(), Error> {
        let body = to_json(&CallbackAnswer { hresult: code.to_string() })?;
        self.call(Method::POST, &format!("/v1/callbacks/{call}"), body, false).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(Method::GET, path, Bytes::new(), true).await
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        idempotent: bool,
    ) -> Result<T, Error> {
        let (status, body) = self.exchange(method, path, body, idempotent).await?;
        understand(status, &body)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        idempotent: bool,
    ) -> Result<(StatusCode, Bytes), Error> {
        let limit = self.inner.timeouts.call;
        let mut connection = self.inner.connection.lock().await;
        // Taken out, so that a call that is dropped half-way leaves no half-read answer for the next one.
        let mut open = connection.take();
        let mut again = idempotent;
        let (mut unsent, mut stopping) = (0, 0);
        loop {
            let mut current = match open.take() {
                Some(kept) => {
                    // Lets the connection's task see that the service hung up.
                    tokio::task::yield_now().await;
                    tokio::task::yield_now().await;
                    if kept.is_open() { kept } else { self.connect().await? }
                }
                None => self.connect().await?,
            };
            let request = request(&method, path, body.clone())?;
            let exchange = async {
                match current.send(request).await {
                    Ok(response) => read(response).await.map(Some),
                    Err(Failure::NotSent) => Ok(None),
                    Err(Failure::Lost) => Err(Error::Interrupted),
                }
            };
            match timeout(limit, exchange).await.map_err(|_| Error::Timeout(limit))? {
                // A service on its way out says so and closes; another attempt finds its successor, or starts it.
                Ok(Some((StatusCode::SERVICE_UNAVAILABLE, body)))
                    if idempotent && stopping < STOPPING_MAX && is_stopping(&body) =>
                {
                    stopping += 1;
                    sleep(STOPPING_PAUSE).await;
                }
                Ok(Some((status, body))) => {
                    *connection = Some(current);
                    return Ok((status, body));
                }
                // Nothing was sent: a new connection cannot do harm. `connect` ends the loop when nobody is there.
                Ok(None) if unsent < UNSENT_MAX => unsent += 1,
                Ok(None) => return Err(Error::Interrupted),
                Err(Error::Interrupted) if again => again = false,
                Err(e) => return Err(e),
            }
        }
    }

    /// Connects; starts the user's own service if it does not answer.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        let endpoint = &self.inner.endpoint;
        match (Connection::open(endpoint).await, &self.inner.starter) {
            (Err(Error::Unreachable { .. }), Some(starter)) => {
                starter.start(endpoint).await?;
                Connection::open(endpoint).await
            }
            (result, _) => result,
        }
    }
}

pub(crate) fn request(method: &Method, path: &str, body: Bytes) -> Result<Request, Error> {
    let mut builder = http::Request::builder().method(method).uri(path).header("host", "localhost");
    if !body.is_empty() {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(Full::new(body)).map_err(|e| Error::Protocol(format!("cannot ask for {path}: {e}")))
}

async fn read(response: Response) -> Result<(StatusCode, Bytes), Error> {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| {
        if e.is::<http_body_util::LengthLimitError>() {
            Error::Protocol(format!("it is longer than {ANSWER_BYTES_MAX} bytes"))
        } else {
            Error::Interrupted
        }
    })?;
    Ok((status, body.to_bytes()))
}

/// Reads a refusal's body.
pub(crate) async fn refusal(response: Response) -> Error {
    match read(response).await {
        Ok((status, body)) => refused(status, &body),
        Err(e) => e,
    }
}

fn is_stopping(body: &[u8]) -> bool {
    let codes = [RPC_E_DISCONNECTED, QM_E_SERVICE_UNAVAILABLE];
    serde_json::from_slice::<Problem>(body).is_ok_and(|problem| codes.contains(&problem.code()))
}

fn refused(status: StatusCode, body: &[u8]) -> Error {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => Error::Problem(Box::new(problem)),
        Err(_) => Error::Protocol(format!("HTTP status {status} without a problem description")),
    }
}

fn understand<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, Error> {
    if !status.is_success() {
        return Err(refused(status, body));
    }
    // No content is a value too: `()`.
    let body = if status == StatusCode::NO_CONTENT { b"null" } else { body };
    serde_json::from_slice(body).map_err(|e| Error::Protocol(e.to_string()))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|e| Error::Protocol(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let query = JobQuery {
            states: vec![JobState::Queued, JobState::TransientError],
            name: Some("a&b=ü ?/#".to_owned()),
            limit: Some(3),
            ..JobQuery::default()
        };
        assert_eq!(
            query.path(),
            "/v1/jobs?state=QUEUED,TRANSIENT_ERROR&name=a%26b%3D%C3%BC%20%3F%2F%23&limit=3"
        );
        assert_eq!(JobQuery::default().path(), "/v1/jobs");
        request(&Method::GET, &query.path(), Bytes::new()).unwrap();
    }

    #[test]
    fn answers_that_break_the_contract_are_said_to() {
        let ok = StatusCode::OK;
        assert!(matches!(understand::<ServiceInfo>(ok, b"{}"), Err(Error::Protocol(_))));
        assert!(matches!(
            understand::<ServiceInfo>(StatusCode::BAD_GATEWAY, b"<html>"),
            Err(Error::Protocol(_))
        ));
        let problem = Problem::new(openbits_core::hresult::BG_E_NOT_FOUND, "x");
        let body = serde_json::to_vec(&problem).unwrap();
        let error = understand::<ServiceInfo>(StatusCode::NOT_FOUND, &body).unwrap_err();
        assert!(error.is_code(openbits_core::hresult::BG_E_NOT_FOUND), "{error}");
    }
}
