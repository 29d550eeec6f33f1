//! The numbered properties of IBackgroundCopyJob5 (spec/bits-extended.md 6).

use super::{NO_SIZE_CAP, Setting};
use crate::enums::AuthTarget;
use crate::hresult::{self as h, HResult};
use crate::id::{ClassId, InvalidClassId};
use crate::job::Job;
use crate::limits::Limits;

/// `BITS_JOB_PROPERTY_ID`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum PropertyId {
    /// A mask of cost states
    CostFlags = 1,
    /// Class to activate for notification
    NotificationClsid = 2,
    /// No size, no ranges
    DynamicContent = 3,
    /// Straight into the destination
    HighPerformance = 4,
    /// Cap in bytes
    MaxDownloadSize = 5,
    /// Default credentials for a proxy
    UseStoredCredentials = 7,
    /// Milliseconds
    MinimumNotificationIntervalMs = 9,
    /// Only requested ranges
    OnDemandMode = 10,
}

impl PropertyId {
    /// Every id, with its name in `bits.h`.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::CostFlags, "BITS_JOB_PROPERTY_ID_COST_FLAGS"),
        (Self::NotificationClsid, "BITS_JOB_PROPERTY_NOTIFICATION_CLSID"),
        (Self::DynamicContent, "BITS_JOB_PROPERTY_DYNAMIC_CONTENT"),
        (Self::HighPerformance, "BITS_JOB_PROPERTY_HIGH_PERFORMANCE"),
        (Self::MaxDownloadSize, "BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE"),
        (Self::UseStoredCredentials, "BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS"),
        (Self::MinimumNotificationIntervalMs, "BITS_JOB_PROPERTY_MINIMUM_NOTIFICATION_INTERVAL_MS"),
        (Self::OnDemandMode, "BITS_JOB_PROPERTY_ON_DEMAND_MODE"),
    ];

    /// The property of a number.
    ///
    /// # Errors
    /// `BG_E_UNKNOWN_PROPERTY_ID` for 6, 8, and everything above 10.
    pub fn from_value(value: u32) -> Result<Self, HResult> {
        let found = Self::ALL.iter().find(|(id, _)| *id as u32 == value);
        found.map(|(id, _)| *id).ok_or(h::BG_E_UNKNOWN_PROPERTY_ID)
    }

    /// Its name in `bits.h`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(id, _)| *id == self).map_or("", |(_, name)| name)
    }
}

/// `BITS_JOB_PROPERTY_VALUE`: which member counts is said by the id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PropertyValue {
    /// Ids 1 and 9
    Dword(u32),
    /// Id 2
    ClsId(ClassId),
    /// Ids 3, 4 and 10
    Enable(bool),
    /// Id 5
    Uint64(u64),
    /// Id 7: 0, or a BG_AUTH_TARGET
    Target(u32),
}

impl PropertyValue {
    /// The member that belongs to the id, from the 16 bytes of the union as `bits.h` lays it out (little-endian numbers, a GUID in
    /// Microsoft's order).
    pub fn of_bytes(id: PropertyId, bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = bytes;
        let dword = u32::from_le_bytes([a, b, c, d]);
        match id {
            PropertyId::CostFlags | PropertyId::MinimumNotificationIntervalMs => Self::Dword(dword),
            PropertyId::NotificationClsid => Self::ClsId(ClassId::from_bytes_le(bytes)),
            PropertyId::DynamicContent | PropertyId::HighPerformance | PropertyId::OnDemandMode => {
                Self::Enable(dword != 0)
            }
            PropertyId::MaxDownloadSize => Self::Uint64(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            PropertyId::UseStoredCredentials => Self::Target(dword),
        }
    }

    /// The 16 bytes of the union; those of other members are zero.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        match self {
            Self::Dword(n) | Self::Target(n) => bytes[..4].copy_from_slice(&n.to_le_bytes()),
            Self::Enable(on) => bytes[0] = u8::from(on),
            Self::Uint64(n) => bytes[..8].copy_from_slice(&n.to_le_bytes()),
            Self::ClsId(class) => bytes = class.to_bytes_le(),
        }
        bytes
    }

    /// From text: a number (`0x` for hexadecimal), TRUE or FALSE, a GUID, or PROXY and NONE.
    ///
    /// # Errors
    /// `E_INVALIDARG` if it is no value of this property.
    pub fn parse(id: PropertyId, text: &str) -> Result<Self, HResult> {
        let number = || {
            match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            }
            .ok_or(h::E_INVALIDARG)
        };
        let dword = || u32::try_from(number()?).map_err(|_| h::E_INVALIDARG);
        Ok(match id {
            PropertyId::CostFlags | PropertyId::MinimumNotificationIntervalMs => Self::Dword(dword()?),
            PropertyId::NotificationClsid if text.is_empty() => Self::ClsId(ClassId::NIL),
            PropertyId::NotificationClsid => {
                Self::ClsId(text.parse().map_err(|InvalidClassId| h::E_INVALIDARG)?)
            }
            PropertyId::DynamicContent | PropertyId::HighPerformance | PropertyId::OnDemandMode => {
                Self::Enable(match text.to_ascii_uppercase().as_str() {
                    "TRUE" | "1" => true,
                    "FALSE" | "0" => false,
                    _ => return Err(h::E_INVALIDARG),
                })
            }
            PropertyId::MaxDownloadSize => Self::Uint64(number()?),
            PropertyId::UseStoredCredentials => match text.to_ascii_uppercase().as_str() {
                "NONE" => Self::Target(0),
                "SERVER" => Self::Target(1),
                "PROXY" => Self::Target(2),
                _ => Self::Target(dword()?),
            },
        })
    }
}

