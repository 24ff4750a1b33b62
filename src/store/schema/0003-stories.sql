-- Which story each matched post is part of, in the order it was told. `words` are hashes of
-- the post's words, where copies are to be compared with it; empty once the text is gone.
CREATE TABLE telling (
  seq      INTEGER PRIMARY KEY,
  post     TEXT NOT NULL UNIQUE,
  author   TEXT NOT NULL,
  at       INTEGER NOT NULL,
  story    INTEGER NOT NULL,
  original TEXT,
  words    BLOB
) STRICT;
CREATE INDEX telling_age ON telling (at);
