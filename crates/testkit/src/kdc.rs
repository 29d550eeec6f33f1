//! A real Kerberos realm (Debian: krb5-kdc, krb5-admin-server, krb5-user) on a port and in a folder of its own, killed when dropped.
//!
//! It knows [`crate::apache::USER`] with [`crate::apache::PASSWORD`], and the service `HTTP/localhost`.

use crate::apache::{PASSWORD, USER};
use crate::process::{Process, Spec};
use crate::wait::wait_until;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The realm.
pub const REALM: &str = "OPENBITS.TEST";
const PROGRAMS: [&str; 4] =
    ["/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local", "/usr/bin/kinit"];

/// A running key distribution centre.
#[derive(Debug)]
pub struct Kdc {
    _process: Process,
    folder: TempDir,
}

impl Kdc {
    /// Starts it; `None` if it is not installed.
    #[must_use]
    pub fn start() -> Option<Self> {
        if !PROGRAMS.iter().all(|program| Path::new(program).exists()) {
            return None;
        }
        let folder = crate::peer_folder("obkdc");
        let root = folder.path();
        let (shown, port) = (root.display(), crate::own_port());
        let client = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n\
             dns_canonicalize_hostname = false\n rdns = false\n\
             [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n localhost = {REALM}\n"
        );
        let server = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n {REALM} = {{\n\
             database_name = {shown}/principal\n  key_stash_file = {shown}/stash\n  acl_file = {shown}/acl\n }}\n"
        );
        std::fs::write(root.join("krb5.conf"), client).expect("it was empty");
        std::fs::write(root.join("kdc.conf"), server).expect("it was empty");
        run(root, PROGRAMS[1], &["create", "-s", "-r", REALM, "-P", "master"], "");
        for query in [
            format!("addprinc -pw \"{PASSWORD}\" {USER}"),
            "addprinc -randkey HTTP/localhost".to_owned(),
            format!("ktadd -k {shown}/keytab HTTP/localhost"),
        ] {
            run(root, PROGRAMS[2], &["-q", &query], "");
        }
        // For Apache and Squid, which drop their rights.
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(root.join("keytab"), std::fs::Permissions::from_mode(0o644))
            .expect("just made");
        let process = Spec::new(PROGRAMS[0], root.join("log"))
            .arg("-n")
            .env("KRB5_CONFIG", root.join("krb5.conf"))
            .env("KRB5_KDC_PROFILE", root.join("kdc.conf"))
            .start()
            .expect("krb5kdc starts");
        let up = wait_until(Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(up, "krb5kdc does not come up:\n{}", process.log());
        Some(Self { _process: process, folder })
    }

    /// Value of `KRB5_CONFIG`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("krb5.conf")
    }

    /// Key of the service.
    #[must_use]
    pub fn keytab(&self) -> PathBuf {
        self.folder.path().join("keytab")
    }

    /// A ticket cache of the user, who just logged on; value of `KRB5CCNAME`.
    #[must_use]
    pub fn log_on(&self) -> PathBuf {
        let cache = self.folder.path().join("cache");
        run(self.folder.path(), PROGRAMS[3], &["-c", &cache.display().to_string(), USER], PASSWORD);
        cache
    }
}

fn run(root: &Path, program: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .env("KRB5_CONFIG", root.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", root.join("kdc.conf"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    let mut stdin = child.stdin.take().expect("piped");
    let _ = writeln!(stdin, "{input}");
    drop(stdin);
    let output = child.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
