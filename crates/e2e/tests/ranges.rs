//! Ranges of files, files read while they grow, dynamic content, and what goes with them: each method through the socket door, each
//! row of its errors, against the hostile origin and a real nginx (spec/bits-extended.md 4.2, 6.3, 7.1, 7.10 to 7.13, 8).

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_api::{EventKind, EventView, FileView, RangeList};
use openbits_core::JobState::{Error, Suspended, Transferred, Transferring, TransientError};
use openbits_e2e::{
    Door, Events, Job, NewJob, Options, Reply, System, User, accounts, is_root, kill, knob, leftovers, names,
    program, skip,
};
use openbits_testkit::{Behaviour, Content, Nginx, Origin, OriginFile, Rng, wait_until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
const EOF: u64 = u64::MAX;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

fn ranges(pairs: &[(u64, u64)]) -> Value {
    let view = |&(offset, length): &(u64, u64)| match length {
        EOF => json!({ "offset": offset }),
        length => json!({ "offset": offset, "length": length }),
    };
    pairs.iter().map(view).collect()
}

fn pairs(list: &[openbits_api::RangeView]) -> Vec<(u64, u64)> {
    list.iter().map(|r| (r.offset, r.length.unwrap_or(EOF))).collect()
}

fn add(job: &Job, url: &str, path: &Path, ranges: &Value) -> Reply {
    let file = json!({ "remote_name": url, "local_name": path, "ranges": ranges });
    job.door.ask("POST", &job.path("/files"), Some(&json!({ "files": [file] }))).unwrap()
}

fn request(job: &Job, file: u32, pairs: &[(u64, u64)]) -> Reply {
    let body = json!({ "ranges": ranges(pairs) });
    job.door.ask("POST", &job.path(&format!("/files/{file}/requests")), Some(&body)).unwrap()
}

fn seek(job: &Job, file: u32, offset: u64) -> Reply {
    let body = json!({ "offset": offset });
    job.door.ask("POST", &job.path(&format!("/files/{file}/position")), Some(&body)).unwrap()
}

fn get(job: &Job, rest: &str) -> Reply {
    job.door.ask("GET", &job.path(rest), None).unwrap()
}

fn filled(job: &Job, file: u32) -> Vec<(u64, u64)> {
    pairs(&get(job, &format!("/files/{file}/filled")).json::<RangeList>().ranges)
}

fn file(job: &Job, index: usize) -> FileView {
    job.view().unwrap().files.unwrap().remove(index)
}

fn code(job: &Job) -> String {
    get(job, "/error").hresult()
}

/// The bytes of these ranges, one after the other.
fn packed(content: &Content, pairs: &[(u64, u64)]) -> Vec<u8> {
    let length = |&(offset, length): &(u64, u64)| length.min(content.size() - offset);
    pairs.iter().flat_map(|pair| content.byte_range(pair.0, length(pair))).collect()
}

/// What a reader of the growing file sees at these places is the content.
fn reads_right(path: &Path, content: &Content, pairs: &[(u64, u64)]) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::open(path).unwrap();
    for &(offset, length) in pairs {
        let mut buffer = vec![0; usize::try_from(length).unwrap()];
        file.read_exact_at(&mut buffer, offset).unwrap();
        assert_eq!(content.first_difference(offset, &buffer), None, "{offset}:{length}");
    }
}

fn temporary(user: &User, job: &Job, index: usize) -> PathBuf {
    user.path(&file(job, index).temporary_name.unwrap())
}

fn fills(job: &Job, index: u32, wanted: (u64, u64)) {
    let there =
        || filled(job, index).iter().any(|&(at, len)| at <= wanted.0 && wanted.0 + wanted.1 <= at + len);
    assert!(wait_until(LONG, there), "{wanted:?} of {:?}: {:#?}", filled(job, index), job.view());
}

fn empty_job(door: &Door) -> Job {
    NewJob::new("ranges").create(door)
}

// ---- AddFileWithRanges, GetFileRanges ----

#[test]
fn job3_add_file_with_ranges_packs_them_in_the_order_given() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(3, 900_000);
    origin.put("f", content.clone());
    for (n, list) in [
        &[(500, 100), (0, 50), (200, 100)][..],
        &[(0, 10), (10, 5)],
        &[(10, 5), (0, 10)],
        &[(30, 12), (600_000, EOF), (60, 5)],
        &[(400_000, 300_000), (0, 400_000)],
        &[(899_999, 1)],
        &[(0, EOF)],
    ]
    .into_iter()
    .enumerate()
    {
        let path = user.path(&format!("f{n}"));
        let job = empty_job(&door);
        let reply = add(&job, &origin.url("f"), &path, &ranges(list));
        assert!(reply.is_success(), "{list:?}: {reply}");
        let expected = packed(&content, list);
        let known = list.iter().all(|r| r.1 != EOF).then_some(expected.len() as u64);
        assert_eq!(job.view().unwrap().bytes_total, known, "the sum of the lengths");
        job.must("resume");
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{list:?}");
        let view = job.view().unwrap();
        assert_eq!(
            (view.bytes_total, view.bytes_transferred),
            (Some(expected.len() as u64), expected.len() as u64)
        );
        job.must("complete");
        assert_eq!(std::fs::read(&path).unwrap(), expected, "{list:?}");
    }
    for exchange in origin.requests("f") {
        assert!(!exchange.range().unwrap().contains(','), "one range in a request");
    }
}

