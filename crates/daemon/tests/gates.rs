//! Gates and limits of a running service: cables, networks that cost, batteries, and bandwidth (spec/behaviour.md 31, spec/policy.md D).
//!
//! The facts come from outside, as in life: a network namespace with a cable of its own, a message bus with stand-ins of
//! NetworkManager and UPower, a policy file.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;

use common::{Service, wait};
use openbits_api::{CreateDownload, DownloadProperties, DownloadView, StartDownload};
use openbits_client::Action;
use openbits_core::delivery::codes;
use openbits_core::delivery::download::State;
use openbits_core::hresult as h;
use openbits_core::policy::cost;
use openbits_core::{HResult, JobId, JobState, Priority};
use openbits_testkit::bus::{Bus, Property};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// Size of every file: its space is reserved on the disk of the test.
const SIZE: u64 = 1 << 28;
/// "At once", on a machine that is busy with other tests. Whoever misses the news waits ten minutes, for the retry.
const AT_ONCE: Duration = Duration::from_secs(20);
/// Our end of the cable.
const ADDRESS: &str = "10.77.0.1";

/// This thread (and what it starts) in a network namespace with a cable to nowhere.
fn cable() -> bool {
    let entered = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok();
    if !entered || !try_ip("link set lo up") {
        eprintln!("SKIPPED: needs root, network namespaces and ip");
        return false;
    }
    ip("link add c0 type veth peer name c1");
    ip(&format!("addr add {ADDRESS}/24 dev c0"));
    ip("link set c0 up");
    ip("link set c1 up");
    true
}

fn try_ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

fn ip(arguments: &str) {
    assert!(try_ip(arguments), "ip {arguments}");
}

fn pull() {
    ip("link set c1 down");
}

fn plug() {
    ip("link set c1 up");
}

/// A server: `/busy` answers 503, everything else is a large file at some 3 MB/s, or
/// 20 MB/s if it is called `/fast`.
fn origin(address: &str) -> String {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || while serve(&stream).is_some() {});
        }
    });
    format!("http://{at}")
}

fn serve(mut stream: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    if path == "/busy" {
        return stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").ok();
    }
    let range = head
        .iter()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let from: u64 = range.as_deref().and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0);
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    let span = format!("Content-Range: bytes {from}-{}/{SIZE}\r\n", SIZE - 1);
    let span = if range.is_some() { span } else { String::new() };
    let length = SIZE - from;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nETag: \"v\"\r\nAccept-Ranges: bytes\r\n{span}Content-Length: {length}\r\n\r\n"
    )
    .ok()?;
    if method == "HEAD" {
        return Some(());
    }
    let piece = vec![b'x'; 64 << 10];
    let mut left = length;
    while left > 0 {
        let now = left.min(piece.len() as u64);
        stream.write_all(&piece[..usize::try_from(now).unwrap()]).ok()?;
        left -= now;
        std::thread::sleep(Duration::from_millis(if path == "/fast" { 2 } else { 20 }));
    }
    Some(())
}

impl Service {
    fn state(&self, id: JobId) -> JobState {
        self.job(id).state
    }

    fn until(&self, id: JobId, wanted: JobState) -> Duration {
        let begun = Instant::now();
        let there = openbits_testkit::wait_until(Duration::from_secs(60), || self.state(id) == wanted);
        assert!(there, "{id} is not {wanted:?} after 60 s: {:#?}", self.job(id));
        begun.elapsed()
    }

    fn until_code(&self, id: JobId, code: HResult) -> Duration {
        let begun = Instant::now();
        wait(&format!("{id} has {code}, not {:?}", self.code(id)), || {
            (self.code(id) == Some(code)).then_some(())
        });
        begun.elapsed()
    }

    fn why_not(&self, id: JobId) -> String {
        self.client.why(id).unwrap().reason
    }

