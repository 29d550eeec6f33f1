use super::*;
use crate::delivery::download::Status;
use crate::enums::{ErrorContext, JobType};
use crate::id::{JobId, Uid};
use crate::job::property::Extras;
use crate::job::{ErrorRecord, Wait};
use crate::time::{FileTime, Mono};

const NOW: Now = Now { mono: Mono(1_000), wall: FileTime(FileTime::UNIX_EPOCH_TICKS + 1) };
const EOF: u64 = LENGTH_TO_EOF;

fn bare() -> Job {
    let mut job = Job::new(JobId::from_bytes([1; 16]), Uid(1000), JobType::Download, NAME, NOW);
    job.extras = Some(Box::new(Extras { dialect: Dialect::DeliveryOptimization, ..Extras::NONE }));
    job.download = Some(Box::default());
    job
}

/// Created, with what Start needs.
fn created() -> Job {
    let mut job = bare();
    let change = DownloadChange {
        uri: Some(("http://h/f".into(), None)),
        path: Some("/d/f".into()),
        ..DownloadChange::default()
    };
    let _ = job.set_download(change, NOW).unwrap();
    job
}

fn ranges(pairs: &[(u64, u64)]) -> Vec<FileRange> {
    pairs.iter().map(|&(offset, length)| FileRange::new(offset, length)).collect()
}

fn start(job: &mut Job, pairs: Option<&[(u64, u64)]>) -> Result<Change, HResult> {
    let file = job.download.as_deref().unwrap().new_file().ok();
    job.start_download(file, pairs.map(ranges), 500, NOW)
}

/// On its way, with the first bytes of a file of 1,000 there.
fn begun(pairs: &[(u64, u64)], there: u64) -> Job {
    let mut job = created();
    let _ = start(&mut job, Some(pairs)).unwrap();
    job.files[0].size = Some(1000);
    job.files[0].done = RangeSet::prefix(there);
    job.files[0].trim_requests();
    job
}

fn set(job: &mut Job, change: DownloadChange) -> Result<Change, HResult> {
    change.check()?;
    job.set_download(change, NOW)
}

#[test]
fn values_of_properties_at_and_beyond_each_limit() {
    let none = DownloadChange::default;
    let text = |n: usize| Some("x".repeat(n));
    let uri = |text: &str| DownloadChange { uri: Some((text.to_owned(), None)), ..none() };
    let long = |n: usize| format!("http://h/{}", "x".repeat(n - 9));
    let invalid = Err(h::E_INVALIDARG);
    for (change, expected) in [
        (none(), Ok(())),
        (DownloadChange { content_id: text(TEXT_MAX), ..none() }, Ok(())),
        (DownloadChange { content_id: text(TEXT_MAX + 1), ..none() }, invalid),
        (DownloadChange { correlation_vector: text(TEXT_MAX), ..none() }, Ok(())),
        (DownloadChange { correlation_vector: text(TEXT_MAX + 1), ..none() }, invalid),
        (DownloadChange { correlation_vector: Some("a\0b".into()), ..none() }, invalid),
        (DownloadChange { display_name: text(256), ..none() }, Ok(())),
        (DownloadChange { display_name: text(257), ..none() }, invalid),
        (DownloadChange { path: text(names::LOCAL_NAME_MAX), ..none() }, Ok(())),
        (DownloadChange { path: text(names::LOCAL_NAME_MAX + 1), ..none() }, invalid),
        (DownloadChange { path: Some("/a\0b".into()), ..none() }, invalid),
        (DownloadChange { integrity: text(3), ..none() }, invalid),
        (uri(""), Ok(())),
        (uri("http://h/f"), Ok(())),
        (uri("HTTPS://h/f"), Ok(())),
        (uri(&long(2200)), Ok(())),
        (uri("ftp://h/f"), invalid),
        (uri("smb://h/s/f"), invalid),
        (uri("file:///etc/passwd"), invalid),
        (uri("/etc/passwd"), invalid),
        (uri("h/f"), invalid),
        (DownloadChange { no_progress_s: Some(59), ..none() }, invalid),
        (DownloadChange { no_progress_s: Some(60), ..none() }, Ok(())),
        (DownloadChange { no_progress_s: Some(u32::MAX), ..none() }, Ok(())),
        (DownloadChange { callback_percent: Some(100), ..none() }, Ok(())),
        (DownloadChange { callback_percent: Some(101), ..none() }, invalid),
        (DownloadChange { callback_seconds: Some(u32::MAX), ..none() }, Ok(())),
        (DownloadChange { cost_policy: Some(5), ..none() }, Ok(())),
        (DownloadChange { cost_policy: Some(6), ..none() }, invalid),
        (DownloadChange { properties: vec![Property::SecurityFlags(u32::MAX)], ..none() }, Err(h::E_NOTIMPL)),
    ] {
        assert_eq!(change.check(), expected, "{change:?}");
    }
    assert!(uri(&long(2201)).check().is_err());
}

