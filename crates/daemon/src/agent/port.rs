//! The port and the file that names it (section 2).

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Last port that is tried.
const LAST: u16 = 60_999;
/// What names of port files contain.
const MARK: &str = "restport";
/// Name under which a port file is written; without [`MARK`], so that nobody reads half of it.
const UNFINISHED: &str = "new-port";

/// Listens at the first free port; any error but "in use" is final.
pub(super) fn listen(first: u16) -> Result<TcpListener> {
    for port in first..=LAST.max(first) {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).with_context(|| format!("listening at 127.0.0.1:{port}")),
        }
    }
    bail!("no port from {first} to {LAST} is free")
}

/// A port file, removed when the door is closed: the port may soon be another program's.
#[derive(Debug)]
pub(super) struct Published(PathBuf);

impl Drop for Published {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "the port file could not be removed");
            }
            _ => {}
        }
    }
}

/// Writes the port file whole, and removes every other one.
pub(super) fn publish(folder: &Path, port: u16) -> Result<Published> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| format!("creating {}", folder.display()))?;
    let about = fs::symlink_metadata(folder)?;
    let own = rustix::process::geteuid().as_raw();
    // Whoever may write there can send every client to a service of his own.
    if !about.is_dir() || about.uid() != own || about.mode() & 0o022 != 0 {
        bail!("{} has to be a folder of ours that nobody else may write to", folder.display());
    }
    let unfinished = folder.join(UNFINISHED);
    let name = format!("{MARK}.{}", std::process::id());
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o444).open(&unfinished)?;
    file.write_all(format!("{port}\n").as_bytes())?;
    // The umask must not hide it from clients.
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
    drop(file);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(MARK) {
            fs::remove_file(entry.path()).with_context(|| format!("removing {}", entry.path().display()))?;
        }
    }
    let path = folder.join(name);
    fs::rename(&unfinished, &path).context("writing the port file")?;
    Ok(Published(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Five stray files, one of them newer: one is left, whole, and readable by all.
    #[test]
    fn one_port_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("run");
        fs::create_dir(&at).unwrap();
        for n in 0..5 {
            fs::write(at.join(format!("restport.{n}")), "1\n").unwrap();
        }
        fs::write(at.join("other"), "").unwrap();
        let published = publish(&at, 50_123).unwrap();
        let names = || {
            let name =
                |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
            let mut names: Vec<_> = fs::read_dir(&at).unwrap().map(name).collect();
            names.sort();
            names
        };
        let own = format!("restport.{}", std::process::id());
        assert_eq!(names(), ["other".to_owned(), own.clone()]);
        assert_eq!(fs::read_to_string(at.join(&own)).unwrap(), "50123\n");
        assert_eq!(fs::metadata(at.join(&own)).unwrap().mode() & 0o777, 0o444);
        drop(published);
        assert_eq!(names(), ["other"], "its end removes it, and nothing else");
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(publish(folder.path(), 1).is_err());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(publish(&link, 1).is_err());
    }

    /// Many ports taken by others: the next free one, at once.
    #[test]
    fn a_thousand_leading_ports_taken() {
        let begun = std::time::Instant::now();
        let taken: Vec<_> =
            (50_000..51_000_u16).filter_map(|p| TcpListener::bind(("127.0.0.1", p)).ok()).collect();
        let listener = listen(50_000).unwrap();
        assert!(listener.local_addr().unwrap().port() >= 50_000);
        assert!(listener.local_addr().unwrap().ip().is_loopback());
        if taken.len() == 1000 {
            assert!(listener.local_addr().unwrap().port() >= 51_000);
        }
        assert!(begun.elapsed().as_secs() < 2);
    }
}