    /// Bytes a second that the jobs move, over so long.
    fn speed(&self, ids: &[JobId], over: Duration) -> f64 {
        let all = || ids.iter().map(|id| self.job(*id).bytes_transferred).sum::<u64>();
        let (before, begun) = (all(), Instant::now());
        std::thread::sleep(over);
        let after = all();
        #[allow(clippy::cast_precision_loss, reason = "a measurement")]
        let speed = (after - before) as f64 / begun.elapsed().as_secs_f64();
        speed
    }

    /// Waits until these jobs move so fast over so long. A limit takes a moment to be divided anew, and a busy machine gives a window to
    /// others now and then; a wrong limit is wrong in each.
    fn settles(&self, what: &str, ids: &[JobId], over: Duration, fits: impl Fn(f64) -> bool) {
        let mut seen = Vec::new();
        for _ in 0..10 {
            seen.push(self.speed(ids, over));
            if seen.last().is_some_and(|speed| fits(*speed)) {
                return;
            }
        }
        panic!("{what}: {seen:.0?} bytes a second");
    }
}

/// Jobs in the four states of row 6: QUEUED, TRANSFERRING, TRANSIENT_ERROR by 503, SUSPENDED.
fn four(service: &Service, origin: &str) -> [JobId; 4] {
    let busy = service.fetch(Priority::Foreground, &format!("{origin}/busy"), "busy");
    service.until_code(busy, h::BG_E_HTTP_ERROR_503);
    let moving = service.fetch(Priority::Normal, &format!("{origin}/slow"), "moving");
    service.until(moving, JobState::Transferring);
    let queued = service.fetch(Priority::Normal, &format!("{origin}/slow"), "queued");
    assert_eq!(service.state(queued), JobState::Queued);
    let idle = service.fetch(Priority::Normal, &format!("{origin}/slow"), "idle");
    service.client.act(idle, Action::Suspend).unwrap();
    [queued, moving, busy, idle]
}

#[test]
fn conformance_06_a_pulled_cable() {
    if !cable() {
        return;
    }
    let service = Service::start("");
    let (outside, own) = (origin(ADDRESS), origin("127.0.0.1"));
    let [queued, moving, busy, idle] = four(&service, &outside);
    let local = service.fetch(Priority::Foreground, &format!("{own}/slow"), "local");
    service.until(local, JobState::Transferring);
    pull();
    let took = service.until_code(moving, h::BG_E_NETWORK_DISCONNECTED);
    assert!(took < AT_ONCE, "{took:?}");
    for id in [queued, moving] {
        let job = service.job(id);
        assert_eq!((job.state, job.error_count), (JobState::TransientError, 0));
        assert_eq!(
            (service.code(id), service.why_not(id)),
            (Some(h::BG_E_NETWORK_DISCONNECTED), "no-network".into())
        );
    }
    assert_eq!(service.code(busy), Some(h::BG_E_HTTP_ERROR_503), "unchanged");
    assert_eq!(service.state(idle), JobState::Suspended);
    assert_eq!(service.state(local), JobState::Transferring, "the loopback needs no cable");
    assert!(!service.client.service_info().unwrap().network);
    let late = service.fetch(Priority::Foreground, &format!("{outside}/slow"), "late");
    assert_eq!(service.code(late), Some(h::BG_E_NETWORK_DISCONNECTED));
}

#[test]
fn conformance_07_a_cable_plugged_in() {
    if !cable() {
        return;
    }
    let service = Service::start("");
    let [queued, moving, busy, idle] = four(&service, &origin(ADDRESS));
    pull();
    service.until_code(moving, h::BG_E_NETWORK_DISCONNECTED);
    let tried = service.job(busy).error_count;
    plug();
    let begun = Instant::now();
    service.until(moving, JobState::Transferring);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(service.state(queued), JobState::Queued);
    // The 503 one does not wait for its ten minutes.
    wait("it is tried again", || (service.job(busy).error_count > tried).then_some(()));
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(service.state(idle), JobState::Suspended);
}

