//! The agent's log files (section 10), and the empty admin-config.json that it makes (section 9).

use crate::sdk::{encode, port_in};
use crate::service::Service;
use crate::users::account;
use nix::sys::signal::Signal;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

const USER: &[&str] = &["--user", "--do-agent"];

/// Names in the folder of the logs, and the text of all of them.
fn logged(folder: &Path) -> (Vec<String>, String) {
    let Ok(entries) = std::fs::read_dir(folder) else { return (Vec::new(), String::new()) };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let text = names.iter().map(|name| std::fs::read_to_string(folder.join(name)).unwrap()).collect();
    (names, text)
}

/// Ends it in the regular way: then all lines are there.
fn ended(service: &mut Service) -> (Vec<String>, String) {
    service.signal(Signal::SIGTERM);
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    logged(&service.logs())
}

#[test]
fn requests_are_logged_in_order_without_secrets() {
    let mut service = Service::start();
    let url = service.url("small").replace("http://", "http://user:hunter2@");
    let download = service.sdk().make(&format!("{url}?token=sesame"), &service.path("f")).unwrap();
    download.start().unwrap();
    download.reaches("Transferred", Duration::from_secs(20));
    download.set(&format!("Uri={}", encode("http://a:geheim@h/x?sig=secret"))).unwrap_err();
    download.finalize().unwrap();
    download.try_status().unwrap_err();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port_in(&service.run()).unwrap())).unwrap();
    stream.write_all(b"GET http://u:passwd@h/?q=word HTTP/1.1\r\n\r\nnonsense\r\n\r\n").unwrap();
    let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    service.signal(Signal::SIGHUP);
    let logs = service.logs();
    let again = || logged(&logs).1.contains("SIGHUP");
    assert!(
        openbits_testkit::wait_until(Duration::from_secs(10), again),
        "a line is there as soon as it is said"
    );
    let (names, text) = ended(&mut service);
    assert!(names.len() == 1 && names[0].starts_with("do-agent."), "{names:?}");
    for secret in ["hunter2", "sesame", "geheim", "secret", "passwd", "word", "user:"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let uid = nix::unistd::geteuid();
    let (id, path) = (&download.id, service.path("f"));
    let shown = service.url("small");
    let mut rest = text.as_str();
    for line in [
        "I openbits;deliveryoptimization-agent/v".to_owned(),
        format!("I uid {uid}: POST download/create Uri={shown}?... DownloadFilePath={path:?} Id={id}: ok\n"),
        format!("I uid {uid}: POST download/start Id={id}: ok\n"),
        format!("I uid {uid}: GET download/getstatus Id={id}: ok\n"),
        format!("W uid {uid}: POST download/setproperty Id={id} Uri=http://h/x?...: 0x80D02013\n"),
        format!("I uid {uid}: POST download/finalize Id={id}: ok\n"),
        format!("W uid {uid}: GET download/getstatus Id={id}: 0x80070490\n"),
        format!("W uid {uid}: GET (another path): 0x80070032\n"),
        format!("W uid {uid}: malformed, the connection is closed\n"),
        "I SIGHUP: admin-config.json is read again\n".to_owned(),
        "I log closed: ".to_owned(),
    ] {
        let at = rest.find(&line).unwrap_or_else(|| panic!("{line:?} comes not (or not in order) in {text}"));
        rest = &rest[at + line.len()..];
    }
    assert!(rest.trim_end().ends_with(" lines in 1 files, 0 lost"), "{rest}");
    let about = std::fs::metadata(service.logs()).unwrap();
    assert_eq!((about.mode() & 0o777, about.uid()), (0o755, uid.as_raw()));
    let about = std::fs::metadata(service.logs().join(&names[0])).unwrap();
    assert_eq!((about.mode() & 0o777, about.uid()), (0o640, uid.as_raw()));
}

#[test]
fn urls_are_logged_as_the_policy_says() {
    for (policy, shown) in
        [("host-only", ": POST download/create Uri=http://h/ "), ("full", "Uri=http://h/x?q=1 ")]
    {
        let policy = format!("[log]\nurls = \"{policy}\"\n");
        let mut service = Service::start_with(USER, &policy).ready_now();
        service.sdk().make("http://u:hunter2@h/x?q=1", &service.path("f")).unwrap();
        let (_, text) = ended(&mut service);
        assert!(text.contains(shown) && !text.contains("hunter2"), "{shown} in {text}");
    }
}

