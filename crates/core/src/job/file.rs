//! One file of a job.

use crate::delivery::integrity::{self, IntegrityInfo};
use crate::hresult::HResult;
use crate::integrity::{Algorithm, Digest, Expect, PieceFile};
use crate::layout::{FileRange, Layout};
use crate::range_set::RangeSet;
use crate::secret::Sealed;
use crate::upload::client::UploadState;
use serde::{Deserialize, Serialize};

/// A file as a caller adds it; syntax already checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewFile {
    /// Remote name (URL), without user and password.
    pub remote: String,
    /// User and password that stood in the URL, sealed for the job and the URL's origin.
    pub login: Option<Sealed>,
    /// Absolute local path. Empty: it is told later (Delivery Optimization only).
    pub local: String,
    /// The caller's name for the content, unique in the job (Delivery Optimization).
    pub content_id: Option<String>,
    /// Size of an upload's source.
    pub size: Option<u64>,
    /// Expected SHA-256, lower-case hexadecimal.
    pub sha256: Option<String>,
    /// AddFileWithRanges: the file consists of these; `None`: of the whole remote file.
    pub ranges: Option<Vec<FileRange>>,
    /// What else is expected, and mirrors.
    pub expect: Expect,
}

impl NewFile {
    /// Nothing is delivered without a digest that was checked.
    pub fn has_digest(&self) -> bool {
        self.sha256.is_some() || self.expect.has_digest()
    }
}

/// A file of a job. `remote` and `local` have columns of their own in the store.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct File {
    /// Remote name, byte for byte what the caller gave but for user and password.
    #[serde(skip)]
    pub remote: Box<str>,
    /// Absolute local path. Empty: not told yet (Delivery Optimization only).
    #[serde(skip)]
    pub local: Box<str>,
    /// The caller's name for the content, unique in the job (Delivery Optimization).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<Box<str>>,
    /// User and password that stood in the URL, sealed for the job and the URL's origin; of no use at another origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Sealed>,
    /// How it is made of the remote file.
    #[serde(default, skip_serializing_if = "Layout::is_whole")]
    pub layout: Layout,
    /// Size of the local file, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Size of the remote file, once known, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_size: Option<u64>,
    /// Ranges durable in the temporary file (offsets of the local file).
    #[serde(default, skip_serializing_if = "RangeSet::is_empty")]
    pub done: RangeSet,
    /// Bytes written and not yet durable, for display only.
    #[serde(skip)]
    pub ahead: u64,
    /// Ranges written to the temporary file, durable or not; for readers of a growing file.
    #[serde(skip)]
    pub written: RangeSet,
    /// What of `written` the client was told (FileRangesTransferred).
    #[serde(skip)]
    pub told: RangeSet,
    /// RequestFileRanges: what is still missing of it, in the order asked for; pieces that do not overlap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requested: Vec<FileRange>,
    /// UpdateDownloadPosition: where the rest is fetched from.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub position: u64,
    /// A client chose the order, so it may be reading already: another version is an error (spec/behaviour.md 13).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// The server does not serve ranges of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_ranges: bool,
    /// All data is there (and its digest is right).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transferred: bool,
    /// Renamed to its local name by Complete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completed: bool,
    /// Something of this file was begun: a temporary file may exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// Strong entity tag of the version that `done` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<Box<str>>,
    /// `Last-Modified` of that version, as the server wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Box<str>>,
    /// `Last-Modified` as seconds since 1970: the mtime of the finished file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_s: Option<i64>,
    /// Expected SHA-256, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Box<str>>,
    /// What else is expected, and mirrors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Box<Expect>>,
    /// IntegrityCheckInfo and IntegrityCheckMandatory (Delivery Optimization).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Box<IntegrityCheck>>,
    /// The mirror that `done` came from; `None`: the remote name itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Box<str>>,
    /// The remote name changed after bytes had come: the next answer is compared by size and date alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
    /// The application, or Complete, found the content good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validated: bool,
    /// Bytes that came from peers.
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub peer_bytes: u64,
    /// Bytes of `done` that came from cache hosts (Delivery Optimization).
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub cache_bytes: u64,
    /// Status line and headers of the last HTTP answer, each line with CR LF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Box<str>>,
    /// What is remembered of its upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Box<UploadState>>,
    /// How often the file began again at zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// A callback has accepted that the file is finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_nothing(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero_u64(n: &u64) -> bool {
    *n == 0
}