/// 4.1, Start: what is missing.
#[test]
fn the_first_start_needs_a_url_and_a_sink() {
    let (uri, path) = (Some("http://h/f".to_owned()), Some("/d/f".to_owned()));
    for (uri, path, content_id, expected) in [
        (None, None, None, Err(codes::DO_E_DOWNLOAD_NO_URI)),
        (None, path.clone(), None, Err(codes::DO_E_DOWNLOAD_NO_URI)),
        (None, path.clone(), Some("id".to_owned()), Err(codes::DO_E_DOWNLOAD_NO_URI)),
        (uri.clone(), None, None, Err(codes::DO_E_FILE_DOWNLOADSINK_UNSPECIFIED)),
        (uri.clone(), path, None, Ok(("http://h/f".to_owned(), "/d/f".to_owned()))),
    ] {
        let download = Download { uri, path, content_id, ..Download::default() };
        assert_eq!(download.new_file().map(|file| (file.remote, file.local)), expected);
    }
    let mut job = created();
    assert_eq!(job.start_download(None, None, 500, NOW), Err(h::E_UNEXPECTED));
    assert_eq!((job.files.len(), status(&job).unwrap().state), (0, State::Created));
}

/// A refused list of ranges leaves the download as it was.
#[test]
fn ranges_of_a_start() {
    for (pairs, expected) in [
        (&[(0, 0)][..], Err(h::BG_E_INVALID_RANGE)),
        (&[(EOF, 1)], Err(h::BG_E_INVALID_RANGE)),
        (&[(EOF - 1, 2)], Err(h::BG_E_INVALID_RANGE)),
        (&[(0, 10), (5, 10)], Err(h::BG_E_OVERLAPPING_RANGES)),
        (&[(0, 10), (0, 10)], Err(h::BG_E_OVERLAPPING_RANGES)),
        (&[(5, EOF), (100, 1)], Err(h::BG_E_OVERLAPPING_RANGES)),
        (&[(200, 1000), (0, 100)], Ok(())),
        (&[(0, 10), (10, EOF)], Ok(())),
        (&[], Ok(())),
        (&[(0, EOF)], Ok(())),
    ] {
        let mut job = created();
        let before = job.clone();
        assert_eq!(start(&mut job, Some(pairs)).map(drop), expected, "{pairs:?}");
        if expected.is_err() {
            assert_eq!(job, before, "{pairs:?}");
            continue;
        }
        let whole = pairs.is_empty() || pairs == [(0, EOF)];
        assert_eq!(job.options().on_demand, !whole, "{pairs:?}");
        assert_eq!(job.download.as_deref().unwrap().ranges.is_empty(), whole);
        assert_eq!(job.files[0].requested.is_empty(), whole);
        assert_eq!(status(&job).unwrap().state, State::Transferring);
    }
    let many: Vec<(u64, u64)> = (0..501).map(|n| (n * 2, 1)).collect();
    let mut job = created();
    assert_eq!(start(&mut job, Some(&many)), Err(h::BG_E_TOO_MANY_RANGES_IN_FILE));
    assert!(start(&mut job, Some(&many[..500])).is_ok());
    // Whoever is exempt from that limit meets another one.
    let many: Vec<FileRange> = (0..5001).map(|n| FileRange::new(n * 2, 1)).collect();
    let mut job = created();
    let before = job.clone();
    let file = || job.download.as_deref().unwrap().new_file().ok();
    let file = file();
    let refused = job.start_download(file, Some(many), 10_000, NOW);
    assert_eq!((refused, job), (Err(h::BG_E_TOO_MANY_RANGES_IN_FILE), before));
}

