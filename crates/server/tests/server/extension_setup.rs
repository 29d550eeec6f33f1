//! IBITSExtensionSetup and its factory as they are on Linux: settings of locations, and the clean-up of dead sessions
//! (spec/bits-extended.md 12). What an administrator of IIS calls, one of bits-server writes into its file and sends SIGHUP.

use crate::process::Server;
use crate::raw::{GUID, Raw};
use std::time::{Duration, Instant};

const ON: &str = "[[path]]\nprefix = \"/in\"\nenabled = true\n";
const OFF: &str = "[[path]]\nprefix = \"/in\"\n";

fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ping(raw: &mut Raw, path: &str) -> u16 {
    raw.packet("Ping", path, &[], b"").status
}

/// EnableBITSUploads: the location takes uploads, without a restart; nothing there is ever executed.
#[test]
fn extension_setup_enable_bits_uploads() {
    let server = Server::with(OFF);
    let mut raw = Raw::open(server.address);
    assert_eq!(ping(&mut raw, "/in/f"), 501);
    assert_eq!(raw.packet("Ping", "/in/f", &[], b"").error().1, Some("0x80070005"));
    server.reload(ON);
    eventually("uploads are on", || ping(&mut raw, "/in/f") == 200);
    raw.upload("/in/run.sh", b"#!/bin/sh\n");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(server.root().join("in/run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0, "no execute permission");
    // It is the one property that is not inherited from the location above; what is below its prefix belongs to it.
    assert_eq!((ping(&mut raw, "/other/f"), ping(&mut raw, "/in/deep/f")), (501, 200));
}

/// DisableBITSUploads: every packet is refused, also in a session that was open; a later Enable finds it again.
#[test]
fn extension_setup_disable_bits_uploads() {
    let server = Server::with(ON);
    let mut raw = Raw::open(server.address);
    let session = raw.create("/in/f");
    assert_eq!(raw.fragment("/in/f", &session, 0, 3, b"a").status, 200);
    server.reload(OFF);
    eventually("uploads are off", || ping(&mut raw, "/in/f") == 501);
    assert_eq!(raw.fragment("/in/f", &session, 1, 3, b"b").error(), (501, Some("0x80070005"), Some("0x5")));
    let list = [("BITS-Supported-Protocols", GUID)];
    assert_eq!(raw.packet("Create-Session", "/in/g", &list, b"").status, 501);
    assert_eq!(server.stored("in/f"), None, "nothing half is delivered");
    server.reload(ON);
    eventually("uploads are on again", || ping(&mut raw, "/in/f") == 200);
    assert_eq!(raw.fragment("/in/f", &session, 1, 3, b"bc").received(), Some(3));
}

/// GetCleanupTaskName: the task is the server's own sweeper; its name in the settings is `sweep_s`, and nonsense there is refused.
#[test]
fn extension_setup_get_cleanup_task_name() {
    let settings = |limits: &str| format!("[limits]\n{limits}\n{ON}");
    let server = Server::with(&settings("sweep_s = 1"));
    let mut raw = Raw::open(server.address);
    assert_eq!(ping(&mut raw, "/in/f"), 200);
    // A misspelt name would mean that there is no task: the old settings stay in force.
    server.reload(&settings("sweep = 1").replace("enabled = true", ""));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ping(&mut raw, "/in/f"), 200);
}

/// GetCleanupTask: it removes the sessions that are dead by their location's time-out, and no other.
#[test]
fn extension_setup_get_cleanup_task() {
    let lines =
        "session_timeout_s = 2\n[[path]]\nprefix = \"/keep\"\nenabled = true\nsession_timeout_s = 1000\n";
    let server = Server::with(&format!("[limits]\nsweep_s = 1\n{ON}{lines}"));
    std::fs::create_dir(server.root().join("keep")).unwrap();
    let mut raw = Raw::open(server.address);
    let (dead, kept) = (raw.create("/in/f"), raw.create("/keep/f"));
    assert_eq!(server.state("live").len(), 2);
    eventually("the dead session is gone", || server.state("live").len() == 1);
    assert_eq!(raw.fragment("/in/f", &dead, 0, 9, b"x").error().1, Some("0x8020001F"));
    assert_eq!(raw.fragment("/keep/f", &kept, 0, 9, b"x").status, 200);
}

/// The factory's GetObject: a path gives the settings of its location, which are the longest prefix's and inherit from shorter ones.
#[test]
fn extension_setup_factory_get_object() {
    let server = Server::with(
        "[[path]]\nprefix = \"/\"\nenabled = true\nmax_size_bytes = 5\n\
         [[path]]\nprefix = \"/in\"\nenabled = true\noverwrite = true\n\
         [[path]]\nprefix = \"/in/deep\"\nmax_size_bytes = 50\n",
    );
    std::fs::create_dir_all(server.root().join("in/deep")).unwrap();
    let mut raw = Raw::open(server.address);
    // "/in" inherits the limit of "/" and replaces; "/in/deep" is not enabled by anybody above it.
    raw.upload("/in/f", b"12345");
    raw.upload("/in/f", b"54321");
    assert_eq!(server.stored("in/f").unwrap(), b"54321");
    let session = raw.create("/in/g");
    assert_eq!(raw.fragment("/in/g", &session, 0, 6, b"123456").error().1, Some("0x80200020"));
    assert_eq!(ping(&mut raw, "/in/deep/f"), 501);
    assert_eq!(ping(&mut raw, "/index"), 200, "a prefix ends at a slash");
}
