//! Downloads of IDOManager and jobs of Delivery Optimization in the queue (spec/delivery-optimization-com.md 3, 4 and 5).

use super::world::{ALICE, BOB, Plan, ROOT, SIZE, Workers, World, file};
use crate::caller::Caller;
use crate::delivery::codes;
use crate::delivery::download::{State, Status, status};
use crate::enums::{JobState, JobType, Priority};
use crate::gate::Machine;
use crate::hresult::{self as h, HResult, S_OK};
use crate::id::JobId;
use crate::job::delivery::RETENTION_S;
use crate::job::download::{NAME, TEXT_MAX, usual_cost_flags};
use crate::job::http::security;
use crate::job::property::Property;
use crate::job::{
    Delivery, Dialect, Download, DownloadCall, DownloadChange, Extras, FileChange, NewFile, Setting,
};
use crate::layout::FileRange;
use crate::queue::{Call, CallbackKind, Category, FileReport, NewJob, NoticeKind, Reason};
use crate::range_set::RangeSet;

const DAY_S: u64 = 86_400;
const BUSY: HResult = h::BG_E_HTTP_ERROR_503;
const GONE: HResult = h::BG_E_HTTP_ERROR_404;

fn properties() -> DownloadChange {
    DownloadChange {
        uri: Some(("http://h/f".into(), None)),
        path: Some("/d/f".into()),
        ..DownloadChange::default()
    }
}

impl World {
    pub(super) fn dialect_job(
        &mut self,
        caller: Caller,
        change: impl FnOnce(&mut NewJob),
    ) -> Result<JobId, HResult> {
        let mut new = self.plan(&Plan { files: 0, resume: false, ..Plan::default() });
        new.extras.dialect = Dialect::DeliveryOptimization;
        change(&mut new);
        let result = self.q.create(caller, new, self.now).map_err(|failure| failure.code);
        self.drain();
        result
    }

    pub(super) fn download_of(&mut self, caller: Caller) -> JobId {
        let bare = |new: &mut NewJob| {
            (new.display_name, new.properties) = (NAME.to_owned(), Vec::new());
            new.download = Some(Box::default());
        };
        self.dialect_job(caller, bare).expect("created")
    }

    /// One of Alice's, with what Start needs.
    pub(super) fn download(&mut self) -> JobId {
        let id = self.download_of(ALICE);
        self.set_download(ALICE, id, properties()).expect("set");
        id
    }

    fn download_call(&mut self, caller: Caller, id: JobId, call: DownloadCall) -> Result<HResult, HResult> {
        self.call(caller, id, Call::Download(call)).map_err(codes::of_bits)
    }

    pub(super) fn set_download(
        &mut self,
        caller: Caller,
        id: JobId,
        change: DownloadChange,
    ) -> Result<HResult, HResult> {
        self.download_call(caller, id, DownloadCall::Set(Box::new(change)))
    }

    /// Start, with the file that the door has looked at.
    pub(super) fn begin_download(
        &mut self,
        id: JobId,
        ranges: Option<&[(u64, u64)]>,
    ) -> Result<HResult, HResult> {
        let first = self.job(id).files.is_empty();
        let file = self.job(id).download.as_deref().filter(|_| first).map(Download::new_file);
        let file = file.and_then(Result::ok).map(Box::new);
        let range = |&(offset, length): &(u64, u64)| FileRange::new(offset, length);
        let ranges = ranges.map(|ranges| ranges.iter().map(range).collect());
        self.download_call(ALICE, id, DownloadCall::Start(file, ranges))
    }

    fn pause_download(&mut self, id: JobId) -> Result<HResult, HResult> {
        self.call(ALICE, id, Call::Suspend).map_err(codes::of_bits)
    }

    pub(super) fn told(&self, id: JobId) -> Status {
        status(self.job(id)).expect("a download")
    }

    pub(super) fn told_state(&self, id: JobId) -> (State, HResult, HResult) {
        let Status { state, error, extended, .. } = self.told(id);
        (state, error, extended)
    }

    /// The worker brings exactly what is asked for.
    fn fill(&mut self, id: JobId) {
        self.connect(id);
        let attempt = self.attempt(id).expect("a worker has it");
        let file = &self.job(id).files[0];
        let mut done = file.done.clone();
        let requested: Vec<_> = file.requested.iter().map(|range| range.within(Some(SIZE))).collect();
        match requested.is_empty() {
            true => done.insert(0..SIZE),
            false => done.extend_with(requested),
        }
        let finished = done.contains(0..SIZE);
        let report = FileReport { size: Some(SIZE), done, finished, ..FileReport::default() };
        self.q.on_checkpoint(id, attempt, vec![report], self.now);
        self.drain();
        self.done(id);
    }

    fn enumerate(&self, caller: Caller, category: Option<Category>) -> Vec<JobId> {
        self.q.downloads(caller, category.as_ref())
    }

    fn network_up(&mut self, network: bool) {
        let machine = Machine { network, ..self.q.machine().clone() };
        self.q.set_machine(machine, self.now);
        self.drain();
    }
}

/// The rows of 4.3.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Row {
    Created,
    Transferring,
    PausedByClient,
    PausedByTrouble,
    PausedByError,
    Transferred,
    TransferredRanges,
    Finalized,
    Aborted,
}

impl Row {
    const ALL: [Self; 9] = [
        Self::Created,
        Self::Transferring,
        Self::PausedByClient,
        Self::PausedByTrouble,
        Self::PausedByError,
        Self::Transferred,
        Self::TransferredRanges,
        Self::Finalized,
        Self::Aborted,
    ];

    /// State, Error, ExtendedError.
    const fn told(self) -> (State, HResult, HResult) {
        match self {
            Self::Created => (State::Created, S_OK, S_OK),
            Self::Transferring => (State::Transferring, S_OK, S_OK),
            Self::PausedByClient => (State::Paused, S_OK, S_OK),
            Self::PausedByTrouble => (State::Paused, S_OK, BUSY),
            Self::PausedByError => (State::Paused, GONE, S_OK),
            Self::Transferred | Self::TransferredRanges => (State::Transferred, S_OK, S_OK),
            Self::Finalized => (State::Finalized, S_OK, S_OK),
            Self::Aborted => (State::Aborted, S_OK, S_OK),
        }
    }

