//! What a worker may say to the service: frames, their JSON, the limits, and the queue that hears it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_core::job::Extras;
use openbits_core::job::NewFile;
use openbits_core::job::api::FinishResult;
use openbits_core::queue::{Call, NewJob};
use openbits_core::{Caller, FileTime, JobId, JobType, Limits, Mono, Now, Queue};
use openbits_daemon::clock::Clock;
use openbits_daemon::{order, views};
use openbits_transfer::protocol::{self, Event};
use openbits_transfer::pump;

const OWNER: Caller = Caller::user(1000);

fn now(ms: i64) -> Now {
    Now { mono: Mono(ms), wall: FileTime::from_unix_ms(ms) }
}

fn queue() -> Queue {
    let mut queue = Queue::load(Limits::default(), Vec::new(), now(0));
    queue.start(now(0));
    let file = |n: u32| NewFile {
        remote: format!("http://h/{n}"),
        local: format!("/tmp/{n}"),
        ..NewFile::default()
    };
    let new = NewJob {
        id: JobId::from_bytes([1; 16]),
        display_name: "fuzz".to_owned(),
        kind: JobType::Download,
        properties: Vec::new(),
        files: vec![file(0), file(1)],
        resume: true,
        extras: Extras::NONE,
        delivery: None,
        download: None,
    };
    queue.create(OWNER, new, now(0)).expect("a plain job");
    queue
}

fn hear(queue: &mut Queue, event: Event, now: Now) {
    match event {
        Event::Connected { job, attempt, file, size, peer } => {
            queue.on_connected(job, attempt, file, size, &peer, now);
        }
        Event::Progress { job, attempt, file, bytes } => queue.on_progress(job, attempt, file, bytes, now),
        Event::Written { job, attempt, file, ranges } => queue.on_written(job, attempt, file, ranges, now),
        Event::Checkpoint { job, attempt, files } => {
            queue.on_checkpoint(job, attempt, files.into_iter().map(order::report).collect(), now);
        }
        Event::Restarted { job, attempt, file, .. } => queue.on_restarted(job, attempt, file, now),
        Event::Done { job, attempt } => queue.on_done(job, attempt, now),
        Event::Failed { job, attempt, failure } => {
            let (record, retry) = order::failure(*failure, now.wall, false);
            queue.on_failed(job, attempt, record, retry, now);
        }
        Event::Stopped { job, attempt } => queue.on_stopped(job, attempt, now),
        Event::FinishDone { job, ticket, renamed, error, lost, left, upload_left } => {
            let (code, left_behind) = (error.as_ref().map(|(_, code, _)| *code), !left.is_empty());
            let result = FinishResult { renamed, lost, error: code, left_behind, upload_left };
            queue.on_finish_done(job, ticket, &result, error, now);
        }
        Event::Pace { job, attempt, pace } => queue.on_pace(job, attempt, order::pace(pace, now.mono), now),
        Event::Headers { job, attempt, file, text } => queue.on_headers(job, attempt, file, &text),
        Event::Redirected { job, attempt, file, remote } => {
            queue.on_redirected(job, attempt, file, &remote, now)
        }
        Event::Upload { job, attempt, state, keep } => queue.on_upload(job, attempt, *state, keep, now),
        // What the queue does not hear of.
        Event::Probed { .. }
        | Event::Pong { .. }
        | Event::Moved { .. }
        | Event::Note { .. }
        | Event::CertificatePresented { .. }
        | Event::CertificateFound { .. } => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without I/O");
    runtime.block_on(async {
        let (mut stream, mut queue, mut ms) = (data, queue(), 1_000);
        let clock = Clock::start();
        let id = JobId::from_bytes([1; 16]);
        while let Ok(Some(event)) = pump::read_within::<Event>(&mut stream, pump::MAX_EVENT).await {
            let mut frame = Vec::new();
            pump::write(&mut frame, &event).await.expect("into memory");
            let again = pump::read::<Event>(&mut &frame[..]).await.expect("our own frame");
            assert_eq!(again.as_ref(), Some(&event));
            if protocol::check(&event).is_err() {
                break;
            }
            ms += 1_000;
            hear(&mut queue, event, now(ms));
            if ms % 5_000 == 0 {
                let _ = queue.call(OWNER, id, Call::Complete, now(ms));
            }
            queue.tick(now(ms));
            let _ = queue.take_effects();
            if let Some(job) = queue.get(id) {
                let view = views::job(&queue, job, true, clock);
                assert!(view.bytes_total.is_none_or(|total| view.bytes_transferred <= total), "{view:?}");
            }
        }
    });
});
