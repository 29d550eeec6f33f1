//! Calls from outside: rights first, then the job's own rules (spec/bits-core.md 4.1, 4.2).

use super::{Effect, Failure, HelperTicket, NoticeKind, Queue};
use crate::caller::Caller;
use crate::enums::{JobType, notify};
use crate::group::GroupCall;
use crate::hresult::{self as h, HResult};
use crate::id::{JobId, Ticket, Uid};
use crate::job::Dialect;
use crate::job::RETRY_DELAY_FLOOR_S;
use crate::job::download;
use crate::job::event::Event;
use crate::job::http::ClientCertificate;
use crate::job::property::Property;
use crate::job::{
    Change, Credential, Delivery, DeliveryChange, DownloadCall, DownloadChange, Extras, File, FileChange,
    FileId, Finishing, Job, NewFile, Setting,
};
use crate::layout::{self, FileRange};
use crate::limits::{FILES_PER_CALL, FILES_PER_JOB_EXEMPT, RANGES_PER_FILE_EXEMPT};
use crate::names;
use crate::secret::Sealed;
use crate::time::Now;

/// A job to create, with everything that may come with it.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// A random id: the caller's, or one made for him. Of a group: any that the caller chose.
    pub id: JobId,
    /// Name for people.
    pub display_name: String,
    /// BG_JOB_TYPE
    pub kind: JobType,
    /// Properties to set.
    pub properties: Vec<Property>,
    /// Files to add.
    pub files: Vec<NewFile>,
    /// Resume at once.
    pub resume: bool,
    /// Properties that no call can change later.
    pub extras: Extras,
    /// Of a download of Delivery Optimization.
    pub delivery: Option<Box<Delivery>>,
    /// Of a download of IDOManager: the properties that it begins with.
    pub download: Option<Box<DownloadChange>>,
}

/// A call that changes a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    /// AddFile, AddFileSet; the owner's access to the paths was checked.
    AddFiles(Vec<NewFile>),
    /// RequestFileRanges of the file at this position
    RequestRanges(u32, Vec<FileRange>),
    /// UpdateDownloadPosition of the file at this position
    UpdatePosition(u32, u64),
    /// Set*
    Set(Vec<Property>),
    /// Resume
    Resume,
    /// Suspend
    Suspend,
    /// Cancel
    Cancel,
    /// Complete
    Complete,
    /// SetRemoteName of one file; the policy was asked.
    SetRemoteName {
        /// Position in the file list.
        file: u32,
        /// The new URL.
        name: String,
        /// User and password that were in it, sealed.
        login: Option<Sealed>,
    },
    /// ReplaceRemotePrefix; the policy was asked.
    ReplaceRemotePrefix {
        /// What names begin with.
        old: String,
        /// What they shall begin with.
        new: String,
        /// User and password that were in it, sealed.
        login: Option<Sealed>,
    },
    /// SetValidationState of one file.
    SetValidationState {
        /// Position in the file list.
        file: u32,
        /// The content is good.
        valid: bool,
    },
    /// A ticket that lets a helper in, once, for five minutes; random.
    IssueHelperTicket(HelperTicket),
    /// SetHelperToken by the owner or an administrator, or by who brings the ticket.
    SetHelperToken(Option<HelperTicket>),
    /// ClearHelperToken
    ClearHelperToken,
    /// TakeOwnership; the new owner's access to the files was checked.
    TakeOwnership,
    /// SetClientCertificateByID, SetClientCertificateByName; what the owner's worker found.
    SetClientCertificate(Box<ClientCertificate>),
    /// RemoveClientCertificate
    RemoveClientCertificate,
    /// SetServerCertificateValidationInterface: the owner's program has to accept the servers' certificates, or not any more.
    RequireValidation(bool),
    /// What only a group of the first generation can be asked for.
    Group(GroupCall),
    /// SetCredentials: only by the owner himself. What [`crate::job::credential::check`] said of the values comes with it, since rights are
    /// looked at first.
    SetCredentials(Result<Credential, HResult>),
    /// What only a download of IDOManager can be asked for.
    Download(DownloadCall),
    /// Properties of a file of Delivery Optimization; the owner's access to its path was checked.
    SetFile {
        /// Position in the file list.
        file: u32,
        /// What is set.
        change: FileChange,
    },
    /// SetProperty of a download of Delivery Optimization.
    SetDelivery(DeliveryChange),
    /// Its first Start: its file was made.
    Deliver {
        /// The URL as it is fetched.
        remote: String,
        /// Absolute path.
        local: String,
        /// The file there.
        made: FileId,
    },
    /// RemoveCredentials: only by the owner himself.
    RemoveCredentials {
        /// BG_AUTH_TARGET
        target: i64,
        /// BG_AUTH_SCHEME
        scheme: i64,
    },
}

