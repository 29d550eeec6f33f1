//! Reading rows out of a result, with their checksums.

use rusqlite::{Connection, Row};

use crate::row::{EventRow, FileRow, JobRow, meta_sum};

/// A row that can be found by an integer key, and whose content proves itself.
pub(crate) trait Stored: Sized {
    /// For messages.
    const TABLE: &'static str;
    /// The integer key column.
    const KEY: &'static str;
    /// Columns after the key, `sum` last.
    const COLUMNS: &'static str;
    /// Reads the row.
    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, Option<i64>)>;
    /// The checksum it must have.
    fn expected_sum(&self) -> i64;
}

/// A row as found.
pub(crate) struct Found<T> {
    pub(crate) key: i64,
    pub(crate) row: T,
    /// The checksum is right, or absent because somebody edited the row by hand.
    pub(crate) sound: bool,
}

pub(crate) fn found<T: Stored>(row: &Row<'_>) -> rusqlite::Result<Found<T>> {
    let key = row.get(0)?;
    let (content, sum) = T::read(row)?;
    let sound = sum.is_none_or(|sum| sum == content.expected_sum());
    Ok(Found { key, row: content, sound })
}

impl Stored for JobRow {
    const TABLE: &'static str = "jobs";
    const KEY: &'static str = "n";
    const COLUMNS: &'static str = "id, owner, state, priority, name, doc, sum";

    fn read(r: &Row<'_>) -> rusqlite::Result<(Self, Option<i64>)> {
        let job = Self {
            id: r.get(1)?,
            owner: r.get(2)?,
            state: r.get(3)?,
            priority: r.get(4)?,
            name: r.get(5)?,
            doc: r.get(6)?,
        };
        Ok((job, r.get(7)?))
    }

    fn expected_sum(&self) -> i64 {
        self.sum()
    }
}

impl Stored for FileRow {
    const TABLE: &'static str = "files";
    const KEY: &'static str = "n";
    const COLUMNS: &'static str = "job, idx, remote, local, doc, sum";

    fn read(r: &Row<'_>) -> rusqlite::Result<(Self, Option<i64>)> {
        let file =
            Self { job: r.get(1)?, index: r.get(2)?, remote: r.get(3)?, local: r.get(4)?, doc: r.get(5)? };
        Ok((file, r.get(6)?))
    }

    fn expected_sum(&self) -> i64 {
        self.sum()
    }
}

impl Stored for EventRow {
    const TABLE: &'static str = "events";
    const KEY: &'static str = "seq";
    const COLUMNS: &'static str = "owner, job, kind, at_ms, body, sum";

    fn read(r: &Row<'_>) -> rusqlite::Result<(Self, Option<i64>)> {
        let event = Self {
            seq: u64::try_from(r.get::<_, i64>(0)?)
                .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, -1))?,
            owner: r.get(1)?,
            job: r.get(2)?,
            kind: r.get(3)?,
            at_ms: r.get(4)?,
            body: r.get(5)?,
        };
        Ok((event, r.get(6)?))
    }

    fn expected_sum(&self) -> i64 {
        self.sum()
    }
}

/// All settings in key order, until the first error; `sound` as in [`Found`].
pub(crate) fn meta(
    conn: &Connection,
    order: &str,
    mut each: impl FnMut(String, String, bool),
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(&format!("SELECT key, value, sum FROM meta ORDER BY key {order}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
        let sound = row.get::<_, Option<i64>>(2)?.is_none_or(|sum| sum == meta_sum(&key, &value));
        each(key, value, sound);
    }
    Ok(())
}
