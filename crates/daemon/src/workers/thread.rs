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
        // Told last, after everything else of this thread is gone.
        let _farewell = Farewell { owner, generation, messages: messages.clone() };
        let runtime = runtime;
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
    })?;
    Ok(Box::new(|| {}))
}

/// Tells the service that the thread ended, for whatever reason.
struct Farewell {
    owner: Uid,
    generation: u64,
    messages: mpsc::Sender<WorkerMessage>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let why = if std::thread::panicking() { "it made an error; the log tells where" } else { "left" };
        let (owner, generation) = (self.owner, self.generation);
        let message = WorkerMessage { owner, generation, news: WorkerNews::Lost(why.to_owned()) };
        // A service that is gone need not know.
        let _ = self.messages.blocking_send(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_thread_is_told_also_if_it_panics() {
        for panics in [false, true] {
            let (messages, mut told) = mpsc::channel(1);
            let thread = std::thread::spawn(move || {
                let _farewell = Farewell { owner: Uid(7), generation: 3, messages };
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async { assert!(!panics, "as the test asks") });
            });
            let message = told.blocking_recv().expect("told");
            assert_eq!((message.owner, message.generation), (Uid(7), 3));
            assert!(matches!(message.news, WorkerNews::Lost(why) if (why == "left") != panics));
            assert_eq!(thread.join().is_err(), panics);
        }
    }
}