impl std::fmt::Display for PropertyValue {
    /// The form that [`PropertyValue::parse`] reads.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dword(n) => write!(f, "0x{n:08X}"),
            Self::Uint64(n) => n.fmt(f),
            Self::Enable(on) => f.write_str(if *on { "TRUE" } else { "FALSE" }),
            Self::ClsId(class) => class.fmt(f),
            Self::Target(0) => f.write_str("NONE"),
            Self::Target(1) => f.write_str("SERVER"),
            Self::Target(2) => f.write_str("PROXY"),
            Self::Target(n) => n.fmt(f),
        }
    }
}

impl Setting {
    /// IBackgroundCopyJob5::SetProperty.
    ///
    /// # Errors
    /// `E_INVALIDARG` for a value of another property's kind.
    pub fn numbered(id: PropertyId, value: PropertyValue) -> Result<Self, HResult> {
        use PropertyValue as V;
        Ok(match (id, value) {
            (PropertyId::CostFlags, V::Dword(mask)) => Self::CostFlags(mask),
            (PropertyId::NotificationClsid, V::ClsId(class)) => Self::NotificationClass(class),
            (PropertyId::DynamicContent, V::Enable(on)) => Self::DynamicContent(on),
            (PropertyId::HighPerformance, V::Enable(on)) => Self::HighPerformance(on),
            (PropertyId::MaxDownloadSize, V::Uint64(bytes)) => Self::MaxDownloadSize(bytes),
            (PropertyId::UseStoredCredentials, V::Target(target)) => Self::UseStoredCredentials(target),
            (PropertyId::MinimumNotificationIntervalMs, V::Dword(ms)) => {
                Self::MinimumNotificationInterval(ms)
            }
            (PropertyId::OnDemandMode, V::Enable(on)) => Self::OnDemandMode(on),
            _ => return Err(h::E_INVALIDARG),
        })
    }
}

impl Job {
    /// IBackgroundCopyJob5::GetProperty: also of what this type of job cannot set; then the default.
    pub fn property(&self, id: PropertyId, limits: &Limits) -> PropertyValue {
        let o = self.options();
        match id {
            PropertyId::CostFlags => PropertyValue::Dword(self.cost_flags(limits)),
            PropertyId::NotificationClsid => {
                PropertyValue::ClsId(o.notification_class.unwrap_or(ClassId::NIL))
            }
            PropertyId::DynamicContent => PropertyValue::Enable(o.dynamic_content),
            PropertyId::HighPerformance => PropertyValue::Enable(o.high_performance),
            PropertyId::MaxDownloadSize => PropertyValue::Uint64(o.max_download_bytes.unwrap_or(NO_SIZE_CAP)),
            PropertyId::UseStoredCredentials => {
                let target = if o.stored_proxy_credentials { AuthTarget::Proxy.value() } else { 0 };
                PropertyValue::Target(target.into())
            }
            PropertyId::MinimumNotificationIntervalMs => PropertyValue::Dword(o.notification_interval_ms()),
            PropertyId::OnDemandMode => PropertyValue::Enable(o.on_demand),
        }
    }
}
