//! Gaps: the link of somebody who comes in bursts is free between them, and too shortly so to be filled.
//!
//! While the link is left to others, a small window may be used between two bursts: so small that a burst waits no longer for what is
//! on its way than it would for the queue of one who fills the link. Whether there is a gap at all is tried: a queue right after the
//! window was opened means that somebody uses the link all the time, with too little queue to be seen (a short buffer, BBR), and
//! another try has to wait, longer each time.

/// Bursts within so many seconds that make a pattern.
const PATTERN: usize = 3;
const PATTERN_S: f64 = 6.0;
/// Bursts that begin within so many seconds are one; a gap of the second number is no gap any more, the link is free.
const APART_S: (f64, f64) = (0.1, 1.0);
/// Updates in a row without a queue that make a gap.
const QUIET: u32 = 2;
/// What is on its way delays a burst by so much, in seconds, and is at most this part of what fills the path.
const AHEAD_S: f64 = 0.010;
const PART: f64 = 0.5;
/// A queue is our own for so many round trips after the window was opened, and then an answer to it for so many.
const OWN_ROUND_TRIPS: f64 = 1.5;
const ANSWER_ROUND_TRIPS: f64 = 4.0;
/// Later it is a burst if it is long within so many round trips; one that grows slowly is somebody who uses the link all the time.
const SUDDEN_ROUND_TRIPS: f64 = 1.5;
/// Wait after a try that failed, the first and the longest, in seconds.
const WAIT_S: (f64, f64) = (2.0, 60.0);

#[derive(Clone, Debug)]
pub(super) struct Gaps {
    /// When the last bursts began.
    bursts: [f64; PATTERN],
    quiet: u32,
    /// The window is open since then.
    open: Option<f64>,
    again: f64,
    wait: f64,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { bursts: [f64::NEG_INFINITY; PATTERN], quiet: 0, open: None, again: 0.0, wait: WAIT_S.0 }
    }
}

impl Gaps {
    /// A queue is there that is not ours.
    pub(super) fn burst(&mut self, now: f64) {
        if now - self.bursts[0] > APART_S.0 {
            self.bursts.rotate_right(1);
        }
        self.bursts[0] = now;
    }

    /// True while somebody comes in bursts.
    fn is_pattern(&self, now: f64) -> bool {
        now - self.bursts[PATTERN - 1] < PATTERN_S && now - self.bursts[0] < APART_S.1
    }

    /// One update while the link is left to others, or probed. Returns the window to use, in bytes, if there is a gap.
    pub(super) fn step(
        &mut self,
        now: f64,
        quiet: bool,
        current: f64,
        base: f64,
        bandwidth: f64,
    ) -> Option<f64> {
        self.quiet = if quiet { self.quiet.saturating_add(1) } else { 0 };
        if let Some(since) = self.open.filter(|_| !quiet) {
            // What was let out at once is a queue of our own for a round trip.
            if now - since > OWN_ROUND_TRIPS * current {
                self.open = None;
                let sudden = now - self.bursts[0] < SUDDEN_ROUND_TRIPS * current;
                if !sudden || now - since < ANSWER_ROUND_TRIPS * current {
                    self.again = now + self.wait;
                    self.wait = (2.0 * self.wait).min(WAIT_S.1);
                } else {
                    self.wait = WAIT_S.0;
                }
            }
        }
        if !self.is_pattern(now) || now < self.again || (self.open.is_none() && self.quiet < QUIET) {
            self.open = None;
            return None;
        }
        self.open.get_or_insert(now);
        Some(bandwidth * AHEAD_S.min(PART * base))
    }
}
