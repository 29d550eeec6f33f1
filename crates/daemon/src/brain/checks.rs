//! Certificates of servers that the owner's program has to accept (spec/bits-extended.md 9.3.1, 9.4).
//!
//! A program listens for one job with an open connection; a worker presents what a server showed; the program answers in time. What was
//! accepted once is not asked again. Nothing of this is stored: that a program is required is a property of the job.

use super::Brain;
use super::ask::{Ask, Handle, gone};
use openbits_api::{CertificateCheck, SCHEMA};
use openbits_core::hresult as h;
use openbits_core::queue::Failure;
use openbits_core::{AttemptId, Caller, HResult, JobId, Mono, Now, Uid};
use openbits_transfer::protocol::Command;
use std::collections::{HashMap, HashSet};
use tokio::sync::{mpsc, oneshot};

/// A program has so long to answer, in milliseconds.
const ANSWER_MS: i64 = 60_000;
/// Questions that wait to be read by a program.
const QUESTIONS: usize = 16;
/// Accepted pairs that are remembered of one job; more are simply asked again.
const ACCEPTED_MAX: usize = 64;

/// A program that listens.
struct Listener {
    number: u64,
    /// Owner of the job when it began: an object does not change hands with the job.
    owner: Uid,
    questions: mpsc::Sender<CertificateCheck>,
}

/// A question without an answer yet.
struct Pending {
    job: JobId,
    /// Whose worker waits.
    worker: Uid,
    attempt: AttemptId,
    /// The worker's own number of the question.
    check: u64,
    pair: (String, String),
    due: Mono,
}

/// What a worker presents.
pub(super) struct Presented {
    pub(super) job: JobId,
    pub(super) attempt: AttemptId,
    pub(super) check: u64,
    pub(super) file: u32,
    pub(super) server: String,
    pub(super) chain: Vec<String>,
}

/// Who listens, what is asked, what was accepted.
#[derive(Default)]
pub(super) struct Checks {
    listeners: HashMap<JobId, Listener>,
    /// Server and certificate, accepted for the job's owner of that time.
    accepted: HashMap<JobId, (Uid, HashSet<(String, String)>)>,
    pending: HashMap<u64, Pending>,
    next: u64,
}

impl Checks {
    /// The job has left the queue.
    pub(super) fn forget(&mut self, job: JobId) {
        self.listeners.remove(&job);
        self.accepted.remove(&job);
    }

    /// When the oldest question is given up.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.pending.values().map(|pending| pending.due).min()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn is_accepted(&self, job: JobId, owner: Uid, pair: &(String, String)) -> bool {
        self.accepted.get(&job).is_some_and(|(whose, pairs)| *whose == owner && pairs.contains(pair))
    }

    fn accept(&mut self, job: JobId, owner: Uid, pair: (String, String)) {
        let entry = self.accepted.entry(job).or_insert_with(|| (owner, HashSet::new()));
        if entry.0 != owner {
            *entry = (owner, HashSet::new());
        }
        if entry.1.len() < ACCEPTED_MAX {
            entry.1.insert(pair);
        }
    }

    /// Questions about a job (or due by now), which are not answered any more.
    fn take(&mut self, wanted: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let numbers: Vec<u64> =
            self.pending.iter().filter(|(_, pending)| wanted(pending)).map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.pending.remove(&number)).collect()
    }
}

/// What the doors ask.
pub enum ChecksAsk {
    /// A program listens for a job; it takes the place of an earlier one, and everything is asked anew.
    Listen(Caller, JobId, oneshot::Sender<Result<(u64, mpsc::Receiver<CertificateCheck>), Failure>>),
    /// It does not listen any more; `None`: whoever does.
    Leave(JobId, Option<u64>),
    /// Its answer to a question.
    Answer(Caller, JobId, u64, HResult, oneshot::Sender<Result<(), Failure>>),
}

/// The questions for a program, which stops listening when this is dropped.
pub struct Listening {
    handle: Handle,
    job: JobId,
    number: u64,
    questions: mpsc::Receiver<CertificateCheck>,
}

impl Listening {
    /// The next question; `None` when another program took the place, or the job is gone.
    pub async fn next(&mut self) -> Option<CertificateCheck> {
        self.questions.recv().await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // If there is no room just now, the questions run out of time instead.
        let _ = self.handle.sender.try_send(Ask::Checks(ChecksAsk::Leave(self.job, Some(self.number))));
    }
}

impl Handle {
    /// Listens for the questions of a job.
    pub async fn listen_for_checks(&self, caller: Caller, job: JobId) -> Result<Listening, Failure> {
        let (sender, answer) = oneshot::channel();
        self.sender.send(Ask::Checks(ChecksAsk::Listen(caller, job, sender))).await.map_err(|_| gone())?;
        let (number, questions) = answer.await.map_err(|_| gone())??;
        Ok(Listening { handle: self.clone(), job, number, questions })
    }

