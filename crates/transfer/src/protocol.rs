//! What the service and a worker say to each other.
//!
//! The worker decides nothing about jobs: it gets an order, moves bytes, and reports. Everything a report claims to be
//! stored has been synced before the report is sent (DESIGN section 4).

mod check;
mod event;
mod options;

pub use check::check;
pub use event::{Event, Failure, FailureClass, FileCheckpoint, FoundCertificate, Note, Pace};
pub use openbits_core::integrity::{Algorithm, Digest, DigestSource, PieceFile, SourceKind};
use openbits_core::job::FileId;
use openbits_core::job::http::CertificateQuery;
use openbits_core::{AttemptId, ErrorContext, HResult, JobId, Priority, RangeSet, Ticket};
pub use options::{Credential, HARMLESS_HEADERS, Header, Pair, Proxy, TlsOptions, TransferOptions};
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
    /// Bytes a second that jobs of Delivery Optimization have beside, wherever the server is: FOREGROUND ones, and all others.
    #[serde(default)]
    pub delivery: [Option<u64>; 2],
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
                Some(Event::Probed { ticket: *ticket, result: Err(code), content: None, id: None })
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
    /// A download that will make its file at once: may a file be made there? Answers with the folder.
    Entry,
    /// Makes the file of a download, empty and readable by all: exclusively, no link, and in exactly this folder. Answers with the file.
    /// Codes are `0xC0D00000 + errno`.
    Make {
        /// The folder that somebody else's worker was asked about.
        folder: Option<FileId>,
        /// It was asked for before, and the answer was lost: an empty file there that belongs to this account is taken for that one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// The file of a download is still there.
    Still {
        /// The file.
        made: FileId,
    },
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
    /// Expected size of the remote file: another one is fatal ([`TransferOptions::wrong_size`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_size: Option<u64>,
    /// Lists that tell more digests, size and mirrors: fetched with the file.
    #[serde(default)]
    pub sources: Vec<DigestSource>,
    /// Other remote names of the same file.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// A piece hash file, fetched with the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece_file: Option<PieceFile>,
    /// The URL changed since `done` came: the answer is compared by size and date, without the entity tag of the old server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
    /// The file was made beforehand at its final path (`temp` is its name), and nothing else may be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<FileId>,
}

impl FileOrder {
    /// A whole file of which nothing is there yet and nothing is known.
    pub fn new(index: u32, remote: &str, local: &str, temp: &str) -> Self {
        Self {
            index,
            remote: remote.to_owned(),
            local: local.to_owned(),
            temp: temp.to_owned(),
            size: None,
            remote_size: None,
            wanted: Wanted::default(),
            done: RangeSet::new(),
            validator: None,
            digests: Vec::new(),
            expected_size: None,
            sources: Vec::new(),
            mirrors: Vec::new(),
            piece_file: None,
            moved: false,
            made: None,
        }
    }
}

/// Identity of one version of a remote file (spec/upload-protocol.md 20.2), and what is wanted of it.
pub use openbits_core::plan::{Validator, Wanted};

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
    /// Only this very file may be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<FileId>,
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
    /// It may be longer, and is cut: only ranges of it were asked for, and what a killed worker wrote behind them was never reported.
    #[serde(default)]
    pub truncate: bool,
    /// The version that was downloaded: the temporary file must carry its mark, where the file system has such marks.
    pub validator: Option<Validator>,
    /// Modification time to set: seconds since 1970, from `Last-Modified`.
    pub modified_s: Option<i64>,
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