/// 4.2: ranges belong to their Start, and NULL goes on with what is pending.
#[test]
fn what_a_later_start_asks_for() {
    let pause = |job: &mut Job| assert!(job.suspend(NOW).is_ok());
    let asked = |job: &Job| (job.options().on_demand, job.files[0].requested.clone());
    let mut job = begun(&[(0, 100), (200, 100)], 50);
    pause(&mut job);
    assert_eq!(status(&job).unwrap().state, State::Paused);
    assert!(start(&mut job, None).is_ok());
    assert_eq!(asked(&job), (true, ranges(&[(50, 50), (200, 100)])));
    assert_eq!(job.download.as_deref().unwrap().ranges, ranges(&[(0, 100), (200, 100)]));
    // Others in their place; outside of what is known by now.
    pause(&mut job);
    let before = job.clone();
    for outside in [(1000, 1), (999, 2), (1000, EOF)] {
        assert_eq!(start(&mut job, Some(&[outside])), Err(h::BG_E_INVALID_RANGE), "{outside:?}");
        assert_eq!(job, before);
    }
    assert!(start(&mut job, Some(&[(900, EOF)])).is_ok());
    assert_eq!(asked(&job), (true, ranges(&[(900, 100)])));
    // The whole of it; NULL after that is the whole, too.
    for whole in [Some(&[][..]), Some(&[(0, EOF)]), None] {
        pause(&mut job);
        assert!(start(&mut job, whole).is_ok());
        assert_eq!(asked(&job), (false, vec![]), "{whole:?}");
    }
    // The service forgot what a server refused; the client did not.
    let mut job = begun(&[(200, 100)], 0);
    pause(&mut job);
    job.files[0].requested.clear();
    assert!(start(&mut job, None).is_ok());
    assert_eq!(asked(&job), (true, ranges(&[(200, 100)])));
    // On its way: nothing changes.
    assert!(start(&mut job, Some(&[(1, 1)])).is_ok());
    assert_eq!(asked(&job), (true, ranges(&[(200, 100)])));
    // The data was lost: what was there is asked for again.
    let mut job = begun(&[(0, 100)], 100);
    job.files[0].restart();
    job.ask_again();
    assert_eq!(asked(&job), (true, ranges(&[(0, 100)])));
}

#[test]
fn ranges_do_not_go_with_content_that_has_none() {
    let mut job = created();
    job.options_mut().dynamic_content = true;
    let before = job.clone();
    assert_eq!(start(&mut job, Some(&[(0, 10)])), Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION));
    assert_eq!(job, before);
    assert!(start(&mut job, None).is_ok());
}

/// Bytes that count are those asked for (4.2).
#[test]
fn asked_progress() {
    for (pairs, size, there, expected) in [
        (&[][..], Some(1000), 10, None),
        (&[(0, 100), (200, 1000)], None, 0, Some((Some(1100), 0))),
        (&[(0, 100), (200, 1000)], Some(2000), 0, Some((Some(1100), 0))),
        (&[(0, 100), (200, 1000)], Some(2000), 50, Some((Some(1100), 50))),
        (&[(0, 100), (200, 1000)], Some(2000), 150, Some((Some(1100), 100))),
        (&[(0, 100), (200, 1000)], Some(2000), 300, Some((Some(1100), 200))),
        (&[(500, EOF)], None, 0, Some((None, 0))),
        (&[(500, EOF)], Some(2000), 600, Some((Some(1500), 100))),
        (&[(500, EOF), (0, 1)], Some(501), 501, Some((Some(2), 2))),
    ] {
        let mut job = begun(pairs, 0);
        job.files[0].size = size;
        job.files[0].done = RangeSet::prefix(there);
        assert_eq!(job.asked_progress(), expected, "{pairs:?} of {size:?}");
    }
    // Of a file that is all there, and of bytes that are written only.
    let mut job = begun(&[(100, 50)], 0);
    (job.files[0].transferred, job.files[0].size) = (true, Some(1000));
    assert_eq!(job.asked_progress(), Some((Some(50), 50)));
    let mut job = begun(&[(100, 50)], 0);
    job.files[0].written.insert(120..200);
    assert_eq!(job.asked_progress(), Some((Some(50), 30)));
}

fn failed(code: HResult) -> Option<Box<ErrorRecord>> {
    Some(Box::new(ErrorRecord::new(code, ErrorContext::RemoteFile, NOW.wall)))
}

