-- When others are told that a message about something critical has not arrived; none when nobody waits for that.
ALTER TABLE outbox ADD COLUMN receipt_by INTEGER;
CREATE INDEX outbox_awaited ON outbox (receipt_by) WHERE receipt_by IS NOT NULL AND state IN ('pending', 'leased');
