//! The thread that looks at downloads with a callback or a stream: when something says so, and once in a while, since a notification of the
//! service may be lost (a connection that broke, another process that registered), and then the program would wait for ever. It never runs
//! the program's code, so nothing holds it up. It lives as long as there is such a download.

use super::download_watch::all;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at a download that moves: as often as progress is told by default.
const MOVING: Duration = Duration::from_secs(1);
/// Looks at downloads that stand still, in rounds of [`MOVING`]: another program may have moved them.
const STILL_ROUNDS: u32 = 5;

/// The process whose thread runs (0: none), and a wish to look at once.
static TICKER: (Mutex<(u32, bool)>, Condvar) = (Mutex::new((0, false)), Condvar::new());

fn state() -> MutexGuard<'static, (u32, bool)> {
    TICKER.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread, unless it runs. Where it cannot be started now, the next notification tries again.
pub(super) fn start() {
    start_in(&mut state());
}

fn start_in(state: &mut (u32, bool)) {
    let pid = std::process::id();
    if state.0 != pid {
        let spawned = std::thread::Builder::new().name("openbits-watch".to_owned()).spawn(run);
        state.0 = if spawned.is_ok() { pid } else { 0 };
    }
}

/// A watch wishes to be looked at: at once.
pub(super) fn wake() {
    let mut state = state();
    start_in(&mut state);
    state.1 = true;
    drop(state);
    TICKER.1.notify_all();
}

fn run() {
    let mut round = 0_u32;
    let mut next = Instant::now() + MOVING;
    loop {
        {
            let wait = next.saturating_duration_since(Instant::now());
            let (mut state, _) = TICKER
                .1
                .wait_timeout_while(state(), wait, |state| !state.1)
                .unwrap_or_else(PoisonError::into_inner);
            state.1 = false;
            // Whoever attaches something now finds no thread, and starts another.
            if all().is_empty() {
                state.0 = 0;
                return;
            }
        }
        let is_round = Instant::now() >= next;
        if is_round {
            round = round.wrapping_add(1);
            next = Instant::now() + MOVING;
        }
        for watch in all() {
            let is_due = is_round && (round.is_multiple_of(STILL_ROUNDS) || watch.is_moving());
            if watch.take_wish() || is_due {
                watch.look();
            }
        }
    }
}
