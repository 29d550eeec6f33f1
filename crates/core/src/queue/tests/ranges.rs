//! Ranges, requests and positions in the queue (spec/bits-extended.md 4.2, 7.10 to 7.13, 8.2).

use super::world::{ALICE, Plan, ROOT, SIZE, Workers, World, file};
use crate::enums::{ErrorContext, JobState, JobType, Priority, notify};
use crate::hresult::{self as h, HResult};
use crate::id::JobId;
use crate::job::options::Setting;
use crate::job::property::Property;
use crate::job::{ErrorRecord, NewFile};
use crate::layout::{FileRange, LENGTH_TO_EOF};
use crate::limits::Limits;
use crate::queue::{Call, FileReport, NoticeKind};
use crate::range_set::RangeSet;

fn ranges(pairs: &[(u64, u64)]) -> Vec<FileRange> {
    pairs.iter().map(|&(offset, length)| FileRange::new(offset, length)).collect()
}

fn ranged(pairs: &[(u64, u64)]) -> NewFile {
    NewFile { ranges: Some(ranges(pairs)), ..file(0) }
}

fn many(count: u64) -> Vec<FileRange> {
    (0..count).map(|n| FileRange::new(n * 10, 5)).collect()
}

fn requested(w: &World, id: JobId) -> Vec<(u64, u64)> {
    w.job(id).files[0].requested.iter().map(|r| (r.offset, r.length)).collect()
}

#[test]
fn ranges_are_checked_and_the_sum_is_the_size() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    for (pairs, expected) in [
        (&[][..], Err(h::E_INVALIDARG)),
        (&[(LENGTH_TO_EOF, 10)], Err(h::BG_E_INVALID_RANGE)),
        (&[(0, 10), (5, 5)], Err(h::BG_E_OVERLAPPING_RANGES)),
        (&[(500, 100), (0, 50), (200, 100)], Ok(h::S_OK)),
        (&[(30, 12), (200, LENGTH_TO_EOF)], Ok(h::S_OK)),
    ] {
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![ranged(pairs)])), expected, "{pairs:?}");
    }
    assert_eq!(w.job(job).file_progress(0).expect("there").bytes_total, Some(250));
    assert_eq!(w.job(job).file_progress(1).expect("there").bytes_total, None);
    assert_eq!(w.job(job).progress().bytes_total, None);
    assert_eq!(w.job(job).file_ranges(0), Ok(&ranges(&[(500, 100), (0, 50), (200, 100)])[..]));
    w.crash();
    assert_eq!(w.job(job).file_ranges(1), Ok(&ranges(&[(30, 12), (200, LENGTH_TO_EOF)])[..]));
}

#[test]
fn the_limit_of_ranges_is_the_policys_and_has_exemptions() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    let add = |count| Call::AddFiles(vec![NewFile { ranges: Some(many(count)), ..file(0) }]);
    assert_eq!(w.call(ALICE, job, add(501)), Err(h::BG_E_TOO_MANY_RANGES_IN_FILE));
    assert_eq!(w.call(ALICE, job, add(500)), Ok(h::S_OK));
    assert_eq!(w.call(ROOT, job, add(501)), Ok(h::S_OK));
    assert_eq!(w.call(ROOT, job, add(10_001)), Err(h::BG_E_TOO_MANY_RANGES_IN_FILE));
    w.set_limits(Limits { ranges_per_file: 3, ..Limits::default() });
    assert_eq!(w.call(ALICE, job, add(4)), Err(h::BG_E_TOO_MANY_RANGES_IN_FILE));
}

