//! What the service and a worker say to each other.
//!
//! The worker decides nothing about jobs: it gets an order, moves bytes, and reports. Everything a report claims to be
//! stored has been synced before the report is sent (DESIGN section 4).

pub use openbits_core::integrity::{Algorithm, Digest, DigestSource, SourceKind};
use openbits_core::job::http::{CertificateQuery, RedirectPolicy};
use openbits_core::pace::Mode;
use openbits_core::{
    AttemptId, AuthScheme, AuthTarget, ErrorContext, HResult, JobId, Priority, RangeSet, Secret, Ticket,
};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::Path;

/// From the service to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Transfer the files of a job, one after the other, in the order given.
    Start(Box<Order>),
    /// End an attempt: no byte is written after the [`Event::Stopped`] that answers (a last checkpoint comes before it).
    Stop {
        /// The job.
        job: JobId,
        /// The attempt to end; an attempt that already ended is answered too.
        attempt: AttemptId,
    },
    /// What is wanted of a file of a running attempt from now on; unheard if the attempt is over, or has no such file.
    Want {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Position in the job's file list.
        file: u32,
        /// What is wanted.
        wanted: Wanted,
    },
    /// May the owner write this local name (or read it, for an upload)? Answered by [`Event::Probed`].
    Probe {
        /// Comes back in the answer.
        ticket: Ticket,
        /// Absolute path of the local file.
        path: String,
        /// What the job wants there.
        purpose: Purpose,
    },
    /// Is there such a client certificate in the owner's reach? Answered by [`Event::CertificateFound`].
    FindCertificate {
        /// Comes back in the answer.
        ticket: Ticket,
        /// What to look for.
        query: CertificateQuery,
    },
    /// What the owner's program says to an [`Event::CertificatePresented`].
    CertificateVerdict {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// From the question.
        check: u64,
        /// `S_OK` accepts; anything else is the error of the attempt.
        code: HResult,
    },
    /// Rename finished files into place and remove the others. Answered by [`Event::FinishDone`]. Repeating it is harmless: a missing
    /// temporary file counts as renamed if the destination carries the mark of exactly this file of this job.
    Finish(Box<Finish>),
    /// What an upload asked to be kept ([`Event::Upload`]) is durable.
    Kept {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// Answered by [`Event::Pong`] at once; silence means that the worker hangs.
    Ping {
        /// Comes back in the answer.
        count: u64,
    },
    /// Limits of bandwidth from now on. Before the first there are none.
    Rates(Box<Rates>),
    /// A running job has another priority now.
    Level {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Its new priority.
        priority: Priority,
    },
    /// Checkpoint and stop every attempt, then leave.
    Shutdown,
}

/// Limits of bandwidth of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Bytes a second for each priority, in numeric order; `None`: no limit.
    pub levels: [Option<u64>; 4],
    /// Levels without a limit for servers in the own subnets.
    pub near_free: [bool; 4],
    /// The own subnets: an address, and the number of leading bits.
    pub subnets: Vec<(IpAddr, u8)>,
    /// Other workers share the limits: tell twice a second what moved ([`Event::Moved`]).
    pub report: bool,
}

impl Command {
    /// What to answer when the command cannot be carried out at all (its order is too long, or carrying it out ended in a panic).
    /// `None`: nobody waits for an answer.
    pub fn refusal(&self, code: HResult, class: FailureClass, detail: &str) -> Option<Event> {
        match self {
            Self::Start(order) => {
                let failure = Failure {
                    code,
                    context: ErrorContext::GeneralTransport,
                    class,
                    file: None,
                    http_status: None,
                    url: None,
                    retry_after_ms: None,
                    detail: detail.to_owned(),
                };
                Some(Event::Failed { job: order.job, attempt: order.attempt, failure: Box::new(failure) })
            }
            Self::Finish(finish) => {
                let index = finish.rename.first().map_or(0, |rename| rename.index);
                Some(Event::FinishDone {
                    job: finish.job,
                    ticket: finish.ticket,
                    renamed: Vec::new(),
                    error: Some((index, code, detail.to_owned())),
                    lost: Vec::new(),
                    left: finish
                        .remove
                        .first()
                        .and_then(|(local, temp)| Some(Path::new(local).parent()?.join(temp)))
                        .map(|path| path.to_string_lossy().into_owned())
                        .into_iter()
                        .collect(),
                    upload_left: finish.cancel.is_some(),
                })
            }
            Self::Probe { ticket, .. } => {
                Some(Event::Probed { ticket: *ticket, result: Err(code), content: None })
            }
            Self::FindCertificate { ticket, .. } => {
                Some(Event::CertificateFound { ticket: *ticket, result: Err(code) })
            }
            Self::Stop { .. }
            | Self::Kept { .. }
            | Self::CertificateVerdict { .. }
            | Self::Want { .. }
            | Self::Ping { .. }
            | Self::Rates(_)
            | Self::Level { .. }
            | Self::Shutdown => None,
        }
    }
}

