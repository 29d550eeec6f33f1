//! SIGKILL of the service and of workers, at random moments and at chosen ones: nothing is lost, nothing is wrong, little is
//! fetched twice.
//!
//! `OPENBITS_KILLS` (default 8), `OPENBITS_CRASH_MIB` (default 48) and `OPENBITS_SEED` make the long run of it.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Acknowledged, Cancelled, Error, Suspended, Transferred, TransientError};
use openbits_e2e::{
    Account, Door, Job, NewJob, Options, System, User, accounts, assert_is, is_root, kill, knob, names,
    program, skip,
};
use openbits_testkit::{Behaviour, Content, Exchange, Origin, OriginFile, Rng, wait_until};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// Most bytes of a download that may be fetched a second time because of one kill.
const TWICE_MAX: u64 = 16 * MIB;
const LONG: Duration = Duration::from_secs(60);

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

/// Something to kill, which is there again afterwards.
trait Victim {
    fn door(&self) -> Door;
    /// Kills and revives; false if there was nothing to kill.
    fn strike(&mut self, rng: &mut Rng) -> bool;
}

impl Victim for User {
    fn door(&self) -> Door {
        self.door()
    }

    fn strike(&mut self, rng: &mut Rng) -> bool {
        kill(self.service_pid());
        // Any command brings it back.
        let commands: [&[&str]; 3] = [&["list"], &["service-info"], &["list", "--json"]];
        let _ = self.must(rng.pick(&commands).unwrap());
        true
    }
}

struct OfSystem {
    system: System,
    owner: Account,
}

impl Victim for OfSystem {
    fn door(&self) -> Door {
        self.system.door().of(self.owner.uid)
    }

    fn strike(&mut self, rng: &mut Rng) -> bool {
        if rng.one_in(2) {
            self.system.restart();
            return true;
        }
        let worker = self.system.workers().first().copied();
        worker.into_iter().for_each(kill);
        worker.is_some()
    }
}

/// The bytes of the file that an answer carried.
fn carried(exchange: &Exchange) -> (u64, u64) {
    let start = exchange
        .answer_header("content-range")
        .and_then(|text| text.strip_prefix("bytes ")?.split('-').next()?.parse().ok())
        .unwrap_or(0);
    (start, start + exchange.body_bytes)
}

/// What each kill cost a file: bytes that had been sent before it and were asked for again afterwards.
///
/// Files flow from the front to the back, so what is asked for again lies between the new request's start and the furthest byte
/// sent; it is the cost of the kill that ended the time in which that byte was sent.
fn fetched_twice(origin: &Origin, name: &str, kills: &[(Instant, Instant)]) -> Vec<u64> {
    let mut twice = vec![0; kills.len()];
    let (mut furthest, mut sent) = (0, None);
    for exchange in origin.requests(name).iter().filter(|e| e.status.is_some_and(|s| s == 200 || s == 206)) {
        let (start, end) = carried(exchange);
        if start < furthest {
            // The first kill between the two requests; when exactly it struck is known to be between two instants.
            let between = |(before, after): &(Instant, Instant)| {
                sent.is_some_and(|sent| sent < *after) && *before < exchange.at
            };
            let kill = kills.iter().position(between);
            let kill = kill.unwrap_or_else(|| panic!("{name}: fetched twice without a kill"));
            twice[kill] = (furthest - start).max(twice[kill]);
        }
        if end > furthest {
            (furthest, sent) = (end, Some(exchange.at));
        }
    }
    twice
}

