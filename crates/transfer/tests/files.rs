//! Local files: resuming, restarting, planted names, full and read-only places, Complete and its replay.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, End, assert_content, options, soon};
use openbits_core::hresult::*;
use openbits_core::{ErrorContext, Ticket};
use openbits_testkit::{Behaviour, Content, Etag, Origin, OriginFile};
use openbits_transfer::protocol::{Algorithm, Command, Digest, Event, FailureClass, Purpose};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, Instant, SystemTime};

const SIZE: u64 = 6 << 20;

/// A job of which about a third is kept, with the origin good again.
fn kept(bench: &mut Bench, origin: &Origin, name: &str, file: OriginFile) -> common::Job {
    origin.put(name, file);
    origin.hold(name, SIZE / 3);
    let mut job = bench.job(&[(&origin.url(name), name)]);
    // On a busy machine a checkpoint may come before all that the origin lets go.
    let run = bench.attempt_until(&mut job, |event, job| {
        matches!(event, Event::Checkpoint { .. }) && job.files[0].order.done.end() == SIZE / 3
    });
    assert_eq!(run.end, End::Stopped);
    origin.release(name);
    origin.clear_log();
    job
}

#[test]
fn an_attempt_continues_where_the_last_one_stopped() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    let mut job = kept(&mut bench, &origin, "f", content.clone().into());
    let run = bench.attempt(&mut job);
    assert_eq!((run.end.clone(), run.restarts()), (End::Done, 0));
    let requests = origin.requests("f");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].range(), Some(format!("bytes={}-", SIZE / 3).as_str()));
    assert!(requests[0].header("if-range").is_some());
    assert_eq!(std::fs::metadata(job.temp(0)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(bench.finish(&job), (vec![0], None, vec![]));
    assert_content(&job.local(0), &content);
    let file = std::fs::metadata(job.local(0)).unwrap();
    assert_eq!(file.mtime(), job.files[0].modified_s.unwrap());
    assert_ne!(file.permissions().mode() & 0o400, 0);
    assert_eq!(bench.leftovers(), Vec::<String>::new());
    // A replay after a crash finds everything done: the file carries the mark of this rename, and no other.
    let value = |name: &str| {
        let mut value = [0; 100];
        rustix::fs::getxattr(job.local(0), name, &mut value[..])
            .map(|length| String::from_utf8_lossy(&value[..length]).into_owned())
    };
    assert_eq!(value("user.openbits.file"), Ok(format!("{}/0", job.id)));
    assert_eq!(value("user.openbits.version"), Err(rustix::io::Errno::NODATA));
    assert_eq!(bench.finish(&job), (vec![0], None, vec![]));
}

/// The machine stops between the intention and the rename, and the temporary file vanishes: what is at the destination is the old
/// version, whatever its size and date.
#[test]
fn an_old_file_of_the_same_size_is_not_taken_for_the_new_one() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let old = Content::new(1, 1000);
    origin.put("f", old.clone());
    let mut first = bench.job(&[(&origin.url("f"), "f")]);
    assert_eq!(bench.attempt(&mut first).end, End::Done);
    bench.finish(&first);
    origin.put("f", Content::new(2, 1000));
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    std::fs::remove_file(job.temp(0)).unwrap();
    let (renamed, error, _, lost) = bench.finish_and_lost(&job);
    assert_eq!((renamed, error.unwrap().1, lost), (vec![], ERROR_FILE_NOT_FOUND.bits(), vec![0]));
    assert_content(&job.local(0), &old);
    // It carries the mark of another job; with none at all it is the same.
    rustix::fs::removexattr(job.local(0), "user.openbits.file").unwrap();
    assert_eq!(bench.finish_and_lost(&job).3, [0]);
    // Nor does the mark help a file of another size.
    let mark = format!("{}/0", job.id);
    let set = |mark: &str| {
        rustix::fs::setxattr(
            job.local(0),
            "user.openbits.file",
            mark.as_bytes(),
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
    };
    set(&mark);
    assert_eq!(bench.finish_and_lost(&job).3, Vec::<u32>::new());
    std::fs::OpenOptions::new().write(true).open(job.local(0)).unwrap().set_len(999).unwrap();
    assert_eq!(bench.finish_and_lost(&job).3, [0]);
}

/// Whatever happened to the temporary files: all that have to be fetched again are told at once, and nothing damaged is delivered.
#[test]
fn complete_tells_which_files_are_lost() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let contents: Vec<Content> = (0..6).map(|n| Content::new(n, 1000)).collect();
    let names = ["a", "b", "c", "d", "e", "f"];
    names.iter().zip(&contents).for_each(|(name, content)| origin.put(name, content.clone()));
    let urls: Vec<String> = names.iter().map(|name| origin.url(name)).collect();
    let files: Vec<(&str, &str)> = urls.iter().map(String::as_str).zip(names).collect();
    let mut job = bench.job(&files);
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    std::fs::remove_file(job.temp(1)).unwrap();
    // Another file of ours of the same size under the name.
    std::fs::remove_file(job.temp(2)).unwrap();
    std::fs::write(job.temp(2), [0; 1000]).unwrap();
    std::fs::OpenOptions::new().append(true).open(job.temp(3)).unwrap().set_len(1001).unwrap();
    std::fs::remove_file(job.temp(4)).unwrap();
    symlink(job.temp(5), job.temp(4)).unwrap();
    let (renamed, error, _, lost) = bench.finish_and_lost(&job);
    assert_eq!((renamed, error.unwrap().0, lost), (vec![0], 1, vec![1, 2, 3, 4]));
    // The service begins them again; what was not damaged is not fetched twice.
    origin.clear_log();
    for index in [1, 2, 3, 4] {
        let stored = &mut job.files[index];
        (stored.finished, stored.order.done, stored.order.validator) = (false, Default::default(), None);
        stored.order.size = None;
    }
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    assert!(origin.requests("a").is_empty() && origin.requests("f").is_empty());
    assert_eq!(bench.finish(&job), (vec![0, 1, 2, 3, 4, 5], None, vec![]));
    contents.iter().enumerate().for_each(|(index, content)| assert_content(&job.local(index), content));
}

