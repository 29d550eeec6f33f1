//! When a job in TRANSIENT_ERROR goes on, and when its patience ends (spec/behaviour.md 10, spec/policy.md `retry.*`).

use super::{Job, Wait};
use crate::time::Mono;

/// Rules for all jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryRules {
    /// No job is tried again sooner, in seconds.
    pub floor_s: u64,
    /// Delays grow by up to so many percent, differently for each job and attempt.
    pub jitter_percent: u8,
    /// A server that asks for a longer wait gets it.
    pub honour_retry_after: bool,
    /// The no-progress clock stands still while a job waits for network, volume or policy.
    pub gates_pause_clock: bool,
}

impl Default for RetryRules {
    fn default() -> Self {
        Self {
            floor_s: super::RETRY_DELAY_FLOOR_S.into(),
            jitter_percent: 0,
            honour_retry_after: true,
            gates_pause_clock: false,
        }
    }
}

impl Job {
    /// When the wait of a TRANSIENT_ERROR ends by itself, if it ends by time.
    pub fn retry_at(&self, rules: &RetryRules) -> Option<Mono> {
        let Some(Wait::Retry { since, retry_after_ms }) = self.wait else { return None };
        let asked_ms = if rules.honour_retry_after { retry_after_ms } else { 0 };
        let delay_s = match self.delivery.as_deref() {
            Some(delivery) => delivery.retry_delay_s(),
            None => u64::from(self.minimum_retry_delay_s).max(rules.floor_s),
        };
        let delay_ms = delay_s.saturating_mul(1000).max(asked_ms);
        let most_ms = delay_ms / 100 * u64::from(rules.jitter_percent);
        let jitter_ms = most_ms / 256 * u64::from(self.dice());
        let at = since.plus_ms(i64::try_from(delay_ms.saturating_add(jitter_ms)).unwrap_or(i64::MAX));
        Some(self.no_progress_at(rules).map_or(at, |end| at.min(end)))
    }

    /// When the no-progress period ends; `None` if it has not begun, or stands still.
    ///
    /// A period of 0 makes attempts fail at once; it is no clock. A job that waits for the network without having tried
    /// goes on waiting (spec/bits-core.md 12, row 41).
    pub fn no_progress_at(&self, rules: &RetryRules) -> Option<Mono> {
        let since = self.no_progress_since.filter(|_| self.no_progress_timeout_s > 0)?;
        let end = since.plus_s(u64::from(self.no_progress_timeout_s));
        // A download of Delivery Optimization that is held goes on by itself, however long that takes
        // (spec/delivery-optimization-com.md 4.3, spec/delivery-optimization-linux-agent.md 7.4).
        match rules.gates_pause_clock || self.delivery.is_some() || self.download.is_some() {
            true if self.gate_since.is_some() => None,
            true => Some(end.plus_ms(self.gated_ms)),
            false => Some(end),
        }
    }

    /// A number that is the same whenever it is asked for, and another for each job and attempt.
    fn dice(&self) -> u8 {
        let count = self.error_count.to_le_bytes();
        let bytes = self.id.as_bytes().iter().chain(&count);
        // FNV-1a: short and even enough.
        let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
        hash.to_le_bytes()[7]
    }

    /// The job begins to wait before a gate.
    pub(super) fn enter_gate(&mut self, now: Mono) {
        self.gate_since.get_or_insert(now);
    }

    /// It does not wait any more: the time is remembered for the no-progress clock.
    pub(super) fn leave_gate(&mut self, now: Mono) {
        if let Some(since) = self.gate_since.take() {
            self.gated_ms = self.gated_ms.saturating_add(now.since_ms(since));
        }
    }

    /// The no-progress period begins now.
    pub(super) fn begin_no_progress(&mut self, now: Mono) {
        self.no_progress_since = Some(now);
        self.gated_ms = 0;
        self.gate_since = self.gate_since.map(|_| now);
    }
}
