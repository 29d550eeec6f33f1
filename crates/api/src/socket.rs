//! Where the service listens. One rule for clients and the service.
//!
//! In this order: an explicit path; `OPENBITS_SOCKET`; the system socket if root's service answers there; the user's own socket in
//! `$XDG_RUNTIME_DIR/openbits`, else `/run/user/<uid>/openbits`, else `/tmp/openbits-<uid>`. A runtime directory that belongs to
//! somebody else (a variable that survived `su`) is passed over. The user's socket directory must be a real directory, owned by
//! the user, closed to everybody else; anything else is refused, since whoever owns the directory can put their own socket there.

use crate::{SOCKET_VARIABLE, SYSTEM_SOCKET, SYSTEM_SOCKET_VARIABLE};
use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Name of the socket in its directory.
pub const SOCKET_NAME: &str = "bitsd.sock";
/// Name of the file whose lock serialises starters of the service.
pub const START_LOCK_NAME: &str = "bitsd.start.lock";
/// Longest path of a Unix socket on Linux, in bytes (`sun_path` without the terminator).
pub const PATH_BYTES_MAX: usize = 107;

/// The facts that decide the place. A value, so that tests need no process-wide changes.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `OPENBITS_SOCKET`
    pub socket: Option<OsString>,
    /// `XDG_RUNTIME_DIR`
    pub runtime_dir: Option<OsString>,
    /// `XDG_STATE_HOME`
    pub state_home: Option<OsString>,
    /// Home directory.
    pub home: Option<PathBuf>,
    /// The caller's user id.
    pub uid: u32,
    /// Socket of the system's service.
    pub system_socket: PathBuf,
    /// User that must own the system's socket: root.
    pub system_uid: u32,
    /// Parent of the per-user runtime directories.
    pub run_user: PathBuf,
    /// Directory for temporary files, open to all.
    pub tmp: PathBuf,
}

impl Environment {
    /// The facts of this process.
    pub fn of_process() -> Self {
        Self {
            socket: std::env::var_os(SOCKET_VARIABLE).filter(|v| !v.is_empty()),
            runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").filter(|v| !v.is_empty()),
            state_home: std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()),
            home: std::env::home_dir().filter(|h| h.is_absolute()),
            uid: rustix::process::geteuid().as_raw(),
            system_socket: std::env::var_os(SYSTEM_SOCKET_VARIABLE)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| PathBuf::from(SYSTEM_SOCKET)),
            system_uid: 0,
            run_user: PathBuf::from("/run/user"),
            tmp: PathBuf::from("/tmp"),
        }
    }

    /// Directory of the user's socket; it need not exist yet.
    pub fn user_directory(&self) -> PathBuf {
        let given = self.runtime_dir.as_deref().map(Path::new).filter(|d| self.is_ours(d));
        if let Some(directory) = given {
            return directory.join("openbits");
        }
        let usual = self.run_user.join(self.uid.to_string());
        if self.is_ours(&usual) {
            return usual.join("openbits");
        }
        self.tmp.join(format!("openbits-{}", self.uid))
    }

    /// The user's socket; its directory need not exist yet.
    pub fn user_socket(&self) -> PathBuf {
        self.user_directory().join(SOCKET_NAME)
    }

    /// Directory for the service's log: `$XDG_STATE_HOME/openbits`, else `~/.local/state/openbits`, else beside the socket.
    pub fn state_directory(&self) -> PathBuf {
        let given = self.state_home.as_deref().map(Path::new).filter(|d| d.is_absolute());
        match (given, &self.home) {
            (Some(directory), _) => directory.join("openbits"),
            (None, Some(home)) => home.join(".local/state/openbits"),
            (None, None) => self.user_directory(),
        }
    }

    /// Makes the directory of the user's socket if needed, checks it, and gives it.
    pub fn ensure_user_directory(&self) -> Result<PathBuf, SocketError> {
        let directory = self.user_directory();
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(SocketError::Directory { path: directory, source }),
        }
        check_directory(&directory, self.uid)?;
        Ok(directory)
    }

    /// Finds the service's socket. A user's socket that does not exist yet is still an answer: the service can be started.
    pub fn find(&self, choice: &Choice) -> Result<Endpoint, SocketError> {
        let endpoint = match choice {
            Choice::Path(path) => self.given(path),
            Choice::System => self.system(),
            Choice::User => self.user()?,
            Choice::Any => match &self.socket {
                Some(path) => self.named(Path::new(path)),
                None if self.system_answers() => self.system(),
                None => self.user()?,
            },
        };
        let length = endpoint.path.as_os_str().len();
        if length > PATH_BYTES_MAX { Err(SocketError::TooLong(endpoint.path)) } else { Ok(endpoint) }
    }

    fn given(&self, path: &Path) -> Endpoint {
        Endpoint { path: path.to_owned(), kind: Kind::Given, owner: None }
    }

    /// From the environment, which may be somebody else's (a shell kept by `su`): only a service of our own or root's is believed.
    fn named(&self, path: &Path) -> Endpoint {
        let own = fs::symlink_metadata(path).is_ok_and(|about| about.uid() == self.uid);
        let owner = Some(if own { self.uid } else { self.system_uid });
        Endpoint { path: path.to_owned(), kind: Kind::Given, owner }
    }

    fn system(&self) -> Endpoint {
        Endpoint { path: self.system_socket.clone(), kind: Kind::System, owner: Some(self.system_uid) }
    }

    fn user(&self) -> Result<Endpoint, SocketError> {
        let directory = self.user_directory();
        match check_directory(&directory, self.uid) {
            Err(SocketError::Directory { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            checked => checked?,
        }
        Ok(Endpoint { path: directory.join(SOCKET_NAME), kind: Kind::User, owner: Some(self.uid) })
    }

    fn system_answers(&self) -> bool {
        let Ok(meta) = fs::symlink_metadata(&self.system_socket) else { return false };
        let parent = self.system_socket.parent().and_then(|p| fs::symlink_metadata(p).ok());
        let roots = parent.is_some_and(|p| p.is_dir() && p.uid() == self.system_uid);
        roots
            && meta.file_type().is_socket()
            && meta.uid() == self.system_uid
            && UnixStream::connect(&self.system_socket).is_ok()
    }

    fn is_ours(&self, directory: &Path) -> bool {
        directory.is_absolute() && fs::metadata(directory).is_ok_and(|m| m.is_dir() && m.uid() == self.uid)
    }
}

/// Which service the caller wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The first that the rule gives.
    #[default]
    Any,
    /// The system's.
    System,
    /// The user's own.
    User,
    /// The one behind this socket.
    Path(PathBuf),
}

