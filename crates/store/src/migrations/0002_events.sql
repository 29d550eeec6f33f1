-- Schema 2. Events are trimmed for each owner apart, and a job's history is read by its job. How far an owner's events were trimmed is
-- kept in meta under events.trimmed.<uid>; under events.trimmed for what schema 1 trimmed of all owners together.
CREATE INDEX events_by_owner ON events (owner, seq);
CREATE INDEX events_by_job ON events (job, seq);
INSERT INTO meta (key, value, sum)
  SELECT 'events.trimmed', CAST(min(seq) - 1 AS TEXT), NULL FROM events HAVING min(seq) > 1;
UPDATE openbits_store SET schema_version = 2;
