//! Starting the user's own service, as activation does it on Windows.

use openbits_client::{Environment, Starter};
use rustix::fs::Access;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Programs that can be the service, in this order; `bits` carries it inside (docs/decisions/0001).
const PROGRAMS: [&str; 2] = ["bitsd", "bits"];

/// How to start the service, if it is installed. Never from a program with more rights than its user: `PATH` is the user's.
pub(crate) fn starter(environment: &Environment) -> Option<Starter> {
    if rustix::process::getuid() != rustix::process::geteuid() {
        return None;
    }
    let program = find(&std::env::var_os("PATH")?)?;
    Some(Starter::new(program, environment.clone()))
}

fn find(path: &OsStr) -> Option<PathBuf> {
    let folders: Vec<_> = std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
    let places = PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.into_iter().find(|place| is_program(place))
}

fn is_program(place: &Path) -> bool {
    place.is_file() && rustix::fs::access(place, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_service_is_looked_for_in_absolute_folders() {
        let folder = std::env::temp_dir().join(format!("openbits-com-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, mode) in [("bitsd", 0o644), ("bits", 0o755)] {
            std::fs::write(folder.join(name), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([Path::new("."), Path::new("/nonexistent"), &folder]).unwrap();
        assert_eq!(find(&path), Some(folder.join("bits")), "bitsd is no program");
        assert_eq!(find(OsStr::new(".")), None);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
