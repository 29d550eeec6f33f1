//! What the doors ask of the brain.

use super::checks::ChecksAsk;
use super::{Action, Brain};
use crate::clock::Clock;
use crate::hub::{Hub, Published};
use crate::metrics::Counters;
use crate::policy::Settings;
use openbits_api::{CallbackView, JobView, ServiceInfo, ServiceLimits};
use openbits_core::delivery::mode;
use openbits_core::events_log::Record;
use openbits_core::hresult as h;
use openbits_core::job::http::CertificateQuery;
use openbits_core::queue::{Call, CallId, Failure, ListenerId, NewJob, ProgramEnd, Queue};
use openbits_core::{Caller, HResult, JobId};
use openbits_store::Store;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Result of a call: the success code and the job after it.
pub(super) type CallResult = Result<(HResult, JobView), Failure>;

/// Result of GetReplyData.
pub(super) type ReplyResult = Result<Vec<u8>, Failure>;

/// Where the answer of a call goes.
#[derive(Debug)]
pub struct Answer {
    pub(super) job: JobId,
    pub(super) sender: oneshot::Sender<CallResult>,
}

impl Answer {
    pub(super) fn send(self, result: CallResult) {
        // A caller who went away does not take the call back.
        let _ = self.sender.send(result);
    }
}

/// What a question may look at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// All jobs.
    pub queue: &'a Queue,
    /// Clocks.
    pub clock: Clock,
    /// The policy.
    pub settings: &'a Settings,
    /// Events since the start.
    pub counters: &'a Counters,
    store_error: Option<&'a str>,
    findings: &'a [String],
    event_seq: u64,
}

impl View<'_> {
    fn limits(&self, caller: Caller) -> ServiceLimits {
        let limits = self.queue.limits();
        let unless_exempt = |limit| (!caller.exempt).then_some(limit);
        ServiceLimits {
            files_per_job: self.queue.files_per_job(caller),
            jobs_per_user: unless_exempt(limits.jobs_per_user),
            jobs_per_machine: unless_exempt(limits.jobs_per_machine),
        }
    }

    /// The service, as this caller may see it.
    pub fn service(&self, caller: Caller, served: &str) -> ServiceInfo {
        let owner = (!caller.is_administrator()).then_some(caller.uid);
        let running =
            self.queue.running().filter(|(job, _)| owner.is_none_or(|uid| job.owner == uid)).count();
        ServiceInfo {
            schema: openbits_api::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: served.to_owned(),
            pid: std::process::id(),
            jobs: self.queue.count(owner) as u64,
            running: running as u64,
            network: self.queue.network(),
            store_error: self.store_error.map(str::to_owned),
            // They name paths, and jobs of others.
            findings: if caller.is_administrator() || served == "user" {
                self.findings.to_vec()
            } else {
                Vec::new()
            },
            limits: self.limits(caller),
            last_event: self.event_seq,
            download_mode: mode::in_force(
                self.settings.policy.text("delivery_optimization.download_mode").unwrap_or_default(),
            ),
        }
    }
}

type Question = Box<dyn FnOnce(View<'_>) -> Box<dyn FnOnce() + Send> + Send>;

/// A message to the brain.
pub enum Ask {
    /// CreateJob with everything that comes with it.
    Create(Caller, Box<NewJob>, oneshot::Sender<CallResult>),
    /// A call on a job.
    Call(Caller, JobId, Call, oneshot::Sender<CallResult>),
    /// A client certificate to look for and to set.
    FindCertificate(Caller, JobId, CertificateQuery, oneshot::Sender<CallResult>),
    /// The owner's program and certificates of servers.
    Checks(ChecksAsk),
    /// GetReplyData.
    Reply(Caller, JobId, oneshot::Sender<ReplyResult>),
    /// Start of a download of Delivery Optimization.
    Start(Caller, JobId, oneshot::Sender<CallResult>),
    /// A question.
    Read(Question),
    /// A client's connection for callbacks.
    Listen(Caller, mpsc::Sender<CallbackView>, oneshot::Sender<ListenerId>),
    /// It is gone.
    Unlisten(ListenerId),
    /// SetNotifyInterface.
    Interface(Caller, JobId, Option<ListenerId>, oneshot::Sender<Result<(), Failure>>),
    /// What a callback returned.
    CallbackAnswer(Caller, CallId, HResult, oneshot::Sender<Result<(), HResult>>),
    /// An event of the service itself.
    Log(Box<Record>),
    /// A notification program ended.
    ProgramEnded(CallId, ProgramEnd),
    /// Another policy.
    Settings(Arc<Settings>),
    /// Somebody set the wall clock.
    ClockWasSet,
    /// Store everything and end.
    Close(oneshot::Sender<()>),
}

/// Asks the brain; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) sender: mpsc::Sender<Ask>,
    pub(super) hub: Hub,
    pub(super) store: Arc<Store>,
}

pub(super) fn gone() -> Failure {
    Failure::new(h::RPC_E_DISCONNECTED, "the service is stopping")
}

