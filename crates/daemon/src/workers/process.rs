//! The worker of the system's service: a process with exactly one owner's uid, gid and groups, and nothing else.
//!
//! The service talks to it through a socket pair (descriptor 3 of the worker) in frames of JSON.

use super::outbox::Outbox;
use super::{WorkerMessage, WorkerNews};
use crate::system::identity::Identity;
use openbits_core::Uid;
use openbits_transfer::pump;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Starts it after a delay. The returned function kills it.
pub(super) fn spawn(
    program: &Path,
    owner: Uid,
    generation: u64,
    outbox: &Arc<Outbox>,
    messages: &mpsc::Sender<WorkerMessage>,
    delay_ms: u64,
) -> io::Result<Box<dyn FnMut() + Send>> {
    let program = program.to_owned();
    let outbox = Arc::clone(outbox);
    let messages = messages.clone();
    let task = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let news = match start(&program, owner).await {
            Err(error) => WorkerNews::Impossible(error.to_string()),
            Ok((child, stream)) => match serve(child, stream, owner, generation, &outbox, &messages).await {
                Ok(()) => WorkerNews::Lost("left".to_owned()),
                Err(error) => WorkerNews::Lost(error.to_string()),
            },
        };
        let _ = messages.send(WorkerMessage { owner, generation, news }).await;
    });
    // Dropping the task drops the child's handle, which kills it.
    Ok(Box::new(move || task.abort()))
}

/// A child that is killed and reaped when it is let go.
struct Child(Option<std::process::Child>);

impl Drop for Child {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        let _ = child.kill();
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        // A process that hangs in the kernel (a dead network file system) dies late: a thread waits for it, not the service.
        let _ = std::thread::Builder::new().name("reaper".to_owned()).spawn(move || child.wait());
    }
}

/// Looks the account up, on a thread of its own since a directory service may take its time, and starts the process.
///
/// The process is started by the service's main thread: it dies with the thread that started it (PR_SET_PDEATHSIG).
async fn start(program: &Path, owner: Uid) -> io::Result<(Child, UnixStream)> {
    let identity =
        tokio::task::spawn_blocking(move || Identity::of(owner)).await.map_err(io::Error::other)??;
    let (ours, theirs) = UnixStream::pair()?;
    let child = Child(Some(identity.spawn(program, theirs)?));
    Ok((child, ours))
}

async fn serve(
    mut child: Child,
    ours: UnixStream,
    owner: Uid,
    generation: u64,
    outbox: &Outbox,
    messages: &mpsc::Sender<WorkerMessage>,
) -> io::Result<()> {
    ours.set_nonblocking(true)?;
    let (reader, mut writer) = tokio::net::UnixStream::from_std(ours)?.into_split();
    let mut reader = tokio::io::BufReader::new(reader);
    let write = async {
        loop {
            let command = outbox.pop().await;
            if let Some(event) = pump::send(&mut writer, &command).await.map_err(io::Error::other)? {
                tracing::error!(owner = owner.0, "an order is too long for the worker");
                let message = WorkerMessage { owner, generation, news: WorkerNews::Event(event) };
                if messages.send(message).await.is_err() {
                    return Ok(());
                }
            }
        }
    };
    let read = async {
        while let Some(event) =
            pump::read_within(&mut reader, pump::MAX_EVENT).await.map_err(io::Error::other)?
        {
            let message = WorkerMessage { owner, generation, news: WorkerNews::Event(event) };
            if messages.send(message).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    let result: io::Result<()> = tokio::select! {
        result = read => result,
        // A broken pipe: what the worker said before its death is still read above, so give that the word once more.
        result = write => result,
    };
    match ending(&mut child).await {
        Some(status) if !status.success() => {
            Err(io::Error::other(format!("the worker process ended with {status}")))
        }
        _ => result,
    }
}

/// How the process ended. Its channel breaks a moment before the kernel tells; one that has only closed it is not waited for long.
async fn ending(child: &mut Child) -> Option<std::process::ExitStatus> {
    let process = child.0.as_mut()?;
    for _ in 0..20 {
        match process.try_wait() {
            Ok(None) => tokio::time::sleep(Duration::from_millis(5)).await,
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
    None
}

/// The worker's side: `bitsd worker`, with the service at descriptor 3.
pub(crate) fn run_here() -> anyhow::Result<()> {
    let missing = openbits_transfer::sandbox::enter();
    crate::service::start_log();
    if !missing.is_empty() {
        tracing::warn!(?missing, "the worker runs without some of its fences");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(pump::serve(crate::system::identity::worker_channel()?))?;
    Ok(())
}
