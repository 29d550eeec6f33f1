//! From the worker to the service.

use super::{TEXT_MAX, UploadState, Validator};
use openbits_core::job::FileId;
use openbits_core::pace::Mode;
use openbits_core::{AttemptId, AuthScheme, AuthTarget, ErrorContext, HResult, JobId, RangeSet, Ticket};
use serde::{Deserialize, Serialize};

/// From the worker to the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A usable answer arrived: CONNECTING becomes TRANSFERRING.
    Connected {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Position in the job's file list.
        file: u32,
        /// Size of the file, if the answer tells it.
        size: Option<u64>,
        /// The peer the bytes come from, for `show`: `host:port`, or the proxy's.
        peer: String,
    },
    /// Bytes written so far (not yet durable); at most two a second for each job.
    Progress {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Position in the job's file list.
        file: u32,
        /// Bytes of the file that are there.
        bytes: u64,
    },
    /// How the transfer behaves towards others on its path; when that changes, and about once a second.
    Pace {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The state.
        pace: Pace,
    },
    /// Something for the log of the service.
    Note {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Address in use, query and credentials removed.
        url: String,
        /// What happened.
        note: Note,
    },
    /// Ranges of a file that are written so far (not yet durable), where [`TransferOptions::tell_ranges`] asks for them.
    Written {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Position in the job's file list.
        file: u32,
        /// Bytes of the local file.
        ranges: RangeSet,
    },
    /// What is durable now.
    Checkpoint {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The files that changed since the last checkpoint.
        files: Vec<FileCheckpoint>,
    },
    /// Status line and headers of the last answer for a file, after redirects; each line ends with CR LF.
    Headers {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Position in the job's file list.
        file: u32,
        /// At most [`HEADERS_MAX`] bytes, cut after a whole line.
        text: String,
    },
    /// What is known of an upload now.
    Upload {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// All of it.
        state: Box<UploadState>,
        /// The worker waits for a [`Command::Kept`].
        keep: bool,
    },
    /// The remote file changed (or could not be continued): this file begins again at zero.
    Restarted {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Position in the job's file list.
        file: u32,
        /// What the server did, for people.
        reason: String,
    },
    /// The redirect policy of the job makes this the remote name of the file.
    Redirected {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Position in the job's file list.
        file: u32,
        /// The final address, or the target that was not followed.
        remote: String,
    },
    /// A server presented a certificate that the owner's program has to accept. Nothing was asked of the server yet. Answered by
    /// [`Command::CertificateVerdict`].
    CertificatePresented {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Comes back in the answer.
        check: u64,
        /// Position in the job's file list.
        file: u32,
        /// Who presents it: `host:port`.
        server: String,
        /// The certificates in the order presented, DER in base64; the first is the server's own.
        chain: Vec<String>,
    },
    /// Every file of the order is finished and reported durable.
    Done {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// The attempt ended with an error; a checkpoint with all that is durable came before.
    Failed {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// What went wrong.
        failure: Box<Failure>,
    },
    /// Answer to [`Command::Stop`].
    Stopped {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// Answer to [`Command::Probe`].
    Probed {
        /// From the question.
        ticket: Ticket,
        /// The file's size for a source; `None` for a destination. Err: why not.
        result: Result<Option<u64>, HResult>,
        /// For [`Purpose::Content`]: the bytes, in base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<String>,
        /// For [`super::Purpose::Entry`] the folder, for [`super::Purpose::Make`] the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<FileId>,
    },
    /// Answer to [`Command::FindCertificate`].
    CertificateFound {
        /// From the question.
        ticket: Ticket,
        /// The certificate. Err: why not.
        result: Result<Box<FoundCertificate>, HResult>,
    },
    /// Answer to [`Command::Finish`].
    FinishDone {
        /// From the order.
        job: JobId,
        /// From the order.
        ticket: Ticket,
        /// Indexes of the files that are in place.
        renamed: Vec<u32>,
        /// The first rename that failed: index, code, plain text.
        error: Option<(u32, HResult, String)>,
        /// Files of the order whose finished data is not there any more, or is not what was downloaded: to be fetched again. Filled only
        /// together with `error`.
        lost: Vec<u32>,
        /// Temporary files that could not be removed (absolute paths; a few, if there are many).
        left: Vec<String>,
        /// The server of a cancelled upload could not be told.
        #[serde(default)]
        upload_left: bool,
    },
    /// What moved under limits since the last report, while [`Rates::report`] asks for it and something runs.
    Moved {
        /// Bytes for each priority, in numeric order.
        bytes: [u64; 4],
        /// Bytes under each limit of Delivery Optimization ([`super::Rates::delivery`]).
        delivery: [u64; 2],
        /// Milliseconds of the report.
        ms: u64,
    },
    /// Answer to [`Command::Ping`].
    Pong {
        /// From the question.
        count: u64,
    },
}

/// What an administrator may want to know of a transfer (spec/behaviour.md 27).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Events 203 and 204: credentials were accepted or rejected.
    Credentials {
        /// Who asked.
        target: AuthTarget,
        /// `host:port` of who asked.
        server: String,
        /// How.
        scheme: AuthScheme,
        /// The name that was given; empty for the owner's own credentials.
        user: String,
        /// Accepted, or rejected.
        accepted: bool,
    },
    /// Events 200 and 201: a proxy cannot be used, or none of the list can.
    ProxyFailed {
        /// `host:port`; empty when it is all of them.
        proxy: String,
        /// Why.
        code: HResult,
        /// No proxy is left.
        all: bool,
    },
}

