//! An upload behind a balancer of TCP connections: one server begins it and dies, others over the same bucket go on, and one of them is
//! killed too (feature `object-storage`; the bucket is in a real Ceph, the balancer is HAProxy).

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{NewJob, User, assert_is, program, skip, write_content};
use openbits_testkit::balancer::Balancer;
use openbits_testkit::ceph::Ceph;
use openbits_testkit::process::{Process, Spec};
use openbits_testkit::{Content, Cutter, wait_until};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;

/// One server over the bucket, at this address.
fn server(ceph: &Ceph, at: SocketAddr, folder: &tempfile::TempDir) -> Process {
    let log = folder.path().join(at.port().to_string());
    let spec = Spec::new(env!("CARGO_BIN_EXE_bits-server-under-test"), log)
        .arg("--storage")
        .arg("s3://drop/uploads")
        .arg("--listen")
        .arg(at.to_string())
        .env("AWS_ACCESS_KEY_ID", Ceph::KEY)
        .env("AWS_SECRET_ACCESS_KEY", Ceph::SECRET)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT", ceph.url())
        .env("AWS_ALLOW_HTTP", "true")
        .env("BITS_SERVER_LOG", "warn");
    let process = spec.start().unwrap();
    assert!(wait_until(LONG, || TcpStream::connect(at).is_ok()), "{}", process.log());
    process
}

#[test]
fn replicas_behind_a_balancer_finish_what_another_began() {
    let Some(ceph) = Ceph::start() else {
        return skip("replicas", "Ceph (radosgw, ceph-mon, ceph-osd) is not installed");
    };
    ceph.make_bucket("drop");
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [began, one, two] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    drop(listeners);
    let Some(balancer) = Balancer::start(&[began, one, two]) else {
        return skip("replicas", "haproxy is not installed");
    };
    let cutter = Cutter::start(balancer.addr()).unwrap();
    cutter.throttle_up(Some(12 * MIB));
    let content = Content::new(8, 96 * MIB + 77);
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    write_content(&user.path("f"), &content);
    let logs = tempfile::tempdir().unwrap();
    let door = user.wake();
    let mut third = server(&ceph, began, &logs);
    let job = NewJob::new("f")
        .kind("UPLOAD")
        .file(&cutter.url("in/f"), &user.path("f"))
        .set("minimum_retry_delay_s", 5)
        .started()
        .create(&door);
    let far = |mib: u64| {
        let there = || {
            // A wait for the retry delay is not what is tested.
            if job.view().is_some_and(|view| view.next_retry_time_ms.is_some()) {
                let _ = job.try_act("resume");
            }
            job.view().is_some_and(|view| view.bytes_transferred >= mib * MIB)
        };
        assert!(wait_until(LONG, there), "no {mib} MiB: {:#?}\n{}", job.view(), balancer.log());
    };
    far(14);
    let mut first = server(&ceph, one, &logs);
    let second = server(&ceph, two, &logs);
    third.kill().unwrap();
    far(34);
    // Whichever of the two has the connection: it is one of these.
    first.kill().unwrap();
    far(54);
    first.restart().unwrap();
    assert!(wait_until(LONG, || TcpStream::connect(one).is_ok()));
    drop(second);
    far(74);
    cutter.throttle_up(None);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", job.view());
    job.must("complete");
    let back = user.path("back");
    let _ = user.must(&["get", &format!("http://{}/in/f", balancer.addr()), back.to_str().unwrap()]);
    assert_is(&back, &content);
    let twice = cutter.bytes_up().saturating_sub(content.size());
    eprintln!("sent twice: {:.2} MiB in all, three servers killed", twice as f64 / MIB as f64);
    assert!(twice <= 3 * 16 * MIB, "{twice} bytes were sent twice because of three kills");
    for (what, list) in [("session", "drop?prefix=uploads%2Fsessions%2F"), ("upload", "drop?uploads=")] {
        let (status, body) = ceph.ask("GET", list);
        let body = String::from_utf8_lossy(&body).into_owned();
        // A server that was killed after the store made an upload and before its name was written down leaves it to the store's own
        // clean-up (KNOWN_BUGS.md). Three were killed; it is rare, and said.
        let left = body.matches("<Key>").count();
        let unnamed = if what == "upload" { 1 } else { 0 };
        if left > 0 {
            eprintln!("{left} {what} left behind by a server that was killed");
        }
        assert!(status == 200 && left <= unnamed, "a {what} was left behind: {body}");
    }
}