/// Purpose of a [`Command::Probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Download or reply: the folder must exist and be writable, the name must not be a folder.
    Destination,
    /// A destination that somebody else chose, for a job whose owner changes: also, no part of the path is a link, and nobody but
    /// root and the new owner may change any part of it, so that what the old owner set up cannot steer the new owner's rights.
    Inherited,
    /// Upload: the file must exist and be readable.
    Source,
    /// The file's content, if it has no more than so many bytes.
    Content {
        /// Bytes.
        most: u64,
    },
}

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The job.
    pub job: JobId,
    /// This run of it; comes back in every event.
    pub attempt: AttemptId,
    /// FOREGROUND is not paced; the others will be.
    pub priority: Priority,
    /// The unfinished files, in list order.
    pub files: Vec<FileOrder>,
    /// An upload instead of downloads: `files` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Box<UploadOrder>>,
    /// How to transfer.
    pub options: TransferOptions,
}

/// The file of an upload job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadOrder {
    /// The URL, as the caller gave it.
    pub remote: String,
    /// Absolute path of the source.
    pub local: String,
    /// How to upload.
    pub protocol: UploadProtocol,
    /// What is remembered of earlier attempts.
    pub state: UploadState,
    /// Where the reply of an upload-reply job goes; its `remote` is empty.
    pub reply: Option<FileOrder>,
    /// The reply is there already.
    pub reply_finished: bool,
}

/// How a file is uploaded.
pub use openbits_core::upload::client::Protocol as UploadProtocol;
/// What is remembered of an upload.
pub use openbits_core::upload::client::UploadState;

/// One file of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileOrder {
    /// Position in the job's file list.
    pub index: u32,
    /// The URL, as the caller gave it, with its user and password.
    pub remote: String,
    /// Absolute destination path.
    pub local: String,
    /// Name (not path) of the temporary file in the destination's folder: `BIT<hex>.tmp`, derived from job and index, so that a
    /// leftover of a crash can always be named.
    pub temp: String,
    /// Size of the local file, if an earlier attempt learnt it.
    pub size: Option<u64>,
    /// Size of the remote file, where the local one consists of ranges of it.
    pub remote_size: Option<u64>,
    /// What is wanted of it, and in which order.
    pub wanted: Wanted,
    /// Ranges that are durable in the temporary file.
    pub done: RangeSet,
    /// The version of the remote file that `done` belongs to.
    pub validator: Option<Validator>,
    /// Expected content: all of them must hold.
    #[serde(default)]
    pub digests: Vec<Digest>,
    /// Lists that tell more digests, size and mirrors: fetched with the file.
    #[serde(default)]
    pub sources: Vec<DigestSource>,
    /// Other remote names of the same file.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// The URL changed since `done` came: the answer is compared by size and date, without the entity tag of the old server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
}

/// Identity of one version of a remote file (spec/upload-protocol.md 20.2), and what is wanted of it.
pub use openbits_core::plan::{Validator, Wanted};

