//! The SDK's download tests (section 14.1), under their names.

use crate::sdk::{ECANCELED, ETIMEDOUT, NO_SERVICE, NOT_FOUND, code, port_in};
use crate::service::{LONG, OTHER, SMALL, Service};
use openbits_testkit::{own_port, wait_until};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const MIB: u64 = 1 << 20;
const MALFORMED: &str = "?f309adfasdf///dfasdfj39fjasldfjasdf///           ///.1";

#[test]
fn simple_download_test() {
    let service = Service::start();
    let download = service.sdk().make(&service.url("small"), &service.path("f")).unwrap();
    let status = download.status();
    assert_eq!((status.state.as_str(), status.total, status.transferred), ("Created", 0, 0));
    download.start().unwrap();
    let status = download.reaches("Transferred", seconds(10));
    assert_eq!((status.total, status.transferred), (SMALL, SMALL));
    download.finalize().unwrap();
    assert_eq!(service.size("f"), Some(SMALL));
    assert!(service.is_whole("f", "small"));
    assert_eq!(download.try_status().unwrap_err(), NOT_FOUND);
}

#[test]
fn simple_blocking_download_test() {
    let service = Service::start();
    assert_eq!(service.size("f"), None);
    service.sdk().download_plainly(&service.url("small"), &service.path("f")).unwrap();
    assert_eq!(service.size("f"), Some(SMALL));
}

#[test]
fn cancel_blocking_download_test() {
    let service = Service::start();
    service.origin.hold("large", MIB);
    let cancel = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(service.origin.wait_held("large", LONG));
            cancel.store(true, Ordering::SeqCst);
        });
        let result = service.sdk().download(&service.url("large"), &service.path("f"), &cancel, seconds(120));
        assert_eq!(result, Err(ECANCELED));
    });
    assert_eq!(service.size("f"), None);
}

