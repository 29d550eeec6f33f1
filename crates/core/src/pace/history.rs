//! What the controller remembers: the smallest delay of the last minutes, the delays of the last half second, and when bytes came.

use std::collections::VecDeque;

/// Length of a bucket of [`Base`], in seconds, and their number.
const BUCKET_S: f64 = 60.0;
const BUCKETS: usize = 10;
/// Samples kept for the delay, and deliveries kept for the rate: 0.64 s and 2.56 s of ticks.
const RECENT: usize = 64;
const DELIVERIES: usize = 256;

/// Smallest delay of the last ten minutes, in buckets of a minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    buckets: VecDeque<f64>,
    began: f64,
}

impl Base {
    pub(super) fn add(&mut self, now: f64, delay: f64) {
        if self.buckets.is_empty() || now - self.began > BUCKET_S {
            if self.buckets.len() == BUCKETS {
                self.buckets.pop_front();
            }
            self.buckets.push_back(delay);
            self.began = now;
        } else if let Some(last) = self.buckets.back_mut() {
            *last = last.min(delay);
        }
    }

    pub(super) fn get(&self) -> Option<f64> {
        self.buckets.iter().copied().reduce(f64::min)
    }

    /// Forgets everything but this delay.
    pub(super) fn reset(&mut self, now: f64, delay: f64) {
        self.buckets.clear();
        self.add(now, delay);
    }
}

/// Delays of the last half second.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    samples: VecDeque<(f64, f64)>,
}

impl Recent {
    pub(super) fn add(&mut self, now: f64, delay: f64) {
        if self.samples.len() == RECENT {
            self.samples.pop_front();
        }
        self.samples.push_back((now, delay));
    }

    /// Smallest delay of the last 25 ms; if there is none, of the last 500 ms; if there is none, `base`.
    pub(super) fn delay(&self, now: f64, base: f64) -> f64 {
        let within = |span: f64| {
            self.samples.iter().filter(|(at, _)| now - at <= span).map(|(_, delay)| *delay).reduce(f64::min)
        };
        within(0.025).or_else(|| within(0.5)).unwrap_or(base).max(1e-4)
    }
}

/// Bytes delivered, by time.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    points: VecDeque<(f64, f64)>,
}

impl Deliveries {
    pub(super) fn add(&mut self, now: f64, bytes: f64) {
        if self.points.len() == DELIVERIES {
            self.points.pop_front();
        }
        self.points.push_back((now, bytes));
    }

    /// Bytes per second over the last `span` seconds.
    pub(super) fn rate(&self, now: f64, span: f64) -> f64 {
        let Some((end, bytes)) = self.points.back() else { return 0.0 };
        let begin = self.points.iter().rev().find(|(at, _)| now - at >= span).or_else(|| self.points.front());
        let Some((from, before)) = begin.filter(|(from, _)| end > from) else { return 0.0 };
        ((bytes - before) / (end - from)).max(0.0)
    }
}
