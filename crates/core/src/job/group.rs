//! Calls that only a job of a group has (spec/qmgr-legacy.md 5).

use super::property::Property;
use super::{Change, Job, Notice, Setting};
use crate::group::property::{self, Checked};
use crate::group::{Group, GroupData, Variant};
use crate::hresult::HResult;
use crate::id::JobId;
use crate::time::Now;

impl Job {
    /// IBackgroundCopyGroup::CreateJob. That the id is free was checked.
    ///
    /// # Errors
    /// `QM_E_INVALID_STATE`, `E_NOTIMPL`
    pub fn create_group_job(&mut self, id: JobId, now: Now) -> Result<Change, HResult> {
        Group::of(self)?.may_create_job()?;
        self.group_mut().job = Some(id);
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// IBackgroundCopyGroup::SetProp; also while the group runs.
    ///
    /// # Errors
    /// `E_NOTIMPL`, `E_INVALIDARG`, `QM_E_INVALID_STATE`
    pub fn set_group_property(&mut self, number: u32, value: &Variant, now: Now) -> Result<Change, HResult> {
        let checked = property::check(number, value)?;
        Group::of(self)?;
        let property = match checked {
            Checked::Fixed => {
                self.touch(now);
                return Ok(Change::ok(Notice::Modification));
            }
            Checked::NotifyFlags(bits) => {
                self.group_mut().idle_flags = bits & crate::group::qm_notify::IDLE;
                Property::NotifyFlags(property::modern_flags(self.notify_flags, bits))
            }
            Checked::Class(class) => Property::Option(Setting::NotificationClass(class)),
            Checked::DisplayName(text) => Property::DisplayName(text),
            Checked::Description(text) => Property::Description(text),
        };
        self.set(vec![property], now)
    }

    fn group_mut(&mut self) -> &mut GroupData {
        self.extras_mut().group.get_or_insert_default()
    }

    /// What temporary files are named after: random, and known to nobody else.
    pub(super) fn seed(&self) -> JobId {
        self.extras().group.as_deref().and_then(|group| group.seed).unwrap_or(self.id)
    }
}
