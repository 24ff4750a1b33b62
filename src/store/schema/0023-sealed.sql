-- What strangers wrote is sealed with the key of its day, and their names with one that stays: see `store::keys`. Rust does
-- it to what is there, in the same transaction. The index of words would say in clear what was said: search reads the
-- posts themselves.
DROP TRIGGER post_spoken;
DROP TRIGGER post_reworded;
DROP VIEW spoken_words;
DROP TABLE post_words;
DROP TABLE spoken;

-- By which a database knows its keys, which lie in a file beside it.
CREATE TABLE keyring (
  ring TEXT NOT NULL
) STRICT;

-- Asked before a day's key is destroyed.
CREATE INDEX alert_age    ON alert (at);
CREATE INDEX timeline_age ON timeline (at);
