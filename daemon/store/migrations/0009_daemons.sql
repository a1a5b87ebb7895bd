-- Daemons that share the database. Those that end take their row with them; of those that were killed it stays for a day.
CREATE TABLE daemons (
    id         TEXT   NOT NULL PRIMARY KEY,
    host       TEXT   NOT NULL,
    pid        BIGINT NOT NULL,
    version    TEXT   NOT NULL,
    start_time BIGINT NOT NULL,
    heard_time BIGINT NOT NULL
);

-- What is counted for figures is counted in indexes.
CREATE INDEX tenants_counts ON tenants (provider, class, state, customer);
CREATE INDEX operations_running ON operations (create_time) WHERE end_time IS NULL;