/// It would make of a download what its own calls cannot.
const fn leads_elsewhere(property: &Property) -> bool {
    match property {
        Property::HttpMethod(_) => true,
        Property::Option(setting) => matches!(
            setting,
            Setting::HighPerformance(_) | Setting::DynamicContent(_) | Setting::OnDemandMode(_)
        ),
        _ => false,
    }
}

impl Call {
    /// It may be asked of a download of Delivery Optimization. One may be done by the agent's account and not by its owner's: nothing may
    /// lead that account to files of this machine, or hand its work to anybody else.
    fn fits_downloads(&self) -> bool {
        match self {
            Self::AddFiles(_) | Self::IssueHelperTicket(_) | Self::SetHelperToken(_) => false,
            Self::SetRemoteName { name, .. } => is_web(name),
            Self::ReplaceRemotePrefix { .. } => false,
            Self::Set(properties) => !properties.iter().any(leads_elsewhere),
            _ => true,
        }
    }

    /// It may be asked of a download of IDOManager by the doors of other jobs: nothing that its calls could not lead to.
    fn fits_download(&self) -> bool {
        match self {
            Self::AddFiles(_) | Self::SetFile { .. } | Self::ReplaceRemotePrefix { .. } => false,
            Self::SetRemoteName { name, .. } => is_web(name),
            Self::Set(properties) => !properties.iter().any(leads_elsewhere),
            _ => true,
        }
    }

    /// Only the owner himself may, no administrator (spec/bits-extended.md 3.1, A2).
    pub fn is_owners_alone(&self) -> bool {
        match self {
            Self::Set(properties) => properties.iter().any(Property::is_owners_alone),
            Self::Download(DownloadCall::Set(change)) => {
                change.properties.iter().any(Property::is_owners_alone)
            }
            Self::SetClientCertificate(_)
            | Self::RemoveClientCertificate
            | Self::SetCredentials(_)
            | Self::RemoveCredentials { .. } => true,
            _ => false,
        }
    }
}

/// When a call is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Called {
    /// Now.
    Done(Result<HResult, Failure>),
    /// By an [`Effect::Answer`] with this ticket.
    Later(Ticket),
}

const DOWNLOADS_OWN: &str =
    "a download of Delivery Optimization has one file, which its start makes, and a web address for it";
const DOWNLOADS_FILE: &str =
    "a download has one file, which its start adds, and is fetched as its properties and ranges say";

/// Calls of one job that may wait for the end of its Complete.
const DEFERRED_MAX: usize = 8;

