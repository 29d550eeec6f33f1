//! The system's service with the owners of jobs coming and going, and sharing a limit of bandwidth. Needs root and accounts; says so when
//! it has to skip.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Queued, Transferring};
use openbits_e2e::{Account, Job, NewJob, Options, System, accounts, is_root, program, skip};
use openbits_testkit::bus::{Bus, Service};
use openbits_testkit::{Content, Origin, wait_until};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
/// "At once", on a machine that is busy with other tests: whoever misses the news hears no other.
const AT_ONCE: Duration = Duration::from_secs(20);
const GIB: u64 = 1 << 30;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

/// A service on a message bus of its own, two users, and an origin with one large file.
struct World {
    bus: Bus,
    system: System,
    origin: Origin,
    one: (Account, PathBuf),
    two: (Account, PathBuf),
}

impl World {
    fn new(test: &str, policy: &str) -> Option<Self> {
        let Some([one, two]) = is_root().then(accounts).flatten() else {
            skip(test, "this needs root, who can make accounts");
            return None;
        };
        let bus = match Bus::start() {
            Ok(bus) => bus,
            Err(why) => {
                skip(test, &why);
                return None;
            }
        };
        let wrapper = vec!["env".to_owned(), format!("DBUS_SYSTEM_BUS_ADDRESS={}", bus.address())];
        let system = System::start(&bits(), &Options { policy: policy.to_owned(), wrapper });
        let origin = Origin::start();
        origin.put("large", Content::new(1, 4 * GIB));
        let home = |account: Account, name: &str| {
            let folder = account.folder(system.folder(), name);
            (account, folder)
        };
        Some(Self { one: home(one, "one"), two: home(two, "two"), bus, system, origin })
    }

    fn job(&self, owner: &(Account, PathBuf), name: &str) -> Job {
        let job =
            NewJob::new(name).set("priority", "NORMAL").file(&self.origin.url("large"), &owner.1.join(name));
        job.started().create(&self.system.door().of(owner.0.uid))
    }

    fn policy(&self, text: &str) {
        std::fs::write(Path::new(self.system.folder()).join("policy.toml"), text).unwrap();
        let reply = self.system.door().ask("POST", "/v1/policy/reload", None).unwrap();
        assert!(reply.is_success(), "{reply}");
    }
}

/// spec/behaviour.md 5.1 and 30, strict mode.
#[test]
fn in_strict_mode_only_jobs_of_people_who_are_logged_on_run() {
    // Slow, so that the job lasts.
    let slow = "[disk]\npreallocate = false\n[bandwidth.simple]\nenabled = true\nhours = \"00-00\"\nrate = \"2MB/s\"\n";
    let Some(world) = World::new("presence", slow) else { return };
    let job = world.job(&world.one, "out");
    job.wait(&[Transferring], LONG);
    let logind = world.bus.service("org.freedesktop.login1");
    let (one, two) = (world.one.0.uid, world.two.0.uid);
    session(&logind);
    logind.people(&[(one, "c1")], &[]);
    world.policy(&format!("{slow}[owner]\npresence = \"logged-on\"\n"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(job.state(), Transferring, "he is there");
    let refused = NewJob::new("refused").file(&world.origin.url("large"), &world.two.1.join("x")).started();
    let reply = refused.try_create(&world.system.door().of(two)).unwrap();
    assert_eq!(reply.hresult(), "0x800704DD", "{reply}");
    logind.people(&[(two, "c1")], &[]);
    let begun = Instant::now();
    job.wait(&[Queued], LONG);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    // For a moment the last attempt is being stopped.
    let absent = || job.door.get::<openbits_api::Why>(&job.path("/why")).reason == "owner-absent";
    assert!(wait_until(LONG, absent));
    assert_eq!(job.act("resume").hresult(), "0x800704DD");
    assert!(job.view().unwrap().bytes_transferred > 0, "the data is kept");
    logind.people(&[(one, "c1"), (two, "c1")], &[]);
    let begun = Instant::now();
    job.wait(&[Transferring], LONG);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    // Nobody tells any more who is there: everybody counts as present.
    logind.people(&[], &[]);
    job.wait(&[Queued], LONG);
    drop(logind);
    job.wait(&[Transferring], LONG);
}

fn session(logind: &Service) {
    use openbits_testkit::bus::Property::{Bool, Text};
    let (path, interface) = ("/org/freedesktop/login1/session/c1", "org.freedesktop.login1.Session");
    logind.set(path, interface, "Class", Text("user".into()));
    logind.set(path, interface, "State", Text("active".into()));
    logind.set(path, interface, "Remote", Bool(false));
}

fn speed(jobs: &[&Job], over: Duration) -> f64 {
    let all = || jobs.iter().map(|job| job.view().unwrap().bytes_transferred).sum::<u64>();
    let (before, begun) = (all(), Instant::now());
    std::thread::sleep(over);
    #[allow(clippy::cast_precision_loss, reason = "a measurement")]
    let speed = (all() - before) as f64 / begun.elapsed().as_secs_f64();
    speed
}

/// Waits until these jobs move so fast, over 4 s. A limit takes a moment to be divided anew, and a busy machine gives a window to others
/// now and then; a wrong limit is wrong in each.
fn settles(what: &str, jobs: &[&Job], fits: impl Fn(f64) -> bool) {
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(speed(jobs, Duration::from_secs(4)));
        if seen.last().is_some_and(|speed| fits(*speed)) {
            return;
        }
    }
    panic!("{what}: {seen:.0?} bytes a second");
}

#[test]
fn owners_share_a_limit_and_what_one_leaves_the_other_gets() {
    let policy = "[disk]\npreallocate = false\n[bandwidth.simple]\nenabled = true\nhours = \"00-00\"\nrate = \"2MB/s\"\n[scheduler]\nmax_background = 4\n";
    let Some(world) = World::new("a shared limit", policy) else { return };
    let (one, two) = (world.job(&world.one, "a"), world.job(&world.two, "b"));
    one.wait(&[Transferring], LONG);
    two.wait(&[Transferring], LONG);
    settles("both", &[&one, &two], |both| (1.8e6..2.2e6).contains(&both));
    settles("a part", &[&one], |part| (0.7e6..1.3e6).contains(&part));
    two.must("suspend");
    settles("alone", &[&one], |alone| (1.8e6..2.2e6).contains(&alone));
}
