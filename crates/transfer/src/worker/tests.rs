//! Panics inside the worker.

use super::*;
use crate::protocol::{FileOrder, Order, TransferOptions};
use openbits_core::Priority;

/// The URL of a file whose transfer ends in a panic.
const PANICS: &str = "test:panic";

pub(super) fn perhaps_panic(remote: &str) {
    assert_ne!(remote, PANICS, "as the test asks");
}

fn order(job: JobId, attempt: u64, remote: &str) -> Command {
    let file = FileOrder::new(0, remote, "/nowhere/f", "BIT1.tmp");
    Command::Start(Box::new(Order {
        job,
        attempt: AttemptId(attempt),
        priority: Priority::Foreground,
        files: vec![file],
        upload: None,
        options: TransferOptions::default(),
    }))
}

#[test]
fn a_panic_fails_its_attempt_and_no_other() {
    let mut worker = spawn().unwrap();
    let job = JobId::from_random_bytes([7; 16]);
    let mut failed = |command| {
        worker.commands.blocking_send(command).unwrap();
        match worker.events.blocking_recv() {
            Some(Event::Failed { job, attempt, failure }) => (job, attempt, failure.code, failure.class),
            other => panic!("{other:?}"),
        }
    };
    let end = failed(order(job, 1, PANICS));
    assert_eq!(end, (job, AttemptId(1), E_UNEXPECTED, FailureClass::Transient));
    // The worker goes on, with this job too, which is forgotten: a stop is answered at once.
    let end = failed(order(job, 2, "http://host/"));
    assert_eq!((end.1, end.3), (AttemptId(2), FailureClass::Fatal));
    let attempt = AttemptId(1);
    worker.commands.blocking_send(Command::Stop { job, attempt }).unwrap();
    assert_eq!(worker.events.blocking_recv(), Some(Event::Stopped { job, attempt }));
    drop(worker.commands);
    worker.thread.join().unwrap();
}
