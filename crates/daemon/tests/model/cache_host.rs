//! Cache hosts of the policy: the service, an origin, and a second server that stands in for it
//! (spec/delivery-optimization-linux-agent.md 8, docs/decisions/0029).

use crate::common::{Service, code, refusal, wait};
use openbits_api::{CreateDownload, CreateJob, DownloadProperties, FileView, SetProperties, StartDownload};
use openbits_client::{Action, DownloadAction};
use openbits_core::delivery::download::State;
use openbits_core::job::Dialect;
use openbits_core::{JobId, JobState, JobType, Priority, Secret};
use openbits_testkit::{Behaviour, Content, Exchange, Origin, OriginFile};
use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

const SIZE: u64 = 300_000;
const LONG: Duration = Duration::from_secs(60);
/// Nobody listens there.
const DEAD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const BACKGROUND: &str = "cache_fallback_background";

/// The same file as it is everywhere, with the origin's date and a tag of each server's own.
fn server() -> Origin {
    let server = Origin::start();
    let date = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    server.put("f", OriginFile::new(Content::new(1, SIZE)).last_modified(Some(date)));
    server
}

fn policy(hosts: &[SocketAddr], more: &str) -> String {
    let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
    format!("[delivery_optimization]\ncache_hosts = [{}]\n{more}\n", hosts.join(", "))
}

fn header<'a>(exchange: &'a Exchange, name: &str) -> Option<&'a str> {
    exchange
        .headers
        .iter()
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

impl Service {
    fn started(&self, properties: DownloadProperties) -> JobId {
        let local_path = Some(self.path("f").display().to_string());
        let properties = DownloadProperties { local_path, ..properties };
        let new = CreateDownload { properties, environment_proxy: None };
        let id = self.client.create_download(&new).unwrap().id.parse().unwrap();
        self.start_download(id);
        id
    }

    fn start_download(&self, id: JobId) {
        self.client.start_download(id, &StartDownload::default()).map(drop).map_err(refusal).unwrap();
    }

    fn pause(&self, id: JobId) {
        self.client.act_on_download(id, DownloadAction::Pause).unwrap();
    }

    /// A download of IDOManager of the origin's file, started.
    fn fetch(&self, origin: &Origin) -> JobId {
        self.started(DownloadProperties { uri: Some(origin.url("f")), ..DownloadProperties::default() })
    }

    /// A job of the first generation with the origin's file, resumed; it is tried again after 5 s.
    fn old_job(&self, origin: &Origin) -> JobId {
        let request = CreateJob {
            id: None,
            display_name: "job".to_owned(),
            kind: JobType::Download,
            files: vec![self.file(&origin.url("f"), "f")],
            resume: true,
            properties: SetProperties { minimum_retry_delay_s: Some(5), ..SetProperties::default() },
            environment_proxy: None,
            dialect: Dialect::DeliveryOptimization,
        };
        self.client.create_job(&request).unwrap().job.id.parse().unwrap()
    }

    /// Waits for the end, and checks every byte. Bytes of the origin and of cache hosts.
    fn ends(&self, id: JobId) -> (u64, u64) {
        let view = wait("Transferred", || {
            Some(self.client.download(id).unwrap()).filter(|view| view.state == State::Transferred)
        });
        assert_eq!(view.bytes_transferred, SIZE);
        let shares = self.shares(id);
        self.client.act_on_download(id, DownloadAction::Finalize).unwrap();
        self.is_right();
        shares
    }

    fn is_right(&self) {
        assert!(std::fs::read(self.path("f")).unwrap() == Content::new(1, SIZE).byte_range(0, SIZE));
    }

    fn shares(&self, id: JobId) -> (u64, u64) {
        let FileView { bytes_from_origin, bytes_from_cache_hosts, bytes_from_peers: 0, .. } =
            self.files(id)[0]
        else {
            panic!("there are no peers")
        };
        (bytes_from_origin, bytes_from_cache_hosts)
    }

    fn reload(&self, policy: &str) {
        std::fs::write(self.policy_file(), policy).unwrap();
        assert!(self.client.reload_policy().unwrap().usable);
    }
}

/// The whole of it comes from the cache host; what tells who the user is stays at home.
#[test]
fn a_download_comes_from_the_cache_host() {
    let (origin, cache) = (server(), server());
    let service = Service::with_policy(&policy(&[cache.addr()], ""));
    let properties = DownloadProperties {
        uri: Some(origin.url("f").replace("127.0.0.1", "me:secret@localhost")),
        http_custom_headers: Some(Secret::new("X-Key: 1\r\nAccept-Language: de\r\n".to_owned())),
        http_custom_auth_headers: Some(Secret::new("Authorization: Bearer x\r\n".to_owned())),
        ..DownloadProperties::default()
    };
    cache.hold("f", 100_000);
    let id = service.started(properties);
    assert!(cache.wait_held("f", LONG));
    let held = wait("bytes", || Some(service.shares(id)).filter(|(_, cached)| *cached > 0));
    assert_eq!(held.0, 0, "also while they are under way");
    assert_eq!(service.job(id).cache_host, Some(cache.addr().to_string()));
    cache.release("f");
    assert_eq!(service.ends(id), (0, SIZE));
    assert!(origin.log().is_empty());
    let asked = cache.log().pop().unwrap();
    assert_eq!(asked.target, "/f?cacheHostOrigin=localhost");
    assert_eq!(header(&asked, "host"), Some(cache.addr().to_string().as_str()));
    assert_eq!((header(&asked, "x-key"), header(&asked, "authorization")), (None, None));
    assert_eq!(header(&asked, "accept-language"), Some("de"));
    assert_eq!(
        service.client.download(id).unwrap().properties.uri.unwrap(),
        origin.url("f").replace("127.0.0.1", "localhost")
    );
}

