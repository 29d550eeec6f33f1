//! IBackgroundCopyGroup (spec/qmgr-legacy.md 5).

use super::super::*;
use super::group_callback::GroupCallback;
use super::group_enumerate::GroupJobEnumerator;
use super::group_job::GroupJobObject;
use super::group_manager::ids;
use crate::job::{Job, guid_of, id_of};
use crate::{notify, pool};
use core::ffi::c_void;
use openbits_api::GroupView;
use openbits_client::{Client, Error, GroupAction};
use openbits_core::JobId;
use std::sync::Arc;
use windows_core::{GUID, HRESULT, IUnknown, Interface, implement};

/// A group: the job of the same id.
#[implement(IBackgroundCopyGroup)]
pub(super) struct GroupObject {
    job: Arc<Job>,
}

impl GroupObject {
    pub(super) fn object(job: Arc<Job>) -> IBackgroundCopyGroup {
        Self { job }.into()
    }

    fn id(&self) -> JobId {
        self.job.id()
    }

    fn view(&self) -> Result<GroupView, HResult> {
        of_group(self.id(), async |client, id| client.group(id).await)
    }

    fn act(&self, action: GroupAction) -> Done {
        of_group(self.id(), async |client, id| client.act_on_group(id, action).await)?;
        OK
    }
}

/// Asks something of a group. A pointer is the proof that there was one: when the service has forgotten it, it was removed.
pub(super) fn of_group<T>(
    id: JobId,
    call: impl AsyncFnOnce(&Client, JobId) -> Result<T, Error>,
) -> Result<T, HResult> {
    pool::call(async |client| call(client, id).await).map_err(|code| match code {
        h::QM_E_ITEM_NOT_FOUND | h::BG_E_NOT_FOUND => h::QM_E_INVALID_STATE,
        code => code,
    })
}

impl IBackgroundCopyGroupMethods for GroupObject {
    fn get_prop(&self, property: i32, value: Out<'_, VARIANT>) -> Done {
        let number = property.cast_unsigned();
        let view = of_group(self.id(), async |client, id| client.group_property(id, number).await)?;
        value.set(Automation::<Wchar>::make(&view)?);
        OK
    }

    fn set_prop(&self, property: i32, value: &VARIANT) -> Done {
        let number = property.cast_unsigned();
        // SAFETY: a VARIANT of the caller holds what its type says.
        let view = unsafe { Automation::<Wchar>::read(value) }?;
        of_group(self.id(), async |client, id| client.set_group_property(id, number, &view).await)?;
        OK
    }

    fn get_progress(&self, kind: u32, progress: Out<'_, u32>) -> Done {
        let told = of_group(self.id(), async |client, id| client.group_progress(id, kind).await)?;
        progress.set(told.value);
        OK
    }

    fn get_status(&self, status: Out<'_, u32>, job_index: Out<'_, u32>) -> Done {
        let view = self.view()?;
        status.set(view.status);
        job_index.set(view.job_index);
        OK
    }

    fn get_job(&self, job: GUID, object: OutObject<'_, IBackgroundCopyJob1>) -> Done {
        let job = id_of(&job);
        let known = self.view()?.job.and_then(|job| job.id.parse::<JobId>().ok());
        if known != Some(job) {
            return Err(h::QM_E_ITEM_NOT_FOUND);
        }
        object.set(GroupJobObject::object(self.id(), job));
        OK
    }

    fn suspend_group(&self) -> Done {
        self.act(GroupAction::Suspend)
    }

    fn resume_group(&self) -> Done {
        self.act(GroupAction::Resume)
    }

    fn cancel_group(&self) -> Done {
        let done = self.act(GroupAction::Cancel);
        self.job.release_if_over(&done);
        done
    }

    fn get_size(&self, size: Out<'_, u32>) -> Done {
        size.set(self.view()?.size);
        OK
    }

    fn get_group_id(&self, id: Out<'_, GUID>) -> Done {
        id.set(guid_of(self.id()));
        OK
    }

    fn create_job(&self, job: GUID, object: OutObject<'_, IBackgroundCopyJob1>) -> Done {
        let job = id_of(&job);
        of_group(self.id(), async |client, id| client.create_group_job(id, job).await)?;
        object.set(GroupJobObject::object(self.id(), job));
        OK
    }

    fn enum_jobs(&self, flags: u32, jobs: OutObject<'_, IEnumBackgroundCopyJobs1>) -> Done {
        let list = of_group(self.id(), async |client, id| client.group_jobs(id, flags).await)?;
        jobs.set(GroupJobEnumerator::object(ids(&list.ids)?));
        OK
    }

    fn switch_to_foreground(&self) -> Done {
        self.act(GroupAction::SwitchToForeground)
    }

    fn query_new_job_interface(&self, iid: GUID, object: OutObject<'_, IUnknown>) -> Done {
        self.view()?;
        let job = super::job(Job::new(self.id()));
        let mut face: *mut c_void = core::ptr::null_mut();
        // SAFETY: the place is writable; a success leaves a pointer with a reference in it, which every interface's pointer is as IUnknown.
        unsafe {
            match job.query(&iid, &mut face) {
                HRESULT(0) => object.set(IUnknown::from_raw(face)),
                _ => return Err(h::E_NOINTERFACE),
            }
        }
        OK
    }

    fn set_notification_pointer(&self, iid: GUID, target: Option<IUnknown>) -> Done {
        if iid != IBackgroundCopyCallback1::IID {
            return Err(h::E_NOINTERFACE);
        }
        let target = target.map(GroupCallback::target).transpose()?;
        notify::register(&self.job, target).map_err(|code| match code {
            h::BG_E_INVALID_STATE | h::BG_E_NOT_FOUND => h::QM_E_INVALID_STATE,
            code => code,
        })
    }
}
