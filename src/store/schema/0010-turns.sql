-- Whether a message, or one that waits behind it in its line, is of a critical incident: those go first.
ALTER TABLE outbox ADD COLUMN critical INTEGER NOT NULL DEFAULT 0 CHECK (critical IN (0, 1));
UPDATE outbox AS row SET critical = 1
WHERE state IN ('pending', 'leased') AND EXISTS (
  SELECT 1 FROM outbox AS grave
  WHERE grave.receiver = row.receiver AND grave.incident = row.incident AND grave.person IS row.person
    AND grave.state IN ('pending', 'leased') AND json_extract(grave.message, '$.incident.severity') = 'critical');
-- How long it is tried in all, whatever clocks do.
ALTER TABLE outbox ADD COLUMN patience INTEGER NOT NULL DEFAULT 86400000000;
CREATE INDEX outbox_turn ON outbox (receiver, critical DESC, seq) WHERE state IN ('pending', 'leased');
-- Asked with every lease, and delivered messages stay for weeks.
CREATE INDEX outbox_leased ON outbox (receiver, incident, leased_until) WHERE state = 'leased';
-- What became of an incident's messages is asked each second while a drill waits.
CREATE INDEX outbox_of ON outbox (incident, seq);
