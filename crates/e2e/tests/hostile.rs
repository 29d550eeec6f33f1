//! Every behaviour of the hostile origin, through the service: never a wrong file, always a decided end, and a service that is
//! alive and idle afterwards. What exactly each answer means is the table of crates/transfer; here only the outer guarantees.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Acknowledged, Cancelled, Error, Suspended, Transferring};
use openbits_e2e::{Door, Job, NewJob, User, difference, knob, leftovers, names, program};
use openbits_testkit::process::{cpu_time, rss_bytes};
use openbits_testkit::{Behaviour, Content, Origin, OriginFile, wait_until};
use std::path::PathBuf;
use std::time::Duration;

/// Attempts before a job that still fails is left in its error.
const ATTEMPTS: u32 = 4;
/// Most resident memory of the service in the middle of all this, in bytes.
const MEMORY_MAX: u64 = 300 << 20;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

struct Case {
    behaviour: Behaviour,
    original: Content,
    path: PathBuf,
    job: Job,
    attempts: u32,
    end: Option<String>,
}

/// The whole content changes without a trace in the answers: only a digest can tell (spec behaviour 5).
fn only_a_digest_tells(behaviour: Behaviour) -> bool {
    matches!(
        behaviour,
        Behaviour::PartialWrongBytes
            | Behaviour::ChangesSilently
            | Behaviour::TornBody
            | Behaviour::FlippedByte
            | Behaviour::IfRangeIgnoredNoValidators
            | Behaviour::CaptivePortal
            | Behaviour::Http09
    )
}

/// Odd, legal or harmless: the file must arrive, with the digest known or not.
const MUST_ARRIVE: &str = "good no-ranges ranges-only-after-first 206-unasked 206-shorter-than-asked content-range-odd-spelling \
    accept-ranges-none 416-once 416-no-total etag-always-new date-always-new weak-etag no-validators only-date only-etag \
    garbage-etag garbage-date farm-nodes no-content-length chunked empty-file one-byte-file 503-twice redirect-cross-origin \
    redirect-plain-http redirect-relative http-1.0 http-1.0-no-ranges bare-lf 100-continue 103-early-hints answers-late \
    keep-alive-lie unasked-second-answer head-405 head-403 head-wrong-length head-no-length head-with-body redirect-301 \
    redirect-302 redirect-303 redirect-307 redirect-308 redirect-chain-5";
/// The file changes in mid-download and says so: the new one must arrive, when no digest forbids it.
const MUST_ARRIVE_CHANGED: &str = "if-range-ignored changes-etag changes-date changes-size";

fn must_arrive(behaviour: Behaviour, with_digest: bool) -> bool {
    let name = behaviour.to_string();
    let among = |list: &str| list.split_whitespace().any(|one| one == name);
    among(MUST_ARRIVE) || !with_digest && among(MUST_ARRIVE_CHANGED)
}

fn begin(user: &User, door: &Door, origin: &Origin, with_digest: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, &behaviour) in Behaviour::ALL.iter().enumerate() {
        let name = format!("{behaviour}-{with_digest}");
        origin.put(&name, OriginFile::new(Content::new(n as u64, 300_000 + n as u64)).behaviour(behaviour));
        let original = origin.content(&name).unwrap();
        let path = user.path(&name);
        let mut job = NewJob::new(&name).file(&origin.url(&name), &path);
        if with_digest {
            job = job.sha256(&original.sha256_hex());
        }
        let job = job.set("no_progress_timeout_s", 0).set("auto_complete", true).started().create(door);
        cases.push(Case { behaviour, original, path, job, attempts: 1, end: None });
    }
    cases
}

/// Looks at a case; true when it has come to its end.
fn step(case: &mut Case) -> bool {
    if case.end.is_some() {
        return true;
    }
    match case.job.state() {
        Acknowledged => case.end = Some("delivered".to_owned()),
        Error => {
            let error = case.job.view().and_then(|view| view.error).expect("a job in ERROR says why");
            if case.attempts < ATTEMPTS {
                case.attempts += 1;
                case.job.must("resume");
            } else {
                if let Behaviour::Status(status) = case.behaviour {
                    assert_eq!(error.hresult, format!("0x8019{status:04X}"), "{error:#?}");
                }
                assert!(error.hresult.starts_with("0x80") && !error.detail.is_empty(), "{error:#?}");
                case.end = Some(error.name);
            }
        }
        _ => {}
    }
    case.end.is_some()
}

