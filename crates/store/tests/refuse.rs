//! What `open` refuses, and how it leaves the files; permissions; versions.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use common::{batch, file, job, open};
use openbits_store::{APPLICATION_ID, Finding, Op, OpenError, Options, SCHEMA_VERSION, Store};

fn refused(path: &Path) -> OpenError {
    Store::open(path, Options::default()).expect_err("must be refused")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/folder");
    let path = folder.join("queue.db");
    let opened = open(&path);
    batch(&opened.store, vec![Op::PutJob(job(1, "a"))]).unwrap();
    assert_eq!(mode(&folder), 0o700);
    for name in ["queue.db", "queue.db-wal", "queue.db-shm", "queue.db.lock"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    opened.store.close();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let again = open(&path);
    assert_eq!((mode(&path), again.loaded.jobs.len()), (0o600, 1));
}

#[test]
fn one_service_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let first = open(&path);
    assert!(matches!(refused(&path), OpenError::InUse { .. }));
    first.store.close();
    open(&path);
}

#[test]
fn links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere.db");
    open(&elsewhere).store.close();
    let before = fs::read(&elsewhere).unwrap();
    for planted in ["queue.db", "queue.db-wal", "queue.db-shm", "queue.db.lock", "queue.db.salvaged"] {
        let folder = dir.path().join(format!("folder-{planted}"));
        fs::create_dir(&folder).unwrap();
        symlink(&elsewhere, folder.join(planted)).unwrap();
        let error = refused(&folder.join("queue.db"));
        assert!(matches!(error, OpenError::NotRegular { .. }), "{planted}: {error:?}");
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
    // A link above the file is the administrator's business.
    symlink(dir.path(), dir.path().join("alias")).unwrap();
    assert_eq!(open(&dir.path().join("alias/elsewhere.db")).findings, []);
}

#[test]
fn a_newer_schema_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    open(&path).store.close();
    let newer = SCHEMA_VERSION + 5;
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(&format!(
        "UPDATE openbits_store SET schema_version = {newer}; PRAGMA user_version = {newer}; ALTER TABLE jobs ADD COLUMN x TEXT;"
    ))
    .unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    let OpenError::Newer { found, supported, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*found, *supported), (newer, SCHEMA_VERSION));
    let text = error.to_string();
    assert!(text.contains(&newer.to_string()) && text.contains(&SCHEMA_VERSION.to_string()), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn another_programs_file_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("other.db");
    let conn = rusqlite::Connection::open(&database).unwrap();
    conn.execute_batch(
        "PRAGMA application_id = 77; CREATE TABLE jobs (a, b); INSERT INTO jobs VALUES (1, 2);",
    )
    .unwrap();
    drop(conn);
    let text = dir.path().join("notes.txt");
    fs::write(&text, "remember the milk\n".repeat(100)).unwrap();
    let short = dir.path().join("short.txt");
    fs::write(&short, "milk").unwrap();
    for path in [database, text, short] {
        let before = fs::read(&path).unwrap();
        let error = refused(&path);
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn an_empty_database_is_migrated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA user_version = 0; CREATE TABLE t (x); DROP TABLE t;").unwrap();
    drop(conn);
    let opened = open(&path);
    assert_eq!(opened.findings, [Finding::Migrated { from: 0, to: SCHEMA_VERSION }]);
    batch(&opened.store, vec![Op::PutJob(job(1, "a"))]).unwrap();
    opened.store.close();
    let again = open(&path);
    assert_eq!((again.findings, again.loaded.jobs.len()), (vec![], 1));
    let conn = rusqlite::Connection::open(&path).unwrap();
    let id: i32 = conn.query_row("PRAGMA application_id", [], |r| r.get(0)).unwrap();
    assert_eq!(id, APPLICATION_ID);
}

#[test]
fn an_operator_can_read_and_repair_with_plain_sql() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let opened = open(&path);
    let ops = vec![
        Op::PutJob(job(5, "name")),
        Op::PutFile(file(5, 0, "t")),
        Op::PutMeta { key: "k".into(), value: "v".into() },
    ];
    batch(&opened.store, ops).unwrap();
    // While the service runs.
    let conn = rusqlite::Connection::open(&path).unwrap();
    let row: (String, String, String, i64) = conn
        .query_row("SELECT id, state, priority, files FROM jobs_readable", [], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
        })
        .unwrap();
    let guid = uuid_text(&job(5, "").id);
    assert_eq!(row, (guid, "TRANSIENT_ERROR".into(), "HIGH".into(), 1));
    opened.store.close();
    conn.execute_batch(
        "UPDATE jobs SET name = 'by hand'; UPDATE files SET local = '/elsewhere'; UPDATE meta SET value = 'w';
         CREATE INDEX operators_own ON jobs (owner); ANALYZE;",
    )
    .unwrap();
    drop(conn);
    let again = open(&path);
    assert_eq!(again.findings, [], "a repair by hand is not damage");
    assert_eq!((&*again.loaded.jobs[0].name, &*again.loaded.files[0].local), ("by hand", "/elsewhere"));
    assert_eq!(again.loaded.meta["k"], "w");
    batch(&again.store, vec![Op::PutJob(job(5, "and back"))]).unwrap();
    again.store.close();
    let conn = rusqlite::Connection::open(&path).unwrap();
    let sums: i64 = conn.query_row("SELECT count(sum) FROM jobs", [], |r| r.get(0)).unwrap();
    assert_eq!(sums, 1, "a write by the service is checked again");
}

fn uuid_text(id: &[u8; 16]) -> String {
    let hex: String = id.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[test]
fn bad_paths_and_read_only_folders() {
    assert!(matches!(refused(Path::new("/")), OpenError::BadPath { .. }));
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("queue.db")).unwrap();
    assert!(matches!(refused(&dir.path().join("queue.db")), OpenError::NotRegular { .. }));
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may write everywhere; disk.rs tries a read-only file system instead");
        return;
    }
    let folder = dir.path().join("closed");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let error = refused(&folder.join("queue.db"));
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
}