#[test]
fn a_dead_cache_host_costs_no_time() {
    let origin = server();
    let service = Service::with_policy(&policy(&[DEAD], ""));
    let begun = Instant::now();
    let id = service.fetch(&origin);
    assert_eq!(service.ends(id), (SIZE, 0));
    assert!(begun.elapsed() < Duration::from_secs(10), "at once, not after the retry delay of 30 s");
    // The second of a list, and a job of the first generation.
    let cache = server();
    service.reload(&policy(&[DEAD, cache.addr()], ""));
    let id = service.old_job(&origin);
    service.reaches(id, JobState::Transferred);
    assert_eq!(service.shares(id), (0, SIZE));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// The origin is not asked before the delay is over. A reload holds for the next start.
#[test]
fn a_delay_holds_to_a_dead_cache_host() {
    let origin = server();
    let service = Service::with_policy(&policy(&[DEAD], &format!("{BACKGROUND} = 3")));
    let begun = Instant::now();
    let id = service.old_job(&origin);
    service.reaches(id, JobState::TransientError);
    assert!(origin.log().is_empty());
    service.reaches(id, JobState::Transferred);
    assert!(begun.elapsed() >= Duration::from_secs(4), "one more try of the cache host came first");
    assert_eq!(service.shares(id), (SIZE, 0));
    code(service.client.act(id, Action::Complete)).unwrap();
    service.is_right();
    // Never: until the policy is another one, and somebody starts it again.
    service.reload(&policy(&[DEAD], &format!("{BACKGROUND} = \"never\"\ncache_fallback_foreground = 0")));
    origin.clear_log();
    let id = service.old_job(&origin);
    service.reaches(id, JobState::TransientError);
    service.reload("");
    wait("another try", || {
        Some(service.job(id)).filter(|job| job.error_count > 1 && job.state == JobState::TransientError)
    });
    assert!(origin.log().is_empty(), "the policy of its start holds");
    service.act(id, Action::Resume).unwrap();
    service.reaches(id, JobState::Transferred);
    // A foreground job has its own delay.
    service.reload(&policy(&[DEAD], &format!("{BACKGROUND} = \"never\"\ncache_fallback_foreground = 0")));
    let foreground = Some(true);
    let uri = Some(origin.url("f"));
    let id = service.started(DownloadProperties {
        uri,
        foreground_priority: foreground,
        ..DownloadProperties::default()
    });
    assert_eq!(service.job(id).priority, Priority::Foreground);
    assert_eq!(service.ends(id), (SIZE, 0));
}

#[test]
fn a_cache_host_that_refuses_is_left_at_once() {
    let (origin, cache) = (server(), server());
    cache.set_behaviour("f", Behaviour::Status(403));
    let service = Service::with_policy(&policy(&[cache.addr()], &format!("{BACKGROUND} = 3600")));
    let begun = Instant::now();
    let id = service.fetch(&origin);
    assert_eq!(service.ends(id), (SIZE, 0));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!((cache.log().len(), origin.log().len()), (1, 1));
    let id = service.old_job(&origin);
    service.reaches(id, JobState::Transferred);
    assert_eq!(cache.log().len(), 1, "it is left alone for this origin");
}

/// The cache host goes in the middle: not a byte is fetched twice.
#[test]
fn a_range_goes_on_from_the_origin() {
    let (origin, cache) = (server(), server());
    let service = Service::with_policy(&policy(&[cache.addr()], ""));
    cache.hold("f", 100_000);
    let id = service.fetch(&origin);
    assert!(cache.wait_held("f", LONG));
    wait("bytes", || Some(service.shares(id)).filter(|(_, cached)| *cached == 100_000));
    drop(cache);
    assert_eq!(service.ends(id), (SIZE - 100_000, 100_000));
    let asked = origin.log();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(header(&asked[0], "range").unwrap().starts_with("bytes=100000-"), "{asked:?}");
}

/// Switched on while a download runs: the next start of it asks the cache host, for what is missing.
#[test]
fn another_policy_holds_for_the_next_start() {
    let (origin, cache) = (server(), server());
    let service = Service::with_policy("");
    origin.hold("f", 100_000);
    let id = service.fetch(&origin);
    assert!(origin.wait_held("f", LONG));
    wait("bytes", || Some(service.shares(id)).filter(|(own, _)| *own == 100_000));
    service.reload(&policy(&[cache.addr()], ""));
    assert_eq!((origin.held("f"), cache.log().len()), (1, 0), "it goes on where it is");
    service.pause(id);
    service.start_download(id);
    assert_eq!(service.ends(id), (100_000, SIZE - 100_000));
    assert!(header(&cache.log()[0], "range").unwrap().starts_with("bytes=100000-"));
    // Not in the mode that hands over to BITS.
    service.reload(&policy(&[cache.addr()], "download_mode = \"bypass\""));
    origin.release("f");
    let id = service.fetch(&origin);
    assert_eq!(service.ends(id), (SIZE, 0));
}
