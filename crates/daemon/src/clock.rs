//! The service's clocks: `CLOCK_BOOTTIME` laid over the wall clock once, at start (see `openbits_core::Mono`).

use openbits_core::{FileTime, Mono, Now};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Reads both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Wall clock minus boot time, in milliseconds, when the service started.
    offset_ms: i64,
}

fn read_ms(id: ClockId) -> i64 {
    let t = clock_gettime(id);
    t.tv_sec.saturating_mul(1000).saturating_add(t.tv_nsec / 1_000_000)
}

impl Clock {
    /// Lays the monotonic clock over the wall clock.
    pub fn start() -> Self {
        Self { offset_ms: read_ms(ClockId::Realtime) - read_ms(ClockId::Boottime) }
    }

    /// The present.
    pub fn now(&self) -> Now {
        Now {
            mono: Mono(read_ms(ClockId::Boottime) + self.offset_ms),
            wall: FileTime::from_unix_ms(read_ms(ClockId::Realtime)),
        }
    }

    /// How long until an instant; zero if it is past.
    pub fn until(&self, at: Mono) -> Duration {
        Duration::from_millis(u64::try_from(at.since_ms(self.now().mono)).unwrap_or(0))
    }

    /// The wall-clock time that an instant will have, for people: milliseconds since 1970.
    pub fn wall_ms(&self, at: Mono) -> i64 {
        let now = self.now();
        now.wall.unix_ms().saturating_add(at.0.saturating_sub(now.mono.0))
    }
}
