//! Whether a body comes too slowly to be waited for (spec/delivery-optimization-linux-agent.md 7.1: less than 4,000 bytes a second for 20 s).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The speed is that of so much time: a pause between two bursts is none of the server's.
const WINDOW: Duration = Duration::from_secs(5);
/// Less time than this tells no speed.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// Looks at a body from beat to beat.
#[derive(Debug)]
pub(super) struct Speed {
    /// Bytes a second that are enough; 0: any are.
    floor: u64,
    patience: Duration,
    /// How much had come when.
    samples: VecDeque<(Instant, u64)>,
    slow_since: Option<Instant>,
}

impl Speed {
    /// Gives up what is slower than `floor` bytes a second for all of `patience`.
    pub(super) fn new(floor: u64, patience: Duration) -> Self {
        Self { floor, patience, samples: VecDeque::new(), slow_since: None }
    }

    /// So much has come. `excused`: it is we who do not take more. True: it was too slow for too long.
    pub(super) fn gives_up(&mut self, now: Instant, got: u64, excused: bool) -> bool {
        if self.floor == 0 {
            return false;
        }
        if excused {
            self.samples.clear();
            self.slow_since = None;
            return false;
        }
        self.samples.push_back((now, got));
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
        let Some((first, before)) = self.samples.front().copied() else { return false };
        let span = now.duration_since(first);
        if span < SPAN_MIN {
            return false;
        }
        let came = u128::from(got.saturating_sub(before)) * 1000;
        let slow = came < u128::from(self.floor) * span.as_millis();
        // What is slow now was so since the window began.
        self.slow_since = slow.then(|| self.slow_since.unwrap_or(first));
        self.slow_since.is_some_and(|since| now.duration_since(since) >= self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Four beats a second for so long; `at` tells how much has come after so many milliseconds, `excused` when it is our doing. When it
    /// is given up, in milliseconds.
    fn given_up(seconds: u64, at: impl Fn(u64) -> u64, excused: impl Fn(u64) -> bool) -> Option<u64> {
        let (mut speed, begun) = (Speed::new(4000, PATIENCE), Instant::now());
        let beats = (0..seconds * 4).map(|beat| beat * 250);
        let gives_up = |ms: &u64| speed.gives_up(begun + Duration::from_millis(*ms), at(*ms), excused(*ms));
        beats.into_iter().find(gives_up)
    }

    const NEVER: fn(u64) -> bool = |_| false;

    #[test]
    fn a_crawling_body_is_given_up_after_its_time() {
        assert_eq!(given_up(60, |ms| ms * 3_999 / 1000, NEVER), Some(20_000));
        assert_eq!(given_up(60, |_| 0, NEVER), Some(20_000));
        assert_eq!(given_up(3600, |ms| ms * 4, NEVER), None, "fast enough, just");
    }

    #[test]
    fn a_burst_begins_the_time_anew() {
        let bursts = |ms: u64| (ms / 15_000) * 40_000 + ms / 1000;
        assert_eq!(given_up(600, bursts, NEVER), None);
        // The burst leaves the window five seconds later; from then on it is slow.
        let once = |ms: u64| if ms >= 10_000 { 40_000 } else { 0 };
        let at = given_up(60, once, NEVER).unwrap();
        assert!((29_000..=36_000).contains(&at), "{at}");
    }

    #[test]
    fn what_we_do_not_take_is_not_the_servers_slowness() {
        assert_eq!(given_up(600, |_| 0, |ms| ms % 10_000 == 0), None);
        assert_eq!(given_up(600, |_| 0, |ms| ms < 100_000), Some(120_000));
    }

    #[test]
    fn without_a_floor_any_byte_is_enough() {
        let mut speed = Speed::new(0, PATIENCE);
        let begun = Instant::now();
        assert!((0..1000).all(|s| !speed.gives_up(begun + Duration::from_secs(s), 0, false)));
    }
}
