//! The machine's service: downloads are done by the agent's account, and only where the caller may write, too (docs/decisions/0024).

use crate::sdk::{Download, NOT_FOUND, code};
use crate::service::{LONG, SMALL, Service};
use nix::unistd::{Gid, Uid, setfsuid};
use openbits_testkit::wait_until;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const DENIED: i32 = code(0xC0D0_000D);

/// An account, made when it is missing and kept for the next run.
pub(crate) fn account(name: &str) -> Option<(Uid, Gid)> {
    let find = || nix::unistd::User::from_name(name).ok().flatten().map(|user| (user.uid, user.gid));
    find().or_else(|| {
        let arguments = ["--no-create-home", "--user-group", "--shell", "/usr/sbin/nologin", name];
        let made = Command::new("useradd").args(arguments).status().ok()?;
        made.success().then(find).flatten()
    })
}

struct Scene {
    service: Service,
    caller: Uid,
    agent: Uid,
}

impl Scene {
    fn new(test: &str) -> Option<Self> {
        let people = account("openbits-t1").zip(account("openbits-t2"));
        let (true, Some(((caller, _), (agent, _)))) = (Uid::effective().is_root(), people) else {
            eprintln!("SKIPPED: {test}: needs root and two accounts");
            return None;
        };
        Some(Self { service: Service::start_system("openbits-t2"), caller, agent })
    }

    fn folder(&self, name: &str, owner: Uid, mode: u32) -> PathBuf {
        let folder = self.service.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::chown(&folder, Some(owner.as_raw()), None).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    /// A download of this user, whose connection is his from now on.
    fn make(&self, user: Uid, remote: &str, path: &Path) -> Download {
        self.as_user(user, |service| service.sdk().make(&service.url(remote), path).unwrap())
    }

    /// In a thread whose sockets belong to this user.
    fn as_user<T: Send>(&self, user: Uid, act: impl FnOnce(&Service) -> T + Send) -> T {
        let service = &self.service;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setfsuid(user);
                act(service)
            });
            thread.join().unwrap()
        })
    }
}

#[test]
fn a_download_is_written_only_where_both_may() {
    let Some(scene) = Scene::new("a_download_is_written_only_where_both_may") else { return };
    let both = scene.folder("both", scene.caller, 0o1777);
    let download = scene.make(scene.caller, "small", &both.join("f"));
    download.start().unwrap();
    download.reaches("Transferred", seconds(20));
    let about = std::fs::metadata(both.join("f")).unwrap();
    assert_eq!((about.len(), about.uid(), about.mode() & 0o777), (SMALL, scene.agent.as_raw(), 0o644));
    download.finalize().unwrap();
    let callers = scene.folder("callers", scene.caller, 0o700);
    assert_eq!(
        scene.make(scene.caller, "small", &callers.join("f")).start(),
        Err(DENIED),
        "the agent may not"
    );
    let agents = scene.folder("agents", scene.agent, 0o755);
    let refused = scene.make(scene.caller, "small", &agents.join("f"));
    assert_eq!(refused.start(), Err(DENIED), "the caller may not");
    assert!(!agents.join("f").exists());
    let by_root = scene.make(Uid::from_raw(0), "small", &agents.join("f"));
    by_root.start().unwrap();
    by_root.reaches("Transferred", seconds(20));
    assert_eq!(std::fs::metadata(agents.join("f")).unwrap().uid(), scene.agent.as_raw());
    let roots = scene.folder("roots", Uid::from_raw(0), 0o755);
    assert_eq!(scene.make(Uid::from_raw(0), "small", &roots.join("f")).start(), Err(DENIED), "nor for root");
    let job = scene.service.client().job(download_id(&by_root), false, true).unwrap();
    assert_eq!(job.owner_uid, 0);
    let jobs = scene.service.client().job(download_id(&refused), false, true).unwrap();
    assert_eq!(jobs.owner_uid, scene.caller.as_raw(), "a download is its caller's");
}

fn download_id(download: &Download) -> openbits_core::JobId {
    download.id.parse().unwrap()
}