fn storm(victim: &mut dyn Victim, folder: &Path) {
    let (count, total) = (knob("OPENBITS_KILLS", 8), knob("OPENBITS_CRASH_MIB", 48) * MIB);
    let mut rng = Rng::announced("crash");
    let origin = Origin::start();
    let big = ["a", "b1", "b2", "c"];
    let content =
        |name: &str| Content::new(u64::from(name.as_bytes()[0]) + name.len() as u64, total / 4 + 12_345);
    for name in big {
        origin.put(name, content(name));
    }
    origin.throttle_all(Some(24 * MIB));
    origin.put("small", Content::new(9, 100_000));
    origin.put("gone", OriginFile::new(Content::new(1, 10)).behaviour(Behaviour::Status(404)));
    origin.put("busy", OriginFile::new(Content::new(1, 10)).behaviour(Behaviour::Status(503)));
    origin.put("held", Content::new(5, 2 * MIB));
    origin.hold("held", MIB);

    let door = victim.door();
    let job = |name: &str, files: &[&str]| {
        let add = |job: NewJob, file: &&str| job.file(&origin.url(file), &folder.join(file));
        files.iter().fold(NewJob::new(name), add)
    };
    let loads = [
        job("one file", &["a"]).started().create(&door),
        job("two files", &["b1", "b2"]).started().create(&door),
        job("in the background", &["c"]).set("priority", "NORMAL").started().create(&door),
    ];
    let suspended = job("suspended half-way", &["held"]).started().create(&door);
    assert!(origin.wait_held("held", LONG));
    suspended.must("suspend");
    let empty = job("empty", &[]).create(&door);
    let transferred = job("transferred", &["small"]).started().create(&door);
    let failed = job("failed", &["gone"]).started().create(&door);
    let waiting = job("waiting", &["busy"]).set("minimum_retry_delay_s", 3600).started().create(&door);
    let still = [
        (&suspended, Suspended),
        (&empty, Suspended),
        (&transferred, Transferred),
        (&failed, Error),
        (&waiting, TransientError),
    ];
    for (job, state) in still {
        assert_eq!(job.wait(&[state], LONG), state);
    }
    let ids = |door: &Door| door.jobs("").into_iter().map(|job| job.id).collect::<BTreeSet<_>>();
    let before = ids(&door);
    assert_eq!(before.len(), loads.len() + still.len());

    let sent = || big.iter().map(|name| origin.sent(name)).sum::<u64>();
    let stored = || loads.iter().filter_map(Job::view).map(|view| view.bytes_transferred).sum::<u64>();
    let mut kills = Vec::new();
    let mut amid = 0;
    while (kills.len() as u64) < count {
        // Spread over what is still to come: what a kill costs is about half a checkpoint.
        let left = (total.saturating_sub(stored())) / (count - kills.len() as u64);
        let (from, more) = (sent(), rng.below(2 * left + 4 * MIB));
        let _ = wait_until(Duration::from_secs(2), || sent() - from >= more);
        amid += u64::from(stored() < total);
        let at = Instant::now();
        if victim.strike(&mut rng) {
            kills.push((at, Instant::now()));
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(ids(&door), before, "after kill {}", kills.len());
    }
    eprintln!("{count} kills, {amid} of them before the last byte of {} MiB", total / MIB);
    // A few kills on a busy machine may come late; many must not.
    let needed = if count >= 100 { count * 3 / 4 } else { count / 4 };
    assert!(amid >= needed, "the kills were not spread over the download");
    origin.throttle_all(None);
    for job in &loads {
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", job.view());
    }
    for (job, state) in still {
        assert_eq!(job.state(), state, "{:#?}", job.view());
    }
    assert_eq!(failed.view().unwrap().error.unwrap().hresult, "0x80190194");
    assert_eq!(ids(&door), before);

    let of_files: Vec<Vec<u64>> = big.iter().map(|name| fetched_twice(&origin, name, &kills)).collect();
    let of_kills: Vec<u64> =
        (0..kills.len()).map(|kill| of_files.iter().map(|file| file[kill]).sum()).collect();
    let mib = |bytes: u64| bytes as f64 / MIB as f64;
    let (worst, sum) = (of_files.concat().into_iter().max().unwrap_or(0), of_kills.iter().sum::<u64>());
    eprintln!(
        "fetched twice because of one kill: at worst {:.1} MiB of a file and {:.1} MiB of the files of three jobs together, \
         {:.1} MiB on average",
        mib(worst),
        mib(of_kills.iter().max().copied().unwrap_or(0)),
        mib(sum) / count as f64
    );
    assert!(
        worst <= TWICE_MAX,
        "{worst} bytes of a file were fetched twice because of one kill: {of_files:?}"
    );

    for job in loads.iter().chain([&transferred]) {
        job.must("complete");
    }
    for name in big {
        assert_is(&folder.join(name), &content(name));
    }
    assert_is(&folder.join("small"), &Content::new(9, 100_000));
    for job in [&suspended, &empty, &failed, &waiting] {
        job.must("cancel");
        assert_eq!(job.wait(&[Cancelled, Acknowledged], LONG), Cancelled);
    }
    assert_eq!(door.jobs("").len(), 0);
    assert_eq!(names(folder), ["a", "b1", "b2", "c", "small"], "nothing else is left");
}

/// Every create that was acknowledged is there after the kill; of the others, at most those on their way.
#[test]
fn acknowledged_creates_survive() {
    const CALLERS: usize = 4;
    let user = User::new(bits());
    let mut rng = Rng::announced("creates");
    let origin = Origin::start();
    origin.put("f", Content::new(1, 1000));
    for round in 0..5 {
        let door = user.wake();
        let (pid, url, folder) = (user.service_pid(), origin.url("f"), user.folder());
        let pause = rng.duration(Duration::from_millis(5), Duration::from_millis(60));
        let acknowledged: BTreeSet<String> = std::thread::scope(|scope| {
            let create = |caller: usize| {
                let (door, url, folder) = (door.clone(), url.clone(), folder.clone());
                scope.spawn(move || {
                    let mut made = Vec::new();
                    // Below the quota of an ordinary user, all callers together.
                    for n in 0..12 {
                        let path = folder.join(format!("{round}-{caller}-{n}"));
                        let job = NewJob::new("burst").file(&url, &path);
                        match job.try_create(&door) {
                            Ok(reply) if reply.status == 201 => {
                                made.push(reply.json::<openbits_api::Outcome>().job.id);
                            }
                            Ok(reply) => panic!("{reply}"),
                            Err(_) => break,
                        }
                    }
                    made
                })
            };
            let callers: Vec<_> = (0..CALLERS).map(create).collect();
            std::thread::sleep(pause);
            kill(pid);
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
        });
        let door = user.wake();
        let there: BTreeSet<String> = door.jobs("").into_iter().map(|job| job.id).collect();
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        eprintln!("after {pause:?}: {} acknowledged, {} there", acknowledged.len(), there.len());
        assert_eq!(lost, Vec::<&String>::new(), "acknowledged and gone");
        assert!(there.len() <= acknowledged.len() + CALLERS, "jobs from nowhere");
        for id in there {
            let job = Job { id, door: door.clone() };
            assert_eq!(job.view().unwrap().files_total, 1, "half a job");
            job.must("cancel");
        }
    }
    assert_eq!(names(&user.folder()), [""; 0]);
}

/// A job of 20 small files, all there and hidden.
fn twenty(door: &Door, folder: &Path, origin: &Origin, round: u64) -> (Job, Vec<(PathBuf, Content)>) {
    let mut job = NewJob::new("twenty").started();
    let mut files = Vec::new();
    for n in 0..20 {
        let (name, content) = (format!("{round}-{n}"), Content::new(round * 100 + n, 1000 + n));
        origin.put(&name, content.clone());
        job = job.file(&origin.url(&name), &folder.join(&name));
        files.push((folder.join(name), content));
    }
    let job = job.create(door);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    (job, files)
}

/// Sends a call and kills a moment later; whether the answer came.
fn call_and_strike(
    victim: &mut dyn Victim,
    job: &Job,
    action: &'static str,
    rng: &mut Rng,
    longest: Duration,
) -> bool {
    let moment = rng.duration(Duration::ZERO, longest);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| job.try_act(action).is_ok_and(|reply| reply.is_success()));
        std::thread::sleep(moment);
        let _ = victim.strike(rng);
        call.join().unwrap()
    })
}

