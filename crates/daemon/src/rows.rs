//! Jobs and files as rows of the store, and back.

use openbits_core::job::File;
use openbits_core::{Job, JobId, JobState, Priority, Uid};
use openbits_store::{FileRow, JobRow, Loaded};

/// Row of a job, without its files.
pub fn job_row(job: &Job) -> JobRow {
    JobRow {
        id: *job.id.as_bytes(),
        owner: job.owner.0,
        state: job.state.value(),
        priority: job.priority.value(),
        name: job.display_name.to_string(),
        doc: serde_json::to_string(job).expect("a job has a JSON form"),
    }
}

/// Row of one file of a job.
pub fn file_row(job: &Job, index: u32) -> Option<FileRow> {
    let file = job.files.get(index as usize)?;
    Some(FileRow {
        job: *job.id.as_bytes(),
        index,
        remote: file.remote.to_string(),
        local: file.local.to_string(),
        doc: serde_json::to_string(file).expect("a file has a JSON form"),
    })
}

/// Jobs of the rows, and a line for each row that makes no sense. Such a row stays in the store.
pub fn jobs(loaded: Loaded) -> (Vec<Job>, Vec<String>) {
    let mut complaints = Vec::new();
    let mut files = loaded.files.into_iter().peekable();
    let mut jobs = Vec::with_capacity(loaded.jobs.len());
    for row in loaded.jobs {
        let own = std::iter::from_fn(|| files.next_if(|f| f.job == row.id));
        match job(&row, own) {
            Ok(job) => jobs.push(job),
            Err(error) => complaints.push(format!("job {}: {error}", JobId::from_bytes(row.id))),
        }
    }
    (jobs, complaints)
}

fn job(row: &JobRow, files: impl Iterator<Item = FileRow>) -> Result<Job, String> {
    // The files are taken in any case, so that the next job finds its own.
    let files: Vec<FileRow> = files.collect();
    let mut job: Job = serde_json::from_str(&row.doc).map_err(|e| e.to_string())?;
    job.id = JobId::from_bytes(row.id);
    job.owner = Uid(row.owner);
    job.state = JobState::from_value(row.state.into()).ok_or("unknown state")?;
    job.priority = Priority::from_value(row.priority.into()).ok_or("unknown priority")?;
    job.display_name = row.name.as_str().into();
    job.files.reserve_exact(files.len());
    for (expected, row) in (0u32..).zip(files) {
        if row.index != expected {
            return Err(format!("file {expected} is missing"));
        }
        let mut file: File = serde_json::from_str(&row.doc).map_err(|e| format!("file {expected}: {e}"))?;
        file.remote = row.remote.into();
        file.local = row.local.into();
        job.files.push(file);
    }
    Ok(job)
}
