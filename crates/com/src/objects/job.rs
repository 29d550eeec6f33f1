//! IBackgroundCopyJob (spec/bits-core.md 5.2).

use super::super::*;
use super::callback::Callback;
use super::enumerate::FileEnumerator;
use super::error::ErrorObject;
use crate::job::{Face, Job, guid_of};
use crate::notify;
use openbits_api::{AddFile, ProxyRequest, SetProperties};
use openbits_client::Action;
use openbits_core::{Priority, ProxyUsage};
use std::sync::Arc;
use windows_core::{GUID, IUnknown, implement};

/// An object for a job: the same methods for programs of bits.h and of deliveryoptimization.h.
pub(super) trait OfJob {
    /// The job.
    fn job(&self) -> &Arc<Job>;

    /// It belongs to deliveryoptimization.h.
    fn is_delivery(&self) -> bool {
        self.job().face() == Face::Delivery
    }

    /// Sets one property.
    fn set(&self, change: impl FnOnce(&mut SetProperties)) -> Done {
        let mut properties = SetProperties::default();
        change(&mut properties);
        self.job().set(properties)
    }

    /// Adds files.
    fn add(&self, files: Vec<AddFile>) -> Done {
        self.job().change(async |client, id| client.add_files(id, files).await)
    }
}

/// A job, with all its faces.
#[implement(IBackgroundCopyJob5, IBackgroundCopyJobHttpOptions3, IBitsTokenOptions)]
pub(super) struct JobObject {
    job: Arc<Job>,
}

impl OfJob for JobObject {
    fn job(&self) -> &Arc<Job> {
        &self.job
    }
}

impl JobObject {
    pub(super) fn object(job: Arc<Job>) -> IBackgroundCopyJob {
        let newest: IBackgroundCopyJob5 = Self { job }.into();
        let first: &IBackgroundCopyJob = &newest;
        first.clone()
    }
}

/// BG_SIZE_UNKNOWN for what is not known.
pub(super) fn size(bytes: Option<u64>) -> u64 {
    bytes.unwrap_or(BG_SIZE_UNKNOWN)
}

impl<T: OfJob> IBackgroundCopyJobMethods for T {
    fn add_file_set(&self, file_set: &[BG_FILE_INFO]) -> Done {
        let mut files = Vec::with_capacity(file_set.len());
        for info in file_set {
            present(info.RemoteName, h::E_INVALIDARG)?;
            present(info.LocalName, h::E_INVALIDARG)?;
            // SAFETY: the names of the caller's structs are texts; NULL was looked for.
            let (remote_name, local_name) =
                unsafe { (text(info.RemoteName.cast_const())?, text(info.LocalName.cast_const())?) };
            files.push(AddFile { remote_name, local_name, ..AddFile::default() });
        }
        // Nothing to add is no error, also for a job that takes no files any more.
        if files.is_empty() { OK } else { self.add(files) }
    }

    fn add_file(&self, remote_name: String, local_name: String) -> Done {
        self.add(vec![AddFile { remote_name, local_name, ..AddFile::default() }])
    }

    fn enum_files(&self, enumerator: OutObject<'_, IEnumBackgroundCopyFiles>) -> Done {
        let count = self.job().view()?.files_total;
        enumerator.set(FileEnumerator::object(self.job().clone(), count));
        OK
    }

    fn suspend(&self) -> Done {
        self.job().act(Action::Suspend)
    }

    fn resume(&self) -> Done {
        self.job().act(Action::Resume)
    }

    fn cancel(&self) -> Done {
        self.job().end(Action::Cancel)
    }

    fn complete(&self) -> Done {
        self.job().end(Action::Complete)
    }

    fn get_id(&self, id: Out<'_, GUID>) -> Done {
        id.set(guid_of(self.job().id()));
        OK
    }

    fn get_type(&self, kind: Out<'_, i32>) -> Done {
        kind.set(self.job().view()?.kind.value().into());
        OK
    }

    fn get_progress(&self, progress: Out<'_, BG_JOB_PROGRESS>) -> Done {
        let job = self.job().view()?;
        progress.set(BG_JOB_PROGRESS {
            BytesTotal: size(job.bytes_total),
            BytesTransferred: job.bytes_transferred,
            FilesTotal: job.files_total,
            FilesTransferred: job.files_transferred,
        });
        OK
    }

    fn get_times(&self, times: Out<'_, BG_JOB_TIMES>) -> Done {
        let job = self.job().view()?;
        times.set(BG_JOB_TIMES {
            CreationTime: FILETIME::from_ms(job.creation_time_ms),
            ModificationTime: FILETIME::from_ms(job.modification_time_ms),
            TransferCompletionTime: job
                .transfer_completion_time_ms
                .map_or_else(FILETIME::default, FILETIME::from_ms),
        });
        OK
    }

