//! Files on a real SMB server (Debian's Samba).
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use openbits_core::hresult::*;
use openbits_core::remote::{self, Remote, SmbName};
use openbits_testkit::samba::{Samba, SambaError};
use openbits_testkit::{Behaviour, Content, Origin, OriginFile};
use openbits_transfer::protocol::{Algorithm, Digest, Event, FailureClass};
use openbits_transfer::share::User;
use openbits_transfer::share::upload::{self, Upload};
use std::path::Path;
use std::time::{Duration, SystemTime};

const SIZE: u64 = 16 << 20;
const STEP: Duration = Duration::from_secs(10);

/// A server, or the reason to skip the test.
fn samba() -> Option<Samba> {
    match Samba::start() {
        Ok(samba) => Some(samba),
        Err(SambaError::Missing(why)) => {
            println!("SKIPPED: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Writes a source that last changed long ago, as far as that can be set.
fn write(path: &Path, content: &Content) {
    std::fs::write(path, content.byte_range(0, content.size())).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
}

fn patient(job: &mut Job) {
    job.options.connect_timeout_ms = 15_000;
    job.options.idle_timeout_ms = 15_000;
}

#[test]
fn files_come_from_shares_by_url_and_as_guest_or_user() {
    let Some(samba) = samba() else { return };
    let mut bench = Bench::new();
    for (size, share, name, encoded) in [
        (0, "open", "empty", "empty"),
        (1000, "open", "a b \u{e4}\u{4e2d}.iso", "a%20b%20%C3%A4%E4%B8%AD.iso"),
        (SIZE, "readonly", "large", "large"),
        (SIZE, "closed", "for root", "for%20root"),
    ] {
        let content = Content::new(size, size);
        write(&samba.folder(share).join(name), &content);
        let url = match share {
            "closed" => samba.url_as_user(share, encoded, None),
            share => samba.url(share, encoded),
        };
        let mut job = bench.job(&[(&url, "f")]);
        patient(&mut job);
        job.files[0].order.digests = vec![Digest::new(Algorithm::Sha256, &content.sha256_hex()).unwrap()];
        let run = bench.attempt(&mut job);
        assert_eq!(run.end, End::Done, "{share}");
        assert_content(&job.temp(0), &content);
        assert_eq!(bench.finish(&job).0, [0]);
        let age = std::fs::metadata(job.local(0)).unwrap().modified().unwrap().elapsed().unwrap().as_secs();
        assert!((3590..3800).contains(&age), "the time of the source is kept: {age}");
    }
}

#[test]
fn refusals_have_the_codes_of_the_specification() {
    let Some(samba) = samba() else { return };
    let mut bench = Bench::new();
    write(&samba.folder("closed").join("f"), &Content::new(1, 10));
    std::fs::create_dir(samba.folder("open").join("folder")).unwrap();
    for (url, code) in [
        (samba.url("open", "missing"), ERROR_FILE_NOT_FOUND),
        (samba.url("open", "no/folder/f"), ERROR_PATH_NOT_FOUND),
        (samba.url("nothing", "f"), ERROR_BAD_NET_NAME),
        (samba.url("closed", "f"), E_ACCESSDENIED),
        (samba.url("open", "folder"), E_ACCESSDENIED),
        (samba.url_as_user("closed", "f", Some("wrong")), ERROR_LOGON_FAILURE),
    ] {
        let mut job = bench.job(&[(&url, "f")]);
        patient(&mut job);
        let run = bench.attempt(&mut job);
        let failure = run.failure();
        assert_eq!((failure.code, failure.class), (code, FailureClass::Fatal), "{url}: {}", failure.detail);
        let told = format!("{failure:?}");
        assert!(!told.contains("wrong"), "no password in what is told: {told}");
    }
    let mut job = bench.job(&[("smb://127.0.0.1:1/s/f", "f")]);
    patient(&mut job);
    let run = bench.attempt(&mut job);
    assert_eq!((run.failure().code, run.failure().class), (ERROR_BAD_NETPATH, FailureClass::Transient));
}

#[test]
fn a_server_that_dies_in_the_middle_is_continued_when_it_is_back() {
    let Some(mut samba) = samba() else { return };
    let mut bench = Bench::new();
    let content = Content::new(1, 96 << 20);
    let path = samba.folder("open").join("f");
    write(&path, &content);
    std::thread::sleep(Duration::from_millis(3_200)); // a version that can be continued
    let mut job = bench.job(&[(&samba.url("open", "f"), "f")]);
    patient(&mut job);
    job.options.checkpoint_bytes = 1 << 20;
    let mut killed = false;
    let run = bench.attempt_until(&mut job, |event, job| {
        if !killed && matches!(event, Event::Checkpoint { .. }) && !job.files[0].order.done.is_empty() {
            killed = true;
            samba.kill();
        }
        false
    });
    if run.end != End::Done {
        assert_eq!(run.failure().class, FailureClass::Transient, "{:?}", run.failure());
        let kept = job.files[0].order.done.len();
        assert!(kept > 0, "what came is kept");
        samba.restart().unwrap();
        let run = bench.attempt(&mut job);
        assert_eq!((&run.end, run.restarts()), (&End::Done, 0));
    }
    assert_content(&job.temp(0), &content);
    // Another version between two attempts: it begins again.
    let mut job = bench.job(&[(&samba.url("open", "f"), "g")]);
    patient(&mut job);
    job.options.checkpoint_bytes = 1 << 20;
    samba.restart().unwrap();
    bench.attempt_until(&mut job, |event, job| {
        matches!(event, Event::Checkpoint { .. }) && !job.files[0].order.done.is_empty()
    });
    if !job.files[0].finished {
        let other = Content::new(2, 96 << 20);
        write(&path, &other);
        let run = bench.attempt(&mut job);
        assert_eq!((&run.end, run.restarts()), (&End::Done, 1));
        assert_content(&job.temp(0), &other);
    }
}

#[test]
fn a_share_that_hangs_or_fails_holds_nobody_up_and_a_mirror_helps() {
    let Some(samba) = samba() else { return };
    let (origin, mut bench) = (Origin::start(), Bench::new());
    // A listener that never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smb://{}/s/f", silent.local_addr().unwrap());
    let content = Content::new(1, SIZE);
    origin.put("f", OriginFile::new(content.clone()).behaviour(Behaviour::Good));
    write(&samba.folder("open").join("f"), &content);
    let mut slow = bench.job(&[(&url, "slow")]);
    bench.start(&mut slow);
    let mut quick = bench.job(&[(&origin.url("f"), "quick")]);
    bench.start(&mut quick);
    let mut ends = Vec::new();
    while ends.len() < 2 {
        match bench.event() {
            Event::Done { job, .. } => ends.push((job, None)),
            Event::Failed { job, failure, .. } => ends.push((job, Some(failure.class))),
            _ => {}
        }
    }
    assert_eq!(ends, [(quick.id, None), (slow.id, Some(FailureClass::Transient))]);
    // Cancelled while it hangs: at once.
    let mut slow = bench.job(&[(&url, "slow")]);
    patient(&mut slow);
    // What would end it otherwise.
    slow.options.idle_timeout_ms = 120_000;
    slow.options.connect_timeout_ms = 120_000;
    bench.start(&mut slow);
    std::thread::sleep(Duration::from_millis(200));
    let begun = std::time::Instant::now();
    bench.send(openbits_transfer::protocol::Command::Stop {
        job: slow.id,
        attempt: openbits_core::AttemptId(slow.attempt),
    });
    while !matches!(bench.event(), Event::Stopped { .. }) {}
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // The share is a mirror like any other.
    let mut job = bench.job(&[(&origin.url("gone"), "m")]);
    patient(&mut job);
    job.files[0].order.mirrors = vec![samba.url("open", "f")];
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    assert_content(&job.temp(0), &content);
}

fn named(url: &str) -> SmbName {
    match remote::parse(url) {
        Ok(Remote::Smb(name)) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_upload_is_resumed_and_appears_whole_or_not_at_all() {
    let Some(mut samba) = samba() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let content = Content::new(1, 8 << 20);
    let bytes = content.byte_range(0, content.size());
    let name = named(&samba.url("open", "up.bin"));
    let nobody = User::default();
    let (place, temp) = (samba.folder("open").join("up.bin"), samba.folder("open").join("BIT1.tmp"));
    std::fs::write(&place, "old").unwrap();
    let half = bytes.len() / 2;
    let checkpoint = runtime.block_on(async {
        let mut upload = Upload::create(&name, &nobody, "BIT1.tmp", STEP).await.unwrap();
        upload.write(&bytes[..half]).await.unwrap();
        let checkpoint = upload.checkpoint().await.unwrap();
        upload.write(&bytes[half..half + 1000]).await.unwrap();
        checkpoint
    });
    assert_eq!(checkpoint.offset, half as u64);
    assert_eq!(std::fs::read(&place).unwrap(), b"old");
    samba.restart().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let resumed = Upload::resume(&name, &nobody, "BIT1.tmp", checkpoint, STEP).await.unwrap();
        let mut upload = resumed.expect("the same file");
        upload.write(&bytes[half..]).await.unwrap();
        upload.finish(content.size()).await.unwrap();
    });
    assert_content(&place, &content);
    assert!(!temp.exists());
    // Another file under the name is not continued; a wrong size is not renamed; what is given up goes.
    std::fs::write(&temp, vec![0_u8; half]).unwrap();
    runtime.block_on(async {
        let resumed = Upload::resume(&name, &nobody, "BIT1.tmp", checkpoint, STEP).await.unwrap();
        assert!(resumed.is_none());
        let mut upload = Upload::create(&name, &nobody, "BIT1.tmp", STEP).await.unwrap();
        upload.write(b"short").await.unwrap();
        let fail = upload.finish(6).await.unwrap_err();
        assert_eq!(fail.code, BG_E_VALIDATION_FAILED);
        upload::remove(&name, &nobody, "BIT1.tmp", STEP).await.unwrap();
        upload::remove(&name, &nobody, "BIT1.tmp", STEP).await.unwrap();
    });
    assert_content(&place, &content);
    assert!(!temp.exists());
}
