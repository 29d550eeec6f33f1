//! Applying operations inside a transaction, with prepared statements kept by the connection.

use rusqlite::{Connection, params};

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
const PUT_META: &str = "INSERT INTO meta (key, value, sum) VALUES (?1, ?2, ?3) \
     ON CONFLICT (key) DO UPDATE SET value = ?2, sum = ?3";

/// Applies one operation.
pub(crate) fn apply(conn: &Connection, op: &Op) -> rusqlite::Result<()> {
    match op {
        Op::PutJob(job) => put_job(conn, job),
        Op::DeleteJob(id) => run(conn, "DELETE FROM jobs WHERE id = ?1", params![id]),
        Op::PutFile(file) => put_file(conn, file),
        Op::AppendEvent(event) => append_event(conn, event),
        Op::TrimEvents { keep } => trim_events(conn, *keep),
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

fn run(conn: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute(params).map(drop)
}