#[test]
fn uploads_have_no_ranges_and_no_random_access() {
    let mut w = World::new();
    for kind in [JobType::Upload, JobType::UploadReply] {
        let job = w.create(ALICE, Plan { files: 0, resume: false, kind, ..Plan::default() });
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![ranged(&[(0, 1)])])), Err(h::E_NOTIMPL));
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![file(0)])), Ok(h::S_OK));
        let call = Call::RequestRanges(0, ranges(&[(0, 1)]));
        assert_eq!(w.call(ALICE, job, call), Err(h::BG_E_RANDOM_ACCESS_NOT_SUPPORTED));
        assert_eq!(w.job(job).filled_ranges(0), Err(h::BG_E_RANDOM_ACCESS_NOT_SUPPORTED));
    }
}

#[test]
fn requests_become_separate_pieces_that_nobody_has() {
    let mut w = World::new();
    let job = w.job_at(Priority::Foreground);
    let request =
        |w: &mut World, pairs: &[(u64, u64)]| w.call(ALICE, job, Call::RequestRanges(0, ranges(pairs)));
    assert_eq!(request(&mut w, &[]), Err(h::E_INVALIDARG));
    assert_eq!(request(&mut w, &[(5, 0)]), Err(h::BG_E_INVALID_RANGE));
    // The size is not known yet: checked later.
    assert_eq!(request(&mut w, &[(100, 100), (150, 100), (90, 10), (900, LENGTH_TO_EOF)]), Ok(h::S_OK));
    assert_eq!(requested(&w, job), [(100, 100), (200, 50), (90, 10), (900, LENGTH_TO_EOF)]);
    assert_eq!(request(&mut w, &[(950, 60), (0, 95)]), Ok(h::S_OK));
    assert_eq!(requested(&w, job)[4..], [(0, 90)]);
    w.connect(job);
    assert_eq!(request(&mut w, &[(SIZE - 1, 2)]), Err(h::BG_E_INVALID_RANGE));
    assert_eq!(request(&mut w, &[(SIZE, LENGTH_TO_EOF)]), Err(h::BG_E_INVALID_RANGE));
    assert_eq!(w.call(ALICE, job, Call::RequestRanges(1, ranges(&[(0, 1)]))), Err(h::BG_E_FILE_NOT_FOUND));
    w.checkpoint(job, 0, 230);
    assert_eq!(requested(&w, job), [(200, 50), (900, LENGTH_TO_EOF)], "what is there is asked for no more");
    assert_eq!(w.job(job).filled_ranges(0), Ok(ranges(&[(0, 230)])));
    w.crash();
    assert_eq!(requested(&w, job), [(200, 50), (900, LENGTH_TO_EOF)]);
    let pieces: Vec<FileRange> = (0..6000).map(|n| FileRange::new(n * 10, 1)).collect();
    let fresh = w.job_at(Priority::Foreground);
    assert_eq!(w.call(ALICE, fresh, Call::RequestRanges(0, pieces)), Err(h::BG_E_TOO_MANY_RANGES_IN_FILE));
    assert_eq!(w.call(ALICE, job, Call::Cancel), Ok(h::S_OK));
    assert_eq!(request(&mut w, &[(0, 1)]), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn positions() {
    let mut w = World::new();
    let job = w.job_at(Priority::Foreground);
    let seek = |w: &mut World, offset| w.call(ALICE, job, Call::UpdatePosition(0, offset));
    assert_eq!(seek(&mut w, 5000), Ok(h::S_OK), "the size is not known");
    w.connect(job);
    assert_eq!(seek(&mut w, SIZE), Err(h::BG_E_INVALID_RANGE));
    assert_eq!(seek(&mut w, SIZE - 1), Ok(h::S_OK));
    assert_eq!(w.job(job).files[0].position, SIZE - 1);
    assert_eq!(w.call(ALICE, job, Call::Suspend), Ok(h::S_OK));
    assert_eq!(seek(&mut w, 7), Ok(h::S_OK), "remembered");
    w.crash();
    assert_eq!(w.job(job).files[0].position, 7);
    assert_eq!(w.state(job), JobState::Suspended);
}

#[test]
fn files_with_ranges_have_no_random_access() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    // Ambiguity 19: a single range, too.
    assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![ranged(&[(0, LENGTH_TO_EOF)])])), Ok(h::S_OK));
    let refused = Err(h::BG_E_RANDOM_ACCESS_NOT_SUPPORTED);
    assert_eq!(w.call(ALICE, job, Call::RequestRanges(0, ranges(&[(0, 1)]))), refused);
    assert_eq!(w.call(ALICE, job, Call::UpdatePosition(0, 1)), refused);
    assert_eq!(w.job(job).filled_ranges(0), Err(h::BG_E_RANDOM_ACCESS_NOT_SUPPORTED));
}

