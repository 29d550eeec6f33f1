//! The order of checks at open: first bytes, log, version, definitions, structure, rows.

use std::fs::File;

use rusqlite::Connection;

use crate::check::{self, Header};
use crate::error::OpenError;
use crate::folder::Place;
use crate::load::{self, Trouble};
use crate::row::Loaded;
use crate::schema::{self, MIGRATIONS, SCHEMA_VERSION};
use crate::store::Finding;
use crate::wal;

/// A file that can be used.
pub(crate) struct Healthy {
    pub(crate) conn: Connection,
    pub(crate) loaded: Loaded,
    pub(crate) migrated: Option<Finding>,
}

pub(crate) enum Examined {
    Healthy(Box<Healthy>),
    Damaged(String),
}

/// Checks the file in place, upgrades it if it is sound, and loads it.
pub(crate) fn examine(place: &Place, lock: &File) -> Result<Examined, OpenError> {
    let path = place.db();
    let unmarked = match check::header(&path) {
        Ok(Header::Ours) => false,
        Ok(Header::Unmarked) => true,
        Ok(Header::Damaged(reason)) => return Ok(Examined::Damaged(reason)),
        Ok(Header::Foreign(what)) if Place::is_marked(lock) => return Ok(Examined::Damaged(what)),
        Ok(Header::Foreign(what)) => return Err(OpenError::Foreign { path, what }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Examined::Damaged("the database file is missing, only its log is there".into()));
        }
        Err(e) => return Err(OpenError::os(&path, e)),
    };
    let log = place.with("-wal");
    if !unmarked && let Some(reason) = wal::damage(&log).map_err(|e| OpenError::os(&log, e))? {
        return Ok(Examined::Damaged(reason));
    }
    let result = (|| -> Result<Result<Healthy, OpenError>, Trouble> {
        let mut conn = schema::connect(&path)?;
        if unmarked && schema::objects(&conn)?.is_empty() {
            if Place::is_marked(lock) {
                return Err(Trouble::Damaged("the tables are gone".into()));
            }
        } else if unmarked {
            let what = "an SQLite database of another program".to_owned();
            return Ok(Err(OpenError::Foreign { path: path.clone(), what }));
        }
        let version = schema::user_version(&conn)?;
        if !unmarked {
            let twin = check::version_twin(&conn)?;
            if version > SCHEMA_VERSION && twin == version {
                let path = path.clone();
                return Ok(Err(OpenError::Newer { path, found: version, supported: SCHEMA_VERSION }));
            }
            prove(&conn, version, twin)?;
        }
        let mode = schema::make_durable(&conn)?;
        if mode != "wal" {
            return Ok(Err(OpenError::NoWal { path: path.clone(), mode }));
        }
        schema::migrate(&mut conn, MIGRATIONS)?;
        let migrated =
            (version < SCHEMA_VERSION).then_some(Finding::Migrated { from: version, to: SCHEMA_VERSION });
        load::check_events(&conn)?;
        let loaded = load::load(&conn)?;
        Ok(Ok(Healthy { conn, loaded, migrated }))
    })();
    match result {
        Ok(Ok(healthy)) => Ok(Examined::Healthy(Box::new(healthy))),
        Ok(Err(refusal)) => Err(refusal),
        Err(Trouble::Damaged(what)) if unmarked && !Place::is_marked(lock) => {
            Err(OpenError::Foreign { path, what })
        }
        Err(Trouble::Damaged(reason)) => Ok(Examined::Damaged(reason)),
        Err(Trouble::Failed(error)) => Err(OpenError::sqlite(&path, error)),
    }
}

fn prove(conn: &Connection, version: i64, twin: i64) -> Result<(), Trouble> {
    let known = usize::try_from(version).ok().filter(|v| *v > 0 && *v <= MIGRATIONS.len() && twin == version);
    let Some(known) = known else {
        return Err(Trouble::Damaged(format!(
            "the header says schema version {version}, the content {twin}"
        )));
    };
    let differs = check::schema_differs(conn, &MIGRATIONS[..known])?;
    match differs.map_or_else(|| check::quick_check(conn), |d| Ok(Some(d)))? {
        Some(reason) => Err(Trouble::Damaged(reason)),
        None => Ok(()),
    }
}