/// 4.3 and 5.4: what GetStatus makes of a job.
#[test]
fn the_status_of_every_state() {
    const NO: HResult = h::S_OK;
    let retry = Wait::Retry { since: NOW.mono, retry_after_ms: 0 };
    let busy = h::BG_E_HTTP_ERROR_503;
    for (state, wait, code, expected) in [
        (JobState::Queued, None, None, (State::Transferring, NO, NO)),
        (JobState::Connecting, None, Some(busy), (State::Transferring, NO, NO)),
        (JobState::Transferring, None, None, (State::Transferring, NO, NO)),
        (JobState::Suspended, None, Some(busy), (State::Paused, NO, NO)),
        (JobState::TransientError, Some(retry), Some(busy), (State::Paused, NO, busy)),
        (
            JobState::TransientError,
            Some(Wait::Network),
            Some(h::BG_E_NETWORK_DISCONNECTED),
            (State::Paused, NO, codes::DO_E_BLOCKED_BY_NO_NETWORK),
        ),
        (
            JobState::TransientError,
            Some(Wait::Cost),
            Some(h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY),
            (State::Paused, NO, codes::DO_E_BLOCKED_BY_COST_TRANSFER_POLICY),
        ),
        (
            JobState::TransientError,
            Some(Wait::Policy),
            Some(h::BG_E_BLOCKED_BY_POLICY),
            (State::Paused, NO, codes::DO_E_BLOCKED_BY_COST_TRANSFER_POLICY),
        ),
        (
            JobState::TransientError,
            Some(Wait::Battery),
            Some(h::BG_E_BLOCKED_BY_BATTERY_POLICY),
            (State::Paused, NO, codes::DO_E_BLOCKED_BY_POWER_STATE),
        ),
        (
            JobState::TransientError,
            Some(Wait::Saver),
            Some(h::BG_E_BLOCKED_BY_BATTERY_SAVER),
            (State::Paused, NO, codes::DO_E_BLOCKED_BY_POWER_STATE),
        ),
        (
            JobState::TransientError,
            Some(Wait::Volume),
            Some(h::BG_E_DESTINATION_LOCKED),
            (State::Paused, NO, h::BG_E_DESTINATION_LOCKED),
        ),
        (
            JobState::Error,
            None,
            Some(h::BG_E_HTTP_ERROR_404),
            (State::Paused, HResult::from_bits(0x8019_0194), NO),
        ),
        (
            JobState::Error,
            None,
            Some(h::BG_E_INSUFFICIENT_RANGE_SUPPORT),
            (State::Paused, codes::DO_E_INSUFFICIENT_RANGE_SUPPORT, NO),
        ),
        (JobState::Acknowledged, None, None, (State::Finalized, NO, NO)),
        (JobState::Cancelled, None, None, (State::Aborted, NO, NO)),
    ] {
        let mut job = begun(&[], 10);
        (job.state, job.wait, job.error) = (state, wait, code.and_then(failed));
        let Status { state: told, total, transferred, error, extended } = status(&job).unwrap();
        assert_eq!((told, error, extended), expected, "{state:?} {wait:?}");
        assert_eq!((total, transferred), (1000, 10), "{state:?}");
    }
    let mut job = begun(&[], 10);
    (job.state, job.error) = (JobState::Error, failed(busy));
    job.download.as_deref_mut().unwrap().no_progress = true;
    let told = status(&job).unwrap();
    assert_eq!(
        (told.state, told.error, told.extended),
        (State::Paused, codes::DO_E_DOWNLOAD_NO_PROGRESS, busy)
    );
}

/// A code of the waits is of the transient kind (4.3).
#[test]
fn codes_of_waits_are_of_the_transient_kind() {
    for wait in [Wait::Network, Wait::Policy, Wait::Cost, Wait::Battery, Wait::Saver, Wait::Game] {
        let code = codes::of_wait(wait).unwrap();
        assert_eq!((code.bits() >> 16, code.bits() & 0xF800), (0x80D0, 0x3800), "{wait:?}");
    }
}

#[test]
fn the_status_of_what_did_not_begin_and_of_what_is_there() {
    let told = |job: &Job| {
        let told = status(job).unwrap();
        (told.state, told.total, told.transferred)
    };
    assert_eq!(told(&bare()), (State::Created, 0, 0));
    assert_eq!(told(&created()), (State::Created, 0, 0));
    let mut job = created();
    let _ = start(&mut job, Some(&[(500, EOF)])).unwrap();
    assert_eq!(told(&job), (State::Transferring, 0, 0), "not known before the headers");
    // Ranges that are there, in a job that waits for more of them.
    let mut job = begun(&[(0, 100)], 100);
    job.state = JobState::Suspended;
    assert_eq!(told(&job), (State::Transferred, 100, 100));
    // All of it, in a job that was paused as the last byte came.
    let mut job = begun(&[], 1000);
    (job.state, job.files[0].transferred) = (JobState::Suspended, true);
    assert_eq!(told(&job), (State::Transferred, 1000, 1000));
    // Some ranges are there, others are not.
    let mut job = begun(&[(0, 100), (900, 100)], 100);
    job.state = JobState::Suspended;
    assert_eq!(told(&job), (State::Paused, 200, 100));
    let mut other = created();
    other.download = None;
    assert_eq!(status(&other), None);
}

