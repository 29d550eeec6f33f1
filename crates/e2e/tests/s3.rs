//! `bits put` to a real S3-compatible store: Ceph.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{NewJob, User, kill, program, skip, write_content};
use openbits_testkit::ceph::Ceph;
use openbits_testkit::{Content, Cutter};
use rusty_s3::actions::{PutObject, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

fn stored(ceph: &Ceph, key: &str, content: &Content) {
    let (status, bytes) = ceph.ask("GET", &format!("bucket/{key}"));
    assert_eq!((status, bytes.len() as u64), (200, content.size()), "{key}");
    assert_eq!(content.first_difference(0, &bytes), None, "{key}");
}

#[test]
fn s3_multipart_with_kills_and_a_presigned_put_to_ceph() {
    let Some(ceph) = Ceph::start() else {
        return skip("S3 multipart", "Ceph (radosgw, ceph-mon, ceph-osd) is not installed");
    };
    ceph.make_bucket("bucket");
    let content = Content::new(6, 50 * MIB + 5);
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    write_content(&user.path("f"), &content);
    let url = |key: &str| format!("{}/bucket/{key}", ceph.url());
    let refused = |url: &str, wanted: &str| {
        let refused = user.bits(&["put", "f", url, "--protocol", "s3"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(4) && said.contains(wanted), "{said}");
    };
    refused(&url("folder/a%20b"), "access key");
    let aws = user.sandbox().home().join(".aws");
    std::fs::create_dir_all(&aws).unwrap();
    let keys = |secret: &str| {
        let text =
            format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {secret}\n", Ceph::KEY);
        std::fs::write(aws.join("credentials"), text).unwrap();
    };
    keys("wrong");
    refused(&url("folder/a%20b"), "403");
    keys(Ceph::SECRET);
    let _ = user.must(&["put", "f", &url("folder/a%20b"), "--protocol", "s3"]);
    stored(&ceph, "folder/a%20b", &content);

    // Killed twice, and cut: parts that are there are not sent again.
    let slow = Cutter::start(ceph.addr()).unwrap();
    slow.throttle_up(Some(16 * MIB));
    let door = user.wake();
    let job = NewJob::new("f")
        .kind("UPLOAD")
        .file(&slow.url("bucket/killed"), &user.path("f"))
        .set("upload_protocol", "s3")
        .set("minimum_retry_delay_s", 5)
        .started()
        .create(&door);
    for at in [9, 20, 35] {
        job.wait_bytes(at * MIB, LONG);
        if at == 20 {
            slow.cut_now();
        } else {
            kill(user.service_pid());
            let _ = user.must(&["list"]);
        }
        if job.view().is_some_and(|view| view.next_retry_time_ms.is_some()) {
            let _ = job.try_act("resume");
        }
    }
    slow.throttle_up(None);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{:#?}", job.view());
    job.must("complete");
    stored(&ceph, "killed", &content);
    let twice = slow.bytes_up().saturating_sub(content.size());
    assert!(twice <= 3 * 16 * MIB, "{twice} bytes were sent twice because of 3 cuts");
    eprintln!("sent twice: {:.2} MiB for each of 3 cuts", twice as f64 / MIB as f64 / 3.0);
    let (status, uploads) = ceph.ask("GET", "bucket?uploads=");
    let uploads = String::from_utf8_lossy(&uploads).into_owned();
    assert!(status == 200 && !uploads.contains("<Key>"), "an upload was left behind: {uploads}");

    // Who has no key, but a URL that somebody with one has signed.
    std::fs::remove_dir_all(&aws).unwrap();
    let bucket = Bucket::new(ceph.url().parse().unwrap(), UrlStyle::Path, "bucket", "us-east-1").unwrap();
    let credentials = Credentials::new(Ceph::KEY, Ceph::SECRET);
    let signed = PutObject::new(&bucket, Some(&credentials), "signed").sign(LONG * 10);
    let _ = user.must(&["put", "f", signed.as_str(), "--protocol", "put"]);
    stored(&ceph, "signed", &content);
}
