-- What each daemon holds is counted every few seconds: of tenants at rest nobody holds anything, and none is read.
CREATE INDEX tenants_leased ON tenants (owner, lease_until) WHERE lease_until > 0;
