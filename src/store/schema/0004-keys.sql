-- What a rule that counts by key counted. A post may make several keys of a rule fire at once.
ALTER TABLE alert ADD COLUMN key TEXT;
DROP INDEX alert_once;
CREATE UNIQUE INDEX alert_once ON alert (rule, at, ifnull(post, ''), ifnull(key, ''));
