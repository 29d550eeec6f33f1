//! `bits wait`: 0 transferred, 4 ERROR, 124 time is up, 2 cancelled or unknown (spec/tools.md D3 rule 1).

use crate::args::Wait;
use crate::context::{Context, print_json};
use crate::failure::{Failure, job_error_lines};
use crate::{follow, resolve, text};
use openbits_api::error::exit;
use openbits_api::{EventKind, JobView};
use openbits_client::{Action, Item, Scope};
use openbits_core::{JobId, JobState, hresult as h};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often the states are read although no event came.
const REREAD: Duration = Duration::from_secs(30);
/// How long a job that completes by itself may stay TRANSFERRED before that counts as the end.
const COMPLETE_GRACE: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context, args: &Wait) -> Result<u8, Failure> {
    let deadline = args.timeout.map(|s| Instant::now() + Duration::from_secs(s.into()));
    let mut wait = Waiting { context, args, jobs: HashMap::new(), code: exit::OK };
    let work = async {
        for text in &args.jobs {
            match resolve::job(&context.client, text).await {
                Ok(id) => {
                    wait.jobs.insert(id, None);
                }
                Err(e @ Failure::NotFound(_)) => {
                    e.report();
                    wait.end_with(exit::NOT_FOUND);
                }
                Err(e) => return Err(e),
            }
        }
        wait.finish().await
    };
    let time_is_up = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = time_is_up => {
            context.note("bits: time is up");
            Ok(exit::TIMEOUT)
        }
    }
}

struct Waiting<'a> {
    context: &'a Context,
    args: &'a Wait,
    /// The jobs that have not ended, and since when they are TRANSFERRED.
    jobs: HashMap<JobId, Option<Instant>>,
    code: u8,
}

impl Waiting<'_> {
    async fn finish(&mut self) -> Result<u8, Failure> {
        let info = self.context.client.service_info().await?;
        let mut events = follow::follow(&self.context.client, Some(info.last_event), self.scope()).await?;
        self.read_all().await?;
        let mut reread = Instant::now() + REREAD;
        while !self.jobs.is_empty() {
            let grace = self.jobs.values().flatten().min().map(|t| *t + COMPLETE_GRACE);
            tokio::select! {
                item = follow::next(&mut events) => match item? {
                    Item::Event(event) if event.seq.is_none() => {}
                    Item::Event(event) if event.kind == EventKind::Gap => self.read_all().await?,
                    Item::Event(event) => {
                        let id = resolve::id_of(&event.job)?;
                        if self.jobs.contains_key(&id) {
                            self.read(id, Some(event.state)).await?;
                        }
                    }
                    Item::Reconnected => self.read_all().await?,
                },
                () = sleep_until(grace.map_or(reread, |g| g.min(reread))) => {
                    reread = Instant::now() + REREAD;
                    self.read_all().await?;
                }
            }
        }
        Ok(self.code)
    }

    /// One job is asked for by its id, which works for root and anybody's job; several may be anybody's only for root.
    fn scope(&self) -> Scope {
        let mut jobs = self.jobs.keys();
        match (jobs.next(), jobs.next()) {
            (Some(job), None) => Scope::Job(*job),
            _ if rustix::process::geteuid().is_root() => Scope::AllUsers,
            _ => Scope::Own,
        }
    }

    async fn read_all(&mut self) -> Result<(), Failure> {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.read(id, None).await?;
        }
        Ok(())
    }

    /// Reads a job and acts on its state; `told` is what an event said, for a job that the service no longer knows.
    async fn read(&mut self, id: JobId, told: Option<JobState>) -> Result<(), Failure> {
        match self.context.client.job(id, true, true).await {
            Ok(job) => self.arrived(id, &job).await,
            Err(e) if e.is_code(h::BG_E_NOT_FOUND) => {
                let code = if told == Some(JobState::Acknowledged) { exit::OK } else { exit::NOT_FOUND };
                if code != exit::OK {
                    text::note([format!("bits: job {id} is not known, or was cancelled")]);
                }
                self.end(id, code);
                Ok(())
            }
            Err(e) if e.is_gone() => Ok(()), // It is read again after the reconnection.
            Err(e) => Err(e.into()),
        }
    }

    async fn arrived(&mut self, id: JobId, job: &JobView) -> Result<(), Failure> {
        let since = self.jobs.get(&id).copied().flatten();
        let code = match job.state {
            JobState::Acknowledged => exit::OK,
            JobState::Cancelled => {
                text::note([format!("bits: job {id} was cancelled")]);
                exit::NOT_FOUND
            }
            JobState::Error => {
                if let Some(error) = &job.error {
                    text::note(job_error_lines(job, error));
                } else {
                    text::note([format!("bits: error: job {id} failed; see `bits why {id}`")]);
                }
                exit::JOB_ERROR
            }
            JobState::Transferred if self.args.complete => return self.complete(id).await,
            // It goes on to ACKNOWLEDGED by itself, and only then its files are in place.
            JobState::Transferred
                if job.auto_complete && since.is_none_or(|t| t.elapsed() < COMPLETE_GRACE) =>
            {
                self.jobs.insert(id, Some(since.unwrap_or_else(Instant::now)));
                return Ok(());
            }
            JobState::Transferred => exit::OK,
            _ => return Ok(()),
        };
        if self.context.json {
            print_json(job)?;
        }
        self.end(id, code);
        Ok(())
    }

    async fn complete(&mut self, id: JobId) -> Result<(), Failure> {
        match self.context.client.act(id, Action::Complete).await {
            Ok(outcome) => {
                if self.context.json {
                    print_json(&outcome.job)?;
                }
                self.end(id, exit::OK);
                Ok(())
            }
            // Somebody else was faster, or the answer was lost: the next reading tells.
            Err(e) if e.is_gone() || e.is_code(h::BG_E_INVALID_STATE) || e.is_code(h::BG_E_NOT_FOUND) => {
                self.jobs.insert(id, Some(Instant::now()));
                Ok(())
            }
            Err(e) => Err(e.into()),
        }
    }

    fn end(&mut self, id: JobId, code: u8) {
        self.jobs.remove(&id);
        self.end_with(code);
    }

    /// A failed job counts more than an unknown one, and both more than success.
    fn end_with(&mut self, code: u8) {
        if self.code == exit::OK || code == exit::JOB_ERROR {
            self.code = code;
        }
    }
}
