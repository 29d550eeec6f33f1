//! What workers report, and what happens to workers.

use super::Brain;
use super::checks::Presented;
use crate::order;
use crate::workers::{WorkerMessage, WorkerNews};
use openbits_core::events_log::Record;
use openbits_core::hresult as h;
use openbits_core::job::ErrorRecord;
use openbits_core::job::api::FinishResult;
use openbits_core::secret::list_without_logins;
use openbits_core::{AttemptId, ErrorContext, JobId, Mono, Now, Uid};
use openbits_transfer::protocol::{Command, Event, Note};

/// A worker has to end an attempt within this time, in milliseconds.
const STOP_MS: i64 = 30_000;
/// A worker has to rename and remove a job's files within this time, in milliseconds.
const FINISH_MS: i64 = 120_000;

impl Brain {
    pub(super) fn command(&mut self, owner: Uid, command: Command) {
        if let Err(error) = self.workers.send(owner, command, self.clock.now().mono) {
            tracing::error!(owner = owner.0, %error, "no worker for this owner");
            self.no_worker(owner, &error.to_string());
        }
    }

    /// No worker can be had for the owner. It may pass (a directory service that does not answer, no descriptors left), so attempts are
    /// retried until their no-progress time is over.
    fn no_worker(&mut self, owner: Uid, why: &str) {
        let now = self.clock.now();
        self.fail_probes(Some(owner), why);
        let mut error =
            ErrorRecord::new(h::ERROR_ACCOUNT_DISABLED, ErrorContext::GeneralQueueManager, now.wall);
        error.detail = why.into();
        self.queue.on_no_worker(owner, &error, now);
    }

    pub(super) fn on_worker(&mut self, message: WorkerMessage) {
        let now = self.clock.now();
        if !self.workers.is_current(message.owner, message.generation) {
            return;
        }
        self.workers.heard_from(message.owner);
        match message.news {
            WorkerNews::Event(event) => {
                // A worker parses what strangers send. Whatever it says, it can only speak of its own owner's jobs.
                if let Err(what) = openbits_transfer::protocol::check(&event) {
                    tracing::error!(
                        owner = message.owner.0,
                        what,
                        "a worker reported nonsense and is replaced"
                    );
                    self.workers.kill(message.owner, now.mono);
                    self.fail_probes(Some(message.owner), "the worker was replaced; try again");
                    self.queue.on_worker_lost(message.owner, now);
                } else if self.may_speak(message.owner, &event) {
                    self.on_event(message.owner, event, now);
                } else {
                    tracing::error!(owner = message.owner.0, "a worker spoke of a job that it does not have");
                }
            }
            WorkerNews::Impossible(why) => {
                tracing::error!(owner = message.owner.0, why, "no worker can be started for this owner");
                self.workers.forget(message.owner, now.mono);
                self.no_worker(message.owner, &why);
            }
            WorkerNews::Lost(why) => {
                let expected = self.workers.forget(message.owner, now.mono);
                if !expected {
                    tracing::warn!(
                        owner = message.owner.0,
                        why,
                        "a worker is gone; its jobs go on in a new one"
                    );
                }
                self.repeat_probes(message.owner, "the worker was lost twice; try again");
                self.queue.on_worker_lost(message.owner, now);
            }
        }
    }

    fn may_speak(&self, owner: Uid, event: &Event) -> bool {
        let job = match event {
            Event::Connected { job, .. }
            | Event::Progress { job, .. }
            | Event::Pace { job, .. }
            | Event::Note { job, .. }
            | Event::Written { job, .. }
            | Event::Checkpoint { job, .. }
            | Event::Headers { job, .. }
            | Event::Upload { job, .. }
            | Event::Restarted { job, .. }
            | Event::Redirected { job, .. }
            | Event::CertificatePresented { job, .. }
            | Event::Done { job, .. }
            | Event::Failed { job, .. }
            | Event::Stopped { job, .. }
            | Event::FinishDone { job, .. } => *job,
            Event::Probed { ticket, .. } | Event::CertificateFound { ticket, .. } => {
                return self.probes.owner(*ticket).is_none_or(|asked| asked == owner);
            }
            Event::Pong { .. } | Event::Moved { .. } => return true,
        };
        // A late word about a job that nobody has any more is harmless, and ignored further on.
        self.queue.worker_of(job).is_none_or(|holder| holder == owner)
    }

