//! Writing a session's bytes into its local file.

use super::{Writer, progress};
use bytes::Bytes;
use openbits_core::upload::Progress;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Writes at the next expected byte; one write runs while the caller gathers the next bytes.
pub struct FileWriter {
    files: Arc<Files>,
    at: u64,
    total: Option<u64>,
    sequence: u64,
    running: Option<JoinHandle<io::Result<()>>>,
    /// A write failed: how far the bytes reach is no longer known.
    failed: bool,
}

struct Files {
    data: File,
    progress: File,
}

impl FileWriter {
    pub(super) fn new(data: File, progress_file: File, total: Option<u64>) -> io::Result<Self> {
        let (progress, sequence) = progress::read(&progress_file)?;
        let total = progress.total.or(total);
        let files = Arc::new(Files { data, progress: progress_file });
        Ok(Self { files, at: progress.next, total, sequence, running: None, failed: false })
    }

    async fn settle(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        let Some(write) = self.running.take() else { return Ok(()) };
        self.failed = true;
        write.await.map_err(io::Error::other)??;
        self.failed = false;
        Ok(())
    }
}

impl Writer for FileWriter {
    async fn write(&mut self, chunks: Vec<Bytes>) -> io::Result<()> {
        self.settle().await?;
        let (files, mut at) = (Arc::clone(&self.files), self.at);
        self.at += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        self.running = Some(tokio::task::spawn_blocking(move || {
            for chunk in &chunks {
                files.data.write_all_at(chunk, at)?;
                at += chunk.len() as u64;
            }
            Ok(())
        }));
        Ok(())
    }

    async fn sync(&mut self) -> io::Result<Progress> {
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
