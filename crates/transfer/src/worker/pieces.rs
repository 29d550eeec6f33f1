//! Digests of pieces: fetching and reading a piece hash file, and fetching the pieces of a file again that are wrong, and only those.
//!
//! What is proven stays, whatever happens: the service is told of everything else as missing before the first byte comes, and nothing that
//! comes is reported before it was looked at. So bytes of several servers may meet here, and nowhere else.

use super::attempt::{Attempt, names_and_login};
use super::lists::Wanted;
use super::mirrors::Blame;
use super::report;
use crate::failure::{Outcome, with};
use crate::file::digest_of;
use crate::protocol::{Digest, FileOrder, Pair, PieceFile};
use openbits_core::classify::Class;
use openbits_core::delivery::codes::DO_E_INTEGRITYCHECKINFO_UNAVAILABLE;
use openbits_core::hresult::{BG_E_VALIDATION_FAILED, E_UNEXPECTED};
use openbits_core::integrity::{Algorithm, MIRRORS_MAX, Pieces, bpm1};
use openbits_core::job::http::RedirectPolicy;
use openbits_core::plan::{Fail, FilePlan, Next, Validator};
use openbits_core::{ErrorContext, RangeSet};
use std::rc::Rc;
use std::sync::Arc;

/// How often wrong pieces of a file are fetched again, in one attempt at one place, whatever happens between.
const ROUNDS: u32 = 3;
/// Most separate ranges that are reported of a file that is mended: a report may have 10,000. Others are fetched again after a stop.
const RANGES_MAX: usize = 8_192;
/// Wrong pieces of so many bytes (or a single one) are fetched, looked at and reported together.
const TOGETHER: u64 = 64 << 20;

/// A file of which pieces are fetched again.
pub(super) struct Repair {
    /// What is known to be right.
    pub(super) proven: RangeSet,
    /// The plan by which the file came; what is stored of it stays bound to its version.
    pub(super) original: FilePlan,
    pub(super) login: Option<Pair>,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Repaired {
    /// Every piece is right.
    Right,
    /// The list of pieces is another one now: all of them have to be looked at again.
    OtherList(Rc<Wanted>),
    /// Nobody serves parts of the file.
    Nowhere,
}

/// The end of a file's attempt, as in [`Attempt::run`].
type Told<T> = Result<T, (Option<u32>, Box<Fail>)>;

impl Attempt {
    /// What the file's piece hash file says; `None`: there is none, or the file goes on without.
    pub(super) async fn pieces_of(&mut self, file: &FileOrder, fresh: bool) -> Outcome<Option<Arc<Pieces>>> {
        let Some(source) = file.piece_file.clone() else { return Ok(None) };
        let fail = match self.read_pieces(&source, file, fresh).await {
            Ok(pieces) => return Ok(Some(pieces)),
            Err(fail) => fail,
        };
        if !source.mandatory {
            tracing::info!(file = file.index, code = %fail.code, detail = fail.detail, "goes on without digests of its pieces");
            return Ok(None);
        }
        let detail = format!("The pieces of the file cannot be checked, and have to be. {}", fail.detail);
        let mut told = unusable(detail);
        // A server that is away for a while is asked again, as that of the file would be.
        (told.class, told.retry_after_ms) = (fail.class, fail.retry_after_ms);
        Err(told)
    }

    async fn read_pieces(
        &mut self,
        source: &PieceFile,
        file: &FileOrder,
        fresh: bool,
    ) -> Outcome<Arc<Pieces>> {
        if !file.wanted.layout.is_whole() {
            return Err(unusable(
                "The file is made of ranges of another, and its pieces are those of the whole.",
            ));
        }
        let list = self.list(&source.location, &file.remote, fresh).await?;
        let pieces = match read(source.clone(), list).await {
            Err(_) if !fresh => {
                // A cache may have kept an old one.
                let list = self.list(&source.location, &file.remote, true).await?;
                read(source.clone(), list).await?
            }
            result => result?,
        };
        if source.mandatory && !will_be_whole(file, pieces.size()) {
            return Err(unusable(
                "Only parts of the file are asked for, and pieces are looked at when all of it is there.",
            ));
        }
        Ok(pieces)
    }

