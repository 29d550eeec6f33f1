//! The session's document: replaced only if nobody else has replaced it.

use super::{Objects, io_error, missing};
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use openbits_core::upload::{Session, SessionId};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::atomic::Ordering;

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

/// True if the document is still the one that was read.
pub(super) async fn is_current(objects: &Objects, found: &Found) -> io::Result<bool> {
    let path = objects.at("sessions", &Objects::guid(&found.document.session.id));
    let there = missing(objects.store.head(&path).await)?;
    Ok(there.is_some_and(|there| there.e_tag.is_some() && there.e_tag == found.version.e_tag))
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
///
/// Ceph's gateway (16.2) compares the tag in a PUT's `If-Match` as it is, with the quotes that HTTP demands, to one that it keeps without:
/// nothing ever matches there. A refusal by a store that still has the very version that was named is taken for that, once; from then on
/// tags go without quotes.
pub(super) async fn replace(objects: &Objects, found: &mut Found) -> io::Result<()> {
    found.document.turn += 1;
    let path = objects.at("sessions", &Objects::guid(&found.document.session.id));
    let bytes = Bytes::from(serde_json::to_vec(&found.document)?);
    let bare = objects.bare_tags.load(Ordering::Relaxed);
    let put = match put(objects, &path, &found.version, &bytes, bare).await {
        Err(error @ object_store::Error::Precondition { .. }) if !bare => {
            if !is_current(objects, found).await? {
                return Err(io_error(error));
            }
            let put = put(objects, &path, &found.version, &bytes, true).await;
            if put.is_ok() && !objects.bare_tags.swap(true, Ordering::Relaxed) {
                tracing::info!("the object store wants entity tags without quotes");
            }
            put
        }
        put => put,
    };
    found.version = put.map_err(io_error)?;
    Ok(())
}

async fn put(
    objects: &Objects,
    path: &Path,
    version: &UpdateVersion,
    bytes: &Bytes,
    bare: bool,
) -> Result<UpdateVersion, object_store::Error> {
    let mut version = version.clone();
    if bare {
        version.e_tag = version.e_tag.map(|tag| tag.trim_matches('"').to_owned());
    }
    let options = PutOptions { mode: PutMode::Update(version), ..PutOptions::default() };
    objects.store.put_opts(path, bytes.clone().into(), options).await.map(UpdateVersion::from)
}
