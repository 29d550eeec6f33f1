//! Properties that came after BITS 1.5: values, freeze rules, conflicts (spec/bits-extended.md 4 to 6 and 10).

use super::Job;
use crate::enums::{AuthTarget, JobType};
use crate::gate::Networks;
use crate::hresult::{self as h, HResult};
use crate::id::{ClassId, Uid};
use crate::limits::Limits;
use crate::policy::cost;
use serde::{Deserialize, Serialize};

mod numbered;
pub use numbered::{PropertyId, PropertyValue};

/// Bits of SetFileACLFlags: owner 1, group 2, access list 4, audit list 8.
pub mod acl {
    /// The source's owner.
    pub const OWNER: u32 = 0x1;
    /// The source's group.
    pub const GROUP: u32 = 0x2;
    /// Mode and access list of the source.
    pub const DACL: u32 = 0x4;
    /// Stored and returned; Linux has nothing like it.
    pub const SACL: u32 = 0x8;
    /// Every defined bit.
    pub const ALL: u32 = 0xF;
}

/// Bits of SetPeerCachingFlags. The first two have no effect since 4.0; the third is stored only (spec/bits-extended.md 5.7).
pub mod peer_caching {
    /// Fetch from peers.
    pub const CLIENT: u32 = 0x1;
    /// Serve peers.
    pub const SERVER: u32 = 0x2;
    /// Use no BranchCache.
    pub const NO_BRANCH_CACHE: u32 = 0x4;
    /// Every defined bit.
    pub const ALL: u32 = 0x7;
}

/// Bits of SetHelperTokenFlags.
pub mod helper {
    /// The helper opens, creates and renames local files.
    pub const LOCAL_FILE: u32 = 0x1;
    /// The helper answers challenges of servers and proxies.
    pub const NETWORK: u32 = 0x2;
    /// Every defined bit.
    pub const ALL: u32 = 0x3;
}

/// Integrity levels, as GetOwnerIntegrityLevel reports them; Linux has none, these stand in (spec/bits-extended.md 5.7).
pub mod integrity {
    /// An ordinary user.
    pub const MEDIUM: u32 = 0x2000;
    /// Root by way of an ordinary login.
    pub const HIGH: u32 = 0x3000;
    /// A system service: root without a login.
    pub const SYSTEM: u32 = 0x4000;
}

/// Milliseconds between JobModification calls, unless the job says something else.
pub const DEFAULT_NOTIFICATION_INTERVAL_MS: u32 = 500;
/// GetProperty(MAX_DOWNLOAD_SIZE) of a job without a cap.
pub const NO_SIZE_CAP: u64 = u64::MAX;

/// Everything here at its default is a job as BITS 1.5 knew it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// SetFileACLFlags, bits of [`acl`].
    #[serde(skip_serializing_if = "is_zero")]
    pub acl_flags: u32,
    /// SetPeerCachingFlags, bits of [`peer_caching`].
    #[serde(skip_serializing_if = "is_zero")]
    pub peer_caching_flags: u32,
    /// SetMaximumDownloadTime in seconds; `None`: the policy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_download_s: Option<u32>,
    /// COST_FLAGS; `None`: what priority and policy give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_flags: Option<u32>,
    /// Not over cellular networks (DisallowOnCellular).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disallow_cellular: bool,
    /// NOTIFICATION_CLSID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_class: Option<ClassId>,
    /// DYNAMIC_CONTENT: no size, no ranges; an interruption begins the file anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dynamic_content: bool,
    /// HIGH_PERFORMANCE: straight into the destination, no progress kept over a crash.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub high_performance: bool,
    /// MAX_DOWNLOAD_SIZE in bytes for the whole job; `None`: no cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_download_bytes: Option<u64>,
    /// USE_STORED_CREDENTIALS for the proxy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stored_proxy_credentials: bool,
    /// MINIMUM_NOTIFICATION_INTERVAL_MS; `None`: [`DEFAULT_NOTIFICATION_INTERVAL_MS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_interval_ms: Option<u32>,
    /// ON_DEMAND_MODE: only requested ranges are fetched.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub on_demand: bool,
    /// SetHelperTokenFlags, bits of [`helper`].
    #[serde(skip_serializing_if = "is_zero")]
    pub helper_flags: u32,
    /// How the owner came to his rights when he created or took the job.
    #[serde(skip_serializing_if = "OwnerLevel::is_plain")]
    pub owner_level: OwnerLevel,
}

/// How a caller came to his rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerLevel {
    /// An ordinary user, or root without a login (a system service).
    #[default]
    Plain,
    /// Root by a login as root.
    LoggedIn,
    /// Root by the login of an ordinary user (sudo, su).
    Elevated,
}

