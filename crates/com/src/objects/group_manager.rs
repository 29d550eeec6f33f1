//! IBackgroundCopyQMgr (spec/qmgr-legacy.md 4).

use super::super::*;
use super::group::GroupObject;
use super::group_enumerate::GroupEnumerator;
use crate::job::{Job, id_of};
use crate::pool;
use openbits_api::CreateGroup;
use openbits_client::environment_proxy;
use openbits_core::JobId;
use windows_core::{GUID, implement};

/// The manager of the first generation.
#[implement(IBackgroundCopyQMgr)]
#[derive(Default)]
pub(super) struct GroupManager {}

impl IBackgroundCopyQMgrMethods for GroupManager {
    fn create_group(&self, id: GUID, group: OutObject<'_, IBackgroundCopyGroup>) -> Done {
        let id = id_of(&id);
        let new = CreateGroup {
            id: id.to_string(),
            environment_proxy: environment_proxy(|name| std::env::var(name).ok()),
        };
        pool::call(async |client| client.create_group(&new).await)?;
        group.set(GroupObject::object(Job::new(id)));
        OK
    }

    fn get_group(&self, id: GUID, group: OutObject<'_, IBackgroundCopyGroup>) -> Done {
        let id = id_of(&id);
        pool::call(async |client| client.get_group(id).await)?;
        group.set(GroupObject::object(Job::new(id)));
        OK
    }

    fn enum_groups(&self, flags: u32, groups: OutObject<'_, IEnumBackgroundCopyGroups>) -> Done {
        let list = pool::call(async |client| client.groups(flags).await)?;
        groups.set(GroupEnumerator::object(ids(&list.ids)?));
        OK
    }
}

/// Ids of an answer.
pub(super) fn ids(texts: &[String]) -> Result<Vec<JobId>, HResult> {
    texts.iter().map(|text| text.parse().map_err(|_| h::E_UNEXPECTED)).collect()
}
