//! Connections of the agent's door: who is there, one request after the other, limits.

use super::calls::Calls;
use super::log::Lines;
use crate::http::server::{Admission, Users};
use openbits_core::Caller;
use openbits_core::delivery::reply;
use openbits_core::delivery::request::{HEAD_MAX, Parsed, parse};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// Connections at once, of all callers together.
const CONNECTIONS_MAX: usize = 512;
/// A connection without a request is closed after this time; the SDK connects again by itself.
const IDLE: Duration = Duration::from_secs(600);
/// A request that began has to be complete within this time.
const HEAD: Duration = Duration::from_secs(10);
/// An answer has to be taken within this time.
const TAKEN: Duration = Duration::from_secs(10);

/// What connections share.
#[derive(Clone)]
pub struct Door {
    /// The verbs.
    pub(crate) calls: Calls,
    /// Who may call.
    pub(crate) admission: Admission,
}

impl Door {
    /// A door for what was opened.
    pub(super) fn new(
        app: crate::http::App,
        admission: Admission,
        runs_as: watch::Receiver<Option<openbits_core::Uid>>,
        config: super::Config,
        lines: Lines,
    ) -> Self {
        let settings = admission.settings.clone();
        Self { calls: Calls::new(app, runs_as, config, settings, lines), admission }
    }
}

/// Serves until `closing` is through. When it returns, the port and all connections are closed.
pub async fn serve(listener: TcpListener, door: Door, closing: impl Future<Output = ()>) {
    tokio::pin!(closing);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let users = Users::default();
    let mut connections = tokio::task::JoinSet::new();
    let mut hangups = signal(SignalKind::hangup()).ok();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            Some(()) = hangup(&mut hangups) => {
                door.calls.reload();
                continue;
            }
            () = &mut closing => break,
            Some(_) = connections.join_next() => continue,
        };
        let Some((stream, slot)) = accepted else { continue };
        let (door, users) = (door.clone(), users.clone());
        connections.spawn(async move {
            let _slot = slot;
            // Only what the kernel says, and only while the connection is whole: docs/decisions/0024.
            let caller = match peer(&stream) {
                Ok(uid) => door.admission.caller_of(uid).await,
                Err(error) => {
                    tracing::debug!(%error, "a connection to the agent is of nobody");
                    None
                }
            };
            let Some((caller, _place)) = caller.and_then(|caller| Some((caller, users.place(caller)?)))
            else {
                return;
            };
            if let Err(error) = talk(stream, &door, caller).await {
                tracing::debug!(%error, "a connection to the agent ended");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

async fn hangup(hangups: &mut Option<Signal>) -> Option<()> {
    match hangups {
        Some(hangups) => hangups.recv().await,
        None => std::future::pending().await,
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "a connection to the agent could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// The user at the other end.
fn peer(stream: &TcpStream) -> io::Result<u32> {
    let (SocketAddr::V4(peer), SocketAddr::V4(own)) = (stream.peer_addr()?, stream.local_addr()?) else {
        return Err(io::Error::other("not IPv4"));
    };
    let uid = openbits_link::peer::uid(peer, own)?;
    // While our end has a peer, this pair of addresses is of this connection alone: the answer was about it.
    stream.peer_addr()?;
    Ok(uid)
}

async fn talk(mut stream: TcpStream, door: &Door, caller: Caller) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let loopback = stream.peer_addr()?.ip().is_loopback();
    let mut buffer = Vec::with_capacity(2048);
    // Of the request that has begun to come.
    let mut deadline = None;
    loop {
        let (bytes, used, last) = match parse(&buffer) {
            Parsed::Incomplete => {
                let until = match buffer.is_empty() {
                    true => Instant::now() + IDLE,
                    false => *deadline.get_or_insert_with(|| Instant::now() + HEAD),
                };
                let Ok(read) = timeout_at(until, read(&mut stream, &mut buffer)).await else { return Ok(()) };
                if read? == 0 {
                    return Ok(());
                }
                continue;
            }
            Parsed::Malformed => {
                door.calls.malformed(caller);
                (reply::MALFORMED.to_vec(), buffer.len(), true)
            }
            Parsed::Request(request, used) => {
                (door.calls.answer(caller, &request, loopback).await, used, request.last)
            }
        };
        buffer.drain(..used);
        deadline = None;
        timeout(TAKEN, stream.write_all(&bytes)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        if last {
            return stream.shutdown().await;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let room = (HEAD_MAX + 2).saturating_sub(buffer.len()) as u64;
    stream.take(room).read_buf(buffer).await
}