    fn make(self, w: &mut World) -> JobId {
        let id = w.download();
        if self == Self::Created {
            return id;
        }
        let ranges = (self == Self::TransferredRanges).then_some(&[(0, 100), (200, 50)][..]);
        assert_eq!(w.begin_download(id, ranges), Ok(S_OK));
        match self {
            Self::Created | Self::Transferring => {}
            Self::PausedByClient => w.pause_download(id).map(|_| ()).unwrap(),
            Self::PausedByTrouble => w.fail(id, BUSY, Some(0)),
            Self::PausedByError => w.fail(id, GONE, None),
            Self::Transferred | Self::TransferredRanges => w.fill(id),
            Self::Finalized => {
                w.fill(id);
                w.download_call(ALICE, id, DownloadCall::Finalize).map(|_| ()).unwrap();
            }
            Self::Aborted => w.download_call(ALICE, id, DownloadCall::Abort).map(|_| ()).unwrap(),
        }
        assert_eq!(w.told_state(id), self.told(), "{self:?}");
        id
    }
}

/// 4.3: every row, every column of a call.
#[test]
fn calls_in_every_state() {
    const INVALID: HResult = codes::DO_E_INVALID_STATE;
    type Act = fn(&mut World, JobId) -> Result<HResult, HResult>;
    let start: Act = |w, id| w.begin_download(id, None);
    let ranges: Act = |w, id| w.begin_download(id, Some(&[(500, 10)]));
    let pause: Act = |w, id| w.pause_download(id);
    let abort: Act = |w, id| w.download_call(ALICE, id, DownloadCall::Abort);
    let finalize: Act = |w, id| w.download_call(ALICE, id, DownloadCall::Finalize);
    // State after Start(NULL), Start(ranges), Pause, Abort, Finalize; `None`: refused, and nothing changes.
    let (moves, over) = (Some(State::Transferring), Some(State::Aborted));
    for (row, expected) in [
        (Row::Created, [moves, moves, Some(State::Created), over, None]),
        (Row::Transferring, [moves, moves, Some(State::Paused), over, None]),
        (Row::PausedByClient, [moves, moves, Some(State::Paused), over, None]),
        (Row::PausedByTrouble, [moves, moves, Some(State::Paused), over, None]),
        (Row::PausedByError, [moves, moves, Some(State::Paused), over, None]),
        (
            Row::Transferred,
            // Of the whole file every range is there.
            [
                Some(State::Transferred),
                Some(State::Transferred),
                Some(State::Transferred),
                over,
                Some(State::Finalized),
            ],
        ),
        (
            Row::TransferredRanges,
            [Some(State::Transferred), moves, Some(State::Transferred), over, Some(State::Finalized)],
        ),
        (Row::Finalized, [None; 5]),
        (Row::Aborted, [None; 5]),
    ] {
        let calls = [start, ranges, pause, abort, finalize];
        for ((name, act), after) in
            ["Start(NULL)", "Start", "Pause", "Abort", "Finalize"].into_iter().zip(calls).zip(expected)
        {
            let mut w = World::new();
            let id = row.make(&mut w);
            let result = act(&mut w, id);
            match after {
                Some(state) => {
                    assert_eq!((result, w.told(id).state), (Ok(S_OK), state), "{row:?}, {name}");
                }
                None => {
                    assert_eq!((result, w.told_state(id)), (Err(INVALID), row.told()), "{row:?}, {name}");
                }
            }
        }
    }
    assert_eq!(Row::ALL.len(), 9);
}

/// What a Pause says of a download that was not moving (4.1): its own pause, or still the error.
#[test]
fn a_pause_takes_the_place_of_trouble_but_not_of_an_error() {
    for (row, told) in [
        (Row::PausedByTrouble, Row::PausedByClient.told()),
        (Row::PausedByError, Row::PausedByError.told()),
        (Row::Transferred, Row::Transferred.told()),
        (Row::Created, Row::Created.told()),
    ] {
        let mut w = World::new();
        let id = row.make(&mut w);
        assert_eq!(w.pause_download(id), Ok(S_OK));
        assert_eq!(w.told_state(id), told, "{row:?}");
        w.pass(3_599);
        assert_eq!(w.told_state(id), told, "{row:?}: nothing goes on by itself");
    }
}

/// 4.3: the columns of events.
#[test]
fn events_of_a_transfer() {
    let mut w = World::new();
    let id = Row::PausedByTrouble.make(&mut w);
    w.pass(29);
    assert_eq!(w.told_state(id), Row::PausedByTrouble.told());
    w.pass(1);
    assert_eq!(w.told(id).state, State::Transferring, "it ends by itself");
    // No network: transient, with a code of the transient kind, and it ends by itself.
    w.network_up(false);
    assert_eq!(w.told_state(id), (State::Paused, S_OK, codes::DO_E_BLOCKED_BY_NO_NETWORK));
    w.network_up(true);
    assert_eq!(w.told_state(id), (State::Transferring, S_OK, S_OK));
    w.fill(id);
    assert_eq!(
        w.told(id),
        Status { state: State::Transferred, total: SIZE, transferred: SIZE, error: S_OK, extended: S_OK }
    );
    // Before the first byte as well.
    w.network_up(false);
    let late = w.download();
    assert_eq!(w.begin_download(late, None), Ok(S_OK));
    assert_eq!(w.told_state(late), (State::Paused, S_OK, codes::DO_E_BLOCKED_BY_NO_NETWORK));
    assert_eq!(w.begin_download(late, None), Ok(S_OK));
    assert_eq!(w.told(late).state, State::Paused, "the gate is closed");
}

/// 5.2: the timer begins with the first trouble, and its end is an error. A Start begins a new period.
#[test]
fn no_progress_is_an_error() {
    let mut w = World::new();
    let id = w.download();
    let short = DownloadChange { no_progress_s: Some(60), ..DownloadChange::default() };
    w.set_download(ALICE, id, short).unwrap();
    for _ in 0..2 {
        w.begin_download(id, None).unwrap();
        for _ in 0..2 {
            w.fail(id, BUSY, Some(0));
            w.pass(29);
            assert_eq!(w.told_state(id), Row::PausedByTrouble.told());
            w.pass(1);
        }
        assert_eq!(w.told_state(id), (State::Paused, codes::DO_E_DOWNLOAD_NO_PROGRESS, BUSY));
    }
    w.begin_download(id, None).unwrap();
    w.fill(id);
    assert_eq!(w.told_state(id), Row::Transferred.told());
}