    /// Fetches wrong pieces of the open file again: from the place after `from`, if there is another, and so on in turns. All of the file
    /// must have come, and some of it be right.
    pub(super) async fn repair(
        &mut self,
        file: &FileOrder,
        from: &str,
        wanted: &Rc<Wanted>,
        wrong: Vec<u64>,
    ) -> Told<Repaired> {
        let pieces = wanted.pieces.clone().expect("wrong pieces were found by their list");
        let places = in_turns(&wanted.places, from);
        let mine = |fail| (None, fail);
        let current = self.current.as_mut().expect("a file is open");
        current.told_digest = None; // of what turned out to be wrong
        current.repair = Some(Repair {
            proven: without(&pieces, &wrong),
            original: current.plan.clone(),
            login: current.login.clone(),
        });
        tracing::info!(
            file = file.index,
            wrong = wrong.len(),
            of = pieces.count(),
            "pieces are fetched again"
        );
        self.keep_proven().await.map_err(mine)?;
        let result = self.rounds(file, &places, wanted, &pieces, wrong).await;
        let current = self.current.as_mut().expect("a file is open");
        current.end_repair().await;
        current.proven = matches!(result, Ok(Repaired::Right));
        result
    }

    async fn rounds(
        &mut self,
        file: &FileOrder,
        places: &[String],
        wanted: &Rc<Wanted>,
        pieces: &Arc<Pieces>,
        mut wrong: Vec<u64>,
    ) -> Told<Repaired> {
        let mut dead = vec![false; places.len()];
        while let Some(round) = self.next_round() {
            let mut still = Vec::new();
            for batch in batches(pieces, &wrong) {
                match self.round(file, (places, &mut dead), round, wanted, batch).await? {
                    Some(left) => still.extend(left),
                    None => return Ok(Repaired::Nowhere),
                }
            }
            if still.is_empty() {
                return Ok(Repaired::Right);
            }
            wrong = still;
            if round == 1
                && let Ok(fresh) = self.wanted(file, true).await
                && fresh.pieces.as_ref().is_some_and(|fresh| fresh != pieces)
            {
                return Ok(Repaired::OtherList(fresh));
            }
        }
        let detail = format!(
            "{} of {} pieces of the file do not have the expected digest, as often as they are fetched.",
            wrong.len(),
            pieces.count()
        );
        let mut fail = with(ErrorContext::RemoteFile, BG_E_VALIDATION_FAILED, Class::Fatal, detail);
        fail.discard = true;
        Err((Some(file.index), fail))
    }

    /// The number of the next round, from 1, as long as there is one.
    fn next_round(&mut self) -> Option<u32> {
        let current = self.current.as_mut().expect("a file is open");
        current.rounds += 1;
        (current.rounds <= ROUNDS).then_some(current.rounds)
    }