    fn on_event(&mut self, owner: Uid, event: Event, now: Now) {
        match event {
            Event::Connected { job, attempt, file, size, peer } => {
                self.queue.on_connected(job, attempt, file, size, &peer, now);
            }
            Event::Progress { job, attempt, file, bytes } => {
                self.queue.on_progress(job, attempt, file, bytes, now);
            }
            Event::Pace { job, attempt, pace } => {
                self.queue.on_pace(job, attempt, order::pace(pace, now.mono), now);
            }
            Event::Note { job, attempt, url, note } => self.on_note(job, attempt, &url, &note),
            Event::Written { job, attempt, file, ranges } => {
                self.queue.on_written(job, attempt, file, ranges, now);
            }
            Event::Checkpoint { job, attempt, files } => {
                self.queue.on_checkpoint(job, attempt, files.into_iter().map(order::report).collect(), now);
            }
            Event::Headers { job, attempt, file, text } => self.queue.on_headers(job, attempt, file, &text),
            Event::Restarted { job, attempt, file, reason } => {
                tracing::info!(%job, file, reason, "a file begins again");
                self.queue.on_restarted(job, attempt, file, now);
            }
            Event::Redirected { job, attempt, file, remote } => {
                self.queue.on_redirected(job, attempt, file, &remote, now);
            }
            Event::CertificatePresented { job, attempt, check, file, server, chain } => {
                self.on_presented(Presented { job, attempt, check, file, server, chain }, now);
            }
            Event::CertificateFound { ticket, result } => self.on_certificate(ticket, result),
            Event::Done { job, attempt } => self.queue.on_done(job, attempt, now),
            Event::Failed { job, attempt, failure } => {
                tracing::info!(%job, code = %failure.code, status = failure.http_status, detail = failure.detail, "attempt failed");
                let (record, retry) = order::failure(*failure, now.wall, self.settings.full_is_transient());
                self.queue.on_failed(job, attempt, record, retry, now);
            }
            Event::Stopped { job, attempt } => self.queue.on_stopped(job, attempt, now),
            Event::Upload { job, attempt, state, keep } => {
                self.queue.on_upload(job, attempt, *state, keep, now);
            }
            Event::Probed { ticket, result, content, id } => self.on_probed(ticket, result, content, id),
            Event::FinishDone { ticket, renamed, error, lost, left, job, upload_left } => {
                let gone = self.queue.held_job(openbits_core::Caller::root(), job);
                if let (false, Ok(gone)) = (left.is_empty(), gone) {
                    let record = Record::of_job(16_385, gone).with("FileList", left.join(" "));
                    self.log(&record);
                }
                let code = error.as_ref().map(|(_, code, _)| *code);
                let left_behind = !left.is_empty();
                let result = FinishResult { renamed, lost, error: code, left_behind, upload_left };
                self.queue.on_finish_done(job, ticket, &result, error, now);
            }
            Event::Moved { bytes, delivery, ms } => self.sharing.moved(owner, bytes, delivery, ms),
            Event::Pong { .. } => {}
        }
    }

    /// Events 200, 201, 203 and 204 (spec/behaviour.md 27).
    fn on_note(&mut self, job: JobId, attempt: AttemptId, url: &str, note: &Note) {
        let Some(named) = self.queue.get(job) else { return };
        let record = Record::of_job(note.event(), named).with("url", url);
        let settings = named.proxy.as_deref();
        let list =
            || settings.and_then(|proxy| proxy.list.as_deref()).map(list_without_logins).unwrap_or_default();
        let record = match note {
            Note::Credentials { server, scheme, user, .. } => {
                record.with("server", server).with("scheme", scheme).with("user", user)
            }
            Note::ProxyFailed { proxy, code, all: false } => record
                .with("hr", code)
                .with("proxy", proxy)
                .with("xferId", attempt.0)
                .with("proxyServerList", list()),
            Note::ProxyFailed { code, all: true, .. } => {
                let bypass = settings.and_then(|proxy| proxy.bypass.as_deref()).unwrap_or_default();
                let record = record.with("transferId", attempt.0).with("proxyServerList", list());
                record.with("proxyBypassList", bypass).with("error", code)
            }
        };
        self.queue.on_note(job, attempt, record);
    }

    /// A stop and a last step have to end in time: a worker that hangs on a dead file system, or does not want to, would hold a slot
    /// of everybody.
    pub(super) fn note_deadline(&mut self, owner: Uid, command: &Command) {
        let now = self.clock.now().mono;
        match command {
            Command::Stop { job, .. } => drop(self.due.insert(*job, (owner, now.plus_ms(STOP_MS)))),
            Command::Finish(finish) => drop(self.due.insert(finish.job, (owner, now.plus_ms(FINISH_MS)))),
            Command::Start(order) => drop(self.due.remove(&order.job)),
            _ => {}
        }
    }

    pub(super) fn due_deadline(&self) -> Option<Mono> {
        let probes = self.probes.oldest().map(|(at, _)| at);
        self.due.values().map(|(_, at)| *at).chain(probes).min().filter(|_| self.workers.can_kill())
    }

    /// Kills the workers that did not end in time what they were told to end.
    fn enforce_deadlines(&mut self, now: Now) {
        if self.due_deadline().is_none_or(|at| at > now.mono) {
            return;
        }
        let queue = &self.queue;
        let mut late: Vec<Uid> = Vec::new();
        self.due.retain(|job, (owner, at)| {
            let open = queue.worker_of(*job) == Some(*owner);
            if open && *at <= now.mono {
                late.push(*owner);
            }
            open && *at > now.mono
        });
        late.extend(self.probes.oldest().filter(|(at, _)| *at <= now.mono).map(|(_, owner)| owner));
        late.sort_unstable();
        late.dedup();
        for owner in late {
            tracing::warn!(owner = owner.0, "a worker did not end its work in time and is replaced");
            self.workers.kill(owner, now.mono);
            self.fail_probes(
                Some(owner),
                "the worker hung and was replaced; is the destination on a dead file system?",
            );
            self.queue.on_worker_lost(owner, now);
        }
    }

    /// Pings busy workers, replaces silent ones, lets idle ones go.
    pub(super) fn check_workers(&mut self, now: Now) {
        self.enforce_deadlines(now);
        if self.workers.deadline().is_none_or(|at| at > now.mono) {
            return;
        }
        let (queue, probes) = (&self.queue, &self.probes);
        for owner in self.workers.check(now.mono, |owner| queue.owner_is_busy(owner) || probes.any_of(owner))
        {
            self.repeat_probes(owner, "the worker hung twice and was replaced; try again");
            self.queue.on_worker_lost(owner, now);
        }
    }
}