#[test]
fn job3_add_file_with_ranges_refuses_what_makes_no_sense() {
    let user = User::new(bits());
    let door = user.wake();
    let job = empty_job(&door);
    let (url, path) = ("http://127.0.0.1:9/f", user.path("f"));
    for (list, expected) in [
        (&[][..], "0x80070057"),
        (&[(EOF, 10)], "0x8020002B"),
        (&[(100, 0)], "0x8020002B"),
        (&[(EOF - 2, 5)], "0x8020002B"),
        (&[(100, 5), (100, 0)], "0x8020002B"),
        (&[(100, 0), (100, 5)], "0x8020002B"),
        (&[(0, 10), (5, 5)], "0x8020002C"),
        (&[(0, 10), (0, 10)], "0x8020002C"),
        (&[(50, EOF), (100, 10)], "0x8020002C"),
    ] {
        let reply = add(&job, url, &path, &ranges(list));
        assert_eq!((reply.hresult().as_str(), reply.is_success()), (expected, false), "{list:?}: {reply}");
    }
    let two = ranges(&[(0, 5)]);
    for (url, path, expected) in [
        ("ftp://h/f", user.path("f"), "0x80070057"),
        ("smb://h/share/f", user.path("f"), "0x80070057"),
        (url, PathBuf::from("relative"), "0x80070057"),
        (url, user.path("no/such/folder"), "0x80070003"),
    ] {
        assert_eq!(add(&job, url, &path, &two).hresult(), expected, "{url} {path:?}");
    }
    assert_eq!(job.view().unwrap().files_total, 0, "nothing was added");
    job.must("cancel");
    assert_eq!(add(&job, url, &path, &two).hresult(), "0x80200002");
    // Modes that exclude ranges, in either order.
    for mode in ["dynamic_content", "on_demand_mode"] {
        let job = NewJob::new("mode").set(mode, true).create(&door);
        assert_eq!(add(&job, url, &path, &two).hresult(), "0x80200072", "{mode}");
        let job = empty_job(&door);
        assert!(add(&job, url, &path, &two).is_success());
        let reply = door.ask("PATCH", &job.path(""), Some(&json!({ mode: true }))).unwrap();
        assert_eq!(reply.hresult(), "0x80200072", "{mode}");
    }
}

#[test]
fn job3_add_file_with_ranges_is_limited_by_the_policy() {
    if !is_root() {
        return skip("ranges of an ordinary user", "this needs root");
    }
    let Some([account, _]) = accounts() else { return skip("ranges of an ordinary user", "no accounts") };
    let system = System::start(&bits(), &Options::default());
    let folder = account.folder(system.folder(), "d");
    let many = |count: u64| ranges(&(0..count).map(|n| (n * 10, 5)).collect::<Vec<_>>());
    let theirs = empty_job(&system.door().of(account.uid));
    let url = "http://127.0.0.1:9/f";
    assert_eq!(add(&theirs, url, &folder.join("a"), &many(501)).hresult(), "0x80200052");
    assert!(add(&theirs, url, &folder.join("a"), &many(500)).is_success());
    let roots = empty_job(&system.door());
    assert!(add(&roots, url, &system.folder().join("a"), &many(501)).is_success(), "exempt");
    let foreign = Job { door: system.door().of(account.uid), ..roots };
    assert_eq!(
        add(&foreign, url, &folder.join("a"), &many(1)).hresult(),
        "0x80070005",
        "somebody else's job"
    );
}

#[test]
fn job3_add_file_with_ranges_fails_later_where_the_server_does_not_fit() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let put = |name: &str, behaviour| {
        origin.put(name, OriginFile::new(Content::new(1, 150)).behaviour(behaviour));
    };
    put("small", Behaviour::Good);
    put("none", Behaviour::NoRanges);
    put("empty", Behaviour::EmptyFile);
    put("wrong-start", Behaviour::PartialWrongStart);
    put("wrong-end", Behaviour::PartialWrongEnd);
    put("other", Behaviour::PartialOtherRange);
    put("unnamed", Behaviour::PartialNoContentRange);
    put("merged", Behaviour::PartialMultipart);
    for (name, list, expected) in [
        ("small", &[(0, 200)][..], "0x8020002B"),
        ("small", &[(0, 10), (150, EOF)], "0x8020002B"),
        ("small", &[(200, 10)], "0x8020002B"),
        ("empty", &[(0, EOF)], "0x8020002B"),
        ("none", &[(0, 10)], "0x80200013"),
        ("none", &[(0, EOF)], "0x80200013"),
        ("wrong-start", &[(5, 10), (50, 10)], "0x80200013"),
        ("wrong-end", &[(5, 10), (50, 10)], "0x80200013"),
        ("other", &[(5, 10), (50, 10)], "0x80200013"),
        ("unnamed", &[(5, 10), (50, 10)], "0x80200013"),
        ("merged", &[(5, 10), (50, 10)], "0x8020001B"),
    ] {
        let job = empty_job(&door);
        assert!(add(&job, &origin.url(name), &user.path(name), &ranges(list)).is_success());
        job.must("resume");
        assert_eq!(job.wait(&[Transferred, Error], LONG), Error, "{name} {list:?}");
        assert_eq!(code(&job), expected, "{name} {list:?}");
        job.must("cancel");
    }
    assert_eq!(leftovers(&user.folder()), Vec::<PathBuf>::new());
    assert_eq!(names(&user.folder()), Vec::<String>::new());
}