#[test]
fn ranges_count_and_follow_each_other() {
    let mut w = World::new();
    let id = w.download();
    let counts = |w: &World| (w.told(id).state, w.told(id).total, w.told(id).transferred);
    w.begin_download(id, Some(&[(0, 100), (200, 50)])).unwrap();
    assert_eq!(counts(&w), (State::Transferring, 150, 0));
    w.fill(id);
    assert_eq!(counts(&w), (State::Transferred, 150, 150));
    // Another portion, of which a part is there.
    w.begin_download(id, Some(&[(50, 100)])).unwrap();
    assert_eq!(counts(&w), (State::Transferring, 100, 50));
    assert_eq!(w.job(id).files[0].requested, [FileRange::new(100, 50)]);
    w.fill(id);
    assert_eq!(counts(&w), (State::Transferred, 100, 100));
    // One that is there already.
    w.begin_download(id, Some(&[(10, 5)])).unwrap();
    assert_eq!(counts(&w), (State::Transferred, 5, 5));
    // The same after the service was killed.
    w.set_download(ALICE, id, DownloadChange { non_volatile: Some(true), ..DownloadChange::default() })
        .unwrap();
    w.crash();
    assert_eq!(counts(&w), (State::Transferred, 5, 5));
    // All the rest; then any range of it.
    w.begin_download(id, Some(&[])).unwrap();
    assert_eq!(counts(&w), (State::Transferring, SIZE, 200));
    w.fill(id);
    assert_eq!(counts(&w), (State::Transferred, SIZE, SIZE));
    w.begin_download(id, Some(&[(900, 100)])).unwrap();
    assert_eq!(counts(&w), (State::Transferred, 100, 100));
    assert_eq!(w.begin_download(id, Some(&[(900, 101)])), Err(codes::DO_E_INVALID_RANGE));
    w.download_call(ALICE, id, DownloadCall::Finalize).unwrap();
    assert_eq!(w.told(id).state, State::Finalized);
}

/// A server without it: an error that Start(NULL) may try again, with what was asked for.
#[test]
fn ranges_that_cannot_be_had() {
    let mut w = World::new();
    let id = w.download();
    for (code, told) in [
        (h::BG_E_INSUFFICIENT_RANGE_SUPPORT, codes::DO_E_INSUFFICIENT_RANGE_SUPPORT),
        (h::BG_E_INVALID_RANGE, codes::DO_E_INVALID_RANGE),
    ] {
        w.begin_download(id, Some(&[(10, 10)])).unwrap();
        let attempt = w.attempt(id).unwrap();
        w.attempts.remove(&attempt);
        let mut error =
            crate::job::ErrorRecord::new(code, crate::enums::ErrorContext::RemoteFile, w.now.wall);
        error.file = Some(0);
        w.q.on_failed(id, attempt, error, None, w.now);
        w.drain();
        assert_eq!(w.told_state(id), (State::Paused, told, S_OK));
        w.begin_download(id, None).unwrap();
        assert_eq!(w.told_state(id), (State::Transferring, S_OK, S_OK));
        assert_eq!(w.job(id).files[0].requested, [FileRange::new(10, 10)]);
        w.pause_download(id).unwrap();
    }
}

/// 3: by each property; only one's own, only while they are not over, the oldest first.
#[test]
fn enumerations() {
    let mut w = World::new();
    assert_eq!(w.enumerate(ALICE, None), []);
    w.job_at(Priority::Normal);
    let first = w.download();
    w.pass(1);
    let second = w.download_of(ALICE);
    let change = DownloadChange {
        uri: Some(("http://h/g".into(), None)),
        content_id: Some("Content".into()),
        display_name: Some("Name".into()),
        path: Some("/d/g".into()),
        ..DownloadChange::default()
    };
    w.set_download(ALICE, second, change).unwrap();
    let other = w.download_of(BOB);
    assert_eq!(w.enumerate(ALICE, None), [first, second]);
    assert_eq!(w.enumerate(BOB, None), [other]);
    assert_eq!(w.enumerate(ROOT, None), [], "of the same caller");
    let upper = format!("{{{}}}", second.to_string().to_uppercase());
    type Make = fn(String) -> Category;
    let found: [(Make, &str, &str); 5] = [
        (Category::Id, &upper, "{00000000-0000-0000-0000-000000000001}"),
        (Category::Uri, "http://h/g", "http://H/g"),
        (Category::ContentId, "Content", "content"),
        (Category::DisplayName, "Name", "name"),
        (Category::LocalPath, "/d/g", "/D/g"),
    ];
    for (category, value, nothing) in found {
        assert_eq!(w.enumerate(ALICE, Some(category(value.to_owned()))), [second], "{value}");
        for nothing in [nothing, "", "Delivery Optimization"] {
            assert_eq!(w.enumerate(ALICE, Some(category(nothing.to_owned()))), [], "{nothing}");
        }
    }
    assert_eq!(w.enumerate(ALICE, Some(Category::Uri("http://u:p@h/g".into()))), [second], "kept without");
    // The file of a stream's client is not its LocalPath.
    let stream = DownloadChange { stream: Some(true), ..DownloadChange::default() };
    w.set_download(ALICE, second, stream).unwrap();
    assert_eq!(w.enumerate(ALICE, Some(Category::LocalPath("/d/g".into()))), []);
    w.download_call(ALICE, second, DownloadCall::Abort).unwrap();
    w.begin_download(first, None).unwrap();
    w.fill(first);
    assert_eq!(w.enumerate(ALICE, None), [first], "transferred is not over");
    w.download_call(ALICE, first, DownloadCall::Finalize).unwrap();
    assert_eq!(w.enumerate(ALICE, None), []);
}

/// Only the creator or an administrator; what is the owner's alone, only he.
#[test]
fn rights() {
    let mut w = World::new();
    let id = w.download();
    let denied = Err(h::E_ACCESSDENIED);
    let change = || DownloadChange { blocking: Some(true), ..DownloadChange::default() };
    let headers =
        || DownloadChange { properties: vec![Property::HeadersWriteOnly], ..DownloadChange::default() };
    assert_eq!(w.set_download(BOB, id, change()), denied);
    assert_eq!(w.download_call(BOB, id, DownloadCall::Start(None, None)), denied);
    assert_eq!(w.call(BOB, id, Call::Suspend), denied);
    assert_eq!(w.download_call(BOB, id, DownloadCall::Finalize), denied);
    assert_eq!(w.download_call(BOB, id, DownloadCall::Abort), denied);
    assert_eq!(w.set_download(ROOT, id, change()), Ok(S_OK));
    assert_eq!(w.set_download(ROOT, id, headers()), denied);
    assert_eq!(w.download_call(ROOT, id, DownloadCall::Abort), Ok(S_OK));
    // Calls of downloads are for downloads, and the other way round.
    let job = w.job_at(Priority::Normal);
    assert_eq!(w.set_download(ALICE, job, change()), Err(codes::DO_E_JOB_NOT_FOUND));
    assert_eq!(w.download_call(ALICE, job, DownloadCall::Abort), Err(codes::DO_E_JOB_NOT_FOUND));
    let id = w.download();
    assert_eq!(w.call(ALICE, id, Call::AddFiles(vec![file(1)])), Err(h::E_NOTIMPL));
    let path =
        Call::SetFile { file: 0, change: FileChange { path: Some("/d/x".into()), ..FileChange::default() } };
    assert_eq!(w.call(ALICE, id, path), Err(h::E_NOTIMPL));
}

