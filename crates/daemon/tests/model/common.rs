//! A service of this user, with its own store, and a place for downloads.

use crate::process;
pub(crate) use crate::process::wait;
use openbits_api::{AddFile, CreateJob, FileView, JobView, SetProperties};
use openbits_client::blocking::Client;
use openbits_client::{Action, Client as Async, Error, Timeouts};
use openbits_core::hresult::HResult;
use openbits_core::{JobId, JobState, JobType};
use std::path::PathBuf;
use std::process::Child;
use tempfile::TempDir;

/// Nobody listens there: an attempt fails at once, and is tried again after ten minutes.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1/x";

/// A service in a folder of its own; ends when dropped.
pub(crate) struct Service {
    child: Child,
    folder: TempDir,
    policy: String,
    pub(crate) client: Client,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::with_policy("")
    }

    pub(crate) fn with_policy(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        let (child, client) = spawn(&folder, policy);
        Self { child, folder, policy: policy.to_owned(), client }
    }

    /// Killed without warning, and started again on the same store.
    pub(crate) fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.client) = spawn(&self.folder, &self.policy);
    }

    /// A client of its own, for a test with a runtime.
    pub(crate) fn asynchronous(&self) -> Async {
        Async::new(self.client.endpoint().clone(), None, Timeouts::default())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    /// Where its policy is read.
    pub(crate) fn policy_file(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    pub(crate) fn file(&self, url: &str, name: &str) -> AddFile {
        let local_name = self.path(name).display().to_string();
        AddFile { remote_name: url.to_owned(), local_name, ..AddFile::default() }
    }

    /// A new job with these files, not resumed.
    pub(crate) fn create(&self, files: Vec<AddFile>) -> JobId {
        self.create_with(files, SetProperties::default()).unwrap()
    }

    pub(crate) fn create_with(&self, files: Vec<AddFile>, properties: SetProperties) -> Result<JobId, Error> {
        let request = CreateJob {
            id: None,
            display_name: "job".to_owned(),
            kind: JobType::Download,
            files,
            resume: false,
            properties,
            environment_proxy: None,
            dialect: openbits_core::job::Dialect::Bits,
        };
        self.client.create_job(&request).map(|outcome| outcome.job.id.parse().unwrap())
    }

    pub(crate) fn set(&self, id: JobId, properties: SetProperties) -> Result<HResult, HResult> {
        code(self.client.set_properties(id, &properties))
    }

    pub(crate) fn act(&self, id: JobId, action: Action) -> Result<HResult, HResult> {
        code(self.client.act(id, action))
    }

    pub(crate) fn job(&self, id: JobId) -> JobView {
        self.client.job(id, false, true).unwrap()
    }

    pub(crate) fn files(&self, id: JobId) -> Vec<FileView> {
        self.client.files(id).unwrap()
    }

    /// Waits until the job is in a state.
    pub(crate) fn reaches(&self, id: JobId, state: JobState) -> JobView {
        wait(state.as_str(), || Some(self.job(id)).filter(|job| job.state == state))
    }

    /// Resumes it and waits until all is there.
    pub(crate) fn transfer(&self, id: JobId) -> JobView {
        self.act(id, Action::Resume).unwrap();
        self.reaches(id, JobState::Transferred)
    }
}

fn spawn(folder: &TempDir, policy: &str) -> (Child, Client) {
    std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
    process::spawn(folder.path(), "--user", process::NO_BUS)
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The code that a call answered.
pub(crate) fn code(result: Result<openbits_api::Outcome, Error>) -> Result<HResult, HResult> {
    match result {
        Ok(outcome) => Ok(openbits_api::error::parse_code(&outcome.hresult).unwrap()),
        Err(error) => Err(refusal(error)),
    }
}

/// The code of a refused call.
pub(crate) fn refusal(error: Error) -> HResult {
    match error {
        Error::Problem(problem) => problem.code(),
        other => panic!("{other}"),
    }
}
