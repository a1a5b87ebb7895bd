-- A rotation that runs, and since when: until it has ended, or has died, nobody reads the credential.
ALTER TABLE credentials ADD COLUMN rotating TEXT NOT NULL DEFAULT '';
ALTER TABLE credentials ADD COLUMN rotating_time BIGINT;