/// 4.7: the second download to the path of a paused one aborts it.
#[test]
fn a_second_download_to_the_same_path() {
    for (row, after) in [
        (Row::PausedByClient, State::Aborted),
        (Row::PausedByTrouble, State::Aborted),
        (Row::PausedByError, State::Aborted),
        (Row::Created, State::Created),
        (Row::Transferring, State::Transferring),
        (Row::Transferred, State::Transferred),
    ] {
        let mut w = World::new();
        let first = row.make(&mut w);
        let elsewhere = w.download();
        let path = DownloadChange { path: Some("/d/elsewhere".into()), ..DownloadChange::default() };
        w.set_download(ALICE, elsewhere, path).unwrap();
        w.begin_download(elsewhere, None).unwrap();
        assert_eq!(w.told_state(first), row.told(), "{row:?}: another path");
        let second = w.download();
        assert_eq!(w.told_state(first), row.told(), "{row:?}: it has not begun");
        w.begin_download(second, None).unwrap();
        assert_eq!(w.told(first).state, after, "{row:?}");
        w.fill(second);
        assert_eq!(w.told(second).state, State::Transferred);
    }
    // Nobody's but his own.
    let mut w = World::new();
    let first = Row::PausedByClient.make(&mut w);
    let second = w.download_of(BOB);
    w.set_download(BOB, second, properties()).unwrap();
    let file = w.job(second).download.as_deref().unwrap().new_file().unwrap();
    w.download_call(BOB, second, DownloadCall::Start(Some(Box::new(file)), None)).unwrap();
    assert_eq!(w.told(first).state, State::Paused);
}

/// NonVolatile: what was not asked to be kept ends with the service, with its temporary file.
#[test]
fn volatile_downloads_end_with_the_service() {
    for row in Row::ALL {
        let mut w = World::new();
        let id = row.make(&mut w);
        let kept = w.download();
        let keep = DownloadChange { non_volatile: Some(true), ..DownloadChange::default() };
        w.set_download(ALICE, kept, keep).unwrap();
        let job = w.job_at(Priority::Normal);
        let generation_a = w.dialect_job(ALICE, |_| ()).unwrap();
        let over = matches!(row, Row::Finalized | Row::Aborted);
        let begun = !over && w.job(id).files.first().is_some_and(|file| file.begun);
        w.crash_stopped();
        w.workers = Workers::Manual;
        w.q.drop_volatile(w.now);
        w.started.clear();
        w.start();
        assert!(!w.started.contains(&id), "{row:?}: nothing of it is fetched any more");
        assert_eq!(w.enumerate(ALICE, None), [kept], "{row:?}");
        assert_eq!(w.q.own_jobs(ALICE.uid, None).count(), 3, "{row:?}: {job} and {generation_a} stay");
        let removed = w.file_work(id).map(|(_, work)| work.plan.remove);
        assert_eq!(removed, begun.then(|| vec![0]), "{row:?}");
        w.workers = Workers::Prompt;
        w.answer_promptly();
        if !over {
            assert_eq!(w.told(id).state, State::Aborted, "{row:?}");
        }
    }
}

/// A default of its own, and one that does not go with the level of a policy.
#[test]
fn a_download_begins_with_all_its_properties_or_not_at_all() {
    let mut w = World::new();
    let create = |w: &mut World, change: DownloadChange| {
        w.dialect_job(ALICE, |new| {
            (new.display_name, new.properties) = (NAME.to_owned(), Vec::new());
            new.download = Some(Box::new(change));
        })
    };
    let all = DownloadChange {
        display_name: Some("named".to_owned()),
        foreground: Some(true),
        non_volatile: Some(true),
        no_progress_s: Some(90),
        ..properties()
    };
    let id = create(&mut w, all.clone()).unwrap();
    let job = w.job(id);
    assert_eq!(
        (&*job.display_name, job.priority, job.no_progress_timeout_s),
        ("named", Priority::Foreground, 90)
    );
    assert_eq!(job.options().cost_flags, Some(usual_cost_flags(Priority::Foreground)));
    let record = job.download.as_deref().unwrap();
    assert_eq!((record.uri.as_deref(), record.path.as_deref()), (Some("http://h/f"), Some("/d/f")));
    assert!(!record.is_volatile());
    assert_eq!(w.told_state(id), (State::Created, S_OK, S_OK));
    let before = w.q.count(None);
    assert_eq!(create(&mut w, DownloadChange { no_progress_s: Some(59), ..all }), Err(h::E_INVALIDARG));
    assert_eq!(w.q.count(None), before);
}

#[test]
fn a_new_download_has_the_defaults_of_the_interface() {
    let mut w = World::new();
    let id = w.download_of(ALICE);
    let job = w.job(id);
    assert_eq!((job.priority, job.no_progress_timeout_s), (Priority::Normal, 86_400));
    assert_eq!((job.options().cost_flags, &*job.display_name), (Some(0x8000_0067), NAME));
    assert_eq!((w.told_state(id), w.told(id).total), (Row::Created.told(), 0));
    assert_eq!(w.begin_download(id, None), Err(h::E_UNEXPECTED), "the door says what is missing");
    let other = DownloadChange { uri: Some(("ftp://h/f".into(), None)), ..DownloadChange::default() };
    assert_eq!(w.set_download(ALICE, id, other), Err(h::E_INVALIDARG));
}

/// Another URL for a download that moves is refused, and one that waits takes it in its turn.
#[test]
fn another_url() {
    let url = |text: &str| DownloadChange { uri: Some((text.to_owned(), None)), ..DownloadChange::default() };
    for row in Row::ALL {
        let mut w = World::new();
        let id = row.make(&mut w);
        let paused = row.told().0 == State::Paused;
        let expected = match row {
            Row::Created => Ok(S_OK),
            _ if paused => Ok(S_OK),
            _ => Err(codes::DO_E_INVALID_STATE),
        };
        assert_eq!(w.set_download(ALICE, id, url("http://h/g")), expected, "{row:?}");
        assert_eq!(w.told_state(id), row.told(), "{row:?}");
        if paused {
            assert_eq!(&*w.job(id).files[0].remote, "http://h/g");
            assert_eq!(w.set_download(ALICE, id, url("")), Err(h::E_INVALIDARG));
            w.begin_download(id, None).unwrap();
            assert_eq!(w.told(id).state, State::Transferring, "{row:?}");
        }
    }
}

