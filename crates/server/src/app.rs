//! What all requests share.

use crate::auth::{Claim, CredentialError, Credentials};
use crate::ledger::Ledger;
use crate::locks::Locks;
use crate::notify::Notifier;
use crate::settings::{Notification, Settings, Who};
use crate::storage::Storage;
use http::{Extensions, HeaderMap};
use openbits_core::upload::{Refusal, SessionId};
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Settings and credentials of one moment.
pub(crate) struct Current {
    pub(crate) settings: Settings,
    pub(crate) credentials: Arc<Credentials>,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) tls: bool,
    pub(crate) certificate: Option<Arc<str>>,
}

/// One server over one storage.
pub struct App<S> {
    pub(crate) storage: S,
    pub(crate) locks: Locks,
    pub(crate) ledger: Ledger,
    pub(crate) notifier: Notifier,
    pub(crate) spellings: Extensions,
    current: RwLock<Arc<Current>>,
}

/// Why a server cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of credentials is unusable.
    #[error("{0}")]
    Credentials(String),
    /// Back-ends are told nothing by a storage that cannot read unfinished uploads.
    #[error("notification is not possible with this storage")]
    Notification,
    /// The storage does not answer.
    #[error(transparent)]
    Storage(#[from] io::Error),
}

impl From<CredentialError> for StartError {
    fn from(error: CredentialError) -> Self {
        Self::Credentials(error.to_string())
    }
}

/// Why a caller may not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Credentials are needed, or were wrong.
    Challenge,
    /// This caller may not.
    Forbidden,
}

impl<S: Storage> App<S> {
    /// Reads the credentials and counts the live sessions.
    pub async fn new(storage: S, settings: Settings) -> Result<Arc<Self>, StartError> {
        Self::check(&settings)?;
        let credentials = Credentials::read(&settings)?;
        let ledger = Ledger::default();
        ledger.recount(&storage.census().await?, &HashSet::new());
        Ok(Arc::new(Self {
            storage,
            locks: Locks::default(),
            ledger,
            notifier: Notifier::new(),
            spellings: crate::names::spellings().await,
            current: RwLock::new(Arc::new(Current { settings, credentials })),
        }))
    }

    fn check(settings: &Settings) -> Result<(), StartError> {
        let told =
            settings.path.iter().any(|path| !matches!(path.notification, None | Some(Notification::None)));
        if told && !S::READS_UNFINISHED { Err(StartError::Notification) } else { Ok(()) }
    }

    /// Takes new settings; requests in progress end with the old ones. On error nothing changes.
    pub fn reload(&self, settings: Settings) -> Result<(), StartError> {
        Self::check(&settings)?;
        let credentials = Credentials::read(&settings)?;
        let new = Arc::new(Current { settings, credentials });
        *self.current.write().expect("never poisoned: nothing panics under it") = new;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().expect("never poisoned: nothing panics under it"))
    }

    /// Number of live sessions.
    pub fn sessions(&self) -> usize {
        self.ledger.len()
    }
}

impl Current {
    /// The caller's name, empty for an anonymous one, if `who` admits it.
    pub(crate) async fn caller(&self, headers: &HeaderMap, peer: &Peer, who: &Who) -> Result<String, Denied> {
        match self.credentials.claim(headers, peer.tls, peer.certificate.as_deref()).await {
            Claim::Wrong => Err(Denied::Challenge),
            Claim::Name(name) if who.admits(&name) => Ok(name),
            Claim::Name(_) => Err(Denied::Forbidden),
            Claim::None if who.admits("") => Ok(String::new()),
            Claim::None if *who == Who::Nobody || !self.settings.knows_callers() => Err(Denied::Forbidden),
            Claim::None => Err(Denied::Challenge),
        }
    }
}

/// Whose sessions are counted together.
pub(crate) fn counted_as(caller: &str, peer: &Peer) -> String {
    if caller.is_empty() { format!("anonymous at {}", peer.address) } else { caller.to_owned() }
}

/// 16 bytes that nobody can guess.
pub(crate) fn random() -> Result<[u8; 16], Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Storage(5))?;
    Ok(bytes)
}

/// A new secret name for a reply.
pub(crate) fn reply_token() -> Result<String, Refusal> {
    let id = SessionId::from_random_bytes(random()?);
    id.guid().ok_or(Refusal::Storage(5))
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
