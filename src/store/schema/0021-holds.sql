-- Incidents whose evidence must stay, and who answers for that.
CREATE TABLE hold (
  incident    TEXT PRIMARY KEY,
  approved_by TEXT NOT NULL,
  reason      TEXT NOT NULL,
  by          TEXT NOT NULL,
  at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What authors of held posts deleted or changed: gone from view, kept for whoever approved the hold, until it ends.
CREATE TABLE held (
  seq  INTEGER PRIMARY KEY,
  post TEXT NOT NULL,
  hash BLOB NOT NULL,
  json TEXT NOT NULL,
  UNIQUE (post, hash)
) STRICT;
