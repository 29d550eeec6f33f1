//! The durable progress of a session: 32 bytes, written in place.
//!
//! Two slots in different sectors are written in turn, each with a sequence number and a checksum: a torn write
//! leaves the other slot, whose offset is smaller and therefore still true.

use openbits_core::upload::Progress;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const MAGIC: &[u8; 4] = b"OBP1";
const SLOT: u64 = 4096;
const RECORD: usize = 32;
const UNKNOWN: u64 = u64::MAX;

/// What the file says, and the sequence number of the newest slot; zero progress if no slot is good.
pub(super) fn read(file: &File) -> io::Result<(Progress, u64)> {
    let mut best = (Progress::default(), 0);
    for slot in 0..2 {
        let mut record = [0; RECORD];
        match file.read_exact_at(&mut record, slot * SLOT) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error),
        }
        if let Some((progress, sequence)) = decode(&record).filter(|found| found.1 > best.1) {
            best = (progress, sequence);
        }
    }
    Ok(best)
}

/// Writes the record into the slot of its sequence number and waits until it is durable.
pub(super) fn write(file: &File, progress: Progress, sequence: u64) -> io::Result<()> {
    file.write_all_at(&encode(progress, sequence), (sequence % 2) * SLOT)?;
    file.sync_data()
}

fn encode(progress: Progress, sequence: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..4].copy_from_slice(MAGIC);
    record[4..12].copy_from_slice(&sequence.to_le_bytes());
    record[12..20].copy_from_slice(&progress.next.to_le_bytes());
    record[20..28].copy_from_slice(&progress.total.unwrap_or(UNKNOWN).to_le_bytes());
    let check = crc32fast::hash(&record[..28]);
    record[28..].copy_from_slice(&check.to_le_bytes());
    record
}

fn decode(record: &[u8; RECORD]) -> Option<(Progress, u64)> {
    let number = |at: usize| Some(u64::from_le_bytes(record.get(at..at + 8)?.try_into().ok()?));
    let check = u32::from_le_bytes(record[28..].try_into().ok()?);
    if &record[..4] != MAGIC || crc32fast::hash(&record[..28]) != check {
        return None;
    }
    let total = Some(number(20)?).filter(|total| *total != UNKNOWN);
    Some((Progress { next: number(12)?, total }, number(4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_good_slot_counts() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(read(&file).unwrap(), (Progress::default(), 0));
        for (sequence, next) in [(1, 5), (2, 12), (3, 20)] {
            write(&file, Progress { next, total: Some(30) }, sequence).unwrap();
            assert_eq!(read(&file).unwrap(), (Progress { next, total: Some(30) }, sequence));
        }
    }

    #[test]
    fn a_torn_record_leaves_the_one_before() {
        for byte in 0..RECORD as u64 {
            let file = tempfile::tempfile().unwrap();
            write(&file, Progress { next: 5, total: None }, 1).unwrap();
            write(&file, Progress { next: 12, total: None }, 2).unwrap();
            file.write_all_at(&[0xA5], byte).unwrap();
            assert_eq!(read(&file).unwrap(), (Progress { next: 5, total: None }, 1), "byte {byte}");
        }
    }
}
