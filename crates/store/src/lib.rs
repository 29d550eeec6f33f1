//! The durable queue: jobs, files, events and settings of the service in one SQLite file.
//!
//! The store knows rows, not what they mean: the brain decides, the store makes it durable. A batch of [`Op`]s is
//! all or nothing; [`Store::submit`] calls back after the batch is on disk (WAL, `synchronous=FULL`). One writer
//! thread commits everything that is waiting in one transaction, so that many callers share one fsync; with nothing
//! to do it sleeps without a timer.
//!
//! [`Store::open`] checks the whole file (structure, checksums of all rows, indexes against tables, the write-ahead
//! log). A damaged file is never repaired in place and never lost: it is kept aside as `<name>.bad-<UTC time>`, all
//! rows that can be read are put into a new file, and a [`Finding`] says so. `STATE.md` beside this crate describes
//! the files on disk and the order of every step that must survive a crash.
#![forbid(unsafe_code)]

mod check;
mod error;
mod examine;
mod folder;
mod load;
mod ops;
mod row;
mod salvage;
mod scan;
mod schema;
mod store;
mod wal;
mod writer;

pub use error::{Closed, CommitError, OpenError, ReadError, TrySubmitError};
pub use row::{EventRow, FileRow, JobRow, Loaded, Op};
pub use schema::{APPLICATION_ID, SCHEMA_VERSION};
pub use store::{Done, Finding, Opened, Options, Stats, Store};
