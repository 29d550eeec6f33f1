//! The waiting `get`: creates the jobs, follows them, and ends when all files are in place.

use super::existing::Existing;
use super::interrupt::{self, watch_keys};
use super::plan::{Batch, spread};
use super::request;
use super::screen::{Screen, Totals};
use crate::args::{Get, HttpOptions};
use crate::context::{Context, print_json};
use crate::failure::{Failure, job_error_lines};
use crate::follow;
use crate::resolve::id_of;
use crate::text::{self, clean};
use crate::{context, create};
use openbits_api::error::exit;
use openbits_api::{AddFile, EventKind, EventView, JobView};
use openbits_client::{Action, Error, Item, Scope};
use openbits_core::{JobState, hresult as h};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a transferred job may wait for the service to complete it before it is asked to.
const COMPLETE_GRACE: Duration = Duration::from_secs(5);
/// How long to try to cancel jobs when leaving.
const LEAVING_TIME: Duration = Duration::from_secs(10);
/// How long to wait before asking again for a job that a limit of the service has refused.
const ROOM_PAUSE: Duration = Duration::from_secs(5);
/// How often the states are read although no event came: a guard against anything forgotten.
const REREAD: Duration = Duration::from_secs(30);

/// Follows the jobs; the exit code.
pub(crate) async fn run(context: &Context, args: &Get, files: Vec<AddFile>) -> Result<u8, Failure> {
    let http = args.transfer.http.read()?;
    let keys = watch_keys()?;
    let info = context.client.service_info().await?;
    let mut events = follow::follow(&context.client, Some(info.last_event), Scope::Own).await?;
    let files_total = files.len() as u64;
    let (found, files) = super::existing(context, args, files).await?;
    let name = found.first().map(|f| Batch { files: f.files.clone() }.name());
    let batches = spread(files, args.jobs, info.limits.files_per_job);
    let mut run = Run {
        context,
        args,
        http,
        screen: Screen::new(
            context.quiet,
            &name.or_else(|| batches.first().map(Batch::name)).unwrap_or_default(),
        ),
        files_total,
        waiting: batches.into(),
        room: Room::Unknown,
        active: HashMap::new(),
        finished: Totals::default(),
        code: exit::OK,
        keys,
    };
    let result = async {
        run.adopt(found).await?;
        run.finish(&mut events).await
    };
    let result = result.await;
    run.screen.close();
    if result.is_err() {
        // What went wrong concerns this command, not the transfers that run well.
        run.goes_on();
    }
    result
}

struct Run<'a> {
    context: &'a Context,
    args: &'a Get,
    http: HttpOptions,
    screen: Screen,
    /// Batches without a job yet.
    waiting: VecDeque<Batch>,
    room: Room,
    active: HashMap<String, Followed>,
    finished: Totals,
    files_total: u64,
    code: u8,
    keys: watch::Receiver<bool>,
}

/// Whether the service takes another job.
#[derive(Clone, Copy)]
enum Room {
    /// It has not been asked.
    Unknown,
    /// It took one; if it takes no further one, that is a matter of time.
    Some,
    /// It took no further one; it is asked again then, or when a job ends.
    None(Instant),
}

/// A job on its way.
struct Followed {
    job: JobView,
    batch: Batch,
    /// It was there before this command: it is not this command's to cancel.
    adopted: bool,
    /// Since when it waits to be completed.
    transferred: Option<Instant>,
    /// The error that was said last, so that it is not said at every attempt.
    said: Option<String>,
}

/// The service has as many jobs as it takes now, of this user or of all.
fn is_full(error: &Error) -> bool {
    error.is_code(h::BG_E_TOO_MANY_JOBS_PER_USER) || error.is_code(h::BG_E_TOO_MANY_JOBS_PER_MACHINE)
}

type Events = tokio::sync::mpsc::Receiver<Result<Item, Error>>;