/// The path is bent to a folder of the agent's account, where a file of that name is: it stays as it is.
#[test]
fn a_path_that_is_bent_later_leads_nowhere() {
    let Some(scene) = Scene::new("a_path_that_is_bent_later_leads_nowhere") else { return };
    let both = scene.folder("both", scene.caller, 0o777);
    let agents = scene.folder("agents", scene.agent, 0o755);
    std::fs::write(agents.join("f"), "precious").unwrap();
    std::os::unix::fs::chown(agents.join("f"), Some(scene.agent.as_raw()), None).unwrap();
    let link = scene.service.folder.path().join("link");
    std::os::unix::fs::symlink(&both, &link).unwrap();
    scene.service.origin.hold("large", 1 << 20);
    let download = scene.make(scene.caller, "large", &link.join("f"));
    download.start().unwrap();
    assert!(scene.service.origin.wait_held("large", LONG));
    download.pause().unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&agents, &link).unwrap();
    assert_eq!(download.start(), Err(code(0xC0D0_0002)));
    download.abort().unwrap();
    assert_eq!(std::fs::read_to_string(agents.join("f")).unwrap(), "precious");
    assert!(both.join("f").exists(), "what cannot be found any more stays");
}

#[test]
fn another_users_download_is_not_there() {
    let Some(scene) = Scene::new("another_users_download_is_not_there") else { return };
    let both = scene.folder("both", scene.caller, 0o777);
    let download = scene.make(scene.caller, "small", &both.join("f"));
    let id = download.id.clone();
    scene.as_user(scene.agent, |service| {
        let other = Download { sdk: service.sdk(), id };
        assert_eq!(other.start(), Err(NOT_FOUND));
        assert_eq!(other.abort(), Err(NOT_FOUND));
        assert_eq!(other.try_status().unwrap_err(), NOT_FOUND);
        assert_eq!(other.get("Uri"), Err(NOT_FOUND));
    });
    assert_eq!(download.status().state, "Created");
}

/// Nobody is made into root by closing before the service looks: the kernel tells uid 0 of a connection that its user has closed.
#[test]
fn a_connection_that_is_closed_at_once_is_nobodys() {
    use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
    use std::io::Write;
    let Some(scene) = Scene::new("a_connection_that_is_closed_at_once_is_nobodys") else { return };
    let port = crate::sdk::port_in(&scene.service.run()).unwrap();
    let signal = |signal| {
        let pid = nix::unistd::Pid::from_raw(scene.service.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    };
    let knock = |times: usize| {
        scene.as_user(scene.caller, |_| {
            for _ in 0..times {
                let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                let _ = stream.write_all(b"POST download/create HTTP/1.1\r\n\r\n");
            }
        });
        // Until each has been looked at, and its request done.
        assert!(wait_until(LONG, || open_at(port) == 0), "{} are still open", open_at(port));
    };
    let owners = || {
        let query = openbits_client::JobQuery { all_users: true, ..openbits_client::JobQuery::default() };
        let jobs = scene.service.client().jobs(&query).unwrap();
        jobs.iter().map(|job| job.owner_uid).collect::<Vec<_>>()
    };
    // All are closed before it can look: each is refused.
    signal(SIGSTOP);
    std::thread::scope(|scope| {
        let done = scope.spawn(|| knock(50));
        assert!(wait_until(LONG, || closed_at(port) == 50), "{} of 50", closed_at(port));
        signal(SIGCONT);
        done.join().unwrap();
    });
    assert_eq!(owners(), [0; 0]);
    let log = std::fs::read_to_string(scene.service.folder.path().join("log")).unwrap();
    assert_eq!(log.matches("a connection to the agent is of nobody").count(), 50, "{log}");
    // The service and the end of each race: whoever is in time is himself.
    knock(200);
    assert!(owners().iter().all(|owner| *owner == scene.caller.as_raw()), "some are of root");
}

/// Connections to this port that the service has not closed yet.
fn open_at(port: u16) -> usize {
    // ESTABLISHED, CLOSE_WAIT
    sockets(port, &["01", "08"])
}

/// Those of them whose client has closed.
fn closed_at(port: u16) -> usize {
    sockets(port, &["08"])
}

/// Sockets of this port of the loopback in these states, by the kernel's table.
fn sockets(port: u16, states: &[&str]) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let own = format!("0100007F:{port:04X}");
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&own.as_str()) && states.contains(&row[3])).count()
}
