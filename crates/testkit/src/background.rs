//! A thread with its own single-threaded runtime, so that servers work in synchronous and asynchronous tests alike.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Runs one future until dropped.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts a thread `name` that runs the future `make` returns; `make` is called inside the runtime.
    pub(crate) fn start<F, M>(name: &str, make: M) -> io::Result<Self>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = make() => {}
                    // An error means that the owner is gone: the same as the signal.
                    _ = stopped => {}
                }
            });
            // Dropping the runtime drops every connection's task, and with it the connection.
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed there; a second one in a destructor would hide the test's own message.
            let _ = thread.join();
        }
    }
}