#[test]
fn blocking_download_timeout() {
    let service = Service::start();
    // Without its end, it would last for ever.
    service.origin.hold("large", MIB);
    let (begun, never) = (Instant::now(), AtomicBool::new(false));
    let result = service.sdk().download(&service.url("large"), &service.path("f"), &never, seconds(2));
    assert_eq!(result, Err(ETIMEDOUT));
    assert!((seconds(2)..LONG).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(service.size("f"), None);
}

#[test]
fn simple_download_test_with404_url() {
    let service = Service::start();
    let result = service.sdk().download_plainly(&service.url("none"), &service.path("f"));
    assert_eq!(result, Err(code(0x8019_0194)));
    assert_eq!(service.size("f"), None);
}

#[test]
fn simple_download_test_with_malformed_path() {
    let service = Service::start();
    let result = service.sdk().download_plainly(&service.url("small"), Path::new(MALFORMED));
    assert_eq!(result, Err(code(0xC0D0_0002)));
}

#[test]
fn simple_download_test_with404_url_and_malformed_path() {
    let service = Service::start();
    let result = service.sdk().download_plainly(&service.url("none"), Path::new(MALFORMED));
    assert_eq!(result, Err(code(0xC0D0_0002)), "the error of the path comes first");
}

#[test]
fn download1_paused_download2_same_dest_test() {
    let service = Service::start();
    let sdk = service.sdk();
    let first = service.held("large", "f", MIB);
    first.pause().unwrap();
    assert_eq!(first.status().state, "Paused");
    assert!(service.size("f").is_some());
    let second = sdk.make(&service.url("large"), &service.path("f")).unwrap();
    assert_eq!(second.start(), Err(code(0xC0D0_0011)));
    second.abort().unwrap();
    assert!(service.size("f").is_some(), "the file is the first one's");
    first.abort().unwrap();
    assert_eq!(service.size("f"), None);
    sdk.download_plainly(&service.url("small"), &service.path("f")).unwrap();
    assert_eq!(service.size("f"), Some(SMALL));
}

#[test]
fn download1_paused_download2_same_file_download1_resume() {
    let service = Service::start();
    let sdk = service.sdk();
    let first = service.held("other", "one", 4 * MIB);
    first.pause().unwrap();
    service.origin.release("other");
    let second = sdk.make(&service.url("other"), &service.path("two")).unwrap();
    second.start().unwrap();
    second.reaches("Transferred", seconds(60));
    second.finalize().unwrap();
    first.start().unwrap();
    first.reaches("Transferred", seconds(60));
    first.finalize().unwrap();
    for name in ["one", "two"] {
        assert_eq!(service.size(name), Some(OTHER));
        assert!(service.is_whole(name, "other"));
    }
}

#[test]
fn download1_never_started_download2_cancelled_same_file_test() {
    let service = Service::start();
    let make = || service.sdk().make(&service.url("small"), &service.path("f")).unwrap();
    let (_first, second) = (make(), make());
    second.abort().unwrap();
    assert_eq!(service.size("f"), None);
}

#[test]
fn resume_on_already_downloaded_file_test() {
    let service = Service::start();
    let download = service.sdk().make(&service.url("small"), &service.path("f")).unwrap();
    download.start().unwrap();
    download.reaches("Transferred", seconds(10));
    download.start().unwrap();
    download.finalize().unwrap();
    assert_eq!(download.start(), Err(NOT_FOUND));
}

#[test]
fn cancel_download_on_completed_state() {
    let service = Service::start();
    let download = service.sdk().make(&service.url("small"), &service.path("f")).unwrap();
    download.start().unwrap();
    download.reaches("Transferred", seconds(5));
    download.finalize().unwrap();
    assert_eq!(download.abort(), Err(NOT_FOUND));
    assert_eq!(service.size("f"), Some(SMALL));
}

#[test]
fn cancel_download_in_transferred_state() {
    let service = Service::start();
    let download = service.sdk().make(&service.url("small"), &service.path("f")).unwrap();
    download.start().unwrap();
    download.reaches("Transferred", seconds(5));
    assert_eq!(service.size("f"), Some(SMALL), "whole before finalize");
    download.abort().unwrap();
    assert_eq!(service.size("f"), None, "abort removes it");
}

#[test]
fn pause_resume_test() {
    let service = Service::start();
    // It cannot be finished before the pause.
    service.origin.hold("other", 8 * MIB);
    let download = service.sdk().make(&service.url("other"), &service.path("f")).unwrap();
    download.start().unwrap();
    download.pause().unwrap();
    service.origin.release("other");
    let paused = download.reaches("Paused", seconds(10));
    assert_eq!((paused.error, paused.extended), (0, 0));
    download.start().unwrap();
    let done = download.reaches("Transferred", seconds(300));
    assert_eq!(done.total, done.transferred);
    download.finalize().unwrap();
    assert_eq!(service.size("f"), Some(OTHER));
    assert!(service.is_whole("f", "other"));
}

#[test]
fn pause_resume_test_with_delay_after_start() {
    let service = Service::start();
    let download = service.held("other", "f", 8 * MIB);
    download.pause().unwrap();
    let paused = download.status();
    assert_eq!((paused.state.as_str(), paused.error, paused.extended), ("Paused", 0, 0));
    assert_eq!((paused.total, paused.transferred), (OTHER, 8 * MIB));
    assert_eq!(service.size("f"), Some(paused.transferred), "what is told is on disk, in the first status");
    // The server would go on now.
    service.origin.release("other");
    sleep(seconds(1));
    assert_eq!(service.size("f"), Some(paused.transferred), "no byte comes after the pause");
    download.start().unwrap();
    download.reaches("Transferred", seconds(300));
    download.finalize().unwrap();
    assert!(service.is_whole("f", "other"));
    let ranged = service.origin.requests("other").into_iter().filter(|exchange| exchange.status == Some(206));
    assert!(ranged.count() >= 1, "it went on where it was");
}

#[test]
fn multiple_consecutive_download_test() {
    let service = Service::start();
    let sdk = service.sdk();
    for (name, remote, size) in [("a", "small", SMALL), ("b", "other", OTHER), ("c", "small", SMALL)] {
        sdk.download_plainly(&service.url(remote), &service.path(name)).unwrap();
        assert_eq!(service.size(name), Some(size));
    }
}

#[test]
fn multiple_concurrent_download_test() {
    let service = Service::start();
    let sdk = service.sdk();
    std::thread::scope(|scope| {
        for (name, remote) in [("a", "small"), ("b", "other"), ("c", "small")] {
            let (sdk, service) = (sdk.clone(), &service);
            scope.spawn(move || sdk.download_plainly(&service.url(remote), &service.path(name)).unwrap());
        }
    });
    assert_eq!(["a", "b", "c"].map(|name| service.size(name)), [Some(SMALL), Some(OTHER), Some(SMALL)]);
}

#[test]
fn multiple_concurrent_download_test_with_cancels() {
    let service = Service::start();
    service.origin.hold("large", MIB);
    let sdk = service.sdk();
    let cancel = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let others = ["a", "c"].map(|name| {
            let (sdk, service) = (sdk.clone(), &service);
            scope.spawn(move || sdk.download_plainly(&service.url("small"), &service.path(name)).unwrap())
        });
        let large = scope
            .spawn(|| sdk.clone().download(&service.url("large"), &service.path("b"), &cancel, seconds(240)));
        let is_under_way = service.origin.wait_held("large", LONG);
        for other in others {
            other.join().unwrap();
        }
        cancel.store(true, Ordering::SeqCst);
        assert!(is_under_way);
        assert_eq!(large.join().unwrap(), Err(ECANCELED));
    });
    assert_eq!(["a", "b", "c"].map(|name| service.size(name)), [Some(SMALL), None, Some(SMALL)]);
}