#[test]
fn a_server_without_ranges_takes_random_access_away() {
    let mut w = World::new();
    let job = w.job_at(Priority::Foreground);
    w.connect(job);
    let report = FileReport {
        size: Some(SIZE),
        done: RangeSet::prefix(10),
        etag: Some("\"v1\"".into()),
        no_ranges: true,
        ..FileReport::default()
    };
    let attempt = w.attempt(job).expect("runs");
    w.q.on_checkpoint(job, attempt, vec![report], w.now);
    w.drain();
    let call = Call::RequestRanges(0, ranges(&[(0, 1)]));
    assert_eq!(w.call(ALICE, job, call), Err(h::BG_E_RANDOM_ACCESS_NOT_SUPPORTED));
}

#[test]
fn an_impossible_request_is_forgotten_when_it_failed() {
    let mut w = World::new();
    let job = w.job_at(Priority::Foreground);
    w.call(ALICE, job, Call::RequestRanges(0, ranges(&[(1 << 40, 5)]))).expect("not known yet");
    w.call(ALICE, job, Call::UpdatePosition(0, 1 << 40)).expect("not known yet");
    let attempt = w.attempt(job).expect("runs");
    w.attempts.remove(&attempt);
    let mut record = ErrorRecord::new(h::BG_E_INVALID_RANGE, ErrorContext::RemoteFile, w.now.wall);
    record.file = Some(0);
    w.q.on_failed(job, attempt, record, None, w.now);
    w.drain();
    assert_eq!((w.state(job), w.error(job)), (JobState::Error, h::BG_E_INVALID_RANGE));
    assert_eq!((requested(&w, job), w.job(job).files[0].position), (vec![], 0));
}

/// A job of Alice's in ON_DEMAND_MODE with this many files, not resumed.
fn on_demand(w: &mut World, files: u32) -> JobId {
    let priority = Priority::Foreground;
    let job = w.create(ALICE, Plan { files, resume: false, priority, ..Plan::default() });
    w.set(job, Property::Option(Setting::OnDemandMode(true))).expect("before the first Resume");
    job
}

fn request(w: &mut World, job: JobId, file: u32, pairs: &[(u64, u64)]) -> Result<HResult, HResult> {
    w.call(ALICE, job, Call::RequestRanges(file, ranges(pairs)))
}

fn there(w: &mut World, job: JobId, file: u32, pairs: &[(u64, u64)]) {
    let done: RangeSet = pairs.iter().map(|(at, length)| *at..at + length).collect();
    let finished = done.len() == SIZE;
    let report = FileReport {
        file,
        size: Some(SIZE),
        done,
        etag: Some("\"v1\"".into()),
        finished,
        ..FileReport::default()
    };
    let attempt = w.attempt(job).expect("runs");
    w.q.on_checkpoint(job, attempt, vec![report], w.now);
    w.drain();
}

