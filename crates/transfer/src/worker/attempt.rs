//! One run of one job: its files, one after the other.

use super::Stop;
use super::body;
use super::report::{self, Reporter};
use crate::failure::Outcome;
use crate::file::{self, Finished, Folder, Group, Part, Place, Reopened};
use crate::http::{self, Link, Pool, Reply, Route};
use crate::protocol::{DigestAlgorithm, Event, FileOrder, Order};
use crate::rate::Limiter;
use openbits_core::plan::{Accept, Decision, Ended, Fail, FilePlan, Head, Limits, Next, Request, Restart};
use openbits_core::{Priority, RangeSet};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// Bodies up to this size are collected and written in one piece, without a writer of their own.
const SMALL: u64 = 256 << 10;
/// Body of an answer that is of no use, but short enough to be read for the sake of the connection.
const DRAIN: u64 = 16 << 10;

/// An attempt at a job.
pub(super) struct Attempt {
    order: Order,
    reporter: Reporter,
    pool: Pool,
    limiter: Rc<Limiter>,
    level: Rc<Cell<Priority>>,
    folders: HashMap<PathBuf, Arc<Folder>>,
    group: Group,
    current: Option<Current>,
    /// The peer that was told last.
    told: Option<String>,
}

/// The file that is being transferred.
pub(super) struct Current {
    pub(super) index: u32,
    pub(super) plan: FilePlan,
    pub(super) place: Place,
    pub(super) part: Option<Part>,
    pub(super) modified_s: Option<i64>,
    hashed: bool,
    connected: bool,
    /// The peer that an earlier file told of.
    told: Option<String>,
    status: Option<u16>,
}

impl Attempt {
    pub(super) fn new(
        order: Order,
        events: mpsc::Sender<Event>,
        pool: Pool,
        limiter: Rc<Limiter>,
        level: Rc<Cell<Priority>>,
    ) -> Self {
        let group = Group::new(order.job, order.attempt, events.clone());
        let reporter = Reporter { job: order.job, attempt: order.attempt, events };
        let folders = HashMap::new();
        Self { order, reporter, pool, limiter, level, folders, group, current: None, told: None }
    }

    /// Runs to the end, or until it is stopped. Everything that is durable has been reported when this returns; the last event
    /// of the attempt comes back, unless it was stopped.
    pub(super) async fn go(mut self, stop: &Stop) -> Option<Event> {
        let (job, attempt) = (self.reporter.job, self.reporter.attempt);
        let result = tokio::select! {
            biased;
            () = stop.notify.notified() => None,
            result = Box::pin(self.run()) => Some(result),
        };
        let failed = match result {
            Some(Ok(())) => return Some(Event::Done { job, attempt }),
            Some(Err((file, fail))) => {
                let about = self.current.as_ref().filter(|current| Some(current.index) == file);
                let (status, url) = about.map_or((None, None), |c| (c.status, Some(c.plan.shown_url())));
                Some((fail.discard, Box::new(report::failure(&fail, file, status, url))))
            }
            None => None,
        };
        self.wind_down(failed.as_ref().is_some_and(|(discard, _)| *discard)).await;
        failed.map(|(_, failure)| Event::Failed { job, attempt, failure })
    }

    async fn run(&mut self) -> Result<(), (Option<u32>, Box<Fail>)> {
        for at in 0..self.order.files.len() {
            let file = self.order.files[at].clone();
            let index = file.index;
            self.fetch(file).await.map_err(|(other, fail)| (Some(other.unwrap_or(index)), fail))?;
        }
        self.group.flush().await.map_err(|(file, fail)| (Some(file), fail))
    }

    /// Ends what is under way and reports what is durable.
    async fn wind_down(&mut self, discard: bool) {
        if let Some(mut current) = self.current.take() {
            if discard {
                if let Some(part) = &mut current.part {
                    part.abandon_run().await;
                    let _ = part.synced().await;
                }
                file::remove(&current.place);
                let empty = report::checkpoint(current.index, &current.plan, RangeSet::new(), None, false);
                self.reporter
                    .checkpoint(crate::protocol::FileCheckpoint { validator: None, size: None, ..empty })
                    .await;
            } else if let Some(part) = &mut current.part {
                // An error of the disk was either the reason to come here, or it ends the next attempt.
                let _ = part.finish_run().await;
                let _ = part.settle().await;
                if !part.durable().is_empty() {
                    let done = part.durable().clone();
                    let last =
                        report::checkpoint(current.index, &current.plan, done, current.modified_s, false);
                    self.reporter.checkpoint(last).await;
                }
            }
        }
        // Its error, if any, would only hide the first one; unreported files are fetched again.
        let _ = self.group.flush().await;
    }

