//! IBitsPeerCacheAdministration (spec/bits-extended.md 11): what it answers is decided by [`openbits_core::peer_cache`].

use super::super::*;
use super::manager::Manager;
use openbits_core::peer_cache::{Method, call};
use openbits_core::{Caller, Uid};
use windows_core::GUID;

/// Nothing is handed out: the places of numbers and objects stay empty.
fn ask(method: Method) -> Done {
    let uid = Uid(rustix::process::geteuid().as_raw());
    call(method, Caller { uid, exempt: false, login: None }).map(|answer| answer.code)
}

impl IBitsPeerCacheAdministrationMethods for Manager {
    fn get_maximum_cache_size(&self, _percent: Out<'_, u32>) -> Done {
        ask(Method::GetMaximumCacheSize)
    }

    fn set_maximum_cache_size(&self, _percent: u32) -> Done {
        ask(Method::SetMaximumCacheSize)
    }

    fn get_maximum_content_age(&self, _seconds: Out<'_, u32>) -> Done {
        ask(Method::GetMaximumContentAge)
    }

    fn set_maximum_content_age(&self, _seconds: u32) -> Done {
        ask(Method::SetMaximumContentAge)
    }

    fn get_configuration_flags(&self, _flags: Out<'_, u32>) -> Done {
        ask(Method::GetConfigurationFlags)
    }

    fn set_configuration_flags(&self, _flags: u32) -> Done {
        ask(Method::SetConfigurationFlags)
    }

    fn enum_records(&self, _records: OutObject<'_, IEnumBitsPeerCacheRecords>) -> Done {
        ask(Method::EnumRecords)
    }

    fn get_record(&self, _id: GUID, _record: OutObject<'_, IBitsPeerCacheRecord>) -> Done {
        ask(Method::GetRecord)
    }

    fn clear_records(&self) -> Done {
        ask(Method::ClearRecords)
    }

    fn delete_record(&self, _id: GUID) -> Done {
        ask(Method::DeleteRecord)
    }

    fn delete_url(&self, _url: String) -> Done {
        ask(Method::DeleteUrl)
    }

    fn enum_peers(&self, _peers: OutObject<'_, IEnumBitsPeers>) -> Done {
        ask(Method::EnumPeers)
    }

    fn clear_peers(&self) -> Done {
        ask(Method::ClearPeers)
    }

    fn discover_peers(&self) -> Done {
        ask(Method::DiscoverPeers)
    }
}
