//! The file that is uploaded: opened once, and compared with itself before every step.

use crate::failure::{Outcome, local, local_code};
use openbits_core::HResult;
use openbits_core::hresult::{BG_E_LOCAL_FILE_CHANGED, BG_E_TOO_LARGE, E_ACCESSDENIED, ERROR_FILE_NOT_FOUND};
use openbits_core::upload::client::SourceMark;
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// An open source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: Arc<File>,
    pub(super) mark: SourceMark,
    path: String,
}

fn mark(stat: &fs::Stat) -> SourceMark {
    SourceMark {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified_s: stat.st_mtime,
        modified_ns: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        inode: stat.st_ino,
        device: stat.st_dev,
    }
}

fn open(path: &str) -> Outcome<(File, fs::Stat)> {
    // NONBLOCK: a pipe in its place must not make us wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => local_code(ERROR_FILE_NOT_FOUND, "The file does not exist."),
        errno => local(errno, "The file cannot be read"),
    })?;
    let stat = fs::fstat(&fd).map_err(|errno| local(errno, "The file cannot be examined"))?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(local_code(E_ACCESSDENIED, "It is not a regular file."));
    }
    Ok((File::from(fd), stat))
}

impl Source {
    /// Opens it. `before`: what it was when the upload began.
    pub(super) fn open(path: &str, before: Option<SourceMark>) -> Outcome<Self> {
        let (file, stat) = open(path)?;
        let source = Self { file: Arc::new(file), mark: mark(&stat), path: path.to_owned() };
        if before.is_some_and(|before| before != source.mark) {
            return Err(changed());
        }
        Ok(source)
    }

    /// It is still what it was, and still what its name means (spec/upload-protocol.md 7).
    pub(super) fn check(&self) -> Outcome<()> {
        let same = |stat: Result<fs::Stat, Errno>| stat.is_ok_and(|stat| mark(&stat) == self.mark);
        if same(fs::fstat(&*self.file)) && same(fs::stat(self.path.as_str())) {
            Ok(())
        } else {
            Err(changed())
        }
    }
}

fn changed() -> Box<openbits_core::plan::Fail> {
    local_code(BG_E_LOCAL_FILE_CHANGED, "The file was changed after its upload began.")
}

/// The content of a small file: for GetReplyData.
pub(crate) fn content(path: &str, most: u64) -> Result<Vec<u8>, HResult> {
    let (file, stat) = open(path).map_err(|fail| fail.code)?;
    if u64::try_from(stat.st_size).unwrap_or(0) > most {
        return Err(BG_E_TOO_LARGE);
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| crate::failure::local_io(&e, "").code)?;
    if bytes.len() as u64 > most { Err(BG_E_TOO_LARGE) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_the_source_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f").to_str().unwrap().to_owned();
        let fresh = || {
            std::fs::write(&path, "hello").unwrap();
            Source::open(&path, None).unwrap()
        };
        let source = fresh();
        assert_eq!(source.mark.size, 5);
        source.check().unwrap();
        Source::open(&path, Some(source.mark)).unwrap();
        let code = |result: Outcome<()>| result.unwrap_err().code;
        // Longer; another date; another file under the name; gone.
        std::fs::write(&path, "hello, more").unwrap();
        assert_eq!(code(source.check()), BG_E_LOCAL_FILE_CHANGED);
        assert_eq!(Source::open(&path, Some(source.mark)).unwrap_err().code, BG_E_LOCAL_FILE_CHANGED);
        let source = fresh();
        File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(code(source.check()), BG_E_LOCAL_FILE_CHANGED);
        let source = fresh();
        std::fs::copy(&path, format!("{path}2")).unwrap();
        std::fs::rename(format!("{path}2"), &path).unwrap();
        assert_eq!(code(source.check()), BG_E_LOCAL_FILE_CHANGED);
        let source = fresh();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(code(source.check()), BG_E_LOCAL_FILE_CHANGED);
        assert_eq!(Source::open(&path, None).unwrap_err().code, ERROR_FILE_NOT_FOUND);
        assert_eq!(Source::open(folder.path().to_str().unwrap(), None).unwrap_err().code, E_ACCESSDENIED);
    }

    #[test]
    fn content_has_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f").to_str().unwrap().to_owned();
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(content(&path, 5), Ok(b"12345".to_vec()));
        assert_eq!(content(&path, 4), Err(BG_E_TOO_LARGE));
    }
}