    /// Transfers one file, up to the queue of finished ones.
    async fn fetch(&mut self, file: FileOrder) -> Result<(), (Option<u32>, Box<Fail>)> {
        let mine = |fail| (None, fail);
        #[cfg(test)]
        super::tests::perhaps_panic(&file.remote);
        self.open(&file).await.map_err(mine)?;
        loop {
            let current = self.current.as_mut().expect("opened above");
            match current.plan.step() {
                Next::Send(request) => self.request(*request).await.map_err(mine)?,
                Next::Complete { size } => {
                    if let Some(finished) = self.complete(size, &file).await.map_err(mine)? {
                        self.told = self.current.take().and_then(|current| current.told);
                        return self.group.add(finished).await.map_err(|(file, fail)| (Some(file), fail));
                    }
                }
            }
        }
    }

    /// Finds the place, and what is left of an earlier attempt.
    async fn open(&mut self, file: &FileOrder) -> Outcome<()> {
        let limits = Limits {
            max_redirects: self.order.options.max_redirects,
            allow_https_to_http: self.order.options.allow_https_to_http,
        };
        let (parent, name) = Place::split(&file.local)?;
        let folder = match self.folders.get(parent) {
            Some(folder) => folder.clone(),
            None => {
                let folder = Arc::new(Folder::open(parent)?);
                self.folders.insert(parent.to_owned(), folder.clone());
                folder
            }
        };
        let place = Place::new(folder, name, &file.temp)?;
        place.check_target()?;
        let validator = file.validator.clone().unwrap_or_default();
        let tag = file::version_tag(&validator);
        let (plan, restart) = FilePlan::new(&file.remote, file.size, file.done.clone(), validator, limits)?;
        let current = self.current.insert(Current {
            index: file.index,
            plan,
            place,
            part: None,
            modified_s: None,
            hashed: file.digest.is_some(),
            connected: false,
            told: self.told.take(),
            status: None,
        });
        if let Some(restart) = restart {
            return current.restart(&self.reporter, restart).await;
        }
        if file.done.is_empty() {
            return Ok(());
        }
        match file::reopen(&current.place, file.done.end(), &tag)? {
            Reopened::Usable(temp) => {
                current.part = Some(Part::resumed(current.place.clone(), temp, file.done.clone()));
                Ok(())
            }
            Reopened::Lost(reason) => {
                let restart = current.plan.local_lost(reason)?;
                current.restart(&self.reporter, restart).await
            }
        }
    }

    /// One request and what comes of it.
    async fn request(&mut self, request: Request) -> Outcome<()> {
        let (route, mut link, mut reply) = self.exchange(&request).await?;
        let current = self.current.as_mut().expect("a file is open");
        current.status = Some(reply.head.status.as_u16());
        match current.head(&reply) {
            Decision::Accept(accept) => {
                let ended = Box::pin(Self::accept(
                    current,
                    &self.order,
                    &self.reporter,
                    &accept,
                    &mut link,
                    &mut reply,
                ))
                .await?;
                drop(reply);
                match ended {
                    Ended::Next => {
                        self.pool.give(route, link);
                        Ok(())
                    }
                    Ended::Soon(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        Ok(())
                    }
                    Ended::Fail(fail) => Err(fail),
                }
            }
            Decision::Empty(accept) => {
                current.modified_s = accept.modified_s;
                current.connect(&self.reporter, Some(0), link.peer()).await;
                self.put_back(route, link, reply).await;
                Ok(())
            }
            Decision::Again(restart) => {
                if let Some(restart) = restart {
                    current.restart(&self.reporter, restart).await?;
                }
                self.put_back(route, link, reply).await;
                Ok(())
            }
            Decision::Fail(fail) => {
                self.put_back(route, link, reply).await;
                Err(fail)
            }
        }
    }

    async fn put_back(&self, route: Route, mut link: Link, reply: Reply) {
        if link.drain(reply, DRAIN).await {
            self.pool.give(route, link);
        }
    }

    /// Gets an answer: on an idle connection if there is one, else on a new one, by the ways that the proxy settings give.
    async fn exchange(&self, request: &Request) -> Outcome<(Route, Link, Reply)> {
        let options = &self.order.options;
        let original = self.current.as_ref().expect("a file is open").plan.original();
        let connect = Duration::from_millis(options.connect_timeout_ms);
        let idle = Duration::from_millis(options.idle_timeout_ms);
        let mut last = None;
        for via in http::routes(&options.proxy, &request.url)? {
            let route = Route::new(&request.url, via, options);
            if let Some(mut link) = self.pool.take(&route, self.order.priority) {
                link.shape(&self.limiter, &self.level);
                let message = http::build(request, options, &route, link.is_http2(), original)?;
                match link.ask(message, idle).await {
                    Ok(reply) => return Ok((route, link, reply)),
                    Err((_, true)) => {} // the server had closed it: once more, on a fresh one
                    Err((fail, false)) => return Err(fail),
                }
            }
            match self.pool.open(&route, connect, self.order.priority).await {
                Ok(mut link) => {
                    link.shape(&self.limiter, &self.level);
                    let message = http::build(request, options, &route, link.is_http2(), original)?;
                    let reply = link.ask(message, idle).await.map_err(|(fail, _)| fail)?;
                    return Ok((route, link, reply));
                }
                // The next proxy of the list may do.
                Err(fail) => last = Some(fail),
            }
        }
        Err(last.expect("there is at least one way"))
    }

