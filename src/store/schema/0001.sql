-- The whole memory of the daemon. Instants are microseconds since 1970 (UTC).
--
-- There are no foreign keys on purpose: a page must never be refused because a record
-- beside it is missing. Incidents are never deleted, so nothing can come to hang in the air.

-- Evidence. When the author takes a post back, or retention ends, its text goes and the
-- SHA-256 of the JSON stays: whoever kept a copy can still be checked.
CREATE TABLE post (
  id     TEXT PRIMARY KEY,
  author TEXT NOT NULL,
  at     INTEGER NOT NULL,
  json   TEXT,
  hash   BLOB,
  CHECK ((json IS NULL) = (hash IS NOT NULL))
) STRICT;
CREATE INDEX post_author ON post (author) WHERE json IS NOT NULL;
CREATE INDEX post_age    ON post (at)     WHERE json IS NOT NULL;

CREATE TABLE sighting (
  seq      INTEGER PRIMARY KEY,
  rule     TEXT NOT NULL,
  post     TEXT NOT NULL,
  source   TEXT NOT NULL,
  author   TEXT NOT NULL,
  at       INTEGER NOT NULL,
  incident TEXT,
  UNIQUE (rule, post)
) STRICT;
CREATE INDEX sighting_age      ON sighting (at);
CREATE INDEX sighting_incident ON sighting (incident) WHERE incident IS NOT NULL;

CREATE TABLE alert (
  seq          INTEGER PRIMARY KEY,
  at           INTEGER NOT NULL,
  rule         TEXT NOT NULL,
  severity     TEXT NOT NULL,
  topic        TEXT NOT NULL,
  condition    TEXT NOT NULL,
  incident     TEXT NOT NULL,
  new_incident INTEGER NOT NULL,
  posts        INTEGER NOT NULL,
  authors      INTEGER NOT NULL,
  within       INTEGER,
  post         TEXT,
  why          TEXT NOT NULL
) STRICT;
-- What makes an alert the same when it is derived again after a crash.
CREATE UNIQUE INDEX alert_once     ON alert (rule, at, ifnull(post, ''));
CREATE INDEX        alert_incident ON alert (incident, at);

CREATE TABLE incident (
  id        TEXT PRIMARY KEY,
  state     TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
  opened_at INTEGER NOT NULL,
  detail    TEXT NOT NULL
) STRICT;
CREATE INDEX incident_newest ON incident (opened_at);
CREATE INDEX incident_alive  ON incident (opened_at) WHERE state <> 'resolved';

CREATE TABLE timeline (
  seq      INTEGER PRIMARY KEY,
  incident TEXT NOT NULL,
  at       INTEGER NOT NULL,
  what     TEXT NOT NULL,
  by       TEXT NOT NULL,
  text     TEXT NOT NULL
) STRICT;
CREATE INDEX timeline_incident ON timeline (incident);

-- pending -> leased -> delivered | parked, or back to pending with a later `due`.
CREATE TABLE outbox (
  seq          INTEGER PRIMARY KEY,
  id           TEXT NOT NULL UNIQUE,
  receiver     TEXT NOT NULL,
  incident     TEXT NOT NULL,
  message      TEXT NOT NULL,
  due          INTEGER NOT NULL,
  give_up      INTEGER NOT NULL,
  state        TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'leased', 'delivered', 'parked')),
  leased_until INTEGER,
  attempts     INTEGER NOT NULL DEFAULT 0,
  error        TEXT,
  finished_at  INTEGER,
  told         INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)),
  CHECK ((state = 'leased') = (leased_until IS NOT NULL)),
  CHECK ((state IN ('delivered', 'parked')) = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX outbox_open     ON outbox (receiver, incident, seq) WHERE state IN ('pending', 'leased');
CREATE INDEX outbox_untold   ON outbox (seq)                     WHERE state = 'parked' AND told = 0;
CREATE INDEX outbox_finished ON outbox (finished_at)             WHERE finished_at IS NOT NULL;

CREATE TABLE gap (
  source    TEXT NOT NULL,
  from_at   INTEGER NOT NULL,
  to_at     INTEGER,
  reason    TEXT NOT NULL,
  recovered INTEGER NOT NULL,
  PRIMARY KEY (source, from_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE source (
  name       TEXT PRIMARY KEY,
  cursor     INTEGER,
  frames     INTEGER NOT NULL DEFAULT 0,
  posts      INTEGER NOT NULL DEFAULT 0,
  other      INTEGER NOT NULL DEFAULT 0,
  duplicates INTEGER NOT NULL DEFAULT 0,
  dropped    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE rejected (
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  frames INTEGER NOT NULL,
  PRIMARY KEY (source, reason)
) STRICT, WITHOUT ROWID;
