//! What the queue writes into the log and the jobs' histories (spec/behaviour.md 27, spec/bits-core.md 8.6).

use super::{Call, Effect, Notice, NoticeKind, ProgramEnd, Queue};
use crate::caller::Caller;
use crate::enums::JobState;
use crate::events_log::{Record, redacted};
use crate::gate::Gate;
use crate::group::GroupCall;
use crate::hresult as h;
use crate::id::{AttemptId, JobId};
use crate::job::options::Setting;
use crate::job::property::Property;
use crate::job::{ErrorRecord, Job, NewFile};

/// Files of one call that have an event each.
const FILES_LOGGED: usize = 100;

impl Queue {
    pub(super) fn log_all(&mut self, records: Vec<Record>) {
        self.effects.extend(records.into_iter().map(|record| Effect::Log(Box::new(record))));
    }

    fn log(&mut self, record: Record) {
        self.effects.push(Effect::Log(Box::new(record)));
    }

    fn log_of(&mut self, number: u16, id: JobId, fill: impl FnOnce(Record, &Job) -> Record) {
        if let Some(job) = self.jobs.get(&id) {
            let record = fill(Record::of_job(number, job), job);
            self.log(record);
        }
    }

    /// What a call will have done when it succeeds.
    pub(super) fn records_of(&mut self, caller: Caller, id: JobId, call: &Call) -> Vec<Record> {
        let Some(job) = self.jobs.get(&id) else { return Vec::new() };
        let user = caller.uid;
        let foreign = user != job.owner;
        let mut records = Vec::new();
        match call {
            Call::Resume => {
                let moves =
                    matches!(job.state, JobState::Suspended | JobState::Error | JobState::TransientError);
                records.extend(moves.then(|| Record::of_job(1, job)));
            }
            Call::Suspend => {
                let moves = matches!(job.state, JobState::Queued | JobState::TransientError)
                    || job.state.is_running();
                records.extend(moves.then(|| Record::of_job(2, job)));
            }
            Call::Cancel => {
                records.push(Record::of_job(5, job).with("User", user));
                records.extend(foreign.then(|| Record::of_job(16_384, job).with("User", user)));
            }
            Call::Complete => drop(self.completers.insert(id, user)),
            Call::TakeOwnership => {
                records.extend(foreign.then(|| Record::of_job(16_388, job).with("User", user)));
            }
            Call::AddFiles(files) => records.extend(added(job, files)),
            Call::Set(properties) => {
                for property in properties {
                    if let Some(program) = program_of(property) {
                        records.push(Record::of_job(6, job).with("Pgm", program).with("User", user));
                    }
                    if matches!(property, Property::Option(Setting::HighPerformance(_))) {
                        records.push(Record::of_job(209, job));
                    }
                    if foreign {
                        records.push(Record::of_job(16_387, job).with("PropertyName", property.name()));
                    }
                }
            }
            Call::Group(GroupCall::SetProperty(number, _)) if foreign => {
                let name = format!("GROUPPROP {number}");
                records.push(Record::of_job(16_387, job).with("PropertyName", name));
            }
            // Secrets leave no traces, and reading a file while it grows would leave too many.
            _ => {}
        }
        records
    }

    /// Events that go with a notice.
    pub(super) fn record_notice(&mut self, notice: &Notice) {
        match notice.kind {
            NoticeKind::Created => {
                let Some(job) = self.jobs.get(&notice.job) else { return };
                let mut records = vec![Record::of_job(3, job)];
                let files = job.files.iter().take(FILES_LOGGED);
                records.extend(files.map(|f| {
                    Record::of_job(16_403, job).with("remote", redacted(&f.remote)).with("local", &f.local)
                }));
                if let Some(command) = job.notify_command.as_deref() {
                    let set = Record::of_job(6, job).with("Pgm", &command.program);
                    records.push(set.with("User", job.owner));
                }
                if job.state != JobState::Suspended {
                    records.push(Record::of_job(1, job));
                }
                self.log_all(records);
            }
            NoticeKind::Error => self.log_of(211, notice.job, |record, job| match job.error.as_deref() {
                Some(error) => {
                    let message =
                        if error.detail.is_empty() { error.code.text() } else { error.detail.to_string() };
                    record.with("ErrorCode", error.code).with("Message", message)
                }
                None => record,
            }),
            _ => {}
        }
    }

    pub(super) fn record_scavenged(&mut self, id: JobId) {
        let days = self.limits.job_inactivity_s / 86_400;
        self.log_of(16_389, id, |record, _| record.with("DayCount", days));
    }