impl Handle {
    /// Creates a job.
    pub async fn create(&self, caller: Caller, new: NewJob) -> CallResult {
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::Create(caller, Box::new(new), sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// A call on a job.
    pub async fn call(&self, caller: Caller, id: JobId, call: Call) -> CallResult {
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::Call(caller, id, call, sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Looks for a client certificate and sets it.
    pub async fn find_certificate(&self, caller: Caller, id: JobId, query: CertificateQuery) -> CallResult {
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::FindCertificate(caller, id, query, sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Start of a download: its file is made, or looked at again, before the answer.
    pub async fn start(&self, caller: Caller, id: JobId) -> CallResult {
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::Start(caller, id, sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// GetReplyData: the whole reply, of at most 1 MiB.
    pub async fn reply(&self, caller: Caller, id: JobId) -> Result<Vec<u8>, Failure> {
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::Reply(caller, id, sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// A question. The answer shows only what is durable.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(View<'_>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, answer) = oneshot::channel();
        let question: Question = Box::new(move |view| {
            let value = question(view);
            Box::new(move || drop(sender.send(value)))
        });
        self.sender.send(Ask::Read(question)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    /// A connection for callbacks: its number; what is called comes through the channel.
    pub async fn callbacks(
        &self,
        caller: Caller,
    ) -> Result<(ListenerId, mpsc::Receiver<CallbackView>), Failure> {
        let (calls, inbox) = mpsc::channel(super::callbacks::CALLS);
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::Listen(caller, calls, sender)).await.map_err(|_| gone())?;
        Ok((answer.await.map_err(|_| gone())?, inbox))
    }

    /// The connection is gone.
    pub async fn hang_up(&self, listener: ListenerId) {
        let _ = self.sender.send(Ask::Unlisten(listener)).await;
    }

    /// SetNotifyInterface; `None` is NULL.
    pub async fn set_notify_interface(
        &self,
        caller: Caller,
        id: JobId,
        listener: Option<ListenerId>,
    ) -> Result<(), Failure> {
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::Interface(caller, id, listener, sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// An event of the service itself.
    pub async fn log(&self, record: Record) {
        let _ = self.sender.send(Ask::Log(Box::new(record))).await;
    }

    /// What a callback returned.
    pub async fn answer_callback(&self, caller: Caller, call: CallId, code: HResult) -> Result<(), Failure> {
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::CallbackAnswer(caller, call, code, sender)).await.map_err(|_| gone())?;
        Ok(answer.await.map_err(|_| gone())??)
    }

    /// Another policy: in force for every message after this one.
    pub async fn set_settings(&self, settings: Arc<Settings>) {
        let _ = self.sender.send(Ask::Settings(settings)).await;
    }

    /// Somebody set the wall clock: the schedule is looked at again.
    pub async fn clock_was_set(&self) {
        let _ = self.sender.send(Ask::ClockWasSet).await;
    }

    /// Live events.
    pub fn listen(&self) -> broadcast::Receiver<Published> {
        self.hub.listen()
    }

    /// The store, for reading kept events.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Stores everything and ends the brain.
    pub async fn close(&self) {
        let (sender, done) = oneshot::channel();
        if self.sender.send(Ask::Close(sender)).await.is_ok() {
            let _ = done.await;
        }
    }
}

impl Brain {
    pub(super) fn on_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Create(caller, new, sender) => self.on_create(caller, new, sender),
            Ask::Call(caller, id, call, sender) => self.on_call(caller, id, call, sender),
            Ask::FindCertificate(caller, id, query, sender) => {
                self.on_find_certificate(caller, id, query, sender);
            }
            Ask::Checks(ask) => self.on_checks_ask(ask),
            Ask::Reply(caller, id, sender) => self.on_reply(caller, id, sender),
            Ask::Start(caller, id, sender) => self.on_start(caller, id, sender),
            Ask::Read(question) => {
                let view = View {
                    queue: &self.queue,
                    clock: self.clock,
                    settings: &self.settings,
                    counters: &self.counters,
                    store_error: self.store_error.as_ref().map(|(_, text)| text.as_str()),
                    findings: &self.findings,
                    event_seq: self.event_seq,
                };
                let deliver = question(view);
                self.round.push(Action::Deliver(deliver));
            }
            Ask::Listen(caller, calls, sender) => self.listen(caller, calls, sender),
            Ask::Unlisten(listener) => self.unlisten(listener),
            Ask::Interface(caller, id, listener, sender) => {
                let result = match self.refusal() {
                    Some(failure) => Err(failure),
                    None => self.queue.set_notify_interface(caller, id, listener).map(drop),
                };
                self.round.push(Action::Deliver(Box::new(move || drop(sender.send(result)))));
            }
            Ask::CallbackAnswer(caller, call, code, sender) => {
                let result = self.queue.answer_callback(caller, call, code, self.clock.now());
                // The caller may go as soon as it is answered: what it accepted is on disk by then.
                self.round.push(Action::Deliver(Box::new(move || {
                    let _ = sender.send(result);
                })));
            }
            Ask::Log(record) => self.log(&record),
            Ask::ProgramEnded(call, end) => {
                self.runner.forget(call);
                self.queue.on_program(call, &end, self.clock.now());
            }
            Ask::Settings(settings) => self.set_settings(settings),
            Ask::ClockWasSet => self.review_bandwidth(),
            Ask::Close(done) => {
                self.queue.pause();
                self.runner.kill_all();
                self.workers.shut_down(self.clock.now().mono);
                self.closing = Some(done);
            }
        }
    }
}