/// What an unchecked server sent is not believed any more (spec/bits-extended.md 9.1.5); ranges are asked for again.
#[test]
fn revocation_is_checked_from_now_on() {
    let check = || DownloadChange { security_flags: Some(1), ..DownloadChange::default() };
    let mut w = World::new();
    let id = w.download();
    w.begin_download(id, Some(&[(0, 100), (200, 50)])).unwrap();
    w.connect(id);
    let attempt = w.attempt(id).unwrap();
    let report = FileReport { size: Some(SIZE), done: RangeSet::prefix(100), ..FileReport::default() };
    w.q.on_checkpoint(id, attempt, vec![report], w.now);
    w.drain();
    assert_eq!(w.told(id).transferred, 100);
    w.set_download(ALICE, id, check()).unwrap();
    assert_eq!((w.told(id).state, w.told(id).transferred), (State::Transferring, 0));
    assert_eq!(w.job(id).security_flags(), security::CRL_CHECK);
    let asked: RangeSet = w.job(id).files[0].requested.iter().map(|r| r.within(None)).collect();
    assert_eq!(asked, [0..100, 200..250].into_iter().collect());
    w.fill(id);
    assert_eq!((w.told(id).state, w.told(id).transferred), (State::Transferred, 150));
}

/// 5.2: several jobs of any level run at once, and nobody of BITS waits for them.
#[test]
fn background_jobs_of_the_dialect_run_at_once() {
    let mut w = World::new();
    let ids: Vec<JobId> = [Priority::High, Priority::Normal, Priority::Low, Priority::Normal]
        .into_iter()
        .map(|priority| {
            let fill = |new: &mut NewJob| {
                new.properties = vec![Property::Priority(priority.value().into())];
                (new.files, new.resume) = (vec![file(1)], true);
            };
            w.dialect_job(ALICE, fill).unwrap()
        })
        .collect();
    let bits = [w.job_at(Priority::Normal), w.job_at(Priority::Normal)];
    let download = Row::Transferring.make(&mut w);
    assert!(ids.iter().chain([&download]).all(|id| w.is_running(*id)));
    assert_eq!(bits.map(|id| w.is_running(id)), [true, false]);
    assert_eq!(w.reason(bits[1]), Reason::WaitsForTurn);
    w.pass(600);
    assert!(ids.iter().all(|id| w.is_running(*id)), "nor do their turns end");
    // A change of the level changes nothing of it.
    w.set_priority(ids[0], Priority::Foreground);
    w.set_priority(ids[1], Priority::Low);
    assert!(ids.iter().all(|id| w.is_running(*id)));
}

/// 5.2, the defaults of each level; one that was set stays.
#[test]
fn no_progress_of_jobs_by_level() {
    let mut w = World::new();
    for priority in Priority::ALL {
        let expected = if *priority == Priority::Foreground { 3_600 } else { 86_400 };
        let level = vec![Property::Priority(priority.value().into())];
        let id = w.dialect_job(ALICE, |new| new.properties = level).unwrap();
        assert_eq!(w.job(id).no_progress_timeout_s, expected, "{priority:?} from the beginning");
        w.set_priority(id, Priority::Foreground);
        assert_eq!(w.job(id).no_progress_timeout_s, 3_600);
        w.set_priority(id, *priority);
        assert_eq!(w.job(id).no_progress_timeout_s, expected, "{priority:?} later");
        w.set(id, Property::NoProgressTimeout(500)).unwrap();
        w.set_priority(id, Priority::Foreground);
        w.set_priority(id, Priority::Low);
        assert_eq!(w.job(id).no_progress_timeout_s, 500);
    }
    let bits = w.job_at(Priority::Normal);
    assert_eq!(w.job(bits).no_progress_timeout_s, 1_209_600);
}

/// 5.2: 30 days from creation, whatever happens; the agent's downloads from the last change, jobs of BITS by their policy.
#[test]
fn retention() {
    assert_eq!(RETENTION_S, 30 * DAY_S);
    let mut w = World::new();
    let fill = |new: &mut NewJob| new.files = vec![file(1)];
    let job = w.dialect_job(ALICE, fill).unwrap();
    let failed = w.dialect_job(ALICE, fill).unwrap();
    let transferred = w.dialect_job(ALICE, fill).unwrap();
    let download = w.download();
    let keep = DownloadChange { non_volatile: Some(true), ..DownloadChange::default() };
    w.set_download(ALICE, download, keep).unwrap();
    let agents = w.dialect_job(ALICE, |new| new.delivery = Some(Box::new(Delivery::default()))).unwrap();
    let bits = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    for id in [failed, transferred] {
        w.call(ALICE, id, Call::Resume).unwrap();
    }
    w.fail(failed, GONE, None);
    w.transfer(transferred);
    w.pass(29 * DAY_S);
    for id in [job, failed, transferred, agents, bits] {
        w.set(id, Property::Description("touched".into())).unwrap();
    }
    let touched = DownloadChange { content_id: Some("touched".into()), ..DownloadChange::default() };
    w.set_download(ALICE, download, touched).unwrap();
    w.pass(DAY_S - 1);
    assert_eq!(w.q.count(None), 6);
    w.pass(1);
    let cancelled = [job, failed, transferred, download];
    assert_eq!(w.states(&cancelled), [JobState::Cancelled; 4]);
    assert_eq!(w.told(download).state, State::Aborted);
    assert_eq!(w.states(&[agents, bits]), [JobState::Suspended; 2], "they were touched");
    w.pass(29 * DAY_S);
    assert_eq!(w.states(&[agents, bits]), [JobState::Cancelled, JobState::Suspended]);
}

/// One that a worker has is looked at again; its age goes on over a restart.
#[test]
fn retention_waits_for_a_worker() {
    let mut w = World::new();
    let fill = |new: &mut NewJob| (new.files, new.resume) = (vec![file(1)], true);
    let busy = w.dialect_job(ALICE, fill).unwrap();
    w.connect(busy);
    let idle = w.dialect_job(ALICE, |_| ()).unwrap();
    w.pass(20 * DAY_S);
    w.crash();
    w.connect(busy);
    w.pass(10 * DAY_S);
    assert_eq!(w.states(&[busy, idle]), [JobState::Transferring, JobState::Cancelled]);
    w.call(ALICE, busy, Call::Suspend).unwrap();
    w.pass(3_600);
    assert_eq!(w.state(busy), JobState::Cancelled);
}

