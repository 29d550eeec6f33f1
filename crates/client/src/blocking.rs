//! The client for callers without a runtime: every call blocks the calling thread.

use crate::calls::{Action, Client as Async, JobQuery};
use crate::checks::CertificateChecks as AsyncChecks;
use crate::downloads::DownloadAction;
use crate::error::Error;
use crate::events::{EventStream as AsyncEvents, Item, Scope};
use crate::groups::GroupAction;
use crate::start::Starter;
use openbits_api::socket::{Choice, Endpoint};
use openbits_api::{
    AddFile, CertificateAnswer, CertificateCheck, CertificateView, CheckPolicy, CreateDownload, CreateGroup,
    CreateJob, CustomHeaders, DownloadDone, DownloadIds, DownloadProperties, DownloadView, ErrorText,
    ErrorView, FileProperty, FileView, GroupDone, GroupFile, GroupIds, GroupJobView, GroupProgress,
    GroupView, HelperSet, HelperTicketView, JobPage, JobView, NumberedProperty, Outcome, PolicyExplanation,
    PolicyOutcome, PolicyView, RangeList, RangeView, ServiceInfo, SetClientCertificate, SetCredentials,
    SetFile, SetNumbered, SetProperties, StartDownload, VariantView, Why,
};
use openbits_core::{HResult, JobId};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// [`crate::Client`] with a runtime of its own, driven by the calling thread. May be shared between threads: calls take turns.
///
/// Must not be used inside an asynchronous task.
#[derive(Clone, Debug)]
pub struct Client {
    runtime: Arc<Mutex<Runtime>>,
    client: Async,
}

macro_rules! calls {
    ($($(#[$meta:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        $($(#[$meta])* pub fn $name(&self, $($arg: $type),*) -> Result<$answer, Error> {
            self.block(self.client.$name($($arg),*))
        })*
    };
}