/// What a client of Delivery Optimization says of a file's pieces; its piece hash file stands in [`Expect`] as well.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IntegrityCheck {
    /// IntegrityCheckInfo as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// IntegrityCheckMandatory
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mandatory: Option<bool>,
    /// What follows from it stands in [`Expect`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

impl IntegrityCheck {
    /// The piece hash file.
    ///
    /// # Errors
    /// As [`integrity::at_start`].
    pub fn piece_file(&self) -> Result<Option<PieceFile>, HResult> {
        let info = self.info.as_deref().map(IntegrityInfo::parse).transpose()?;
        integrity::at_start(info.as_ref(), self.mandatory.unwrap_or(false))
    }
}

impl File {
    /// A file just added.
    pub fn new(file: NewFile) -> Self {
        let layout = file.ranges.map_or_else(Layout::whole, Layout::packed);
        Self {
            remote: file.remote.into(),
            local: file.local.into(),
            content_id: file.content_id.map(Into::into),
            login: file.login,
            size: file.size.or_else(|| layout.local_size(None)),
            layout,
            sha256: file.sha256.map(Into::into),
            expect: (!file.expect.is_empty()).then(|| Box::new(file.expect)),
            ..Self::default()
        }
    }

    /// What is expected besides `sha256`, and mirrors.
    pub fn expect(&self) -> &Expect {
        const NONE: &Expect = &Expect {
            digests: Vec::new(),
            size: None,
            sources: Vec::new(),
            mirrors: Vec::new(),
            piece_file: None,
        };
        self.expect.as_deref().unwrap_or(NONE)
    }

    /// Every digest that the caller gave.
    pub fn digests(&self) -> Vec<Digest> {
        let sha256 = self.sha256.as_deref().and_then(|hex| Digest::new(Algorithm::Sha256, hex).ok());
        sha256.into_iter().chain(self.expect().digests.iter().cloned()).collect()
    }

    /// Nothing is delivered without a digest that was checked.
    pub fn has_digest(&self) -> bool {
        self.sha256.is_some() || self.expect().has_digest()
    }

    /// Some part of it is read from this machine's own file system, with the owner's rights: the remote name, a mirror, or a list of
    /// digests.
    pub fn reads_local_files(&self) -> bool {
        let local = |name: &str| matches!(crate::remote::parse(name), Ok(crate::remote::Remote::File(_)));
        std::iter::once(&*self.remote).chain(self.expect().locations()).any(local)
    }

    /// Bytes moved so far, as GetProgress tells them.
    pub fn bytes_transferred(&self) -> u64 {
        if self.transferred {
            return self.size.unwrap_or_else(|| self.done.len());
        }
        let bytes = self.done.len().max(self.ahead);
        self.size.map_or(bytes, |size| bytes.min(size))
    }

    /// What of the file is there, durable or not.
    pub fn filled(&self) -> RangeSet {
        let mut filled = self.done.clone();
        filled.insert_all(&self.written);
        filled
    }

    /// Forgets all progress: the next transfer begins at byte 0.
    pub fn restart(&mut self) {
        self.size = self.layout.local_size(None);
        self.remote_size = None;
        self.done = RangeSet::new();
        self.written = RangeSet::new();
        self.told = RangeSet::new();
        self.ahead = 0;
        self.transferred = false;
        self.etag = None;
        self.last_modified = None;
        self.modified_s = None;
        self.accepted = false;
        self.mirror = None;
        self.moved = false;
        self.validated = false;
        self.peer_bytes = 0;
        self.cache_bytes = 0;
    }

    /// Bytes that came from cache hosts, of what is there now. `asks`: the present attempt asks one, so that what is not durable yet came
    /// from there.
    pub fn bytes_from_cache(&self, asks: bool) -> u64 {
        let there = self.bytes_transferred();
        let under_way = if asks { there.saturating_sub(self.done.len()) } else { 0 };
        self.cache_bytes.saturating_add(under_way).min(there)
    }

    /// IBackgroundCopyFile4::GetPeerDownloadStats: bytes from the origin and from peers, of what is there now.
    pub fn peer_download_stats(&self) -> (u64, u64) {
        let peers = self.peer_bytes.min(self.bytes_transferred());
        (self.bytes_transferred() - peers, peers)
    }

    /// IBackgroundCopyFile3::IsDownloadedFromPeer.
    pub const fn is_downloaded_from_peer(&self) -> bool {
        self.peer_bytes > 0
    }
}