impl Run<'_> {
    async fn finish(&mut self, events: &mut Events) -> Result<u8, Failure> {
        self.create().await?;
        let mut reread = Instant::now() + REREAD;
        while !self.active.is_empty() || !self.waiting.is_empty() {
            self.screen.update(self.totals());
            let grace = self.active.values().filter_map(|f| f.transferred).min().map(|t| t + COMPLETE_GRACE);
            let room = if let Room::None(until) = self.room { Some(until) } else { None };
            let wake = [grace, room].into_iter().flatten().fold(reread, Instant::min);
            tokio::select! {
                item = follow::next(events) => match item? {
                    Item::Event(event) if event.kind == EventKind::Gap => self.read_all().await?,
                    Item::Event(event) => self.event(&event).await?,
                    Item::Reconnected => {
                        self.screen.note("bits: connected to the service again");
                        self.read_all().await?;
                    }
                },
                _ = self.keys.changed() => {
                    self.screen.close();
                    self.leave().await;
                    return Ok(interrupt::EXIT_CODE);
                }
                () = sleep_until(wake) => {
                    self.complete_late().await?;
                    if Instant::now() >= reread {
                        reread = Instant::now() + REREAD;
                        self.read_all().await?;
                    }
                }
            }
            self.create().await?;
        }
        Ok(self.code)
    }

    /// Follows jobs that were there before.
    async fn adopt(&mut self, found: Vec<Existing>) -> Result<(), Failure> {
        for mut one in found {
            one.go_on(self.context, &self.http).await?;
            let Existing { job, files } = one;
            let id = job.id.clone();
            self.files_total += u64::from(job.files_total).saturating_sub(files.len() as u64);
            let batch = Batch { files };
            self.active
                .insert(id.clone(), Followed { job, batch, adopted: true, transferred: None, said: None });
            self.arrived(&id).await?;
        }
        // What happened between the list and the stream's first event shows in the jobs.
        self.read_all().await
    }

    /// Creates jobs as long as there is room. Once there was, a limit of the service is no failure: somebody's job will end.
    async fn create(&mut self) -> Result<(), Failure> {
        if let Room::None(until) = self.room
            && Instant::now() < until
        {
            return Ok(());
        }
        while self.active.len() < usize::from(self.args.jobs) && !*self.keys.borrow() {
            let Some(batch) = self.waiting.pop_front() else { return Ok(()) };
            let request = request(self.args, &self.http, &batch);
            match create::create(self.context, request, self.http.certificate.as_ref()).await {
                Ok(job) => {
                    self.room = Room::Some;
                    let id = job.id.clone();
                    self.active.insert(
                        id.clone(),
                        Followed { job, batch, adopted: false, transferred: None, said: None },
                    );
                    self.arrived(&id).await?;
                }
                Err(e)
                    if (is_full(&e) && !matches!(self.room, Room::Unknown))
                        || (e.is_gone() && !self.active.is_empty()) =>
                {
                    self.room = Room::None(Instant::now() + ROOM_PAUSE);
                    self.waiting.push_front(batch);
                    return Ok(());
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    async fn event(&mut self, event: &EventView) -> Result<(), Failure> {
        let Some(followed) = self.active.get_mut(&event.job) else { return Ok(()) };
        let before = followed.job.state;
        followed.job.state = event.state;
        followed.job.bytes_transferred = event.bytes_transferred;
        followed.job.bytes_total = event.bytes_total;
        followed.job.files_transferred = event.files_transferred;
        followed.job.files_total = event.files_total;
        if matches!(event.kind, EventKind::Progress | EventKind::FileRangesTransferred)
            && before == event.state
        {
            if event.state == JobState::Transferring {
                self.screen.moving();
            }
            return Ok(());
        }
        self.arrived(&event.job).await
    }

    /// Acts on the state that a job is in now.
    async fn arrived(&mut self, id: &str) -> Result<(), Failure> {
        let Some(followed) = self.active.get_mut(id) else { return Ok(()) };
        if followed.job.state != JobState::Transferred {
            followed.transferred = None;
        }
        match followed.job.state {
            JobState::Acknowledged => self.succeeded(id).await,
            JobState::Cancelled => {
                self.screen.lines(&[format!("bits: job {id} was cancelled by somebody else")]);
                self.ended(id, exit::NOT_FOUND).await
            }
            JobState::Error => self.failed(id).await,
            JobState::TransientError => self.waits(id).await,
            JobState::Suspended => {
                self.screen.waiting(&format!("job {id} is suspended; `bits resume {id}` lets it go on"));
                Ok(())
            }
            JobState::Transferred => {
                followed.transferred.get_or_insert_with(Instant::now);
                Ok(())
            }
            JobState::Transferring => {
                self.screen.moving();
                Ok(())
            }
            JobState::Queued | JobState::Connecting => Ok(()),
        }
    }

    async fn succeeded(&mut self, id: &str) -> Result<(), Failure> {
        if let Some(followed) = self.active.get(id) {
            for file in &followed.batch.files {
                match &self.args.upload {
                    None => self.screen.note(&format!("bits: {} is in place", clean(&file.local_name))),
                    Some(_) => self.screen.note(&format!("bits: {} is delivered", clean(&file.local_name))),
                }
            }
        }
        self.ended(id, exit::OK).await
    }

    async fn failed(&mut self, id: &str) -> Result<(), Failure> {
        let mut job = match self.read(id).await? {
            Some(job) => job,
            None => return Ok(()), // It comes again as an event.
        };
        if job.state != JobState::Error {
            return Ok(()); // Somebody resumed it; the event is on its way.
        }
        if job.error.is_none() {
            job.error = self.context.client.error(id_of(id)?).await.ok();
        }
        let lines = match &job.error {
            Some(error) => job_error_lines(&job, error),
            None => vec![format!("bits: error: job {id} failed; see `bits why {id}`")],
        };
        self.screen.lines(&lines);
        if let Some(followed) = self.active.get_mut(id) {
            followed.job = job;
        }
        let adopted = self.active.get(id).is_some_and(|f| f.adopted);
        if self.args.transfer.keep || adopted {
            self.screen.lines(&[format!("bits: job {id} is kept")]);
        } else if let Err(e) = self.context.client.act(id_of(id)?, Action::Cancel).await {
            self.screen.lines(&[format!("bits: job {id} could not be cancelled: {e}")]);
        }
        self.ended(id, exit::JOB_ERROR).await
    }

    /// Says why the transfer waits and when it goes on; once for each reason.
    async fn waits(&mut self, id: &str) -> Result<(), Failure> {
        let Some(job) = self.read(id).await? else { return Ok(()) };
        let Some(followed) = self.active.get_mut(id) else { return Ok(()) };
        if job.state != JobState::TransientError {
            return Ok(());
        }
        let reason = job.error.as_ref().map_or_else(
            || "a temporary error".to_owned(),
            |e| format!("{} {}: {}", clean(&e.hresult), clean(&e.name), clean(&e.text)),
        );
        let next =
            job.next_retry_time_ms.map_or_else(String::new, |t| format!("; next try {}", text::time(t)));
        followed.job = job;
        let is_new = followed.said.as_ref() != Some(&reason);
        if is_new {
            followed.said = Some(reason.clone());
            self.screen.note(&format!("bits: waiting: {reason}{next}"));
        }
        if context::stderr_is_terminal() {
            self.screen.waiting(&format!("waiting: {reason}{next}"));
        }
        Ok(())
    }

    /// The job with its files, also just after its end; nothing if the service cannot say.
    async fn read(&self, id: &str) -> Result<Option<JobView>, Failure> {
        match self.context.client.job(id_of(id)?, true, true).await {
            Ok(job) => Ok(Some(job)),
            Err(e) if e.is_gone() || e.is_code(h::BG_E_NOT_FOUND) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Reads every job anew: events may have been missed.
    async fn read_all(&mut self) -> Result<(), Failure> {
        let ids: Vec<String> = self.active.keys().cloned().collect();
        for id in ids {
            match self.context.client.job(id_of(&id)?, false, true).await {
                Ok(job) => {
                    if let Some(followed) = self.active.get_mut(&id) {
                        followed.job = job;
                    }
                    self.arrived(&id).await?;
                }
                Err(e) if e.is_code(h::BG_E_NOT_FOUND) => self.vanished(&id).await?,
                Err(e) if e.is_gone() => return Ok(()), // The stream reconnects, and then it is read again.
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// The service knows the job no more and did not say how it ended: the files tell.
    async fn vanished(&mut self, id: &str) -> Result<(), Failure> {
        let Some(followed) = self.active.get(id) else { return Ok(()) };
        let created = u128::try_from(followed.job.creation_time_ms).unwrap_or(0);
        let in_place = |path: &str| {
            // The time of the last change of the inode: a rename into place counts, whatever the server's date says.
            use std::os::unix::fs::MetadataExt;
            let changed = std::fs::metadata(Path::new(path)).map(|m| m.ctime()).unwrap_or(0);
            u128::try_from(changed).unwrap_or(0) * 1_000 + 1_000 >= created
        };
        let is_download = self.args.upload.is_none();
        if is_download && followed.batch.files.iter().all(|f| in_place(&f.local_name)) {
            self.succeeded(id).await
        } else {
            self.screen.lines(&[format!("bits: job {id} is gone, and how it ended is not known")]);
            self.ended(id, exit::NOT_FOUND).await
        }
    }

    /// Completes jobs that the service has left in TRANSFERRED.
    async fn complete_late(&mut self) -> Result<(), Failure> {
        let is_late = |f: &Followed| f.transferred.is_some_and(|t| t.elapsed() >= COMPLETE_GRACE);
        let late: Vec<String> =
            self.active.iter().filter(|(_, f)| is_late(f)).map(|(id, _)| id.clone()).collect();
        for id in late {
            match self.context.client.act(id_of(&id)?, Action::Complete).await {
                Ok(outcome) => {
                    if let Some(followed) = self.active.get_mut(&id) {
                        followed.job = outcome.job;
                        followed.transferred = Some(Instant::now());
                    }
                    self.arrived(&id).await?;
                }
                Err(e) if e.is_gone() || e.is_code(h::BG_E_NOT_FOUND) || e.is_code(h::BG_E_INVALID_STATE) => {
                    if let Some(followed) = self.active.get_mut(&id) {
                        followed.transferred = Some(Instant::now());
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    async fn ended(&mut self, id: &str, code: u8) -> Result<(), Failure> {
        let last = if self.context.json { self.read(id).await? } else { None };
        let Some(followed) = self.active.remove(id) else { return Ok(()) };
        self.room = Room::Some;
        if code == exit::OK {
            self.finished.files += followed.batch.files.len() as u64;
        }
        self.finished.bytes += followed.job.bytes_transferred;
        // An error counts more than a cancelled job, and both more than success.
        self.code = if self.code == exit::OK || code == exit::JOB_ERROR { code } else { self.code };
        if self.context.json {
            let mut job = last.unwrap_or(followed.job.clone());
            // A failed job was cancelled on the way out; the caller wants to know the failure.
            if followed.job.state == JobState::Error {
                job = followed.job;
            }
            print_json(&job)?;
        }
        Ok(())
    }

    fn totals(&self) -> Totals {
        let mut totals = self.finished;
        totals.files_total = self.files_total;
        totals.bytes_total = self.waiting.is_empty().then_some(totals.bytes);
        for Followed { job, .. } in self.active.values() {
            totals.bytes += job.bytes_transferred;
            totals.files += u64::from(job.files_transferred);
            totals.bytes_total = totals.bytes_total.zip(job.bytes_total).map(|(a, b)| a + b);
        }
        totals
    }

    /// Leaves the jobs to the service, and says which.
    fn goes_on(&mut self) {
        let ids = self.active.drain().map(|(id, _)| id);
        text::note(ids.map(|id| format!("bits: job {id} goes on; `bits wait {id}` waits for it")));
    }

    /// Before leaving at the user's wish: cancels the jobs, unless they are to be kept.
    async fn leave(&mut self) {
        if self.args.transfer.keep {
            return self.goes_on();
        }
        if self.active.is_empty() {
            return;
        }
        let (others, own): (Vec<_>, Vec<_>) = self.active.drain().partition(|(_, f)| f.adopted);
        self.active.extend(others);
        self.goes_on();
        let ids: Vec<String> = own.into_iter().map(|(id, _)| id).collect();
        let cancel = async {
            for id in &ids {
                let Ok(parsed) = id_of(id) else { continue };
                match self.context.client.act(parsed, Action::Cancel).await {
                    Err(e) if !e.is_code(h::BG_E_NOT_FOUND) && !e.is_code(h::BG_E_INVALID_STATE) => {
                        text::note([format!("bits: job {id} could not be cancelled: {e}")]);
                    }
                    _ => {}
                }
            }
        };
        if timeout(LEAVING_TIME, cancel).await.is_err() {
            text::note([format!(
                "bits: the service does not answer; these jobs may go on: {}",
                ids.join(" ")
            )]);
        }
    }
}
