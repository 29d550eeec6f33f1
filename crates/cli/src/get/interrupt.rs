//! Ctrl+C: the first press asks, the second leaves at once (spec/tools.md D3 rule 7).

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Exit code after an interrupt, as shells count: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

/// Turns true at the first SIGINT or SIGTERM. The second ends the program.
pub(crate) fn watch_keys() -> io::Result<watch::Receiver<bool>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (send, receive) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if send.send_replace(true) {
                std::process::exit(i32::from(EXIT_CODE));
            }
        }
    });
    Ok(receive)
}
