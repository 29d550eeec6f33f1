//! IBackgroundCopyFile to 6 (spec/bits-core.md 5.4, spec/bits-extended.md 7).

use super::super::*;
use super::job::size;
use crate::job::Job;
use openbits_api::{FileView, RangeView};
use openbits_core::JobType;
use std::sync::Arc;
use windows_core::implement;

/// An object for a file of a job, by its place in the job's list: files are never removed from a job.
pub(super) trait OfFile {
    /// The job.
    fn job(&self) -> &Arc<Job>;
    /// The place.
    fn index(&self) -> u32;

    /// The file now.
    fn view(&self) -> Result<FileView, HResult> {
        self.job().file(self.index())
    }
}

/// A file, with all its faces.
#[implement(IBackgroundCopyFile6)]
pub(super) struct FileObject {
    job: Arc<Job>,
    index: u32,
}

impl OfFile for FileObject {
    fn job(&self) -> &Arc<Job> {
        &self.job
    }

    fn index(&self) -> u32 {
        self.index
    }
}

impl FileObject {
    pub(super) fn object(job: Arc<Job>, index: u32) -> IBackgroundCopyFile {
        let newest: IBackgroundCopyFile6 = Self { job, index }.into();
        let first: &IBackgroundCopyFile = &newest;
        first.clone()
    }
}

/// A range as the API has it.
pub(super) fn range(range: &BG_FILE_RANGE) -> RangeView {
    let length = (range.Length != BG_LENGTH_TO_EOF).then_some(range.Length);
    RangeView { offset: range.InitialOffset, length }
}

/// Ranges as the API has them.
pub(super) fn ranges_of(ranges: &[BG_FILE_RANGE]) -> Vec<RangeView> {
    ranges.iter().map(range).collect()
}

/// Ranges for the caller, and how many.
fn hand_out(
    views: &[RangeView],
    count: Out<'_, u32>,
    ranges: OutArray<'_, BG_FILE_RANGE>,
) -> Result<(), HResult> {
    let list: Vec<_> = views
        .iter()
        .map(|view| BG_FILE_RANGE {
            InitialOffset: view.offset,
            Length: view.length.unwrap_or(BG_LENGTH_TO_EOF),
        })
        .collect();
    ranges.set(&list)?;
    count.set(u32::try_from(list.len()).map_err(|_| h::E_OUTOFMEMORY)?);
    Ok(())
}

impl<T: OfFile> IBackgroundCopyFileMethods for T {
    fn get_remote_name(&self, name: OutText<'_, Wchar>) -> Done {
        name.set(&self.view()?.remote_name)?;
        OK
    }

    fn get_local_name(&self, name: OutText<'_, Wchar>) -> Done {
        name.set(&self.view()?.local_name)?;
        OK
    }

    fn get_progress(&self, progress: Out<'_, BG_FILE_PROGRESS>) -> Done {
        let file = self.view()?;
        progress.set(BG_FILE_PROGRESS {
            BytesTotal: size(file.bytes_total),
            BytesTransferred: file.bytes_transferred,
            Completed: file.completed.into(),
        });
        OK
    }
}

impl<T: OfFile> IBackgroundCopyFile2Methods for T {
    fn get_file_ranges(&self, count: Out<'_, u32>, ranges: OutArray<'_, BG_FILE_RANGE>) -> Done {
        let file = self.view()?;
        let views = file.ranges.unwrap_or_default();
        hand_out(&views, count, ranges)?;
        Ok(if views.is_empty() { h::S_FALSE } else { h::S_OK })
    }

    fn set_remote_name(&self, name: String) -> Done {
        self.job().change(async |client, id| client.set_remote_name(id, self.index(), &name).await)
    }
}

impl<T: OfFile> IBackgroundCopyFile3Methods for T {
    fn get_temporary_name(&self, name: OutText<'_, Wchar>) -> Done {
        if self.job().view()?.kind != JobType::Download {
            return Err(h::E_NOTIMPL);
        }
        name.set_or_null(self.view()?.temporary_path.as_deref())?;
        OK
    }

    fn set_validation_state(&self, valid: bool) -> Done {
        self.job().change(async |client, id| client.set_validation(id, self.index(), valid).await)
    }

    fn get_validation_state(&self, valid: Out<'_, i32>) -> Done {
        valid.set(self.view()?.valid.into());
        OK
    }

    fn is_downloaded_from_peer(&self, from_peer: Out<'_, i32>) -> Done {
        from_peer.set(self.view()?.downloaded_from_peer.into());
        OK
    }
}

impl<T: OfFile> IBackgroundCopyFile4Methods for T {
    fn get_peer_download_stats(&self, from_origin: Out<'_, u64>, from_peers: Out<'_, u64>) -> Done {
        let file = self.view()?;
        from_origin.set(file.bytes_from_origin);
        from_peers.set(file.bytes_from_peers);
        OK
    }
}

impl<T: OfFile> IBackgroundCopyFile5Methods for T {
    fn set_property(&self, id: i32, _value: BITS_FILE_PROPERTY_VALUE) -> Done {
        let number = id.cast_unsigned();
        self.job().change(async |client, job| client.set_file_property(job, self.index(), number).await)
    }

    fn get_property(&self, id: i32, value: Out<'_, BITS_FILE_PROPERTY_VALUE>) -> Done {
        let number = id.cast_unsigned();
        let property =
            self.job().read(async |client, job| client.file_property(job, self.index(), number).await)?;
        if let Some(text) = property.value {
            value.set(BITS_FILE_PROPERTY_VALUE { String: OutText::<Wchar>::copy(&text)? });
        }
        OK
    }
}

impl<T: OfFile> IBackgroundCopyFile6Methods for T {
    fn update_download_position(&self, offset: u64) -> Done {
        self.job().change(async |client, id| client.update_position(id, self.index(), offset).await)
    }

    fn request_file_ranges(&self, ranges: &[BG_FILE_RANGE]) -> Done {
        let ranges = ranges_of(ranges);
        self.job().change(async |client, id| client.request_ranges(id, self.index(), ranges).await)
    }

    fn get_filled_file_ranges(&self, count: Out<'_, u32>, ranges: OutArray<'_, BG_FILE_RANGE>) -> Done {
        let list = self.job().read(async |client, id| client.filled_ranges(id, self.index()).await)?;
        hand_out(&list.ranges, count, ranges)?;
        OK
    }
}
