-- Who works on a cloud account: all its calls are made by one owner, whose rate limits know of all of them.
CREATE TABLE accounts (
    account     TEXT   NOT NULL PRIMARY KEY,
    owner       TEXT   NOT NULL,
    lease_until BIGINT NOT NULL
);

-- Provider and account, or credential scope where no account is named. NULL: written before it was kept, and filled in when the
-- store is opened.
ALTER TABLE tenants ADD COLUMN account TEXT;

DROP INDEX tenants_due;
CREATE INDEX tenants_due ON tenants (next_due, priority, customer, uid, provider, credentials, account);