/// 4.4: what may be set when.
#[test]
fn what_the_start_fixes() {
    let none = DownloadChange::default;
    let url = |text: &str| DownloadChange { uri: Some((text.to_owned(), None)), ..none() };
    let fixed = [
        DownloadChange { path: Some("/d/g".into()), ..none() },
        DownloadChange { stream: Some(true), ..none() },
        DownloadChange { total_size: Some(1), ..none() },
        DownloadChange { integrity: Some("{}".into()), ..none() },
        DownloadChange { integrity_mandatory: Some(false), ..none() },
    ];
    let free = [
        DownloadChange { content_id: Some("c".into()), ..none() },
        DownloadChange { display_name: Some("n".into()), ..none() },
        DownloadChange { cost_policy: Some(1), ..none() },
        DownloadChange { foreground: Some(true), ..none() },
        DownloadChange { no_progress_s: Some(60), ..none() },
        DownloadChange { callback_percent: Some(1), callback_seconds: Some(2), ..none() },
        DownloadChange { blocking: Some(true), non_volatile: Some(true), ..none() },
        DownloadChange { correlation_vector: Some("cv".into()), ..none() },
        DownloadChange { security_flags: Some(0x100), allow_downgrade: Some(true), ..none() },
    ];
    let states = [JobState::Queued, JobState::Suspended, JobState::Error, JobState::Transferred];
    for state in states {
        let with = |change: &DownloadChange| {
            let mut job = begun(&[], 10);
            (job.state, job.error) = (state, failed(h::BG_E_HTTP_ERROR_404));
            (set(&mut job, change.clone()).map(drop), job)
        };
        for change in &fixed {
            assert_eq!(with(change).0, Err(codes::DO_E_INVALID_STATE), "{state:?} {change:?}");
        }
        for change in &free {
            assert_eq!(with(change).0, Ok(()), "{state:?} {change:?}");
        }
        let paused = matches!(state, JobState::Suspended | JobState::Error);
        let expected = if paused { Ok(()) } else { Err(codes::DO_E_INVALID_STATE) };
        let (result, job) = with(&url("http://h/g"));
        assert_eq!(result, expected, "{state:?}");
        assert_eq!(&*job.files[0].remote == "http://h/g", paused);
    }
    for change in fixed.iter().chain(&free) {
        assert!(set(&mut created(), change.clone()).is_ok(), "{change:?}");
    }
    for state in [JobState::Acknowledged, JobState::Cancelled] {
        let mut job = begun(&[], 10);
        job.state = state;
        for change in free.iter().chain([&url("http://h/g")]) {
            assert!(set(&mut job, change.clone()).is_err(), "{state:?} {change:?}");
        }
    }
}

/// An empty text takes a property back; nothing is half done.
#[test]
fn properties_are_taken_back_and_set_all_or_none() {
    let none = DownloadChange::default;
    let mut job = created();
    let named = DownloadChange { display_name: Some("n".into()), content_id: Some("c".into()), ..none() };
    let _ = set(&mut job, named).unwrap();
    assert_eq!(
        (&*job.display_name, job.download.as_deref().unwrap().display_name.as_deref()),
        ("n", Some("n"))
    );
    let back = DownloadChange {
        uri: Some((String::new(), None)),
        path: Some(String::new()),
        display_name: Some(String::new()),
        content_id: Some(String::new()),
        ..none()
    };
    let _ = set(&mut job, back.clone()).unwrap();
    assert_eq!((job.download.as_deref(), &*job.display_name), (Some(&Download::default()), NAME));
    // A download that was begun keeps a URL, and whatever else came with the call.
    let mut job = begun(&[], 10);
    job.state = JobState::Suspended;
    let before = job.clone();
    let change = DownloadChange { uri: Some((String::new(), None)), foreground: Some(true), ..none() };
    assert_eq!(set(&mut job, change), Err(h::E_INVALIDARG));
    assert_eq!(job, before);
    let change = DownloadChange { security_flags: Some(2), blocking: Some(true), ..none() };
    assert_eq!(set(&mut job, change), Err(h::E_INVALIDARG));
    assert_eq!(job, before);
}

