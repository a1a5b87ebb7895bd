-- What is reserved for a tenant in its host cluster, summed whenever a tenant is placed: so it has columns and an index
-- of its own, and no record has to be read for it. NULL: written before this was kept; filled in when the store is
-- opened. What was counted in a host cluster is the status of its stage `capacity`.

ALTER TABLE tenants ADD COLUMN reserved_cpu_milli BIGINT;
ALTER TABLE tenants ADD COLUMN reserved_memory_mib BIGINT;
ALTER TABLE tenants ADD COLUMN reserved_pods BIGINT;

CREATE INDEX tenants_reserved ON tenants (host_uid, reserved_cpu_milli, reserved_memory_mib, reserved_pods);
