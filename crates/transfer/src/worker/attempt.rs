//! One run of one job: its files, one after the other, and what is asked for of any of them before everything else.

mod complete;
mod current;
mod leave;
mod reach;

use complete::Completed;
pub(super) use current::Surroundings;
pub(super) use reach::decide;

use super::Stop;
use super::body;
use super::lists::{Lists, Wanted};
use super::mirrors::{Blame, Mirrors};
use super::pieces::{Repair, Repaired};
use super::report::{self, Reporter};
use super::steer::Steer;
use super::verdicts::Verdicts;
use crate::auth::Auth;
use crate::failure::{Outcome, with};
use crate::file::{self, Folder, Group, Hashed, Part, Place, Reopened};
use crate::http::{Pool, Route};
use crate::protocol::{Digest, Event, FileOrder, Order, Pair, headers_max};
use crate::rate::{Level, Limiter};
use crate::source::Source;
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::{E_UNEXPECTED, ERROR_FILE_NOT_FOUND, ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED};
use openbits_core::plan::{Accept, BodyEnd, Decision, Ended, Fail, FilePlan, Limits, Next, Request};
use openbits_core::secret::split_login;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Bodies up to this size are collected and written in one piece, without a writer of their own.
const SMALL: u64 = 256 << 10;
/// Body of an answer that is of no use, but short enough to be read for the sake of the connection.
const DRAIN: u64 = 16 << 10;

/// An attempt at a job.
pub(crate) struct Attempt {
    pub(super) order: Order,
    pub(super) reporter: Reporter,
    pool: Pool,
    limiter: Rc<Limiter>,
    level: Rc<Level>,
    auth: Auth,
    folders: HashMap<PathBuf, Arc<Folder>>,
    group: Group,
    pub(super) current: Option<Current>,
    pub(super) lists: Lists,
    /// The failure of an earlier mirror, which is told instead of the last one's.
    pub(super) blame: Option<Blame>,
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
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) pool: Pool,
    pub(crate) limiter: Rc<Limiter>,
    /// The job's priority now.
    pub(crate) level: Rc<Level>,
    /// What the service asks for meanwhile.
    pub(super) steer: Rc<Steer>,
    pub(crate) verdicts: Rc<Verdicts>,
}

/// What is there of a file when a place is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Of the same place: it may be continued.
    OfThis,
    /// Of another mirror: bytes of two are never mixed.
    OfAnother,
}

/// An answer, from wherever.
pub(super) struct Reached {
    /// Where its connection may be used again.
    pub(super) route: Option<Route>,
    pub(super) source: Source,
    /// Why the peer did not let us pass, if it did not.
    pub(super) why: Option<String>,
}

/// A remote name without its login, and the login. A share is asked with the name as it is.
pub(super) fn names_and_login(remote: &str) -> (String, Option<Pair>) {
    if !remote.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")) {
        return (remote.to_owned(), None);
    }
    let (remote, login) = split_login(remote);
    (remote, login.map(|login| Pair::of_userinfo(login.reveal())))
}

/// The file that is being transferred.
pub(super) struct Current {
    pub(super) index: u32,
    pub(super) plan: FilePlan,
    pub(super) place: Place,
    /// User and password of the URL.
    pub(super) login: Option<Pair>,
    pub(super) part: Option<Part>,
    pub(super) modified_s: Option<i64>,
    hashed: Hashed,
    /// What the server says of the version that the plan is bound to (`Repr-Digest`).
    pub(super) told_digest: Option<Digest>,
    /// Pieces are being fetched again: `plan` and `login` are those of the place that serves them.
    pub(super) repair: Option<Repair>,
    /// How often pieces were fetched again.
    pub(super) rounds: u32,
    /// Every piece was looked at and is right.
    pub(super) proven: bool,
    /// What lies under the temporary name is of another mirror. It stays until this one has something better.
    others: bool,
    connected: bool,
    /// The peer that an earlier file told of.
    told: Option<String>,
    pub(super) status: Option<u16>,
}

