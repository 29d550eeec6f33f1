//! The destination's folder, resolved once.

use crate::failure::{Outcome, local, local_code};
use openbits_core::hresult::*;
use openbits_core::job::FileId;
use rustix::fs::{self, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    /// False for a folder that may be searched but not read: it cannot be synced.
    can_sync: bool,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folder {
    /// Opens a folder with the caller's rights. Links on the way are the owner's business; magic links (`/proc/*/fd`) are not.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let named = |errno| match errno {
            Errno::NOENT => local_code(ERROR_PATH_NOT_FOUND, "The destination folder does not exist."),
            Errno::NOTDIR => {
                local_code(ERROR_PATH_NOT_FOUND, "A part of the destination path is not a folder.")
            }
            errno => local(errno, "The destination folder cannot be opened"),
        };
        match open_directory(path, OFlags::RDONLY) {
            Ok(fd) => Ok(Self { fd, can_sync: true }),
            Err(Errno::ACCESS) => {
                open_directory(path, OFlags::PATH).map(|fd| Self { fd, can_sync: false }).map_err(named)
            }
            Err(errno) => Err(named(errno)),
        }
    }

    /// Makes names in it durable.
    pub(crate) fn sync(&self) -> Outcome<()> {
        if !self.can_sync {
            return Ok(());
        }
        match fs::fsync(&self.fd) {
            // Some file systems cannot sync a folder; then there is nothing more to be had.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(local(errno, "The destination folder cannot be synced")),
        }
    }

    /// Refuses to begin what cannot end well: `needed` bytes and then `reserve` bytes must be free.
    pub(crate) fn check_space(&self, needed: u64, reserve: u64) -> Outcome<()> {
        if reserve == 0 {
            return Ok(());
        }
        let Ok(stat) = fs::fstatvfs(&self.fd) else { return Ok(()) };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free >= needed.saturating_add(reserve) {
            return Ok(());
        }
        Err(local_code(
            ERROR_DISK_FULL,
            format!("The volume has {free} bytes free; {needed} are needed and {reserve} must remain."),
        ))
    }
}

pub(super) fn open_directory(path: &Path, access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        // Kernels before 5.6.
        Err(Errno::NOSYS) => fs::openat(CWD, path, flags, Mode::empty()),
        other => other,
    }
}

/// A destination: its folder, its name there, and the name of the temporary file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) folder: Arc<Folder>,
    pub(crate) name: String,
    pub(crate) temp: String,
    /// The file is there already, and is this very one.
    pub(crate) made: Option<FileId>,
}

impl Place {
    /// Splits an absolute path into folder and name.
    pub(crate) fn split(path: &str) -> Outcome<(&Path, &str)> {
        let bad = || local_code(ERROR_INVALID_NAME, "The destination is not an absolute path of a file.");
        let whole = Path::new(path);
        let name = whole.file_name().and_then(|name| name.to_str()).ok_or_else(bad)?;
        let parent = whole.parent().ok_or_else(bad)?;
        if !whole.is_absolute() || path.ends_with('/') || path.contains('\0') {
            return Err(bad());
        }
        Ok((parent, name))
    }

    /// With the temporary name checked to be a plain name. It may be the file's own: then the data goes straight there
    /// (HIGH_PERFORMANCE).
    pub(crate) fn new(folder: Arc<Folder>, name: &str, temp: &str) -> Outcome<Self> {
        if temp.is_empty() || temp == "." || temp == ".." || temp.contains(['/', '\0']) {
            return Err(local_code(ERROR_INVALID_NAME, "The temporary name is not a plain file name."));
        }
        Ok(Self { folder, name: name.to_owned(), temp: temp.to_owned(), made: None })
    }

    /// A folder at the destination's name can never be replaced: say so before the first byte.
    pub(crate) fn check_target(&self) -> Outcome<()> {
        match fs::statat(&self.folder, &*self.name, fs::AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if fs::FileType::from_raw_mode(stat.st_mode).is_dir() => {
                Err(local_code(E_ACCESSDENIED, "The destination is a folder."))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(local(errno, "The destination cannot be examined")),
        }
    }
}
