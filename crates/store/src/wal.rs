//! A look at the write-ahead log before SQLite reads it.
//!
//! SQLite stops at the first frame whose checksum fails and takes the rest for a torn tail, which is right after a
//! crash and wrong after damage: acknowledged commits behind a flipped bit would vanish without a word. With
//! `synchronous=FULL` each commit is on disk before the next is written, so a torn tail holds at most one commit.
//! Two or more commits from the bad frame on, or a bad log header before frames, mean damage. What cannot be told from
//! a torn tail: damage to the very last commit, and a log that was cut at its end.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Describes the damage, if there is any.
pub(crate) fn damage(path: &Path) -> std::io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if file.metadata()?.len() <= HEADER as u64 {
        return Ok(None);
    }
    let mut input = BufReader::with_capacity(1 << 18, file);
    let mut header = [0; HEADER];
    input.read_exact(&mut header)?;
    let big_endian = match word(&header, 0) {
        0x377F_0682 => false,
        0x377F_0683 => true,
        _ => return Ok(Some("the header of the write-ahead log is wrong".into())),
    };
    let mut sum = Checksum { big_endian, s: (0, 0) };
    sum.add(&header[..24]);
    let page = word(&header, 8) as usize;
    if sum.s != (word(&header, 24), word(&header, 28)) || !(512..=65536).contains(&page) {
        return Ok(Some("the header of the write-ahead log fails its checksum".into()));
    }
    let mut frame = vec![0; FRAME_HEADER + page];
    let (mut number, mut bad, mut commits_after) = (0_u64, None, 0_u32);
    while filled(&mut input, &mut frame)? {
        number += 1;
        let same_log = frame[8..16] == header[16..24];
        if bad.is_none() {
            sum.add(&frame[..8]);
            sum.add(&frame[FRAME_HEADER..]);
            if !same_log || sum.s != (word(&frame, 16), word(&frame, 20)) {
                bad = Some(number);
            }
        }
        let is_commit = word(&frame, 4) != 0;
        if bad.is_some() && same_log && is_commit {
            commits_after += 1;
        }
    }
    Ok(bad.filter(|_| commits_after >= 2).map(|bad| {
        format!("the write-ahead log is damaged at frame {bad}; about {commits_after} commits from there on are lost")
    }))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a whole frame; false at the end or at a partial frame, which no commit reached.
fn filled(input: &mut impl Read, frame: &mut [u8]) -> std::io::Result<bool> {
    match input.read_exact(frame) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// SQLite's log checksum (file format, section 4.2).
struct Checksum {
    big_endian: bool,
    s: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let read = |at: usize| {
                let four = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
            };
            self.s.0 = self.s.0.wrapping_add(read(0)).wrapping_add(self.s.1);
            self.s.1 = self.s.1.wrapping_add(read(4)).wrapping_add(self.s.0);
        }
    }
}