    pub(super) fn record_blocked(&mut self, id: JobId, gate: Gate) {
        match gate {
            Gate::Cost | Gate::Cellular => self.log_of(34, id, |record, _| record),
            gate => self.log_of(213, id, |record, _| record.with("BlockReasonErrorCode", gate.code())),
        }
    }

    pub(super) fn record_completed(&mut self, id: JobId) {
        let user = self.completers.remove(&id);
        self.log_of(4, id, |record, job| {
            let record = record.with("User", user.unwrap_or(job.owner));
            record.with("bytesTransferred", job.progress().bytes_transferred).with(
                "bytesTransferredFromPeer",
                job.files.iter().map(|f| f.peer_download_stats().1).sum::<u64>(),
            )
        });
    }

    pub(super) fn record_started(&mut self, id: JobId, attempt: AttemptId, file: u32) {
        let peer = self.peer(id).unwrap_or_default().to_owned();
        self.log_of(59, id, |record, job| of_file(record, job, attempt, file).with("peer", peer));
    }

    pub(super) fn record_transferred(&mut self, id: JobId, attempt: AttemptId, file: u32) {
        let peer = self.peer(id).unwrap_or_default().to_owned();
        self.log_of(60, id, |record, job| {
            of_file(record, job, attempt, file).with("peer", peer).with("hr", h::S_OK)
        });
    }

    pub(super) fn record_failed(&mut self, id: JobId, attempt: AttemptId, error: &ErrorRecord) {
        let peer = self.peer(id).unwrap_or_default().to_owned();
        let number = match error.code {
            h::BG_E_INSUFFICIENT_HTTP_SUPPORT | h::BG_E_INSUFFICIENT_RANGE_SUPPORT => Some(202),
            _ => None,
        };
        self.log_of(61, id, |record, job| {
            let record = match error.file {
                Some(file) => of_file(record, job, attempt, file),
                None => record.with("transferId", attempt.0),
            };
            record.with("peer", peer).with("hr", error.code)
        });
        if let Some(number) = number {
            self.log_of(number, id, |record, job| {
                let url = error.file.and_then(|n| job.files.get(n as usize)).map(|f| redacted(&f.remote));
                record.with("url", url.unwrap_or_default()).with("xferId", attempt.0).with("hr", error.code)
            });
        }
    }

    /// A worker has something to say of its present attempt at the job. What it says of another is not true any more.
    pub fn on_note(&mut self, id: JobId, attempt: AttemptId, record: Record) {
        if self.is_current(id, attempt) {
            self.log(record);
        }
    }

    /// The program failed, or could not be started.
    pub(super) fn record_program(&mut self, id: JobId, end: &ProgramEnd) {
        let (number, result) = match end {
            ProgramEnd::Exit(0) => return,
            ProgramEnd::Exit(code) => (63, format!("0x{code:08X}")),
            ProgramEnd::Signal(signal) => (63, format!("signal {signal}")),
            ProgramEnd::TimedOut => (63, "it ran for too long".to_owned()),
            ProgramEnd::NotStarted(why) => (64, why.clone()),
        };
        self.log_of(number, id, |record, job| {
            let program = job.notify_command.as_deref().map_or("", |command| command.program.as_str());
            let url = job.files.first().map(|file| redacted(&file.remote)).unwrap_or_default();
            record.with("Url", url).with("Pgm", program).with("hr", result)
        });
    }

    pub(super) fn record_notice_failed(&mut self, id: JobId, delay_s: u32) {
        self.log_of(16_390, id, |record, _| record.with("RetryWaitTime", delay_s.div_ceil(60)));
    }
}

fn of_file(record: Record, job: &Job, attempt: AttemptId, file: u32) -> Record {
    let record = record.with("transferId", attempt.0);
    let Some(file) = job.files.get(file as usize) else { return record };
    let length = file.size.map_or_else(|| "unknown".to_owned(), |size| size.to_string());
    let time = file.last_modified.as_deref().unwrap_or_default();
    let record =
        record.with("url", redacted(&file.remote)).with("fileTime", time).with("fileLength", &length);
    let record = record.with("bytesTotal", length).with("bytesTransferred", file.bytes_transferred());
    record.with("bytesTransferredFromPeer", file.peer_download_stats().1)
}

fn added(job: &Job, files: &[NewFile]) -> Vec<Record> {
    let record =
        |f: &NewFile| Record::of_job(16_403, job).with("remote", redacted(&f.remote)).with("local", &f.local);
    files.iter().take(FILES_LOGGED).map(record).collect()
}

fn program_of(property: &Property) -> Option<&str> {
    match property {
        Property::NotifyCommand { program, .. } => program.as_deref(),
        Property::NotifyArguments(words) => words.first().map(String::as_str),
        _ => None,
    }
}
