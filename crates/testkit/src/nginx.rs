//! A real nginx on loopback, which serves a folder: the peer that most downloads have.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::wait_until;

/// Most time that it takes to listen.
const START: Duration = Duration::from_secs(20);

/// A running nginx with a folder and a port of its own; killed when dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Nginx {
    /// Starts it; `None` where the program is missing. `extra` goes into the `server` block, e.g. `max_ranges 0;`.
    ///
    /// # Panics
    /// When the program is there and does not come up.
    #[must_use]
    pub fn start(extra: &str) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let program = program.into_iter().map(Path::new).find(|path| path.exists())?;
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        std::fs::create_dir(folder.path().join("www")).expect("a fresh folder can be written");
        let port = crate::own_port();
        let at = folder.path().display();
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\nhttp {{ access_log off; \
             client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; \
             scgi_temp_path {at}/s;\nserver {{ listen 127.0.0.1:{port}; root {at}/www; {extra} }} }}\n"
        );
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, text).expect("a fresh folder can be written");
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).arg("-c").arg(&config);
        command.arg("-e").arg(folder.path().join("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("nginx can be started");
        let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        if wait_until(START, answers) && child.try_wait().is_ok_and(|end| end.is_none()) {
            return Some(Self { child, folder, port });
        }
        let _ = child.kill();
        let _ = child.wait();
        let log = std::fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
        panic!("nginx does not come up: {log}");
    }

    /// Folder that is served.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("www")
    }

    /// URL of a file in it.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
