//! Commands and events over a stream: a length (u32, little-endian), then that many bytes of JSON.

use crate::protocol::{Command, Event, FailureClass};
use crate::worker;
use openbits_core::hresult::BG_E_TOO_MANY_FILES_IN_JOB;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Longest message, in bytes. The order for the largest job, with every name at its limit, is well within it
/// ([`FILES_PER_JOB_EXEMPT`](openbits_core::limits::FILES_PER_JOB_EXEMPT)).
pub const MAX_MESSAGE: usize = 128 << 20;
/// Longest message that the service takes from a worker, in bytes: a worker's word is less trusted.
pub const MAX_EVENT: usize = 2 << 20;
/// Messages that may wait in each direction.
const QUEUE: usize = 256;

/// Why a stream of messages ended.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// The stream broke.
    #[error("the channel between service and worker broke: {0}")]
    Io(#[from] io::Error),
    /// The other side is not one of us.
    #[error("a message that cannot be read: {0}")]
    Message(#[from] serde_json::Error),
    /// Longer than [`MAX_MESSAGE`].
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
}

/// Reads one message; `None` at the end of the stream.
///
/// # Errors
/// See [`PumpError`]; an end inside a message is an I/O error.
pub async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, PumpError> {
    read_within(stream, MAX_MESSAGE).await
}

/// Reads one message of at most `limit` bytes; `None` at the end of the stream.
///
/// # Errors
/// See [`read`].
pub async fn read_within<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<Option<T>, PumpError> {
    let mut length = [0_u8; 4];
    match stream.read(&mut length).await? {
        0 => return Ok(None),
        got => {
            stream.read_exact(&mut length[got..]).await?;
        }
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Err(PumpError::TooLong(length));
    }
    // Orders hold passwords.
    let mut body = Zeroizing::new(Vec::new());
    // Grows with what really comes, not with what is announced.
    stream.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Writes one message.
///
/// # Errors
/// See [`PumpError`].
pub async fn write<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), PumpError> {
    let mut frame = Zeroizing::new(vec![0_u8; 4]);
    serde_json::to_writer(&mut *frame, message)?;
    let length = frame.len() - 4;
    if length > MAX_MESSAGE {
        return Err(PumpError::TooLong(length));
    }
    frame[..4].copy_from_slice(&u32::try_from(length).expect("at most MAX_MESSAGE").to_le_bytes());
    stream.write_all(&frame).await?;
    Ok(())
}

/// Gives a command to the worker. One that is too long is not sent: the event that comes back answers it, so that it ends its own job
/// and not the worker with everybody else's.
///
/// # Errors
/// The stream broke.
pub async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    command: &Command,
) -> Result<Option<Event>, PumpError> {
    match write(stream, command).await {
        Err(PumpError::TooLong(length)) => {
            let detail = format!(
                "The order for this job has {length} bytes, and at most {MAX_MESSAGE} fit: use fewer files for each job."
            );
            Ok(command.refusal(BG_E_TOO_MANY_FILES_IN_JOB, FailureClass::Fatal, &detail))
        }
        result => result.map(|()| None),
    }
}

/// The worker's side: runs a worker until the service asks it to leave, or goes away.
///
/// # Errors
/// The channel broke, or the service said something unreadable; every attempt was checkpointed even then.
pub async fn serve(channel: OwnedFd) -> Result<(), PumpError> {
    let stream = stream(channel)?;
    let (reader, mut writer) = stream.into_split();
    let (commands, commands_in) = mpsc::channel::<Command>(QUEUE);
    let (events_out, mut events) = mpsc::channel::<Event>(QUEUE);
    let incoming = async move {
        let mut reader = BufReader::new(reader);
        while let Some(command) = read(&mut reader).await? {
            if commands.send(command).await.is_err() {
                break; // the worker left
            }
        }
        Ok(())
    };
    let outgoing = async move {
        while let Some(event) = events.recv().await {
            write(&mut writer, &event).await?;
        }
        Ok::<(), PumpError>(())
    };
    // `incoming` ends with the service, which ends the worker, which ends `outgoing`. After Shutdown the worker ends first.
    let both = async {
        worker::run(commands_in, events_out).await;
    };
    tokio::pin!(incoming, outgoing, both);
    let (mut input, mut done) = (None, false);
    loop {
        tokio::select! {
            result = &mut incoming, if input.is_none() => input = Some(result),
            () = &mut both, if !done => done = true,
            result = &mut outgoing => {
                result?;
                return input.unwrap_or(Ok(()));
            }
        }
    }
}

fn stream(channel: OwnedFd) -> Result<UnixStream, PumpError> {
    let stream = std::os::unix::net::UnixStream::from(channel);
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?)
}
