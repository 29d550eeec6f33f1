//! Damage at random places: `open` never panics and never loses without a word.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{batch, event, file, job, open};
use openbits_store::{EventRow, Finding, Loaded, Op, Options, Store};

const JOBS: u32 = 300;
const PAGE: usize = 4096;

/// SplitMix64: the seed names the case.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

struct Original {
    bytes: Vec<u8>,
    loaded: Loaded,
    events: Vec<EventRow>,
}

fn original() -> Original {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let store = open(&path).store;
    for n in 0..JOBS {
        let mut ops = vec![Op::PutJob(job(n, "name")), Op::AppendEvent(event(u64::from(n) + 1, n))];
        ops.extend((0..2).map(|i| Op::PutFile(file(n, i, "t"))));
        ops.push(Op::PutMeta { key: format!("key {}", n % 40), value: format!("value {n}") });
        if n % 10 == 9 {
            ops.push(Op::DeleteJob(common::id(n - 5)));
        }
        batch(&store, ops).unwrap();
    }
    // Long rows have overflow pages.
    let mut long = job(5000, "long");
    long.doc = format!("\"{}\"", "x".repeat(30_000));
    batch(&store, vec![Op::PutJob(long)]).unwrap();
    let loaded = store.reload().unwrap();
    let events = store.events_after(0, None, None, usize::MAX).unwrap();
    store.close();
    Original { bytes: fs::read(&path).unwrap(), loaded, events }
}

fn set<T: Ord + Clone>(rows: &[T]) -> BTreeSet<T> {
    rows.iter().cloned().collect()
}

/// Opens and checks the promise; says whether damage was found, and what was loaded.
fn check(path: &Path, original: &Original, case: &str) -> (bool, Loaded) {
    let damaged = fs::read(path).unwrap();
    let opened = Store::open(path, Options::default()).unwrap_or_else(|e| panic!("{case}: {e:?}"));
    let events = opened.store.events_after(0, None, None, usize::MAX).unwrap();
    let [finding] = &opened.findings[..] else {
        assert_eq!(opened.findings, [], "{case}");
        assert!(opened.loaded == original.loaded, "{case}: changed rows and no finding");
        assert!(events == original.events, "{case}: changed events and no finding");
        return (false, opened.loaded);
    };
    let Finding::DamagedKeptAside { path: aside, salvaged_jobs, salvaged_files, .. } = finding else {
        panic!("{case}: {finding:?}");
    };
    assert!(fs::read(aside).unwrap() == damaged, "{case}: the copy kept aside is not what was found");
    assert_eq!(
        (*salvaged_jobs, *salvaged_files),
        (opened.loaded.jobs.len() as u64, opened.loaded.files.len() as u64)
    );
    assert!(set(&opened.loaded.jobs).is_subset(&set(&original.loaded.jobs)), "{case}: invented jobs");
    assert!(set(&opened.loaded.files).is_subset(&set(&original.loaded.files)), "{case}: invented files");
    assert!(set(&events).is_subset(&set(&original.events)), "{case}: invented events");
    assert!(
        opened.loaded.meta.iter().all(|kv| original.loaded.meta.get_key_value(kv.0) == Some(kv)),
        "{case}"
    );
    opened.store.close();
    let again = open(path);
    assert_eq!((again.findings, &again.loaded), (vec![], &opened.loaded), "{case}: the new file is sound");
    (true, opened.loaded)
}

