//! The SDK's tests of the cache host (14.2), and what the agent's own say of the fall-back (14.3, section 8).

use crate::sdk::Download;
use crate::service::{SMALL, Service};
use std::time::{Duration, Instant};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn configured(admin: &str, sdk: &str) -> Service {
    let service = Service::start();
    let put =
        |name: &str, text: &str| std::fs::write(service.folder.path().join("etc").join(name), text).unwrap();
    put("admin-config.json", admin);
    put("sdk-config.json", sdk);
    service
}

fn begin(service: &Service, url: &str) -> Download {
    let download = service.sdk().make(url, &service.path("f")).unwrap();
    download.start().unwrap();
    download
}

const GATEWAY: &str = r#"{"ADUC_IoTConnectionString":"HostName=h;DeviceId=d;GatewayHostName=127.0.0.1"}"#;
/// A name that no name server knows (RFC 2606).
const NOWHERE: &str = r#"{"ADUC_IoTConnectionString":"HostName=h;GatewayHostName=cache.invalid"}"#;

/// The origin of the tests is the cache host as well; it is asked with the origin's name.
#[test]
fn mcc_download_with_mock_iot_connection_string() {
    let service = configured("{}", GATEWAY);
    let url = service.url("small").replace("127.0.0.1", "localhost");
    let download = begin(&service, &url);
    assert_eq!(download.reaches("Transferred", seconds(20)).transferred, SMALL);
    download.finalize().unwrap();
    assert!(service.is_whole("f", "small"));
    let asked = service.origin.log().pop().unwrap();
    assert_eq!(asked.target, "/small?cacheHostOrigin=localhost");
    let host = asked.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).unwrap();
    assert!(host.1.starts_with("127.0.0.1:"), "the cache host's own name: {}", host.1);
}