    /// Takes the body of an answer.
    async fn accept(
        current: &mut Current,
        order: &Order,
        reporter: &Reporter,
        accept: &Accept,
        link: &mut Link,
        reply: &mut Reply,
    ) -> Outcome<Ended> {
        if let Some(restart) = accept.restart.clone() {
            current.restart(reporter, restart).await?;
        }
        current.modified_s = accept.modified_s;
        if let Some(total) = accept.total {
            let missing = total.saturating_sub(current.part.as_ref().map_or(0, |part| part.written().len()));
            current.place.folder.check_space(missing, order.options.min_free_bytes)?;
        }
        let small = accept.length.is_some_and(|length| length <= SMALL) && accept.length == accept.total;
        // A short file says all that there is to say when it is finished, if its job is known to move and from where.
        if !small || current.told.as_deref() != Some(link.peer()) {
            current.connect(reporter, accept.total, link.peer()).await;
        }
        let mut early = Vec::new();
        if small && accept.offset == 0 && accept.skip == 0 && current.part.is_none() {
            match body::collect(current, accept, link, reply).await? {
                Ok((got, end)) => return Ok(current.plan.end(got, end)),
                Err(pieces) => {
                    early = pieces;
                    current.connect(reporter, accept.total, link.peer()).await;
                }
            }
        }
        if current.part.is_none() {
            let part = current.new_part()?;
            if let (Some(total), true) = (accept.total, order.options.preallocate && !small) {
                part.reserve(total)?;
            }
            current.part = Some(part);
        }
        let (got, end) = body::stream(current, order, reporter, accept, link, reply, early).await?;
        Ok(current.plan.end(got, end))
    }

    /// Every byte is there: check it, and hand it over for the last sync. None: the digest was wrong, it begins again.
    async fn complete(&mut self, size: u64, file: &FileOrder) -> Outcome<Option<Finished>> {
        let current = self.current.as_mut().expect("a file is open");
        if current.part.is_none() {
            current.part = Some(current.new_part()?); // an empty file
        }
        let part = current.part.as_mut().expect("just made");
        part.finish_run().await?;
        if let Some(digest) = &file.digest {
            let DigestAlgorithm::Sha256 = digest.algorithm;
            if !part.digest(size).await?.eq_ignore_ascii_case(&digest.hex) {
                let restart = current.plan.digest_mismatch()?;
                current.restart(&self.reporter, restart).await?;
                return Ok(None);
            }
        }
        part.fit(size)?;
        part.synced().await?;
        let done = RangeSet::prefix(size);
        let durable = *part.durable() == done && part.entry_durable();
        let checkpoint = report::checkpoint(current.index, &current.plan, done, current.modified_s, true);
        Ok(Some(Finished { place: part.place.clone(), file: part.file.clone(), checkpoint, durable }))
    }
}

impl Current {
    /// Asks the plan about an answer.
    fn head(&mut self, reply: &Reply) -> Decision {
        let headers: Vec<(&str, &[u8])> =
            reply.head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let now_s = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
        let head = Head { status: reply.head.status.as_u16(), framing: reply.framing, headers: &headers };
        self.plan.head(&head, now_s)
    }

    /// A new temporary file for the version that the plan is bound to.
    pub(super) fn new_part(&self) -> Outcome<Part> {
        let temp = file::create(&self.place, &file::version_tag(self.plan.validator()))?;
        Ok(Part::new(self.place.clone(), temp, self.hashed))
    }

    /// Throws away what is kept, in the file first, and tells it.
    async fn restart(&mut self, reporter: &Reporter, restart: Restart) -> Outcome<()> {
        if let Some(mut part) = self.part.take() {
            part.abandon_run().await;
            let _ = part.synced().await;
        }
        file::remove(&self.place);
        self.modified_s = None;
        reporter.restarted(self.index, restart.reason).await;
        Ok(())
    }

    async fn connect(&mut self, reporter: &Reporter, size: Option<u64>, peer: &str) {
        if !std::mem::replace(&mut self.connected, true) {
            self.told = Some(peer.to_owned());
            reporter.connected(self.index, size, peer).await;
        }
    }
}
