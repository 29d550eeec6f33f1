//! tus: creating uploads, with or without data, and putting parts together.

use crate::app::{counted_as, now_s, random, reply_token};
use crate::base::base_url;
use crate::complete;
use crate::path::{SafePath, UPLOADS};
use crate::respond::{self, Body, set, storage};
use crate::settings::Rules;
use crate::storage::{Destination, Reader, Storage, Writer};
use crate::tus::{Ask, Stop, expires, is_upload_body};
use crate::tus_headers::{Concat, concat, metadata, number};
use http::Response;
use hyper::body::Incoming;
use openbits_core::upload::{Door, Phase, Progress, Refusal, Session, SessionId, Tus, TusConcat};

/// Bytes copied at a time when parts are put together.
const PIECE: usize = 1 << 20;

/// `POST`.
pub(crate) async fn create<S: Storage>(
    ask: &Ask<'_, S>,
    body: &mut Incoming,
) -> Result<Response<Body>, Stop> {
    let (rules, caller) = ask.admitted(&ask.path).await?;
    let headers = &ask.parts.headers;
    let text =
        |name: &str| headers.get(name).map(|v| v.to_str().map_err(|_| Stop::Status(400, "bad header")));
    let concat = text("upload-concat").transpose()?.map(concat).transpose();
    let concat = concat.map_err(|_| Stop::Status(400, "bad Upload-Concat"))?;
    if concat.is_some() && !S::READS_UNFINISHED {
        return Err(Stop::Status(501, "this storage does not put parts together"));
    }
    let meta = text("upload-metadata").transpose()?;
    let named = meta.map(|value| metadata(value, "filename")).transpose();
    let named = named.map_err(|_| Stop::Status(400, "bad Upload-Metadata"))?.flatten();
    let parts = match &concat {
        Some(Concat::Final(ids)) => Some(finished_parts(ask, ids, &caller).await?),
        _ => None,
    };
    let total = match &parts {
        Some(parts) => Some(
            parts
                .iter()
                .try_fold(0u64, |sum, part| sum.checked_add(part.progress.next))
                .ok_or(Refusal::TooLarge)?,
        ),
        None => length(ask)?,
    };
    if total.is_some_and(|total| total > rules.max_size_bytes) {
        return Err(Refusal::TooLarge.into());
    }
    let id = SessionId::from_random_bytes(random()?);
    let guid = id.guid().ok_or(Refusal::Storage(5))?;
    let partial = concat == Some(Concat::Partial);
    let name = named.filter(|name| !name.is_empty() && !partial).unwrap_or_else(|| guid.clone());
    let (folder, path) = destination(ask, &rules, &name, partial).await?;
    let base = base_url(&ask.current.settings, ask.parts, ask.peer);
    let mut session = Session {
        id: id.clone(),
        door: Door::Tus,
        owner: caller.clone(),
        counted_as: counted_as(&caller, ask.peer),
        path: path.text(),
        url: format!("{base}{}", path.encoded()),
        created_s: now_s(),
        phase: Phase::Receive,
        copy_to_destination: true,
        reply_token: reply_token()?,
        reply_url: None,
        progress: Progress { next: 0, total },
        tus: Some(Tus {
            metadata: meta.map(str::to_owned),
            concat: concat.as_ref().map(|concat| match concat {
                Concat::Partial => TusConcat::Partial,
                Concat::Final(_) => TusConcat::Final(String::new()),
            }),
        }),
    };
    open(ask, &session, &rules, total).await?;
    let mut response = respond::status(201);
    set(
        &mut response,
        "Location",
        &format!("{}/{UPLOADS}/{guid}", if folder.text() == "/" { String::new() } else { folder.encoded() }),
    );
    let mut held = ask.app.locks.take(&id).await?;
    if let Some(parts) = &parts {
        put_together(ask, &mut session, parts).await?;
    } else if is_upload_body(&ask.parts.headers) {
        ask.append(&mut held, &mut session, &rules, body).await?;
        set(&mut response, "Upload-Offset", &session.progress.next.to_string());
    } else if total == Some(0) {
        let mut writer = ask.app.storage.writer(&session, total).await.map_err(|e| storage(&e))?;
        session.progress = writer.sync().await.map_err(|e| storage(&e))?;
    }
    if session.progress.is_complete() {
        ask.finish(&mut session, &rules, &mut response).await?;
        for part in parts.iter().flatten() {
            complete::forget(ask.app, part, true).await?;
        }
    } else {
        expires(&mut response, &rules);
    }
    Ok(response)
}

