//! Byte ranges of a remote file, and how a local file is made of them (spec/bits-extended.md 4.2.1).
//!
//! A file added with ranges is packed: its bytes follow the order of the ranges, back to back. The download plan thinks in offsets of
//! the remote file, everything that is stored in offsets of the local file; [`Layout`] is the way between the two. For a file without
//! ranges they are the same.

use crate::hresult::{BG_E_INVALID_RANGE, BG_E_OVERLAPPING_RANGES, BG_E_TOO_MANY_RANGES_IN_FILE, HResult};
use crate::range_set::RangeSet;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// `BG_LENGTH_TO_EOF`: the length of a range that goes to the end of the file, whatever its size.
pub const LENGTH_TO_EOF: u64 = u64::MAX;

/// BG_FILE_RANGE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FileRange {
    /// First byte, from 0.
    pub offset: u64,
    /// Bytes; [`LENGTH_TO_EOF`]: to the end of the file.
    pub length: u64,
}

impl FileRange {
    /// These bytes.
    pub const fn new(offset: u64, length: u64) -> Self {
        Self { offset, length }
    }

    /// To the end of the file.
    pub const fn is_to_end(self) -> bool {
        self.length == LENGTH_TO_EOF
    }

    /// The bytes of it in a file of this size; where the size is not known, a range to the end reaches to `u64::MAX`.
    pub fn within(self, size: Option<u64>) -> Range<u64> {
        let end =
            if self.is_to_end() { size.unwrap_or(u64::MAX) } else { self.offset.saturating_add(self.length) };
        self.offset..end.max(self.offset)
    }

    /// True if every byte of it is in a file of this size, and there is at least one.
    pub fn fits(self, size: u64) -> bool {
        let end = if self.is_to_end() { size } else { self.offset.saturating_add(self.length) };
        self.offset < end && end <= size
    }

    /// Makes sense in itself.
    const fn is_sound(self) -> bool {
        let bounded = self.is_to_end() || self.offset.checked_add(self.length).is_some();
        self.offset != LENGTH_TO_EOF && self.length != 0 && bounded
    }
}

/// Checks the ranges of AddFileWithRanges in themselves: number, values, overlap (the table of rules in 4.2.1, steps 3 to 5).
///
/// # Errors
/// `BG_E_TOO_MANY_RANGES_IN_FILE`, `BG_E_INVALID_RANGE`, `BG_E_OVERLAPPING_RANGES`. No range at all is the caller's to refuse.
pub fn check(ranges: &[FileRange], max: u32) -> Result<(), HResult> {
    if ranges.len() > max as usize {
        return Err(BG_E_TOO_MANY_RANGES_IN_FILE);
    }
    check_values(ranges)?;
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.offset);
    let overlap = |pair: &[FileRange]| pair[0].within(None).end > pair[1].offset;
    if sorted.windows(2).any(overlap) { Err(BG_E_OVERLAPPING_RANGES) } else { Ok(()) }
}

/// Checks each range for itself; they may overlap.
///
/// # Errors
/// `BG_E_INVALID_RANGE`: an offset of all ones, no length, or an end beyond 2^64-1.
pub fn check_values(ranges: &[FileRange]) -> Result<(), HResult> {
    if ranges.iter().all(|range| range.is_sound()) { Ok(()) } else { Err(BG_E_INVALID_RANGE) }
}

/// How a local file is made of a remote one: of the whole of it, or of ranges in this order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layout {
    ranges: Vec<FileRange>,
}

impl Layout {
    /// The whole remote file.
    pub const fn whole() -> Self {
        Self { ranges: Vec::new() }
    }

    /// These ranges, checked before; none means the whole file.
    pub const fn packed(ranges: Vec<FileRange>) -> Self {
        Self { ranges }
    }

