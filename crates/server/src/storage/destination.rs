//! Names below the root: opened so that neither `..` nor a symbolic link leads out.

use super::{DeliverError, Destination};
use crate::path::SafePath;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;

/// The root folder, held open.
pub(super) struct Root(OwnedFd);

impl Root {
    pub(super) fn new(folder: OwnedFd) -> Self {
        Self(folder)
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    fn resolve(&self, relative: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.0, relative, flags | OFlags::CLOEXEC, Mode::empty(), how) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// The folder; `None` if it does not exist, is no folder, or is behind a symbolic link.
    fn folder(&self, relative: &str) -> io::Result<Option<OwnedFd>> {
        match self.resolve(relative, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A regular file for reading; `None` if there is none that may be read.
    pub(super) fn file(&self, path: &SafePath) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        match self.resolve(&path.relative(), flags) {
            Ok(fd) => {
                let file = File::from(fd);
                Ok(file.metadata()?.is_file().then_some(file))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::ACCESS | Errno::NXIO) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn probe(&self, path: &SafePath) -> io::Result<Destination> {
        let Some((folder, name)) = path.split() else { return Ok(Destination::Folder) };
        let Some(folder) = self.folder(&folder)? else { return Ok(Destination::NoFolder) };
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Ok(Destination::Folder)
            }
            Ok(_) => Ok(Destination::File),
            Err(Errno::NOENT) => Ok(Destination::Absent),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves `name` of the folder `from` to the destination: one rename, then the folder is synchronised.
    pub(super) fn take(
        &self,
        from: impl AsFd,
        name: &str,
        path: &SafePath,
        overwrite: bool,
        unique: &str,
    ) -> Result<(), DeliverError> {
        let (folder, target) = path.split().ok_or(DeliverError::Exists)?;
        let folder = self.folder(&folder)?.ok_or(DeliverError::NoFolder)?;
        match rename(from.as_fd(), name, &folder, target, overwrite) {
            Err(Errno::XDEV) => {
                // The destination is another file system: copy beside the target first, so that it appears at once.
                let near = format!(".bits-arriving-{unique}");
                copy(from.as_fd(), name, &folder, &near)?;
                let renamed = rename(folder.as_fd(), &near, &folder, target, overwrite);
                let gone = if renamed.is_ok() { from.as_fd() } else { folder.as_fd() };
                rustix::fs::unlinkat(gone, if renamed.is_ok() { name } else { &near }, AtFlags::empty())
                    .map_err(io::Error::from)?;
                renamed
            }
            other => other,
        }
        .map_err(|error| match error {
            Errno::EXIST | Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY => DeliverError::Exists,
            other => DeliverError::Io(other.into()),
        })?;
        rustix::fs::fsync(&folder).map_err(io::Error::from)?;
        Ok(())
    }
}

fn rename(from: impl AsFd, name: &str, folder: &OwnedFd, target: &str, overwrite: bool) -> Result<(), Errno> {
    if overwrite {
        rustix::fs::renameat(from, name, folder, target)
    } else {
        rustix::fs::renameat_with(from, name, folder, target, RenameFlags::NOREPLACE)
    }
}

fn copy(from: impl AsFd, name: &str, folder: &OwnedFd, near: &str) -> io::Result<()> {
    let source = rustix::fs::openat(from, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut source = File::from(source);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut copy = File::from(rustix::fs::openat(folder, near, flags, Mode::from_raw_mode(0o600))?);
    io::copy(&mut source, &mut copy)?;
    copy.set_permissions(source.metadata()?.permissions())?;
    copy.sync_all()
}
