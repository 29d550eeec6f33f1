//! Writing long bodies past the page cache.
//!
//! A download that is larger than a few MiB gains nothing from the page cache and pushes everybody else's files out of it. Direct
//! writes cost a fraction of the CPU (no page is allocated, copied into, tracked and written back later), and the sync that follows
//! has almost nothing left to do. What does not fill a block goes the usual way; the kernel keeps the two consistent.

use super::Place;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::{Errno, pwrite};
use std::fs::File;

/// Alignment of memory, place and length: the page, which every block device divides.
const BLOCK: usize = 4096;
/// Size of one write.
const BUFFER: usize = 1 << 20;
/// Less than this goes through the page cache: a slow transfer has no cost worth saving, and small direct writes are slow.
const WORTH_IT: usize = 256 << 10;
/// Shorter bodies go through the page cache as a whole.
pub(super) const DIRECT_FROM: u64 = 16 << 20;

/// A second descriptor of the temporary file for direct writes; `None` where that is not possible.
pub(super) fn open(place: &Place, file: &File) -> Option<File> {
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let direct = File::from(fs::openat(&place.folder, &*place.temp, flags, Mode::empty()).ok()?);
    let (ours, theirs) = (fs::fstat(file).ok()?, fs::fstat(&direct).ok()?);
    // The name may have been taken by something else meanwhile.
    ((ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)).then_some(direct)
}

/// Collects bytes into aligned blocks.
pub(super) struct Direct {
    file: File,
    memory: Vec<u8>,
    /// Beginning of the aligned part of `memory`.
    base: usize,
    /// Bytes that wait in the buffer; they belong behind `position`.
    filled: usize,
    /// The kernel refused a direct write: everything goes the usual way.
    refused: bool,
}

impl Direct {
    pub(super) fn new(file: File) -> Self {
        let memory = vec![0; BUFFER + BLOCK];
        let base = memory.as_ptr().align_offset(BLOCK);
        Self { file, memory, base, filled: 0, refused: false }
    }

    /// Takes a piece of the body that belongs at `*position + filled`; `*position` is the end of what is written. `plain` is the usual
    /// descriptor.
    pub(super) fn take(&mut self, mut piece: &[u8], plain: &File, position: &mut u64) -> Result<(), Errno> {
        while !piece.is_empty() {
            let behind = usize::try_from(*position % BLOCK as u64).expect("less than a block");
            if self.filled == 0 && behind != 0 {
                let (head, rest) = piece.split_at(piece.len().min(BLOCK - behind));
                write_plain(plain, head, position)?;
                piece = rest;
                continue;
            }
            let (now, rest) = piece.split_at(piece.len().min(BUFFER - self.filled));
            let at = self.base + self.filled;
            self.memory[at..at + now.len()].copy_from_slice(now);
            self.filled += now.len();
            piece = rest;
            if self.filled == BUFFER {
                self.write_blocks(plain, position)?;
            }
        }
        Ok(())
    }

    /// Nothing more is there at the moment: writes what is worth a direct write so, and the rest the usual way if that is all.
    pub(super) fn pause(&mut self, plain: &File, position: &mut u64) -> Result<(), Errno> {
        if self.filled >= WORTH_IT {
            self.write_blocks(plain, position)
        } else {
            self.finish(plain, position)
        }
    }

    /// Writes everything that waits.
    pub(super) fn finish(&mut self, plain: &File, position: &mut u64) -> Result<(), Errno> {
        let filled = std::mem::take(&mut self.filled);
        write_plain(plain, &self.memory[self.base..self.base + filled], position)
    }

    /// Writes the whole blocks; less than a block stays.
    fn write_blocks(&mut self, plain: &File, position: &mut u64) -> Result<(), Errno> {
        let whole = self.filled - self.filled % BLOCK;
        let mut done = 0;
        while done < whole && !self.refused {
            let from = self.base + done;
            match pwrite(&self.file, &self.memory[from..self.base + whole], *position) {
                Ok(0) => return Err(Errno::IO),
                Ok(wrote) => {
                    *position += wrote as u64;
                    done += wrote;
                    // A short write off the block boundary: the rest cannot be direct.
                    self.refused |= !wrote.is_multiple_of(BLOCK);
                }
                Err(Errno::INTR) => {}
                Err(Errno::INVAL | Errno::OPNOTSUPP) => self.refused = true,
                Err(errno) => return Err(errno),
            }
        }
        if self.refused {
            let filled = std::mem::take(&mut self.filled);
            return write_plain(plain, &self.memory[self.base + done..self.base + filled], position);
        }
        self.memory.copy_within(self.base + whole..self.base + self.filled, self.base);
        self.filled -= whole;
        Ok(())
    }
}

fn write_plain(file: &File, mut bytes: &[u8], position: &mut u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match pwrite(file, bytes, *position) {
            Ok(0) => return Err(Errno::IO),
            Ok(wrote) => {
                *position += wrote as u64;
                bytes = &bytes[wrote..];
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};

    fn files(folder: &std::path::Path) -> (File, Option<File>) {
        let path = folder.join("f");
        let plain = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let direct =
            File::options().write(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(&path).ok();
        (plain, direct)
    }

    /// Pieces of odd lengths from an odd place, with pauses in between: the file holds exactly the bytes.
    #[test]
    fn every_byte_lands_where_it_belongs() {
        // The folder of the source, which is on a real file system more often than /tmp.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let (plain, direct) = files(folder.path());
        let Some(direct) = direct else {
            eprintln!("SKIPPED: this file system has no direct writes");
            return;
        };
        let start = 12_345_u64;
        let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut writer = Direct::new(direct);
        let (mut position, mut at, mut step) = (start, 0, 1);
        while at < body.len() {
            let piece = &body[at..body.len().min(at + step)];
            writer.take(piece, &plain, &mut position).unwrap();
            at += piece.len();
            assert!(position <= start + at as u64);
            if step % 5 == 0 {
                writer.pause(&plain, &mut position).unwrap();
            }
            step = (step * 7 + 3) % 700_001;
        }
        writer.finish(&plain, &mut position).unwrap();
        assert_eq!(position, start + body.len() as u64);
        let mut read = vec![0; body.len()];
        plain.read_exact_at(&mut read, start).unwrap();
        assert!(read == body);
    }

    /// A descriptor that refuses direct writes (here: one that cannot be written at all that way) is not used twice.
    #[test]
    fn a_refusal_falls_back_to_the_usual_way() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, _) = files(folder.path());
        let mut writer = Direct::new(plain.try_clone().unwrap());
        writer.refused = true;
        let mut position = 0;
        let body = vec![7_u8; BUFFER * 2 + 5];
        writer.take(&body, &plain, &mut position).unwrap();
        writer.finish(&plain, &mut position).unwrap();
        assert_eq!((position, plain.metadata().unwrap().len()), (body.len() as u64, body.len() as u64));
    }
}
