-- What a receiver got that takes only so much in a while, and what waits for its digest.
CREATE TABLE quota (
  receiver TEXT PRIMARY KEY,
  detail   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
