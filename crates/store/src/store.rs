//! The handle: open, submit, read, close.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::error::{Closed, CommitError, OpenError, ReadError, TrySubmitError};
use crate::examine::{Examined, Healthy, examine};
use crate::folder::Place;
use crate::load;
use crate::row::{EventRow, Loaded, Op};
use crate::salvage;
use crate::scan::{self, Stored};
use crate::schema;
use crate::writer::{Batch, Shared, Writer};

/// Called once, on the writer thread, when the batch is durable or failed. It should be short: the next commit waits
/// for it. It must not call `Store::submit` (which may block on the queue only the writer empties); `try_submit` is
/// fine.
pub type Done = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

/// Limits of the store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Batches that may wait for the writer.
    pub queue_batches: usize,
    /// Most batches in one transaction.
    pub max_batches_per_commit: usize,
    /// Operations after which a transaction takes no further batch.
    pub max_ops_per_commit: usize,
    /// Largest size of the database file in bytes (rounded down to pages of 4 KiB; the log comes on top); commits
    /// beyond fail with [`CommitError::DiskFull`]. `None`: SQLite's own limit.
    pub max_database_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_batches: 8192,
            max_batches_per_commit: 1024,
            max_ops_per_commit: 16 * 1024,
            max_database_bytes: None,
        }
    }
}

/// What `open` has to tell the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// There was no database; an empty one was made.
    CreatedNew,
    /// The tables were upgraded.
    Migrated {
        /// Version before.
        from: i64,
        /// Version now.
        to: i64,
    },
    /// The database was damaged. It was kept aside unchanged, with its log (`<path>-wal`), and what can be read is in
    /// the new one. Jobs may be missing, be older than their last commit, or lack files.
    DamagedKeptAside {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Jobs saved.
        salvaged_jobs: u64,
        /// Files saved.
        salvaged_files: u64,
        /// Events saved.
        salvaged_events: u64,
        /// Settings saved.
        salvaged_meta: u64,
        /// Rows that were found but could not be used (wrong checksum, or a file without its job). Rows that could not
        /// even be found are not counted.
        unusable_rows: u64,
    },
    /// The folder is on a network file system, where locks and the log cannot be trusted.
    NetworkFileSystem {
        /// Which one.
        kind: &'static str,
    },
}

/// A store just opened.
#[derive(Debug)]
pub struct Opened {
    /// The handle.
    pub store: Store,
    /// All rows.
    pub loaded: Loaded,
    /// What is worth a log line.
    pub findings: Vec<Finding>,
}

/// Counters since `open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Transactions committed, each with one sync.
    pub commits: u64,
    /// Batches in them.
    pub batches: u64,
    /// Operations in them.
    pub ops: u64,
}

/// The durable queue. Share it by reference or `Arc`; dropping it does what `close` does.
#[derive(Debug)]
pub struct Store {
    queue: Option<SyncSender<Batch>>,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    reader: Mutex<Option<Connection>>,
    path: PathBuf,
    // Released last.
    _lock: File,
}

impl Store {
    /// Opens the database at `path`, creating it (0600) and its folder (0700) if missing, checks it whole and loads it.
    pub fn open(path: &Path, options: Options) -> Result<Opened, OpenError> {
        let place = Place::prepare(path)?;
        let lock = place.lock()?;
        place.refuse_links()?;
        let mut findings = Vec::new();
        findings.extend(place.network_file_system().map(|kind| Finding::NetworkFileSystem { kind }));
        findings.extend(salvage::finish(&place)?);
        for leftover in [".new", ".salvage", ".graft"] {
            place.remove(leftover)?;
        }
        place.tighten()?;
        if !place.exists("") && !place.exists("-wal") {
            // Complete before it gets its name: an empty file at that name is damage, never a beginning.
            salvage::build(&place, ".new", |_| Ok(()))?;
            place.rename(".new", "")?;
            place.sync()?;
            findings.push(Finding::CreatedNew);
        }
        let Healthy { conn, loaded, migrated } = *match examine(&place, &lock)? {
            Examined::Healthy(healthy) => healthy,
            Examined::Damaged(reason) => {
                findings.push(salvage::rebuild(&place, &reason)?);
                match examine(&place, &lock)? {
                    Examined::Healthy(healthy) => healthy,
                    Examined::Damaged(reason) => return Err(OpenError::Rebuild { path: place.db(), reason }),
                }
            }
        };
        place.mark(&lock)?;
        findings.extend(migrated);
        let store = Self::start(&place, lock, conn, options)?;
        Ok(Opened { store, loaded, findings })
    }

