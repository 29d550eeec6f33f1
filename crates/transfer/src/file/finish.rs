//! Complete and Cancel: temporary files become the files, or vanish (spec/behaviour.md 14).

use super::{Folder, Place, temp};
use crate::failure::{Outcome, local, local_code};
use crate::protocol::{Event, Finish, Rename};
use openbits_core::hresult::*;
use openbits_core::job::FileId;
use openbits_core::plan::Fail;
use openbits_core::{HResult, JobId};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What new files look like in a folder: computed once for each.
#[derive(Clone, Debug)]
struct Look {
    mode: Mode,
    /// The access list that the folder's default list gives.
    acl: Option<Vec<u8>>,
}

#[derive(Default)]
struct Folders(HashMap<PathBuf, (Arc<Folder>, Option<Look>, bool)>);

/// Paths of files left behind that are told: an event has a limit, a broken folder has none.
const LEFT_MAX: usize = 16;

/// Why a file is not renamed.
enum Refusal {
    /// Its data is not there, or is not what was downloaded.
    Lost(Box<Fail>),
    /// Anything else: trying again may help.
    Other(Box<Fail>),
}

impl From<Box<Fail>> for Refusal {
    fn from(fail: Box<Fail>) -> Self {
        Self::Other(fail)
    }
}

/// Renames, removes, and makes it durable. Runs outside of the event loop.
pub(crate) fn finish(order: &Finish) -> Event {
    let mut folders = Folders::default();
    let mut renamed = Vec::new();
    let mut lost = Vec::new();
    let mut error: Option<(u32, HResult, String)> = None;
    for rename in &order.rename {
        let result = match &error {
            None => rename_one(&mut folders, order.job, rename),
            // The first failure ends the renaming; what else has to be fetched again is told at once.
            Some(_) => find(&mut folders, order.job, rename).map(drop),
        };
        let fail = match result {
            Ok(()) if error.is_none() => {
                renamed.push(rename.index);
                continue;
            }
            Ok(()) => continue,
            Err(Refusal::Lost(fail)) => {
                lost.push(rename.index);
                fail
            }
            Err(Refusal::Other(fail)) => fail,
        };
        error.get_or_insert((rename.index, fail.code, fail.detail));
    }
    // One sync for each folder; a rename is not told before its folder is durable.
    for (path, (folder, _, changed)) in &folders.0 {
        if *changed && let Err(fail) = folder.sync() {
            let inside = |rename: &&Rename| Path::new(&rename.local).parent() == Some(path.as_path());
            let first = order.rename.iter().find(inside).map_or(0, |rename| rename.index);
            renamed.clear();
            error = Some((first, fail.code, fail.detail));
        }
    }
    let mut left = Vec::new();
    for (local, temp) in &order.remove {
        if remove_one(&mut folders, local, temp, order.made).is_err() && left.len() < LEFT_MAX {
            let folder = Path::new(local).parent().unwrap_or(Path::new("/"));
            left.push(folder.join(temp).to_string_lossy().into_owned());
        }
    }
    Event::FinishDone { job: order.job, ticket: order.ticket, renamed, error, lost, left, upload_left: false }
}

impl Folders {
    fn get(&mut self, path: &Path) -> Outcome<&mut (Arc<Folder>, Option<Look>, bool)> {
        match self.0.entry(path.to_owned()) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                Ok(entry.insert((Arc::new(Folder::open(path)?), None, false)))
            }
        }
    }
}

/// Where the data of a finished file is.
enum Found {
    /// In its temporary file, which is what was downloaded.
    Temporary(Place, OwnedFd),
    /// In its place: renamed by an earlier run of the same order.
    InPlace,
}

fn find(folders: &mut Folders, job: JobId, rename: &Rename) -> Result<Found, Refusal> {
    let lost = |code, detail: String| Err(Refusal::Lost(local_code(code, detail)));
    let (parent, name) = Place::split(&rename.local)?;
    let (folder, ..) = folders.get(parent)?;
    let place = Place::new(folder.clone(), name, &rename.temp)?;
    place.check_target()?;
    let mark = temp::file_mark(job, rename.index);
    let opened = match rename.truncate {
        true => open_for(&place, &place.temp, OFlags::RDWR),
        false => open(&place, &place.temp),
    };
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno::NOENT) => {
            let ours = |fd: OwnedFd| {
                let stat = fs::fstat(&fd).ok()?;
                (right_size(&stat, rename) && temp::is_marked(&fd, &mark)).then_some(())
            };
            return match open(&place, &place.name).ok().and_then(ours) {
                Some(()) => Ok(Found::InPlace),
                None => lost(ERROR_FILE_NOT_FOUND, "The temporary file is gone.".to_owned()),
            };
        }
        Err(Errno::LOOP | Errno::NXIO) => return lost(E_ACCESSDENIED, FOREIGN.to_owned()),
        Err(errno) => return Err(local(errno, "The temporary file cannot be opened").into()),
    };
    let stat = fs::fstat(&fd).map_err(|errno| local(errno, "The temporary file cannot be examined"))?;
    let ours = FileType::from_raw_mode(stat.st_mode).is_file()
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_nlink == 1;
    if !ours {
        return lost(E_ACCESSDENIED, FOREIGN.to_owned());
    }
    let cuttable = rename.truncate && u64::try_from(stat.st_size).is_ok_and(|size| size > rename.size);
    if !(right_size(&stat, rename) || cuttable) {
        let detail = format!("The temporary file has {} bytes instead of {}.", stat.st_size, rename.size);
        return lost(BG_E_LOCAL_FILE_CHANGED, detail);
    }
    let tag = rename.validator.as_ref().map(temp::version_tag).unwrap_or_default();
    if !temp::mark(&fd, &mark, &tag) {
        let detail = "The temporary file is not the one that was downloaded.".to_owned();
        return lost(BG_E_LOCAL_FILE_CHANGED, detail);
    }
    Ok(Found::Temporary(place, fd))
}

