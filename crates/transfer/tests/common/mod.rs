//! A worker and the part of the service that it needs: orders, stored checkpoints, attempts.
#![allow(dead_code, clippy::unwrap_used, clippy::type_complexity)] // each test program uses its part

use openbits_core::{AttemptId, JobId, Priority, Ticket};
use openbits_testkit::Content;
use openbits_transfer::protocol::{
    Command, Event, Failure, FileCheckpoint, FileOrder, Finish, Order, Rename, TransferOptions,
};
use openbits_transfer::worker::{self, Handle};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Options that keep tests quick.
pub(crate) fn options() -> TransferOptions {
    TransferOptions {
        connect_timeout_ms: 3_000,
        idle_timeout_ms: 1_500,
        checkpoint_ms: 200,
        min_free_bytes: 0,
        ..TransferOptions::default()
    }
}

/// What the service stores of a file.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) order: FileOrder,
    pub modified_s: Option<i64>,
    pub(crate) finished: bool,
}

/// A job as the service keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) attempt: u64,
    pub(crate) files: Vec<Stored>,
    pub(crate) options: TransferOptions,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Done,
    Failed(Box<Failure>),
    Stopped,
}

/// Everything an attempt said.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) end: End,
    pub(crate) events: Vec<Event>,
}

impl Run {
    pub(crate) fn restarts(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Restarted { .. })).count()
    }

    pub(crate) fn failure(&self) -> &Failure {
        match &self.end {
            End::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }
}

/// A worker in its own thread, and a folder for its files.
pub(crate) struct Bench {
    pub(crate) worker: Handle,
    pub(crate) dir: tempfile::TempDir,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Bench {
    pub(crate) fn new() -> Self {
        Self { worker: worker::spawn().unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A job with one file for each (URL, name).
    pub(crate) fn job(&self, files: &[(&str, &str)]) -> Job {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let files = files
            .iter()
            .enumerate()
            .map(|(index, (remote, local))| Stored {
                order: FileOrder::new(
                    u32::try_from(index).unwrap(),
                    remote,
                    self.path(local).to_str().unwrap(),
                    &format!("BIT{number:x}-{index}.tmp"),
                ),
                modified_s: None,
                finished: false,
            })
            .collect();
        Job { id: JobId::from_random_bytes(bytes), attempt: 0, files, options: options() }
    }

    pub(crate) fn send(&self, command: Command) {
        self.worker.commands.blocking_send(command).unwrap();
    }

    pub(crate) fn event(&mut self) -> Event {
        self.worker.events.blocking_recv().expect("the worker lives")
    }

    pub(crate) fn start(&self, job: &mut Job) {
        job.attempt += 1;
        self.send(Command::Start(Box::new(job.order())));
    }

    /// One attempt to its end; `stop` may ask for the end after looking at an event.
    pub(crate) fn attempt_until(&mut self, job: &mut Job, mut stop: impl FnMut(&Event, &Job) -> bool) -> Run {
        self.start(job);
        let mut events = Vec::new();
        let mut asked = false;
        loop {
            let event = self.event();
            assert_eq!(job_of(&event), Some(job.id), "{event:?}");
            job.note(&event);
            events.push(event.clone());
            match event {
                Event::Done { .. } if !asked => return Run { end: End::Done, events },
                Event::Failed { failure, .. } if !asked => return Run { end: End::Failed(failure), events },
                Event::Stopped { .. } => return Run { end: End::Stopped, events },
                event => {
                    if !asked && stop(&event, job) {
                        asked = true;
                        self.send(Command::Stop { job: job.id, attempt: AttemptId(job.attempt) });
                    }
                }
            }
        }
    }

    pub(crate) fn attempt(&mut self, job: &mut Job) -> Run {
        self.attempt_until(job, |_, _| false)
    }

    /// Complete: the finished files are renamed, the others removed.
    pub(crate) fn finish(&mut self, job: &Job) -> (Vec<u32>, Option<(u32, u32, String)>, Vec<String>) {
        let (renamed, error, left, _) = self.finish_and_lost(job);
        (renamed, error, left)
    }

    /// The same, and the files whose data is gone.
    pub(crate) fn finish_and_lost(
        &mut self,
        job: &Job,
    ) -> (Vec<u32>, Option<(u32, u32, String)>, Vec<String>, Vec<u32>) {
        self.send(Command::Finish(Box::new(job.finish())));
        match self.event() {
            Event::FinishDone { renamed, error, lost, left, .. } => {
                (renamed, error.map(|(index, code, text)| (index, code.bits(), text)), left, lost)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Names in the folder that look like temporary files.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("BIT"))
            .collect()
    }
}

impl Job {
    pub(crate) fn order(&self) -> Order {
        Order {
            job: self.id,
            attempt: AttemptId(self.attempt),
            priority: Priority::Foreground,
            files: self.files.iter().filter(|file| !file.finished).map(|file| file.order.clone()).collect(),
            upload: None,
            options: self.options.clone(),
        }
    }

    /// Stores what a checkpoint says, as the service does.
    pub(crate) fn note(&mut self, event: &Event) {
        let Event::Checkpoint { files, .. } = event else { return };
        for FileCheckpoint { file, size, remote_size, done, validator, modified_s, finished, no_ranges: _ } in
            files
        {
            let stored = &mut self.files[*file as usize];
            assert!(!stored.finished, "a finished file is never touched again");
            stored.order.size = *size;
            stored.order.remote_size = *remote_size;
            stored.order.done = done.clone();
            stored.order.validator = validator.clone();
            stored.modified_s = *modified_s;
            stored.finished = *finished;
        }
    }

    pub(crate) fn finish(&self) -> Finish {
        let (done, rest): (Vec<_>, Vec<_>) = self.files.iter().partition(|file| file.finished);
        Finish {
            job: self.id,
            ticket: Ticket(7),
            rename: done
                .into_iter()
                .map(|file| Rename {
                    index: file.order.index,
                    local: file.order.local.clone(),
                    temp: file.order.temp.clone(),
                    size: file.order.size.unwrap(),
                    truncate: false,
                    validator: file.order.validator.clone(),
                    modified_s: file.modified_s,
                })
                .collect(),
            cancel: None,
            made: None,
            remove: rest
                .into_iter()
                .map(|file| (file.order.local.clone(), file.order.temp.clone()))
                .collect(),
        }
    }

    pub(crate) fn temp(&self, index: usize) -> PathBuf {
        let order = &self.files[index].order;
        Path::new(&order.local).parent().unwrap().join(&order.temp)
    }

    pub(crate) fn local(&self, index: usize) -> PathBuf {
        PathBuf::from(&self.files[index].order.local)
    }
}

pub(crate) fn job_of(event: &Event) -> Option<JobId> {
    match event {
        Event::Connected { job, .. }
        | Event::Progress { job, .. }
        | Event::Written { job, .. }
        | Event::Checkpoint { job, .. }
        | Event::Headers { job, .. }
        | Event::Restarted { job, .. }
        | Event::Pace { job, .. }
        | Event::Note { job, .. }
        | Event::Done { job, .. }
        | Event::Failed { job, .. }
        | Event::Stopped { job, .. } => Some(*job),
        _ => None,
    }
}

/// The file holds exactly this content.
pub(crate) fn assert_content(path: &Path, content: &Content) {
    let got = std::fs::read(path).unwrap();
    assert_eq!(got.len() as u64, content.size(), "{}", path.display());
    assert_eq!(content.first_difference(0, &got), None, "{}", path.display());
}

/// Waits for something that happens soon.
pub(crate) fn soon(what: &str, mut check: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !check() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