impl OwnerLevel {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Options {
    /// Nothing set.
    pub const NONE: Self = Self {
        acl_flags: 0,
        peer_caching_flags: 0,
        max_download_s: None,
        cost_flags: None,
        disallow_cellular: false,
        notification_class: None,
        dynamic_content: false,
        high_performance: false,
        max_download_bytes: None,
        stored_proxy_credentials: false,
        notification_interval_ms: None,
        on_demand: false,
        helper_flags: 0,
        owner_level: OwnerLevel::Plain,
    };

    /// Milliseconds between JobModification notices.
    pub fn notification_interval_ms(&self) -> u32 {
        self.notification_interval_ms.unwrap_or(DEFAULT_NOTIFICATION_INTERVAL_MS)
    }
}

/// One of these properties with its new value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// SetFileACLFlags
    FileAclFlags(u32),
    /// SetPeerCachingFlags
    PeerCachingFlags(u32),
    /// SetMaximumDownloadTime, seconds
    MaximumDownloadTime(u32),
    /// SetHelperTokenFlags
    HelperTokenFlags(u32),
    /// SetProperty 1; a mask of cost states
    CostFlags(u32),
    /// Not over cellular networks
    DisallowCellular(bool),
    /// SetProperty 2; the nil class clears
    NotificationClass(ClassId),
    /// SetProperty 3
    DynamicContent(bool),
    /// SetProperty 4
    HighPerformance(bool),
    /// SetProperty 5, bytes
    MaxDownloadSize(u64),
    /// SetProperty 7, BG_AUTH_TARGET as a raw value; 0 switches off
    UseStoredCredentials(u32),
    /// SetProperty 9, milliseconds
    MinimumNotificationInterval(u32),
    /// SetProperty 10
    OnDemandMode(bool),
}

/// When a property may be changed (spec/bits-extended.md 3.2).
enum Freeze {
    Never,
    AfterResume,
    AfterAddFile,
    AfterTransferred,
}

impl Setting {
    fn freeze(self) -> Freeze {
        match self {
            Self::DynamicContent(_) | Self::MaxDownloadSize(_) | Self::OnDemandMode(_) => Freeze::AfterResume,
            Self::HighPerformance(_) => Freeze::AfterAddFile,
            Self::FileAclFlags(_) => Freeze::AfterTransferred,
            _ => Freeze::Never,
        }
    }

    const fn is_for_downloads(self) -> bool {
        matches!(
            self,
            Self::DynamicContent(_)
                | Self::HighPerformance(_)
                | Self::MaxDownloadSize(_)
                | Self::OnDemandMode(_)
        )
    }

    fn check_value(self) -> Result<(), HResult> {
        let unless = |bad: bool, code| if bad { Err(code) } else { Ok(()) };
        match self {
            Self::FileAclFlags(bits) => unless(bits & !acl::ALL != 0, h::E_INVALIDARG),
            Self::PeerCachingFlags(bits) => unless(bits & !peer_caching::ALL != 0, h::E_NOTIMPL),
            Self::HelperTokenFlags(bits) => unless(bits & !helper::ALL != 0, h::E_INVALIDARG),
            Self::MaximumDownloadTime(seconds) => unless(seconds == 0, h::E_INVALIDARG),
            Self::CostFlags(mask) => unless(mask & !cost::DEFINED != 0, h::E_INVALIDARG),
            Self::MaxDownloadSize(bytes) => unless(bytes == 0, h::BG_E_MAX_DOWNLOAD_SIZE_INVALID_VALUE),
            Self::UseStoredCredentials(target) => {
                let known = target == 0 || target == u32::from(AuthTarget::Proxy.value());
                unless(!known, h::BG_E_USE_STORED_CREDENTIALS_NOT_SUPPORTED)
            }
            Self::NotificationClass(_)
            | Self::DynamicContent(_)
            | Self::HighPerformance(_)
            | Self::MinimumNotificationInterval(_)
            | Self::DisallowCellular(_)
            | Self::OnDemandMode(_) => Ok(()),
        }
    }
}

impl Job {
    /// The options, for reading.
    pub fn options(&self) -> &Options {
        const NONE: &Options = &Options::NONE;
        self.options.as_deref().unwrap_or(NONE)
    }

    /// Options for changing.
    pub fn options_mut(&mut self) -> &mut Options {
        self.options.get_or_insert_default()
    }

