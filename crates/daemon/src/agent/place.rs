//! Folders that the contract gives to the agent's account (section 10), worked in by a service that may be root.
//!
//! Whoever owns such a folder can put links into it, or exchange names at any moment. So a folder is opened once, without following a link
//! at its end, and only if it is this service's own or the account's. What is made in it is made by name relative to that descriptor,
//! exclusively, and with the rights of the folder's owner: the thread that does it takes them on, and stays so.

use openbits_core::Uid;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Most names that are looked at in a folder.
const NAMES_MAX: usize = 4096;

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// There is none.
    #[error("there is no folder {}", .0.display())]
    Missing(PathBuf),
    /// A link, a file.
    #[error("{} is no folder (links are not followed)", .0.display())]
    NoFolder(PathBuf),
    /// It is another's.
    #[error("{} belongs to uid {uid}, which is neither this service nor the agent's account", .path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Others may put files into it.
    #[error("others than its owner may write to {}", .0.display())]
    Writable(PathBuf),
    /// Anything else.
    #[error("{}: {source}", .path.display())]
    Failed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whether the folder's group may write to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Group {
    /// The group of the agent may (the configuration).
    Writes,
    /// Nobody but the owner.
    Reads,
}

/// An open folder of ours, or of the agent's account.
#[derive(Debug)]
pub(super) struct Place {
    folder: OwnedFd,
    path: PathBuf,
    owner: u32,
    group: u32,
}

impl Place {
    /// Opens a folder that exists. `account`: that of the agent, if downloads are not done with their callers' rights.
    pub(super) fn open(path: &Path, account: Option<Uid>, group: Group) -> Result<Self, PlaceError> {
        let failed = |errno: rustix::io::Errno| match errno {
            rustix::io::Errno::NOENT => PlaceError::Missing(path.to_owned()),
            rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => PlaceError::NoFolder(path.to_owned()),
            errno => PlaceError::Failed { path: path.to_owned(), source: errno.into() },
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let about = rustix::fs::fstat(&folder).map_err(failed)?;
        let own = rustix::process::geteuid().as_raw();
        if about.st_uid != own && account.is_none_or(|account| account.0 != about.st_uid) {
            return Err(PlaceError::Foreign { path: path.to_owned(), uid: about.st_uid });
        }
        let closed = if group == Group::Writes { 0o002 } else { 0o022 };
        if about.st_mode & closed != 0 {
            return Err(PlaceError::Writable(path.to_owned()));
        }
        Ok(Self { folder, path: path.to_owned(), owner: about.st_uid, group: about.st_gid })
    }

    /// The same; a folder that is missing is made, 0755, and given to the account where this service may do so.
    pub(super) fn open_or_make(path: &Path, account: Option<Uid>) -> Result<Self, PlaceError> {
        match Self::open(path, account, Group::Reads) {
            Err(PlaceError::Missing(_)) => {}
            result => return result,
        }
        let failed =
            |errno: rustix::io::Errno| PlaceError::Failed { path: path.to_owned(), source: errno.into() };
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mkdir(path, mode).map_err(failed)?;
        let place = Self::open(path, account, Group::Reads)?;
        // The umask may have taken something.
        rustix::fs::fchmod(&place.folder, mode).map_err(failed)?;
        let Some(account) = account.filter(|account| account.0 != place.owner) else { return Ok(place) };
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(account.0)).ok().flatten();
        if let Some(user) = user {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            let ids = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
            // Without that right (the unit of the service leaves it out) the folder stays ours, which is as good.
            if rustix::fs::fchown(&place.folder, Some(ids.0), Some(ids.1)).is_ok() {
                return Ok(Self { owner: uid, group: gid, ..place });
            }
        }
        Ok(place)
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// From here on this thread, which must be nobody else's, has no other rights to files than the folder's owner.
    ///
    /// # Errors
    /// The service may not do that.
    pub(super) fn become_owner(&self) -> io::Result<()> {
        if self.owner == rustix::process::geteuid().as_raw() {
            return Ok(());
        }
        // The system call itself, which is about this thread alone.
        rustix::thread::set_thread_groups(&[])?;
        let (uid, gid) = (nix::unistd::Uid::from_raw(self.owner), nix::unistd::Gid::from_raw(self.group));
        nix::unistd::setfsgid(gid);
        nix::unistd::setfsuid(uid);
        // They tell the one before, and no error.
        if nix::unistd::setfsuid(uid) != uid || nix::unistd::setfsgid(gid) != gid {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(())
    }

    /// Does something with the owner's rights, on a thread of its own.
    pub(super) fn as_owner<T: Send>(&self, act: impl FnOnce(&Self) -> io::Result<T> + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread =
                std::thread::Builder::new().name("do-agent".to_owned()).spawn_scoped(scope, || {
                    self.become_owner()?;
                    act(self)
                })?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread ended badly")))
        })
    }

