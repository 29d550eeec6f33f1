//! Storage in a local folder.
//!
//! ```text
//! <state>/lock                  held by the one process that serves this folder
//! <state>/live/<guid>/session   the session as JSON, replaced as a whole
//! <state>/live/<guid>/progress  how much is durable (progress.rs)
//! <state>/live/<guid>/data      the bytes; anything beyond the progress is meaningless
//! <state>/replies/<token>       replies
//! <state>/tombs/<guid>          what is kept of ended sessions
//! <state>/trash/<guid>          being removed
//! ```

use super::block::Blocks;
use super::destination::Root;
use super::file_reader::FileReader;
use super::file_writer::FileWriter;
use super::{Census, DeliverError, Destination, Storage, Stored, progress};
use crate::path::SafePath;
use bytes::Bytes;
use openbits_core::upload::{Phase, Session, SessionId, Tombstone};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened or prepared.
    #[error("cannot use {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// Another process holds it.
    #[error("{0} is served by another process")]
    Busy(PathBuf),
}

/// The folder. Cheap to clone.
#[derive(Clone)]
pub struct Local(Arc<Inner>);

struct Inner {
    root: Root,
    state: PathBuf,
    file_mode: u32,
    blocks: Arc<Blocks>,
    _lock: File,
}

/// Runs file operations away from the async threads.
pub(super) async fn blocking<T: Send + 'static, E: Send + 'static + From<io::Error>>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error).into()),
    }
}

impl Local {
    /// Serves `root`; sessions are kept in `state`, made if it is missing, readable by nobody else.
    ///
    /// Delivered files get the permissions `file_mode`.
    pub fn open(root: &Path, state: &Path, file_mode: u32) -> Result<Self, OpenError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| OpenError::Io(path, error)
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder =
            rustix::fs::open(root, flags, Mode::empty()).map_err(io::Error::from).map_err(fail(root))?;
        for name in ["", "live", "replies", "tombs", "trash"] {
            let path = state.join(name);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(fail(&path))?;
        }
        let state = state.canonicalize().map_err(fail(state))?;
        let lock = private().open(state.join("lock")).map_err(fail(&state))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| OpenError::Busy(state.clone()))?;
        let blocks = Arc::default();
        Ok(Self(Arc::new(Inner { root: Root::new(folder), state, file_mode, blocks, _lock: lock })))
    }

    async fn run<T: Send + 'static, E: Send + 'static + From<io::Error>>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner)).await
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

