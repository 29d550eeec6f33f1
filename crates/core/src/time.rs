//! Two kinds of time, both handed in by the caller: this crate reads no clock.

use serde::{Deserialize, Serialize};

/// A FILETIME: 100 ns ticks since 1601-01-01 UTC. Only for what people see (creation, modification, completion).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileTime(pub u64);

impl FileTime {
    /// Not yet: `TransferCompletionTime` before TRANSFERRED.
    pub const ZERO: Self = Self(0);
    /// Ticks between 1601 and 1970.
    pub const UNIX_EPOCH_TICKS: u64 = 116_444_736_000_000_000;

    /// From milliseconds since 1970; earlier instants become 1970.
    pub const fn from_unix_ms(ms: i64) -> Self {
        let ms = if ms < 0 { 0 } else { ms.cast_unsigned() };
        Self(Self::UNIX_EPOCH_TICKS + ms * 10_000)
    }

    /// Milliseconds since 1970 (zero for [`FileTime::ZERO`]).
    pub const fn unix_ms(self) -> i64 {
        (self.0.saturating_sub(Self::UNIX_EPOCH_TICKS) / 10_000).cast_signed()
    }
}

/// An instant of the service's monotonic clock, in milliseconds.
///
/// It counts sleep (`CLOCK_BOOTTIME`) and is laid over the wall clock once, when the service starts, so that a stored
/// deadline keeps its meaning across restarts, while a later jump of the wall clock moves no running timer
/// (spec/behaviour.md 10.2 R8 and section 9, retry countdown).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub i64);

impl Mono {
    /// Later by whole seconds, saturating.
    pub const fn plus_s(self, seconds: u64) -> Self {
        let ms = seconds.saturating_mul(1000);
        let ms = if ms > i64::MAX as u64 { i64::MAX } else { ms.cast_signed() };
        Self(self.0.saturating_add(ms))
    }

    /// Later by milliseconds, saturating.
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; zero if `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> i64 {
        let d = self.0.saturating_sub(earlier.0);
        if d < 0 { 0 } else { d }
    }
}

/// The present, on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// For timers.
    pub mono: Mono,
    /// For what people see.
    pub wall: FileTime,
}