/// CostPolicy and level make the job's mask (4.4, 6): Always for foreground, Standard for background, unless it is set.
#[test]
fn the_cost_policy_and_its_default() {
    let none = DownloadChange::default;
    let policy = |n| DownloadChange { cost_policy: Some(n), ..none() };
    let level = |on| DownloadChange { foreground: Some(on), ..none() };
    let mut job = created();
    for (change, mask) in [
        (level(true), 0x8000_00FF),
        (level(false), 0x8000_0067),
        (policy(0), 0x8000_00FF),
        (policy(1), 0x8000_0021),
        (policy(2), 0x8000_0067),
        (policy(3), 0x8000_007F),
        (policy(4), 0x8000_006F),
        (level(true), 0x8000_006F),
        (level(false), 0x8000_006F),
    ] {
        let _ = set(&mut job, change.clone()).unwrap();
        assert_eq!(job.options().cost_flags, Some(mask), "{change:?}");
    }
}

/// SecurityFlags and HttpAllowSecureToNonSecureRedirect are one word of the job; each keeps the other.
#[test]
fn security_flags_and_the_redirect() {
    let none = DownloadChange::default;
    let flags = |bits| DownloadChange { security_flags: Some(bits), ..none() };
    let allow = |on| DownloadChange { allow_downgrade: Some(on), ..none() };
    let mut job = created();
    for (change, own) in [
        (flags(0x100), 0x8),
        (allow(true), 0x808),
        (flags(0x3301), 0x801),
        (allow(false), 0x1),
        (flags(0), 0x0),
    ] {
        let _ = set(&mut job, change.clone()).unwrap();
        assert_eq!(job.security_flags(), own, "{change:?}");
    }
}

/// 5.2, and ambiguity 10.
#[test]
fn no_progress_timeouts_follow_the_level_until_one_is_set() {
    for priority in Priority::ALL {
        let expected = if *priority == Priority::Foreground { 3_600 } else { 86_400 };
        assert_eq!(default_no_progress_s(*priority), expected, "{priority:?}");
    }
    let none = DownloadChange::default;
    let level = |on| DownloadChange { foreground: Some(on), ..none() };
    let mut job = created();
    job.no_progress_timeout_s = NO_PROGRESS_BACKGROUND_S;
    for (change, seconds) in [
        (level(true), 3_600),
        (level(false), 86_400),
        (DownloadChange { no_progress_s: Some(60), ..none() }, 60),
        (level(true), 60),
        (DownloadChange { no_progress_s: Some(3_600), ..none() }, 3_600),
        (level(false), 3_600),
        (DownloadChange { foreground: Some(true), no_progress_s: Some(120), ..none() }, 120),
    ] {
        let _ = set(&mut job, change.clone()).unwrap();
        assert_eq!(job.no_progress_timeout_s, seconds, "{change:?}");
    }
}

/// What the old owner chose does not steer the new owner's rights.
#[test]
fn a_download_that_changes_hands() {
    let login = || Some(Sealed::new("sealed".to_owned()));
    let uri = || Some(("http://h/f".to_owned(), login()));
    let mut job = created();
    let _ = set(&mut job, DownloadChange { uri: uri(), ..DownloadChange::default() }).unwrap();
    let _ = job.take_ownership(Uid::ROOT, NOW).unwrap();
    let download = job.download.as_deref().unwrap();
    assert_eq!((&download.login, &download.path), (&None, &None));
    assert_eq!(download.new_file(), Err(codes::DO_E_FILE_DOWNLOADSINK_UNSPECIFIED));
    // Of one that has its file, that was looked at.
    let mut job = created();
    let _ = set(&mut job, DownloadChange { uri: uri(), ..DownloadChange::default() }).unwrap();
    let _ = start(&mut job, None).unwrap();
    let _ = job.take_ownership(Uid::ROOT, NOW).unwrap();
    let download = job.download.as_deref().unwrap();
    assert_eq!((&download.login, download.path.as_deref()), (&None, Some("/d/f")));
    assert_eq!(job.files[0].login, None);
}

