//! The API's socket: handed over by the service manager, or made here.

use anyhow::{Context, Result, bail};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only the service's own user (and root).
    Owner,
    /// Every local user; the kernel says who it is.
    Everybody,
}

/// Who made the socket: the service manager keeps what it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The service manager.
    Passed,
    /// This process, which removes it at the end.
    Made,
}

/// The listening socket. `path` is used unless the service manager passes a socket (`LISTEN_FDS`).
///
/// The caller holds the lock of the queue, so a socket file that is there is a leftover and is replaced.
pub fn listen(path: &Path, access: Access) -> Result<(UnixListener, Origin)> {
    let mut passed = listenfd::ListenFd::from_env();
    if passed.len() > 1 {
        bail!("the service manager passed {} sockets; one is expected", passed.len());
    }
    if let Some(listener) =
        passed.take_unix_listener(0).context("the passed socket is not a Unix stream socket")?
    {
        listener.set_nonblocking(true)?;
        return Ok((listener, Origin::Passed));
    }
    let folder = path.parent().context("the socket's path has no folder")?;
    let mode = if access == Access::Owner { 0o700 } else { 0o755 };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .with_context(|| format!("creating {}", folder.display()))?;
    let about = std::fs::symlink_metadata(folder)?;
    let own = rustix::process::geteuid().as_raw();
    if !about.is_dir() || (about.uid() != own && about.uid() != 0) {
        bail!("{} is not a folder of ours", folder.display());
    }
    if access == Access::Owner
        && about.uid() == own
        && about.mode() & 0o077 != 0
        && folder.ends_with("openbits")
    {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(about) if std::os::unix::fs::FileTypeExt::is_socket(&about.file_type()) => {
            std::fs::remove_file(path)?;
        }
        Ok(_) => bail!("{} is in the way and not a socket", path.display()),
        Err(_) => {}
    }
    // The umask decides from the first instant; there is no moment with wider rights.
    let wanted = if access == Access::Owner { 0o177 } else { 0o111 };
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(wanted));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.with_context(|| format!("listening at {}", path.display()))?;
    listener.set_nonblocking(true)?;
    Ok((listener, Origin::Made))
}