fn missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Inner {
    /// The session's folder; an id that is not of our form names a folder that cannot exist.
    fn live(&self, id: &SessionId) -> PathBuf {
        self.state.join("live").join(id.guid().unwrap_or_else(|| "none".to_owned()))
    }

    fn tomb(&self, id: &SessionId) -> PathBuf {
        self.state.join("tombs").join(id.guid().unwrap_or_else(|| "none".to_owned()))
    }

    fn reply(&self, token: &str) -> PathBuf {
        let safe = token.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') && !token.is_empty();
        self.state.join("replies").join(if safe { token } else { "none" })
    }

    fn write_document(&self, path: &Path, document: &impl serde::Serialize) -> io::Result<()> {
        let folder = path.parent().expect("documents live in a folder");
        let new = path.with_extension("new");
        let file = private().truncate(true).open(&new)?;
        file.write_all_at(&serde_json::to_vec(document)?, 0)?;
        file.sync_data()?;
        fs::rename(&new, path)?;
        sync_folder(folder)
    }

    fn create(&self, session: &Session) -> io::Result<()> {
        let folder = self.live(&session.id);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let progress_file = private().open(folder.join("progress"))?;
        progress::write(&progress_file, session.progress, 1)?;
        self.write_document(&folder.join("session"), session)?;
        sync_folder(&self.state.join("live"))
    }

    fn load(&self, id: &SessionId) -> io::Result<Option<Session>> {
        if id.guid().is_none() {
            return Ok(None);
        }
        let folder = self.live(id);
        let Some(document) = missing(fs::read(folder.join("session")))? else { return Ok(None) };
        let mut session: Session = serde_json::from_slice(&document)?;
        session.progress = progress::read(&File::open(folder.join("progress"))?)?.0;
        Ok(Some(session))
    }

    fn writer(&self, session: &Session, total: Option<u64>) -> io::Result<FileWriter> {
        let folder = self.live(&session.id);
        let path = folder.join("data");
        let data = if session.progress.next == 0 {
            let data = private().open(&path)?;
            sync_folder(&folder)?;
            data
        } else {
            let data = File::options().read(true).write(true).open(&path)?;
            if data.metadata()?.len() < session.progress.next {
                // Somebody cut it: a file with holes must never be delivered.
                return Err(io::ErrorKind::NotFound.into());
            }
            data
        };
        // Not every file system writes past the page cache.
        let flags = OFlags::DIRECT.bits().cast_signed();
        let direct = File::options().write(true).custom_flags(flags).open(path).ok();
        let progress = private().open(folder.join("progress"))?;
        FileWriter::new(data, direct, progress, total, Arc::clone(&self.blocks))
    }

    fn deliver(&self, session: &Session, overwrite: bool) -> Result<(), DeliverError> {
        let path = SafePath::from_text(&session.path).map_err(|_| DeliverError::NoFolder)?;
        let folder = self.live(&session.id);
        let total = session.progress.total.ok_or(DeliverError::Vanished)?;
        let data = match missing(OpenOptions::new().read(true).write(true).open(folder.join("data")))? {
            Some(data) => data,
            // The rename happened before a crash; only the answer was lost.
            None if session.phase == Phase::Committing => return Ok(()),
            None => return Err(DeliverError::Vanished),
        };
        match data.metadata()?.len() {
            length if length < total => return Err(DeliverError::Vanished),
            length if length > total => data.set_len(total)?,
            _ => {}
        }
        data.set_permissions(fs::Permissions::from_mode(self.file_mode))?;
        data.sync_all()?;
        let unique = session.id.guid().ok_or(DeliverError::Vanished)?;
        self.root.take(File::open(&folder)?, "data", &path, overwrite, &unique)
    }

    fn forget(&self, session: &Session, tombstone: Option<&Tombstone>) -> io::Result<()> {
        if let Some(tombstone) = tombstone {
            self.write_document(&self.tomb(&session.id), tombstone)?;
        }
        let folder = self.live(&session.id);
        let trash = self.state.join("trash").join(session.id.guid().unwrap_or_else(|| "none".to_owned()));
        missing(fs::rename(&folder, &trash))?;
        missing(fs::remove_file(self.reply(&session.reply_token)))?;
        missing(fs::remove_dir_all(&trash))?;
        Ok(())
    }

    fn sweep(&self, before_s: u64, keep: usize) -> io::Result<()> {
        for entry in fs::read_dir(self.state.join("trash"))? {
            missing(fs::remove_dir_all(entry?.path()))?;
        }
        let mut tombs = Vec::new();
        for entry in fs::read_dir(self.state.join("tombs"))? {
            let entry = entry?;
            if let Some(metadata) = missing(entry.metadata())? {
                tombs.push((seconds(metadata.modified()?), entry.path()));
            }
        }
        tombs.sort();
        let beyond = tombs.len().saturating_sub(keep);
        for (index, (time_s, path)) in tombs.into_iter().enumerate() {
            if index < beyond || time_s < before_s {
                missing(fs::remove_file(path))?;
            }
        }
        Ok(())
    }

    fn census(&self) -> io::Result<Vec<Census>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.state.join("live"))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| SessionId::from_guid(name).ok()) else { continue };
            let session = match self.load(&id) {
                Ok(Some(session)) => session,
                Ok(None) => {
                    // A crash before the document was there: nobody knows this session.
                    let old = missing(entry.metadata())?.is_some_and(|m| {
                        m.modified().is_ok_and(|t| t.elapsed().is_ok_and(|e| e.as_secs() > 3600))
                    });
                    if old {
                        missing(fs::remove_dir_all(entry.path()))?;
                    }
                    continue;
                }
                Err(error) => {
                    tracing::warn!(session = %id, %error, "session cannot be read");
                    continue;
                }
            };
            let touched = missing(fs::metadata(self.live(&id).join("progress")))?;
            let touched_s = touched.and_then(|m| m.modified().ok()).map_or(session.created_s, seconds);
            let bytes = session.progress.total.unwrap_or(session.progress.next);
            all.push(Census { id, counted_as: session.counted_as, path: session.path, bytes, touched_s });
        }
        Ok(all)
    }

    fn stored(file: File) -> io::Result<Stored<FileReader>> {
        let metadata = file.metadata()?;
        let etag = format!(
            "\"{:x}-{:x}-{:x}.{:x}-{:x}.{:x}\"",
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec()
        );
        Ok(Stored {
            size: metadata.size(),
            modified: metadata.modified()?,
            etag,
            reader: FileReader::new(file),
        })
    }
}

