//! A home of its own for a program under test.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A temporary directory with everything a user's session has: `HOME`, `XDG_*`, `TMPDIR`. Removed when dropped, unless
/// the environment has `OPENBITS_KEEP_SANDBOX`; then its path is printed.
#[derive(Debug)]
pub struct Sandbox {
    root: Option<TempDir>,
    path: PathBuf,
}

/// The variables and the directories they name.
const DIRECTORIES: [(&str, &str); 7] = [
    ("HOME", "home"),
    ("XDG_CONFIG_HOME", "home/.config"),
    ("XDG_DATA_HOME", "home/.local/share"),
    ("XDG_STATE_HOME", "home/.local/state"),
    ("XDG_CACHE_HOME", "home/.cache"),
    ("XDG_RUNTIME_DIR", "run"),
    ("TMPDIR", "tmp"),
];

impl Sandbox {
    /// Makes the directories, all mode 0700. The path is short, because a Unix socket's must stay below 108 bytes.
    ///
    /// # Errors
    /// When the temporary directory cannot be written.
    pub fn new() -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("ob").tempdir_in("/tmp")?;
        let path = root.path().to_owned();
        for (_, name) in DIRECTORIES {
            let directory = path.join(name);
            std::fs::create_dir_all(&directory)?;
            std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { root: Some(root), path })
    }

    /// Its root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `HOME`.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.path.join("run")
    }

    /// The whole environment for a program in it: the variables above, `PATH` of this process, and a place for the socket of the
    /// system's service where there is none: the machine's own is not the test's.
    #[must_use]
    pub fn envs(&self) -> Vec<(OsString, OsString)> {
        let own =
            DIRECTORIES.iter().map(|(key, name)| ((*key).into(), self.path.join(name).into_os_string()));
        let system = ("OPENBITS_SYSTEM_SOCKET".into(), self.path.join("no-system.sock").into_os_string());
        own.chain([system]).chain(std::env::var_os("PATH").map(|path| ("PATH".into(), path))).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::env::var_os("OPENBITS_KEEP_SANDBOX").is_some()
            && let Some(root) = self.root.take()
        {
            eprintln!("kept {}", root.keep().display());
        }
    }
}