impl Queue {
    /// CreateJob, and what came with it. If any part is refused, no job is left behind. Repeated with the same id it changes nothing.
    pub fn create(&mut self, caller: Caller, new: NewJob, now: Now) -> Result<JobId, Failure> {
        if names::utf16_len(&new.display_name) > names::DISPLAY_NAME_MAX || new.display_name.contains('\0') {
            return Err(Failure::new(
                h::E_INVALIDARG,
                "the display name is longer than 256 characters or has a NUL",
            ));
        }
        if let Some(before) = self.created_before(caller, &new) {
            return before.map(|()| new.id);
        }
        self.may_create(caller, &new)?;
        let mut job = Job::new(new.id, caller.uid, new.kind, &new.display_name, now);
        job.exempt = caller.exempt;
        job.note_owner_level(caller.level());
        job.minimum_retry_delay_s = self.limits.default_retry_delay_s;
        job.no_progress_timeout_s = self.limits.default_no_progress_s;
        if new.extras.dialect == Dialect::DeliveryOptimization && new.delivery.is_none() {
            job.no_progress_timeout_s = download::NO_PROGRESS_BACKGROUND_S;
            job.minimum_retry_delay_s = download::RETRY_DELAY_S;
        }
        if let Some(change) = new.download {
            // Its client hears of every change, and draws its own conclusions.
            job.notify_flags = notify::JOB_TRANSFERRED | notify::JOB_ERROR | notify::JOB_MODIFICATION;
            job.download = Some(Box::default());
            job.options_mut().cost_flags = Some(download::usual_cost_flags(job.priority));
            let _ = job.set_download(*change, now)?;
        }
        if let Some(delivery) = new.delivery {
            job.no_progress_timeout_s = crate::job::delivery::NO_PROGRESS_S;
            job.minimum_retry_delay_s = RETRY_DELAY_FLOOR_S;
            job.delivery = Some(delivery);
        }
        if new.extras != Extras::NONE {
            job.extras = Some(Box::new(new.extras));
        }
        if !new.properties.is_empty() {
            let _ = job.set(new.properties, now)?;
        }
        let count = new.files.len();
        let _ = job.add_files(new.files, self.files_max(caller), now)?;
        if new.resume {
            let _ = job.resume(now)?;
            job.follow_cache_policy(&self.limits.cache, self.machine.vpn, now);
        }
        let id = job.id;
        self.forget_finished(id);
        self.admit(job);
        self.save(id);
        self.save_files(id, 0..count);
        self.notice(id, NoticeKind::Created, now.wall);
        self.settle(id, now);
        self.reschedule(now);
        Ok(id)
    }

    /// A create that was carried out already, by its id: a caller who lost the answer simply asks again. Nothing if the id is new.
    ///
    /// What is compared is what no later call changes: owner, type, and the files that the job began with. Another job under
    /// this id is `BG_E_INVALID_STATE`. A finished job is known as long as it is readable.
    /// A group is never created twice: its id has to be free (spec/qmgr-legacy.md 4).
    pub fn created_before(&self, caller: Caller, new: &NewJob) -> Option<Result<(), Failure>> {
        if new.extras.group.is_some() {
            return self.may_name_group(new.id).err().map(Err);
        }
        let job = self.jobs.get(&new.id).or_else(|| self.finished.get(&new.id))?;
        let is_same = |(file, new): (&File, &NewFile)| {
            *file.remote == *new.remote
                && *file.local == *new.local
                && file.sha256.as_deref() == new.sha256.as_deref()
                && *file.expect() == new.expect
                && file.layout.ranges() == new.ranges.as_deref().unwrap_or_default()
        };
        let same = job.owner == caller.uid
            && job.kind == new.kind
            && job.dialect() == new.extras.dialect
            && job.files.len() >= new.files.len()
            && job.files.iter().zip(&new.files).all(is_same);
        let other = || Failure::new(h::BG_E_INVALID_STATE, "the job id is in use for another job");
        Some(if same { Ok(()) } else { Err(other()) })
    }

