//! Keeping a damaged file aside and putting what it still tells into a new one.
//!
//! Order of steps (STATE.md): copy -> read the copy -> write `.new` -> rename to `.salvaged` -> move the damaged files
//! aside -> rename `.salvaged` into place. Before the first rename a crash changes nothing; after it `finish` goes on at
//! the next start. The damaged files are only ever renamed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};

use rusqlite::{Connection, params};

use crate::error::OpenError;
use crate::folder::Place;
use crate::ops;
use crate::row::{EventRow, FileRow, JobRow, Op};
use crate::scan::{self, Found, Stored, found};
use crate::schema::{self, MIGRATIONS};
use crate::store::Finding;

/// What could be read.
#[derive(Default)]
struct Rows {
    jobs: BTreeMap<[u8; 16], JobRow>,
    files: BTreeMap<([u8; 16], u32), FileRow>,
    events: BTreeMap<u64, EventRow>,
    meta: BTreeMap<String, String>,
    event_high: i64,
    /// Rows seen whose content fails its checksum.
    unsound: u64,
}

impl Rows {
    fn len(&self) -> usize {
        self.jobs.len() + self.files.len() + self.events.len() + self.meta.len()
    }
}

/// Creates a fresh database under `suffix`, filled in one transaction, complete and durable on return.
pub(crate) fn build(
    place: &Place,
    suffix: &str,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), OpenError> {
    let path = place.create_empty(suffix)?;
    let make = || {
        let mut conn = schema::connect(&path)?;
        let mode = schema::make_durable(&conn)?;
        schema::migrate(&mut conn, MIGRATIONS)?;
        let transaction = conn.transaction()?;
        fill(&transaction)?;
        transaction.commit()?;
        // Into the database file and synced; closing removes the log.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        conn.close().map_err(|(_, e)| e)?;
        Ok(mode)
    };
    let mode = make().map_err(|e| OpenError::sqlite(&path, e))?;
    if mode != "wal" {
        place.remove(suffix)?;
        return Err(OpenError::NoWal { path: place.db(), mode });
    }
    Ok(())
}

/// Replaces the damaged database by a new one with all rows that can be read.
pub(crate) fn rebuild(place: &Place, reason: &str) -> Result<Finding, OpenError> {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let aside = (0..)
        .map(|i| if i == 0 { format!(".bad-{stamp}") } else { format!(".bad-{stamp}-{i}") })
        .find(|aside| !place.exists(aside) && !place.exists(&format!("{aside}-wal")))
        .expect("numbers do not run out");
    let rows = read(place)?;
    let mut counts =
        [rows.jobs.len() as u64, 0, rows.events.len() as u64, rows.meta.len() as u64, rows.unsound];
    build(place, ".new", |conn| {
        rows.jobs.values().try_for_each(|job| ops::put_job(conn, job))?;
        for file in rows.files.values() {
            if rows.jobs.contains_key(&file.job) {
                ops::put_file(conn, file)?;
                counts[1] += 1;
            } else {
                counts[4] += 1;
            }
        }
        rows.events.values().try_for_each(|event| ops::append_event(conn, event))?;
        for (key, value) in &rows.meta {
            ops::apply(conn, &Op::PutMeta { key: key.clone(), value: value.clone() })?;
        }
        ops::raise_event_high(conn, rows.event_high)?;
        let numbers = counts.map(|n| n.to_string()).join(" ");
        conn.execute(
            "UPDATE openbits_store SET salvage_note = ?1",
            params![format!("{aside}\n{numbers}\n{reason}")],
        )?;
        Ok(())
    })?;
    place.rename(".new", ".salvaged")?;
    place.sync()?;
    place.remove(".salvage")?;
    finish(place)?.ok_or_else(|| OpenError::Rebuild { path: place.db(), reason: reason.to_owned() })
}

