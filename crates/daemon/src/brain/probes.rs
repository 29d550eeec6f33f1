//! Calls that wait until a worker has looked at something for them: the service itself never opens a user's path.

use super::ask::{CallResult, ReplyResult};
use super::calls::short;
use super::downloads::Step;
use super::{Action, Brain};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openbits_core::delivery::codes;
use openbits_core::hresult as h;
use openbits_core::job::http::{CertificateQuery, ClientCertificate};
use openbits_core::job::{FileId, NewFile};
use openbits_core::queue::{Call, Failure, NewJob};
use openbits_core::{Caller, HResult, JobId, Mono, Ticket, Uid};
use openbits_transfer::protocol::{Command, FoundCertificate, Purpose};
use std::collections::HashMap;
use tokio::sync::oneshot;

const EEXIST: i32 = 17;
/// A worker that needs longer than this to look at a path hangs (a dead network file system), in milliseconds.
const PROBE_MS: i64 = 15_000;

/// A call that waits until a worker has looked at its paths.
pub(super) enum Probing {
    Create(Box<NewJob>, oneshot::Sender<CallResult>),
    Add(JobId, Vec<NewFile>, oneshot::Sender<CallResult>),
    TakeOwnership(JobId, oneshot::Sender<CallResult>),
    Certificate(JobId, CertificateQuery, oneshot::Sender<CallResult>),
    Reply(oneshot::Sender<ReplyResult>),
    Start(Step, JobId, oneshot::Sender<CallResult>),
    /// A call that is carried out if the owner may write where it says.
    Call(JobId, Box<Call>, oneshot::Sender<CallResult>),
}

/// A call on a download of the agent whose Start is on its way: it comes after it.
pub(super) enum Waiter {
    Start(Caller, oneshot::Sender<CallResult>),
    Call(Caller, Box<Call>, oneshot::Sender<CallResult>),
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
    /// Not more than there are connections to the doors.
    after_start: HashMap<JobId, Vec<Waiter>>,
}

impl Probes {
    /// A worker is being asked for the Start of this download.
    pub(super) fn is_starting(&self, id: JobId) -> bool {
        self.calls.values().any(|probe| matches!(&probe.call, Probing::Start(_, job, _) if *job == id))
    }

    pub(super) fn wait_for_start(&mut self, id: JobId, waiter: Waiter) {
        self.after_start.entry(id).or_default().push(waiter);
    }

    /// Who waited, in order, if no Start is on its way any more.
    pub(super) fn started(&mut self, id: JobId) -> Vec<Waiter> {
        if self.is_starting(id) { Vec::new() } else { self.after_start.remove(&id).unwrap_or_default() }
    }

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
            match purpose {
                // That it is asked for has to be on disk first.
                Purpose::Make { .. } => self.round.push(Action::Worker(owner, command)),
                _ => self.command(owner, command),
            }
        }
    }

    /// SetClientCertificateByID, SetClientCertificateByName: the owner's worker looks for the certificate.
    pub(super) fn on_find_certificate(
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
                // An empty file was there: is it the one that was made before, or another download's?
                let foreign = matches!(purpose, Purpose::Make { again: true, .. })
                    && id.is_some_and(|file| self.queue.is_made(file));
                let refused = refused.map(|(_, code)| code).or(foreign.then_some(codes::of_errno(EEXIST)));
                self.on_start_step(step, caller, job, refused.map_or(Ok(id), Err), sender);
                self.after_start(job);
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

    /// The worker that was to look at paths was lost: its successor is asked, once; looking changes nothing, and a file that was made meanwhile
    /// is known. Who was asked for the
    /// second time gives up.
    pub(super) fn repeat_probes(&mut self, owner: Uid, why: &str) {
        for probe in self.probes.calls.values_mut().filter(|probe| probe.owner == owner) {
            if let Purpose::Make { again, .. } = &mut probe.purpose {
                *again = true;
            }
        }
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
        let mut started = Vec::new();
        for key in gone {
            let Some(probe) = self.probes.calls.remove(&key) else { continue };
            let failure = Failure::new(h::RPC_E_DISCONNECTED, why);
            if let Probing::Start(_, id, _) = &probe.call {
                started.push(*id);
            }
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
        for id in started {
            self.after_start(id);
        }
    }
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