    /// The options as they would be with `settings`: state, type, freeze rule, value and conflict of each, in this order
    /// (spec/bits-extended.md 6.1). An error leaves everything as it was.
    pub(super) fn with_settings(
        &self,
        settings: impl Iterator<Item = Setting>,
    ) -> Result<Option<Box<Options>>, HResult> {
        let mut changed: Option<Box<Options>> = None;
        for setting in settings {
            if self.state.is_final() {
                return Err(h::BG_E_INVALID_STATE);
            }
            if setting.is_for_downloads() && self.kind != JobType::Download {
                return Err(h::BG_E_PROPERTY_SUPPORTED_FOR_DOWNLOAD_JOBS_ONLY);
            }
            let frozen = match setting.freeze() {
                Freeze::AfterResume if self.was_resumed() => Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_RESUME),
                Freeze::AfterAddFile if !self.files.is_empty() => {
                    Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE)
                }
                Freeze::AfterTransferred if self.state == crate::enums::JobState::Transferred => {
                    Err(h::BG_E_INVALID_STATE)
                }
                _ => Ok(()),
            };
            frozen?;
            setting.check_value()?;
            let options = changed.get_or_insert_with(|| Box::new(self.options().clone()));
            self.put(options, setting)?;
        }
        Ok(changed)
    }

    fn put(&self, options: &mut Options, setting: Setting) -> Result<(), HResult> {
        match setting {
            Setting::FileAclFlags(bits) => options.acl_flags = bits,
            Setting::PeerCachingFlags(bits) => options.peer_caching_flags = bits,
            Setting::MaximumDownloadTime(seconds) => options.max_download_s = Some(seconds),
            Setting::HelperTokenFlags(bits) => options.helper_flags = bits,
            Setting::CostFlags(mask) => options.cost_flags = Some(mask),
            Setting::DisallowCellular(on) => options.disallow_cellular = on,
            Setting::NotificationClass(class) => {
                options.notification_class = Some(class).filter(|c| !c.is_nil());
            }
            Setting::DynamicContent(on) => {
                if on && (options.on_demand || self.has_ranges()) {
                    return Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION);
                }
                options.dynamic_content = on;
            }
            Setting::HighPerformance(on) => options.high_performance = on,
            Setting::MaxDownloadSize(bytes) => {
                options.max_download_bytes = Some(bytes).filter(|b| *b != NO_SIZE_CAP);
            }
            Setting::UseStoredCredentials(target) => options.stored_proxy_credentials = target != 0,
            Setting::MinimumNotificationInterval(ms) => {
                options.notification_interval_ms =
                    Some(ms).filter(|ms| *ms != DEFAULT_NOTIFICATION_INTERVAL_MS);
            }
            Setting::OnDemandMode(on) => {
                if on && (options.dynamic_content || self.has_ranges()) {
                    return Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION);
                }
                options.on_demand = on;
            }
        }
        Ok(())
    }

    /// IBackgroundCopyJob4::GetOwnerIntegrityLevel, one of [`integrity`].
    pub fn owner_integrity_level(&self) -> u32 {
        match self.options().owner_level {
            OwnerLevel::LoggedIn | OwnerLevel::Elevated => integrity::HIGH,
            OwnerLevel::Plain if self.owner == Uid::ROOT => integrity::SYSTEM,
            OwnerLevel::Plain => integrity::MEDIUM,
        }
    }

    /// IBackgroundCopyJob4::GetOwnerElevationState.
    pub fn is_owner_elevated(&self) -> bool {
        self.options().owner_level == OwnerLevel::Elevated
    }

    /// Remembers how the creator, or the new owner, came to his rights.
    pub fn note_owner_level(&mut self, level: OwnerLevel) {
        if level != self.options().owner_level {
            self.options_mut().owner_level = level;
        }
    }

    /// A file was added with ranges.
    fn has_ranges(&self) -> bool {
        self.files.iter().any(|file| !file.layout.is_whole())
    }

    /// Resume was called once, at any time (rule G2).
    pub fn was_resumed(&self) -> bool {
        self.resumed
    }

    /// GetMaximumDownloadTime, seconds: the job's, else the policy's.
    pub fn maximum_download_time_s(&self, limits: &Limits) -> u64 {
        self.options().max_download_s.map_or(limits.max_download_s, u64::from)
    }

    /// COST_FLAGS in force: the job's, else what its priority has by the policy (spec/bits-extended.md 6.4).
    pub fn cost_flags(&self, limits: &Limits) -> u32 {
        limits.cost_masks.of(self.options().cost_flags, self.priority)
    }

    /// Which networks the job may use.
    pub fn networks(&self, limits: &Limits) -> Networks {
        Networks { costs: self.cost_flags(limits), cellular: !self.options().disallow_cellular }
    }
}

#[cfg(test)]
mod tests;
