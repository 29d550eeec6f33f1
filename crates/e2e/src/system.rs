//! The system's service, with a socket and a queue of its own.

use crate::door::Door;
use openbits_testkit::process::{Process, Signal, Spec, children};
use openbits_testkit::wait_until;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// What is special about a service.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Text of the policy file.
    pub policy: String,
    /// Program and arguments that run the service, e.g. `strace -f`.
    pub wrapper: Vec<String>,
}

/// `bitsd --system`, killed with its workers when dropped.
#[derive(Debug)]
pub struct System {
    /// The process (of the wrapper, if there is one); it ends before its folder.
    pub process: Process,
    folder: TempDir,
}

impl System {
    /// Starts it.
    #[must_use]
    pub fn start(program: &Path, options: &Options) -> Self {
        let folder = tempfile::Builder::new().prefix("obsys").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("policy.toml"), &options.policy).unwrap();
        let mut words = options.wrapper.iter().map(std::ffi::OsString::from);
        let mut spec = match words.next() {
            Some(wrapper) => words.fold(Spec::new(wrapper, at("log")), Spec::arg).arg(program),
            None => Spec::new(program, at("log")),
        };
        let (socket, database, policy) = (at("socket/bitsd.sock"), at("state/queue.db"), at("policy.toml"));
        spec = spec.arg("service").arg("--system").arg("--socket").arg(socket);
        spec = spec.arg("--database").arg(database).arg("--policy").arg(policy);
        let process = spec.start().expect("the program starts");
        let mut system = Self { folder, process };
        system.ready();
        system
    }

    fn ready(&mut self) {
        let answers = self.door().answers(Duration::from_secs(15));
        assert!(answers, "the service does not come up:\n{}", self.process.log());
    }

    /// A folder that everybody may enter; removed at the end.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Root's door.
    #[must_use]
    pub fn door(&self) -> Door {
        Door { socket: self.folder.path().join("socket/bitsd.sock"), uid: None }
    }

    /// Process id of the service itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.door().service().pid
    }

    /// Worker processes of the service.
    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        children(self.pid()).into_iter().filter(|pid| !crate::gone(*pid)).collect()
    }

    /// The worker with this uid, which must come up.
    #[must_use]
    pub fn worker_of(&self, uid: u32) -> u32 {
        use std::os::unix::fs::MetadataExt as _;
        let mut found = None;
        let _ = wait_until(Duration::from_secs(10), || {
            let owned = |pid: &u32| std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| m.uid() == uid);
            found = self.workers().into_iter().find(owned);
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("no worker of uid {uid}:\n{}", self.process.log()))
    }

    /// SIGKILL to the service, and a new one.
    pub fn restart(&mut self) {
        self.process.restart().expect("the program starts again");
        self.ready();
    }

    /// SIGTERM; true when it ended in time and with status 0.
    pub fn stop(&mut self, within: Duration) -> bool {
        self.process.signal(Signal::SIGTERM).unwrap();
        self.process.wait(within).is_some_and(|status| status.success())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the service:\n{}", self.process.log());
        }
    }
}
