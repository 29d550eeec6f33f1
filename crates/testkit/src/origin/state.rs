//! What the tests' thread and the connections share. See `STATE.md` beside this file for who may change what.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::file::OriginFile;
use super::log::Log;
use super::throttle::Throttle;

/// Most files on an origin.
const FILE_LIMIT: usize = 100_000;

/// What to do with new connections, before anything is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnAccept {
    /// Serve them.
    #[default]
    Serve,
    /// Reset them at once.
    Reset,
    /// Close them at once in the regular way.
    Close,
    /// Accept them and never read nor write.
    Stall,
}

/// Everything about an origin.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) main: SocketAddr,
    pub(crate) other: SocketAddr,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) idle: Duration,
    pub(crate) log: Log,
    pub(crate) throttle: Throttle,
    pub(crate) on_accept: Mutex<OnAccept>,
    pub(crate) max_connections: AtomicUsize,
    pub(crate) connections: AtomicUsize,
    pub(crate) peak_connections: AtomicUsize,
    pub(crate) refused: AtomicU64,
    pub(crate) accepted: AtomicU64,
    files: Mutex<BTreeMap<String, Arc<Entry>>>,
}

impl Shared {
    pub(crate) fn new(
        main: SocketAddr,
        other: SocketAddr,
        tls: Option<SocketAddr>,
        max_connections: usize,
        idle: Duration,
    ) -> Self {
        Self {
            main,
            other,
            tls,
            idle,
            log: Log::default(),
            throttle: Throttle::default(),
            on_accept: Mutex::default(),
            max_connections: AtomicUsize::new(max_connections),
            connections: AtomicUsize::new(0),
            peak_connections: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            files: Mutex::default(),
        }
    }

    /// The file of that name.
    pub(crate) fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.files().get(name).cloned()
    }

    /// Puts a file in, with its counters at zero; the file that was there keeps its throttle and hold. Returns false
    /// when the origin is full.
    pub(crate) fn put(&self, name: &str, file: OriginFile) -> bool {
        let mut files = self.files();
        if let Some(entry) = files.get(name) {
            entry.gets.store(0, Ordering::SeqCst);
            entry.requests.store(0, Ordering::SeqCst);
            entry.sent.store(0, Ordering::SeqCst);
            *entry.file() = file;
            return true;
        }
        if files.len() >= FILE_LIMIT {
            return false;
        }
        files.insert(name.to_owned(), Arc::new(Entry::new(file)));
        true
    }

    pub(crate) fn remove(&self, name: &str) -> bool {
        self.files().remove(name).is_some()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.files.lock().expect("no code panics while it holds the list of files")
    }
}

/// One file with its counters and brakes.
#[derive(Debug)]
pub(crate) struct Entry {
    file: Mutex<OriginFile>,
    /// Requests other than HEAD so far.
    pub(crate) gets: AtomicU32,
    /// Requests so far.
    pub(crate) requests: AtomicU32,
    /// Bytes of the file sent so far.
    pub(crate) sent: AtomicU64,
    pub(crate) throttle: Throttle,
    /// No byte at or beyond this offset is sent.
    pub(crate) hold: watch::Sender<Option<u64>>,
    /// Answers that wait for the hold now.
    pub(crate) held: AtomicUsize,
}

impl Entry {
    pub(crate) fn new(file: OriginFile) -> Self {
        Self {
            file: Mutex::new(file),
            gets: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            throttle: Throttle::default(),
            hold: watch::Sender::new(None),
            held: AtomicUsize::new(0),
        }
    }

    pub(crate) fn file(&self) -> MutexGuard<'_, OriginFile> {
        self.file.lock().expect("no code panics while it holds a file")
    }

    /// Waits until bytes from `at` on may be sent, and returns how many, from 1 to `want`.
    pub(crate) async fn clearance(&self, shared: &Shared, at: u64, want: u64) -> u64 {
        let want = self.pass_hold(at).await.map_or(want, |free| free.min(want));
        let want = shared.throttle.grant(self.throttle.grant(want));
        let now = Instant::now();
        let wait = self.throttle.book(want, now).max(shared.throttle.book(want, now));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        want
    }

    /// Waits until the byte `at` may be sent; the number of bytes up to the hold, if there is one.
    async fn pass_hold(&self, at: u64) -> Option<u64> {
        let mut hold = self.hold.subscribe();
        let ahead = |hold: Option<u64>| match hold {
            None => Some(None),
            Some(stop) => stop.checked_sub(at).filter(|free| *free > 0).map(Some),
        };
        let free = ahead(*hold.borrow_and_update());
        if let Some(free) = free {
            return free;
        }
        let _waiting = Counted::new(&self.held);
        let stop = *hold
            .wait_for(|hold| ahead(*hold).is_some())
            .await
            .expect("the sender lives in the entry that is borrowed here");
        ahead(stop).flatten()
    }
}

/// Counts itself as long as it lives.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    pub(crate) fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
