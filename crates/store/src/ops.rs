//! Applying operations inside a transaction, with prepared statements kept by the connection.

use rusqlite::{Connection, OptionalExtension, params};

use crate::row::{EventRow, FileRow, JobRow, Op, meta_sum};

const PUT_JOB: &str = "INSERT INTO jobs (id, owner, state, priority, name, doc, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
     ON CONFLICT (id) DO UPDATE SET owner = ?2, state = ?3, priority = ?4, name = ?5, doc = ?6, sum = ?7";
const PUT_FILE: &str = "INSERT INTO files (job, idx, remote, local, doc, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
     ON CONFLICT (job, idx) DO UPDATE SET remote = ?3, local = ?4, doc = ?5, sum = ?6";
const APPEND_EVENT: &str =
    "INSERT INTO events (seq, owner, job, kind, at_ms, body, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const RAISE_EVENT_HIGH: &str =
    "UPDATE openbits_store SET event_high = max(?1, event_high) WHERE event_high < ?1";
const TRIM: &str =
    "DELETE FROM events WHERE seq <= (SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET ?1)";
const LAST_TO_TRIM: &str = "SELECT seq FROM events WHERE owner = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2";
const TRIM_OWNER: &str = "DELETE FROM events WHERE owner = ?1 AND seq <= ?2";
const TRIM_JOB: &str = "DELETE FROM events WHERE job = ?1 AND kind = ?2 AND seq <= \
     (SELECT seq FROM events WHERE job = ?1 AND kind = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3)";
const PUT_META: &str = "INSERT INTO meta (key, value, sum) VALUES (?1, ?2, ?3) \
     ON CONFLICT (key) DO UPDATE SET value = ?2, sum = ?3";

/// Applies one operation.
pub(crate) fn apply(conn: &Connection, op: &Op) -> rusqlite::Result<()> {
    match op {
        Op::PutJob(job) => put_job(conn, job),
        Op::DeleteJob(id) => run(conn, "DELETE FROM jobs WHERE id = ?1", params![id]),
        Op::PutFile(file) => put_file(conn, file),
        Op::AppendEvent(event) => append_event(conn, event),
        Op::TrimEvents { owner: None, keep } => trim_events(conn, *keep),
        Op::TrimEvents { owner: Some(owner), keep } => trim_owner(conn, *owner, *keep),
        Op::TrimJobEvents { job, kind, keep } => {
            run(conn, TRIM_JOB, params![job, kind, i64::try_from(*keep).unwrap_or(i64::MAX)])
        }
        Op::PutMeta { key, value } => run(conn, PUT_META, params![key, value, meta_sum(key, value)]),
        Op::DeleteMeta { key } => run(conn, "DELETE FROM meta WHERE key = ?1", params![key]),
    }
}

pub(crate) fn put_job(conn: &Connection, job: &JobRow) -> rusqlite::Result<()> {
    run(conn, PUT_JOB, params![job.id, job.owner, job.state, job.priority, job.name, job.doc, job.sum()])
}

pub(crate) fn put_file(conn: &Connection, file: &FileRow) -> rusqlite::Result<()> {
    run(conn, PUT_FILE, params![file.job, file.index, file.remote, file.local, file.doc, file.sum()])
}

pub(crate) fn append_event(conn: &Connection, event: &EventRow) -> rusqlite::Result<()> {
    let seq = i64::try_from(event.seq).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    run(
        conn,
        APPEND_EVENT,
        params![seq, event.owner, event.job, event.kind, event.at_ms, event.body, event.sum()],
    )
}

/// Remembers that event numbers up to `seq` were used, whatever is trimmed.
pub(crate) fn raise_event_high(conn: &Connection, seq: i64) -> rusqlite::Result<()> {
    run(conn, RAISE_EVENT_HIGH, params![seq])
}

fn trim_events(conn: &Connection, keep: u64) -> rusqlite::Result<()> {
    let newest: Option<i64> =
        conn.prepare_cached("SELECT max(seq) FROM events")?.query_row([], |r| r.get(0))?;
    if let Some(newest) = newest {
        raise_event_high(conn, newest)?;
        run(conn, TRIM, params![i64::try_from(keep).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

/// Key in meta of how far an owner's events are trimmed.
pub(crate) fn trimmed_key(owner: u32) -> String {
    format!("{TRIMMED}.{owner}")
}

/// Key in meta of how far everybody's events were trimmed by the first schema.
pub(crate) const TRIMMED: &str = "events.trimmed";

fn trim_owner(conn: &Connection, owner: u32, keep: u64) -> rusqlite::Result<()> {
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    let last: Option<i64> =
        conn.prepare_cached(LAST_TO_TRIM)?.query_row(params![owner, keep], |row| row.get(0)).optional()?;
    let Some(last) = last else { return Ok(()) };
    raise_event_high(conn, last)?;
    run(conn, TRIM_OWNER, params![owner, last])?;
    let (key, value) = (trimmed_key(owner), last.to_string());
    run(conn, PUT_META, params![key, value, meta_sum(&key, &value)])
}

fn run(conn: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute(params).map(drop)
}
