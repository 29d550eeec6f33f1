//! Starting and killing the server.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running bits-server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
}

/// Uploads for all below `/`, with more lines for that path.
pub(crate) fn config(lines: &str) -> String {
    format!("[[path]]\nprefix = \"/\"\nenabled = true\n{lines}\n")
}

fn launch(folder: &Path, listen: &str, toml: bool) -> (Child, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bits-server"));
    command.arg("--root").arg(folder.join("root")).args(["--listen", listen]);
    if toml {
        command.arg("--config").arg(folder.join("server.toml"));
    }
    command.env("BITS_SERVER_LOG", std::env::var("BITS_SERVER_LOG").unwrap_or_else(|_| "warn".to_owned()));
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("said {line:?}"));
    let address = address.parse().unwrap();
    (child, address)
}

impl Server {
    /// As `bits-server --root DIR --listen ADDR`, nothing else.
    pub(crate) fn plain() -> Self {
        Self::start(None)
    }

    /// With settings.
    pub(crate) fn with(toml: &str) -> Self {
        Self::start(Some(toml))
    }

    fn start(toml: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("root/in")).unwrap();
        if let Some(toml) = toml {
            std::fs::write(
                folder.path().join("server.toml"),
                toml.replace("@DIR@", folder.path().to_str().unwrap()),
            )
            .unwrap();
        }
        Self::inside(folder, toml.is_some())
    }

    /// In a folder that the test has prepared; `server.toml` is used if `toml`.
    pub(crate) fn inside(folder: tempfile::TempDir, toml: bool) -> Self {
        std::fs::create_dir_all(folder.path().join("root/in")).unwrap();
        let (child, address) = launch(folder.path(), "127.0.0.1:0", toml);
        Self { child, address, folder }
    }

    /// SIGKILL, then the same again on the same port.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        let toml = self.folder.path().join("server.toml").exists();
        (self.child, self.address) = launch(self.folder.path(), &self.address.to_string(), toml);
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads the settings again.
    pub(crate) fn reload(&self, toml: &str) {
        std::fs::write(self.folder.path().join("server.toml"), toml).unwrap();
        let status = Command::new("kill").args(["-HUP", &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(crate) fn stored(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.root().join(path)).ok()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Names in a folder of the server's state.
    pub(crate) fn state(&self, name: &str) -> Vec<PathBuf> {
        let folder = self.root().join(".bits-sessions").join(name);
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// True if the program can be started.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}
