//! Reading a file on an SMB share.
//!
//! Each transfer has a session in a thread of its own: whatever the protocol costs or waits for, no other transfer waits with it.

use super::stamp::Stamp;
use super::{PIECE, PIECES, Reading};
use crate::failure::{Outcome, transport, with};
use crate::http::Piece;
use crate::share::{Share, User, connect, limited};
use bytes::Bytes;
use futures_util::StreamExt;
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::plan::Request;
use openbits_core::remote::{self, Remote, SmbName};
use smb2::FileReader;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};

/// Reads under way at a time: enough for a fast network, and with [`PIECE`] a bound for memory.
const READS: usize = 4;

/// Opens a file on a share and begins to read what the request asks for.
pub(crate) async fn open(request: &Request, connect: Duration, idle: Duration) -> Outcome<Reading> {
    let Ok(Remote::Smb(name)) = remote::parse(request.url.as_str()) else {
        let detail = "The URL names no file on a share.";
        return Err(with(ErrorContext::RemoteFile, ERROR_INVALID_NAME, Class::Fatal, detail));
    };
    let (told, heard) = oneshot::channel();
    let request = request.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| transport(E_OUTOFMEMORY, format!("No event loop for the share: {error}.")))?;
    std::thread::Builder::new()
        .name("openbits-smb".into())
        .spawn(move || {
            runtime.block_on(serve(name, request, (connect, idle), told));
            // What the session left running ends with it.
            runtime.shutdown_background();
        })
        .map_err(|error| transport(E_OUTOFMEMORY, format!("No thread for the share: {error}.")))?;
    match heard.await {
        Ok(result) => result,
        Err(_) => Err(transport(BG_E_CONNECTION_CLOSED, "The session with the share ended at once.")),
    }
}

async fn serve(
    name: SmbName,
    request: Request,
    (connect_timeout, idle): (Duration, Duration),
    mut told: oneshot::Sender<Outcome<Reading>>,
) {
    let opening = async {
        let mut share = connect(&name, &User::default(), connect_timeout).await?;
        let stamp = stamp(&mut share, &name.path, idle).await?;
        let reader = limited(idle, Box::pin(share.client.open_file_reader(&share.tree, &name.path))).await?;
        // What is read is what was looked at.
        let same = reader.size() == stamp.size && time(reader.info().modified) == stamp.modified;
        if !same {
            return Err(transport(BG_E_CONNECTION_CLOSED, "The file is being changed on the share."));
        }
        Ok((share, stamp, reader))
    };
    let opened = tokio::select! {
        () = told.closed() => return,
        opened = Box::pin(opening) => opened,
    };
    let (mut share, stamp, reader) = match opened {
        Ok(opened) => opened,
        Err(fail) => return drop(told.send(Err(fail))),
    };
    let (head, framing, body) = stamp.answer(&request, SystemTime::now());
    let (sender, pieces) = mpsc::channel(PIECES);
    let peer = format!("{}:{}", name.host, name.port);
    let address = name.host.parse().ok().map(|address: IpAddr| SocketAddr::new(address, name.port));
    if told.send(Ok(Reading { head, framing, pieces, peer, address })).is_err() {
        return;
    }
    let reading = async {
        let mut last = read(&reader, body, &sender, idle).await;
        if matches!(last, Piece::End) {
            last = match self::stamp(&mut share, &name.path, idle).await {
                Ok(now) if now == stamp => Piece::End,
                Ok(_) => Piece::Changed,
                Err(fail) => Piece::Cut(fail),
            };
        }
        // Nobody may listen any more.
        let _ = sender.send(last).await;
    };
    tokio::select! {
        () = sender.closed() => {}
        () = Box::pin(reading) => {}
    }
    // Politeness to the server; the end of the connection says the same.
    let _ = tokio::time::timeout(Duration::from_millis(500), reader.close()).await;
}

/// Reads the body; the last piece is not sent but comes back.
async fn read(reader: &FileReader, body: Range<u64>, pieces: &mpsc::Sender<Piece>, idle: Duration) -> Piece {
    let starts = (body.start..body.end).step_by(PIECE);
    let mut reads = futures_util::stream::iter(starts)
        .map(|start| async move {
            let length = (body.end - start).min(PIECE as u64);
            limited(idle, reader.read_at(start, length)).await.map(|bytes| (bytes, length))
        })
        .buffered(READS);
    while let Some(read) = reads.next().await {
        match read {
            Ok((bytes, length)) => {
                let whole = bytes.len() as u64 == length;
                if pieces.send(Piece::Data(Bytes::from(bytes))).await.is_err() {
                    return Piece::End;
                }
                if !whole {
                    return Piece::Changed; // it was longer
                }
            }
            Err(fail) => return Piece::Cut(fail),
        }
    }
    Piece::End
}

/// The version of the file on the share.
async fn stamp(share: &mut Share, path: &str, timeout: Duration) -> Outcome<Stamp> {
    let (info, identity) = share.look(path, timeout).await?;
    if info.is_directory {
        let detail = "The source is a folder and not a file.";
        return Err(with(ErrorContext::RemoteFile, E_ACCESSDENIED, Class::Fatal, detail));
    }
    Ok(Stamp {
        size: info.size,
        modified: time(info.modified),
        changed: time(info.changed),
        number: identity.map_or(0, |identity| identity.index_number),
    })
}

/// Times that say nothing become 1970.
fn time(time: smb2::pack::FileTime) -> SystemTime {
    time.to_system_time().unwrap_or(SystemTime::UNIX_EPOCH)
}
