//! A real SMB server: Debian's `smbd` in the foreground on a high port of loopback, with a configuration and databases of its own.

use crate::process::{Process, Spec};
use crate::wait::wait_until;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where Debian puts it.
const SMBD: &str = "/usr/sbin/smbd";
/// Most time that it takes to listen.
const START: Duration = Duration::from_secs(20);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum SambaError {
    /// Not installed, or not allowed to run: the test is to be skipped.
    #[error("{0}")]
    Missing(&'static str),
    /// It was there and did not start.
    #[error("smbd does not start: {0}")]
    Start(String),
    /// A file of its folder.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A running server with four shares in [`Samba::folder`]: `open` (guests may read and write), `closed` (only [`Samba::USER`]),
/// `sealed` (the same, encrypted only) and `readonly`. Killed when dropped.
#[derive(Debug)]
pub struct Samba {
    dir: tempfile::TempDir,
    port: u16,
    process: Option<Process>,
}

impl Samba {
    /// A user, if [`Samba::start`] could make one: the user that runs the test.
    pub const USER: &'static str = "root";
    /// The password of [`Samba::USER`].
    pub const PASSWORD: &'static str = "p%40ss w\u{f6}rd:/";

    /// Starts a server.
    ///
    /// # Errors
    /// [`SambaError::Missing`] where there can be none: not installed, or not started by root (it changes users).
    pub fn start() -> Result<Self, SambaError> {
        if !Path::new(SMBD).exists() {
            return Err(SambaError::Missing("smbd is not installed"));
        }
        if !nix::unistd::geteuid().is_root() {
            return Err(SambaError::Missing("smbd needs root"));
        }
        let dir = tempfile::tempdir()?;
        // Guests come as nobody.
        set_mode(dir.path(), 0o755)?;
        for folder in ["open", "closed", "sealed", "readonly", "var"] {
            let path = dir.path().join(folder);
            std::fs::create_dir(&path)?;
            set_mode(&path, if folder == "open" { 0o777 } else { 0o755 })?;
        }
        let port = crate::own_port();
        std::fs::write(dir.path().join("smb.conf"), configuration(dir.path(), port))?;
        let mut samba = Self { dir, port, process: None };
        samba.add_user()?;
        samba.run()?;
        Ok(samba)
    }

    /// The folder of a share.
    #[must_use]
    pub fn folder(&self, share: &str) -> PathBuf {
        self.dir.path().join(share)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// URL of a file for a guest. `path` is used as it is.
    #[must_use]
    pub fn url(&self, share: &str, path: &str) -> String {
        format!("smb://127.0.0.1:{}/{share}/{path}", self.port)
    }

    /// URL of a file for [`Samba::USER`], with its password or another one (percent-encoded).
    #[must_use]
    pub fn url_as_user(&self, share: &str, path: &str, password: Option<&str>) -> String {
        let password = password.unwrap_or("p%2540ss%20w%C3%B6rd%3A%2F");
        format!("smb://{}:{password}@127.0.0.1:{}/{share}/{path}", Self::USER, self.port)
    }

    /// Kills it and everything that it started, without a word to its clients.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same port.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<(), SambaError> {
        self.kill();
        self.run()
    }

    fn run(&mut self) -> Result<(), SambaError> {
        let log = self.dir.path().join("log");
        let spec = Spec::new(SMBD, &log)
            .arg("--foreground")
            .arg("--no-process-group")
            .arg("--debug-stdout")
            .arg(format!("--configfile={}", self.dir.path().join("smb.conf").display()));
        self.process = Some(spec.start()?);
        let addr = self.addr();
        if wait_until(START, || TcpStream::connect(addr).is_ok()) {
            return Ok(());
        }
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        Err(SambaError::Start(told.lines().rev().take(5).collect::<Vec<_>>().join(" | ")))
    }

    fn add_user(&self) -> Result<(), SambaError> {
        let mut child = Command::new("smbpasswd")
            .arg("-c")
            .arg(self.dir.path().join("smb.conf"))
            .args(["-s", "-a", Self::USER])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut input = child.stdin.take().expect("it was asked for");
        write!(input, "{0}\n{0}\n", Self::PASSWORD)?;
        drop(input);
        if child.wait()?.success() {
            Ok(())
        } else {
            Err(SambaError::Missing("smbpasswd makes no user here"))
        }
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn configuration(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "[global]\n\
         server role = standalone server\n\
         smb ports = {port}\n\
         interfaces = 127.0.0.1\n\
         bind interfaces only = yes\n\
         disable netbios = yes\n\
         server min protocol = SMB2\n\
         map to guest = bad user\n\
         guest account = nobody\n\
         load printers = no\n\
         disable spoolss = yes\n\
         log level = 1\n\
         lock directory = {dir}/var\n\
         state directory = {dir}/var\n\
         cache directory = {dir}/var\n\
         private dir = {dir}/var\n\
         pid directory = {dir}/var\n\
         ncalrpc dir = {dir}/var/ncalrpc\n\
         passdb backend = tdbsam:{dir}/var/passdb.tdb\n\
         strict sync = no\n\
         [open]\npath = {dir}/open\nguest ok = yes\nread only = no\nforce user = root\n\
         [closed]\npath = {dir}/closed\nread only = no\nvalid users = root\n\
         [sealed]\npath = {dir}/sealed\nread only = no\nvalid users = root\nsmb encrypt = required\n\
         [readonly]\npath = {dir}/readonly\nguest ok = yes\nread only = yes\n"
    )
}
