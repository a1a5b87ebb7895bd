-- Finds operations that ended long ago.
CREATE INDEX operations_end ON operations (end_time);

-- When the present epoch began: what was ordered since can't have been built and removed since. 0: not known.
ALTER TABLE identity ADD COLUMN epoch_time BIGINT NOT NULL DEFAULT 0;

-- Whether anybody could list it: an inventory of a provider that was not configured is compared when it is.
ALTER TABLE inventories ADD COLUMN listed BIGINT NOT NULL DEFAULT 1;
