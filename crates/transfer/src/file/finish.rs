//! Complete and Cancel: temporary files become the files, or vanish (spec/behaviour.md 14).

use super::{Folder, Place};
use crate::failure::{Outcome, local, local_code};
use crate::protocol::{Event, Finish, Rename};
use openbits_core::hresult::*;
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

/// Renames, removes, and makes it durable. Runs outside of the event loop.
pub(crate) fn finish(order: &Finish) -> Event {
    let mut folders = Folders::default();
    let mut renamed = Vec::new();
    let mut error = None;
    for rename in &order.rename {
        match rename_one(&mut folders, rename, order.replay) {
            Ok(()) => renamed.push(rename.index),
            Err(fail) => {
                error = Some((rename.index, fail.code, fail.detail));
                break;
            }
        }
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
        if remove_one(&mut folders, local, temp).is_err() {
            let folder = Path::new(local).parent().unwrap_or(Path::new("/"));
            left.push(folder.join(temp).to_string_lossy().into_owned());
        }
    }
    Event::FinishDone { job: order.job, ticket: order.ticket, renamed, error, left }
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

fn rename_one(folders: &mut Folders, rename: &Rename, replay: bool) -> Outcome<()> {
    let (parent, name) = Place::split(&rename.local)?;
    let (folder, look, changed) = folders.get(parent)?;
    let place = Place::new(folder.clone(), name, &rename.temp)?;
    place.check_target()?;
    let fd = match open_temp(&place) {
        Err(Errno::NOENT) if replay => {
            // Renamed before the crash, if the file is there; its folder may not have been synced.
            *changed = true;
            return match regular(&place, &place.name) {
                Some(stat) if u64::try_from(stat.st_size) == Ok(rename.size) => Ok(()),
                _ => Err(local_code(
                    ERROR_FILE_NOT_FOUND,
                    "Neither the temporary file nor the finished one is there.",
                )),
            };
        }
        Err(Errno::NOENT) => return Err(local_code(ERROR_FILE_NOT_FOUND, "The temporary file is gone.")),
        Err(errno) => return Err(local(errno, "The temporary file cannot be opened")),
        Ok(fd) => fd,
    };
    let stat = fs::fstat(&fd).map_err(|errno| local(errno, "The temporary file cannot be examined"))?;
    let ours = FileType::from_raw_mode(stat.st_mode).is_file()
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_nlink == 1;
    if !ours {
        return Err(local_code(E_ACCESSDENIED, "Something else has the name of the temporary file."));
    }
    if u64::try_from(stat.st_size) != Ok(rename.size) {
        return Err(local_code(
            BG_E_LOCAL_FILE_CHANGED,
            format!("The temporary file has {} bytes instead of {}.", stat.st_size, rename.size),
        ));
    }
    let look = look.get_or_insert_with(|| look_of(folder));
    dress(&fd, look, rename.modified_s);
    fs::renameat(&**folder, &*place.temp, &**folder, &*place.name)
        .map_err(|errno| local(errno, "The file cannot be renamed into place"))?;
    *changed = true;
    Ok(())
}

fn open_temp(place: &Place) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    fs::openat(&place.folder, &*place.temp, flags, Mode::empty())
}

fn regular(place: &Place, name: &str) -> Option<fs::Stat> {
    let stat = fs::statat(&place.folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    FileType::from_raw_mode(stat.st_mode).is_file().then_some(stat)
}

/// Mode, access list and date. A failure is no reason to withhold the file: it stays private, or keeps its date.
fn dress(fd: impl AsFd, look: &Look, modified_s: Option<i64>) {
    // Our own mark does not belong to the finished file.
    let _ = fs::fremovexattr(&fd, "user.openbits.version");
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

fn remove_one(folders: &mut Folders, local_name: &str, temp: &str) -> Outcome<()> {
    let (parent, name) = Place::split(local_name)?;
    let folder = match folders.get(parent) {
        Ok((folder, _, _)) => folder.clone(),
        // No folder, no file.
        Err(fail) if fail.code == ERROR_PATH_NOT_FOUND => return Ok(()),
        Err(fail) => return Err(fail),
    };
    let place = Place::new(folder, name, temp)?;
    match fs::unlinkat(&place.folder, &*place.temp, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(local(errno, "The temporary file cannot be removed")),
    }
}
