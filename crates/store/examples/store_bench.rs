//! Prints durable commits per second, load time and check time of a large queue. Run in release:
//! `cargo run --release -p openbits-store --example store_bench [folder]`.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use openbits_store::{EventRow, FileRow, JobRow, Op, Options, Store};

const JOBS: u32 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("store-bench-{}", std::process::id()));
    let path = folder.join("queue.db");
    for callers in [1, 16, 64] {
        commits(&path, callers)?;
    }
    large(&path)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn id(n: u32) -> [u8; 16] {
    u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes()
}

fn job(n: u32, round: u64) -> JobRow {
    // About what a job's document holds: 700 bytes.
    let doc = format!(r#"{{"round":{round},"description":"{}","retry_delay_ms":600000}}"#, "d".repeat(640));
    JobRow { id: id(n), owner: n % 50, state: 2, priority: 2, name: format!("nightly build {n}"), doc }
}

fn file(n: u32) -> FileRow {
    let doc = format!(
        r#"{{"size":1073741824,"etag":"\"{n:032x}\"","ranges":[[0,268435456],[536870912,805306368]],"pad":"{}"}}"#,
        "p".repeat(150)
    );
    let remote = format!("https://downloads.example.org/project/releases/2026/{n}/artifact.tar.zst");
    FileRow { job: id(n), index: 0, remote, local: format!("/home/user/Downloads/artifact-{n}.tar.zst"), doc }
}

fn event(seq: u64) -> EventRow {
    let body = r#"{"from":"QUEUED","to":"TRANSFERRING"}"#.to_owned();
    EventRow { seq, owner: 1, job: id(1), kind: "state".into(), at_ms: 1_800_000_000_000, body }
}

fn put(store: &Store, ops: Vec<Op>) {
    let (answer, answered) = sync_channel(1);
    let done = Box::new(move |result| answer.send(result).expect("the caller waits"));
    store.submit(ops, done).expect("the store is open");
    answered.recv().expect("every batch is answered").expect("the commit succeeds");
}

fn commits(path: &std::path::Path, callers: u32) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(path, Options::default())?.store;
    for n in 0..1000 {
        put(&store, vec![Op::PutJob(job(n, 0))]);
    }
    let before = store.stats();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..callers {
            let store = &store;
            scope.spawn(move || {
                let mut round = 0;
                while begin.elapsed() < Duration::from_secs(3) {
                    round += 1;
                    put(store, vec![Op::PutJob(job(caller * 13 % 1000, round << 8 | u64::from(caller)))]);
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let now = store.stats();
    let (batches, commits) = ((now.batches - before.batches) as f64, (now.commits - before.commits) as f64);
    println!(
        "{callers:3} callers: {:7.0} durable batches/s, {:.1} per commit",
        batches / seconds,
        batches / commits
    );
    store.close();
    Ok(())
}

fn large(path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(path, Options::default())?.store;
    let begin = Instant::now();
    for from in (0..JOBS).step_by(5000) {
        put(
            &store,
            (from..from + 5000).flat_map(|n| [Op::PutJob(job(n, 1)), Op::PutFile(file(n))]).collect(),
        );
    }
    put(&store, (1..=100_000).map(|seq| Op::AppendEvent(event(seq))).collect());
    println!("fill with {JOBS} jobs, files and events: {:.2} s", begin.elapsed().as_secs_f64());
    let reload = Instant::now();
    store.reload()?;
    println!("reload: {:.3} s", reload.elapsed().as_secs_f64());
    let events = Instant::now();
    store.events_after(0, None, Some(id(2)), 10)?;
    println!("walk {} events for one job that has none: {:.3} s", 100_000, events.elapsed().as_secs_f64());
    store.close();
    for _ in 0..3 {
        let open = Instant::now();
        let opened = Store::open(path, Options::default())?;
        println!(
            "open (check + load) {} jobs, {} files: {:.3} s",
            opened.loaded.jobs.len(),
            opened.loaded.files.len(),
            open.elapsed().as_secs_f64()
        );
        opened.store.close();
    }
    let size = std::fs::metadata(path)?.len();
    let conn = rusqlite::Connection::open(path)?;
    for check in ["quick_check", "integrity_check"] {
        let begin = Instant::now();
        let verdict: String = conn.query_row(&format!("PRAGMA {check}(1)"), [], |r| r.get(0))?;
        println!("{check} of {} MB: {:.3} s ({verdict})", size / 1_000_000, begin.elapsed().as_secs_f64());
    }
    Ok(())
}