    fn get_state(&self, state: Out<'_, i32>) -> Done {
        let seen = self.job().view()?.state;
        let told = if self.is_delivery() { super::delivery::told(self.job(), seen) } else { seen };
        state.set(told.value().into());
        OK
    }

    fn get_error(&self, error: OutObject<'_, IBackgroundCopyError>) -> Done {
        let forgotten = self.job().said(h::BG_E_NOT_FOUND);
        let view = self.job().read(async |client, id| client.error(id).await).map_err(|code| {
            // A finished job that the service has forgotten.
            if code == forgotten { self.job().said(h::BG_E_ERROR_INFORMATION_UNAVAILABLE) } else { code }
        })?;
        error.set(ErrorObject::object(self.job().clone(), view));
        OK
    }

    fn get_owner(&self, owner: OutText<'_, Wchar>) -> Done {
        owner.set(&self.job().view()?.owner_sid)?;
        OK
    }

    fn set_display_name(&self, name: String) -> Done {
        self.set(|p| p.display_name = Some(name))
    }

    fn get_display_name(&self, name: OutText<'_, Wchar>) -> Done {
        name.set(&self.job().view()?.display_name)?;
        OK
    }

    fn set_description(&self, description: String) -> Done {
        self.set(|p| p.description = Some(description))
    }

    fn get_description(&self, description: OutText<'_, Wchar>) -> Done {
        description.set(&self.job().view()?.description)?;
        OK
    }

    fn set_priority(&self, priority: i32) -> Done {
        let priority = Priority::from_value(priority.into()).ok_or(h::E_NOTIMPL)?;
        self.set(|p| p.priority = Some(priority))
    }

    fn get_priority(&self, priority: Out<'_, i32>) -> Done {
        priority.set(self.job().view()?.priority.value().into());
        OK
    }

    fn set_notify_flags(&self, flags: u32) -> Done {
        // Ranges are told to nobody there (spec/delivery-optimization-com.md 5.2).
        if self.is_delivery() && flags & BG_NOTIFY_FILE_RANGES_TRANSFERRED != 0 {
            return Err(h::E_NOTIMPL);
        }
        self.set(|p| p.notify_flags = Some(flags))
    }

    fn get_notify_flags(&self, flags: Out<'_, u32>) -> Done {
        flags.set(self.job().view()?.notify_flags);
        OK
    }

    fn set_notify_interface(&self, target: Option<IUnknown>) -> Done {
        let face = self.job().face();
        let target = target.map(|target| Callback::target(target, face)).transpose()?;
        notify::register(self.job(), target).map_err(|code| self.job().said(code))
    }

    fn get_notify_interface(&self, target: OutObject<'_, IUnknown>) -> Done {
        // Whose it is, is only known here: another program's callback is none of ours.
        if self.job().view()?.notify_interface
            && let Some(registered) = notify::registered(self.job().id())
        {
            target.set(registered.unknown());
        }
        OK
    }

    fn set_minimum_retry_delay(&self, seconds: u32) -> Done {
        self.set(|p| p.minimum_retry_delay_s = Some(seconds))
    }

    fn get_minimum_retry_delay(&self, seconds: Out<'_, u32>) -> Done {
        seconds.set(self.job().view()?.minimum_retry_delay_s);
        OK
    }

    fn set_no_progress_timeout(&self, seconds: u32) -> Done {
        self.set(|p| p.no_progress_timeout_s = Some(seconds))
    }

    fn get_no_progress_timeout(&self, seconds: Out<'_, u32>) -> Done {
        seconds.set(self.job().view()?.no_progress_timeout_s);
        OK
    }

    fn get_error_count(&self, errors: Out<'_, u32>) -> Done {
        errors.set(self.job().view()?.error_count);
        OK
    }

    fn set_proxy_settings(&self, usage: i32, list: Option<String>, bypass: Option<String>) -> Done {
        let usage = ProxyUsage::from_value(usage.into()).ok_or(h::E_NOTIMPL)?;
        self.set(|p| p.proxy = Some(ProxyRequest { usage, list, bypass }))
    }

    fn get_proxy_settings(
        &self,
        usage: Out<'_, i32>,
        list: OutText<'_, Wchar>,
        bypass: OutText<'_, Wchar>,
    ) -> Done {
        let proxy = self.job().view()?.proxy.clone();
        usage.set(proxy.usage.value().into());
        list.set_or_null(proxy.list.as_deref())?;
        bypass.set_or_null(proxy.bypass.as_deref())?;
        OK
    }

    fn take_ownership(&self) -> Done {
        self.job().act(Action::TakeOwnership)
    }
}