impl Storage for Local {
    type Writer = FileWriter;
    type Reader = FileReader;

    async fn create(&self, session: &Session) -> io::Result<()> {
        let session = session.clone();
        self.run(move |inner| inner.create(&session)).await
    }

    async fn load(&self, id: &SessionId) -> io::Result<Option<Session>> {
        let id = id.clone();
        self.run(move |inner| inner.load(&id)).await
    }

    async fn save(&self, session: &Session) -> io::Result<()> {
        let session = session.clone();
        self.run(move |inner| inner.write_document(&inner.live(&session.id).join("session"), &session)).await
    }

    async fn touch(&self, id: &SessionId) -> io::Result<()> {
        let id = id.clone();
        self.run(move |inner| {
            File::options()
                .write(true)
                .open(inner.live(&id).join("progress"))?
                .set_modified(SystemTime::now())
        })
        .await
    }

    async fn writer(&self, session: &Session, total: Option<u64>) -> io::Result<FileWriter> {
        let session = session.clone();
        self.run(move |inner| inner.writer(&session, total)).await
    }

    async fn uploaded(&self, session: &Session) -> io::Result<FileReader> {
        let id = session.id.clone();
        self.run(move |inner| File::open(inner.live(&id).join("data")).map(FileReader::new)).await
    }

    async fn deliver(&self, session: &Session, overwrite: bool) -> Result<(), DeliverError> {
        let session = session.clone();
        self.run(move |inner| inner.deliver(&session, overwrite)).await
    }

    async fn drop_bytes(&self, id: &SessionId) -> io::Result<()> {
        let id = id.clone();
        self.run(move |inner| missing(fs::remove_file(inner.live(&id).join("data"))).map(drop)).await
    }

    async fn forget(&self, session: &Session, tombstone: Option<Tombstone>) -> io::Result<()> {
        let session = session.clone();
        self.run(move |inner| inner.forget(&session, tombstone.as_ref())).await
    }

    async fn tombstone(&self, id: &SessionId) -> io::Result<Option<Tombstone>> {
        let id = id.clone();
        self.run(move |inner| match missing(fs::read(inner.tomb(&id)))? {
            Some(document) => Ok(Some(serde_json::from_slice(&document)?)),
            None => Ok::<_, io::Error>(None),
        })
        .await
    }

    async fn sweep(&self, before_s: u64, keep: usize) -> io::Result<()> {
        self.run(move |inner| inner.sweep(before_s, keep)).await
    }

    async fn census(&self) -> io::Result<Vec<Census>> {
        self.run(Inner::census).await
    }

    async fn probe(&self, path: &SafePath) -> io::Result<Destination> {
        let path = path.clone();
        self.run(move |inner| inner.root.probe(&path)).await
    }

    async fn free_bytes(&self) -> io::Result<u64> {
        self.run(|inner| {
            let found = rustix::fs::fstatvfs(inner.root.fd())?;
            Ok::<_, io::Error>(found.f_bavail.saturating_mul(found.f_frsize))
        })
        .await
    }

    async fn open(&self, path: &SafePath) -> io::Result<Option<Stored<FileReader>>> {
        let path = path.clone();
        self.run(move |inner| inner.root.file(&path)?.map(Inner::stored).transpose()).await
    }

    async fn write_reply(&self, token: &str, offset: u64, bytes: Bytes, last: bool) -> io::Result<()> {
        let token = token.to_owned();
        self.run(move |inner| {
            let file = private().open(inner.reply(&token))?;
            file.write_all_at(&bytes, offset)?;
            if last {
                file.set_len(offset + bytes.len() as u64)?;
                file.sync_data()?;
                sync_folder(&inner.state.join("replies"))?;
            }
            Ok::<_, io::Error>(())
        })
        .await
    }

    async fn open_reply(&self, token: &str) -> io::Result<Option<Stored<FileReader>>> {
        let token = token.to_owned();
        self.run(move |inner| {
            // The back-end wrote it: a symbolic link there is not followed.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match rustix::fs::open(inner.reply(&token), flags, Mode::empty()) {
                Ok(fd) => {
                    let file = File::from(fd);
                    if file.metadata()?.is_file() { Inner::stored(file).map(Some) } else { Ok(None) }
                }
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    fn by_reference(&self, session: &Session) -> Option<(PathBuf, PathBuf)> {
        Some((self.0.live(&session.id).join("data"), self.0.reply(&session.reply_token)))
    }
}