/// 5.3: a file may come before its path; it is not resumed without.
#[test]
fn files_before_their_paths() {
    let mut w = World::new();
    let pathless = || NewFile { local: String::new(), ..file(1) };
    let job = w.dialect_job(ALICE, |new| new.files = vec![pathless()]).unwrap();
    w.call(ALICE, job, Call::AddFiles(vec![file(2), pathless()])).unwrap();
    assert_eq!(w.call(ALICE, job, Call::Resume), Err(codes::DO_E_LOCALPATH_NOT_SET));
    assert_eq!(w.state(job), JobState::Suspended);
    let path = |file, path: &str| Call::SetFile {
        file,
        change: FileChange { path: Some(path.into()), ..FileChange::default() },
    };
    assert_eq!(w.call(ALICE, job, path(0, "/d/a")), Ok(S_OK));
    assert_eq!(w.call(ALICE, job, Call::Resume), Err(codes::DO_E_LOCALPATH_NOT_SET));
    assert_eq!(w.call(BOB, job, path(2, "/d/b")), Err(h::E_ACCESSDENIED));
    assert_eq!(w.call(ALICE, job, path(3, "/d/b")), Err(h::BG_E_FILE_NOT_FOUND));
    assert_eq!(w.call(ALICE, job, path(2, "/d/b")), Ok(S_OK));
    w.crash();
    assert_eq!(w.call(ALICE, job, Call::Resume), Ok(S_OK));
    assert_eq!(w.call(ALICE, job, path(2, "/d/c")), Err(h::BG_E_INVALID_STATE));
    assert_eq!(w.call(ALICE, job, Call::AddFiles(vec![pathless()])), Err(h::BG_E_INVALID_STATE));
    w.transfer(job);
    assert_eq!(w.state(job), JobState::Transferred);
    let resumed = w.dialect_job(ALICE, |new| (new.files, new.resume) = (vec![pathless()], true));
    assert_eq!(resumed, Err(codes::DO_E_LOCALPATH_NOT_SET));
    let bits = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    assert_eq!(w.call(ALICE, bits, Call::AddFiles(vec![pathless()])), Err(h::E_INVALIDARG));
    assert_eq!(w.call(ALICE, bits, path(0, "/d/a")), Err(h::E_NOTIMPL));
}

/// 5.3: fileId is unique in its job.
#[test]
fn content_ids() {
    let mut w = World::new();
    let with = |n: u32, id: &str| NewFile { content_id: Some(id.to_owned()), ..file(n) };
    let job = w.dialect_job(ALICE, |_| ()).unwrap();
    let add = |w: &mut World, files| w.call(ALICE, job, Call::AddFiles(files));
    assert_eq!(add(&mut w, vec![with(1, "a"), with(2, "a")]), Err(h::E_INVALIDARG));
    assert_eq!(w.job(job).files.len(), 0);
    assert_eq!(add(&mut w, vec![with(1, "a"), with(2, "b"), file(3), file(4)]), Ok(S_OK));
    assert_eq!(add(&mut w, vec![with(5, "c"), with(6, "b")]), Err(h::E_INVALIDARG));
    assert_eq!(w.job(job).files.len(), 4, "all or none");
    assert_eq!(add(&mut w, vec![with(5, "A")]), Ok(S_OK), "letter by letter");
    assert_eq!(add(&mut w, vec![with(6, &"x".repeat(TEXT_MAX))]), Ok(S_OK));
    assert_eq!(add(&mut w, vec![with(7, &"x".repeat(TEXT_MAX + 1))]), Err(h::BG_E_STRING_TOO_LONG));
    assert_eq!(add(&mut w, vec![with(7, "a\0")]), Err(h::E_INVALIDARG));
    let other = w.dialect_job(ALICE, |_| ()).unwrap();
    assert_eq!(w.call(ALICE, other, Call::AddFiles(vec![with(1, "a")])), Ok(S_OK));
    w.crash();
    assert_eq!(w.job(job).files[1].content_id.as_deref(), Some("b"));
}

/// 5.2: only downloads, and a name of at most 256 characters.
#[test]
fn what_may_be_created() {
    let mut w = World::new();
    for kind in [JobType::Upload, JobType::UploadReply] {
        assert_eq!(w.dialect_job(ALICE, |new| new.kind = kind), Err(h::E_NOTIMPL));
    }
    let named = |w: &mut World, name: String| w.dialect_job(ALICE, |new| new.display_name = name);
    assert_eq!(named(&mut w, String::new()), Err(h::E_INVALIDARG));
    assert_eq!(named(&mut w, "n".repeat(257)), Err(h::E_INVALIDARG));
    let first = named(&mut w, "n".repeat(256)).unwrap();
    assert_ne!(named(&mut w, "n".repeat(256)).unwrap(), first, "the same name twice is fine");
    assert_eq!(w.q.count(None), 2);
    let options = Extras { auto_complete: true, ..Extras::NONE };
    assert_eq!(options.dialect, Dialect::Bits);
    let unnamed = w.plan(&Plan { files: 0, ..Plan::default() });
    let unnamed = NewJob { display_name: String::new(), resume: false, ..unnamed };
    assert!(w.q.create(ALICE, unnamed, w.now).is_ok(), "jobs of BITS need none");
    w.drain();
}

/// The timer of a job: from the first trouble to JobError, and a Resume begins anew (5.2, 5.4).
#[test]
fn a_job_without_progress() {
    let mut w = World::new();
    let fill = |new: &mut NewJob| {
        new.properties =
            vec![Property::NoProgressTimeout(60), Property::Option(Setting::MinimumNotificationInterval(0))];
        (new.files, new.resume) = (vec![file(1)], true);
    };
    let job = w.dialect_job(ALICE, fill).unwrap();
    for _ in 0..2 {
        w.fail(job, BUSY, Some(0));
        assert_eq!(w.state(job), JobState::TransientError);
        w.pass(30);
    }
    assert_eq!((w.state(job), w.error(job)), (JobState::Error, BUSY));
    w.call(ALICE, job, Call::Resume).unwrap();
    w.transfer(job);
    assert_eq!(w.state(job), JobState::Transferred);
}

fn bytes(from: u64, to: u64) -> RangeSet {
    std::iter::once(from..to).collect()
}

impl World {
    /// A download of two ranges, the first of which is there.
    fn half(&mut self) -> JobId {
        let id = self.download();
        self.begin_download(id, Some(&[(0, 100), (200, 50)])).unwrap();
        self.connect(id);
        self.report(id, RangeSet::prefix(100));
        assert_eq!(self.asked(id), bytes(200, 250));
        id
    }