fn planted(dir: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join("queue.db");
    open(&path).store.close();
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn random_damage_is_found_or_harmless() {
    let original = original();
    let (mut found, mut rows) = (0, 0);
    for seed in 0..240_u64 {
        let mut random = Random(seed);
        let mut bytes = original.bytes.clone();
        let at = random.below(bytes.len());
        let page = at / PAGE * PAGE;
        let kind = match seed % 8 {
            0 | 1 => {
                bytes[at] ^= 1 << random.below(8);
                "bit"
            }
            2 => {
                bytes[at] = bytes[at].wrapping_add(1 + random.below(255) as u8);
                "byte"
            }
            3 => {
                bytes.truncate(at);
                "truncated"
            }
            4 => {
                bytes[at / 512 * 512..][..512].fill(0);
                "zeroed sector"
            }
            5 => {
                bytes[page..page + PAGE].iter_mut().for_each(|b| *b = random.next() as u8);
                "noise page"
            }
            6 => {
                let other = random.below(original.bytes.len()) / PAGE * PAGE;
                bytes.copy_within(other..other + PAGE, page);
                "page of elsewhere"
            }
            _ => {
                for _ in 0..20 {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
                "20 bits"
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let (damaged, loaded) =
            check(&planted(&dir, &bytes), &original, &format!("seed {seed}: {kind} at {at}"));
        found += u32::from(damaged);
        rows += loaded.jobs.len();
    }
    let share = rows as f64 / (240.0 * original.loaded.jobs.len() as f64);
    println!("damage found in {found} of 240 cases, {:.1} % of the jobs there afterwards", share * 100.0);
    assert!(found > 100);
    assert!(share > 0.6, "salvage saves most of the jobs: {share}");
}

#[test]
fn every_byte_of_the_header_may_be_wrong() {
    let original = original();
    for at in 0..116 {
        for change in [0x01, 0x80, 0xFF] {
            let mut bytes = original.bytes.clone();
            bytes[at] ^= change;
            let dir = tempfile::tempdir().unwrap();
            let (_, loaded) =
                check(&planted(&dir, &bytes), &original, &format!("header byte {at} ^ {change:#x}"));
            if at < 100 {
                assert!(loaded == original.loaded, "byte {at}: rows are intact, all must be saved");
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_damage() {
    let original = original();
    // Whole pages, parts of pages, and the last page of each kind: SQLite reports these cuts in different ways.
    for cut in (1..40).map(|n| n * 1021).chain([1, PAGE, 2 * PAGE, 2 * PAGE + 7]) {
        let length = original.bytes.len() - cut;
        let dir = tempfile::tempdir().unwrap();
        let (damaged, _) =
            check(&planted(&dir, &original.bytes[..length]), &original, &format!("cut by {cut}"));
        assert!(damaged, "cut by {cut}");
    }
}

#[test]
fn a_lost_first_page_costs_no_row() {
    let original = original();
    let mut bytes = original.bytes.clone();
    bytes[100..PAGE].fill(0xAA);
    let dir = tempfile::tempdir().unwrap();
    let (damaged, loaded) = check(&planted(&dir, &bytes), &original, "first page");
    assert!(damaged);
    assert!(loaded == original.loaded);
    // The whole first page, with everything that says whose file it is: the lock file remembers.
    for filling in [0, 0xAA] {
        let mut bytes = original.bytes.clone();
        bytes[..PAGE].fill(filling);
        let dir = tempfile::tempdir().unwrap();
        let (damaged, loaded) = check(&planted(&dir, &bytes), &original, "whole first page");
        assert!(damaged);
        assert!(loaded == original.loaded);
    }
}

#[test]
fn an_empty_or_missing_file_is_damage_not_a_beginning() {
    let original = original();
    let dir = tempfile::tempdir().unwrap();
    let (damaged, loaded) = check(&planted(&dir, b""), &original, "empty");
    assert!(damaged && loaded == Loaded::default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    fs::write(path.with_file_name("queue.db-wal"), [7; 5000]).unwrap();
    let opened = open(&path);
    assert!(matches!(&opened.findings[..], [Finding::DamagedKeptAside { .. }]), "{:?}", opened.findings);
}

/// One commit per number: job n, and the setting `last` = n. Returns the files as a crash leaves them.
fn crashed(commits: u32) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let store = open(&path).store;
    for n in 0..commits {
        let last = Op::PutMeta { key: "last".into(), value: n.to_string() };
        batch(&store, vec![Op::PutJob(job(n, "name")), last]).unwrap();
    }
    (fs::read(&path).unwrap(), fs::read(path.with_file_name("queue.db-wal")).unwrap())
}

#[test]
fn damage_in_the_log_is_found_unless_it_looks_like_a_torn_tail() {
    const COMMITS: u32 = 60;
    let (db, log) = crashed(COMMITS);
    let (mut found, mut whole, mut torn) = (0, 0, 0);
    for seed in 0..80_u64 {
        let mut random = Random(seed);
        let mut bytes = log.clone();
        let at = if seed < 20 { random.below(56) } else { random.below(bytes.len()) };
        bytes[at] ^= 1 << random.below(8);
        let dir = tempfile::tempdir().unwrap();
        let path = planted(&dir, &db);
        fs::write(path.with_file_name("queue.db-wal"), &bytes).unwrap();
        let opened = open(&path);
        let jobs = opened.loaded.jobs.len() as u32;
        assert!(opened.loaded.jobs.iter().all(|j| (0..COMMITS).any(|n| *j == job(n, "name"))), "seed {seed}");
        match &opened.findings[..] {
            [] => {
                assert_eq!(opened.loaded.meta["last"], (jobs - 1).to_string(), "seed {seed}: half a commit");
                assert!(jobs >= COMMITS - 1, "seed {seed}: {} commits lost without a word", COMMITS - jobs);
                whole += u32::from(jobs == COMMITS);
                torn += u32::from(jobs < COMMITS);
            }
            [Finding::DamagedKeptAside { path: aside, .. }] => {
                found += 1;
                assert!(fs::read(aside).unwrap() == db);
                assert!(fs::read(format!("{}-wal", aside.display())).unwrap() == bytes, "seed {seed}");
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    println!("log damage: found {found}, no row lost {whole}, last commit taken for torn {torn}");
    assert!(found > 60);
}

#[test]
fn a_crash_while_rebuilding_loses_neither_copy_nor_rows() {
    let original = original();
    let mut bytes = original.bytes.clone();
    let middle = bytes.len() / 2 / PAGE * PAGE;
    bytes[middle..middle + PAGE].fill(0x55);
    // A finished rebuild gives the file that stands as `.salvaged` in between.
    let dir = tempfile::tempdir().unwrap();
    let path = planted(&dir, &bytes);
    let finished = open(&path);
    let [Finding::DamagedKeptAside { path: aside, .. }] = &finished.findings[..] else { panic!() };
    let aside_name = aside.file_name().unwrap().to_owned();
    finished.store.close();
    let rebuilt = fs::read(&path).unwrap();
    assert!(!finished.loaded.jobs.is_empty());

    // Killed while copying or writing the new file.
    let dir = tempfile::tempdir().unwrap();
    let path = planted(&dir, &bytes);
    for junk in [".salvage", ".salvage-wal", ".new", ".new-wal", ".graft"] {
        fs::write(dir.path().join(format!("queue.db{junk}")), &rebuilt[..9000]).unwrap();
    }
    let (damaged, loaded) = check(&path, &original, "half-made copies");
    assert!(damaged && loaded == finished.loaded);
    // Killed after `.salvaged` was there: with the original in place, and with it moved aside already.
    for moved in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        fs::write(dir.path().join("queue.db.salvaged"), &rebuilt).unwrap();
        let aside = dir.path().join(&aside_name);
        fs::write(if moved { &aside } else { &path }, &bytes).unwrap();
        let opened = open(&path);
        assert!(
            matches!(&opened.findings[..], [Finding::DamagedKeptAside { path, .. }] if path.file_name() == Some(&aside_name)),
            "{:?}",
            opened.findings
        );
        assert!(fs::read(&aside).unwrap() == bytes, "moved {moved}");
        assert!(opened.loaded == finished.loaded, "moved {moved}");
        assert!(!dir.path().join("queue.db.salvaged").exists());
        opened.store.close();
        assert_eq!(open(&path).findings, []);
    }
}
