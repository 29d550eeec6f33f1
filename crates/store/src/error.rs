//! Errors, one enum per operation, and the classes that SQLite's result codes fall into.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{ErrorCode, ffi};

/// Why the store could not be opened. The files are as they were, unless said otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another service holds the file.
    #[error("{path} is in use by another openbits service; stop that one first")]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The database, its folder's lock file or its log is a symbolic link or something else than a regular file.
    #[error("{path} is not a regular file; refusing to follow it")]
    NotRegular {
        /// The offending file.
        path: PathBuf,
    },
    /// The folder or a file of the database belongs to another user.
    #[error(
        "{path} belongs to uid {owner}; a queue is opened only by its owner (check HOME and XDG_STATE_HOME)"
    )]
    Alien {
        /// The folder or file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The file belongs to another program.
    #[error("{path} is not an openbits database ({what}); move it away or choose another path")]
    Foreign {
        /// The database.
        path: PathBuf,
        /// What it seems to be.
        what: String,
    },
    /// The file was written by a newer openbits.
    #[error(
        "{path} has schema version {found}, this program knows up to {supported}; start the newer openbits again, or \
         move the file away to begin with an empty queue"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Version of the file.
        found: i64,
        /// Newest version this program reads.
        supported: i64,
    },
    /// The folder or the file cannot be written.
    #[error("{path} cannot be written (read-only or no permission)")]
    ReadOnly {
        /// What cannot be written.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// No space for the database, its log or the copy that a repair needs.
    #[error("no space left for {path}")]
    DiskFull {
        /// The database.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The file is damaged and could not be rebuilt; `aside` is the untouched copy if it was already moved.
    #[error("{path} is damaged ({reason}) and rebuilding it failed")]
    Rebuild {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system cannot hold a write-ahead log.
    #[error("{path}: the file system does not support SQLite's write-ahead log (journal mode is {mode})")]
    NoWal {
        /// The database.
        path: PathBuf,
        /// The journal mode SQLite offers.
        mode: String,
    },
    /// The path names no file.
    #[error("{path} is not a usable path for a database")]
    BadPath {
        /// The path.
        path: PathBuf,
    },
    /// A reading or writing system call failed.
    #[error("{path}: input/output error")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Cause,
    },
}

/// The error below an [`OpenError`].
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// From the operating system.
    #[error(transparent)]
    Os(#[from] std::io::Error),
    /// From SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Why a batch is not durable. After anything but success the memory state of the caller is ahead of the disk: drop
/// it, call `Store::reset_after_failure`, then `Store::reload`.
///
/// After `Io` the batch may still turn up after a power cut (the log was written, its sync failed).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// No space left on the device, or the database reached its size limit.
    #[error("the disk is full")]
    DiskFull(#[source] Arc<rusqlite::Error>),
    /// The file or its file system became read-only.
    #[error("the database cannot be written")]
    ReadOnly(#[source] Arc<rusqlite::Error>),
    /// The device failed.
    #[error("input/output error")]
    Io(#[source] Arc<rusqlite::Error>),
    /// The file is damaged: close the store and open it again, which keeps it aside and saves what can be read.
    #[error("the database is damaged")]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// Another program (an operator's `sqlite3`) held a write lock for more than 5 seconds.
    #[error("the database is locked by another program")]
    Busy(#[source] Arc<rusqlite::Error>),
    /// The batch breaks a rule of the schema, e.g. a file without its job, an event number used twice, a `doc` that is
    /// not JSON, a number beyond `i64::MAX`. A mistake of the caller.
    #[error("the batch breaks a rule of the schema")]
    Constraint(#[source] Arc<rusqlite::Error>),
    /// An earlier batch failed and `reset_after_failure` was not called when this one was submitted. Not tried.
    #[error("not tried: an earlier commit failed")]
    Poisoned,
    /// Anything else.
    #[error("unexpected database error")]
    Other(#[source] Arc<rusqlite::Error>),
}

/// Why rows could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file is damaged: close the store and open it again.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// The device failed, or the file is locked.
    #[error("the database cannot be read")]
    Sqlite(#[from] rusqlite::Error),
}

/// The writer is gone; it stops only when the store is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed")]
pub struct Closed;

/// Why `try_submit` did not queue the batch. The callback was not and will not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySubmitError {
    /// The queue is full now.
    #[error("the queue of the store is full")]
    Full,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Classes of SQLite errors that lead to different actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Full,
    ReadOnly,
    Io,
    Damaged,
    Busy,
    Constraint,
    Other,
}

pub(crate) fn class_of(error: &rusqlite::Error) -> Class {
    use rusqlite::Error as E;
    match error {
        E::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => Class::Full,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Class::ReadOnly,
            // A page cut off by the end of the file is not the device's fault.
            ErrorCode::SystemIoFailure
                if [ffi::SQLITE_IOERR_CORRUPTFS, ffi::SQLITE_IOERR_SHORT_READ]
                    .contains(&failure.extended_code) =>
            {
                Class::Damaged
            }
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => Class::Io,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Class::Damaged,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                Class::Busy
            }
            ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => Class::Constraint,
            _ => Class::Other,
        },
        // A value that does not have the column's type can only come from damage: the tables are STRICT.
        E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..) => {
            Class::Damaged
        }
        E::Utf8Error(..) => Class::Damaged,
        E::ToSqlConversionFailure(_) => Class::Constraint,
        _ => Class::Other,
    }
}

impl CommitError {
    pub(crate) fn new(error: rusqlite::Error, no_space: bool) -> Self {
        let class = class_of(&error);
        let error = Arc::new(error);
        match class {
            Class::Full => Self::DiskFull(error),
            Class::Io if no_space => Self::DiskFull(error),
            Class::ReadOnly => Self::ReadOnly(error),
            Class::Io => Self::Io(error),
            Class::Damaged => Self::Corrupt(error),
            Class::Busy => Self::Busy(error),
            Class::Constraint => Self::Constraint(error),
            Class::Other => Self::Other(error),
        }
    }
}

impl OpenError {
    pub(crate) fn os(path: &std::path::Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let path = path.to_owned();
        match source.kind() {
            K::StorageFull | K::QuotaExceeded => Self::DiskFull { path, source: source.into() },
            K::ReadOnlyFilesystem | K::PermissionDenied => Self::ReadOnly { path, source: source.into() },
            _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                Self::NotRegular { path }
            }
            _ => Self::Io { path, source: source.into() },
        }
    }

    pub(crate) fn sqlite(path: &std::path::Path, source: rusqlite::Error) -> Self {
        let class = class_of(&source);
        let path_buf = path.to_owned();
        match class {
            Class::Full => Self::DiskFull { path: path_buf, source: source.into() },
            Class::Io if crate::folder::no_space(path) => {
                Self::DiskFull { path: path_buf, source: source.into() }
            }
            Class::ReadOnly => Self::ReadOnly { path: path_buf, source: source.into() },
            _ => Self::Io { path: path_buf, source: source.into() },
        }
    }
}