/// Only ranges of the file were asked for, and a killed worker had written more than it reported: that is cut off. What is too short is
/// lost all the same.
#[test]
fn complete_cuts_what_was_never_reported() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, 1000);
    origin.put("f", content.clone());
    for (length, expected) in [(1500, vec![0]), (1000, vec![0]), (999, vec![])] {
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        assert_eq!(bench.attempt(&mut job).end, End::Done);
        std::fs::OpenOptions::new().write(true).open(job.temp(0)).unwrap().set_len(length).unwrap();
        let mut order = job.finish();
        order.rename[0].truncate = true;
        let whole = !expected.is_empty();
        for _replay in 0..2 {
            bench.send(Command::Finish(Box::new(order.clone())));
            let Event::FinishDone { renamed, lost, .. } = bench.event() else { panic!("no end") };
            assert_eq!((renamed, lost.is_empty()), (expected.clone(), whole), "{length}");
        }
        if whole {
            assert_content(&job.local(0), &content);
        }
    }
}

/// A destination that cannot be replaced is no loss: the file waits for another Complete.
#[test]
fn a_rename_that_fails_loses_nothing() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, 1000);
    origin.put("f", content.clone());
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    std::fs::create_dir(job.local(0)).unwrap();
    let (renamed, error, _, lost) = bench.finish_and_lost(&job);
    assert_eq!((renamed, error.unwrap().1, lost), (vec![], E_ACCESSDENIED.bits(), vec![]));
    std::fs::remove_dir(job.local(0)).unwrap();
    assert_eq!(bench.finish(&job), (vec![0], None, vec![]));
    assert_content(&job.local(0), &content);
}

