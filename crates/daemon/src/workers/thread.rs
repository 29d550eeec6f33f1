//! The worker of a user's own service: a thread with a runtime of its own, so that transfers and answers do not wait for each other.

use super::outbox::Outbox;
use super::{WorkerMessage, WorkerNews};
use openbits_core::Uid;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Starts it. The returned function does nothing: a thread cannot be killed, and leaves at Shutdown.
pub(super) fn spawn(
    owner: Uid,
    generation: u64,
    outbox: &Arc<Outbox>,
    messages: &mpsc::Sender<WorkerMessage>,
) -> io::Result<Box<dyn FnMut() + Send>> {
    let outbox = Arc::clone(outbox);
    let messages = messages.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("transfer".to_owned()).spawn(move || {
        let message = |news| WorkerMessage { owner, generation, news };
        runtime.block_on(async {
            let (commands, inbox) = mpsc::channel(64);
            let (sender, mut events) = mpsc::channel(256);
            let forward = async {
                loop {
                    let command = outbox.pop().await;
                    if commands.send(command).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            let report = async {
                while let Some(event) = events.recv().await {
                    if messages.send(message(WorkerNews::Event(event))).await.is_err() {
                        return;
                    }
                }
            };
            let work = openbits_transfer::worker::run(inbox, sender);
            tokio::select! {
                // The end of the work drops its sender, and `report` ends when the last event is passed on.
                ((), ()) = async { tokio::join!(work, report) } => {}
                () = forward => {}
            }
        });
        drop(runtime);
        let _ = messages.blocking_send(message(WorkerNews::Lost("left".to_owned())));
    })?;
    Ok(Box::new(|| {}))
}
