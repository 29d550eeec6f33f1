//! A set of byte ranges: the only form of a file's progress (DESIGN section 5).

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Half-open byte ranges, sorted, never empty, never touching.
///
/// Serialises as a flat list `[start, end, start, end, …]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(into = "Vec<u64>", try_from = "Vec<u64>")]
pub struct RangeSet {
    ranges: Vec<(u64, u64)>,
}

impl RangeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The set of all bytes below `end`.
    pub fn prefix(end: u64) -> Self {
        let mut set = Self::new();
        set.insert(0..end);
        set
    }

    /// Adds a range; an empty one changes nothing.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.start >= range.end {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        // The first range that touches the new one, and the first beyond it.
        let from = self.ranges.partition_point(|r| r.1 < start);
        let to = from + self.ranges[from..].partition_point(|r| r.0 <= end);
        if from < to {
            start = start.min(self.ranges[from].0);
            end = end.max(self.ranges[to - 1].1);
        }
        self.ranges.splice(from..to, [(start, end)]);
    }

    /// Adds every range of `other`.
    pub fn insert_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.insert(range);
        }
    }

    /// Adds ranges.
    pub fn extend_with(&mut self, ranges: impl IntoIterator<Item = Range<u64>>) {
        ranges.into_iter().for_each(|range| self.insert(range));
    }

    /// Takes a range out.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.start >= range.end {
            return;
        }
        let from = self.ranges.partition_point(|r| r.1 <= range.start);
        let to = from + self.ranges[from..].partition_point(|r| r.0 < range.end);
        let mut rest = Vec::with_capacity(2);
        for &(start, end) in &self.ranges[from..to] {
            if start < range.start {
                rest.push((start, range.start));
            }
            if end > range.end {
                rest.push((range.end, end));
            }
        }
        self.ranges.splice(from..to, rest);
    }

    /// True if every byte of the range is in the set (an empty range always is).
    pub fn contains(&self, range: Range<u64>) -> bool {
        if range.start >= range.end {
            return true;
        }
        let at = self.ranges.partition_point(|r| r.1 <= range.start);
        self.ranges.get(at).is_some_and(|r| r.0 <= range.start && range.end <= r.1)
    }

    /// Number of bytes in the set.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|r| r.1 - r.0).sum()
    }

    /// True if the set holds no byte.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Number of separate ranges.
    pub fn count(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|&(start, end)| start..end)
    }

    /// The first gap inside `within`, if any.
    pub fn first_gap(&self, within: Range<u64>) -> Option<Range<u64>> {
        self.gaps(within).next()
    }

    /// The bytes of `within` that are not in the set, in ascending order.
    pub fn gaps(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut position = within.start;
        let end = within.end;
        let skip = self.ranges.partition_point(|r| r.1 <= within.start);
        let mut rest = self.ranges[skip..].iter();
        std::iter::from_fn(move || {
            while position < end {
                match rest.next() {
                    Some(&(start, stop)) if start < end => {
                        let gap = position..start;
                        position = stop;
                        if gap.start < gap.end {
                            return Some(gap);
                        }
                    }
                    _ => {
                        let gap = position..end;
                        position = end;
                        return Some(gap);
                    }
                }
            }
            None
        })
    }

    /// The bytes of `within` that are in the set, in ascending order.
    pub fn parts(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let from = self.ranges.partition_point(|r| r.1 <= within.start);
        self.ranges[from..]
            .iter()
            .map(move |&(start, end)| start.max(within.start)..end.min(within.end))
            .take_while(|part| part.start < part.end)
    }

    /// True if every byte of `other` is in the set.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|range| self.contains(range))
    }

    /// End of the last range; zero for the empty set.
    pub fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |r| r.1)
    }
}

impl From<RangeSet> for Vec<u64> {
    fn from(set: RangeSet) -> Self {
        set.ranges.into_iter().flat_map(|(start, end)| [start, end]).collect()
    }
}

/// The list is not one of ascending, separate, non-empty ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of ascending separate ranges")]
pub struct InvalidRanges;

impl TryFrom<Vec<u64>> for RangeSet {
    type Error = InvalidRanges;

    fn try_from(flat: Vec<u64>) -> Result<Self, InvalidRanges> {
        if !flat.len().is_multiple_of(2) || flat.windows(2).any(|w| w[0] >= w[1]) {
            return Err(InvalidRanges);
        }
        Ok(Self { ranges: flat.chunks_exact(2).map(|c| (c[0], c[1])).collect() })
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests;
