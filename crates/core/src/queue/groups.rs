//! Groups of the first generation among the jobs: their ids, who finds them, and how their calls are carried out
//! (spec/qmgr-legacy.md 4 and 5).

use super::{Call, Called, Failure, Queue};
use crate::caller::Caller;
use crate::group::{Group, GroupCall, property};
use crate::hresult as h;
use crate::id::JobId;
use crate::job::{Change, Dialect, DownloadCall, Job};
use crate::time::Now;

impl Queue {
    /// A group by a reference that is still held: one that left the queue a short while ago is known to be gone.
    ///
    /// # Errors
    /// `QM_E_ITEM_NOT_FOUND`, `E_ACCESSDENIED`, `QM_E_INVALID_STATE` if it was removed.
    pub fn group(&self, caller: Caller, id: JobId) -> Result<Group<'_>, Failure> {
        let job = self.held_job(caller, id).map_err(|code| refused(code, id))?;
        Group::of(job).map_err(|code| refused(code, id))
    }

    /// GetGroup, but for the change of owner: a group that is in the queue.
    ///
    /// # Errors
    /// `QM_E_ITEM_NOT_FOUND`, `E_ACCESSDENIED`
    pub fn find_group(&self, caller: Caller, id: JobId) -> Result<Group<'_>, Failure> {
        let job = self.job(caller, id).map_err(|code| refused(code, id))?;
        Group::of(job).map_err(|code| refused(code, id))
    }

    /// EnumGroups: the caller's groups, or everybody's for an administrator, in the order of their creation.
    pub fn groups(&self, caller: Caller) -> Vec<JobId> {
        let is_group = |job: &&Job| job.dialect() == Dialect::Group;
        let key = |job: &Job| (job.created, job.id);
        let mut found: Vec<_> = match self.all_jobs(caller, None) {
            Ok(jobs) => jobs.filter(is_group).map(key).collect(),
            Err(_) => self.own_jobs(caller.uid, None).filter(is_group).map(key).collect(),
        };
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// The id names something in the queue: a job, a group, or the job of a group.
    pub(super) fn is_taken(&self, id: JobId) -> bool {
        self.jobs.contains_key(&id) || self.group_jobs.contains_key(&id)
    }

    /// CreateGroup: the caller's choice of an id.
    ///
    /// # Errors
    /// `E_INVALIDARG`
    pub(super) fn may_name_group(&self, id: JobId) -> Result<(), Failure> {
        if id.is_nil() {
            return Err(Failure::new(h::E_INVALIDARG, "a group's id is not all zeros"));
        }
        if self.is_taken(id) {
            return Err(Failure::new(h::E_INVALIDARG, format!("the id {id} is in use in the queue")));
        }
        Ok(())
    }

    /// An id that a former job had is used again: that job can be asked for no longer.
    pub(super) fn forget_finished(&mut self, id: JobId) {
        if self.finished.remove(&id).is_some() {
            self.finished_order.retain(|old| *old != id);
        }
    }

    /// The checks of a group's call that come before its state.
    pub(super) fn check_group_call(job: &Job, call: &GroupCall) -> Result<(), Failure> {
        if job.dialect() != Dialect::Group {
            return Err(refused(h::QM_E_ITEM_NOT_FOUND, job.id));
        }
        if let GroupCall::SetProperty(number, value) = call {
            property::check(*number, value)?;
        }
        Ok(())
    }

    /// CancelGroup is one of two modern calls; Abort and Finalize of a download are modern calls.
    pub(super) fn as_modern(job: &Job, call: Call) -> Call {
        match call {
            Call::Group(GroupCall::Cancel) => match Group::of(job) {
                Ok(group) if group.is_delivered_by_cancel() => Call::Complete,
                _ => Call::Cancel,
            },
            Call::Download(DownloadCall::Abort) => Call::Cancel,
            Call::Download(DownloadCall::Finalize) => Call::Complete,
            call => call,
        }
    }

    pub(super) fn perform_group(&mut self, id: JobId, call: GroupCall, now: Now) -> Result<Called, Failure> {
        let change = match call {
            GroupCall::CreateJob(new) => self.create_group_job(id, new, now)?,
            GroupCall::SetProperty(number, value) => {
                let job = self.jobs.get_mut(&id).ok_or(h::QM_E_ITEM_NOT_FOUND)?;
                job.set_group_property(number, &value, now)?
            }
            // It was turned into a modern call.
            GroupCall::Cancel => return Err(h::E_UNEXPECTED.into()),
        };
        self.save(id);
        self.tell(id, change.notice, now);
        self.settle(id, now);
        Ok(Called::Done(Ok(change.code)))
    }

    fn create_group_job(&mut self, id: JobId, new: JobId, now: Now) -> Result<Change, Failure> {
        let taken = new.is_nil() || self.is_taken(new);
        let job = self.jobs.get_mut(&id).ok_or(h::QM_E_ITEM_NOT_FOUND)?;
        Group::of(job)?.may_create_job().map_err(|code| match code {
            h::E_NOTIMPL => Failure::new(code, "the group has a job; a group holds one"),
            code => Failure::new(code, "the group runs; suspend it first"),
        })?;
        if taken {
            let text = format!("the id {new} is all zeros, or in use in the queue");
            return Err(Failure::new(h::E_INVALIDARG, text));
        }
        let change = job.create_group_job(new, now)?;
        self.group_jobs.insert(new, id);
        Ok(change)
    }
}

/// A refusal in the words of this generation.
fn refused(code: crate::hresult::HResult, id: JobId) -> Failure {
    let code = crate::group::code(code);
    let text = match code {
        h::QM_E_ITEM_NOT_FOUND => format!("there is no group {id}"),
        h::QM_E_INVALID_STATE => format!("the group {id} was removed from the queue"),
        h::E_ACCESSDENIED => "the group belongs to another user".to_owned(),
        code => code.text(),
    };
    Failure::new(code, text)
}