    /// Values and quotas of a create, before anybody looks at its paths.
    pub fn may_create(&self, caller: Caller, new: &NewJob) -> Result<(), Failure> {
        if new.extras.dialect == Dialect::DeliveryOptimization {
            if new.kind != JobType::Download {
                return Err(Failure::new(h::E_NOTIMPL, "Delivery Optimization only downloads"));
            }
            if new.display_name.is_empty() {
                return Err(Failure::new(h::E_INVALIDARG, "a job of Delivery Optimization has a name"));
            }
        }
        if let Some(change) = new.download.as_deref() {
            change.check().map_err(|code| Failure::new(code, "not a value of the property"))?;
        }
        self.check_new_files(caller, &new.files)?;
        for property in &new.properties {
            property.check(new.kind)?;
        }
        self.may_set_command(caller, caller.uid, &new.properties)?;
        if !caller.exempt {
            let own = self.count(Some(caller.uid));
            if own >= self.limits.jobs_per_user as usize {
                let limit = self.limits.jobs_per_user;
                return Err(Failure::new(
                    h::BG_E_TOO_MANY_JOBS_PER_USER,
                    format!("you own {own} jobs; the limit is {limit}"),
                ));
            }
            if self.counted >= self.limits.jobs_per_machine as usize {
                let limit = self.limits.jobs_per_machine;
                return Err(Failure::new(
                    h::BG_E_TOO_MANY_JOBS_PER_MACHINE,
                    format!("the machine's limit is {limit} jobs"),
                ));
            }
        }
        Ok(())
    }

    /// A call on a job. A finished job that is still remembered answers `BG_E_INVALID_STATE`.
    pub fn call(&mut self, caller: Caller, id: JobId, call: Call, now: Now) -> Called {
        match self.begin(caller, id, call, now) {
            Ok(called) => called,
            Err(failure) => Called::Done(Err(failure)),
        }
    }

    fn begin(&mut self, caller: Caller, id: JobId, call: Call, now: Now) -> Result<Called, Failure> {
        // The ticket is the helper's right: he owns nothing here.
        let invited = matches!(call, Call::SetHelperToken(Some(ticket)) if self.ticket_fits(id, ticket, now));
        let visitor = if invited { Caller::root() } else { caller };
        let job = self.held_job(visitor, id).map_err(|code| match code {
            h::BG_E_NOT_FOUND => Failure::new(code, format!("there is no job {id}")),
            code => Failure::new(code, "the job belongs to another user"),
        })?;
        // Rights and values come before the state (spec/bits-core.md 4.1).
        if call == Call::TakeOwnership && !caller.is_administrator() {
            return Err(Failure::new(h::E_ACCESSDENIED, "only root may take ownership"));
        }
        if call.is_owners_alone() && caller.uid != job.owner {
            return Err(Failure::new(
                h::E_ACCESSDENIED,
                "only the job's owner may do this; take ownership first",
            ));
        }
        if let Call::SetCredentials(Err(code)) = &call {
            return Err((*code).into());
        }
        if let Call::Group(call) = &call {
            Self::check_group_call(job, call)?;
        }
        if let Call::Download(call) = &call {
            Self::check_download_call(job, call)?;
        }
        if let Call::Set(properties) = &call {
            for property in properties {
                property.check(job.kind)?;
            }
            self.may_set_command(caller, job.owner, properties)?;
            // Nobody gets an administrator to work for him by flags alone.
            let flags = |p: &Property| matches!(p, Property::Option(Setting::HelperTokenFlags(_)));
            let root_helps = self.helper(id) == Some(Uid::ROOT) && !caller.is_administrator();
            if root_helps && properties.iter().any(flags) {
                return Err(Failure::new(h::E_ACCESSDENIED, "the job's helper is an administrator"));
            }
        }
        if job.state.is_final() {
            return Err(Failure::new(h::BG_E_INVALID_STATE, format!("the job is {} already", job.state)));
        }
        if job.delivery.is_some() && !call.fits_downloads() {
            return Err(Failure::new(h::E_NOTIMPL, DOWNLOADS_OWN));
        }
        if job.download.is_some() && !call.fits_download() {
            return Err(Failure::new(h::E_NOTIMPL, DOWNLOADS_FILE));
        }
        if job.finishing.is_some() {
            // They wait for a worker, perhaps for long: only sound calls may, and not many.
            match &call {
                Call::AddFiles(files) => self.check_new_files(caller, files)?,
                Call::Set(properties) => properties.iter().try_for_each(|p| p.check(job.kind))?,
                _ => {}
            }
            if self.deferred.get(&id).is_some_and(|waiting| waiting.len() >= DEFERRED_MAX) {
                return Err(Failure::new(
                    h::BG_E_INVALID_STATE,
                    "the job is being finished, and enough calls wait for that",
                ));
            }
            let ticket = self.ticket();
            self.deferred.entry(id).or_default().push((ticket, caller, call));
            return Ok(Called::Later(ticket));
        }
        let call = Self::as_modern(job, call);
        let records = self.records_of(caller, id, &call);
        let command =
            sets_command(&call).then(|| self.jobs.get(&id).and_then(|job| job.notify_command.clone()));
        let called = self.perform(caller, id, call, now)?;
        self.log_all(records);
        if let Some(before) = command {
            self.command_was_set(caller, id, before.as_deref());
        }
        self.reschedule(now);
        Ok(called)
    }

