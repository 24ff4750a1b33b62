-- What is usual for each spike rule, as the engine writes it. `meaning` says what the rule
-- asked for when it was learnt; `at` is the event time of the newest post it counts.
CREATE TABLE volume (
  rule    TEXT PRIMARY KEY,
  meaning TEXT NOT NULL,
  at      INTEGER NOT NULL,
  state   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE alert ADD COLUMN observed INTEGER;
ALTER TABLE alert ADD COLUMN expected REAL;
ALTER TABLE alert ADD COLUMN upper    INTEGER;
