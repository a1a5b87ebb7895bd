-- What was seen of a tenant's answers, JSON: written by whoever looks, and by nobody who works on the tenant.
ALTER TABLE tenants ADD COLUMN availability TEXT;

-- Duties that one daemon has at a time.
CREATE TABLE duties (
    name        TEXT   NOT NULL PRIMARY KEY,
    owner       TEXT   NOT NULL,
    lease_until BIGINT NOT NULL
);
