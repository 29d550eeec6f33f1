//! IDeliveryOptimizationFile, IDeliveryOptimizationFile2 (spec/delivery-optimization-com.md 5.3, 5.5).

use super::super::*;
use super::delivery::changed;
use super::file::OfFile;
use super::job::size;
use crate::job::Job;
use openbits_api::SetFile;
use openbits_core::delivery::codes;
use openbits_core::{JobState, Priority};
use std::sync::Arc;
use windows_core::implement;

/// A file of a Delivery Optimization job, with all its faces.
#[implement(IBackgroundCopyFile6, IDeliveryOptimizationFile, IDeliveryOptimizationFile2)]
pub(super) struct DeliveryFile {
    job: Arc<Job>,
    index: u32,
}

impl OfFile for DeliveryFile {
    fn job(&self) -> &Arc<Job> {
        &self.job
    }

    fn index(&self) -> u32 {
        self.index
    }
}

impl DeliveryFile {
    pub(super) fn object(job: Arc<Job>, index: u32) -> IBackgroundCopyFile {
        let newest: IBackgroundCopyFile6 = Self { job, index }.into();
        let first: &IBackgroundCopyFile = &newest;
        first.clone()
    }

    fn change(&self, set: &SetFile) -> Done {
        changed(&self.job, self.index, set)
    }
}

impl IDeliveryOptimizationFileMethods for DeliveryFile {
    /// There are no peers yet; the mode is the one in force, which the modes of peers are not.
    fn get_stats(&self, stats: Out<'_, DOSwarmStats>) -> Done {
        let (file, job) = (self.view()?, self.job.view()?);
        let service = self.job.read(async |client, _| client.service_info().await)?;
        let status = match job.state {
            _ if file.transferred => SwarmStatus_Complete,
            JobState::Suspended | JobState::Error | JobState::TransientError | JobState::Cancelled => {
                SwarmStatus_Paused
            }
            _ => SwarmStatus_Downloading,
        };
        let connected = job.peer.is_some() && status == SwarmStatus_Downloading;
        let at_cache = connected && job.cache_host.is_some();
        let id = OutText::<Wchar>::copy(file.content_id.as_deref().unwrap_or_default())?;
        let url = OutText::<Wchar>::copy(&file.remote_name).inspect_err(|_| give_back(id))?;
        stats.set(DOSwarmStats {
            fileId: id,
            sourceURL: url,
            fileSize: size(file.bytes_total.or(file.expected_size)),
            totalBytesDownloaded: file
                .bytes_from_origin
                .saturating_add(file.bytes_from_cache_hosts)
                .saturating_add(file.bytes_from_peers),
            bytesFromLanPeers: file.bytes_from_peers,
            bytesFromGroupPeers: 0,
            bytesFromInternetPeers: 0,
            bytesFromHttp: file.bytes_from_origin,
            bytesFromDoinc: file.bytes_from_cache_hosts,
            bytesToLanPeers: 0,
            bytesToGroupPeers: 0,
            bytesToInternetPeers: 0,
            httpConnectionCount: (connected && !at_cache).into(),
            doincConnectionCount: at_cache.into(),
            lanConnectionCount: 0,
            groupConnectionCount: 0,
            internetConnectionCount: 0,
            downloadDuration: u32::try_from(job.active_time_ms).unwrap_or(u32::MAX),
            downloadMode: service.download_mode,
            status,
            isBackground: (job.priority != Priority::Foreground).into(),
        });
        OK
    }
}

impl IDeliveryOptimizationFile2Methods for DeliveryFile {
    fn get_property(&self, id: i32, value: Out<'_, VARIANT>) -> Done {
        let file = self.view()?;
        let found = match id {
            DOFilePropertyId_DecryptionInfo | DOFilePropertyId_IntegrityCheckInfo => {
                return Err(codes::DO_E_WRITE_ONLY_PROPERTY);
            }
            DOFilePropertyId_IntegrityCheckMandatory => {
                VARIANT::of_boolean(file.integrity_check_mandatory.ok_or(codes::E_NOT_SET)?)
            }
            DOFilePropertyId_DownloadSinkFilePath if file.local_name.is_empty() => {
                return Err(codes::E_NOT_SET);
            }
            DOFilePropertyId_DownloadSinkFilePath => Automation::<Wchar>::of_text(&file.local_name)?,
            DOFilePropertyId_TotalSizeBytes => {
                VARIANT::of_u64(file.expected_size.or(file.bytes_total).ok_or(codes::E_NOT_SET)?)
            }
            _ => return Err(codes::DO_E_UNKNOWN_PROPERTY_ID),
        };
        value.set(found);
        OK
    }

    fn set_property(&self, id: i32, value: &VARIANT) -> Done {
        // SAFETY: the caller's VARIANT holds what its type says.
        let text = || unsafe { Automation::<Wchar>::text_of(value) };
        let set = match id {
            // What would be fetched could not be read by anybody: nobody documented how it is encrypted.
            DOFilePropertyId_DecryptionInfo => {
                return if text()?.is_empty() { OK } else { Err(h::E_NOTIMPL) };
            }
            DOFilePropertyId_IntegrityCheckInfo => {
                SetFile { integrity_check_info: Some(text()?), ..SetFile::default() }
            }
            DOFilePropertyId_IntegrityCheckMandatory => {
                SetFile { integrity_check_mandatory: Some(value.boolean()?), ..SetFile::default() }
            }
            DOFilePropertyId_DownloadSinkFilePath => {
                SetFile { local_name: Some(text()?), ..SetFile::default() }
            }
            DOFilePropertyId_TotalSizeBytes => {
                SetFile { size: Some(value.long_number()?), ..SetFile::default() }
            }
            // Not documented, or no longer there (5.3).
            _ => return Err(codes::DO_E_UNKNOWN_PROPERTY_ID),
        };
        self.change(&set)
    }
}
