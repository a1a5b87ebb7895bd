-- Who has read which first credential of a tenant; no value of one is ever kept. A rotation makes it readable again.
CREATE TABLE credentials (
    tenant_uid  TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    read_time   BIGINT,
    used_time   BIGINT,
    rotate_time BIGINT,
    -- Of the last rotation: repeated, it is no further one.
    rotation    TEXT   NOT NULL,
    PRIMARY KEY (tenant_uid, name)
);

-- How far the operation was: percent, and when it was expected to end.
ALTER TABLE events ADD COLUMN percent BIGINT;
ALTER TABLE events ADD COLUMN expected_end BIGINT;
ALTER TABLE events ADD COLUMN operation TEXT;
