-- Who ordered that some rules tell nobody, why, and until when. Goes when it is over and retention ends.
CREATE TABLE silence (
  id      TEXT PRIMARY KEY,
  ordered INTEGER NOT NULL,
  until   INTEGER NOT NULL,
  detail  TEXT NOT NULL
) STRICT;
CREATE INDEX silence_until ON silence (until);
