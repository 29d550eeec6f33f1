//! Rows of the conformance list that need the running service (spec/behaviour.md 31); the others are tests of `core` by the same names.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{NewJob, User, assert_is, program};
use openbits_testkit::{Content, Origin};
use std::path::PathBuf;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

#[test]
fn conformance_09_without_patience_a_name_that_is_not_resolved_is_an_error_at_once() {
    let user = User::new(bits());
    let _service = user.start(&[]);
    let job = NewJob::new("f")
        .file("http://no-such-host.invalid/f", &user.path("f"))
        .set("no_progress_timeout_s", 0)
        .started()
        .create(&user.door());
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    let error = job.view().unwrap().error.unwrap();
    // ERROR_WINHTTP_NAME_NOT_RESOLVED, an error that is retried where there is patience.
    assert_eq!(error.hresult, "0x80072EE7", "{error:?}");
}

#[test]
fn conformance_16_the_destination_keeps_its_old_content_until_complete() {
    let user = User::new(bits());
    let _service = user.start(&[]);
    let origin = Origin::start();
    origin.put("new", Content::new(1, 100_000));
    origin.put("over", Content::new(2, 100_000));
    let (new, over) = (user.path("new"), user.path("over"));
    std::fs::write(&over, b"old content").unwrap();
    let job = NewJob::new("two")
        .file(&origin.url("new"), &new)
        .file(&origin.url("over"), &over)
        .started()
        .create(&user.door());
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert!(!new.exists(), "the file appeared before Complete");
    assert_eq!(std::fs::read(&over).unwrap(), b"old content");
    job.must("complete");
    assert_is(&new, &Content::new(1, 100_000));
    assert_is(&over, &Content::new(2, 100_000));
}
