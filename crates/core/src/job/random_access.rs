//! Reading a file while it grows: IBackgroundCopyFile2 and IBackgroundCopyFile6 (spec/bits-extended.md 7.1, 7.10 to 7.13).

use super::{File, Job};
use crate::enums::JobType;
use crate::hresult::{self as h, HResult};
use crate::layout::{self, FileRange, LENGTH_TO_EOF};
use crate::limits::RANGES_PER_FILE_EXEMPT;
use crate::plan::Wanted;
use crate::range_set::RangeSet;
use crate::time::Now;

impl File {
    /// Forgets requests that are fulfilled.
    pub(crate) fn trim_requests(&mut self) {
        let (size, done) = (self.size, &self.done);
        self.requested.retain(|range| !done.contains(range.within(size)));
    }

    /// True if something is asked for that is not there.
    pub fn has_requests(&self) -> bool {
        !self.transferred && !self.requested.is_empty()
    }

    /// Adds to the requests what is neither there nor asked for already, cut into pieces.
    pub(super) fn request(&mut self, ranges: &[FileRange]) -> Result<(), HResult> {
        let size = self.size;
        let mut known = self.done.clone();
        known.extend_with(self.requested.iter().map(|range| range.within(size)));
        let mut pieces = self.requested.clone();
        for range in ranges {
            let bytes = range.within(size);
            let piece = |gap: std::ops::Range<u64>| {
                let length = if gap.end == u64::MAX { LENGTH_TO_EOF } else { gap.end - gap.start };
                FileRange::new(gap.start, length)
            };
            pieces.extend(known.gaps(bytes.clone()).map(piece));
            known.insert(bytes);
        }
        // Every piece may become a range of its own in what is there.
        if pieces.len() + self.done.count() > RANGES_PER_FILE_EXEMPT as usize / 2 {
            return Err(h::BG_E_TOO_MANY_RANGES_IN_FILE);
        }
        self.requested = pieces;
        Ok(())
    }
}

impl Job {
    /// The file at this position.
    ///
    /// # Errors
    /// `BG_E_FILE_NOT_FOUND`
    pub fn file(&self, index: u32) -> Result<&File, HResult> {
        self.files.get(index as usize).ok_or(h::BG_E_FILE_NOT_FOUND)
    }

    /// What the methods of IBackgroundCopyFile6 ask of a job and a file.
    fn check_random_access(&self, index: u32) -> Result<&File, HResult> {
        let file = self.file(index)?;
        let eligible = self.kind == JobType::Download
            && file.layout.is_whole()
            && !file.no_ranges
            && !self.options().dynamic_content;
        if eligible { Ok(file) } else { Err(h::BG_E_RANDOM_ACCESS_NOT_SUPPORTED) }
    }

    /// True if the client may choose the order in which the file is fetched.
    pub fn has_random_access(&self, index: u32) -> bool {
        self.check_random_access(index).is_ok()
    }

    /// GetFileRanges: what was asked for by AddFileWithRanges, in its order. Nothing for other files (`S_FALSE`).
    ///
    /// # Errors
    /// `BG_E_FILE_NOT_FOUND`
    pub fn file_ranges(&self, index: u32) -> Result<&[FileRange], HResult> {
        self.file(index).map(|file| file.layout.ranges())
    }

    /// GetFilledFileRanges: what is there, in ascending order, merged.
    ///
    /// # Errors
    /// `BG_E_RANDOM_ACCESS_NOT_SUPPORTED`, `BG_E_FILE_NOT_FOUND`
    pub fn filled_ranges(&self, index: u32) -> Result<Vec<FileRange>, HResult> {
        Ok(as_ranges(&self.check_random_access(index)?.filled()))
    }

    /// RequestFileRanges: these go before everything else. They may overlap, and may be there already.
    ///
    /// # Errors
    /// `BG_E_INVALID_STATE`; `BG_E_RANDOM_ACCESS_NOT_SUPPORTED`; `E_INVALIDARG` without ranges; `BG_E_INVALID_RANGE` if any part lies
    /// outside of the file, where its size is known; `BG_E_TOO_MANY_RANGES_IN_FILE` beyond 5,000 pieces.
    pub fn request_ranges(&mut self, index: u32, ranges: &[FileRange], now: Now) -> Result<(), HResult> {
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        let file = self.check_random_access(index)?;
        if ranges.is_empty() {
            return Err(h::E_INVALIDARG);
        }
        if ranges.len() > RANGES_PER_FILE_EXEMPT as usize {
            return Err(h::BG_E_TOO_MANY_RANGES_IN_FILE);
        }
        layout::check_values(ranges)?;
        if file.size.is_some_and(|size| ranges.iter().any(|range| !range.fits(size))) {
            return Err(h::BG_E_INVALID_RANGE);
        }
        let file = &mut self.files[index as usize];
        if !file.transferred {
            file.request(ranges)?;
        }
        file.pinned = true;
        self.touch(now);
        Ok(())
    }

    /// UpdateDownloadPosition: what is missing is fetched from here on, then from the front.
    ///
    /// # Errors
    /// `BG_E_INVALID_STATE`; `BG_E_RANDOM_ACCESS_NOT_SUPPORTED`; `BG_E_INVALID_RANGE` at or beyond the end, where that is known.
    pub fn update_position(&mut self, index: u32, offset: u64, now: Now) -> Result<(), HResult> {
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        let file = self.check_random_access(index)?;
        if file.size.is_some_and(|size| offset >= size) || offset == LENGTH_TO_EOF {
            return Err(h::BG_E_INVALID_RANGE);
        }
        if self.options().on_demand {
            return self.request_ranges(index, &[FileRange::new(offset, LENGTH_TO_EOF)], now);
        }
        let file = &mut self.files[index as usize];
        file.position = offset;
        file.pinned = true;
        self.touch(now);
        Ok(())
    }

    /// What is wanted of a file, for the worker.
    pub fn wanted(&self, file: &File) -> Wanted {
        let options = self.options();
        Wanted {
            layout: file.layout.clone(),
            first: file.requested.clone(),
            position: file.position,
            only_first: options.on_demand,
            pinned: file.pinned || options.on_demand,
            dynamic: options.dynamic_content,
            strict: false,
        }
    }

    /// Something of the file is still to be fetched: on demand what was asked for, else whatever is missing.
    pub fn wants(&self, file: &File) -> bool {
        if self.options().on_demand { file.has_requests() } else { !file.transferred }
    }

    /// An on-demand job for which nothing is left to do until more is asked for.
    pub fn is_satisfied(&self) -> bool {
        self.options().on_demand && !self.files.iter().any(|file| self.wants(file))
    }

    /// The sizes that are known are more than MAX_DOWNLOAD_SIZE allows.
    pub fn is_over_cap(&self) -> bool {
        let options = self.options();
        let known = self.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size.unwrap_or(0)));
        options.max_download_bytes.is_some_and(|cap| known > cap) && !options.on_demand
    }
}

/// A set as a list of ranges.
pub fn as_ranges(set: &RangeSet) -> Vec<FileRange> {
    set.iter().map(|range| FileRange::new(range.start, range.end - range.start)).collect()
}