/// DownloadSinkFilePath (5.3): while the job is suspended and the file was not begun.
#[test]
fn the_path_of_a_file() {
    let change = |path: &str| FileChange { path: Some(path.to_owned()), ..FileChange::default() };
    let mut job = bare();
    job.download = None;
    let new = NewFile { remote: "http://h/f".into(), ..NewFile::default() };
    let _ = job.add_files(vec![new], None, NOW).unwrap();
    assert_eq!(job.resume(NOW), Err(codes::DO_E_LOCALPATH_NOT_SET));
    assert_eq!(job.set_file(1, change("/d/f"), NOW), Err(h::BG_E_FILE_NOT_FOUND));
    assert!(job.set_file(0, FileChange::default(), NOW).is_ok());
    assert!(job.set_file(0, change("/d/f"), NOW).is_ok());
    assert!(job.set_file(0, change("/d/g"), NOW).is_ok(), "until it is begun");
    assert_eq!(&*job.files[0].local, "/d/g");
    assert!(job.resume(NOW).is_ok());
    assert_eq!(job.set_file(0, change("/d/h"), NOW), Err(h::BG_E_INVALID_STATE));
    let _ = job.suspend(NOW).unwrap();
    job.files[0].begun = true;
    assert_eq!(job.set_file(0, change("/d/h"), NOW), Err(h::BG_E_INVALID_STATE));
    job.extras = None;
    assert_eq!(job.set_file(0, change("/d/h"), NOW), Err(h::E_NOTIMPL), "jobs of BITS have their paths");
    let new = NewFile { remote: "http://h/f".into(), ..NewFile::default() };
    assert_eq!(job.add_files(vec![new], None, NOW), Err(h::E_INVALIDARG));
}

/// Ready is what has every byte of every range of the Start, whatever was asked for last.
#[test]
fn is_ready_when_all_ranges_are_there() {
    for (pairs, size, there, ready) in [
        (&[(0, 100)][..], Some(1000), &[(0, 100)][..], true),
        (&[(0, 100)], None, &[(0, 100)], true),
        (&[(0, 100)], Some(1000), &[(0, 99)], false),
        (&[(0, 100)], Some(1000), &[], false),
        (&[(0, 100), (200, 100)], Some(1000), &[(200, 300)], false),
        (&[(0, 100), (200, 100)], Some(1000), &[(0, 100), (200, 300)], true),
        (&[(500, EOF)], Some(1000), &[(500, 1000)], true),
        (&[(500, EOF)], Some(1001), &[(500, 1000)], false),
        (&[(500, EOF)], None, &[(500, 1000)], false),
        // Outside of the file that there is now.
        (&[(500, EOF)], Some(400), &[(0, 400)], false),
        (&[(0, 500)], Some(400), &[(0, 400)], false),
    ] {
        let mut job = begun(pairs, 0);
        let file = &mut job.files[0];
        (file.size, file.done) = (size, there.iter().map(|&(from, to)| from..to).collect());
        file.requested.clear();
        assert_eq!(job.is_ready(&job.files[0]), ready, "{pairs:?} of {size:?} with {there:?}");
        assert_eq!(job.lacks_ranges(), !ready);
        job.state = JobState::Suspended;
        let expected = if ready { State::Transferred } else { State::Paused };
        assert_eq!(status(&job).unwrap().state, expected);
    }
    let whole = begun(&[], 1000);
    assert!(!whole.is_ready(&whole.files[0]) && !whole.lacks_ranges());
}

/// Resume goes on with the ranges of the Start, also if the service forgot them.
#[test]
fn resume_asks_again_for_what_was_forgotten() {
    for state in [JobState::Suspended, JobState::TransientError, JobState::Error] {
        let mut job = begun(&[(0, 100), (500, EOF)], 100);
        (job.state, job.error) = (state, failed(h::BG_E_INVALID_RANGE));
        job.files[0].requested.clear();
        let _ = job.resume(NOW).unwrap();
        assert_eq!((job.state, &job.files[0].requested), (JobState::Queued, &ranges(&[(500, 500)])));
        // All of it is there: nothing is asked for.
        let mut job = begun(&[(0, 100)], 100);
        job.state = state;
        let _ = job.resume(NOW).unwrap();
        assert_eq!((job.state, job.files[0].requested.len()), (JobState::Suspended, 0));
    }
}

/// Ranges cannot be checked, and nothing is delivered unchecked that has to be checked.
#[test]
fn ranges_of_a_file_that_has_to_be_checked() {
    let info = r#"{"PiecesHashFileUrl":"http://h/p"}"#.to_owned();
    for (mandatory, pairs, expected) in [
        (true, &[(0, 1000)][..], Err(codes::DO_E_INTEGRITYCHECKINFO_UNAVAILABLE)),
        (true, &[(5, EOF)], Err(codes::DO_E_INTEGRITYCHECKINFO_UNAVAILABLE)),
        (true, &[(0, EOF)], Ok(())),
        (true, &[], Ok(())),
        (false, &[(0, 1000)], Ok(())),
    ] {
        let change = DownloadChange {
            integrity: Some(info.clone()),
            integrity_mandatory: Some(mandatory),
            ..DownloadChange::default()
        };
        let mut job = created();
        let _ = set(&mut job, change).unwrap();
        let before = job.clone();
        assert_eq!(start(&mut job, Some(pairs)).map(drop), expected, "{mandatory} {pairs:?}");
        if expected.is_err() {
            assert_eq!(job, before);
            let _ = start(&mut job, None).unwrap();
            let _ = job.suspend(NOW).unwrap();
            let before = job.clone();
            assert_eq!(start(&mut job, Some(pairs)).map(drop), expected, "later");
            assert_eq!(job, before);
        }
    }
}

