//! A user with a home of his own and no service yet.

use crate::door::Door;
use crate::processes::{kill, kill_group_of_environment};
use openbits_testkit::Sandbox;
use openbits_testkit::process::{Process, Spec};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Longest time for a command.
const PATIENCE: Duration = Duration::from_secs(120);

/// A home and the program. Everything that was started in it is killed when it is dropped.
#[derive(Debug)]
pub struct User {
    program: PathBuf,
    sandbox: Sandbox,
}

impl User {
    /// A new home.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        let user = Self { program, sandbox: Sandbox::new().expect("/tmp can be written") };
        std::fs::create_dir(user.folder()).unwrap();
        user
    }

    /// Its home and everything around it.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The program under test.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A folder for downloads.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.sandbox.home().join("downloads")
    }

    /// A file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The queue of the service.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.sandbox.home().join(".local/state/openbits/queue.db")
    }

    /// The log of a service that `bits` started.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.sandbox.home().join(".local/state/openbits/bitsd.log"))
            .unwrap_or_default()
    }

    /// Writes the policy file, for services that start later.
    pub fn policy(&self, text: &str) {
        let folder = self.sandbox.home().join(".config/openbits");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("policy.toml"), text).unwrap();
    }

    /// `bits` with these arguments, in the home and with nothing of this process's environment.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(self.sandbox.envs()).current_dir(self.folder());
        command.stdin(Stdio::null());
        command
    }

    /// Runs `bits` to its end.
    #[must_use]
    pub fn bits(&self, arguments: &[&str]) -> Output {
        let child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        match receiver.recv_timeout(PATIENCE) {
            Ok(output) => output.unwrap(),
            Err(_) => {
                kill(pid);
                panic!("bits {arguments:?} does not end");
            }
        }
    }

    /// Runs `bits`, which must succeed; what it printed.
    #[must_use]
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.bits(arguments);
        assert!(
            output.status.success(),
            "bits {arguments:?}: {}\n{}\nservice's log:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The door of the user's service.
    #[must_use]
    pub fn door(&self) -> Door {
        Door { socket: self.sandbox.runtime().join("openbits/bitsd.sock"), uid: None }
    }

    /// The service as a child of the test, not started yet.
    #[must_use]
    pub fn service(&self) -> Spec {
        Spec::new(&self.program, self.sandbox.path().join("service.log"))
            .within(&self.sandbox)
            .arg("service")
            .arg("--user")
    }

    /// Starts the service with these arguments too, and waits until it answers.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Process {
        let process = arguments.iter().fold(self.service(), Spec::arg).start().unwrap();
        assert!(self.door().answers(Duration::from_secs(10)), "{}", process.log());
        process
    }

    /// Starts the service by an innocent command, as any command does.
    #[must_use]
    pub fn wake(&self) -> Door {
        let _ = self.must(&["list"]);
        self.door()
    }

    /// Process id of the service, which must run.
    #[must_use]
    pub fn service_pid(&self) -> u32 {
        self.door().service().pid
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "last lines of the service's log:\n{}",
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
        // The service closes its memory, and with it its environment, to everybody but root: it is found by its socket too.
        if let Ok(stream) = self.door().connect()
            && let Ok(peer) =
                nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::PeerCredentials)
        {
            u32::try_from(peer.pid()).into_iter().for_each(kill);
        }
        kill_group_of_environment(self.sandbox.path());
    }
}