    /// Fetches some pieces from the first place that serves them all. Comes back with those that are still wrong; `None`: no place does.
    async fn round(
        &mut self,
        file: &FileOrder,
        (places, dead): (&[String], &mut [bool]),
        round: u32,
        wanted: &Rc<Wanted>,
        mut batch: Vec<u64>,
    ) -> Told<Option<Vec<u64>>> {
        let pieces = wanted.pieces.clone().expect("as in the caller");
        let mut passing: Option<Blame> = None;
        for n in 0..places.len() {
            let at = (n + round as usize) % places.len();
            if dead[at] {
                continue;
            }
            let end = self.fetch_pieces(file, &places[at], wanted, &batch).await;
            let current = self.current.as_mut().expect("a file is open");
            if let Err(fail) = &end {
                if fail.context == ErrorContext::LocalFile {
                    return Err((None, fail.clone()));
                }
                tracing::info!(file = file.index, code = %fail.code, detail = fail.detail, "pieces are not served");
                match fail.class {
                    Class::Fatal => dead[at] = true,
                    Class::Transient => {
                        let (http_status, url) = (current.status, Some(current.plan.shown_url()));
                        let mut fail = fail.clone();
                        fail.discard = false; // what is proven stays
                        passing.get_or_insert(Blame { fail, http_status, url });
                    }
                }
            }
            let part = current.part.as_mut().expect("the file came");
            let mine = |fail| (None, fail);
            part.finish_run().await.map_err(mine)?;
            let right = part.right(pieces.clone(), &batch).await.map_err(mine)?;
            let repair = current.repair.as_mut().expect("begun by the caller");
            repair.proven.extend_with(right.iter().map(|piece| pieces.range(*piece)));
            self.keep_proven().await.map_err(mine)?;
            batch.retain(|piece| right.binary_search(piece).is_err());
            if end.is_ok() || batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        match passing {
            // The next attempt asks for the rest.
            Some(blame) => {
                let fail = blame.fail.clone();
                self.blame = Some(blame);
                Err((Some(file.index), fail))
            }
            None => Ok(None),
        }
    }

    /// Gets the bytes of these pieces from one place, to where they belong.
    async fn fetch_pieces(
        &mut self,
        file: &FileOrder,
        place: &str,
        wanted: &Rc<Wanted>,
        batch: &[u64],
    ) -> Outcome<()> {
        let pieces = wanted.pieces.as_deref().expect("as in the caller");
        let (remote, login) = names_and_login(place);
        let (plan, _) = FilePlan::new(&remote, None, RangeSet::new(), Validator::default(), self.limits())?;
        let plan = if place == file.remote { plan } else { plan.for_mirror(&file.remote) };
        let mut plan = plan.for_pieces(pieces.size(), without(pieces, batch));
        // The remote name was told already, or it is a mirror's.
        if self.order.options.redirects == RedirectPolicy::Disallow {
            plan.set_redirects(RedirectPolicy::Disallow);
        }
        let current = self.current.as_mut().expect("a file is open");
        (current.plan, current.login) = (plan, login);
        loop {
            match self.current.as_mut().expect("a file is open").plan.step() {
                Next::Send(request) => self.request(*request, wanted).await?,
                Next::Complete { .. } | Next::Satisfied => return Ok(()),
            }
        }
    }

    /// What is proven is durable and reported; everything else of the file is forgotten.
    async fn keep_proven(&mut self) -> Outcome<()> {
        let current = self.current.as_mut().expect("a file is open");
        let (Some(repair), Some(part)) = (&current.repair, &mut current.part) else { return Ok(()) };
        part.keep_only(&repair.proven);
        part.settle().await?;
        if !self.order.options.volatile {
            let (done, plan) = (reportable(part.durable()), &repair.original);
            let checkpoint = report::checkpoint(current.index, plan, done, current.modified_s, false);
            self.reporter.checkpoint(checkpoint).await;
        }
        Ok(())
    }
}

/// What fits a report.
pub(super) fn reportable(done: &RangeSet) -> RangeSet {
    done.iter().take(RANGES_MAX).collect()
}

/// Everything is asked for, so that the end of the file is the end of the attempt.
fn will_be_whole(file: &FileOrder, size: u64) -> bool {
    let mut asked = file.done.clone();
    asked.extend_with(file.wanted.first.iter().map(|range| range.within(Some(size))));
    !file.wanted.only_first || asked.contains(0..size)
}

/// The file without these pieces.
fn without(pieces: &Pieces, wrong: &[u64]) -> RangeSet {
    let mut rest = RangeSet::prefix(pieces.size());
    wrong.iter().for_each(|piece| rest.remove(pieces.range(*piece)));
    rest
}

/// The places once each, `from` first.
fn in_turns(places: &[String], from: &str) -> Vec<String> {
    let mut turns = vec![from.to_owned()];
    let after = places.iter().position(|place| place == from).map_or(0, |at| at + 1);
    for place in places[after..].iter().chain(&places[..after]) {
        if turns.len() <= MIRRORS_MAX && !turns.contains(place) {
            turns.push(place.clone());
        }
    }
    turns
}

/// Pieces that are fetched together.
fn batches(pieces: &Pieces, wrong: &[u64]) -> Vec<Vec<u64>> {
    let most = usize::try_from(TOGETHER / pieces.length()).unwrap_or(usize::MAX).max(1);
    wrong.chunks(most).map(<[u64]>::to_vec).collect()
}

fn unusable(detail: impl Into<String>) -> Box<Fail> {
    with(ErrorContext::RemoteFile, DO_E_INTEGRITYCHECKINFO_UNAVAILABLE, Class::Fatal, detail)
}

/// Reads a piece hash file, outside of the event loop.
async fn read(source: PieceFile, document: Arc<Vec<u8>>) -> Outcome<Arc<Pieces>> {
    let work = move || {
        let is_of = |digest: &Digest| digest_of(digest.algorithm(), &document) == *digest;
        if !source.digest.as_ref().is_none_or(is_of) {
            return Err(unusable("The piece hash file does not have the digest that was given for it."));
        }
        let pieces = bpm1::parse(&document).map_err(|error| match error {
            bpm1::BpmError::NotBpm => {
                unusable("The form of the piece hash file is not known: it is no BPM1 manifest.")
            }
            error => unusable(format!("The piece hash file cannot be used: {error}.")),
        })?;
        // The root is the SHA-256 of the manifest.
        if source.root.is_some_and(|root| root != digest_of(Algorithm::Sha256, &document)) {
            return Err(unusable("The piece hash file does not have the root that was given for it."));
        }
        Ok(Arc::new(pieces))
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(with(ErrorContext::RemoteFile, E_UNEXPECTED, Class::Transient, "Interrupted."))
    })
}

#[cfg(test)]
mod tests;