/// The mode bypass has none, whoever names one.
#[test]
fn mcc_hosts_are_bypassed() {
    let policy = "[delivery_optimization]\ndownload_mode = \"bypass\"\n";
    let service = Service::start_with(&["--user", "--do-agent"], policy);
    service.ready();
    let put =
        |name: &str, text: &str| std::fs::write(service.folder.path().join("etc").join(name), text).unwrap();
    put("admin-config.json", r#"{"DOCacheHost":"127.0.0.1"}"#);
    put("sdk-config.json", GATEWAY);
    begin(&service, &service.url("small")).reaches("Transferred", seconds(20));
    assert_eq!(service.origin.log().pop().unwrap().target, "/small");
}

#[test]
fn mcc_download_with_mock_iot_connection_string_invalid_host() {
    let service = configured("{}", NOWHERE);
    let download = begin(&service, &service.url("small"));
    download.reaches("Transferred", seconds(60));
    assert_eq!(service.origin.log().pop().unwrap().target, "/small", "from the origin itself");
}

#[test]
fn mcc_download_with_invalid_host_and_url() {
    let service = configured("{}", NOWHERE);
    if !service.client().service_info().unwrap().network {
        eprintln!("SKIPPED: mcc_download_with_invalid_host_and_url: without a network no name is asked for");
        return;
    }
    let download = begin(&service, "http://origin.invalid/f");
    let end = Instant::now() + seconds(20);
    while Instant::now() < end {
        let status = download.status();
        assert_eq!((status.state.as_str(), status.transferred), ("Transferring", 0), "{status:?}");
        std::thread::sleep(seconds(2));
    }
    download.abort().unwrap();
    assert_eq!(service.size("f"), None);
}

/// A cache host that refuses is left at once, and left alone.
#[test]
fn mcc_refusal_leads_to_the_origin() {
    let service =
        configured(r#"{"DOCacheHost":"127.0.0.1","DODelayCacheServerFallbackBackground":3600}"#, NOWHERE);
    use openbits_testkit::{Behaviour, Content, OriginFile};
    let file = OriginFile::new(Content::new(4, SMALL)).behaviour(Behaviour::Status(403)).times(1);
    service.origin.put("moody", file);
    let url = service.url("moody").replace("127.0.0.1", "localhost");
    // At once, and not after the hour of a cache host that cannot be reached.
    begin(&service, &url).reaches("Transferred", seconds(20));
    let targets: Vec<String> = service.origin.log().into_iter().map(|asked| asked.target).collect();
    assert_eq!(targets, ["/moody?cacheHostOrigin=localhost", "/moody"]);
    let second = service.sdk().make(&url, &service.path("g")).unwrap();
    second.start().unwrap();
    second.reaches("Transferred", seconds(20));
    assert_eq!(service.origin.log().pop().unwrap().target, "/moody", "it is left alone for this origin");
}

/// Where nothing listens, while the origin does.
fn dead(delay_s: i64) -> Service {
    configured(
        &format!(r#"{{"DOCacheHost":"127.0.0.2","DODelayCacheServerFallbackBackground":{delay_s}}}"#),
        "{}",
    )
}

/// The cache host is the origin; its `none` is missing at both.
fn alive(delay_s: i64) -> Service {
    configured(
        &format!(r#"{{"DOCacheHost":"127.0.0.1","DODelayCacheServerFallbackBackground":{delay_s}}}"#),
        "{}",
    )
}

#[test]
fn download404_with_fallback() {
    let service = alive(10);
    let url = |name: &str| service.url(name).replace("127.0.0.1", "localhost");
    let download = begin(&service, &url("none"));
    let failed = download.reaches("Paused", seconds(20));
    assert_eq!((failed.error, failed.extended), (crate::sdk::code(0x8019_0194), 0));
    let targets: Vec<String> = service.origin.log().into_iter().map(|asked| asked.target).collect();
    assert_eq!(targets, ["/none?cacheHostOrigin=localhost", "/none"], "both were asked");
    download.set(&format!("Uri={}", crate::sdk::encode(&url("small")))).unwrap();
    download.start().unwrap();
    assert_eq!(download.reaches("Transferred", seconds(20)).transferred, SMALL);
}

#[test]
fn download404_no_fallback() {
    let service = alive(-1);
    let download = begin(&service, &service.url("none").replace("127.0.0.1", "localhost"));
    let failed = download.reaches("Paused", seconds(20));
    assert_eq!((failed.error, failed.extended), (crate::sdk::code(0x8019_0194), 0));
    let targets: Vec<String> = service.origin.log().into_iter().map(|asked| asked.target).collect();
    assert_eq!(targets, ["/none?cacheHostOrigin=localhost"], "the origin is left alone");
}

#[test]
fn no_fallback_download() {
    let service = dead(-1);
    let download = begin(&service, &service.url("small"));
    let end = Instant::now() + seconds(15);
    while Instant::now() < end {
        let status = download.status();
        assert_eq!((status.state.as_str(), status.transferred), ("Transferring", 0), "{status:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(service.origin.log().is_empty(), "the origin is never asked");
    download.abort().unwrap();
}

#[test]
fn fallback_with_delay_download() {
    let service = dead(6);
    let begun = Instant::now();
    let download = begin(&service, &service.url("small"));
    while begun.elapsed() < seconds(5) {
        assert_eq!(download.status().state, "Transferring");
        assert!(service.origin.log().is_empty(), "not before the delay is over");
        std::thread::sleep(Duration::from_millis(200));
    }
    download.reaches("Transferred", seconds(40));
    assert!(begun.elapsed() >= seconds(6), "{:?}", begun.elapsed());
    assert_eq!(service.origin.log().pop().unwrap().target, "/small", "from the origin itself");
}

/// The machine's policy counts where the administrator's file says nothing; several are asked in turn, at the ports that they have.
#[test]
fn mcc_hosts_of_the_machines_policy() {
    use openbits_testkit::{Content, Origin};
    let cache = Origin::start();
    cache.put("small", Content::new(1, SMALL));
    let policy = format!("[delivery_optimization]\ncache_hosts = [\"127.0.0.1:1\", \"{}\"]\n", cache.addr());
    let service = Service::start_with(&["--user", "--do-agent"], &policy);
    service.ready();
    let begun = Instant::now();
    begin(&service, &service.url("small")).reaches("Transferred", seconds(20));
    assert!(begun.elapsed() < seconds(20), "at once, not after a delay or a ban");
    assert_eq!(cache.log().pop().unwrap().target, "/small?cacheHostOrigin=127.0.0.1");
    assert!(service.origin.log().is_empty());
    // Off, by the file that goes before it.
    std::fs::write(service.folder.path().join("etc/admin-config.json"), r#"{"DOCacheHost":""}"#).unwrap();
    let pid = nix::unistd::Pid::from_raw(service.child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    assert!(openbits_testkit::wait_until(seconds(20), || {
        let twin = service.sdk().make(&service.url("small"), &service.path("twin")).unwrap();
        twin.start().unwrap();
        twin.reaches("Transferred", seconds(20));
        twin.abort().unwrap();
        !service.origin.log().is_empty()
    }));
    service.origin.clear_log();
    let second = service.sdk().make(&service.url("small"), &service.path("g")).unwrap();
    second.start().unwrap();
    second.reaches("Transferred", seconds(20));
    assert_eq!(service.origin.log().len(), 1);
}
