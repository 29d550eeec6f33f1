//! A real Squid (Debian: squid) that wants to know its users, on a port and in a folder of its own, killed when dropped.

use crate::kdc::Kdc;
use crate::process::{Process, Spec};
use crate::wait::wait_until;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/squid";
const HELPERS: &str = "/usr/lib/squid";
/// Of [`crate::apache::USER`] and [`crate::apache::PASSWORD`].
const BASIC: &str = "alice:$apr1$openbits$g8ZGzKzeDqzBGgzruj0Ng1\n";
const DIGEST: &str = "alice:openbits:0eb4364650ed6861e66c8da155708f06\n";

/// How it asks.
#[derive(Clone, Copy, Debug)]
pub enum Asks<'a> {
    /// Basic.
    Basic,
    /// Digest.
    Digest,
    /// NTLM; Squid's test helper goes through the handshake and believes everybody.
    Ntlm,
    /// Negotiate, as a service of this realm on `localhost`.
    Negotiate(&'a Kdc),
}

/// A running Squid.
#[derive(Debug)]
pub struct Squid {
    port: u16,
    process: Process,
    folder: TempDir,
}

impl Squid {
    /// Starts it; `None` if it is not installed. It passes known users on to everywhere, by CONNECT also.
    #[must_use]
    pub fn start(asks: Asks<'_>) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            return None;
        }
        let folder = crate::peer_folder("obsquid");
        let root = folder.path();
        // It drops its rights.
        std::os::unix::fs::chown(root, Some(proxy_uid()?), None).expect("root may");
        std::fs::write(root.join("basic"), BASIC).expect("it was empty");
        std::fs::write(root.join("digest"), DIGEST).expect("it was empty");
        let port = crate::own_port();
        let shown = root.display();
        let auth = match asks {
            Asks::Basic => format!(
                "auth_param basic program {HELPERS}/basic_ncsa_auth {shown}/basic\nauth_param basic realm openbits\n"
            ),
            Asks::Digest => format!(
                "auth_param digest program {HELPERS}/digest_file_auth -c {shown}/digest\nauth_param digest realm openbits\n"
            ),
            Asks::Ntlm => {
                format!("auth_param ntlm program {HELPERS}/ntlm_fake_auth\nauth_param ntlm children 2\n")
            }
            Asks::Negotiate(kdc) => format!(
                "auth_param negotiate program {HELPERS}/negotiate_kerberos_auth -k {} -s HTTP/localhost@{}\n\
                 auth_param negotiate children 2\n",
                kdc.keytab().display(),
                crate::kdc::REALM
            ),
        };
        let config = format!(
            "{auth}acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\nhttp_port 127.0.0.1:{port}\n\
             pid_filename {shown}/pid\ncache deny all\ncache_log {shown}/cache.log\naccess_log stdio:{shown}/access.log\n\
             coredump_dir {shown}\nshutdown_lifetime 0 seconds\nnetdb_filename none\ncache_effective_user proxy\n\
             visible_hostname localhost\n"
        );
        std::fs::write(root.join("squid.conf"), config).expect("it was empty");
        let mut spec = Spec::new(PROGRAM, root.join("log")).arg("-N").arg("-f").arg(root.join("squid.conf"));
        if let Asks::Negotiate(kdc) = asks {
            spec = spec.env("KRB5_CONFIG", kdc.config());
        }
        let process = spec.start().expect("squid starts");
        let squid = Self { port, process, folder };
        let up = wait_until(Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(up, "squid does not come up:\n{}", squid.log());
        Some(squid)
    }

    /// `localhost:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}\n{}\n{}", self.process.log(), read("cache.log"), read("access.log"))
    }
}

/// The account that Debian makes for it.
fn proxy_uid() -> Option<u32> {
    Some(nix::unistd::User::from_name("proxy").ok()??.uid.as_raw())
}
