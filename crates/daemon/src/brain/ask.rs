//! What the doors ask of the brain.

use super::checks::ChecksAsk;
use super::{Action, Brain, policy};
use crate::clock::Clock;
use crate::hub::{Hub, Published};
use crate::metrics::Counters;
use crate::policy::Settings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openbits_api::{CallbackView, JobView, ServiceInfo, ServiceLimits};
use openbits_core::delivery::mode;
use openbits_core::events_log::Record;
use openbits_core::hresult as h;
use openbits_core::integrity::{DIGESTS_MAX, Expect, MIRRORS_MAX};
use openbits_core::job::http::{CertificateQuery, ClientCertificate};
use openbits_core::job::property::Property;
use openbits_core::job::{Dialect, DownloadCall, File, FileId, NewFile, REPLY_INDEX};
use openbits_core::queue::{Call, CallId, Called, Failure, ListenerId, NewJob, ProgramEnd, Queue};
use openbits_core::secret::split_login;
use openbits_core::{Caller, HResult, JobId, JobType, Mono, Ticket, Uid, names};
use openbits_store::Store;
use openbits_transfer::protocol::{Command, FoundCertificate, Purpose};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};

/// A worker that needs longer than this to look at a path hangs (a dead network file system), in milliseconds.
const PROBE_MS: i64 = 15_000;

/// Result of a call: the success code and the job after it.
pub(super) type CallResult = Result<(HResult, JobView), Failure>;

/// Result of GetReplyData.
pub(super) type ReplyResult = Result<Vec<u8>, Failure>;

/// Where the answer of a call goes.
#[derive(Debug)]
pub struct Answer {
    pub(super) job: JobId,
    sender: oneshot::Sender<CallResult>,
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

/// A call that waits until a worker has looked at its paths.
pub(super) enum Probing {
    Create(Box<NewJob>, oneshot::Sender<CallResult>),
    Add(JobId, Vec<NewFile>, oneshot::Sender<CallResult>),
    TakeOwnership(JobId, oneshot::Sender<CallResult>),
    Certificate(JobId, CertificateQuery, oneshot::Sender<CallResult>),
    Reply(oneshot::Sender<ReplyResult>),
    Start(super::downloads::Step, JobId, oneshot::Sender<CallResult>),
    /// A call that is carried out if the owner may write where it says.
    Call(JobId, Box<Call>, oneshot::Sender<CallResult>),
}

struct Probe {
    caller: Caller,
    owner: Uid,
    call: Probing,
    purpose: Purpose,
    paths: Vec<String>,
    since: Mono,
    left: usize,
    refused: Option<(usize, HResult)>,
    /// Sizes of sources.
    sizes: HashMap<usize, Option<u64>>,
    /// What was read, in base64.
    content: Option<String>,
    /// It was asked of a second worker, because the first one was lost.
    repeated: bool,
}

impl Probe {
    /// What the worker is asked about one of the paths, or about the certificate.
    fn question(&self, ticket: Ticket, position: usize) -> Option<Command> {
        if let Probing::Certificate(_, query, _) = &self.call {
            return Some(Command::FindCertificate { ticket, query: query.clone() });
        }
        let path = self.paths.get(position)?.clone();
        // Beside an upload's source, the place of its reply.
        let reply = position > 0 && self.purpose == Purpose::Source;
        let purpose = if reply { Purpose::Destination } else { self.purpose };
        Some(Command::Probe { ticket, path, purpose })
    }
}

/// Calls whose paths are being looked at, and which answer belongs to which path.
#[derive(Default)]
pub(super) struct Probes {
    calls: HashMap<u64, Probe>,
    tickets: HashMap<Ticket, (u64, usize)>,
    next: u64,
}

impl Probes {
    /// Somebody waits for this owner's worker to look at paths.
    pub(super) fn any_of(&self, owner: Uid) -> bool {
        self.calls.values().any(|probe| probe.owner == owner)
    }

    /// When the oldest question is too old, and whose worker it was put to.
    pub(super) fn oldest(&self) -> Option<(Mono, Uid)> {
        self.calls.values().map(|probe| (probe.since.plus_ms(PROBE_MS), probe.owner)).min()
    }