/// How to transfer; every limit has a default in [`TransferOptions::default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferOptions {
    /// Proxy for this job.
    pub proxy: Proxy,
    /// The proxy settings of the owner's desktop, where there are any, come before [`Self::proxy`] (PRECONFIG; default false).
    pub desktop_proxy: bool,
    /// Credentials of the job, at most one for each target and scheme.
    pub credentials: Vec<Credential>,
    /// The owner's stored credentials (`.netrc`, ticket cache) may be sent to proxies that ask (USE_STORED_CREDENTIALS; default false).
    pub stored_proxy_credentials: bool,
    /// Basic may go to a server over plain http (default false).
    pub plaintext_basic: bool,
    /// Local address or interface that connections are bound to: an IP address, or an interface name (`eth0`).
    pub bind: Option<String>,
    /// Bytes after which new data is synced and reported (default 4 MiB).
    pub checkpoint_bytes: u64,
    /// Milliseconds after which new data is synced and reported (default 2,000).
    pub checkpoint_ms: u64,
    /// Milliseconds to resolve, connect and shake hands (default 60,000).
    pub connect_timeout_ms: u64,
    /// Milliseconds without a byte from the server (default 120,000).
    pub idle_timeout_ms: u64,
    /// Redirects followed for one file (default 10).
    pub max_redirects: u32,
    /// `User-Agent`.
    pub user_agent: String,
    /// Request headers of the job's own.
    pub headers: Vec<Header>,
    /// The headers never leave the origin of the remote name (write-only ones).
    pub headers_stay: bool,
    /// Headers that may carry a key do not leave it either (default true).
    pub strip_on_redirect: bool,
    /// Method of the job's own.
    pub method: Option<String>,
    /// What redirects mean (default: followed silently).
    pub redirects: RedirectPolicy,
    /// Reserve the file's space when its size is known (default true).
    pub preallocate: bool,
    /// Free bytes that must remain on the volume (default 500 MiB; 0 = no check).
    pub min_free_bytes: u64,
    /// PEM file with extra certificate authorities.
    pub extra_ca: Option<String>,
    /// How servers are checked, and who we are to them.
    pub tls: TlsOptions,
    /// Offer HTTP/2 in the TLS handshake (default true).
    pub http2: bool,
    /// HTTPS may redirect to plain HTTP (default false).
    pub allow_https_to_http: bool,
    /// Most bytes that the files of the order may have together (default: no limit).
    pub max_bytes: Option<u64>,
    /// Nothing of a file is reported durable before all of it is there (default false): HIGH_PERFORMANCE, DYNAMIC_CONTENT.
    pub volatile: bool,
    /// Report the ranges that are written, not only their number (default false).
    pub tell_ranges: bool,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            proxy: Proxy::None,
            desktop_proxy: false,
            credentials: Vec::new(),
            stored_proxy_credentials: false,
            plaintext_basic: false,
            bind: None,
            checkpoint_bytes: 4 << 20,
            checkpoint_ms: 2_000,
            connect_timeout_ms: 60_000,
            idle_timeout_ms: 120_000,
            max_redirects: 10,
            user_agent: concat!("openbits/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Vec::new(),
            headers_stay: false,
            strip_on_redirect: true,
            method: None,
            redirects: RedirectPolicy::Silent,
            preallocate: true,
            min_free_bytes: 500 << 20,
            extra_ca: None,
            tls: TlsOptions::default(),
            http2: true,
            allow_https_to_http: false,
            max_bytes: None,
            volatile: false,
            tell_ranges: false,
        }
    }
}

/// One header of the job's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Name.
    pub name: String,
    /// Value; it may be a key.
    #[serde(with = "openbits_core::secret::clear")]
    pub value: Secret,
}

/// TLS of a job's connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsOptions {
    /// The certificate bits of the job's security flags ([`openbits_core::job::http::security`]).
    pub flags: u32,
    /// TLS 1.3 only; otherwise 1.2 too.
    pub only_13: bool,
    /// Client certificate.
    pub certificate: Option<CertificateQuery>,
    /// The owner's program has to accept each server certificate.
    pub validate: bool,
    /// A server that merely accepts client certificates is refused if the job has none, as the original does.
    pub strict: bool,
}

/// A user name and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The name.
    #[serde(with = "openbits_core::secret::clear")]
    pub user: Secret,
    /// The password.
    #[serde(with = "openbits_core::secret::clear")]
    pub password: Secret,
}

impl Pair {
    /// From the `user[:password]` of a URL, percent-encoded.
    pub fn of_userinfo(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |text: &str| Secret::new(percent_decode_str(text).decode_utf8_lossy());
        Self { user: decode(user), password: decode(password) }
    }
}

/// One credential of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Who asks for it.
    pub target: AuthTarget,
    /// The scheme that it serves.
    pub scheme: AuthScheme,
    /// Name and password; `None`: the owner's own (NTLM and Negotiate).
    pub pair: Option<Pair>,
}

/// Proxy of a job. Its texts may name users and passwords.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// Direct.
    #[default]
    None,
    /// The values of `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`.
    Environment {
        /// For http URLs.
        http: Option<String>,
        /// For https URLs.
        https: Option<String>,
        /// For both.
        all: Option<String>,
        /// Hosts that are reached directly.
        no: Option<String>,
    },
    /// A BITS proxy list and bypass list (spec/bits-core.md 5.2, grammar).
    List {
        /// Space-separated `[protocol=][protocol://]server[:port]`.
        list: String,
        /// Space-separated host names; `*` left-most, `<local>`.
        bypass: Option<String>,
    },
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Environment { .. } => "Environment(…)",
            Self::List { .. } => "List(…)",
        })
    }
}