/// Puts a finished `.salvaged` file into place, if there is one: also the way out of a crash in between.
pub(crate) fn finish(place: &Place) -> Result<Option<Finding>, OpenError> {
    if !place.exists(".salvaged") {
        return Ok(None);
    }
    let Some((aside, counts, reason)) = note(place) else {
        // Not readable itself. The damaged original is in place still, or kept aside; never guess between them.
        if place.exists("") {
            place.remove(".salvaged")?;
            return Ok(None);
        }
        let reason = "the rebuilt file is unreadable; the original was kept aside as .bad-*".to_owned();
        return Err(OpenError::Rebuild { path: place.db(), reason });
    };
    // The log goes first: with the new database it would be replayed into the wrong file.
    for end in ["-wal", "-shm", "-journal", ""] {
        place.rename(end, &format!("{aside}{end}"))?;
    }
    place.sync()?;
    place.rename(".salvaged", "")?;
    place.sync()?;
    let [salvaged_jobs, salvaged_files, salvaged_events, salvaged_meta, unusable_rows] = counts;
    Ok(Some(Finding::DamagedKeptAside {
        path: place.with(&aside),
        reason,
        salvaged_jobs,
        salvaged_files,
        salvaged_events,
        salvaged_meta,
        unusable_rows,
    }))
}

fn note(place: &Place) -> Option<(String, [u64; 5], String)> {
    let conn = schema::connect(&place.with(".salvaged")).ok()?;
    schema::make_durable(&conn).ok()?;
    let text: String = conn.query_row("SELECT salvage_note FROM openbits_store", [], |r| r.get(0)).ok()?;
    conn.close().ok()?;
    let mut lines = text.splitn(3, '\n');
    let (aside, numbers, reason) = (lines.next()?, lines.next()?, lines.next()?);
    let numbers: Vec<u64> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    Some((aside.to_owned(), numbers.try_into().ok()?, reason.to_owned()))
}

/// Reads a copy, so that the original stays as it was found: once as it is, once with the first page (header and
/// schema) of a fresh database, and takes what gives more. Migrations place the tables at the same pages in every new
/// file, and the checksums of the rows do not let a wrong guess through.
fn read(place: &Place) -> Result<Rows, OpenError> {
    place.remove(".salvage")?;
    copy(place, "", ".salvage")?;
    if place.exists("-wal") {
        copy(place, "-wal", ".salvage-wal")?;
    }
    let path = place.with(".salvage");
    let attempt = || schema::connect(&path).map_or_else(|_| Rows::default(), |conn| collect(&conn));
    let rows = attempt();
    graft(place)?;
    let again = attempt();
    Ok(if again.len() > rows.len() { again } else { rows })
}

fn copy(place: &Place, from: &str, to: &str) -> Result<(), OpenError> {
    let target = place.create_empty(to)?;
    let mut output = OpenOptions::new().write(true).open(&target).map_err(|e| OpenError::os(&target, e))?;
    match File::open(place.with(from)).and_then(|mut input| io::copy(&mut input, &mut output)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(OpenError::os(&place.with(from), e)),
        _ => Ok(()),
    }
}

/// Puts the first page of a fresh database on the copy, with the copy's number of pages and no free pages.
fn graft(place: &Place) -> Result<(), OpenError> {
    build(place, ".graft", |_| Ok(()))?;
    let attempt = || -> io::Result<()> {
        let mut fresh = [0; 4096];
        File::open(place.with(".graft"))?.read_exact(&mut fresh)?;
        let mut target = OpenOptions::new().write(true).open(place.with(".salvage"))?;
        let pages = u32::try_from(target.metadata()?.len().div_ceil(4096).max(1)).unwrap_or(u32::MAX);
        fresh[28..32].copy_from_slice(&pages.to_be_bytes());
        fresh[32..40].fill(0);
        let change_counter: [u8; 4] = fresh[24..28].try_into().expect("four bytes");
        fresh[92..96].copy_from_slice(&change_counter);
        target.seek(SeekFrom::Start(0))?;
        target.write_all(&fresh)
    };
    attempt().map_err(|e| OpenError::os(&place.with(".salvage"), e))?;
    place.remove(".graft")
}

