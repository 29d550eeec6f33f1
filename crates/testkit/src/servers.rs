//! A real nginx (Debian: nginx-light) on ports and in a folder of its own, killed when dropped.

use crate::process::{Process, Spec};
use crate::wait::wait_until;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Where Debian installs it.
const PROGRAM: &str = "/usr/sbin/nginx";

/// Its folder, before it runs: files to serve go below `www`.
#[derive(Debug)]
pub struct ServerFolder(TempDir);

/// A running nginx.
#[derive(Debug)]
pub struct Servers {
    ports: Vec<u16>,
    process: Process,
    folder: TempDir,
}

impl ServerFolder {
    /// A new folder; `None` if nginx is not installed.
    #[must_use]
    pub fn new() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            return None;
        }
        let folder =
            tempfile::Builder::new().prefix("obnginx").tempdir_in("/tmp").expect("/tmp can be written");
        std::fs::create_dir(folder.path().join("www")).expect("it was empty");
        Some(Self(folder))
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the folder is ours");
    }

    /// Starts nginx with these `server` blocks, in which `@0@`, `@1@`… are its ports and `@F@` is the folder.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(self, servers: &str) -> Servers {
        let count = (0..).take_while(|n| servers.contains(&format!("@{n}@"))).count();
        let ports: Vec<u16> = (0..count).map(|_| crate::own_port()).collect();
        let root = self.0.path().display().to_string();
        let mut servers = servers.replace("@F@", &root);
        for (n, port) in ports.iter().enumerate() {
            servers = servers.replace(&format!("@{n}@"), &port.to_string());
        }
        let text = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{}}\n\
             http {{\n\
               log_format all '$request_method $uri $status $ssl_client_s_dn|$server_protocol|$http_x_key';\n\
               access_log {root}/access.log all;\n\
               client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n\
               uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; root {root}/www;\n\
             {servers}\n}}\n"
        );
        self.write("nginx.conf", text);
        let spec = Spec::new(PROGRAM, self.path("nginx.log")).arg("-c").arg(self.path("nginx.conf"));
        let process = spec.start().expect("nginx starts");
        let listens = || ports.iter().all(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok());
        assert!(wait_until(Duration::from_secs(20), listens), "{}", process.log());
        Servers { ports, process, folder: self.0 }
    }
}

impl Servers {
    /// One of its ports.
    #[must_use]
    pub fn port(&self, n: usize) -> u16 {
        self.ports[n]
    }

    /// The lines of its access log: `METHOD PATH STATUS CLIENT|PROTOCOL|X-Key`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Writes a file of its folder, while it runs.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).expect("the folder is ours");
    }

    /// What it said.
    #[must_use]
    pub fn log(&self) -> String {
        let errors = std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
        format!("{}\n{errors}", self.process.log())
    }
}
