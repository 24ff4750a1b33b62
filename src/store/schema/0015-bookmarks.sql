-- Where a source resumes that does not resume at a time, in the words of its adapter.
ALTER TABLE source ADD COLUMN bookmark TEXT;
