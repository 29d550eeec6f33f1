//! Is this file ours, of a version we know, and sound?

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;

use crate::schema;

/// What the first bytes of the file say. Decided before SQLite opens it, because SQLite acts on a damaged header (a
/// flipped journal mode makes it ignore the log, for instance).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Our mark is there and the constant fields are right.
    Ours,
    /// A well-formed SQLite file without our mark: empty, or another program's.
    Unmarked,
    /// Ours, or a remainder that nobody could use, with wrong content.
    Damaged(String),
    /// Not an SQLite file at all.
    Foreign(String),
}

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The name of our first table, as it stands in the schema pages at the beginning of the file.
const MARK: &[u8] = b"openbits_store";
/// How far into the file the mark is looked for: the schema was written first.
const HEAD: u64 = 64 * 1024;

pub(crate) fn header(path: &Path) -> std::io::Result<Header> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    let damaged = |what: &str| Ok(Header::Damaged(what.to_owned()));
    if head.iter().take(512).all(|b| *b == 0) {
        return damaged(if head.is_empty() { "the file is empty" } else { "the file begins with zeros" });
    }
    let marked = head.windows(MARK.len()).any(|w| w == MARK)
        || head.get(68..72).is_some_and(|id| id == schema::APPLICATION_ID.to_be_bytes());
    if head.len() < 512 {
        return match head.starts_with(MAGIC) || MAGIC.starts_with(&head) || marked {
            true => damaged("the file is cut short"),
            false => Ok(Header::Foreign("a short file of some other kind".into())),
        };
    }
    if !head.starts_with(MAGIC) {
        return match marked {
            true => damaged("the first bytes are not those of an SQLite file"),
            false => Ok(Header::Foreign("not an SQLite file".into())),
        };
    }
    if !marked {
        return Ok(Header::Unmarked);
    }
    // WAL for writing and reading, no reserved space, the fixed payload fractions, schema format 4, UTF-8.
    let constants = [(18, &[2, 2, 0, 64, 32, 32][..]), (44, &[0, 0, 0, 4]), (56, &[0, 0, 0, 1])];
    if constants.iter().any(|(at, bytes)| !head[*at..].starts_with(bytes)) {
        return damaged("constant fields of the file header are wrong");
    }
    if head[68..72] != schema::APPLICATION_ID.to_be_bytes() {
        return damaged("the application id is wrong");
    }
    Ok(Header::Ours)
}

/// Runs SQLite's structural check over all pages. Not the full `integrity_check`: what that adds (indexes against
/// tables) the loader does at a fraction of the cost.
pub(crate) fn quick_check(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
    Ok((verdict != "ok").then_some(verdict))
}

/// Compares tables, indexes, triggers and views with what the migrations up to `version` make. An operator's own
/// additions are left alone; changed or missing objects are damage, for a constraint with a flipped bit would let
/// wrong rows in.
pub(crate) fn schema_differs(conn: &Connection, migrations: &[&str]) -> rusqlite::Result<Option<String>> {
    let have = schema::objects(conn)?;
    let differs = schema::expected_objects(migrations)?.into_iter().find(|object| !have.contains(object));
    Ok(differs.map(|(kind, name, _)| format!("the definition of {kind} {name} is missing or changed")))
}

/// The version that `openbits_store` repeats.
pub(crate) fn version_twin(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT schema_version FROM openbits_store", [], |r| r.get(0))
}
