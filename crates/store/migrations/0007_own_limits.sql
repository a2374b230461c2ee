-- What a tenant allows itself at most, below what it was given.
ALTER TABLE budget ADD COLUMN own INTEGER;
