//! Writing a session's bytes into its local file.

use super::block::{Block, Blocks, Slot};
use super::{Writer, progress};
use bytes::Bytes;
use openbits_core::upload::Progress;
use std::fs::File;
use std::io;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Shorter bodies are not worth a direct write.
const DIRECT_FROM: u64 = 2 << 20;

/// Writes at the next expected byte; one block is written while the next one fills.
pub struct FileWriter {
    files: Arc<Files>,
    blocks: Arc<Blocks>,
    /// End of what was taken, and of what was handed over to be written.
    at: u64,
    written: u64,
    total: Option<u64>,
    sequence: u64,
    filling: Option<Block>,
    spare: Option<Block>,
    slot: Option<Slot>,
    running: Option<JoinHandle<io::Result<Block>>>,
    /// With the next block the progress is made durable.
    checkpoint: bool,
    /// A write failed: how far the bytes reach is no longer known.
    failed: bool,
}

struct Files {
    data: File,
    /// The same file, past the page cache.
    direct: Option<File>,
    progress: File,
}

impl FileWriter {
    pub(super) fn new(
        data: File,
        direct: Option<File>,
        progress_file: File,
        total: Option<u64>,
        blocks: Arc<Blocks>,
    ) -> io::Result<Self> {
        let (progress, sequence) = progress::read(&progress_file)?;
        let total = progress.total.or(total);
        let files = Arc::new(Files { data, direct, progress: progress_file });
        Ok(Self {
            files,
            blocks,
            at: progress.next,
            written: progress.next,
            total,
            sequence,
            filling: None,
            spare: None,
            slot: None,
            running: None,
            checkpoint: false,
            failed: false,
        })
    }

    async fn settle(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        let Some(write) = self.running.take() else { return Ok(()) };
        self.failed = true;
        self.spare = Some(write.await.map_err(io::Error::other)??);
        self.failed = false;
        Ok(())
    }

    /// Hands the block over that was filled.
    async fn flush(&mut self) -> io::Result<()> {
        self.settle().await?;
        let Some(block) = self.filling.take() else { return Ok(()) };
        let (files, position) = (Arc::clone(&self.files), self.written);
        self.written = self.at;
        let record = std::mem::take(&mut self.checkpoint).then(|| {
            self.sequence += 1;
            (Progress { next: self.at, total: self.total }, self.sequence)
        });
        let is_direct = self.slot.is_some();
        self.running = Some(tokio::task::spawn_blocking(move || {
            block.write(&files.data, files.direct.as_ref().filter(|_| is_direct), position)?;
            if let Some((reached, sequence)) = record {
                files.data.sync_data()?;
                progress::write(&files.progress, reached, sequence)?;
            }
            Ok(block)
        }));
        Ok(())
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let Some(slot) = &self.slot else { return };
        // One that is still being written is lost to the pool.
        for block in self.filling.take().into_iter().chain(self.spare.take()) {
            slot.give(block);
        }
    }
}

impl Writer for FileWriter {
    fn expect(&mut self, bytes: u64) {
        if bytes >= DIRECT_FROM
            && self.files.direct.is_some()
            && self.filling.is_none()
            && self.slot.is_none()
        {
            self.slot = Blocks::slot(&self.blocks);
        }
    }

    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let mut left = &bytes[..];
        while !left.is_empty() {
            let block = self.filling.get_or_insert_with(|| {
                let block = self.spare.take();
                let block =
                    block.or_else(|| self.slot.as_ref().map(Slot::block)).unwrap_or_else(Block::small);
                block.at(self.at)
            });
            let count = block.take(left);
            self.at += count as u64;
            left = &left[count..];
            if block.is_full() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self) -> io::Result<()> {
        self.checkpoint = true;
        Ok(())
    }

    async fn discard(&mut self) {
        if let Some(write) = self.running.take() {
            let _ = write.await;
        }
    }

    async fn sync(&mut self) -> io::Result<Progress> {
        self.checkpoint = false;
        if self.filling.as_ref().is_some_and(|block| !block.is_empty()) {
            self.checkpoint = true;
            self.flush().await?;
            self.settle().await?;
            return Ok(Progress { next: self.at, total: self.total });
        }
        self.settle().await?;
        let reached = Progress { next: self.at, total: self.total };
        let (files, sequence) = (Arc::clone(&self.files), self.sequence + 1);
        super::local::blocking(move || {
            files.data.sync_data()?;
            progress::write(&files.progress, reached, sequence)
        })
        .await?;
        self.sequence = sequence;
        Ok(reached)
    }
}
