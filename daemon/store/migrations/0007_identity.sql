-- Which store this is. One row. `epoch` begins anew, raised by one, whenever the store goes on from a copy of itself; 0: it was
-- made with nothing built, or by a version that kept no epochs. `restored`: the copy is known to be older than what was done.
CREATE TABLE identity (
    id        TEXT   NOT NULL PRIMARY KEY,
    epoch     BIGINT NOT NULL,
    restored  BIGINT NOT NULL,
    reason    TEXT   NOT NULL,
    -- When a daemon last had it open, to the minute; `clean`: that daemon closed it.
    seen_time BIGINT NOT NULL,
    clean     BIGINT NOT NULL
);

-- Providers whose inventory was compared with the records, and in which epoch.
CREATE TABLE inventories (
    provider     TEXT   NOT NULL,
    credentials  TEXT   NOT NULL,
    epoch        BIGINT NOT NULL,
    compare_time BIGINT NOT NULL,
    PRIMARY KEY (provider, credentials)
);

-- Objects of this installation whose tenant has no record.
CREATE TABLE orphans (
    provider    TEXT   NOT NULL,
    credentials TEXT   NOT NULL,
    tenant_uid  TEXT   NOT NULL,
    region      TEXT   NOT NULL,
    objects     TEXT   NOT NULL,
    found_time  BIGINT NOT NULL,
    PRIMARY KEY (provider, credentials, tenant_uid, region)
);

-- The credential scope has a column of its own, since what may be claimed depends on it. NULL: written before it had one, and
-- filled in when the store is opened.
ALTER TABLE tenants ADD COLUMN credentials TEXT;

DROP INDEX tenants_due;
CREATE INDEX tenants_due ON tenants (next_due, priority, customer, uid, provider, credentials);