fn collect(conn: &Connection) -> Rows {
    let mut rows = Rows::default();
    // Read cells of pages whose layout is partly wrong: the checksums sort them out.
    let _ = conn.execute_batch("PRAGMA cell_size_check = OFF;");
    let unsound = |found: bool| u64::from(!found);
    let mut bad = 0;
    sweep(conn, |job: Found<JobRow>| {
        bad += unsound(job.sound);
        if job.sound {
            rows.jobs.entry(job.row.id).or_insert(job.row);
        }
    });
    sweep(conn, |file: Found<FileRow>| {
        bad += unsound(file.sound);
        if file.sound {
            rows.files.entry((file.row.job, file.row.index)).or_insert(file.row);
        }
    });
    sweep(conn, |event: Found<EventRow>| {
        bad += unsound(event.sound);
        if event.sound {
            rows.events.entry(event.row.seq).or_insert(event.row);
        }
    });
    for order in ["ASC", "DESC"] {
        let _ = scan::meta(conn, order, |key, value, sound| {
            if sound {
                rows.meta.entry(key).or_insert(value);
            }
        });
    }
    let high =
        conn.query_row("SELECT event_high FROM openbits_store", [], |r| r.get::<_, i64>(0)).unwrap_or(0);
    rows.event_high = high.max(rows.events.keys().next_back().map_or(0, |seq| *seq as i64));
    rows.unsound = bad;
    rows
}

/// Visits every row that can be reached by its key. Behind an unreadable place it gallops ahead with doubling steps
/// until a row is found, then reads backwards to the edge of the hole.
fn sweep<T: Stored>(conn: &Connection, mut visit: impl FnMut(Found<T>)) {
    let mut from = 0_i64;
    loop {
        let (last, complete) = range(conn, from, i64::MAX, "ASC", &mut visit);
        if complete {
            return;
        }
        let floor = last.map_or(from, |last| last.saturating_add(1)).max(from);
        let landing = (0..63)
            .filter_map(|power| floor.checked_add(1 << power))
            .find(|probe| first_readable::<T>(conn, *probe));
        let Some(landing) = landing else {
            range(conn, floor, i64::MAX, "DESC", &mut visit);
            return;
        };
        range(conn, floor, landing - 1, "DESC", &mut visit);
        from = landing;
    }
}

/// Can the first row at or after `key` be read? (No row is an answer too.)
fn first_readable<T: Stored>(conn: &Connection, key: i64) -> bool {
    let mut seen = false;
    let (_, complete) = range::<T>(conn, key, i64::MAX, "ASC LIMIT 1", &mut |_| seen = true);
    complete || seen
}

/// Visits rows until the end (`true`) or the first error; returns the last key too. Keys that do not run in order are
/// an error, which also bounds the work on a tree that points at itself.
fn range<T: Stored>(
    conn: &Connection,
    from: i64,
    to: i64,
    order: &str,
    visit: &mut impl FnMut(Found<T>),
) -> (Option<i64>, bool) {
    let mut last = None;
    let attempt = (|| -> rusqlite::Result<bool> {
        let (key, columns, table) = (T::KEY, T::COLUMNS, T::TABLE);
        let sql = format!(
            "SELECT {key}, {columns} FROM {table} NOT INDEXED WHERE {key} BETWEEN ?1 AND ?2 ORDER BY {key} {order}"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([from, to])?;
        while let Some(row) = rows.next()? {
            let key: i64 = row.get(0)?;
            let forward = order.starts_with("ASC");
            if last.is_some_and(|last| if forward { key <= last } else { key >= last }) {
                return Ok(false);
            }
            last = Some(key);
            // A row that does not decode is a lost row, not the end of the table.
            if let Ok(found) = found::<T>(row) {
                visit(found);
            }
        }
        Ok(true)
    })();
    (last, attempt.unwrap_or(false))
}
