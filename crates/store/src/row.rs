//! What is stored: rows, the operations on them, and the checksum that every row carries.

use std::collections::BTreeMap;

/// One job. `doc` is a JSON text with everything the brain keeps beyond the columns; it must be valid JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobRow {
    /// Job id (GUID bytes).
    pub id: [u8; 16],
    /// Owner's uid.
    pub owner: u32,
    /// `BG_JOB_STATE` number.
    pub state: u8,
    /// `BG_JOB_PRIORITY` number.
    pub priority: u8,
    /// Display name.
    pub name: String,
    /// JSON of all the rest.
    pub doc: String,
}

/// One file of a job. Its job must exist; deleting the job deletes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileRow {
    /// Job id.
    pub job: [u8; 16],
    /// Position in the job, from 0.
    pub index: u32,
    /// Remote URL.
    pub remote: String,
    /// Local path.
    pub local: String,
    /// JSON: size, ranges, validator and so on.
    pub doc: String,
}

/// One event, numbered by the caller. Numbers must be new and at most `i64::MAX`. Events outlive their job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventRow {
    /// Event number.
    pub seq: u64,
    /// Uid of the job's owner.
    pub owner: u32,
    /// Job id.
    pub job: [u8; 16],
    /// Kind of event.
    pub kind: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Body, as the caller likes it.
    pub body: String,
}

/// One change. The changes of a batch are applied in order, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Insert the job or replace its columns.
    PutJob(JobRow),
    /// Delete the job and its files; nothing happens if there is none.
    DeleteJob([u8; 16]),
    /// Insert the file or replace its columns. Without its job the commit fails (`CommitError::Constraint`).
    PutFile(FileRow),
    /// Add an event.
    AppendEvent(EventRow),
    /// Delete all events but the newest `keep`, of all owners or of one. How far one owner's were deleted is remembered
    /// ([`crate::Store::trimmed`]).
    TrimEvents {
        /// Whose; `None`: everybody's together.
        owner: Option<u32>,
        /// How many events stay.
        keep: u64,
    },
    /// Delete all events of a job of this kind but the newest `keep`.
    TrimJobEvents {
        /// Job id.
        job: [u8; 16],
        /// Kind of event.
        kind: &'static str,
        /// How many stay.
        keep: u64,
    },
    /// Set a key.
    PutMeta {
        /// Key.
        key: String,
        /// Value.
        value: String,
    },
    /// Remove a key; nothing happens if there is none.
    DeleteMeta {
        /// Key.
        key: String,
    },
}

/// Everything a service needs in memory, as of one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// All jobs, ordered by id.
    pub jobs: Vec<JobRow>,
    /// All files, ordered by job, then index.
    pub files: Vec<FileRow>,
    /// All settings.
    pub meta: BTreeMap<String, String>,
    /// The highest event number ever stored, trimmed ones included; 0 if there was none.
    pub last_event_seq: u64,
}

/// CRC-32 over a table tag and all columns, texts with their length. Detects every burst of up to 32 bits; part of the
/// file format, so a change needs a migration.
struct Sum(crc32fast::Hasher);

impl Sum {
    fn of(table: u8) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[table]);
        Self(hasher)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(&(text.len() as u64).to_le_bytes()).bytes(text.as_bytes())
    }

    fn done(self) -> i64 {
        i64::from(self.0.finalize())
    }
}

impl JobRow {
    pub(crate) fn sum(&self) -> i64 {
        Sum::of(b'j')
            .bytes(&self.id)
            .bytes(&self.owner.to_le_bytes())
            .bytes(&[self.state, self.priority])
            .text(&self.name)
            .text(&self.doc)
            .done()
    }
}

impl FileRow {
    pub(crate) fn sum(&self) -> i64 {
        Sum::of(b'f')
            .bytes(&self.job)
            .bytes(&self.index.to_le_bytes())
            .text(&self.remote)
            .text(&self.local)
            .text(&self.doc)
            .done()
    }
}

impl EventRow {
    pub(crate) fn sum(&self) -> i64 {
        Sum::of(b'e')
            .bytes(&self.seq.to_le_bytes())
            .bytes(&self.owner.to_le_bytes())
            .bytes(&self.job)
            .bytes(&self.at_ms.to_le_bytes())
            .text(&self.kind)
            .text(&self.body)
            .done()
    }
}

pub(crate) fn meta_sum(key: &str, value: &str) -> i64 {
    Sum::of(b'm').text(key).text(value).done()
}