    /// Whose worker was asked.
    pub(super) fn owner(&self, ticket: Ticket) -> Option<Uid> {
        let (key, _) = self.tickets.get(&ticket)?;
        self.calls.get(key).map(|probe| probe.owner)
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

    /// While the store takes no writes, no call is begun.
    pub(super) fn refusal(&self) -> Option<Failure> {
        if self.closing.is_some() {
            return Some(gone());
        }
        let (code, error) = self.store_error.as_ref()?;
        Some(Failure::new(*code, format!("the service's queue cannot be written: {error}")))
    }

    fn on_create(&mut self, caller: Caller, new: Box<NewJob>, sender: oneshot::Sender<CallResult>) {
        if let Some(failure) = self.refusal() {
            let _ = sender.send(Err(failure));
        } else if self.queue.created_before(caller, &new).is_some() {
            self.create(caller, *new, sender); // Nothing is looked at again.
        } else if let Err(failure) = self.check_creator(caller, &new) {
            self.log_limit(&failure);
            let _ = sender.send(Err(failure));
        } else if new.files.iter().all(|file| file.local.is_empty()) {
            self.create(caller, *new, sender);
        } else {
            let paths = probed_paths(new.kind, &new.files, reply_name(&new.properties));
            let purpose = purpose_of(new.kind);
            self.probe(caller, caller.uid, Probing::Create(new, sender), paths, purpose);
        }
    }

    /// GetReplyData: rights and state are the queue's, the file is the worker's.
    fn on_reply(&mut self, caller: Caller, id: JobId, sender: oneshot::Sender<ReplyResult>) {
        let found = self.queue.held_job(caller, id).and_then(|job| {
            let size = job.reply_data_size()?;
            let file = job.reply_file().filter(|_| size > 0);
            Ok(file.map(|file| {
                let local = file.local.to_string();
                let folder = local.rsplit_once('/').map_or("", |(folder, _)| folder);
                let temporary = format!("{folder}/{}", job.temporary_name(REPLY_INDEX));
                (job.owner, if file.completed { local } else { temporary })
            }))
        });
        match found {
            Err(code) => drop(sender.send(Err(code.into()))),
            Ok(None) => drop(sender.send(Ok(Vec::new()))),
            Ok(Some((owner, path))) => {
                let purpose = Purpose::Content { most: REPLY_DATA_MAX };
                self.probe(caller, owner, Probing::Reply(sender), vec![path], purpose);
            }
        }
    }

    fn check_creator(&self, caller: Caller, new: &NewJob) -> Result<(), Failure> {
        if !self.workers.serves(caller.uid) {
            return Err(Failure::new(
                h::E_ACCESSDENIED,
                "this is another user's own service; it takes no jobs of yours",
            ));
        }
        self.check_files(&new.files, new.extras.dialect == Dialect::DeliveryOptimization)?;
        self.check_new_job(caller, new)?;
        self.queue.may_create(caller, new)
    }

    /// Names, ranges and what is expected. `later`: a file may come without a path.
    pub(super) fn check_files(&self, files: &[NewFile], later: bool) -> Result<(), Failure> {
        for file in files {
            let scheme = names::check_remote_name(&file.remote).map_err(|code| {
                let text = "not a usable URL (http, https, smb, file), UNC name or absolute path";
                Failure::new(code, format!("{text}: {:?}", short(&file.remote)))
            })?;
            if file.ranges.is_some() && !scheme.has_ranges() {
                return Err(Failure::new(h::E_INVALIDARG, "ranges can be asked of http and https only"));
            }
            if !later || !file.local.is_empty() {
                self.check_local_name(&file.local)?;
            }
            match file.local.is_empty() {
                true => self.settings.security.check_remote(&file.remote).map_err(|f| policy::refused(&f))?,
                false => self.check_security(&file.remote, &file.local)?,
            }
            self.check_expect(&file.expect)?;
            let digest = file.sha256.as_deref().unwrap_or("");
            let hexadecimal = digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if file.sha256.is_some() && (digest.len() != 64 || !hexadecimal) {
                return Err(Failure::new(h::E_INVALIDARG, "sha256 is not 64 hexadecimal digits"));
            }
        }
        Ok(())
    }

    pub(super) fn check_local_name(&self, path: &str) -> Result<(), Failure> {
        names::check_local_name(path, self.settings.limits.strict_names)
            .map_err(|code| Failure::new(code, format!("not an absolute path of a file: {:?}", short(path))))
    }

    /// Limits of what is expected, and the policy for every place that it names.
    fn check_expect(&self, expect: &Expect) -> Result<(), Failure> {
        let invalid = |text: String| Err(Failure::new(h::E_INVALIDARG, text));
        if expect.digests.len() > DIGESTS_MAX || expect.mirrors.len() > MIRRORS_MAX {
            return invalid(format!("more than {DIGESTS_MAX} digests or {MIRRORS_MAX} mirrors for one file"));
        }
        for name in expect.locations() {
            if names::check_remote_name(name).is_err() {
                return invalid(format!("not a usable mirror or place of a list: {:?}", short(name)));
            }
            if split_login(name).1.is_some() {
                return invalid(
                    "a mirror or list with a user or password in its URL is not accepted".to_owned(),
                );
            }
            self.settings.security.check_remote(name).map_err(|forbidden| policy::refused(&forbidden))?;
        }
        let named = expect.sources.iter().filter_map(|source| source.name.as_deref());
        for name in named {
            if name.is_empty() || name.len() > names::LOCAL_NAME_MAX || name.contains(char::is_control) {
                return invalid(
                    "the name of the file in its list is empty, too long or not printable".to_owned(),
                );
            }
        }
        Ok(())
    }

    fn on_call(&mut self, caller: Caller, id: JobId, call: Call, sender: oneshot::Sender<CallResult>) {
        if let Some(failure) = self.refusal() {
            let _ = sender.send(Err(failure));
            return;
        }
        let refused = match &call {
            Call::AddFiles(files) => {
                let later =
                    self.queue.get(id).is_some_and(|job| job.dialect() == Dialect::DeliveryOptimization);
                let usable =
                    self.queue.may_add(caller, id, files).and_then(|()| self.check_files(files, later));
                usable
                    .and_then(|()| self.queue.check_ranges(caller, files))
                    .and_then(|()| self.check_added(caller, id, files))
            }
            Call::Resume => self.check_resume(caller, id),
            Call::Download(DownloadCall::Start(..)) => self.check_resume(caller, id),
            Call::Download(DownloadCall::Set(change)) => self.check_download_change(caller, id, change),
            Call::SetFile { file, change } => self.check_file_change(caller, id, *file, change),
            Call::SetRemoteName { file, name, .. } => self.check_remote_name(caller, id, *file, name),
            Call::ReplaceRemotePrefix { old, new, .. } => self.check_prefix(caller, id, old, new),
            Call::Set(properties) => self.check_properties(caller, id, properties),
            Call::SetHelperToken(_) if !self.workers.serves(caller.uid) => {
                let text = "this is another user's own service; it cannot work for you";
                Err(Failure::new(h::E_ACCESSDENIED, text))
            }
            Call::TakeOwnership if !self.workers.serves(caller.uid) => {
                let text = "this is another user's own service; its files are not yours";
                Err(Failure::new(h::BG_E_NEW_OWNER_NO_FILE_ACCESS, text))
            }
            Call::TakeOwnership => self.check_inheritance(caller, id),
            _ => Ok(()),
        };
        if let Err(failure) = refused {
            let _ = sender.send(Err(failure));
            return;
        }
        match (call, self.queue.job(caller, id).map(|job| (job.owner, self.queue.file_worker(job)))) {
            // Files of Delivery Optimization may come without a path; which are refused elsewhere, the call itself says.
            (Call::AddFiles(files), Ok((_, worker))) if files.iter().any(|file| !file.local.is_empty()) => {
                let (kind, reply) = self.queue.get(id).map_or((JobType::Download, None), |job| {
                    (job.kind, job.reply_file_name().ok().flatten().map(str::to_owned))
                });
                let paths = probed_paths(kind, &files, reply.as_deref());
                self.probe(caller, worker, Probing::Add(id, files, sender), paths, purpose_of(kind));
            }
            (Call::Download(DownloadCall::Start(None, ranges)), Ok((_, worker))) => {
                match self.first_file(caller, id, ranges.as_deref()) {
                    Err(failure) => drop(sender.send(Err(failure))),
                    Ok(None) => {
                        self.call(caller, id, Call::Download(DownloadCall::Start(None, ranges)), sender);
                    }
                    Ok(Some(file)) => {
                        let paths = vec![file.local.clone()];
                        let call = Call::Download(DownloadCall::Start(Some(Box::new(file)), ranges));
                        let call = Probing::Call(id, Box::new(call), sender);
                        self.probe(caller, worker, call, paths, Purpose::Destination);
                    }
                }
            }
            (Call::SetFile { file, change }, Ok((_, worker))) if change.path.is_some() => {
                let paths = change.path.clone().into_iter().collect();
                let call = Probing::Call(id, Box::new(Call::SetFile { file, change }), sender);
                self.probe(caller, worker, call, paths, Purpose::Destination);
            }
            // What the old owner chose as a destination must not steer the new owner's rights.
            (Call::TakeOwnership, Ok((owner, _))) if caller.is_administrator() && owner != caller.uid => {
                let paths: Vec<String> = self
                    .queue
                    .get(id)
                    .map(|job| {
                        job.files.iter().map(|f| f.local.to_string()).filter(|p| !p.is_empty()).collect()
                    })
                    .unwrap_or_default();
                if paths.is_empty() {
                    self.call(caller, id, Call::TakeOwnership, sender);
                } else {
                    self.probe(
                        caller,
                        caller.uid,
                        Probing::TakeOwnership(id, sender),
                        paths,
                        Purpose::Inherited,
                    );
                }
            }
            (call, _) => self.call(caller, id, call, sender),
        }
    }

    /// What the old owner chose to be read must not be read with the new owner's rights (docs/decisions/0017).
    fn check_inheritance(&self, caller: Caller, id: JobId) -> Result<(), Failure> {
        let Ok(job) = self.queue.job(caller, id) else { return Ok(()) };
        let left = |file: &File| !file.transferred && file.reads_local_files();
        if caller.is_administrator() && job.owner != caller.uid && job.files.iter().any(left) {
            let text = "the job reads files of this machine that another user chose";
            return Err(Failure::new(h::BG_E_NEW_OWNER_NO_FILE_ACCESS, text));
        }
        Ok(())
    }

    pub(super) fn call(
        &mut self,
        caller: Caller,
        id: JobId,
        call: Call,
        sender: oneshot::Sender<CallResult>,
    ) {
        let answer = Answer { job: id, sender };
        match self.queue.call(caller, id, call, self.clock.now()) {
            Called::Later(ticket) => drop(self.waiting.insert(ticket, answer)),
            Called::Done(result) => self.answer_in_round(answer, result),
        }
    }

    fn create(&mut self, caller: Caller, new: NewJob, sender: oneshot::Sender<CallResult>) {
        let answer = Answer { job: new.id, sender };
        let result = self.queue.create(caller, new, self.clock.now()).map(|_| h::S_OK);
        self.answer_in_round(answer, result);
    }

    /// The answer to a call that had nothing to do.
    pub(super) fn call_done(&mut self, id: JobId, sender: oneshot::Sender<CallResult>) {
        self.answer_in_round(Answer { job: id, sender }, Ok(h::S_OK));
    }

    fn answer_in_round(&mut self, answer: Answer, result: Result<HResult, Failure>) {
        let result = self.with_view(&answer, result);
        self.round.push(Action::Answer(answer, Box::new(result)));
    }

    /// Lets the owner's worker look at the paths: the service itself never opens a user's path.
    pub(super) fn probe(
        &mut self,
        caller: Caller,
        owner: Uid,
        call: Probing,
        paths: Vec<String>,
        purpose: Purpose,
    ) {
        let key = self.probes.next;
        self.probes.next += 1;
        let since = self.clock.now().mono;
        let left = paths.len();
        let probe = Probe {
            caller,
            owner,
            call,
            purpose,
            paths,
            since,
            left,
            refused: None,
            sizes: HashMap::new(),
            content: None,
            repeated: false,
        };
        let mut commands = Vec::with_capacity(left);
        for position in 0..left {
            let ticket = self.queue.ticket();
            self.probes.tickets.insert(ticket, (key, position));
            commands.extend(probe.question(ticket, position));
        }
        self.probes.calls.insert(key, probe);
        for command in commands {
            self.command(owner, command);
        }
    }

    /// SetClientCertificateByID, SetClientCertificateByName: the owner's worker looks for the certificate.
    fn on_find_certificate(
        &mut self,
        caller: Caller,
        id: JobId,
        query: CertificateQuery,
        sender: oneshot::Sender<CallResult>,
    ) {
        let refused = self.refusal().map_or(Ok(()), Err).and_then(|()| {
            let job = self.queue.held_job(caller, id)?;
            if job.owner != caller.uid {
                return Err(Failure::new(h::E_ACCESSDENIED, "only the job's owner may set its certificate"));
            }
            query.check().map_err(|code| Failure::new(code, "not a usable store, hash or subject"))?;
            if job.state.is_final() { Err(h::BG_E_INVALID_STATE.into()) } else { Ok(()) }
        });
        match refused {
            Err(failure) => drop(sender.send(Err(failure))),
            Ok(()) => {
                let store = vec![query.store.clone()];
                let call = Probing::Certificate(id, query, sender);
                self.probe(caller, caller.uid, call, store, Purpose::Source);
            }
        }
    }

    pub(super) fn on_certificate(&mut self, ticket: Ticket, result: Result<Box<FoundCertificate>, HResult>) {
        let Some((key, _)) = self.probes.tickets.remove(&ticket) else { return };
        let Some(Probe { caller, call, .. }) = self.probes.calls.remove(&key) else { return };
        // Another question than this one was not answered: its caller is told that the worker is of no use.
        let Probing::Certificate(id, query, sender) = call else { return };
        match result {
            Err(code) => {
                let text = match code {
                    h::ERROR_FILE_NOT_FOUND => {
                        format!("there is no certificate store {:?}", short(&query.store))
                    }
                    h::CRYPT_E_NOT_FOUND => "the store has no such certificate".to_owned(),
                    code => code.text(),
                };
                let _ = sender.send(Err(Failure::new(code, text)));
            }
            Ok(found) => {
                let certificate = ClientCertificate {
                    location: query.location,
                    store: query.store,
                    sha1: found.sha1,
                    sha256: found.sha256,
                    subject: found.subject,
                };
                self.call(caller, id, Call::SetClientCertificate(Box::new(certificate)), sender);
            }
        }
    }

    pub(super) fn on_probed(
        &mut self,
        ticket: Ticket,
        result: Result<Option<u64>, HResult>,
        content: Option<String>,
        id: Option<FileId>,
    ) {
        let Some((key, position)) = self.probes.tickets.remove(&ticket) else { return };
        let Some(probe) = self.probes.calls.get_mut(&key) else { return };
        probe.left -= 1;
        probe.content = content;
        if let Ok(size) = result {
            probe.sizes.insert(position, size);
        }
        if let Err(code) = result
            && probe.refused.is_none_or(|(first, _)| position < first)
        {
            probe.refused = Some((position, code));
        }
        if probe.left > 0 {
            return;
        }
        let Some(probe) = self.probes.calls.remove(&key) else { return };
        let Probe { caller, call, refused, paths, sizes, content, purpose, .. } = probe;
        let failure = || {
            refused.map(|(position, code)| {
                let path = paths.get(position).map_or("", String::as_str);
                Failure::new(code, refused_path(code, path, purpose))
            })
        };
        // The size of an upload is known at once (spec/bits-core.md 5.1).
        let sized = |files: &mut Vec<NewFile>| {
            for (position, file) in files.iter_mut().enumerate() {
                file.size = sizes.get(&position).copied().flatten();
            }
        };
        match call {
            Probing::Create(mut new, sender) => match failure() {
                Some(failure) => drop(sender.send(Err(failure))),
                None => {
                    sized(&mut new.files);
                    self.create(caller, *new, sender);
                }
            },
            Probing::Add(id, mut files, sender) => match failure() {
                Some(failure) => drop(sender.send(Err(failure))),
                None => {
                    sized(&mut files);
                    self.call(caller, id, Call::AddFiles(files), sender);
                }
            },
            Probing::Call(id, call, sender) => match failure() {
                Some(failure) => drop(sender.send(Err(failure))),
                None => self.call(caller, id, *call, sender),
            },
            Probing::Start(step, job, sender) => {
                let outcome = refused.map_or(Ok(id), |(_, code)| Err(code));
                self.on_start_step(step, caller, job, outcome, sender);
            }
            Probing::Reply(sender) => {
                let decoded = content.and_then(|text| STANDARD.decode(text).ok());
                let result = match refused {
                    Some((_, code)) => Err(Failure::new(code, "the reply file cannot be read")),
                    None => {
                        decoded.ok_or_else(|| Failure::new(h::E_UNEXPECTED, "the reply came without content"))
                    }
                };
                let _ = sender.send(result);
            }
            Probing::TakeOwnership(id, sender) => match refused {
                Some((_, code)) => {
                    let text = format!(
                        "the new owner may not safely use the job's folders ({}); every part of each path has to belong to root and be \
                         changed by nobody else",
                        openbits_api::error::name(code)
                    );
                    let _ = sender.send(Err(Failure::new(h::BG_E_NEW_OWNER_NO_FILE_ACCESS, text)));
                }
                None => self.call(caller, id, Call::TakeOwnership, sender),
            },
            // A path was not asked about.
            Probing::Certificate(_, _, sender) => {
                let code = refused.map_or(h::E_UNEXPECTED, |(_, code)| code);
                let _ = sender.send(Err(code.into()));
            }
        }
    }

    /// The worker that was to look at paths was lost: its successor is asked, once; looking changes nothing. Who was asked for the
    /// second time gives up.
    pub(super) fn repeat_probes(&mut self, owner: Uid, why: &str) {
        let mut commands = Vec::new();
        for (ticket, (key, position)) in &self.probes.tickets {
            let Some(probe) = self.probes.calls.get(key) else { continue };
            if probe.owner != owner || probe.repeated {
                continue;
            }
            commands.extend(probe.question(*ticket, *position));
        }
        let second = |probe: &Probe| probe.owner == owner && probe.repeated;
        self.end_probes(second, why);
        for probe in self.probes.calls.values_mut().filter(|probe| probe.owner == owner) {
            probe.repeated = true;
        }
        for command in commands {
            self.command(owner, command);
        }
    }

    /// The worker that was to look at paths is gone: the callers are told, nothing was changed.
    pub(super) fn fail_probes(&mut self, owner: Option<Uid>, why: &str) {
        self.end_probes(|probe| owner.is_none_or(|owner| probe.owner == owner), why);
    }

    fn end_probes(&mut self, which: impl Fn(&Probe) -> bool, why: &str) {
        let gone: Vec<u64> =
            self.probes.calls.iter().filter(|(_, probe)| which(probe)).map(|(key, _)| *key).collect();
        for key in gone {
            let Some(probe) = self.probes.calls.remove(&key) else { continue };
            let failure = Failure::new(h::RPC_E_DISCONNECTED, why);
            match probe.call {
                Probing::Create(_, sender)
                | Probing::Add(_, _, sender)
                | Probing::TakeOwnership(_, sender)
                | Probing::Start(_, _, sender)
                | Probing::Call(_, _, sender)
                | Probing::Certificate(_, _, sender) => drop(sender.send(Err(failure))),
                Probing::Reply(sender) => drop(sender.send(Err(failure))),
            }
        }
        let calls = &self.probes.calls;
        self.probes.tickets.retain(|_, (key, _)| calls.contains_key(key));
    }
}

/// GetReplyData gives at most so many bytes (spec/bits-core.md 5.3).
const REPLY_DATA_MAX: u64 = 1 << 20;

/// What a job wants with the paths of its files.
const fn purpose_of(kind: JobType) -> Purpose {
    match kind {
        JobType::Download => Purpose::Destination,
        JobType::Upload | JobType::UploadReply => Purpose::Source,
    }
}

/// The paths to look at: those of the files, and for an upload-reply job the place of its reply after them.
fn probed_paths(kind: JobType, files: &[NewFile], reply: Option<&str>) -> Vec<String> {
    // A file of Delivery Optimization may have none yet.
    let mut paths: Vec<String> =
        files.iter().map(|f| f.local.clone()).filter(|path| !path.is_empty()).collect();
    if kind == JobType::UploadReply && files.len() == 1 {
        // A generated name is in the file's folder.
        let generated =
            || files.first()?.local.rsplit_once('/').map(|(folder, _)| format!("{folder}/BIT.reply"));
        paths.extend(reply.map(str::to_owned).or_else(generated));
    }
    paths
}

fn reply_name(properties: &[Property]) -> Option<&str> {
    properties.iter().rev().find_map(|property| match property {
        Property::ReplyFileName(name) => name.as_deref(),
        _ => None,
    })
}

/// What a worker's refusal of a path means, in words.
fn refused_path(code: HResult, path: &str, purpose: Purpose) -> String {
    match code {
        h::E_ACCESSDENIED if purpose == Purpose::Source => {
            format!("the job's owner may not read or write there, or it is no file: {path}")
        }
        h::E_ACCESSDENIED => format!("the job's owner may not write there: {path}"),
        h::ERROR_PATH_NOT_FOUND => format!("the folder does not exist: {path}"),
        h::E_INVALIDARG => format!("a folder is in the way: {path}"),
        code => format!("{}: {path}", code.text().trim_end_matches('.')),
    }
}

/// At most 200 characters of a caller's text for a message.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
