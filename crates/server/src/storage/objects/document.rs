//! The session's document: replaced only if nobody else has replaced it.

use super::{Objects, io_error, missing};
use object_store::multipart::PartId;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use openbits_core::upload::{Session, SessionId};
use serde::{Deserialize, Serialize};
use std::io;

/// What is stored of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) session: Session,
    /// The multipart upload, once there is a part.
    pub(super) upload: Option<String>,
    /// Its parts, in order, all of `part_bytes`.
    pub(super) parts: Vec<String>,
    pub(super) part_bytes: u64,
    /// Object with the acknowledged bytes after the parts.
    pub(super) tail: Option<String>,
    /// Counts replacements, so that no two are the same and no tail is written twice.
    pub(super) turn: u64,
}

/// A document and the version that it replaces.
pub(super) struct Found {
    pub(super) document: Document,
    version: UpdateVersion,
}

impl Document {
    pub(super) fn part_ids(&self) -> Vec<PartId> {
        self.parts.iter().map(|id| PartId { content_id: id.clone() }).collect()
    }
}

pub(super) async fn read(objects: &Objects, id: &SessionId) -> io::Result<Option<Found>> {
    let path = objects.at("sessions", &Objects::guid(id));
    let Some(found) = missing(objects.store.get(&path).await)? else { return Ok(None) };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let document = serde_json::from_slice(&found.bytes().await.map_err(io_error)?)?;
    Ok(Some(Found { document, version }))
}

pub(super) async fn create(objects: &Objects, session: &Session) -> io::Result<()> {
    let document = Document {
        session: session.clone(),
        upload: None,
        parts: Vec::new(),
        part_bytes: 0,
        tail: None,
        turn: 0,
    };
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let path = objects.at("sessions", &Objects::guid(&session.id));
    objects.store.put_opts(&path, serde_json::to_vec(&document)?.into(), options).await.map_err(io_error)?;
    Ok(())
}

/// Stores the document; fails with `Conflict` if it changed since it was read.
pub(super) async fn replace(objects: &Objects, found: &mut Found) -> io::Result<()> {
    found.document.turn += 1;
    let options = PutOptions { mode: PutMode::Update(found.version.clone()), ..PutOptions::default() };
    let path = objects.at("sessions", &Objects::guid(&found.document.session.id));
    let bytes = serde_json::to_vec(&found.document)?;
    let put = objects.store.put_opts(&path, bytes.into(), options).await.map_err(io_error)?;
    found.version = put.into();
    Ok(())
}
