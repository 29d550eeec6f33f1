//! The contract of openbits: requests, answers, events and errors, said once for every door.
//!
//! HTTP/1.1 with JSON over a Unix socket; all paths begin with `/v1`. The OpenAPI document that the service generates from these
//! types is committed as `docs/openapi.json`. [`socket`] says where the service listens.
#![forbid(unsafe_code)]

pub mod callback;
pub mod credentials;
pub mod download;
pub mod error;
pub mod event;
pub mod group;
pub mod http;
pub mod job;
pub mod policy;
pub mod request;
pub mod service;
pub mod socket;
pub mod why;

pub use callback::{
    CallbackAnswer, CallbackKind, CallbackView, FileRangeView, ListenerView, NotifyInterfaceView,
    SetNotifyInterface,
};
pub use credentials::{CredentialView, SetCredentials};
pub use download::{
    CreateDownload, DownloadDone, DownloadIds, DownloadProperties, DownloadView, StartDownload,
};
pub use error::{ErrorRow, ErrorText, Problem};
pub use event::{EventKind, EventView, JobLog, LogView};
pub use group::{
    AddGroupFiles, CreateGroup, CreateGroupJob, GROUP_FILES_MAX, GroupDone, GroupFile, GroupIds,
    GroupJobView, GroupProgress, GroupView, VariantView,
};
pub use http::{
    CertificateAnswer, CertificateCheck, CertificateView, CustomHeaders, HttpView, SetClientCertificate,
};
pub use job::{
    ErrorView, FileList, FileProperty, FileView, HelperSet, HelperTicketView, JobIds, JobPage, JobView,
    NumberedProperty, Outcome, PaceView, ProxyView, RangeList, ReplyView, UploadView,
};
pub use policy::{
    BandwidthView, CheckPolicy, PolicyExplanation, PolicyFileView, PolicyFinding, PolicyKeyView,
    PolicyOutcome, PolicyRule, PolicyView,
};
pub use request::{
    AddFile, AddFiles, CreateJob, DigestSourceRequest, DownloadPosition, EnvironmentProxyView,
    NotifyCommandView, PieceHashFile, ProxyRequest, RangeView, ReplacePrefix, RequestRanges, SetFile,
    SetHelperToken, SetNumbered, SetProperties, SetRemoteName, SetValidation,
};
pub use service::{ServiceInfo, ServiceLimits};
pub use why::Why;

/// Version of every JSON form; grows when a field changes its meaning, not when one is added.
pub const SCHEMA: u32 = 1;
/// Longest request body the service reads, in bytes.
pub const REQUEST_BYTES_MAX: usize = 8 << 20;
/// Most jobs in one page of a list.
pub const PAGE_MAX: usize = 1_000;
/// Most ids in one page of `GET /v1/job-ids`.
pub const IDS_MAX: usize = 100_000;
/// Most events in one answer that is not a stream.
pub const EVENTS_MAX: usize = 1_000;
/// Environment variable with the socket's path.
pub const SOCKET_VARIABLE: &str = "OPENBITS_SOCKET";
/// Socket of the system's service.
pub const SYSTEM_SOCKET: &str = "/run/openbits/bitsd.sock";
/// Environment variable that tells clients another place of the system's socket, for tests: a test must not meet the service of the
/// machine it runs on. Only root's service is believed there, as in the usual place.
pub const SYSTEM_SOCKET_VARIABLE: &str = "OPENBITS_SYSTEM_SOCKET";
