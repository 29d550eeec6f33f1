//! A thread that looks at downloads with a callback or a stream, once in a while: a notification of the service may be lost (a connection
//! that broke, another process that registered), and then the program would wait for ever. It lives as long as there is such a download.

use super::download_watch::all;
use crate::quiet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks at a download that moves: as often as progress is told by default.
const MOVING: Duration = Duration::from_secs(1);
/// Looks at downloads that stand still, in rounds of [`MOVING`]: another program may have moved them.
const STILL_ROUNDS: u32 = 5;

/// The process whose thread runs (0: none), and a wish to look at once.
static TICKER: (Mutex<(u32, bool)>, Condvar) = (Mutex::new((0, false)), Condvar::new());

/// Starts the thread, unless it runs. Without it there are still the service's notifications.
pub(super) fn start() {
    let mut state = TICKER.0.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    if state.0 != pid {
        let spawned = std::thread::Builder::new().name("openbits-watch".to_owned()).spawn(|| {
            quiet::for_ever();
            run();
        });
        state.0 = if spawned.is_ok() { pid } else { 0 };
    }
}

/// Something happened: a look at once.
pub(super) fn wake() {
    TICKER.0.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
    TICKER.1.notify_all();
}

fn run() {
    let mut round = 0_u32;
    loop {
        {
            let state = TICKER.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut state, _) = TICKER
                .1
                .wait_timeout_while(state, MOVING, |state| !state.1)
                .unwrap_or_else(PoisonError::into_inner);
            state.1 = false;
            // Whoever attaches something now finds no thread, and starts another.
            if all().is_empty() {
                state.0 = 0;
                return;
            }
        }
        round = round.wrapping_add(1);
        for watch in all() {
            if round.is_multiple_of(STILL_ROUNDS) || watch.is_moving() {
                watch.run();
            }
        }
    }
}
