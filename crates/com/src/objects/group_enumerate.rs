//! IEnumBackgroundCopyGroups, IEnumBackgroundCopyJobs1 (spec/qmgr-legacy.md 7): they give ids, no objects.

use super::super::*;
use super::enumerate::Shared;
use crate::job::guid_of;
use openbits_core::JobId;
use windows_core::{GUID, implement};

/// Ids of groups.
#[implement(IEnumBackgroundCopyGroups)]
pub(super) struct GroupEnumerator {
    ids: Shared<JobId>,
}

/// Ids of the jobs of a group: one, or none.
#[implement(IEnumBackgroundCopyJobs1)]
pub(super) struct GroupJobEnumerator {
    ids: Shared<JobId>,
}

macro_rules! enumerator {
    ($name:ident, $interface:ident, $methods:ident) => {
        impl $name {
            pub(super) fn object(ids: Vec<JobId>) -> $interface {
                Self { ids: Shared::new(ids) }.into()
            }
        }

        impl $methods for $name {
            fn next(&self, places: OutSlots<'_, GUID>, fetched: Option<Out<'_, u32>>) -> Done {
                let (code, ids) = self.ids.lock().next(places.asked(), fetched.is_some())?;
                let given = places.set(ids.into_iter().map(guid_of));
                if let Some(fetched) = fetched {
                    fetched.set(given);
                }
                Ok(code)
            }

            fn skip(&self, count: u32) -> Done {
                Ok(self.ids.lock().skip(count))
            }

            fn reset(&self) -> Done {
                self.ids.lock().reset();
                OK
            }

            fn clone(&self, other: OutObject<'_, $interface>) -> Done {
                other.set(Self { ids: self.ids.copy() }.into());
                OK
            }

            fn get_count(&self, count: Out<'_, u32>) -> Done {
                count.set(self.ids.lock().count());
                OK
            }
        }
    };
}

enumerator!(GroupEnumerator, IEnumBackgroundCopyGroups, IEnumBackgroundCopyGroupsMethods);
enumerator!(GroupJobEnumerator, IEnumBackgroundCopyJobs1, IEnumBackgroundCopyJobs1Methods);