#[test]
fn a_replaced_origin_restarts_the_file() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let date = |seconds: u64| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000 + seconds));
    let old = |content: &Content| OriginFile::new(content.clone()).last_modified(date(0)).etag(Etag::Absent);
    let tagged =
        |content: &Content, tag: &str| OriginFile::new(content.clone()).etag(Etag::Strong(tag.into()));
    let (a, b) = (Content::new(1, SIZE), Content::new(2, SIZE));
    let longer = Content::new(3, SIZE + 7);
    let cases = [
        ("new tag", tagged(&a, "a"), tagged(&b, "b").last_modified(date(9)), b.clone()),
        ("only a new date", old(&a), old(&b).last_modified(date(1)), b.clone()),
        (
            "same tag, new date",
            tagged(&a, "a").last_modified(date(0)),
            tagged(&b, "a").last_modified(date(1)),
            b.clone(),
        ),
        ("same date, new size", old(&a), old(&longer), longer.clone()),
        (
            "same tag, new size",
            tagged(&a, "a").last_modified(None),
            tagged(&longer, "a").last_modified(None),
            longer,
        ),
    ];
    for (name, before, after, expected) in cases {
        let mut job = kept(&mut bench, &origin, "f", before);
        origin.replace("f", after);
        let run = bench.attempt(&mut job);
        assert_eq!((run.end.clone(), run.restarts()), (End::Done, 1), "{name}");
        bench.finish(&job);
        assert_content(&job.local(0), &expected);
    }
}

#[test]
fn kept_bytes_are_trusted_only_in_our_own_file() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    let victim = bench.path("victim");
    type Plant<'a> = (&'a str, &'a dyn Fn(&std::path::Path));
    let plants: &[Plant<'_>] = &[
        ("gone", &|temp| std::fs::remove_file(temp).unwrap()),
        ("a link", &|temp| {
            std::fs::remove_file(temp).unwrap();
            symlink(&victim, temp).unwrap();
        }),
        ("a second name", &|temp| {
            let _ = std::fs::remove_file(bench_sibling(temp));
            std::fs::hard_link(temp, bench_sibling(temp)).unwrap();
        }),
        ("shorter", &|temp| {
            std::fs::OpenOptions::new().write(true).open(temp).unwrap().set_len(1000).unwrap();
        }),
        ("a pipe", &|temp| {
            std::fs::remove_file(temp).unwrap();
            rustix::fs::mknodat(rustix::fs::CWD, temp, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
                .unwrap();
        }),
        ("another inode of the same length", &|temp| {
            std::fs::remove_file(temp).unwrap();
            std::fs::write(temp, vec![0; usize::try_from(SIZE).unwrap()]).unwrap();
        }),
    ];
    for (name, plant) in plants {
        std::fs::write(&victim, b"precious").unwrap();
        let mut job = kept(&mut bench, &origin, "f", content.clone().into());
        plant(&job.temp(0));
        let run = bench.attempt(&mut job);
        assert_eq!((run.end.clone(), run.restarts()), (End::Done, 1), "{name}");
        bench.finish(&job);
        assert_content(&job.local(0), &content);
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious", "{name}");
    }
}

fn bench_sibling(temp: &std::path::Path) -> std::path::PathBuf {
    temp.with_extension("other")
}

#[test]
fn a_planted_link_at_the_temporary_name_is_replaced() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, 100_000);
    origin.put("f", content.clone());
    let victim = bench.path("victim");
    std::fs::write(&victim, b"precious").unwrap();
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    symlink(&victim, job.temp(0)).unwrap();
    // The destination may be a link too: Complete replaces the link, never its target.
    symlink(&victim, job.local(0)).unwrap();
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    assert_eq!(bench.finish(&job), (vec![0], None, vec![]));
    assert_content(&job.local(0), &content);
    assert!(!std::fs::symlink_metadata(job.local(0)).unwrap().is_symlink());
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn places_that_cannot_work_are_fatal_local_errors() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    origin.put("f", Content::new(1, 1000));
    std::fs::create_dir(bench.path("folder")).unwrap();
    for (local, code) in [("folder", E_ACCESSDENIED), ("missing/f", ERROR_PATH_NOT_FOUND)] {
        let mut job = bench.job(&[(&origin.url("f"), local)]);
        let run = bench.attempt(&mut job);
        let failure = run.failure();
        assert_eq!((failure.code, failure.class), (code, FailureClass::Fatal), "{local}");
        assert_eq!((failure.context, failure.file), (ErrorContext::LocalFile, Some(0)));
    }
    assert!(origin.requests("f").is_empty(), "no byte is fetched for a place that cannot work");
}

