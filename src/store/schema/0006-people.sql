-- The person a message is for, and where they are reached; none: whomever the receiver tells by itself.
ALTER TABLE outbox ADD COLUMN person TEXT;
ALTER TABLE outbox ADD COLUMN address TEXT CHECK ((person IS NULL) = (address IS NULL));
-- Until when quiet hours hold it back; none once they do not.
ALTER TABLE outbox ADD COLUMN held_until INTEGER;
