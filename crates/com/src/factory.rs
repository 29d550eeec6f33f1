//! What the library exports.

use crate::bridge::{guard, h, present};
use crate::generated::types as t;
use crate::{pool, wide16, wide32};
use core::ffi::{c_char, c_void};
use openbits_core::HResult;
use windows_core::{GUID, HRESULT, IUnknown, Interface};

/// A caller that wants its object inside of another one; no object can do that.
const CLASS_E_NOAGGREGATION: HResult = HResult::from_bits(0x8004_0110);

/// The manager of every version: the newest one answers for all (spec/bits-core.md 1).
const MANAGERS: [GUID; 10] = [
    t::CLSID_BackgroundCopyManager,
    t::CLSID_BackgroundCopyManager1_5,
    t::CLSID_BackgroundCopyManager2_0,
    t::CLSID_BackgroundCopyManager2_5,
    t::CLSID_BackgroundCopyManager3_0,
    t::CLSID_BackgroundCopyManager4_0,
    t::CLSID_BackgroundCopyManager5_0,
    t::CLSID_BackgroundCopyManager10_1,
    t::CLSID_BackgroundCopyManager10_2,
    t::CLSID_BackgroundCopyManager10_3,
];

/// Makes an object of a class. `wchar_bytes` is the `sizeof(WCHAR)` of the program, 2 or 4: its object, and all that come from it, take
/// and give texts of such characters. `context` is of no interest: the objects are in this process, the service is not.
///
/// Answers S_OK; CLASS_E_NOAGGREGATION for an `outer`; REGDB_E_CLASSNOTREG for a class that is not there; E_NOINTERFACE;
/// E_POINTER for NULL; E_INVALIDARG for another `wchar_bytes`; RPC_S_SERVER_UNAVAILABLE if there is no service.
///
/// # Safety
/// `class` and `iid` are readable, `object` is writable, or they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn OpenbitsCreateInstance(
    class: *const GUID,
    outer: *mut c_void,
    context: u32,
    iid: *const GUID,
    object: *mut *mut c_void,
    wchar_bytes: u32,
) -> HRESULT {
    let _ = context;
    guard(|| {
        present(object, h::E_POINTER)?;
        // SAFETY: by the contract of this function.
        unsafe { object.write(core::ptr::null_mut()) };
        present(class, h::E_POINTER)?;
        present(iid, h::E_POINTER)?;
        // SAFETY: by the contract of this function.
        let (class, iid) = unsafe { (*class, *iid) };
        if !outer.is_null() {
            return Err(CLASS_E_NOAGGREGATION);
        }
        let make: fn(bool) -> IUnknown = match class {
            t::CLSID_BackgroundCopyQMgr => |wide| match wide {
                true => wide32::objects::group_manager(),
                false => wide16::objects::group_manager(),
            },
            t::CLSID_DeliveryOptimization => |wide| match wide {
                true => wide32::objects::delivery_manager(),
                false => wide16::objects::delivery_manager(),
            },
            class if MANAGERS.contains(&class) => |wide| match wide {
                true => wide32::objects::manager(),
                false => wide16::objects::manager(),
            },
            _ => return Err(h::REGDB_E_CLASSNOTREG),
        };
        let manager = match wchar_bytes {
            2 => make(false),
            4 => make(true),
            _ => return Err(h::E_INVALIDARG),
        };
        // Activation is what starts the service, and what fails without one.
        pool::call(async |client| client.service_info().await)?;
        // SAFETY: `object` is writable.
        match unsafe { manager.query(&iid, object) } {
            HRESULT(0) => Ok(h::S_OK),
            HRESULT(code) => Err(HResult::from_signed(code)),
        }
    })
}

/// The version of the library: a text that lives as long as the process.
#[unsafe(no_mangle)]
pub extern "system" fn OpenbitsVersion() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