    /// A new file; whatever has that name, also a link that leads nowhere, is an error.
    pub(super) fn create(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.folder, name, flags, Mode::from_raw_mode(mode))?))
    }

    /// Removes a name that is no folder.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    /// Names in it, the first few thousand.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let entries = rustix::fs::Dir::read_from(&self.folder)?;
        let name = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).map_err(io::Error::from)
        };
        entries.take(NAMES_MAX).map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn with_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_folders_of_ours_that_nobody_else_may_write_to_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("place");
        assert!(matches!(Place::open(&at, None, Group::Reads), Err(PlaceError::Missing(_))));
        let made = Place::open_or_make(&at, None).unwrap();
        assert_eq!(std::fs::metadata(&at).unwrap().mode() & 0o777, 0o755);
        assert_eq!(made.path(), at);
        with_mode(&at, 0o775);
        assert!(matches!(Place::open_or_make(&at, None), Err(PlaceError::Writable(_))));
        assert!(Place::open(&at, None, Group::Writes).is_ok());
        with_mode(&at, 0o777);
        assert!(matches!(Place::open(&at, None, Group::Writes), Err(PlaceError::Writable(_))));
        with_mode(&at, 0o755);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&at, &link).unwrap();
        assert!(matches!(Place::open_or_make(&link, None), Err(PlaceError::NoFolder(_))));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(Place::open_or_make(&file, None), Err(PlaceError::NoFolder(_))));
        assert!(
            Place::open_or_make(&folder.path().join("a/b"), None).is_err(),
            "one folder, not a way to it"
        );
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused() {
        // Root's, or, for root, of an account that is not the agent's.
        let folder = tempfile::tempdir().unwrap();
        let foreign = match nix::unistd::geteuid().is_root() {
            true => {
                std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
                folder.path()
            }
            false => Path::new("/etc"),
        };
        assert!(matches!(Place::open(foreign, None, Group::Reads), Err(PlaceError::Foreign { .. })));
        assert!(matches!(
            Place::open(foreign, Some(Uid(4_000_000)), Group::Reads),
            Err(PlaceError::Foreign { .. })
        ));
    }

    /// What root does in the account's folder is done with the account's rights, and is the account's.
    #[test]
    fn roots_service_works_in_it_as_the_account() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: roots_service_works_in_it_as_the_account: needs root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let account = 65_534;
        std::os::unix::fs::chown(folder.path(), Some(account), Some(account)).unwrap();
        with_mode(folder.path(), 0o755);
        let place = Place::open(folder.path(), Some(Uid(account)), Group::Reads).unwrap();
        place.as_owner(|place| place.create("f", 0o640).map(drop)).unwrap();
        let about = std::fs::metadata(folder.path().join("f")).unwrap();
        assert_eq!((about.uid(), about.gid(), about.mode() & 0o777), (account, account, 0o640));
        let denied = place.as_owner(|_| std::fs::read("/etc/shadow").map(drop));
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        std::os::unix::fs::symlink("/etc/shadow", folder.path().join("link")).unwrap();
        for taken in ["f", "link"] {
            let refused = place.as_owner(|place| place.create(taken, 0o640).map(drop));
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        place.create("ours", 0o600).unwrap();
        assert_eq!(
            std::fs::metadata(folder.path().join("ours")).unwrap().uid(),
            0,
            "this thread is as it was"
        );
    }
}
