-- Schema 1. Every row carries `sum`, a CRC-32 of its content (row.rs): SQLite does not notice a flipped bit inside a
-- value, and the queue must not act on one. NULL means "not checked"; the triggers below set it when somebody edits a
-- row by hand, so that an operator can repair the queue with the sqlite3 tool alone.

-- One row: what this file is. The name of this table is how a damaged file is recognised as ours, and schema_version
-- repeats PRAGMA user_version so that damage to the header is not mistaken for a newer program's file. Keep both.
CREATE TABLE openbits_store (
  one            INTEGER PRIMARY KEY CHECK (one = 1),
  schema_version INTEGER NOT NULL,
  event_high     INTEGER NOT NULL DEFAULT 0,  -- highest event number ever trimmed away
  salvage_note   TEXT                         -- set when this file was rebuilt from a damaged one
) STRICT;
INSERT INTO openbits_store (one, schema_version) VALUES (1, 1);

CREATE TABLE jobs (
  n        INTEGER PRIMARY KEY,
  id       BLOB    NOT NULL CHECK (length(id) = 16),
  owner    INTEGER NOT NULL CHECK (owner BETWEEN 0 AND 4294967295),
  state    INTEGER NOT NULL CHECK (state BETWEEN 0 AND 255),
  priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 255),
  name     TEXT    NOT NULL,
  doc      TEXT    NOT NULL CHECK (json_valid(doc)),
  sum      INTEGER
) STRICT;
CREATE UNIQUE INDEX jobs_by_id ON jobs (id);

CREATE TABLE files (
  n        INTEGER PRIMARY KEY,
  job      BLOB    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  idx      INTEGER NOT NULL CHECK (idx BETWEEN 0 AND 4294967295),
  remote   TEXT    NOT NULL,
  local    TEXT    NOT NULL,
  doc      TEXT    NOT NULL CHECK (json_valid(doc)),
  sum      INTEGER
) STRICT;
CREATE UNIQUE INDEX files_by_job ON files (job, idx);

-- Events outlive their job, so there is no foreign key. They are read by cursor (seq) and trimmed, hence no index.
CREATE TABLE events (
  seq      INTEGER PRIMARY KEY CHECK (seq >= 0),
  owner    INTEGER NOT NULL CHECK (owner BETWEEN 0 AND 4294967295),
  job      BLOB    NOT NULL CHECK (length(job) = 16),
  kind     TEXT    NOT NULL,
  at_ms    INTEGER NOT NULL,
  body     TEXT    NOT NULL,
  sum      INTEGER
) STRICT;

CREATE TABLE meta (
  key      TEXT NOT NULL PRIMARY KEY,
  value    TEXT NOT NULL,
  sum      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_edited_by_hand AFTER UPDATE ON jobs
WHEN NEW.sum IS OLD.sum AND NEW.sum IS NOT NULL AND (NEW.id IS NOT OLD.id OR NEW.owner IS NOT OLD.owner
  OR NEW.state IS NOT OLD.state OR NEW.priority IS NOT OLD.priority OR NEW.name IS NOT OLD.name OR NEW.doc IS NOT OLD.doc)
BEGIN UPDATE jobs SET sum = NULL WHERE n = NEW.n; END;

CREATE TRIGGER files_edited_by_hand AFTER UPDATE ON files
WHEN NEW.sum IS OLD.sum AND NEW.sum IS NOT NULL AND (NEW.job IS NOT OLD.job OR NEW.idx IS NOT OLD.idx
  OR NEW.remote IS NOT OLD.remote OR NEW.local IS NOT OLD.local OR NEW.doc IS NOT OLD.doc)
BEGIN UPDATE files SET sum = NULL WHERE n = NEW.n; END;

CREATE TRIGGER meta_edited_by_hand AFTER UPDATE ON meta
WHEN NEW.sum IS OLD.sum AND NEW.sum IS NOT NULL AND (NEW.key IS NOT OLD.key OR NEW.value IS NOT OLD.value)
BEGIN UPDATE meta SET sum = NULL WHERE key = NEW.key; END;

-- For people. State and priority numbers are those of BG_JOB_STATE and BG_JOB_PRIORITY (spec/bits-core.md).
CREATE VIEW jobs_readable AS
SELECT
  lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-'
    || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) AS id,
  owner,
  CASE state WHEN 0 THEN 'QUEUED' WHEN 1 THEN 'CONNECTING' WHEN 2 THEN 'TRANSFERRING' WHEN 3 THEN 'SUSPENDED'
    WHEN 4 THEN 'ERROR' WHEN 5 THEN 'TRANSIENT_ERROR' WHEN 6 THEN 'TRANSFERRED' WHEN 7 THEN 'ACKNOWLEDGED'
    WHEN 8 THEN 'CANCELLED' ELSE 'UNKNOWN ' || state END AS state,
  CASE priority WHEN 0 THEN 'FOREGROUND' WHEN 1 THEN 'HIGH' WHEN 2 THEN 'NORMAL' WHEN 3 THEN 'LOW'
    ELSE 'UNKNOWN ' || priority END AS priority,
  name,
  (SELECT count(*) FROM files WHERE files.job = jobs.id) AS files,
  doc
FROM jobs;
