//! Sources on mounted file systems: read in the worker, with the same rules as everything else.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use openbits_core::RangeSet;
use openbits_core::hresult::*;
use openbits_testkit::Content;
use openbits_transfer::protocol::{Algorithm, Digest, Event, FailureClass};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

const SIZE: u64 = 24 << 20;

/// Writes a source that last changed long ago.
fn write(path: &Path, content: &Content) {
    let mut file = File::create(path).unwrap();
    file.write_all(&content.byte_range(0, content.size())).unwrap();
    old(&file);
}

/// Its change time cannot be set: a source is only settled some seconds after its last change.
fn old(file: &File) {
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
}

fn settle() {
    std::thread::sleep(Duration::from_millis(3_100));
}

fn url(path: &Path) -> String {
    format!("file://{}", path.to_str().unwrap().replace(' ', "%20"))
}

#[test]
fn files_are_copied_whole_whatever_their_name_and_size() {
    let mut bench = Bench::new();
    for (name, size) in [("a b", 0), ("c", 1), ("d\u{e4}", 300_000), ("e", SIZE)] {
        let content = Content::new(size, size);
        let path = bench.path(name);
        write(&path, &content);
        for remote in [path.to_str().unwrap().to_owned(), url(&path).replace('\u{e4}', "%C3%A4")] {
            let mut job = bench.job(&[(&remote, "out")]);
            job.files[0].order.digests = vec![Digest::new(Algorithm::Sha256, &content.sha256_hex()).unwrap()];
            let run = bench.attempt(&mut job);
            assert_eq!(run.end, End::Done, "{remote}");
            assert_content(&job.temp(0), &content);
            assert_eq!(bench.finish(&job).0, [0]);
            let modified = std::fs::metadata(job.local(0)).unwrap().modified().unwrap();
            let age = modified.elapsed().unwrap().as_secs();
            assert!((3590..3700).contains(&age), "the time of the source is kept: {age}");
        }
    }
}

#[test]
fn what_was_read_is_continued_and_a_changed_source_begins_again() {
    let mut bench = Bench::new();
    let content = Content::new(1, SIZE);
    let path = bench.path("source");
    write(&path, &content);
    settle();
    let mut job = bench.job(&[(&url(&path), "f")]);
    job.options.checkpoint_bytes = 1 << 20;
    let run = bench.attempt_until(&mut job, |event, job| {
        matches!(event, Event::Checkpoint { .. }) && !job.files[0].order.done.is_empty()
    });
    assert_eq!(run.end, End::Stopped);
    let kept = job.files[0].order.done.len();
    assert!(kept > 0, "something is durable");
    if kept < SIZE {
        let validator = job.files[0].order.validator.as_ref().expect("a version");
        assert!(validator.etag.as_deref().is_some_and(|tag| tag.starts_with('"')), "{validator:?}");
    }
    let mut same = job.clone();
    assert_eq!(bench.attempt(&mut same).restarts(), 0);
    assert_content(&same.temp(0), &content);
    // Half of it again, and then another version of the same size and date.
    let mut job = bench.job(&[(&url(&path), "g")]);
    job.options.checkpoint_bytes = 1 << 20;
    bench.attempt_until(&mut job, |event, job| {
        matches!(event, Event::Checkpoint { .. }) && !job.files[0].order.done.is_empty()
    });
    let other = Content::new(2, SIZE);
    write(&path, &other);
    if job.files[0].finished {
        return; // too fast to be interrupted
    }
    let run = bench.attempt(&mut job);
    assert_eq!((&run.end, run.restarts()), (&End::Done, 1));
    assert_content(&job.temp(0), &other);
}