    /// What is durable by now.
    fn report(&mut self, id: JobId, done: RangeSet) {
        let attempt = self.attempt(id).expect("a worker has it");
        let report = FileReport { size: Some(SIZE), done, ..FileReport::default() };
        self.q.on_checkpoint(id, attempt, vec![report], self.now);
        self.drain();
    }

    fn asked(&self, id: JobId) -> RangeSet {
        self.job(id).files[0].requested.iter().map(|range| range.within(None)).collect()
    }
}

/// However data is lost: what was there is fetched again before the download is Transferred.
#[test]
fn lost_data_is_asked_for_again() {
    let both: RangeSet = [0..100, 200..250].into_iter().collect();
    type Act = fn(&mut World, JobId);
    let ways: [(&str, Act); 5] = [
        ("another version", |w, id| {
            let attempt = w.attempt(id).unwrap();
            w.q.on_restarted(id, attempt, 0, w.now);
            w.drain();
        }),
        ("a worker that kept nothing", |w, id| w.report(id, RangeSet::new())),
        ("a pinned version that changed, and Resume", |w, id| {
            w.report(id, RangeSet::new());
            w.fail(id, h::BG_E_REMOTE_FILE_CHANGED, None);
            assert_eq!(w.told(id).state, State::Paused);
            w.call(ALICE, id, Call::Resume).unwrap();
        }),
        ("the same, and Start", |w, id| {
            w.report(id, RangeSet::new());
            w.fail(id, h::BG_E_REMOTE_FILE_CHANGED, None);
            w.begin_download(id, None).unwrap();
        }),
        ("a crash", |w, id| {
            w.report(id, RangeSet::new());
            w.crash();
            assert!(w.is_running(id));
        }),
    ];
    for (why, act) in ways {
        let mut w = World::new();
        let id = w.half();
        act(&mut w, id);
        assert_eq!((w.told(id).state, w.told(id).transferred), (State::Transferring, 0), "{why}");
        assert_eq!(w.asked(id), both, "{why}");
        w.fill(id);
        assert_eq!((w.told(id).state, w.told(id).transferred), (State::Transferred, 150), "{why}");
        assert_eq!(w.job(id).files[0].done, both, "{why}");
    }
}

/// The worker brings only what lacked when it began, and says that it is done: the download goes on.
#[test]
fn a_worker_that_did_not_hear_of_the_loss() {
    let mut w = World::new();
    let id = w.half();
    let attempt = w.attempt(id).unwrap();
    w.q.on_restarted(id, attempt, 0, w.now);
    w.drain();
    w.report(id, bytes(200, 250));
    w.done(id);
    assert_eq!(w.told(id).state, State::Transferring, "not ready, and on its way again");
    assert_eq!(w.asked(id), bytes(0, 100));
    w.fill(id);
    assert_eq!((w.told(id).state, w.told(id).transferred), (State::Transferred, 150));
}

/// A range outside of the file is forgotten, and comes back with Resume, by whichever door.
#[test]
fn resume_of_ranges_that_were_refused() {
    let mut w = World::new();
    let id = w.half();
    let attempt = w.attempt(id).unwrap();
    w.attempts.remove(&attempt);
    let context = crate::enums::ErrorContext::RemoteFile;
    let mut error = crate::job::ErrorRecord::new(h::BG_E_INVALID_RANGE, context, w.now.wall);
    error.file = Some(0);
    w.q.on_failed(id, attempt, error, None, w.now);
    w.drain();
    assert_eq!(w.told_state(id), (State::Paused, codes::DO_E_INVALID_RANGE, S_OK));
    assert_eq!(w.download_call(ALICE, id, DownloadCall::Finalize), Err(codes::DO_E_INVALID_STATE));
    w.call(ALICE, id, Call::Resume).unwrap();
    assert_eq!((w.told(id).state, w.asked(id)), (State::Transferring, bytes(200, 250)));
    w.crash();
    assert_eq!(w.asked(id), bytes(200, 250), "stored");
}

/// What lacks cannot be asked for, because there would be too many pieces: an error, and never Transferred.
#[test]
fn ranges_that_cannot_be_asked_for_again() {
    let mut w = World::new();
    let id = w.download_of(ROOT);
    w.set_download(ROOT, id, properties()).unwrap();
    let file = w.job(id).download.as_deref().unwrap().new_file().unwrap();
    let ranges = (0..3000).map(|n| FileRange::new(n * 2, 1)).collect();
    w.download_call(ROOT, id, DownloadCall::Start(Some(Box::new(file)), Some(ranges))).unwrap();
    w.connect(id);
    let attempt = w.attempt(id).unwrap();
    // So many pieces of the rest of the file are there.
    let done = (5000..8000).map(|n| n * 2..n * 2 + 1).collect();
    let report = FileReport { size: Some(20_000), done, ..FileReport::default() };
    w.q.on_checkpoint(id, attempt, vec![report], w.now);
    w.drain();
    w.attempts.remove(&attempt);
    let context = crate::enums::ErrorContext::RemoteFile;
    let mut error = crate::job::ErrorRecord::new(h::BG_E_INVALID_RANGE, context, w.now.wall);
    error.file = Some(0);
    w.q.on_failed(id, attempt, error, None, w.now);
    w.drain();
    w.call(ROOT, id, Call::Resume).unwrap();
    assert_eq!(w.told_state(id), (State::Paused, h::E_UNEXPECTED, S_OK));
    assert!(!w.is_running(id));
    let finalize = w.download_call(ROOT, id, DownloadCall::Finalize);
    assert_eq!(finalize, Err(codes::DO_E_INVALID_STATE));
}

/// Finalize finds the temporary file gone: the error is told, and Start(NULL) fetches all of it again.
#[test]
fn ranges_that_are_lost_at_the_end() {
    let mut w = World::new();
    let id = w.half();
    w.fill(id);
    w.workers = Workers::Manual;
    let ticket = w.begin_later(ALICE, id, Call::Complete);
    let (work, _) = w.file_work(id).unwrap();
    w.take_notices(id);
    w.file_work_failed_with(work, 0, h::ERROR_FILE_NOT_FOUND, vec![0]);
    assert_eq!(w.answer(ticket), Some(Err(h::ERROR_FILE_NOT_FOUND)));
    assert_eq!(w.told_state(id), (State::Paused, h::ERROR_FILE_NOT_FOUND, S_OK));
    assert_eq!(w.take_notices(id), [(NoticeKind::Error, JobState::Error)]);
    w.workers = Workers::Prompt;
    w.begin_download(id, None).unwrap();
    assert_eq!(w.asked(id), [0..100, 200..250].into_iter().collect());
    w.fill(id);
    assert_eq!(w.told_state(id), Row::TransferredRanges.told());
    // A destination that is locked for a moment is no loss: it stays as it was.
    w.workers = Workers::Manual;
    w.begin_later(ALICE, id, Call::Complete);
    let (work, _) = w.file_work(id).unwrap();
    w.file_work_failed(work, 0, h::ERROR_SHARING_VIOLATION);
    assert_eq!(w.told_state(id), Row::TransferredRanges.told());
}

