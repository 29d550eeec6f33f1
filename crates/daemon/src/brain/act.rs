//! From effects of the queue to rows of the store and actions in the world.

use super::ask::Answer;
use super::{Brain, EVENTS_KEPT, LOG_KEPT};
use crate::hub::Published;
use crate::{order, rows, views};
use openbits_api::{EventKind, EventView, JobView};
use openbits_core::events_log::Record;
use openbits_core::queue::{Callback, Effect, Failure, Program};
use openbits_core::{HResult, JobId, Uid};
use openbits_store::{EventRow, Op};
use openbits_transfer::protocol::Command;
use std::sync::Arc;

/// Something to do once the batch before it is durable.
pub enum Action {
    /// A command to the worker of an owner.
    Worker(Uid, Command),
    /// An event to the listeners.
    Publish(Published),
    /// A call to a client's callback.
    Callback(Box<Callback>),
    /// A notification program.
    Run(Box<Program>),
    /// An event for the journal.
    Log(Box<Record>),
    /// An answer to a call.
    Answer(Answer, Box<Result<(HResult, JobView), Failure>>),
    /// An answer to a question: already made, and delivered now.
    Deliver(Box<dyn FnOnce() + Send>),
}

impl Brain {
    pub(super) fn translate(&mut self, effect: Effect, operations: &mut Vec<Op>, actions: &mut Vec<Action>) {
        match effect {
            Effect::Save(id) => {
                let row = self.queue.get(id).map(rows::job_row);
                operations.extend(row.map(Op::PutJob));
            }
            Effect::SaveFile(id, index) => {
                let row = self.queue.get(id).and_then(|job| rows::file_row(job, index));
                operations.extend(row.map(Op::PutFile));
            }
            Effect::Delete(id) => {
                self.untrimmed_logs.remove(&id);
                self.checks.forget(id);
                operations.push(Op::DeleteJob(*id.as_bytes()));
            }
            Effect::Start { job, attempt, owner } => {
                let Some(job) = self.queue.get(job) else { return };
                match order::order(job, attempt, &self.settings, &self.vault) {
                    Ok(order) => actions.push(Action::Worker(owner, Command::Start(Box::new(order)))),
                    Err(lost) => {
                        tracing::warn!(job = %job.id, %lost, "a job needs its credentials anew");
                        let (id, now) = (job.id, self.clock.now());
                        self.queue.on_failed(id, attempt, lost.record(now.wall), None, now);
                    }
                }
            }
            Effect::Stop { job, attempt, owner } => {
                actions.push(Action::Worker(owner, Command::Stop { job, attempt }));
            }
            Effect::Want { job, attempt, owner, file } => {
                if let Some(job) = self.queue.get(job)
                    && let Ok(slot) = job.file(file)
                {
                    let wanted = order::wanted(job, slot, &self.settings);
                    actions.push(Action::Worker(owner, Command::Want { job: job.id, attempt, file, wanted }));
                }
            }
            Effect::Finish { job, ticket, plan, owner, replay } => {
                if let Some(job) = self.queue.get(job) {
                    if replay {
                        tracing::info!(job = %job.id, "the last step of a job is repeated");
                    }
                    let finish = order::finish(job, ticket, &plan, &self.settings, &self.vault);
                    actions.push(Action::Worker(owner, Command::Finish(Box::new(finish))));
                }
            }
            Effect::Kept { job, attempt, owner } => {
                actions.push(Action::Worker(owner, Command::Kept { job, attempt }));
            }
            Effect::Answer(ticket, result) => {
                if let Some(answer) = self.waiting.remove(&ticket) {
                    let result = self.with_view(&answer, result);
                    actions.push(Action::Answer(answer, Box::new(result)));
                }
            }
            Effect::Callback(callback) => actions.push(Action::Callback(callback)),
            Effect::Run(program) => actions.push(Action::Run(program)),
            Effect::Log(record) => {
                if let Some(event) = views::log_event(&self.queue, &record, self.event_seq + 1, self.clock) {
                    self.append(&event, record.owner.unwrap_or(Uid::ROOT), record.job, operations);
                    if let (Some(owner), true) = (record.owner, self.hub.has_listeners()) {
                        actions.push(Action::Publish(Published { owner, event: Arc::new(event) }));
                    }
                }
                actions.push(Action::Log(record));
            }
            Effect::Notice(notice) => {
                if notice.kind.is_volatile() {
                    if self.hub.has_listeners() {
                        let event = Arc::new(views::event(&notice, None, self.clock));
                        actions.push(Action::Publish(Published { owner: notice.owner, event }));
                    }
                    return;
                }
                let event = views::event(&notice, Some(self.event_seq + 1), self.clock);
                self.append(&event, notice.owner, Some(notice.job), operations);
                if self.hub.has_listeners() {
                    actions.push(Action::Publish(Published { owner: notice.owner, event: Arc::new(event) }));
                }
            }
        }
    }

    /// Stores an event under the next number. What is kept has a limit for each owner, so that nobody's events push out another's.
    fn append(&mut self, event: &EventView, owner: Uid, job: Option<JobId>, operations: &mut Vec<Op>) {
        let Some(job) = job else { return };
        self.event_seq += 1;
        operations.push(Op::AppendEvent(EventRow {
            seq: self.event_seq,
            owner: owner.0,
            job: *job.as_bytes(),
            kind: event.kind.as_str().to_owned(),
            at_ms: event.time_ms,
            body: serde_json::to_string(event).expect("an event has a JSON form"),
        }));
        let untrimmed = self.untrimmed.entry(owner).or_default();
        *untrimmed += 1;
        if *untrimmed >= 1000 {
            *untrimmed = 0;
            operations.push(Op::TrimEvents { owner: Some(owner.0), keep: EVENTS_KEPT });
        }
        if event.kind == EventKind::Log {
            let untrimmed = self.untrimmed_logs.entry(job).or_default();
            *untrimmed += 1;
            if *untrimmed >= 100 {
                *untrimmed = 0;
                let kind = EventKind::Log.as_str();
                operations.push(Op::TrimJobEvents { job: *job.as_bytes(), kind, keep: LOG_KEPT });
            }
        }
    }

    /// Adds the job as it is after the call.
    pub(super) fn with_view(
        &self,
        answer: &Answer,
        result: Result<HResult, Failure>,
    ) -> Result<(HResult, JobView), Failure> {
        let code = result?;
        // The caller had the right when the call began; the job may have left the queue by it.
        let job = self.queue.held_job(openbits_core::Caller::root(), answer.job)?;
        Ok((code, views::job(&self.queue, job, false, self.clock)))
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            // While the service stops, nothing new is begun: what is stored as begun goes on after the next start.
            Action::Worker(_, Command::Start(_) | Command::Finish(_) | Command::Probe { .. })
                if self.closing.is_some() => {}
            Action::Worker(owner, command) => {
                self.note_deadline(owner, &command);
                self.command(owner, command);
            }
            Action::Publish(event) => self.hub.publish(event),
            Action::Callback(callback) => self.call_back(&callback),
            Action::Run(program) if self.closing.is_none() => self.runner.start(*program),
            // It is owed still, and runs after the next start.
            Action::Run(_) => {}
            Action::Log(record) => self.log(&record),
            Action::Answer(answer, result) => answer.send(*result),
            Action::Deliver(deliver) => deliver(),
        }
    }
}
