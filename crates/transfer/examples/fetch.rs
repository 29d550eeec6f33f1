//! `fetch URL FILE [--no-sync] [--no-preallocate]`: one file by the worker, without a service. For profiling against other programs.
//!
//! `--no-sync` moves the checkpoints out of the way, to see what they cost.

use openbits_core::{AttemptId, JobId, Priority, Ticket};
use openbits_transfer::protocol::{Command, Event, FileOrder, Finish, Order, Rename, TransferOptions};
use openbits_transfer::worker;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(remote), Some(local)) = (args.next(), args.next()) else {
        eprintln!("usage: fetch URL FILE [--no-sync] [--no-preallocate] [--http1] [--ca PEM]");
        return ExitCode::from(2);
    };
    let mut options = TransferOptions::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--no-sync" => (options.checkpoint_bytes, options.checkpoint_ms) = (u64::MAX, u64::MAX),
            "--ca" => options.extra_ca = args.next(),
            "--no-preallocate" => options.preallocate = false,
            "--http1" => options.http2 = false,
            _ => return ExitCode::from(2),
        }
    }
    let local = std::path::absolute(local).expect("a current directory").to_string_lossy().into_owned();
    let temp = format!("BIT{:08x}.tmp", std::process::id());
    let job = JobId::from_random_bytes([1; 16]);
    let order = Order {
        job,
        attempt: AttemptId(1),
        priority: Priority::Foreground,
        files: vec![FileOrder::new(0, &remote, &local, &temp)],
        upload: None,
        options,
    };
    let mut worker = worker::spawn().expect("a worker thread");
    let send = |command| worker.commands.blocking_send(command).expect("the worker listens");
    send(Command::Start(Box::new(order)));
    let (mut size, mut modified_s) = (0, None);
    loop {
        match worker.events.blocking_recv() {
            Some(Event::Checkpoint { files, .. }) => {
                for file in files {
                    (size, modified_s) = (file.size.unwrap_or(0), file.modified_s);
                }
            }
            Some(Event::Done { .. }) => break,
            Some(Event::Failed { failure, .. }) => {
                eprintln!("{} {}", failure.code, failure.detail);
                return ExitCode::FAILURE;
            }
            Some(_) => {}
            None => return ExitCode::FAILURE,
        }
    }
    let rename = vec![Rename { index: 0, local, temp, size, truncate: false, validator: None, modified_s }];
    let finish = Finish { job, ticket: Ticket(1), rename, remove: Vec::new(), made: None, cancel: None };
    send(Command::Finish(Box::new(finish)));
    loop {
        match worker.events.blocking_recv() {
            Some(Event::FinishDone { error: None, .. }) => return ExitCode::SUCCESS,
            Some(Event::FinishDone { error: Some((_, code, text)), .. }) => {
                eprintln!("{code} {text}");
                return ExitCode::FAILURE;
            }
            Some(_) => {}
            None => return ExitCode::FAILURE,
        }
    }
}
