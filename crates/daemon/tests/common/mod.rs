//! A service with a policy file of its own, for tests through its door.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part; a failed unwrap fails the test"
)]

use openbits_api::{AddFile, CreateJob, JobView, SetProperties};
use openbits_client::blocking::Client;
use openbits_client::{Client as Async, Endpoint, Kind, Timeouts};
use openbits_core::hresult::HResult;
use openbits_core::{JobId, JobType, Priority};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A service of this user with a policy file of its own.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) folder: TempDir,
    pub(crate) client: Client,
}

impl Service {
    pub(crate) fn start(policy: &str) -> Self {
        Self::start_as("--user", policy)
    }

    pub(crate) fn start_as(mode: &str, policy: &str) -> Self {
        Self::start_with(mode, policy, NO_BUS)
    }

    pub(crate) fn start_with(mode: &str, policy: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let (child, client) = spawn(folder.path(), mode, environment);
        Self { child, folder, client }
    }

    pub(crate) fn write(&self, policy: &str) {
        std::fs::write(self.folder.path().join("policy.toml"), policy).unwrap();
    }

    pub(crate) fn reload(&self, policy: &str) -> bool {
        self.write(policy);
        self.client.reload_policy().unwrap().usable
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn request(&self, priority: Priority) -> CreateJob {
        // Nobody listens there: an attempt fails at once, and is tried again after ten minutes.
        self.request_of(priority, "http://127.0.0.1:1/x", "out")
    }

    pub(crate) fn request_of(&self, priority: Priority, url: &str, name: &str) -> CreateJob {
        let local_name = self.path(name).display().to_string();
        let remote_name = url.to_owned();
        CreateJob {
            id: None,
            display_name: priority.to_string(),
            kind: JobType::Download,
            files: vec![AddFile { remote_name, local_name, ..AddFile::default() }],
            resume: true,
            properties: SetProperties { priority: Some(priority), ..SetProperties::default() },
            environment_proxy: None,
            dialect: openbits_core::job::Dialect::Bits,
        }
    }

    pub(crate) fn create(&self, priority: Priority) -> JobId {
        self.client.create_job(&self.request(priority)).unwrap().job.id.parse().unwrap()
    }

    pub(crate) fn fetch(&self, priority: Priority, url: &str, name: &str) -> JobId {
        self.client.create_job(&self.request_of(priority, url, name)).unwrap().job.id.parse().unwrap()
    }

    pub(crate) fn job(&self, id: JobId) -> JobView {
        self.client.job(id, false, true).unwrap()
    }

    pub(crate) fn code(&self, id: JobId) -> Option<HResult> {
        self.job(id).error.and_then(|e| openbits_api::error::parse_code(&e.hresult))
    }
}

/// A bus of the machine that runs the tests must not decide how they end.
pub(crate) const NO_BUS: &[(&str, &str)] = &[("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")];

/// Starts a service whose socket, queue and `policy.toml` are in this folder, and waits until it answers.
pub(crate) fn spawn(at: &Path, mode: &str, environment: &[(&str, &str)]) -> (Child, Client) {
    let socket = at.join("s.sock");
    let child = Command::new(env!("CARGO_BIN_EXE_bitsd"))
        .arg(mode)
        .arg("--socket")
        .arg(&socket)
        .arg("--database")
        .arg(at.join("queue.db"))
        .arg("--policy")
        .arg(at.join("policy.toml"))
        .env("XDG_CONFIG_HOME", at.join("config"))
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        .envs(environment.iter().copied())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let endpoint = Endpoint { path: socket, kind: Kind::Given, owner: None };
    let client = Client::new(Async::new(endpoint, None, Timeouts::default())).unwrap();
    wait("the service is there", || client.service_info().ok());
    (child, client)
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    // Long enough for a machine that is busy with other tests: what is timed has an assertion of its own.
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match look() {
            Some(found) => return found,
            None if Instant::now() > end => panic!("not within 60 s: {what}"),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