    /// Nobody listens any more.
    pub async fn stop_checks(&self, job: JobId) {
        let _ = self.sender.send(Ask::Checks(ChecksAsk::Leave(job, None))).await;
    }

    /// Answers a question.
    pub async fn answer_check(
        &self,
        caller: Caller,
        job: JobId,
        check: u64,
        code: HResult,
    ) -> Result<(), Failure> {
        let (sender, answer) = oneshot::channel();
        let ask = ChecksAsk::Answer(caller, job, check, code, sender);
        self.sender.send(Ask::Checks(ask)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Brain {
    pub(super) fn on_checks_ask(&mut self, ask: ChecksAsk) {
        match ask {
            ChecksAsk::Listen(caller, job, sender) => {
                let owner = self.queue.job(caller, job).map(|job| job.owner);
                let answer = owner.map_err(Failure::from).map(|owner| {
                    let (questions, receiver) = mpsc::channel(QUESTIONS);
                    let number = self.checks.number();
                    self.checks.accepted.remove(&job);
                    self.checks.listeners.insert(job, Listener { number, owner, questions });
                    (number, receiver)
                });
                let _ = sender.send(answer);
            }
            ChecksAsk::Leave(job, number) => {
                let is_it = |listener: &Listener| number.is_none_or(|number| number == listener.number);
                if self.checks.listeners.get(&job).is_some_and(is_it) {
                    self.checks.listeners.remove(&job);
                    if number.is_none() {
                        self.checks.accepted.remove(&job);
                    }
                    for pending in self.checks.take(|pending| pending.job == job) {
                        self.verdict(&pending, h::BG_E_SERVER_CERT_VALIDATION_INTERFACE_REQUIRED);
                    }
                }
            }
            ChecksAsk::Answer(caller, job, check, code, sender) => {
                let _ = sender.send(self.on_answer(caller, job, check, code));
            }
        }
    }

    fn on_answer(&mut self, caller: Caller, job: JobId, check: u64, code: HResult) -> Result<(), Failure> {
        let owner = self.queue.job(caller, job)?.owner;
        let asked = self.checks.pending.get(&check).is_some_and(|pending| pending.job == job);
        let Some(pending) = asked.then(|| self.checks.pending.remove(&check)).flatten() else {
            return Err(Failure::new(h::BG_E_NOT_FOUND, "there is no such question, or its time is over"));
        };
        self.verdict(&pending, code);
        if code.is_ok() {
            self.checks.accept(job, owner, pending.pair);
        }
        Ok(())
    }

    /// A worker waits for the word of the owner's program.
    pub(super) fn on_presented(&mut self, presented: Presented, now: Now) {
        let Presented { job, attempt, check, file, server, mut chain } = presented;
        let Some(worker) = self.queue.worker_of(job).filter(|_| self.queue.has_attempt(job, attempt)) else {
            return;
        };
        let Some(owner) = self.queue.get(job).map(|job| job.owner) else { return };
        let certificate = chain.remove(0);
        let pair = (server.clone(), certificate.clone());
        let due = now.mono.plus_ms(ANSWER_MS);
        let pending = Pending { job, worker, attempt, check, pair, due };
        if self.checks.is_accepted(job, owner, &pending.pair) {
            self.verdict(&pending, h::S_OK);
            return;
        }
        let number = self.checks.number();
        let question = CertificateCheck {
            schema: SCHEMA,
            check: number,
            job: job.to_string(),
            file,
            server,
            encoding: 1,
            certificate,
            chain,
            expires_ms: self.clock.wall_ms(due),
        };
        let listener = self.checks.listeners.get(&job).filter(|listener| listener.owner == owner);
        if listener.is_some_and(|listener| listener.questions.try_send(question).is_ok()) {
            self.checks.pending.insert(number, pending);
        } else {
            self.verdict(&pending, h::BG_E_SERVER_CERT_VALIDATION_INTERFACE_REQUIRED);
        }
    }

    /// Questions that nobody answered in time.
    pub(super) fn expire_checks(&mut self, now: Now) {
        if self.checks.deadline().is_none_or(|due| due > now.mono) {
            return;
        }
        for pending in self.checks.take(|pending| pending.due <= now.mono) {
            self.verdict(&pending, h::BG_E_WATCHDOG_TIMEOUT);
        }
    }

    /// Tells the worker, if it still waits.
    fn verdict(&mut self, pending: &Pending, code: HResult) {
        let Pending { job, worker, attempt, check, .. } = *pending;
        if self.queue.has_attempt(job, attempt) {
            self.command(worker, Command::CertificateVerdict { job, attempt, check, code });
        }
    }
}
