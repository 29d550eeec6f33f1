//! A real balancer of TCP connections (Debian: haproxy), which knows nothing of what goes through it; killed when dropped.

use crate::process::{Process, Spec};
use crate::wait::wait_until;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/haproxy";

/// A running balancer: each connection goes to the next server in turn that answers.
#[derive(Debug)]
pub struct Balancer {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl Balancer {
    /// Starts it before these servers; `None` if it is not installed.
    ///
    /// # Panics
    /// When it is there and does not come up.
    #[must_use]
    pub fn start(servers: &[SocketAddr]) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            return None;
        }
        let folder = crate::peer_folder("obhaproxy");
        let port = crate::own_port();
        let mut config = format!(
            "global\n  maxconn 1000\n\
             defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n\
             \x20 retries 3\n  option redispatch 1\n\
             listen uploads\n  bind 127.0.0.1:{port}\n  balance roundrobin\n"
        );
        for (number, server) in servers.iter().enumerate() {
            let checks = "check inter 100ms fall 1 rise 1 on-marked-down shutdown-sessions";
            writeln!(config, "  server s{number} {server} {checks}").expect("memory takes it");
        }
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, config).expect("it was empty");
        let process = Spec::new(PROGRAM, folder.path().join("log")).arg("-db").arg("-f").arg(&path).start();
        let process = process.expect("it is installed");
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(wait_until(Duration::from_secs(20), listens), "haproxy does not come up: {}", process.log());
        Some(Self { process, port, _folder: folder })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// What it said.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