#[test]
fn too_little_space_is_told_before_the_first_byte() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    origin.put("f", Content::new(1, SIZE));
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.min_free_bytes = u64::MAX / 2;
    let run = bench.attempt(&mut job);
    assert_eq!((run.failure().code, run.failure().class), (ERROR_DISK_FULL, FailureClass::Fatal));
    assert_eq!(bench.leftovers(), Vec::<String>::new());
}

/// Needs root, to mount a small volume; says so where it cannot run.
#[test]
fn a_full_disk_is_a_fatal_error_that_keeps_what_is_there() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let place = bench.path("small");
    std::fs::create_dir(&place).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    if rustix::mount::mount("tmpfs", &place, "tmpfs", flags, Some(c"size=4m")).is_err() {
        eprintln!("SKIPPED: a_full_disk needs the right to mount a tmpfs");
        return;
    }
    let content = Content::new(1, SIZE);
    origin.put("f", content);
    let mut job = bench.job(&[(&origin.url("f"), "small/f")]);
    let run = bench.attempt(&mut job);
    assert_eq!(
        (run.failure().code, run.failure().class),
        (ERROR_DISK_FULL, FailureClass::Fatal),
        "preallocated"
    );
    job.options.preallocate = false;
    let run = bench.attempt(&mut job);
    assert_eq!(
        (run.failure().code, run.failure().class),
        (ERROR_DISK_FULL, FailureClass::Fatal),
        "while writing"
    );
    assert!(!job.files[0].order.done.is_empty(), "partial data kept");
    rustix::mount::mount_remount(&place, rustix::mount::MountFlags::RDONLY, c"").unwrap();
    let mut other = bench.job(&[(&origin.url("f"), "small/g")]);
    let run = bench.attempt(&mut other);
    assert_eq!((run.failure().code, run.failure().class), (ERROR_WRITE_PROTECT, FailureClass::Fatal));
    rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH).unwrap();
}

#[test]
fn cancel_removes_what_is_there() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let job = kept(&mut bench, &origin, "f", Content::new(1, SIZE).into());
    assert_eq!(bench.leftovers().len(), 1);
    assert_eq!(bench.finish(&job), (vec![], None, vec![]));
    assert_eq!(bench.leftovers(), Vec::<String>::new());
    assert!(!job.local(0).exists());
}

#[test]
fn a_temporary_file_that_cannot_be_removed_is_told() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let job = kept(&mut bench, &origin, "f", Content::new(1, SIZE).into());
    std::fs::remove_file(job.temp(0)).unwrap();
    std::fs::create_dir(job.temp(0)).unwrap();
    let (_, _, left) = bench.finish(&job);
    assert_eq!(left, [job.temp(0).to_str().unwrap()]);
}

#[test]
fn complete_refuses_a_file_of_another_size() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    origin.put("f", Content::new(1, 1000));
    origin.put("g", Content::new(2, 1000));
    let mut job = bench.job(&[(&origin.url("f"), "f"), (&origin.url("g"), "g")]);
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    std::fs::OpenOptions::new().append(true).open(job.temp(1)).unwrap().set_len(1001).unwrap();
    let (renamed, error, _) = bench.finish(&job);
    assert_eq!(renamed, [0]);
    assert_eq!(error.map(|(index, code, _)| (index, code)), Some((1, BG_E_LOCAL_FILE_CHANGED.bits())));
    assert!(job.local(0).exists() && !job.local(1).exists());
}

#[test]
fn a_wrong_digest_is_refetched_once_and_then_refused() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    for size in [1000, SIZE] {
        origin.put("f", Content::new(1, size));
        origin.clear_log();
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        let hex = Content::new(2, size).sha256_hex();
        job.files[0].order.digests = vec![Digest::new(Algorithm::Sha256, &hex).unwrap()];
        let run = bench.attempt(&mut job);
        assert_eq!((run.failure().code, run.failure().class), (BG_E_VALIDATION_FAILED, FailureClass::Fatal));
        assert!(job.files[0].order.done.is_empty(), "progress is zero");
        assert_eq!(bench.leftovers(), Vec::<String>::new());
        let requests = origin.requests("f");
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[1].header("cache-control"), Some("no-cache"));
    }
}

