-- That a post is of the duty-of-care lane is known by the key of its text and by its sightings. It stays known when retention
-- has taken both: its row, with a hash, stays.
ALTER TABLE post ADD COLUMN restricted INTEGER NOT NULL DEFAULT 0;

UPDATE post SET restricted = 1 WHERE json IS NULL AND id IN (
  SELECT g.post FROM sighting g LEFT JOIN incident i ON i.id = g.incident
  WHERE substr(g.rule, 1, instr(g.rule || '.', '.') - 1) IN ('restricted', 'duty-of-care')
    OR substr(i.detail ->> '$.topic', 1, instr((i.detail ->> '$.topic') || '.', '.') - 1) IN ('restricted', 'duty-of-care'));
