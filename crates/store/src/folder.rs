//! The folder of the database: names beside it, permissions, the lock, symbolic links, kind of file system.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The database file and the names beside it. The folder is resolved once; below it no link is followed.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    folder: PathBuf,
    name: OsString,
}

impl Place {
    /// Resolves the folder, creating it (0700) if it is missing.
    pub(crate) fn prepare(path: &Path) -> Result<Self, OpenError> {
        let bad = || OpenError::BadPath { path: path.to_owned() };
        let name = path.file_name().ok_or_else(bad)?.to_owned();
        let folder = match path.parent().ok_or_else(bad)? {
            empty if empty.as_os_str().is_empty() => Path::new("."),
            folder => folder,
        };
        let missing: Vec<&Path> = folder.ancestors().take_while(|f| !f.exists()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| OpenError::os(folder, e))?;
        for made in missing {
            // The entry of a new folder lives in its parent; without this a power cut takes the whole queue.
            let parent = made.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            sync_folder(parent)?;
        }
        let folder = folder.canonicalize().map_err(|e| OpenError::os(folder, e))?;
        Ok(Self { folder, name })
    }

    /// `<name><suffix>` in the folder; the empty suffix is the database itself.
    pub(crate) fn with(&self, suffix: &str) -> PathBuf {
        let mut name = self.name.clone();
        name.push(suffix);
        self.folder.join(name)
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.with("")
    }

    /// Takes the lock that keeps a second service away. It lives as long as the file returned. The lock is on a file
    /// of its own: SQLite's locks vanish when anything in the process closes the database file, and an exclusive
    /// SQLite lock would shut out operators and our own reader.
    pub(crate) fn lock(&self) -> Result<File, OpenError> {
        let path = self.with(".lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32)
            .open(&path)
            .map_err(|e| OpenError::os(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: self.db() }),
            Err(TryLockError::Error(e)) => Err(OpenError::os(&path, e)),
        }
    }

    /// Notes in the lock file that a store of ours lives here, so that a file damaged beyond recognition is not taken
    /// for another program's.
    pub(crate) fn mark(&self, lock: &File) -> Result<(), OpenError> {
        if Self::is_marked(lock) {
            return Ok(());
        }
        let mut lock = lock;
        io::Write::write_all(&mut lock, b"openbits store\n")
            .map_err(|e| OpenError::os(&self.with(".lock"), e))
    }

    pub(crate) fn is_marked(lock: &File) -> bool {
        lock.metadata().is_ok_and(|meta| meta.len() > 0)
    }

    /// Refuses anything but regular files (or nothing) where the database and its companions are.
    /// Nor anything that belongs to somebody else: a variable that survived `su` may lead to another user's queue, and what is in a queue
    /// is done with the rights of whoever opens it.
    pub(crate) fn refuse_links(&self) -> Result<(), OpenError> {
        let own = rustix::process::geteuid().as_raw();
        let about = self.folder.metadata().map_err(|e| OpenError::os(&self.folder, e))?;
        if about.uid() != own {
            return Err(OpenError::Alien { path: self.folder.clone(), owner: about.uid() });
        }
        for suffix in ["", "-wal", "-shm", "-journal", ".salvaged"] {
            let path = self.with(suffix);
            match path.symlink_metadata() {
                Ok(meta) if !meta.file_type().is_file() => return Err(OpenError::NotRegular { path }),
                Ok(meta) if meta.uid() != own => return Err(OpenError::Alien { path, owner: meta.uid() }),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(OpenError::os(&path, e)),
            }
        }
        Ok(())
    }

    /// Takes away what group and others may do with the database; the new companions inherit from it.
    pub(crate) fn tighten(&self) -> Result<(), OpenError> {
        for suffix in ["", "-wal", "-shm"] {
            let path = self.with(suffix);
            match path.symlink_metadata() {
                Ok(meta) if meta.permissions().mode() & 0o177 != 0 => {
                    std::fs::set_permissions(&path, Permissions::from_mode(0o600))
                        .map_err(|e| OpenError::os(&path, e))?;
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(OpenError::os(&path, e)),
            }
        }
        Ok(())
    }

    /// Creates an empty file (0600) for SQLite to fill; whatever has the name is removed first.
    pub(crate) fn create_empty(&self, suffix: &str) -> Result<PathBuf, OpenError> {
        self.remove(suffix)?;
        let path = self.with(suffix);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| OpenError::os(&path, e))?;
        Ok(path)
    }

    /// Removes a working file of ours and its companions, if there.
    pub(crate) fn remove(&self, suffix: &str) -> Result<(), OpenError> {
        for end in ["", "-wal", "-shm", "-journal"] {
            let path = self.with(&format!("{suffix}{end}"));
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(OpenError::os(&path, e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Renames within the folder; `Ok(false)` if there is nothing to rename.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<bool, OpenError> {
        let (from, to) = (self.with(from), self.with(to));
        match std::fs::rename(&from, &to) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(OpenError::os(&from, e)),
        }
    }

    pub(crate) fn exists(&self, suffix: &str) -> bool {
        self.with(suffix).symlink_metadata().is_ok()
    }

    /// Makes renames in the folder durable.
    pub(crate) fn sync(&self) -> Result<(), OpenError> {
        sync_folder(&self.folder)
    }

    /// The kind of network file system the folder is on, if it is on one. Locks and shared memory, which SQLite
    /// needs, are unreliable there.
    pub(crate) fn network_file_system(&self) -> Option<&'static str> {
        #[cfg(target_os = "linux")]
        {
            let kind = rustix::fs::statfs(&self.folder).ok()?.f_type as u64 & 0xFFFF_FFFF;
            Some(match kind {
                0x6969 => "NFS",
                0xFF53_4D42 | 0xFE53_4D42 | 0x517B => "SMB/CIFS",
                0x0102_1997 => "9P",
                0x00C3_6400 => "Ceph",
                0x5346_414F | 0x6B41_4653 => "AFS",
                0x7375_7245 => "Coda",
                _ => return None,
            })
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| OpenError::os(folder, e))
}

/// Is the file system of `path` without room for an unprivileged writer? SQLite reports a full disk as an I/O error when
/// it hits it while extending its shared memory or syncing.
pub(crate) fn no_space(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    rustix::fs::statvfs(folder).is_ok_and(|s| s.f_bavail == 0)
}
