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
use rustix::fs::{self, Access, AtFlags, FileType, Mode, OFlags, StatxFlags};
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

/// Makes the file. `wanted`: only in this folder. `again`: the answer to the same question was lost, and the file may be there.
pub(super) fn make(path: &str, wanted: Option<FileId>, again: bool) -> Result<FileId, HResult> {
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
        match fs::openat(&folder, name, flags, Mode::from_raw_mode(MODE)) {
            Err(Errno::EXIST) if again => made_before(&folder, name),
            made => id_of(made?),
        }
    };
    make().map_err(code)
}

/// The file that was made when the answer was lost: nothing else than an empty file of this account, under this name alone.
fn made_before(folder: &OwnedFd, name: &str) -> Result<FileId, Errno> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::openat(folder, name, flags, Mode::empty()).map_err(|_| Errno::EXIST)?;
    let about = fs::fstat(&file)?;
    let ours = FileType::from_raw_mode(about.st_mode).is_file()
        && (about.st_size, about.st_nlink) == (0, 1)
        && about.st_uid == rustix::process::geteuid().as_raw();
    if ours { id_of(&file) } else { Err(Errno::EXIST) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_made_before_is_known_only_if_it_is_empty_and_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let exists = Err(of_errno(17));
        let made = make(&at("f"), None, true).unwrap();
        assert_eq!(make(&at("f"), None, false), exists, "whoever made it");
        assert_eq!(make(&at("f"), None, true), Ok(made));
        std::fs::hard_link(at("f"), at("second")).unwrap();
        assert_eq!(make(&at("f"), None, true), exists, "it has another name");
        std::fs::remove_file(at("second")).unwrap();
        std::os::unix::fs::symlink(at("f"), at("link")).unwrap();
        assert_eq!(make(&at("link"), None, true), exists, "a link");
        std::fs::create_dir(at("folder")).unwrap();
        assert_eq!(make(&at("folder"), None, true), exists);
        fs::mkfifoat(fs::CWD, at("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        assert_eq!(make(&at("pipe"), None, true), exists);
        std::fs::write(at("f"), "x").unwrap();
        assert_eq!(make(&at("f"), None, true), exists, "it holds something");
    }
}
