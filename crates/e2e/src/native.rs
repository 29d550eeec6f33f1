//! Programs in C and C++: the library installed below a temporary prefix, compilers, and runs in a user's home.

use crate::user::User;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The library, headers and pkg-config files as `cargo xtask install-lib` installs them.
#[derive(Debug)]
pub struct Prefix {
    folder: tempfile::TempDir,
}

impl Prefix {
    /// Installs the library that was built with this test.
    #[must_use]
    pub fn install() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = repository().join("scripts/install-lib.sh");
        let mut command = Command::new("sh");
        command.arg(script).arg(folder.path()).arg(library()).arg(env!("CARGO_PKG_VERSION"));
        must(&mut command, "install-lib.sh");
        Self { folder }
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A shell command that finds the library by pkg-config, in `folder`.
    pub fn shell(&self, line: &str, folder: &Path) {
        let mut command = Command::new("sh");
        command.args(["-ec", line]).current_dir(folder);
        command.env("PKG_CONFIG_PATH", self.path().join("lib/pkgconfig"));
        must(&mut command, line);
    }

    /// Compiles C++ sources of `tests/cpp`; where the program is.
    #[must_use]
    pub fn compile(&self, name: &str, sources: &[&str], flags: &[&str]) -> PathBuf {
        let program = self.path().join(name);
        let mut command = Command::new("g++");
        command.args(["-std=c++11", "-Wall", "-Wextra", "-Werror", "-g", "-pthread"]).args(flags);
        command.arg("-I").arg(self.path().join("include"));
        command.args(sources.iter().map(|source| repository().join("tests/cpp").join(source)));
        command.arg("-o").arg(&program).arg("-L").arg(self.path().join("lib")).arg("-lopenbits");
        must(&mut command, name);
        program
    }

    /// A program with the library, in the user's home. `bits` is on its PATH, so that it can start the service.
    #[must_use]
    pub fn command(&self, program: &Path, user: &User) -> Command {
        let bin = self.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let bits = bin.join("bits");
        if !bits.exists() {
            std::os::unix::fs::symlink(user.program(), &bits).unwrap();
        }
        let mut path = OsString::from(&bin);
        path.push(":/usr/local/bin:/usr/bin:/bin");
        let mut command = Command::new(program);
        command.env_clear().envs(user.sandbox().envs()).env("PATH", path).current_dir(user.folder());
        command.env("LD_LIBRARY_PATH", self.path().join("lib")).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// Starts it with both outputs piped.
    #[must_use]
    pub fn start(&self, program: &Path, user: &User, arguments: &[&str]) -> Child {
        let mut command = self.command(program, user);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(&self, program: &Path, user: &User, arguments: &[&str]) -> Output {
        self.start(program, user, arguments).wait_with_output().unwrap()
    }
}

/// The top of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// The library that cargo built for this test, beside it; `OPENBITS_LIBRARY` names another (e.g. a release build).
fn library() -> PathBuf {
    if let Some(named) = std::env::var_os("OPENBITS_LIBRARY") {
        return named.into();
    }
    let test = std::env::current_exe().expect("a test has a program");
    let places = test.ancestors().skip(1).take(3).map(|folder| folder.join("libopenbits.so"));
    let found = places.into_iter().find(|place| place.exists());
    found.unwrap_or_else(|| panic!("libopenbits.so is not beside {}", test.display()))
}

fn must(command: &mut Command, what: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