/// A server that misbehaves with ranges never makes a wrong file of them.
#[test]
fn ranges_from_hostile_servers_are_right_or_refused() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let list = [(200_000, 100_000), (5, 10), (100, 50_000), (300_000, EOF)];
    let mut cases = Vec::new();
    for (n, behaviour) in Behaviour::ALL.iter().enumerate() {
        let silent = [
            Behaviour::PartialWrongBytes,
            Behaviour::ChangesSilently,
            Behaviour::TornBody,
            Behaviour::FlippedByte,
            Behaviour::IfRangeIgnoredNoValidators,
        ];
        let endless = [Behaviour::EndlessHeaders, Behaviour::EndlessEarlyHints, Behaviour::Trickle];
        let stalls = [Behaviour::NeverAnswers, Behaviour::StallsInBody, Behaviour::StallsInHeader];
        if silent.contains(behaviour) || endless.contains(behaviour) || stalls.contains(behaviour) {
            continue; // only a digest, or much time, tells; see the transfer's own tables
        }
        let name = format!("{behaviour}");
        origin.put(&name, OriginFile::new(Content::new(n as u64, 310_000 + n as u64)).behaviour(*behaviour));
        let job = NewJob::new(&name).set("no_progress_timeout_s", 0).create(&door);
        assert!(add(&job, &origin.url(&name), &user.path(&name), &ranges(&list)).is_success());
        job.must("resume");
        cases.push((name, job));
    }
    let mut arrived = Vec::new();
    for (name, job) in cases {
        if job.wait(&[Transferred, Error], LONG) == Transferred {
            let content = origin.content(&name).unwrap();
            job.must("complete");
            assert_eq!(std::fs::read(user.path(&name)).unwrap(), packed(&content, &list), "{name}");
            arrived.push(name);
        } else {
            job.must("cancel");
        }
    }
    for name in [
        "good",
        "206-shorter-than-asked",
        "416-once",
        "content-range-odd-spelling",
        "only-etag",
        "changes-etag",
    ] {
        assert!(arrived.iter().any(|a| a == name), "{name} is not among {arrived:?}");
    }
}

#[test]
fn ranges_come_from_a_real_nginx() {
    let Some(nginx) = Nginx::start("") else { return skip("ranges from nginx", "nginx is not installed") };
    let content = Content::new(8, 3 * MIB);
    std::fs::write(nginx.root().join("f"), content.byte_range(0, 3 * MIB)).unwrap();
    let user = User::new(bits());
    let list = [(2 * MIB, MIB / 2), (17, 4), (3 * MIB - 5, EOF), (1000, 999)];
    let text: Vec<String> = list
        .iter()
        .map(|&(at, n)| if n == EOF { format!("{at}:eof") } else { format!("{at}:{n}") })
        .collect();
    let path = user.path("f");
    let _ = user.must(&["get", &nginx.url("f"), path.to_str().unwrap(), "--range", &text.join(",")]);
    assert_eq!(std::fs::read(&path).unwrap(), packed(&content, &list));
    // On demand, too.
    let job = NewJob::new("n").file(&nginx.url("f"), &user.path("g")).set("on_demand_mode", true);
    let job = job.create(&user.door());
    assert!(request(&job, 0, &[(2 * MIB, 1000), (0, 10)]).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error, Suspended], LONG), Suspended);
    assert_eq!(filled(&job, 0), [(0, 10), (2 * MIB, 1000)]);
    reads_right(&temporary(&user, &job, 0), &content, &[(0, 10), (2 * MIB, 1000)]);
    // One that has no ranges.
    let Some(nginx) = Nginx::start("max_ranges 0;") else { return };
    std::fs::write(nginx.root().join("f"), content.byte_range(0, 5000)).unwrap();
    let job = empty_job(&user.door());
    assert!(add(&job, &nginx.url("f"), &user.path("h"), &ranges(&[(5, 5)])).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    assert_eq!(code(&job), "0x80200013");
}

#[test]
fn file2_get_file_ranges_gives_them_in_the_order_asked_for() {
    let user = User::new(bits());
    let door = user.wake();
    let job = empty_job(&door);
    let list = [(500, 100), (700, EOF), (0, 50)];
    assert!(add(&job, "http://127.0.0.1:9/f", &user.path("f"), &ranges(&list)).is_success());
    let whole = json!({ "files": [{ "remote_name": "http://127.0.0.1:9/g", "local_name": user.path("g") }] });
    assert!(door.ask("POST", &job.path("/files"), Some(&whole)).unwrap().is_success());
    let reply: RangeList = get(&job, "/files/0/ranges").json();
    assert_eq!((reply.hresult.as_str(), pairs(&reply.ranges)), ("0x00000000", list.to_vec()));
    assert_eq!(file(&job, 0).ranges.map(|r| pairs(&r)), Some(list.to_vec()));
    let reply: RangeList = get(&job, "/files/1/ranges").json();
    assert_eq!(
        (reply.hresult.as_str(), reply.name.as_str(), reply.ranges),
        ("0x00000001", "S_FALSE", vec![])
    );
    let text = user.must(&["ranges", &job.id, "0"]);
    assert_eq!(text, "500:100\n700:eof\n0:50\n");
    assert_eq!(get(&job, "/files/2/ranges").status, 404);
    assert_eq!(get(&job, "/files/x/ranges").status, 404);
}

