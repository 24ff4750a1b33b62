-- Words of kept posts, to be searched, and what people make of incidents.
--
-- The text itself is in `post` alone: the index reads it there. Numbers of its own, because those of a table without an
-- INTEGER PRIMARY KEY change when the file is packed. Triggers, because then no transaction can forget it: what an
-- author takes back, and what is older than retention, is gone from the index with the text.
CREATE TABLE spoken (
  seq  INTEGER PRIMARY KEY,
  post TEXT NOT NULL UNIQUE
) STRICT;

CREATE VIEW spoken_words (seq, said, who) AS
  SELECT s.seq,
    concat_ws(' ', p.json ->> '$.text', p.json ->> '$.media_text', p.json ->> '$.tags'),
    concat_ws(' ', p.json ->> '$.author.handle', p.json ->> '$.author.name', p.json ->> '$.author.id')
  FROM spoken s JOIN post p ON p.id = s.post WHERE p.json IS NOT NULL;

CREATE VIRTUAL TABLE post_words USING fts5(
  said, who, content = 'spoken_words', content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2'
);
-- What is taken out is overwritten at once, and not when segments are next merged.
INSERT INTO post_words (post_words, rank) VALUES ('secure-delete', 1);

INSERT INTO spoken (post) SELECT id FROM post WHERE json IS NOT NULL ORDER BY at, id;
INSERT INTO post_words (post_words) VALUES ('rebuild');

CREATE TRIGGER post_spoken AFTER INSERT ON post WHEN NEW.json IS NOT NULL BEGIN
  INSERT INTO spoken (post) VALUES (NEW.id) ON CONFLICT DO NOTHING;
  INSERT INTO post_words (rowid, said, who) SELECT seq,
    concat_ws(' ', NEW.json ->> '$.text', NEW.json ->> '$.media_text', NEW.json ->> '$.tags'),
    concat_ws(' ', NEW.json ->> '$.author.handle', NEW.json ->> '$.author.name', NEW.json ->> '$.author.id')
    FROM spoken WHERE post = NEW.id;
END;

CREATE TRIGGER post_reworded AFTER UPDATE OF json ON post BEGIN
  INSERT INTO post_words (post_words, rowid, said, who) SELECT 'delete', seq,
    concat_ws(' ', OLD.json ->> '$.text', OLD.json ->> '$.media_text', OLD.json ->> '$.tags'),
    concat_ws(' ', OLD.json ->> '$.author.handle', OLD.json ->> '$.author.name', OLD.json ->> '$.author.id')
    FROM spoken WHERE post = OLD.id AND OLD.json IS NOT NULL;
  DELETE FROM spoken WHERE post = OLD.id AND NEW.json IS NULL;
  INSERT INTO post_words (rowid, said, who) SELECT seq,
    concat_ws(' ', NEW.json ->> '$.text', NEW.json ->> '$.media_text', NEW.json ->> '$.tags'),
    concat_ws(' ', NEW.json ->> '$.author.handle', NEW.json ->> '$.author.name', NEW.json ->> '$.author.id')
    FROM spoken WHERE post = NEW.id AND NEW.json IS NOT NULL;
END;

CREATE INDEX sighting_post ON sighting (post);
CREATE INDEX alert_rule    ON alert (rule, at);

-- Whether what fired was real, once for each rule of the incident. Stays as long as incidents do; the reason goes when
-- retention ends.
CREATE TABLE judgement (
  incident TEXT NOT NULL,
  rule     TEXT NOT NULL,
  at       INTEGER NOT NULL,
  by       TEXT NOT NULL,
  real     INTEGER NOT NULL CHECK (real IN (0, 1)),
  reason   TEXT NOT NULL,
  PRIMARY KEY (incident, rule)
) STRICT, WITHOUT ROWID;
CREATE INDEX judgement_rule ON judgement (rule, at);

-- Searches that somebody wants to find again.
CREATE TABLE saved_search (
  account TEXT NOT NULL,
  name    TEXT NOT NULL,
  query   TEXT NOT NULL,
  PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- Whether somebody may read what is restricted.
ALTER TABLE account ADD COLUMN restricted INTEGER NOT NULL DEFAULT 0 CHECK (restricted IN (0, 1));
