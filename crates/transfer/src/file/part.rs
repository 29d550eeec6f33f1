//! A file that is being filled: writes, syncs, and what may be reported.

use super::hash::{Found, Hashes, Wanted, digests_of};
use super::writer::{Writer, write_all};
use super::{Folder, Place, direct};
use crate::failure::{Outcome, local, local_io};
use bytes::Bytes;
use openbits_core::RangeSet;
use openbits_core::integrity::Pieces;
use rustix::fs;
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Bytes that are collected before they go to the writer.
const BATCH: usize = 512 << 10;
/// Most bytes that may be received and not yet synced.
pub(crate) const MAX_UNSYNCED: u64 = 12 << 20;

/// Least time between the beginnings of two syncs, unless half of [`MAX_UNSYNCED`] waits: a fast transfer gains nothing from
/// hundreds of journal commits a second, and loses at most this much more at a power cut.
const SYNC_GAP: Duration = Duration::from_millis(200);

/// The run of bytes that one body brings.
struct Run {
    writer: Writer,
    start: u64,
    /// Absolute end of what was handed over, batch included.
    end: u64,
    batch: Vec<Bytes>,
    batch_bytes: usize,
}

/// A sync under way, and what is durable when it succeeds.
struct Sync {
    covers: RangeSet,
    task: JoinHandle<Outcome<()>>,
}

/// Makes a file durable, and its name in the folder if one is given. A value, so that tests can let it fail.
type SyncFile = fn(&File, Option<&Folder>) -> Outcome<()>;

/// A temporary file being filled.
pub(crate) struct Part {
    pub(crate) place: Place,
    pub(crate) file: Arc<File>,
    /// Written by earlier runs.
    settled: RangeSet,
    durable: RangeSet,
    run: Option<Run>,
    sync: Option<Sync>,
    sync_file: SyncFile,
    /// A sync failed, or a write in a way that says nothing good of the disk. The kernel tells such an error once and then counts
    /// the lost pages as written: a later sync would succeed and prove nothing. What was durable before still is; nothing is added.
    poisoned: bool,
    /// The name and the mark of the file are durable too.
    entry_durable: bool,
    last_sync: Instant,
    /// Hash of the file from its first byte to the end of the last run, while that is one piece.
    hash: Option<(u64, Hashes)>,
}

impl Part {
    /// Of a new temporary file; these digests will be asked for.
    pub(crate) fn new(place: Place, file: File, hashed: &Wanted) -> Self {
        let hash = (!hashed.is_empty()).then(|| (0, Hashes::new(hashed)));
        Self::with(place, file, RangeSet::new(), false, hash)
    }

    /// Of a file that an earlier attempt left.
    pub(crate) fn resumed(place: Place, file: File, done: RangeSet) -> Self {
        Self::with(place, file, done, true, None)
    }

    fn with(
        place: Place,
        file: File,
        done: RangeSet,
        entry_durable: bool,
        hash: Option<(u64, Hashes)>,
    ) -> Self {
        Self {
            place,
            file: Arc::new(file),
            settled: done.clone(),
            durable: done,
            run: None,
            sync: None,
            sync_file: sync,
            poisoned: false,
            entry_durable,
            last_sync: Instant::now(),
            hash,
        }
    }