#[test]
fn a_file_of_ranges_survives_kills_at_any_time() {
    let kills = knob("OPENBITS_RANGE_KILLS", 6);
    let mut rng = Rng::announced("ranges");
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(5, 40 * MIB);
    origin.put("f", content.clone());
    origin.throttle_all(Some(12 * MIB));
    let list =
        [(30 * MIB + 1, 9 * MIB), (5, 3), (10 * MIB, 11 * MIB + 77), (39 * MIB + 500, EOF), (MIB, 4 * MIB)];
    let job = empty_job(&door);
    assert!(add(&job, &origin.url("f"), &user.path("f"), &ranges(&list)).is_success());
    job.must("resume");
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(100 + rng.below(500)));
        kill(user.service_pid());
        let _ = user.must(&["list"]);
    }
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    assert!(std::fs::read(user.path("f")).unwrap() == packed(&content, &list), "the ranges, in their order");
    assert_eq!(leftovers(&user.folder()), Vec::<PathBuf>::new());
}

// ---- RequestFileRanges, UpdateDownloadPosition, GetFilledFileRanges ----

#[test]
fn file6_request_file_ranges_goes_before_the_rest_while_the_job_runs() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(6, 64 * MIB);
    origin.put("f", content.clone());
    origin.hold("f", 20 * MIB);
    let job = NewJob::new("f").file(&origin.url("f"), &user.path("f")).started().create(&door);
    assert!(origin.wait_held("f", LONG));
    job.wait_bytes(20 * MIB, LONG);
    // The origin sends nothing behind 20 MiB to the request under way; another request would meet the same hold, so let it go.
    assert!(request(&job, 0, &[(50 * MIB, 5000), (40 * MIB, 100), (50 * MIB + 1000, 9000)]).is_success());
    let asked = || {
        origin
            .requests("f")
            .iter()
            .any(|e| e.range() == Some(&format!("bytes={}-{}", 50 * MIB, 50 * MIB + 4999)))
    };
    assert!(wait_until(LONG, asked), "{:?}", origin.requests("f"));
    assert_eq!(job.state(), Transferring);
    origin.release("f");
    fills(&job, 0, (50 * MIB, 10_000));
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "a normal job goes on with the rest");
    let asked: Vec<String> =
        origin.requests("f").iter().map(|e| e.range().unwrap_or("").to_owned()).collect();
    let expected = [
        "bytes=0-".to_owned(),
        format!("bytes={}-{}", 50 * MIB, 50 * MIB + 4999),
        format!("bytes={}-{}", 40 * MIB, 40 * MIB + 99),
        format!("bytes={}-{}", 50 * MIB + 5000, 50 * MIB + 9999),
    ];
    assert_eq!(asked[..4], expected, "{asked:?}");
    let sent: u64 = origin.requests("f").iter().map(|e| e.body_bytes).sum();
    assert!(sent < 64 * MIB + 12 * MIB, "{sent} bytes: each byte once, but for what was under way");
    job.must("complete");
    openbits_e2e::assert_is(&user.path("f"), &content);
}

#[test]
fn file6_request_file_ranges_on_demand_ends_suspended_or_transferred() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(7, 8 * MIB);
    origin.put("f", content.clone());
    let new = NewJob::new("f").file(&origin.url("f"), &user.path("f")).set("on_demand_mode", true);
    let job = new.set("notify_flags", 3).create(&door);
    let mut events = door.events(&format!("?job={}", job.id));
    job.must("resume");
    assert_eq!(job.state(), Suspended, "nothing is asked for");
    assert!(request(&job, 0, &[(MIB, 3000), (5 * MIB, 10), (MIB + 1000, 4000)]).is_success());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((job.state(), origin.requests("f").len()), (Suspended, 0), "the caller has to resume");
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Suspended);
    assert_eq!(filled(&job, 0), [(MIB, 5000), (5 * MIB, 10)]);
    reads_right(&temporary(&user, &job, 0), &content, &[(MIB, 5000), (5 * MIB, 10)]);
    let heard = events.drain(Duration::from_millis(500));
    assert!(!heard.iter().any(|event| event.kind == EventKind::Transferred), "{heard:#?}");
    assert!(!user.path("f").exists(), "nothing is in place before Complete");
    // More, in a running job; then all of it.
    assert!(request(&job, 0, &[(0, EOF)]).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(filled(&job, 0), [(0, 8 * MIB)]);
    let _ = events.until(LONG, |event| event.kind == EventKind::Transferred);
    // The server may learn later than the client that an answer is at its end.
    assert!(origin.wait_for_answers("f", origin.requests("f").len(), LONG));
    let sent: u64 = origin.requests("f").iter().map(|e| e.body_bytes).sum();
    assert_eq!(sent, 8 * MIB, "each byte once");
    job.must("complete");
    openbits_e2e::assert_is(&user.path("f"), &content);
}

