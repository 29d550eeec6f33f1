//! Cache hosts of the policy, for downloads of IDOManager and jobs of the first generation
//! (spec/delivery-optimization-linux-agent.md 8, docs/decisions/0029). The clock is simulated.

use super::world::{ALICE, Plan, SIZE, World, file};
use crate::delivery::cache::{BAN_S, CachePolicy, NEVER};
use crate::delivery::download::State;
use crate::enums::{ErrorContext, JobState, Priority};
use crate::gate::Machine;
use crate::hresult::{self as h, HResult, S_OK};
use crate::id::JobId;
use crate::job::property::Property;
use crate::job::{Dialect, DownloadChange, ErrorRecord, File};
use crate::limits::Limits;
use crate::queue::Call;

const DOWN: HResult = h::ERROR_WINHTTP_CANNOT_CONNECT;
const BUSY: HResult = h::BG_E_HTTP_ERROR_503;
const GONE: HResult = h::BG_E_HTTP_ERROR_404;

fn limits(hosts: &[&str], foreground_s: Option<i64>, background_s: Option<i64>) -> Limits {
    let hosts = Some(hosts.iter().map(|host| (*host).to_owned()).collect());
    let cache = CachePolicy { hosts, foreground_s, background_s, off_on_vpn: false, off: false };
    Limits { cache, ..Limits::default() }
}

fn world(hosts: &[&str], background_s: Option<i64>) -> World {
    World::with(limits(hosts, None, background_s))
}

impl World {
    /// Whom the present attempt asks for the first file.
    fn asks(&self, id: JobId) -> String {
        assert!(self.is_running(id), "the job is {}", self.state(id));
        let job = self.job(id);
        job.cache_url(&job.files[0]).unwrap_or_else(|| job.files[0].remote.to_string())
    }

    /// The server answers with this status.
    fn refuse(&mut self, id: JobId, code: HResult, status: u16) {
        let attempt = self.attempt(id).expect("a worker has it");
        self.attempts.remove(&attempt);
        let mut record = ErrorRecord::new(code, ErrorContext::RemoteFile, self.now.wall);
        record.http_status = Some(status);
        record.file = Some(0);
        let retry = (status >= 500).then_some(0);
        self.q.on_failed(id, attempt, record, retry, self.now);
        self.drain();
    }

    /// A job of the first generation with so many files, resumed.
    fn old_job(&mut self, priority: Priority, files: u32) -> JobId {
        let new = |new: &mut crate::queue::NewJob| {
            new.files = (0..files).map(file).collect();
            new.properties = vec![Property::Priority(i64::from(priority.value()))];
            new.resume = true;
        };
        self.dialect_job(ALICE, new).expect("created")
    }

    fn first(&self, id: JobId) -> &File {
        &self.job(id).files[0]
    }
}

const AT_CACHE: &str = "http://mcc/f?cacheHostOrigin=h";
const AT_ORIGIN: &str = "http://h/f";

#[test]
fn a_dead_cache_host_is_left_at_once() {
    let mut w = world(&["mcc"], None);
    let id = w.download();
    w.begin_download(id, None).unwrap();
    assert_eq!(w.asks(id), AT_CACHE);
    let _ = w.take_notices(id);
    w.fail(id, DOWN, Some(0));
    assert_eq!(w.asks(id), AT_ORIGIN, "without any time passing");
    assert_eq!(w.told_state(id), (State::Transferring, S_OK, S_OK));
    assert!(!w.take_notices(id).iter().any(|(_, state)| *state == JobState::TransientError));
    assert_eq!(w.job(id).error_count, 1);
    // Its next job leaves it alone for a while.
    let other = w.old_job(Priority::Normal, 1);
    assert_eq!(w.asks(other), "http://h/0");
    w.pass(BAN_S);
    let late = w.old_job(Priority::Normal, 1);
    assert_eq!(w.asks(late), "http://mcc/0?cacheHostOrigin=h");
    w.transfer(id);
    assert_eq!(w.told(id).state, State::Transferred);
}

#[test]
fn a_delay_holds_to_the_cache_host() {
    let mut w = World::with(limits(&["mcc"], Some(5), Some(100)));
    let (id, quick) = (w.download(), w.download());
    w.set_download(ALICE, id, DownloadChange { path: Some("/d/g".to_owned()), ..DownloadChange::default() })
        .unwrap();
    let foreground = DownloadChange { foreground: Some(true), ..DownloadChange::default() };
    w.set_download(ALICE, quick, foreground).unwrap();
    for id in [id, quick] {
        w.begin_download(id, None).unwrap();
        w.fail(id, DOWN, Some(0));
        assert_eq!(w.state(id), JobState::TransientError, "no ban, no haste");
    }
    w.pass(30);
    assert_eq!([w.asks(id), w.asks(quick)], [AT_CACHE, AT_CACHE]);
    // The foreground's delay is over, the other one's is not.
    w.fail(quick, DOWN, Some(0));
    assert_eq!(w.asks(quick), AT_ORIGIN);
    for _ in 0..3 {
        assert_eq!(w.asks(id), AT_CACHE);
        w.fail(id, DOWN, Some(0));
        w.pass(30);
    }
    assert_eq!(w.asks(id), AT_CACHE, "{:?}", w.job(id).route);
    w.fail(id, DOWN, Some(0));
    assert_eq!(w.asks(id), AT_ORIGIN, "120 s are over");
    // For the rest of the download.
    w.fail(id, BUSY, Some(0));
    w.pass(30);
    assert_eq!(w.asks(id), AT_ORIGIN);
}