/// Each start begins a file; three are kept, and a stop of the door by the policy closes one.
#[test]
fn three_files_are_kept_over_restarts() {
    let mut service = Service::start();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let (names, _) = ended(&mut service);
        assert!(names.len() <= 3, "{names:?}");
        seen.extend(names);
        service.start_again();
        service.ready();
    }
    assert!(seen.len() >= 5, "{seen:?}");
}

/// A log that cannot be made is said once, and no reason for anything else to fail.
#[test]
fn a_folder_that_cannot_be_used_switches_the_log_off() {
    let place = |how: &str, at: &Path| match how {
        "a link" => {
            std::fs::create_dir(at.join("elsewhere")).unwrap();
            symlink(at.join("elsewhere"), at.join("logs")).unwrap();
        }
        "a file" => std::fs::write(at.join("logs"), "mine").unwrap(),
        "open to all" => {
            std::fs::create_dir(at.join("logs")).unwrap();
            std::fs::set_permissions(at.join("logs"), std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        _ => {
            std::fs::create_dir(at.join("logs")).unwrap();
            std::os::unix::fs::chown(at.join("logs"), Some(65_534), None).unwrap();
        }
    };
    let root = nix::unistd::geteuid().is_root();
    for how in
        ["a link", "a file", "open to all", "another's"].into_iter().filter(|how| root || *how != "another's")
    {
        let service = Service::start_named("bitsd", USER, "", |at| place(how, at)).ready_now();
        service.sdk().download_plainly(&service.url("small"), &service.path("f")).unwrap();
        assert_eq!(logged(&service.folder.path().join("elsewhere")).0, Vec::<String>::new(), "{how}");
        if how != "a file" {
            assert_eq!(std::fs::read_dir(service.logs()).unwrap().count(), 0, "{how}");
        }
        let log = std::fs::read_to_string(service.folder.path().join("log")).unwrap();
        assert_eq!(log.matches("no log of the Delivery Optimization agent").count(), 1, "{how}: {log}");
    }
}

/// The system's service, root's, writes as the account into the account's folders.
#[test]
fn the_accounts_folders_are_written_with_its_rights() {
    let (true, Some((uid, gid))) = (nix::unistd::geteuid().is_root(), account("openbits-t2")) else {
        eprintln!("SKIPPED: the_accounts_folders_are_written_with_its_rights: needs root and an account");
        return;
    };
    let arguments = ["--system", "--do-agent", "--do-agent-account", "openbits-t2"];
    let mut service = Service::start_named("bitsd", &arguments, "", |at| {
        std::os::unix::fs::chown(at.join("etc"), Some(uid.as_raw()), Some(gid.as_raw())).unwrap();
        std::fs::set_permissions(at.join("etc"), std::fs::Permissions::from_mode(0o775)).unwrap();
    })
    .ready_now();
    let admin = service.folder.path().join("etc/admin-config.json");
    assert_eq!(std::fs::read_to_string(&admin).unwrap(), "{}\n");
    let (names, _) = ended(&mut service);
    for (path, mode) in [(admin, 0o644), (service.logs(), 0o755), (service.logs().join(&names[0]), 0o640)] {
        let about = std::fs::metadata(&path).unwrap();
        let found = (about.uid(), about.gid(), about.mode() & 0o777);
        assert_eq!(found, (uid.as_raw(), gid.as_raw(), mode), "{}", path.display());
    }
}

#[test]
fn an_empty_admin_config_is_made_where_there_is_none() {
    let mut service = Service::start();
    let admin = service.folder.path().join("etc/admin-config.json");
    assert_eq!(std::fs::read_to_string(&admin).unwrap(), "{}\n");
    service.stop();
    std::fs::write(&admin, r#"{"DOCacheHost":""}"#).unwrap();
    service.start_again();
    service.ready();
    assert_eq!(
        std::fs::read_to_string(&admin).unwrap(),
        r#"{"DOCacheHost":""}"#,
        "it is the administrator's"
    );
    service.stop();
    let target = service.folder.path().join("target");
    std::fs::remove_file(&admin).unwrap();
    symlink(&target, &admin).unwrap();
    service.start_again();
    service.ready();
    assert!(!target.exists(), "a link is not followed");
    service.stop();
    std::fs::remove_dir_all(service.folder.path().join("etc")).unwrap();
    service.start_again();
    service.ready();
    assert!(!service.folder.path().join("etc").exists(), "the folder is not made");
    service.sdk().download_plainly(&service.url("small"), &service.path("f")).unwrap();
}
