//! Two ordinary accounts, made when missing and kept for the next run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Group that only the first account belongs to besides its own.
const EXTRA_GROUP: &str = "openbits-tg";

/// An ordinary account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// True when this process may do everything.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says loudly that a test is skipped.
pub fn skip(test: &str, why: &str) {
    eprintln!("SKIPPED: {test}: {why}");
}

/// The accounts `openbits-t1` and `openbits-t2`; `None` when they are not there and cannot be made.
#[must_use]
pub fn accounts() -> Option<[Account; 2]> {
    // One test process at a time makes them.
    let lock = File::create("/tmp/openbits-e2e-accounts.lock").ok()?;
    lock.lock().ok()?;
    if nix::unistd::Group::from_name(EXTRA_GROUP).ok()?.is_none() {
        run("groupadd", &[EXTRA_GROUP])?;
    }
    let make = |name: &str| {
        if nix::unistd::User::from_name(name).ok()?.is_none() {
            run("useradd", &["--no-create-home", "--user-group", "--shell", "/usr/sbin/nologin", name])?;
        }
        let user = nix::unistd::User::from_name(name).ok()??;
        Some(Account { name: name.to_owned(), uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    };
    let pair = [make("openbits-t1")?, make("openbits-t2")?];
    let members = nix::unistd::Group::from_name(EXTRA_GROUP).ok()??.mem;
    if !members.contains(&pair[0].name) {
        run("usermod", &["--append", "--groups", EXTRA_GROUP, &pair[0].name])?;
    }
    Some(pair)
}

fn run(program: &str, arguments: &[&str]) -> Option<()> {
    let status = Command::new(program).args(arguments).status().ok()?;
    status.success().then_some(())
}

impl Account {
    /// All its groups, sorted, as the system's own tool says.
    #[must_use]
    pub fn groups(&self) -> Vec<u32> {
        let output = Command::new("id").args(["-G", &self.name]).output().expect("id(1)");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut groups: Vec<u32> = text.split_whitespace().map(|id| id.parse().unwrap()).collect();
        groups.sort_unstable();
        groups
    }

    /// Makes a folder that only this account may enter.
    #[must_use]
    pub fn folder(&self, parent: &Path, name: &str) -> PathBuf {
        let folder = parent.join(name);
        std::fs::create_dir(&folder).unwrap();
        self.own(&folder);
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        folder
    }

    /// Gives a file to this account.
    pub fn own(&self, path: &Path) {
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid)).unwrap();
    }
}
