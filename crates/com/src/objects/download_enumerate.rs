//! IEnumUnknown over downloads (spec/delivery-optimization-com.md 3): a snapshot; the elements show live values.

use super::super::*;
use super::download::DownloadObject;
use super::enumerate::Shared;
use openbits_core::JobId;
use windows_core::{IUnknown, implement};

/// Ids of downloads.
#[implement(IEnumUnknown)]
pub(super) struct DownloadEnumerator {
    ids: Shared<JobId>,
}

impl DownloadEnumerator {
    pub(super) fn object(ids: Vec<JobId>) -> IEnumUnknown {
        Self { ids: Shared::new(ids) }.into()
    }
}

impl IEnumUnknownMethods for DownloadEnumerator {
    fn next(&self, downloads: OutObjects<'_, IUnknown>, fetched: Option<Out<'_, u32>>) -> Done {
        self.ids.next(downloads, fetched, |id| {
            let download = DownloadObject::object(id);
            let unknown: &IUnknown = &download;
            unknown.clone()
        })
    }

    fn skip(&self, count: u32) -> Done {
        Ok(self.ids.lock().skip(count))
    }

    fn reset(&self) -> Done {
        self.ids.lock().reset();
        OK
    }

    fn clone(&self, other: OutObject<'_, IEnumUnknown>) -> Done {
        other.set(Self { ids: self.ids.copy() }.into());
        OK
    }
}
