//! IBackgroundCopyJob1 (spec/qmgr-legacy.md 6).

use super::super::*;
use super::group::of_group;
use crate::job::guid_of;
use crate::pool;
use openbits_api::{GroupFile, GroupJobView};
use openbits_core::JobId;
use windows_core::{GUID, implement};

/// The job of a group.
#[implement(IBackgroundCopyJob1)]
pub(super) struct GroupJobObject {
    group: JobId,
    job: JobId,
}

impl GroupJobObject {
    pub(super) fn object(group: JobId, job: JobId) -> IBackgroundCopyJob1 {
        Self { group, job }.into()
    }

    fn view(&self) -> Result<GroupJobView, HResult> {
        let job = self.job;
        of_group(self.group, async |client, group| client.group_job(group, job).await)
    }
}

impl IBackgroundCopyJob1Methods for GroupJobObject {
    fn cancel_job(&self) -> Done {
        let job = self.job;
        of_group(self.group, async |client, group| client.cancel_group_job(group, job).await)?;
        Err(h::E_NOTIMPL)
    }

    fn get_progress(&self, kind: u32, progress: Out<'_, u32>) -> Done {
        let job = self.job;
        let told =
            of_group(self.group, async |client, group| client.group_job_progress(group, job, kind).await)?;
        progress.set(told.value);
        OK
    }

    fn get_status(
        &self,
        status: Out<'_, u32>,
        win32: Out<'_, u32>,
        transport: Out<'_, u32>,
        retries: Out<'_, u32>,
    ) -> Done {
        let view = self.view()?;
        status.set(view.status);
        win32.set(view.win32_result);
        transport.set(view.transport_result);
        retries.set(view.retries);
        OK
    }

    fn add_files(&self, set: &[*const FILESETINFO]) -> Done {
        let mut files = Vec::with_capacity(set.len());
        for info in set {
            present(*info, h::E_INVALIDARG)?;
            // SAFETY: the caller's array is one of pointers to structs with BSTRs; NULL was looked for, and is looked for in them.
            let (remote_name, local_name) = unsafe {
                let info = **info;
                (
                    Automation::<Wchar>::required(info.bstrRemoteFile)?,
                    Automation::<Wchar>::required(info.bstrLocalFile)?,
                )
            };
            files.push(GroupFile { remote_name, local_name, size_hint: 0 });
        }
        let job = self.job;
        of_group(self.group, async |client, group| client.add_group_files(group, job, files).await)?;
        OK
    }

    fn get_file(&self, index: u32, info: Out<'_, FILESETINFO>) -> Done {
        let (group, job) = (self.group, self.job);
        let file = match pool::call(async |client| client.group_file(group, job, index).await) {
            // No such file, or no such group any more.
            Err(h::QM_E_ITEM_NOT_FOUND) => {
                self.view()?;
                return Err(h::QM_E_ITEM_NOT_FOUND);
            }
            file => file?,
        };
        let (remote, local) =
            (Automation::<Wchar>::bstr(&file.remote_name)?, Automation::<Wchar>::bstr(&file.local_name)?);
        info.set(FILESETINFO { bstrRemoteFile: remote, bstrLocalFile: local, dwSizeHint: 0 });
        OK
    }

    fn get_file_count(&self, count: Out<'_, u32>) -> Done {
        count.set(self.view()?.files);
        OK
    }

    fn switch_to_foreground(&self) -> Done {
        let job = self.job;
        of_group(self.group, async |client, group| client.switch_group_job_to_foreground(group, job).await)?;
        Err(h::E_NOTIMPL)
    }

    fn get_job_id(&self, id: Out<'_, GUID>) -> Done {
        id.set(guid_of(self.job));
        OK
    }
}
