//! Reading a local file from async code.

use super::Reader;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Random access to an open file.
#[derive(Clone)]
pub struct FileReader(Arc<File>);

impl FileReader {
    pub(super) fn new(file: File) -> Self {
        Self(Arc::new(file))
    }
}

impl Reader for FileReader {
    async fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let file = Arc::clone(&self.0);
        super::local::blocking(move || {
            let mut buffer = vec![0; length];
            let mut filled = 0;
            while filled < length {
                match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            buffer.truncate(filled);
            Ok(Bytes::from(buffer))
        })
        .await
    }
}
