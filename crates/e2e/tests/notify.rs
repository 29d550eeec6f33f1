//! Notification programs, callbacks and histories with real processes (spec/behaviour.md 16 and 31 rows 17 to 20).

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_api::{CallbackKind, JobLog, NotifyInterfaceView};
use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{Job, NewJob, Options, System, User, accounts, is_root, program, skip};
use openbits_testkit::process::Process;
use openbits_testkit::{Content, Origin, wait_until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
/// Long enough for what must not happen to happen.
const QUIET: Duration = Duration::from_millis(1500);
const OK: &str = "0x00000000";
const FAIL: &str = "0x80004005";

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

fn start(user: &User) -> Process {
    // The tests may run as root, whose jobs run no program otherwise.
    user.policy("[notify]\nallow_for_system_accounts = true\n");
    user.start(&[])
}

fn origin() -> Origin {
    let origin = Origin::start();
    origin.put("f", Content::new(1, 50_000));
    origin
}

/// A program that writes a line for each of its runs and ends with this code.
fn recorder(folder: &Path, code: u8) -> Value {
    let script = folder.join("program.sh");
    let log = folder.join("runs");
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\necho \"$1|$JOB_STATE|$JOB_ID|$JOB_NAME|$JOB_ERROR\" >> '{}'\nexit {code}\n",
            log.display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    json!({ "argv": [script, "an argument; with $(words)"] })
}

fn runs(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn job(user: &User, origin: &Origin, command: Option<Value>) -> Job {
    let mut new = NewJob::new("n").file(&origin.url("f"), &user.path("f")).set("minimum_retry_delay_s", 5);
    if let Some(command) = command {
        new = new.set("notify_command", command);
    }
    new.create(&user.door())
}

fn finish(job: &Job) {
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
}

fn numbers(job: &Job) -> Vec<u16> {
    let log: JobLog = job.door.get(&job.path("/log"));
    log.entries.iter().filter_map(|entry| entry.log.as_ref()).map(|log| log.event).collect()
}

#[test]
fn conformance_17_a_callback_that_is_set_after_transferred_is_called() {
    let user = User::new(bits());
    let (_service, origin) = (start(&user), origin());
    let job = job(&user, &origin, None);
    finish(&job);
    let mut callbacks = user.door().callbacks();
    let shown = || job.door.get::<NotifyInterfaceView>(&job.path("/notify-interface")).registered;
    assert!(!shown());
    assert!(callbacks.register(&job.id).is_success());
    assert!(shown());
    let call = callbacks.next(LONG).expect("called at once");
    assert_eq!(
        (call.kind, call.job.as_str(), call.state),
        (CallbackKind::JobTransferred, job.id.as_str(), Transferred)
    );
    assert_eq!(callbacks.answer(&call, OK).status, 204);
    assert_eq!(callbacks.answer(&call, OK).hresult(), "0x80200001", "nobody waits any more");
    assert_eq!(callbacks.next(QUIET), None, "accepted");
    drop(callbacks);
    assert!(wait_until(LONG, || !shown()), "the registration lives as long as the connection");
}

#[test]
fn conformance_18_a_callback_that_accepts_keeps_the_program_from_running() {
    let user = User::new(bits());
    let (_service, origin) = (start(&user), origin());
    let job = job(&user, &origin, Some(recorder(&user.folder(), 0)));
    let mut callbacks = user.door().callbacks();
    assert!(callbacks.register(&job.id).is_success());
    finish(&job);
    let call = callbacks.next(LONG).expect("called");
    std::thread::sleep(QUIET);
    assert_eq!(runs(&user.folder()), [""; 0], "the callback comes first");
    assert_eq!(callbacks.answer(&call, OK).status, 204);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(runs(&user.folder()), [""; 0]);
}

#[test]
fn conformance_19_a_callback_that_fails_has_the_program_run() {
    let user = User::new(bits());
    let (_service, origin) = (start(&user), origin());
    let job = job(&user, &origin, Some(recorder(&user.folder(), 0)));
    let mut callbacks = user.door().callbacks();
    assert!(callbacks.register(&job.id).is_success());
    finish(&job);
    let call = callbacks.next(LONG).expect("called");
    assert_eq!(callbacks.answer(&call, FAIL).status, 204);
    assert!(wait_until(LONG, || !runs(&user.folder()).is_empty()), "{:?}", job.view());
    assert_eq!(runs(&user.folder()), [format!("an argument; with $(words)|TRANSFERRED|{}|n|", job.id)]);
    assert_eq!(callbacks.next(Duration::from_secs(6)), None, "not called again for this event");
}

#[test]
fn conformance_20_a_program_that_fails_runs_again_until_the_job_is_over() {
    let user = User::new(bits());
    let (_service, origin) = (start(&user), origin());
    let job = job(&user, &origin, Some(recorder(&user.folder(), 1)));
    finish(&job);
    let begun = Instant::now();
    assert!(wait_until(LONG, || runs(&user.folder()).len() >= 3));
    assert!(begun.elapsed() >= Duration::from_secs(9), "two delays of 5 s: {:?}", begun.elapsed());
    // The end of the last run is noted.
    std::thread::sleep(Duration::from_secs(1));
    job.must("complete");
    let count = runs(&user.folder()).len();
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(runs(&user.folder()).len(), count, "the job is over");
    let numbers = numbers(&job);
    assert_eq!(numbers.iter().filter(|n| **n == 63).count(), count, "{numbers:?}");
    assert_eq!(
        (numbers.first(), numbers.last()),
        (Some(&3), Some(&4)),
        "readable after the end: {numbers:?}"
    );
    for number in [16_403, 6, 1, 59, 60, 16_390] {
        assert!(numbers.contains(&number), "{number} in {numbers:?}");
    }
}

/// The job ends in ERROR while nobody listens; the service is killed; whoever comes later is told, until it is accepted.
#[test]
fn what_is_owed_survives_the_death_of_the_service_and_of_the_client() {
    let user = User::new(bits());
    let (service, origin) = (start(&user), origin());
    let new = NewJob::new("n").file(&origin.url("missing"), &user.path("f")).set("notify_flags", 2).started();
    let job = new.create(&user.door());
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    drop(service);
    let service = start(&user);
    let mut callbacks = user.door().callbacks();
    assert!(callbacks.register(&job.id).is_success());
    let call = callbacks.next(LONG).expect("called");
    assert_eq!((call.kind, call.hresult.as_deref()), (CallbackKind::JobError, Some("0x80190194")));
    // The client dies before it has answered, then the service.
    drop(callbacks);
    drop(service);
    let _service = start(&user);
    let mut callbacks = user.door().callbacks();
    assert!(callbacks.register(&job.id).is_success());
    let call = callbacks.next(LONG).expect("called again");
    assert_eq!(callbacks.answer(&call, OK).status, 204);
    assert_eq!(callbacks.next(QUIET), None);
}

#[test]
fn callback2_file_transferred_and_job_modification_at_the_door() {
    let user = User::new(bits());
    let (_service, origin) = (start(&user), origin());
    let new =
        NewJob::new("n").file(&origin.url("f"), &user.path("f")).file(&origin.url("f"), &user.path("g"));
    let job = new.set("notify_flags", 0x1B).create(&user.door());
    let mut callbacks = user.door().callbacks();
    assert!(callbacks.register(&job.id).is_success());
    job.must("resume");
    let mut kinds = Vec::new();
    while kinds.last() != Some(&CallbackKind::JobTransferred) {
        let call = callbacks.next(LONG).expect("another call");
        if call.call.is_some() {
            assert_eq!(callbacks.answer(&call, OK).status, 204);
        }
        kinds.push(call.kind);
    }
    let count = |kind| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!(count(CallbackKind::FileTransferred), 2, "{kinds:?}");
    assert!(count(CallbackKind::JobModification) >= 1, "{kinds:?}");
}

/// The program has the rights of the job's owner and nothing of the service's.
#[test]
fn a_program_of_the_system_service_runs_as_its_user() {
    let test = "a_program_of_the_system_service_runs_as_its_user";
    let Some([one, _]) = is_root().then(accounts).flatten() else {
        return skip(test, "this needs root, who can make accounts");
    };
    let system = System::start(&bits(), &Options::default());
    let home = one.folder(system.folder(), "one");
    let out = home.join("out");
    let script = format!(
        "{{ id -u; id -G; grep -E '^(NoNewPrivs|CapEff|CapBnd)' /proc/self/status; ls /proc/self/fd | wc -l; }} > '{}.new' && mv '{0}.new' '{0}'",
        out.display()
    );
    let origin = origin();
    let new = NewJob::new("n")
        .file(&origin.url("f"), &home.join("f"))
        .set("notify_command", json!({ "argv": ["/bin/sh", "-c", script] }))
        .started();
    let job = new.create(&system.door().of(one.uid));
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert!(wait_until(LONG, || out.exists()), "{}", system.process.log());
    let text = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], one.uid.to_string());
    let mut groups: Vec<u32> = lines[1].split(' ').map(|g| g.parse().unwrap()).collect();
    groups.sort_unstable();
    assert_eq!(groups, one.groups());
    for line in &lines[2..5] {
        let value = line.split_whitespace().last().unwrap();
        let none = value.bytes().all(|b| b == b'0');
        assert_eq!(none, !line.starts_with("NoNewPrivs"), "{line}");
    }
    // 0, 1, 2 and the folder that ls reads.
    assert_eq!(lines[5].trim(), "4", "{text}");
    let root = system.door();
    let set = json!({ "notify_command": { "argv": ["/bin/true"] } });
    let refused = root.ask("PATCH", &job.path(""), Some(&set)).unwrap();
    assert_eq!(refused.hresult(), "0x80070005", "a program is the owner's to set: {refused}");
}
