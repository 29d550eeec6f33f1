//! Where a body comes from: an answer over HTTP, or a file that a reader of ours reads (a share, a mounted path).
//!
//! Everything that takes bytes takes them here, so that what holds for one kind (pacing, limits, the idle timeout) holds for all.

mod local;
mod smb;
mod stamp;

pub(crate) use local::open as open_local;
pub(crate) use smb::open as open_smb;

use crate::http::{Link, Piece, Reply};
use crate::protocol::Pace;
use crate::rate::{Level, Limiter, Meter};
use bytes::Bytes;
use http::response::Parts;
use openbits_core::plan::Framing;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::sync::mpsc;

/// Bytes of one piece of a file.
const PIECE: usize = 512 << 10;
/// Pieces that may wait for the writer; with [`PIECE`] this bounds the memory of a reader.
const PIECES: usize = 4;

/// An answer, its body unread.
pub(crate) enum Source {
    /// Over HTTP.
    Http(Box<(Link, Reply)>),
    /// From a reader of files.
    File(Box<Metered>),
}

impl Source {
    /// The head of the answer. Readers of files make one in the words of HTTP, so that one plan decides about all.
    pub(crate) fn head(&self) -> (&Parts, Framing) {
        match self {
            Self::Http(http) => (&http.1.head, http.1.framing),
            Self::File(file) => (&file.reading.head, file.reading.framing),
        }
    }

    /// The server asked for a client certificate in the handshake, and the job has none.
    pub(crate) fn misses_certificate(&self) -> bool {
        matches!(self, Self::Http(http) if http.0.misses_certificate())
    }

    /// Status, where somebody else gave one.
    pub(crate) fn http_status(&self) -> Option<u16> {
        match self {
            Self::Http(http) => Some(http.1.head.status.as_u16()),
            Self::File(_) => None,
        }
    }

    /// The next piece of the body. Dropping the future loses nothing.
    pub(crate) async fn piece(&mut self) -> Piece {
        match self {
            Self::Http(http) => {
                let (link, reply) = &mut **http;
                link.piece(reply).await
            }
            Self::File(file) => file.piece().await,
        }
    }

    /// Tells how much came and how much of a body of known length is still to come.
    pub(crate) fn came(&mut self, bytes: usize, to_come: Option<u64>) {
        if let Self::Http(http) = self {
            http.0.came(bytes, to_come);
        }
    }

    /// Nothing came for a while: take every byte again.
    pub(crate) fn lower_water(&mut self) {
        if let Self::Http(http) = self {
            http.0.lower_water();
        }
    }

    /// HTTP/2 was agreed on.
    pub(crate) fn is_http2(&self) -> bool {
        match self {
            Self::Http(http) => http.0.is_http2(),
            Self::File(_) => false,
        }
    }

    /// Nobody takes what comes (or somebody does again).
    pub(crate) fn hold(&self, held: bool) {
        if let Self::Http(http) = self {
            http.0.hold(held);
        }
    }

    /// Somebody holds it: what does not come proves nothing.
    pub(crate) fn is_held(&self) -> bool {
        match self {
            Self::Http(http) => http.0.is_held(),
            Self::File(file) => file.meter.is_held(),
        }
    }

    /// State of the pacing; `None` if the source is not paced.
    pub(crate) fn pacing(&self) -> Option<Pace> {
        match self {
            Self::Http(http) => http.0.pacing(),
            Self::File(_) => None,
        }
    }

    /// Where the bytes come from, for people: `host:port`, or `file`.
    pub(crate) fn peer(&self) -> &str {
        match self {
            Self::Http(http) => http.0.peer(),
            Self::File(file) => &file.reading.peer,
        }
    }
}

/// A file that is being read elsewhere. Dropping it ends the reader.
pub(crate) struct Reading {
    head: Parts,
    framing: Framing,
    pieces: mpsc::Receiver<Piece>,
    peer: String,
    /// Address of the server, if its name is one.
    address: Option<SocketAddr>,
}

impl Reading {
    /// The source, under the limits of bandwidth of a level.
    pub(crate) fn under(self, limiter: &Rc<Limiter>, level: &Rc<Level>) -> Source {
        let meter = Meter::new(limiter, level, self.address);
        Source::File(Box::new(Metered { reading: self, meter, rest: Bytes::new() }))
    }
}

/// A file that is being read elsewhere, taken as fast as the limit allows.
pub(crate) struct Metered {
    reading: Reading,
    meter: Meter,
    /// What was read and may not move yet.
    rest: Bytes,
}

impl Metered {
    async fn piece(&mut self) -> Piece {
        while self.rest.is_empty() {
            match self.reading.pieces.recv().await {
                Some(Piece::Data(data)) => self.rest = data,
                Some(other) => return other,
                None => return Piece::End,
            }
        }
        let allowed = self.meter.allowed().await;
        let part = self.rest.split_to(allowed.min(self.rest.len()));
        self.meter.moved(part.len());
        Piece::Data(part)
    }
}

#[cfg(test)]
mod tests;