#[test]
fn never_is_never() {
    let mut w = world(&["mcc"], Some(NEVER));
    let id = w.download();
    w.begin_download(id, None).unwrap();
    for _ in 0..100 {
        w.fail(id, DOWN, Some(0));
        w.pass(30);
        assert_eq!(w.asks(id), AT_CACHE);
    }
    w.refuse(id, GONE, 404);
    assert_eq!(w.told_state(id), (State::Paused, GONE, S_OK));
    w.begin_download(id, None).unwrap();
    assert_eq!(w.asks(id), AT_CACHE);
}

#[test]
fn a_refusal_leads_to_the_origin_and_is_remembered_for_it() {
    for delay in [None, Some(3_600)] {
        let mut w = world(&["mcc"], delay);
        let id = w.old_job(Priority::Normal, 2);
        w.refuse(id, GONE, 404);
        assert_eq!(w.asks(id), "http://h/0", "{delay:?}");
        w.transfer(id);
        let download = w.download();
        w.begin_download(download, None).unwrap();
        assert_eq!(w.asks(download), AT_ORIGIN, "it is left alone for this origin");
        let elsewhere =
            DownloadChange { uri: Some(("http://other/f".into(), None)), ..DownloadChange::default() };
        w.call(ALICE, download, Call::Suspend).unwrap();
        w.set_download(ALICE, download, elsewhere).unwrap();
        w.begin_download(download, None).unwrap();
        assert_eq!(w.asks(download), "http://mcc/f?cacheHostOrigin=other");
        // The origin's own refusal is the last word.
        w.refuse(download, BUSY, 503);
        if delay.is_none() {
            w.refuse(download, GONE, 404);
            assert_eq!(w.told_state(download), (State::Paused, GONE, S_OK));
        }
    }
}

#[test]
fn hosts_are_asked_one_after_the_other() {
    let mut w = world(&["one:81", "two"], None);
    let id = w.download();
    w.begin_download(id, None).unwrap();
    assert_eq!(w.asks(id), "http://one:81/f?cacheHostOrigin=h");
    w.fail(id, BUSY, Some(0));
    assert_eq!(w.asks(id), "http://two/f?cacheHostOrigin=h");
    w.fail(id, DOWN, Some(0));
    assert_eq!(w.asks(id), AT_ORIGIN);
    w.call(ALICE, id, Call::Suspend).unwrap();
    w.begin_download(id, None).unwrap();
    assert_eq!(
        w.asks(id),
        "http://one:81/f?cacheHostOrigin=h",
        "a busy one is asked again, by the next Start"
    );
    w.fail(id, BUSY, Some(0));
    assert_eq!(w.asks(id), AT_ORIGIN, "who could not be reached is passed over");
}

/// What is there stays, counted by where it came from, and the rest is compared by size and date.
#[test]
fn a_range_goes_on_from_the_other_side() {
    let mut w = world(&["mcc"], None);
    let id = w.old_job(Priority::Normal, 1);
    w.connect(id);
    w.bytes(id, 0, 300);
    assert_eq!((w.first(id).bytes_from_cache(true), w.first(id).bytes_from_cache(false)), (300, 0));
    w.checkpoint(id, 0, 400);
    assert!(!w.first(id).moved);
    w.fail(id, h::ERROR_WINHTTP_CONNECTION_ERROR, Some(0));
    assert_eq!(w.asks(id), "http://h/0");
    assert!(w.first(id).moved && w.first(id).done.contains(0..400));
    w.transfer(id);
    assert_eq!(w.first(id).bytes_from_cache(false), 400);
    assert_eq!(w.state(id), JobState::Transferred);
    // And the other way round: the policy's cache hosts count from the next Start on.
    w.set_limits(limits(&[], None, None));
    let id = w.old_job(Priority::Normal, 1);
    assert_eq!(w.asks(id), "http://h/0", "an empty list is none");
    w.set_limits(limits(&["mcc"], None, None));
    w.connect(id);
    w.checkpoint(id, 0, 100);
    assert_eq!(w.asks(id), "http://h/0", "it is on its way");
    w.call(ALICE, id, Call::Suspend).unwrap();
    w.call(ALICE, id, Call::Resume).unwrap();
    assert_eq!(w.asks(id), "http://mcc/0?cacheHostOrigin=h");
    assert!(w.first(id).moved);
    w.connect(id);
    w.checkpoint(id, 0, 250);
    // Switched off again: for the next Start.
    w.set_limits(Limits::default());
    w.call(ALICE, id, Call::Suspend).unwrap();
    w.call(ALICE, id, Call::Resume).unwrap();
    assert_eq!(w.asks(id), "http://h/0");
    w.transfer(id);
    assert_eq!((w.first(id).bytes_from_cache(false), w.first(id).bytes_transferred()), (150, SIZE));
}

