//! Waiting for something to become true, with an end.

use std::time::{Duration, Instant};

/// Asks `condition` again and again (after 1 ms, later every 20 ms) until it is true or `timeout` has passed; returns
/// what it said last.
#[must_use]
pub fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + timeout;
    let mut pause = Duration::from_millis(1);
    loop {
        if condition() {
            return true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return condition();
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