impl Client {
    /// Wraps an asynchronous client. Fails if the kernel gives no descriptors for the runtime.
    pub fn new(client: Async) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime: Arc::new(Mutex::new(runtime)), client })
    }

    /// Finds the service by the rule of [`openbits_api::socket`].
    pub fn find(choice: &Choice, starter: Option<Starter>) -> Result<Self, Error> {
        let client = Async::find(choice, starter)?;
        let path = client.endpoint().path.clone();
        Self::new(client).map_err(|source| Error::Unreachable { path, source })
    }

    /// The socket in use.
    pub fn endpoint(&self) -> &Endpoint {
        self.client.endpoint()
    }

    calls! {
        /// See [`crate::Client::service_info`].
        service_info() -> ServiceInfo;
        /// See [`crate::Client::create_job`].
        create_job(job: &CreateJob) -> Outcome;
        /// See [`crate::Client::jobs_page`].
        jobs_page(query: &JobQuery) -> JobPage;
        /// See [`crate::Client::jobs`].
        jobs(query: &JobQuery) -> Vec<JobView>;
        /// See [`crate::Client::job`].
        job(id: JobId, files: bool, held: bool) -> JobView;
        /// See [`crate::Client::files`].
        files(id: JobId) -> Vec<FileView>;
        /// See [`crate::Client::add_files`].
        add_files(id: JobId, files: Vec<AddFile>) -> Outcome;
        /// See [`crate::Client::file_ranges`].
        file_ranges(id: JobId, file: u32) -> RangeList;
        /// See [`crate::Client::filled_ranges`].
        filled_ranges(id: JobId, file: u32) -> RangeList;
        /// See [`crate::Client::request_ranges`].
        request_ranges(id: JobId, file: u32, ranges: Vec<RangeView>) -> Outcome;
        /// See [`crate::Client::update_position`].
        update_position(id: JobId, file: u32, offset: u64) -> Outcome;
        /// See [`crate::Client::set_properties`].
        set_properties(id: JobId, properties: &SetProperties) -> Outcome;
        /// See [`crate::Client::file`].
        file(id: JobId, index: u32) -> FileView;
        /// See [`crate::Client::set_remote_name`].
        set_remote_name(id: JobId, index: u32, name: &str) -> Outcome;
        /// See [`crate::Client::set_validation`].
        set_validation(id: JobId, index: u32, valid: bool) -> Outcome;
        /// See [`crate::Client::file_property`].
        file_property(id: JobId, index: u32, number: u32) -> FileProperty;
        /// See [`crate::Client::set_file_property`].
        set_file_property(id: JobId, index: u32, number: u32) -> Outcome;
        /// See [`crate::Client::replace_remote_prefix`].
        replace_remote_prefix(id: JobId, old: &str, new: &str) -> Outcome;
        /// See [`crate::Client::helper_ticket`].
        helper_ticket(id: JobId) -> HelperTicketView;
        /// See [`crate::Client::set_helper_token`].
        set_helper_token(id: JobId, ticket: Option<&str>) -> HelperSet;
        /// See [`crate::Client::clear_helper_token`].
        clear_helper_token(id: JobId) -> Outcome;
        /// See [`crate::Client::numbered`].
        numbered(id: JobId, number: u32) -> NumberedProperty;
        /// See [`crate::Client::set_numbered`].
        set_numbered(id: JobId, number: u32, value: &SetNumbered) -> Outcome;
        /// See [`crate::Client::set_credentials`].
        set_credentials(id: JobId, credentials: &SetCredentials) -> Outcome;
        /// See [`crate::Client::remove_credentials`].
        remove_credentials(id: JobId, target: &str, scheme: &str) -> Outcome;
        /// See [`crate::Client::set_file`].
        set_file(id: JobId, index: u32, set: &SetFile) -> Outcome;
        /// See [`crate::Client::create_download`].
        create_download(download: &CreateDownload) -> DownloadView;
        /// See [`crate::Client::downloads`].
        downloads(category: Option<(&str, &str)>) -> DownloadIds;
        /// See [`crate::Client::download`].
        download(id: JobId) -> DownloadView;
        /// See [`crate::Client::set_download`].
        set_download(id: JobId, properties: &DownloadProperties) -> DownloadDone;
        /// See [`crate::Client::start_download`].
        start_download(id: JobId, start: &StartDownload) -> DownloadDone;
        /// See [`crate::Client::act_on_download`].
        act_on_download(id: JobId, action: DownloadAction) -> DownloadDone;
        /// See [`crate::Client::create_group`].
        create_group(group: &CreateGroup) -> GroupView;
        /// See [`crate::Client::get_group`].
        get_group(id: JobId) -> GroupView;
        /// See [`crate::Client::groups`].
        groups(flags: u32) -> GroupIds;
        /// See [`crate::Client::group`].
        group(id: JobId) -> GroupView;
        /// See [`crate::Client::act_on_group`].
        act_on_group(id: JobId, action: GroupAction) -> GroupDone;
        /// See [`crate::Client::group_progress`].
        group_progress(id: JobId, kind: u32) -> GroupProgress;
        /// See [`crate::Client::group_property`].
        group_property(id: JobId, number: u32) -> VariantView;
        /// See [`crate::Client::set_group_property`].
        set_group_property(id: JobId, number: u32, value: &VariantView) -> GroupDone;
        /// See [`crate::Client::group_jobs`].
        group_jobs(id: JobId, flags: u32) -> GroupIds;
        /// See [`crate::Client::create_group_job`].
        create_group_job(id: JobId, job: JobId) -> GroupJobView;
        /// See [`crate::Client::group_job`].
        group_job(id: JobId, job: JobId) -> GroupJobView;
        /// See [`crate::Client::group_job_progress`].
        group_job_progress(id: JobId, job: JobId, kind: u32) -> GroupProgress;
        /// See [`crate::Client::add_group_files`].
        add_group_files(id: JobId, job: JobId, files: Vec<GroupFile>) -> GroupDone;
        /// See [`crate::Client::group_file`].
        group_file(id: JobId, job: JobId, index: u32) -> GroupFile;
        /// See [`crate::Client::cancel_group_job`].
        cancel_group_job(id: JobId, job: JobId) -> GroupDone;
        /// See [`crate::Client::switch_group_job_to_foreground`].
        switch_group_job_to_foreground(id: JobId, job: JobId) -> GroupDone;
        /// See [`crate::Client::act`].
        act(id: JobId, action: Action) -> Outcome;
        /// See [`crate::Client::error`].
        error(id: JobId) -> ErrorView;
        /// See [`crate::Client::reply`].
        reply(id: JobId) -> Vec<u8>;
        /// See [`crate::Client::why`].
        why(id: JobId) -> Why;
        /// See [`crate::Client::policy`].
        policy() -> PolicyView;
        /// See [`crate::Client::check_policy`].
        check_policy(check: &CheckPolicy) -> PolicyOutcome;
        /// See [`crate::Client::reload_policy`].
        reload_policy() -> PolicyOutcome;
        /// See [`crate::Client::explain_policy`].
        explain_policy(id: JobId) -> PolicyExplanation;
        /// See [`crate::Client::set_client_certificate`].
        set_client_certificate(id: JobId, certificate: &SetClientCertificate) -> Outcome;
        /// See [`crate::Client::client_certificate`].
        client_certificate(id: JobId) -> CertificateView;
        /// See [`crate::Client::remove_client_certificate`].
        remove_client_certificate(id: JobId) -> Outcome;
        /// See [`crate::Client::custom_headers`].
        custom_headers(id: JobId) -> CustomHeaders;
        /// See [`crate::Client::challenge_headers`].
        challenge_headers(id: JobId) -> CustomHeaders;
        /// See [`crate::Client::answer_certificate_check`].
        answer_certificate_check(id: JobId, check: u64, code: HResult) -> CertificateAnswer;
        /// See [`crate::Client::stop_certificate_checks`].
        stop_certificate_checks(id: JobId) -> Outcome;
        /// See [`crate::Client::describe`].
        describe(code: HResult, language: u32) -> ErrorText;
    }

    /// See [`crate::Client::events`]. The stream has a runtime of its own: waiting in it does not hold up calls.
    pub fn events(&self, after: Option<u64>, scope: impl Into<Scope>) -> Result<EventStream, Error> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Unreachable { path: self.endpoint().path.clone(), source })?;
        let after = match after {
            Some(seq) => seq,
            None => self.service_info()?.last_event,
        };
        let stream = runtime.block_on(self.client.events(Some(after), scope))?;
        Ok(EventStream { runtime, stream })
    }

    /// See [`crate::Client::certificate_checks`]. The stream has a runtime of its own: waiting in it does not hold up calls.
    pub fn certificate_checks(&self, id: JobId) -> Result<CertificateChecks, Error> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Unreachable { path: self.endpoint().path.clone(), source })?;
        let checks = runtime.block_on(self.client.certificate_checks(id))?;
        Ok(CertificateChecks { runtime, checks })
    }

    fn block<T>(&self, call: impl Future<Output = T>) -> T {
        // A panic in another call leaves the runtime as good as it was.
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).block_on(call)
    }
}

/// [`crate::EventStream`] that blocks.
#[derive(Debug)]
pub struct EventStream {
    runtime: Runtime,
    stream: AsyncEvents,
}

impl EventStream {
    /// Waits for the next item; nothing if none came within `limit`.
    pub fn next(&mut self, limit: Duration) -> Result<Option<Item>, Error> {
        let Self { runtime, stream } = self;
        runtime.block_on(async { tokio::time::timeout(limit, stream.next()).await.ok().transpose() })
    }

    /// Cursor of the last durable event that was given.
    pub fn cursor(&self) -> u64 {
        self.stream.cursor()
    }
}

/// [`crate::CertificateChecks`] that blocks.
#[derive(Debug)]
pub struct CertificateChecks {
    runtime: Runtime,
    checks: AsyncChecks,
}

impl CertificateChecks {
    /// Waits for the next question; nothing if none came within `limit`, or nobody asks any more.
    pub fn next(&mut self, limit: Duration) -> Result<Option<CertificateCheck>, Error> {
        let Self { runtime, checks } = self;
        let next = runtime.block_on(async { tokio::time::timeout(limit, checks.next()).await });
        next.unwrap_or(Ok(None))
    }
}