    fn perform(&mut self, caller: Caller, id: JobId, call: Call, now: Now) -> Result<Called, Failure> {
        if let Call::AddFiles(files) = &call {
            self.check_new_files(caller, files)?;
        }
        let files_max = self.files_max(caller);
        let job = self.jobs.get_mut(&id).ok_or(h::BG_E_NOT_FOUND)?;
        let files_before = job.files.len();
        let suspends = call == Call::Suspend;
        // Resume changes files in these cases.
        let settles = call == Call::Resume && (job.has_unset_checks() || job.lacks_ranges());
        let unchecked = !job.checks_revocation();
        let change = match call {
            Call::Group(call) => return self.perform_group(id, call, now),
            Call::AddFiles(files) => job.add_files(files, files_max, now)?,
            Call::RequestRanges(file, ranges) => {
                job.request_ranges(file, &ranges, now)?;
                return Ok(Called::Done(Ok(self.wants_changed(id, file))));
            }
            Call::UpdatePosition(file, offset) => {
                job.update_position(file, offset, now)?;
                return Ok(Called::Done(Ok(self.wants_changed(id, file))));
            }
            Call::Set(properties) => job.set(properties, now)?,
            Call::Resume => {
                let change = job.resume(now)?;
                if change.notice != crate::job::Notice::None {
                    job.follow_cache_policy(&self.limits.cache, self.machine.vpn, now);
                }
                change
            }
            Call::IssueHelperTicket(ticket) => {
                self.issue_ticket(caller, id, ticket, now);
                return Ok(Called::Done(Ok(h::S_OK)));
            }
            Call::SetHelperToken(ticket) => {
                let by_ticket = ticket.is_some_and(|ticket| self.ticket_fits(id, ticket, now));
                let result = self.set_helper_token(caller, id, by_ticket, now);
                return result.map(|code| Called::Done(Ok(code)));
            }
            Call::ClearHelperToken => {
                let code = self.clear_helper_token(id, now);
                return Ok(Called::Done(Ok(code)));
            }
            Call::SetRemoteName { file, name, login } => {
                let change = job.set_remote_name(file, &name, login, now)?;
                return Ok(self.renamed(id, change, &[file], now));
            }
            Call::ReplaceRemotePrefix { old, new, login } => {
                let (change, files) = job.replace_remote_prefix(&old, &new, login.as_ref(), now)?;
                return Ok(self.renamed(id, change, &files, now));
            }
            Call::SetValidationState { file, valid } => {
                let change = job.set_validation_state(file, valid, now)?;
                self.save(id);
                self.effects.push(Effect::SaveFile(id, file));
                self.tell(id, change.notice, now);
                self.settle(id, now);
                return Ok(Called::Done(Ok(change.code)));
            }
            Call::Suspend => job.suspend(now)?,
            Call::TakeOwnership => return self.take_ownership(caller, id, now),
            Call::SetCredentials(credential) => job.set_credentials(credential?, now)?,
            Call::SetDelivery(change) => {
                let renames = change.uri.is_some() && !job.files.is_empty();
                let change = job.set_delivery(change, now)?;
                if renames {
                    return Ok(self.renamed(id, change, &[0], now));
                }
                change
            }
            Call::Deliver { remote, local, made } => job.deliver(remote, local, made, now)?,
            Call::Download(call) => return self.perform_download(caller, id, call, now),
            Call::SetFile { file, change } => {
                let change = job.set_file(file, change, now)?;
                self.effects.push(Effect::SaveFile(id, file));
                change
            }
            Call::RemoveCredentials { target, scheme } => job.remove_credentials(target, scheme, now)?,
            Call::Cancel => {
                job.cancel(now)?;
                self.save(id);
                let ticket = self.ticket();
                self.begin_cancel_files(id, Some(ticket), now);
                return Ok(Called::Later(ticket));
            }
            Call::Complete => return self.complete(id, now),
            Call::SetClientCertificate(certificate) => job.set_client_certificate(*certificate, now)?,
            Call::RemoveClientCertificate => job.remove_client_certificate(now)?,
            Call::RequireValidation(wanted) => job.require_validation(wanted, now)?,
        };
        if unchecked && job.checks_revocation() {
            self.begin_files_again(id);
        }
        let job = self.jobs.get_mut(&id).ok_or(h::BG_E_NOT_FOUND)?;
        let files_after = job.files.len();
        if change.notice != crate::job::Notice::None {
            self.save(id);
            self.save_files(id, if settles { 0 } else { files_before }..files_after);
            self.tell(id, change.notice, now);
            self.settle(id, now);
        }
        // Suspend promises that no byte is written after it returned: it waits for the worker, also when an earlier
        // Suspend (or an error) stops it already.
        if suspends && self.runs.get(&id).is_some_and(|run| run.stopping) {
            let ticket = self.ticket();
            if let Some(run) = self.runs.get_mut(&id) {
                run.after_stop.push((ticket, change.code));
            }
            return Ok(Called::Later(ticket));
        }
        Ok(Called::Done(Ok(change.code)))
    }

