//! Storage in an S3-compatible bucket: any number of servers share it, and each continues what another began.
//!
//! ```text
//! <prefix>/sessions/<guid>      the session, its progress and its parts; replaced only if unchanged (If-Match)
//! <prefix>/tails/<guid>-<n>     acknowledged bytes that do not fill a part yet
//! <prefix>/tombs/<guid>         what is kept of ended sessions
//! <prefix>/files/<path>         delivered files; unfinished ones are multipart uploads there, and not visible
//! ```
//!
//! Delivery completes the multipart upload, which makes the whole file visible at once. A server whose view of a
//! session is old fails when it replaces the document, so two never advance one session differently.

mod document;
mod writer;

pub use writer::ObjectWriter;

use super::{Census, Conflict, DeliverError, Destination, Reader, Storage, Stored};
use crate::path::SafePath;
use bytes::Bytes;
use document::{Document, Found};
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use openbits_core::upload::{Session, SessionId, Tombstone};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

/// A bucket's prefix. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<AmazonS3>,
    prefix: String,
    /// The store compares entity tags in `If-Match` without their quotes (`document::replace`).
    bare_tags: Arc<AtomicBool>,
}

/// The address is not `s3://bucket/prefix`, or the environment lacks what is needed to reach it.
#[derive(Debug, thiserror::Error)]
#[error("object storage: {0}")]
pub struct BadAddress(String);

fn io_error(error: object_store::Error) -> io::Error {
    match error {
        object_store::Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
        object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. } => {
            io::Error::other(Conflict)
        }
        other => io::Error::other(other),
    }
}

fn missing<T>(result: Result<T, object_store::Error>) -> io::Result<Option<T>> {
    match result.map_err(io_error) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Objects {
    /// `s3://bucket/prefix`; credentials, region and endpoint come from the usual `AWS_…` variables.
    pub fn open(address: &str) -> Result<Self, BadAddress> {
        let rest =
            address.strip_prefix("s3://").ok_or_else(|| BadAddress(format!("{address} is not s3://…")))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        let store = builder.build().map_err(|error| BadAddress(error.to_string()))?;
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self { store: Arc::new(store), prefix, bare_tags: Arc::default() })
    }

    fn at(&self, kind: &str, name: &str) -> Path {
        Path::from(format!("{}/{kind}/{name}", self.prefix))
    }

    fn file(&self, path: &SafePath) -> Path {
        self.at("files", &path.relative())
    }

    fn destination(&self, session: &Session) -> io::Result<Path> {
        let path = SafePath::from_text(&session.path).map_err(io::Error::other)?;
        Ok(self.file(&path))
    }

    fn guid(id: &SessionId) -> String {
        id.guid().unwrap_or_else(|| "none".to_owned())
    }

    async fn bytes(&self, path: &Path) -> io::Result<Option<Bytes>> {
        match missing(self.store.get(path).await)? {
            Some(found) => Ok(Some(found.bytes().await.map_err(io_error)?)),
            None => Ok(None),
        }
    }

    /// The document of a session that was there a moment ago; `Conflict` if another server has ended it since.
    async fn found(&self, id: &SessionId) -> io::Result<Found> {
        document::read(self, id).await?.ok_or_else(|| io::Error::other(Conflict))
    }

    /// The acknowledged bytes after the parts. Another server replaces them with the document: `Conflict` if it did, `NotFound` only if
    /// they are missing from the document that counts.
    async fn tail(&self, found: &Found) -> io::Result<Bytes> {
        let Some(tail) = &found.document.tail else { return Ok(Bytes::new()) };
        match self.bytes(&Path::from(tail.as_str())).await? {
            Some(bytes) => Ok(bytes),
            None if document::is_current(self, found).await? => Err(io::ErrorKind::NotFound.into()),
            None => Err(io::Error::other(Conflict)),
        }
    }

    async fn delete(&self, path: &Path) -> io::Result<()> {
        missing(self.store.delete(path).await).map(drop)
    }

    /// Puts a whole object; without `overwrite` only if there is none, or the same.
    async fn put_whole(&self, path: &Path, bytes: Bytes, overwrite: bool) -> Result<(), DeliverError> {
        let mode = if overwrite { PutMode::Overwrite } else { PutMode::Create };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(path, PutPayload::from_bytes(bytes.clone()), options).await {
            Ok(_) => Ok(()),
            // An attempt before this one may have got through.
            Err(object_store::Error::AlreadyExists { .. }) => match self.bytes(path).await? {
                Some(there) if there == bytes => Ok(()),
                _ => Err(DeliverError::Exists),
            },
            Err(error) => Err(DeliverError::Io(io_error(error))),
        }
    }

    async fn size_of(&self, path: &Path) -> io::Result<Option<u64>> {
        Ok(missing(self.store.head(path).await)?.map(|meta| meta.size))
    }

    /// The last part, and then everything becomes visible.
    async fn put_together(
        &self,
        path: &Path,
        document: &Document,
        upload: &String,
        tail: Bytes,
    ) -> Result<(), object_store::Error> {
        let mut parts = document.part_ids();
        if !tail.is_empty() {
            parts.push(self.store.put_part(path, upload, parts.len(), tail.into()).await?);
        }
        self.store.complete_multipart(path, upload, parts).await.map(drop)
    }

    /// True if the destination is what this session delivers: its multipart upload is gone, and a file of its size is there. A file of
    /// that size alone proves nothing, it may be the one to be replaced.
    async fn arrived(&self, path: &Path, document: &Document, upload: &String) -> io::Result<bool> {
        if self.size_of(path).await? != document.session.progress.total {
            return Ok(false);
        }
        // A part that is never used, and goes with the upload.
        let beyond = document.parts.len() + 1;
        let probe = self.store.put_part(path, upload, beyond, PutPayload::from_static(b"-")).await;
        Ok(matches!(probe, Err(object_store::Error::NotFound { .. })))
    }
}

