//! The origin replaces a file in mid-download: what arrives is one version, whole; never a mixture.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::Acknowledged;
use openbits_e2e::{User, difference, kill, leftovers, names, program};
use openbits_testkit::{Content, CutHow, CutPlan, Cutter, Etag, Origin, OriginFile};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

const SIZE: u64 = 24 << 20;
const HALF: u64 = SIZE / 2;
const LONG: Duration = Duration::from_secs(60);

/// What is new about the new version; its bytes always are.
#[derive(Clone, Copy, Debug)]
enum New {
    /// Equal length, another entity tag.
    Tag,
    /// Equal length, no tags, another date.
    Date,
    /// The same tag and date, another length.
    Size,
}

fn dated(content: Content, seconds: u64) -> OriginFile {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
    OriginFile::new(content).last_modified(Some(at))
}

fn versions(new: New) -> [(OriginFile, Content); 2] {
    let old = Content::new(1, SIZE);
    let next = old.successor(if matches!(new, New::Size) { SIZE + 4321 } else { SIZE });
    let tag = |text: &str| Etag::Strong(text.to_owned());
    let (old_tag, new_tag, new_date) = match new {
        New::Tag => (tag("one"), tag("two"), 0),
        New::Date => (Etag::Absent, Etag::Absent, 3600),
        New::Size => (tag("one"), tag("one"), 0),
    };
    [(dated(old.clone(), 0).etag(old_tag), old), (dated(next.clone(), new_date).etag(new_tag), next)]
}

/// How the download is interrupted when the new version is in place.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    /// The connection is reset.
    Connection,
    /// The service is killed.
    Kill,
    /// The job is suspended, and resumed later.
    Suspend,
}

fn scenario(new: New, interruption: Interruption) {
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    let door = user.wake();
    let origin = Origin::start();
    let cutter = Cutter::start(origin.addr()).unwrap();
    cutter.cut(CutPlan::Never, CutHow::Reset);
    let [(old, old_content), (next, next_content)] = versions(new);
    origin.put("file", old);
    origin.hold("file", HALF);
    let mut get = get(&user, &cutter.url("file"));
    assert!(origin.wait_held("file", LONG));
    let job = openbits_e2e::Job { id: door.jobs("")[0].id.clone(), door: door.clone() };
    // More than one checkpoint's worth is stored: there is something to resume from.
    job.wait_bytes(HALF / 2, LONG);
    if matches!(interruption, Interruption::Suspend) {
        job.must("suspend");
    }
    assert!(origin.replace("file", next));
    match interruption {
        Interruption::Connection => cutter.cut_now(),
        Interruption::Kill => kill(user.service_pid()),
        Interruption::Suspend => {}
    }
    origin.release("file");
    match interruption {
        Interruption::Connection => {}
        Interruption::Kill => drop(user.wake()),
        Interruption::Suspend => job.must("resume"),
    }
    assert_eq!(job.wait(&[Acknowledged], LONG), Acknowledged);
    let status = get.wait().unwrap();
    assert!(status.success(), "bits get: {status}");
    let path = user.path("file");
    let (old, next) = (difference(&path, &old_content), difference(&path, &next_content));
    eprintln!("{new:?}, {interruption:?}: old: {old:?}; new: {next:?}");
    assert_eq!(next, None, "not the new version; compared with the old one: {old:?}");
    assert_eq!(leftovers(&user.folder()), [""; 0].map(std::path::PathBuf::from));
    assert_eq!(names(&user.folder()), ["file"]);
    let conditional = origin.requests("file").into_iter().filter(|e| e.header("if-range").is_some()).count();
    assert!(conditional > 0, "nobody asked whether the kept part is still good");
}

/// `bits get`, which follows the job over the service's death.
fn get(user: &User, url: &str) -> Child {
    user.command(&["get", url, "file"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

macro_rules! scenarios {
    ($($name:ident: $new:ident, $interruption:ident;)*) => {
        $(#[test]
        fn $name() {
            scenario(New::$new, Interruption::$interruption);
        })*
    };
}

scenarios! {
    new_tag_over_a_lost_connection: Tag, Connection;
    new_date_over_a_lost_connection: Date, Connection;
    new_size_over_a_lost_connection: Size, Connection;
    new_tag_over_a_kill: Tag, Kill;
    new_date_over_a_kill: Date, Kill;
    new_size_over_a_kill: Size, Kill;
    new_tag_over_suspend: Tag, Suspend;
    new_date_over_suspend: Date, Suspend;
    new_size_over_suspend: Size, Suspend;
}
