-- Certificates that tenants had authorities asked for, also tenants that are gone: authorities count by time, not by who still lives.
CREATE TABLE certificate_orders (
    tenant_uid        TEXT   NOT NULL,
    authority         TEXT   NOT NULL,
    names             TEXT   NOT NULL,
    registered_domain TEXT   NOT NULL,
    order_time        BIGINT NOT NULL,
    PRIMARY KEY (tenant_uid, authority, names)
);
CREATE INDEX certificate_orders_time ON certificate_orders (authority, order_time);