impl Attempt {
    pub(crate) fn new(order: Order, events: mpsc::Sender<Event>, means: Means) -> Self {
        let Means { pool, limiter, level, steer, verdicts } = means;
        pool.begin(&order.options.tls);
        let group = Group::new(order.job, order.attempt, events.clone());
        let reporter = Reporter { job: order.job, attempt: order.attempt, events };
        let auth = Auth::new(&order.options);
        let requests = order.files.iter().any(|file| !file.wanted.first.is_empty());
        Self {
            over: vec![false; order.files.len()],
            order,
            reporter,
            pool,
            limiter,
            auth,
            level,
            folders: HashMap::new(),
            group,
            current: None,
            lists: Lists::default(),
            blame: None,
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
    pub(crate) async fn go(mut self, stop: &Stop) -> Option<Event> {
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
                let (status, url) = match self.blame.take() {
                    Some(blame) => (blame.http_status, blame.url),
                    None => about.map_or((None, None), |c| (c.status, Some(c.plan.shown_url()))),
                };
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

    /// Transfers one file, up to the queue of finished ones, from the first of its places that has it.
    async fn fetch(&mut self, at: usize) -> Result<(), (Option<u32>, Box<Fail>)> {
        let file = self.order.files[at].clone();
        #[cfg(test)]
        super::tests::perhaps_panic(&file.remote);
        let mut wanted = self.wanted(&file, false).await.map_err(|fail| (None, fail))?;
        let kept_from = file.validator.as_ref().and_then(|v| v.mirror.clone()).unwrap_or(file.remote.clone());
        let mut mirrors = Mirrors::new(wanted.places.iter().cloned(), Some(&kept_from));
        let (mut first, mut something) = (true, !file.done.is_empty());
        while let Some(place) = mirrors.next() {
            let left = match (std::mem::take(&mut first) && place == kept_from, something) {
                (true, _) => Left::OfThis,
                (false, true) => Left::OfAnother,
                (false, false) => Left::Nothing,
            };
            let fail = match self.fetch_from(at, &file, &place, left, &mut wanted).await {
                Ok(()) => return Ok(()),
                Err((None, fail)) => fail,
                Err(of_another) => return Err(of_another),
            };
            let about = self.current.as_ref().map(|current| (current.status, current.plan.shown_url()));
            let (http_status, url) = about.map_or((None, None), |(status, url)| (status, Some(url)));
            if !mirrors.may_help(&fail) {
                if wanted.places.len() == 1 {
                    return Err((None, fail));
                }
                // What the last place left is dealt with as always; what is told may be another's failure.
                let discard = fail.discard;
                mirrors.failed(Blame { fail, http_status, url });
                let mut blame = mirrors.verdict().expect("a failure was just noted");
                blame.fail.discard = discard;
                let fail = blame.fail.clone();
                self.blame = Some(blame);
                return Err((None, fail));
            }
            tracing::info!(file = file.index, code = %fail.code, detail = fail.detail, "another mirror is tried");
            something = self.set_aside(fail.discard).await.map_err(|fail| (None, fail))?;
            mirrors.failed(Blame { fail, http_status, url });
        }
        Err((None, with(ErrorContext::RemoteFile, E_UNEXPECTED, Class::Transient, "The file has no place.")))
    }

    /// Transfers one file from one place.
    async fn fetch_from(
        &mut self,
        at: usize,
        file: &FileOrder,
        place: &str,
        left: Left,
        wanted: &mut Rc<Wanted>,
    ) -> Result<(), (Option<u32>, Box<Fail>)> {
        let mine = |fail| (None, fail);
        self.open(file, place, left, wanted).await.map_err(mine)?;
        loop {
            self.steer();
            let current = self.current.as_mut().expect("opened above");
            if !current.plan.is_urgent() && self.urgent_file(Some(at)).is_some() {
                return self.put_aside(at).await.map_err(mine);
            }
            let current = self.current.as_mut().expect("opened above");
            match current.plan.step() {
                Next::Satisfied => return self.put_aside(at).await.map_err(mine),
                Next::Send(request) => self.request(*request, wanted).await.map_err(mine)?,
                Next::Complete { size } => {
                    match self.complete(size, wanted).await.map_err(mine)? {
                        Completed::Finished(finished) => {
                            self.over[at] = true;
                            self.finished_bytes = self.finished_bytes.saturating_add(size);
                            self.told = self.current.take().and_then(|current| current.told);
                            return self
                                .group
                                .add(*finished)
                                .await
                                .map_err(|(file, fail)| (Some(file), fail));
                        }
                        Completed::Wrong(pieces) => {
                            match Box::pin(self.repair(file, place, wanted, pieces)).await? {
                                Repaired::Right => continue,
                                Repaired::OtherList(fresh) => {
                                    *wanted = fresh;
                                    self.current.as_mut().expect("still open").hashed = wanted.hashed();
                                    continue;
                                }
                                Repaired::Nowhere => self.mismatch().await.map_err(mine)?,
                            }
                        }
                        Completed::Again => {}
                    }
                    // The lists may be as old as what a cache gave for the file.
                    if !file.sources.is_empty() || file.piece_file.is_some() {
                        *wanted = self.wanted_anew(file, wanted).await.map_err(mine)?;
                        let current = self.current.as_mut().expect("still open");
                        current.hashed = wanted.hashed();
                    }
                }
            }
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_redirects: self.order.options.max_redirects,
            allow_https_to_http: self.order.options.allow_https_to_http,
        }
    }

    /// Finds the place, and what is left of an earlier attempt.
    async fn open(&mut self, file: &FileOrder, from: &str, left: Left, wanted: &Wanted) -> Outcome<()> {
        let (kept, others) = (left == Left::OfThis, left == Left::OfAnother);
        let limits = self.limits();
        let (parent, name) = Place::split(&file.local)?;
        let folder = match self.folders.get(parent) {
            Some(folder) => folder.clone(),
            None => {
                let folder = Arc::new(Folder::open(parent)?);
                self.folders.insert(parent.to_owned(), folder.clone());
                folder
            }
        };
        let place = Place { made: file.made, ..Place::new(folder, name, &file.temp)? };
        place.check_target()?;
        let known = if file.wanted.layout.is_whole() { file.size } else { file.remote_size };
        let (size, done, mut validator) = match kept {
            true => (known, file.done.clone(), file.validator.clone().unwrap_or_default()),
            false => Default::default(),
        };
        let tag = file::version_tag(&validator);
        if file.moved && validator.last_modified.is_some() {
            validator.etag = None;
        }
        let (remote, login) = names_and_login(from);
        let layout = &file.wanted.layout;
        let done = layout.remote_set(size, &done);
        let (mut plan, mut restart) = FilePlan::new(&remote, size, done, validator, limits)?;
        if from != file.remote {
            plan = plan.for_mirror(&file.remote);
        }
        plan.want(file.wanted.clone());
        plan.set_redirects(self.order.options.redirects);
        if self.order.options.any_success {
            plan.accept_any_success();
        }
        if let Some(method) = &self.order.options.method {
            restart = restart.or(plan.set_method(method));
        }
        let current = self.current.insert(Current {
            index: file.index,
            plan,
            place,
            login,
            part: None,
            modified_s: None,
            hashed: wanted.hashed(),
            told_digest: None,
            repair: None,
            rounds: 0,
            proven: false,
            others,
            connected: false,
            told: self.told.take(),
            status: None,
        });
        if let Some(restart) = restart {
            return current.restart(&self.reporter, restart).await;
        }
        if file.done.is_empty() || !kept {
            return Ok(());
        }
        let new_tag = file::version_tag(current.plan.validator());
        let mut reopened = file::reopen(&current.place, file.done.end(), &tag)?;
        if new_tag != tag {
            // The mark follows the name, and the service hears of it at once. A crash between the two leaves the new mark.
            if matches!(reopened, Reopened::Lost(_)) {
                reopened = file::reopen(&current.place, file.done.end(), &new_tag)?;
            }
            if let Reopened::Usable(temp) = &reopened {
                file::mark_version(temp, &new_tag)?;
                let done = file.done.clone();
                let checkpoint = report::checkpoint(current.index, &current.plan, done, None, false);
                self.reporter.checkpoint(checkpoint).await;
            }
        }
        match reopened {
            Reopened::Usable(temp) => {
                current.part = Some(Part::resumed(current.place.clone(), temp, file.done.clone()));
                Ok(())
            }
            Reopened::Gone if self.order.options.loss_is_fatal => {
                let detail = "The temporary file is gone.";
                let mut fail = with(ErrorContext::LocalFile, ERROR_FILE_NOT_FOUND, Class::Fatal, detail);
                fail.discard = true;
                Err(fail)
            }
            Reopened::Gone => {
                let restart = current.plan.local_lost("the temporary file is gone")?;
                current.restart(&self.reporter, restart).await
            }
            Reopened::Lost(reason) => {
                let restart = current.plan.local_lost(reason)?;
                current.restart(&self.reporter, restart).await
            }
        }
    }

    /// One request and what comes of it.
    pub(super) async fn request(&mut self, request: Request, wanted: &Wanted) -> Outcome<()> {
        let original = self.current.as_ref().expect("a file is open").plan.original().clone();
        let Reached { route, mut source, why } = Box::pin(self.reach(&request, &original)).await?;
        let current = self.current.as_mut().expect("a file is open");
        current.status = source.http_status();
        // Some servers refuse in HTTP what they could have refused in TLS (spec/bits-extended.md 9.1.1).
        if source.misses_certificate() && matches!(current.status, Some(400 | 403 | 495 | 496)) {
            return Err(with(
                ErrorContext::RemoteFile,
                ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED,
                Class::Fatal,
                "The server asked for a client certificate, the job has none, and the server refused it.",
            ));
        }
        let decision = decide(&mut current.plan, &source);
        if let Source::Http(http) = &source
            && !matches!(decision, Decision::Again(_))
        {
            let max = headers_max(self.order.files.len());
            self.reporter.headers(current.index, report::head_text(&http.1.head, max)).await;
        }
        if let Some(remote) = current.plan.new_remote()
            && !matches!(decision, Decision::Again(_))
        {
            self.reporter.redirected(current.index, remote).await;
        }
        match decision {
            Decision::Accept(accept) => {
                wanted.check_size(accept.total)?;
                let surroundings = Surroundings {
                    order: &self.order,
                    reporter: &self.reporter,
                    steer: &self.steer,
                    finished_bytes: self.finished_bytes,
                };
                let told = reach::server_digest(&source).filter(|_| self.order.options.method.is_none());
                let (ended, left) =
                    Box::pin(Self::accept(current, &surroundings, &accept, told, &mut source)).await?;
                if self.order.options.tell_ranges
                    && current.repair.is_none()
                    && let Some(part) = &current.part
                {
                    self.reporter.written(current.index, part.written());
                }
                match ended {
                    // A body left in the middle ends its connection, or only its stream.
                    Ended::Next if left && !source.is_http2() => Ok(()),
                    Ended::Next => {
                        self.give_back(route, source);
                        Ok(())
                    }
                    Ended::Again(restart, ms) => {
                        current.restart(&self.reporter, restart).await?;
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        Ok(())
                    }
                    Ended::Soon(ms) => {
                        drop(source);
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        Ok(())
                    }
                    Ended::Fail(fail) => Err(fail),
                }
            }
            Decision::Empty(accept) => {
                wanted.check_size(Some(0))?;
                current.modified_s = accept.modified_s;
                current.connect(&self.reporter, Some(0), source.peer()).await;
                self.put_back(route, source).await;
                Ok(())
            }
            Decision::Again(restart) => {
                if let Some(restart) = restart {
                    current.restart(&self.reporter, restart).await?;
                }
                self.put_back(route, source).await;
                Ok(())
            }
            Decision::Fail(mut fail) => {
                if let Some(why) = why {
                    fail.detail = format!("{} {why}", fail.detail).trim_start().to_owned();
                }
                self.put_back(route, source).await;
                Err(fail)
            }
        }
    }

    /// Takes the body of an answer. The second value: it was left in the middle.
    async fn accept(
        current: &mut Current,
        around: &Surroundings<'_>,
        accept: &Accept,
        told: Option<Digest>,
        source: &mut Source,
    ) -> Outcome<(Ended, bool)> {
        let Surroundings { order, reporter, .. } = around;
        if let Some(restart) = accept.restart.clone() {
            current.restart(reporter, restart).await?;
        }
        current.take_over(reporter).await?;
        if current.repair.is_none() {
            if let Some(told) = told.filter(|_| current.plan.layout().is_whole()) {
                current.expect(told);
            }
            current.modified_s = accept.modified_s;
        }
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
        if !small || current.told.as_deref() != Some(source.peer()) {
            current.connect(reporter, size, source.peer()).await;
        }
        let mut early = Vec::new();
        if small && accept.offset == 0 && accept.skip == 0 && current.part.is_none() {
            match body::collect(current, accept, source).await? {
                Ok((got, end)) => return Ok((current.plan.end(got, end), false)),
                Err(pieces) => {
                    early = pieces;
                    current.connect(reporter, size, source.peer()).await;
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
        let (got, end) = body::stream(current, around, accept, source, early).await?;
        let left = end == BodyEnd::Left;
        Ok((current.plan.end(got, end), left))
    }
}
