//! One run of one job: its files, one after the other, and what is asked for of any of them before everything else.

use super::Stop;
use super::body;
use super::report::{self, Reporter};
use super::steer::Steer;
use super::verdicts::Verdicts;
use crate::failure::{Outcome, with};
use crate::file::{self, Finished, Folder, Group, Part, Place, Reopened};
use crate::http::{self, Link, Pool, Reply, Route};
use crate::protocol::{DigestAlgorithm, Event, FileOrder, Order};
use crate::rate::Limiter;
use openbits_core::classify::Class;
use openbits_core::hresult::{BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED, ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED};
use openbits_core::plan::{
    Accept, BodyEnd, Decision, Ended, Fail, FilePlan, Head, Limits, Next, Request, Restart,
};
use openbits_core::{ErrorContext, Priority, RangeSet};
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
    verdicts: Rc<Verdicts>,
    steer: Rc<Steer>,
    /// Files of the order that are finished.
    over: Vec<bool>,
    /// All files before this one are finished.
    front: usize,
    /// Something is, or was, asked for of a file before everything else.
    requests: bool,
    /// Bytes of the files that are finished.
    finished_bytes: u64,
}

/// What an attempt works with, beside its order.
pub(super) struct Means {
    pub(super) pool: Pool,
    pub(super) limiter: Rc<Limiter>,
    /// The job's priority now.
    pub(super) level: Rc<Cell<Priority>>,
    /// What the service asks for meanwhile.
    pub(super) steer: Rc<Steer>,
    pub(super) verdicts: Rc<Verdicts>,
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
    pub(super) fn new(order: Order, events: mpsc::Sender<Event>, means: Means) -> Self {
        let Means { pool, limiter, level, steer, verdicts } = means;
        pool.begin(&order.options.tls);
        let group = Group::new(order.job, order.attempt, events.clone());
        let reporter = Reporter { job: order.job, attempt: order.attempt, events };
        let requests = order.files.iter().any(|file| !file.wanted.first.is_empty());
        Self {
            over: vec![false; order.files.len()],
            order,
            reporter,
            pool,
            limiter,
            level,
            folders: HashMap::new(),
            group,
            current: None,
            told: None,
            verdicts,
            steer,
            front: 0,
            requests,
            finished_bytes: 0,
        }
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
        loop {
            self.steer();
            let Some(at) = self.next_file() else { break };
            let index = self.order.files[at].index;
            self.fetch(at).await.map_err(|(other, fail)| (Some(other.unwrap_or(index)), fail))?;
        }
        self.group.flush().await.map_err(|(file, fail)| (Some(file), fail))
    }

    /// Takes over what the service wants by now.
    fn steer(&mut self) {
        for (index, wanted) in self.steer.take() {
            if let Some(current) = self.current.as_mut().filter(|current| current.index == index) {
                current.plan.want(wanted.clone());
            }
            if let Some(file) = self.order.files.iter_mut().find(|file| file.index == index) {
                self.requests |= !wanted.first.is_empty();
                file.wanted = wanted;
            }
        }
    }

    /// A file, other than this one, of which something is asked for before everything else.
    fn urgent_file(&self, but: Option<usize>) -> Option<usize> {
        let urgent = |file: &FileOrder| {
            file.wanted.first.iter().any(|range| file.done.first_gap(range.within(file.size)).is_some())
        };
        let open = (self.front..self.over.len()).filter(|at| !self.over[*at] && Some(*at) != but);
        open.filter(|_| self.requests).find(|at| urgent(&self.order.files[*at]))
    }

    /// The file to go on with; `None`: nothing that is wanted is missing.
    fn next_file(&mut self) -> Option<usize> {
        while self.over.get(self.front) == Some(&true) {
            self.front += 1;
        }
        let wanted = |at: &usize| !self.over[*at] && !self.order.files[*at].wanted.only_first;
        self.urgent_file(None).or_else(|| (self.front..self.over.len()).find(wanted))
    }

