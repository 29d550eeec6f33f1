//! The cutter and the process harness.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

mod raw;

use std::time::{Duration, Instant};

use openbits_testkit::process::{Signal, Spec, children, context_switches, cpu_time, rss_bytes, stat};
use openbits_testkit::{Content, CutHow, CutPlan, Cutter, Origin, Rng, Sandbox, sha256_file, wait_until};
use raw::{Ended, Raw, Seen};

fn through(cutter: &Cutter, patience: Duration) -> Seen {
    let mut raw = Raw::connect(cutter.addr());
    raw.ask("GET", "/f", &[]);
    let whole = |seen: &Seen| seen.answer().is_some_and(|answer| answer.length() == Some(answer.body.len()));
    raw.read_until(patience, usize::MAX, whole)
}

#[test]
fn the_cutter_cuts_where_told() {
    let origin = Origin::start();
    origin.put("f", Content::new(1, 200_000));
    let cutter = Cutter::start(origin.addr()).unwrap();
    let patience = Duration::from_secs(5);
    assert_eq!(through(&cutter, patience).answer().unwrap().body.len(), 200_000);
    for (how, ended) in [(CutHow::Reset, Ended::Reset), (CutHow::Close, Ended::Eof)] {
        cutter.cut(CutPlan::After(1234), how);
        let seen = through(&cutter, patience);
        assert_eq!((seen.bytes.len(), seen.ended), (1234, ended));
    }
    cutter.cut(CutPlan::Random(Rng::new(3), 500, 5000), CutHow::Close);
    let sizes: Vec<usize> = (0..3).map(|_| through(&cutter, patience).bytes.len()).collect();
    assert!(sizes.iter().all(|size| (500..=5000).contains(size)) && sizes[0] != sizes[1], "{sizes:?}");
    cutter.cut(CutPlan::Each(vec![0, 0, 0, 0, 0, 0, 77]), CutHow::Close);
    assert_eq!(through(&cutter, patience).bytes.len(), 77, "the seventh connection");
    assert!(through(&cutter, patience).answer().is_some(), "the list is over");
    assert_eq!((cutter.cuts(), cutter.connections()), (6, 8));
}

#[test]
fn the_cutter_blackholes_refuses_throttles_and_cuts_at_once() {
    let origin = Origin::start();
    origin.put("f", Content::new(1, 100_000));
    let cutter = Cutter::start(origin.addr()).unwrap();
    cutter.blackhole(true);
    assert_eq!(through(&cutter, Duration::from_millis(200)).ended, Ended::Silence);
    cutter.refuse(true);
    assert_eq!(through(&cutter, Duration::from_secs(5)).ended, Ended::Reset);
    cutter.refuse(false);
    cutter.throttle(Some(400_000));
    let start = Instant::now();
    assert_eq!(through(&cutter, Duration::from_secs(5)).answer().unwrap().body.len(), 100_000);
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    cutter.throttle(Some(1000));
    let connections = cutter.connections();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| through(&cutter, Duration::from_secs(5)));
        // Bytes of this connection, and not the last ones of the one before.
        assert!(wait_until(Duration::from_secs(60), || cutter.connections() > connections));
        let before = cutter.bytes_down();
        assert!(wait_until(Duration::from_secs(60), || cutter.bytes_down() > before));
        cutter.cut_now();
        assert_eq!(slow.join().unwrap().ended, Ended::Reset);
    });
}

#[test]
fn processes_are_started_stopped_killed_and_measured() {
    let sandbox = Sandbox::new().unwrap();
    let script = "echo home=$HOME extra=$EXTRA; sleep 100 & wait";
    let spec = Spec::new("/bin/sh", sandbox.path().join("log")).arg("-c").arg(script).env("EXTRA", "yes");
    let mut process = spec.within(&sandbox).start().unwrap();
    let id = process.pid();
    assert!(wait_until(Duration::from_secs(60), || children(id).len() == 1));
    let line = format!("home={} extra=yes\n", sandbox.home().display());
    assert!(wait_until(Duration::from_secs(60), || process.log() == line), "{}", process.log());
    assert!(rss_bytes(id).unwrap() > 0);
    assert!(cpu_time(id).unwrap() < Duration::from_secs(5));
    assert!(context_switches(id).unwrap().voluntary > 0);
    process.stop().unwrap();
    assert_eq!(stat(id).unwrap().state, 'T');
    process.cont().unwrap();
    let child = children(id)[0];
    process.kill_tree().unwrap();
    let gone = |id| stat(id).is_err() || stat(id).is_ok_and(|stat| stat.state == 'Z');
    assert!(wait_until(Duration::from_secs(60), || gone(child)), "the child ends as well");
    assert!(process.signal(Signal::SIGTERM).is_err(), "it has ended");
    process.restart().unwrap();
    assert!(process.is_running() && process.wait(Duration::from_millis(50)).is_none());
    assert!(wait_until(Duration::from_secs(60), || process.log() == line.repeat(2)));
    let status = process.terminate(Duration::from_secs(5)).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
}

#[test]
fn dropping_kills_and_sandboxes_vanish() {
    let sandbox = Sandbox::new().unwrap();
    let path = sandbox.path().to_owned();
    let process = Spec::new("/bin/sleep", path.join("log")).arg("100").start().unwrap();
    let id = process.pid();
    drop(process);
    assert!(stat(id).is_err());
    assert!(sandbox.runtime().is_dir());
    drop(sandbox);
    assert!(!path.exists());
}

#[test]
fn a_file_has_the_digest_of_its_content() {
    let sandbox = Sandbox::new().unwrap();
    let content = Content::new(8, 300_000);
    let path = sandbox.path().join("f");
    std::fs::write(&path, content.byte_range(0, 300_000)).unwrap();
    assert_eq!(sha256_file(&path).unwrap(), content.sha256_hex());
}
