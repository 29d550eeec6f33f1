//! Documents of jobs and files as the store may hold them after damage: read or refused, and a queue with them works.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_core::queue::Call;
use openbits_core::{Caller, FileTime, Limits, Mono, Now, Queue};
use openbits_daemon::clock::Clock;
use openbits_daemon::{rows, views};
use openbits_store::{FileRow, JobRow, Loaded};

fn now(ms: i64) -> Now {
    Now { mono: Mono(ms), wall: FileTime::from_unix_ms(ms) }
}

/// First the numbers of state, priority and call; then the job's document, then one line for each file's.
fn rows_of(state: u8, priority: u8, text: &str) -> Loaded {
    let (id, mut lines) = ([1; 16], text.split('\n'));
    let job = JobRow {
        id,
        owner: 1000,
        state,
        priority,
        name: "fuzz".to_owned(),
        doc: lines.next().unwrap_or("").to_owned(),
    };
    let file = |(index, doc): (u32, &str)| FileRow {
        job: id,
        index,
        remote: format!("http://h/{index}"),
        local: format!("/tmp/{index}"),
        doc: doc.to_owned(),
    };
    Loaded { jobs: vec![job], files: (0..).zip(lines).map(file).collect(), ..Loaded::default() }
}

fuzz_target!(|data: &[u8]| {
    let [state, priority, call, text @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let digit = |byte: u8| byte.wrapping_sub(b'0');
    let (jobs, complaints) = rows::jobs(rows_of(digit(*state), digit(*priority), text));
    assert_eq!(jobs.len() + complaints.len(), 1);
    let Some(job) = jobs.into_iter().next() else { return };
    let files =
        (0..u32::try_from(job.files.len()).expect("few")).map(|i| rows::file_row(&job, i).expect("there"));
    let again = Loaded { jobs: vec![rows::job_row(&job)], files: files.collect(), ..Loaded::default() };
    let (again, complaints) = rows::jobs(again);
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(again[0], job, "what is stored is what was read");

    let id = job.id;
    let mut queue = Queue::load(Limits::default(), vec![job], now(1_000));
    queue.start(now(1_000));
    let call = match call % 5 {
        0 => Call::Resume,
        1 => Call::Suspend,
        2 => Call::Cancel,
        3 => Call::Complete,
        _ => Call::TakeOwnership,
    };
    let _ = queue.call(Caller::root(), id, call, now(2_000));
    for ms in [3_000, 700_000, 200 * 86_400_000] {
        queue.tick(now(ms));
        let _ = queue.take_effects();
        if let Some(job) = queue.get(id) {
            let _ = serde_json::to_string(&views::job(&queue, job, true, Clock::start()));
            let _ = (queue.why(id), views::why(&queue, job, Clock::start()), job.reply_progress());
        }
    }
});
