//! Limits of bandwidth: a bucket that tells when bytes may move, and how several workers share a limit (spec/policy.md A4, A5).
//!
//! The bucket hands out slices of time, first come first served: whoever wants to move bytes reserves them and is told from when on.
//! No reader can starve another, and nothing is counted twice.

/// Bytes a second of the lowest limit: 2 kbit/s.
pub const RATE_MIN: u64 = 250;
/// What may be caught up after a pause, in microseconds.
const BURST_US: u64 = 100_000;
/// Furthest time that a reservation may lie ahead, in microseconds: a clock that was set back must not stop everything.
const AHEAD_MAX_US: u64 = 600_000_000;
/// Slices of a second: bytes come this smoothly.
const SLICES: u64 = 20;
/// Least and most bytes of a slice.
const SLICE_BYTES: std::ops::RangeInclusive<u64> = 512..=256 << 10;

/// One limit for everybody who asks this bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Bytes a second.
    rate: u64,
    /// When everything that was handed out is paid for, in nanoseconds on the caller's clock.
    paid_ns: u128,
    /// Some reservation was made.
    begun: bool,
}

impl Bucket {
    /// A bucket of so many bytes a second; at least [`RATE_MIN`].
    pub const fn new(rate: u64) -> Self {
        Self { rate: if rate < RATE_MIN { RATE_MIN } else { rate }, paid_ns: 0, begun: false }
    }

    /// Bytes a second.
    pub const fn rate(&self) -> u64 {
        self.rate
    }

    /// Bytes that are best asked for at a time.
    pub fn slice(&self) -> u64 {
        (self.rate / SLICES).clamp(*SLICE_BYTES.start(), *SLICE_BYTES.end())
    }

    /// Reserves bytes: they may move from the answer on (microseconds on the caller's clock; not later than now means now).
    pub fn reserve(&mut self, now_us: u64, bytes: u64) -> u64 {
        let now_ns = u128::from(now_us) * 1000;
        let burst_ns = u128::from(BURST_US) * 1000;
        let earliest = if self.begun { now_ns.saturating_sub(burst_ns) } else { now_ns };
        let latest = now_ns + u128::from(AHEAD_MAX_US) * 1000;
        let from = self.paid_ns.clamp(earliest, latest);
        self.begun = true;
        self.paid_ns = from + self.cost_ns(bytes);
        u64::try_from(from.div_ceil(1000)).unwrap_or(u64::MAX)
    }

    /// Gives back what was reserved and did not move.
    pub fn give_back(&mut self, bytes: u64) {
        self.paid_ns = self.paid_ns.saturating_sub(self.cost_ns(bytes));
    }

    /// Another limit, from now on. What was reserved and has not moved is to be reserved anew.
    pub fn set_rate(&mut self, now_us: u64, rate: u64) {
        let begun = self.begun;
        *self = Self::new(rate);
        // No burst for a change: the rate may change often.
        self.paid_ns = u128::from(now_us) * 1000;
        self.begun = begun;
    }

    const fn cost_ns(&self, bytes: u64) -> u128 {
        // Rounded up: many small pieces must not add up to more than the limit.
        (bytes as u128 * 1_000_000_000).div_ceil(self.rate as u128)
    }
}

/// Somebody who wants a part of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Bytes a second that he can use, as far as is known: his own limit, or what he really uses.
    pub most: u64,
    /// Jobs behind it: two jobs have twice the part of one.
    pub weight: u64,
}

/// Parts of `total` bytes a second: equal for each unit of weight, what one cannot use goes to the others. Their sum is `total`, or
/// less if nobody can use the rest; nobody with a weight gets nothing.
pub fn shares(total: u64, wants: &[Want]) -> Vec<u64> {
    let mut parts = vec![0_u64; wants.len()];
    let mut open: Vec<usize> = (0..wants.len()).filter(|at| wants[*at].weight > 0).collect();
    let mut left = total;
    loop {
        let weight: u64 = open.iter().map(|at| wants[*at].weight).sum();
        if weight == 0 {
            return parts;
        }
        let fair = |at: usize| {
            u64::try_from(u128::from(left) * u128::from(wants[at].weight) / u128::from(weight))
                .unwrap_or(left)
        };
        let (content, wanting): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|at| wants[**at].most <= fair(**at));
        if content.is_empty() {
            for at in wanting {
                parts[at] = fair(at).max(1);
            }
            return parts;
        }
        for at in content {
            parts[at] = wants[at].most.max(1);
            left = left.saturating_sub(parts[at]);
        }
        open = wanting;
    }
}

/// What somebody who used so much of his part will be able to use: a little more than that, or anything if he used (nearly) all of it.
pub fn demand(part: u64, used: u64, total: u64) -> u64 {
    if used.saturating_mul(100) >= part.saturating_mul(85) {
        return u64::MAX;
    }
    // Room to grow: he shows in the next report that he needs more.
    used.saturating_add(used / 4).saturating_add(total / 20).max(RATE_MIN)
}

#[cfg(test)]
mod tests;
