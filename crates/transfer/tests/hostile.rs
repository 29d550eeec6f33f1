//! Every hostile behaviour of the test origin against the real worker: the very file, or the decided error; never another file.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, End, Job, job_of};
use openbits_core::AttemptId;
use openbits_testkit::{Behaviour, Content, Origin, OriginFile};
use openbits_transfer::protocol::{Algorithm, Command, Digest, Event, FailureClass};
use std::time::{Duration, Instant};

/// Attempts that the "service" makes as long as errors are transient.
const ATTEMPTS: u64 = 4;

/// How long a trickle is watched before it is stopped.
const SLOW: Duration = Duration::from_secs(3);

struct Case {
    behaviour: Behaviour,
    name: String,
    job: Job,
    end: Option<End>,
    restarts: usize,
    started: Instant,
    /// The honest beginning, before the origin turns bad.
    honest: bool,
    honest_spare: u64,
    spare: u64,
    stopping: bool,
}

/// Walks all behaviours at once. `resumed`: a third of the file was fetched in good times.
fn walk(size: u64, digest: bool, resumed: bool) -> Vec<(String, String)> {
    let origin = Origin::start();
    let mut bench = Bench::new();
    let mut cases: Vec<Case> = Behaviour::ALL
        .iter()
        .enumerate()
        .map(|(number, &behaviour)| {
            let name = behaviour.to_string();
            let content = Content::new(number as u64, size);
            let file = OriginFile::new(content.clone()).at(size / 2);
            origin.put(&name, if resumed { file } else { file.behaviour(behaviour) });
            if resumed {
                origin.hold(&name, size / 3);
            }
            let mut job = bench.job(&[(&origin.url(&name), &name)]);
            if digest {
                let hex = content.sha256_hex();
                job.files[0].order.digests = vec![Digest::new(Algorithm::Sha256, &hex).unwrap()];
            }
            let started = Instant::now();
            Case {
                behaviour,
                name,
                job,
                end: None,
                restarts: 0,
                started,
                honest: resumed,
                honest_spare: ATTEMPTS,
                // It answers half a second before patience ends: on a busy machine not every time.
                spare: if behaviour == Behaviour::AnswersLate { 10 * ATTEMPTS } else { ATTEMPTS },
                stopping: false,
            }
        })
        .collect();
    for case in &mut cases {
        bench.start(&mut case.job);
    }
    let mut open = cases.len();
    while open > 0 {
        let event = bench.event();
        let id = job_of(&event).unwrap();
        let case = cases.iter_mut().find(|case| case.job.id == id).unwrap();
        case.job.note(&event);
        let stop = Command::Stop { job: id, attempt: AttemptId(case.job.attempt) };
        let end = match event {
            Event::Checkpoint { .. } if case.honest => {
                if !std::mem::replace(&mut case.stopping, true) {
                    bench.send(stop);
                }
                continue;
            }
            // The answer to a stop that came after the end of its attempt.
            Event::Stopped { attempt, .. } if attempt.0 != case.job.attempt => continue,
            // On a busy machine the origin that holds back looks stalled before the stop arrives: what came by then counts as well.
            Event::Stopped { .. } | Event::Failed { .. } if case.honest => {
                case.stopping = false;
                if case.job.files[0].order.done.is_empty() {
                    case.honest_spare =
                        case.honest_spare.checked_sub(1).expect("a third of it comes in good times");
                    bench.start(&mut case.job);
                    continue;
                }
                case.honest = false;
                case.started = Instant::now();
                origin.set_behaviour(&case.name, case.behaviour);
                origin.release(&case.name);
                bench.start(&mut case.job);
                continue;
            }
            Event::Done { .. } => End::Done,
            Event::Failed { failure, .. } => End::Failed(failure),
            Event::Stopped { .. } => End::Stopped,
            Event::Restarted { .. } => {
                case.restarts += 1;
                continue;
            }
            Event::Progress { .. }
                if case.behaviour == Behaviour::Trickle && !case.honest && case.started.elapsed() > SLOW =>
            {
                if !std::mem::replace(&mut case.stopping, true) {
                    bench.send(stop);
                }
                continue;
            }
            _ => continue,
        };
        let transient = matches!(&end, End::Failed(failure) if failure.class == FailureClass::Transient);
        case.end = Some(end);
        case.spare -= 1;
        if transient && case.spare > 0 {
            bench.start(&mut case.job);
        } else {
            open -= 1;
        }
    }
    let mut lines = Vec::new();
    for case in &cases {
        let (renamed, error, left) = bench.finish(&case.job);
        assert_eq!((error, left), (None, vec![]), "{}", case.name);
        let path = case.job.local(0);
        let outcome = match case.end.as_ref().unwrap() {
            End::Done => {
                assert_eq!(renamed, [0], "{}", case.name);
                let now = origin.content(&case.name).unwrap();
                let got = std::fs::read(&path).unwrap();
                let same = got.len() as u64 == now.size() && now.first_difference(0, &got).is_none();
                if same { "same".to_owned() } else { "other".to_owned() }
            }
            End::Failed(failure) => {
                assert!(!path.exists(), "{}: {failure:?}", case.name);
                format!("{} {:?}", failure.code, failure.class).to_lowercase()
            }
            End::Stopped => "stopped".to_owned(),
        };
        lines.push((case.name.clone(), outcome));
    }
    assert_eq!(bench.leftovers(), Vec::<String>::new());
    lines
}

/// Compares a walk with its column of the table.
fn check(column: usize, found: &[(String, String)]) {
    let table: Vec<Vec<&str>> = include_str!("hostile/expected.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(" | ").collect())
        .collect();
    assert_eq!(table.len(), found.len(), "every behaviour has its row");
    let wrong: Vec<String> = table
        .iter()
        .zip(found)
        .filter(|(row, (name, outcome))| row[0] != name || row[column] != outcome)
        .map(|(row, (name, outcome))| format!("{name}: {outcome}, decided: {}", row[column]))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn fresh_downloads_end_as_decided() {
    check(1, &walk(3 << 20, false, false));
}

#[test]
fn continued_downloads_end_as_decided() {
    check(2, &walk(3 << 20, false, true));
}

#[test]
fn a_digest_lets_no_other_file_pass() {
    let found = walk(3 << 20, true, true);
    assert!(found.iter().all(|(_, outcome)| outcome != "other"));
    check(3, &found);
}

#[test]
fn short_files_end_as_decided() {
    check(4, &walk(100 << 10, true, false));
}
