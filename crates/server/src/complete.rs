//! From the last byte to the file at its destination (spec/upload-protocol.md 9.5, 9.6, 15).

use crate::app::{App, Current};
use crate::base::origin_on_node;
use crate::bits::has_backend;
use crate::path::{REPLIES, SafePath};
use crate::respond::storage;
use crate::settings::{Commit, Limits, Rules};
use crate::storage::{DeliverError, Storage};
use openbits_core::upload::{Ending, Final, Phase, Refusal, Session, Settle};
use std::io;
use std::sync::Arc;

/// Space and quota for an upload of `total` bytes.
pub(crate) async fn reserve<S: Storage>(
    app: &App<S>,
    session: &Session,
    total: u64,
    rules: &Rules,
    limits: &Limits,
) -> Result<(), Refusal> {
    if total > rules.max_size_bytes {
        return Err(Refusal::TooLarge);
    }
    let free = app.storage.free_bytes().await.map_err(|e| storage(&e))?;
    if total.saturating_add(limits.reserve_bytes) > free {
        return Err(Refusal::DiskFull);
    }
    app.ledger.reserve(&session.id, &session.counted_as, total, rules)
}

/// Does what is due once all bytes are there: tells the back-end, delivers if the path commits early.
///
/// The caller holds the session, so that a repeated final fragment waits for the answer to the first.
pub(crate) async fn settle<S: Storage>(
    app: &Arc<App<S>>,
    current: &Current,
    session: &mut Session,
    rules: &Rules,
) -> Result<(), Refusal> {
    match session.settle(has_backend(rules)) {
        Settle::NotYet => return Ok(()),
        Settle::Cached(Final::Rejected) => return Err(Refusal::Backend(403)),
        Settle::Cached(Final::Accepted) => {}
        Settle::NoBackend => {
            session.phase = Phase::WaitClose;
            app.storage.save(session).await.map_err(|e| storage(&e))?;
        }
        Settle::Notify => {
            let answer = app.notifier.notify(&app.storage, session, rules, &current.settings.limits).await;
            tracing::info!(session = %session.id, path = session.path, ?answer, "back-end notified");
            let result = session.notified(answer);
            if session.phase != Phase::Receive {
                app.storage.save(session).await.map_err(|e| storage(&e))?;
            }
            result?;
            if !session.copy_to_destination {
                app.storage.drop_bytes(&session.id).await.map_err(|e| storage(&e))?;
            }
        }
    }
    let early = rules.commit == Commit::FinalFragment && session.phase != Phase::Committed;
    if early && session.close() == Ending::Deliver {
        deliver(app, session, rules).await?;
        session.phase = Phase::Committed;
        app.storage.save(session).await.map_err(|e| storage(&e))?;
    }
    Ok(())
}

/// A writer for the session. If the stored bytes are gone the session is gone too, and the client begins anew.
pub(crate) async fn writer<S: Storage>(
    app: &App<S>,
    session: &Session,
    total: Option<u64>,
) -> Result<S::Writer, Refusal> {
    match app.storage.writer(session, total).await {
        Ok(writer) => Ok(writer),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::error!(session = %session.id, "the stored bytes are gone");
            forget(app, session, false).await?;
            Err(Refusal::SessionNotFound)
        }
        Err(error) => Err(storage(&error)),
    }
}

/// Moves the file to its destination. On refusal the session stays, and Close may be tried again.
pub(crate) async fn deliver<S: Storage>(
    app: &App<S>,
    session: &mut Session,
    rules: &Rules,
) -> Result<(), Refusal> {
    if session.phase != Phase::Committing {
        // From now on missing bytes mean that they have arrived; so they must be there before.
        match app.storage.uploaded(session).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                forget(app, session, false).await?;
                return Err(Refusal::Vanished);
            }
            Err(error) => return Err(storage(&error)),
        }
        session.phase = Phase::Committing;
        app.storage.save(session).await.map_err(|e| storage(&e))?;
    }
    let refusal = match app.storage.deliver(session, rules.overwrite).await {
        Ok(()) => {
            tracing::info!(session = %session.id, path = session.path, "delivered");
            return Ok(());
        }
        Err(DeliverError::Vanished) => {
            forget(app, session, false).await?;
            return Err(Refusal::Vanished);
        }
        Err(DeliverError::Exists) => Refusal::Exists,
        Err(DeliverError::NoFolder) => Refusal::NoFolder,
        Err(DeliverError::Io(error)) => storage(&error),
    };
    session.phase = Phase::WaitClose;
    app.storage.save(session).await.map_err(|e| storage(&e))?;
    Err(refusal)
}

/// Close-Session.
///
/// The server may have died between the last byte and what follows it; a client that learned the full offset from
/// another answer closes then without sending the final fragment again. So Close does what is still due first.
pub(crate) async fn close<S: Storage>(
    app: &Arc<App<S>>,
    current: &Current,
    session: &mut Session,
    rules: &Rules,
) -> Result<(), Refusal> {
    if session.phase == Phase::Receive {
        settle(app, current, session, rules).await?;
    }
    if session.close() == Ending::Deliver {
        deliver(app, session, rules).await?;
    }
    forget(app, session, true).await
}

/// Ends the session and remembers how.
pub(crate) async fn forget<S: Storage>(app: &App<S>, session: &Session, closed: bool) -> Result<(), Refusal> {
    app.storage.forget(session, Some(session.tombstone(closed))).await.map_err(|e| storage(&e))?;
    app.ledger.remove(&session.id);
    Ok(())
}

/// Address of a stored reply: beside the destination, below a name that nobody can guess.
pub(crate) fn reply_url(session: &Session, rules: &Rules) -> Option<String> {
    let path = SafePath::from_text(&session.path).ok()?;
    let (folder, _) = path.split()?;
    let folder = if folder == "." {
        String::new()
    } else {
        SafePath::from_text(&format!("/{folder}")).ok()?.encoded()
    };
    let origin = origin_on_node(&session.url, rules.host_id.as_deref())?;
    Some(format!("{origin}{folder}/{REPLIES}/{}", session.reply_token))
}