#[test]
fn conformance_22_a_bandwidth_limit_of_zero() {
    const ZERO: &str = "[bandwidth.simple]\nenabled = true\nrate = 0\nhours = \"00-00\"\n";
    let service = Service::start("");
    let url = format!("{}/slow", origin("127.0.0.1"));
    let background = service.fetch(Priority::High, &url, "background");
    let foreground = service.fetch(Priority::Foreground, &url, "foreground");
    service.until(background, JobState::Transferring);
    service.until(foreground, JobState::Transferring);
    // Nobody tells the service but the file.
    service.write(ZERO);
    let took = service.until_code(background, h::BG_E_BLOCKED_BY_POLICY);
    assert!(took < AT_ONCE, "{took:?} after the edit");
    let why = service.client.why(background).unwrap();
    assert_eq!((why.reason.as_str(), service.job(background).error_count), ("blocked-by-policy", 0));
    assert!(why.remedy.contains("FOREGROUND"));
    let before = service.job(foreground).bytes_transferred;
    wait("the foreground job goes on", || (service.job(foreground).bytes_transferred > before).then_some(()));
    service.write("");
    let took = service.until(background, JobState::Transferring);
    assert!(took < AT_ONCE, "{took:?} after the edit");
}

/// A service on a bus of its own, in a namespace with a cable.
fn on_a_bus(policy: &str) -> Option<(Bus, Service)> {
    if !cable() {
        return None;
    }
    match Bus::start() {
        Ok(bus) => {
            let environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.address())];
            let service = Service::start_with("--user", policy, &environment);
            Some((bus, service))
        }
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            None
        }
    }
}

const NM: &str = "org.freedesktop.NetworkManager";
const NM_PATH: &str = "/org/freedesktop/NetworkManager";

