-- A host cluster is a row of its own kind: `hosting` is set, and `customer` is empty, which no
-- customer's id is. Tenants of shared levels name their host cluster, by uid for what is counted and
-- by name for what is shown; neither ever changes.

ALTER TABLE tenants ADD COLUMN hosting TEXT;
ALTER TABLE tenants ADD COLUMN host_uid TEXT;
ALTER TABLE tenants ADD COLUMN host_name TEXT;

CREATE INDEX tenants_host ON tenants (host_uid, customer, tenant);