#[test]
fn a_source_that_changes_while_it_is_read_gives_no_mixture() {
    let mut bench = Bench::new();
    let path = bench.path("source");
    let (old_content, new_content) = (Content::new(1, SIZE), Content::new(2, SIZE));
    write(&path, &old_content);
    let mut job = bench.job(&[(&url(&path), "f")]);
    let mut changed = false;
    let run = bench.attempt_until(&mut job, |event, _| {
        if matches!(event, Event::Connected { .. }) && !changed {
            changed = true;
            // In place: the reader has it open.
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.write_all(&new_content.byte_range(0, SIZE)).unwrap();
        }
        false
    });
    match run.end {
        End::Done => {
            let got = std::fs::read(job.temp(0)).unwrap();
            let whole = |content: &Content| content.first_difference(0, &got).is_none();
            assert!(whole(&new_content) || whole(&old_content), "two versions are mixed");
        }
        _ => assert_eq!(run.failure().code, BG_E_REMOTE_FILE_CHANGED),
    }
    // One that never stops changing is given up, and nothing is left.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let (stop, path) = (stop.clone(), path.clone());
        std::thread::spawn(move || {
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.seek(SeekFrom::Start(7)).unwrap();
                file.write_all(&[SystemTime::now().elapsed().map_or(1, |_| 2)]).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let mut job = bench.job(&[(&url(&path), "g")]);
    let run = bench.attempt(&mut job);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!((run.failure().code, run.failure().class), (BG_E_REMOTE_FILE_CHANGED, FailureClass::Fatal));
    assert!(job.files[0].order.done.is_empty() && !job.temp(0).exists());
}

#[test]
fn the_end_of_a_very_large_sparse_source_is_read_where_it_is() {
    let mut bench = Bench::new();
    let path = bench.path("sparse");
    let (hole, tail) = (5_u64 << 30, Content::new(1, 3_000_000));
    let mut file = File::create(&path).unwrap();
    file.seek(SeekFrom::Start(hole)).unwrap();
    file.write_all(&tail.byte_range(0, tail.size())).unwrap();
    old(&file);
    settle();
    let mut job = bench.job(&[(&url(&path), "f")]);
    job.options.preallocate = false;
    // All but the tail is there already.
    job.options.checkpoint_bytes = 64 << 10;
    bench.attempt_until(&mut job, |event, job| {
        matches!(event, Event::Checkpoint { .. }) && !job.files[0].order.done.is_empty()
    });
    let temp = OpenOptions::new().write(true).open(job.temp(0)).unwrap();
    temp.set_len(hole).unwrap();
    job.files[0].order.done = RangeSet::prefix(hole);
    let run = bench.attempt(&mut job);
    assert_eq!((&run.end, run.restarts()), (&End::Done, 0));
    assert_eq!(std::fs::metadata(job.temp(0)).unwrap().len(), hole + tail.size());
    let mut got = File::open(job.temp(0)).unwrap();
    got.seek(SeekFrom::Start(hole)).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut got, &mut bytes).unwrap();
    assert_eq!(tail.first_difference(0, &bytes), None);
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let mut bench = Bench::new();
    let fifo = bench.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    std::os::unix::fs::symlink(&fifo, bench.path("link")).unwrap();
    let socket = bench.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let (missing, folder) = (bench.path("missing"), bench.dir.path().to_owned());
    let below = bench.path("no-folder").join("f");
    for (path, code, word) in [
        (fifo.as_path(), E_ACCESSDENIED, "pipe"),
        (&bench.path("link"), E_ACCESSDENIED, "pipe"),
        (&socket, E_ACCESSDENIED, "socket"),
        (&folder, E_ACCESSDENIED, "folder"),
        (Path::new("/dev/zero"), E_ACCESSDENIED, "device"),
        (Path::new("/proc/self/status"), E_ACCESSDENIED, "kernel"),
        (Path::new("/sys/kernel/uevent_seqnum"), E_ACCESSDENIED, "kernel"),
        (&missing, ERROR_FILE_NOT_FOUND, "does not exist"),
        (&below, ERROR_PATH_NOT_FOUND, "does not exist"),
    ] {
        if !path.exists() && code == E_ACCESSDENIED {
            continue; // no such thing on this machine
        }
        let mut job = bench.job(&[(&url(path), "f")]);
        let run = bench.attempt(&mut job);
        let failure = run.failure();
        assert_eq!((failure.code, failure.class), (code, FailureClass::Fatal), "{}", path.display());
        assert!(failure.detail.contains(word), "{}: {}", path.display(), failure.detail);
        assert_eq!(failure.http_status, None);
    }
}