#[test]
fn who_is_meant() {
    let mut w = world(&["mcc"], None);
    // An ordinary job has nothing to do with it.
    let bits = w.create(ALICE, Plan::default());
    assert_eq!(w.asks(bits), "http://h/0");
    assert_eq!(w.job(bits).dialect(), Dialect::Bits);
    // Nor has what only the origin can do.
    let posted = w.dialect_job(ALICE, |new| new.files = vec![file(0)]).unwrap();
    w.set(posted, Property::HttpMethod("POST".to_owned())).unwrap();
    w.call(ALICE, posted, Call::Resume).unwrap();
    assert_eq!(w.asks(posted), "http://h/0");
    // A file of this machine's own is read as ever.
    let mixed = w.old_job(Priority::Normal, 1);
    assert_eq!(w.job(mixed).cache_url(&File { remote: "file:///etc/x".into(), ..File::default() }), None);
    // What is wrong here is not the cache host's fault.
    let attempt = w.attempt(mixed).unwrap();
    w.attempts.remove(&attempt);
    let full = ErrorRecord::new(h::ERROR_DISK_FULL, ErrorContext::LocalFile, w.now.wall);
    w.q.on_failed(mixed, attempt, full, Some(0), w.now);
    w.drain();
    w.pass(30);
    assert_eq!(w.asks(mixed), "http://mcc/0?cacheHostOrigin=h");
}

/// A job that may not try again may all the same ask the origin: that is no repetition.
#[test]
fn the_origin_is_no_retry() {
    let mut w = world(&["mcc"], None);
    let id = w.old_job(Priority::Normal, 1);
    w.set(id, Property::NoProgressTimeout(0)).unwrap();
    w.fail(id, DOWN, Some(0));
    assert_eq!(w.asks(id), "http://h/0");
    w.fail(id, DOWN, Some(0));
    assert_eq!(w.state(id), JobState::Error);
}

#[test]
fn a_crash_does_not_forget_the_side() {
    let mut w = world(&["mcc"], Some(50));
    let id = w.old_job(Priority::Normal, 1);
    w.connect(id);
    w.checkpoint(id, 0, 100);
    w.pass(60);
    w.fail(id, BUSY, Some(0));
    assert_eq!(w.asks(id), "http://h/0");
    w.crash();
    assert_eq!(w.asks(id), "http://h/0", "it was given up");
    assert_eq!(w.first(id).bytes_from_cache(false), 100);
}

/// A VPN that comes or goes counts from the next start on.
#[test]
fn cache_hosts_may_be_off_on_a_vpn() {
    let mut w = world(&["mcc"], None);
    let mut off = limits(&["mcc"], None, None);
    off.cache.off_on_vpn = true;
    for (limits, vpn, cached) in
        [(limits(&["mcc"], None, None), true, true), (off.clone(), false, true), (off, true, false)]
    {
        w.set_limits(limits);
        let machine = Machine { vpn, ..w.q.machine().clone() };
        w.q.set_machine(machine, w.now);
        w.drain();
        let id = w.old_job(Priority::Normal, 1);
        assert_eq!(w.asks(id).starts_with("http://mcc/"), cached, "{vpn}");
    }
}

/// Where a cache host sends the transfer on is not where the file is.
#[test]
fn redirects_of_a_cache_host_name_nothing() {
    use crate::job::http::security;
    let mut w = world(&["mcc"], None);
    for (cached, expected) in [(true, "http://h/0"), (false, "http://elsewhere/0")] {
        let id = w.dialect_job(ALICE, |new| new.files = vec![file(0)]).unwrap();
        w.set(id, Property::SecurityFlags(security::REDIRECT_REPORT)).unwrap();
        w.call(ALICE, id, Call::Resume).unwrap();
        if !cached {
            w.fail(id, DOWN, Some(0));
        }
        let attempt = w.attempt(id).unwrap();
        w.q.on_redirected(id, attempt, 0, "http://elsewhere/0", w.now);
        w.drain();
        assert_eq!(&*w.first(id).remote, expected);
    }
}
