//! The life of the error record, and what counts as an error (spec/bits-core.md 7.1, 10 rows 29 to 34; behaviour 10.6).

use super::world::{ALICE, Plan, SIZE, World};
use crate::enums::{JobState, Priority};
use crate::hresult as h;
use crate::job::Dialect;
use crate::job::property::Property;
use crate::queue::{Call, NoticeKind};
use JobState::{Connecting, Error, Queued, Suspended, Transferred, Transferring, TransientError};

const UNAVAILABLE: Option<h::HResult> = Some(h::BG_E_ERROR_INFORMATION_UNAVAILABLE);

#[test]
fn the_record_lives_from_the_error_until_transferring() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    assert_eq!(w.job(job).get_error().err(), UNAVAILABLE, "none in CONNECTING of a new job");
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
    let other = w.job_at(Priority::Normal);
    w.call(ALICE, job, Call::Resume).expect("resumes");
    assert_eq!((w.state(job), w.error(job)), (Queued, h::BG_E_HTTP_ERROR_503));
    w.call(ALICE, job, Call::Suspend).expect("suspends");
    assert_eq!((w.state(job), w.error(job)), (Suspended, h::BG_E_HTTP_ERROR_503));
    w.crash();
    assert_eq!(w.error(job), h::BG_E_HTTP_ERROR_503, "kept over a restart");
    w.call(ALICE, other, Call::Cancel).expect("cancels");
    w.call(ALICE, job, Call::Resume).expect("resumes");
    assert_eq!((w.state(job), w.error(job)), (Connecting, h::BG_E_HTTP_ERROR_503));
    w.connect(job);
    assert_eq!((w.state(job), w.job(job).get_error().err()), (Transferring, UNAVAILABLE));
    w.fail(job, h::BG_E_HTTP_ERROR_404, None);
    assert_eq!((w.state(job), w.error(job)), (Error, h::BG_E_HTTP_ERROR_404));
    w.call(ALICE, job, Call::Cancel).expect("cancels");
    assert_eq!(w.job(job).get_error().err(), UNAVAILABLE);
}

/// Row 22.
#[test]
fn a_transferred_job_has_no_record_however_it_got_there() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
    w.pass(600);
    w.transfer(job);
    assert_eq!((w.state(job), w.job(job).get_error().err()), (Transferred, UNAVAILABLE));
    // The error arrives after the last byte; Resume finds nothing left to do.
    let late = w.job_at(Priority::Normal);
    w.connect(late);
    w.checkpoint(late, 0, SIZE);
    w.fail(late, h::BG_E_HTTP_ERROR_503, Some(0));
    w.call(ALICE, late, Call::Suspend).expect("suspends");
    assert_eq!(w.error(late), h::BG_E_HTTP_ERROR_503);
    w.call(ALICE, late, Call::Resume).expect("resumes");
    assert_eq!((w.state(late), w.job(late).get_error().err()), (Transferred, UNAVAILABLE));
}

/// Rows 30 to 32.
#[test]
fn fatal_errors_are_told_and_recoverable_ones_are_not() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.take_notices(job);
    w.fail(job, h::BG_E_HTTP_ERROR_404, None);
    assert_eq!(w.take_notices(job), [(NoticeKind::Error, Error)], "at the first request, without a retry");
    let job = w.job_at(Priority::Normal);
    w.take_notices(job);
    w.fail(job, h::BG_E_HTTP_ERROR_500, Some(0));
    assert_eq!(w.take_notices(job), [(NoticeKind::Modified, TransientError)]);
    // Row 33: at once, and told.
    w.set(job, Property::NoProgressTimeout(0)).expect("settable");
    assert_eq!(w.take_notices(job), [(NoticeKind::Error, Error)]);
    assert_eq!(w.error(job), h::BG_E_HTTP_ERROR_500, "the error of the last attempt stays");
    // Row 32: every error is final.
    w.call(ALICE, job, Call::Resume).expect("resumes");
    w.fail(job, h::BG_E_HTTP_ERROR_500, Some(0));
    assert_eq!(w.state(job), Error);
    // Row 34: nothing happens to an undisturbed transfer.
    let good = w.job_at(Priority::Normal);
    w.connect(good);
    w.set(good, Property::NoProgressTimeout(0)).expect("settable");
    assert_eq!((w.state(good), w.started.len()), (Transferring, 4));
    w.checkpoint(good, 0, SIZE);
    w.done(good);
    assert_eq!(w.state(good), Transferred);
}

