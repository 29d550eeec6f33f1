//! How much one request carries: about ten seconds' worth, between the protocol's bounds.

use crate::upload::{MAX_FRAGMENT, MIN_FRAGMENT};

/// Time that one fragment is meant to take, in milliseconds (spec/upload-protocol.md 8.3).
const GOAL_MS: u64 = 10_000;
/// Bytes of the first fragment on a path about which nothing is known.
const FIRST: u64 = 1 << 20;
/// Growth from one fragment to the next, at most.
const GROWTH: u64 = 4;

/// The size of the next fragment.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    next: u64,
    cap: u64,
}

impl Sizes {
    /// `cap`: what the server took at most, if it refused more.
    pub fn new(cap: Option<u64>) -> Self {
        let cap = cap.unwrap_or(MAX_FRAGMENT).clamp(MIN_FRAGMENT, MAX_FRAGMENT);
        Self { next: FIRST.min(cap), cap }
    }

    /// Bytes, at most.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// A fragment arrived.
    pub fn took(&mut self, bytes: u64, ms: u64) {
        // One that was cut short by the end of the file says little.
        if bytes >= self.next / 2 {
            let fits = bytes.saturating_mul(GOAL_MS) / ms.max(1);
            self.next = fits.min(self.next.saturating_mul(GROWTH)).clamp(MIN_FRAGMENT, self.cap);
        }
    }

    /// A connection broke under a fragment: what is lost should be less next time.
    pub fn broke(&mut self) {
        self.next = (self.next / 2).clamp(MIN_FRAGMENT, self.cap);
    }

    /// The server refused a fragment of this size. `None`: it refuses even the smallest. Otherwise the new cap.
    pub fn refused(&mut self, bytes: u64) -> Option<u64> {
        if bytes <= MIN_FRAGMENT {
            return None;
        }
        self.cap = (bytes / 2).max(MIN_FRAGMENT);
        self.next = self.cap;
        Some(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_path_within_the_bounds() {
        let mut sizes = Sizes::new(None);
        assert_eq!(sizes.next(), FIRST);
        sizes.took(FIRST, 10);
        assert_eq!(sizes.next(), 4 * FIRST);
        sizes.took(4 * FIRST, 10);
        assert_eq!(sizes.next(), MAX_FRAGMENT);
        sizes.took(MAX_FRAGMENT, 130_000);
        assert_eq!(sizes.next(), 1 << 20);
        sizes.took(1 << 20, 100_000_000);
        assert_eq!(sizes.next(), MIN_FRAGMENT);
        sizes.took(10, 1);
        assert_eq!(sizes.next(), MIN_FRAGMENT, "a remainder says nothing");
    }

    #[test]
    fn a_server_that_refuses_gets_half_down_to_five_kibibytes() {
        let mut sizes = Sizes::new(None);
        let mut seen = vec![];
        let mut size = sizes.next();
        while let Some(cap) = sizes.refused(size) {
            seen.push(cap);
            size = sizes.next();
        }
        assert_eq!(seen[..3], [512 << 10, 256 << 10, 128 << 10]);
        assert_eq!(*seen.last().unwrap(), MIN_FRAGMENT);
        assert!(seen.len() < 10);
        sizes.took(MIN_FRAGMENT, 1);
        assert_eq!(sizes.next(), MIN_FRAGMENT, "it never grows beyond the cap again");
    }
}