/// Reads one object.
#[derive(Clone)]
pub struct ObjectReader {
    store: Arc<AmazonS3>,
    path: Path,
    etag: Option<String>,
    size: u64,
}

impl Reader for ObjectReader {
    async fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let end = offset.saturating_add(length as u64).min(self.size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        // The same version to the end, or an error: never a mixture of two files.
        let options = object_store::GetOptions {
            if_match: self.etag.clone(),
            range: Some((offset..end).into()),
            ..object_store::GetOptions::default()
        };
        let found = self.store.get_opts(&self.path, options).await.map_err(io_error)?;
        found.bytes().await.map_err(io_error)
    }
}

impl Storage for Objects {
    type Writer = ObjectWriter;
    type Reader = ObjectReader;
    const READS_UNFINISHED: bool = false;

    async fn create(&self, session: &Session) -> io::Result<()> {
        document::create(self, session).await
    }

    async fn load(&self, id: &SessionId) -> io::Result<Option<Session>> {
        if id.guid().is_none() {
            return Ok(None);
        }
        Ok(document::read(self, id).await?.map(|found| found.document.session))
    }

    async fn save(&self, session: &Session) -> io::Result<()> {
        let mut found = self.found(&session.id).await?;
        if found.document.session.progress != session.progress {
            return Err(io::Error::other(Conflict));
        }
        found.document.session = session.clone();
        document::replace(self, &mut found).await
    }

    async fn touch(&self, id: &SessionId) -> io::Result<()> {
        let mut found = self.found(id).await?;
        document::replace(self, &mut found).await
    }

    async fn writer(&self, session: &Session, total: Option<u64>) -> io::Result<ObjectWriter> {
        ObjectWriter::open(self.clone(), session, total).await
    }

    async fn uploaded(&self, session: &Session) -> io::Result<ObjectReader> {
        // Unfinished parts cannot be read; that the session is there is all that can be said.
        self.found(&session.id).await?;
        let path = self.destination(session)?;
        Ok(ObjectReader { store: Arc::clone(&self.store), path, etag: None, size: 0 })
    }

