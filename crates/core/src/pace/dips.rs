//! Dips: short pauses in which the own queue drains, so that the delay of the path itself is seen again.
//!
//! What is left of the delay in a dip is not ours: the path's own noise (a radio, a busy switch). Thresholds and target rise by it, so
//! that a path that jitters is used, while traffic of others, which comes and goes between dips, changes nothing.

/// Time between two dips of a path that is known, and of one that is not yet, in seconds; the second one at least so many round trips.
const EVERY_S: (f64, f64) = (10.0, 0.5);
const EVERY_ROUND_TRIPS: f64 = 10.0;
/// Dips after which a path with noise is known (it shows more of it the fuller it gets), if the last two agree to so many seconds.
const FIRST: u32 = 3;
const AGREE_S: f64 = 0.002;
/// Part of the window that is kept: enough to be measured, too little for a queue.
const KEEP: f64 = 0.6;
/// Round trips that a dip takes: one until the sender hears of it, one in which the queue is gone.
const ROUND_TRIPS: f64 = 2.0;
/// Queue below which a dip would show nothing new, in seconds.
const WORTH_S: f64 = 0.002;
/// Noise that every path has (batches, interrupts), and the most that is believed, in seconds: more is somebody's queue.
const NOISE_S: (f64, f64) = (0.001, 0.010);

#[derive(Clone, Debug, Default)]
pub(super) struct Dips {
    now: Option<Dip>,
    /// When the last one ended (or filling began), and how many there were since the path was new.
    ended: f64,
    count: u32,
    /// Delay above the base at the end of the last two.
    seen: [f64; 2],
}

#[derive(Clone, Copy, Debug)]
struct Dip {
    until: f64,
    /// Window, rate and base when it began.
    window: f64,
    rate: f64,
    base: f64,
    /// Something happened that makes its delay worthless.
    spoilt: bool,
}

impl Dips {
    /// The path is another one.
    pub(super) fn forget(&mut self, now: f64) {
        *self = Self { ended: now, ..Self::default() };
    }

    /// Delay that the path has by itself, above its smallest, in seconds.
    pub(super) fn noise(&self) -> f64 {
        match self.count {
            0 => 0.0,
            1 => believed(self.seen[0]),
            // Somebody's page that came just then is in one of them only.
            _ => believed(self.seen[0].min(self.seen[1])),
        }
    }

    /// The delay above the base was seen to vary by so much while nobody had a queue.
    pub(super) fn learn(&mut self, noise: f64) {
        self.count = self.count.max(1) + 1;
        self.seen = [noise; 2];
    }

    pub(super) const fn is_on(&self) -> bool {
        self.now.is_some()
    }

    /// Begins a dip if one is due: the window for it, in bytes.
    pub(super) fn begin(&mut self, now: f64, queue: f64, base: f64, rate: f64, window: f64) -> Option<f64> {
        let agree = (self.seen[0] - self.seen[1]).abs() < AGREE_S;
        let settled = agree && (self.count >= FIRST || self.count > 0 && self.noise() <= 0.0);
        let wait = if settled { EVERY_S.0 } else { EVERY_S.1.max(EVERY_ROUND_TRIPS * base) };
        if now - self.ended < wait || queue < WORTH_S {
            return None;
        }
        self.now = Some(Dip { until: now + ROUND_TRIPS * base, window, rate, base, spoilt: false });
        Some(KEEP * rate * base)
    }

    /// One step of a dip. Returns the window to go on with when it is over: that of before, or, if the path turned out to be shorter than
    /// was known, what fills it to the target.
    pub(super) fn step(&mut self, now: f64, queue: f64, base: f64, target: f64, frozen: bool) -> Option<f64> {
        let dip = self.now.as_mut()?;
        dip.spoilt |= frozen;
        if now <= dip.until {
            return None;
        }
        let Dip { window, rate, base: before, spoilt, .. } = *dip;
        if !spoilt {
            self.seen = [queue.max(0.0), self.seen[0]];
            self.count = self.count.saturating_add(1);
        }
        (self.now, self.ended) = (None, now);
        Some(if base < before - WORTH_S { window.min(rate * (base + target)) } else { window })
    }
}

fn believed(noise: f64) -> f64 {
    if noise < NOISE_S.0 { 0.0 } else { noise.min(NOISE_S.1) }
}