    /// Leaves a file in the middle: what is there of it is made durable and reported.
    async fn put_aside(&mut self, at: usize) -> Outcome<()> {
        let current = self.current.as_mut().expect("a file is open");
        let mut done = RangeSet::new();
        if let Some(part) = &mut current.part {
            part.finish_run().await?;
            part.settle().await?;
            done = part.durable().clone();
        }
        if !done.is_empty() {
            let checkpoint =
                report::checkpoint(current.index, &current.plan, done.clone(), current.modified_s, false);
            self.reporter.checkpoint(checkpoint).await;
        }
        let file = &mut self.order.files[at];
        file.size = current.plan.local_size();
        file.remote_size = current.plan.size();
        file.validator = Some(current.plan.validator().clone());
        file.done = done;
        self.told = self.current.take().and_then(|current| current.told);
        Ok(())
    }

    /// Ends what is under way and reports what is durable.
    async fn wind_down(&mut self, discard: bool) {
        if let Some(mut current) = self.current.take() {
            // Dynamic content cannot be continued, not even after a Suspend (spec/bits-extended.md 16, row 48).
            if discard || current.plan.wanted().dynamic {
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

    /// Transfers one file, up to the queue of finished ones, or as far as it is wanted now.
    async fn fetch(&mut self, at: usize) -> Result<(), (Option<u32>, Box<Fail>)> {
        let mine = |fail| (None, fail);
        let file = self.order.files[at].clone();
        #[cfg(test)]
        super::tests::perhaps_panic(&file.remote);
        self.open(&file).await.map_err(mine)?;
        loop {
            self.steer();
            let current = self.current.as_mut().expect("opened above");
            if !current.plan.is_urgent() && self.urgent_file(Some(at)).is_some() {
                return self.put_aside(at).await.map_err(mine);
            }
            let current = self.current.as_mut().expect("opened above");
            match current.plan.step() {
                Next::Satisfied => return self.put_aside(at).await.map_err(mine),
                Next::Send(request) => self.request(*request).await.map_err(mine)?,
                Next::Complete { size } => {
                    if let Some(finished) = self.complete(size, &file).await.map_err(mine)? {
                        self.over[at] = true;
                        self.finished_bytes = self.finished_bytes.saturating_add(size);
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
        let layout = &file.wanted.layout;
        let size = if layout.is_whole() { file.size } else { file.remote_size };
        let done = layout.remote_set(size, &file.done);
        let (mut plan, mut restart) = FilePlan::new(&file.remote, size, done, validator, limits)?;
        plan.want(file.wanted.clone());
        plan.set_redirects(self.order.options.redirects);
        if let Some(method) = &self.order.options.method {
            restart = restart.or(plan.set_method(method));
        }
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
        // Some servers refuse in HTTP what they could have refused in TLS (spec/bits-extended.md 9.1.1).
        if link.misses_certificate() && matches!(reply.head.status.as_u16(), 400 | 403 | 495 | 496) {
            return Err(with(
                ErrorContext::RemoteFile,
                ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED,
                Class::Fatal,
                "The server asked for a client certificate, the job has none, and the server refused it.",
            ));
        }
        let decision = current.head(&reply);
        if let Some(remote) = current.plan.new_remote()
            && !matches!(decision, Decision::Again(_))
        {
            self.reporter.redirected(current.index, remote).await;
        }
        match decision {
            Decision::Accept(accept) => {
                let surroundings = Surroundings {
                    order: &self.order,
                    reporter: &self.reporter,
                    steer: &self.steer,
                    finished_bytes: self.finished_bytes,
                };
                let (ended, left) =
                    Box::pin(Self::accept(current, &surroundings, &accept, &mut link, &mut reply)).await?;
                drop(reply);
                if self.order.options.tell_ranges
                    && let Some(part) = &current.part
                {
                    self.reporter.written(current.index, part.written());
                }
                match ended {
                    // A body left in the middle ends its connection, or only its stream.
                    Ended::Next if left && !link.is_http2() => Ok(()),
                    Ended::Next => {
                        self.pool.give(route, link);
                        Ok(())
                    }
                    Ended::Again(restart, ms) => {
                        current.restart(&self.reporter, restart).await?;
                        tokio::time::sleep(Duration::from_millis(ms)).await;
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
            let route = Route::new(&request.url, via, options, self.order.attempt);
            // A request with a method of the job's own is sent once, so not on a connection that may be dead already.
            let once = options.method.is_some();
            let idle_link = if once { None } else { self.pool.take(&route, self.order.priority) };
            if let Some(mut link) = idle_link {
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
                    if route.tls && options.tls.validate {
                        let file = self.current.as_ref().expect("a file is open").index;
                        let server = format!("{}:{}", route.host, route.port);
                        self.verdicts.ask(&self.reporter, file, server, link.chain()).await?;
                    }
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

    /// Takes the body of an answer. The second value: it was left in the middle.
    async fn accept(
        current: &mut Current,
        around: &Surroundings<'_>,
        accept: &Accept,
        link: &mut Link,
        reply: &mut Reply,
    ) -> Outcome<(Ended, bool)> {
        let Surroundings { order, reporter, .. } = around;
        if let Some(restart) = accept.restart.clone() {
            current.restart(reporter, restart).await?;
        }
        current.modified_s = accept.modified_s;
        let sparse = current.plan.wanted().only_first;
        let size = current.plan.local_size();
        if let Some(size) = size.filter(|_| !sparse) {
            around.check_cap(size)?;
        }
        if let Some(size) = if sparse { accept.length } else { size } {
            let missing = size.saturating_sub(current.part.as_ref().map_or(0, |part| part.written().len()));
            current.place.folder.check_space(missing, order.options.min_free_bytes)?;
        }
        let small = accept.length.is_some_and(|length| length <= SMALL)
            && accept.length == accept.total
            && current.plan.layout().is_whole();
        // A short file says all that there is to say when it is finished, if its job is known to move and from where.
        if !small || current.told.as_deref() != Some(link.peer()) {
            current.connect(reporter, size, link.peer()).await;
        }
        let mut early = Vec::new();
        if small && accept.offset == 0 && accept.skip == 0 && current.part.is_none() {
            match body::collect(current, accept, link, reply).await? {
                Ok((got, end)) => return Ok((current.plan.end(got, end), false)),
                Err(pieces) => {
                    early = pieces;
                    current.connect(reporter, size, link.peer()).await;
                }
            }
        }
        if current.part.is_none() {
            let part = current.new_part()?;
            if let (Some(size), true) = (size, order.options.preallocate && !small && !sparse) {
                part.reserve(size)?;
            }
            current.part = Some(part);
        }
        let (got, end) = body::stream(current, around, accept, link, reply, early).await?;
        let left = end == BodyEnd::Left;
        Ok((current.plan.end(got, end), left))
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

/// What a body meets on its way, apart from its own file.
pub(super) struct Surroundings<'a> {
    pub(super) order: &'a Order,
    pub(super) reporter: &'a Reporter,
    pub(super) steer: &'a Steer,
    finished_bytes: u64,
}

impl Surroundings<'_> {
    /// So many bytes of the present file, and those of the finished ones, are within the job's limit (MAX_DOWNLOAD_SIZE).
    pub(super) fn check_cap(&self, bytes: u64) -> Outcome<()> {
        let Some(cap) = self.order.options.max_bytes else { return Ok(()) };
        if self.finished_bytes.saturating_add(bytes) <= cap {
            return Ok(());
        }
        Err(with(
            ErrorContext::RemoteFile,
            BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED,
            Class::Fatal,
            "The files are larger than the job's limit.",
        ))
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