const FOREIGN: &str = "Something else has the name of the temporary file.";

fn rename_one(folders: &mut Folders, job: JobId, rename: &Rename) -> Result<(), Refusal> {
    let found = find(folders, job, rename)?;
    let (parent, _) = Place::split(&rename.local)?;
    let (folder, look, changed) = folders.get(parent)?;
    if let Found::Temporary(place, fd) = found {
        let look = look.get_or_insert_with(|| look_of(folder));
        if rename.truncate {
            cut(&fd, rename.size)?;
        }
        dress(&fd, look, rename.modified_s);
        fs::renameat(&**folder, &*place.temp, &**folder, &*place.name)
            .map_err(|errno| local(errno, "The file cannot be renamed into place"))?;
        temp::unmark_version(&fd);
    }
    // Also after an earlier run: its folder may not have been synced.
    *changed = true;
    Ok(())
}

fn right_size(stat: &fs::Stat, rename: &Rename) -> bool {
    u64::try_from(stat.st_size) == Ok(rename.size)
}

/// Takes off what is behind the last byte, durably: the file is not seen before.
fn cut(fd: impl AsFd, size: u64) -> Outcome<()> {
    let failed = |errno| local(errno, "The temporary file cannot be cut to its size");
    if fs::fstat(&fd).map_err(failed)?.st_size.cast_unsigned() == size {
        return Ok(());
    }
    fs::ftruncate(&fd, size).and_then(|()| fs::fsync(&fd)).map_err(failed)
}

fn open(place: &Place, name: &str) -> Result<OwnedFd, Errno> {
    open_for(place, name, OFlags::RDONLY)
}

fn open_for(place: &Place, name: &str, access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    fs::openat(&place.folder, name, flags, Mode::empty())
}

/// Mode, access list and date. A failure is no reason to withhold the file: it stays private, or keeps its date.
fn dress(fd: impl AsFd, look: &Look, modified_s: Option<i64>) {
    let _ = fs::fchmod(&fd, look.mode);
    if let Some(acl) = &look.acl {
        let _ = fs::fsetxattr(&fd, ACL_ACCESS, acl, XattrFlags::empty());
    }
    if let Some(seconds) = modified_s {
        let last_modification = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let last_access = Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT };
        let _ = fs::futimens(&fd, &Timestamps { last_access, last_modification });
    }
}

const ACL_ACCESS: &str = "system.posix_acl_access";
const ACL_DEFAULT: &str = "system.posix_acl_default";

/// 0666 less the umask, or what the folder's default access list says: an unnamed file tells it exactly.
fn look_of(folder: &Folder) -> Look {
    let plain = Look { mode: Mode::from_raw_mode(0o666 & !umask()), acl: None };
    let mut list = vec![0_u8; 4096];
    if !matches!(fs::fgetxattr(folder, ACL_DEFAULT, &mut list[..]), Ok(length) if length > 0) {
        return plain;
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let Ok(probe) = fs::openat(folder, ".", flags, Mode::from_raw_mode(0o666)) else {
        // Better too private than too open.
        return Look { mode: Mode::RUSR | Mode::WUSR, acl: None };
    };
    let Ok(stat) = fs::fstat(&probe) else { return plain };
    let acl = fs::fgetxattr(&probe, ACL_ACCESS, &mut list[..]).ok().map(|length| list[..length].to_vec());
    Look { mode: Mode::from_raw_mode(stat.st_mode & 0o777), acl }
}

/// The umask, read without changing it (changing would race with other threads).
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .and_then(|value| u32::from_str_radix(value.trim(), 8).ok())
        .unwrap_or(0o077)
}

fn remove_one(folders: &mut Folders, local_name: &str, temp: &str, made: Option<FileId>) -> Outcome<()> {
    let (parent, name) = Place::split(local_name)?;
    let folder = match folders.get(parent) {
        Ok((folder, _, _)) => folder.clone(),
        // No folder, no file.
        Err(fail) if fail.code == ERROR_PATH_NOT_FOUND => return Ok(()),
        Err(fail) => return Err(fail),
    };
    let place = Place::new(folder, name, temp)?;
    if let Some(made) = made {
        return super::made::remove(&place, made);
    }
    match fs::unlinkat(&place.folder, &*place.temp, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(local(errno, "The temporary file cannot be removed")),
    }
}
