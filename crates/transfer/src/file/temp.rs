//! The temporary file: made for one version, and trusted later only if it is provably ours and of that version.

use super::{Place, made};
use crate::failure::{Outcome, local, local_io};
use aws_lc_rs::digest::{Context, SHA256};
use openbits_core::JobId;
use openbits_core::plan::Validator;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::AsFd;

/// Extended attribute that ties a temporary file to one version of its source.
///
/// The service learns of a restart a moment after the new bytes reach the disk. If the machine fails in that moment, the
/// stored ranges belong to the old version and the file holds the new one. The mark in the file itself tells them apart. Where
/// the file system has no such attributes, only the order of reports protects.
const VERSION_ATTRIBUTE: &str = "user.openbits.version";

/// Extended attribute that says of which job and file this is. It is set before the rename and stays: after a crash between the rename
/// and its record nothing else tells the new file from an old one of the same size at the same place
/// (docs/decisions/0006).
const FILE_ATTRIBUTE: &str = "user.openbits.file";
/// Longest value of an attribute of ours.
const ATTRIBUTE_MAX: usize = 64;

/// The mark for a version; empty if nothing identifies it (such a file is never continued).
pub(crate) fn version_tag(validator: &Validator) -> String {
    if validator.etag.is_none() && validator.last_modified.is_none() {
        return String::new();
    }
    let mut context = Context::new(&SHA256);
    for part in [&validator.etag, &validator.last_modified] {
        context.update(part.as_deref().unwrap_or("").as_bytes());
        context.update(&[0]);
    }
    if let Some(mirror) = &validator.mirror {
        context.update(mirror.as_bytes());
    }
    hex(&context.finish().as_ref()[..16])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes a new, empty temporary file, mode 0600; whatever had its name (a leftover, a planted link) is removed first. A file that was made
/// beforehand is emptied.
pub(crate) fn create(place: &Place, tag: &str) -> Outcome<File> {
    if let Some(made) = place.made {
        let file = made::open(place, made)?;
        made::empty(&file)?;
        if !tag.is_empty() {
            let _ = fs::fsetxattr(&file, VERSION_ATTRIBUTE, tag.as_bytes(), XattrFlags::empty());
        }
        return Ok(file);
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    for _ in 0..3 {
        match fs::openat(&place.folder, &*place.temp, flags, mode) {
            Ok(fd) => {
                if !tag.is_empty() {
                    // Without it the file is fetched again after a crash, where the file system has attributes at all.
                    let _ = fs::fsetxattr(&fd, VERSION_ATTRIBUTE, tag.as_bytes(), XattrFlags::empty());
                }
                return Ok(File::from(fd));
            }
            Err(Errno::EXIST) => match fs::unlinkat(&place.folder, &*place.temp, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    return Err(local(errno, "What has the name of the temporary file cannot be removed"));
                }
            },
            Err(errno) => return Err(local(errno, "The temporary file cannot be created")),
        }
    }
    Err(local(Errno::EXIST, "The temporary file cannot be created"))
}

/// Gives the temporary file another mark of its version, durably. A file system without attributes has no mark to change.
pub(crate) fn mark_version(file: &File, tag: &str) -> Outcome<()> {
    match fs::fsetxattr(file, VERSION_ATTRIBUTE, tag.as_bytes(), XattrFlags::empty()) {
        Ok(()) => file.sync_all().map_err(|error| local_io(&error, "The temporary file cannot be synced")),
        Err(Errno::NOTSUP) => Ok(()),
        Err(errno) => Err(local(errno, "The temporary file cannot be marked")),
    }
}

/// Result of [`reopen`].
#[derive(Debug)]
pub(crate) enum Reopened {
    /// It is ours and may be continued.
    Usable(File),
    /// It is not, and why.
    Lost(&'static str),
    /// There is none.
    Gone,
}

/// Opens the temporary file of an earlier attempt, if it is a regular file of ours with one name, long enough, and marked with
/// the version that the stored ranges belong to.
pub(crate) fn reopen(place: &Place, end: u64, tag: &str) -> Outcome<Reopened> {
    // NONBLOCK: a planted pipe must not make us wait.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = match fs::openat(&place.folder, &*place.temp, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(Reopened::Gone),
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
            return Ok(Reopened::Lost("something else has the name of the temporary file"));
        }
        Err(Errno::ACCESS) => return Ok(Reopened::Lost("the temporary file cannot be opened any more")),
        Err(errno) => return Err(local(errno, "The temporary file cannot be opened")),
    };
    let stat = fs::fstat(&fd).map_err(|errno| local(errno, "The temporary file cannot be examined"))?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Ok(Reopened::Lost("something else has the name of the temporary file"));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Ok(Reopened::Lost("the temporary file belongs to somebody else"));
    }
    if stat.st_nlink != 1 {
        return Ok(Reopened::Lost("the temporary file has a second name"));
    }
    if place.made.is_some_and(|made| made::id_of(&fd) != Ok(made)) {
        return Ok(Reopened::Lost("another file has the name of the download's"));
    }
    if u64::try_from(stat.st_size).unwrap_or(0) < end {
        return Ok(Reopened::Lost("the temporary file is shorter than what was stored"));
    }
    if !tag.is_empty() && !matches!(carries(&fd, VERSION_ATTRIBUTE, tag), Ok(true) | Err(Errno::NOTSUP)) {
        return Ok(Reopened::Lost("the temporary file is of another version"));
    }
    Ok(Reopened::Usable(File::from(fd)))
}

