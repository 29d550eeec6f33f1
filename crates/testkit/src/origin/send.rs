//! Carries out a plan on an HTTP/1 connection.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::conn::Conn;
use super::log::Outcome;
use super::plan::{End, Head, Plan, Step};
use super::state::{Entry, Shared};
use crate::content::Content;

/// Largest piece of a body sent at once, in bytes.
pub(crate) const PIECE_BYTES: u64 = 256 * 1024;

/// Who is answered, for the counters.
pub(crate) struct Answering<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) entry: Option<&'a Entry>,
    pub(crate) exchange: u64,
}

impl Answering<'_> {
    /// Waits for holds and throttles; how many of `want` bytes from `at` on may be sent.
    pub(crate) async fn clearance(&self, at: u64, want: u64) -> u64 {
        match self.entry {
            Some(entry) => entry.clearance(self.shared, at, want).await,
            None => want,
        }
    }

    /// Books body bytes handed to the kernel.
    pub(crate) fn sent(&self, bytes: u64) {
        if let Some(entry) = self.entry {
            entry.sent.fetch_add(bytes, Ordering::SeqCst);
        }
        self.shared.log.update(self.exchange, |exchange| exchange.body_bytes += bytes);
    }

    pub(crate) fn replace(&self, file: super::file::OriginFile) {
        if let Some(entry) = self.entry {
            *entry.file() = file;
        }
    }
}

/// Sends the plan up to, not including, its end.
pub(crate) async fn send(conn: &mut Conn, who: &Answering<'_>, plan: &Plan) -> Outcome {
    match steps(conn, who, plan).await {
        Err(_) => Outcome::ClientGone,
        Ok(()) => match plan.end {
            End::KeepAlive | End::Close => Outcome::Done,
            End::CutClose | End::CutReset | End::CutGoaway => Outcome::Cut,
        },
    }
}

async fn steps(conn: &mut Conn, who: &Answering<'_>, plan: &Plan) -> io::Result<()> {
    if let Head::Fields(fields) = &plan.head {
        conn.write_all(&fields.to_bytes()).await?;
    }
    for step in &plan.steps {
        match step {
            Step::Bytes(bytes) => conn.write_all(bytes).await?,
            Step::Body { content, start, end } => body(conn, who, content, *start, *end).await?,
            Step::Trickle { content, start, end, every } => {
                for at in *start..*end {
                    body(conn, who, content, at, at + 1).await?;
                    pause(conn, *every).await?;
                }
            }
            Step::Endless { bytes, limit } => {
                let mut left = *limit;
                while left > 0 {
                    conn.write_all(bytes).await?;
                    left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(left).max(1));
                }
                conn.flush().await?;
                return stall(conn).await;
            }
            Step::Pause(time) => pause(conn, *time).await?,
            Step::Stall => return stall(conn).await,
            Step::Replace(file) => who.replace((**file).clone()),
        }
    }
    conn.flush().await
}

async fn body(
    conn: &mut Conn,
    who: &Answering<'_>,
    content: &Content,
    start: u64,
    end: u64,
) -> io::Result<()> {
    let piece = usize::try_from(PIECE_BYTES.min(end.saturating_sub(start))).expect("a piece fits memory");
    let mut buffer = vec![0; piece];
    let mut at = start;
    while at < end {
        let want = (end - at).min(PIECE_BYTES);
        let free = tokio::select! {
            biased;
            free = who.clearance(at, want) => free,
            () = conn.gone() => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        let len = usize::try_from(free).expect("a piece fits memory");
        let filled = content.fill(at, &mut buffer[..len]);
        // Beyond its end a content has zeros: for answers longer than the file.
        buffer[filled..len].fill(0);
        conn.write_all(&buffer[..len]).await?;
        who.sent(free);
        at += free;
    }
    Ok(())
}

async fn pause(conn: &mut Conn, time: Duration) -> io::Result<()> {
    conn.flush().await?;
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = conn.gone() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

/// Waits for the client to give up: always an error.
async fn stall(conn: &mut Conn) -> io::Result<()> {
    conn.flush().await?;
    conn.gone().await;
    Err(io::ErrorKind::ConnectionAborted.into())
}