#[test]
fn an_on_demand_job_runs_for_requests_only() {
    let mut w = World::new();
    let job = on_demand(&mut w, 2);
    assert_eq!(w.call(ALICE, job, Call::Resume), Ok(h::S_OK));
    assert_eq!((w.state(job), w.is_running(job)), (JobState::Suspended, false), "nothing is asked for");
    assert_eq!(request(&mut w, job, 1, &[(100, 50)]), Ok(h::S_OK));
    assert_eq!(w.state(job), JobState::Suspended, "a request does not resume (ambiguity 18)");
    assert_eq!(w.call(ALICE, job, Call::Resume), Ok(h::S_OK));
    assert!(w.is_running(job));
    assert!(!w.job(job).files[0].begun && w.job(job).files[1].begun);
    w.connect(job);
    there(&mut w, job, 1, &[(100, 50)]);
    w.take_notices(job);
    w.done(job);
    assert_eq!((w.state(job), w.is_running(job)), (JobState::Suspended, false));
    assert_eq!(w.take_notices(job), [(NoticeKind::Modified, JobState::Suspended)], "not JobTransferred");
    // All of one file is not all of the job.
    request(&mut w, job, 1, &[(0, LENGTH_TO_EOF)]).expect("asked");
    w.call(ALICE, job, Call::Resume).expect("resumed");
    there(&mut w, job, 1, &[(0, SIZE)]);
    w.done(job);
    assert_eq!(w.state(job), JobState::Suspended);
    request(&mut w, job, 0, &[(0, LENGTH_TO_EOF)]).expect("asked");
    w.call(ALICE, job, Call::Resume).expect("resumed");
    there(&mut w, job, 0, &[(0, SIZE)]);
    w.done(job);
    assert_eq!(w.state(job), JobState::Transferred);
}

#[test]
fn a_request_that_crosses_the_end_of_an_attempt_is_not_lost() {
    let mut w = World::new();
    let job = on_demand(&mut w, 1);
    request(&mut w, job, 0, &[(0, 10)]).expect("asked");
    w.call(ALICE, job, Call::Resume).expect("resumed");
    w.connect(job);
    there(&mut w, job, 0, &[(0, 10)]);
    request(&mut w, job, 0, &[(500, 10)]).expect("asked");
    w.done(job);
    assert!(w.is_running(job), "the job goes on with it");
    // A worker that is ready with nothing to show is not asked for ever.
    w.done(job);
    assert_eq!(w.state(job), JobState::TransientError);
}

#[test]
fn requests_of_an_on_demand_job_survive_a_crash_and_a_position_is_a_request() {
    let mut w = World::new();
    let job = on_demand(&mut w, 1);
    request(&mut w, job, 0, &[(5, 5)]).expect("asked");
    w.call(ALICE, job, Call::UpdatePosition(0, 900)).expect("asked");
    w.call(ALICE, job, Call::Resume).expect("resumed");
    w.connect(job);
    there(&mut w, job, 0, &[(5, 5)]);
    w.crash();
    assert!(w.is_running(job));
    assert_eq!(requested(&w, job), [(900, LENGTH_TO_EOF)]);
    assert_eq!(w.job(job).filled_ranges(0), Ok(ranges(&[(5, 5)])));
}

#[test]
fn a_partly_filled_job_completes_partially() {
    let mut w = World::new();
    let job = on_demand(&mut w, 1);
    request(&mut w, job, 0, &[(5, 5)]).expect("asked");
    w.call(ALICE, job, Call::Resume).expect("resumed");
    there(&mut w, job, 0, &[(5, 5)]);
    w.done(job);
    assert_eq!(w.call(ALICE, job, Call::Complete), Ok(h::BG_S_PARTIAL_COMPLETE));
}

#[test]
fn ranges_do_not_go_with_dynamic_content_or_on_demand() {
    let conflict = Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION);
    for setting in [Setting::DynamicContent(true), Setting::OnDemandMode(true)] {
        let mut w = World::new();
        let job = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
        w.set(job, Property::Option(setting)).expect("settable");
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![ranged(&[(0, 10)])])), conflict);
        assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![ranged(&[(0, 0)])])), Err(h::BG_E_INVALID_RANGE));
        let other = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
        w.call(ALICE, other, Call::AddFiles(vec![ranged(&[(0, 10)])])).expect("added");
        assert_eq!(w.set(other, Property::Option(setting)), conflict);
    }
    let mut w = World::new();
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    w.set(job, Property::Option(Setting::DynamicContent(true))).expect("settable");
    assert_eq!(request(&mut w, job, 0, &[(0, 1)]), Err(h::BG_E_RANDOM_ACCESS_NOT_SUPPORTED));
}