/// Whether an attribute is there and has exactly this value. Err: this file or file system tells nothing.
fn carries(fd: impl AsFd, attribute: &str, expected: &str) -> Result<bool, Errno> {
    let mut value = [0_u8; ATTRIBUTE_MAX];
    match fs::fgetxattr(&fd, attribute, &mut value[..]) {
        Ok(length) => Ok(value.get(..length) == Some(expected.as_bytes())),
        Err(Errno::NODATA | Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The mark of one file of one job.
pub(super) fn file_mark(job: JobId, index: u32) -> String {
    format!("{job}/{index}")
}

/// Whether a file was put in its place by this very rename. A file system without attributes tells nothing, and that is not enough.
pub(super) fn is_marked(fd: impl AsFd, mark: &str) -> bool {
    carries(fd, FILE_ATTRIBUTE, mark) == Ok(true)
}

/// Marks a finished temporary file for its rename. False: it is of another version than was downloaded. `tag`: of that version, or
/// empty. Where the file system keeps no attributes there is nothing to compare, and no mark.
pub(super) fn mark(fd: impl AsFd, mark: &str, tag: &str) -> bool {
    if is_marked(&fd, mark) {
        return true; // an earlier Complete looked at it
    }
    let proven = tag.is_empty() || carries(&fd, VERSION_ATTRIBUTE, tag) == Ok(true);
    let taken = fs::fsetxattr(&fd, FILE_ATTRIBUTE, mark.as_bytes(), XattrFlags::empty()).is_ok();
    if taken && !proven {
        // It could carry its version, and does not.
        let _ = fs::fremovexattr(&fd, FILE_ATTRIBUTE);
        return false;
    }
    true
}

/// Takes the mark of the version off a file that is in its place. A failure is harmless.
pub(super) fn unmark_version(fd: impl AsFd) {
    let _ = fs::fremovexattr(fd, VERSION_ATTRIBUTE);
}

/// Takes the mark of the version off a file that is emptied.
pub(super) fn forget_version(fd: impl AsFd) {
    let _ = fs::fremovexattr(fd, VERSION_ATTRIBUTE);
}

/// Removes the temporary file; one that is not there is fine. A file that was made beforehand is emptied, and stays.
pub(crate) fn remove(place: &Place) {
    if let Some(made) = place.made {
        if let Ok(file) = made::open(place, made) {
            let _ = made::empty(&file);
        }
        return;
    }
    let _ = fs::unlinkat(&place.folder, &*place.temp, AtFlags::empty());
}
