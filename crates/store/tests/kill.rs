//! SIGKILL in the middle of commits: every acknowledged batch is there afterwards, whole.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use common::{event, file, id, job, open};
use openbits_store::Op;

const FOLDER: &str = "STORE_KILL_TEST_FOLDER";
const KILLS: u32 = 24;

/// Not a test by itself: the process that is killed. Commits numbered batches, several in flight, and prints each
/// acknowledged number.
#[test]
#[ignore = "started by acknowledged_batches_survive_sigkill"]
fn child_commits_until_killed() {
    let folder = std::env::var(FOLDER).expect("started by the other test");
    let opened = open(&Path::new(&folder).join("queue.db"));
    let next = opened.loaded.meta.get("last").map_or(0, |last| last.parse::<u32>().unwrap() + 1);
    // At most 8 in flight.
    let (permit, permits) = sync_channel(8);
    (0..8).for_each(|_| permit.send(()).unwrap());
    for n in next.. {
        permits.recv().unwrap();
        let permit = permit.clone();
        let ops = vec![
            Op::PutJob(job(n, "a")),
            Op::PutFile(file(n, 0, "t")),
            Op::AppendEvent(event(u64::from(n) + 1, n)),
            Op::DeleteJob(id(n.wrapping_sub(500))),
            Op::PutMeta { key: "last".into(), value: n.to_string() },
        ];
        let done = move |result: Result<(), _>| {
            result.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "ack {n}").unwrap();
            out.flush().unwrap();
            permit.send(()).unwrap();
        };
        opened.store.submit(ops, Box::new(done)).unwrap();
    }
}

#[test]
fn acknowledged_batches_survive_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_commits_until_killed", "--ignored", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut last = None;
        // Kill after some acks, at a moment that differs: `round` microseconds squared after the last one read.
        let acks = 1 + (round * 37) % 200;
        let mut number =
            |line: String| line.split_once("ack ").map(|(_, n)| last = n.parse::<u32>().ok().or(last));
        lines.by_ref().filter_map(&mut number).take(acks as usize).count();
        let until = Instant::now() + Duration::from_micros(u64::from(round * round * 7));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.filter_map(&mut number).count();
        let last = last.expect("the child commits");

        let opened = open(&path);
        assert_eq!(opened.findings, [], "round {round}: a kill is not damage");
        let stored: u32 = opened.loaded.meta["last"].parse().unwrap();
        assert!(stored >= last, "round {round}: {last} was acknowledged, {stored} is stored");
        let expected = stored.saturating_sub(499)..=stored;
        let mut jobs: Vec<_> = expected.clone().map(|n| job(n, "a")).collect();
        let mut files: Vec<_> = expected.map(|n| file(n, 0, "t")).collect();
        jobs.sort();
        files.sort();
        assert!(opened.loaded.jobs == jobs && opened.loaded.files == files, "round {round}: not whole");
        assert_eq!(opened.loaded.last_event_seq, u64::from(stored) + 1);
        if round % 4 == 0 {
            opened.store.close();
        }
    }
}
