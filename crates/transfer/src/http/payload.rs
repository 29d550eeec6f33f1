//! Bodies of requests: nothing, a text, or a part of a file that is read outside of the event loop.

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// Bytes read at once. Two such pieces are in memory for each upload: one on its way out, one being read.
const PIECE: u64 = 256 << 10;

/// How much of a body the connection took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    bytes: AtomicU64,
    total: AtomicU64,
}

impl Sent {
    /// Bytes taken so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Nothing is to be sent.
    pub(crate) fn clear(&self) {
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.total.store(0, Ordering::Relaxed);
    }

    /// The connection took all of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.bytes() == self.total()
    }

    /// Bytes of the whole body.
    pub(super) fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }
}

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Nothing.
    Empty,
    /// A text.
    Text(Option<Bytes>),
    /// A part of a file.
    File(Part),
}

/// A part of a file on its way out.
#[derive(Debug)]
pub(crate) struct Part {
    file: Arc<File>,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    sent: Sent,
}

impl Payload {
    /// `length` bytes of a file from `offset` on.
    pub(crate) fn file(file: Arc<File>, offset: u64, length: u64, sent: &Sent) -> Self {
        sent.0.bytes.store(0, Ordering::Relaxed);
        sent.0.total.store(length, Ordering::Relaxed);
        Self::File(Part { file, next: offset, end: offset + length, reading: None, sent: sent.clone() })
    }

    /// A text.
    pub(crate) fn text(text: String) -> Self {
        Self::Text(Some(Bytes::from(text)))
    }
}

impl Part {
    fn left(&self) -> u64 {
        self.sent.total() - self.sent.bytes()
    }

    /// Reads the next piece ahead. One that is shorter than it was is an error: the file was changed.
    fn read_ahead(&mut self) {
        if self.reading.is_some() || self.next >= self.end {
            return;
        }
        let (file, offset) = (Arc::clone(&self.file), self.next);
        let length = (self.end - offset).min(PIECE);
        self.next += length;
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let mut piece = BytesMut::zeroed(usize::try_from(length).expect("at most a piece"));
            file.read_exact_at(&mut piece, offset)?;
            Ok(piece.freeze())
        }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.read_ahead();
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let piece = match read {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => return Poll::Ready(Some(Err(error))),
            Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
        };
        self.sent.0.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        self.read_ahead();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::File(part) => part.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_none(),
            Self::File(part) => part.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Empty => 0,
            Self::Text(text) => text.as_ref().map_or(0, |text| text.len() as u64),
            Self::File(part) => part.left(),
        })
    }
}