/// What the calls of other jobs may not make of a download.
#[test]
fn calls_of_other_jobs() {
    let mut w = World::new();
    for row in [Row::Created, Row::PausedByClient] {
        let id = row.make(&mut w);
        for property in [
            Property::Option(Setting::HighPerformance(true)),
            Property::Option(Setting::DynamicContent(true)),
            Property::Option(Setting::OnDemandMode(true)),
            Property::HttpMethod("POST".into()),
        ] {
            assert_eq!(w.set(id, property.clone()), Err(h::E_NOTIMPL), "{row:?} {property:?}");
        }
        assert_eq!(w.set(id, Property::Description("d".into())), Ok(S_OK));
        let prefix = Call::ReplaceRemotePrefix { old: "http".into(), new: "file".into(), login: None };
        assert_eq!(w.call(ALICE, id, prefix), Err(h::E_NOTIMPL));
        for name in ["file:///etc/passwd", "/etc/passwd", "smb://h/s/f", "nothing"] {
            let call = Call::SetRemoteName { file: 0, name: name.into(), login: None };
            assert_eq!(w.call(ALICE, id, call), Err(h::E_NOTIMPL), "{name}");
        }
    }
    let id = Row::PausedByClient.make(&mut w);
    let login = Some(crate::secret::Sealed::new("sealed".to_owned()));
    let call = Call::SetRemoteName { file: 0, name: "https://g/f".into(), login: login.clone() };
    assert_eq!(w.call(ALICE, id, call), Ok(S_OK));
    let download = w.job(id).download.as_deref().unwrap();
    assert_eq!((download.uri.as_deref(), &download.login), (Some("https://g/f"), &login));
    assert_eq!(w.enumerate(ALICE, Some(Category::Uri("https://g/f".into()))), [id]);
}

/// 4.7: the same place, however it is written.
#[test]
fn a_second_download_to_the_same_path_in_other_words() {
    for (path, same) in
        [("/d//f", true), ("//d/./f", true), ("/./d/f", true), ("/d/g", false), ("/d/f/f", false)]
    {
        let mut w = World::new();
        let first = Row::PausedByClient.make(&mut w);
        let second = w.download();
        let change = DownloadChange { path: Some(path.into()), ..DownloadChange::default() };
        w.set_download(ALICE, second, change).unwrap();
        w.begin_download(second, None).unwrap();
        let expected = if same { State::Aborted } else { State::Paused };
        assert_eq!(w.told(first).state, expected, "{path}");
    }
}

/// One that nobody starts goes after an hour, unless it is to be kept; it counts for its owner's quota.
#[test]
fn downloads_that_are_never_started() {
    let mut w = World::new();
    let keep = |on| DownloadChange { non_volatile: Some(on), ..DownloadChange::default() };
    let unused = w.download();
    let (kept, let_go) = (w.download(), w.download());
    w.set_download(ALICE, kept, keep(true)).unwrap();
    w.set_download(ALICE, let_go, keep(true)).unwrap();
    let started = Row::PausedByClient.make(&mut w);
    w.pass(3_599);
    assert_eq!(w.enumerate(ALICE, None).len(), 4);
    w.set_download(ALICE, unused, DownloadChange { blocking: Some(true), ..DownloadChange::default() })
        .unwrap();
    w.pass(1);
    assert_eq!(w.told(unused).state, State::Aborted, "from its creation");
    assert_eq!(w.told(started).state, State::Paused);
    w.set_download(ALICE, let_go, keep(false)).unwrap();
    w.pass(1);
    assert_eq!(w.enumerate(ALICE, None).len(), 2);
    w.pass(30 * DAY_S);
    assert_eq!(w.enumerate(ALICE, None), []);
}

/// A callback that is set when the ranges are there already hears once that it may look.
#[test]
fn a_callback_that_comes_late() {
    let mut w = World::new();
    for (row, told) in [(Row::TransferredRanges, 1), (Row::PausedByClient, 1), (Row::Created, 0)] {
        let id = row.make(&mut w);
        w.pass(60);
        let listener = w.q.listen(ALICE);
        w.callbacks.clear();
        w.q.set_notify_interface(ALICE, id, Some(listener)).unwrap();
        w.drain();
        w.pass(10);
        let kinds: Vec<&CallbackKind> = w.callbacks.iter().map(|call| &call.kind).collect();
        assert_eq!(kinds, vec![&CallbackKind::Modification; told], "{row:?}");
    }
    let bits = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    let listener = w.q.listen(ALICE);
    w.callbacks.clear();
    w.q.set_notify_interface(ALICE, bits, Some(listener)).unwrap();
    w.drain();
    assert_eq!(w.callbacks.len(), 0);
}

/// What Resume makes of a file's check is stored.
#[test]
fn checks_of_files_are_kept() {
    let mut w = World::new();
    let job = w.dialect_job(ALICE, |new| new.files = vec![file(1), file(2)]).unwrap();
    let info = r#"{"PiecesHashFileUrl":"http://h/p"}"#;
    let change = FileChange { info: Some(info.into()), ..FileChange::default() };
    w.call(ALICE, job, Call::SetFile { file: 0, change: change.clone() }).unwrap();
    let mandatory = |on| FileChange { mandatory: Some(on), ..FileChange::default() };
    w.call(ALICE, job, Call::SetFile { file: 1, change: mandatory(true) }).unwrap();
    let missing = w.call(ALICE, job, Call::Resume);
    assert_eq!(missing, Err(codes::DO_E_INTEGRITYCHECKINFO_UNSPECIFIED), "of all files or of none");
    w.call(ALICE, job, Call::SetFile { file: 1, change: mandatory(false) }).unwrap();
    w.call(ALICE, job, Call::SetFile { file: 1, change }).unwrap();
    w.call(ALICE, job, Call::Resume).unwrap();
    w.crash();
    let check = w.job(job).files[1].integrity.as_deref().unwrap();
    assert!(check.settled);
    assert_eq!(w.job(job).files[1].expect().locations().collect::<Vec<_>>(), ["http://h/p"]);
}