fn check(case: &Case, origin: &Origin, with_digest: bool) -> Result<(), String> {
    let name = format!("{}-{with_digest}", case.behaviour);
    let end = case.end.as_deref().unwrap();
    if end != "delivered" {
        if must_arrive(case.behaviour, with_digest) {
            return Err(format!("{name}: {end}, and the file should have arrived"));
        }
        return if case.path.exists() { Err(format!("{name}: {end}, and a file is there")) } else { Ok(()) };
    }
    let now = origin.content(&name).unwrap();
    let same = |content: &Content| difference(&case.path, content);
    match (same(&case.original), same(&now)) {
        (None, _) => Ok(()),
        (_, None) if !with_digest => Ok(()),
        (Some(how), _) if with_digest => Err(format!("{name}: delivered in spite of the digest: {how}")),
        (Some(old), Some(new)) if !only_a_digest_tells(case.behaviour) => {
            Err(format!("{name}: neither the old file ({old}) nor the new one ({new})"))
        }
        _ => Ok(()),
    }
}

fn walk(with_digest: bool) {
    let limit = Duration::from_secs(knob("OPENBITS_HOSTILE_S", 50));
    let user = User::new(bits());
    user.policy("[http]\nidle_timeout = 2\nconnect_timeout = 5\n[limits]\njobs_per_user = 300\n");
    let door = user.wake();
    let pid = user.service_pid();
    let origin = Origin::start();
    let mut cases = begin(&user, &door, &origin, with_digest);
    let mut memory = 0;
    let done = |cases: &mut [Case], memory: &mut u64| {
        *memory = (*memory).max(rss_bytes(pid).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(100));
        // One byte a second: alive, so it is let go on; it is looked at below.
        cases
            .iter_mut()
            .filter(|case| case.behaviour != Behaviour::Trickle)
            .map(step)
            .filter(|done| !done)
            .count()
            == 0
    };
    let all = wait_until(limit, || done(&mut cases, &mut memory));
    for case in cases.iter_mut().filter(|case| case.end.is_none()) {
        if case.behaviour == Behaviour::Trickle {
            assert_eq!(case.job.wait(&[Transferring, Suspended], limit), Transferring);
        }
        let why = case.job.view().map(|view| (view.state, view.error, case.attempts));
        assert!(case.behaviour == Behaviour::Trickle, "{} has no end: {why:#?}", case.behaviour);
        case.end = Some("goes on slowly".to_owned());
    }
    assert!(all, "not every behaviour came to an end");
    for case in &cases {
        eprintln!(
            "{:32} {:2} attempts  {}",
            case.behaviour.to_string(),
            case.attempts,
            case.end.as_deref().unwrap()
        );
    }
    let wrong: Vec<String> =
        cases.iter().filter_map(|case| check(case, &origin, with_digest).err()).collect();
    assert_eq!(wrong, Vec::<String>::new());
    assert!(memory < MEMORY_MAX, "{memory} bytes resident");

    for job in door.jobs("") {
        let job = Job { id: job.id, door: door.clone() };
        job.must("cancel");
        assert_eq!(job.wait(&[Cancelled, Acknowledged], limit), Cancelled);
    }
    let delivered: Vec<_> = cases.iter().filter(|case| case.end.as_deref() == Some("delivered")).collect();
    assert_eq!(leftovers(&user.folder()), Vec::<PathBuf>::new());
    assert_eq!(names(&user.folder()).len(), delivered.len());
    // Alive, the same one, and with nothing to do: it does nothing.
    assert_eq!(user.service_pid(), pid);
    // Once what the end of so many jobs leaves to do is done; what goes on for ever never is.
    let mut used = Vec::new();
    let rests = (0..20).any(|_| {
        let before = cpu_time(pid).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        used.push(cpu_time(pid).unwrap() - before);
        used.last().is_some_and(|used| *used <= Duration::from_millis(20))
    });
    assert!(rests, "the idle service used {used:?} of CPU, each in 2 s");
    eprintln!(
        "{} behaviours, {} delivered, {} MiB resident at most",
        cases.len(),
        delivered.len(),
        memory >> 20
    );
}

#[test]
fn every_behaviour_ends_without_a_wrong_file() {
    walk(false);
}

#[test]
fn every_behaviour_ends_with_the_right_file_or_none_when_the_digest_is_known() {
    walk(true);
}