#[test]
fn file6_request_file_ranges_of_several_files() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    for (name, seed) in [("a", 1), ("b", 2)] {
        origin.put(name, Content::new(seed, 4 * MIB));
    }
    let two = |job: NewJob| ["a", "b"].iter().fold(job, |job, f| job.file(&origin.url(f), &user.path(f)));
    let job = two(NewJob::new("on demand").set("on_demand_mode", true)).create(&door);
    assert!(request(&job, 1, &[(0, EOF)]).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Transferred, Error], LONG), Suspended, "not every file is filled");
    assert!(request(&job, 0, &[(0, EOF)]).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("cancel");
    // In a normal job the present file is put aside for another one's request, and goes on afterwards.
    origin.clear_log();
    origin.throttle("a", Some(MIB));
    let job = two(NewJob::new("normal")).started().create(&door);
    job.wait_bytes(1000, LONG);
    assert!(request(&job, 1, &[(MIB, 500)]).is_success());
    fills(&job, 1, (MIB, 500));
    assert!(!file(&job, 0).transferred, "b's request did not wait for a");
    origin.throttle("a", None);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    for (name, seed) in [("a", 1), ("b", 2)] {
        openbits_e2e::assert_is(&user.path(name), &Content::new(seed, 4 * MIB));
    }
}

/// Every row of the errors of the three methods.
#[test]
fn file6_request_file_ranges_refuses() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", Content::new(1, 10_000));
    origin.hold("f", 5000);
    let job = NewJob::new("f").file(&origin.url("f"), &user.path("f")).started().create(&door);
    assert_eq!(request(&job, 0, &[]).hresult(), "0x80070057");
    assert_eq!(request(&job, 0, &[(5, 0)]).hresult(), "0x8020002B");
    assert_eq!(request(&job, 0, &[(EOF, 1)]).hresult(), "0x8020002B");
    assert!(origin.wait_held("f", LONG));
    assert!(wait_until(LONG, || file(&job, 0).bytes_total == Some(10_000)));
    for beyond in [(9_999, 2), (10_000, 1), (10_000, EOF), (20_000, 1)] {
        assert_eq!(request(&job, 0, &[(0, 1), beyond]).hresult(), "0x8020002B", "{beyond:?}");
    }
    assert_eq!(request(&job, 1, &[(0, 1)]).status, 404);
    let unsupported = "0x8020006D";
    let ranged = empty_job(&door);
    assert!(add(&ranged, &origin.url("f"), &user.path("g"), &ranges(&[(0, EOF)])).is_success());
    let dynamic =
        NewJob::new("d").file(&origin.url("f"), &user.path("h")).set("dynamic_content", true).create(&door);
    for job in [ranged, dynamic] {
        assert_eq!(request(&job, 0, &[(0, 1)]).hresult(), unsupported);
        assert_eq!(seek(&job, 0, 0).hresult(), unsupported);
        assert_eq!(get(&job, "/files/0/filled").hresult(), unsupported);
    }
    origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert!(request(&job, 0, &[(0, 10)]).is_success(), "it is there already");
    assert_eq!(job.state(), Transferred);
    job.must("cancel");
    assert_eq!(request(&job, 0, &[(0, 1)]).hresult(), "0x80200002");
    assert_eq!(seek(&job, 0, 0).hresult(), "0x80200002");
}

#[test]
fn file6_request_file_ranges_beyond_an_unknown_end_fails_the_job() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", Content::new(1, 10_000));
    let new = || NewJob::new("f").file(&origin.url("f"), &user.path("f"));
    let job = new().set("on_demand_mode", true).create(&door);
    assert!(request(&job, 0, &[(9_000, 2_000)]).is_success(), "the size is not known yet");
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Error);
    assert_eq!(code(&job), "0x8020002B");
    // What cannot be is forgotten: the job can go on.
    assert!(request(&job, 0, &[(9_000, 1_000)]).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Suspended);
    assert_eq!(filled(&job, 0), [(9_000, 1_000)]);
    let job = new().create(&door);
    assert!(seek(&job, 0, 10_000).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    assert_eq!(code(&job), "0x8020002B");
}

#[test]
fn file6_request_file_ranges_needs_a_server_with_ranges() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", OriginFile::new(Content::new(1, 900_000)).behaviour(Behaviour::NoRanges));
    let new = || NewJob::new("f").file(&origin.url("f"), &user.path("f"));
    let job = new().set("on_demand_mode", true).create(&door);
    assert!(request(&job, 0, &[(5, 5)]).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Error);
    assert_eq!(code(&job), "0x80200013");
    // A normal job gets the file in the server's order, and the client is told that there is no other.
    origin.hold("f", 800_000);
    let job = new().create(&door);
    assert!(seek(&job, 0, 500_000).is_success());
    job.must("resume");
    assert!(wait_until(LONG, || request(&job, 0, &[(5, 5)]).hresult() == "0x8020006D"));
    origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
}

