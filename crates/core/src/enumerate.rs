//! IEnumBackgroundCopyJobs, IEnumBackgroundCopyFiles and their like: a snapshot and a position (spec/bits-core.md 5.7, spec/qmgr-legacy.md 7).

use crate::hresult::{E_INVALIDARG, HResult, S_FALSE, S_OK};
use std::sync::Arc;

/// An enumerator over the membership at the time of its creation.
#[derive(Clone, Debug)]
pub struct Enumerator<T> {
    items: Arc<[T]>,
    position: usize,
}

impl<T: Clone> Enumerator<T> {
    /// Over a snapshot.
    pub fn new(items: impl Into<Arc<[T]>>) -> Self {
        Self { items: items.into(), position: 0 }
    }

    /// Next: up to `count` items; `S_OK` if all were there, else `S_FALSE`.
    ///
    /// `fetched_wanted` says whether the caller takes the number of items; it must unless `count` is 1 (or 0).
    pub fn next(&mut self, count: u32, fetched_wanted: bool) -> Result<(HResult, Vec<T>), HResult> {
        if count > 1 && !fetched_wanted {
            return Err(E_INVALIDARG);
        }
        let end = self.items.len().min(self.position.saturating_add(count as usize));
        let items = self.items[self.position..end].to_vec();
        self.position = end;
        let code = if items.len() == count as usize { S_OK } else { S_FALSE };
        Ok((code, items))
    }

    /// Skip: `S_FALSE`, and the position at the end, if fewer were left.
    pub fn skip(&mut self, count: u32) -> HResult {
        let left = self.items.len() - self.position;
        self.position += left.min(count as usize);
        if (count as usize) <= left { S_OK } else { S_FALSE }
    }

    /// Reset: back to the first item of the same snapshot.
    pub fn reset(&mut self) {
        self.position = 0;
    }

    /// GetCount: size of the snapshot, whatever the position.
    pub fn count(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One enumerator serves all these interfaces; each method of each has its test by name.

    fn three() -> Enumerator<u8> {
        Enumerator::new(vec![1, 2, 3])
    }

    /// Rows 37 to 42 of spec/bits-core.md 10.
    fn next() {
        let mut e = three();
        assert_eq!(e.next(2, false), Err(E_INVALIDARG), "the count may be left out for one only");
        assert_eq!(e.next(1, false), Ok((S_OK, vec![1])));
        assert_eq!(e.next(5, true), Ok((S_FALSE, vec![2, 3])));
        assert_eq!(e.next(1, false), Ok((S_FALSE, vec![])));
        assert_eq!(e.next(0, true), Ok((S_OK, vec![])));
    }

    fn skip() {
        let mut e = three();
        assert_eq!((e.skip(2), e.skip(0)), (S_OK, S_OK));
        assert_eq!(e.next(1, false), Ok((S_OK, vec![3])));
        let mut e = three();
        assert_eq!((e.skip(4), e.skip(1)), (S_FALSE, S_FALSE));
        assert_eq!(e.next(1, false), Ok((S_FALSE, vec![])), "at the end after too many");
    }

    fn reset() {
        let mut e = three();
        assert_eq!(e.skip(3), S_OK);
        e.reset();
        assert_eq!(e.next(3, true), Ok((S_OK, vec![1, 2, 3])), "the same snapshot again");
    }

    fn clone() {
        let mut e = three();
        assert_eq!(e.skip(1), S_OK);
        let mut clone = e.clone();
        assert_eq!(e.skip(2), S_OK);
        assert_eq!(clone.next(2, true), Ok((S_OK, vec![2, 3])), "a position of its own");
        assert_eq!(e.next(1, false), Ok((S_FALSE, vec![])));
    }

    fn get_count() {
        let mut e = three();
        assert_eq!((e.skip(2), e.count()), (S_OK, 3), "whatever the position");
        assert_eq!(Enumerator::<u8>::new(vec![]).count(), 0);
    }

    #[test]
    fn enum_background_copy_jobs_next() {
        next();
    }

    #[test]
    fn enum_background_copy_jobs_skip() {
        skip();
    }

    #[test]
    fn enum_background_copy_jobs_reset() {
        reset();
    }

    #[test]
    fn enum_background_copy_jobs_clone() {
        clone();
    }

    #[test]
    fn enum_background_copy_jobs_get_count() {
        get_count();
    }

    #[test]
    fn enum_background_copy_files_next() {
        next();
    }

    #[test]
    fn enum_background_copy_files_skip() {
        skip();
    }

    #[test]
    fn enum_background_copy_files_reset() {
        reset();
    }

    #[test]
    fn enum_background_copy_files_clone() {
        clone();
    }

    #[test]
    fn enum_background_copy_files_get_count() {
        get_count();
    }

    #[test]
    fn enum_bits_peers_next() {
        next();
    }

    #[test]
    fn enum_bits_peers_skip() {
        skip();
    }

    #[test]
    fn enum_bits_peers_reset() {
        reset();
    }

    #[test]
    fn enum_bits_peers_clone() {
        clone();
    }

    #[test]
    fn enum_bits_peers_get_count() {
        get_count();
    }

    #[test]
    fn enum_bits_peer_cache_records_next() {
        next();
    }

    #[test]
    fn enum_bits_peer_cache_records_skip() {
        skip();
    }

    #[test]
    fn enum_bits_peer_cache_records_reset() {
        reset();
    }

    #[test]
    fn enum_bits_peer_cache_records_clone() {
        clone();
    }

    #[test]
    fn enum_bits_peer_cache_records_get_count() {
        get_count();
    }
    #[test]
    fn enum_background_copy_groups_next() {
        next();
    }

    #[test]
    fn enum_background_copy_groups_skip() {
        skip();
    }

    #[test]
    fn enum_background_copy_groups_reset() {
        reset();
    }

    #[test]
    fn enum_background_copy_groups_clone() {
        clone();
    }

    #[test]
    fn enum_background_copy_groups_get_count() {
        get_count();
    }

    #[test]
    fn enum_background_copy_jobs1_next() {
        next();
    }

    #[test]
    fn enum_background_copy_jobs1_skip() {
        skip();
    }

    #[test]
    fn enum_background_copy_jobs1_reset() {
        reset();
    }

    #[test]
    fn enum_background_copy_jobs1_clone() {
        clone();
    }

    #[test]
    fn enum_background_copy_jobs1_get_count() {
        get_count();
    }
}