    fn start(place: &Place, lock: File, conn: Connection, options: Options) -> Result<Self, OpenError> {
        let path = place.db();
        let sqlite = |e| OpenError::sqlite(&path, e);
        if let Some(bytes) = options.max_database_bytes {
            conn.query_row(&format!("PRAGMA max_page_count = {}", bytes / 4096), [], |_| Ok(()))
                .map_err(sqlite)?;
        }
        let reader = schema::connect(&path).map_err(sqlite)?;
        reader.execute_batch("PRAGMA query_only = ON").map_err(sqlite)?;
        let shared = Arc::<Shared>::default();
        let (queue, inbox) = sync_channel(options.queue_batches);
        let writer = Writer { conn, path: path.clone(), shared: Arc::clone(&shared), options };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(&inbox))
            .map_err(|e| OpenError::os(&path, e))?;
        Ok(Self {
            queue: Some(queue),
            shared,
            writer: Some(writer),
            reader: Mutex::new(Some(reader)),
            path,
            _lock: lock,
        })
    }

    /// Queues a batch; blocks while the queue is full. `done` is called on the writer thread after the commit or its
    /// failure, in the order of submission. An empty batch is called back in order without a transaction of its own.
    pub fn submit(&self, batch: Vec<Op>, done: Done) -> Result<(), Closed> {
        self.queue.as_ref().ok_or(Closed)?.send(self.stamped(batch, done)).map_err(|_| Closed)
    }

    /// Queues a batch if there is room now. On an error `done` is dropped without a call.
    pub fn try_submit(&self, batch: Vec<Op>, done: Done) -> Result<(), TrySubmitError> {
        let queue = self.queue.as_ref().ok_or(TrySubmitError::Closed)?;
        queue.try_send(self.stamped(batch, done)).map_err(|e| match e {
            TrySendError::Full(_) => TrySubmitError::Full,
            TrySendError::Disconnected(_) => TrySubmitError::Closed,
        })
    }

    fn stamped(&self, ops: Vec<Op>, done: Done) -> Batch {
        Batch { ops, done, generation: self.shared.generation.load(Ordering::Acquire) }
    }

    /// Accepts batches again after a failed commit. Batches submitted before this call fail with
    /// [`CommitError::Poisoned`] even if the writer has not come to them yet. Call it after dropping the memory state
    /// that failed, and before [`Store::reload`].
    pub fn reset_after_failure(&self) {
        self.shared.generation.fetch_max(self.shared.alive_from.load(Ordering::Acquire), Ordering::AcqRel);
    }

    /// Reads all rows again, as of the last commit.
    pub fn reload(&self) -> Result<Loaded, ReadError> {
        self.with_reader(|conn| Ok(load::load(conn)?))
    }

    /// Events with a number above `seq`, in order, at most `limit`, of all owners or one, of all jobs or one. Walks the
    /// events from the cursor on: cheap for followers, and bounded by what `TrimEvents` keeps.
    pub fn events_after(
        &self,
        seq: u64,
        owner: Option<u32>,
        job: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<EventRow>, ReadError> {
        let Ok(seq) = i64::try_from(seq) else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with_reader(|conn| {
            let (key, columns) = (EventRow::KEY, EventRow::COLUMNS);
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {key}, {columns} FROM events WHERE seq > ?1 AND (?2 IS NULL OR owner = ?2) \
                 AND (?3 IS NULL OR job = ?3) ORDER BY seq LIMIT ?4"
            ))?;
            sound(statement.query(rusqlite::params![seq, owner, job, limit])?)
        })
    }

    /// The newest `limit` events of one kind of a job, oldest first.
    pub fn job_events(&self, job: [u8; 16], kind: &str, limit: usize) -> Result<Vec<EventRow>, ReadError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with_reader(|conn| {
            let (key, columns) = (EventRow::KEY, EventRow::COLUMNS);
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {key}, {columns} FROM events WHERE job = ?1 AND kind = ?2 ORDER BY seq DESC LIMIT ?3"
            ))?;
            let mut events = sound(statement.query(rusqlite::params![job, kind, limit])?)?;
            events.reverse();
            Ok(events)
        })
    }

    /// The highest number up to which events of this owner (of anybody: `None`) may have been trimmed; 0 if none were.
    pub fn trimmed(&self, owner: Option<u32>) -> Result<u64, ReadError> {
        let own = owner.map(crate::ops::trimmed_key);
        self.with_reader(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT ifnull(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = ?1 OR key = ?2 \
                 OR (?2 IS NULL AND key GLOB ?1 || '.*')",
            )?;
            let seq: i64 =
                statement.query_row(rusqlite::params![crate::ops::TRIMMED, own], |row| row.get(0))?;
            Ok(u64::try_from(seq).unwrap_or(0))
        })
    }

    /// Writes the database anew without anything that was deleted or replaced, and empties the log: for what must not be readable in
    /// the file any more. Call it while nothing is submitted; it takes as long as the database is large.
    ///
    /// # Errors
    /// The file cannot be written, or another program holds it.
    pub fn wipe_deleted(&self) -> Result<(), ReadError> {
        let conn = schema::connect(&self.path)?;
        conn.execute_batch("PRAGMA secure_delete = ON; VACUUM;")?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.shared.commits.load(Ordering::Relaxed),
            batches: self.shared.batches.load(Ordering::Relaxed),
            ops: self.shared.ops.load(Ordering::Relaxed),
        }
    }

    /// The database file, its folder resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Commits what is queued, empties the log into the database, and releases the file.
    pub fn close(self) {
        drop(self);
    }

    fn with_reader<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let guard = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        read(guard.as_ref().expect("the reader is taken only by drop"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The reader first: the writer's connection must be the last, which removes the log.
        drop(self.reader.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // It does not panic; if it did, there is nobody left to tell but the panic hook.
            let _ = writer.join();
        }
    }
}

/// The events of a query; one that is damaged refuses them all.
fn sound(mut rows: rusqlite::Rows<'_>) -> Result<Vec<EventRow>, ReadError> {
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let event = scan::found::<EventRow>(row)?;
        if !event.sound {
            return Err(ReadError::Corrupt(format!("event {} fails its checksum", event.key)));
        }
        events.push(event.row);
    }
    Ok(events)
}
