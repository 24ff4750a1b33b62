-- The same post was read on another network, and counts there: this sighting does not, and follows the other's incident.
ALTER TABLE sighting ADD COLUMN copy_of TEXT;
CREATE INDEX sighting_copy ON sighting (copy_of) WHERE copy_of IS NOT NULL;
