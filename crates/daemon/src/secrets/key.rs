//! Where the key is: with the service manager, or in a file of the state folder that only the service may read.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Name of the key among the service manager's credentials.
const CREDENTIAL: &str = "openbits.key";
/// Name of the key file beside the queue.
const FILE: &str = "secrets.key";
/// Bytes of a key that we make; a key of the service manager has at least as many.
const LENGTH: usize = 32;
/// Longest key of the service manager.
const LENGTH_MAX: u64 = 4096;

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It exists and cannot be read.
    #[error("the key of the secrets at {path} cannot be used: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could have read or written it.
    #[error("the key of the secrets at {path} {what}; {remedy}")]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// What to do.
        remedy: String,
    },
}

/// Keys, and what is worth telling.
pub(super) struct Found {
    /// The first seals.
    pub(super) keys: Vec<Zeroizing<Vec<u8>>>,
    pub(super) findings: Vec<String>,
}

/// Where systemd puts the credentials of a unit.
pub(super) fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// The manager's key first; the file's too, since older secrets may be sealed with it. A file is made only if there is no other key.
pub(super) fn find(state: &Path, credentials: Option<&Path>) -> Result<Found, KeyError> {
    let mut findings = Vec::new();
    let mut keys = Vec::new();
    if let Some(folder) = credentials {
        keys.extend(of_manager(&folder.join(CREDENTIAL))?);
    }
    let path = state.join(FILE);
    match of_file(&path)? {
        Some(key) if key.len() == LENGTH => keys.push(key),
        other => {
            if other.is_some() {
                set_aside(&path, &mut findings)?;
            }
            if keys.is_empty() {
                keys.push(make(state, &path)?);
            }
        }
    }
    Ok(Found { keys, findings })
}

fn failed(path: &Path) -> impl Fn(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { path: path.clone(), source }
}

fn open(path: &Path) -> Result<Option<File>, KeyError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    match OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

fn read(path: &Path, file: &File) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH_MAX as usize + 1));
    file.take(LENGTH_MAX + 1).read_to_end(&mut bytes).map_err(failed(path))?;
    Ok(bytes)
}

/// The manager guards it; we only see to it that it is long enough.
fn of_manager(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    let Some(file) = open(path)? else { return Ok(None) };
    let bytes = read(path, &file)?;
    if bytes.len() < LENGTH || bytes.len() as u64 > LENGTH_MAX {
        return Err(KeyError::Exposed {
            path: path.to_owned(),
            what: "is shorter than 32 bytes or longer than 4,096",
            remedy:
                "make one with `systemd-creds encrypt --name=openbits.key <(head -c 32 /dev/urandom) FILE`"
                    .to_owned(),
        });
    }
    Ok(Some(bytes))
}

fn of_file(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    let Some(file) = open(path)? else { return Ok(None) };
    let meta = file.metadata().map_err(failed(path))?;
    let what = if !meta.is_file() {
        "is not a file"
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if meta.mode() & 0o077 != 0 {
        "can be read or written by others"
    } else {
        return read(path, &file).map(Some);
    };
    Err(KeyError::Exposed {
        path: path.to_owned(),
        what,
        remedy: format!(
            "if nobody has used that, make it right (`chmod 600 {0}`, `chown`); else remove it, which makes stored passwords \
             unreadable, and change them at their servers",
            path.display()
        ),
    })
}

/// A file that is no key is kept, and another is made in its place.
fn set_aside(path: &Path, findings: &mut Vec<String>) -> Result<(), KeyError> {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let aside = path.with_extension(format!("key.bad-{seconds}"));
    std::fs::rename(path, &aside).map_err(failed(path))?;
    findings.push(format!(
        "the key of the secrets was damaged and is kept at {}; jobs with credentials will ask for them anew",
        aside.display()
    ));
    Ok(())
}

/// Whole before it gets its name, and never over another: a crash leaves no half of a key.
fn make(state: &Path, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut key = Zeroizing::new(vec![0; LENGTH]);
    getrandom::fill(&mut key).map_err(|error| failed(path)(io::Error::other(error)))?;
    let draft = path.with_extension("key.new");
    // What a crash left. The lock of the queue keeps a second service away.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&draft)(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&draft)
        .map_err(failed(&draft))?;
    file.write_all(&key).and_then(|()| file.sync_all()).map_err(failed(&draft))?;
    std::fs::hard_link(&draft, path).map_err(failed(path))?;
    std::fs::remove_file(&draft).map_err(failed(&draft))?;
    File::open(state).and_then(|folder| folder.sync_all()).map_err(failed(state))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_is_made_once_and_only_for_its_owner() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("secrets.key.new"), "half of a ke").unwrap();
        let first = find(state.path(), None).unwrap();
        let path = state.path().join(FILE);
        let meta = path.metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.len(), meta.nlink()), (0o600, 32, 1));
        let second = find(state.path(), None).unwrap();
        assert_eq!(first.keys, second.keys);
        assert!(second.findings.is_empty());
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 1, "no draft stays");
        std::fs::remove_file(&path).unwrap();
        assert_ne!(find(state.path(), None).unwrap().keys, first.keys);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE);
        let _ = find(state.path(), None).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o666] {
            chmod(&path, mode);
            let error = find(state.path(), None).err().expect("refused").to_string();
            assert!(error.contains("by others") && error.contains("chmod 600"), "{error}");
        }
        chmod(&path, 0o600);
        assert!(find(state.path(), None).is_ok());
        std::fs::rename(&path, state.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(matches!(find(state.path(), None), Err(KeyError::Io { .. })), "no link is followed");
    }

    #[test]
    fn a_damaged_key_is_kept_aside() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE);
        std::fs::write(&path, "short").unwrap();
        chmod(&path, 0o600);
        let found = find(state.path(), None).unwrap();
        assert!(found.findings[0].contains("secrets.key.bad-"), "{:?}", found.findings);
        assert_eq!(found.keys[0].len(), LENGTH);
    }

    #[test]
    fn the_managers_key_comes_first_and_the_file_still_opens() {
        let (state, manager) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = find(state.path(), Some(manager.path())).unwrap();
        assert_eq!(own.keys.len(), 1, "a manager without a key of ours");
        std::fs::write(manager.path().join(CREDENTIAL), [7; 40]).unwrap();
        let both = find(state.path(), Some(manager.path())).unwrap();
        assert_eq!((both.keys[0].as_slice(), &both.keys[1]), ([7; 40].as_slice(), &own.keys[0]));
        let other = tempfile::tempdir().unwrap();
        assert_eq!(find(other.path(), Some(manager.path())).unwrap().keys.len(), 1);
        assert!(!other.path().join(FILE).exists(), "no file where the manager has the key");
        std::fs::write(manager.path().join(CREDENTIAL), [7; 31]).unwrap();
        assert!(find(state.path(), Some(manager.path())).is_err());
    }
}
