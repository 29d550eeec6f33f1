//! Two ordinary users and root at the system's service: nobody sees, alters or reads another's jobs, and nobody's rights are used
//! for another. Needs root; says so when it has to skip.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_api::{EventKind, JobView};
use openbits_core::JobState::{
    Acknowledged, Cancelled, Error, Suspended, Transferred, Transferring, TransientError,
};
use openbits_e2e::{
    Account, Door, Job, NewJob, Options, System, accounts, assert_is, gone, is_root, kill, knob, leftovers,
    names, program, signal, skip,
};
use openbits_testkit::process::Signal;
use openbits_testkit::{Content, Origin, wait_until};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
const DENIED: &str = "0x80070005";

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

/// A service, two users with a folder each that the other cannot enter, and an origin.
struct World {
    system: System,
    origin: Origin,
    one: Account,
    two: Account,
    home_one: PathBuf,
    home_two: PathBuf,
}

impl World {
    fn new(test: &str, options: &Options) -> Option<Self> {
        let Some([one, two]) = is_root().then(accounts).flatten() else {
            skip(test, "this needs root, who can make accounts");
            return None;
        };
        let system = System::start(&bits(), options);
        let home_one = one.folder(system.folder(), "one");
        let home_two = two.folder(system.folder(), "two");
        Some(Self { system, origin: Origin::start(), one, two, home_one, home_two })
    }

    /// A started job of the first user with one file that stops half-way.
    fn held(&self, name: &str, folder: &Path) -> Job {
        self.origin.put(name, Content::new(3, 2 * MIB));
        self.origin.hold(name, MIB);
        let job = NewJob::new(name).file(&self.origin.url(name), &folder.join(name)).started();
        let job = job.create(&self.system.door().of(self.one.uid));
        assert!(self.origin.wait_held(name, LONG), "{:#?}", job.view());
        // The server is a step ahead of what the job tells.
        assert_eq!(job.wait(&[Transferring], LONG), Transferring);
        job
    }
}

fn status(pid: u32) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k.to_owned(), v.trim().to_owned())).collect()
}

/// What the descriptors of a process lead to.
fn descriptors(pid: u32) -> BTreeMap<u32, String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let target = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
    };
    entries.filter_map(target).collect()
}

#[test]
fn a_worker_has_its_owners_rights_and_nothing_else() {
    let Some(world) = World::new("rights of a worker", &Options::default()) else { return };
    let job = world.held("f", &world.home_one);
    let pid = world.system.worker_of(world.one.uid);
    let status = status(pid);
    let (uid, gid) = (world.one.uid, world.one.gid);
    assert_eq!(status["Uid"], format!("{uid}\t{uid}\t{uid}\t{uid}"));
    assert_eq!(status["Gid"], format!("{gid}\t{gid}\t{gid}\t{gid}"));
    let mut groups: Vec<u32> = status["Groups"].split_whitespace().map(|g| g.parse().unwrap()).collect();
    groups.sort_unstable();
    assert_eq!(groups, world.one.groups());
    assert!(groups.len() >= 2, "the extra group is there");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&status[set], 16).unwrap(), 0, "{set}");
    }
    assert_eq!(status["NoNewPrivs"], "1");
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let variables: Vec<&str> = environment.split('\0').filter_map(|v| Some(v.split_once('=')?.0)).collect();
    for variable in variables {
        let known = ["HOME", "USER", "LOGNAME", "PATH", "OPENBITS_LOG", "SSL_CERT_FILE", "SSL_CERT_DIR"];
        assert!(known.contains(&variable), "{variable} was handed down");
    }
    // 0-3 from the service; everything else it opened itself: its event loop, its connection, its file.
    let files = descriptors(pid);
    assert_eq!(files[&0], "/dev/null");
    assert_eq!(files[&1], "/dev/null");
    assert!(files[&3].starts_with("socket:"));
    for (number, target) in files.range(4..) {
        let own = target.starts_with("socket:")
            || target.starts_with("anon_inode:")
            || target.starts_with("pipe:")
            || target.starts_with(world.home_one.to_str().unwrap())
            || target.starts_with("/dev/");
        assert!(own, "descriptor {number} is {target}");
    }
    // Its temporary file is the owner's, for nobody else.
    let temporary = leftovers(&world.home_one);
    let about = std::fs::metadata(&temporary[0]).unwrap();
    assert_eq!((about.uid(), about.gid(), about.mode() & 0o777), (uid, gid, 0o600));
    world.origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    let path = world.home_one.join("f");
    assert_is(&path, &Content::new(3, 2 * MIB));
    assert_eq!(std::fs::metadata(path).unwrap().uid(), uid);
}

