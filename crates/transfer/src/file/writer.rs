//! One thread per body that writes what the socket gives, so that the socket is never left full.

use super::direct::Direct;
use super::hash::Hashes;
use bytes::Bytes;
use rustix::io::{Errno, pwritev};
use std::fs::File;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc, oneshot};

/// Pieces that go out in one system call.
const MAX_SLICES: usize = 64;
/// Batches that may wait; with batches of half a MiB to one MiB this bounds the memory of a transfer.
const QUEUE: usize = 4;

/// How a writer ended, and the hash of what it wrote.
type WriterEnd = (Result<(), Errno>, Option<Hashes>);

/// The writer of one contiguous run of bytes.
pub(super) struct Writer {
    /// Closed by dropping; then the thread writes what is queued and ends.
    queue: Option<mpsc::Sender<Vec<Bytes>>>,
    end: Option<oneshot::Receiver<WriterEnd>>,
    /// Absolute end of what is written (not yet synced).
    written: Arc<AtomicU64>,
    /// Something was written, or the thread ended.
    pub(super) moved: Arc<Notify>,
}

impl Writer {
    /// Starts at `offset`; `direct` is a second descriptor for direct writes; `hash` is carried along if the run is the file from its
    /// first byte.
    pub(super) fn start(
        file: Arc<File>,
        direct: Option<File>,
        offset: u64,
        hash: Option<Hashes>,
    ) -> std::io::Result<Self> {
        let (queue, mut batches) = mpsc::channel::<Vec<Bytes>>(QUEUE);
        let (report, end) = oneshot::channel();
        let written = Arc::new(AtomicU64::new(offset));
        let moved = Arc::new(Notify::new());
        let (at, wake) = (written.clone(), moved.clone());
        std::thread::Builder::new().name("openbits-write".into()).spawn(move || {
            let mut position = offset;
            let mut hash = hash;
            let mut result = Ok(());
            let mut direct = direct.map(Direct::new);
            while let Some(batch) = batches.blocking_recv() {
                result = match &mut direct {
                    None => write_all(&file, &batch, position).map(|()| {
                        position += batch.iter().map(|piece| piece.len() as u64).sum::<u64>();
                    }),
                    Some(direct) => {
                        batch.iter().try_for_each(|piece| direct.take(piece, &file, &mut position)).and_then(
                            |()| if batches.is_empty() { direct.pause(&file, &mut position) } else { Ok(()) },
                        )
                    }
                };
                // What is written is written, also if more of the batch could not be.
                at.store(position, Ordering::Release);
                if result.is_err() {
                    break;
                }
                if let Some(hash) = &mut hash {
                    batch.iter().for_each(|piece| hash.update(piece));
                }
                wake.notify_one();
            }
            if let (Some(direct), Ok(())) = (&mut direct, &result) {
                result = direct.finish(&file, &mut position);
                at.store(position, Ordering::Release);
            }
            // Nobody may be there to hear it: the attempt was dropped with its process.
            let _ = report.send((result, hash));
            wake.notify_one();
        })?;
        Ok(Self { queue: Some(queue), end: Some(end), written, moved })
    }

    /// Waits for room and queues a batch; false if the thread ended (its error comes from [`Writer::finish`]).
    pub(super) async fn push(&self, batch: Vec<Bytes>) -> bool {
        match &self.queue {
            Some(queue) => queue.send(batch).await.is_ok(),
            None => false,
        }
    }

    /// Absolute end of what is written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Waits until everything queued is written. Safe to call again after it was dropped half-way.
    pub(super) async fn finish(&mut self) -> WriterEnd {
        self.queue = None;
        let Some(end) = &mut self.end else { return (Ok(()), None) };
        let result = end.await.unwrap_or((Err(Errno::IO), None));
        self.end = None;
        result
    }
}

/// Writes every piece, one after the other, from `offset` on.
pub(super) fn write_all(file: &File, pieces: &[Bytes], mut offset: u64) -> Result<(), Errno> {
    let mut index = 0;
    let mut skip = 0;
    while index < pieces.len() {
        let slices: Vec<IoSlice<'_>> = pieces[index..]
            .iter()
            .take(MAX_SLICES)
            .enumerate()
            .map(|(n, piece)| IoSlice::new(if n == 0 { &piece[skip..] } else { piece }))
            .collect();
        if slices.iter().all(|slice| slice.is_empty()) {
            index += slices.len();
            skip = 0;
            continue;
        }
        let mut wrote = match pwritev(file, &slices, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(wrote) => wrote,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        offset += wrote as u64;
        while index < pieces.len() && wrote >= pieces[index].len() - skip {
            wrote -= pieces[index].len() - skip;
            index += 1;
            skip = 0;
        }
        skip += wrote;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn pieces_land_one_after_the_other() {
        let mut file = tempfile::tempfile().unwrap();
        let pieces: Vec<Bytes> = (0..200_u8).map(|n| Bytes::from(vec![n; usize::from(n % 7)])).collect();
        write_all(&file, &pieces, 3).unwrap();
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        let expected: Vec<u8> = [0, 0, 0].into_iter().chain(pieces.concat()).collect();
        assert_eq!(all, expected);
    }
}
