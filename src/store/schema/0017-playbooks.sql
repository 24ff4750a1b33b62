-- How an incident's playbook was followed: what is done, who has which role, that something was said. What was taken back is
-- gone from here and stays in the history.
CREATE TABLE followed (
  incident TEXT NOT NULL,
  kind     TEXT NOT NULL CHECK (kind IN ('step', 'role', 'statement')),
  name     TEXT NOT NULL,
  value    TEXT NOT NULL,
  by       TEXT NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (incident, kind, name)
) STRICT, WITHOUT ROWID;

-- Which statements may be used, word for word, by the SHA-256 of name, version and words.
CREATE TABLE approval (
  statement BLOB PRIMARY KEY,
  by        TEXT NOT NULL,
  at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What whoever hands a shift over writes down for whoever takes it.
CREATE TABLE handover (
  seq  INTEGER PRIMARY KEY,
  at   INTEGER NOT NULL,
  by   TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX handover_age ON handover (at);