    async fn deliver(&self, session: &Session, overwrite: bool) -> Result<(), DeliverError> {
        let found = self.found(&session.id).await?;
        let document = &found.document;
        let path = self.destination(session)?;
        let tail = match self.tail(&found).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DeliverError::Vanished),
            tail => tail?,
        };
        let Some(upload) = &document.upload else { return self.put_whole(&path, tail, overwrite).await };
        if !overwrite && self.size_of(&path).await?.is_some() {
            let ours = self.arrived(&path, document, upload).await?;
            return if ours { Ok(()) } else { Err(DeliverError::Exists) };
        }
        match self.put_together(&path, document, upload, tail).await.map_err(io_error) {
            Ok(()) => Ok(()),
            // By an attempt before this one, or by another server between our look and now.
            Err(_) if self.arrived(&path, document, upload).await? => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DeliverError::Vanished),
            Err(error) => Err(error.into()),
        }
    }

    async fn drop_bytes(&self, _id: &SessionId) -> io::Result<()> {
        Ok(())
    }

    async fn forget(&self, session: &Session, tombstone: Option<Tombstone>) -> io::Result<()> {
        let guid = Self::guid(&session.id);
        // Another server that ended it has said how.
        let Some(found) = document::read(self, &session.id).await? else { return Ok(()) };
        if let Some(tombstone) = tombstone {
            let document = serde_json::to_vec(&tombstone)?;
            self.store.put(&self.at("tombs", &guid), document.into()).await.map_err(io_error)?;
        }
        if let Some(upload) = &found.document.upload {
            // Fails when it has been completed, which is as good.
            let aborted = self.store.abort_multipart(&self.destination(session)?, upload).await;
            tracing::debug!(session = %session.id, ok = aborted.is_ok(), "multipart upload aborted");
        }
        if let Some(tail) = &found.document.tail {
            self.delete(&Path::from(tail.as_str())).await?;
        }
        self.delete(&self.at("sessions", &guid)).await
    }

    async fn tombstone(&self, id: &SessionId) -> io::Result<Option<Tombstone>> {
        let found = self.bytes(&self.at("tombs", &Self::guid(id))).await?;
        Ok(found.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
    }

    async fn sweep(&self, before_s: u64, keep: usize) -> io::Result<()> {
        let folder = Path::from(format!("{}/tombs", self.prefix));
        let mut tombs: Vec<_> = self.store.list(Some(&folder)).try_collect().await.map_err(io_error)?;
        tombs.sort_by_key(|meta| meta.last_modified);
        let beyond = tombs.len().saturating_sub(keep);
        for (index, meta) in tombs.iter().enumerate() {
            if index < beyond || since_1970(meta.last_modified.into()) < before_s {
                self.delete(&meta.location).await?;
            }
        }
        Ok(())
    }

    async fn census(&self) -> io::Result<Vec<Census>> {
        let folder = Path::from(format!("{}/sessions", self.prefix));
        let all: Vec<_> = self.store.list(Some(&folder)).try_collect().await.map_err(io_error)?;
        let mut census = Vec::new();
        for meta in all {
            let id = meta.location.filename().and_then(|guid| SessionId::from_guid(guid).ok());
            let Some(id) = id else { continue };
            let Some(session) = self.load(&id).await? else { continue };
            let bytes = session.progress.total.unwrap_or(session.progress.next);
            let touched_s = since_1970(meta.last_modified.into());
            census.push(Census { id, counted_as: session.counted_as, path: session.path, bytes, touched_s });
        }
        Ok(census)
    }

    /// Folders do not exist here: a path that ends in `/`, or has files below it, counts as one.
    async fn probe(&self, path: &SafePath) -> io::Result<Destination> {
        if path.is_folder_form() {
            return Ok(Destination::Folder);
        }
        let file = self.file(path);
        if missing(self.store.head(&file).await)?.is_some() {
            return Ok(Destination::File);
        }
        let below = self.store.list(Some(&file)).try_next().await.map_err(io_error)?;
        Ok(if below.is_some() { Destination::Folder } else { Destination::Absent })
    }

    async fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    async fn open(&self, path: &SafePath) -> io::Result<Option<Stored<ObjectReader>>> {
        let file = self.file(path);
        let Some(meta) = missing(self.store.head(&file).await)? else { return Ok(None) };
        let modified: SystemTime = meta.last_modified.into();
        let etag = meta.e_tag.clone().filter(|tag| tag.starts_with('"'));
        let etag = etag.unwrap_or_else(|| format!("\"{}-{}\"", meta.size, since_1970(modified)));
        let reader =
            ObjectReader { store: Arc::clone(&self.store), path: file, etag: meta.e_tag, size: meta.size };
        Ok(Some(Stored { size: meta.size, modified, etag, reader }))
    }

    async fn write_reply(&self, _token: &str, _offset: u64, _bytes: Bytes, _last: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn open_reply(&self, _token: &str) -> io::Result<Option<Stored<ObjectReader>>> {
        Ok(None)
    }

    fn by_reference(&self, _session: &Session) -> Option<(PathBuf, PathBuf)> {
        None
    }
}
