-- A store is one: a second row would be a copy that was restored over a store which a daemon had begun meanwhile.
ALTER TABLE identity ADD COLUMN single BIGINT NOT NULL DEFAULT 1 CHECK (single = 1);
CREATE UNIQUE INDEX identity_single ON identity (single);