    /// Files have other names. A transfer that knows the old ones ends, and the job goes on with the new ones in its turn.
    pub(super) fn renamed(&mut self, id: JobId, change: Change, files: &[u32], now: Now) -> Called {
        if change.notice != crate::job::Notice::None {
            self.save(id);
            self.effects.extend(files.iter().map(|file| Effect::SaveFile(id, *file)));
            self.tell(id, change.notice, now);
            let concerned = |job: &Job| files.iter().any(|file| !job.files[*file as usize].transferred);
            if self.jobs.get(&id).is_some_and(|job| job.state.is_running() && concerned(job)) {
                self.change(id, Event::Preempted, now);
            }
            self.settle(id, now);
        }
        Called::Done(Ok(change.code))
    }

    /// What an unchecked server sent of unfinished files is not believed any more (spec/bits-extended.md 9.1.5).
    pub(super) fn begin_files_again(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if let Some(run) = self.runs.get_mut(&id) {
            run.void = true;
        }
        for (index, file) in (0u32..).zip(&mut job.files) {
            if !file.transferred && !file.done.is_empty() {
                file.restart();
                self.effects.push(Effect::SaveFile(id, index));
            }
        }
        job.ask_again();
    }

    fn complete(&mut self, id: JobId, now: Now) -> Result<Called, Failure> {
        let job = self.jobs.get(&id).ok_or(h::BG_E_NOT_FOUND)?;
        job.may_complete()?;
        let ticket = self.ticket();
        if let Some(run) = self.runs.get_mut(&id) {
            if matches!(run.then, Some((Finishing::Cancel, _))) {
                return Err(h::BG_E_INVALID_STATE.into());
            }
            run.then = Some((Finishing::Complete, Some(ticket)));
            let stop =
                (!run.stopping).then_some(Effect::Stop { job: id, attempt: run.attempt, owner: run.owner });
            run.stopping = true;
            self.effects.extend(stop);
            // From here on other calls wait for the end of this one.
            if let Some(job) = self.jobs.get_mut(&id) {
                job.finishing = Some(Finishing::Complete);
            }
            self.save(id);
        } else {
            self.begin_finish(id, Finishing::Complete, Some(ticket), now);
        }
        Ok(Called::Later(ticket))
    }

