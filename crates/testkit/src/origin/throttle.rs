//! A byte rate shared by everything that asks it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longest stretch of sending that one grant may stand for: a changed rate is felt after this time.
const GRANT: Duration = Duration::from_millis(20);

/// A rate in bytes per second; off at first.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes_per_s: Option<u64>,
    /// When all that was granted will have been paid for.
    free_at: Option<Instant>,
}

impl Throttle {
    /// Sets the rate; `None` takes the brake off. A rate of 0 counts as 1.
    pub(crate) fn set(&self, bytes_per_s: Option<u64>) {
        *self.lock() = State { bytes_per_s: bytes_per_s.map(|rate| rate.max(1)), free_at: None };
    }

    /// How many bytes may be asked for at once, at most `want`.
    pub(crate) fn grant(&self, want: u64) -> u64 {
        match self.lock().bytes_per_s {
            None => want,
            Some(rate) => want.min((rate / (1000 / 20)).max(1)),
        }
    }

    /// Books `bytes` and says how long to wait before sending them.
    pub(crate) fn book(&self, bytes: u64, now: Instant) -> Duration {
        let mut state = self.lock();
        let Some(rate) = state.bytes_per_s else { return Duration::ZERO };
        let start = state.free_at.map_or(now, |at| at.max(now.checked_sub(GRANT).unwrap_or(now)));
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let end = start.checked_add(cost).unwrap_or(start);
        state.free_at = Some(end);
        end.saturating_duration_since(now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the throttle")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_taken_off() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.grant(1 << 20), 1 << 20);
        assert_eq!(throttle.book(1 << 20, start), Duration::ZERO);
        throttle.set(Some(1000));
        assert_eq!(throttle.grant(1 << 20), 20);
        let mut last = Duration::ZERO;
        for _ in 0..50 {
            last = throttle.book(20, start);
        }
        assert_eq!(last, Duration::from_secs(1));
        throttle.set(None);
        assert_eq!(throttle.book(20, start), Duration::ZERO);
    }

    #[test]
    fn idle_time_gives_no_burst() {
        let throttle = Throttle::default();
        throttle.set(Some(1000));
        let start = Instant::now();
        throttle.book(20, start);
        let later = start + Duration::from_secs(10);
        let wait = throttle.book(100, later);
        assert!(wait >= Duration::from_millis(80), "{wait:?}");
    }
}
