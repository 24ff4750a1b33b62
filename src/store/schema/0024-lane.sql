-- That a post is of the duty-of-care lane is known by the key of its text and by its sightings. A rule that is of the lane by its
-- topic alone is not seen in a sighting, so when the text is gone a mark says it, as long as there are sightings.
ALTER TABLE post ADD COLUMN restricted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX post_restricted ON post (id) WHERE restricted;
