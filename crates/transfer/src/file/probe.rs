//! May the owner use this local name?

use super::{Folder, Place, made};
use crate::failure::{Outcome, local, local_code};
use crate::protocol::Purpose;
use openbits_core::HResult;
use openbits_core::hresult::{E_ACCESSDENIED, ERROR_FILE_NOT_FOUND};
use openbits_core::job::FileId;
use rustix::fs::{self, Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;
use std::sync::Arc;

/// What a look at a path told.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Size of a source.
    pub(crate) size: Option<u64>,
    /// The folder or file of a download.
    pub(crate) id: Option<FileId>,
}

/// Looks at a path; [`Purpose::Make`] also makes a file.
pub(crate) fn probe(path: &str, purpose: Purpose) -> Result<Found, HResult> {
    let fine = |()| Found::default();
    let known = |id| Found { id: Some(id), size: None };
    match purpose {
        Purpose::Destination => destination(path).map(fine),
        Purpose::Inherited => trusted(path).and_then(|()| destination(path)).map(fine),
        Purpose::Source | Purpose::Content { .. } => {
            source(path).map(|size| Found { size: Some(size), id: None })
        }
        Purpose::Entry => return made::entry(path).map(known),
        Purpose::Make { folder, again } => return made::make(path, folder, again).map(known),
        Purpose::Still { made } => return made::still(path, made).map(fine),
    }
    .map_err(|fail| fail.code)
}

fn destination(path: &str) -> Outcome<()> {
    let (parent, name) = Place::split(path)?;
    let folder = Folder::open(parent)?;
    fs::accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|errno| local(errno, "The destination folder cannot be written"))?;
    Place::new(Arc::new(folder), name, ".probe")?.check_target()
}

/// Every folder on the way is a real one that belongs to root or us and that nobody else may change.
fn trusted(path: &str) -> Outcome<()> {
    let (parent, _) = Place::split(path)?;
    let own = rustix::process::geteuid().as_raw();
    let refused = |why: &str| local_code(E_ACCESSDENIED, why);
    for folder in parent.ancestors() {
        let stat =
            fs::lstat(folder).map_err(|errno| local(errno, "The destination path cannot be examined"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(refused("A part of the destination path is a link."));
        }
        if stat.st_uid != 0 && stat.st_uid != own {
            return Err(refused("A part of the destination path belongs to another user."));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(refused("A part of the destination path may be changed by others."));
        }
    }
    Ok(())
}

fn source(path: &str) -> Outcome<u64> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = fs::open(Path::new(path), flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => local_code(ERROR_FILE_NOT_FOUND, "The file does not exist."),
        errno => local(errno, "The file cannot be read"),
    })?;
    let stat = fs::fstat(&fd).map_err(|errno| local(errno, "The file cannot be examined"))?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(local_code(E_ACCESSDENIED, "The source is not a regular file."));
    }
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}
