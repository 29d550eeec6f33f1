//! IBackgroundCopyManager (spec/bits-core.md 5.1).

use super::super::*;
use super::enumerate::JobEnumerator;
use crate::job::{Face, Job, guid_of, id_of};
use crate::pool;
use openbits_api::CreateJob;
use openbits_client::environment_proxy;
use openbits_core::JobType;
use openbits_core::job::Dialect;
use windows_core::{GUID, implement};

/// The manager of every version; peer cache administration is a face of it.
#[implement(IBackgroundCopyManager, IBitsPeerCacheAdministration)]
#[derive(Default)]
pub(super) struct Manager {}

impl IBackgroundCopyManagerMethods for Manager {
    fn create_job(
        &self,
        display_name: String,
        kind: i32,
        job_id: Out<'_, GUID>,
        job: OutObject<'_, IBackgroundCopyJob>,
    ) -> Done {
        let kind = JobType::from_value(kind.into()).ok_or(h::E_NOTIMPL)?;
        let new = CreateJob {
            id: None,
            display_name,
            kind,
            files: Vec::new(),
            resume: false,
            properties: Default::default(),
            environment_proxy: environment_proxy(|name| std::env::var(name).ok()),
            dialect: Dialect::Bits,
        };
        let outcome = pool::call(async |client| client.create_job(&new).await)?;
        let id = outcome.job.id.parse().map_err(|_| h::E_UNEXPECTED)?;
        job_id.set(guid_of(id));
        job.set(super::job(Job::new(id)));
        OK
    }

    fn get_job(&self, job_id: GUID, job: OutObject<'_, IBackgroundCopyJob>) -> Done {
        let id = id_of(&job_id);
        pool::call(async |client| client.job(id, false, false).await)?;
        job.set(super::job(Job::new(id)));
        OK
    }

    fn enum_jobs(&self, dw_flags: u32, enumerator: OutObject<'_, IEnumBackgroundCopyJobs>) -> Done {
        let all_users = match dw_flags {
            0 => false,
            BG_JOB_ENUM_ALL_USERS => true,
            _ => return Err(h::E_INVALIDARG),
        };
        let ids = pool::call(async |client| client.job_ids(all_users).await)?;
        enumerator.set(JobEnumerator::object(ids, Face::Bits));
        OK
    }

    fn get_error_description(&self, code: i32, language: u32, description: OutText<'_, Wchar>) -> Done {
        super::error::describe(HResult::from_signed(code), language, description)
    }
}