#[test]
fn stop_is_answered_at_once_while_the_server_stalls() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    for (name, behaviour) in
        [("a", Behaviour::NeverAnswers), ("b", Behaviour::StallsInBody), ("c", Behaviour::StallsInHeader)]
    {
        origin.put(name, OriginFile::new(Content::new(1, SIZE)).behaviour(behaviour));
        let mut job = bench.job(&[(&origin.url(name), name)]);
        // What would end it otherwise.
        job.options.idle_timeout_ms = 120_000;
        bench.start(&mut job);
        soon("the request", || !origin.requests(name).is_empty());
        std::thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        bench.send(Command::Stop { job: job.id, attempt: openbits_core::AttemptId(1) });
        while !matches!(bench.event(), Event::Stopped { .. }) {}
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}: {:?}", begun.elapsed());
    }
}

#[test]
fn commands_are_answered() {
    let mut bench = Bench::new();
    bench.send(Command::Ping { count: 4 });
    assert_eq!(bench.event(), Event::Pong { count: 4 });
    let job = bench.job(&[]);
    let attempt = openbits_core::AttemptId(3);
    bench.send(Command::Stop { job: job.id, attempt });
    assert_eq!(bench.event(), Event::Stopped { job: job.id, attempt });
    std::fs::write(bench.path("source"), [0; 9]).unwrap();
    let text = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let cases = [
        (text("new"), Purpose::Destination, Ok(None)),
        (text("no/new"), Purpose::Destination, Err(ERROR_PATH_NOT_FOUND)),
        (text(""), Purpose::Destination, Err(ERROR_INVALID_NAME)),
        ("relative".into(), Purpose::Destination, Err(ERROR_INVALID_NAME)),
        (text("source"), Purpose::Source, Ok(Some(9))),
        (text("none"), Purpose::Source, Err(ERROR_FILE_NOT_FOUND)),
        ("/dev/zero".into(), Purpose::Source, Err(E_ACCESSDENIED)),
    ];
    for (path, purpose, result) in cases {
        let ticket = Ticket(9);
        bench.send(Command::Probe { ticket, path: path.clone(), purpose });
        assert_eq!(bench.event(), Event::Probed { ticket, result, content: None, id: None }, "{path}");
    }
}

#[test]
fn shutdown_checkpoints_everything() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    origin.put("f", Content::new(1, SIZE));
    origin.hold("f", SIZE / 2);
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.checkpoint_ms = 60_000;
    job.options.checkpoint_bytes = u64::MAX;
    bench.start(&mut job);
    // All that the server sends is written.
    while !matches!(bench.event(), Event::Progress { bytes, .. } if bytes == SIZE / 2) {}
    assert!(job.files[0].order.done.is_empty(), "no checkpoint yet");
    bench.send(Command::Shutdown);
    while let Some(event) = bench.worker.events.blocking_recv() {
        job.note(&event);
    }
    assert_eq!(job.files[0].order.done.end(), SIZE / 2);
    bench.worker.thread.join().unwrap();
}

#[test]
fn many_short_files_share_connections_and_syncs() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let names: Vec<String> = (0..200).map(|n| format!("f{n}")).collect();
    let contents: Vec<Content> = (0..200).map(|n| Content::new(n, 20_000 + n)).collect();
    names.iter().zip(&contents).for_each(|(name, content)| origin.put(name, content.clone()));
    let urls: Vec<String> = names.iter().map(|name| origin.url(name)).collect();
    let files: Vec<(&str, &str)> =
        urls.iter().map(String::as_str).zip(names.iter().map(String::as_str)).collect();
    let mut job = bench.job(&files);
    assert_eq!(job.options.checkpoint_ms, options().checkpoint_ms);
    let run = bench.attempt(&mut job);
    assert_eq!(run.end, End::Done);
    assert!(job.files.iter().all(|file| file.finished));
    assert_eq!(origin.accepted(), 1, "one connection for all");
    assert_eq!(bench.finish(&job).0.len(), 200);
    for (index, content) in contents.iter().enumerate() {
        assert_content(&job.local(index), content);
    }
}