/// The announced length; `None` if it comes later.
fn length<S: Storage>(ask: &Ask<'_, S>) -> Result<Option<u64>, Stop> {
    let headers = &ask.parts.headers;
    let length = number(headers, "upload-length").map_err(|_| Stop::Status(400, "bad Upload-Length"))?;
    match (length, headers.get("upload-defer-length").map(http::HeaderValue::as_bytes)) {
        (Some(length), None) => Ok(Some(length)),
        (None, Some(b"1")) => Ok(None),
        _ => Err(Stop::Status(400, "Upload-Length or Upload-Defer-Length: 1 is needed")),
    }
}

/// Where the file goes: into the folder of the request by the name of the metadata, or to the request's own path.
/// Returns the folder that addresses the upload, and the destination.
async fn destination<S: Storage>(
    ask: &Ask<'_, S>,
    rules: &Rules,
    name: &str,
    partial: bool,
) -> Result<(SafePath, SafePath), Stop> {
    let bad = Stop::Status(400, "the file name is not allowed");
    let (folder, path) =
        if ask.app.storage.probe(&ask.path).await.map_err(|e| storage(&e))? == Destination::Folder {
            (ask.path.clone(), ask.path.join(name).map_err(|_| bad)?)
        } else {
            let (folder, _) = ask.path.split().ok_or(bad)?;
            let folder = if folder == "." { "/".to_owned() } else { format!("/{folder}") };
            (SafePath::from_text(&folder).map_err(|_| Refusal::NoFolder)?, ask.path.clone())
        };
    if path.is_reserved() {
        return Err(Refusal::AccessDenied.into());
    }
    match ask.app.storage.probe(&path).await.map_err(|e| storage(&e))? {
        Destination::NoFolder => Err(Refusal::NoFolder.into()),
        Destination::Folder => Err(Stop::Status(400, "the destination is a folder")),
        Destination::File if !rules.overwrite && !partial => Err(Refusal::Exists.into()),
        Destination::File | Destination::Absent => Ok((folder, path)),
    }
}

/// Stores the new session, if limits allow it.
async fn open<S: Storage>(
    ask: &Ask<'_, S>,
    session: &Session,
    rules: &Rules,
    total: Option<u64>,
) -> Result<(), Stop> {
    let limits = &ask.current.settings.limits;
    ask.app.ledger.admit(&session.id, &session.counted_as, rules, limits.sessions)?;
    let stored = async {
        if let Some(total) = total {
            complete::reserve(ask.app, session, total, rules, limits).await?;
        }
        ask.app.storage.create(session).await.map_err(|e| storage(&e))?;
        ask.app.ledger.stored(&session.id);
        Ok(())
    };
    stored.await.map_err(|refusal: Refusal| {
        ask.app.ledger.remove(&session.id);
        Stop::Refused(refusal)
    })
}

/// The parts of a concatenation: all there, complete, and the caller's.
async fn finished_parts<S: Storage>(
    ask: &Ask<'_, S>,
    ids: &[SessionId],
    caller: &str,
) -> Result<Vec<Session>, Stop> {
    let mut parts = Vec::new();
    for id in ids {
        let part = ask.app.storage.load(id).await.map_err(|e| storage(&e))?;
        let part = part.filter(|part| part.owner == caller && part.door == Door::Tus);
        let part = part.ok_or(Stop::Status(404, "a part does not exist"))?;
        let partial = part.tus.as_ref().is_some_and(|tus| tus.concat == Some(TusConcat::Partial));
        if !partial || !part.progress.is_complete() {
            return Err(Stop::Status(409, "a part is not complete"));
        }
        parts.push(part);
    }
    Ok(parts)
}

async fn put_together<S: Storage>(
    ask: &Ask<'_, S>,
    session: &mut Session,
    parts: &[Session],
) -> Result<(), Stop> {
    let mut writer =
        ask.app.storage.writer(session, session.progress.total).await.map_err(|e| storage(&e))?;
    for part in parts {
        let reader = ask.app.storage.uploaded(part).await.map_err(|e| storage(&e))?;
        let mut at = 0;
        while at < part.progress.next {
            let size = usize::try_from(part.progress.next - at).unwrap_or(PIECE).min(PIECE);
            let bytes = reader.read(at, size).await.map_err(|e| storage(&e))?;
            if bytes.is_empty() {
                return Err(Refusal::Vanished.into());
            }
            at += bytes.len() as u64;
            writer.write(bytes).await.map_err(|e| storage(&e))?;
        }
    }
    session.progress = writer.sync().await.map_err(|e| storage(&e))?;
    Ok(())
}