#[test]
fn a_job_that_is_known_to_be_too_large_does_not_begin() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    w.call(ALICE, job, Call::AddFiles(vec![ranged(&[(0, 60), (100, 41)])])).expect("added");
    w.set(job, Property::Option(Setting::MaxDownloadSize(100))).expect("settable");
    w.call(ALICE, job, Call::Resume).expect("resumed");
    let state = (w.state(job), w.error(job), w.started.len());
    assert_eq!(state, (JobState::Error, h::BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED, 0));
}

#[test]
fn a_high_performance_job_leaves_its_files_where_they_are() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    w.set(job, Property::Option(Setting::HighPerformance(true))).expect("settable");
    w.call(ALICE, job, Call::AddFiles(vec![file(7)])).expect("added");
    w.call(ALICE, job, Call::Resume).expect("resumed");
    assert_eq!(w.job(job).temporary_name(0), "7");
    w.connect(job);
    w.workers = Workers::Manual;
    w.begin_later(ALICE, job, Call::Cancel);
    w.stopped(job);
    assert!(w.work.is_empty(), "nothing is removed");
}

fn told(w: &mut World, job: JobId) -> Vec<Vec<(u64, u64)>> {
    let is =
        |n: &crate::queue::Notice| n.job == job && matches!(n.kind, NoticeKind::FileRangesTransferred(0));
    let pairs = |n: &crate::queue::Notice| n.ranges.iter().map(|r| (r.offset, r.length)).collect();
    let found = w.notices.iter().filter(|n| is(n)).map(pairs).collect();
    w.notices.retain(|n| !is(n));
    found
}

#[test]
fn what_came_is_told_once_and_not_too_often() {
    let mut w = World::new();
    let job = w.job_at(Priority::Foreground);
    w.connect(job);
    w.checkpoint(job, 0, 10);
    assert_eq!(told(&mut w, job), Vec::<Vec<(u64, u64)>>::new(), "nobody asked");
    w.set(job, Property::Option(Setting::MinimumNotificationInterval(500))).expect("settable");
    w.set(job, Property::NotifyFlags(notify::FILE_RANGES_TRANSFERRED)).expect("settable");
    w.checkpoint(job, 0, 20);
    assert_eq!(told(&mut w, job), [[(0, 20)]], "what was there counts as new the first time");
    let attempt = w.attempt(job).expect("runs");
    let mut written = RangeSet::prefix(30);
    written.insert(500..600);
    w.q.on_written(job, attempt, 0, written, w.now);
    w.drain();
    assert_eq!(told(&mut w, job), Vec::<Vec<(u64, u64)>>::new(), "within the interval");
    assert_eq!(w.job(job).filled_ranges(0), Ok(ranges(&[(0, 30), (500, 100)])), "the truth is known at once");
    w.pass(1);
    assert_eq!(told(&mut w, job), [[(20, 10), (500, 100)]]);
    w.pass(1);
    assert_eq!(told(&mut w, job), Vec::<Vec<(u64, u64)>>::new());
    w.checkpoint(job, 0, 40);
    w.checkpoint(job, 0, SIZE);
    assert_eq!(
        told(&mut w, job),
        vec![vec![(30, 10)], vec![(40, 460), (600, 400)]],
        "all of it before the file's end"
    );
    w.set(job, Property::NotifyFlags(notify::FILE_RANGES_TRANSFERRED | notify::DISABLE)).expect("settable");
    assert_eq!(told(&mut w, job), Vec::<Vec<(u64, u64)>>::new());
}