#[test]
fn file6_request_file_ranges_of_a_file_that_changes() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", Content::new(1, 100_000));
    let job =
        NewJob::new("f").file(&origin.url("f"), &user.path("f")).set("on_demand_mode", true).create(&door);
    assert!(request(&job, 0, &[(0, 1000)]).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Suspended);
    let next = Content::new(2, 100_000);
    assert!(origin.replace("f", next.clone()));
    assert!(request(&job, 0, &[(5000, 1000)]).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Error);
    assert_eq!(code(&job), "0x80200073");
    assert_eq!(filled(&job, 0), [], "nothing of the old version is left");
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Suspended);
    assert_eq!(filled(&job, 0), [(5000, 1000)]);
    reads_right(&temporary(&user, &job, 0), &next, &[(5000, 1000)]);
}

#[test]
fn file6_update_download_position_fetches_from_there_and_wraps() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(9, 16 * MIB);
    origin.put("f", content.clone());
    origin.hold("f", 2 * MIB);
    let job = NewJob::new("f").file(&origin.url("f"), &user.path("f")).started().create(&door);
    assert!(origin.wait_held("f", LONG));
    job.wait_bytes(2 * MIB, LONG);
    assert!(seek(&job, 0, 10 * MIB).is_success());
    assert_eq!(seek(&job, 0, 16 * MIB).hresult(), "0x8020002B", "at the end");
    let asked = || origin.requests("f").iter().any(|e| e.range() == Some(&format!("bytes={}-", 10 * MIB)));
    assert!(wait_until(LONG, asked), "{:?}", origin.requests("f"));
    origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    let last = origin.requests("f").last().unwrap().range().unwrap().to_owned();
    assert_eq!(
        last,
        format!("bytes={}-{}", 2 * MIB, 10 * MIB - 1),
        "then the lowest missing byte, and nothing twice"
    );
    job.must("complete");
    openbits_e2e::assert_is(&user.path("f"), &content);
    // While SUSPENDED it is remembered; in ON_DEMAND_MODE it asks for the rest of the file.
    origin.clear_log();
    let new = |name: &str| NewJob::new(name).file(&origin.url("f"), &user.path(name));
    let job = new("later").create(&door);
    assert!(seek(&job, 0, 7 * MIB).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(origin.requests("f")[0].range(), Some(format!("bytes={}-", 7 * MIB).as_str()));
    let job = new("demand").set("on_demand_mode", true).create(&door);
    assert!(seek(&job, 0, 15 * MIB).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Suspended);
    assert_eq!(filled(&job, 0), [(15 * MIB, MIB)]);
    let _ = user.must(&["seek", &job.id, "0", "16000000"]);
    let _ = user.must(&["request", &job.id, "0", "0:5,1:6", "100:1"]);
    job.must("resume");
    assert_eq!(job.wait(&[Suspended, Error], LONG), Suspended);
    let expected = format!("0:7\n100:1\n{}:{MIB}\n", 15 * MIB);
    assert_eq!(user.must(&["ranges", &job.id, "--filled"]), expected);
}

#[test]
fn file6_get_filled_file_ranges_tells_what_is_there_and_no_more() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(11, 30 * MIB);
    origin.put("f", content.clone());
    origin.throttle("f", Some(20 * MIB));
    let new = NewJob::new("f").file(&origin.url("f"), &user.path("f")).set("notify_flags", 0x20);
    let job = new.create(&door);
    assert_eq!(filled(&job, 0), [], "nothing yet");
    assert!(request(&job, 0, &[(25 * MIB, MIB)]).is_success());
    job.must("resume");
    let mut seen = 0;
    // Whatever is reported is in the file already.
    while !file(&job, 0).transferred {
        let list = filled(&job, 0);
        let path = file(&job, 0).temporary_name.map(|name| user.path(&name)).filter(|path| path.exists());
        if let Some(path) = path.filter(|_| !list.is_empty()) {
            reads_right(&path, &content, &list);
            seen += 1;
        }
        assert!(list.windows(2).all(|w| w[0].0 + w[0].1 < w[1].0), "ascending and merged: {list:?}");
    }
    assert!(seen > 0);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(filled(&job, 0), [(0, 30 * MIB)]);
    assert_eq!(get(&job, "/files/1/filled").status, 404);
}

#[test]
fn requests_and_positions_survive_kills_and_end_with_the_right_bytes() {
    let kills = knob("OPENBITS_RANGE_KILLS", 6);
    let mut rng = Rng::announced("requests");
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(12, 40 * MIB);
    origin.put("f", content.clone());
    origin.throttle_all(Some(12 * MIB));
    let job = NewJob::new("f").file(&origin.url("f"), &user.path("f")).started().create(&door);
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(50 + rng.below(300)));
        let at = rng.below(39 * MIB);
        assert!(request(&job, 0, &[(at, 1 + rng.below(MIB)), (rng.below(39 * MIB), MIB)]).is_success());
        assert!(seek(&job, 0, rng.below(40 * MIB)).is_success());
        std::thread::sleep(Duration::from_millis(50 + rng.below(300)));
        kill(user.service_pid());
        let _ = user.must(&["list"]);
    }
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    openbits_e2e::assert_is(&user.path("f"), &content);
    assert_eq!(leftovers(&user.folder()), Vec::<PathBuf>::new());
}

// ---- what listeners hear ----

