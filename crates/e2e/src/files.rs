//! What lies in the destination folders.

use openbits_testkit::Content;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Temporary files of the service in a folder.
#[must_use]
pub fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let is_temporary = |name: &str| name.starts_with("BIT") && name.ends_with(".tmp");
    names(folder).into_iter().filter(|name| is_temporary(name)).map(|name| folder.join(name)).collect()
}

/// The names in a folder, sorted.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Where a file differs from the content; `None` when it is the same.
#[must_use]
pub fn difference(path: &Path, content: &Content) -> Option<String> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) => return Some(error.to_string()),
    };
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let got = file.read(&mut buffer).unwrap();
        if got == 0 {
            break;
        }
        if let Some(byte) = content.first_difference(at, &buffer[..got]) {
            return Some(format!("byte {byte} differs"));
        }
        at += got as u64;
    }
    (at != content.size()).then(|| format!("{at} bytes instead of {}", content.size()))
}

/// Fails when the file is not exactly this content.
pub fn assert_is(path: &Path, content: &Content) {
    if let Some(how) = difference(path, content) {
        panic!("{}: {how}", path.display());
    }
}