    /// True for the whole remote file.
    pub fn is_whole(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges in the order of the local file; empty for the whole file.
    pub fn ranges(&self) -> &[FileRange] {
        &self.ranges
    }

    /// Size of the local file, as far as it follows from the size of the remote one.
    pub fn local_size(&self, remote: Option<u64>) -> Option<u64> {
        if self.is_whole() {
            return remote;
        }
        self.ranges.iter().try_fold(0_u64, |sum, range| {
            let length = if range.is_to_end() { remote?.saturating_sub(range.offset) } else { range.length };
            sum.checked_add(length)
        })
    }

    /// True if a remote file of this size has every byte of it.
    pub fn fits(&self, remote: u64) -> bool {
        self.ranges.iter().all(|range| range.fits(remote))
    }

    /// The parts in local order: where each begins in the local file, and its bytes in the remote one. Ends where a place is not known
    /// yet, because a range before it goes to the end of a file of unknown size.
    pub fn parts(&self, remote: Option<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + '_ {
        let whole = self.is_whole().then_some(FileRange::new(0, LENGTH_TO_EOF));
        let mut place = Some(0_u64);
        whole.into_iter().chain(self.ranges.iter().copied()).map_while(move |range| {
            let begin = place?;
            let bytes = range.within(remote);
            let known = !range.is_to_end() || remote.is_some();
            place = begin.checked_add(bytes.end - bytes.start).filter(|_| known);
            Some((begin, bytes))
        })
    }

    /// Place in the local file of a remote byte, if it has one that is known.
    pub fn to_local(&self, remote: Option<u64>, offset: u64) -> Option<u64> {
        if self.is_whole() {
            return Some(offset);
        }
        self.parts(remote)
            .find(|(_, bytes)| bytes.contains(&offset))
            .map(|(begin, bytes)| begin + (offset - bytes.start))
    }

    /// Remote bytes as local ones; those that are no part of the file are left out.
    pub fn local_set(&self, remote: Option<u64>, set: &RangeSet) -> RangeSet {
        if self.is_whole() {
            return set.clone();
        }
        let mut local = RangeSet::new();
        for (begin, bytes) in self.parts(remote) {
            for have in set.parts(bytes.clone()) {
                local.insert(begin + (have.start - bytes.start)..begin + (have.end - bytes.start));
            }
        }
        local
    }

    /// Local bytes as remote ones; those behind the end are left out.
    pub fn remote_set(&self, remote: Option<u64>, set: &RangeSet) -> RangeSet {
        if self.is_whole() {
            return set.clone();
        }
        let mut found = RangeSet::new();
        for (begin, bytes) in self.parts(remote) {
            let end = begin.saturating_add(bytes.end - bytes.start);
            for have in set.parts(begin..end) {
                found.insert(bytes.start + (have.start - begin)..bytes.start + (have.end - begin));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EOF: u64 = LENGTH_TO_EOF;

    fn ranges(pairs: &[(u64, u64)]) -> Vec<FileRange> {
        pairs.iter().map(|&(offset, length)| FileRange::new(offset, length)).collect()
    }

    /// The worked examples of 4.2.1, ambiguity 1, and every limit.
    #[test]
    fn checks() {
        let invalid = Err(BG_E_INVALID_RANGE);
        let overlap = Err(BG_E_OVERLAPPING_RANGES);
        for (pairs, expected) in [
            (&[(0, 10), (10, 5)][..], Ok(())),
            (&[(10, 5), (0, 10)], Ok(())),
            (&[(0, 10), (5, 5)], overlap),
            (&[(0, 10), (0, 10)], overlap),
            (&[(100, EOF), (50, 10)], Ok(())),
            (&[(30, 12), (200, EOF), (60, 5)], Ok(())),
            (&[(50, EOF), (100, 10)], overlap),
            (&[(50, EOF), (100, EOF)], overlap),
            (&[(EOF, 10)], invalid),
            (&[(EOF, EOF)], invalid),
            (&[(100, 5), (100, 0)], invalid),
            (&[(100, 0), (100, 5)], invalid),
            (&[(0, 0)], invalid),
            (&[(1, EOF - 1)], Ok(())),
            (&[(2, EOF - 1)], invalid),
            (&[(EOF - 1, 1)], Ok(())),
            (&[(EOF - 1, 2)], invalid),
            (&[(0, 200)], Ok(())),
        ] {
            assert_eq!(check(&ranges(pairs), 500), expected, "{pairs:?}");
        }
        let many: Vec<FileRange> = (0..501).map(|n| FileRange::new(n * 2, 1)).collect();
        assert_eq!(check(&many[..500], 500), Ok(()));
        assert_eq!(check(&many, 500), Err(BG_E_TOO_MANY_RANGES_IN_FILE));
        assert_eq!(check(&many, 10_000), Ok(()));
    }

    #[test]
    fn packing_follows_the_order_given() {
        let layout = Layout::packed(ranges(&[(500, 100), (0, 50), (200, 100)]));
        assert_eq!(layout.local_size(None), Some(250));
        let local = |offset| layout.to_local(None, offset);
        assert_eq!((local(500), local(599), local(600)), (Some(0), Some(99), None));
        assert_eq!((local(0), local(49), local(50)), (Some(100), Some(149), None));
        assert_eq!((local(200), local(299)), (Some(150), Some(249)));
        assert!(layout.fits(600) && !layout.fits(599));
    }

    #[test]
    fn places_behind_a_range_to_the_end_are_known_with_the_size() {
        let layout = Layout::packed(ranges(&[(30, 12), (200, EOF), (60, 5)]));
        assert_eq!((layout.local_size(None), layout.local_size(Some(300))), (None, Some(117)));
        assert_eq!((layout.to_local(None, 250), layout.to_local(None, 60)), (Some(62), None));
        assert_eq!(layout.to_local(Some(300), 60), Some(112));
        assert!(layout.fits(201) && !layout.fits(200));
        assert_eq!(Layout::whole().local_size(Some(7)), Some(7));
        assert_eq!(Layout::whole().to_local(None, 1 << 60), Some(1 << 60));
    }

    fn packed() -> impl Strategy<Value = (Layout, u64)> {
        // Cut points make separate ranges; a shuffle makes an order.
        (prop::collection::btree_set(0..200_u64, 2..14), any::<bool>(), 200..260_u64)
            .prop_flat_map(|(cuts, open, size)| {
                let cuts: Vec<u64> = cuts.into_iter().collect();
                let mut list: Vec<FileRange> =
                    cuts.chunks_exact(2).map(|pair| FileRange::new(pair[0], pair[1] - pair[0])).collect();
                if let Some(last) = list.last_mut().filter(|_| open) {
                    last.length = EOF;
                }
                (Just(list).prop_shuffle(), Just(size))
            })
            .prop_map(|(list, size)| (Layout::packed(list), size))
    }

    proptest! {
        #[test]
        fn every_byte_has_one_place_and_the_way_back_leads_home(
            (layout, size) in packed(),
            have in prop::collection::vec((0..260_u64, 0..60_u64), 0..6),
        ) {
            prop_assert_eq!(check(layout.ranges(), 500), Ok(()));
            let mut expected = Vec::new();
            for range in layout.ranges() {
                expected.extend(range.within(Some(size)));
            }
            prop_assert_eq!(layout.local_size(Some(size)), Some(expected.len() as u64));
            for (place, remote) in (0_u64..).zip(&expected) {
                prop_assert_eq!(layout.to_local(Some(size), *remote), Some(place));
            }
            let set: RangeSet = have.iter().map(|(start, len)| *start..(start + len).min(size)).collect();
            let local = layout.local_set(Some(size), &set);
            for (place, remote) in (0_u64..).zip(&expected) {
                prop_assert_eq!(local.contains(place..place + 1), set.contains(*remote..remote + 1));
            }
            prop_assert!(local.end() <= expected.len() as u64);
            let back = layout.remote_set(Some(size), &local);
            prop_assert_eq!(layout.local_set(Some(size), &back), local);
            for byte in back.iter().flatten() {
                prop_assert!(set.contains(byte..byte + 1));
            }
        }
    }
}
