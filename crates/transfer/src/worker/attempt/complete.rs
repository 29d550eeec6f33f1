//! Every byte of a file is there: is it the right file?

use super::super::lists::Wanted;
use super::super::report;
use super::Attempt;
use crate::failure::Outcome;
use crate::file::{Cut, Finished, Hashed};
use crate::protocol::Digest;
use openbits_core::RangeSet;

/// What became of a file of which every byte is there.
pub(super) enum Completed {
    /// All of it is right.
    Finished(Box<Finished>),
    /// The digest was wrong: it begins again.
    Again,
    /// These pieces are wrong, and others are right.
    Wrong(Vec<u64>),
}

impl Attempt {
    /// The content is not what is expected: the file begins again, or that is its end.
    pub(super) async fn mismatch(&mut self) -> Outcome<()> {
        let current = self.current.as_mut().expect("a file is open");
        let restart = current.plan.digest_mismatch()?;
        current.restart(&self.reporter, restart).await
    }

    /// Every byte is there: check it, and hand it over for the last sync.
    pub(super) async fn complete(&mut self, size: u64, wanted: &Wanted) -> Outcome<Completed> {
        let current = self.current.as_mut().expect("a file is open");
        if current.plan.layout().is_whole() {
            wanted.check_size(Some(size))?;
        }
        if current.part.is_none() {
            current.take_over(&self.reporter).await?;
            current.part = Some(current.new_part()?); // an empty file
        }
        let part = current.part.as_mut().expect("just made");
        part.finish_run().await?;
        let expected: Vec<&Digest> = wanted.digests.iter().chain(&current.told_digest).collect();
        let pieces = wanted.pieces.as_deref().filter(|_| !current.proven);
        if !expected.is_empty() || pieces.is_some() {
            let algorithms = expected.iter().map(|digest| digest.algorithm()).collect();
            let hashed = Hashed { algorithms, pieces: pieces.map(Cut::of) };
            let found = part.digests(size, &hashed).await?;
            let whole = expected.iter().all(|digest| found.digests.contains(digest));
            let wrong = pieces.map(|pieces| pieces.wrong(&found.pieces)).unwrap_or_default();
            // Wrong pieces of a right file are the fault of a list: nothing gets better by fetching them.
            let proven = whole && !wanted.digests.is_empty();
            let some =
                !wrong.is_empty() && pieces.is_some_and(|pieces| (wrong.len() as u64) < pieces.count());
            if some && !proven && current.plan.may_repair() {
                return Ok(Completed::Wrong(wrong));
            }
            if !whole || !wrong.is_empty() {
                self.mismatch().await?;
                return Ok(Completed::Again);
            }
        }
        part.fit(size)?;
        part.synced().await?;
        let done = RangeSet::prefix(size);
        let durable = *part.durable() == done && part.entry_durable();
        let checkpoint = report::checkpoint(current.index, &current.plan, done, current.modified_s, true);
        let (place, file) = (part.place.clone(), part.file.clone());
        Ok(Completed::Finished(Box::new(Finished { place, file, checkpoint, durable })))
    }
}
