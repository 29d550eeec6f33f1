//! IBitsPeerCacheAdministration as BITS 4.0 answers it: the peer cache of 3.0 is gone, every method returns `S_FALSE` and does nothing
//! (spec/bits-extended.md 11.1). Sharing in the local network has a door of its own.

use crate::caller::Caller;
use crate::hresult::{E_ACCESSDENIED, HResult, S_FALSE};

/// The methods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "they are named as in bits.h")]
pub enum Method {
    GetMaximumCacheSize,
    SetMaximumCacheSize,
    GetMaximumContentAge,
    SetMaximumContentAge,
    GetConfigurationFlags,
    SetConfigurationFlags,
    EnumRecords,
    GetRecord,
    ClearRecords,
    DeleteRecord,
    DeleteUrl,
    EnumPeers,
    ClearPeers,
    DiscoverPeers,
}

impl Method {
    /// It would change the cache: administrators only (rule A4).
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::SetMaximumCacheSize
                | Self::SetMaximumContentAge
                | Self::SetConfigurationFlags
                | Self::ClearRecords
                | Self::DeleteRecord
                | Self::DeleteUrl
                | Self::ClearPeers
                | Self::DiscoverPeers
        )
    }
}

/// What a method answers: the code, and what goes to its out-parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// `S_FALSE`
    pub code: HResult,
    /// Zero for every number.
    pub number: u32,
    /// No object: there are no records, no peers, and no enumerators of them.
    pub object: Option<std::convert::Infallible>,
}

/// Calls a method; its arguments are of no interest.
///
/// # Errors
/// `E_ACCESSDENIED` to callers other than administrators, for methods that would change something.
pub fn call(method: Method, caller: Caller) -> Result<Answer, HResult> {
    if method.changes() && !caller.is_administrator() {
        return Err(E_ACCESSDENIED);
    }
    Ok(Answer { code: S_FALSE, number: 0, object: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Caller = Caller::user(1000);
    const NOTHING: Result<Answer, HResult> = Ok(Answer { code: S_FALSE, number: 0, object: None });

    fn for_everybody(method: Method) {
        assert_eq!((call(method, USER), call(method, Caller::root())), (NOTHING, NOTHING), "{method:?}");
    }

    fn for_administrators(method: Method) {
        assert_eq!(
            (call(method, USER), call(method, Caller::root())),
            (Err(E_ACCESSDENIED), NOTHING),
            "{method:?}"
        );
    }

    #[test]
    fn peer_cache_administration_get_maximum_cache_size() {
        for_everybody(Method::GetMaximumCacheSize);
    }

    #[test]
    fn peer_cache_administration_set_maximum_cache_size() {
        for_administrators(Method::SetMaximumCacheSize);
    }

    #[test]
    fn peer_cache_administration_get_maximum_content_age() {
        for_everybody(Method::GetMaximumContentAge);
    }

    #[test]
    fn peer_cache_administration_set_maximum_content_age() {
        for_administrators(Method::SetMaximumContentAge);
    }

    #[test]
    fn peer_cache_administration_get_configuration_flags() {
        for_everybody(Method::GetConfigurationFlags);
    }

    #[test]
    fn peer_cache_administration_set_configuration_flags() {
        for_administrators(Method::SetConfigurationFlags);
    }

    #[test]
    fn peer_cache_administration_enum_records() {
        for_everybody(Method::EnumRecords);
    }

    #[test]
    fn peer_cache_administration_get_record() {
        for_everybody(Method::GetRecord);
    }

    #[test]
    fn peer_cache_administration_clear_records() {
        for_administrators(Method::ClearRecords);
    }

    #[test]
    fn peer_cache_administration_delete_record() {
        for_administrators(Method::DeleteRecord);
    }

    #[test]
    fn peer_cache_administration_delete_url() {
        for_administrators(Method::DeleteUrl);
    }

    #[test]
    fn peer_cache_administration_enum_peers() {
        for_everybody(Method::EnumPeers);
    }

    #[test]
    fn peer_cache_administration_clear_peers() {
        for_administrators(Method::ClearPeers);
    }

    #[test]
    fn peer_cache_administration_discover_peers() {
        for_administrators(Method::DiscoverPeers);
    }

    /// Objects of these interfaces come from the two enumerations and from GetRecord alone, and those give none.
    fn there_is_no_such_object(from: &[Method]) {
        for method in from {
            assert!(call(*method, Caller::root()).unwrap().object.is_none(), "{method:?}");
        }
    }

    #[test]
    fn peer_get_peer_name_has_no_object() {
        there_is_no_such_object(&[Method::EnumPeers]);
    }

    #[test]
    fn peer_is_authenticated_has_no_object() {
        there_is_no_such_object(&[Method::EnumPeers]);
    }

    #[test]
    fn peer_is_available_has_no_object() {
        there_is_no_such_object(&[Method::EnumPeers]);
    }

    #[test]
    fn peer_cache_record_get_id_has_no_object() {
        there_is_no_such_object(&[Method::EnumRecords, Method::GetRecord]);
    }

    #[test]
    fn peer_cache_record_get_origin_url_has_no_object() {
        there_is_no_such_object(&[Method::EnumRecords, Method::GetRecord]);
    }

    #[test]
    fn peer_cache_record_get_file_size_has_no_object() {
        there_is_no_such_object(&[Method::EnumRecords, Method::GetRecord]);
    }

    #[test]
    fn peer_cache_record_get_file_modification_time_has_no_object() {
        there_is_no_such_object(&[Method::EnumRecords, Method::GetRecord]);
    }

    #[test]
    fn peer_cache_record_get_last_access_time_has_no_object() {
        there_is_no_such_object(&[Method::EnumRecords, Method::GetRecord]);
    }

    #[test]
    fn peer_cache_record_is_file_validated_has_no_object() {
        there_is_no_such_object(&[Method::EnumRecords, Method::GetRecord]);
    }

    #[test]
    fn peer_cache_record_get_file_ranges_has_no_object() {
        there_is_no_such_object(&[Method::EnumRecords, Method::GetRecord]);
    }
}
