//! Writing a session's bytes as parts, the rest as a tail.

use super::document::{self, Found};
use super::{Objects, io_error};
use crate::storage::{Conflict, Writer};
use bytes::{Bytes, BytesMut};
use object_store::ObjectStoreExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use openbits_core::upload::{Progress, Session};
use std::io;

/// Smallest part that every store takes.
const MIN_PART: u64 = 5 << 20;
/// Parts that an upload may have, with some to spare.
const MAX_PARTS: u64 = 9_000;

/// Holds at most one part in memory.
pub struct ObjectWriter {
    objects: Objects,
    found: Found,
    destination: Path,
    buffer: BytesMut,
    at: u64,
    /// A step failed: what is stored is no longer known here.
    failed: bool,
    /// A multipart upload that no stored document names yet.
    unnamed: Option<String>,
}

impl ObjectWriter {
    pub(super) async fn open(objects: Objects, session: &Session, total: Option<u64>) -> io::Result<Self> {
        let mut found = objects.found(&session.id).await?;
        if found.document.session.progress.next != session.progress.next {
            return Err(io::Error::other(Conflict));
        }
        let total = found.document.session.progress.total.or(total);
        found.document.session.progress.total = total;
        if found.document.part_bytes == 0 {
            found.document.part_bytes = MIN_PART.max(total.unwrap_or(0).div_ceil(MAX_PARTS));
        }
        let buffer = BytesMut::from(objects.tail(&found).await?);
        let stored = found.document.parts.len() as u64 * found.document.part_bytes + buffer.len() as u64;
        if stored != session.progress.next {
            return Err(io::ErrorKind::NotFound.into());
        }
        let destination = objects.destination(session)?;
        Ok(Self {
            objects,
            at: session.progress.next,
            found,
            destination,
            buffer,
            failed: false,
            unnamed: None,
        })
    }

    async fn put_part(&mut self, bytes: Bytes) -> io::Result<()> {
        let store = &self.objects.store;
        let document = &mut self.found.document;
        let upload = match &document.upload {
            Some(upload) => upload.clone(),
            None => {
                let upload = store.create_multipart(&self.destination).await.map_err(io_error)?;
                self.unnamed = Some(upload.clone());
                document.upload.insert(upload).clone()
            }
        };
        let part = store.put_part(&self.destination, &upload, document.parts.len(), bytes.into()).await;
        document.parts.push(part.map_err(io_error)?.content_id);
        Ok(())
    }

    async fn store_progress(&mut self) -> io::Result<Progress> {
        let document = &mut self.found.document;
        let old = document.tail.take();
        if !self.buffer.is_empty() {
            // A name that only this turn of this server uses: a loser never harms the winner's tail.
            let guid = Objects::guid(&document.session.id);
            let mut salt = [0; 8];
            getrandom::fill(&mut salt).map_err(io::Error::other)?;
            let name = format!("{guid}-{}-{:016x}", document.turn + 1, u64::from_le_bytes(salt));
            let path = self.objects.at("tails", &name);
            let bytes = Bytes::copy_from_slice(&self.buffer);
            self.objects.store.put(&path, bytes.into()).await.map_err(io_error)?;
            document.tail = Some(path.to_string());
        }
        document.session.progress.next = self.at;
        let progress = document.session.progress;
        if let Err(error) = document::replace(&self.objects, &mut self.found).await {
            self.withdraw(&error).await;
            return Err(error);
        }
        self.unnamed = None;
        if let Some(old) = old {
            self.objects.delete(&Path::from(old)).await?;
        }
        Ok(progress)
    }

    /// Another server was faster: what only this one made is of no use to anybody.
    async fn withdraw(&mut self, error: &io::Error) {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Conflict>());
        if inner.is_none() {
            // It may be stored all the same.
            return;
        }
        if let Some(tail) = self.found.document.tail.take() {
            let _ = self.objects.delete(&Path::from(tail)).await;
        }
        if let Some(upload) = self.unnamed.take() {
            let _ = self.objects.store.abort_multipart(&self.destination, &upload).await;
        }
    }
}

impl Writer for ObjectWriter {
    async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        let part = usize::try_from(self.found.document.part_bytes).map_err(io::Error::other)?;
        self.at += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = part - self.buffer.len();
            self.buffer.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.buffer.len() == part {
                let full = self.buffer.split().freeze();
                self.failed = true;
                self.put_part(full).await?;
                self.failed = false;
            }
        }
        Ok(())
    }

    async fn sync(&mut self) -> io::Result<Progress> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        self.failed = true;
        let progress = self.store_progress().await?;
        self.failed = false;
        Ok(progress)
    }
}