#[test]
fn roots_own_worker_has_no_capabilities_either() {
    let Some(world) = World::new("root's worker", &Options::default()) else { return };
    world.origin.put("f", Content::new(1, MIB));
    world.origin.hold("f", 1000);
    let path = world.system.folder().join("f");
    let job =
        NewJob::new("root's").file(&world.origin.url("f"), &path).started().create(&world.system.door());
    assert!(world.origin.wait_held("f", LONG));
    let status = status(world.system.worker_of(0));
    assert_eq!(u64::from_str_radix(&status["CapEff"], 16).unwrap(), 0);
    assert_eq!(status["NoNewPrivs"], "1");
    job.must("cancel");
}

#[test]
fn another_users_job_does_not_exist() {
    let Some(world) = World::new("two users", &Options::default()) else { return };
    let door = world.system.door();
    let (one, two) = (door.of(world.one.uid), door.of(world.two.uid));
    let mut watch_one = one.events("?after=0");
    let mut watch_two = two.events("?after=0");
    let mut watch_root = door.events("?after=0&all_users=true");
    let job = world.held("secret", &world.home_one);
    let before = job.view().unwrap();
    let stranger = Job { id: job.id.clone(), door: two.clone() };
    let file = json!({ "files": [{ "remote_name": "http://localhost/x", "local_name": "/tmp/x" }] });
    let login = json!({ "target": "SERVER", "scheme": "BASIC", "user": "u", "password": "p" });
    let requests = [
        ("GET", "", None),
        ("GET", "?held=true&files=true", None),
        ("PATCH", "", Some(json!({ "display_name": "mine" }))),
        ("GET", "/error", None),
        ("GET", "/reply", None),
        ("GET", "/why", None),
        ("GET", "/policy", None),
        ("POST", "/resume", None),
        ("POST", "/suspend", None),
        ("POST", "/complete", None),
        ("POST", "/take-ownership", None),
        ("POST", "/cancel", None),
        ("GET", "/properties/{number}", None),
        ("PUT", "/properties/{number}", Some(json!({ "value": "1" }))),
        ("POST", "/replace-remote-prefix", Some(json!({ "old": "http://", "new": "https://" }))),
        ("GET", "/custom-headers", None),
        ("GET", "/challenge-headers", None),
        ("PUT", "/credentials", Some(login)),
        ("DELETE", "/credentials/{target}/{scheme}", None),
        ("GET", "/client-certificate", None),
        ("PUT", "/client-certificate", Some(json!({ "subject": "two" }))),
        ("DELETE", "/client-certificate", None),
        ("POST", "/certificate-checks", None),
        ("DELETE", "/certificate-checks", None),
        ("PUT", "/certificate-checks/{check}", Some(json!({ "hresult": "0x00000000" }))),
        ("PUT", "/helper-token", Some(json!({ "ticket": "0".repeat(32) }))),
        ("DELETE", "/helper-token", None),
        ("POST", "/helper-token/ticket", None),
        ("GET", "/log", None),
        ("GET", "/notify-interface", None),
        ("PUT", "/notify-interface", Some(json!({ "listener": 1 }))),
        ("DELETE", "/notify-interface", None),
        ("GET", "/files", None),
        ("POST", "/files", Some(file)),
        ("GET", "/files/{file}", None),
        ("PATCH", "/files/{file}", Some(json!({ "local_name": "/tmp/x" }))),
        ("PUT", "/files/{file}/remote-name", Some(json!({ "remote_name": "http://localhost/x" }))),
        ("PUT", "/files/{file}/validation", Some(json!({ "valid": false }))),
        ("GET", "/files/{file}/properties/{number}", None),
        ("PUT", "/files/{file}/properties/{number}", None),
        ("GET", "/files/{file}/ranges", None),
        ("GET", "/files/{file}/filled", None),
        ("POST", "/files/{file}/requests", Some(json!({ "ranges": [{ "offset": 0, "length": 1 }] }))),
        ("POST", "/files/{file}/position", Some(json!({ "offset": 0 }))),
    ];
    assert_every_endpoint_of_a_job(&two, &requests.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>());
    for (method, rest, body) in &requests {
        let rest = [
            ("{file}", "0"),
            ("{number}", "1"),
            ("{check}", "1"),
            ("{target}", "SERVER"),
            ("{scheme}", "BASIC"),
        ]
        .iter()
        .fold((*rest).to_owned(), |rest, (name, value)| rest.replace(name, value));
        let reply = two.ask(method, &stranger.path(&rest), body.as_ref()).unwrap();
        assert_eq!((reply.status, reply.hresult().as_str()), (403, DENIED), "{method} {rest}: {reply}");
        let text = reply.to_string();
        assert!(!text.contains("secret") && !text.contains(world.home_one.to_str().unwrap()), "{text}");
    }
    // No list, count or stream shows it.
    assert_eq!(two.jobs(""), []);
    assert_eq!(two.jobs(&format!("&id_prefix={}", &job.id[..8])), []);
    assert_eq!(two.jobs("&name=secret"), []);
    assert_eq!((two.service().jobs, two.service().running), (0, 0));
    for query in ["/v1/jobs?all_users=true", "/v1/events?all_users=true"] {
        let reply = two.ask("GET", query, None).unwrap();
        assert_eq!((reply.status, reply.hresult().as_str()), (403, DENIED), "{query}: {reply}");
    }
    assert_eq!((two.service().limits.jobs_per_user, two.service().limits.files_per_job), (Some(60), 200));
    assert_eq!(door.service().limits.jobs_per_user, None, "root is exempt");
    // It has come, and none comes after it.
    let created = |events: &mut openbits_e2e::Events| {
        let _ = events.until(LONG, |event| event.kind == EventKind::Created);
        let rest = events.drain(Duration::from_millis(500));
        1 + rest.iter().filter(|event| event.kind == EventKind::Created).count()
    };
    assert_eq!(created(&mut watch_one), 1);
    assert_eq!(created(&mut watch_root), 1);
    assert_eq!(watch_two.drain(Duration::from_millis(500)), []);
    let of_job = format!("?after=0&job={}", job.id);
    let reply = two.ask("GET", &format!("/v1/events{of_job}"), None).unwrap();
    assert_eq!((reply.status, reply.hresult().as_str()), (403, DENIED), "{reply}");
    // Root hears a job by its name, live and from the store.
    assert_eq!(created(&mut door.events(&of_job)), 1);
    let after = job.view().unwrap();
    assert_eq!(
        (after.state, &after.display_name, after.owner_uid),
        (before.state, &before.display_name, world.one.uid)
    );

    // Root sees all and may do it.
    let roots = Job { id: job.id.clone(), door: door.clone() };
    assert_eq!(roots.view().unwrap().owner_uid, world.one.uid);
    assert_eq!(door.jobs(""), Vec::<JobView>::new(), "not root's own");
    assert_eq!(door.jobs("&all_users=true").len(), 1);
    roots.must("cancel");
    assert_eq!(roots.wait(&[Cancelled, Acknowledged], LONG), Cancelled);
    assert!(wait_until(LONG, || names(&world.home_one).is_empty()));
}

