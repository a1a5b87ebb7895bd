-- Portable between SQLite and PostgreSQL: TEXT and BIGINT, but for two words that PostgreSQL
-- spells otherwise: BLOB (BYTEA) and AUTOINCREMENT (GENERATED ALWAYS AS IDENTITY). Times are
-- milliseconds since the Unix epoch; booleans are 0 and 1.

CREATE TABLE tenants (
    uid              TEXT   NOT NULL PRIMARY KEY,
    customer         TEXT   NOT NULL,
    tenant           TEXT   NOT NULL,
    class            TEXT   NOT NULL,
    provider         TEXT   NOT NULL,
    spec             TEXT   NOT NULL,
    offer            TEXT   NOT NULL,
    generation       BIGINT NOT NULL,
    direction        TEXT   NOT NULL,
    force_delete     BIGINT NOT NULL,
    state            TEXT   NOT NULL,
    status           TEXT   NOT NULL,
    version          BIGINT NOT NULL,
    operation        TEXT   NOT NULL,
    cancel_requested BIGINT NOT NULL,
    last_ready       TEXT,
    create_time      BIGINT NOT NULL,
    update_time      BIGINT NOT NULL,
    delete_time      BIGINT,
    -- Raised by every write of the API; a claim remembers the one that it saw.
    revision         BIGINT NOT NULL,
    claimed_revision BIGINT NOT NULL,
    owner            TEXT   NOT NULL,
    fence            BIGINT NOT NULL,
    lease_until      BIGINT NOT NULL,
    -- When it may next be claimed; the lease's end while one runs. NULL: nothing to do until the
    -- API changes something.
    next_due         BIGINT,
    -- 0 deletes, 1 changes, 2 resyncs.
    priority         BIGINT NOT NULL,
    UNIQUE (customer, tenant)
);

-- Covers the claim's search: tenants at rest are not even looked at.
CREATE INDEX tenants_due ON tenants (next_due, priority, customer, uid);

CREATE TABLE stages (
    tenant_uid TEXT NOT NULL REFERENCES tenants (uid),
    direction  TEXT NOT NULL,
    stage      TEXT NOT NULL,
    record     TEXT NOT NULL,
    checkpoint BLOB NOT NULL,
    status     BLOB NOT NULL,
    PRIMARY KEY (tenant_uid, direction, stage)
);

CREATE TABLE operations (
    id               TEXT   NOT NULL PRIMARY KEY,
    tenant_uid       TEXT   NOT NULL,
    customer         TEXT   NOT NULL,
    tenant           TEXT   NOT NULL,
    kind             TEXT   NOT NULL,
    generation       BIGINT NOT NULL,
    request_id       TEXT,
    request_hash     TEXT   NOT NULL,
    create_time      BIGINT NOT NULL,
    end_time         BIGINT,
    cancel_requested BIGINT NOT NULL,
    outcome          TEXT,
    -- The stages as they stood at the end; NULL while it runs.
    stages           TEXT,
    UNIQUE (customer, request_id)
);

CREATE INDEX operations_tenant ON operations (customer, tenant, id);

CREATE TABLE events (
    seq        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    time       BIGINT  NOT NULL,
    tenant_uid TEXT    NOT NULL,
    customer   TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    stage      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    message    TEXT    NOT NULL
);

CREATE INDEX events_tenant ON events (customer, tenant, seq);
