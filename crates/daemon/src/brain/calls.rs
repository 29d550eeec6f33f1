//! Calls on jobs: what is checked before the queue, and whose worker looks at their paths first.

use super::ask::{Answer, CallResult, ReplyResult, gone};
use super::probes::{Probing, Waiter};
use super::{Action, Brain, policy};
use openbits_core::hresult as h;
use openbits_core::integrity::{DIGESTS_MAX, Expect, MIRRORS_MAX};
use openbits_core::job::property::Property;
use openbits_core::job::{Dialect, DownloadCall, File, NewFile, REPLY_INDEX};
use openbits_core::queue::{Call, Called, Failure, NewJob};
use openbits_core::secret::split_login;
use openbits_core::{Caller, HResult, JobId, JobType, names};
use openbits_transfer::protocol::Purpose;
use tokio::sync::oneshot;

impl Brain {
    /// While the store takes no writes, no call is begun.
    pub(super) fn refusal(&self) -> Option<Failure> {
        if self.closing.is_some() {
            return Some(gone());
        }
        let (code, error) = self.store_error.as_ref()?;
        Some(Failure::new(*code, format!("the service's queue cannot be written: {error}")))
    }

    pub(super) fn on_create(
        &mut self,
        caller: Caller,
        new: Box<NewJob>,
        sender: oneshot::Sender<CallResult>,
    ) {
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
    pub(super) fn on_reply(&mut self, caller: Caller, id: JobId, sender: oneshot::Sender<ReplyResult>) {
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

    pub(super) fn on_call(
        &mut self,
        caller: Caller,
        id: JobId,
        call: Call,
        sender: oneshot::Sender<CallResult>,
    ) {
        if let Some(failure) = self.refusal() {
            let _ = sender.send(Err(failure));
            return;
        }
        if self.probes.is_starting(id) {
            // What it would meet is decided by the file that a worker is making.
            return self.probes.wait_for_start(id, Waiter::Call(caller, Box::new(call), sender));
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
            Call::SetDelivery(change) => self.check_delivery_change(caller, id, change),
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

    pub(super) fn create(&mut self, caller: Caller, new: NewJob, sender: oneshot::Sender<CallResult>) {
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

/// At most 200 characters of a caller's text for a message.
pub(super) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