#[test]
fn conformance_34_a_metered_network() {
    let Some((bus, service)) = on_a_bus("[cost]\nnormal = \"unconstrained\"\n") else { return };
    let network = bus.service(NM);
    network.set(NM_PATH, NM, "Metered", Property::U32(2));
    let url = format!("{}/slow", origin(ADDRESS));
    let job = service.fetch(Priority::Normal, &url, "job");
    service.until(job, JobState::Transferring);
    network.set(NM_PATH, NM, "Metered", Property::U32(1));
    let took = service.until_code(job, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(
        (service.state(job), service.why_not(job)),
        (JobState::TransientError, "blocked-by-cost".into())
    );
    let rules = service.client.explain_policy(job).unwrap().rules;
    assert_eq!((rules[0].key.as_str(), rules[0].holds), ("cost.normal", true));
    // Another mask: at once.
    assert!(service.reload("[cost]\nnormal = \"always\"\n"));
    assert!(service.until(job, JobState::Transferring) < AT_ONCE);
    assert!(service.reload("[cost]\nnormal = \"unconstrained\"\n"));
    service.until_code(job, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    network.set(NM_PATH, NM, "Metered", Property::U32(4));
    assert!(service.until(job, JobState::Transferring) < AT_ONCE);
    // A mask of the job's own goes before the policy, in both directions.
    network.set(NM_PATH, NM, "Metered", Property::U32(1));
    service.until_code(job, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    let mask = |bits: u32| openbits_api::SetProperties { cost_flags: Some(bits), ..Default::default() };
    service.client.set_properties(job, &mask(cost::ALWAYS)).unwrap();
    assert!(service.until(job, JobState::Transferring) < AT_ONCE);
    assert!(service.reload("[cost]\nnormal = \"always\"\n"));
    service.client.set_properties(job, &mask(0x8000_0021)).unwrap();
    service.until_code(job, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    // Who tells nothing any more holds nobody.
    network.set(NM_PATH, NM, "Metered", Property::U32(3));
    service.until_code(job, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    drop(network);
    service.until(job, JobState::Transferring);
}

#[test]
fn a_job_that_stays_away_from_cellular_networks_waits_for_another() {
    let Some((bus, service)) = on_a_bus("") else { return };
    let network = bus.service(NM);
    let kind = |kind: &str| {
        network.set(NM_PATH, NM, "PrimaryConnectionType", Property::Text(kind.to_owned()));
    };
    kind("802-11-wireless");
    let url = format!("{}/slow", origin(ADDRESS));
    let mut request = service.request_of(Priority::Foreground, &url, "careful");
    request.properties.disallow_cellular = Some(true);
    let careful: JobId = service.client.create_job(&request).unwrap().job.id.parse().unwrap();
    let other = service.fetch(Priority::Foreground, &url, "other");
    for id in [careful, other] {
        service.until(id, JobState::Transferring);
    }
    assert!(service.job(careful).disallow_cellular && !service.job(other).disallow_cellular);
    kind("gsm");
    let took = service.until_code(careful, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(
        (service.state(careful), service.why_not(careful)),
        (JobState::TransientError, "blocked-by-cellular".into())
    );
    assert_eq!(service.state(other), JobState::Transferring);
    // Its owner may think otherwise, and think again.
    let set = |on| {
        let change = openbits_api::SetProperties { disallow_cellular: Some(on), ..Default::default() };
        service.client.set_properties(careful, &change).unwrap();
    };
    set(false);
    assert!(service.until(careful, JobState::Transferring) < AT_ONCE);
    set(true);
    service.until_code(careful, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    kind("802-3-ethernet");
    assert!(service.until(careful, JobState::Transferring) < AT_ONCE);
}

/// Delivery Optimization keeps away from cache hosts on a VPN, if it is told to.
#[test]
fn cache_hosts_may_be_off_on_a_vpn() {
    if !cable() {
        return;
    }
    ip("route add default dev c0");
    // It takes connections, and never answers.
    let stand_in = TcpListener::bind((ADDRESS, 0)).unwrap();
    let policy = |on: bool, word: &str| {
        format!(
            "[delivery_optimization]\ncache_hosts = [\"{}\"]\ncache_fallback_background = \"never\"\n\
             cache_on_vpn = {on}\nvpn_keywords = [\"{word}\"]\n",
            stand_in.local_addr().unwrap()
        )
    };
    let service = Service::start(&policy(false, "other"));
    let url = format!("{}/slow", origin(ADDRESS));
    for (on, word, cached) in [(false, "other", true), (true, "C0", true), (false, "C0", false)] {
        assert!(service.reload(&policy(on, word)));
        let request = service.request_of(Priority::Normal, &url, word);
        let dialect = openbits_core::job::Dialect::DeliveryOptimization;
        let request = openbits_api::CreateJob { dialect, ..request };
        let id: JobId = service.client.create_job(&request).unwrap().job.id.parse().unwrap();
        wait("a server is asked", || service.job(id).state.is_running().then_some(()));
        assert_eq!(service.job(id).cache_host.is_some(), cached, "{on} {word}");
        if !cached {
            service.until(id, JobState::Transferring);
        }
        service.client.act(id, Action::Cancel).unwrap();
    }
}

#[test]
fn policy_09_the_jobs_own_mask_goes_before_the_policys() {
    let Some((bus, service)) = on_a_bus("[cost]\nnormal = \"unconstrained\"\n") else { return };
    let network = bus.service(NM);
    network.set(NM_PATH, NM, "Metered", Property::U32(1));
    let url = format!("{}/slow", origin(ADDRESS));
    let mut request = service.request_of(Priority::Normal, &url, "own");
    request.properties.cost_flags = Some(cost::ALWAYS);
    let own: JobId = service.client.create_job(&request).unwrap().job.id.parse().unwrap();
    service.until(own, JobState::Transferring);
    let other = service.fetch(Priority::Normal, &url, "other");
    service.until_code(other, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
}

#[test]
fn policy_10_the_priority_chooses_the_mask_of_the_policy() {
    let Some((bus, service)) = on_a_bus("[cost]\nnormal = \"unconstrained\"\nforeground = \"always\"\n")
    else {
        return;
    };
    let network = bus.service(NM);
    network.set(NM_PATH, NM, "Metered", Property::U32(1));
    let job = service.fetch(Priority::Normal, &format!("{}/slow", origin(ADDRESS)), "job");
    service.until_code(job, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    let raised = openbits_api::SetProperties { priority: Some(Priority::Foreground), ..Default::default() };
    service.client.set_properties(job, &raised).unwrap();
    assert!(service.until(job, JobState::Transferring) < AT_ONCE);
}

#[test]
fn a_portal_is_no_network_and_an_override_goes_by_the_name_of_the_connection() {
    let Some((bus, service)) = on_a_bus("[cost.override]\n\"train\" = \"roaming\"\n") else { return };
    let network = bus.service(NM);
    network.set(NM_PATH, NM, "Connectivity", Property::U32(4));
    let job = service.fetch(Priority::Normal, &format!("{}/slow", origin(ADDRESS)), "job");
    service.until(job, JobState::Transferring);
    network.set(NM_PATH, NM, "Connectivity", Property::U32(2));
    service.until_code(job, h::BG_E_NETWORK_DISCONNECTED);
    network.set(NM_PATH, NM, "Connectivity", Property::U32(4));
    service.until(job, JobState::Transferring);
    let active = "/org/freedesktop/NetworkManager/ActiveConnection/1";
    network.set(
        active,
        "org.freedesktop.NetworkManager.Connection.Active",
        "Id",
        Property::Text("train".into()),
    );
    network.set(NM_PATH, NM, "PrimaryConnection", Property::Path(active.into()));
    service.until_code(job, h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
}

#[test]
fn battery_and_saver_hold_as_the_policy_says() {
    let Some((bus, service)) = on_a_bus("") else { return };
    let url = format!("{}/slow", origin("127.0.0.1"));
    let (background, foreground) =
        (service.fetch(Priority::Normal, &url, "b"), service.fetch(Priority::Foreground, &url, "f"));
    let moves = |id| service.until(id, JobState::Transferring);
    moves(background);
    moves(foreground);
    let power = bus.service("org.freedesktop.UPower");
    let battery =
        |on| power.set("/org/freedesktop/UPower", "org.freedesktop.UPower", "OnBattery", Property::Bool(on));
    battery(true);
    let profiles = bus.service("net.hadess.PowerProfiles");
    let profile = |name: &str| {
        let value = Property::Text(name.to_owned());
        profiles.set("/net/hadess/PowerProfiles", "net.hadess.PowerProfiles", "ActiveProfile", value);
    };
    profile("power-saver");
    assert!(service.until_code(background, h::BG_E_BLOCKED_BY_BATTERY_SAVER) < AT_ONCE);
    assert_eq!(
        (service.why_not(background), service.state(foreground)),
        ("power-saver".into(), JobState::Transferring)
    );
    profile("performance");
    assert!(moves(background) < AT_ONCE, "on battery jobs run by default");
    assert!(service.reload("[power]\non_battery = \"foreground-only\"\n"));
    service.until_code(background, h::BG_E_BLOCKED_BY_BATTERY_POLICY);
    assert_eq!(
        (service.why_not(background), service.state(foreground)),
        ("on-battery".into(), JobState::Transferring)
    );
    assert!(service.reload("[power]\non_battery = \"stop\"\n"));
    service.until_code(foreground, h::BG_E_BLOCKED_BY_BATTERY_POLICY);
    battery(false);
    assert!(moves(foreground) < AT_ONCE);
    moves(background);
}

fn limited(rate: &str) -> String {
    format!(
        "[bandwidth.simple]\nenabled = true\nhours = \"00-00\"\nrate = \"{rate}\"\n[scheduler]\nmax_background = 4\n"
    )
}

/// Within a tenth.
fn is_about(expected: f64) -> impl Fn(f64) -> bool {
    move |speed| (speed / expected - 1.0).abs() < 0.1
}

#[test]
fn a_limit_is_shared_by_all_background_jobs_and_changes_while_they_run() {
    let service = Service::start(&limited("1MB/s"));
    let url = format!("{}/fast", origin("127.0.0.1"));
    let jobs: Vec<JobId> =
        (0..3).map(|n| service.fetch(Priority::Normal, &url, &format!("out{n}"))).collect();
    for job in &jobs {
        service.until(*job, JobState::Transferring);
    }
    service.settles("all", &jobs, Duration::from_secs(4), is_about(1e6));
    for job in &jobs {
        service.settles("a fair part", &[*job], Duration::from_secs(3), |one| (0.15e6..0.6e6).contains(&one));
    }
    assert!(service.reload(&limited("4MB/s")));
    service.settles("more", &jobs, Duration::from_secs(3), is_about(4e6));
    // A job that leaves the background leaves its limit, and the others have it to themselves.
    let raised = openbits_api::SetProperties { priority: Some(Priority::Foreground), ..Default::default() };
    service.client.set_properties(jobs[0], &raised).unwrap();
    service.settles("free", &jobs[..1], Duration::from_secs(1), |free| free > 8e6);
    service.settles("the rest", &jobs[1..], Duration::from_secs(2), is_about(4e6));
}

/// Two limits hold for jobs of Delivery Optimization: their own, and that of everybody's background.
#[test]
fn jobs_of_delivery_optimization_have_a_limit_of_their_own_beside() {
    use openbits_core::job::Dialect;
    let policy = |background: &str| {
        format!(
            "{}[delivery_optimization]\nmax_background_bandwidth = \"{background}\"\nmax_foreground_bandwidth = \"2MB/s\"\n",
            limited("4MB/s")
        )
    };
    let service = Service::start(&policy("1MB/s"));
    let url = format!("{}/fast", origin("127.0.0.1"));
    let fetch = |priority, name: &str| {
        let request = service.request_of(priority, &url, name);
        let request = openbits_api::CreateJob { dialect: Dialect::DeliveryOptimization, ..request };
        service.client.create_job(&request).unwrap().job.id.parse().unwrap()
    };
    let own: Vec<JobId> = vec![fetch(Priority::Normal, "a"), fetch(Priority::Low, "b")];
    let front: JobId = fetch(Priority::Foreground, "c");
    let other = service.fetch(Priority::Normal, &url, "d");
    for job in own.iter().chain([&front, &other]) {
        service.until(*job, JobState::Transferring);
    }
    std::thread::sleep(Duration::from_millis(700));
    let begun = Instant::now();
    let all = || {
        [&own[..], &[front], &[other]]
            .map(|ids| ids.iter().map(|id| service.job(*id).bytes_transferred).sum::<u64>())
    };
    let before = all();
    std::thread::sleep(Duration::from_secs(4));
    let after = all();
    #[allow(clippy::cast_precision_loss, reason = "a measurement")]
    let speed = |n: usize| (after[n] - before[n]) as f64 / begun.elapsed().as_secs_f64();
    let (own_speed, front_speed, other_speed) = (speed(0), speed(1), speed(2));
    // Not more; on a busy machine less.
    assert!((0.4e6..1.1e6).contains(&own_speed), "{own_speed}");
    assert!((0.9e6..2.2e6).contains(&front_speed), "{front_speed}");
    assert!((1.3e6..3.6e6).contains(&other_speed), "the rest of the background: {other_speed}");
    assert!(own_speed + other_speed < 4.4e6, "{own_speed} {other_speed}");
    // 0 is no limit; what is left is everybody's.
    assert!(service.reload(&policy("0")));
    std::thread::sleep(Duration::from_millis(700));
    let background = [own.as_slice(), &[other]].concat();
    let total = service.speed(&background, Duration::from_secs(3));
    let own_speed = service.speed(&own, Duration::from_secs(2));
    assert!((2e6..4.4e6).contains(&total) && own_speed > 1.25e6, "{total} {own_speed}");
}

#[test]
fn policy_04_a_rate_of_one_is_about_two_kilobits() {
    let service = Service::start("[bandwidth.simple]\nenabled = true\nhours = \"00-00\"\nrate = 1\n");
    let job = service.fetch(Priority::Low, &format!("{}/fast", origin("127.0.0.1")), "out");
    service.until(job, JobState::Transferring);
    let speed = service.speed(&[job], Duration::from_secs(12));
    assert!(speed < 400.0, "{speed} bytes a second");
}

#[test]
fn policy_07_servers_in_the_own_subnet_have_no_limit() {
    let schedule = |lan: bool, rate: &str| {
        format!(
            "[bandwidth]\nschedule_enabled = true\nignore_on_lan = {lan}\n[bandwidth.work]\nhours = \"00-00\"\n\
             days = [\"mon-sun\"]\nnormal = {rate}\n"
        )
    };
    let service = Service::start(&schedule(false, "\"200kB/s\""));
    let job = service.fetch(Priority::Normal, &format!("{}/fast", origin("127.0.0.1")), "out");
    service.until(job, JobState::Transferring);
    let speed = service.speed(&[job], Duration::from_secs(2));
    assert!(speed < 400e3, "{speed}");
    assert!(service.reload(&schedule(true, "\"200kB/s\"")));
    service.settles("in the own subnet", &[job], Duration::from_secs(1), |speed| speed > 5e6);
    // A level that is held altogether spares neighbours, too.
    assert!(service.reload(&schedule(true, "0")));
    assert_eq!(service.state(job), JobState::Transferring);
    assert!(service.reload(&schedule(false, "0")));
    service.until_code(job, h::BG_E_BLOCKED_BY_POLICY);
}

/// A started download of Delivery Optimization.
fn download(service: &Service, url: &str, cost_policy: Option<u32>) -> JobId {
    let properties = DownloadProperties {
        uri: Some(url.to_owned()),
        local_path: Some(service.path("download").display().to_string()),
        cost_policy,
        ..DownloadProperties::default()
    };
    let new = CreateDownload { properties, environment_proxy: None };
    let id = service.client.create_download(&new).unwrap().id.parse().unwrap();
    service.client.start_download(id, &StartDownload::default()).unwrap();
    id
}

/// Waits until GetStatus has this state and this ExtendedError, and no Error.
fn download_is(service: &Service, id: JobId, state: State, extended: HResult) -> DownloadView {
    let is = |view: &DownloadView| {
        view.state == state
            && view.error == h::S_OK.to_string()
            && view.extended_error == extended.to_string()
    };
    wait(&format!("{state:?} with {extended}"), || service.client.download(id).ok().filter(is))
}

/// Spec/delivery-optimization-com.md 4.3: a pause of the transient kind, which ends by itself.
#[test]
fn do_download_get_status_without_a_network() {
    if !cable() {
        return;
    }
    let service = Service::start("");
    let id = download(&service, &format!("{}/slow", origin(ADDRESS)), None);
    download_is(&service, id, State::Transferring, h::S_OK);
    pull();
    download_is(&service, id, State::Paused, codes::DO_E_BLOCKED_BY_NO_NETWORK);
    plug();
    download_is(&service, id, State::Transferring, h::S_OK);
    // Whoever pauses it meanwhile is not overruled by the network.
    pull();
    download_is(&service, id, State::Paused, codes::DO_E_BLOCKED_BY_NO_NETWORK);
    service.client.act_on_download(id, openbits_client::DownloadAction::Pause).unwrap();
    download_is(&service, id, State::Paused, h::S_OK);
    plug();
    std::thread::sleep(Duration::from_secs(1));
    download_is(&service, id, State::Paused, h::S_OK);
}

/// CostPolicy (4.4, 6) on a metered network: Unrestricted waits, Standard and Always do not; a change acts at once.
#[test]
fn do_download_set_property_cost_policy_on_a_metered_network() {
    let Some((bus, service)) = on_a_bus("") else { return };
    let network = bus.service(NM);
    network.set(NM_PATH, NM, "Metered", Property::U32(1));
    let id = download(&service, &format!("{}/slow", origin(ADDRESS)), None);
    let policy = |cost_policy| {
        let set = DownloadProperties { cost_policy: Some(cost_policy), ..DownloadProperties::default() };
        service.client.set_download(id, &set).unwrap();
    };
    download_is(&service, id, State::Transferring, h::S_OK);
    policy(1);
    download_is(&service, id, State::Paused, codes::DO_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    policy(0);
    download_is(&service, id, State::Transferring, h::S_OK);
    policy(1);
    download_is(&service, id, State::Paused, codes::DO_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    network.set(NM_PATH, NM, "Metered", Property::U32(4));
    download_is(&service, id, State::Transferring, h::S_OK);
}
