//! The class DeliveryOptimization: IDOManager, and IBackgroundCopyManager of its first generation
//! (spec/delivery-optimization-com.md 3, 5.1, ambiguity 1).

use super::super::*;
use super::download::DownloadObject;
use super::download_enumerate::DownloadEnumerator;
use super::enumerate::JobEnumerator;
use crate::job::{Face, Job, guid_of, id_of};
use crate::pool;
use openbits_api::{CreateDownload, CreateJob, DownloadProperties};
use openbits_client::{JobQuery, environment_proxy};
use openbits_core::delivery::codes;
use openbits_core::job::Dialect;
use openbits_core::secret::split_login;
use openbits_core::{JobId, JobType};
use windows_core::{GUID, implement};

/// The manager of both generations.
#[implement(IDOManager, IBackgroundCopyManager)]
#[derive(Default)]
pub(super) struct DeliveryManager {}

impl IDOManagerMethods for DeliveryManager {
    fn create_download(&self, download: OutObject<'_, IDODownload>) -> Done {
        let new = CreateDownload {
            properties: DownloadProperties::default(),
            environment_proxy: environment_proxy(|name| std::env::var(name).ok()),
        };
        let view = pool::call(async |client| client.create_download(&new).await).map_err(codes::of_bits)?;
        let id = view.id.parse().map_err(|_| h::E_UNEXPECTED)?;
        download.set(DownloadObject::object(id));
        OK
    }

    fn enum_downloads(
        &self,
        category: Option<&DO_DOWNLOAD_ENUM_CATEGORY>,
        enumerator: OutObject<'_, IEnumUnknown>,
    ) -> Done {
        let category = category.map(category_of).transpose()?;
        let category = category.as_ref().map(|(name, value)| (*name, value.as_str()));
        let list = pool::call(async |client| client.downloads(category).await).map_err(codes::of_bits)?;
        let ids = list.ids.iter().map(|id| id.parse().map_err(|_| h::E_UNEXPECTED));
        enumerator.set(DownloadEnumerator::object(ids.collect::<Result<_, _>>()?));
        OK
    }
}

/// The property to look by, as the service's door names it, and what it has to be.
fn category_of(category: &DO_DOWNLOAD_ENUM_CATEGORY) -> Result<(&'static str, String), HResult> {
    let name = match category.Property {
        DODownloadProperty_Id => "id",
        DODownloadProperty_Uri => "uri",
        DODownloadProperty_ContentId => "content_id",
        DODownloadProperty_DisplayName => "display_name",
        DODownloadProperty_LocalPath => "local_path",
        _ => return Err(h::E_INVALIDARG),
    };
    present(category.Value, h::E_INVALIDARG)?;
    // SAFETY: the text of the caller's struct; NULL was looked for.
    let value = unsafe { text(category.Value) }?;
    // A password leaves nobody's hands only to be compared.
    Ok((name, if name == "uri" { split_login(&value).0 } else { value }))
}

impl IBackgroundCopyManagerMethods for DeliveryManager {
    fn create_job(
        &self,
        display_name: String,
        kind: i32,
        job_id: Out<'_, GUID>,
        job: OutObject<'_, IBackgroundCopyJob>,
    ) -> Done {
        let new = CreateJob {
            id: None,
            display_name,
            kind: JobType::from_value(kind.into()).ok_or(h::E_NOTIMPL)?,
            files: Vec::new(),
            resume: false,
            properties: Default::default(),
            environment_proxy: environment_proxy(|name| std::env::var(name).ok()),
            dialect: Dialect::DeliveryOptimization,
        };
        let outcome = pool::call(async |client| client.create_job(&new).await).map_err(codes::of_bits)?;
        let id = outcome.job.id.parse().map_err(|_| h::E_UNEXPECTED)?;
        job_id.set(guid_of(id));
        job.set(super::job(Job::with_face(id, Face::Delivery)));
        OK
    }

    fn get_job(&self, job_id: GUID, job: OutObject<'_, IBackgroundCopyJob>) -> Done {
        let id = id_of(&job_id);
        let view = pool::call(async |client| client.job(id, false, false).await).map_err(codes::of_bits)?;
        if view.dialect != Dialect::DeliveryOptimization {
            return Err(codes::DO_E_JOB_NOT_FOUND);
        }
        job.set(super::job(Job::with_face(id, Face::Delivery)));
        OK
    }

    fn enum_jobs(&self, flags: u32, enumerator: OutObject<'_, IEnumBackgroundCopyJobs>) -> Done {
        let all_users = match flags {
            0 => false,
            BG_JOB_ENUM_ALL_USERS => true,
            _ => return Err(h::E_INVALIDARG),
        };
        let query = JobQuery { all_users, ..JobQuery::default() };
        let jobs = pool::call(async |client| client.jobs(&query).await).map_err(codes::of_bits)?;
        let own = jobs.iter().filter(|job| job.dialect == Dialect::DeliveryOptimization);
        let ids: Result<Vec<JobId>, _> = own.map(|job| job.id.parse().map_err(|_| h::E_UNEXPECTED)).collect();
        enumerator.set(JobEnumerator::object(ids?, Face::Delivery));
        OK
    }

    fn get_error_description(&self, code: i32, language: u32, description: OutText<'_, Wchar>) -> Done {
        super::error::describe(HResult::from_signed(code), language, description)
    }
}
