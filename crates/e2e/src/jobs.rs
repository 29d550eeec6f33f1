//! Jobs through the socket door.

use crate::door::{Door, Reply};
use openbits_api::{JobPage, JobView, Outcome};
use openbits_core::JobState;
use openbits_testkit::wait_until;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// A job to create.
#[derive(Clone, Debug)]
pub struct NewJob(Value);

impl NewJob {
    /// A FOREGROUND job without files, not started.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(json!({
            "display_name": name, "files": [], "resume": false, "properties": { "priority": "FOREGROUND" }
        }))
    }

    /// One more file.
    #[must_use]
    pub fn file(mut self, url: &str, path: &Path) -> Self {
        let files = self.0["files"].as_array_mut().expect("a list");
        files.push(json!({ "remote_name": url, "local_name": path }));
        self
    }

    /// The digest expected of the file added last.
    #[must_use]
    pub fn sha256(mut self, digest: &str) -> Self {
        let files = self.0["files"].as_array_mut().expect("a list");
        files.last_mut().expect("a file")["sha256"] = json!(digest);
        self
    }

    /// Another key of the file added last.
    #[must_use]
    pub fn file_key(mut self, key: &str, value: impl Into<Value>) -> Self {
        let files = self.0["files"].as_array_mut().expect("a list");
        files.last_mut().expect("a file")[key] = value.into();
        self
    }

    /// `UPLOAD` or `UPLOAD_REPLY`.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        self.0["type"] = json!(kind);
        self
    }

    /// A property.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0["properties"][key] = value.into();
        self
    }

    /// Start it at once.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.0["resume"] = json!(true);
        self
    }

    /// The request's body.
    #[must_use]
    pub fn body(&self) -> &Value {
        &self.0
    }

    /// Creates it; the service's answer.
    ///
    /// # Errors
    /// When no answer came.
    pub fn try_create(&self, door: &Door) -> std::io::Result<Reply> {
        door.ask("POST", "/v1/jobs", Some(&self.0))
    }

    /// Creates it, which must succeed.
    #[must_use]
    pub fn create(&self, door: &Door) -> Job {
        let reply = self.try_create(door).expect("the service answers");
        assert_eq!(reply.status, 201, "{reply}");
        Job { id: reply.json::<Outcome>().job.id, door: door.clone() }
    }
}

/// A job of the service.
#[derive(Clone, Debug)]
pub struct Job {
    /// GUID.
    pub id: String,
    /// The door to it.
    pub door: Door,
}

impl Job {
    /// `/v1/jobs/ID` and what follows.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/v1/jobs/{}{rest}", self.id)
    }

    /// The job with its files; `None` when it has left the queue (or nobody answers).
    #[must_use]
    pub fn view(&self) -> Option<JobView> {
        let reply = self.door.ask("GET", &self.path("?files=true"), None).ok()?;
        reply.is_success().then(|| reply.json())
    }

    /// Its state; a job that has left the queue counts as ACKNOWLEDGED.
    #[must_use]
    pub fn state(&self) -> JobState {
        match self.door.ask("GET", &self.path("?held=true"), None) {
            Ok(reply) if reply.is_success() => reply.json::<JobView>().state,
            Ok(reply) if reply.status == 404 => JobState::Acknowledged,
            other => panic!("state of job {}: {other:?}", self.id),
        }
    }

    /// `resume`, `suspend`, `cancel`, `complete` or `take-ownership`.
    #[must_use]
    pub fn act(&self, action: &str) -> Reply {
        self.try_act(action).unwrap_or_else(|e| panic!("{action}: {e}"))
    }

    /// The same, when the service may be away.
    ///
    /// # Errors
    /// When no answer came.
    pub fn try_act(&self, action: &str) -> std::io::Result<Reply> {
        self.door.ask("POST", &self.path(&format!("/{action}")), None)
    }

    /// The same, which must succeed.
    pub fn must(&self, action: &str) {
        let reply = self.act(action);
        assert!(reply.is_success(), "{action} of {}: {reply}", self.id);
    }

    /// Waits until it is in one of these states, which must come, and says in which.
    pub fn wait(&self, states: &[JobState], within: Duration) -> JobState {
        let start = Instant::now();
        let mut last = self.state();
        let _ = wait_until(within, || {
            last = self.state();
            states.contains(&last)
        });
        assert!(
            states.contains(&last),
            "job {} is {last:?} after {:?}, not {states:?}: {:#?}",
            self.id,
            start.elapsed(),
            self.view()
        );
        last
    }

    /// Waits until it has received so many bytes.
    pub fn wait_bytes(&self, bytes: u64, within: Duration) {
        let enough = || self.view().is_some_and(|v| v.bytes_transferred >= bytes);
        assert!(wait_until(within, enough), "no {bytes} bytes: {:#?}", self.view());
    }
}

impl Door {
    /// All jobs of the caller, or with `all_users=true` in the query of everybody.
    #[must_use]
    pub fn jobs(&self, query: &str) -> Vec<JobView> {
        let mut jobs = Vec::new();
        let mut after = String::new();
        loop {
            let page: JobPage = self.get(&format!("/v1/jobs?files=true{query}{after}"));
            jobs.extend(page.jobs);
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => return jobs,
            }
        }
    }
}