fn complete_storm(victim: &mut dyn Victim, folder: &Path) {
    let mut rng = Rng::announced("complete");
    let origin = Origin::start();
    let mut ends = [0, 0];
    for round in 0..knob("OPENBITS_ROUNDS", 8) {
        let (job, files) = twenty(&victim.door(), folder, &origin, round);
        let answered = call_and_strike(victim, &job, "complete", &mut rng, Duration::from_millis(8));
        let in_place = || files.iter().filter(|(path, _)| path.exists()).count();
        // A call that was begun is carried to its end; of one that was not, nothing is in place and the job waits. Begun or not,
        // Complete may be called again: it is refused only when the end has come meanwhile.
        let first = in_place();
        let reply = job.act("complete");
        assert!(reply.is_success() || matches!(reply.status, 404 | 409), "{reply}");
        let done = || in_place() == 20 && job.state() == Acknowledged;
        assert!(wait_until(LONG, done), "{} of 20 are in place, {:?}", in_place(), job.state());
        assert!(first == 20 || !answered, "an answer came, and {first} of 20 files were there");
        ends[usize::from(reply.is_success())] += 1;
        for (path, content) in &files {
            assert_is(path, content);
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(names(folder), [""; 0], "nothing is left in round {round}");
    }
    eprintln!("complete: {} carried out, {} called again", ends[0], ends[1]);
}

fn cancel_storm(victim: &mut dyn Victim, folder: &Path) {
    let mut rng = Rng::announced("cancel");
    let origin = Origin::start();
    for round in 0..knob("OPENBITS_ROUNDS", 8) {
        let (job, _) = twenty(&victim.door(), folder, &origin, round);
        let answered = call_and_strike(victim, &job, "cancel", &mut rng, Duration::from_millis(8));
        let listed = victim.door().jobs("").iter().any(|view| view.id == job.id);
        assert!(!(answered && listed), "an answer came, and the job is there");
        if listed && job.state() == Transferred {
            // It may have been begun meanwhile, by a service that was not killed.
            let reply = job.act("cancel");
            assert!(reply.is_success() || matches!(reply.status, 404 | 409), "{reply}");
        }
        let clean = || names(folder).is_empty();
        assert!(wait_until(LONG, clean), "left in round {round}: {:?}", names(folder));
    }
}

/// Kills while many jobs create their temporary files: none of these is forgotten.
fn opening_storm(victim: &mut dyn Victim, folder: &Path) {
    let mut rng = Rng::announced("opening");
    let origin = Origin::start();
    for round in 0..knob("OPENBITS_ROUNDS", 8) {
        let door = victim.door();
        let mut jobs = Vec::new();
        for n in 0..12 {
            let (name, content) = (format!("{round}-{n}"), Content::new(n, 300_000 + n));
            origin.put(&name, content.clone());
            let job = NewJob::new("opening").file(&origin.url(&name), &folder.join(&name)).create(&door);
            jobs.push((job, folder.join(name), content));
        }
        let moment = rng.duration(Duration::ZERO, Duration::from_millis(60));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (job, ..) in &jobs {
                    if job.try_act("resume").is_err() {
                        break;
                    }
                }
            });
            std::thread::sleep(moment);
            let _ = victim.strike(&mut rng);
        });
        for (n, (job, path, content)) in jobs.iter().enumerate() {
            if n % 2 == 0 {
                job.must("cancel");
                continue;
            }
            if job.state() == Suspended {
                job.must("resume");
            }
            assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
            job.must("complete");
            assert_is(path, content);
            std::fs::remove_file(path).unwrap();
        }
        let clean = || names(folder).is_empty();
        assert!(wait_until(LONG, clean), "left in round {round} ({moment:?}): {:?}", names(folder));
    }
}

