//! The calls of groups (`qmgr.h`), one method each. Every call of a job works on a group as well.

use crate::calls::{Client, to_json};
use crate::error::Error;
use bytes::Bytes;
use http::Method;
use openbits_api::{
    AddGroupFiles, CreateGroup, CreateGroupJob, GroupDone, GroupFile, GroupIds, GroupJobView, GroupProgress,
    GroupView, VariantView,
};
use openbits_core::JobId;

/// Calls on a group without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupAction {
    /// ResumeGroup
    Resume,
    /// SuspendGroup
    Suspend,
    /// CancelGroup
    Cancel,
    /// SwitchToForeground
    SwitchToForeground,
}

impl GroupAction {
    const fn path(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Suspend => "suspend",
            Self::Cancel => "cancel",
            Self::SwitchToForeground => "switch-to-foreground",
        }
    }
}

impl Client {
    /// `POST /v1/groups`: IBackgroundCopyQMgr::CreateGroup. Not repeated when the answer is lost: the id would be taken.
    pub async fn create_group(&self, group: &CreateGroup) -> Result<GroupView, Error> {
        self.call(Method::POST, "/v1/groups", to_json(group)?, false).await
    }

    /// `POST /v1/groups/{id}/get`: IBackgroundCopyQMgr::GetGroup; root becomes the owner.
    pub async fn get_group(&self, id: JobId) -> Result<GroupView, Error> {
        self.call(Method::POST, &format!("/v1/groups/{id}/get"), Bytes::new(), true).await
    }

    /// `GET /v1/groups`: IBackgroundCopyQMgr::EnumGroups.
    pub async fn groups(&self, flags: u32) -> Result<GroupIds, Error> {
        self.get(&format!("/v1/groups?flags={flags}")).await
    }

    /// `GET /v1/groups/{id}`: the group as it is, whoever owns it afterwards.
    pub async fn group(&self, id: JobId) -> Result<GroupView, Error> {
        self.get(&format!("/v1/groups/{id}")).await
    }

    /// `POST /v1/groups/{id}/ACTION`
    pub async fn act_on_group(&self, id: JobId, action: GroupAction) -> Result<GroupDone, Error> {
        let path = format!("/v1/groups/{id}/{}", action.path());
        self.call(Method::POST, &path, Bytes::new(), action != GroupAction::Cancel).await
    }

    /// `GET /v1/groups/{id}/progress`: IBackgroundCopyGroup::GetProgress.
    pub async fn group_progress(&self, id: JobId, kind: u32) -> Result<GroupProgress, Error> {
        self.get(&format!("/v1/groups/{id}/progress?kind={kind}")).await
    }

    /// `GET /v1/groups/{id}/properties/{number}`: IBackgroundCopyGroup::GetProp.
    pub async fn group_property(&self, id: JobId, number: u32) -> Result<VariantView, Error> {
        self.get(&format!("/v1/groups/{id}/properties/{number}")).await
    }

    /// `PUT /v1/groups/{id}/properties/{number}`: IBackgroundCopyGroup::SetProp.
    pub async fn set_group_property(
        &self,
        id: JobId,
        number: u32,
        value: &VariantView,
    ) -> Result<GroupDone, Error> {
        let path = format!("/v1/groups/{id}/properties/{number}");
        self.call(Method::PUT, &path, to_json(value)?, true).await
    }

    /// `GET /v1/groups/{id}/jobs`: IBackgroundCopyGroup::EnumJobs.
    pub async fn group_jobs(&self, id: JobId, flags: u32) -> Result<GroupIds, Error> {
        self.get(&format!("/v1/groups/{id}/jobs?flags={flags}")).await
    }

    /// `POST /v1/groups/{id}/jobs`: IBackgroundCopyGroup::CreateJob.
    pub async fn create_group_job(&self, id: JobId, job: JobId) -> Result<GroupJobView, Error> {
        let body = to_json(&CreateGroupJob { id: job.to_string() })?;
        self.call(Method::POST, &format!("/v1/groups/{id}/jobs"), body, false).await
    }

    /// `GET /v1/groups/{id}/jobs/{job}`: IBackgroundCopyGroup::GetJob, IBackgroundCopyJob1::GetStatus and GetFileCount.
    pub async fn group_job(&self, id: JobId, job: JobId) -> Result<GroupJobView, Error> {
        self.get(&format!("/v1/groups/{id}/jobs/{job}")).await
    }

    /// `GET /v1/groups/{id}/jobs/{job}/progress`: IBackgroundCopyJob1::GetProgress.
    pub async fn group_job_progress(&self, id: JobId, job: JobId, kind: u32) -> Result<GroupProgress, Error> {
        self.get(&format!("/v1/groups/{id}/jobs/{job}/progress?kind={kind}")).await
    }

    /// `POST /v1/groups/{id}/jobs/{job}/files`: IBackgroundCopyJob1::AddFiles, all or none.
    pub async fn add_group_files(
        &self,
        id: JobId,
        job: JobId,
        files: Vec<GroupFile>,
    ) -> Result<GroupDone, Error> {
        let path = format!("/v1/groups/{id}/jobs/{job}/files");
        self.call(Method::POST, &path, to_json(&AddGroupFiles { files })?, false).await
    }

    /// `GET /v1/groups/{id}/jobs/{job}/files/{index}`: IBackgroundCopyJob1::GetFile.
    pub async fn group_file(&self, id: JobId, job: JobId, index: u32) -> Result<GroupFile, Error> {
        self.get(&format!("/v1/groups/{id}/jobs/{job}/files/{index}")).await
    }

    /// `POST /v1/groups/{id}/jobs/{job}/cancel`: IBackgroundCopyJob1::CancelJob; always refused.
    pub async fn cancel_group_job(&self, id: JobId, job: JobId) -> Result<GroupDone, Error> {
        self.call(Method::POST, &format!("/v1/groups/{id}/jobs/{job}/cancel"), Bytes::new(), true).await
    }

    /// `POST /v1/groups/{id}/jobs/{job}/switch-to-foreground`: IBackgroundCopyJob1::SwitchToForeground; always refused.
    pub async fn switch_group_job_to_foreground(&self, id: JobId, job: JobId) -> Result<GroupDone, Error> {
        let path = format!("/v1/groups/{id}/jobs/{job}/switch-to-foreground");
        self.call(Method::POST, &path, Bytes::new(), true).await
    }
}