#[test]
fn file_deletion_after_pause() {
    let service = Service::start();
    let download = service.held("large", "f", MIB);
    download.pause().unwrap();
    std::fs::remove_file(service.path("f")).unwrap();
    assert_eq!(download.start(), Err(code(0xC0D0_0002)));
    assert_eq!(download.status().state, "Paused");
    download.abort().unwrap();
}

#[test]
fn simple_blocking_download_test_client_not_running() {
    let mut service = Service::start();
    service.stop();
    std::fs::remove_dir_all(service.run()).unwrap();
    std::fs::create_dir(service.run()).unwrap();
    let result = service.sdk().download_plainly(&service.url("small"), &service.path("f"));
    assert_eq!(result, Err(NO_SERVICE));
    assert_eq!(service.size("f"), None);
}

#[test]
fn simple_blocking_download_test_client_not_running_port_file_present() {
    let mut service = Service::start();
    service.stop();
    assert!(port_in(&service.run()).is_some(), "the file is not removed at the end");
    // A port that nobody takes meanwhile, as a test beside this one may.
    let dead = own_port();
    std::fs::write(service.run().join("restport.0"), format!("{dead}\n")).unwrap();
    let result = service.sdk().download_plainly(&service.url("small"), &service.path("f"));
    assert_eq!(result, Err(NO_SERVICE));
}

#[test]
fn multiple_rest_port_file_exists_download() {
    let mut service = Service::start();
    service.stop();
    let dead = own_port();
    for n in 0..5 {
        std::fs::write(service.run().join(format!("restport.{n}")), format!("{dead}\n")).unwrap();
    }
    service.start_again();
    // Within two seconds of its start (section 2) on a machine that does nothing else.
    service.ready();
    assert_eq!(std::fs::read_dir(service.run()).unwrap().count(), 1, "its own is left");
    service.sdk().download_plainly(&service.url("small"), &service.path("f")).unwrap();
    assert_eq!(service.size("f"), Some(SMALL));
}

/// Ours: an id outlives the service, and the file goes on where it was.
#[test]
fn a_restart_in_mid_download_is_survived() {
    let mut service = Service::start();
    let download = service.held("other", "f", 16 * MIB);
    service.stop();
    let asked = service.origin.requests("other").len();
    service.origin.release("other");
    service.start_again();
    service.ready();
    download.reaches("Transferred", seconds(60));
    download.finalize().unwrap();
    assert!(service.is_whole("f", "other"));
    let later = service.origin.requests("other").split_off(asked);
    assert!(later.iter().any(|exchange| exchange.status == Some(206)), "from where it was");
}

/// A POST may arrive twice, and clients may act from several threads: every call comes before a Start or after it.
#[test]
fn calls_that_meet_a_start_on_its_way() {
    let service = Service::start();
    let invalid_state = code(0x80D0_2013);
    for round in 0..12 {
        let name = format!("f{round}");
        let download = service.sdk().make(&service.url("small"), &service.path(&name)).unwrap();
        let other = service.path(&format!("other{round}"));
        let query = format!("DownloadFilePath={}", crate::sdk::encode(other.to_str().unwrap()));
        let moved = std::thread::scope(|scope| {
            // A connection of its own for each: one is served in order.
            let again = || crate::sdk::Download { sdk: service.sdk(), id: download.id.clone() };
            let starts = [0; 3].map(|_| {
                let twin = again();
                scope.spawn(move || twin.start())
            });
            let twin = again();
            let query = &query;
            let moved = scope.spawn(move || twin.set(query));
            for start in starts {
                assert_eq!(start.join().unwrap(), Ok(()));
            }
            moved.join().unwrap()
        });
        download.reaches("Transferred", seconds(30));
        let (at, not_at) = match moved {
            Ok(()) => (other, service.path(&name)),
            Err(refused) => {
                assert_eq!(refused, invalid_state);
                (service.path(&name), other)
            }
        };
        assert_eq!(std::fs::metadata(&at).unwrap().len(), SMALL);
        assert!(!not_at.exists(), "nothing is left where it is not");
        download.finalize().unwrap();
    }
    for round in 0..12 {
        let name = format!("g{round}");
        let download = service.sdk().make(&service.url("small"), &service.path(&name)).unwrap();
        let twin = crate::sdk::Download { sdk: service.sdk(), id: download.id.clone() };
        let started = std::thread::scope(|scope| {
            let start = scope.spawn(move || twin.start());
            download.abort().unwrap();
            start.join().unwrap()
        });
        assert!([Ok(()), Err(NOT_FOUND)].contains(&started), "{started:?}");
        assert!(wait_until(LONG, || !service.path(&name).exists()), "aborted: no file is left");
    }
}
