-- The tenant's domain with its labels reversed, each with a dot after it (`com.example.acme.`): equal ones and those above
-- are looked up, those below are one range. It never changes. Not unique: stores of earlier versions may hold clashes.
-- NULL: of a host cluster, which has no domain; or written before this was kept, and filled in when the store is opened.

ALTER TABLE tenants ADD COLUMN domain_reversed TEXT;

CREATE INDEX tenants_domain ON tenants (domain_reversed, customer, tenant);