/// The file of the first Start was looked at; what was set meanwhile was not.
#[test]
fn a_file_that_is_not_the_one_described_by_now() {
    let none = DownloadChange::default;
    for change in [
        DownloadChange { uri: Some(("http://h/g".into(), None)), ..none() },
        DownloadChange { uri: Some(("http://h/f".into(), Some(Sealed::new("s".to_owned())))), ..none() },
        DownloadChange { uri: Some((String::new(), None)), ..none() },
        DownloadChange { path: Some("/d/g".into()), ..none() },
        DownloadChange { total_size: Some(5), ..none() },
        DownloadChange { integrity: Some(r#"{"PiecesHashFileUrl":"http://h/p"}"#.into()), ..none() },
        DownloadChange { integrity_mandatory: Some(true), ..none() },
    ] {
        let mut job = created();
        let file = job.download.as_deref().unwrap().new_file().ok();
        let _ = set(&mut job, change.clone()).unwrap();
        let before = job.clone();
        assert_eq!(job.start_download(file, None, 500, NOW), Err(codes::DO_E_INVALID_STATE), "{change:?}");
        assert_eq!(job, before);
    }
    let mut job = created();
    let file = job.download.as_deref().unwrap().new_file().ok();
    let _ = set(&mut job, DownloadChange { blocking: Some(true), ..none() }).unwrap();
    assert!(job.start_download(file, None, 500, NOW).is_ok(), "nothing of the file");
}

/// Every property of a file of the first generation is for a suspended job, and in force from its Resume on (5.3).
#[test]
fn properties_of_a_file_while_the_job_is_suspended() {
    let none = FileChange::default;
    let info = r#"{"PiecesHashFileUrl":"http://h/p"}"#;
    for change in [
        FileChange { path: Some("/d/g".into()), ..none() },
        FileChange { size: Some(5), ..none() },
        FileChange { info: Some(info.into()), ..none() },
        FileChange { mandatory: Some(true), ..none() },
    ] {
        for state in [JobState::Queued, JobState::Transferring, JobState::TransientError, JobState::Error] {
            let mut job = bare();
            job.download = None;
            let new = NewFile { remote: "http://h/f".into(), local: "/d/f".into(), ..NewFile::default() };
            let _ = job.add_files(vec![new], None, NOW).unwrap();
            job.state = state;
            let before = job.clone();
            assert_eq!(job.set_file(0, change.clone(), NOW), Err(h::BG_E_INVALID_STATE), "{state:?}");
            assert_eq!(job, before);
            job.state = JobState::Suspended;
            assert!(job.set_file(0, change.clone(), NOW).is_ok(), "{change:?}");
            let places: Vec<&str> = job.files[0].expect().locations().collect();
            let expected = if change.info.is_some() { &["http://h/p"][..] } else { &[] };
            assert_eq!(places, expected, "the policy sees where the digests come from");
        }
    }
}

/// An empty text takes the check back, and with it the piece hash file that the worker would fetch.
#[test]
fn the_check_of_a_file_is_taken_back() {
    let mut job = bare();
    job.download = None;
    let new = NewFile { remote: "http://h/f".into(), local: "/d/f".into(), ..NewFile::default() };
    let _ = job.add_files(vec![new], None, NOW).unwrap();
    let info = |text: &str| FileChange { info: Some(text.to_owned()), ..FileChange::default() };
    let _ = job.set_file(0, info(r#"{"PiecesHashFileUrl":"http://h/p"}"#), NOW).unwrap();
    assert!(job.files[0].expect().piece_file.is_some());
    let _ = job.set_file(0, info(""), NOW).unwrap();
    assert_eq!(job.files[0].expect().piece_file, None);
    assert!(job.resume(NOW).is_ok());
    assert_eq!(job.files[0].expect().piece_file, None, "nor does Resume bring it back");
}