fn of_kind(events: &[EventView], kind: EventKind) -> Vec<&EventView> {
    events.iter().filter(|event| event.kind == kind).collect()
}

fn until_transferred(events: &mut Events) -> Vec<EventView> {
    let mut all = Vec::new();
    while let Some(event) = events.next(LONG) {
        let last = event.kind == EventKind::Transferred;
        all.push(event);
        if last {
            return all;
        }
    }
    panic!("no end: {all:?}");
}

#[test]
fn callback2_file_transferred_comes_once_for_each_file_and_before_the_job() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    for name in ["a", "b", "c"] {
        origin.put(name, Content::new(1, 300_000));
    }
    let add = |job: NewJob, f: &&str| job.file(&origin.url(f), &user.path(f));
    let job = ["a", "b", "c"].iter().fold(NewJob::new("three"), add).set("notify_flags", 0x13).create(&door);
    let mut events = door.events(&format!("?job={}", job.id));
    job.must("resume");
    let all = until_transferred(&mut events);
    let files: Vec<_> = of_kind(&all, EventKind::FileTransferred).iter().map(|e| e.file.unwrap()).collect();
    assert_eq!(files, [0, 1, 2]);
    assert!(all.iter().filter(|e| e.kind == EventKind::FileTransferred).all(|e| e.seq.is_some()));
}

#[test]
fn callback3_file_ranges_transferred_tells_every_byte_once_and_not_too_often() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", Content::new(1, 24 * MIB));
    origin.throttle("f", Some(12 * MIB));
    let new =
        |flags: u32| NewJob::new("f").file(&origin.url("f"), &user.path("f")).set("notify_flags", flags);
    let job = new(0x20).create(&door);
    let mut events = door.events(&format!("?job={}", job.id));
    assert!(request(&job, 0, &[(20 * MIB, MIB), (10 * MIB, 10)]).is_success());
    job.must("resume");
    let all = until_transferred(&mut events);
    let told = of_kind(&all, EventKind::FileRangesTransferred);
    assert!(told.iter().all(|e| e.seq.is_none() && e.file == Some(0) && !e.ranges.is_empty()), "{told:?}");
    let mut set = openbits_core::RangeSet::new();
    let mut bytes = 0;
    for (offset, length) in told.iter().flat_map(|e| pairs(&e.ranges)) {
        bytes += length;
        set.insert(offset..offset + length);
    }
    assert_eq!(set, openbits_core::RangeSet::prefix(24 * MIB), "all of it");
    assert_eq!(bytes, 24 * MIB, "and nothing twice");
    assert_eq!(pairs(&told[0].ranges)[0].0, 20 * MIB, "as it arrives");
    // 500 ms apart, but for the last one, which comes with the end.
    let times: Vec<i64> = told.iter().map(|e| e.time_ms).collect();
    let quick = times.windows(2).filter(|w| w[1] - w[0] < 490).count();
    assert!(quick <= 1 && times.len() >= 3, "{times:?}");
    // Without the flag nobody is told; with another interval it comes more often.
    let job = new(3).create(&door);
    let mut events = door.events(&format!("?job={}", job.id));
    job.must("resume");
    assert!(of_kind(&until_transferred(&mut events), EventKind::FileRangesTransferred).is_empty());
    // Ineligible files are not told of.
    let ranged = NewJob::new("r").set("notify_flags", 0x20).create(&door);
    assert!(add(&ranged, &origin.url("f"), &user.path("r"), &ranges(&[(0, MIB)])).is_success());
    let mut events = door.events(&format!("?job={}", ranged.id));
    ranged.must("resume");
    assert!(of_kind(&until_transferred(&mut events), EventKind::FileRangesTransferred).is_empty());
}

// ---- DYNAMIC_CONTENT, HIGH_PERFORMANCE, MAX_DOWNLOAD_SIZE ----

#[test]
fn conformance_28_a_job_does_not_know_its_total_before_the_second_file_tells_its_size() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("a", Content::new(1, 1000));
    origin.put("b", OriginFile::new(Content::new(2, 2000)).behaviour(Behaviour::Chunked));
    origin.hold("b", 1000);
    let job =
        NewJob::new("two").file(&origin.url("a"), &user.path("a")).file(&origin.url("b"), &user.path("b"));
    let job = job.set("dynamic_content", true).started().create(&door);
    assert!(origin.wait_held("b", LONG));
    assert!(wait_until(LONG, || file(&job, 0).transferred));
    assert_eq!((file(&job, 0).bytes_total, file(&job, 1).bytes_total), (Some(1000), None));
    assert_eq!(job.view().unwrap().bytes_total, None);
    origin.release("b");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(job.view().unwrap().bytes_total, Some(3000));
}