/// Spec/delivery-optimization-com.md 5.4: Suspend ends ERROR there; a job of BITS keeps it.
#[test]
fn suspend_ends_an_error_of_delivery_optimization_only() {
    let mut w = World::new();
    let bits = w.job_at(Priority::Normal);
    let mut new = w.plan(&Plan::default());
    new.extras.dialect = Dialect::DeliveryOptimization;
    let delivery = new.id;
    w.q.create(ALICE, new, w.now).expect("created");
    w.drain();
    for (job, then) in [(bits, Error), (delivery, Suspended)] {
        w.fail(job, h::BG_E_HTTP_ERROR_404, None);
        assert_eq!(w.state(job), Error);
        w.call(ALICE, job, Call::Suspend).expect("suspends");
        assert_eq!(w.state(job), then);
        w.call(ALICE, job, Call::Resume).expect("resumes");
        w.transfer(job);
        assert_eq!(w.state(job), Transferred);
    }
}

/// Row 8 of behaviour 31.
#[test]
fn conformance_08_a_delay_longer_than_the_period_means_no_retry() {
    let mut w = World::new();
    let job = w.job_at(Priority::Normal);
    w.set(job, Property::NoProgressTimeout(300)).expect("settable");
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
    assert_eq!(w.state(job), Error);
    // While it waits, the change of a clock ends it.
    let waiting = w.job_at(Priority::Normal);
    w.fail(waiting, h::BG_E_HTTP_ERROR_503, Some(0));
    w.set(waiting, Property::MinimumRetryDelay(1_209_600)).expect("settable");
    assert_eq!(w.state(waiting), TransientError, "just not longer");
    w.set(waiting, Property::MinimumRetryDelay(1_209_601)).expect("settable");
    assert_eq!(w.state(waiting), Error);
}

/// behaviour 10.6 and 10.2 R10.
#[test]
fn the_error_count_counts_failed_attempts_and_is_never_reset() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan::default());
    let count = |w: &World| w.job(job).error_count;
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
    assert_eq!(count(&w), 1, "also out of CONNECTING");
    w.pass(600);
    w.connect(job);
    w.checkpoint(job, 0, 100);
    w.fail(job, h::BG_E_HTTP_ERROR_503, Some(0));
    assert_eq!(count(&w), 2);
    w.call(ALICE, job, Call::Resume).expect("resumes");
    assert_eq!(count(&w), 2);
    w.network(false);
    w.network(true);
    w.policy(true);
    w.policy(false);
    assert_eq!(count(&w), 2, "conditions are not counted");
    w.fail(job, h::BG_E_HTTP_ERROR_404, None);
    assert_eq!(count(&w), 3);
    w.call(ALICE, job, Call::Resume).expect("resumes");
    w.crash();
    w.transfer(job);
    assert_eq!((w.state(job), count(&w)), (Transferred, 3));
}

/// A failed call is not an error of the job (7.1).
#[test]
fn a_failed_call_leaves_no_record() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    assert_eq!(w.call(ALICE, job, Call::Resume), Err(h::BG_E_EMPTY));
    assert_eq!(w.set(job, Property::Priority(4)), Err(h::E_NOTIMPL));
    assert_eq!(w.job(job).get_error().err(), UNAVAILABLE);
    assert_eq!(w.job(job).error_count, 0);
}

/// Row 12 of behaviour 31.
#[test]
fn conformance_12_a_file_that_changes_on_the_server_begins_again_and_the_others_are_kept() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 3, ..Plan::default() });
    w.connect(job);
    w.checkpoint(job, 0, SIZE);
    w.checkpoint(job, 1, 600);
    let attempt = w.attempt(job).expect("runs");
    w.q.on_restarted(job, attempt, 1, w.now);
    w.drain();
    let files: Vec<_> = w.job(job).files.iter().map(|f| (f.bytes_transferred(), f.restarts)).collect();
    assert_eq!((w.state(job), files), (Transferring, vec![(SIZE, 0), (0, 1), (0, 0)]));
    w.crash();
    assert_eq!(w.job(job).files[1].restarts, 1);
    assert!(w.job(job).files[1].etag.is_none());
}

/// Row 28 of behaviour 31.
#[test]
fn conformance_28_the_total_is_unknown_until_every_size_is_known() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 2, ..Plan::default() });
    let total = |w: &World| w.job(job).progress().bytes_total;
    w.connect(job);
    assert_eq!(total(&w), None);
    w.checkpoint(job, 0, SIZE);
    assert_eq!(total(&w), None, "file 2 was not reached");
    w.bytes(job, 1, 77);
    assert_eq!(w.job(job).progress().bytes_transferred, SIZE + 77);
    // The server never tells a size; the end of the data does.
    let attempt = w.attempt(job).expect("runs");
    let report = crate::queue::FileReport {
        file: 1,
        done: crate::RangeSet::prefix(123),
        finished: true,
        ..Default::default()
    };
    w.q.on_checkpoint(job, attempt, vec![report], w.now);
    w.drain();
    assert_eq!(total(&w), Some(SIZE + 123));
    w.done(job);
    let progress = w.job(job).progress();
    assert_eq!((progress.bytes_transferred, progress.files_transferred), (SIZE + 123, 2));
}
