//! The file of a download that is made at its final path before the first byte (spec/delivery-optimization-linux-agent.md 6.1).
//!
//! A path may lead elsewhere the next time, and the account that writes may be another than the one that chose the path. So the file is made
//! exclusively, in a folder that was looked at, and from then on it is known by its identity and not by its name.

use super::{Place, temp};
use crate::failure::{Outcome, local, local_code};
use openbits_core::HResult;
use openbits_core::delivery::codes::of_errno;
use openbits_core::hresult::ERROR_FILE_NOT_FOUND;
use openbits_core::job::FileId;
use rustix::fs::{self, Access, AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Mode of a new file; less the umask of the worker (022).
const MODE: u32 = 0o664;

/// Which file a descriptor is of.
pub(crate) fn id_of(fd: impl AsFd) -> Result<FileId, Errno> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let about = fs::statx(fd, "", AtFlags::EMPTY_PATH, wanted)?;
    let told = about.stx_mask & StatxFlags::BTIME.bits() != 0;
    let born = about.stx_btime;
    Ok(FileId {
        dev: (u64::from(about.stx_dev_major) << 32) | u64::from(about.stx_dev_minor),
        ino: about.stx_ino,
        born_ns: if told {
            born.tv_sec.saturating_mul(1_000_000_000).saturating_add(born.tv_nsec.into())
        } else {
            0
        },
    })
}

fn code(errno: Errno) -> HResult {
    of_errno(errno.raw_os_error())
}

/// Folder and name of an absolute path, without an opinion on either.
fn split(path: &str) -> Result<(&str, &str), Errno> {
    let (folder, name) = path.rsplit_once('/').ok_or(Errno::INVAL)?;
    if name.is_empty() {
        return Err(Errno::ISDIR);
    }
    if name == "." || name == ".." || path.contains('\0') {
        return Err(Errno::INVAL);
    }
    Ok((if folder.is_empty() { "/" } else { folder }, name))
}

fn folder(path: &str) -> Result<OwnedFd, Errno> {
    super::folder::open_directory(Path::new(path), OFlags::PATH)
}

/// The folder in which a file of this path would be made, if the caller may make one there.
pub(super) fn entry(path: &str) -> Result<FileId, HResult> {
    let look = || {
        let (parent, _) = split(path)?;
        let folder = folder(parent)?;
        fs::accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
        id_of(&folder)
    };
    look().map_err(code)
}

/// Makes the file. `wanted`: only in this folder.
pub(super) fn make(path: &str, wanted: Option<FileId>) -> Result<FileId, HResult> {
    let make = || {
        let (parent, name) = split(path)?;
        let folder = folder(parent)?;
        // Between the look and now the path was bent to somewhere else.
        if let Some(wanted) = wanted
            && id_of(&folder)? != wanted
        {
            return Err(Errno::ACCESS);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&folder, name, flags, Mode::from_raw_mode(MODE))?;
        id_of(&file)
    };
    make().map_err(code)
}

/// The file is still there.
pub(super) fn still(path: &str, made: FileId) -> Result<(), HResult> {
    let look = || {
        let (parent, name) = split(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&folder(parent)?, name, flags, Mode::empty())?;
        if id_of(&file)? == made { Ok(()) } else { Err(Errno::NOENT) }
    };
    look().map_err(code)
}

/// Opens the file for writing. One that is gone is not made again.
pub(super) fn open(place: &Place, made: FileId) -> Outcome<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = match fs::openat(&place.folder, &*place.temp, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Err(local_code(ERROR_FILE_NOT_FOUND, "The download's file is gone.")),
        Err(errno) => return Err(local(errno, "The download's file cannot be opened")),
    };
    match id_of(&fd) {
        Ok(found) if found == made => Ok(File::from(fd)),
        Ok(_) => Err(local_code(ERROR_FILE_NOT_FOUND, "Another file has the name of the download's.")),
        Err(errno) => Err(local(errno, "The download's file cannot be examined")),
    }
}

/// Cuts it to nothing.
pub(super) fn empty(file: &File) -> Outcome<()> {
    temp::forget_version(file);
    fs::ftruncate(file, 0).map_err(|errno| local(errno, "The download's file cannot be emptied"))
}

/// Removes it, if the name still is of this file. One that is gone is fine.
pub(super) fn remove(place: &Place, made: FileId) -> Outcome<()> {
    let fd = match fs::openat(
        &place.folder,
        &*place.temp,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(local(errno, "The download's file cannot be examined")),
    };
    if id_of(&fd) != Ok(made) {
        return Ok(()); // somebody else's
    }
    match fs::unlinkat(&place.folder, &*place.temp, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(local(errno, "The download's file cannot be removed")),
    }
}
