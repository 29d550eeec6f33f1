//! Other remote names for files that are there: SetRemoteName and ReplaceRemotePrefix (spec/bits-extended.md 4.1, 7.2).

use super::{Change, Job, Notice};
use crate::enums::JobType;
use crate::hresult::{self as h, HResult};
use crate::names;
use crate::secret::Sealed;
use crate::time::Now;

/// Scheme and authority of a checked name.
fn origin(remote: &str) -> String {
    let start = remote.find("://").map_or(0, |at| at + 3);
    let end = remote[start..].find(['/', '?', '#']).map_or(remote.len(), |at| start + at);
    remote[..end].to_ascii_lowercase()
}

impl Job {
    /// IBackgroundCopyFile2::SetRemoteName: the file goes on at its position if the new server has the same size and date.
    ///
    /// # Errors
    /// `E_NOTIMPL` for an upload, `BG_E_INVALID_STATE` in a final state, `BG_E_FILE_NOT_FOUND` for a position beyond the list,
    /// `E_INVALIDARG` for a name that AddFile would refuse.
    pub fn set_remote_name(
        &mut self,
        file: u32,
        name: &str,
        login: Option<Sealed>,
        now: Now,
    ) -> Result<Change, HResult> {
        self.may_rename()?;
        let index = self.files.get(file as usize).map(|_| file as usize).ok_or(h::BG_E_FILE_NOT_FOUND)?;
        names::check_remote_name(name)?;
        self.rename(index, name.into(), login);
        if let Some(download) = self.download.as_deref_mut() {
            download.uri = Some(name.to_owned());
            download.login.clone_from(&self.files[index].login);
        }
        if let Some(delivery) = self.delivery.as_deref_mut() {
            delivery.uri = name.to_owned();
            delivery.login.clone_from(&self.files[index].login);
            delivery.begin_afresh();
            self.no_progress_since = None;
        }
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// IBackgroundCopyJob3::ReplaceRemotePrefix: all names or none. The positions of the files whose name changed.
    ///
    /// # Errors
    /// `E_NOTIMPL` for an upload, `BG_E_INVALID_STATE` in a final state, `E_INVALIDARG` for an empty prefix or if any new name would
    /// be no usable URL. `S_FALSE` if no name begins so.
    pub fn replace_remote_prefix(
        &mut self,
        old: &str,
        new: &str,
        login: Option<&Sealed>,
        now: Now,
    ) -> Result<(Change, Vec<u32>), HResult> {
        self.may_rename()?;
        if old.is_empty() || new.is_empty() {
            return Err(h::E_INVALIDARG);
        }
        let mut renamed = Vec::new();
        for (index, file) in (0u32..).zip(&self.files) {
            if let Some(rest) = file.remote.strip_prefix(old) {
                let name = format!("{new}{rest}");
                names::check_remote_name(&name)?;
                renamed.push((index, name));
            }
        }
        if renamed.is_empty() {
            return Ok((Change { code: h::S_FALSE, notice: Notice::None }, Vec::new()));
        }
        let indexes = renamed.iter().map(|(index, _)| *index).collect();
        for (index, name) in renamed {
            self.rename(index as usize, name.into(), login.cloned());
        }
        self.touch(now);
        Ok((Change::ok(Notice::Modification), indexes))
    }

    fn may_rename(&self) -> Result<(), HResult> {
        if self.kind != JobType::Download {
            return Err(h::E_NOTIMPL);
        }
        if self.state.is_final() { Err(h::BG_E_INVALID_STATE) } else { Ok(()) }
    }

    /// `login`: user and password that came with the new name. Those of the old one stay at their origin.
    pub(super) fn rename(&mut self, index: usize, name: Box<str>, login: Option<Sealed>) {
        let file = &mut self.files[index];
        if login.is_some() || origin(&file.remote) != origin(&name) {
            file.login = login;
        }
        if *file.remote == *name {
            return;
        }
        file.remote = name;
        // Another server tags the same version otherwise; size and date tell it all the same.
        file.moved = !file.transferred && file.size.is_some() && file.last_modified.is_some();
    }
}
