//! Connections, and the numbered migrations that make and upgrade the tables.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// `PRAGMA application_id` of our files: "OBTS".
pub const APPLICATION_ID: i32 = 0x4F42_5453;

/// The newest schema this program reads and the one it writes.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Migration `i` takes a file from version `i` to `i + 1`. Never edit one that was released; add the next. Each must
/// leave `openbits_store.schema_version` at its own number.
pub(crate) const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001_queue.sql"), include_str!("migrations/0002_events.sql")];

/// The most an operator's lock may hold up a commit, milliseconds.
const BUSY_MS: u64 = 5_000;

/// Opens an existing file. Nothing is written to it by opening or closing this connection alone.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_prepared_statement_cache_capacity(32);
    conn.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;",
    )?;
    Ok(conn)
}

/// Settings of a connection that commits. Returns the journal mode, which must be `wal`.
pub(crate) fn make_durable(conn: &Connection) -> rusqlite::Result<String> {
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
    // The log is cut back to 16 MiB after a burst; checkpoints happen inside commits only, every 1000 pages.
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 16777216;",
    )?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(mode)
}

pub(crate) fn user_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |r| r.get(0))
}

/// Runs the migrations a file lacks, each in its own transaction with the version number.
pub(crate) fn migrate(conn: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let have = user_version(conn)?;
    for (version, sql) in (1_i64..).zip(migrations).skip_while(|(version, _)| *version <= have) {
        let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Every object of a schema as `(type, name, sql)`.
pub(crate) fn objects(conn: &Connection) -> rusqlite::Result<Vec<(String, String, String)>> {
    let mut statement =
        conn.prepare("SELECT type, name, ifnull(sql, '') FROM sqlite_schema ORDER BY type, name")?;
    let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    rows.collect()
}

/// What the objects of a file of version `version` should be.
pub(crate) fn expected_objects(migrations: &[&str]) -> rusqlite::Result<Vec<(String, String, String)>> {
    let mut reference = Connection::open_in_memory()?;
    migrate(&mut reference, migrations)?;
    objects(&reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: &str =
        "ALTER TABLE jobs ADD COLUMN note TEXT; UPDATE openbits_store SET schema_version = 3;";

    #[test]
    fn only_the_missing_migrations_run() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, MIGRATIONS).unwrap();
        assert_eq!(user_version(&conn).unwrap(), SCHEMA_VERSION);
        let with_second = [MIGRATIONS, &[SECOND]].concat();
        migrate(&mut conn, &with_second).unwrap();
        migrate(&mut conn, &with_second).unwrap();
        assert_eq!(user_version(&conn).unwrap(), SCHEMA_VERSION + 1);
        assert_eq!(objects(&conn).unwrap(), expected_objects(&with_second).unwrap());
        assert_ne!(objects(&conn).unwrap(), expected_objects(MIGRATIONS).unwrap());
    }

    #[test]
    fn a_failing_migration_changes_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, MIGRATIONS).unwrap();
        let failing = [MIGRATIONS, &["DROP VIEW jobs_readable; DROP TABLE no_such_table;"]].concat();
        assert!(migrate(&mut conn, &failing).is_err());
        assert_eq!(user_version(&conn).unwrap(), SCHEMA_VERSION);
        assert_eq!(objects(&conn).unwrap(), expected_objects(MIGRATIONS).unwrap());
    }

    #[test]
    fn every_migration_repeats_its_version() {
        for known in 1..=MIGRATIONS.len() {
            let mut conn = Connection::open_in_memory().unwrap();
            migrate(&mut conn, &MIGRATIONS[..known]).unwrap();
            assert_eq!(crate::check::version_twin(&conn).unwrap(), known as i64);
        }
    }
}
