//! The calls of downloads (`deliveryoptimization.h`), one method each. Every call of a job works on a download as well.

use crate::calls::{Client, Query, to_json};
use crate::error::Error;
use bytes::Bytes;
use http::Method;
use openbits_api::{
    CreateDownload, DownloadDone, DownloadIds, DownloadProperties, DownloadView, StartDownload,
};
use openbits_core::JobId;

/// Calls on a download without a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DownloadAction {
    /// IDODownload::Pause
    Pause,
    /// IDODownload::Abort
    Abort,
    /// IDODownload::Finalize
    Finalize,
}

impl DownloadAction {
    const fn path(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Abort => "abort",
            Self::Finalize => "finalize",
        }
    }
}

impl Client {
    /// `POST /v1/downloads`: IDOManager::CreateDownload. Not repeated when the answer is lost.
    pub async fn create_download(&self, download: &CreateDownload) -> Result<DownloadView, Error> {
        self.call(Method::POST, "/v1/downloads", to_json(download)?, false).await
    }

    /// `GET /v1/downloads`: IDOManager::EnumDownloads; `category` is a property (`id`, `uri`, `content_id`, `display_name`,
    /// `local_path`) and its value.
    pub async fn downloads(&self, category: Option<(&str, &str)>) -> Result<DownloadIds, Error> {
        let mut query = Query::new("/v1/downloads");
        if let Some((name, value)) = category {
            query.add(name, value);
        }
        self.get(&query.text).await
    }

    /// `GET /v1/downloads/{id}`: IDODownload::GetStatus and GetProperty.
    pub async fn download(&self, id: JobId) -> Result<DownloadView, Error> {
        self.get(&format!("/v1/downloads/{id}")).await
    }

    /// `PATCH /v1/downloads/{id}`: IDODownload::SetProperty.
    pub async fn set_download(
        &self,
        id: JobId,
        properties: &DownloadProperties,
    ) -> Result<DownloadDone, Error> {
        self.call(Method::PATCH, &format!("/v1/downloads/{id}"), to_json(properties)?, true).await
    }

    /// `POST /v1/downloads/{id}/start`: IDODownload::Start.
    pub async fn start_download(&self, id: JobId, start: &StartDownload) -> Result<DownloadDone, Error> {
        self.call(Method::POST, &format!("/v1/downloads/{id}/start"), to_json(start)?, true).await
    }

    /// `POST /v1/downloads/{id}/ACTION`
    pub async fn act_on_download(&self, id: JobId, action: DownloadAction) -> Result<DownloadDone, Error> {
        let path = format!("/v1/downloads/{id}/{}", action.path());
        self.call(Method::POST, &path, Bytes::new(), action == DownloadAction::Pause).await
    }
}
