//! Reading the body of an upload: bounded in time, kept in steps.

use crate::locks::Held;
use crate::respond::storage;
use crate::settings::Limits;
use crate::storage::Writer;
use aws_lc_rs::digest::Context;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use openbits_core::upload::Refusal;
use std::time::{Duration, Instant};

/// Bytes after which the progress is made durable even though the body goes on.
const CHECKPOINT: u64 = 8 << 20;
/// Not if so little is left: the end of a fragment of the usual 13 MiB is near enough, and a sync costs a pause.
const NEAR_THE_END: u64 = 5 << 20;

/// Bytes that an older request may still take when a newer one waits.
const LATE: usize = 1 << 20;

/// How slow a body may be.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    idle: Duration,
    min_bytes_per_s: u64,
    began: Instant,
    received: u64,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            idle: Duration::from_secs(limits.idle_timeout_s),
            min_bytes_per_s: limits.min_bytes_per_s,
            began: Instant::now(),
            received: 0,
        }
    }

    /// The next piece of the body; `None` at its end.
    async fn next(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = tokio::time::timeout(self.idle, body.frame()).await.map_err(|_| Refusal::TooSlow)?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| Refusal::Invalid("the body broke off"))?;
            let Ok(bytes) = frame.into_data() else { continue };
            self.received += bytes.len() as u64;
            let elapsed = self.began.elapsed();
            if elapsed > self.idle && self.received < self.min_bytes_per_s.saturating_mul(elapsed.as_secs()) {
                return Err(Refusal::TooSlow);
            }
            return Ok(Some(bytes));
        }
    }
}

/// Where a body goes.
pub(crate) struct Intake<'a, W> {
    pub(crate) writer: &'a mut W,
    pub(crate) held: &'a mut Held,
    pub(crate) pace: Pace,
    /// Bytes at the beginning that are there already.
    pub(crate) skip: u64,
    /// Bytes that may be written.
    pub(crate) limit: u64,
    /// With a digest nothing is kept before its end: the whole body may turn out wrong.
    pub(crate) digest: Option<&'a mut Context>,
}

/// Hands the body to the writer. Whatever the result, what was handed over is worth a [`Writer::sync`], unless the
/// digest is wrong.
pub(crate) async fn receive<W: Writer>(body: &mut Incoming, intake: Intake<'_, W>) -> Result<(), Refusal> {
    let Intake { writer, held, mut pace, mut skip, limit, mut digest } = intake;
    let (mut taken, mut unsaved, mut late) = (0, 0, 0);
    let announced = http_body::Body::size_hint(body).exact().map(|length| length.saturating_sub(skip));
    writer.expect(announced.unwrap_or(0));
    loop {
        let piece = tokio::select! {
            // What has arrived already is taken before a newer request takes over.
            biased;
            piece = pace.next(body) => piece,
            () = held.superseded() => return Err(Refusal::Superseded),
        };
        if held.is_superseded() {
            late += piece.as_ref().map_or(0, |piece| piece.as_ref().map_or(0, Bytes::len));
            if late > LATE {
                return Err(Refusal::Superseded);
            }
        }
        let Some(mut bytes) = piece? else { return Ok(()) };
        if let Some(digest) = digest.as_deref_mut() {
            digest.update(&bytes);
        }
        let known = skip.min(bytes.len() as u64);
        skip -= known;
        let _ = bytes.split_to(usize::try_from(known).expect("not longer than the piece"));
        let length = bytes.len() as u64;
        if taken + length > limit {
            return Err(Refusal::Invalid("the body is longer than announced"));
        }
        taken += length;
        unsaved += length;
        writer.write(bytes).await.map_err(|error| storage(&error))?;
        let near = announced.is_some_and(|announced| announced.saturating_sub(taken) <= NEAR_THE_END);
        if unsaved >= CHECKPOINT && !near && digest.is_none() {
            writer.checkpoint().await.map_err(|error| storage(&error))?;
            unsaved = 0;
        }
    }
}

/// Reads and drops a body, so that the connection stays usable and the answer is seen. More than `limit` bytes are
/// not read: the connection is closed then.
pub(crate) async fn drain(body: &mut Incoming, limit: u64, limits: &Limits) -> bool {
    let mut pace = Pace::new(limits);
    while pace.received <= limit {
        match pace.next(body).await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    false
}