/// The last step of a job: Complete or Cancel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// The job.
    pub job: JobId,
    /// Comes back in the answer.
    pub ticket: Ticket,
    /// Files to rename into place, in order; the first failure ends the renaming.
    pub rename: Vec<Rename>,
    /// Temporary files to remove: absolute path of the destination, and the temporary name beside it.
    pub remove: Vec<(String, String)>,
    /// An upload that its server is to forget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Box<CancelUpload>>,
}

/// An upload that is not wanted any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelUpload {
    /// The URL, as the caller gave it.
    pub remote: String,
    /// What is remembered of it.
    pub state: UploadState,
    /// How to reach the server.
    pub options: TransferOptions,
}

/// One rename of [`Finish`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rename {
    /// Position in the job's file list.
    pub index: u32,
    /// Absolute destination path.
    pub local: String,
    /// Temporary name beside it.
    pub temp: String,
    /// Exact size that the file must have, as a last check.
    pub size: u64,
    /// The version that was downloaded: the temporary file must carry its mark, where the file system has such marks.
    pub validator: Option<Validator>,
    /// Modification time to set: seconds since 1970, from `Last-Modified`.
    pub modified_s: Option<i64>,
}

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

    fn is_short(&self) -> bool {
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

/// Longest text of an answer's headers, in bytes; less for a file of many ([`headers_max`]).
pub const HEADERS_MAX: usize = 64 << 10;

/// Longest text of headers for a file of a job with so many files: all of them together stay below 4 MiB (and one short line each).
pub const fn headers_max(files: usize) -> usize {
    let share = (4 << 20) / if files == 0 { 1 } else { files };
    if share < HEADERS_MAX { share } else { HEADERS_MAX }
}

/// Longest text in an event, in bytes.
const TEXT_MAX: usize = 4096;
/// A text of a stranger's making, cut to what an event may carry.
pub(crate) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

/// Most certificates that a server may present to the owner's program.
pub const CHAIN_MAX: usize = 10;
/// Longest certificate that is presented to the owner's program, in bytes.
pub const CERTIFICATE_MAX: usize = 64 << 10;

/// Most separate ranges of one file.
const RANGES_MAX: usize = 10_000;

/// Longest content of a file that is handed over, in base64: 1 MiB.
const CONTENT_MAX: usize = (1_usize << 20).div_ceil(3) * 4;

/// What no honest worker reports: a worker parses what strangers send, so its word has limits (DESIGN section 6).
///
/// # Errors
/// Names what is beyond its limit or contradicts itself.
pub fn check(event: &Event) -> Result<(), &'static str> {
    let short = |text: &str| text.len() <= TEXT_MAX;
    let all = |ok: bool, what: &'static str| if ok { Ok(()) } else { Err(what) };
    match event {
        Event::Connected { size, peer, .. } => {
            all(size.is_none_or(fits) && short(peer), "a size or peer beyond its limit")
        }
        Event::Headers { text, .. } => all(text.len() <= HEADERS_MAX, "headers beyond their limit"),
        Event::Note { url, note, .. } => all(short(url) && note.is_short(), "a note beyond its limit"),
        Event::Written { ranges, .. } => {
            all(ranges.count() <= RANGES_MAX && fits(ranges.end()), "a list of ranges beyond its limit")
        }
        Event::Restarted { reason, .. } => all(short(reason), "a reason beyond its limit"),
        Event::Checkpoint { files, .. } => files.iter().try_for_each(check_file),
        Event::Failed { failure, .. } => all(
            short(&failure.detail) && failure.url.as_deref().is_none_or(short) && !failure.code.is_ok(),
            "a failure with a text beyond its limit or a success code",
        ),
        Event::FinishDone { error, left, .. } => all(
            error.as_ref().is_none_or(|(_, code, text)| short(text) && !code.is_ok())
                && left.iter().all(|path| path.len() <= 2 * TEXT_MAX),
            "a path or text beyond its limit",
        ),
        Event::Redirected { remote, .. } => all(short(remote), "an address beyond its limit"),
        Event::CertificatePresented { server, chain, .. } => all(
            short(server)
                && (1..=CHAIN_MAX).contains(&chain.len())
                && chain.iter().all(|text| text.len() <= CERTIFICATE_MAX.div_ceil(3) * 4),
            "a certificate chain beyond its limit",
        ),
        Event::CertificateFound { result, .. } => {
            let hex =
                |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
            let sound = |found: &FoundCertificate| {
                hex(&found.sha1, 40) && hex(&found.sha256, 64) && short(&found.subject)
            };
            all(
                result.as_ref().map_or_else(|code| !code.is_ok(), |found| sound(found)),
                "a certificate that cannot be",
            )
        }
        Event::Upload { state, .. } => all(
            state.is_sound() && state.source.is_none_or(|source| fits(source.size)) && fits(state.offset),
            "an upload beyond its limits",
        ),
        Event::Probed { content, .. } => {
            all(content.as_ref().is_none_or(|text| text.len() <= CONTENT_MAX), "a content beyond its limit")
        }
        Event::Progress { .. }
        | Event::Pace { .. }
        | Event::Done { .. }
        | Event::Stopped { .. }
        | Event::Pong { .. } => Ok(()),
        // Nobody moves more than a terabyte in a report of half a second; the sum stays far from an overflow.
        Event::Moved { bytes, .. } => {
            all(bytes.iter().all(|bytes| *bytes <= 1 << 48), "more bytes than there can be")
        }
    }
}

