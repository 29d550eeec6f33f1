//! A link that goes down and up again (NetworkConnectivityTests of 14.2), in a network namespace of its own.

use crate::sdk::{Download, ETIMEDOUT, Status, code};
use crate::service::Service;
use openbits_testkit::{Content, Origin, OriginOptions, wait_until};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Bytes of the file: at the origin's pace it takes a quarter of a minute.
const SIZE: u64 = 2 << 20;

/// Our end of the cable.
const ADDRESS: [u8; 4] = [10, 77, 0, 1];

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

/// This thread, and what it starts, with a cable to nowhere; an origin at our end of it.
fn cable(test: &str) -> Option<(Service, Origin)> {
    let entered = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok();
    if !entered || !ip("link set lo up") {
        eprintln!("SKIPPED: {test}: needs root, network namespaces and ip");
        return None;
    }
    for arguments in [
        "link add c0 type veth peer name c1",
        "addr add 10.77.0.1/24 dev c0",
        "link set c0 up",
        "link set c1 up",
    ] {
        assert!(ip(arguments), "ip {arguments}");
    }
    let options = OriginOptions { listen: (ADDRESS, 0).into(), ..OriginOptions::default() };
    let origin = Origin::start_with(options).unwrap();
    origin.put("other", Content::new(2, SIZE));
    origin.throttle("other", Some(128 << 10));
    Some((Service::start(), origin))
}

/// The link goes down; what the download is then.
fn pull(download: &Download) -> Status {
    assert!(wait_until(seconds(20), || download.status().transferred > 0), "{:?}", download.status());
    assert!(ip("link set c1 down"));
    let held = download.reaches("Paused", seconds(20));
    assert_eq!((held.error, held.extended), (0, code(0x80D0_3805)));
    assert!(held.is_transient_error());
    // What was on its way to the disk in that moment is counted a moment later.
    std::thread::sleep(seconds(1));
    download.status()
}

/// The network is gone: held without an error of its own, for the SDK a transient one, and nobody is told a success.
#[test]
fn simple_blocking_download_network_disconnect() {
    let Some((service, origin)) = cable("simple_blocking_download_network_disconnect") else { return };
    let download = service.sdk().make(&origin.url("other"), &service.path("f")).unwrap();
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| download.start_and_wait(&AtomicBool::new(false), seconds(12)));
        pull(&download);
        assert_eq!(blocked.join().unwrap(), Err(ETIMEDOUT), "not an error code, and no success");
    });
    assert_eq!(service.size("f"), None, "aborted");
}

#[test]
fn simple_blocking_download_network_reconnect() {
    let Some((service, origin)) = cable("simple_blocking_download_network_reconnect") else { return };
    let download = service.sdk().make(&origin.url("other"), &service.path("f")).unwrap();
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| download.start_and_wait(&AtomicBool::new(false), seconds(90)));
        let held = pull(&download);
        std::thread::sleep(seconds(3));
        let still = download.status();
        assert_eq!(
            (still.state, still.error, still.extended),
            (held.state, held.error, held.extended),
            "as long as the link is down"
        );
        origin.throttle("other", None);
        assert!(ip("link set c1 up"));
        assert_eq!(blocked.join().unwrap(), Ok(()), "it goes on by itself");
    });
    assert_eq!(service.size("f"), Some(SIZE));
    let content = origin.content("other").unwrap();
    assert_eq!(openbits_testkit::sha256_file(service.path("f")).unwrap(), content.sha256_hex());
}
