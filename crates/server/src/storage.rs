//! Where uploads, their sessions and delivered files are kept.

mod block;
mod destination;
mod file_reader;
mod file_writer;
mod local;
#[cfg(feature = "object-storage")]
mod objects;
mod progress;

pub use local::{Local, OpenError};
#[cfg(feature = "object-storage")]
pub use objects::{BadAddress, ObjectReader, ObjectWriter, Objects};

use crate::path::SafePath;
use bytes::Bytes;
use openbits_core::upload::{Progress, Session, SessionId, Tombstone};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// What is at the destination of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Nothing; its folder exists.
    Absent,
    /// A file, or anything else that is not a folder.
    File,
    /// A folder.
    Folder,
    /// The folder that would hold it does not exist, or is behind a symbolic link.
    NoFolder,
}

/// Why an upload could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Something is there and may not be replaced.
    #[error("the destination exists")]
    Exists,
    /// The folder is gone.
    #[error("the folder of the destination is gone")]
    NoFolder,
    /// The stored bytes are gone or incomplete.
    #[error("the stored upload is gone")]
    Vanished,
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What the sweeper and the limits need to know of each session.
#[derive(Debug, Clone)]
pub struct Census {
    /// Its name.
    pub id: SessionId,
    /// Whose sessions it counts with.
    pub counted_as: String,
    /// Its destination.
    pub path: String,
    /// Bytes it holds or has announced.
    pub bytes: u64,
    /// Last progress, in seconds since 1970.
    pub touched_s: u64,
}

/// A file that can be downloaded.
pub struct Stored<R> {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change.
    pub modified: SystemTime,
    /// Strong validator, quotes included.
    pub etag: String,
    /// Its bytes.
    pub reader: R,
}

/// Another server advanced the session since it was read.
#[derive(Debug, thiserror::Error)]
#[error("another server works on this session")]
pub(crate) struct Conflict;

/// Random access to stored bytes.
pub trait Reader: Send + Sync + Clone + 'static {
    /// Up to `length` bytes from `offset`; empty only at the end.
    fn read(&self, offset: u64, length: usize) -> impl Future<Output = io::Result<Bytes>> + Send;
}

/// Sequential writer into one session, positioned at its next expected byte.
pub trait Writer: Send {
    /// So many bytes are announced; told before the first of them, if at all.
    fn expect(&mut self, _bytes: u64) {}

    /// Takes bytes; they may not be durable, and not even written, before [`Writer::sync`].
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = io::Result<()>> + Send;

    /// Soon what was taken so far is to be as durable as after [`Writer::sync`]; need not wait for it.
    fn checkpoint(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        async { self.sync().await.map(drop) }
    }

    /// What was taken does not count; returns when nothing of it is being written any more.
    fn discard(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Makes everything taken so far durable, then advances the session's progress durably.
    ///
    /// After a crash at any point the stored progress names only bytes that are there.
    fn sync(&mut self) -> impl Future<Output = io::Result<Progress>> + Send;
}

/// A place for uploads. Everything that must outlive the process is here.
///
/// One caller at a time works on a session (`locks`); reads of delivered files run freely.
pub trait Storage: Send + Sync + 'static {
    /// Writes a session's bytes.
    type Writer: Writer;
    /// Reads any bytes.
    type Reader: Reader;
    /// True if [`Storage::uploaded`] gives the bytes of unfinished uploads; back-ends and concatenation need them.
    const READS_UNFINISHED: bool = true;

    /// Stores a new session durably.
    fn create(&self, session: &Session) -> impl Future<Output = io::Result<()>> + Send;
    /// The session with its durable progress.
    fn load(&self, id: &SessionId) -> impl Future<Output = io::Result<Option<Session>>> + Send;
    /// Stores what changed, durably; the progress is the writer's.
    fn save(&self, session: &Session) -> impl Future<Output = io::Result<()>> + Send;
    /// Restarts the session's time-out.
    fn touch(&self, id: &SessionId) -> impl Future<Output = io::Result<()>> + Send;
    /// A writer for the session; `total` is the size of the whole file, if known. `NotFound` if bytes that the
    /// progress names are missing.
    fn writer(
        &self,
        session: &Session,
        total: Option<u64>,
    ) -> impl Future<Output = io::Result<Self::Writer>> + Send;
    /// The uploaded bytes of a session; `NotFound` if they are gone.
    fn uploaded(&self, session: &Session) -> impl Future<Output = io::Result<Self::Reader>> + Send;
    /// Moves the complete upload to its destination in one step. Called again after a crash, it finds the work done
    /// if the session is `Committing`.
    fn deliver(
        &self,
        session: &Session,
        overwrite: bool,
    ) -> impl Future<Output = Result<(), DeliverError>> + Send;
    /// Removes the uploaded bytes; the session stays.
    fn drop_bytes(&self, id: &SessionId) -> impl Future<Output = io::Result<()>> + Send;
    /// Removes the session, its bytes and its reply; keeps the tombstone, if one is given.
    fn forget(
        &self,
        session: &Session,
        tombstone: Option<Tombstone>,
    ) -> impl Future<Output = io::Result<()>> + Send;
    /// What is known of a session that ended.
    fn tombstone(&self, id: &SessionId) -> impl Future<Output = io::Result<Option<Tombstone>>> + Send;
    /// Removes tombstones older than `before_s` (seconds since 1970) and the oldest beyond `keep`, and what earlier
    /// crashes left behind.
    fn sweep(&self, before_s: u64, keep: usize) -> impl Future<Output = io::Result<()>> + Send;
    /// Every live session.
    fn census(&self) -> impl Future<Output = io::Result<Vec<Census>>> + Send;
    /// What is at a destination.
    fn probe(&self, path: &SafePath) -> impl Future<Output = io::Result<Destination>> + Send;
    /// Bytes that can still be stored.
    fn free_bytes(&self) -> impl Future<Output = io::Result<u64>> + Send;
    /// A delivered file.
    fn open(&self, path: &SafePath) -> impl Future<Output = io::Result<Option<Stored<Self::Reader>>>> + Send;
    /// Stores a piece of a reply at `offset` and says when it ends, durably, with `last`.
    fn write_reply(
        &self,
        token: &str,
        offset: u64,
        bytes: Bytes,
        last: bool,
    ) -> impl Future<Output = io::Result<()>> + Send;
    /// A stored reply.
    fn open_reply(
        &self,
        token: &str,
    ) -> impl Future<Output = io::Result<Option<Stored<Self::Reader>>>> + Send;
    /// Paths of the upload and of the reply on this machine, for a back-end that is told by reference.
    fn by_reference(&self, session: &Session) -> Option<(PathBuf, PathBuf)>;
}
