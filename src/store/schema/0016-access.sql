-- Who may use the console, and what everybody did. Of secrets only the SHA-256 is here.
CREATE TABLE account (
  name     TEXT PRIMARY KEY,
  role     TEXT NOT NULL,
  password TEXT NOT NULL,
  since    INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
  secret  BLOB PRIMARY KEY,
  account TEXT NOT NULL,
  began   INTEGER NOT NULL,
  used    INTEGER NOT NULL,
  browser TEXT NOT NULL
) STRICT;

CREATE TABLE invitation (
  secret  BLOB PRIMARY KEY,
  account TEXT,
  role    TEXT NOT NULL,
  until   INTEGER NOT NULL
) STRICT;

-- Rows are only added. Each has a hash that covers the row before. Of its words, which go when retention ends, it covers
-- the hash; their salt goes with them, so that nobody finds out by trying what they were.
CREATE TABLE audit (
  seq   INTEGER PRIMARY KEY,
  at    INTEGER NOT NULL,
  by    TEXT NOT NULL,
  what  TEXT NOT NULL,
  about TEXT NOT NULL,
  text  TEXT,
  salt  BLOB,
  words BLOB NOT NULL,
  hash  BLOB NOT NULL
) STRICT;
CREATE INDEX audit_worded ON audit (at) WHERE text IS NOT NULL;
