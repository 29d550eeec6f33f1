//! A service of this user with the agent's door open.

use crate::sdk::{Download, Sdk};
use openbits_client::blocking::Client;
use openbits_client::{Client as Async, Endpoint, Kind, Timeouts};
use openbits_testkit::{Content, Origin, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Size of the SDK's small test file, in bytes.
pub(crate) const SMALL: u64 = 1837;
/// Of its large one.
pub(crate) const LARGE: u64 = 536_870_440;
/// Of the one between.
pub(crate) const OTHER: u64 = 25_006_511;

/// Most time for what takes a moment on a machine that does nothing else.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) folder: TempDir,
    pub(crate) origin: Origin,
    pub(crate) arguments: Vec<String>,
    /// A link of this name to the service's program is what is run.
    name: &'static str,
}

impl Service {
    /// A service of this user.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--user", "--do-agent"], "").ready_now()
    }

    /// The machine's service; downloads are done by this account.
    pub(crate) fn start_system(account: &str) -> Self {
        Self::start_with(&["--system", "--do-agent", "--do-agent-account", account], "").ready_now()
    }

    /// A service with these arguments and this policy, whose API answers.
    pub(crate) fn start_with(arguments: &[&str], policy: &str) -> Self {
        Self::start_named("bitsd", arguments, policy, |_| {})
    }

    /// The same under another name of its program; `prepare` gets the folder of all its files before the start.
    pub(crate) fn start_named(
        name: &'static str,
        arguments: &[&str],
        policy: &str,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let origin = Origin::start();
        origin.put("small", Content::new(1, SMALL));
        origin.put("other", Content::new(2, OTHER));
        origin.put("large", Content::new(3, LARGE));
        origin.throttle("large", Some(4 << 20));
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let mut arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        // Ports of its own: a door that was closed stays closed, whatever the services of other tests do.
        arguments.extend(["--do-agent-port".to_owned(), openbits_testkit::own_ports(4).to_string()]);
        let run_folder = folder.path().join("run").display().to_string();
        arguments.extend(["--do-agent-run".to_owned(), run_folder]);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bitsd"), folder.path().join(name)).unwrap();
        prepare(folder.path());
        let child = run(folder.path(), name, &arguments);
        let service = Self { child, folder, origin, arguments, name };
        service.answers();
        service
    }

    pub(crate) fn ready_now(self) -> Self {
        self.ready();
        self
    }

    /// The door is open: this service's own port file is there, not one that an earlier service left.
    pub(crate) fn ready(&self) {
        let own = self.run().join(format!("restport.{}", self.child.id()));
        assert!(wait_until(LONG, || own.exists()), "no port file");
        self.answers();
    }

    pub(crate) fn answers(&self) {
        assert!(wait_until(LONG, || self.client().service_info().is_ok()), "no service");
    }

    /// SIGKILL, and no successor yet.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = run(self.folder.path(), self.name, &self.arguments);
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// A signal.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Folder of the log files.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        std::fs::metadata(self.path(name)).ok().map(|about| about.len())
    }

    pub(crate) fn url(&self, name: &str) -> String {
        self.origin.url(name)
    }

    pub(crate) fn sdk(&self) -> Sdk {
        Sdk::new(&self.run())
    }

    /// The ordinary door.
    pub(crate) fn client(&self) -> Client {
        let socket = self.folder.path().join("s.sock");
        let endpoint = Endpoint { path: socket, kind: Kind::Given, owner: None };
        Client::new(Async::new(endpoint, None, Timeouts::default())).unwrap()
    }

    /// A started download that has the first `at` bytes of its file, and gets no more before [`Origin::release`].
    pub(crate) fn held(&self, remote: &str, name: &str, at: u64) -> Download {
        self.origin.hold(remote, at);
        let download = self.sdk().make(&self.url(remote), &self.path(name)).unwrap();
        download.start().unwrap();
        let there = || {
            let status = download.status();
            (status.state.as_str(), status.transferred) == ("Transferring", at)
        };
        assert!(wait_until(LONG, there), "{:?}", download.status());
        download
    }

    /// The file holds exactly what the origin has.
    pub(crate) fn is_whole(&self, name: &str, remote: &str) -> bool {
        let content = self.origin.content(remote).unwrap();
        openbits_testkit::sha256_file(self.path(name)).unwrap() == content.sha256_hex()
    }
}

fn run(at: &Path, name: &str, arguments: &[String]) -> Child {
    Command::new(at.join(name))
        .args(arguments)
        .arg("--socket")
        .arg(at.join("s.sock"))
        .arg("--database")
        .arg(at.join("queue.db"))
        .arg("--policy")
        .arg(at.join("policy.toml"))
        .arg("--do-agent-config")
        .arg(at.join("etc"))
        .arg("--do-agent-log")
        .arg(at.join("logs"))
        .env("XDG_CONFIG_HOME", at.join("config"))
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .env_remove("HTTPS_PROXY")
        .env_remove("all_proxy")
        .env_remove("ALL_PROXY")
        .env("OPENBITS_LOG", "info,openbits_daemon::agent=debug")
        .stderr(
            std::fs::File::options()
                .create(true)
                .append(true)
                .open(at.join("log"))
                .map_or(Stdio::null(), Into::into),
        )
        .spawn()
        .unwrap()
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
