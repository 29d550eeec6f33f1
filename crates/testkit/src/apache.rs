//! A real Apache httpd (Debian: apache2, libapache2-mod-auth-gssapi) on a port and in a folder of its own, killed when dropped.
//!
//! It knows [`USER`] with [`PASSWORD`]: at `/basic/` by Basic, at `/digest/` by Digest with nonces that live a second, at `/gss/` by
//! Negotiate if it has a Kerberos realm; `/open/` is for everybody.

use crate::kdc::Kdc;
use crate::process::{Process, Spec};
use crate::wait::wait_until;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// The user that the servers know.
pub const USER: &str = "alice";
/// His password.
pub const PASSWORD: &str = "correct horse";

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
/// `alice:openbits:` MD5 of user, realm and password
const DIGEST: &str = "alice:openbits:0eb4364650ed6861e66c8da155708f06\n";
const BASIC: &str = "alice:{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=\n";

/// A running Apache.
#[derive(Debug)]
pub struct Apache {
    port: u16,
    process: Process,
    folder: TempDir,
}

impl Apache {
    /// Starts it; `None` if it is not installed. With a realm it also does Negotiate, for the host name `localhost`.
    #[must_use]
    pub fn start(kdc: Option<&Kdc>) -> Option<Self> {
        if !Path::new(PROGRAM).exists()
            || (kdc.is_some() && !Path::new(MODULES).join("mod_auth_gssapi.so").exists())
        {
            return None;
        }
        let folder = crate::peer_folder("obapache");
        let root = folder.path();
        for name in ["basic", "digest", "gss", "open"] {
            std::fs::create_dir_all(root.join("docs").join(name)).expect("it was empty");
        }
        std::fs::write(root.join("digest"), DIGEST).expect("it was empty");
        std::fs::write(root.join("basic"), BASIC).expect("it was empty");
        let port = crate::own_port();
        std::fs::write(root.join("httpd.conf"), config(root, port, kdc)).expect("it was empty");
        let mut spec =
            Spec::new(PROGRAM, root.join("log")).arg("-DFOREGROUND").arg("-f").arg(root.join("httpd.conf"));
        if let Some(kdc) = kdc {
            spec = spec.env("KRB5_CONFIG", kdc.config());
        }
        let process = spec.start().expect("apache2 starts");
        let apache = Self { port, process, folder };
        let up = wait_until(Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(up, "apache2 does not come up:\n{}", apache.log());
        Some(apache)
    }

    /// Puts a file into one of the folders, e.g. `digest/f`.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join("docs").join(name), bytes).expect("the folder is there");
    }

    /// Its URL, by the name `localhost`.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("http://localhost:{}/{name}", self.port)
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        let errors = std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
        format!("{}\n{errors}", self.process.log())
    }

    /// Lines of its access log: status, user, method and path, and whether an Authorization header came.
    #[must_use]
    pub fn accesses(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn config(root: &Path, port: u16, kdc: Option<&Kdc>) -> String {
    let root = root.display();
    let modules =
        ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "auth_digest"];
    let gss = kdc.map(|_| "auth_gssapi");
    let load: String = modules
        .into_iter()
        .chain(gss)
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .collect();
    let gss = kdc.map_or_else(String::new, |kdc| {
        format!(
            "<Location /gss>\nAuthType GSSAPI\nAuthName openbits\nGssapiCredStore keytab:{}\nRequire valid-user\n</Location>\n",
            kdc.keytab().display()
        )
    });
    format!(
        "ServerRoot {root}\nServerName localhost\nPidFile {root}/pid\nListen 127.0.0.1:{port}\nUser www-data\nGroup www-data\n\
         ErrorLog {root}/error.log\nMutex posixsem\n{load}\
         LogFormat \"%>s %u %m %U %{{c}}L %k\" short\nCustomLog {root}/access.log short\nDocumentRoot {root}/docs\n\
         <Location /basic>\nAuthType Basic\nAuthName openbits\nAuthUserFile {root}/basic\nRequire valid-user\n</Location>\n\
         <Location /digest>\nAuthType Digest\nAuthName openbits\nAuthUserFile {root}/digest\nAuthDigestNonceLifetime 1\nRequire valid-user\n</Location>\n\
         {gss}"
    )
}
