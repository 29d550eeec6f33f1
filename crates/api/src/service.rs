//! `GET /v1/service`: the service itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Limits in force for the caller; null where there is none (root, system accounts, exempt groups).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceLimits {
    /// Most files in one job.
    pub files_per_job: u32,
    /// Most jobs of the caller.
    pub jobs_per_user: Option<u32>,
    /// Most jobs of all users together who have such limits.
    pub jobs_per_machine: Option<u32>,
}

/// What the service says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceInfo {
    /// Version of this form.
    pub schema: u32,
    /// Program version.
    pub version: String,
    /// `user` or `system`.
    pub mode: String,
    /// Process id.
    pub pid: u32,
    /// Jobs in the queue (all users for root, own jobs for others).
    pub jobs: u64,
    /// Jobs running now (likewise).
    pub running: u64,
    /// The network is there.
    pub network: bool,
    /// The queue's store takes writes; otherwise why not.
    pub store_error: Option<String>,
    /// What was noticed when the queue was opened: damage kept aside, migrations.
    pub findings: Vec<String>,
    /// What the caller may do.
    pub limits: ServiceLimits,
    /// Newest durable event: a cursor for `GET /v1/events`.
    pub last_event: u64,
    /// Delivery Optimization's DownloadMode that is in force: 0 HTTP only, 99 simple, 100 bypass.
    #[serde(default)]
    pub download_mode: i32,
}