impl Note {
    /// Number of the event (spec/behaviour.md 27).
    pub const fn event(&self) -> u16 {
        match self {
            Self::ProxyFailed { all: false, .. } => 200,
            Self::ProxyFailed { all: true, .. } => 201,
            Self::Credentials { accepted: true, .. } => 203,
            Self::Credentials { accepted: false, .. } => 204,
        }
    }

    pub(super) fn is_short(&self) -> bool {
        match self {
            Self::Credentials { server, user, .. } => server.len() + user.len() <= TEXT_MAX,
            Self::ProxyFailed { proxy, .. } => proxy.len() <= TEXT_MAX,
        }
    }
}

/// A client certificate that the owner has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundCertificate {
    /// SHA-1, lower-case hexadecimal.
    pub sha1: String,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// Values of the subject's names, joined by `, `.
    pub subject: String,
}

/// State of the pacing of a background transfer (spec/politeness.md 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// What the controller is doing.
    pub mode: Mode,
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// Delay of the path without a queue, in microseconds.
    pub base_us: Option<u64>,
    /// Delay by the queue now, in microseconds.
    pub queue_us: u64,
    /// Window of all connections of the path, in bytes.
    pub window_bytes: u64,
    /// The kernel's delay says little, for want of TCP timestamps: the window follows what is delivered.
    pub blind: bool,
}

/// Durable state of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileCheckpoint {
    /// Position in the job's file list.
    pub file: u32,
    /// Size of the local file, when known.
    pub size: Option<u64>,
    /// Size of the remote file, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_size: Option<u64>,
    /// Ranges synced to the temporary file.
    pub done: RangeSet,
    /// The version they belong to.
    pub validator: Option<Validator>,
    /// `Last-Modified`, seconds since 1970.
    pub modified_s: Option<i64>,
    /// The whole file is there, synced, and its digest (if any) is right.
    pub finished: bool,
    /// The server does not serve ranges of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_ranges: bool,
}

/// Why an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Code of the job error.
    pub code: HResult,
    /// Where it arose.
    pub context: ErrorContext,
    /// Whether trying again may help.
    pub class: FailureClass,
    /// File being processed.
    pub file: Option<u32>,
    /// HTTP status, if an answer arrived.
    pub http_status: Option<u16>,
    /// Address in use, query and credentials removed.
    pub url: Option<String>,
    /// `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// One sentence for people; no secrets.
    pub detail: String,
}

/// Whether an error is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// TRANSIENT_ERROR: retried by time.
    Transient,
    /// ERROR: not retried without Resume.
    Fatal,
}