type Storm = fn(&mut dyn Victim, &Path);

fn at_user(storm: Storm) {
    let mut user = User::new(bits());
    let _ = user.wake();
    let folder = user.folder();
    storm(&mut user, &folder);
}

fn at_system(test: &str, storm: Storm) {
    let Some([owner, _]) = is_root().then(accounts).flatten() else {
        return skip(test, "this needs root");
    };
    let system = System::start(&bits(), &Options::default());
    let folder = owner.folder(system.folder(), "downloads");
    storm(&mut OfSystem { system, owner }, &folder);
}

#[test]
fn random_kills_of_a_users_service() {
    at_user(storm);
}

#[test]
fn random_kills_of_the_systems_service_and_its_workers() {
    at_system("random kills in system mode", storm);
}

#[test]
fn kills_during_complete_leave_all_files_or_none() {
    at_user(complete_storm);
}

#[test]
fn kills_during_complete_in_system_mode_leave_all_files_or_none() {
    at_system("kills during Complete in system mode", complete_storm);
}

#[test]
fn kills_during_cancel_leave_nothing() {
    at_user(cancel_storm);
}

#[test]
fn kills_during_cancel_in_system_mode_leave_nothing() {
    at_system("kills during Cancel in system mode", cancel_storm);
}

#[test]
fn kills_while_files_are_opened_leave_nothing() {
    at_user(opening_storm);
}

#[test]
fn kills_while_files_are_opened_in_system_mode_leave_nothing() {
    at_system("kills while files are opened in system mode", opening_storm);
}
