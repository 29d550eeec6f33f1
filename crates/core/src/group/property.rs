//! GROUPPROP: GetProp and SetProp of groups, with the types of their VARIANTs (spec/qmgr-legacy.md 5.1).

use super::{GroupData, PROTOCOL_HTTP, qm_notify};
use crate::enums::notify;
use crate::hresult::{E_INVALIDARG, E_NOTIMPL, HResult};
use crate::id::ClassId;
use crate::job::Job;
use crate::names;

/// Types of VARIANTs that properties have.
pub mod vt {
    /// 16 bits, signed.
    pub const I2: u16 = 2;
    /// 32 bits, signed; integers are returned so.
    pub const I4: u16 = 3;
    /// Text.
    pub const BSTR: u16 = 8;
    /// 16 bits.
    pub const UI2: u16 = 18;
    /// 32 bits.
    pub const UI4: u16 = 19;
    /// 32 bits, signed, of the machine.
    pub const INT: u16 = 22;
    /// 32 bits of the machine.
    pub const UINT: u16 = 23;
    /// Every type in which an integer may be set; the list is closed.
    pub const INTEGERS: [u16; 6] = [I4, I2, UI4, UI2, INT, UINT];
}

/// The numbers of the properties.
pub mod id {
    /// Always 1.
    pub const PRIORITY: u32 = 0;
    /// Only HTTP.
    pub const PROTOCOLFLAGS: u32 = 5;
    /// `QM_NOTIFY_*` bits.
    pub const NOTIFYFLAGS: u32 = 6;
    /// Class of the callback.
    pub const NOTIFYCLSID: u32 = 7;
    /// Name for people.
    pub const DISPLAYNAME: u32 = 11;
    /// Description.
    pub const DESCRIPTION: u32 = 12;
    /// The properties that groups have.
    pub const SUPPORTED: [u32; 6] =
        [PRIORITY, PROTOCOLFLAGS, NOTIFYFLAGS, NOTIFYCLSID, DISPLAYNAME, DESCRIPTION];
}

/// The only value of GROUPPROP_PRIORITY, also of a group in the foreground.
const PRIORITY: i64 = 1;

/// A VARIANT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// VARTYPE, as in `wtypes.h`: 3 is VT_I4, 8 is VT_BSTR.
    pub vt: u16,
    /// What is in it.
    pub value: VariantValue,
}

/// Content of a VARIANT, as far as properties look into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VariantValue {
    /// An integer.
    Number(i64),
    /// A text; a null BSTR is the empty text.
    Text(String),
    /// Something else: its type says enough.
    Other,
}

impl Variant {
    /// VT_I4.
    pub const fn number(value: i64) -> Self {
        Self { vt: vt::I4, value: VariantValue::Number(value) }
    }

    /// VT_BSTR.
    pub fn text(value: impl Into<String>) -> Self {
        Self { vt: vt::BSTR, value: VariantValue::Text(value.into()) }
    }
}

/// A property with its new value, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Checked {
    /// The only value that there is.
    Fixed,
    /// `QM_NOTIFY_*` bits.
    NotifyFlags(u32),
    /// The nil class: none.
    Class(ClassId),
    /// At most 256 characters.
    DisplayName(String),
    /// At most 1,024 characters.
    Description(String),
}

/// SetProp without its state: support first, then type, then value.
///
/// # Errors
/// `E_NOTIMPL` for a property that groups do not have, `E_INVALIDARG` for a type or value that it does not take.
pub fn check(number: u32, variant: &Variant) -> Result<Checked, HResult> {
    if !id::SUPPORTED.contains(&number) {
        return Err(E_NOTIMPL);
    }
    match (number, &variant.value) {
        (id::PRIORITY | id::PROTOCOLFLAGS | id::NOTIFYFLAGS, VariantValue::Number(value))
            if vt::INTEGERS.contains(&variant.vt) =>
        {
            match number {
                id::PRIORITY if *value == PRIORITY => Ok(Checked::Fixed),
                id::PROTOCOLFLAGS if *value == PROTOCOL_HTTP => Ok(Checked::Fixed),
                id::NOTIFYFLAGS => {
                    let bits = u32::try_from(*value).ok().filter(|bits| bits & !qm_notify::ALL == 0);
                    bits.map(Checked::NotifyFlags).ok_or(E_INVALIDARG)
                }
                _ => Err(E_INVALIDARG),
            }
        }
        (id::NOTIFYCLSID, VariantValue::Text(text)) if variant.vt == vt::BSTR => {
            let class = if text.is_empty() { Ok(ClassId::NIL) } else { text.parse() };
            class.map(Checked::Class).map_err(|_| E_INVALIDARG)
        }
        (id::DISPLAYNAME, VariantValue::Text(text)) if variant.vt == vt::BSTR => {
            names::check_text(text, names::DISPLAY_NAME_MAX).map_err(|_| E_INVALIDARG)?;
            Ok(Checked::DisplayName(text.clone()))
        }
        (id::DESCRIPTION, VariantValue::Text(text)) if variant.vt == vt::BSTR => {
            names::check_text(text, names::DESCRIPTION_MAX).map_err(|_| E_INVALIDARG)?;
            Ok(Checked::Description(text.clone()))
        }
        _ => Err(E_INVALIDARG),
    }
}

/// GetProp.
pub(super) fn get(job: &Job, data: Option<&GroupData>, number: u32) -> Result<Variant, HResult> {
    match number {
        id::PRIORITY => Ok(Variant::number(PRIORITY)),
        id::PROTOCOLFLAGS => Ok(Variant::number(PROTOCOL_HTTP)),
        id::NOTIFYFLAGS => Ok(Variant::number(i64::from(notify_flags(job, data)))),
        id::NOTIFYCLSID => {
            let class = job.options().notification_class;
            Ok(Variant::text(class.map_or_else(String::new, ClassId::braced)))
        }
        id::DISPLAYNAME => Ok(Variant::text(&*job.display_name)),
        id::DESCRIPTION => Ok(Variant::text(&*job.description)),
        _ => Err(E_NOTIMPL),
    }
}

/// The bits as this generation has them. Two of them are the modern job's, so that both doors tell the same.
fn notify_flags(job: &Job, data: Option<&GroupData>) -> u32 {
    let when = |modern: u32, bit: u32| if job.notify_flags & modern == 0 { 0 } else { bit };
    data.map_or(0, |data| data.idle_flags)
        | when(notify::JOB_TRANSFERRED, qm_notify::GROUP_DONE)
        | when(notify::DISABLE, qm_notify::DISABLE_NOTIFY)
}

/// Modern flags for `QM_NOTIFY_*` bits; bits that this generation does not know stay as they are.
pub fn modern_flags(before: u32, bits: u32) -> u32 {
    let when = |bit: u32, modern: u32| if bits & bit == 0 { 0 } else { modern };
    let others = before & !(notify::JOB_TRANSFERRED | notify::JOB_ERROR | notify::DISABLE);
    others
        | notify::JOB_ERROR
        | when(qm_notify::GROUP_DONE, notify::JOB_TRANSFERRED)
        | when(qm_notify::DISABLE_NOTIFY, notify::DISABLE)
}