/// Whose service a socket leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Named by the caller.
    Given,
    /// The system's.
    System,
    /// The user's own; it is started when it does not answer.
    User,
}

/// A socket, and who must be behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The socket.
    pub path: PathBuf,
    /// Whose service it is.
    pub kind: Kind,
    /// User id that the service must have; not checked if none.
    pub owner: Option<u32>,
}

/// Why a place for the socket is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The directory cannot be made or read.
    #[error("cannot use the socket directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else could put a socket there.
    #[error("the socket directory {} is not safe: {why}; remove it, or set XDG_RUNTIME_DIR", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel allows 107 bytes.
    #[error("the socket path {} is longer than {PATH_BYTES_MAX} bytes", .0.display())]
    TooLong(PathBuf),
    /// The process behind the socket is not the expected user's.
    #[error("the service on {} runs as user {found}, not as user {expected}", path.display())]
    Owner {
        /// The socket.
        path: PathBuf,
        /// Who must be there.
        expected: u32,
        /// Who is there.
        found: u32,
    },
}

/// Refuses a socket directory that is not a real directory, not owned by `uid`, or open to others.
pub fn check_directory(path: &Path, uid: u32) -> Result<(), SocketError> {
    let refuse = |why: String| Err(SocketError::Unsafe { path: path.to_owned(), why });
    let meta = fs::symlink_metadata(path)
        .map_err(|source| SocketError::Directory { path: path.to_owned(), source })?;
    if meta.file_type().is_symlink() {
        return refuse("it is a symbolic link".to_owned());
    }
    if !meta.is_dir() {
        return refuse("it is not a directory".to_owned());
    }
    if meta.uid() != uid {
        return refuse(format!("it belongs to user {}, not to user {uid}", meta.uid()));
    }
    if meta.mode() & 0o077 != 0 {
        return refuse(format!("its mode is {:04o}, not 0700", meta.mode() & 0o7777));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
