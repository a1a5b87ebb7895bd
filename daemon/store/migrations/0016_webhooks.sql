-- Places of webhooks in the events, which stay the only queue. `held`: tenants whose next event a receiver has not taken (JSON).
CREATE TABLE webhooks (
    name          TEXT   NOT NULL PRIMARY KEY,
    position      BIGINT NOT NULL,
    failing_since BIGINT,
    held          TEXT   NOT NULL,
    delivered     BIGINT NOT NULL,
    missed        BIGINT NOT NULL,
    delivery_time BIGINT,
    error         TEXT   NOT NULL,
    owner         TEXT   NOT NULL,
    fence         BIGINT NOT NULL,
    lease_until   BIGINT NOT NULL
);

-- Events that were given up; the newest ones of each webhook.
CREATE TABLE parked_events (
    webhook    TEXT   NOT NULL,
    position   BIGINT NOT NULL,
    customer   TEXT   NOT NULL,
    tenant     TEXT   NOT NULL,
    type       TEXT   NOT NULL,
    event_time BIGINT NOT NULL,
    park_time  BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    error      TEXT   NOT NULL,
    PRIMARY KEY (webhook, position)
);