/// No file is larger than the kernel's file offsets.
const fn fits(size: u64) -> bool {
    size <= i64::MAX.cast_unsigned()
}

fn check_file(file: &FileCheckpoint) -> Result<(), &'static str> {
    let validator = file.validator.as_ref();
    let texts = validator.is_none_or(|v| {
        [&v.etag, &v.last_modified, &v.mirror].into_iter().flatten().all(|t| t.len() <= TEXT_MAX)
    });
    if !texts || file.done.count() > RANGES_MAX {
        return Err("a validator or a list of ranges beyond its limit");
    }
    if !file.remote_size.is_none_or(fits) {
        return Err("a remote size beyond its limit");
    }
    let end = file.size.unwrap_or(i64::MAX.cast_unsigned());
    if !fits(end) || file.done.end() > end {
        return Err("ranges beyond the end of the file");
    }
    if file.finished && file.size.is_none_or(|size| file.done != RangeSet::prefix(size)) {
        return Err("a finished file that is not whole");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use openbits_core::hresult::{BG_E_HTTP_ERROR_404, S_OK};

    fn checkpoint(file: FileCheckpoint) -> Event {
        Event::Checkpoint { job: JobId::from_bytes([1; 16]), attempt: AttemptId(1), files: vec![file] }
    }

    fn whole(size: u64) -> FileCheckpoint {
        FileCheckpoint {
            file: 0,
            size: Some(size),
            remote_size: None,
            done: RangeSet::prefix(size),
            validator: None,
            modified_s: None,
            finished: true,
            no_ranges: false,
        }
    }

    #[test]
    fn honest_reports_pass_and_lies_do_not() {
        assert_eq!(check(&checkpoint(whole(0))), Ok(()));
        assert_eq!(check(&checkpoint(whole(10))), Ok(()));
        let lies = [
            FileCheckpoint { size: None, ..whole(10) },
            FileCheckpoint { size: Some(11), ..whole(10) },
            FileCheckpoint { size: Some(9), finished: false, ..whole(10) },
            FileCheckpoint { size: Some(u64::MAX), finished: false, ..whole(10) },
            FileCheckpoint { remote_size: Some(u64::MAX), ..whole(10) },
            FileCheckpoint {
                validator: Some(Validator {
                    etag: Some("x".repeat(TEXT_MAX + 1)),
                    last_modified: None,
                    mirror: None,
                }),
                ..whole(10)
            },
            FileCheckpoint {
                done: (0..=RANGES_MAX as u64).map(|n| n * 2..n * 2 + 1).collect(),
                size: None,
                finished: false,
                ..whole(0)
            },
        ];
        for lie in lies {
            assert!(check(&checkpoint(lie.clone())).is_err(), "{lie:?}");
        }
        let written = |ranges| Event::Written {
            job: JobId::from_bytes([1; 16]),
            attempt: AttemptId(1),
            file: 0,
            ranges,
        };
        let pieces = |count: u64| (0..count).map(|n| n * 2..n * 2 + 1).collect();
        assert_eq!(check(&written(pieces(RANGES_MAX as u64))), Ok(()));
        assert!(check(&written(pieces(RANGES_MAX as u64 + 1))).is_err());
        assert!(check(&written(RangeSet::prefix(u64::MAX))).is_err());
        let failed = |code, detail: String| Event::Failed {
            job: JobId::from_bytes([1; 16]),
            attempt: AttemptId(1),
            failure: Box::new(Failure {
                code,
                context: ErrorContext::RemoteFile,
                class: FailureClass::Fatal,
                file: None,
                http_status: None,
                url: None,
                retry_after_ms: None,
                detail,
            }),
        };
        assert_eq!(check(&failed(BG_E_HTTP_ERROR_404, String::new())), Ok(()));
        assert!(check(&failed(S_OK, String::new())).is_err());
        assert!(check(&failed(BG_E_HTTP_ERROR_404, "x".repeat(TEXT_MAX + 1))).is_err());
    }
}