#[test]
fn conformance_32_a_server_without_ranges_is_refused_in_the_background_and_dynamic_foreground_succeeds() {
    let user = User::new(bits());
    user.policy("[compat]\nstrict = true\n");
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(4, 700_000);
    origin.put("f", OriginFile::new(content.clone()).behaviour(Behaviour::NoRanges));
    let new =
        |priority: &str| NewJob::new("f").file(&origin.url("f"), &user.path("f")).set("priority", priority);
    for new in [new("NORMAL"), new("FOREGROUND"), new("NORMAL").set("dynamic_content", true)] {
        let job = new.clone().started().create(&door);
        assert_eq!(job.wait(&[Transferred, Error], LONG), Error, "{new:?}");
        assert_eq!(code(&job), "0x80200013");
        job.must("cancel");
    }
    let job = new("FOREGROUND").set("dynamic_content", true).started().create(&door);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    openbits_e2e::assert_is(&user.path("f"), &content);
    // Without strictness any server will do.
    let user = User::new(bits());
    let job = NewJob::new("f").file(&origin.url("f"), &user.path("f")).set("priority", "NORMAL").started();
    let job = job.create(&user.wake());
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
}

#[test]
fn dynamic_content_takes_any_answer_and_begins_again_at_zero() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(4, 3 * MIB);
    let put = |name: &str, behaviour| {
        origin.put(name, OriginFile::new(content.clone()).behaviour(behaviour).at(MIB).times(1));
    };
    put("close", Behaviour::NoContentLength);
    put("chunked", Behaviour::Chunked);
    put("http10", Behaviour::Http10NoRanges);
    put("cut", Behaviour::ShortReset);
    for name in ["close", "chunked", "http10", "cut"] {
        let job = NewJob::new(name).file(&origin.url(name), &user.path(name)).set("dynamic_content", true);
        let job = job.started().create(&door);
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{name}");
        job.must("complete");
        openbits_e2e::assert_is(&user.path(name), &content);
        assert!(origin.requests(name).iter().all(|e| e.range().is_none() && e.method == "GET"), "{name}");
    }
    // Suspend works, and the progress is gone (ambiguity 48); so is it after a kill.
    origin.put("f", content.clone());
    origin.hold("f", 2 * MIB);
    let job = NewJob::new("f").file(&origin.url("f"), &user.path("f")).set("dynamic_content", true).started();
    let job = job.create(&door);
    assert!(origin.wait_held("f", LONG));
    job.wait_bytes(MIB, LONG);
    job.must("suspend");
    assert_eq!(job.view().unwrap().bytes_transferred, 0);
    job.must("resume");
    assert!(wait_until(LONG, || origin.requests("f").len() == 2) && origin.wait_held("f", LONG));
    job.wait_bytes(MIB, LONG);
    kill(user.service_pid());
    let _ = user.must(&["list"]);
    origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    openbits_e2e::assert_is(&user.path("f"), &content);
    assert!(origin.requests("f").iter().all(|e| e.range().is_none()));
}

#[test]
fn a_high_performance_job_writes_straight_to_the_destination() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(4, 9 * MIB);
    origin.put("f", content.clone());
    origin.hold("f", 8 * MIB);
    std::fs::write(user.path("f"), "what was there before").unwrap();
    let create = || {
        let job = NewJob::new("f").set("high_performance", true).create(&door);
        let body = json!({ "files": [{ "remote_name": origin.url("f"), "local_name": user.path("f") }] });
        assert!(door.ask("POST", &job.path("/files"), Some(&body)).unwrap().is_success());
        job.must("resume");
        job
    };
    let job = create();
    assert!(origin.wait_held("f", LONG));
    job.wait_bytes(7 * MIB, LONG);
    assert_eq!(names(&user.folder()), ["f"], "no temporary file");
    assert_eq!(file(&job, 0).temporary_name, None);
    reads_right(&user.path("f"), &content, &[(0, 4 * MIB)]);
    // Nothing of the progress is kept over a crash.
    kill(user.service_pid());
    let _ = user.must(&["list"]);
    origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    let asked: Vec<_> = origin.requests("f").iter().map(|e| e.range().unwrap().to_owned()).collect();
    assert_eq!(asked, ["bytes=0-", "bytes=0-"]);
    openbits_e2e::assert_is(&user.path("f"), &content);
    job.must("complete");
    openbits_e2e::assert_is(&user.path("f"), &content);
    // Cancel leaves what is there to the caller.
    origin.hold("f", 8 * MIB);
    let job = create();
    assert!(wait_until(LONG, || origin.held("f") > 0));
    job.must("cancel");
    assert_eq!(names(&user.folder()), ["f"]);
}

#[test]
fn a_job_ends_at_its_maximum_download_size() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("known", Content::new(1, 100_000));
    origin.put("chunked", OriginFile::new(Content::new(2, 500_000)).behaviour(Behaviour::Chunked));
    let new = |names: &[&str], cap: u64| {
        let add = |job: NewJob, f: &&str| job.file(&origin.url(f), &user.path(f));
        names.iter().fold(NewJob::new("cap"), add).set("max_download_size", cap)
    };
    for (names, cap, dynamic, expected) in [
        (&["known"][..], 100_000, false, Transferred),
        (&["known"], 99_999, false, Error),
        (&["chunked"], 499_999, true, Error),
        (&["chunked"], 500_000, true, Transferred),
        (&["known", "chunked"], 600_000, true, Transferred),
        (&["known", "chunked"], 599_999, true, Error),
    ] {
        let job = new(names, cap).set("dynamic_content", dynamic).started().create(&door);
        assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), expected, "{names:?} {cap}");
        if expected == Error {
            assert_eq!(code(&job), "0x80200064", "{names:?} {cap}");
        }
        job.must("cancel");
    }
}
