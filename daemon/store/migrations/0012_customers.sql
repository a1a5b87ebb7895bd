-- Who may order, and what. Every customer that has tenants is one, without limits; `orphans` is the daemon's own.
CREATE TABLE customers (
    id          TEXT   NOT NULL PRIMARY KEY,
    spec        TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL
);
INSERT INTO customers (id, spec, version, create_time, update_time)
    SELECT customer, '{}', 1, MIN(create_time), MIN(create_time) FROM tenants
    WHERE customer <> '' AND customer <> 'orphans' GROUP BY customer;

-- Requests about customers by their ids, so that a repetition is known.
CREATE TABLE customer_requests (
    request_id   TEXT   NOT NULL PRIMARY KEY,
    request_hash TEXT   NOT NULL,
    customer     TEXT   NOT NULL,
    time         BIGINT NOT NULL
);
CREATE INDEX customer_requests_time ON customer_requests (time);
