//! The reference agent's own tests (section 14.3), and what of the checklist (15) is in no other file here.

use crate::sdk::{Download, NOT_FOUND, code, encode};
use crate::service::{SMALL, Service};
use nix::sys::signal::Signal;
use openbits_testkit::{Behaviour, Content, Origin, OriginFile, OriginOptions};
use std::time::{Duration, Instant};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn empty_download() {
    let service = Service::start();
    let sdk = service.sdk();
    let id = sdk.ask("POST", "create", "").unwrap()["Id"].as_str().unwrap().to_owned();
    assert!(id.parse::<openbits_core::JobId>().is_ok() && id.len() == 36, "{id}");
    let download = Download { sdk, id };
    for key in ["Uri", "DownloadFilePath"] {
        assert_eq!(download.get(key).unwrap(), "", "{key}");
    }
    let status = download.status();
    assert_eq!((status.state.as_str(), status.total, status.transferred), ("Created", 0, 0));
    assert_eq!((status.error, status.extended), (0, 0));
    download.abort().unwrap();
    assert_eq!(download.try_status().unwrap_err(), NOT_FOUND);
}

/// A pause of what is there already changes nothing (15, row 10).
#[test]
fn small_file_download() {
    let service = Service::start();
    let download = service.sdk().make(&service.url("small"), &service.path("f")).unwrap();
    assert_eq!(download.get("Uri").unwrap(), service.url("small"));
    assert_eq!(download.get("DownloadFilePath").unwrap(), service.path("f").to_str().unwrap());
    download.start().unwrap();
    let done = download.reaches("Transferred", seconds(20));
    assert_eq!((done.total, done.transferred, done.error, done.extended), (SMALL, SMALL, 0, 0));
    download.pause().unwrap();
    assert_eq!(download.status(), done);
    download.finalize().unwrap();
    assert_eq!(download.try_status().unwrap_err(), NOT_FOUND);
    assert!(service.is_whole("f", "small"));
}

#[test]
fn invalid_url() {
    let service = Service::start();
    let sdk = service.sdk();
    let bad = ["invaliduri:http//", "invalidurihttp", "http://", "ftp://server.com"];
    let download = sdk.make(&service.url("small"), &service.path("f")).unwrap();
    for uri in bad {
        assert_eq!(download.set(&format!("Uri={}", encode(uri))), Err(code(0x800C_0002)), "{uri}");
        assert_eq!(
            sdk.make(uri, &service.path("g")).map(|d| d.id),
            Err(code(0x800C_0002)),
            "{uri} at create"
        );
    }
    assert_eq!(download.get("Uri").unwrap(), service.url("small"), "as it was");
}

#[test]
fn https_file_download() {
    let options =
        OriginOptions { https: Some(openbits_testkit::Certificate::Good), ..OriginOptions::default() };
    let origin = Origin::start_with(options).unwrap();
    origin.put("small", Content::new(1, SMALL));
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), origin.ca_pem().unwrap()).unwrap();
    let policy = format!("[tls]\nextra_ca = {:?}\n", authority.path());
    let service = Service::start_with(&["--user", "--do-agent"], &policy).ready_now();
    let download = service.sdk().make(&origin.https_url("small").unwrap(), &service.path("f")).unwrap();
    download.start().unwrap();
    assert_eq!(download.reaches("Transferred", seconds(20)).transferred, SMALL);
    download.finalize().unwrap();
    assert!(service.is_whole("f", "small"));
}

/// 15, row 8: the file is there when start is answered, before the server has said anything.
#[test]
fn the_file_exists_before_the_first_byte() {
    let service = Service::start();
    let file = OriginFile::new(Content::new(9, SMALL)).behaviour(Behaviour::NeverAnswers);
    service.origin.put("silent", file);
    let download = service.sdk().make(&service.url("silent"), &service.path("f")).unwrap();
    assert_eq!(service.size("f"), None, "create touches no disk");
    download.start().unwrap();
    assert_eq!(service.size("f"), Some(0));
    let status = download.status();
    assert_eq!((status.state.as_str(), status.total, status.transferred), ("Transferring", 0, 0));
    download.abort().unwrap();
    assert_eq!(service.size("f"), None);
}

/// 15, row 13, and the refresh of section 9: a change of the file waits for its time, SIGHUP does not.
#[test]
fn sighup_applies_the_admin_config() {
    let service = Service::start();
    let url = service.url("small").replace("127.0.0.1", "localhost");
    let asked_for = |name: &str| {
        let download = service.sdk().make(&url, &service.path(name)).unwrap();
        download.start().unwrap();
        download.reaches("Transferred", seconds(10));
        service.origin.log().pop().unwrap().target
    };
    assert_eq!(asked_for("a"), "/small");
    let admin = service.folder.path().join("etc/admin-config.json");
    std::fs::write(&admin, r#"{"DOCacheHost":"127.0.0.1"}"#).unwrap();
    assert_eq!(asked_for("b"), "/small", "not before its time");
    service.signal(Signal::SIGHUP);
    let end = Instant::now() + seconds(20);
    for n in 0.. {
        let target = asked_for(&format!("c{n}"));
        if target == "/small?cacheHostOrigin=localhost" {
            break;
        }
        assert!(Instant::now() < end, "{target}");
    }
}
