//! IDeliveryOptimizationJob, IDeliveryOptimizationJob2, and the job of BITS' name in Delivery Optimization
//! (spec/delivery-optimization-com.md 5).

use super::super::*;
use super::file::ranges_of;
use super::job::OfJob;
use crate::job::{Job, done};
use openbits_api::AddFile;
use openbits_core::JobState;
use openbits_core::delivery::codes;
use std::sync::Arc;
use windows_core::{GUID, IUnknown, Interface, implement};

/// A job of Delivery Optimization, with all its faces.
#[implement(
    IBackgroundCopyJob5,
    IBackgroundCopyJobHttpOptions3,
    IDeliveryOptimizationJob,
    IDeliveryOptimizationJob2
)]
pub(super) struct DeliveryJob {
    job: Arc<Job>,
}

impl OfJob for DeliveryJob {
    fn job(&self) -> &Arc<Job> {
        &self.job
    }
}

impl DeliveryJob {
    pub(super) fn object(job: Arc<Job>) -> IBackgroundCopyJob {
        let newest: IBackgroundCopyJob5 = Self { job }.into();
        let first: &IBackgroundCopyJob = &newest;
        first.clone()
    }
}

/// The state as Delivery Optimization tells it: there is no CONNECTING, and QUEUED is a job whose owner is logged off (5.2).
pub(super) fn told(job: &Job, state: JobState) -> JobState {
    let waits = || job.read(async |client, id| client.why(id).await);
    match state {
        JobState::Connecting => JobState::Transferring,
        JobState::Queued if waits().is_ok_and(|why| why.reason != OWNER_ABSENT) => JobState::Transferring,
        state => state,
    }
}

/// The reason of a job whose owner is logged off, as the service's door names it.
const OWNER_ABSENT: &str = "owner-absent";

/// A file to add; an empty name of the content is none.
fn file(
    content: String,
    remote_name: String,
    local_name: String,
    ranges: &[BG_FILE_RANGE],
    size: Option<u64>,
) -> Result<AddFile, HResult> {
    let ends = |range: &BG_FILE_RANGE| match range.Length {
        BG_LENGTH_TO_EOF => Some(range.InitialOffset.saturating_add(1)),
        length => range.InitialOffset.checked_add(length),
    };
    if size.is_some_and(|size| ranges.iter().any(|range| ends(range).is_none_or(|end| end > size))) {
        return Err(codes::DO_E_INVALID_RANGE);
    }
    Ok(AddFile {
        remote_name,
        local_name,
        content_id: Some(content).filter(|content| !content.is_empty()),
        ranges: (!ranges.is_empty()).then(|| ranges_of(ranges)),
        size,
        ..AddFile::default()
    })
}

impl IDeliveryOptimizationJobMethods for DeliveryJob {
    fn add_file_with_ranges(
        &self,
        file_id: String,
        remote_url: String,
        local_name: String,
        ranges: &[BG_FILE_RANGE],
        file_size: u64,
    ) -> Done {
        if local_name.is_empty() {
            return Err(h::E_INVALIDARG);
        }
        let size = Some(file_size).filter(|size| *size != BG_SIZE_UNKNOWN);
        self.add(vec![file(file_id, remote_url, local_name, ranges, size)?])
    }
}

impl IDeliveryOptimizationJob2Methods for DeliveryJob {
    fn add_file(
        &self,
        file_id: String,
        remote_url: Option<String>,
        ranges: &[BG_FILE_RANGE],
        riid: GUID,
        object: OutObject<'_, IUnknown>,
    ) -> Done {
        if riid != IDeliveryOptimizationFile::IID {
            return Err(h::E_NOINTERFACE);
        }
        // A name of content alone leads nowhere: there is no service here that knows it.
        let remote_url = remote_url.filter(|url| !url.is_empty()).ok_or(codes::DO_E_DOWNLOAD_NO_URI)?;
        let files = vec![file(file_id, remote_url, String::new(), ranges, None)?];
        let mut place = None;
        let code = self.job.change(async |client, id| {
            let outcome = client.add_files(id, files).await?;
            place = outcome.job.files_total.checked_sub(1);
            Ok(outcome)
        })?;
        let added = super::file(self.job.clone(), place.ok_or(h::E_UNEXPECTED)?);
        let face: IDeliveryOptimizationFile = added.cast().map_err(|_| h::E_UNEXPECTED)?;
        // SAFETY: the pointer is that of the interface that was asked for, which every interface's pointer is as IUnknown; its reference
        // goes to the caller.
        object.set(unsafe { IUnknown::from_raw(face.into_raw()) });
        Ok(code)
    }

    fn get_property(&self, id: i32, value: Out<'_, VARIANT>) -> Done {
        if id != DOJobPropertyId_ExtendedErrorInfo {
            return Err(codes::DO_E_UNKNOWN_PROPERTY_ID);
        }
        let view = self.job.view()?;
        let error = view.error.as_ref().ok_or(codes::E_NOT_SET)?;
        let mut text = format!("{} {}", error.hresult, error.text.trim_end());
        if !error.detail.is_empty() {
            text.push(' ');
            text.push_str(&error.detail);
        }
        value.set(Automation::<Wchar>::of_text(&text)?);
        OK
    }

    fn set_property(&self, id: i32, _value: &VARIANT) -> Done {
        match id {
            DOJobPropertyId_ExtendedErrorInfo => Err(codes::DO_E_READ_ONLY_PROPERTY),
            _ => Err(codes::DO_E_UNKNOWN_PROPERTY_ID),
        }
    }
}

/// The code of a change of a file.
pub(super) fn changed(job: &Job, index: u32, set: &openbits_api::SetFile) -> Done {
    let outcome = job.read(async |client, id| client.set_file(id, index, set).await)?;
    done(&outcome)
}