/// A new endpoint of a job has to come into the table above: nobody may forget to ask who calls.
fn assert_every_endpoint_of_a_job(door: &Door, table: &[(&str, &str)]) {
    let listed = door.ask("GET", "/v1/openapi.json", None).unwrap().json::<serde_json::Value>();
    let mut missing = Vec::new();
    for (path, operations) in listed["paths"].as_object().unwrap() {
        let Some(rest) = path.strip_prefix("/v1/jobs/{id}") else { continue };
        for method in operations.as_object().unwrap().keys().map(|key| key.to_uppercase()) {
            let is_method = ["GET", "POST", "PATCH", "PUT", "DELETE"].contains(&method.as_str());
            if is_method && !table.contains(&(method.as_str(), rest)) {
                missing.push(format!("{method} {rest}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "endpoints that are not in the table");
}

/// Well below the half minute after which a command reads the jobs although it heard nothing.
#[test]
fn root_waits_for_and_watches_another_users_job() {
    let Some(world) = World::new("root hears others' jobs", &Options::default()) else { return };
    let (job, other) = (world.held("f", &world.home_one), world.held("g", &world.home_one));
    let socket = world.system.door().socket;
    let roots = |words: &[&str]| {
        let mut command = Command::new(bits());
        command.arg("--socket").arg(&socket).args(words).env_clear();
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let waits = [
        roots(&["wait", &job.id, "--timeout", "120"]),
        roots(&["wait", &job.id, &other.id, "--timeout", "120"]),
    ];
    let mut watch = roots(&["watch", &job.id, "--json"]);
    let mut lines = std::io::BufReader::new(watch.stdout.take().unwrap());
    let (said, hears) = std::sync::mpsc::sync_channel(1);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        while lines.read_line(&mut text).unwrap() > 0 {
            let _ = said.try_send(());
        }
        text
    });
    // Until it hears.
    let mut count = 0;
    let heard = wait_until(LONG, || {
        count += 1;
        let name = json!({ "display_name": format!("name {count}") });
        assert!(job.door.ask("PATCH", &job.path(""), Some(&name)).unwrap().is_success());
        hears.recv_timeout(Duration::from_millis(200)).is_ok()
    });
    assert!(heard);
    std::thread::sleep(Duration::from_secs(1));
    world.origin.release("f");
    world.origin.release("g");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(other.wait(&[Transferred, Error], LONG), Transferred);
    let begin = std::time::Instant::now();
    std::thread::sleep(Duration::from_millis(500));
    job.must("complete");
    for command in waits {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let text = reader.join().unwrap();
    assert!(watch.wait().unwrap().success() && text.contains("\"acknowledged\""), "{text}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    other.must("complete");
}

#[test]
fn root_takes_ownership() {
    let Some(world) = World::new("take ownership", &Options::default()) else { return };
    let job = world.held("f", &world.home_one);
    job.must("suspend");
    let roots = Job { id: job.id.clone(), door: world.system.door() };
    let stranger = Job { id: job.id.clone(), door: world.system.door().of(world.two.uid) };
    assert_eq!(stranger.act("take-ownership").hresult(), DENIED);
    // What a user set up as a destination must not steer root's rights: a folder that he can change is refused, and nothing changes.
    let refused = roots.act("take-ownership");
    assert_eq!(refused.hresult(), "0x80200016", "{refused}");
    assert_eq!(roots.view().unwrap().owner_uid, world.one.uid);
    job.must("resume");
    world.origin.release("f");
    job.wait(&[Transferred], LONG);
    roots.must("cancel");
    // A job without files can be taken; then it is not his any more.
    let empty = NewJob::new("empty").create(&world.system.door().of(world.one.uid));
    let roots = Job { id: empty.id.clone(), door: world.system.door() };
    roots.must("take-ownership");
    let view = roots.view().unwrap();
    assert_eq!((view.owner_uid, view.state), (0, Suspended));
    assert_eq!(empty.act("suspend").hresult(), DENIED, "it is not his any more");
    roots.must("cancel");
}

/// The attack behind the rule: the folder of a waiting job becomes a link to a folder of root's, and root takes the job.
#[test]
fn a_taken_job_never_follows_the_old_owners_link() {
    let Some(world) = World::new("link trap", &Options::default()) else { return };
    world.origin.put("f", Content::new(1, 1000));
    let trap = world.home_one.join("trap");
    std::fs::create_dir(&trap).unwrap();
    std::os::unix::fs::chown(&trap, Some(world.one.uid), None).unwrap();
    let one = world.system.door().of(world.one.uid);
    let job = NewJob::new("trap").file(&world.origin.url("f"), &trap.join("f")).create(&one);
    let treasure = world.home_one.parent().unwrap().join("treasure");
    std::fs::create_dir(&treasure).unwrap();
    std::fs::remove_dir(&trap).unwrap();
    symlink(&treasure, &trap).unwrap();
    let roots = Job { id: job.id.clone(), door: world.system.door() };
    assert_eq!(roots.act("take-ownership").hresult(), "0x80200016");
    roots.must("resume");
    roots.wait(&[Error, TransientError], LONG);
    assert_eq!(std::fs::read_dir(&treasure).unwrap().count(), 0, "nothing was written through the link");
    roots.must("cancel");
}

#[test]
fn destinations_in_anothers_home_are_refused() {
    let Some(world) = World::new("destinations", &Options::default()) else { return };
    world.origin.put("f", Content::new(1, 1000));
    let two = world.system.door().of(world.two.uid);
    let url = world.origin.url("f");
    let target = world.home_one.join("f");
    // Through a link of his own, and through the other's name.
    symlink(&world.home_one, world.home_two.join("link")).unwrap();
    for path in [
        target.clone(),
        world.home_two.join("link/f"),
        world.home_two.join("../one/f"),
        "/etc/openbits-e2e".into(),
    ] {
        let reply = NewJob::new("intruder").file(&url, &path).started().try_create(&two).unwrap();
        assert!(!reply.is_success(), "{} was taken: {reply}", path.display());
        assert!(!path.exists());
    }
    // An empty job does not help either.
    let job = NewJob::new("empty").create(&two);
    let body = json!({ "files": [{ "remote_name": url, "local_name": target }] });
    let reply = two.ask("POST", &job.path("/files"), Some(&body)).unwrap();
    assert!(!reply.is_success(), "{reply}");
    assert_eq!(names(&world.home_one), [""; 0]);
    assert_eq!(two.jobs("").len(), 1, "only the empty job is there");
}

/// A folder that both may write, as an attacker would like it.
fn shared(world: &World) -> PathBuf {
    let folder = world.system.folder().join("shared");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
    folder
}

/// A file of the victim that nobody may see changed.
fn precious(world: &World, folder: &Path, owner: &Account) -> PathBuf {
    let path = folder.join("precious");
    std::fs::write(&path, "precious").unwrap();
    owner.own(&path);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(path.starts_with(world.system.folder()));
    path
}

fn untouched(path: &Path) {
    assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
    let about = std::fs::metadata(path).unwrap();
    assert_eq!(about.mode() & 0o777, 0o600);
}

#[test]
fn planted_names_redirect_no_write() {
    let Some(world) = World::new("planted links", &Options::default()) else { return };
    let folder = shared(&world);
    let mine = precious(&world, &world.home_one, &world.one);
    let etc = world.system.folder().join("roots");
    std::fs::write(&etc, "precious").unwrap();
    std::fs::set_permissions(&etc, PermissionsExt::from_mode(0o600)).unwrap();
    let content = Content::new(3, 2 * MIB);

    // The destination's name is a link: Complete puts the file in its place and follows nothing.
    for (name, target) in [("link-to-mine", &mine), ("link-to-roots", &etc)] {
        let path = folder.join(name);
        let job = world.held(name, &folder);
        symlink(target, &path).unwrap();
        world.origin.release(name);
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", job.view());
        job.must("complete");
        untouched(target);
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file(), "the link was replaced by the file");
        assert_is(&path, &content);
    }
    // A hard link to a file of the owner's at the destination: the name changes, the other file does not.
    let path = folder.join("hard");
    let job = world.held("hard", &folder);
    std::fs::hard_link(&mine, &path).unwrap();
    world.origin.release("hard");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    untouched(&mine);
    assert_is(&path, &content);
    assert_eq!(leftovers(&folder), Vec::<PathBuf>::new());
}

/// When the temporary file is exchanged: in the middle of the download, or when all is there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Suspended,
    Transferred,
}

type Plant = fn(&Path, &Path);
const PLANTS: [(&str, Plant); 3] = [
    ("symlink", |temporary, target| symlink(target, temporary).unwrap()),
    ("hardlink", |temporary, target| std::fs::hard_link(target, temporary).unwrap()),
    ("foreign", |temporary, _| {
        std::fs::write(temporary, vec![b'x'; 2 << 20]).unwrap();
        std::fs::set_permissions(temporary, PermissionsExt::from_mode(0o666)).unwrap();
    }),
];

/// The temporary file is exchanged behind the service's back, in a folder that the attacker may write.
fn planted_temporary_file(name: &str, plant: Plant, moment: Moment) {
    let Some(world) = World::new("planted temporary files", &Options::default()) else { return };
    let folder = shared(&world);
    let mine = precious(&world, &world.home_one, &world.one);
    let content = Content::new(3, 2 * MIB);
    let job = world.held(name, &folder);
    if moment == Moment::Suspended {
        job.must("suspend");
    } else {
        world.origin.release(name);
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    }
    let temporary = leftovers(&folder).pop().unwrap();
    std::fs::remove_file(&temporary).unwrap();
    plant(&temporary, &mine);
    if name == "foreign" {
        world.two.own(&temporary);
    }
    world.origin.release(name);
    if moment == Moment::Suspended {
        job.must("resume");
    }
    let end = job.wait(&[Transferred, Error], LONG);
    let answer = job.act("complete");
    eprintln!("temporary file replaced by a {name} ({moment:?}): {end:?}, Complete: {}", answer.hresult());
    let path = folder.join(name);
    if answer.hresult() == "0x00000000" {
        assert_is(&path, &content);
    }
    if let Ok(about) = std::fs::symlink_metadata(&path) {
        assert!(
            about.is_file() && about.uid() == world.one.uid,
            "the delivered file is another's: {about:?}"
        );
        assert_is(&path, &content);
    }
    let _ = job.act("cancel");
    untouched(&mine);
}

#[test]
fn planted_temporary_files_redirect_no_write() {
    for (name, plant) in PLANTS {
        planted_temporary_file(name, plant, Moment::Suspended);
    }
}

#[test]
fn temporary_files_planted_before_complete_are_not_delivered() {
    for (name, plant) in PLANTS {
        planted_temporary_file(name, plant, Moment::Transferred);
    }
}

/// The destination folder is exchanged for a link to another's folder while the file is on its way.
#[test]
fn a_swapped_folder_redirects_no_write() {
    let Some(world) = World::new("swapped folder", &Options::default()) else { return };
    let parent = shared(&world);
    for kill_worker in [false, true] {
        let name = format!("swap-{kill_worker}");
        let folder = world.one.folder(&parent, &name);
        let job = world.held("f", &folder);
        let aside = parent.join(format!("{name}-aside"));
        std::fs::rename(&folder, &aside).unwrap();
        symlink(&world.home_two, &folder).unwrap();
        if kill_worker {
            kill(world.system.worker_of(world.one.uid));
        }
        world.origin.release("f");
        let end = job.wait(&[Transferred, Error], LONG);
        let answer = job.act("complete");
        eprintln!("folder swapped (worker killed: {kill_worker}): {end:?}, Complete: {}", answer.hresult());
        let _ = job.act("cancel");
        assert_eq!(names(&world.home_two), [""; 0], "something was written through the link");
        // And to a folder of the owner's own: no write may be led there either without his rights, which he has.
        assert!(!aside.join("f").exists() || aside.join("f").is_file());
    }
}

/// What the root process itself opens and connects to, seen by strace; without it, by looking at its descriptors.
#[test]
fn the_root_process_opens_no_users_path_and_no_connection() {
    let has_strace = Command::new("strace").arg("--version").output().is_ok();
    let trace = PathBuf::from(format!("/tmp/openbits-e2e-strace-{}", std::process::id()));
    let mut options = Options::default();
    if has_strace {
        let words = [
            "strace",
            "-f",
            "-qq",
            "-s",
            "256",
            "-e",
            "trace=%file,connect,execve",
            "-o",
            trace.to_str().unwrap(),
        ];
        options.wrapper = words.map(str::to_owned).to_vec();
    }
    let Some(world) = World::new("calls of the root process", &options) else { return };
    let job = world.held("f", &world.home_one);
    let pid = world.system.pid();
    let tcp = |pid: u32| {
        let inodes: Vec<String> = descriptors(pid)
            .into_values()
            .filter_map(|t| Some(t.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
            .collect();
        let tables = ["tcp", "tcp6", "udp", "udp6"]
            .map(|t| std::fs::read_to_string(format!("/proc/{pid}/net/{t}")).unwrap_or_default())
            .concat();
        inodes.into_iter().filter(|inode| tables.split_whitespace().any(|word| word == inode)).count()
    };
    assert_eq!(tcp(pid), 0, "the root process has a network socket");
    assert!(tcp(world.system.worker_of(world.one.uid)) > 0, "the worker is the one who has it");
    for (_, target) in descriptors(pid) {
        assert!(
            !target.starts_with(world.home_one.to_str().unwrap()),
            "{target} is open in the root process"
        );
    }
    world.origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    let cancelled = world.held("g", &world.home_one);
    cancelled.must("cancel");
    assert!(wait_until(LONG, || leftovers(&world.home_one).is_empty()));
    let own_threads: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .map(|t| t.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    if has_strace {
        let text = std::fs::read_to_string(&trace).unwrap();
        std::fs::remove_file(&trace).unwrap();
        let home = world.home_one.to_str().unwrap();
        let own = |line: &&str| {
            line.split_whitespace().next().is_some_and(|tid| own_threads.iter().any(|t| t == tid))
        };
        assert!(
            text.lines().any(|line| !own(&line) && line.contains(home)),
            "the trace shows the worker's files"
        );
        for line in text.lines().filter(own) {
            assert!(!line.contains(home), "the root process: {line}");
            assert!(!line.contains("AF_INET"), "the root process: {line}");
        }
    } else {
        skip("trace of the root process", "strace is not installed; only its descriptors were looked at");
    }
}

#[test]
fn a_killed_worker_is_replaced() {
    let Some(world) = World::new("killed worker", &Options::default()) else { return };
    let job = world.held("f", &world.home_one);
    for _ in 0..2 {
        let pid = world.system.worker_of(world.one.uid);
        kill(pid);
        assert!(wait_until(LONG, || world.system.workers().iter().any(|p| *p != pid)));
        assert!(world.origin.wait_held("f", LONG));
    }
    world.origin.release("f");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    assert_is(&world.home_one.join("f"), &Content::new(3, 2 * MIB));
}

/// Takes up to 40 s, so only when asked for (`OPENBITS_SLOW=1`).
#[test]
fn a_hung_worker_is_replaced() {
    if knob("OPENBITS_SLOW", 0) == 0 {
        return skip("hung worker", "it takes half a minute; set OPENBITS_SLOW=1");
    }
    let Some(world) = World::new("hung worker", &Options::default()) else { return };
    let job = world.held("f", &world.home_one);
    let pid = world.system.worker_of(world.one.uid);
    signal(pid, Signal::SIGSTOP);
    world.origin.release("f");
    assert!(wait_until(LONG, || gone(pid)), "the hung worker is still there");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    assert_is(&world.home_one.join("f"), &Content::new(3, 2 * MIB));
}

#[test]
fn the_quota_is_the_users() {
    let Some(world) = World::new("quota", &Options::default()) else { return };
    let door = world.system.door();
    let (one, two) = (door.of(world.one.uid), door.of(world.two.uid));
    for n in 0..60 {
        let _ = NewJob::new(&format!("{n}")).create(&one);
    }
    let reply = NewJob::new("one too many").try_create(&one).unwrap();
    assert_eq!((reply.status, reply.hresult().as_str()), (429, "0x80200049"), "{reply}");
    // Another user and root have room.
    let _ = NewJob::new("another's").create(&two);
    for n in 0..61 {
        let _ = NewJob::new(&format!("root's {n}")).create(&door);
    }
    Job { id: one.jobs("")[0].id.clone(), door: one.clone() }.must("cancel");
    let _ = NewJob::new("room again").create(&one);
    assert_eq!(one.jobs("").len(), 60);
}

/// The command line itself, as the two users: what the API refuses, it says with the right exit code.
#[test]
fn the_command_line_of_two_users() {
    let Some(world) = World::new("command line of two users", &Options::default()) else { return };
    // The build folder may be closed to them.
    let copy = world.system.folder().join("bits");
    std::fs::copy(bits(), &copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
    world.origin.put("f", Content::new(8, 12345));
    let url = world.origin.url("f");
    let run = |account: &Account, home: &Path, arguments: &[&str]| {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&copy);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", home)
            .env("OPENBITS_SOCKET", world.system.door().socket);
        command.uid(account.uid).gid(account.gid).current_dir("/").output().unwrap()
    };
    let path = world.home_one.join("f");
    let got = run(&world.one, &world.home_one, &["get", &url, path.to_str().unwrap()]);
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    assert_is(&path, &Content::new(8, 12345));
    assert_eq!(std::fs::metadata(&path).unwrap().uid(), world.one.uid);
    let job = world.held("slow", &world.home_one);
    for verb in ["show", "why", "suspend", "cancel", "complete", "resume"] {
        let refused = run(&world.two, &world.home_two, &[verb, &job.id]);
        assert_eq!(refused.status.code(), Some(3), "{verb}: {}", String::from_utf8_lossy(&refused.stderr));
    }
    assert_eq!(job.state(), Transferring);
    let listed = run(&world.two, &world.home_two, &["list", "--json"]);
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(&job.id));
    assert_eq!(run(&world.two, &world.home_two, &["list", "--all-users"]).status.code(), Some(3));
    let stolen = run(&world.two, &world.home_two, &["get", &url, path.to_str().unwrap()]);
    assert!(!stolen.status.success());
    assert_is(&path, &Content::new(8, 12345));
}
