//! A session at the server: what is stored of it, and how it moves (spec/upload-protocol.md 9).
//!
//! INIT -> [`Phase::Receive`] -> (complete, the back-end is told) -> [`Phase::WaitClose`] -> gone. A failed
//! notification leaves the session in `Receive` with all bytes there; the final fragment, sent again, tries again.

use super::{Refusal, SessionId};
use serde::{Deserialize, Serialize};

/// Which protocol opened the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// BITS upload protocol.
    Bits,
    /// tus 1.0.
    Tus,
}

/// How much is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Next expected byte: everything before it is durable.
    pub next: u64,
    /// Size of the whole file, once known.
    pub total: Option<u64>,
}

impl Progress {
    /// True if every byte is there.
    pub fn is_complete(self) -> bool {
        self.total == Some(self.next)
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Bytes are missing, or they are all there and the back-end has not accepted them yet.
    Receive,
    /// Nothing is left to do but Close.
    WaitClose,
    /// The back-end answered 403: it is never asked about this upload again (section 9.5).
    Rejected,
    /// The file is on its way to the destination: the stored bytes may be gone because they arrived there.
    Committing,
    /// The file is at the destination; Close only ends the session (`commit = final-fragment`).
    Committed,
}

/// What only tus needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tus {
    /// `Upload-Metadata` as the client sent it.
    pub metadata: Option<String>,
    /// Part or whole of a concatenation.
    pub concat: Option<TusConcat>,
}

/// `Upload-Concat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TusConcat {
    /// Bytes for a later upload; never delivered by itself.
    Partial,
    /// The parts, in order, as the client listed them.
    Final(String),
}

/// Everything that is stored of a session, besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Which protocol opened it.
    pub door: Door,
    /// Name of the caller; empty for an anonymous one.
    pub owner: String,
    /// Whose sessions are counted together: the caller's name, or an anonymous caller's address.
    pub counted_as: String,
    /// Destination: decoded path below the root, with a leading `/`.
    pub path: String,
    /// Destination URL as the client wrote it, with the query.
    pub url: String,
    /// Creation, in seconds since 1970.
    pub created_s: u64,
    /// Where it stands.
    pub phase: Phase,
    /// True until a back-end takes the upload over (section 9.1).
    pub copy_to_destination: bool,
    /// The stored reply's secret name, made with the session.
    pub reply_token: String,
    /// `BITS-Reply-URL` of the final answer.
    pub reply_url: Option<String>,
    /// How much is there.
    pub progress: Progress,
    /// Only for [`Door::Tus`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tus: Option<Tus>,
}

/// What the back-end said (section 15.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notified {
    /// 200.
    Accepted {
        /// `BITS-Copy-File-To-Destination` was there.
        copy_to_destination: bool,
        /// Where the client finds the reply, if there is one.
        reply_url: Option<String>,
    },
    /// Any other status.
    Refused(u16),
    /// No answer in time.
    TimedOut,
    /// It answered 200 with a reply URL that is too long.
    ReplyUrlTooLong,
}

/// What completion needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Bytes are missing.
    NotYet,
    /// Tell the back-end now.
    Notify,
    /// Store [`Phase::WaitClose`] now: there is no back-end.
    NoBackend,
    /// It was all done before: give the same answer again.
    Cached(Final),
}

/// The answer to the final fragment that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Final {
    /// 200, with the stored reply URL.
    Accepted,
    /// 403 from the back-end.
    Rejected,
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Move the file to its destination, then forget everything.
    Deliver,
    /// Forget everything; the destination is not touched.
    Discard,
}

/// What is kept of a session that ended, so that a repeated last packet gets the same answer (section 9.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Its name.
    pub id: SessionId,
    /// Which protocol opened it.
    pub door: Door,
    /// Whose it was.
    pub owner: String,
    /// Its destination.
    pub path: String,
    /// True if Close ended it, false if Cancel did.
    pub closed: bool,
    /// How much was there.
    pub progress: Progress,
}

impl Session {
    /// What to do now that no more bytes of this request come (section 9.5).
    pub fn settle(&self, backend_configured: bool) -> Settle {
        match self.phase {
            _ if !self.progress.is_complete() => Settle::NotYet,
            Phase::Receive if backend_configured => Settle::Notify,
            Phase::Receive => Settle::NoBackend,
            Phase::Rejected => Settle::Cached(Final::Rejected),
            Phase::WaitClose | Phase::Committing | Phase::Committed => Settle::Cached(Final::Accepted),
        }
    }

    /// Takes in what the back-end said; the result is the answer to the final fragment.
    ///
    /// After 403 the session stays and is never posted again; after any other failure it stays as it was.
    pub fn notified(&mut self, answer: Notified) -> Result<(), Refusal> {
        match answer {
            Notified::Accepted { copy_to_destination, reply_url } => {
                self.copy_to_destination = copy_to_destination;
                self.reply_url = reply_url;
                self.phase = Phase::WaitClose;
                Ok(())
            }
            Notified::Refused(403) => {
                self.phase = Phase::Rejected;
                Err(Refusal::Backend(403))
            }
            Notified::Refused(status) => Err(Refusal::Backend(status)),
            Notified::TimedOut => Err(Refusal::BackendTimeout),
            Notified::ReplyUrlTooLong => Err(Refusal::ReplyUrlTooLong),
        }
    }

    /// What Close-Session does (section 9.6).
    ///
    /// [`Session::settle`] comes first: a complete upload must not be closed in [`Phase::Receive`]. What is incomplete, or
    /// was refused by the back-end, is discarded.
    pub fn close(&self) -> Ending {
        match self.phase {
            Phase::WaitClose | Phase::Committing if self.copy_to_destination => Ending::Deliver,
            _ => Ending::Discard,
        }
    }

    /// What stays when the session is gone.
    pub fn tombstone(&self, closed: bool) -> Tombstone {
        Tombstone {
            id: self.id.clone(),
            door: self.door,
            owner: self.owner.clone(),
            path: self.path.clone(),
            closed,
            progress: self.progress,
        }
    }

    /// True if the packet's caller and URL are those of the session: an id alone gives no access (section 9.7).
    pub fn is_for(&self, owner: &str, path: &str) -> bool {
        self.owner == owner && self.path == path
    }
}