    /// Reserves the space of the whole file, without changing its length. A file system that cannot is fine; one that is full
    /// is not.
    pub(crate) fn reserve(&self, size: u64) -> Outcome<()> {
        match fs::fallocate(&*self.file, fs::FallocateFlags::KEEP_SIZE, 0, size) {
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                Err(local(errno, "The space for the file cannot be reserved"))
            }
            _ => Ok(()),
        }
    }

    /// Begins a run at `offset` of `length` bytes, if that is known; the run before must be finished.
    pub(crate) fn begin(&mut self, offset: u64, length: Option<u64>) -> Outcome<()> {
        debug_assert!(self.run.is_none(), "one run at a time");
        let hash = self.hash.take().filter(|(end, _)| *end == offset).map(|(_, hash)| hash);
        let long = length.is_some_and(|length| length >= direct::DIRECT_FROM);
        let direct = if long { direct::open(&self.place, &self.file) } else { None };
        let writer = Writer::start(self.file.clone(), direct, offset, hash)
            .map_err(|error| local_io(&error, "No thread for writing"))?;
        self.run = Some(Run { writer, start: offset, end: offset, batch: Vec::new(), batch_bytes: 0 });
        Ok(())
    }

    /// Takes the next bytes of the run; waits while the writer is behind.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Outcome<()> {
        let run = self.run.as_mut().expect("bytes come inside a run");
        run.end += bytes.len() as u64;
        run.batch_bytes += bytes.len();
        run.batch.push(bytes);
        if run.batch_bytes >= BATCH {
            return self.flush().await;
        }
        Ok(())
    }

    /// Hands what was collected to the writer.
    pub(crate) async fn flush(&mut self) -> Outcome<()> {
        let Some(run) = self.run.as_mut().filter(|run| run.batch_bytes > 0) else { return Ok(()) };
        run.batch_bytes = 0;
        let batch = std::mem::take(&mut run.batch);
        if run.writer.push(batch).await {
            return Ok(());
        }
        self.finish_run().await
    }

    /// Ends the run: everything handed over is written.
    pub(crate) async fn finish_run(&mut self) -> Outcome<()> {
        let Some(run) = self.run.as_mut() else { return Ok(()) };
        if run.batch_bytes > 0 {
            run.batch_bytes = 0;
            let batch = std::mem::take(&mut run.batch);
            // If the thread ended, its error comes next.
            run.writer.push(batch).await;
        }
        let (result, hash) = run.writer.finish().await;
        let (start, end) = (run.start, run.writer.written());
        self.settled.insert(start..end);
        self.hash = hash.map(|hash| (end, hash));
        self.run = None;
        self.wrote(result)
    }

    /// A write that finds no room says nothing about those before it, and a sync tells whether they found theirs.
    fn wrote(&mut self, result: Result<(), Errno>) -> Outcome<()> {
        result.map_err(|errno| {
            self.poisoned |= !matches!(errno, Errno::NOSPC | Errno::DQUOT | Errno::FBIG);
            local(errno, "The temporary file cannot be written")
        })
    }

    /// Ends the run at once, without what was not yet handed to the writer. For an attempt that is being stopped.
    pub(crate) async fn abandon_run(&mut self) {
        if let Some(run) = &mut self.run {
            run.batch.clear();
            run.batch_bytes = 0;
        }
        // A write error is of no interest any more; what was written before it counts.
        let _ = self.finish_run().await;
    }

    /// What is written so far, synced or not.
    pub(crate) fn written(&self) -> RangeSet {
        let mut written = self.settled.clone();
        if let Some(run) = &self.run {
            written.insert(run.start..run.writer.written());
        }
        written
    }

    /// Bytes received so far, for progress.
    pub(crate) fn received(&self) -> u64 {
        self.settled.len() + self.run.as_ref().map_or(0, |run| run.end - run.start)
    }

    /// What is durable.
    pub(crate) fn durable(&self) -> &RangeSet {
        &self.durable
    }

    /// Bytes that would be lost by a power cut now.
    pub(crate) fn unsynced(&self) -> u64 {
        self.received().saturating_sub(self.durable.len())
    }

    /// Time for a sync, given the limits of the job; never while one runs.
    pub(crate) fn wants_sync(&self, bytes: u64, ms: u64) -> bool {
        if self.sync.is_some() || self.poisoned {
            return false;
        }
        let written =
            self.settled.len() + self.run.as_ref().map_or(0, |run| run.writer.written() - run.start);
        let fresh = written.saturating_sub(self.durable.len());
        let since = self.last_sync.elapsed();
        let enough = fresh >= bytes && since >= SYNC_GAP;
        fresh > 0 && (enough || fresh >= MAX_UNSYNCED / 2 || since.as_millis() >= u128::from(ms))
    }

    /// Starts a sync beside further writes. It covers only what was written before it began. Nothing happens once an error was seen.
    pub(crate) fn start_sync(&mut self) {
        if self.poisoned {
            return;
        }
        let covers = self.written();
        let (file, folder) = (self.file.clone(), self.place.folder.clone());
        let (entry_durable, sync_file) = (self.entry_durable, self.sync_file);
        self.last_sync = Instant::now();
        let task =
            tokio::task::spawn_blocking(move || sync_file(&file, (!entry_durable).then_some(&*folder)));
        self.sync = Some(Sync { covers, task });
    }

    /// True while a sync runs.
    pub(crate) fn syncing(&self) -> bool {
        self.sync.is_some()
    }

    /// Waits for the running sync. Safe to drop and call again.
    pub(crate) async fn synced(&mut self) -> Outcome<()> {
        let Some(sync) = &mut self.sync else { return Ok(()) };
        let result = (&mut sync.task).await;
        let sync = self.sync.take().expect("just seen");
        let interrupted = |_| Err(local(Errno::IO, "The sync of the temporary file was interrupted"));
        match result.unwrap_or_else(interrupted) {
            Ok(()) => {
                self.durable = sync.covers;
                self.entry_durable = true;
                Ok(())
            }
            Err(fail) => {
                self.poisoned = true;
                Err(fail)
            }
        }
    }

    /// Waits for the running sync (true), or else until more is written or the writer ended (false).
    pub(crate) async fn progressed(&mut self) -> Outcome<bool> {
        if self.sync.is_some() {
            self.synced().await?;
            return Ok(true);
        }
        match &self.run {
            Some(run) => run.writer.moved.notified().await,
            None => std::future::pending().await,
        }
        Ok(false)
    }

    /// Writes a short file in one piece, from its first byte, in the calling thread.
    pub(crate) fn fill(&mut self, pieces: &[Bytes], bytes: u64) -> Outcome<()> {
        self.wrote(write_all(&self.file, pieces, 0))?;
        self.settled.insert(0..bytes);
        if let Some((end, hash)) = &mut self.hash {
            pieces.iter().for_each(|piece| hash.update(piece));
            *end = bytes;
        }
        Ok(())
    }

    /// Makes everything written durable, unless an error was seen before. The run must be finished.
    pub(crate) async fn settle(&mut self) -> Outcome<()> {
        self.synced().await?;
        if self.durable != self.settled && !self.poisoned {
            self.start_sync();
            self.synced().await?;
        }
        Ok(())
    }

    /// Digests of the first `size` bytes: carried along while writing, or read back outside of the event loop, all of them in one pass.
    pub(crate) async fn digests(&mut self, size: u64, wanted: &Wanted) -> Outcome<Found> {
        if let Some((end, hash)) = self.hash.take()
            && end == size
            && hash.covers(wanted)
        {
            return Ok(hash.finish());
        }
        let (file, wanted) = (self.file.clone(), wanted.clone());
        tokio::task::spawn_blocking(move || digests_of(&file, 0, size, &wanted))
            .await
            .unwrap_or_else(|_| Err(local(Errno::IO, "Reading back was interrupted")))
    }

    /// Of these pieces, those that are there as a whole and right; reads them back outside of the event loop.
    pub(crate) async fn right(&self, pieces: Arc<Pieces>, of: &[u64]) -> Outcome<Vec<u64>> {
        let of: Vec<u64> =
            of.iter().copied().filter(|piece| self.settled.contains(pieces.range(*piece))).collect();
        let file = self.file.clone();
        let look = move || {
            let wanted = Wanted { algorithms: vec![pieces.algorithm()], pieces: None };
            let mut right = Vec::new();
            for piece in of {
                let range = pieces.range(piece);
                let found = digests_of(&file, range.start, range.end - range.start, &wanted)?;
                if found.digests.iter().any(|digest| pieces.is_right(piece, &digest.to_bytes())) {
                    right.push(piece);
                }
            }
            Ok(right)
        };
        tokio::task::spawn_blocking(look)
            .await
            .unwrap_or_else(|_| Err(local(Errno::IO, "Reading back was interrupted")))
    }

    /// Counts only these bytes as there, of those that are; the run must be finished.
    pub(crate) fn keep_only(&mut self, kept: &RangeSet) {
        debug_assert!(self.run.is_none(), "nothing is being written");
        let both = |of: &RangeSet| -> RangeSet { kept.iter().flat_map(|range| of.parts(range)).collect() };
        (self.settled, self.durable) = (both(&self.settled), both(&self.durable));
        if let Some(sync) = &mut self.sync {
            sync.covers = both(&sync.covers);
        }
        self.hash = None;
    }

    /// Cuts off what may lie behind the end, and makes sure that the file is as long as it must be and was written without an error.
    pub(crate) fn fit(&self, size: u64) -> Outcome<()> {
        if self.poisoned {
            return Err(local(Errno::IO, "The temporary file could not be made durable"));
        }
        let failed = |errno| local(errno, "The temporary file cannot be examined");
        let length = u64::try_from(fs::fstat(&*self.file).map_err(failed)?.st_size).unwrap_or(0);
        if length > size {
            fs::ftruncate(&*self.file, size).map_err(failed)?;
        }
        if length < size {
            return Err(local(Errno::IO, "The temporary file is shorter than what was written"));
        }
        Ok(())
    }

    /// Whether its name is durable.
    pub(crate) fn entry_durable(&self) -> bool {
        self.entry_durable
    }
}

/// Syncs data; the first time also everything about the file, and its name.
fn sync(file: &File, folder: Option<&Folder>) -> Outcome<()> {
    let failed = |errno| local(errno, "The temporary file cannot be synced");
    match folder {
        None => fs::fdatasync(file).map_err(failed),
        Some(folder) => {
            fs::fsync(file).map_err(failed)?;
            folder.sync()
        }
    }
}

#[cfg(test)]
mod tests;
