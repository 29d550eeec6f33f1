//! Memory in which arriving bytes are gathered, and the way from there to the disk.
//!
//! Bodies are written past the page cache where that pays: nobody reads an upload soon, every acknowledged byte is synced anyway, and a
//! direct write costs a fraction of the CPU (no page is allocated, copied into, tracked and written back). What does not fill a page goes
//! the usual way; the kernel keeps the two consistent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

/// Alignment of memory, place and length: the page, which every block device divides.
const PAGE: usize = 4096;
/// One direct write. Smaller ones cost more CPU.
const LARGE: usize = 1 << 20;
/// Memory of a body for which a direct write does not pay, or of one too many.
const SMALL: usize = 128 << 10;
/// Bodies that are written directly at the same time; each has two blocks. Others go through the page cache.
const DIRECT_MAX: usize = 16;

/// The large blocks of a server: taken by a body that is worth it, given back at its end.
#[derive(Default)]
pub(super) struct Blocks(Mutex<Free>);

#[derive(Default)]
struct Free {
    taken: usize,
    blocks: Vec<Block>,
}

/// The right to write directly.
pub(super) struct Slot(Arc<Blocks>);

impl Blocks {
    pub(super) fn slot(blocks: &Arc<Self>) -> Option<Slot> {
        let mut free = blocks.0.lock().expect("never poisoned: nothing panics under it");
        if free.taken == DIRECT_MAX {
            return None;
        }
        free.taken += 1;
        Some(Slot(Arc::clone(blocks)))
    }
}

impl Slot {
    pub(super) fn block(&self) -> Block {
        let free = self.0.0.lock().expect("never poisoned: nothing panics under it").blocks.pop();
        free.unwrap_or_else(|| Block::new(LARGE))
    }

    pub(super) fn give(&self, block: Block) {
        let mut free = self.0.0.lock().expect("never poisoned: nothing panics under it");
        // What an idle server keeps is a few MiB.
        if free.blocks.len() < 4 {
            free.blocks.push(block);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.lock().expect("never poisoned: nothing panics under it").taken -= 1;
    }
}

/// Aligned memory: bytes between `begin` and `end`. Where they begin in it is where they begin in their page of the file.
pub(super) struct Block {
    memory: Vec<u8>,
    /// Beginning of the aligned part of `memory`.
    base: usize,
    size: usize,
    begin: usize,
    end: usize,
}

impl Block {
    fn new(size: usize) -> Self {
        let memory = vec![0; size + PAGE];
        let base = memory.as_ptr().align_offset(PAGE);
        Self { memory, base, size, begin: 0, end: 0 }
    }

    pub(super) fn small() -> Self {
        Self::new(SMALL)
    }

    /// Empty, for bytes that belong at `position`.
    pub(super) fn at(mut self, position: u64) -> Self {
        self.begin = usize::try_from(position % PAGE as u64).expect("less than a page");
        self.end = self.begin;
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    pub(super) fn is_full(&self) -> bool {
        self.end == self.size
    }

    /// Takes from the front of `bytes` what fits; how much.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.size - self.end);
        let at = self.base + self.end;
        self.memory[at..at + count].copy_from_slice(&bytes[..count]);
        self.end += count;
        count
    }

    fn bytes(&self, from: usize, to: usize) -> &[u8] {
        &self.memory[self.base + from..self.base + to]
    }

    /// Writes everything at `position`, whole pages directly if there is a file for that.
    pub(super) fn write(&self, plain: &File, direct: Option<&File>, position: u64) -> io::Result<()> {
        let at = |offset: usize| position + (offset - self.begin) as u64;
        let (first, last) = (self.begin.next_multiple_of(PAGE), self.end - self.end % PAGE);
        let Some(direct) = direct.filter(|_| first < last) else {
            return plain.write_all_at(self.bytes(self.begin, self.end), position);
        };
        plain.write_all_at(self.bytes(self.begin, first), position)?;
        let mut done = first;
        while done < last {
            match direct.write_at(self.bytes(done, last), at(done)) {
                // A short write off the page's boundary, or a file system that does not do it: the usual way.
                Ok(count) if count > 0 && count.is_multiple_of(PAGE) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => break,
                Err(error) if matches!(error.raw_os_error(), Some(22 | 95)) => break, // EINVAL, EOPNOTSUPP
                Err(error) => return Err(error),
            }
        }
        plain.write_all_at(self.bytes(done, self.end), at(done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn every_byte_lands_where_it_belongs() {
        // The folder of the source, which is on a real file system more often than /tmp.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("f");
        let plain = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
        let direct = File::options().write(true).custom_flags(flags).open(&path).ok();
        let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for start in [0_u64, 1, 4095, 4096, 12_345] {
            for size in [SMALL, LARGE] {
                let (mut position, mut left, mut step) = (start, &body[..], 1);
                let mut block = Block::new(size).at(position);
                let mut flush = |block: &Block| {
                    block.write(&plain, direct.as_ref(), position).unwrap();
                    position += (block.end - block.begin) as u64;
                    position
                };
                while !left.is_empty() {
                    let count = block.take(&left[..left.len().min(step)]);
                    left = &left[count..];
                    if block.is_full() || step.is_multiple_of(11) {
                        let position = flush(&block);
                        block = block.at(position);
                    }
                    step = (step * 7 + 3) % 300_001;
                }
                flush(&block);
                assert_eq!(position, start + body.len() as u64);
                let mut read = vec![0; body.len()];
                plain.read_exact_at(&mut read, start).unwrap();
                assert!(read == body, "from {start} in blocks of {size}");
                plain.set_len(0).unwrap();
            }
        }
    }

    #[test]
    fn slots_are_few_and_come_back() {
        let blocks = Arc::new(Blocks::default());
        let slots: Vec<_> = (0..DIRECT_MAX).map(|_| Blocks::slot(&blocks).unwrap()).collect();
        assert!(Blocks::slot(&blocks).is_none());
        drop(slots);
        assert!(Blocks::slot(&blocks).is_some());
    }
}
