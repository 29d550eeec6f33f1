//! Loading everything at start, and proving while doing so that nothing was lost or changed on disk.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::error::{Class, ReadError, class_of};
use crate::row::{EventRow, FileRow, JobRow, Loaded};
use crate::scan::{Stored, found, meta};

/// Why a file cannot be used as it is.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The content is not what was written.
    Damaged(String),
    /// SQLite could not do its work for a reason other than the content.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        match class_of(&error) {
            // `Other` includes "no such table", which our own statements meet only in a damaged schema.
            Class::Damaged | Class::Other => Self::Damaged(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

impl From<Trouble> for ReadError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Damaged(reason) => Self::Corrupt(reason),
            Trouble::Failed(error) => Self::Sqlite(error),
        }
    }
}

/// Reads all rows in one read transaction. Every row's checksum is compared, the indexes are compared with the
/// tables (an index that lost an entry would let a job exist twice), and every file must have its job.
pub(crate) fn load(conn: &Connection) -> Result<Loaded, Trouble> {
    let transaction = conn.unchecked_transaction()?;
    let mut jobs: Vec<(JobRow, i64)> = table(&transaction)?;
    let mut files: Vec<(FileRow, i64)> = table(&transaction)?;
    jobs.sort_unstable_by_key(|(job, n)| (job.id, *n));
    files.sort_unstable_by_key(|(file, n)| (file.job, file.index, *n));
    compare_index(
        &transaction,
        "SELECT id, 0, n FROM jobs INDEXED BY jobs_by_id ORDER BY id",
        jobs.iter().map(|(job, n)| (job.id, 0, *n)),
    )?;
    compare_index(
        &transaction,
        "SELECT job, idx, n FROM files INDEXED BY files_by_job ORDER BY job, idx",
        files.iter().map(|(file, n)| (file.job, file.index, *n)),
    )?;
    let mut owners = jobs.iter().peekable();
    for (file, _) in &files {
        while owners.next_if(|(job, _)| job.id < file.job).is_some() {}
        if owners.peek().is_none_or(|(job, _)| job.id != file.job) {
            return Err(Trouble::Damaged("a file without its job".into()));
        }
    }
    let mut settings = BTreeMap::new();
    let mut bad_setting = None;
    meta(&transaction, "ASC", |key, value, sound| {
        let key_text = key.clone();
        if !sound || settings.insert(key, value).is_some() {
            bad_setting = Some(key_text);
        }
    })?;
    if let Some(key) = bad_setting {
        return Err(Trouble::Damaged(format!("setting {key:?} fails its checksum or is there twice")));
    }
    Ok(Loaded {
        jobs: jobs.into_iter().map(|(job, _)| job).collect(),
        files: files.into_iter().map(|(file, _)| file).collect(),
        meta: settings,
        last_event_seq: last_event_seq(&transaction)?,
    })
}

/// Checks the events, which are not loaded.
pub(crate) fn check_events(conn: &Connection) -> Result<(), Trouble> {
    each::<EventRow>(conn, |_, _| {})
}

fn last_event_seq(conn: &Connection) -> Result<u64, Trouble> {
    let sql = "SELECT max(event_high, ifnull((SELECT max(seq) FROM events), 0)) FROM openbits_store";
    let last: i64 = conn.query_row(sql, [], |r| r.get(0))?;
    u64::try_from(last).map_err(|_| Trouble::Damaged("negative event number".into()))
}

fn table<T: Stored>(conn: &Connection) -> Result<Vec<(T, i64)>, Trouble> {
    let mut all = Vec::new();
    each(conn, |key, row| all.push((row, key)))?;
    Ok(all)
}

fn each<T: Stored>(conn: &Connection, mut take: impl FnMut(i64, T)) -> Result<(), Trouble> {
    let sql = format!("SELECT {}, {} FROM {} NOT INDEXED ORDER BY 1", T::KEY, T::COLUMNS, T::TABLE);
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let found = found::<T>(row)?;
        if !found.sound {
            return Err(Trouble::Damaged(format!("row {} of {} fails its checksum", found.key, T::TABLE)));
        }
        if last.is_some_and(|last| last >= found.key) {
            return Err(Trouble::Damaged(format!("rows of {} are out of order", T::TABLE)));
        }
        last = Some(found.key);
        take(found.key, found.row);
    }
    Ok(())
}

fn compare_index(
    conn: &Connection,
    sql: &str,
    mut expected: impl Iterator<Item = ([u8; 16], u32, i64)>,
) -> Result<(), Trouble> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    loop {
        let entry = match rows.next()? {
            Some(row) => Some((row.get(0)?, row.get(1)?, row.get(2)?)),
            None => None,
        };
        match (entry, expected.next()) {
            (None, None) => return Ok(()),
            (entry, row) if entry == row => {}
            _ => return Err(Trouble::Damaged("an index does not agree with its table".into())),
        }
    }
}
