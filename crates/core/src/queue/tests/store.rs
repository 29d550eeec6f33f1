//! A model of the durable store: what the service keeps of a job, in the form in which it keeps it.

use crate::enums::{JobState, Priority};
use crate::id::{JobId, Uid};
use crate::job::{File, Job};
use std::collections::BTreeMap;

/// One job: columns, JSON document, one row for each file.
#[derive(Clone, Debug)]
struct Row {
    owner: Uid,
    state: JobState,
    priority: Priority,
    display_name: Box<str>,
    document: String,
    files: BTreeMap<u32, (Box<str>, Box<str>, String)>,
}

/// What is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    rows: BTreeMap<JobId, Row>,
    /// The same for cheap comparison.
    twins: BTreeMap<JobId, Job>,
}

impl Store {
    /// The job without its files.
    pub(super) fn save(&mut self, job: &Job) {
        let files = self.rows.remove(&job.id).map(|row| row.files).unwrap_or_default();
        let row = Row {
            owner: job.owner,
            state: job.state,
            priority: job.priority,
            display_name: job.display_name.clone(),
            document: serde_json::to_string(job).expect("serialises"),
            files,
        };
        self.rows.insert(job.id, row);
        let files = self.twins.remove(&job.id).map(|twin| twin.files).unwrap_or_default();
        self.twins.insert(job.id, Job { files, ..job.clone() });
    }

    /// One file of a job that was saved before.
    pub(super) fn save_file(&mut self, job: &Job, index: u32) {
        let file = &job.files[index as usize];
        let row = self.rows.get_mut(&job.id).expect("the job's row comes first");
        let text = serde_json::to_string(file).expect("serialises");
        row.files.insert(index, (file.remote.clone(), file.local.clone(), text));
        let twin = self.twins.get_mut(&job.id).expect("twin of the row");
        match twin.files.get_mut(index as usize) {
            Some(old) => *old = file.clone(),
            None => {
                assert_eq!(twin.files.len(), index as usize, "files are saved in their order");
                twin.files.push(file.clone());
            }
        }
    }

    pub(super) fn delete(&mut self, id: JobId) {
        assert!(self.rows.remove(&id).is_some(), "only what was saved is deleted");
        self.twins.remove(&id);
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Job> {
        self.twins.get(&id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = JobId> {
        self.rows.keys().copied()
    }

    /// Every job as it is read at the start of the service.
    pub(super) fn load(&self) -> Vec<Job> {
        self.rows.iter().map(|(id, row)| Self::read(*id, row)).collect()
    }

    fn read(id: JobId, row: &Row) -> Job {
        let mut job: Job = serde_json::from_str(&row.document).expect("reads what was written");
        job.id = id;
        job.owner = row.owner;
        job.state = row.state;
        job.priority = row.priority;
        job.display_name = row.display_name.clone();
        job.files = row
            .files
            .values()
            .map(|(remote, local, text)| {
                let file: File = serde_json::from_str(text).expect("reads what was written");
                File { remote: remote.clone(), local: local.clone(), ..file }
            })
            .collect();
        job
    }
}

/// The part of a job that has to be durable whenever somebody is told of it.
///
/// Turns, byte counts and the times that follow them may be newer in memory: after a crash the job is QUEUED and tries again.
pub(super) fn durable_part(job: &Job) -> Job {
    let mut job = job.clone();
    if job.state.is_running() {
        job.state = JobState::Queued;
    }
    job.active_since = None;
    job.active_ms = 0;
    job.modified = job.created;
    job.last_activity = crate::time::Mono(0);
    job.no_progress_since = None;
    for file in &mut job.files {
        file.ahead = 0;
        file.headers = None;
        (file.written, file.told) = Default::default();
        if !file.transferred {
            file.size = None;
        }
    }
    job
}