    fn take_ownership(&mut self, caller: Caller, id: JobId, now: Now) -> Result<Called, Failure> {
        let job = self.jobs.get_mut(&id).ok_or(h::BG_E_NOT_FOUND)?;
        let old = job.owner;
        let logins: Vec<usize> =
            job.files.iter().enumerate().filter(|(_, file)| file.login.is_some()).map(|(at, _)| at).collect();
        let change = job.take_ownership(caller.uid, now)?;
        if old != caller.uid {
            self.helpers.remove(&id);
            job.note_owner_level(caller.level());
            if let Some(ids) = self.by_owner.get_mut(&old) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_owner.remove(&old);
                }
            }
            self.by_owner.entry(caller.uid).or_default().insert(id);
            self.counted -= usize::from(!job.exempt);
            job.exempt = caller.exempt;
            self.counted += usize::from(!job.exempt);
            // A running transfer goes on as the new owner: its worker is the old owner's.
            if job.state.is_running() {
                let _ = job.apply(Event::Preempted, now);
            }
        }
        self.save(id);
        if old != caller.uid {
            logins.into_iter().for_each(|at| self.save_files(id, at..at + 1));
        }
        self.tell(id, change.notice, now);
        self.settle(id, now);
        Ok(Called::Done(Ok(change.code)))
    }

    /// GetCustomHeaders, or the headers for challenges: only the owner himself, and nobody once they are write-only.
    pub fn headers(&self, caller: Caller, id: JobId, challenge: bool) -> Result<Option<&Sealed>, Failure> {
        let job = self.held_job(caller, id)?;
        if job.owner != caller.uid {
            return Err(Failure::new(h::E_ACCESSDENIED, "only the job's owner may read its headers"));
        }
        let read = if challenge { job.read_challenge_headers() } else { job.read_custom_headers() };
        read.map_err(|code| {
            Failure::new(code, "the job's headers were made write-only: nobody may read them")
        })
    }

    /// Quota of files for this caller.
    fn files_max(&self, caller: Caller) -> Option<u32> {
        Some(self.files_per_job(caller))
    }

    /// Most files that a job of this caller may have.
    pub fn files_per_job(&self, caller: Caller) -> u32 {
        if caller.exempt { FILES_PER_JOB_EXEMPT } else { self.limits.files_per_job }
    }

    /// Most ranges that a file of this caller may consist of.
    pub fn ranges_per_file(&self, caller: Caller) -> u32 {
        if caller.exempt {
            RANGES_PER_FILE_EXEMPT
        } else {
            self.limits.ranges_per_file.min(RANGES_PER_FILE_EXEMPT)
        }
    }

    /// What AddFiles refuses before anything else: a job that has no ranges, or is over (spec/bits-extended.md 4.2.1, step 1).
    ///
    /// # Errors
    /// `E_NOTIMPL`, `BG_E_INVALID_STATE`
    pub fn may_add(&self, caller: Caller, id: JobId, files: &[NewFile]) -> Result<(), Failure> {
        // Whoever may not see the job is told so by the call itself.
        let Ok(job) = self.held_job(caller, id) else { return Ok(()) };
        if job.delivery.is_some() {
            return Err(Failure::new(h::E_NOTIMPL, DOWNLOADS_OWN));
        }
        if job.download.is_some() {
            return Err(Failure::new(h::E_NOTIMPL, DOWNLOADS_FILE));
        }
        if job.kind != JobType::Download && files.iter().any(|file| file.ranges.is_some()) {
            return Err(Failure::new(h::E_NOTIMPL, "only downloads have ranges"));
        }
        if job.state.is_final() {
            return Err(Failure::new(h::BG_E_INVALID_STATE, format!("the job is {} already", job.state)));
        }
        Ok(())
    }

    /// The ranges of new files in themselves (steps 2 to 5).
    ///
    /// # Errors
    /// `E_INVALIDARG`, `BG_E_TOO_MANY_RANGES_IN_FILE`, `BG_E_INVALID_RANGE`, `BG_E_OVERLAPPING_RANGES`
    pub fn check_ranges(&self, caller: Caller, files: &[NewFile]) -> Result<(), Failure> {
        let max = self.ranges_per_file(caller);
        for ranges in files.iter().filter_map(|file| file.ranges.as_deref()) {
            if ranges.is_empty() {
                return Err(Failure::new(h::E_INVALIDARG, "a list of ranges has at least one"));
            }
            layout::check(ranges, max).map_err(|code| {
                let text = match code {
                    h::BG_E_TOO_MANY_RANGES_IN_FILE => format!("a file may have {max} ranges"),
                    h::BG_E_OVERLAPPING_RANGES => "two ranges of a file overlap".to_owned(),
                    _ => "a range has no bytes, or ends beyond the last byte that a file can have".to_owned(),
                };
                Failure::new(code, text)
            })?;
        }
        Ok(())
    }

    fn check_new_files(&self, caller: Caller, files: &[NewFile]) -> Result<(), Failure> {
        if files.len() > FILES_PER_CALL {
            return Err(Failure::new(
                h::E_INVALIDARG,
                format!("more than {FILES_PER_CALL} files in one call"),
            ));
        }
        self.check_ranges(caller, files)
    }

    pub(super) fn save_files(&mut self, id: JobId, indexes: std::ops::Range<usize>) {
        let indexes = indexes.filter_map(|index| u32::try_from(index).ok());
        self.effects.extend(indexes.map(|index| Effect::SaveFile(id, index)));
    }

    /// Calls that waited for a Complete which is over.
    pub(super) fn run_deferred(&mut self, id: JobId, now: Now) {
        for (ticket, caller, call) in self.deferred.remove(&id).unwrap_or_default() {
            match self.call(caller, id, call, now) {
                Called::Done(result) => self.effects.push(Effect::Answer(ticket, result)),
                Called::Later(inner) => self.alias(inner, ticket),
            }
        }
    }

    /// The answer to `inner` goes to `outer`.
    fn alias(&mut self, inner: Ticket, outer: Ticket) {
        for effect in &mut self.effects {
            if let Effect::Answer(ticket, _) = effect
                && *ticket == inner
            {
                *ticket = outer;
                return;
            }
        }
        for run in self.runs.values_mut() {
            run.after_stop.iter_mut().filter(|(t, _)| *t == inner).for_each(|(t, _)| *t = outer);
            if let Some((_, Some(ticket))) = &mut run.then
                && *ticket == inner
            {
                *ticket = outer;
            }
        }
        for finish in self.finishes.values_mut().filter(|f| f.caller == Some(inner)) {
            finish.caller = Some(outer);
        }
        for waiting in self.deferred.values_mut().flatten().filter(|(t, _, _)| *t == inner) {
            waiting.0 = outer;
        }
    }

    /// True if the job's flags ask for this notice (spec/bits-core.md 6): for doors that honour them.
    pub fn wants(flags: u32, kind: NoticeKind) -> bool {
        let bit = match kind {
            NoticeKind::Transferred => notify::JOB_TRANSFERRED,
            NoticeKind::Error => notify::JOB_ERROR,
            NoticeKind::FileTransferred(_) => notify::FILE_TRANSFERRED,
            NoticeKind::FileRangesTransferred(_) => notify::FILE_RANGES_TRANSFERRED,
            _ => notify::JOB_MODIFICATION,
        };
        flags & notify::DISABLE == 0 && flags & bit != 0
    }
}

/// An address of http or https.
fn is_web(name: &str) -> bool {
    names::check_remote_name(name).is_ok_and(names::RemoteScheme::has_ranges)
}

/// SetNotifyCmdLine is among the properties.
fn sets_command(call: &Call) -> bool {
    let sets = |p: &Property| matches!(p, Property::NotifyCommand { .. } | Property::NotifyArguments(_));
    matches!(call, Call::Set(properties) if properties.iter().any(sets))
}
